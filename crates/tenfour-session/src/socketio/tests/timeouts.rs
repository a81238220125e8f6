use super::*;

fn quiet() -> Config {
    config(|engine| engine.ping_interval = Duration::from_secs(10_000))
}

#[test]
fn who_joins_nothing_is_closed_in_time() {
    let mut session = session_with(quiet());
    assert_eq!(session.session.poll_timeout(), Some(Instant::ZERO + 45 * SECOND));
    session.pass(45 * SECOND - MICROSECOND);
    assert_eq!(session.end(), None);
    session.pass(MICROSECOND);
    assert_eq!(session.events(), [Event::Closed(CloseReason::ServerClose)]);
    assert_eq!(session.heard(FIRST), ["<close>"]);
}

#[test]
fn a_polling_client_that_joins_nothing_is_told() {
    let mut session = Session::socketio_polling(quiet());
    let poll = session.get();
    session.pass(45 * SECOND);
    assert_eq!(session.answer(poll), (200, "1".into()));
}

#[test]
fn a_namespace_that_does_not_exist_is_none_joined() {
    let mut session = session_with(quiet());
    session.text(FIRST, "40/nowhere,");
    session.events();
    session.call(|session, _| session.refuse("/nowhere", &ConnectError::invalid_namespace()));
    session.pass(45 * SECOND - MICROSECOND);
    assert_eq!(session.end(), None);
    session.pass(MICROSECOND);
    assert_eq!(session.end(), Some(CloseReason::ServerClose));
}

#[test]
fn the_time_runs_until_the_client_is_let_in() {
    let mut session = session_with(quiet());
    session.text(FIRST, "40");
    assert_eq!(session.events(), [connect("/")]);
    session.pass(45 * SECOND);
    assert_eq!(session.end(), Some(CloseReason::ServerClose));
    assert!(!session.call(|session, _| session.accept("/", "id")));
}

#[test]
fn who_has_joined_once_may_stay_without() {
    let mut session = joined_with(quiet());
    session.text(FIRST, "41");
    assert_eq!(session.events(), [disconnect("/")]);
    session.pass(1000 * SECOND);
    session.text(FIRST, "40");
    session.admit("/");
    assert_lives(&mut session);
}

#[test]
fn attachments_have_their_time_from_their_packet_on() {
    let mut session = joined_with(quiet());
    session.pass(7 * SECOND);
    session.text(FIRST, r#"452-["x",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]"#);
    session.pass(10 * SECOND);
    session.binary(FIRST, &[1]);
    assert_eq!(session.session.poll_timeout(), Some(Instant::ZERO + 27 * SECOND), "one by one earns nothing");
    session.pass(10 * SECOND - MICROSECOND);
    assert_eq!(session.end(), None);
    session.pass(MICROSECOND);
    assert_eq!(session.events(), [Event::Closed(CloseReason::ServerClose)]);
}

#[test]
fn attachments_that_came_are_late_no_more() {
    let mut session = joined_with(quiet());
    session.text(FIRST, r#"451-["x",{"_placeholder":true,"num":0}]"#);
    session.binary(FIRST, &[1]);
    session.events();
    assert_eq!(session.session.poll_timeout(), Some(Instant::ZERO + 10_000 * SECOND));
    session.pass(5 * SECOND);
    session.text(FIRST, r#"451-["x",{"_placeholder":true,"num":0}]"#);
    session.pass(20 * SECOND - MICROSECOND);
    session.binary(FIRST, &[1]);
    assert_eq!(session.events().len(), 1);
    session.pass(100 * SECOND);
    assert_lives(&mut session);
}

#[test]
fn nobody_is_late_while_nothing_is_read() {
    let mut config = config(|engine| {
        engine.ping_interval = Duration::from_secs(10_000);
        engine.inbound_bytes = 1;
    });
    config.connect_timeout = 30 * SECOND;
    let mut session = session_with(config);
    session.pass(10 * SECOND);
    session.text(FIRST, "40/a,");
    assert!(!session.session.accepts_input());
    session.pass(1000 * SECOND);
    let cost = session.events()[0].cost();
    session.call(|session, now| session.consumed(now, cost));
    assert_eq!(session.session.poll_timeout(), Some(Instant::ZERO + 1030 * SECOND));
    session.call(|session, _| session.accept("/a", "id"));

    // The packet comes together with another one that stops the reading.
    let mut session = session;
    session.text(FIRST, r#"42/a,["x"]"#);
    session.text(FIRST, r#"451-/a,["x",{"_placeholder":true,"num":0}]"#);
    session.pass(1000 * SECOND);
    let cost = session.events()[0].cost();
    session.call(|session, now| session.consumed(now, cost));
    session.pass(20 * SECOND - MICROSECOND);
    assert_eq!(session.end(), None);
}
