//! What this encoder writes, this decoder reads: a client's frames at a server, and a server's at a client.

use std::{string::String, vec, vec::Vec};

use bytes::{BufMut, Bytes, BytesMut};
use proptest::{collection::vec as vec_of, prelude::*};

use super::{
    super::{CloseFrame, Decoder, Message, Opcode, Role, encode_close, encode_masked, header, is_close_code},
    RawFrame, decode_pieces, std,
};

pub(super) fn any_message() -> impl Strategy<Value = Message> {
    let control = || vec_of(any::<u8>(), 0..=125).prop_map(Bytes::from);
    prop_oneof![
        any::<String>().prop_map(|text| Message::Text(text.into())),
        vec_of(any::<u8>(), 0..700).prop_map(|bytes| Message::Binary(bytes.into())),
        control().prop_map(Message::Ping),
        control().prop_map(Message::Pong),
    ]
}

pub(super) fn parts(message: &Message) -> (Opcode, &[u8]) {
    match message {
        Message::Text(text) => (Opcode::Text, text.as_bytes()),
        Message::Binary(bytes) => (Opcode::Binary, bytes),
        Message::Ping(bytes) => (Opcode::Ping, bytes),
        Message::Pong(bytes) => (Opcode::Pong, bytes),
        Message::Close(_) => unreachable!("[`any_message`] makes none"),
    }
}

proptest! {
    #[test]
    fn a_clients_messages_reach_a_server(messages in vec_of((any_message(), any::<[u8; 4]>()), 0..20)) {
        let mut wire = BytesMut::new();
        for (message, mask) in &messages {
            let (opcode, payload) = parts(message);
            encode_masked(opcode, payload, *mask, &mut wire);
        }
        let sent: Vec<_> = messages.into_iter().map(|(message, _)| message).collect();
        prop_assert_eq!(decode_pieces(&mut Decoder::new(Role::Server, 1 << 20), [&wire[..]]), (sent, None));
    }

    #[test]
    fn a_servers_messages_reach_a_client(messages in vec_of(any_message(), 0..20)) {
        let mut wire = BytesMut::new();
        for message in &messages {
            let (opcode, payload) = parts(message);
            wire.put_slice(&header(opcode, payload.len()));
            wire.put_slice(payload);
        }
        prop_assert_eq!(decode_pieces(&mut Decoder::new(Role::Client, 1 << 20), [&wire[..]]), (messages, None));
    }

    #[test]
    fn a_close_is_written_so_that_it_can_be_read(code: u16, reason: String, mask: Option<[u8; 4]>) {
        let mut wire = BytesMut::new();
        encode_close(Some(&CloseFrame { code, reason: reason.as_str().into() }), mask, &mut wire);
        let role = if mask.is_some() { Role::Server } else { Role::Client };
        let (messages, error) = decode_pieces(&mut Decoder::new(role, 0), [&wire[..]]);
        prop_assert_eq!(error, None);
        let [Message::Close(close)] = &messages[..] else { panic!("{messages:?}") };
        prop_assert_eq!(close.as_ref().map(|close| close.code), is_close_code(code).then_some(code));
        if let Some(close) = close {
            prop_assert!(reason.starts_with(&*close.reason));
            prop_assert!(close.reason == reason || (120..=123).contains(&close.reason.len()));
        }
    }
}

#[test]
fn a_mask_goes_over_large_payloads_too() {
    for len in [4095, 4096, 4097, 100_003] {
        let payload: Vec<u8> = (0..len).map(|index: u32| (index / 3) as u8).collect();
        let frame = RawFrame::new(true, Opcode::Binary, Some([1, 20, 130, 255]), &payload).bytes();
        let expected = (vec![Message::Binary(payload.into())], None);
        for size in [1, 3, 4097, frame.len()] {
            let mut decoder = Decoder::new(Role::Server, 1 << 20);
            assert_eq!(
                decode_pieces(&mut decoder, frame.chunks(size)),
                expected,
                "{len} in pieces of {size}"
            );
        }
    }
}

#[test]
fn a_close_without_a_code_is_empty() {
    let mut wire = BytesMut::new();
    encode_close(None, None, &mut wire);
    encode_close(None, Some([1, 2, 3, 4]), &mut wire);
    assert_eq!(wire, vec![0x88, 0, 0x88, 0x80, 1, 2, 3, 4]);
}
