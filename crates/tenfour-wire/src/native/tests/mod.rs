//! The codec against its vectors, against arbitrary frames, and against bytes that nobody should send.

extern crate std;

mod errors;
mod properties;
mod samples;
mod vectors;

use std::vec::Vec;

use bytes::{Bytes, BytesMut};
use bytestring::ByteString;

use super::*;
use crate::DecodeError;

/// A frame's bytes, its length among them.
fn bytes_of(frame: &Frame) -> Bytes {
    let mut out = BytesMut::new();
    encode(frame, &mut out);
    assert_eq!(out.len(), encoded_len(frame));
    out.freeze()
}

/// What comes out of a stream that arrives in these pieces.
fn decode_pieces<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
    limits: &Limits,
) -> (Vec<Frame>, Option<DecodeError>) {
    let mut decoder = Decoder::new(*limits);
    let mut frames = Vec::new();
    for piece in pieces {
        decoder.push(Bytes::copy_from_slice(piece));
        loop {
            match decoder.next() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => return (frames, Some(error)),
            }
        }
    }
    (frames, None)
}

/// The only frame in `bytes`, read as a stream and as a datagram.
fn decode_one(bytes: &[u8], limits: &Limits) -> Result<Frame, DecodeError> {
    let mut datagram = decode_datagram(Bytes::copy_from_slice(bytes), limits);
    let from_datagram = datagram.next().expect("there are bytes");
    let (mut frames, error) = decode_pieces([bytes], limits);
    match error {
        Some(error) => assert_eq!(from_datagram, Err(error)),
        None if frames.is_empty() => {
            assert_eq!(
                from_datagram.as_ref().map_err(DecodeError::kind),
                Err(crate::DecodeErrorKind::Truncated)
            );
        }
        None => {
            assert_eq!(frames.len(), 1);
            assert_eq!(from_datagram, Ok(frames.remove(0)));
        }
    }
    assert!(datagram.next().is_none());
    from_datagram
}
