mod interleaved;

use super::*;
use crate::WebSocketId;
use tenfour_wire::websocket::Message as WsMessage;

fn session() -> Session {
    Session::polling(Config::default())
}

/// A session whose client may now pause its polling and upgrade.
fn probed() -> (Session, WebSocketId) {
    let mut session = session();
    let socket = session.connect();
    session.text(socket, "2probe");
    assert_eq!(session.heard(socket), ["3probe"]);
    (session, socket)
}

fn upgraded() -> (Session, WebSocketId) {
    let (mut session, socket) = probed();
    session.text(socket, "5");
    assert_eq!(session.session.transport(), TransportKind::WebSocket);
    (session, socket)
}

#[test]
fn a_probe_changes_nothing_until_the_upgrade() {
    let (mut session, socket) = probed();
    assert_eq!(session.post("4up"), ok());
    assert_eq!(texts(&mut session), ["up"]);
    session.send("down").unwrap();
    assert_eq!(session.poll(), answer(200, "4down"));
    session.text(socket, "5");
    assert_eq!(session.heard(socket), [""; 0]);
    assert_websocket_lives(&mut session, socket);
}

#[test]
fn polls_are_freed_once_the_probe_is_answered() {
    let mut session = session();
    let poll = session.get();
    let socket = session.connect();
    assert!(session.is_pending(poll));
    session.text(socket, "2probe");
    assert_eq!(session.answer(poll), answer(200, "6"));
    assert_eq!(session.poll(), answer(200, "6"));
    session.send("down").unwrap();
    assert_eq!(session.poll(), answer(200, "4down"), "a message goes before a noop");
}

#[test]
fn what_is_queued_follows_the_upgrade() {
    let (mut session, socket) = probed();
    session.send("a").unwrap();
    session.call(|session, _| session.send(Message::Binary(vec![1].into()))).unwrap();
    session.text(socket, "5");
    session.send("b").unwrap();
    assert_eq!(session.heard(socket), ["4a", "<1>", "4b"]);
}

#[test]
fn anything_else_on_the_probe_ends_the_probe_alone() {
    let text = |text: &str| WsMessage::Text(text.into());
    let opening =
        [text("2"), text("2probe "), text("5"), text("4hi"), text("3"), text("1"), text(""), text("x")];
    let others = [WsMessage::Binary(vec![1].into()), WsMessage::Close(None)];
    for message in opening.into_iter().chain(others.clone()) {
        let mut session = session();
        let socket = session.connect();
        session.input(Input::SocketMessage { socket, message: message.clone() });
        assert!(!session.serves(socket), "{message:?}");
        assert_polling_lives(&mut session);
    }
    for message in [text("2probe"), text("2"), text("4hi"), text("6")].into_iter().chain(others) {
        let (mut session, socket) = probed();
        session.input(Input::SocketMessage { socket, message: message.clone() });
        assert!(!session.serves(socket), "{message:?}");
        session.text(socket, "5");
        assert_polling_lives(&mut session);
    }
}

#[test]
fn a_lost_or_broken_probe_leaves_polling_alive() {
    let (mut session, socket) = probed();
    session.input(Input::SocketClosed { socket });
    assert_polling_lives(&mut session);
    let socket = session.connect();
    session.input(Input::SocketFailed { socket, code: 1002 });
    assert!(!session.serves(socket));
    assert_polling_lives(&mut session);
}

#[test]
fn a_failed_probe_may_be_followed_by_another() {
    let (mut session, socket) = probed();
    session.text(socket, "4no");
    let second = session.connect();
    session.text(second, "2probe");
    session.text(second, "5");
    assert_websocket_lives(&mut session, second);
}

#[test]
fn a_probe_has_its_time() {
    for answered in ["unanswered", "answered"] {
        let mut session = session();
        let socket = session.connect();
        if answered == "answered" {
            session.text(socket, "2probe");
        }
        session.pass(10 * SECOND - MICROSECOND);
        assert!(session.serves(socket), "{answered}");
        session.pass(MICROSECOND);
        assert!(!session.serves(socket), "{answered}");
        session.text(socket, "5");
        let poll = session.get();
        assert!(session.is_pending(poll), "polls wait again");
        session.send("free").unwrap();
        assert_polling_lives(&mut session);
    }
}

#[test]
fn an_upgraded_session_has_no_upgrade_timeout() {
    let (mut session, socket) = upgraded();
    session.pass(11 * SECOND);
    assert_websocket_lives(&mut session, socket);
}

#[test]
fn a_second_socket_is_not_wanted() {
    let (mut session, socket) = probed();
    let second = session.connect();
    assert!(session.serves(socket) && !session.serves(second));
    session.text(second, "2probe");
    session.text(second, "5");
    session.text(second, "4stray");
    session.input(Input::SocketClosed { socket: second });
    assert_eq!(session.heard(second), [""; 0]);
    session.text(socket, "5");
    let third = session.connect();
    assert!(!session.serves(third));
    session.text(third, "4stray");
    session.hang_up(third);
    assert_websocket_lives(&mut session, socket);
}

