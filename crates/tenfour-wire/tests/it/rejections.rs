//! What a Socket.IO packet must not be: each kind of error, at its byte; each limit, at its edge.

use bytes::Bytes;
use tenfour_wire::{
    DecodeErrorKind::{self, *},
    Limits,
    socketio::{Args, Decoder, Packet},
};

fn refusal(text: &str, limits: Limits) -> (DecodeErrorKind, usize) {
    match Decoder::new(limits).decode_text(text.into()) {
        Err(error) => (error.kind(), error.offset()),
        Ok(packet) => panic!("{text}: {packet:?}"),
    }
}

/// Each text with the kind of error and its byte.
const REFUSED: &[(&str, DecodeErrorKind, usize)] = &[
    ("", Empty, 0),
    ("7", PacketType, 0),
    ("abc", PacketType, 0),
    ("é", PacketType, 0),
    ("1{}", Payload, 1),
    ("0[]", Payload, 1),
    ("0null", Payload, 1),
    ("0/a,\"s\"", Payload, 4),
    ("0{\"a\":1", Json, 7),
    ("0{}x", Json, 3),
    ("05{}", AckId, 1),
    ("15", AckId, 1),
    ("4[]", Payload, 1),
    ("4\"a", Json, 3),
    ("2{}", Payload, 1),
    ("2 5[\"a\"]", Payload, 1),
    ("2,[\"a\"]", Payload, 1),
    ("2abc[\"a\"]", Payload, 1),
    ("2-1[\"a\"]", Payload, 1),
    ("21e3[\"a\"]", Payload, 2),
    ("2007[\"a\"]", AckId, 1),
    ("200[\"a\"]", AckId, 1),
    ("2/n,18446744073709551616[\"a\"]", AckId, 4),
    ("299999999999999999999999[\"a\"]", AckId, 1),
    ("2[]", EventName, 2),
    ("2[null]", EventName, 2),
    ("2[true,1]", EventName, 2),
    ("2[[\"a\"]]", EventName, 2),
    ("2[ {\"a\":1}]", EventName, 3),
    ("2[", Json, 2),
    ("2[-]", Json, 3),
    ("2[01]", Json, 3),
    ("2[\"a", Json, 4),
    ("2[\"a\"", Json, 5),
    ("2[\"a\"]]", Json, 6),
    ("2[\"a\"]x", Json, 6),
    ("2[\"a\",]", Json, 6),
    ("2[\"a\" 1]", Json, 6),
    ("2[\"a\",1 2]", Json, 8),
    ("2[\"a\",nul]", Json, 9),
    ("2[\"a\",{1:2}]", Json, 7),
    ("2[\"a\",{\"b\" 2}]", Json, 11),
    ("2[\"a\",\"\u{1}\"]", Json, 7),
    ("2[\"a\",\"\\ud83d\"]", LoneSurrogate, 7),
    ("2[\"\\ude00\"]", LoneSurrogate, 3),
    ("2[\"c\\u006fnnect\"]", ReservedEventName, 2),
    ("3[]", AckId, 1),
    ("3/n,", AckId, 4),
    ("31{}", Payload, 2),
    ("31[", Json, 3),
    ("5[\"a\"]", AttachmentCount, 1),
    ("51[\"a\"]", AttachmentCount, 1),
    ("5-[\"a\"]", AttachmentCount, 1),
    ("50-[\"a\"]", AttachmentCount, 1),
    ("501-[\"a\"]", AttachmentCount, 1),
    ("51.5-[\"a\"]", AttachmentCount, 1),
    ("5 1-[\"a\"]", AttachmentCount, 1),
    ("511-[\"a\"]", TooManyAttachments, 1),
    ("518446744073709551615-[\"a\"]", TooManyAttachments, 1),
    ("599999999999999999999999-[\"a\"]", AttachmentCount, 1),
    ("51-", Payload, 3),
    ("61-1", Payload, 4),
    ("61-[]", AckId, 3),
];

#[test]
fn packets() {
    for &(text, kind, offset) in REFUSED {
        assert_eq!(refusal(text, Limits::default()), (kind, offset), "{text}");
    }
    for name in ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"] {
        assert_eq!(refusal(&format!("2[\"{name}\"]"), Limits::default()), (ReservedEventName, 2));
    }
}

