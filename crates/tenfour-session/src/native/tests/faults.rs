//! What a peer must not do, and the code that it is told.

use super::{
    super::*,
    support::{
        NOW, carry, client, message, names, pair, reliable, server, to_bytes, welcome_frame, welcomed,
    },
};
use alloc::{format, string::String, sync::Arc, vec, vec::Vec};
use bytes::{BufMut, Bytes, BytesMut};
use tenfour_delivery::{
    number::{Epoch, Offset},
    resume::Position,
};
use tenfour_wire::native::{
    self as wire, Body, CloseCode, Deliver, Frame, Message, Outcome, Place, Reliable,
};

fn deliver(previous: Option<u64>, advance: u64, body: Body) -> Frame {
    let place = Place { channel: 3, previous, advance };
    reliable(1, Reliable::Deliver(Deliver { place, message: Message { name: None, body } }))
}

fn told(transmits: impl Iterator<Item = Transmit>) -> String {
    names(transmits).into_iter().filter(|name| name.starts_with("CLOSE")).collect()
}

#[test]
fn by_a_client() {
    let request = |sequence, text: &str| {
        reliable(sequence, Reliable::Request(wire::Request { request: 0, message: message(text) }))
    };
    let ack = |next, ranges, processed| Frame::Ack(wire::Ack { next, ranges, processed });
    let processed = |offset| vec![wire::ChannelOffset { channel: 3, offset }];
    let cases = [
        ("an acknowledgement of what was never sent", ack(2, Vec::new(), Vec::new()), CloseCode::FutureAck),
        (
            "a range of what was never sent",
            ack(0, vec![wire::AckRange { gap: 1, len: 1 }], Vec::new()),
            CloseCode::FutureAck,
        ),
        ("what was never delivered is processed", ack(1, Vec::new(), processed(5)), CloseCode::FutureAck),
        ("a number is left out", request(2, "?"), CloseCode::SequenceGap),
        ("a number beyond credit", request(1000, "?"), CloseCode::FlowControl),
        ("an entry", deliver(None, 1, Body::Text("x".into())), CloseCode::ProtocolError),
        ("a producer's next number, and there was none", publish_next(), CloseCode::ProtocolError),
        ("GOAWAY", Frame::GoAway(wire::GoAway { drain_ms: 0, jitter_ms: 0 }), CloseCode::ProtocolError),
    ];
    for (what, frame, code) in cases {
        let (_, mut server) = pair(Transport::Stream);
        server.handle_input(NOW, Input::Bytes(to_bytes(&frame)));
        let told = told(core::iter::from_fn(|| server.poll_transmit(NOW)));
        assert_eq!(told, format!("CLOSE({code:?})"), "{what}");
        assert_eq!(last(core::iter::from_fn(|| server.poll_event())), Closed::Fault(code), "{what}");
    }
}

fn last(events: impl Iterator<Item = ServerEvent>) -> Closed {
    match events.last() {
        Some(ServerEvent::Closed(closed)) => closed,
        event => panic!("it ends with {event:?}"),
    }
}

fn publish_next() -> Frame {
    let producer = Some(wire::ProducerRef::Next);
    let publish = wire::Publish { channel: "c".into(), producer, ttl_ms: None, message: message("m") };
    reliable(1, Reliable::Publish(publish))
}

