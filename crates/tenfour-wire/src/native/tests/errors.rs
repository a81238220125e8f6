//! What is refused, for which reason, and that nothing else happens.

use std::{string::String, vec, vec::Vec};

use bytes::Bytes;

use super::{super::write::Sink, samples, vectors::from_hex, *};
use crate::DecodeErrorKind::{self, *};

/// All that a frame can have wrong.
pub(super) const KINDS: &[DecodeErrorKind] = &[
    Empty,
    PacketType,
    TooLarge,
    TooManyAttachments,
    Json,
    Depth,
    LoneSurrogate,
    Placeholder,
    Utf8,
    Magic,
    Truncated,
    Trailing,
    Varint,
    Flags,
    Value,
    TooLong,
    TooMany,
];

/// A frame that is refused by the default limits.
pub(super) struct Refused {
    pub(super) title: &'static str,
    /// In hexadecimal, a group for each field.
    pub(super) bytes: String,
    pub(super) kind: DecodeErrorKind,
    pub(super) offset: usize,
}

pub(super) fn refused() -> Vec<Refused> {
    let framing = FRAMING.iter().map(|&(title, bytes, kind, offset)| Refused {
        title,
        bytes: bytes.into(),
        kind,
        offset,
    });
    let content = CONTENT.iter().map(|&(title, content, kind, offset)| framed(title, content, kind, offset));
    let nested = std::format!("50 02 {}", "5b".repeat(128));
    framing
        .chain(content)
        .chain([framed("EMIT of JSON nested 129 deep, its own array included", &nested, Depth, 4 + 127)])
        .collect()
}

fn framed(title: &'static str, content: &str, kind: DecodeErrorKind, offset: usize) -> Refused {
    let mut length = BytesMut::new();
    length.put_varint(from_hex(content).len() as u64);
    let length: String = length.iter().map(|byte| std::format!("{byte:02x}")).collect();
    Refused { title, bytes: std::format!("{length} {content}"), kind, offset }
}

/// What, its bytes, why it is refused, and at which byte.
const FRAMING: &[(&str, &str, DecodeErrorKind, usize)] = &[
    ("a length of zero", "00", Empty, 0),
    ("a length in two bytes where one does", "8200 3809", Varint, 0),
    ("a length of eleven bytes", "8080808080808080808001", Varint, 0),
    ("a length of more than 64 bits", "80808080808080808002", Varint, 0),
    ("a length beyond the limit, whatever follows", "818040", TooLarge, 0),
];

