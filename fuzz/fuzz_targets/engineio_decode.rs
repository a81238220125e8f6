//! A long-polling payload: what is accepted is encoded as a payload of the same packets.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tenfour_wire::{
    BytesMut, Limits,
    engineio::{Packet, PayloadEncoder, ReceivedHandshake, decode_payload},
};

fuzz_target!(|body: &str| {
    let limits = Limits { packets_per_payload: 64, ..Limits::default() };
    let Ok(payload) = decode_payload(body.into(), &limits) else { return };
    let mut packets = Vec::new();
    for packet in payload {
        match packet {
            Ok(packet) => packets.push(packet),
            Err(error) => return assert!(error.offset() <= body.len()),
        }
    }
    assert!(packets.len() <= 64);
    let mut again = BytesMut::new();
    let mut encoder = PayloadEncoder::new(&mut again);
    for packet in &packets {
        if let Packet::Open(data) = packet {
            let _ = ReceivedHandshake::decode(data);
        }
        encoder.push(packet);
    }
    let text = again.try_into().expect("a payload is text");
    let decoded = decode_payload(text, &Limits::default()).expect("a payload is within the limits");
    assert!(decoded.map(|packet| packet.expect("a packet is decoded")).eq(packets));
});
