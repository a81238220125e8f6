use super::*;

fn close(session: &mut Session) {
    session.call(|session, now| session.close(now, CloseReason::ServerClose));
    assert_eq!(session.events(), closed(CloseReason::ServerClose));
}

#[test]
fn a_poll_that_waits_is_told() {
    let mut session = Session::polling(Config::default());
    let poll = session.get();
    close(&mut session);
    assert_eq!(session.answer(poll), answer(200, "1"));
    assert_gone(&mut session);
}

/// Stock clients act on a close packet before they act on the messages of the same payload.
#[test]
fn the_next_poll_gets_what_was_queued_and_the_one_after_it_the_end() {
    let mut session = Session::polling(Config::default());
    session.send("a").unwrap();
    session.send("b").unwrap();
    close(&mut session);
    assert!(!session.session.is_finished());
    assert_eq!(session.poll(), answer(200, "4a\u{1e}4b"));
    assert!(!session.session.is_finished());
    assert_eq!(session.poll(), answer(200, "1"));
    assert_gone(&mut session);
}

#[test]
fn an_end_of_many_answers() {
    let mut config = Config::default();
    config.limits.payload_bytes = 2;
    let mut session = Session::polling(config);
    session.send("a").unwrap();
    session.send("b").unwrap();
    close(&mut session);
    for body in ["4a", "4b", "1"] {
        assert!(!session.session.is_finished());
        assert_eq!(session.poll(), answer(200, body));
    }
    assert_gone(&mut session);
}

#[test]
fn a_websocket_gets_what_was_queued_and_the_end() {
    let mut session = Session::websocket(Config::default());
    session.heard(FIRST);
    session.stall(FIRST);
    session.send("a").unwrap();
    session.send("b").unwrap();
    close(&mut session);
    assert!(session.serves(FIRST));
    session.resume(FIRST);
    assert_eq!(session.heard(FIRST), ["4a", "4b", "<close>"]);
    assert!(!session.serves(FIRST));
    assert!(session.session.is_finished());
}

#[test]
fn nothing_is_accepted_behind_the_end() {
    let mut session = Session::websocket(Config::default());
    session.stall(FIRST);
    close(&mut session);
    assert_eq!(session.send("late"), Err(SendError::Closed));
    session.text(FIRST, "4late");
    session.text(FIRST, "abc");
    assert_eq!(session.events(), []);
    session.call(|session, now| session.close(now, CloseReason::Shutdown));
    assert_eq!(session.events(), []);
    session.resume(FIRST);
    assert_eq!(session.heard(FIRST).last().unwrap(), "<close>");
}

#[test]
fn who_does_not_fetch_the_end_in_time_is_forgotten() {
    for mut session in [Session::polling(Config::default()), Session::websocket(Config::default())] {
        if session.serves(FIRST) {
            session.stall(FIRST);
        }
        session.send("unread").unwrap();
        close(&mut session);
        session.pass(30 * SECOND - MICROSECOND);
        assert!(!session.session.is_finished());
        session.pass(MICROSECOND);
        assert!(session.session.is_finished());
        assert_eq!(session.session.queued_bytes(), 0);
    }
}

#[test]
fn the_time_to_fetch_the_end_runs_from_the_first_end() {
    let mut session = Session::websocket(Config::default());
    session.stall(FIRST);
    close(&mut session);
    session.pass(20 * SECOND);
    session.hang_up(FIRST);
    session.input(Input::SocketFailed { socket: FIRST, code: 1002 });
    session.pass(10 * SECOND - MICROSECOND);
    assert!(!session.session.is_finished());
    session.pass(MICROSECOND);
    assert!(session.session.is_finished());
}

#[test]
fn the_clients_end_ends_the_wait_for_it() {
    let mut session = Session::websocket(Config::default());
    session.stall(FIRST);
    session.send("unread").unwrap();
    close(&mut session);
    session.input(Input::SocketClosed { socket: FIRST });
    assert!(session.session.is_finished());
}

/// Both sides close at once: what is queued needs no sending, but the closing handshake is completed.
#[test]
fn both_sides_close() {
    let mut session = Session::websocket(Config::default());
    session.heard(FIRST);
    session.stall(FIRST);
    session.send("unread").unwrap();
    close(&mut session);
    session.hang_up(FIRST);
    session.resume(FIRST);
    assert_eq!(session.heard(FIRST), ["<close>"]);
    assert!(session.session.is_finished());
}

/// The client can't know yet: refusing what it posts would make it give up its poll, and with it what is queued.
#[test]
fn a_post_during_the_close_is_taken_and_not_looked_at() {
    let mut session = Session::polling(Config::default());
    let early = session.open_post();
    session.send("last").unwrap();
    close(&mut session);
    session.input(Input::PostBody { request: early, body: "4early".into() });
    assert_eq!(session.answer(early), ok());
    assert_eq!(session.post("4late"), ok());
    assert_eq!(session.events(), []);
    let pending = session.open_post();
    assert_eq!(session.poll(), answer(200, "4last"));
    assert!(session.is_pending(pending));
    assert_eq!(session.poll(), answer(200, "1"));
    assert_eq!(session.answer(pending), ok());
    assert_gone(&mut session);
}

#[test]
fn an_abort_sends_nothing_more() {
    let mut session = Session::websocket(Config::default());
    session.heard(FIRST);
    session.stall(FIRST);
    session.send("unread").unwrap();
    session.call(|session, _| session.abort(CloseReason::SlowConsumer));
    session.resume(FIRST);
    assert_eq!(session.heard(FIRST), [""; 0]);
    assert_eq!(session.events(), closed(CloseReason::SlowConsumer));
    assert!(session.session.is_finished());
}

#[test]
fn an_abort_frees_requests() {
    let mut session = Session::polling(Config::default());
    let (poll, post) = (session.get(), session.open_post());
    session.call(|session, _| session.abort(CloseReason::SlowConsumer));
    assert_eq!(session.answer(poll), answer(200, "1"));
    assert_eq!(session.answer(post), answer(400, GONE));
    assert_gone(&mut session);
}

#[test]
fn an_abort_ends_a_close_that_waits() {
    let mut session = Session::websocket(Config::default());
    session.stall(FIRST);
    close(&mut session);
    session.call(|session, _| session.abort(CloseReason::SlowConsumer));
    assert_eq!(session.events(), []);
    assert!(session.session.is_finished());
}

/// A client sends its last poll and its close at the same moment, on two connections.
#[test]
fn a_poll_that_the_clients_close_has_overtaken_is_freed() {
    let mut session = Session::polling(Config::default());
    session.send("unread").unwrap();
    assert_eq!(session.post("1"), answer(200, "ok"));
    assert_eq!(session.events(), closed(CloseReason::TransportClose));
    assert_eq!(session.poll(), answer(200, "6"));
    assert_gone(&mut session);
}

#[test]
fn a_poll_that_the_clients_close_might_have_overtaken_is_not_awaited_for_long() {
    let mut session = Session::polling(Config::default());
    session.post("1");
    session.events();
    session.pass(SECOND - MICROSECOND);
    assert!(!session.session.is_finished());
    session.pass(MICROSECOND);
    assert!(session.session.is_finished());
}
