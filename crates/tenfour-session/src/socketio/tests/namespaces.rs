use super::*;
use tenfour_wire::websocket::Message;

#[test]
fn the_client_asks_and_is_let_in() {
    let mut session = session();
    session.text(FIRST, r#"40{"token":"secret"}"#);
    let auth = Some(r#"{"token":"secret"}"#.into());
    assert_eq!(session.events(), [Event::Connect { namespace: "/".into(), auth }]);
    assert_eq!(session.heard(FIRST), [""; 0]);
    assert!(session.call(|session, _| session.accept("/", "the-id")));
    assert_eq!(session.heard(FIRST), [r#"40{"sid":"the-id"}"#]);
    assert!(!session.call(|session, _| session.accept("/", "the-id")), "once is enough");
}

#[test]
fn an_id_is_written_as_json() {
    let mut session = session();
    session.text(FIRST, "40");
    session.events();
    assert!(session.call(|session, _| session.accept("/", "a\"b\\")));
    assert_eq!(session.heard(FIRST), [r#"40{"sid":"a\"b\\"}"#]);
}

#[test]
fn who_may_come_back_is_told_how() {
    let mut session = session();
    session.text(FIRST, "40/a,");
    session.events();
    let fields = [("tenfour", r#"{"dedup_ms":120000}"#)];
    let admission = Admission { sid: "the-id", pid: Some("secret"), fields: &fields };
    assert!(!format!("{admission:?}").contains("secret"));
    assert!(session.call(|session, _| session.accept("/a", admission)));
    assert_eq!(
        session.heard(FIRST),
        [r#"40/a,{"sid":"the-id","pid":"secret","tenfour":{"dedup_ms":120000}}"#]
    );
}

/// A stock client that gets a DISCONNECT packet stays away; what it still sends counts for nothing.
#[test]
fn who_is_fenced_is_told_and_its_connection_stays() {
    let mut session = joined();
    assert!(session.call(|session, _| session.disconnect("/")));
    assert_eq!(session.heard(FIRST), ["41"]);
    session.text(FIRST, r#"42["late"]"#);
    assert_eq!(session.events(), []);
    session.text(FIRST, "40");
    assert_eq!(session.events(), [connect("/")]);
}

#[test]
fn the_client_asks_and_is_refused() {
    let mut session = session();
    session.text(FIRST, "40/nowhere,");
    assert_eq!(session.events(), [connect("/nowhere")]);
    session.call(|session, _| session.refuse("/nowhere", &ConnectError::invalid_namespace()));
    assert_eq!(session.heard(FIRST), [r#"44/nowhere,{"message":"Invalid namespace"}"#]);
    assert!(!session.call(|session, _| session.accept("/nowhere", "id")));

    session.text(FIRST, "40/again");
    assert_eq!(session.events(), [connect("/again")]);
    let mut error = ConnectError::new("say \"please\"");
    error.data = Some(r#"{"code":7}"#.into());
    session.call(|session, _| session.refuse("/again", &error));
    assert_eq!(session.heard(FIRST), [r#"44/again,{"message":"say \"please\"","data":{"code":7}}"#]);
}

#[test]
fn who_was_refused_may_ask_again() {
    let mut session = session();
    for _ in 0..3 {
        session.text(FIRST, "40");
        assert_eq!(session.events(), [connect("/")]);
        session.call(|session, _| session.refuse("/", &ConnectError::new("not yet")));
    }
    session.text(FIRST, "40");
    session.admit("/");
    assert_lives(&mut session);
}

#[test]
fn namespaces_do_not_know_of_each_other() {
    let mut session = joined();
    session.text(FIRST, "40/a,");
    session.admit("/a");
    session.text(FIRST, "40/a?x=1,");
    session.admit("/a?x=1");
    session.text(FIRST, r#"42/a,["x"]"#);
    session.text(FIRST, r#"42["x"]"#);
    session.text(FIRST, "41/a,");
    session.text(FIRST, r#"42/a?x=1,["x"]"#);
    assert_eq!(
        session.events(),
        [event_in("/a", "x", ""), event("x", ""), disconnect("/a"), event_in("/a?x=1", "x", "")]
    );
    assert_lives(&mut session);
}

#[test]
fn events_before_the_answer_follow_the_question_in_order() {
    let mut session = session();
    session.text(FIRST, "40");
    session.text(FIRST, r#"42["a"]"#);
    session.text(FIRST, r#"42["b"]"#);
    session.text(FIRST, "431[]");
    assert_eq!(
        session.events(),
        [connect("/"), event("a", ""), event("b", "")],
        "nothing can have been asked yet, so the acknowledgement is none"
    );
    session.call(|session, _| session.accept("/", "id"));
    session.text(FIRST, r#"42["c"]"#);
    assert_eq!(session.events(), [event("c", "")]);
}

#[test]
fn after_a_refusal_the_events_that_did_not_wait_mean_nothing() {
    let mut session = session();
    session.text(FIRST, "40");
    session.events();
    session.call(|session, _| session.refuse("/", &ConnectError::new("no")));
    for text in [r#"42["a"]"#, "431[]", "41"] {
        session.text(FIRST, text);
    }
    assert_eq!(session.events(), []);
    session.text(FIRST, "40");
    session.admit("/");
    assert_lives(&mut session);
}

#[test]
fn the_client_leaves() {
    let mut session = joined();
    session.text(FIRST, r#"42["last"]"#);
    session.text(FIRST, "41");
    assert_eq!(session.events(), [event("last", ""), disconnect("/")]);
    assert_eq!(session.heard(FIRST), [""; 0]);
    assert!(!session.call(|session, _| session.disconnect("/")));
    session.text(FIRST, "40");
    session.admit("/");
    assert_lives(&mut session);
}

#[test]
fn who_has_left_is_not_there() {
    let mut session = joined();
    session.text(FIRST, "41");
    session.events();
    session.text(FIRST, r#"42["x"]"#);
    assert_faulted(&mut session, "an event");
}

#[test]
fn the_server_takes_the_client_out() {
    let mut session = joined();
    assert!(session.call(|session, _| session.disconnect("/")));
    assert_eq!(session.heard(FIRST), ["41"]);
    assert!(!session.call(|session, _| session.disconnect("/")));
    for text in [r#"42["late"]"#, r#"421["late"]"#, "431[]", "41"] {
        session.text(FIRST, text);
    }
    assert_eq!(session.events(), [], "the client could not know yet");
    session.text(FIRST, "40");
    session.admit("/");
    assert_lives(&mut session);
}

#[test]
fn an_answer_to_a_namespace_that_did_not_ask() {
    let mut session = joined();
    assert!(!session.call(|session, _| session.accept("/other", "id")));
    session.call(|session, _| session.refuse("/other", &ConnectError::new("no")));
    session.call(|session, _| session.refuse("/", &ConnectError::new("too late")));
    assert!(!session.call(|session, _| session.disconnect("/other")));
    assert_eq!(session.heard(FIRST), [""; 0]);
    assert_lives(&mut session);
}

/// The answer to the first question must not be taken for one to the second: the client would be in under an id that
/// has left.
#[test]
fn a_question_withdrawn_before_its_answer() {
    for accepted in [true, false] {
        let mut session = joined();
        session.text(FIRST, "40/a,");
        session.text(FIRST, "41/a,");
        assert_eq!(session.events(), [connect("/a"), disconnect("/a")]);
        if accepted {
            assert!(!session.call(|session, _| session.accept("/a", "id")));
        } else {
            session.call(|session, _| session.refuse("/a", &ConnectError::new("no")));
        }
        assert_eq!(session.heard(FIRST), [""; 0], "the client waits for nothing");
        session.text(FIRST, "40/a,");
        session.admit("/a");
        assert_lives(&mut session);
    }
}

#[test]
fn a_second_question_while_a_withdrawn_one_is_not_answered() {
    let mut session = joined();
    session.text(FIRST, "40/a,");
    session.text(FIRST, "41/a,");
    session.events();
    session.text(FIRST, "40/a,");
    assert_faulted(&mut session, "as any CONNECT while another is not answered");
}

#[test]
fn a_client_is_in_so_many_namespaces_and_no_more() {
    let mut session = session_with(Config { namespaces: 2, ..Config::default() });
    for namespace in ["/a", "/b"] {
        session.text(FIRST, &format!("40{namespace},"));
        session.admit(namespace);
    }
    session.heard(FIRST);
    session.text(FIRST, "40/c,");
    assert_eq!(session.events(), []);
    assert_eq!(session.heard(FIRST), [r#"44/c,{"message":"too many namespaces on one connection: 2"}"#]);
    session.text(FIRST, "41/a,");
    session.events();
    session.text(FIRST, "40/c,");
    session.admit("/c");
}

/// Those that it was taken out of are remembered for its late packets, and no more of them than it might be in.
#[test]
fn namespaces_left_do_not_pile_up() {
    let mut session = session_with(Config { namespaces: 2, ..Config::default() });
    for number in 0..100 {
        session.text(FIRST, &format!("40/{number},"));
        session.admit(&format!("/{number}"));
        assert!(session.call(|session, _| session.disconnect(&format!("/{number}"))));
        session.text(FIRST, &format!(r#"42/{number},["late"]"#));
    }
    assert_eq!(session.end(), None);
    assert_eq!(session.events(), []);
    session.heard(FIRST);
    session.text(FIRST, r#"42/0,["very late"]"#);
    assert_faulted(&mut session, "a namespace that is forgotten");
}

/// Every refusal of too many namespaces is a packet to the client, which does not read.
#[test]
fn a_client_that_provokes_refusals_and_does_not_read_is_a_slow_consumer() {
    let mut session = session_with(config(|engine| engine.send_queue_bytes = 1000));
    session.stall(FIRST);
    let mut most = 0;
    while session.end().is_none() {
        session.text(FIRST, "40/x,");
        for event in session.events() {
            if event == connect("/x") {
                let cost = event.cost();
                session.call(|session, now| {
                    session.refuse("/x", &ConnectError::invalid_namespace());
                    session.consumed(now, cost);
                });
            }
        }
        most += 1;
        assert!(most < 2000);
    }
    assert_eq!(session.end(), Some(CloseReason::SlowConsumer));
    assert!(session.session.is_finished());
}

/// The membership lasts; what the client said of itself when it joined need not.
#[test]
fn a_membership_does_not_keep_its_packet_alive() {
    for (text, namespace) in [("40/a,", "/a"), ("40", "/")] {
        let mut session = session();
        let packet = bytes::Bytes::from(format!(r#"{text}{{"token":"{}"}}"#, "x".repeat(1000)));
        let message = Message::Text(packet.clone().try_into().unwrap());
        session.input(Input::SocketMessage { socket: FIRST, message });
        session.admit(namespace);
        assert!(packet.is_unique(), "{namespace}");
    }
}

#[test]
fn acknowledgements_go_both_ways() {
    let mut session = joined();
    session.text(FIRST, r#"4212["ask",1]"#);
    let name = EventName::Text("ask".into());
    let asked = Event::Event { namespace: "/".into(), id: Some(AckId::new(12)), name, args: args("1", &[]) };
    assert_eq!(session.events(), [asked]);
    let answer = Encoded::ack(Encoding::Json, "/", AckId::new(12), &args(r#""yes""#, &[]));
    session.call(|session, _| session.send(&answer)).unwrap();
    let name = EventName::Text("ask".into());
    let ask = Encoded::event(Encoding::Json, "/", Some(AckId::new(0)), &name, &Args::empty());
    session.call(|session, _| session.send(&ask)).unwrap();
    assert_eq!(session.heard(FIRST), [r#"4312["yes"]"#, r#"420["ask"]"#]);
    session.text(FIRST, r#"430["no"]"#);
    assert_eq!(session.events(), [ack(0, r#""no""#)]);
}

#[test]
fn attachments_go_both_ways() {
    let mut session = joined();
    let json = r#"{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}"#;
    session.text(FIRST, &format!(r#"452-["file",{json}]"#));
    session.binary(FIRST, &[1, 2]);
    assert_eq!(session.events(), []);
    session.binary(FIRST, &[3]);
    let name = EventName::Text("file".into());
    let args = args(json, &[&[1, 2], &[3]]);
    let came = Event::Event { namespace: "/".into(), id: None, name: name.clone(), args: args.clone() };
    assert_eq!(session.events(), [came]);
    let file = Encoded::event(Encoding::Json, "/", None, &name, &args);
    session.call(|session, _| session.send(&file)).unwrap();
    assert_eq!(session.heard(FIRST), [format!(r#"452-["file",{json}]"#), "<1 2>".into(), "<3>".into()]);
}