/// What, its content behind a length of one byte, why it is refused, and at which byte of the whole.
const CONTENT: &[(&str, &str, DecodeErrorKind, usize)] = &[
    ("a kind that is not assigned", "00", PacketType, 1),
    ("a reliable kind that is not assigned", "f8", PacketType, 1),
    ("an extension that must be understood", "78 e907", PacketType, 2),
    ("PONG with a flag", "39 09", Flags, 1),
    (
        "WELCOME that is exact and rebased",
        "16 01 00 808040 000000000000000000000000000000000000000000000000000000000000 01 07 00 00 00",
        Flags,
        1,
    ),
    ("EMIT to a number and a name", "56 03 01", Flags, 1),
    ("SUBSCRIBE with two starts", "a6 01 01 61", Flags, 1),
    ("PUBLISHED that is refused and a duplicate", "ce 15 00 00 00", Flags, 1),
    ("PONG that ends before its nonce", "38", Truncated, 2),
    ("PONG whose nonce ends early", "38 80", Truncated, 3),
    ("PONG with a byte too many", "38 09 00", Trailing, 3),
    ("PONG whose nonce is too long", "38 8900", Varint, 2),
    ("PONG whose nonce exceeds 64 bits", "38 ffffffffffffffffff02", Varint, 2),
    ("HELLO of something else", "08 31302d35", Magic, 2),
    ("HELLO whose highest version is below its lowest", "08 31302d34 02 01", Value, 7),
    ("HELLO with credentials beyond the limit", "08 31302d34 01 01 00 808040 01 2f 8140 00", TooLong, 14),
    (
        "HELLO whose fields are not in order",
        "08 31302d34 01 01 00 808040 01 2f 00 00 00 02 00 02 00",
        Value,
        19,
    ),
    (
        "WELCOME with seventeen fields",
        "10 01 00 808040 000000000000000000000000000000000000000000000000000000000000 01 07 00 00 00 00 0100 0200 0300 0400 0500 0600 0700 0800 0900 0a00 0b00 0c00 0d00 0e00 0f00 1000 1100",
        TooMany,
        75,
    ),
    ("REJECT that is to be retried after 2³² ms", "18 02 818080801000", Value, 3),
    ("CLOSE with a code of more than 32 bits", "20 8080808010 00", Value, 2),
    ("CLOSE with a reason beyond the limit", "20 40 8108", TooLong, 3),
    ("CLOSE with a reason that is not UTF-8", "20 40 02 61ff", Utf8, 5),
    ("ACK with no range where ranges are", "42 05 00", Value, 3),
    ("ACK with 33 ranges", "42 05 21", TooMany, 3),
    ("ACK with fewer ranges than it says", "42 05 02 00 00", Truncated, 6),
    ("ACK of more numbers than there are", "42 05 01 ffffffffffffffffff01 00", Value, 4),
    ("ACK whose gap ends beyond the last number", "42 05 01 fcffffffffffffffff01 00", Value, 4),
    (
        "ACK whose second range ends beyond the last number",
        "42 05 02 00 00 00 f9ffffffffffffffff01",
        Value,
        6,
    ),
    ("ACK with 65 processed positions", "44 05 41", TooMany, 3),
    ("ACK of a channel of more than 32 bits", "44 05 01 8080808010 01", Value, 4),
    ("PING with 65 heads", "32 01 05 41", TooMany, 4),
    ("SUBSCRIBE to a name beyond the limit", "a0 01 8002", TooLong, 3),
    ("SUBSCRIBED with a decision that is not assigned", "a8 01 03 07 0c 34 03", Value, 7),
    ("LOST through a place beyond 64 bits", "88 03 00 0c ffffffffffffffffff01 00 01", Value, 5),
    ("DELIVER that writes an advance of 1", "84 03 01 00 61", Value, 3),
    ("DELIVER of a place beyond 64 bits", "82 03 ffffffffffffffffff01 00 61", Value, 13),
    ("DELIVER without a message", "80 03", Truncated, 3),
    ("DELIVER with a name beyond the limit", "80 03 8408", TooLong, 3),
    ("DELIVER with a name that is not UTF-8", "80 03 08 ff", Utf8, 4),
    ("DELIVER of text that is not UTF-8", "80 03 00 c328", Utf8, 4),
    ("DELIVER of JSON that is none", "80 03 02 5b312c", Json, 7),
    ("DELIVER of JSON with whitespace before it", "80 03 02 2031", Json, 4),
    ("DELIVER of JSON with whitespace behind it", "80 03 02 3120", Json, 5),
    ("DELIVER of JSON that is whitespace", "80 03 02 20", Json, 4),
    ("DELIVER of half a surrogate pair", "80 03 02 225c756438303022", LoneSurrogate, 5),
    (
        "DELIVER of a placeholder for no attachment",
        "80 03 02 7b225f706c616365686f6c646572223a747275652c226e756d223a307d207d",
        Placeholder,
        5,
    ),
    ("DELIVER with eleven attachments", "80 03 03 0b", TooManyAttachments, 4),
    ("DELIVER with no attachment where attachments are", "80 03 03 00", Value, 4),
    ("DELIVER with an attachment that ends early", "80 03 03 01 02 61", Truncated, 7),
    ("PUBLISH with options that are none", "c4 00 01 61 00", Value, 2),
    ("PUBLISH with an option that is not assigned", "c4 04 01 61 00", Value, 2),
    ("PUBLISH with the next number and one written out", "c6 01 01 61 00", Value, 2),
    ("PUBLISHED: refused, with a detail that the reason has not", "ca 15 00 01 00", Value, 3),
    ("REPLY with an error beyond the limit", "da 05 8108", TooLong, 3),
];

#[test]
fn each_is_refused_for_its_reason_and_stays_so() {
    for Refused { title, bytes, kind, offset } in refused() {
        let bytes = from_hex(&bytes);
        let error = decode_one(&bytes, &Limits::default()).expect_err(title);
        assert_eq!((error.kind(), error.offset()), (kind, offset), "{title}");

        let mut decoder = Decoder::new(Limits::default());
        decoder.push(bytes.into());
        assert_eq!(decoder.next(), Err(error), "{title}");
        decoder.push(bytes_of(&Frame::Pong(Pong::default())));
        assert_eq!(decoder.next(), Err(error), "{title}: nothing is read after an error");
        assert_eq!(decoder.buffered_bytes(), 0);
    }
}

fn deep(levels: usize) -> Frame {
    let args: String = [vec!["["; levels], vec!["]"; levels]].concat().concat();
    let message = Message { name: None, body: Body::Json { args: args.into(), attachments: vec![] } };
    Frame::Emit(Emit { number: None, target: Target::Peer, message })
}

#[test]
fn json_is_as_deep_as_allowed_its_own_array_included() {
    assert!(decode_one(&bytes_of(&deep(127)), &Limits::default()).is_ok());
    let error = decode_one(&bytes_of(&deep(128)), &Limits::default()).expect_err("too deep");
    assert_eq!((error.kind(), error.offset()), (Depth, 4 + 127));
}

