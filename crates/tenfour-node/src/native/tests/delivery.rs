//! Who gets what, and who gets an answer.

use super::*;
use tenfour_delivery::rate::Limit;
use tenfour_session::native as session;

#[test]
fn a_message_goes_to_its_channel_once_committed() {
    let mut world = World::new();
    let (publisher, subscriber, other) = (world.join("ada"), world.join("ada"), world.join("ada"));
    world.subscribe(subscriber, "news", Start::Live);
    world.subscribe(other, "weather", Start::Live);
    world.settle();
    world.log.is_held = true;
    let publish = world.publish(publisher, publication("news", "hello"));
    assert_eq!(world.read(subscriber), ["subscribed"]);
    assert!(world.clients[publisher].published.is_empty());

    world.log.is_held = false;
    assert_eq!(world.read(subscriber), ["hello"]);
    assert_eq!(world.read(other), ["subscribed"]);
    let offset = world.log.head("news");
    let receipt = Receipt { epoch: world.log.epoch, offset, duplicate: false };
    assert_eq!(world.clients[publisher].published, [(publish, Ok(receipt))]);
    let Some(Event::Committed(committed)) = world.events.last() else { panic!("the rooms get it, too") };
    assert_eq!(
        (committed.entry.offset, &committed.entry.record.channels[..]),
        (offset, &["news".into()][..])
    );
}

#[test]
fn an_answer_finds_the_session_on_its_next_connection() {
    let mut world = World::new();
    let client = world.join("ada");
    world.log.is_held = true;
    let publish = world.publish(client, publication("news", "hello"));
    world.settle();
    world.cut(client);
    world.log.is_held = false;
    world.settle();
    assert_eq!(world.server.load().unanswered_publishes, 0);
    world.reconnect(client);
    world.settle();
    assert!(matches!(&world.clients[client].published[..], [(answered, Ok(_))] if *answered == publish));
}

#[test]
fn an_answer_finds_the_session_when_the_connection_is_dead_and_nobody_has_noticed() {
    let mut world = World::new();
    let client = world.join("ada");
    world.log.is_held = true;
    let publish = world.publish(client, publication("news", "hello"));
    world.settle();
    // The transport is gone, and the server hears of it only after the commit.
    let (now, peer) = (world.now, world.clients[client].peer.unwrap());
    world.connections.with(peer, |session| session.handle_input(now.mono, Input::Closed));
    world.log.commit(now, &mut world.server, &mut world.connections);
    world.end(peer);
    world.reconnect(client);
    world.settle();
    assert!(matches!(&world.clients[client].published[..], [(answered, Ok(_))] if *answered == publish));
}

#[test]
fn a_publication_that_is_repeated_gets_its_first_answer() {
    let mut world = World::new();
    let client = world.join("ada");
    world.publish(client, numbered("news", "hello", 0));
    world.settle();
    let (_, first) = world.clients[client].published[0];
    // The client has lost everything but its outbox.
    world.cut(client);
    let reborn = world.join("ada");
    world.publish(reborn, numbered("news", "hello", 0));
    world.publish(reborn, numbered("news", "something else", 0));
    world.publish(reborn, numbered("news", "too early", 2));
    world.settle();
    let results: Vec<_> = world.clients[reborn].published.iter().map(|(_, result)| *result).collect();
    let gap = RefusalReason::Gap { expected: 1 };
    assert_eq!(
        results,
        [first.map(|receipt| Receipt { duplicate: true, ..receipt }), Err(RefusalReason::Conflict), Err(gap)]
    );
    assert_eq!(world.log.of("news").count(), 1);
}

#[test]
fn what_a_client_emits_over_its_rate_is_dropped_and_counted() {
    let mut config = Config::default();
    config.channels.rate = Some(Limit::new(2, Duration::from_secs(1), 2));
    let mut world = World::with(config, session::Config::default());
    let (client, other) = (world.join("ada"), world.join("ada"));
    let message = wire::SharedMessage::new(&text("now"));
    for (emits, target) in [(3, wire::Target::Name("news".into())), (3, wire::Target::Peer)] {
        for _ in 0..emits {
            assert!(world.clients[client].session.emit(target.clone(), &message));
        }
    }
    assert!(world.clients[other].session.emit(wire::Target::Peer, &message));
    world.settle();
    let of = |world: &World| {
        let emitted = world.events.iter().filter(|event| matches!(event, Event::Emitted { .. }));
        let told = world.events.iter().filter(|event| matches!(event, Event::Told { .. }));
        (emitted.count(), told.count(), world.server.load().refused_emits)
    };
    assert_eq!(of(&world), (2, 1, 4), "the other client's rate is its own");
    world.advance(Duration::from_secs(1));
    assert!(world.clients[client].session.emit(wire::Target::Peer, &message));
    world.settle();
    assert_eq!(of(&world), (2, 2, 4));
}

