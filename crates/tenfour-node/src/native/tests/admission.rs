//! Who gets in, and back in.

use super::*;

/// A client that publishes one message and is subscribed to the channel.
fn subscribed() -> (World, usize) {
    let mut world = World::new();
    let client = world.join("ada");
    world.subscribe(client, "news", Start::Live);
    assert_eq!(world.read(client), ["subscribed"]);
    (world, client)
}

#[test]
fn credentials_decide() {
    let mut world = World::new();
    let stranger = world.connect("eve", None);
    world.settle();
    assert_eq!(world.clients[stranger].closed().and_then(Closed::code), Some(CloseCode::Unauthorized));
    assert_eq!(world.server.load().sessions, 0);
}

#[test]
fn a_session_goes_on_exactly_after_a_cut() {
    let (mut world, client) = subscribed();
    world.cut(client);
    assert_eq!(world.server.load().parked, 1);
    world.say("news", "while away");
    world.settle();
    world.reconnect(client);
    world.say("news", "back");
    assert_eq!(world.read(client), ["while away", "back"]);
    assert_eq!(world.clients[client].resumptions, [Resumption::Fresh, Resumption::Exact]);
    assert_eq!((world.server.load().sessions, world.server.load().parked), (1, 0));
}

#[test]
fn what_was_on_its_way_is_sent_again_once() {
    let (mut world, client) = subscribed();
    world.clients[client].is_deaf = true;
    world.say("news", "one");
    world.say("news", "two");
    world.settle();
    world.cut(client);
    world.reconnect(client);
    world.say("news", "three");
    assert_eq!(world.read(client), ["one", "two", "three"]);
}

#[test]
fn a_live_session_is_taken_over_at_once() {
    let (mut world, client) = subscribed();
    let old = world.clients[client].peer.unwrap();
    world.reconnect(client);
    world.say("news", "here");
    assert_eq!(world.read(client), ["here"]);
    assert_eq!(world.clients[client].resumptions.last(), Some(&Resumption::Exact));
    // The connection that lost it says why, for good, and nothing else; what comes on it has no effect.
    let goodbye = world.goodbye(old);
    assert_eq!(goodbye, Some(CloseCode::Conflict));
    assert!(CloseCode::Conflict.is_final());
    world.end(old);
    assert_eq!(world.server.load().parked, 0);
    world.say("news", "still here");
    assert_eq!(world.read(client), ["still here"]);
}

#[test]
fn what_a_connection_received_before_it_was_overtaken_is_done_once() {
    let (mut world, client) = subscribed();
    let publish = world.publish(client, publication("news", "mine"));
    // The frame arrives, and the server has not looked at it when the session is taken over.
    world.upload_unseen(client);
    world.reconnect(client);
    assert_eq!(world.read(client), ["mine"]);
    let [(answered, Ok(_))] = &world.clients[client].published[..] else { panic!("one answer") };
    assert_eq!(*answered, publish);
    assert_eq!(world.log.of("news").count(), 1);
}

#[test]
fn a_resumption_whose_answer_was_lost_is_repeated() {
    let (mut world, client) = subscribed();
    for _ in 0..3 {
        world.reconnect(client);
        world.clients[client].is_deaf = true;
        world.settle();
    }
    world.reconnect(client);
    world.say("news", "at last");
    assert_eq!(world.read(client), ["at last"]);
    assert_eq!(world.clients[client].resumptions, [Resumption::Fresh, Resumption::Exact]);
    assert_eq!(world.server.load().sessions, 1);
}

#[test]
fn an_old_token_is_fenced_once_the_new_one_was_used() {
    let (mut world, client) = subscribed();
    let stale = world.clients[client].session.clone().take_journal();
    world.reconnect(client);
    world.settle();
    // The client has shown that it has the new one.
    let late = world.connect("ada", stale);
    world.settle();
    assert_eq!(world.clients[late].closed().and_then(Closed::code), Some(CloseCode::Fenced));
    world.say("news", "unimpressed");
    assert_eq!(world.read(client), ["unimpressed"]);
    assert_eq!(world.clients[client].closed(), None);
}

#[test]
fn of_two_claimants_the_newest_wins_and_the_other_stays_away() {
    let (mut world, client) = subscribed();
    let copy = world.clients[client].session.clone().take_journal();
    world.cut(client);
    world.is_asking_late = true;
    world.reconnect(client);
    let second = world.connect("ada", copy);
    world.settle();
    assert_eq!(world.server.load().parked, 1, "nobody has it before it is known who they are");
    world.authenticate();
    world.authenticate();
    world.say("news", "to one");
    world.settle();
    assert_eq!(world.clients[client].closed().and_then(Closed::code), Some(CloseCode::Conflict));
    assert_eq!(world.read(second), ["to one"]);
    assert_eq!(world.server.load().sessions, 1);
}

#[test]
fn a_session_is_its_identitys_alone() {
    let (mut world, client) = subscribed();
    world.identities.insert("bob".into(), Identity::new("bob", Grants::all()));
    let stolen = world.clients[client].session.clone().take_journal();
    let thief = world.connect("bob", stolen);
    world.say("news", "private");
    world.settle();
    assert_eq!(world.clients[thief].closed().and_then(Closed::code), Some(CloseCode::Unauthorized));
    assert_eq!(world.read(client), ["private"]);
}

