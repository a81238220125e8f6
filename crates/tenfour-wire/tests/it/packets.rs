//! Socket.IO: round trips in both forms, and damage.

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use tenfour_wire::{
    ByteString, DecodeErrorKind, Limits,
    socketio::{AckId, Args, Decoder, EventName, Packet, msgpack},
};

/// JSON text as `JSON.stringify` writes it, with placeholders of the given attachments.
pub(crate) fn json(attachments: usize) -> impl Strategy<Value = String> {
    let placeholder = (0..attachments.max(1)).prop_map(move |num| match attachments {
        0 => "null".into(),
        _ => format!(r#"{{"_placeholder":true,"num":{num}}}"#),
    });
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|value| value.to_string()),
        any::<i64>().prop_map(|number| number.to_string()),
        (-1000..1000i32).prop_map(|number| (f64::from(number) + 0.25).to_string()),
        string(),
        placeholder,
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(|values| format!("[{}]", values.join(","))),
            prop::collection::vec((string(), inner), 0..5).prop_map(|entries| {
                let entries: Vec<_> =
                    entries.into_iter().map(|(key, value)| format!("{key}:{value}")).collect();
                format!("{{{}}}", entries.join(","))
            }),
        ]
    })
}

fn string() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z]{0,9}".boxed(), any::<String>().boxed()]
        .prop_map(|text| serde_json::to_string(&text).unwrap())
}

fn namespace() -> impl Strategy<Value = ByteString> {
    prop_oneof![Just("/".into()), "/[^,]{1,8}".prop_map(ByteString::from)]
}

fn args() -> impl Strategy<Value = Args> {
    (0..4usize).prop_flat_map(|count| {
        let attachments = prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), count);
        (prop::collection::vec(json(count), 0..4), attachments).prop_map(|(values, attachments)| {
            let attachments = attachments.into_iter().map(Bytes::from).collect();
            Args::from_parts(values.join(",").into(), attachments, &Limits::default()).unwrap()
        })
    })
}

fn name() -> impl Strategy<Value = EventName> {
    prop_oneof![
        any::<String>()
            .prop_filter("not reserved", |name| !EventName::is_reserved(name))
            .prop_map(|name| EventName::Text(name.into())),
        any::<i64>().prop_map(|number| EventName::Number(number.to_string().into())),
    ]
}

pub(crate) fn packet() -> impl Strategy<Value = Packet> {
    let data = prop::option::of(object());
    let error = prop_oneof![object(), string().prop_map(ByteString::from)];
    prop_oneof![
        (namespace(), data).prop_map(|(namespace, data)| Packet::Connect { namespace, data }),
        namespace().prop_map(|namespace| Packet::Disconnect { namespace }),
        (namespace(), any::<Option<u64>>(), name(), args()).prop_map(|(namespace, id, name, args)| {
            Packet::Event { namespace, id: id.map(AckId::new), name, args }
        }),
        (namespace(), any::<u64>(), args()).prop_map(|(namespace, id, args)| Packet::Ack {
            namespace,
            id: AckId::new(id),
            args
        }),
        (namespace(), error)
            .prop_map(|(namespace, error)| Packet::ConnectError { namespace, data: Some(error) }),
    ]
}

fn object() -> impl Strategy<Value = ByteString> {
    prop::collection::vec(("\"[a-z]{0,5}\"", json(0)), 0..4).prop_map(|entries| {
        let entries: Vec<_> = entries.into_iter().map(|(key, value)| format!("{key}:{value}")).collect();
        format!("{{{}}}", entries.join(",")).into()
    })
}

fn text(packet: &Packet) -> ByteString {
    let mut out = BytesMut::new();
    packet.encode(&mut out);
    out.try_into().unwrap()
}

fn message(packet: &Packet) -> Bytes {
    let mut out = BytesMut::new();
    msgpack::encode(packet, &mut out);
    out.freeze()
}

