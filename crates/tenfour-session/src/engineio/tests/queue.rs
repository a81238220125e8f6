use super::*;
use crate::Frame;

/// A session that doesn't read, with room for this many bytes more.
fn session(room: usize) -> Session {
    let mut session = Session::websocket(Config { send_queue_bytes: room, ..Config::default() });
    session.stall(FIRST);
    assert_eq!(session.session.queued_bytes(), 0);
    session
}

fn cost(text: &str) -> usize {
    size_of::<Frame>() + 1 + text.len()
}

#[test]
fn full_exactly_at_the_bound() {
    let mut session = session(2 * cost("abc"));
    assert_eq!(session.send("abc"), Ok(()));
    assert_eq!(session.send("ab"), Ok(()));
    assert_eq!(session.session.queued_bytes(), 2 * cost("abc") - 1);
    assert!(session.session.has_capacity());
    assert_eq!(session.send("abc"), Ok(()), "what is sent below the bound is taken whole");
    assert!(!session.session.has_capacity());
    assert_eq!(session.send(""), Err(SendError::Full));
    session.resume(FIRST);
    assert_eq!(session.heard(FIRST)[1..], ["4abc", "4ab", "4abc"]);
    assert_eq!(session.session.queued_bytes(), 0);
    assert_eq!(session.send("abc"), Ok(()));
}

#[test]
fn at_the_bound_is_full() {
    let mut session = session(2 * cost("abc"));
    assert_eq!(session.send("abc"), Ok(()));
    assert_eq!(session.send("abc"), Ok(()));
    assert_eq!(session.send(""), Err(SendError::Full));
}

#[test]
fn frames_are_all_taken_or_none() {
    let frames = [Frame::Text("4a".into()), Frame::Binary("b".into()), Frame::Binary("c".into())];
    let mut session = session(1);
    session.call(|session, _| session.send_frames(&frames)).unwrap();
    let queued = session.session.queued_bytes();
    assert_eq!(session.call(|session, _| session.send_frames(&frames)), Err(SendError::Full));
    assert_eq!(session.session.queued_bytes(), queued);
    session.resume(FIRST);
    assert_eq!(session.heard(FIRST)[1..], ["4a", "<98>", "<99>"]);
}

#[test]
fn pings_pass_a_full_queue() {
    let mut session = session(1);
    session.send("a").unwrap();
    session.pass(25 * SECOND);
    session.resume(FIRST);
    assert_eq!(session.heard(FIRST)[1..], ["4a", "2"]);
}

#[test]
fn empty_messages_cost_something() {
    let mut session = session(10_000);
    let sent = (0..).take_while(|_| session.send("").is_ok()).count();
    assert!(sent <= 10_000 / size_of::<Frame>() + 1, "{sent}");
}

/// A client that answers pings which it never fetched must not pile them up.
#[test]
fn control_packets_pass_the_bound_by_a_reserve_only() {
    let mut session = Session::polling(Config { send_queue_bytes: 1, ..Config::default() });
    session.send("unread").unwrap();
    let mut most = 0;
    while session.end().is_none() {
        session.pass(25 * SECOND);
        session.post("3");
        most = most.max(session.session.queued_bytes());
        assert!(most < 100_000, "still there with {most} bytes of pings");
    }
    assert_eq!(session.end(), Some(CloseReason::SlowConsumer));
    assert!(most > 1000);
}

#[test]
fn payloads_are_read_from_the_queue_byte_for_byte() {
    let mut session = Session::polling(Config { send_queue_bytes: usize::MAX, ..Config::default() });
    let texts: Vec<_> = (0..1000).map(|number| format!("{number}:{}", "x".repeat(number % 300))).collect();
    for text in &texts {
        session.send(text).unwrap();
    }
    let (status, body) = session.poll();
    assert_eq!(status, 200);
    assert_eq!(body, texts.iter().map(|text| format!("4{text}")).collect::<Vec<_>>().join("\u{1e}"));
    assert_eq!(session.session.queued_bytes(), 0);
}