#[test]
fn what_is_not_granted_is_refused() {
    let mut world = World::new();
    let grants = Grants::new().subscribe("mine").publish("mine");
    world.identities.insert("bob".into(), Identity::new("bob", grants));
    let client = world.join("bob");
    for channel in ["mine", "yours"] {
        world.subscribe(client, channel, Start::Live);
        world.publish(client, publication(channel, "hello"));
        let message = wire::SharedMessage::new(&text("hello"));
        world.clients[client].session.emit(wire::Target::Name(channel.into()), &message);
    }
    world.settle();
    let results = &world.clients[client].published;
    assert!(results.contains(&(Sequence::new(3), Err(RefusalReason::Forbidden))), "{results:?}");
    assert_eq!((results.len(), world.log.of("mine").count()), (2, 1));
    assert_eq!(world.log.of("yours").count(), 0);
    let said = world.read(client);
    assert!(said.contains(&"Forbidden".into()) && said.contains(&"subscribed".into()), "{said:?}");
    assert_eq!(world.server.load().refused_emits, 1);
}

#[test]
fn a_slow_consumer_is_a_cursor_and_catches_up() {
    let mut config = session::Config::default();
    config.receive.messages = 8;
    let mut world = World::with(Config::default(), config);
    let (slow, quick) = (world.join("ada"), world.join("ada"));
    for client in [slow, quick] {
        world.subscribe(client, "news", Start::Live);
        assert_eq!(world.read(client), ["subscribed"]);
    }
    world.clients[slow].is_stalled = true;
    let expected: Vec<_> = (0..500).map(|number| std::format!("{number}")).collect();
    for text in &expected {
        world.say("news", text);
        world.settle();
    }
    assert_eq!(world.read(quick), expected);
    let mut got = world.read(slow);
    assert!(got.len() < 20, "{} without credit", got.len());
    world.clients[slow].take_up(world.now.mono);
    got.extend(world.read(slow));
    assert_eq!(got, expected);
}

#[test]
fn a_client_without_room_hears_that_it_is_behind() {
    let mut config = session::Config::default();
    config.receive.messages = 8;
    let heartbeat = config.heartbeat;
    let mut world = World::with(Config::default(), config);
    let client = world.join("ada");
    world.subscribe(client, "news", Start::Live);
    world.read(client);
    world.clients[client].is_stalled = true;
    for number in 0..20 {
        world.say("news", &std::format!("{number}"));
        world.settle();
    }
    world.advance(heartbeat * 2);
    let behind = world.clients[client].events.iter().find_map(|event| match event {
        ClientEvent::Behind { received, head, .. } => Some((*received, *head)),
        _ => None,
    });
    let (received, head) = behind.expect("a ping tells it");
    assert!(received < head, "{received} of {head}");
}

#[test]
fn what_retention_took_from_a_parked_session_is_told() {
    let mut world = World::new();
    let client = world.join("ada");
    world.subscribe(client, "news", Start::Live);
    world.say("news", "one");
    world.settle();
    world.read(client);
    world.cut(client);
    for number in 2..6 {
        world.say("news", &std::format!("{number}"));
    }
    world.settle();
    let kept = world.log.of("news").nth(2).unwrap().offset;
    world.log.trim(kept);
    world.reconnect(client);
    assert_eq!(world.read(client), ["<Exact(2) Retention>", "4", "5"]);
}

#[test]
fn at_most_once_is_that_and_reaches_everyone_who_is_there() {
    let mut world = World::new();
    let (here, away) = (world.join("ada"), world.join("ada"));
    for client in [here, away] {
        world.subscribe(client, "news", Start::Live);
    }
    world.settle();
    world.cut(away);
    let message = Message { name: None, body: Body::Text("psst".into()) };
    world.server.emit(world.now, &"news".into(), message.clone(), &mut world.connections);
    world.settle();
    world.reconnect(away);
    assert_eq!(world.read(here), ["subscribed", "~psst"]);
    assert_eq!(world.read(away), ["subscribed"]);
    assert!(world.events.contains(&Event::Emitted { channel: "news".into(), message }));
    assert_eq!(world.log.of("news").count(), 0);
}

