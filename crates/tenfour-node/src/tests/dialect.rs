use super::*;
use tenfour_wire::socketio::{AckId, Args, EventName, Packet, msgpack};

fn rendered(dialect: Dialect, message: &Message) -> Vec<String> {
    frames(&render_message(dialect, "/", message, None))
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
    let (message, request) = (Message::new("n", text()), Some(RequestId::new(12)));
    let asked = render_message(JSON, "/lobby", &message, request);
    assert_eq!(frames(&asked), [r#"42/lobby,12["n","a \"b\""]"#]);
    let told = render_message(Dialect::EngineIo, "/lobby", &message, request);
    assert_eq!(frames(&told), [r#"4["n","a \"b\""]"#], "a dialect without answers and namespaces");
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
        let event = render_message(MSGPACK, "/lobby", &Message::new("n", body.clone()), None);
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
            let packet = render_message(dialect, "/", &message, None);
            let Some(Frame::Binary(sent)) = packet.frames().last() else { panic!("{packet:?}") };
            assert_eq!(sent.as_ptr(), data.as_ptr());
        }
    }
}
