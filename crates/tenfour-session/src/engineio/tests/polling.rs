use super::*;
use bytes::Bytes;

fn session() -> Session {
    Session::polling(Config::default())
}

#[test]
fn the_first_poll_is_answered_with_the_handshake() {
    let session = session();
    let open = concat!(
        r#"0{"sid":"BwcHBwcHBwcHBwcHBwcH","upgrades":["websocket"],"#,
        r#""pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#
    );
    let expected = Response {
        status: 200,
        content_type: Some("text/plain; charset=UTF-8"),
        body: Bytes::from_static(open.as_bytes()),
    };
    assert_eq!(*session.response(crate::RequestId(0)), expected);
}

#[test]
fn a_poll_waits_until_there_is_something() {
    let mut session = session();
    let poll = session.get();
    assert!(session.is_pending(poll) && session.session.is_writable());
    session.send("hi").unwrap();
    assert_eq!(session.answer(poll), answer(200, "4hi"));
    assert!(!session.session.is_writable());
}

#[test]
fn what_was_queued_is_one_answer_in_order() {
    let mut session = session();
    session.send("a").unwrap();
    session.call(|session, _| session.send(Message::Binary(vec![1, 2, 3].into()))).unwrap();
    session.send("b").unwrap();
    assert_eq!(session.poll(), answer(200, "4a\u{1e}bAQID\u{1e}4b"));
}

#[test]
fn a_post_is_many_messages_in_order() {
    let mut session = session();
    let post = session.open_post();
    session.input(Input::PostBody { request: post, body: "4a\u{1e}bAQID\u{1e}4\u{1e}4b".into() });
    let expected = Response { status: 200, content_type: Some("text/html"), body: Bytes::from_static(b"ok") };
    assert_eq!(*session.response(post), expected);
    let binary = Event::Message(Message::Binary(vec![1, 2, 3].into()));
    assert_eq!(session.events(), [said("a"), binary, said(""), said("b")]);
}

#[test]
fn packets_without_a_meaning_here_are_ignored() {
    let mut session = session();
    assert_eq!(session.post("0{}\u{1e}3\u{1e}3probe\u{1e}5\u{1e}6\u{1e}4still here"), ok());
    assert_eq!(texts(&mut session), ["still here"]);
}

#[test]
fn a_second_poll_ends_the_session() {
    let mut session = session();
    let first = session.get();
    let second = session.get();
    assert_eq!(session.answer(first), answer(200, "1"));
    assert_eq!(*session.response(second), Response { status: 400, content_type: None, body: Bytes::new() });
    assert_eq!(session.events(), closed(CloseReason::TransportError));
    assert_gone(&mut session);
}

#[test]
fn a_second_post_ends_the_session() {
    let mut session = session();
    let (poll, first) = (session.get(), session.open_post());
    assert_eq!(session.post("4second"), answer(400, ""));
    assert_eq!(session.answer(poll), answer(200, "1"));
    assert_eq!(session.answer(first), answer(400, GONE));
    assert_eq!(session.events(), closed(CloseReason::TransportError));
    // Its body comes all the same.
    session.input(Input::PostBody { request: first, body: "4first".into() });
    assert_gone(&mut session);
}

#[test]
fn a_poll_and_a_post_do_not_overlap() {
    let mut session = session();
    let poll = session.get();
    assert_eq!(session.post("4up"), ok());
    assert!(session.is_pending(poll));
    assert_eq!(texts(&mut session), ["up"]);
}

#[test]
fn a_client_that_leaves_its_poll_is_gone() {
    let mut session = session();
    let poll = session.get();
    session.abort(poll);
    assert_eq!(session.events(), closed(CloseReason::TransportError));
    assert_gone(&mut session);
}

#[test]
fn a_client_that_leaves_its_post_is_gone() {
    let mut session = session();
    let (poll, post) = (session.get(), session.open_post());
    session.abort(post);
    assert_eq!(session.answer(poll), answer(200, "1"));
    assert_eq!(session.events(), closed(CloseReason::TransportError));
    assert_gone(&mut session);
}

#[test]
fn leaving_an_answered_request_means_nothing() {
    let mut session = session();
    session.input(Input::RequestAborted { request: crate::RequestId(0) });
    session.input(Input::RequestAborted { request: crate::RequestId(999) });
    assert_polling_lives(&mut session);
}

#[test]
fn a_post_that_is_too_large_is_refused_alone() {
    let mut session = session();
    let (poll, post) = (session.get(), session.open_post());
    session.input(Input::PostTooLarge { request: post });
    assert_eq!(session.answer(post), answer(413, ""));
    assert!(session.is_pending(poll));
    session.send("free").unwrap();
    assert_polling_lives(&mut session);
}