#[test]
fn by_a_server() {
    let json = "[".repeat(200) + &"]".repeat(200);
    let json = Body::Json { args: json.into(), attachments: Vec::new() };
    let lost = |after, through| {
        let (count, reason) = (wire::Count::Exact(1), wire::LossReason::Ttl);
        let loss = wire::Loss { after, through, count, reason };
        reliable(1, Reliable::Lost(wire::Lost { channel: 3, charge: 0, loss }))
    };
    let skip = reliable(1, Reliable::Skip(wire::Skip { channel: 3, after: 9, through: 10 }));
    let text = || Body::Text("x".into());
    let cases = [
        ("an entry that follows another one", deliver(Some(5), 1, text()), CloseCode::BrokenChain),
        ("an entry that came before", deliver(Some(3), 1, text()), CloseCode::BrokenChain),
        ("a loss beyond what came", lost(9, 10), CloseCode::BrokenChain),
        ("a skip beyond what came", skip, CloseCode::BrokenChain),
        ("an offset beyond the last", deliver(None, u64::MAX, text()), CloseCode::Malformed),
        ("JSON that is too deep", deliver(None, 1, json), CloseCode::LimitExceeded),
        (
            "a message larger than credit",
            deliver(None, 1, Body::Binary(vec![0; 1 << 20].into())),
            CloseCode::FrameTooLarge,
        ),
        ("a subscription", subscribe(), CloseCode::ProtocolError),
        ("a welcome", welcome_frame(Outcome::Fresh), CloseCode::ProtocolError),
    ];
    for (what, frame, code) in cases {
        let (mut client, _) = pair(Transport::Stream);
        client.handle_input(NOW, Input::Bytes(to_bytes(&frame)));
        let told = told(core::iter::from_fn(|| client.poll_transmit(NOW)));
        assert_eq!(told, format!("CLOSE({code:?})"), "{what}");
        let events: Vec<_> = core::iter::from_fn(|| client.poll_event()).collect();
        assert_eq!(events, [ClientEvent::Closed(Closed::Fault(code))], "{what}: nothing is passed on");
    }
}

fn subscribe() -> Frame {
    let (channel, start) = ("c".into(), wire::Start::Live);
    reliable(1, Reliable::Subscribe(wire::Subscribe { request: 0, channel, start }))
}

#[test]
fn credit_in_bytes_is_kept() {
    let mut config = Config::default();
    config.receive.bytes = 10;
    let config = Arc::new(config);
    let mut server = ServerSession::new(config, Transport::Stream, NOW);
    let mut client = client(Transport::Stream);
    carry(&mut client, &mut server);
    server.welcome(NOW, &welcomed(Beginning::Fresh));
    carry(&mut client, &mut server);
    let full = client.request(NOW, message("ten bytes and more"));
    assert_eq!(full, Err(SendError::Full), "the client knows what it may send");
    let request = Reliable::Request(wire::Request { request: 0, message: message("ten bytes and more") });
    server.handle_input(NOW, Input::Bytes(to_bytes(&reliable(0, request))));
    assert_eq!(told(core::iter::from_fn(|| server.poll_transmit(NOW))), "CLOSE(FlowControl)");
}

#[test]
fn what_is_no_frame() {
    let mut oversized = BytesMut::new();
    oversized.put_slice(&[0xff, 0xff, 0xff, 0x7f]);
    let mut odd = BytesMut::new();
    odd.put_slice(&[2, 15 << 3, 1]);
    let cases = [
        ("a length beyond the limit", oversized.freeze(), CloseCode::FrameTooLarge),
        ("an extension that must be understood", odd.freeze(), CloseCode::ProtocolError),
        ("a length of nothing", Bytes::from_static(&[0]), CloseCode::Malformed),
        ("another protocol", Bytes::from_static(&[b'G'; 72]), CloseCode::Malformed),
        (
            "a greeting without its magic",
            Bytes::from_static(&[6, 8, b'x', b'0', b'-', b'4', 1]),
            CloseCode::ProtocolError,
        ),
    ];
    for (what, bytes, code) in cases {
        let mut server = server(Transport::Stream);
        server.handle_input(NOW, Input::Bytes(bytes));
        let told = told(core::iter::from_fn(|| server.poll_transmit(NOW)));
        assert_eq!(told, format!("CLOSE({code:?})"), "{what}");
    }
    let mut truncated = to_bytes(&welcome_frame(Outcome::Fresh));
    truncated.truncate(20);
    let mut client = client(Transport::Datagram { mtu: 1200 });
    client.handle_input(NOW, Input::Bytes(truncated));
    let told = told(core::iter::from_fn(|| client.poll_transmit(NOW)));
    assert_eq!(told, "CLOSE(Malformed)", "a datagram holds its frames whole");
}