#[test]
fn an_unreadable_log_is_asked_again() {
    let mut world = World::new();
    let client = world.join("ada");
    world.log.is_unreadable = true;
    world.subscribe(client, "news", Start::Earliest);
    world.say("news", "one");
    assert!(world.read(client).is_empty());
    world.log.is_unreadable = false;
    world.advance(Config::default().reread);
    assert_eq!(world.read(client), ["subscribed", "one", "caught up"]);
}

#[test]
fn a_message_that_is_too_large_for_a_client_is_told_as_lost() {
    let mut world = World::new();
    let mut small = session::Config::default();
    small.limits.frame_bytes = 1000;
    world.config = Arc::new(small);
    let client = world.join("ada");
    world.subscribe(client, "news", Start::Live);
    world.settle();
    world.say("news", &"x".repeat(2000));
    world.say("news", "small");
    assert_eq!(world.read(client), ["subscribed", "<Exact(1) SlowConsumer>", "small"]);
}

#[test]
fn unsubscribing_ends_it_and_a_late_position_does_no_harm() {
    let mut world = World::new();
    let client = world.join("ada");
    world.subscribe(client, "news", Start::Live);
    world.say("news", "one");
    world.settle();
    let offset = world.log.head("news");
    let now = world.now.mono;
    let session = &mut world.clients[client].session;
    session.processed(now, "news", offset);
    session.unsubscribe(now, "news");
    session.subscribe(now, "news", Start::Earliest).unwrap();
    assert_eq!(world.read(client), ["subscribed", "one", "unsubscribed", "subscribed", "one", "caught up"]);
    assert_eq!(world.clients[client].closed(), None);
}

#[test]
fn positions_are_kept_for_the_session_and_none_from_the_future() {
    let mut world = World::new();
    let client = world.join("ada");
    world.subscribe(client, "news", Start::Live);
    world.say("news", "one");
    world.settle();
    let (now, offset) = (world.now.mono, world.log.head("news"));
    world.clients[client].session.processed(now, "news", offset);
    world.advance(SECOND);
    let number = world.server.channels().number("news").unwrap();
    let id = world.session_of(client);
    let position = Position { epoch: world.log.epoch, offset };
    assert_eq!(world.server.channels().position(id.into(), number), Some(position));

    let ack = wire::Ack {
        next: 0,
        processed: vec![wire::ChannelOffset { channel: number.get(), offset: offset.get() + 1 }],
        ..Default::default()
    };
    world.inject(client, wire::Frame::Ack(ack));
    world.settle();
    assert_eq!(world.clients[client].closed().and_then(Closed::code), Some(CloseCode::FutureAck));
    assert_eq!(world.server.load().sessions, 0);
}

#[test]
fn whatever_a_client_says_gives_its_credit_back() {
    let mut config = session::Config::default();
    config.receive.messages = 4;
    let mut world = World::with(Config::default(), config);
    let client = world.join("ada");
    for round in 0..20 {
        world.subscribe(client, "news", Start::Live);
        world.publish(client, publication("news", "hello"));
        world.settle();
        let now = world.now.mono;
        world.clients[client]
            .session
            .request(now, text("?"))
            .unwrap_or_else(|error| panic!("{round}: {error}"));
        world.clients[client].session.unsubscribe(now, "news");
        let session = world.session_of(client);
        let question = Message { name: None, body: Body::Text("?".into()) };
        world.server.request(world.now, session, &question, &mut world.connections).unwrap();
        world.settle();
        for event in core::mem::take(&mut world.clients[client].events) {
            if let ClientEvent::Request { request, .. } = event {
                world.clients[client].session.reply(now, request, Err("no".into())).unwrap();
            }
        }
        while let Some(Event::Request { session, request, .. }) = world.events.pop() {
            let answer = Err("no".into());
            world.server.reply(world.now, session, request, answer, &mut world.connections).unwrap();
        }
        world.advance(SECOND);
    }
    assert_eq!(world.log.of("news").count(), 20);
    let replies = world.events.iter().filter(|event| matches!(event, Event::Reply { .. })).count();
    assert_eq!(replies, 20);
}
