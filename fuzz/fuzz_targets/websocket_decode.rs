//! Any bytes, in any pieces: the same messages and the same error, and no more memory held than came.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tenfour_wire::websocket::{Decoder, Error, Message, Role};

const MAX_MESSAGE: usize = 4096;
/// What a decoder may hold beyond twice what came.
const OVERHEAD: usize = 2048;

fn decode<'a>(role: Role, pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<Message>, Option<Error>) {
    let mut decoder = Decoder::new(role, MAX_MESSAGE);
    let mut messages = Vec::new();
    let mut fed = 0;
    for mut piece in pieces {
        fed += piece.len();
        loop {
            match decoder.decode(&mut piece) {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(error) => return (messages, Some(error)),
            }
        }
        assert!(piece.is_empty());
        assert!(decoder.buffered_bytes() <= 2 * fed + OVERHEAD);
    }
    (messages, None)
}

fuzz_target!(|input: (bool, u8, &[u8])| {
    let (from_client, size, bytes) = input;
    let role = if from_client { Role::Server } else { Role::Client };
    let whole = decode(role, std::iter::once(bytes));
    let pieces = bytes.chunks(usize::from(size).max(1));
    assert_eq!(decode(role, pieces), whole);
});
