extern crate std;

mod differential;
mod errors;
mod memory;
mod roundtrip;
mod stream;
mod wire;

use std::vec::Vec;

use super::{Decoder, Error, Message, Opcode, Role};

const MAX_MESSAGE: usize = 1000;

/// All that a decoder makes of bytes that arrive in `pieces`: the messages, and the error that ended them.
fn decode_pieces<'a>(
    decoder: &mut Decoder,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<Message>, Option<Error>) {
    let mut messages = Vec::new();
    for mut piece in pieces {
        loop {
            match decoder.decode(&mut piece) {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(error) => return (messages, Some(error)),
            }
        }
        assert!(piece.is_empty(), "Ok(None) means that all was consumed");
    }
    (messages, None)
}

fn decode_all(role: Role, bytes: &[u8]) -> (Vec<Message>, Option<Error>) {
    decode_pieces(&mut Decoder::new(role, MAX_MESSAGE), [bytes])
}

/// A frame byte by byte as RFC 6455 §5.2 draws it, written without the code under test. The length is in `width`
/// bytes, so that one can also write what must not be written.
#[derive(Clone, Debug)]
struct RawFrame {
    first: u8,
    mask: Option<[u8; 4]>,
    payload: Vec<u8>,
    width: usize,
}

impl RawFrame {
    fn new(is_last: bool, opcode: Opcode, mask: Option<[u8; 4]>, payload: &[u8]) -> Self {
        let width = match payload.len() {
            0..=125 => 0,
            126..=65_535 => 2,
            _ => 8,
        };
        Self { first: u8::from(is_last) << 7 | opcode as u8, mask, payload: payload.to_vec(), width }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = std::vec![self.first];
        let len = self.payload.len() as u64;
        let masked = u8::from(self.mask.is_some()) << 7;
        match self.width {
            0 => bytes.push(masked | len as u8),
            2 => bytes.push(masked | 126),
            _ => bytes.push(masked | 127),
        }
        bytes.extend_from_slice(&len.to_be_bytes()[8 - self.width..]);
        let mask = self.mask.unwrap_or([0; 4]);
        if self.mask.is_some() {
            bytes.extend_from_slice(&mask);
        }
        bytes.extend(self.payload.iter().enumerate().map(|(index, byte)| byte ^ mask[index % 4]));
        bytes
    }
}
