//! What a server holds at most.

use super::*;
use alloc::collections::BTreeSet;

fn with(change: impl FnOnce(&mut Limits)) -> World {
    let mut config = Config::default();
    change(&mut config.limits);
    World::with(config, Default::default())
}

#[test]
fn an_identity_has_so_many_sessions_and_the_oldest_parked_goes_first() {
    let mut world = with(|limits| limits.sessions_per_identity = 2);
    world.identities.insert("bob".into(), Identity::new("bob", Grants::all()));
    let (first, second) = (world.join("ada"), world.join("ada"));
    assert_eq!(world.greet("ada", None), Err(CloseCode::Overloaded));
    world.join("bob");
    world.cut(second);
    world.advance(SECOND);
    world.cut(first);
    let third = world.join("ada");
    assert_eq!(world.server.load().sessions, 3);
    world.reconnect(second);
    world.settle();
    assert_eq!(
        world.clients[second].resumptions,
        [Resumption::Fresh, Resumption::Rebased],
        "the oldest has gone"
    );
    world.cut(third);
    assert_eq!(world.evicted(), 2, "the second's new session has taken the first's place");
}

#[test]
fn sessions_are_bounded() {
    let mut world = with(|limits| limits.sessions = 2);
    let first = world.join("ada");
    world.join("ada");
    assert_eq!(world.greet("ada", None), Err(CloseCode::Overloaded));
    world.cut(first);
    world.join("ada");
    assert_eq!((world.server.load().sessions, world.evicted()), (2, 1));
}

#[test]
fn parked_sessions_are_bounded_in_number_and_in_bytes() {
    let mut world = with(|limits| limits.parked = 2);
    let clients: Vec<_> = (0..3).map(|_| world.join("ada")).collect();
    for client in &clients {
        world.cut(*client);
    }
    assert_eq!((world.server.load().parked, world.evicted()), (2, 1));
    world.reconnect(clients[0]);
    world.settle();
    assert_eq!(world.clients[clients[0]].resumptions.last(), Some(&Resumption::Rebased));

    let mut world = with(|limits| limits.parked_bytes = 20_000);
    let clients: Vec<_> = (0..2).map(|_| world.join("ada")).collect();
    for client in &clients {
        world.subscribe(*client, "news", Start::Live);
        world.settle();
        world.clients[*client].is_deaf = true;
    }
    world.say("news", &"x".repeat(15_000));
    world.settle();
    world.cut(clients[0]);
    assert_eq!(world.server.load().parked, 1);
    assert!(world.server.load().parked_bytes >= 15_000);
    world.cut(clients[1]);
    assert_eq!((world.server.load().parked, world.evicted()), (1, 1));
}

#[test]
fn connections_that_wait_are_bounded() {
    let mut world = with(|limits| limits.authenticating = 1);
    world.is_asking_late = true;
    world.connect("ada", None);
    world.settle();
    assert_eq!(world.greet("ada", None), Err(CloseCode::Overloaded));
    world.authenticate();
    world.settle();
    assert_eq!(world.server.load().authenticating, 0);
}

#[test]
fn a_connection_that_goes_while_it_waits_leaves_nothing() {
    let mut world = World::new();
    world.is_asking_late = true;
    let client = world.connect("ada", None);
    world.settle();
    world.cut(client);
    assert_eq!(world.server.load(), Load::default());
    world.authenticate();
    assert_eq!(world.server.load(), Load::default());
}

#[test]
fn subscriptions_and_publications_of_a_session_are_bounded() {
    let mut world = with(|limits| {
        limits.subscriptions_per_session = 2;
        limits.publishes_per_session = 2;
    });
    let client = world.join("ada");
    world.log.is_held = true;
    for channel in ["a", "b", "c"] {
        world.subscribe(client, channel, Start::Live);
        world.publish(client, publication(channel, "hello"));
    }
    assert_eq!(world.read(client), ["TooMany", "subscribed", "subscribed"]);
    let [(_, refused)] = world.clients[client].published[..] else { panic!("two wait for the log") };
    assert_eq!(refused, Err(RefusalReason::Overloaded));
    world.log.is_held = false;
    world.settle();
    world.publish(client, publication("a", "hello again"));
    world.settle();
    assert_eq!(world.clients[client].published.iter().filter(|(_, result)| result.is_ok()).count(), 3);
}

#[test]
fn the_subscribers_of_a_channel_share_its_name() {
    let mut world = World::new();
    for _ in 0..2 {
        let client = world.join("ada");
        world.subscribe(client, "news", Start::Live);
    }
    world.settle();
    let names: BTreeSet<_> = (1..=2)
        .filter_map(|id| world.server.sessions.get(SessionId(id)))
        .flat_map(|session| session.subscriptions.values())
        .map(|subscribing| subscribing.channel.as_ptr())
        .collect();
    assert_eq!(names.len(), 1, "none is a part of a read buffer, which it would keep");
}

#[test]
fn who_comes_and_goes_leaves_nothing() {
    let mut world = World::new();
    for _ in 0..50 {
        let client = world.join("ada");
        world.subscribe(client, "news", Start::Live);
        world.publish(client, publication("news", "hello"));
        world.settle();
        let now = world.now.mono;
        world.clients[client].session.close(now, CloseCode::Normal);
        world.settle();
    }
    assert_eq!(world.server.load(), Load::default());
    assert_eq!(world.server.poll_timeout(), None);
    let ends = world
        .events
        .iter()
        .filter(|event| matches!(event, Event::Left { reason: LeaveReason::Closed(CloseCode::Normal), .. }));
    assert_eq!(ends.count(), 50);
}
