//! Messages of one connection: the first byte of each line tells text from binary. What is accepted survives its own
//! encoding, and its arguments can be read.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tenfour_wire::{
    Bytes, BytesMut, Limits,
    socketio::{Decoder, Packet},
};

fuzz_target!(|messages: &str| {
    let mut decoder = Decoder::new(Limits::default());
    for message in messages.split('\n') {
        let decoded = match message.strip_prefix('b') {
            Some(data) => decoder.decode_binary(Bytes::copy_from_slice(data.as_bytes())),
            None => decoder.decode_text(message.into()),
        };
        match decoded {
            Ok(Some(packet)) => check(&packet),
            Ok(None) => assert!(!decoder.is_pending() || decoder.pending_bytes() > 0),
            Err(error) => assert!(error.offset() <= message.len()),
        }
    }
});

fn check(packet: &Packet) {
    if let Packet::Event { args, .. } | Packet::Ack { args, .. } = packet {
        assert_eq!(args.iter().count(), args.len());
        for index in 0..args.len() {
            let _ = args.deserialize::<serde_json::Value>(index);
        }
    }
    let mut text = BytesMut::new();
    packet.encode(&mut text);
    let mut decoder = Decoder::new(Limits::default());
    let mut decoded =
        decoder.decode_text(text.try_into().expect("a packet is text")).expect("its own encoding");
    for attachment in packet.attachments() {
        decoded = decoder.decode_binary(attachment.clone()).expect("an attachment is due");
    }
    assert_eq!(decoded.as_ref(), Some(packet));
}
