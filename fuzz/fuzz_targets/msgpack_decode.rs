//! A MessagePack packet: what is accepted is a packet of both dialects.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tenfour_wire::{
    Bytes, BytesMut, Limits,
    socketio::{Decoder, msgpack},
};

fuzz_target!(|message: &[u8]| {
    let packet = match msgpack::decode(Bytes::copy_from_slice(message), &Limits::default()) {
        Ok(packet) => packet,
        Err(error) => return assert!(error.offset() <= message.len()),
    };
    let mut again = BytesMut::new();
    msgpack::encode(&packet, &mut again);
    assert_eq!(msgpack::decode(again.freeze(), &Limits::default()).as_ref(), Ok(&packet));

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