#[test]
fn an_octet_stream_ends_the_session() {
    let mut session = session();
    let (poll, request) = (session.get(), session.request());
    session.input(Input::PostOpened { request, content: PostContent::OctetStream });
    assert_eq!(session.answer(request), answer(400, ""));
    assert_eq!(session.answer(poll), answer(200, "1"));
    assert_eq!(session.events(), closed(CloseReason::TransportError));
    assert_gone(&mut session);
}

/// JavaScript's server answers `ok` and is gone all the same.
#[test]
fn a_malformed_payload_is_refused_and_ends_the_session() {
    for payload in ["", "abc", "7", "\u{1e}", "4a\u{1e}", "\u{1e}4a", "b!!!!", " 4a", "\u{1e}\u{1e}"] {
        let mut session = session();
        let poll = session.get();
        assert_eq!(session.post(payload), answer(400, BAD), "{payload:?}");
        assert_eq!(session.answer(poll), answer(200, "1"), "{payload:?}");
        let end = session.events().pop();
        assert_eq!(end, Some(Event::Closed(CloseReason::ParseError)), "{payload:?}");
        assert_gone(&mut session);
    }
}

#[test]
fn only_what_stands_before_a_malformed_packet_counts() {
    let mut session = session();
    assert_eq!(session.post("4a\u{1e}4b\u{1e}x\u{1e}4c"), answer(400, BAD));
    assert_eq!(session.events(), [said("a"), said("b"), Event::Closed(CloseReason::ParseError)]);
}

#[test]
fn a_payload_that_is_no_text_is_malformed() {
    let mut session = session();
    let post = session.open_post();
    session.input(Input::PostBody { request: post, body: Bytes::from_static(b"4a\x1e4\xff") });
    assert_eq!(session.answer(post), answer(400, BAD));
    assert_eq!(session.events(), closed(CloseReason::ParseError));
}

#[test]
fn a_payload_of_too_many_packets_is_malformed_as_a_whole() {
    let mut session = session();
    let noops = |count: usize| vec!["6"; count].join("\u{1e}");
    assert_eq!(session.post(&format!("4fits\u{1e}{}", noops(131_071))), ok());
    assert_eq!(texts(&mut session), ["fits"]);
    assert_eq!(session.post(&format!("4one more\u{1e}{}", noops(131_072))), answer(400, BAD));
    assert_eq!(session.events(), closed(CloseReason::ParseError));
}

#[test]
fn a_ping_of_the_client_ends_the_session() {
    for ping in ["2", "2probe"] {
        let mut session = session();
        let poll = session.get();
        assert_eq!(session.post(&format!("4before\u{1e}{ping}\u{1e}4behind")), ok());
        assert_eq!(session.answer(poll), answer(200, "1"));
        assert_eq!(session.events(), [said("before"), Event::Closed(CloseReason::TransportError)]);
        assert_gone(&mut session);
    }
}

#[test]
fn a_closing_client_gets_its_poll_back() {
    let mut session = session();
    session.send("unread").unwrap();
    assert_eq!(session.poll(), answer(200, "4unread"));
    let poll = session.get();
    assert_eq!(session.post("4last\u{1e}1\u{1e}4behind"), ok());
    assert_eq!(session.answer(poll), answer(200, "6"));
    assert_eq!(session.events(), [said("last"), Event::Closed(CloseReason::TransportClose)]);
    assert_gone(&mut session);
}

#[test]
fn answers_are_split_at_the_payload_limit() {
    let mut config = Config::default();
    config.limits.payload_bytes = 8;
    let mut session = Session::polling(config);
    for text in ["abc", "def", "gh", "0123456789", "z"] {
        session.send(text).unwrap();
    }
    session.call(|session, _| session.send(Message::Binary(vec![0; 3].into()))).unwrap();
    // 4abc + separator + 4def are nine bytes, 4def + separator + 4gh are eight; the long one travels alone.
    for body in ["4abc", "4def\u{1e}4gh", "40123456789", "4z\u{1e}bAAAA"] {
        assert_eq!(session.poll(), answer(200, body));
    }
    let poll = session.get();
    assert!(session.is_pending(poll));
}

#[test]
fn a_small_message_does_not_keep_its_payload_alive() {
    let mut session = session();
    let post = session.open_post();
    let body = Bytes::from(format!("4tiny\u{1e}4{}", "x".repeat(1000)));
    session.input(Input::PostBody { request: post, body: body.clone() });
    let mut events = session.events();
    events.truncate(1);
    assert_eq!(events, [said("tiny")]);
    assert!(body.is_unique(), "the tiny message has memory of its own");
}
