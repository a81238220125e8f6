//! Beside tungstenite: the same messages, and streams refused at the same message. Where the two differ on purpose is
//! said in [`Outcome`].

use std::{
    io::{self, Read, Write},
    vec,
    vec::Vec,
};

use proptest::prelude::*;
use tungstenite::{
    Error, WebSocket,
    protocol::{Role as TheirRole, WebSocketConfig},
};

use super::{
    super::{CloseFrame, ErrorKind, Message, Role},
    MAX_MESSAGE, decode_all, std,
    stream::{mutate, mutations, stream},
};

/// How a stream ends.
#[derive(Debug, PartialEq)]
enum Outcome {
    /// More could follow.
    Open,
    /// By a close frame, the last message.
    Closed,
    Refused,
}

/// Bytes to read, and nothing more to come yet; what is written is dropped.
struct Input(io::Cursor<Vec<u8>>);

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buffer)? {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            read => Ok(read),
        }
    }
}

impl Write for Input {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn theirs(role: Role, bytes: &[u8]) -> (Vec<Message>, Outcome) {
    let config = WebSocketConfig::default()
        .max_message_size(Some(MAX_MESSAGE))
        .max_frame_size(Some(MAX_MESSAGE))
        .read_buffer_size(4096);
    let role = match role {
        Role::Server => TheirRole::Server,
        Role::Client => TheirRole::Client,
    };
    let mut socket = WebSocket::from_raw_socket(Input(io::Cursor::new(bytes.to_vec())), role, Some(config));
    let mut messages = Vec::new();
    loop {
        match socket.read() {
            Ok(message) => messages.push(translate(message)),
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                return (messages, Outcome::Open);
            }
            Err(_) => return (messages, Outcome::Refused),
        }
        if let Some(Message::Close(close)) = messages.last() {
            // So it reports a code that must not be sent: as a close of its own making.
            if matches!(close, Some(close) if close.code == 1002 && close.reason == "Protocol violation") {
                messages.pop();
                return (messages, Outcome::Refused);
            }
            return (messages, Outcome::Closed);
        }
    }
}

fn translate(message: tungstenite::Message) -> Message {
    match message {
        tungstenite::Message::Text(text) => Message::Text(text.as_str().into()),
        tungstenite::Message::Binary(bytes) => Message::Binary(bytes),
        tungstenite::Message::Ping(bytes) => Message::Ping(bytes),
        tungstenite::Message::Pong(bytes) => Message::Pong(bytes),
        tungstenite::Message::Close(close) => Message::Close(
            close.map(|close| CloseFrame { code: close.code.into(), reason: close.reason.as_str().into() }),
        ),
        tungstenite::Message::Frame(_) => unreachable!("not read as such"),
    }
}

/// Panics where the two differ without a reason.
fn compare(role: Role, bytes: &[u8]) {
    // It looks at a frame when all of it is there: so all of it comes, and then bytes that are refused, or empty
    // fragments.
    let bytes = [bytes, &vec![0; 2 * MAX_MESSAGE]].concat();
    let (our_messages, error) = decode_all(role, &bytes);
    let (their_messages, their_outcome) = theirs(role, &bytes);
    let our_outcome = match (error.map(|error| error.kind()), our_messages.last()) {
        // It takes a length in any of its forms.
        (Some(ErrorKind::LengthEncoding), _) => {
            assert_eq!(our_messages[..], their_messages[..our_messages.len()]);
            return;
        }
        (Some(_), _) => Outcome::Refused,
        // It doesn't know this code, which was registered later.
        (None, Some(Message::Close(Some(close)))) if close.code == 1014 => {
            assert_eq!(our_messages[..their_messages.len()], their_messages[..]);
            return;
        }
        (None, Some(Message::Close(_))) => Outcome::Closed,
        (None, _) => Outcome::Open,
    };
    assert_eq!((our_messages, our_outcome), (their_messages, their_outcome), "{error:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn of_valid_streams(stream in stream(Role::Server)) {
        compare(Role::Server, &stream.bytes());
    }

    #[test]
    fn of_valid_streams_at_a_client(stream in stream(Role::Client)) {
        compare(Role::Client, &stream.bytes());
    }

    #[test]
    fn of_mutated_streams(stream in stream(Role::Server), mutations in mutations()) {
        compare(Role::Server, &mutate(&stream, &mutations));
    }

    #[test]
    fn of_mutated_streams_at_a_client(stream in stream(Role::Client), mutations in mutations()) {
        compare(Role::Client, &mutate(&stream, &mutations));
    }

    #[test]
    fn of_close_frames(code: u16, reason: Vec<u8>, cut in 0..2_usize) {
        let mut payload = [&code.to_be_bytes(), &reason[..reason.len().min(60)]].concat();
        payload.truncate(payload.len() - cut);
        compare(Role::Client, &[&[0x88, payload.len() as u8], &payload[..]].concat());
    }
}

#[test]
fn of_every_pair_of_first_bytes() {
    for first in 0..=255_u8 {
        for second in 0..=255_u8 {
            for role in [Role::Server, Role::Client] {
                compare(role, &[first, second, 0, 200, 1, 2, 3, 4]);
            }
        }
    }
}
