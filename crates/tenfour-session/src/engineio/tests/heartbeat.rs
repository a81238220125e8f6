use super::*;

fn at(seconds: u64) -> Option<Instant> {
    Some(Instant::ZERO + Duration::from_secs(seconds))
}

fn session() -> Session {
    let mut session = Session::websocket(Config::default());
    session.heard(FIRST);
    session
}

/// A session that has just got its first ping.
fn pinged() -> Session {
    let mut session = session();
    session.pass(25 * SECOND);
    assert_eq!(session.heard(FIRST), ["2"]);
    session
}

#[test]
fn the_first_ping_comes_after_the_interval() {
    let mut session = session();
    assert_eq!(session.session.poll_timeout(), at(25));
    session.pass(25 * SECOND - MICROSECOND);
    assert_eq!(session.heard(FIRST), [""; 0]);
    session.pass(MICROSECOND);
    assert_eq!(session.heard(FIRST), ["2"]);
    assert_eq!(session.session.poll_timeout(), at(45));
}

#[test]
fn the_next_ping_is_armed_by_the_pong() {
    let mut session = pinged();
    session.pass(7 * SECOND);
    session.text(FIRST, "3");
    assert_eq!(session.session.poll_timeout(), at(25 + 7 + 25));
}

#[test]
fn a_pong_nobody_asked_for_changes_nothing() {
    let mut session = session();
    session.pass(10 * SECOND);
    session.text(FIRST, "3");
    assert_eq!(session.session.poll_timeout(), at(25));
    assert_websocket_lives(&mut session, FIRST);
}

#[test]
fn without_a_pong_the_session_ends_to_the_microsecond() {
    let mut session = pinged();
    session.pass(20 * SECOND - MICROSECOND);
    assert_eq!(session.end(), None);
    session.pass(MICROSECOND);
    assert_eq!(session.events(), closed(CloseReason::PingTimeout));
    assert!(!session.serves(FIRST), "the client is not there to be told");
    assert_eq!(session.heard(FIRST), [""; 0]);
    assert!(session.session.is_finished());
}

#[test]
fn a_pong_at_the_last_moment_counts() {
    let mut session = pinged();
    session.pass(20 * SECOND - MICROSECOND);
    session.text(FIRST, "3");
    session.pass(25 * SECOND - MICROSECOND);
    assert_eq!(session.heard(FIRST), [""; 0]);
    session.pass(MICROSECOND);
    assert_eq!(session.heard(FIRST), ["2"]);
}

#[test]
fn hearing_something_earns_one_more_timeout_and_no_second_one() {
    for packet in ["4hi", "6", "bAQID"] {
        let mut session = pinged();
        session.pass(SECOND);
        session.text(FIRST, packet);
        session.text(FIRST, packet);
        assert_eq!(session.session.poll_timeout(), at(45), "{packet}");
        session.pass(19 * SECOND);
        assert_eq!(session.session.poll_timeout(), at(65), "{packet}");
        session.text(FIRST, packet);
        session.pass(20 * SECOND - MICROSECOND);
        assert_eq!(session.end(), None, "{packet}");
        session.pass(MICROSECOND);
        assert_eq!(session.end(), Some(CloseReason::PingTimeout), "{packet}");
    }
}

#[test]
fn what_came_before_the_ping_earns_nothing() {
    let mut session = session();
    session.pass(25 * SECOND - MICROSECOND);
    session.text(FIRST, "4hi");
    session.pass(MICROSECOND + 20 * SECOND);
    assert_eq!(session.end(), Some(CloseReason::PingTimeout));
}

#[test]
fn each_ping_has_its_own_extension() {
    let mut session = pinged();
    session.text(FIRST, "4hi");
    session.pass(30 * SECOND);
    session.text(FIRST, "3");
    session.pass(25 * SECOND);
    assert_eq!(session.heard(FIRST), ["2"]);
    session.text(FIRST, "4hi");
    session.pass(40 * SECOND - MICROSECOND);
    assert_eq!(session.end(), None);
    session.pass(MICROSECOND);
    assert_eq!(session.end(), Some(CloseReason::PingTimeout));
}

#[test]
fn a_ping_waits_for_a_poll() {
    let mut session = Session::polling(Config::default());
    session.pass(26 * SECOND);
    assert_eq!(session.poll(), answer(200, "2"));
    assert_eq!(session.post("3"), ok());
    assert_eq!(session.session.poll_timeout(), at(26 + 25));
}

#[test]
fn a_polling_client_that_stays_away_is_gone() {
    let mut session = Session::polling(Config::default());
    session.pass(45 * SECOND);
    assert_eq!(session.events(), closed(CloseReason::PingTimeout));
    assert_gone(&mut session);
}

#[test]
fn a_poll_that_waits_is_freed_at_the_ping_timeout() {
    let mut session = Session::polling(Config::default());
    let first = session.get();
    session.pass(25 * SECOND);
    assert_eq!(session.answer(first), answer(200, "2"));
    let poll = session.get();
    session.pass(20 * SECOND);
    assert_eq!(session.answer(poll), answer(200, "1"));
    assert_gone(&mut session);
}

