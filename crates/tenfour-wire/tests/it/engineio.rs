//! Engine.IO: round trips, damage, limits.

use core::time::Duration;

use bytes::BytesMut;
use proptest::prelude::*;
use tenfour_wire::{
    DecodeErrorKind, Limits,
    engineio::{Handshake, Packet, PayloadEncoder, ReceivedHandshake, decode_payload},
};

fn packet() -> impl Strategy<Value = Packet> {
    // A separator inside the data would split the packet in a payload.
    let data = "[^\u{1e}]{0,12}";
    prop_oneof![
        data.prop_map(|data| Packet::Open(data.into())),
        Just(Packet::Close),
        data.prop_map(|data| Packet::Ping(data.into())),
        data.prop_map(|data| Packet::Pong(data.into())),
        data.prop_map(|data| Packet::Text(data.into())),
        prop::collection::vec(any::<u8>(), 0..20).prop_map(|data| Packet::Binary(data.into())),
        Just(Packet::Upgrade),
        Just(Packet::Noop),
    ]
}

proptest! {
    #[test]
    fn a_packet_is_decoded_as_it_was_encoded(packet in packet()) {
        let mut out = BytesMut::new();
        packet.encode(&mut out);
        prop_assert_eq!(out.len(), packet.encoded_len());
        prop_assert_eq!(Packet::decode(out.try_into().unwrap()), Ok(packet));
    }

    #[test]
    fn a_payload_is_decoded_as_it_was_encoded(packets in prop::collection::vec(packet(), 1..12)) {
        let mut body = BytesMut::from("before");
        let mut encoder = PayloadEncoder::new(&mut body);
        for packet in &packets {
            let expected = match packet {
                Packet::Binary(data) => encoder.len_with_binary(data.len()),
                other => encoder.len_with_text(other.encoded_len()),
            };
            match packet {
                Packet::Binary(data) => encoder.push_binary(data),
                other => encoder.push(other),
            }
            prop_assert_eq!(encoder.len(), expected);
        }
        let body = body.split_off("before".len());
        let decoded: Result<Vec<_>, _> =
            decode_payload(body.try_into().unwrap(), &Limits::default()).unwrap().collect();
        prop_assert_eq!(decoded, Ok(packets));
    }

    #[test]
    fn any_text_is_a_packet_or_an_error_in_its_place(text in "[0-7b\u{1e}A-Fa-f=+/é-]{0,20}") {
        let mut packets = 0;
        for packet in decode_payload(text.as_str().into(), &Limits::default()).unwrap() {
            packets += 1;
            if let Err(error) = packet {
                prop_assert!(error.offset() <= text.len());
                let before: usize = text.split('\u{1e}').take(packets - 1).map(|part| part.len() + 1).sum();
                prop_assert!(error.offset() >= before);
                return Ok(());
            }
        }
        prop_assert_eq!(packets, text.split('\u{1e}').count());
    }
}

#[test]
fn a_full_payload_of_the_shortest_events_passes_and_half_a_million_noops_do_not() {
    let limits = Limits::default();
    let event = "42[\"a\"]";
    let count = limits.payload_bytes / (event.len() + 1);
    let body = vec![event; count].join("\u{1e}");
    assert_eq!(decode_payload(body.into(), &limits).unwrap().filter(Result::is_ok).count(), count);

    let body = vec!["6"; 500_000].join("\u{1e}");
    let error = decode_payload(body.into(), &limits).unwrap_err();
    assert_eq!(error.kind(), DecodeErrorKind::TooManyPackets);
    assert_eq!(
        error.offset(),
        2 * limits.packets_per_payload - 1,
        "the separator before the packet too many"
    );
}

#[test]
fn limits_hold_to_the_byte_and_to_the_packet() {
    let limits = Limits { payload_bytes: 8, packets_per_payload: 2, ..Limits::default() };
    assert_eq!(decode_payload("4aaa\u{1e}4bb".into(), &limits).unwrap().count(), 2);
    assert_eq!(
        decode_payload("4aaa\u{1e}4bbb".into(), &limits).unwrap_err().kind(),
        DecodeErrorKind::TooLarge
    );
    assert_eq!(
        decode_payload("6\u{1e}6\u{1e}6".into(), &limits).unwrap_err().kind(),
        DecodeErrorKind::TooManyPackets
    );
}

proptest! {
    #[test]
    fn a_handshake_is_received_as_it_was_sent(
        sid in any::<String>(),
        upgrades in prop::collection::vec(any::<String>(), 0..3),
        ping_interval in 0..u64::MAX,
        ping_timeout in 0..100_000u64,
        max_payload: usize,
    ) {
        let names: Vec<&str> = upgrades.iter().map(String::as_str).collect();
        let mut out = BytesMut::new();
        Handshake {
            sid: &sid,
            upgrades: &names,
            ping_interval: Duration::from_millis(ping_interval),
            ping_timeout: Duration::from_millis(ping_timeout),
            max_payload,
        }
        .encode(&mut out);
        let Ok(Packet::Open(data)) = Packet::decode(out.try_into().unwrap()) else { panic!() };
        let received = ReceivedHandshake::decode(&data).unwrap();
        prop_assert_eq!(&*received.sid, &*sid);
        prop_assert_eq!(received.upgrades, names);
        prop_assert_eq!(received.ping_interval.as_millis(), u128::from(ping_interval));
        prop_assert_eq!(received.ping_timeout.as_millis(), u128::from(ping_timeout));
        prop_assert_eq!(received.max_payload, max_payload);
        for len in 0..data.len() {
            if data.is_char_boundary(len) {
                prop_assert!(ReceivedHandshake::decode(&data[..len]).is_err());
            }
        }
    }
}

#[test]
fn a_handshake_of_the_wrong_shape_is_refused() {
    for (data, kind) in [
        ("", DecodeErrorKind::Json),
        ("[]", DecodeErrorKind::Handshake),
        ("{}", DecodeErrorKind::Handshake),
        (
            r#"{"sid":1,"upgrades":[],"pingInterval":1,"pingTimeout":1,"maxPayload":1}"#,
            DecodeErrorKind::Handshake,
        ),
        (
            r#"{"sid":"","upgrades":[],"pingInterval":-1,"pingTimeout":1,"maxPayload":1}"#,
            DecodeErrorKind::Handshake,
        ),
        (r#"{"sid":"","upgrades":[],"pingInterval":1,"pingTimeout":1}"#, DecodeErrorKind::Handshake),
        (
            r#"{"sid":"","upgrades":[],"pingInterval":1,"pingTimeout":1,"maxPayload":1}x"#,
            DecodeErrorKind::Json,
        ),
    ] {
        assert_eq!(ReceivedHandshake::decode(data).unwrap_err().kind(), kind, "{data}");
    }
    let unknown =
        r#"{"later":{"a":[1]},"sid":"","upgrades":[],"pingInterval":1,"pingTimeout":1,"maxPayload":1}"#;
    assert!(ReceivedHandshake::decode(unknown).is_ok());
}
