//! The bytes of RFC 6455's own examples (§1.3, §5.7), and those at the edges of the length's three forms.

use std::{vec, vec::Vec};

use bytes::BytesMut;

use super::{
    super::{Decoder, Message, Opcode, Role, accept_key, encode_masked, header},
    decode_all, decode_pieces, std,
};

#[test]
fn the_handshakes_example() {
    assert_eq!(&accept_key(b"dGhlIHNhbXBsZSBub25jZQ=="), b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

#[test]
fn an_unmasked_text() {
    let bytes = *b"\x81\x05Hello";
    assert_eq!(decode_all(Role::Client, &bytes), (vec![Message::Text("Hello".into())], None));
    assert_eq!([&header(Opcode::Text, 5)[..], b"Hello"].concat(), bytes);
}

#[test]
fn a_masked_text() {
    let bytes = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
    assert_eq!(decode_all(Role::Server, &bytes), (vec![Message::Text("Hello".into())], None));
    let mut encoded = BytesMut::new();
    encode_masked(Opcode::Text, b"Hello", [0x37, 0xfa, 0x21, 0x3d], &mut encoded);
    assert_eq!(&encoded[..], bytes);
}

#[test]
fn a_fragmented_text() {
    let bytes = *b"\x01\x03Hel\x80\x02lo";
    assert_eq!(decode_all(Role::Client, &bytes), (vec![Message::Text("Hello".into())], None));
}

#[test]
fn a_ping_and_its_pong() {
    let ping = *b"\x89\x05Hello";
    assert_eq!(decode_all(Role::Client, &ping), (vec![Message::Ping("Hello".into())], None));
    let pong = [0x8a, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
    assert_eq!(decode_all(Role::Server, &pong), (vec![Message::Pong("Hello".into())], None));
}

#[test]
fn lengths_at_the_edges_of_their_forms() {
    let cases: [(usize, Vec<u8>); 8] = [
        (0, vec![0x82, 0]),
        (1, vec![0x82, 1]),
        (125, vec![0x82, 125]),
        (126, vec![0x82, 126, 0, 126]),
        (256, vec![0x82, 126, 1, 0]),
        (65_535, vec![0x82, 126, 255, 255]),
        (65_536, vec![0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        (1_000_000, vec![0x82, 127, 0, 0, 0, 0, 0, 0x0f, 0x42, 0x40]),
    ];
    for (len, expected) in cases {
        assert_eq!(header(Opcode::Binary, len)[..], expected);
        let payload: Vec<u8> = (0..len).map(|index| index as u8).collect();
        let frame = [expected, payload.clone()].concat();
        let mut decoder = Decoder::new(Role::Client, 1_000_000);
        assert_eq!(decode_pieces(&mut decoder, [&frame[..]]), (vec![Message::Binary(payload.into())], None));
    }
}
