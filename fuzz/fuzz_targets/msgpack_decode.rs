//! A MessagePack packet: what is accepted is a packet of both dialects.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tenfour_wire::{
    Bytes, BytesMut, Limits,
    socketio::{Decoder, Packet, msgpack},
};

fuzz_target!(|message: &[u8]| {
    let packet = match msgpack::decode(Bytes::copy_from_slice(message), &Limits::default()) {
        Ok(packet) => packet,
        Err(error) => return assert!(error.offset() <= message.len()),
    };
    // The first encoding writes a float without fraction as an integer; from then on nothing changes.
    let once = encoded_and_decoded(&packet);
    assert_eq!(encoded_and_decoded(&once), once);

    let mut text = BytesMut::new();
    packet.encode(&mut text);
    let mut decoder = Decoder::new(Limits { payload_bytes: usize::MAX, ..Limits::default() });
    let mut decoded =
        decoder.decode_text(text.try_into().expect("a packet is text")).expect("its own encoding");
    for attachment in packet.attachments() {
        decoded = decoder.decode_binary(attachment.clone()).expect("an attachment is due");
    }
    assert_eq!(decoded, Some(packet));
});

fn encoded_and_decoded(packet: &Packet) -> Packet {
    let mut message = BytesMut::new();
    msgpack::encode(packet, &mut message);
    msgpack::decode(message.freeze(), &Limits::default()).expect("its own encoding")
}