#[test]
fn a_datagram_begins_with_a_number() {
    let request = |sequence: Option<u64>| {
        let body = Reliable::Request(wire::Request { request: sequence.unwrap_or(9), message: message("?") });
        Input::Bytes(to_bytes(&Frame::Reliable { sequence, body }))
    };
    let (_, mut server) = pair(Transport::Datagram { mtu: 300 });
    server.handle_input(NOW, request(Some(1)));
    server.handle_input(NOW, request(None));
    assert_eq!(told(core::iter::from_fn(|| server.poll_transmit(NOW))), "CLOSE(ProtocolError)");
}

/// A client that resumes is told what cannot be.
#[test]
fn a_welcome_that_cannot_be() {
    let exact = |next, first_held| welcome_frame(Outcome::Exact { next, first_held });
    let older = |frame| match frame {
        Frame::Welcome(welcome) => Frame::Welcome(wire::Welcome { version: 2, ..welcome }),
        frame => frame,
    };
    let cases = [
        ("the server has what was never sent", exact(9, 0), CloseCode::FutureAck),
        ("the server does not hold what is missing", exact(1, 9), CloseCode::SequenceGap),
        ("a version that was not offered", older(exact(1, 1)), CloseCode::UnsupportedVersion),
    ];
    for (what, frame, code) in cases {
        let (mut before, _) = pair(Transport::Stream);
        let journal = before.take_journal();
        let config = Arc::new(Config::default());
        let mut client = ClientSession::new(config, Transport::Stream, Hello::default(), journal, NOW);
        client.handle_input(NOW, Input::Bytes(to_bytes(&frame)));
        let told = told(core::iter::from_fn(|| client.poll_transmit(NOW)));
        assert_eq!(told, format!("CLOSE({code:?})"), "{what}");
    }
}

#[test]
fn a_chain_that_broke_begins_a_new_session_from_what_was_received() {
    let (mut client, _) = pair(Transport::Stream);
    client
        .publish(NOW, Publication { channel: "c".into(), producer: None, ttl: None, message: message("m") })
        .unwrap();
    let good = deliver(None, 2, Body::Text("6".into()));
    client.handle_input(NOW, Input::Bytes(to_bytes(&good)));
    let broken = deliver(Some(9), 1, Body::Text("10".into()));
    let Frame::Reliable { body, .. } = broken else { panic!() };
    client.handle_input(NOW, Input::Bytes(to_bytes(&reliable(2, body))));
    let journal = client.take_journal();
    let config = Arc::new(Config::default());
    let mut client = ClientSession::new(config, Transport::Stream, Hello::default(), journal, NOW);
    let mut server = server(Transport::Stream);
    carry(&mut client, &mut server);
    let Some(ServerEvent::Hello { resume: None, .. }) = server.poll_event() else { panic!("a new session") };
    server.welcome(NOW, &welcomed(Beginning::Fresh));
    carry(&mut client, &mut server);
    let Some(ServerEvent::Subscribe { start, .. }) = server.poll_event() else {
        panic!("it subscribes again")
    };
    assert_eq!(start, Start::After(Position { epoch: Epoch::new(1), offset: Offset::new(6) }));
    let events: Vec<_> = core::iter::from_fn(|| client.poll_event()).collect();
    let unanswered =
        |event: &ClientEvent| matches!(event, ClientEvent::Unanswered(Unanswered::Publication(_)));
    assert!(events.iter().any(unanswered), "{events:?}");
}

/// Nothing that comes and is not taken makes a session grow: a flood beyond credit ends it.
#[test]
fn a_flood_ends_at_the_credit() {
    let (_, mut server) = pair(Transport::Stream);
    for sequence in 1..10_000 {
        let request = Reliable::Request(wire::Request { request: sequence, message: message("?") });
        server.handle_input(NOW, Input::Bytes(to_bytes(&reliable(sequence, request))));
    }
    let events = core::iter::from_fn(|| server.poll_event()).count();
    assert_eq!(events, 256 + 1, "one subscription was consumed: 256 requests, and the end");
}

