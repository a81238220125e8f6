use super::*;

#[test]
fn a_disconnect_behind_an_event_in_one_payload() {
    let mut session = Session::socketio_polling(Config::default());
    session.post("40");
    session.admit("/");
    let payload = ["42[\"last\"]", "41", "1"].join("\u{1e}");
    assert_eq!(session.post(&payload), (200, "ok".into()));
    assert_eq!(
        session.events(),
        [event("last", ""), disconnect("/"), Event::Closed(CloseReason::TransportClose)]
    );
}

#[test]
fn what_stands_behind_a_fault_does_not_count() {
    let mut session = Session::socketio_polling(Config::default());
    session.post("40");
    session.admit("/");
    let payload = ["42[\"before\"]", "42{}", "42[\"behind\"]", "1"].join("\u{1e}");
    session.post(&payload);
    assert_eq!(session.events(), [event("before", ""), Event::Closed(CloseReason::TransportClose)]);
    let payload = ["42[\"before\"]", "42{}", "42[\"behind\"]"].join("\u{1e}");
    let mut session = Session::socketio_polling(Config::default());
    session.post("40");
    session.admit("/");
    session.post(&payload);
    assert_eq!(session.events(), [event("before", ""), Event::Closed(CloseReason::ParseError)]);
}

#[test]
fn the_end_is_the_end_of_every_namespace() {
    let mut session = joined();
    session.text(FIRST, "40/a,");
    assert_eq!(session.events(), [connect("/a")]);
    session.input(Input::SocketClosed { socket: FIRST });
    assert_eq!(session.events(), [Event::Closed(CloseReason::TransportClose)]);
    assert!(!session.call(|session, _| session.accept("/a", "id")));
    assert!(!session.call(|session, _| session.disconnect("/")));
    assert_eq!(session.call(|session, _| session.send(&outgoing("x", ""))), Err(SendError::Closed));
    assert!(session.session.is_finished());
}

#[test]
fn a_close_sends_what_is_queued() {
    let mut session = joined();
    session.stall(FIRST);
    session.call(|session, _| session.send(&outgoing("last", ""))).unwrap();
    session.call(|session, now| session.close(now, CloseReason::Shutdown));
    assert_eq!(session.events(), [Event::Closed(CloseReason::Shutdown)]);
    session.text(FIRST, r#"42["late"]"#);
    session.text(FIRST, "4abc");
    session.resume(FIRST);
    assert_eq!(session.heard(FIRST), [r#"42["last"]"#, "<close>"]);
    assert_eq!(session.events(), []);
}

#[test]
fn an_abort_sends_nothing() {
    let mut session = joined();
    session.stall(FIRST);
    session.call(|session, _| session.send(&outgoing("unsent", ""))).unwrap();
    session.call(|session, _| session.abort(CloseReason::SlowConsumer));
    session.call(|session, now| session.close(now, CloseReason::Shutdown));
    session.resume(FIRST);
    assert_eq!(session.heard(FIRST), [""; 0]);
    assert_eq!(session.events(), [Event::Closed(CloseReason::SlowConsumer)]);
}

#[test]
fn a_full_queue_takes_what_the_protocol_says() {
    let mut session = joined_with(config(|engine| engine.send_queue_bytes = 1));
    session.stall(FIRST);
    session.call(|session, _| session.send(&outgoing("a", ""))).unwrap();
    assert_eq!(session.call(|session, _| session.send(&outgoing("b", ""))), Err(SendError::Full));
    session.text(FIRST, "40/a,");
    session.admit("/a");
    assert!(session.call(|session, _| session.disconnect("/a")));
    session.resume(FIRST);
    assert_eq!(session.heard(FIRST), [r#"42["a"]"#, r#"40/a,{"sid":"id"}"#, "41/a,"]);
}

#[test]
fn messages_and_namespaces_survive_the_upgrade() {
    let mut session = Session::socketio_polling(Config::default());
    session.post("40");
    session.admit("/");
    let socket = session.connect();
    session.text(socket, "2probe");
    session.call(|session, _| session.send(&outgoing("a", ""))).unwrap();
    session.text(socket, "5");
    session.call(|session, _| session.send(&outgoing("b", ""))).unwrap();
    assert_eq!(session.heard(socket), ["3probe", r#"40{"sid":"id"}"#, r#"42["a"]"#, r#"42["b"]"#]);
    session.text(socket, r#"42["up"]"#);
    assert_eq!(session.events(), [event("up", "")]);
}
