//! What decoding allocates, counted; in a binary of its own, since the counter is the process's allocator.

use bytes::{Bytes, BytesMut};
use tenfour_counting_alloc::requested;
use tenfour_wire::{
    ByteString, Limits, engineio, native,
    socketio::{Args, Decoder, EventName, Packet, encode_event},
};

fn allocations<T>(run: impl FnOnce() -> T) -> (usize, T) {
    let before = tenfour_counting_alloc::allocations();
    let result = run();
    (tenfour_counting_alloc::allocations() - before, result)
}

const EVENT: &str = r#"42/chat,17["message",{"user":"alice","count":7},[1,2,3],null]"#;

fn decode(frame: ByteString) -> Packet {
    let Ok(engineio::Packet::Text(text)) = engineio::Packet::decode(frame) else {
        panic!("the frame is text")
    };
    let packet = Decoder::new(Limits::default()).decode_text(text);
    packet.expect("the text is a packet").expect("it is complete")
}

#[test]
fn an_event_in_shared_memory_is_decoded_without_allocation() {
    let frame = ByteString::from(EVENT);
    // A second owner makes the memory shared, as that of a read buffer is.
    let _owner = frame.clone();
    let (count, packet) = allocations(|| decode(frame));
    assert_eq!(count, 0);
    let Packet::Event { namespace, id, name, args } = packet else { panic!("an event") };
    assert_eq!((&*namespace, id.unwrap().get(), name.as_str(), args.len()), ("/chat", 17, "message", 3));
}

#[test]
fn an_event_in_memory_of_its_own_costs_the_count_of_its_owners() {
    let frame = ByteString::from(EVENT.to_owned());
    let (count, _packet) = allocations(|| decode(frame));
    assert_eq!(count, 1, "`bytes` counts the owners of a vector from the first share on");
}

#[test]
fn an_error_costs_nothing() {
    let frame = ByteString::from_static("2[\"message\",[1,2,{\"a\":tru}]]");
    let mut decoder = Decoder::new(Limits::default());
    let (count, result) = allocations(|| decoder.decode_text(frame));
    assert!(result.is_err());
    assert_eq!(count, 0);
}

#[test]
fn reading_arguments_allocates_only_what_they_hold() {
    let text = r#"7,"borrowed",[1.5,{"skipped":["x"]}],{"_placeholder":true,"num":0}"#;
    let args =
        Args::from_parts(text.into(), vec![Bytes::from_static(b"blob")], &Limits::default()).expect("valid");
    let (count, number) = allocations(|| args.deserialize::<u8>(0));
    assert_eq!((count, number.expect("a number")), (0, 7));
    let (count, text) = allocations(|| args.deserialize::<&str>(1));
    assert_eq!((count, text.expect("a string")), (0, "borrowed"));
    let (count, blob) = allocations(|| args.deserialize::<&[u8]>(3));
    assert_eq!((count, blob.expect("an attachment")), (0, &b"blob"[..]));
}

#[test]
fn encoding_into_a_buffer_with_room_allocates_nothing() {
    let args = Args::from_parts("\"a\\nb\",{}".into(), vec![], &Limits::default()).expect("valid");
    let name = EventName::from("mess\"age");
    let mut out = BytesMut::with_capacity(64);
    let (count, ()) = allocations(|| encode_event(&mut out, "/chat", None, &name, &args));
    assert_eq!(count, 0);
    assert_eq!(out, "2/chat,[\"mess\\\"age\",\"a\\nb\",{}]");
}

/// A native DELIVER in sequence: a name, and a body of 32 bytes.
fn deliver() -> native::Frame {
    let body = native::Body::Text("a body of exactly thirty-two byt".into());
    let message = native::Message { name: Some("chat".into()), body };
    let deliver = native::Deliver { place: native::Place::next(3), message };
    native::Frame::Reliable { sequence: None, body: native::Reliable::Deliver(deliver) }
}

#[test]
fn native_messages_in_shared_memory_are_decoded_and_encoded_without_allocation() {
    let frame = deliver();
    let mut out = BytesMut::with_capacity(1024);
    let (count, ()) = allocations(|| native::encode(&frame, &mut out));
    assert_eq!(count, 0);
    assert_eq!(out.len(), 32 + 4 + "chat".len(), "four bytes more than body and name");

    let shared = out.freeze();
    let _owner = shared.clone();
    let mut decoder = native::Decoder::new(native::Limits::default());
    let (count, decoded) = allocations(|| {
        decoder.push(shared);
        decoder.next()
    });
    assert_eq!((count, decoded), (0, Ok(Some(frame))));
}

#[test]
fn a_shared_native_message_is_sent_again_without_allocation() {
    let native::Frame::Reliable { body: native::Reliable::Deliver(deliver), .. } = deliver() else {
        panic!()
    };
    let message = native::SharedMessage::new(&deliver.message);
    let mut out = BytesMut::with_capacity(1024);
    let (count, ()) = allocations(|| native::encode_deliver(None, &deliver.place, &message, &mut out));
    assert_eq!((count, out.len()), (0, 40));
}

/// Frames whose lists claim as much as they may, and bring nothing of it.
#[test]
fn native_lists_allocate_what_came_and_not_what_is_claimed() {
    let limits = native::Limits {
        ack_ranges: usize::MAX,
        processed: usize::MAX,
        heads: usize::MAX,
        attachments: usize::MAX,
        ..native::Limits::default()
    };
    let claim = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f];
    for head in [&[0x42, 5][..], &[0x44, 5], &[0x32, 1, 5], &[0x50, 3]] {
        let content = [head, &claim[..], &[1; 20]].concat();
        let frame = [&[content.len() as u8][..], &content[..]].concat();
        let mut decoder = native::Decoder::new(limits);
        decoder.push(frame.into());
        let before = requested();
        assert!(decoder.next().is_err());
        let bytes = requested() - before;
        assert!(bytes <= 20 * 40 + 64, "{bytes} bytes for {head:x?}");
    }
}

/// A frame that claims a mebibyte, in pieces of a few bytes.
#[test]
fn a_native_frame_in_parts_allocates_what_came_and_not_what_is_claimed() {
    let mut decoder = native::Decoder::new(native::Limits::default());
    let before = requested();
    for piece in [&[0x80, 0x80][..], &[0x40, 0x80, 3, 1], &[0; 100]] {
        decoder.push(Bytes::copy_from_slice(piece));
        assert_eq!(decoder.next(), Ok(None));
    }
    let bytes = requested() - before;
    assert!(bytes <= 4096, "{bytes}");
}
