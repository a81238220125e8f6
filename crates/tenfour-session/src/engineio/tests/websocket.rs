use super::*;
use tenfour_wire::websocket::Message as WsMessage;

fn session() -> Session {
    Session::websocket(Config::default())
}

#[test]
fn the_first_frame_is_the_handshake() {
    let open = concat!(
        r#"0{"sid":"BwcHBwcHBwcHBwcHBwcH","upgrades":[],"#,
        r#""pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#
    );
    assert_eq!(session().heard(FIRST), [open]);
}

#[test]
fn messages_go_both_ways_in_order() {
    let mut session = session();
    session.heard(FIRST);
    session.text(FIRST, "4a");
    session.binary(FIRST, &[1, 2]);
    session.text(FIRST, "bAwQ=");
    let binary = |data: &[u8]| Event::Message(Message::Binary(data.to_vec().into()));
    assert_eq!(session.events(), [said("a"), binary(&[1, 2]), binary(&[3, 4])]);
    session.send("b").unwrap();
    session.call(|session, _| session.send(Message::Binary(vec![5].into()))).unwrap();
    assert_eq!(session.heard(FIRST), ["4b", "<5>"]);
}

#[test]
fn packets_without_a_meaning_here_are_ignored() {
    let mut session = session();
    for packet in ["0", "0{}", "3", "3probe", "5", "6"] {
        session.text(FIRST, packet);
    }
    assert_websocket_lives(&mut session, FIRST);
}

/// JavaScript's server ignores the packet, and the session lives on until its ping times out.
#[test]
fn a_close_packet_closes() {
    let mut session = session();
    session.heard(FIRST);
    session.text(FIRST, "1");
    assert_eq!(session.heard(FIRST), ["<close>"]);
    assert_eq!(session.events(), closed(CloseReason::TransportClose));
    assert!(session.session.is_finished());
}

#[test]
fn a_ping_of_the_client_closes() {
    for ping in ["2", "2probe"] {
        let mut session = session();
        session.heard(FIRST);
        session.text(FIRST, ping);
        assert_eq!(session.heard(FIRST), ["<close>"]);
        assert_eq!(session.events(), closed(CloseReason::TransportError));
    }
}

#[test]
fn what_is_no_packet_closes() {
    for text in ["", "abc", "7", "b!!!!", " 4"] {
        let mut session = session();
        session.heard(FIRST);
        session.text(FIRST, "4before");
        session.text(FIRST, text);
        session.text(FIRST, "4behind");
        assert_eq!(session.heard(FIRST), ["<close>"], "{text:?}");
        assert_eq!(session.events(), [said("before"), Event::Closed(CloseReason::ParseError)], "{text:?}");
        assert!(session.session.is_finished());
    }
}

#[test]
fn a_broken_frame_closes_with_its_code() {
    for code in [1002, 1007, 1009] {
        let mut session = session();
        session.heard(FIRST);
        session.send("unsent").unwrap();
        session.heard(FIRST);
        session.input(Input::SocketFailed { socket: FIRST, code });
        assert_eq!(session.heard(FIRST), [format!("<close {code}>")]);
        assert_eq!(session.events(), closed(CloseReason::TransportError));
        session.input(Input::SocketFailed { socket: FIRST, code });
        session.input(Input::SocketClosed { socket: FIRST });
        assert!(session.session.is_finished());
    }
}

#[test]
fn a_lost_connection_ends_the_session() {
    let mut session = session();
    session.input(Input::SocketClosed { socket: FIRST });
    assert_eq!(session.events(), closed(CloseReason::TransportClose));
    assert!(session.session.is_finished());
}

#[test]
fn the_closing_handshake_is_answered() {
    let mut session = session();
    session.heard(FIRST);
    session.hang_up(FIRST);
    assert_eq!(session.heard(FIRST), ["<close>"]);
    assert_eq!(session.events(), closed(CloseReason::TransportClose));
    assert!(session.session.is_finished());
}

#[test]
fn a_ping_of_the_socket_is_answered_and_the_last_of_many() {
    let ping = |data: &'static [u8]| Input::SocketMessage {
        socket: FIRST,
        message: WsMessage::Ping(bytes::Bytes::from_static(data)),
    };
    let mut session = session();
    session.heard(FIRST);
    session.input(ping(b"a"));
    assert_eq!(session.heard(FIRST), ["<pong a>"]);
    session.stall(FIRST);
    session.send("first").unwrap();
    session.input(ping(b"b"));
    session.input(ping(b"c"));
    session.resume(FIRST);
    assert_eq!(session.heard(FIRST), ["<pong c>", "4first"]);
    session.input(Input::SocketMessage { socket: FIRST, message: WsMessage::Pong(bytes::Bytes::new()) });
    assert_websocket_lives(&mut session, FIRST);
}

#[test]
fn requests_are_refused() {
    let mut session = session();
    assert_eq!(session.poll(), answer(400, BAD));
    assert_eq!(session.post("4up"), answer(400, BAD));
    assert_websocket_lives(&mut session, FIRST);
}

#[test]
fn requests_after_the_end_find_no_session() {
    let mut session = session();
    session.hang_up(FIRST);
    assert_gone(&mut session);
}

/// A client that has stopped reading must not hold its session by never taking the close frame.
#[test]
fn a_fault_of_a_stalled_client_ends_in_time() {
    let mut session = session();
    session.stall(FIRST);
    session.send("unread").unwrap();
    session.text(FIRST, "abc");
    assert_eq!(session.events(), closed(CloseReason::ParseError));
    assert!(session.serves(FIRST), "the close frame waits for its turn");
    session.pass(Duration::from_secs(30) - MICROSECOND);
    assert!(session.serves(FIRST));
    session.pass(MICROSECOND);
    assert!(session.session.is_finished());
}

#[test]
fn writable_while_the_socket_takes_bytes() {
    let mut session = session();
    assert!(session.session.is_writable());
    session.stall(FIRST);
    assert!(!session.session.is_writable());
    session.input(Input::WriteReady { socket: crate::WebSocketId(99) });
    assert!(!session.session.is_writable(), "another socket's room is none");
    session.resume(FIRST);
    assert!(session.session.is_writable());
    session.hang_up(FIRST);
    assert!(!session.session.is_writable());
}
