//! How much may be with the application at once.

use super::*;

/// Room for two and a bit of these.
const EVENT: &str = r#"42["x",1]"#;

fn cost() -> usize {
    event("x", "1").cost()
}

fn session() -> Session {
    joined_with(config(|engine| engine.inbound_bytes = 2 * cost()))
}

#[test]
fn input_stops_exactly_at_the_bound_and_resumes_below_it() {
    let mut session = session();
    session.text(FIRST, EVENT);
    session.text(FIRST, r#"42["x"]"#);
    assert!(session.session.accepts_input(), "one byte is left");
    session.call(|session, now| session.consumed(now, event("x", "").cost()));
    session.text(FIRST, EVENT);
    assert!(!session.session.accepts_input());
    session.call(|session, now| session.consumed(now, 0));
    assert!(!session.session.accepts_input());
    session.call(|session, now| session.consumed(now, 1));
    assert!(session.session.accepts_input());
}

#[test]
fn what_comes_with_one_input_is_handed_out_whole() {
    let mut session = Session::socketio_polling(config(|engine| engine.inbound_bytes = 2 * cost()));
    session.post("40");
    session.admit("/");
    assert_eq!(session.post(&[EVENT; 100].join("\u{1e}")), (200, "ok".into()));
    assert_eq!(session.events().len(), 100);
    assert!(!session.session.accepts_input());
    session.call(|session, now| session.consumed(now, 98 * cost()));
    assert!(!session.session.accepts_input());
    session.call(|session, now| session.consumed(now, cost()));
    assert!(session.session.accepts_input());
}

#[test]
fn acknowledgements_cost_nothing() {
    let mut session = session();
    for _ in 0..100 {
        session.text(FIRST, "431[1,2,3]");
    }
    assert!(session.session.accepts_input());
    assert_eq!(session.events().iter().map(Event::cost).sum::<usize>(), 0);
}

/// Whoever joins and leaves all the time makes work like anybody else.
#[test]
fn joining_and_leaving_cost_something() {
    let mut session = joined_with(config(|engine| engine.inbound_bytes = connect("/a").cost() + 1));
    session.text(FIRST, "40/a,");
    assert!(session.session.accepts_input());
    session.text(FIRST, "41/a,");
    assert!(!session.session.accepts_input());
    let costs: usize = session.events().iter().map(Event::cost).sum();
    session.call(|session, now| session.consumed(now, costs));
    assert!(session.session.accepts_input());
    session.call(|session, now| session.consumed(now, 0));
    session.text(FIRST, r#"42["x"]"#);
    assert!(session.session.accepts_input(), "what was given back is there again, to the byte");
}

#[test]
fn what_is_ignored_costs_nothing() {
    let mut session = session();
    session.call(|session, _| session.disconnect("/"));
    for _ in 0..100 {
        session.text(FIRST, EVENT);
        session.text(FIRST, "42");
    }
    assert!(session.session.accepts_input());
}

#[test]
fn attachments_count_once_they_are_there() {
    let mut session = session();
    session.text(FIRST, r#"451-["x",{"_placeholder":true,"num":0}]"#);
    assert!(session.session.accepts_input());
    session.binary(FIRST, &vec![0; 2 * cost()]);
    assert!(!session.session.accepts_input());
    let events = session.events();
    assert!(events[0].cost() >= 2 * cost());
    session.call(|session, now| session.consumed(now, events[0].cost()));
    assert!(session.session.accepts_input());
}

/// What is given back twice must not open room for ever.
#[test]
fn giving_back_too_much_is_no_credit() {
    let mut session = session();
    session.call(|session, now| session.consumed(now, usize::MAX));
    session.text(FIRST, EVENT);
    session.text(FIRST, EVENT);
    assert!(!session.session.accepts_input());
}

#[test]
fn a_bound_of_zero_is_one_event_at_a_time() {
    let mut session = joined_with(config(|engine| engine.inbound_bytes = 0));
    assert!(session.session.accepts_input());
    session.text(FIRST, EVENT);
    assert!(!session.session.accepts_input());
    session.call(|session, now| session.consumed(now, cost()));
    assert!(session.session.accepts_input());
}
