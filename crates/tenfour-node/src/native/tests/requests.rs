//! Questions and answers, in both directions.

use super::*;

fn message(says: &str) -> Message {
    Message { name: None, body: Body::Text(says.into()) }
}

/// A client that has asked, and its question as the server's application got it.
fn asked() -> (World, usize, SessionId, RequestId) {
    let mut world = World::new();
    let client = world.join("ada");
    let now = world.now.mono;
    world.clients[client].session.request(now, text("why?")).unwrap();
    world.settle();
    let Some(Event::Request { session, request, message: question }) = world.events.last().cloned() else {
        panic!("a request")
    };
    assert_eq!(question, message("why?"));
    (world, client, session, request)
}

#[test]
fn a_client_asks() {
    let (mut world, client, session, request) = asked();
    for _ in 0..2 {
        let answer = Ok(message("because"));
        world.server.reply(world.now, session, request, answer, &mut world.connections).unwrap();
    }
    world.settle();
    let answers: Vec<_> = world.clients[client].replies().collect();
    assert_eq!(answers, [Ok("because".into())], "one answer, however often it is given");
}

#[test]
fn an_answer_waits_for_a_client_that_is_away() {
    let (mut world, client, session, request) = asked();
    world.cut(client);
    let before = world.server.load().parked_bytes;
    let answer = Ok(message(&"x".repeat(5000)));
    world.server.reply(world.now, session, request, answer, &mut world.connections).unwrap();
    assert!(world.server.load().parked_bytes >= before + 5000, "what is kept is counted");
    world.reconnect(client);
    world.settle();
    assert_eq!(world.clients[client].replies().count(), 1);
    assert_eq!(world.server.load().parked_bytes, 0);
}

#[test]
fn the_server_asks() {
    let mut world = World::new();
    let client = world.join("ada");
    let session = world.session_of(client);
    let request =
        world.server.request(world.now, session, &message("are you there?"), &mut world.connections).unwrap();
    world.settle();
    let Some(ClientEvent::Request { request: asked, .. }) = world.clients[client].events.last() else {
        panic!("a request")
    };
    let asked = *asked;
    // The answer takes another connection.
    world.cut(client);
    assert_eq!(
        world.server.request(world.now, session, &message("?"), &mut world.connections),
        Err(RequestError::Away)
    );
    world.reconnect(client);
    let now = world.now.mono;
    world.clients[client].session.reply(now, asked, Ok(text("yes"))).unwrap();
    world.settle();
    let result = Ok(message("yes"));
    assert!(world.events.contains(&Event::Reply { session, request, result }));
}

#[test]
fn open_requests_are_bounded() {
    let mut config = Config::default();
    config.limits.requests_per_session = 3;
    let mut world = World::with(config, Default::default());
    let client = world.join("ada");
    let now = world.now.mono;
    for _ in 0..5 {
        world.clients[client].session.request(now, text("?")).unwrap();
    }
    world.settle();
    assert_eq!(world.events.iter().filter(|event| matches!(event, Event::Request { .. })).count(), 3);
    assert_eq!(world.clients[client].replies().filter(Result::is_err).count(), 2);
}

#[test]
fn a_word_to_one_application() {
    let mut world = World::new();
    let client = world.join("ada");
    let session = world.session_of(client);
    assert!(world.server.tell(session, &message("psst"), &mut world.connections));
    world.clients[client].session.emit(wire::Target::Peer, &wire::SharedMessage::new(&text("what?")));
    assert_eq!(world.read(client), ["~psst"]);
    assert!(world.events.contains(&Event::Told { session, message: message("what?") }));
    world.cut(client);
    assert!(!world.server.tell(session, &message("psst"), &mut world.connections));
}

/// A number that is in use names two questions with one answer, and would get around the bound.
#[test]
fn a_request_whose_number_is_in_use_ends_the_session() {
    let (mut world, client, session, request) = asked();
    let again = wire::Reliable::Request(wire::Request { request: request.get(), message: text("why?") });
    world.inject(client, wire::Frame::Reliable { sequence: None, body: again });
    world.settle();
    let left = Event::Left { session, reason: LeaveReason::Closed(CloseCode::ProtocolError) };
    assert_eq!(world.events.last(), Some(&left), "and the application is asked once");
}

#[test]
fn an_answer_that_nobody_waits_for_is_not_heard() {
    let mut world = World::new();
    let client = world.join("ada");
    let session = world.session_of(client);
    let asked =
        world.server.request(world.now, session, &message("are you there?"), &mut world.connections).unwrap();
    world.settle();
    for (request, says) in [(asked.get() + 1, "forged"), (asked.get(), "yes"), (asked.get(), "no")] {
        let reply = wire::Reply { request, result: Ok(text(says)) };
        let sequence = Some(u64::from(says != "forged") + u64::from(says == "no"));
        world.inject(client, wire::Frame::Reliable { sequence, body: wire::Reliable::Reply(reply) });
        world.settle();
    }
    let replies = world.events.iter().filter(|event| matches!(event, Event::Reply { .. }));
    let yes = Event::Reply { session, request: asked, result: Ok(message("yes")) };
    assert_eq!(replies.collect::<Vec<_>>(), [&yes]);
}