/// Each body as an event's argument, in a packet with so many attachments.
#[test]
fn placeholders_stand_for_an_attachment_of_their_packet_or_are_refused() {
    for (body, attachments, accepted) in [
        (r#"{"_placeholder":true,"num":0}"#, 1, true),
        (r#"{"num":0,"_placeholder":true}"#, 1, true),
        (r#" { "_placeholder" : true , "num" : 9 } "#, 10, true),
        (r#"[{"a":{"_placeholder":true,"num":0}},{"_placeholder":true,"num":0}]"#, 1, true),
        (r#"{"num":0}"#, 1, true),
        (r#"{"placeholder":true,"num":0}"#, 0, true),
        (r#"["_placeholder"]"#, 0, true),
        (r#"{"a":"_placeholder"}"#, 0, true),
        (r#"{"_placeholder_":true}"#, 0, true),
        (r#"{"_placeholder":true,"num":0}"#, 0, false),
        (r#"{"_placeholder":true,"num":1}"#, 1, false),
        (r#"{"_placeholder":true,"num":-1}"#, 1, false),
        (r#"{"_placeholder":true,"num":0.0}"#, 1, false),
        (r#"{"_placeholder":true,"num":0e0}"#, 1, false),
        (r#"{"_placeholder":true,"num":"0"}"#, 1, false),
        (r#"{"_placeholder":true,"num":"splice"}"#, 1, false),
        (r#"{"_placeholder":true,"num":18446744073709551616}"#, 1, false),
        (r#"{"_placeholder":true,"num":4294967296}"#, 1, false),
        (r#"{"_placeholder":false,"num":0}"#, 1, false),
        (r#"{"_placeholder":1,"num":0}"#, 1, false),
        (r#"{"_placeholder":true}"#, 1, false),
        (r#"{"_placeholder":true,"num":0,"a":1}"#, 1, false),
        (r#"{"_placeholder":true,"num":0,"num":0}"#, 1, false),
        (r#"{"_placeholder":true,"_placeholder":true,"num":0}"#, 1, false),
        (r#"{"a":1,"_placeholder":true,"num":0}"#, 1, false),
        (r#"{"\u005fplaceholder":true,"num":0}"#, 1, false),
        (r#"{"_placeholde\u0072":1}"#, 0, false),
        (r#"{"\u005f\u0070\u006c\u0061\u0063\u0065\u0068\u006f\u006c\u0064\u0065\u0072":1}"#, 0, false),
        (r#"[[[{"b":{"_placeholder":null}}]]]"#, 0, false),
    ] {
        let limits = Limits::default();
        let bytes = vec![Bytes::from_static(b"x"); attachments];
        let built = Args::from_parts(body.into(), bytes, &limits);
        let head = if attachments == 0 { "2".into() } else { format!("5{attachments}-") };
        let decoded = Decoder::new(limits).decode_text(format!("{head}[\"a\",{body}]").into());
        if accepted {
            assert!(built.is_ok() && decoded.is_ok(), "{body}: {built:?}, {decoded:?}");
        } else {
            assert_eq!(built.unwrap_err().kind(), Placeholder, "{body}");
            assert_eq!(decoded.unwrap_err().kind(), Placeholder, "{body}");
        }
    }
    for text in [r#"0{"a":{"_placeholder":true,"num":0}}"#, r#"4{"_placeholder":true,"num":0}"#] {
        assert_eq!(refusal(text, Limits::default()).0, Placeholder);
    }
}

#[test]
fn depth_is_limited_and_counts_the_packet_itself() {
    let limits = Limits { json_depth: 3, ..Limits::default() };
    let accepts = |text: &str| Decoder::new(limits).decode_text(text.into()).is_ok();
    assert!(accepts("2[\"a\",[[1]],[{}]]") && accepts("31[[{}]]") && accepts("0{\"a\":[[]]}"));
    assert_eq!(refusal("2[\"a\",[[],[[]]]]", limits), (Depth, 11));
    assert_eq!(refusal("31[[{\"a\":{}}]]", limits), (Depth, 9));
    assert_eq!(refusal("0{\"a\":[[{}]]}", limits), (Depth, 8));
    assert_eq!(refusal("2[\"a\"]", Limits { json_depth: 0, ..limits }), (Depth, 1));
    assert_eq!(Args::from_parts("[[[]]]".into(), vec![], &limits).unwrap_err().offset(), 2);

    let deep = "[".repeat(500_000);
    assert_eq!(refusal(&format!("2[\"a\",{deep}"), Limits::default()), (Depth, 6 + 127));
    let unlimited = Limits { json_depth: usize::MAX, ..Limits::default() };
    assert_eq!(
        refusal(&format!("2[\"a\",{deep}"), unlimited),
        (Depth, 6 + tenfour_wire::json::MAX_DEPTH - 1)
    );
}

#[test]
fn sizes_are_limited() {
    let limits = Limits { payload_bytes: 20, ..Limits::default() };
    assert!(Decoder::new(limits).decode_text("2[\"a\",\"0123456789a\"]".into()).is_ok());
    assert_eq!(refusal("2[\"a\",\"0123456789ab\"]", limits), (TooLarge, 20));
    let mut decoder = Decoder::new(limits);
    decoder.decode_text("52-[\"a\"]".into()).unwrap();
    assert_eq!(decoder.decode_binary(vec![0; 21].into()).unwrap_err().kind(), TooLarge);
    assert_eq!(decoder.decode_binary(vec![0; 20].into()), Ok(None), "the refused frame is not counted");
    assert!(matches!(decoder.decode_binary(vec![].into()), Ok(Some(Packet::Event { .. }))));

    let limits = Limits { attachments: 2, ..Limits::default() };
    assert_eq!(Decoder::new(limits).decode_text("52-[\"a\"]".into()), Ok(None));
    assert_eq!(refusal("53-[\"a\"]", limits), (TooManyAttachments, 1));
    let three = vec![Bytes::new(); 3];
    assert_eq!(Args::from_parts("1".into(), three, &limits).unwrap_err().kind(), TooManyAttachments);
}

#[test]
fn a_claimed_number_of_attachments_reserves_nothing() {
    let limits = Limits { attachments: usize::MAX, ..Limits::default() };
    let mut decoder = Decoder::new(limits);
    assert_eq!(decoder.decode_text("565535-[\"a\"]".into()), Ok(None));
    assert_eq!(decoder.decode_binary(Bytes::from_static(b"x")), Ok(None));
    assert_eq!(decoder.pending_bytes(), "565535-[\"a\"]".len() + 1);
    assert_eq!(refusal("565536-[\"a\"]", limits).0, TooManyAttachments);
}

#[test]
fn an_idle_decoder_is_three_words() {
    assert!(size_of::<Decoder>() <= 3 * size_of::<usize>());
}
