//! What the log refuses, and what a restart finds.

use alloc::{string::ToString, vec::Vec};

use bytestring::ByteString;
use tenfour_delivery::log::AppendError;
use tenfour_log::Log as _;

use super::{super::*, world::World};
use crate::{JoinError, channel::NOTES};

fn room(name: &str) -> [ByteString; 1] {
    [name.into()]
}

fn ready(client: usize, world: &mut World) {
    world.connect(client);
    world.join(client, "a", Away::Everything);
    world.ready(client);
}

#[test]
fn a_join_is_made_when_it_is_committed() {
    let mut world = World::new(1_000);
    ready(0, &mut world);
    world.settle();
    let Some(Change::Pending(change)) = world.join(0, "b", Away::Everything) else {
        panic!("it waits for its commit")
    };
    let id = world.id(0).expect("it is in");
    let is_in =
        |world: &World| world.members.get(id).is_some_and(|member| member.rooms().any(|room| room == "b"));
    assert!(!is_in(&world) && world.account.changed.is_empty());
    world.settle();
    assert!(is_in(&world));
    assert_eq!(world.account.changed, [(change, Ok(()))]);
    assert_eq!(world.join(0, "b", Away::Everything), Some(Change::Done(false)));
}

#[test]
fn a_join_that_the_log_refuses_leaves_nothing_behind() {
    let mut world = World::new(1_000);
    ready(0, &mut world);
    world.settle();
    let before = world.recovery.session(world.id(0).expect("it is in")).cloned();
    world.join(0, "b", Away::Everything);
    world.leave(0, "a");
    assert!(world.take_effect() && world.append(true));
    let refused = AppendError::Refused { reason: "the disk is full".to_string() };
    for (_, result) in &world.account.changed {
        assert_eq!(*result, Err(ChangeError::NotCommitted(refused.clone())));
    }
    assert_eq!(world.account.changed.len(), 2);
    assert_eq!(world.recovery.session(world.id(0).expect("it is in")).cloned(), before);
    world.publish(&room("b"), &[], None);
    world.publish(&room("a"), &[], None);
    world.heal();
    assert_eq!(world.account.delivered, 1);
}

#[test]
fn a_session_that_the_log_refuses_goes_on_and_is_written_later() {
    let mut world = World::new(1_000);
    ready(0, &mut world);
    assert!(world.take_effect() && world.append(true));
    assert_eq!((world.account.unwritten, world.recovery.written().count()), (1, 0));
    assert_eq!(world.join(0, "b", Away::Everything), Some(Change::Done(true)), "nothing else can be done");
    world.publish(&room("b"), &[], None);
    world.settle();
    assert_eq!(world.account.delivered, 1);
    // This process still knows it.
    world.cut(0, 0, true);
    world.publish(&room("b"), &[], None);
    world.settle();
    world.connect(0);
    world.settle();
    assert_eq!((world.account.delivered, world.account.clients[0].recovered), (2, 1));
    assert_eq!(world.recovery.poll_timeout(), Some(world.account.now.mono + world.config.retry));
    world.wait(1_000);
    world.settle();
    assert_eq!(world.recovery.written().count(), 1);
    world.check_restored();
}

#[test]
fn a_log_that_failed_for_good_refuses_changes_and_still_serves() {
    let mut world = World::new(1_000);
    ready(0, &mut world);
    world.settle();
    world.publish(&room("a"), &[], None);
    world.settle();
    world.join(0, "b", Away::Everything);
    world.take_effect();
    let failed = AppendError::Failed { reason: "a sync failed".to_string() };
    assert!(world.append_as(Some(failed.clone())));
    world.join(0, "c", Away::Everything);
    assert!(!world.take_effect(), "nothing more is asked of it");
    world.events();
    let told: Vec<_> = world.account.changed.iter().map(|(_, result)| result.clone()).collect();
    assert_eq!(
        told,
        [Err(ChangeError::NotCommitted(failed.clone())), Err(ChangeError::NotCommitted(failed))]
    );
    world.cut(0, 1, true);
    world.connect(0);
    world.settle();
    assert_eq!(world.account.clients[0].recovered, 1, "what it has can be read");
}

#[test]
fn a_restart_finds_the_sessions_as_they_were() {
    let mut world = World::new(1_000);
    ready(0, &mut world);
    ready(1, &mut world);
    world.settle();
    world.join(0, "b", Away::Everything);
    world.leave(1, "a");
    world.settle();
    world.publish(&room("a"), &[], None);
    world.publish(&room("b"), &[], None);
    world.settle();
    world.cut(0, 1, false);
    world.restart();
    assert_eq!((world.recovery.parked(), world.members.away(), world.members.len()), (2, 2, 0));
    world.publish(&room("b"), &[], None);
    world.heal();
    assert_eq!(world.account.clients[0].recovered, 1);
    assert_eq!(world.account.clients[1].recovered, 1);
    assert_eq!(world.account.clients[0].session.as_ref().map(|mine| mine.seen.len()), Some(3));
}

#[test]
fn old_notes_go_when_the_sessions_are_written_down_anew() {
    let mut world = World::new(1_000);
    for client in 0..3 {
        ready(client, &mut world);
    }
    for _ in 0..40 {
        for client in 0..3 {
            world.join(client, "b", Away::Everything);
            world.leave(client, "b");
        }
        world.settle();
    }
    let query = Query { messages: usize::MAX, ..Query::of(NOTES, Offset::START) };
    let held = world.log.read(&query).expect("memory can be read").entries.len();
    assert!((3..60).contains(&held), "of 240 notes there are {held}");
    world.check_restored();
    world.publish(&room("a"), &[], None);
    world.settle();
    world.restart();
    world.heal();
    assert!(world.account.clients.iter().all(|client| client.recovered == 1));
}

#[test]
fn a_checkpoint_that_the_log_refuses_lets_nothing_go() {
    let mut world = World::new(1_000);
    ready(0, &mut world);
    world.settle();
    world.recovery.checkpoint();
    assert!(world.take_effect() && world.append(true));
    world.settle();
    world.check_restored();
    world.wait(1_000);
    world.recovery.checkpoint();
    world.settle();
    world.check_restored();
    world.recovery.checkpoint();
    assert!(!world.take_effect(), "there is nothing new to write down");
}

/// The log hangs, and clients come and go.
#[test]
fn waiting_sessions_are_bounded() {
    let config = Config { pending_notes: 2, ..Config::default() };
    let mut world = World::with(config, 1_000);
    for _ in 0..10 {
        ready(0, &mut world);
        world.leave_for_good(0);
    }
    assert!(world.recovery.notes.len() <= 4, "{} notes wait", world.recovery.notes.len());
    ready(0, &mut world);
    world.settle();
    assert_eq!(world.recovery.written().count(), 0);
    world.wait(1_000);
    world.settle();
    assert_eq!(world.recovery.written().count(), 1);
    world.check_restored();
}

#[test]
fn waiting_changes_are_bounded() {
    let config = Config { pending_notes: 2, ..Config::default() };
    let mut world = World::with(config, 1_000);
    ready(0, &mut world);
    world.settle();
    let id = world.id(0).expect("it is in");
    let mut join = |name: &'static str| {
        world.recovery.join(world.account.now, id, &name.into(), Away::Everything, &mut world.members)
    };
    assert!(join("b").is_ok() && join("c").is_ok());
    assert_eq!(join("d"), Err(JoinError::Busy { limit: 2 }));
    assert_eq!(join("\0s"), Err(JoinError::Reserved));
}
