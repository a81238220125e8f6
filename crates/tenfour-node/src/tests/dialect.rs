use super::*;
use tenfour_wire::socketio::{AckId, Args, EventName, Packet, msgpack};

fn rendered(dialect: Dialect, message: &Message) -> Vec<String> {
    frames(&render_message(dialect, "/", message, Kind::Plain))
}

fn text() -> Body {
    Body::Text("a \"b\"".into())
}

fn binary() -> Body {
    Body::Binary(bytes::Bytes::from_static(b"\x01z"))
}

const PLACEHOLDER: &str = r#"{"_placeholder":true,"num":0}"#;

#[test]
fn a_named_message() {
    let rows: [(Body, &[&str], &[&str]); 5] = [
        (body(r#"1,{"x":2}"#, &[]), &[r#"42["n",1,{"x":2}]"#], &[r#"4["n",1,{"x":2}]"#]),
        (body("", &[]), &[r#"42["n"]"#], &[r#"4["n"]"#]),
        (text(), &[r#"42["n","a \"b\""]"#], &[r#"4["n","a \"b\""]"#]),
        (
            binary(),
            &[r#"451-["n",{"_placeholder":true,"num":0}]"#, "<\\x01z>"],
            &[r#"4["n",{"_placeholder":true,"num":0}]"#, "<\\x01z>"],
        ),
        (
            body(&format!("1,{PLACEHOLDER}"), &[b"y"]),
            &[r#"451-["n",1,{"_placeholder":true,"num":0}]"#, "<y>"],
            &[r#"4["n",1,{"_placeholder":true,"num":0}]"#, "<y>"],
        ),
    ];
    for (body, socketio, engineio) in rows {
        let message = Message::new("n", body);
        assert_eq!(rendered(JSON, &message), socketio);
        assert_eq!(rendered(Dialect::EngineIo, &message), engineio);
    }
}

/// Clients of another dialect choose names too: a stock client would take `disconnect` for the end of its connection.
#[test]
fn what_socketio_keeps_for_itself_is_no_events_name() {
    for name in ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"] {
        let message = Message::new(name, body("1", &[]));
        assert_eq!(rendered(JSON, &message), [r#"42["message",1]"#]);
        assert_eq!(rendered(Dialect::EngineIo, &message), [format!(r#"4["{name}",1]"#)]);
    }
}

#[test]
fn a_nameless_message() {
    let rows: [(Body, &[&str], &[&str]); 5] = [
        (body(r#"1,{"x":2}"#, &[]), &[r#"42["message",1,{"x":2}]"#], &[r#"4[1,{"x":2}]"#]),
        (body("", &[]), &[r#"42["message"]"#], &["4[]"]),
        (text(), &[r#"42["message","a \"b\""]"#], &[r#"4a "b""#]),
        (binary(), &[r#"451-["message",{"_placeholder":true,"num":0}]"#, "<\\x01z>"], &["<\\x01z>"]),
        (
            body(PLACEHOLDER, &[b"y"]),
            &[r#"451-["message",{"_placeholder":true,"num":0}]"#, "<y>"],
            &[r#"4[{"_placeholder":true,"num":0}]"#, "<y>"],
        ),
    ];
    for (body, socketio, engineio) in rows {
        let message = nameless(body);
        assert_eq!(rendered(JSON, &message), socketio);
        assert_eq!(rendered(Dialect::EngineIo, &message), engineio);
    }
}

#[test]
fn a_name_is_written_as_json() {
    let message = Message::new("say \"hi\"\n", body("1", &[]));
    assert_eq!(rendered(JSON, &message), [r#"42["say \"hi\"\n",1]"#]);
    assert_eq!(rendered(Dialect::EngineIo, &message), [r#"4["say \"hi\"\n",1]"#]);
}

#[test]
fn a_namespace_and_a_request() {
    let (message, request) = (Message::new("n", text()), Kind::Request(RequestId::new(12)));
    let asked = render_message(JSON, "/lobby", &message, request);
    assert_eq!(frames(&asked), [r#"42/lobby,12["n","a \"b\""]"#]);
    let told = render_message(Dialect::EngineIo, "/lobby", &message, request);
    assert_eq!(frames(&told), [r#"4["n","a \"b\""]"#], "a dialect without answers and namespaces");
}

fn rendered_as(dialect: Dialect, message: &Message, kind: Kind<'_>) -> Vec<String> {
    frames(&render_message(dialect, "/", message, kind))
}

#[test]
fn a_committed_message_ends_in_its_cursor() {
    let rows: [(Body, &[&str]); 4] = [
        (body(r#"1,{"x":2}"#, &[]), &[r#"42["n",1,{"x":2},"AAAAAAE"]"#]),
        (body("", &[]), &[r#"42["n","AAAAAAE"]"#]),
        (text(), &[r#"42["n","a \"b\"","AAAAAAE"]"#]),
        (binary(), &[r#"451-["n",{"_placeholder":true,"num":0},"AAAAAAE"]"#, "<\\x01z>"]),
    ];
    for (body, expected) in rows {
        let message = Message::new("n", body);
        assert_eq!(rendered_as(JSON, &message, Kind::Committed("AAAAAAE")), expected);
        let alone = rendered_as(Dialect::EngineIo, &message, Kind::Plain);
        assert_eq!(rendered_as(Dialect::EngineIo, &message, Kind::Committed("AAAAAAE")), alone);
    }
}

/// Else it would be taken for a position in the log.
#[test]
fn an_uncommitted_message_never_ends_in_a_string() {
    let rows = [
        (body("", &[]), r#"42["n",null]"#),
        (body(r#""x""#, &[]), r#"42["n","x",null]"#),
        (body(r#"1,"x" "#, &[]), r#"42["n",1,"x" ,null]"#),
        (text(), r#"42["n","a \"b\"",null]"#),
        (body(r#""x",1"#, &[]), r#"42["n","x",1]"#),
        (body(r#"["x"]"#, &[]), r#"42["n",["x"]]"#),
        (body(r#"{"a":"x"}"#, &[]), r#"42["n",{"a":"x"}]"#),
        (body("null", &[]), r#"42["n",null]"#),
    ];
    for (body, expected) in rows {
        let message = Message::new("n", body);
        assert_eq!(rendered_as(JSON, &message, Kind::Uncommitted), [expected]);
        let alone = rendered_as(Dialect::EngineIo, &message, Kind::Plain);
        assert_eq!(rendered_as(Dialect::EngineIo, &message, Kind::Uncommitted), alone);
    }
    let binary = rendered_as(JSON, &Message::new("n", binary()), Kind::Uncommitted);
    assert_eq!(binary[0], r#"451-["n",{"_placeholder":true,"num":0}]"#);
}

#[test]
fn messagepack_ends_as_json_does() {
    for kind in [Kind::Uncommitted, Kind::Committed("AAAAAAE")] {
        for body in [text(), binary(), body("", &[]), body("1,[true]", &[])] {
            let message = Message::new("n", body);
            let packet = render_message(MSGPACK, "/", &message, kind);
            let [Frame::Binary(data)] = packet.frames() else { panic!("{packet:?}") };
            let Ok(Packet::Event { args, .. }) = msgpack::decode(data.clone(), &Default::default()) else {
                panic!("an event")
            };
            let text = &rendered_as(JSON, &message, kind)[0];
            assert!(text.ends_with(&format!("[\"n\",{}]", args.json())), "{text} {}", args.json());
        }
    }
}

#[test]
fn an_answer() {
    let rows: [(Body, &[&str]); 4] = [
        (body("1,2", &[]), &["43/lobby,7[1,2]"]),
        (body("", &[]), &["43/lobby,7[]"]),
        (text(), &[r#"43/lobby,7["a \"b\""]"#]),
        (binary(), &[r#"461-/lobby,7[{"_placeholder":true,"num":0}]"#, "<\\x01z>"]),
    ];
    for (body, expected) in rows {
        let answer = render_reply(JSON, "/lobby", AckId::new(7), &body).unwrap();
        assert_eq!(frames(&answer), expected);
        assert_eq!(render_reply(Dialect::EngineIo, "/", AckId::new(7), &body), None);
    }
}

#[test]
fn messagepack_carries_the_same_packets() {
    let decode = |packet: &Encoded| match packet.frames() {
        [Frame::Binary(data)] => msgpack::decode(data.clone(), &Default::default()).unwrap(),
        frames => panic!("one binary message, not {frames:?}"),
    };
    let args = |json: &str, attachments: &[&[u8]]| {
        let attachments = attachments.iter().map(|data| data.to_vec().into()).collect();
        Args::from_parts(json.into(), attachments, &Default::default()).unwrap()
    };
    let rows = [
        (text(), args(r#""a \"b\"""#, &[])),
        (binary(), args(PLACEHOLDER, &[b"\x01z"])),
        (body("1,[true]", &[]), args("1,[true]", &[])),
        (body("", &[]), args("", &[])),
    ];
    for (body, args) in rows {
        let event = render_message(MSGPACK, "/lobby", &Message::new("n", body.clone()), Kind::Plain);
        let name = EventName::Text("n".into());
        let expected = Packet::Event { namespace: "/lobby".into(), id: None, name, args: args.clone() };
        assert_eq!(decode(&event), expected);
        let answer = render_reply(MSGPACK, "/lobby", AckId::new(7), &body).unwrap();
        let expected = Packet::Ack { namespace: "/lobby".into(), id: AckId::new(7), args };
        assert_eq!(decode(&answer), expected);
    }
}

/// An attachment of a broadcast is not copied for its receivers, whatever they speak.
#[test]
fn attachments_are_shared() {
    let data = bytes::Bytes::from(vec![1; 1000]);
    for message in [Message::new("n", Body::Binary(data.clone())), nameless(Body::Binary(data.clone()))] {
        for dialect in [JSON, Dialect::EngineIo] {
            let packet = render_message(dialect, "/", &message, Kind::Plain);
            let Some(Frame::Binary(sent)) = packet.frames().last() else { panic!("{packet:?}") };
            assert_eq!(sent.as_ptr(), data.as_ptr());
        }
    }
}
