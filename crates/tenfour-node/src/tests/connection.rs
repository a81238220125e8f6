use super::*;

fn packet(dialect: Dialect, text: &str) -> Encoded {
    render_message(dialect, "/", &Message::new(text, body("", &[])), Kind::Plain)
}

#[test]
fn a_message_its_answer_and_a_request() {
    let mut connection = joined_with(Config::default());
    say(&mut connection, r#"423["ask",1,"x"]"#);
    let asked = events(&mut connection);
    let [Event::Message { namespace, message, reply: Some(reply) }] = &asked[..] else { panic!("{asked:?}") };
    assert_eq!((&**namespace, message), ("/", &Message::new("ask", body(r#"1,"x""#, &[]))));
    connection.reply("/", *reply, &Body::Text("yes".into())).unwrap();
    assert_eq!(heard(&mut connection), [r#"433["yes"]"#]);

    say(&mut connection, r#"4318446744073709551615["no"]"#);
    let (request, answer) = (RequestId::new(u64::MAX), body(r#""no""#, &[]));
    assert_eq!(events(&mut connection), [Event::Answer { namespace: "/".into(), request, answer }]);

    say(&mut connection, r#"42[5]"#);
    let message = Message::new("5", body("", &[]));
    assert_eq!(events(&mut connection), [Event::Message { namespace: "/".into(), message, reply: None }]);
    say(&mut connection, "41");
    assert_eq!(events(&mut connection), [Event::Leave { namespace: "/".into() }]);
}

#[test]
fn costs_are_those_of_the_session() {
    let session = engineio_config(|engine| engine.inbound_bytes = 1);
    for (dialect, hello) in [(JSON, r#"40"#), (Dialect::EngineIo, "4hi")] {
        let mut connection =
            connection_with(Config { dialect, session: session.clone(), ..Config::default() });
        say(&mut connection, hello);
        assert!(!connection.accepts_input());
        let cost: usize = core::iter::from_fn(|| connection.poll_event()).map(|incoming| incoming.cost).sum();
        connection.consumed(START, cost);
        assert!(connection.accepts_input());
    }
}

#[test]
fn a_full_queue_ends_the_connection_or_refuses_the_message() {
    for dialect in [JSON, Dialect::EngineIo] {
        let mut connection = ready(dialect, Overflow::Disconnect);
        assert_eq!(connection.offer(&packet(dialect, "a"), Urgency::Queued), Delivery::Queued);
        assert!(!connection.has_capacity());
        assert_eq!(connection.offer(&packet(dialect, "b"), Urgency::Queued), Delivery::Refused);
        assert_eq!(events(&mut connection), [Event::Closed(CloseReason::SlowConsumer)]);
        assert_eq!(heard(&mut connection), [""; 0]);
        assert!(connection.is_finished());

        let mut connection = ready(dialect, Overflow::Refuse);
        assert_eq!(connection.offer(&packet(dialect, "a"), Urgency::Queued), Delivery::Queued);
        assert_eq!(connection.offer(&packet(dialect, "b"), Urgency::Queued), Delivery::Refused);
        assert_eq!(events(&mut connection), []);
        assert_eq!(heard(&mut connection), frames(&packet(dialect, "a")));
        assert_eq!(connection.offer(&packet(dialect, "c"), Urgency::Queued), Delivery::Queued);
    }
}

/// A sender that waits is told; the connection lives, whatever becomes of broadcasts.
#[test]
fn a_full_queue_is_told_to_a_sender_that_waits() {
    for overflow in [Overflow::Disconnect, Overflow::Refuse] {
        let mut connection = ready(JSON, overflow);
        say(&mut connection, r#"421["ask"]"#);
        let Some(Event::Message { reply: Some(reply), .. }) = events(&mut connection).pop() else { panic!() };
        connection.send(&packet(JSON, "a")).unwrap();
        assert_eq!(connection.send(&packet(JSON, "b")), Err(SendError::Full));
        assert_eq!(connection.reply("/", reply, &body("", &[])), Err(SendError::Full));
        assert_eq!(heard(&mut connection), [r#"42["a"]"#]);
        connection.reply("/", reply, &body("", &[])).unwrap();
    }
}

#[test]
fn what_is_volatile_never_waits_and_never_ends_a_connection() {
    for dialect in [JSON, Dialect::EngineIo] {
        let mut connection = ready(dialect, Overflow::Disconnect);
        assert_eq!(connection.offer(&packet(dialect, "a"), Urgency::Volatile), Delivery::Queued);
        assert_eq!(connection.offer(&packet(dialect, "b"), Urgency::Volatile), Delivery::Dropped, "full");
        assert_eq!(heard(&mut connection), frames(&packet(dialect, "a")));
        connection.handle_input(START, Input::WriteBlocked { socket: SOCKET });
        assert_eq!(connection.offer(&packet(dialect, "c"), Urgency::Volatile), Delivery::Dropped, "blocked");
        connection.handle_input(START, Input::WriteReady { socket: SOCKET });
        assert_eq!(connection.offer(&packet(dialect, "d"), Urgency::Volatile), Delivery::Queued);
        assert_eq!(heard(&mut connection), frames(&packet(dialect, "d")));
        assert_eq!(events(&mut connection), []);
    }
}

/// Who is behind reads the rest from the log, so nothing ends for the want of room.
#[test]
fn what_is_committed_never_ends_a_connection() {
    for dialect in [JSON, Dialect::EngineIo] {
        let mut connection = ready(dialect, Overflow::Disconnect);
        assert_eq!(connection.offer(&packet(dialect, "a"), Urgency::Committed), Delivery::Queued);
        for urgency in [Urgency::Committed, Urgency::Replayed] {
            assert_eq!(connection.offer(&packet(dialect, "b"), urgency), Delivery::Refused);
        }
        assert_eq!(events(&mut connection), []);
        assert_eq!(heard(&mut connection), frames(&packet(dialect, "a")));
        assert_eq!(connection.offer(&packet(dialect, "c"), Urgency::Replayed), Delivery::Queued);
    }
}

#[test]
fn what_is_replayed_waits_at_the_client_and_not_in_the_queue() {
    let mut connection = joined_with(Config::default());
    let large = Message::new("large", Body::Text("x".repeat(20_000).into()));
    let large = render_message(JSON, "/", &large, Kind::Committed("AAAAAAE"));
    let offers: Vec<_> = (0..6).map(|_| connection.offer(&large, Urgency::Replayed)).collect();
    assert_eq!(offers.iter().filter(|offer| **offer == Delivery::Queued).count(), 4, "{offers:?}");
    assert!(connection.queued_bytes() > REPLAY_BYTES && connection.has_capacity());
    assert_eq!(
        connection.offer(&large, Urgency::Committed),
        Delivery::Queued,
        "what is live has the whole queue"
    );
    assert_eq!(heard(&mut connection).len(), 5);
    assert_eq!(connection.offer(&large, Urgency::Replayed), Delivery::Queued);
}

#[test]
fn nothing_is_taken_after_the_end() {
    for dialect in [JSON, Dialect::EngineIo] {
        let mut connection = ready(dialect, Overflow::Disconnect);
        connection.close(START, CloseReason::Shutdown);
        assert_eq!(connection.offer(&packet(dialect, "a"), Urgency::Queued), Delivery::Refused);
        assert_eq!(connection.send(&packet(dialect, "a")), Err(SendError::Closed));
        assert_eq!(events(&mut connection), [Event::Closed(CloseReason::Shutdown)]);
        assert_eq!(heard(&mut connection), ["<close>"]);
        assert!(connection.is_finished());
    }
}

fn ready(dialect: Dialect, overflow: Overflow) -> Connection {
    match dialect {
        Dialect::EngineIo => {
            let mut connection = connection_with(narrow(dialect, overflow));
            assert_eq!(events(&mut connection), [connect("/")]);
            assert!(connection.accept("/", "id"));
            connection
        }
        _ => joined_with(narrow(dialect, overflow)),
    }
}

#[test]
fn engineio_asks_first_and_says_then_what_came_before_the_answer() {
    let mut connection = connection(Dialect::EngineIo);
    say(&mut connection, "4hi");
    say(&mut connection, "bAQI=");
    let message = |body| Event::Message { namespace: "/".into(), message: nameless(body), reply: None };
    let binary = Body::Binary(bytes::Bytes::from_static(b"\x01\x02"));
    assert_eq!(events(&mut connection), [connect("/"), message(Body::Text("hi".into())), message(binary)]);
    assert!(!connection.accept("/other", "id"));
    assert!(connection.accept("/", "id"));
    assert!(!connection.accept("/", "id"), "once is enough");
    assert_eq!(heard(&mut connection), [""; 0]);
}

#[test]
fn engineio_asks_even_where_it_is_over_already() {
    let mut connection = connection(Dialect::EngineIo);
    connection.handle_input(START, Input::SocketClosed { socket: SOCKET });
    assert!(!connection.is_finished());
    assert_eq!(connection.poll_event().unwrap().event, connect("/"));
    assert!(!connection.accept("/", "id"), "over, though that is not told yet");
    assert_eq!(events(&mut connection), [Event::Closed(CloseReason::TransportClose)]);
    assert!(connection.is_finished());
}

#[test]
fn engineio_is_refused_by_closing() {
    let mut connection = connection(Dialect::EngineIo);
    assert_eq!(events(&mut connection), [connect("/")]);
    connection.refuse(START, "/other", &ConnectError::new("no"));
    assert!(!connection.disconnect(START, "/"), "it is not in yet");
    assert_eq!(heard(&mut connection), [""; 0]);
    connection.refuse(START, "/", &ConnectError::new("no"));
    assert_eq!(heard(&mut connection), ["<close>"]);
    assert_eq!(events(&mut connection), [Event::Closed(CloseReason::ServerClose)]);
    assert!(!connection.accept("/", "id"));
}

#[test]
fn engineio_is_taken_out_by_closing() {
    let mut connection = connection(Dialect::EngineIo);
    assert_eq!(events(&mut connection), [connect("/")]);
    assert!(connection.accept("/", "id"));
    connection.refuse(START, "/", &ConnectError::new("too late"));
    assert!(!connection.disconnect(START, "/other"));
    assert_eq!(heard(&mut connection), [""; 0]);
    assert!(connection.disconnect(START, "/"));
    assert!(!connection.disconnect(START, "/"));
    assert_eq!(heard(&mut connection), ["<close>"]);
    assert_eq!(events(&mut connection), [Event::Closed(CloseReason::ServerClose)]);
}

#[test]
fn engineio_has_no_answers() {
    let mut socketio = joined_with(Config::default());
    say(&mut socketio, r#"421["ask"]"#);
    let Some(Event::Message { reply: Some(reply), .. }) = events(&mut socketio).pop() else { panic!() };
    let mut connection = connection(Dialect::EngineIo);
    connection.reply("/", reply, &Body::Text("yes".into())).unwrap();
    assert_eq!(heard(&mut connection), [""; 0]);
}

/// One idle connection is little more than this: whoever makes it larger should know.
#[test]
fn an_idle_connection_is_small() {
    assert!(size_of::<Connection>() <= 400, "{}", size_of::<Connection>());
}
