//! Each way to break the protocol, told by its kind at its frame, with the code to close with.

use std::{vec, vec::Vec};

use proptest::prelude::*;

use super::{
    super::{Decoder, ErrorKind, Message, Opcode, Role},
    MAX_MESSAGE, RawFrame, decode_all, decode_pieces, std,
};

const MASK: Option<[u8; 4]> = Some([7, 0, 255, 129]);

fn text(payload: &[u8]) -> Vec<u8> {
    RawFrame::new(true, Opcode::Text, MASK, payload).bytes()
}

fn part(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    RawFrame::new(false, opcode, MASK, payload).bytes()
}

fn end(payload: &[u8]) -> Vec<u8> {
    RawFrame::new(true, Opcode::Continuation, MASK, payload).bytes()
}

fn close(payload: &[u8]) -> Vec<u8> {
    RawFrame::new(true, Opcode::Close, MASK, payload).bytes()
}

#[track_caller]
fn check(kind: ErrorKind, close_code: u16, frames: &[Vec<u8>]) {
    let (at_fault, before) = frames.split_last().expect("a frame at fault");
    let good = text(b"first");
    let offset = good.len() + before.concat().len();
    let bytes = [good, before.concat(), at_fault.clone()].concat();
    let (messages, error) = decode_all(Role::Server, &bytes);
    let error = error.expect("an error");
    assert_eq!((error.kind(), error.close_code(), error.offset()), (kind, close_code, offset as u64));
    assert_eq!(messages, [Message::Text("first".into())]);
}

#[test]
fn a_message_beyond_the_limit() {
    check(ErrorKind::Oversized, 1009, &[text(&[b'a'; MAX_MESSAGE + 1])]);
    check(ErrorKind::Oversized, 1009, &[part(Opcode::Binary, &[1; MAX_MESSAGE]), end(&[1])]);
    // The header alone decides, and what it claims is never reserved.
    check(
        ErrorKind::Oversized,
        1009,
        &[vec![0x82, 0xff, 0x7f, 255, 255, 255, 255, 255, 255, 255, 1, 2, 3, 4]],
    );
}

#[test]
fn a_message_at_the_limit() {
    let whole = text(&[b'a'; MAX_MESSAGE]);
    let parts = [part(Opcode::Text, &[b'a'; MAX_MESSAGE]), end(b"")].concat();
    for bytes in [whole, parts] {
        assert_eq!(
            decode_all(Role::Server, &bytes),
            (vec![Message::Text("a".repeat(MAX_MESSAGE).into())], None)
        );
    }
}

#[test]
fn masks_in_the_wrong_direction() {
    check(ErrorKind::Masking, 1002, &[RawFrame::new(true, Opcode::Text, None, b"x").bytes()]);
    let (_, error) = decode_all(Role::Client, &text(b"x"));
    assert_eq!(error.map(|error| error.kind()), Some(ErrorKind::Masking));
}

#[test]
fn reserved_bits() {
    for bit in [0x40, 0x20, 0x10] {
        check(ErrorKind::ReservedBits, 1002, &[vec![0x81 | bit]]);
    }
}

#[test]
fn reserved_opcodes() {
    for opcode in (3..8).chain(11..16) {
        check(ErrorKind::Opcode, 1002, &[vec![0x80 | opcode]]);
    }
}

#[test]
fn lengths_that_are_not_the_shortest() {
    for (len, width) in [(0, 2), (125, 2), (0, 8), (126, 8), (65_535, 8)] {
        let payload = vec![b'a'; len];
        let frame = RawFrame { width, ..RawFrame::new(true, Opcode::Text, MASK, &payload) };
        check(ErrorKind::LengthEncoding, 1002, &[frame.bytes()]);
    }
    for highest in [0x80, 0xff] {
        check(ErrorKind::LengthEncoding, 1002, &[vec![0x81, 0xff, highest, 0, 0, 0, 0, 0, 0, 0]]);
    }
}

#[test]
fn control_frames_out_of_their_bounds() {
    for opcode in [Opcode::Close, Opcode::Ping, Opcode::Pong] {
        let long = RawFrame::new(true, opcode, MASK, &[b'a'; 126]);
        check(ErrorKind::ControlTooLong, 1002, &[long.bytes()]);
        check(ErrorKind::FragmentedControl, 1002, &[part(opcode, b"x")]);
        check(ErrorKind::FragmentedControl, 1002, &[part(Opcode::Text, b"x"), part(opcode, b"")]);
    }
}

