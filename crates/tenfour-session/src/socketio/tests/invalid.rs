//! What a client should not send, kind by kind, with where we answer otherwise than JavaScript's server does.

use super::*;

/// Each of these, after CONNECT, ends the connection.
fn faults(texts: &[&str]) {
    for text in texts {
        let mut session = joined();
        session.text(FIRST, text);
        assert_faulted(&mut session, text);
    }
}

#[test]
fn an_unknown_packet_type() {
    faults(&["4abc", "47", r#"49["x"]"#, r#"4 2["x"]"#, r#"4-2["x"]"#]);
}

#[test]
fn an_empty_message() {
    faults(&["4"]);
}

#[test]
fn an_event_that_is_no_array() {
    faults(&["42{}", r#"42{"a":1}"#, r#"42"x""#, "42null", "42true"]);
}

#[test]
fn an_event_without_a_name() {
    faults(&["42[]", "42[null]", "42[true]", "42[{}]", r#"42[["x"]]"#, r#"42[{"toString":"foo"}]"#]);
}

#[test]
fn an_event_with_a_reserved_name() {
    for name in ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"] {
        faults(&[&format!(r#"42["{name}"]"#), &format!(r#"42["{name}",1]"#)]);
    }
    faults(&[r#"42["\u0063onnect"]"#]);
}

#[test]
fn an_event_with_junk_before_its_array() {
    faults(&[r#"42abc["x"]"#, r#"42-1["x"]"#, r#"42+1["x"]"#, r#"421.5["x"]"#, r#"420x1["x"]"#]);
}

#[test]
fn an_acknowledgement_that_is_no_array() {
    faults(&["431{}", "431null", r#"431"x""#, "43[]", "43"]);
}

#[test]
fn a_disconnect_with_a_payload() {
    faults(&["41{}", "41[]", "41null"]);
}

#[test]
fn json_that_is_none() {
    faults(&[
        r#"42["x"#,
        r#"42["x","#,
        r#"42["x",]"#,
        r#"42["x",nul]"#,
        r#"42["x" "y"]"#,
        r#"42['x']"#,
        "431[",
        "431[,]",
    ]);
}

#[test]
fn something_behind_the_json() {
    faults(&[r#"42["x"]y"#, r#"42["x"]["y"]"#, r#"42["x"]]"#, "431[]1"]);
}

/// Accepted by JavaScript's server, too: an event without a name, which nobody can have a handler for.
#[test]
fn an_event_without_a_payload_means_nothing() {
    let mut session = joined();
    session.text(FIRST, "42");
    session.text(FIRST, "421");
    assert_lives(&mut session);
}

#[test]
fn an_acknowledgement_without_a_payload_has_no_arguments() {
    let mut session = joined();
    session.text(FIRST, "431");
    assert_eq!(session.events(), [ack(1, "")]);
}

#[test]
fn a_second_connect() {
    faults(&["40", "40{}"]);
    let mut session = session();
    session.text(FIRST, "40");
    assert_eq!(session.events(), [connect("/")]);
    session.text(FIRST, "40");
    assert_faulted(&mut session, "while the first is not answered");
}

#[test]
fn a_refusal_from_the_client() {
    faults(&[r#"44{"message":"no"}"#, "44", r#"44/other,{"message":"no"}"#]);
}

#[test]
fn a_packet_for_a_namespace_that_was_never_asked_for() {
    faults(&[r#"42/other,["x"]"#, "43/other,1[]", "41/other,", "41/other"]);
}

#[test]
fn an_event_before_connect() {
    let mut session = session();
    session.text(FIRST, r#"42["x"]"#);
    assert_faulted(&mut session, "an event");
}

#[test]
fn a_connect_whose_auth_is_no_object() {
    for text in ["40[]", r#"40"s""#, "40null", "40{bad", "401", "40true", "40{}x", r#"40/x,["s"]"#] {
        let mut session = session();
        session.text(FIRST, text);
        assert_faulted(&mut session, text);
    }
}

/// Whether anybody waits for it is the broker's to know.
#[test]
fn an_unknown_acknowledgement_is_handed_on() {
    let mut session = joined();
    session.text(FIRST, r#"43999["late"]"#);
    assert_eq!(session.events(), [ack(999, r#""late""#)]);
    assert_lives(&mut session);
}

#[test]
fn attachments_that_do_not_add_up() {
    let placeholder = r#"{"_placeholder":true,"num":0}"#;
    faults(&[
        &format!(r#"450-["x",{placeholder}]"#),
        &format!(r#"451["x",{placeholder}]"#),
        &format!(r#"45["x",{placeholder}]"#),
        &format!(r#"4511-["x",{placeholder}]"#),
        r#"451-["x",{"_placeholder":true,"num":1}]"#,
        r#"451-["x",{"_placeholder":true,"num":-1}]"#,
        r#"451-["x",{"_placeholder":true,"num":0.5}]"#,
        r#"451-["x",{"_placeholder":true,"num":"0"}]"#,
        r#"451-["x",{"_placeholder":true,"num":"splice"}]"#,
    ]);
}

/// JavaScript reads the count as a number of any notation.
#[test]
fn attachments_counted_in_another_notation() {
    let placeholder = r#"{"_placeholder":true,"num":0}"#;
    faults(&[
        &format!(r#"451e1-["x",{placeholder}]"#),
        &format!(r#"45 1-["x",{placeholder}]"#),
        &format!(r#"4501-["x",{placeholder}]"#),
    ]);
}

/// JavaScript's server leaves a placeholder in a plain event as it is, and would relay it to clients that stumble over it.
#[test]
fn a_placeholder_without_an_attachment() {
    faults(&[r#"42["x",{"_placeholder":true,"num":0}]"#, r#"42["x",{"\u005fplaceholder":true,"num":0}]"#]);
}

#[test]
fn a_text_where_an_attachment_is_due() {
    let mut session = joined();
    session.text(FIRST, r#"451-["x",{"_placeholder":true,"num":0}]"#);
    assert_eq!(session.end(), None);
    session.text(FIRST, r#"42["y"]"#);
    assert_faulted(&mut session, "a text");
}

#[test]
fn an_attachment_that_no_packet_announced() {
    let mut session = joined();
    session.binary(FIRST, &[1]);
    assert_faulted(&mut session, "a binary message");
}

/// JavaScript echoes `007` as `7`, and numbers over 2^53 as others.
#[test]
fn an_acknowledgement_id_is_echoed_as_it_came_or_not_taken() {
    faults(&[
        r#"42007["x"]"#,
        r#"42 5["x"]"#,
        r#"4299999999999999999999999["x"]"#,
        r#"4218446744073709551616["x"]"#,
    ]);
    for id in [0, 7, 9_007_199_254_740_993, u64::MAX] {
        let mut session = joined();
        session.text(FIRST, &format!(r#"42{id}["x"]"#));
        let events = session.events();
        let [Event::Event { id: Some(came), .. }] = &events[..] else { panic!("{events:?}") };
        let answer = Encoded::ack(Encoding::Json, "/", *came, &Args::empty());
        session.call(|session, _| session.send(&answer)).unwrap();
        assert_eq!(session.heard(FIRST), [format!("43{id}[]")]);
    }
}

/// JavaScript takes any depth that its stack takes, and then relays what breaks other clients.
#[test]
fn json_that_is_nested_too_deeply() {
    let nested = |depth: usize| format!(r#"42["x",{}{}]"#, "[".repeat(depth - 1), "]".repeat(depth - 1));
    faults(&[&nested(129), &nested(5000)]);
    let mut session = joined();
    session.text(FIRST, &nested(128));
    assert_eq!(session.end(), None);
}

#[test]
fn half_a_surrogate_pair() {
    faults(&[r#"42["x","\ud800"]"#, r#"42["\udc00"]"#]);
}

#[test]
fn names_that_only_look_suspicious() {
    let mut session = joined();
    session.text(FIRST, r#"42["error",1]"#);
    session.text(FIRST, r#"42["__proto__"]"#);
    session.text(FIRST, r#"42[""]"#);
    session.text(FIRST, "42[5,1]");
    let number = EventName::Number("5".into());
    let number = Event::Event { namespace: "/".into(), id: None, name: number, args: args("1", &[]) };
    assert_eq!(session.events(), [event("error", "1"), event("__proto__", ""), event("", ""), number]);
}

/// JavaScript's server tells its application `forced close`, and lets the client resume.
#[test]
fn a_fault_is_told_after_what_was_queued() {
    let mut session = joined();
    session.stall(FIRST);
    session.call(|session, _| session.send(&outgoing("news", ""))).unwrap();
    session.text(FIRST, "4abc");
    assert_eq!(session.events(), [Event::Closed(CloseReason::ParseError)]);
    session.resume(FIRST);
    assert_eq!(session.heard(FIRST), [r#"42["news"]"#, "<close>"]);
}

#[test]
fn a_fault_in_a_post_is_taken_and_the_next_poll_tells() {
    let mut session = Session::socketio_polling(Config::default());
    let post = r#"40␞42["before"]␞4abc␞42["behind"]"#.replace('␞', "\u{1e}");
    assert_eq!(session.post(&post), (200, "ok".into()));
    assert_eq!(session.events(), [connect("/"), event("before", ""), Event::Closed(CloseReason::ParseError)]);
    assert_eq!(session.poll(), (200, "1".into()));
    assert_eq!(session.poll().0, 400);
}