#[test]
fn a_forged_secret_is_refused_and_an_unknown_session_is_new() {
    let refused = Err(CloseCode::Unauthorized);
    // A bit of the secret, a bit of the id, a generation to come, one long gone.
    for (place, generation, expected) in
        [(Some(29), 0, refused), (Some(14), 0, Ok(wire::Outcome::Rebased)), (None, 7, refused)]
    {
        let (mut world, client) = subscribed();
        let mut token = world.token(client);
        if let Some(place) = place {
            token.0[place] ^= 1;
        }
        let resume = wire::Resume { token, generation, next: 0, first_held: 0 };
        assert_eq!(world.greet("ada", Some(resume)), expected, "{place:?} {generation}");
        world.say("news", "safe");
        assert_eq!(world.read(client), ["safe"]);
    }
}

#[test]
fn a_claim_from_the_future_is_refused_and_leaves_the_session() {
    let (mut world, client) = subscribed();
    let token = world.token(client);
    world.cut(client);
    let resume = wire::Resume { token, generation: 0, next: 1000, first_held: 0 };
    assert_eq!(world.greet("ada", Some(resume)), Err(CloseCode::FutureAck));
    world.say("news", "for its owner");
    world.reconnect(client);
    assert_eq!(world.read(client), ["for its owner"]);
}

#[test]
fn another_namespace_is_not_here() {
    let mut world = World::new();
    let hello = wire::Hello { namespace: "/elsewhere".into(), ..World::hello("ada", None) };
    assert_eq!(world.greet_with(hello), Err(CloseCode::UnknownNamespace));
}

#[test]
fn parking_ends_and_the_client_goes_on_from_its_cursor() {
    let (mut world, client) = subscribed();
    world.say("news", "one");
    assert_eq!(world.read(client), ["one"]);
    world.cut(client);
    world.say("news", "two");
    let parking = Config::default().parking;
    world.advance(parking - Duration::from_micros(1));
    assert_eq!(world.server.load().parked, 1);
    world.advance(Duration::from_micros(1));
    assert_eq!(world.server.load(), Load::default());
    assert!(
        world.events.iter().any(|event| matches!(event, Event::Left { reason: LeaveReason::Expired, .. }))
    );
    world.reconnect(client);
    world.settle();
    assert_eq!(world.clients[client].resumptions.last(), Some(&Resumption::Rebased));
    world.say("news", "three");
    assert_eq!(world.read(client), ["subscribed", "two", "caught up", "three"]);
}

#[test]
fn a_new_life_of_the_log_is_told() {
    let (mut world, client) = subscribed();
    world.say("news", "one");
    assert_eq!(world.read(client), ["one"]);
    world.restart(2);
    world.say("news", "another one");
    world.reconnect(client);
    assert_eq!(world.read(client), ["subscribed anew <EpochReset>", "another one", "caught up"]);
    assert_eq!(world.clients[client].resumptions.last(), Some(&Resumption::Rebased));
}

#[test]
fn what_is_not_granted_any_more_is_not_sent_again() {
    let (mut world, client) = subscribed();
    world.subscribe(client, "secret", Start::Live);
    world.settle();
    world.read(client);
    world.clients[client].is_deaf = true;
    world.say("secret", "on its way when it happened");
    world.say("news", "public");
    world.settle();
    world.cut(client);
    world.say("secret", "while away");
    world.identities.insert("ada".into(), Identity::new("ada", Grants::new().subscribe("news")));
    world.reconnect(client);
    world.say("secret", "live");
    world.say("news", "more");
    assert_eq!(world.read(client), ["<Exact(1) Unsubscribed>", "public", "Forbidden", "more"]);
    assert_eq!(world.clients[client].resumptions.last(), Some(&Resumption::Exact));
}

#[test]
fn what_is_not_granted_any_more_does_not_begin() {
    let mut world = World::new();
    let client = world.join("ada");
    world.log.is_unreadable = true;
    world.subscribe(client, "secret", Start::Earliest);
    world.settle();
    world.cut(client);
    world.identities.insert("ada".into(), Identity::new("ada", Grants::new()));
    world.log.is_unreadable = false;
    world.reconnect(client);
    assert_eq!(world.read(client), ["Forbidden"]);
    world.say("secret", "not for ada");
    world.advance(SECOND * 5);
    assert!(world.read(client).is_empty());
    assert_eq!(world.clients[client].resumptions.last(), Some(&Resumption::Exact));
}

#[test]
fn a_server_may_take_all_the_time_there_is_to_go() {
    let mut world = World::new();
    let clients = [world.join("ada"), world.join("ada")];
    world.server.shutdown(world.now, Duration::MAX, Duration::MAX, &mut world.connections);
    world.settle();
    for client in clients {
        assert!(world.clients[client].was_told_to_go && world.clients[client].closed().is_none());
        world.cut(client);
    }
    world.settle();
    assert_eq!(world.events.last(), Some(&Event::Drained));
}

#[test]
fn a_server_that_goes_says_so_and_spreads_the_goodbyes() {
    let mut world = World::new();
    let clients: Vec<_> = (0..4).map(|_| world.join("ada")).collect();
    world.server.shutdown(world.now, SECOND * 4, SECOND, &mut world.connections);
    world.settle();
    assert!(
        clients
            .iter()
            .all(|client| world.clients[*client].was_told_to_go && world.clients[*client].closed().is_none())
    );
    for gone in 1..=4 {
        world.advance(SECOND);
        let closed = clients.iter().filter(|client| world.clients[**client].closed().is_some());
        assert_eq!(closed.count(), gone);
    }
    let codes = clients.iter().map(|client| world.clients[*client].closed().and_then(Closed::code));
    assert!(codes.eq([Some(CloseCode::GoingAway); 4]));
    assert_eq!(world.events.last(), Some(&Event::Drained));
    assert_eq!(world.server.load().parked, 4);
    assert_eq!(world.greet("ada", None), Err(CloseCode::GoingAway));
}
