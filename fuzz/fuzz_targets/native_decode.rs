//! Any bytes, in any pieces, as a stream and as a datagram: the same frames and the same error, no more memory held than
//! came, and what is accepted has one form.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tenfour_wire::{
    Bytes, BytesMut, DecodeError, DecodeErrorKind,
    native::{Decoder, Frame, Limits, Pieces, decode_datagram, encode, encoded_len},
};

/// What a decoder may hold beyond twice what came.
const OVERHEAD: usize = 2048;

fn limits() -> Limits {
    Limits { frame_bytes: 4096, channel_bytes: 40, name_bytes: 40, attachments: 3, ..Limits::default() }
}

fn decode<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<Frame>, Option<DecodeError>) {
    let mut decoder = Decoder::new(limits());
    let mut frames = Vec::new();
    let mut fed = 0;
    for piece in pieces {
        fed += piece.len();
        decoder.push(Bytes::copy_from_slice(piece));
        loop {
            match decoder.next() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => return (frames, Some(error)),
            }
        }
        assert!(decoder.buffered_bytes() <= 2 * fed + OVERHEAD);
    }
    (frames, None)
}

fuzz_target!(|input: (u8, &[u8])| {
    let (size, bytes) = input;
    let (frames, error) = decode(std::iter::once(bytes));
    assert_eq!(decode(bytes.chunks(usize::from(size).max(1))), (frames.clone(), error));

    let mut again = BytesMut::new();
    let mut pieces = Pieces::new(16);
    for frame in &frames {
        let start = again.len();
        encode(frame, &mut again);
        assert_eq!(again.len() - start, encoded_len(frame));
        pieces.push(frame);
    }
    assert_eq!(again, bytes[..again.len()]);
    let joined: Vec<u8> = std::iter::from_fn(|| pieces.pop()).flatten().collect();
    assert_eq!(again, joined[..]);

    let (in_datagram, failed): (Vec<_>, Vec<_>) =
        decode_datagram(Bytes::copy_from_slice(bytes), &limits()).partition(Result::is_ok);
    assert_eq!(in_datagram.into_iter().collect::<Result<Vec<_>, _>>().as_ref(), Ok(&frames));
    match (error, &failed[..]) {
        (Some(error), [Err(failed)]) => {
            assert_eq!((failed.kind(), failed.offset()), (error.kind(), again.len() + error.offset()));
        }
        (None, [Err(failed)]) => assert_eq!(failed.kind(), DecodeErrorKind::Truncated),
        (None, []) => assert_eq!(again.len(), bytes.len()),
        other => panic!("{other:?}"),
    }
});
