//! What socket.io-msgpack-parser 3.0.2 (notepack.io) writes and what must be refused.
//!
//! Made with Node: `notepack.encode(packet)` of each packet, the text as `socket.io-parser` writes the same packet.

use bytes::{Bytes, BytesMut};
use serde::Deserialize;
use tenfour_wire::{
    Limits,
    socketio::{Decoder, Packet, msgpack},
};

#[derive(Deserialize)]
struct Vector {
    name: String,
    direction: String,
    hex: String,
    #[serde(default)]
    text: String,
    #[serde(default)]
    attachments: Vec<String>,
    #[serde(default)]
    kind: String,
}

fn vectors(direction: &str) -> Vec<Vector> {
    let all: Vec<Vector> = serde_json::from_str(include_str!("msgpack-vectors.json")).unwrap();
    let vectors: Vec<_> = all.into_iter().filter(|vector| vector.direction == direction).collect();
    assert!(!vectors.is_empty());
    vectors
}

fn from_hex(hex: &str) -> Bytes {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

/// The packet as the default parser receives it.
fn packet(vector: &Vector) -> Packet {
    let mut decoder = Decoder::new(Limits::default());
    let mut packet = decoder.decode_text(vector.text.as_str().into()).unwrap();
    for attachment in &vector.attachments {
        packet = decoder.decode_binary(from_hex(attachment)).unwrap();
    }
    packet.unwrap()
}

#[test]
fn packets_are_written_as_by_notepack() {
    for vector in vectors("both") {
        let mut out = BytesMut::new();
        msgpack::encode(&packet(&vector), &mut out);
        assert_eq!(out.freeze(), from_hex(&vector.hex), "{}", vector.name);
    }
}

#[test]
fn packets_are_read_as_by_notepack() {
    for vector in vectors("both").into_iter().chain(vectors("read")) {
        let decoded = msgpack::decode(from_hex(&vector.hex), &Limits::default());
        assert_eq!(decoded, Ok(packet(&vector)), "{}", vector.name);
    }
}

#[test]
fn packets_are_refused_for_their_own_reason() {
    for vector in vectors("refuse") {
        let error = msgpack::decode(from_hex(&vector.hex), &Limits::default()).unwrap_err();
        assert_eq!(format!("{:?}", error.kind()), vector.kind, "{}", vector.name);
    }
}

#[test]
fn every_truncation_is_refused_and_every_damaged_byte_is_read_or_refused() {
    for vector in vectors("both").into_iter().chain(vectors("read")) {
        let message = from_hex(&vector.hex);
        for len in 0..message.len() {
            let error = msgpack::decode(message.slice(..len), &Limits::default()).unwrap_err();
            assert!(error.offset() <= len);
        }
        for at in 0..message.len().min(100) {
            for byte in 0..=u8::MAX {
                let mut damaged = message.to_vec();
                damaged[at] = byte;
                let _ = msgpack::decode(damaged.into(), &Limits::default());
            }
        }
    }
}

#[test]
fn the_text_is_at_most_seven_times_the_message() {
    let values = [
        ("undefined", &[0xd4, 0, 0][..]),
        ("control character", &[0xa1, 1]),
        ("false", &[0xc2]),
        ("key", &[0x81, 0, 0xc2]),
    ];
    for (name, value) in values {
        let count = 60_000_u16;
        let mut message = b"\x83\xa4type\x02\xa3nsp\xa1/\xa4data\x92\xa1a\xdc".to_vec();
        message.extend(count.to_be_bytes());
        message.extend(value.repeat(count.into()));
        let len = message.len();
        let Packet::Event { args, .. } = msgpack::decode(message.into(), &Limits::default()).unwrap() else {
            panic!("{name} is in an event")
        };
        assert!(args.byte_len() <= 7 * len, "{name}: {} of {len}", args.byte_len());
    }
    let limits = Limits { payload_bytes: 10, ..Limits::default() };
    assert!(msgpack::decode(vec![0; 11].into(), &limits).is_err());
}
