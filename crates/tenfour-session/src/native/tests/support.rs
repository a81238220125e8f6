//! Sessions, frames and names for the tables.

use super::super::*;
use alloc::{format, string::String, sync::Arc, vec::Vec};
use bytes::{Bytes, BytesMut};
use tenfour_delivery::{
    number::{Epoch, Generation, Offset},
    time::Instant,
};
use tenfour_wire::native::{
    self as wire, Body, CloseCode, Frame, Limits, Message, Outcome, Reliable, SharedMessage, Token,
    decode_datagram, encode,
};

pub(super) const NOW: Instant = Instant::ZERO;

pub(super) fn message(text: &str) -> Message {
    Message { name: None, body: Body::Text(text.into()) }
}

pub(super) fn shared(text: &str) -> SharedMessage {
    SharedMessage::new(&message(text))
}

pub(super) fn token() -> Token {
    Token([7; 30])
}

pub(super) fn client(transport: Transport) -> ClientSession {
    ClientSession::new(Arc::new(Config::default()), transport, Hello::default(), None, NOW)
}

pub(super) fn server(transport: Transport) -> ServerSession {
    ServerSession::new(Arc::new(Config::default()), transport, NOW)
}

pub(super) fn welcomed(beginning: Beginning) -> Welcomed {
    let (token, generation) = (token(), Generation::FIRST);
    Welcomed { token, generation, epoch: Epoch::new(1), dedup_window: None, beginning }
}

pub(super) fn rejection() -> Rejection {
    Rejection { code: CloseCode::Unauthorized, retry_after: None, reason: "".into() }
}

pub(super) fn subscription() -> Subscription {
    let after = Offset::new(4);
    Subscription { channel: 3, epoch: Epoch::new(1), decision: Decision::Continue, after, head: after }
}

/// The journal of a server session in which nothing has happened.
pub(super) fn journal() -> ServerJournal {
    let mut server = server(Transport::Stream);
    let mut client = client(Transport::Stream);
    carry(&mut client, &mut server);
    server.welcome(NOW, &welcomed(Beginning::Fresh));
    server.take_journal().expect("the client was welcomed")
}

pub(super) fn welcome_frame(outcome: Outcome) -> Frame {
    Frame::Welcome(wire::Welcome {
        version: 1,
        features: 0,
        max_frame_bytes: 1 << 20,
        token: token(),
        generation: 0,
        epoch: 1,
        outcome,
        credit: wire::Credit { messages: 256, bytes: 1 << 20 },
        heartbeat_ms: 10_000,
        dedup_window_ms: 0,
        fields: Vec::new(),
    })
}

pub(super) fn reliable(sequence: u64, body: Reliable) -> Frame {
    Frame::Reliable { sequence: Some(sequence), body }
}

pub(super) fn to_bytes(frame: &Frame) -> Bytes {
    let mut bytes = BytesMut::new();
    encode(frame, &mut bytes);
    bytes.freeze()
}

pub(super) fn input(name: &str) -> Input {
    match name {
        "garbage" => Input::Bytes(Bytes::from_static(&[1, 0xff])),
        "blocked" => Input::WriteBlocked,
        "transport ends" => Input::Closed,
        name => panic!("{name} is no input"),
    }
}

/// The frames that are sent, by their names; a goodbye with its code.
pub(super) fn names(transmits: impl Iterator<Item = Transmit>) -> Vec<String> {
    let mut names = Vec::new();
    for transmit in transmits {
        let Transmit::Bytes(bytes) = transmit else {
            names.push("(hang up)".into());
            continue;
        };
        for frame in decode_datagram(bytes, &Limits::default()) {
            names.push(match frame.expect("what is sent can be read") {
                Frame::Close(close) => format!("CLOSE({:?})", close.code),
                Frame::Reject(reject) => format!("REJECT({:?})", reject.code),
                Frame::Reliable { body, .. } => first_word(&format!("{body:?}")),
                frame => first_word(&format!("{frame:?}")),
            });
        }
    }
    names
}

fn first_word(text: &str) -> String {
    text.split(['(', ' ']).next().unwrap_or_default().to_uppercase()
}

/// Carries what one side has to say to the other, and back, until neither has anything.
pub(super) fn carry(client: &mut ClientSession, server: &mut ServerSession) {
    loop {
        let mut silent = true;
        while let Some(transmit) = client.poll_transmit(NOW) {
            silent = false;
            if let Transmit::Bytes(bytes) = transmit {
                server.handle_input(NOW, Input::Bytes(bytes));
            }
        }
        while let Some(transmit) = server.poll_transmit(NOW) {
            silent = false;
            if let Transmit::Bytes(bytes) = transmit {
                client.handle_input(NOW, Input::Bytes(bytes));
            }
        }
        if silent {
            return;
        }
    }
}

/// A server that has let a client in, and a client of its own that has a subscription.
pub(super) fn pair(transport: Transport) -> (ClientSession, ServerSession) {
    let (mut client, mut server) = (client(transport), server(transport));
    client.subscribe(NOW, "c", Start::Live).unwrap();
    carry(&mut client, &mut server);
    server.welcome(NOW, &welcomed(Beginning::Fresh));
    carry(&mut client, &mut server);
    while let Some(event) = server.poll_event() {
        if let ServerEvent::Subscribe { request, .. } = event {
            server.subscribed(NOW, request, Ok(subscription()));
        }
        server.consumed(NOW, event.cost());
    }
    carry(&mut client, &mut server);
    while let Some(event) = client.poll_event() {
        client.consumed(NOW, event.cost());
    }
    (client, server)
}
