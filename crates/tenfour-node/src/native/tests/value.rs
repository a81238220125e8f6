//! A server is a value: cloned, hashed, and a function of its calls.

use super::*;
use core::hash::BuildHasher;
use std::hash::RandomState;
use tenfour_broker::SocketId;

use crate::{Delivery, Dialect, Namespace, Peer, Urgency};

/// Sessions that are live and parked, publications under way, subscriptions.
fn busy() -> World {
    let mut world = World::new();
    let clients: Vec<_> = (0..4).map(|_| world.join("ada")).collect();
    for client in &clients {
        world.subscribe(*client, "news", Start::Earliest);
        world.publish(*client, publication("news", "hello"));
    }
    world.settle();
    world.cut(clients[0]);
    world.log.is_held = true;
    world.publish(clients[1], publication("news", "under way"));
    world.settle();
    world
}

#[test]
fn the_same_calls_make_the_same_server() {
    let hasher = RandomState::new();
    let (one, other) = (busy().server, busy().server);
    assert_eq!(hasher.hash_one(&one), hasher.hash_one(&other));
    assert_eq!(hasher.hash_one(one.clone()), hasher.hash_one(&one));
    let mut later = busy();
    later.say("news", "something more");
    assert_ne!(hasher.hash_one(&later.server), hasher.hash_one(&one));
}

#[test]
fn an_idle_session_is_small() {
    // Its place in the two tables, and nothing on the heap but its identity's name, which is shared.
    let bytes = size_of::<(SessionId, sessions::Session)>() + size_of::<([u8; 15], SessionId)>();
    assert!(bytes <= 360, "{bytes}");
}

#[test]
fn a_spurious_timeout_changes_nothing() {
    let mut world = busy();
    world.settle();
    let hasher = RandomState::new();
    let before = hasher.hash_one(&world.server);
    world.server.handle_timeout(world.now, &mut world.connections);
    assert_eq!(hasher.hash_one(&world.server), before);
    assert!(world.server.poll_timeout().is_some_and(|next| next > world.now.mono), "a session is parked");
}

#[test]
fn a_session_names_no_secret_when_it_is_printed() {
    let mut world = World::new();
    let client = world.join("ada");
    let token = world.token(client);
    world.cut(client);
    let printed = std::format!("{:?}", world.server);
    let secret = std::format!("{:?}", token.secret());
    assert!(!printed.contains(&secret[1..secret.len() - 1]));
}

/// What a Socket.IO socket was sent.
#[derive(Clone, Default)]
struct Socket(std::rc::Rc<core::cell::RefCell<Vec<std::string::String>>>);

impl Peer for Socket {
    fn dialect(&self) -> Dialect {
        Dialect::SocketIo(tenfour_session::socketio::Encoding::Json)
    }

    fn deliver(&self, packet: &tenfour_session::socketio::Encoded, _: Urgency) -> Delivery {
        self.0.borrow_mut().extend(packet.frames().iter().map(crate::tests::show));
        Delivery::Queued
    }
}

#[test]
fn members_of_other_dialects_get_what_is_committed_in_its_order_and_once() {
    let mut world = World::new();
    let mut namespace = Namespace::new("/".into(), tenfour_broker::Limits::default(), 0);
    let (both, none) = (Socket::default(), Socket::default());
    for (id, socket) in [(1, &both), (2, &none)] {
        namespace.insert(SocketId::from_bytes([id; 15]), socket.clone()).unwrap();
    }
    for room in ["news", "weather"] {
        namespace.join(SocketId::from_bytes([1; 15]), room).unwrap();
    }
    for says in ["one", "two"] {
        let mut publication = broadcast("news", says);
        publication.to.channels.push("weather".into());
        world.server.publish(world.now, publication, &mut world.connections).unwrap();
    }
    world.settle();
    for event in &world.events {
        if let Event::Committed(committed) = event {
            assert_eq!(committed.fan_out(&mut namespace).queued, 1);
        }
    }
    assert_eq!(*both.0.borrow(), [r#"42["message","one"]"#, r#"42["message","two"]"#]);
    assert!(none.0.borrow().is_empty());
}