#[test]
fn fragments_out_of_order() {
    check(ErrorKind::UnexpectedContinuation, 1002, &[end(b"x")]);
    check(ErrorKind::UnexpectedContinuation, 1002, &[part(Opcode::Continuation, b"x")]);
    for opcode in [Opcode::Text, Opcode::Binary] {
        check(ErrorKind::ExpectedContinuation, 1002, &[part(opcode, b"x"), text(b"y")]);
        check(ErrorKind::ExpectedContinuation, 1002, &[part(opcode, b""), part(opcode, b"y")]);
    }
}

#[test]
fn text_that_is_not_utf8() {
    for bad in [&b"\xff"[..], b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82"] {
        check(ErrorKind::Utf8, 1007, &[text(bad)]);
        check(ErrorKind::Utf8, 1007, &[part(Opcode::Text, b"ok"), end(bad)]);
        check(ErrorKind::Utf8, 1007, &[close(&[b"\x03\xe8", bad].concat())]);
    }
    // A character may be cut between fragments, but what cannot become one is refused in its own frame.
    check(ErrorKind::Utf8, 1007, &[part(Opcode::Text, b"\xe2\x82"), end(b"x")]);
    check(ErrorKind::Utf8, 1007, &[part(Opcode::Text, b"\xed\xa0")]);
}

#[test]
fn text_that_cannot_become_utf8_is_refused_before_the_frame_ends() {
    let frame = text(b"aaaa\xffaaaaaaaa");
    let mut decoder = Decoder::new(Role::Server, MAX_MESSAGE);
    let (_, error) = decode_pieces(&mut decoder, [&frame[..frame.len() - 6]]);
    assert_eq!(error.map(|error| error.kind()), Some(ErrorKind::Utf8));
}

#[test]
fn close_frames_that_must_not_be() {
    check(ErrorKind::CloseCode, 1002, &[close(&[3])]);
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_535_u16] {
        check(ErrorKind::CloseCode, 1002, &[close(&code.to_be_bytes())]);
    }
}

#[test]
fn close_frames_that_may_be() {
    let (messages, error) = decode_all(Role::Server, &close(b""));
    assert_eq!((messages, error), (vec![Message::Close(None)], None));
    for code in (1000..=1003).chain(1007..=1014).chain([3000, 3999, 4000, 4999_u16]) {
        let (messages, error) =
            decode_all(Role::Server, &close(&[&code.to_be_bytes(), &b"why"[..]].concat()));
        assert!(
            matches!(&messages[..], [Message::Close(Some(close))] if close.code == code && close.reason == "why"),
            "{code}: {messages:?}, {error:?}"
        );
    }
}

#[test]
fn a_flood_of_fragments() {
    let flood = |fragments: usize| {
        let mut frames = vec![part(Opcode::Text, b"a")];
        frames.extend((1..fragments).map(|_| part(Opcode::Continuation, b"")));
        frames.push(end(b"b"));
        frames
    };
    let limited = |frames: &[Vec<u8>]| {
        let mut decoder = Decoder::new(Role::Server, MAX_MESSAGE).with_max_fragments(9);
        decode_pieces(&mut decoder, frames.iter().map(Vec::as_slice))
    };
    assert_eq!(limited(&flood(8)), (vec![Message::Text("ab".into())], None));
    let (messages, error) = limited(&flood(9));
    assert!(messages.is_empty());
    assert_eq!(
        error.map(|error| (error.kind(), error.close_code())),
        Some((ErrorKind::TooManyFragments, 1009))
    );

    let (messages, error) = decode_all(Role::Server, &flood(5000).concat());
    assert_eq!((messages.len(), error.map(|error| error.kind())), (0, Some(ErrorKind::TooManyFragments)));
}

#[test]
fn an_error_stays() {
    let mut decoder = Decoder::new(Role::Server, MAX_MESSAGE);
    let (_, first) = decode_pieces(&mut decoder, [&[0x83][..]]);
    let (messages, second) = decode_pieces(&mut decoder, [&text(b"too late")[..]]);
    assert_eq!((messages.len(), second), (0, first));
}

#[test]
fn nothing_is_read_after_a_close() {
    let bytes = [close(b"\x03\xe8"), text(b"late"), vec![0xff; 50]].concat();
    let (messages, error) = decode_all(Role::Server, &bytes);
    assert!(matches!(&messages[..], [Message::Close(Some(_))]), "{messages:?}");
    assert_eq!(error, None);
}

#[test]
fn an_error_says_what_and_where_and_how_to_close() {
    let (_, error) = decode_all(Role::Server, &[text(b""), vec![0x83]].concat());
    assert_eq!(
        std::string::ToString::to_string(&error.expect("an error")),
        "the opcode is a reserved one (in the frame at byte 6 of the connection); close it with code 1002"
    );
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes: Vec<u8>, client: bool) {
        let role = if client { Role::Client } else { Role::Server };
        decode_all(role, &bytes);
    }
}
