use super::*;
use bytes::BytesMut;
use tenfour_wire::socketio::{Packet, msgpack};

fn session() -> Session {
    session_with(Config { encoding: Encoding::MessagePack, ..Config::default() })
}

fn encode(packet: &Packet) -> Vec<u8> {
    let mut out = BytesMut::new();
    msgpack::encode(packet, &mut out);
    out.to_vec()
}

fn say(session: &mut Session, packet: &Packet) {
    session.binary(FIRST, &encode(packet));
}

/// What the client has heard, as packets.
fn heard(session: &mut Session) -> Vec<Packet> {
    let decode = |frame: String| {
        let bytes = frame.trim_matches(['<', '>']).split(' ').map(|byte| byte.parse::<u8>().unwrap());
        msgpack::decode(bytes.collect::<Vec<_>>().into(), &Limits::default()).unwrap()
    };
    session.heard(FIRST).into_iter().map(decode).collect()
}

fn hello(namespace: &str) -> Packet {
    Packet::Connect { namespace: namespace.into(), data: None }
}

#[test]
fn everything_is_one_binary_message() {
    let mut session = session();
    say(&mut session, &hello("/"));
    session.admit("/");
    let welcome = Packet::Connect { namespace: "/".into(), data: Some(r#"{"sid":"id"}"#.into()) };
    assert_eq!(heard(&mut session), [welcome]);

    let name = EventName::Text("x".into());
    let args = args(r#"1,{"_placeholder":true,"num":0}"#, &[&[1, 2, 3]]);
    let id = Some(AckId::new(3));
    let event = Packet::Event { namespace: "/".into(), id, name: name.clone(), args: args.clone() };
    say(&mut session, &event);
    let came = Event::Event { namespace: "/".into(), id, name: name.clone(), args: args.clone() };
    assert_eq!(session.events(), [came]);
    let sent = Encoded::event(Encoding::MessagePack, "/", id, &name, &args);
    session.call(|session, _| session.send(&sent)).unwrap();
    assert_eq!(heard(&mut session), [event]);

    let ack = Packet::Ack { namespace: "/".into(), id: AckId::new(3), args: args.clone() };
    say(&mut session, &ack);
    assert_eq!(
        session.events(),
        [Event::Ack { namespace: "/".into(), id: AckId::new(3), args: args.clone() }]
    );
    let answer = Encoded::ack(Encoding::MessagePack, "/", AckId::new(3), &args);
    session.call(|session, _| session.send(&answer)).unwrap();
    assert_eq!(heard(&mut session), [ack]);
}

#[test]
fn namespaces_are_refused_and_left() {
    let mut session = session();
    say(&mut session, &hello("/a"));
    assert_eq!(session.events(), [connect("/a")]);
    session.call(|session, _| session.refuse("/a", &ConnectError::new("no")));
    let refusal = Packet::ConnectError { namespace: "/a".into(), data: Some(r#"{"message":"no"}"#.into()) };
    assert_eq!(heard(&mut session), [refusal]);
    say(&mut session, &hello("/b"));
    session.admit("/b");
    heard(&mut session);
    assert!(session.call(|session, _| session.disconnect("/b")));
    assert_eq!(heard(&mut session), [Packet::Disconnect { namespace: "/b".into() }]);
    say(&mut session, &hello("/c"));
    session.admit("/c");
    say(&mut session, &Packet::Disconnect { namespace: "/c".into() });
    assert_eq!(session.events(), [disconnect("/c")]);
}

#[test]
fn what_is_no_packet_closes() {
    let rows: [&[u8]; 6] = [&[], &[0xc1], &[0x80], &[0x93, 1, 2, 3], b"40", &[0x81, 0xa4]];
    for data in rows {
        let mut session = session();
        session.binary(FIRST, data);
        assert_faulted(&mut session, &format!("{}", data.escape_ascii()));
    }
    let mut truncated = encode(&hello("/"));
    truncated.pop();
    let mut session = session();
    session.binary(FIRST, &truncated);
    assert_faulted(&mut session, "a truncated packet");
}

#[test]
fn a_text_is_no_packet() {
    for text in ["40", "4", "4\u{1}"] {
        let mut session = session();
        session.text(FIRST, text);
        assert_faulted(&mut session, text);
    }
}
