//! A connection holds what has come of a message, never what is claimed, and nothing between messages.

use std::vec;

use proptest::{prelude::*, sample::Index};

use super::{
    super::{Decoder, Message, Opcode, Role, partial::Partial},
    MAX_MESSAGE, RawFrame, decode_pieces, std,
    stream::stream,
};

#[test]
fn a_decoder_is_small() {
    assert!(size_of::<Decoder>() <= 64, "{}", size_of::<Decoder>());
}

#[test]
fn a_claimed_length_reserves_little() {
    let mut decoder = Decoder::new(Role::Client, 1 << 40);
    let header = [0x82, 127, 0, 0, 0, 255, 0, 0, 0, 0];
    decode_pieces(&mut decoder, [&header[..], b"x"]);
    assert!(decoder.buffered_bytes() <= 2048, "{}", decoder.buffered_bytes());
}

#[test]
fn what_is_held_grows_with_what_came() {
    let payload = vec![5; 3_000_000];
    let frame = RawFrame::new(true, Opcode::Binary, Some([1, 2, 3, 4]), &payload).bytes();
    let mut decoder = Decoder::new(Role::Server, payload.len());
    let mut fed = 0;
    for piece in frame.chunks(1500) {
        let (messages, error) = decode_pieces(&mut decoder, [piece]);
        fed += piece.len();
        assert_eq!(error, None);
        assert!(decoder.buffered_bytes() <= 2 * fed + size_of::<Partial>());
        assert_eq!(messages.len(), usize::from(fed == frame.len()));
    }
    assert_eq!(decoder.buffered_bytes(), 0);
}

proptest! {
    #[test]
    fn what_is_held_is_bounded_by_what_came(stream in stream(Role::Server), end: Index) {
        let bytes = stream.bytes();
        let front = &bytes[..end.index(bytes.len() + 1)];
        let mut decoder = Decoder::new(Role::Server, MAX_MESSAGE);
        decode_pieces(&mut decoder, front.chunks(7));
        prop_assert!(decoder.buffered_bytes() <= size_of::<Partial>() + 1024 + 2 * front.len());
        decode_pieces(&mut decoder, bytes[front.len()..].chunks(7));
        prop_assert_eq!(decoder.buffered_bytes(), 0);
    }
}

#[test]
fn a_message_of_fragments_has_an_allocation_of_its_size() {
    let mut decoder = Decoder::new(Role::Client, MAX_MESSAGE);
    let first = RawFrame::new(false, Opcode::Binary, None, &[1; 300]).bytes();
    let last = RawFrame::new(true, Opcode::Continuation, None, &[2; 3]).bytes();
    let (messages, _) = decode_pieces(&mut decoder, [&first[..], &last]);
    let Some(Message::Binary(bytes)) = messages.into_iter().next() else { panic!("a binary message") };
    let bytes = bytes.try_into_mut().expect("the only reference");
    assert_eq!((bytes.len(), bytes.capacity()), (303, 303));
}