proptest! {
    #[test]
    fn a_packet_is_decoded_as_it_was_encoded(packet in packet()) {
        let mut decoder = Decoder::new(Limits::default());
        let text = text(&packet);
        let mut decoded = decoder.decode_text(text.clone()).unwrap();
        let mut held = text.len();
        for attachment in packet.attachments() {
            prop_assert_eq!(&decoded, &None);
            prop_assert!(decoder.is_pending());
            prop_assert_eq!(decoder.pending_bytes(), held);
            prop_assert_eq!(
                decoder.decode_text("2[\"a\"]".into()).unwrap_err().kind(),
                DecodeErrorKind::UnexpectedText
            );
            held += attachment.len();
            decoded = decoder.decode_binary(attachment.clone()).unwrap();
        }
        prop_assert!(!decoder.is_pending());
        prop_assert_eq!(decoder.pending_bytes(), 0);
        let unexpected = decoder.decode_binary(Bytes::new()).unwrap_err();
        prop_assert_eq!(unexpected.kind(), DecodeErrorKind::UnexpectedBinary);
        prop_assert_eq!(decoded, Some(packet));
    }

    #[test]
    fn what_is_decoded_is_encoded_as_it_was(packet in packet()) {
        let once = text(&packet);
        let mut decoder = Decoder::new(Limits::default());
        let mut decoded = decoder.decode_text(once.clone()).unwrap();
        for attachment in packet.attachments() {
            decoded = decoder.decode_binary(attachment.clone()).unwrap();
        }
        prop_assert_eq!(text(&decoded.unwrap()), once);
    }

    /// Transcoding numbers attachments anew and forgets how numbers were spelled: so compare from the second time on.
    #[test]
    fn messagepack_says_the_same(packet in packet()) {
        let once = msgpack::decode(message(&packet), &Limits { attachments: 100, ..Limits::default() }).unwrap();
        prop_assert_eq!(once.namespace(), packet.namespace());
        let again = msgpack::decode(message(&once), &Limits { attachments: 100, ..Limits::default() }).unwrap();
        prop_assert_eq!(&again, &once);
        if let (Packet::Event { args, .. }, Packet::Event { args: original, .. })
        | (Packet::Ack { args, .. }, Packet::Ack { args: original, .. }) = (&once, &packet)
        {
            prop_assert_eq!(args.len(), original.len());
            for index in 0..args.len() {
                let value: InPlace = args.deserialize(index).unwrap();
                prop_assert_eq!(value, original.deserialize(index).unwrap());
            }
        }
    }

    #[test]
    fn every_truncation_and_every_damaged_byte_is_decoded_or_refused(packet in packet(), byte: u8) {
        let whole = text(&packet);
        for len in (0..whole.len()).filter(|&len| whole.is_char_boundary(len)) {
            feed(&whole[..len]);
        }
        for at in 0..whole.len() {
            let mut damaged = whole.as_bytes().to_vec();
            damaged[at] = byte;
            if let Ok(damaged) = String::from_utf8(damaged) {
                feed(&damaged);
            }
        }
        let whole = message(&packet);
        for len in 0..whole.len() {
            prop_assert!(msgpack::decode(whole.slice(..len), &Limits::default()).is_err());
        }
        for at in 0..whole.len() {
            let mut damaged = whole.to_vec();
            damaged[at] = byte;
            if let Ok(packet) = msgpack::decode(damaged.into(), &Limits::default()) {
                feed(&text(&packet));
            }
        }
    }
}

/// Decodes `text`; what is accepted must survive its own encoding.
fn feed(text: &str) {
    let mut decoder = Decoder::new(Limits::default());
    let mut decoded = match decoder.decode_text(text.into()) {
        Ok(decoded) => decoded,
        Err(error) => return assert!(error.offset() <= text.len()),
    };
    while decoder.is_pending() {
        decoded = decoder.decode_binary(Bytes::from_static(b"x")).unwrap();
    }
    let Some(packet) = decoded else { return };
    let mut out = BytesMut::new();
    packet.encode(&mut out);
    let mut again = decoder.decode_text(out.try_into().unwrap()).unwrap();
    while decoder.is_pending() {
        again = decoder.decode_binary(Bytes::from_static(b"x")).unwrap();
    }
    assert_eq!(again, Some(packet));
}

/// A value with its binary in place, so that numbering of attachments does not matter.
#[derive(Debug, PartialEq)]
enum InPlace {
    Scalar(serde_json::Value),
    Binary(Vec<u8>),
    Array(Vec<InPlace>),
    Object(Vec<(String, InPlace)>),
}

impl<'de> serde::Deserialize<'de> for InPlace {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = InPlace;
            fn expecting(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.write_str("anything")
            }
            fn visit_unit<E>(self) -> Result<InPlace, E> {
                Ok(InPlace::Scalar(serde_json::Value::Null))
            }
            fn visit_bool<E>(self, value: bool) -> Result<InPlace, E> {
                Ok(InPlace::Scalar(value.into()))
            }
            fn visit_u64<E>(self, value: u64) -> Result<InPlace, E> {
                Ok(InPlace::Scalar(value.into()))
            }
            fn visit_i64<E>(self, value: i64) -> Result<InPlace, E> {
                Ok(InPlace::Scalar(value.into()))
            }
            fn visit_f64<E>(self, value: f64) -> Result<InPlace, E> {
                Ok(InPlace::Scalar(value.into()))
            }
            fn visit_str<E>(self, value: &str) -> Result<InPlace, E> {
                Ok(InPlace::Scalar(value.into()))
            }
            fn visit_bytes<E>(self, value: &[u8]) -> Result<InPlace, E> {
                Ok(InPlace::Binary(value.into()))
            }
            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<InPlace, A::Error> {
                let mut values = Vec::new();
                while let Some(value) = seq.next_element()? {
                    values.push(value);
                }
                Ok(InPlace::Array(values))
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<InPlace, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(InPlace::Object(entries))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}