#[test]
fn the_heartbeat_goes_on_across_the_upgrade() {
    let mut session = Session::polling(Config::default());
    session.pass(25 * SECOND);
    let socket = session.connect();
    session.text(socket, "2probe");
    session.text(socket, "5");
    assert_eq!(session.heard(socket), ["3probe", "2"]);
    session.text(socket, "3");
    assert_eq!(session.session.poll_timeout(), at(50));
}

/// Nothing is taken for the client, so nothing tells that it reads; the time runs all the same.
#[test]
fn a_client_that_stops_reading_ends_at_the_ping_timeout() {
    let mut session = session();
    session.stall(FIRST);
    for _ in 0..100 {
        session.send("unread").unwrap();
    }
    session.pass(45 * SECOND - MICROSECOND);
    assert_eq!(session.end(), None);
    session.pass(MICROSECOND);
    assert_eq!(session.events(), closed(CloseReason::PingTimeout));
    assert_eq!(session.session.queued_bytes(), 0);
    assert!(session.session.is_finished());
}

#[test]
fn a_driver_that_is_late_gives_the_client_its_whole_timeout() {
    let mut session = session();
    session.now = Instant::ZERO + 100 * SECOND;
    session.call(|session, now| session.handle_timeout(now));
    assert_eq!(session.heard(FIRST), ["2"]);
    assert_eq!(session.session.poll_timeout(), at(120));
}

/// The time in which nothing was read doesn't count, since a pong may have lain unread.
#[test]
fn time_rests_while_nothing_is_read() {
    let config = Config { inbound_bytes: 1, ..Config::default() };
    let mut session = Session::websocket(config);
    session.heard(FIRST);
    session.pass(10 * SECOND);
    session.text(FIRST, "4hi");
    assert!(!session.session.accepts_input());
    assert_eq!(session.session.poll_timeout(), at(10 + 45), "to see whether the client reads");
    session.pass(1000 * SECOND);
    assert_eq!(session.heard(FIRST), [""; 0]);

    let cost = Message::Text("hi".into()).cost();
    session.call(|session, now| session.consumed(now, cost));
    assert!(session.session.accepts_input());
    assert_eq!(session.session.poll_timeout(), at(25 + 1000));
    session.pass(15 * SECOND);
    assert_eq!(session.heard(FIRST), ["2"]);

    session.pass(5 * SECOND);
    session.text(FIRST, "4hi");
    session.pass(1000 * SECOND);
    session.call(|session, now| session.consumed(now, cost));
    // The pong's time had 15 s left, and what was heard has earned 20 more.
    session.pass(35 * SECOND - MICROSECOND);
    assert_eq!(session.end(), None);
    session.pass(MICROSECOND);
    assert_eq!(session.end(), Some(CloseReason::PingTimeout));
}

/// The layer above waits for room in the queue, and the client's further messages for the layer above: if the client takes
/// nothing, neither side moves, and no pong is read.
#[test]
fn who_is_not_read_and_reads_nothing_is_given_up() {
    let config = Config { inbound_bytes: 1, ..Config::default() };
    let mut session = Session::websocket(config.clone());
    session.heard(FIRST);
    session.stall(FIRST);
    session.text(FIRST, "4hi");
    session.send("queued").unwrap();
    // The first look finds something queued, the second one the same.
    session.pass(90 * SECOND - MICROSECOND);
    assert_eq!(session.end(), None);
    session.pass(MICROSECOND);
    assert_eq!(session.end(), Some(CloseReason::PingTimeout));

    let mut polling = Session::polling(config);
    polling.answered();
    polling.post("4hi");
    polling.send("queued").unwrap();
    polling.pass(90 * SECOND);
    assert_eq!(polling.end(), Some(CloseReason::PingTimeout));
}

#[test]
fn who_is_not_read_and_reads_slowly_is_waited_for() {
    let config = Config { inbound_bytes: 1, ..Config::default() };
    let mut session = Session::websocket(config);
    session.heard(FIRST);
    session.text(FIRST, "4hi");
    for _ in 0..100 {
        session.stall(FIRST);
        session.send("queued").unwrap();
        session.pass(44 * SECOND);
        assert_eq!(session.end(), None);
        session.resume(FIRST);
        assert_eq!(session.heard(FIRST), ["4queued"]);
    }
}

#[test]
fn a_heartbeat_may_be_as_long_as_one_likes() {
    let config = Config { ping_interval: Duration::MAX, ..Config::default() };
    let mut session = Session::websocket(config);
    session.pass(Duration::from_secs(1 << 40));
    assert_websocket_lives(&mut session, FIRST);
}

#[test]
fn reasons_read_as_stock_servers_say_them() {
    use CloseReason::*;
    let rows = [
        (TransportClose, "transport close"),
        (TransportError, "transport error"),
        (PingTimeout, "ping timeout"),
        (ParseError, "parse error"),
        (ServerClose, "forced server close"),
        (Shutdown, "server shutting down"),
        (SlowConsumer, "slow consumer"),
    ];
    for (reason, text) in rows {
        assert_eq!(format!("{reason}"), text);
    }
}