#[test]
fn requests_after_the_upgrade_do_not_fit() {
    let (mut session, socket) = upgraded();
    assert_eq!(session.poll(), answer(400, BAD));
    assert_eq!(session.post("4up"), answer(400, BAD));
    assert_websocket_lives(&mut session, socket);
}

/// A driver may pass in much before it asks what it led to.
#[test]
fn a_poll_that_comes_together_with_the_upgrade_is_answered() {
    let (session, socket) = probed();
    let mut session = session.in_batches_of(2);
    session.call(|_, _| ());
    session.call(|_, _| ());
    let poll = session.get();
    session.text(socket, "5");
    assert_eq!(session.answer(poll), answer(200, "6"));
}

/// A client finishes its requests before it upgrades; one that doesn't learns that they came to nothing.
#[test]
fn requests_that_are_pending_at_the_upgrade_are_answered() {
    let (mut session, socket) = probed();
    let post = session.open_post();
    session.text(socket, "5");
    assert_eq!(session.answer(post), answer(400, BAD));
    session.input(Input::PostBody { request: post, body: "4up".into() });
    assert_websocket_lives(&mut session, socket);
}

/// The probe's answer and that to a ping of the WebSocket itself may both wait for the socket's room.
#[test]
fn a_ping_of_the_socket_does_not_displace_the_probe() {
    let ping = |socket| Input::SocketMessage { socket, message: WsMessage::Ping("p".into()) };
    let mut session = session();
    let socket = session.connect();
    session.stall(socket);
    session.text(socket, "2probe");
    session.input(ping(socket));
    session.resume(socket);
    assert_eq!(session.heard(socket), ["<pong p>", "3probe"]);
    session.input(ping(socket));
    assert_eq!(session.heard(socket), ["<pong p>"]);
    session.text(socket, "5");
    assert_websocket_lives(&mut session, socket);
}

#[test]
fn a_ping_of_the_socket_is_answered_across_the_upgrade() {
    let (mut session, socket) = probed();
    session.stall(socket);
    session.input(Input::SocketMessage { socket, message: WsMessage::Ping("p".into()) });
    session.text(socket, "5");
    session.resume(socket);
    assert_eq!(session.heard(socket), ["<pong p>"]);
}

/// Who upgrades before the answer to its probe has left knows nothing of the socket.
#[test]
fn an_upgrade_before_the_answer_ends_the_probe() {
    let mut session = session();
    let socket = session.connect();
    session.stall(socket);
    session.text(socket, "2probe");
    session.text(socket, "5");
    assert!(!session.serves(socket));
    assert_polling_lives(&mut session);
}

#[test]
fn an_upgrade_that_is_withheld() {
    let withheld = Config { upgrade: Upgrade::Withheld, ..Config::default() };
    let disabled = Config { transports: Transports::Only(TransportKind::Polling), ..Config::default() };
    for config in [withheld, disabled] {
        let mut session = Session::polling(config);
        assert!(session.answer(crate::RequestId(0)).1.contains(r#""upgrades":[],"#));
        let socket = session.connect();
        assert!(!session.serves(socket));
        session.text(socket, "2probe");
        assert_eq!(session.heard(socket), [""; 0]);
        assert_polling_lives(&mut session);
    }
}

#[test]
fn the_end_of_polling_is_the_end_of_the_probe() {
    let (mut session, socket) = probed();
    assert_eq!(session.post("1"), ok());
    assert!(!session.serves(socket));
    session.text(socket, "5");
    assert_eq!(session.poll(), answer(200, "6"));
    assert_gone(&mut session);
}

/// A client that upgrades has paused its polling: only the socket can still bring it what is queued.
#[test]
fn a_close_during_the_probe_is_told_over_the_socket() {
    let (mut session, socket) = probed();
    session.send("last").unwrap();
    session.call(|session, now| session.close(now, CloseReason::ServerClose));
    assert!(session.serves(socket));
    session.text(socket, "5");
    assert_eq!(session.heard(socket), ["4last", "<close>"]);
    assert_eq!(session.events(), closed(CloseReason::ServerClose));
    assert!(session.session.is_finished());
}

#[test]
fn a_close_during_the_probe_is_told_to_a_poll_that_comes_first() {
    let (mut session, socket) = probed();
    session.send("last").unwrap();
    session.call(|session, now| session.close(now, CloseReason::ServerClose));
    assert_eq!(session.poll(), answer(200, "4last"));
    assert_eq!(session.poll(), answer(200, "1"));
    assert!(!session.serves(socket));
    assert_gone(&mut session);
}