/// Who asks and takes no answers is granted no more; if it goes on all the same, that is the end, and not memory.
#[test]
fn answers_that_nobody_takes_end_at_the_grant() {
    let (_, mut server) = pair(Transport::Stream);
    let refusal = wire::Refusal { reason: wire::RefusalReason::Forbidden, retry_after_ms: None };
    let mut answered = 0;
    for sequence in 1..10_000 {
        let (request, channel, start) = (sequence, "d".into(), wire::Start::Live);
        let subscribe = Reliable::Subscribe(wire::Subscribe { request, channel, start });
        server.handle_input(NOW, Input::Bytes(to_bytes(&reliable(sequence, subscribe))));
        while let Some(event) = server.poll_event() {
            server.consumed(NOW, event.cost());
            match event {
                ServerEvent::Subscribe { request, .. } => {
                    answered += 1;
                    server.subscribed(NOW, request, Err(refusal));
                }
                event => assert_eq!(event, ServerEvent::Closed(Closed::Fault(CloseCode::FlowControl))),
            }
        }
        core::iter::from_fn(|| server.poll_transmit(NOW)).for_each(drop);
    }
    assert!((256..=3 * 256).contains(&answered), "{answered} answers wait");
    assert!(server.is_finished());
}

/// Who has not shown who it is makes a server hold little, and is told so at the length.
#[test]
fn a_first_frame_is_small() {
    let length =
        |bytes: usize| Bytes::from(vec![bytes as u8 | 0x80, (bytes >> 7) as u8 | 0x80, (bytes >> 14) as u8]);
    let most = wire::Limits::default().hello_bytes();
    let said = |server: &mut ServerSession, bytes| {
        server.handle_input(NOW, Input::Bytes(length(bytes)));
        told(core::iter::from_fn(|| server.poll_transmit(NOW)))
    };
    let mut greeting = server(Transport::Stream);
    assert_eq!(said(&mut greeting.clone(), most), "", "there is more to come");
    assert_eq!(said(&mut greeting, most + 1), "CLOSE(FrameTooLarge)");

    let (mut asking, mut deciding) = (client(Transport::Stream), server(Transport::Stream));
    carry(&mut asking, &mut deciding);
    assert_eq!(said(&mut deciding.clone(), most + 1), "CLOSE(FrameTooLarge)", "it is not let in yet");
    deciding.welcome(NOW, &welcomed(Beginning::Fresh));
    assert_eq!(said(&mut deciding, most + 1), "", "it is let in");

    let hello = |credentials: usize| {
        let hello = Hello { credentials: vec![0; credentials].into(), ..Hello::default() };
        let config = Arc::new(Config::default());
        ClientSession::new(config, Transport::Datagram { mtu: 65_000 }, hello, None, NOW)
    };
    for (credentials, is_let_in) in [(8 << 10, true), (most, false)] {
        let mut server = server(Transport::Datagram { mtu: 65_000 });
        let Some(Transmit::Bytes(bytes)) = hello(credentials).poll_transmit(NOW) else { panic!() };
        server.handle_input(NOW, Input::Bytes(bytes));
        let greets = matches!(server.poll_event(), Some(ServerEvent::Hello { .. }));
        assert_eq!(greets, is_let_in);
        let told = told(core::iter::from_fn(|| server.poll_transmit(NOW)));
        assert_eq!(told, if is_let_in { "" } else { "CLOSE(FrameTooLarge)" });
    }
}

/// A first frame that may be skipped is no greeting; later it shows, as any frame does, that its sender is there.
#[test]
fn an_extension_is_a_frame_like_any_other() {
    let extension = to_bytes(&Frame::Unknown { kind: 2, body: Bytes::new() });
    let mut greeting = server(Transport::Stream);
    greeting.handle_input(NOW, Input::Bytes(extension.clone()));
    assert_eq!(told(core::iter::from_fn(|| greeting.poll_transmit(NOW))), "CLOSE(ProtocolError)");

    let (_, mut open) = pair(Transport::Stream);
    let later = NOW + core::time::Duration::from_secs(9);
    open.handle_input(later, Input::Bytes(extension));
    let deadline = later + Config::default().heartbeat;
    assert_eq!(open.poll_timeout(), Some(deadline), "it is not pinged before");
}