/// Each limit: a setting of it, a frame that just fits, and one that does not.
#[test]
fn each_limit_is_where_it_says() {
    let default = Limits::default();
    let text = |len: usize| String::from_utf8(vec![b'x'; len]).unwrap_or_default();
    let emit = |name: usize, body: usize| {
        let message = Message { name: Some(text(name).into()), body: Body::Text(text(body).into()) };
        Frame::Emit(Emit { number: None, target: Target::Peer, message })
    };
    let close = |len: usize| Frame::Close(Close { code: CloseCode::Normal, reason: text(len).into() });
    let channel = |len: usize| {
        let body =
            Reliable::Subscribe(Subscribe { request: 1, channel: text(len).into(), start: Start::Live });
        Frame::Reliable { sequence: None, body }
    };
    let ranges =
        |len: usize| Frame::Ack(Ack { ranges: vec![AckRange { gap: 1, len: 1 }; len], ..Ack::default() });
    let places = |len: usize| vec![ChannelOffset { channel: 1, offset: 1 }; len];
    let processed = |len: usize| Frame::Ack(Ack { processed: places(len), ..Ack::default() });
    let heads = |len: usize| Frame::Ping(Ping { heads: places(len), ..Ping::default() });
    let attachments = |len: usize| {
        let body = Body::Json { args: "1".into(), attachments: vec![Bytes::new(); len] };
        Frame::Emit(Emit { number: None, target: Target::Peer, message: Message { name: None, body } })
    };
    let cases: [(Limits, Frame, Frame, DecodeErrorKind); 8] = [
        (Limits { frame_bytes: 10, ..default }, emit(2, 6), emit(2, 7), TooLarge),
        (Limits { name_bytes: 3, ..default }, emit(3, 0), emit(4, 0), TooLong),
        (Limits { text_bytes: 3, ..default }, close(3), close(4), TooLong),
        (Limits { channel_bytes: 3, ..default }, channel(3), channel(4), TooLong),
        (Limits { ack_ranges: 3, ..default }, ranges(3), ranges(4), TooMany),
        (Limits { processed: 3, ..default }, processed(3), processed(4), TooMany),
        (Limits { heads: 3, ..default }, heads(3), heads(4), TooMany),
        (Limits { attachments: 3, ..default }, attachments(3), attachments(4), TooManyAttachments),
    ];
    for (limits, fits, exceeds, kind) in cases {
        assert_eq!(decode_one(&bytes_of(&fits), &limits), Ok(fits));
        assert_eq!(decode_one(&bytes_of(&exceeds), &limits).map_err(|error| error.kind()), Err(kind));
        assert!(decode_one(&bytes_of(&exceeds), &default).is_ok(), "only this limit refuses it");
    }
    assert!(CloseCode::from(TooMany).is_final());
}

#[test]
fn a_length_is_refused_before_what_it_announces_comes() {
    let mut decoder = Decoder::new(Limits::default());
    decoder.push(Bytes::from_static(&[0x80, 0x80, 0x40]));
    assert_eq!(decoder.next(), Ok(None), "1 MiB is allowed");
    assert!(decoder.buffered_bytes() < 64, "and nothing is reserved for it");
    let mut decoder = Decoder::new(Limits::default());
    decoder.push(Bytes::from_static(&[0x81, 0x80, 0x40]));
    assert_eq!(decoder.next().map_err(|error| error.kind()), Err(TooLarge));
}

#[test]
fn what_is_held_of_a_frame_grows_with_what_came() {
    let body = Body::Binary(vec![7; 1_000_000].into());
    let frame =
        Frame::Emit(Emit { number: None, target: Target::Peer, message: Message { name: None, body } });
    let bytes = bytes_of(&frame);
    let mut decoder = Decoder::new(Limits::default());
    let mut fed = 0;
    for piece in bytes.chunks(1500) {
        decoder.push(Bytes::copy_from_slice(piece));
        fed += piece.len();
        let decoded = decoder.next().expect("the frame is valid");
        assert_eq!(decoded.is_some(), fed == bytes.len());
        assert!(decoder.buffered_bytes() <= 2 * fed + 1024, "{} after {fed}", decoder.buffered_bytes());
    }
    assert_eq!(decoder.buffered_bytes(), 0);
}

#[test]
fn every_close_code_is_its_number_and_says_whether_to_come_back() {
    let mut numbers = Vec::new();
    for &code in CloseCode::ALL {
        assert_eq!(CloseCode::from_number(code.number()), code);
        assert_eq!(code.is_final(), code.number() >= 64);
        numbers.push(code.number());
    }
    assert!(numbers.is_sorted_by(|a, b| a < b));
    assert_eq!(CloseCode::from_number(63), CloseCode::Unknown(63));
}

#[test]
fn a_token_is_never_printed_whole() {
    let token = Token(*b"fifteen id bytefifteen secrets");
    let printed = std::format!("{token:?}");
    assert!(printed.contains("66696674"), "{printed}");
    assert!(!printed.contains("73656372"), "{printed}");
}

#[test]
fn one_flipped_bit_panics_nowhere_and_what_is_read_has_one_form() {
    for (_, frame) in samples::all() {
        let bytes = bytes_of(&frame);
        for bit in 0..bytes.len() * 8 {
            let mut bytes = bytes.to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let (frames, _) = decode_pieces([&bytes[..]], &Limits::default());
            let again: Vec<u8> = frames.iter().flat_map(bytes_of).collect();
            assert_eq!(again, bytes[..again.len()], "bit {bit}");
        }
    }
}
