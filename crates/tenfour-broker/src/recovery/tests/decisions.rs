//! What is answered to each claim, and who has a session when two claim it.

use bytestring::ByteString;
use tenfour_delivery::loss::{Count, Reason};

use super::{super::*, world::World};

fn room(name: &str) -> [ByteString; 1] {
    [name.into()]
}

/// A client in the room `a`, which has got one message, and two rooms of which each keeps so many.
fn one_in_a(per_channel: usize) -> World {
    let mut world = World::new(per_channel);
    world.publish(&room("b"), &[], None);
    world.settle();
    world.connect(0);
    world.join(0, "a", Away::Everything);
    world.ready(0);
    world.settle();
    world.publish(&room("a"), &[], None);
    world.settle();
    world
}

fn publish(world: &mut World, name: &str, times: usize) {
    for _ in 0..times {
        world.publish(&room(name), &[], None);
    }
    world.settle();
}

/// The client comes back with this, and what becomes of it.
fn claims(world: &mut World, at: Option<Position>) -> Result<usize, Reason> {
    let pid = world.claim(0).expect("a session").pid;
    let before = world.account.clients[0].clone();
    world.connect_with(0, Some(Claim { pid, at }));
    world.settle();
    let after = &world.account.clients[0];
    match after.recovered > before.recovered {
        true => Ok(after.session.as_ref().map_or(0, |mine| mine.seen.len())),
        false => Err(after.lost.last().map_or(Reason::Unknown, |lost| lost.reason)),
    }
}

#[test]
pub(super) fn a_position_is_no_entry() {
    let mut world = one_in_a(1_000);
    let at = world.claim(0).and_then(|claim| claim.at).expect("it got something");
    publish(&mut world, "b", 3);
    world.cut(0, 0, true);
    publish(&mut world, "a", 1);
    let between = Position { offset: Offset::new(at.offset.get() + 2), ..at };
    assert_eq!(claims(&mut world, Some(between)), Ok(2));
}

#[test]
pub(super) fn who_got_nothing_yet_goes_on_from_the_start() {
    let mut world = one_in_a(1_000);
    world.cut(0, 1, true);
    assert_eq!(world.claim(0).map(|claim| claim.at), Some(None));
    assert_eq!(claims(&mut world, None), Ok(1));
}

/// A client that was given a new session, and was cut before it heard anything of that, still has the cursor of the old one.
#[test]
pub(super) fn a_cursor_from_before_the_session_means_its_start() {
    for position in [(1, 0), (1, 1), (7, 1), (7, 900)] {
        let mut world = one_in_a(1_000);
        world.cut(0, 1, true);
        let at = Position { epoch: Epoch::new(position.0), offset: Offset::new(position.1) };
        assert_eq!(claims(&mut world, Some(at)), Ok(1), "{at:?}");
    }
}

#[test]
pub(super) fn a_cursor_beyond_the_log_is_of_another_one() {
    let mut world = one_in_a(1_000);
    world.cut(0, 0, true);
    let ahead = Position { offset: Offset::new(1_000), ..world.recovery.head() };
    assert_eq!(claims(&mut world, Some(ahead)), Err(Reason::EpochReset));
}

#[test]
pub(super) fn what_was_trimmed_before_the_position_is_not_missing() {
    let mut world = one_in_a(2);
    publish(&mut world, "a", 4);
    world.cut(0, 0, true);
    publish(&mut world, "a", 2);
    let at = world.claim(0).expect("a session").at;
    assert_eq!(claims(&mut world, at), Ok(7), "the last that is gone is the last that it has");
}

#[test]
pub(super) fn what_was_trimmed_after_the_position_is_told() {
    let mut world = one_in_a(2);
    world.cut(0, 0, true);
    publish(&mut world, "a", 5);
    let at = world.claim(0).and_then(|claim| claim.at).expect("it got something");
    assert_eq!(claims(&mut world, Some(at)), Err(Reason::Retention));
    let client = &world.account.clients[0];
    assert_eq!(client.lost[0].count, Count::AtLeast(3));
    assert_eq!(client.lost[0].range.after, at.offset);
    assert_eq!(world.account.ended.last().map(|ended| ended.1), Some(EndReason::Unrecoverable));
}

/// A busy room that a client joined late has lost what came before: that was never its own.
#[test]
pub(super) fn what_a_room_lost_before_the_join_is_not_missing() {
    let mut world = one_in_a(2);
    publish(&mut world, "b", 9);
    world.join(0, "b", Away::Everything);
    world.settle();
    world.cut(0, 0, true);
    publish(&mut world, "b", 2);
    let at = world.claim(0).expect("a session").at;
    assert_eq!(claims(&mut world, at), Ok(3));
}

#[test]
pub(super) fn what_a_room_lost_after_it_was_left_is_not_missing() {
    let mut world = one_in_a(2);
    world.leave(0, "a");
    world.settle();
    publish(&mut world, "a", 9);
    world.cut(0, 0, true);
    let at = world.claim(0).expect("a session").at;
    assert_eq!(claims(&mut world, at), Ok(1));
}

#[test]
pub(super) fn a_session_that_is_gone_is_a_loss_if_anything_was_published_since() {
    for (published, told) in [(0, Reason::Unknown), (1, Reason::Unsubscribed)] {
        let mut world = one_in_a(1_000);
        world.cut(0, 0, true);
        publish(&mut world, "a", published);
        world.wait(120_000);
        assert_eq!(world.account.ended.last().map(|ended| ended.1), Some(EndReason::Expired));
        let at = world.account.head;
        world.settle(); // its end is noted
        let published_at = world.claim(0).expect("it does not know").at.map(|at| at.offset);
        let claim = if published == 0 { Some(world.recovery.head()) } else { world.claim(0).unwrap().at };
        assert_eq!(claims(&mut world, claim), Err(told), "{at} {published_at:?}");
    }
}

#[test]
pub(super) fn a_session_that_is_not_ready_cannot_be_claimed() {
    let mut world = World::new(1_000);
    world.connect(0);
    world.join(0, "a", Away::Everything);
    publish(&mut world, "a", 1);
    let at = world.claim(0).expect("a session").at;
    world.cut(0, 0, true);
    assert_eq!(world.account.ended.last().map(|ended| ended.1), Some(EndReason::Unready));
    publish(&mut world, "a", 1);
    assert_eq!(claims(&mut world, at), Err(Reason::Unsubscribed));
}

/// The server has not noticed that the first connection is dead; and then the answer to the second is lost.
#[test]
pub(super) fn the_same_claim_may_be_made_again_and_the_newest_claimant_has_the_session() {
    let mut world = one_in_a(1_000);
    world.cut(0, 0, false);
    publish(&mut world, "a", 2);
    let claim = world.claim(0);
    for times in 1..4 {
        world.cut(0, 9, false);
        world.connect_with(0, claim);
        assert_eq!(world.account.fenced.len(), times, "at once, before the log is asked");
        assert_eq!(world.members.len(), 0, "the old connection is not reached any more");
        world.settle();
        let mine = world.account.clients[0].session.as_ref().expect("a session");
        assert_eq!((mine.seen.len(), world.account.clients[0].recovered), (3, times));
        assert_eq!((world.members.len(), world.recovery.len()), (1, 1));
    }
}

#[test]
pub(super) fn a_claimant_takes_over_from_one_that_is_still_being_decided_on() {
    let mut world = one_in_a(1_000);
    world.cut(0, 0, true);
    publish(&mut world, "a", 2);
    let claim = world.claim(0);
    world.connect_with(0, claim);
    assert!(world.take_effect(), "the log is asked for the first");
    world.connect_with(0, claim);
    assert_eq!(world.account.fenced, [Visit(2)]);
    world.settle();
    let mine = world.account.clients[0].session.as_ref().expect("a session");
    assert_eq!((mine.seen.len(), world.account.clients[0].recovered), (3, 1));
}

#[test]
pub(super) fn the_departure_of_a_fenced_visit_changes_nothing() {
    let mut world = one_in_a(1_000);
    let (claim, old) = (world.claim(0), Visit(1));
    world.connect_with(0, claim);
    world.settle();
    for departure in [Departure::Lost, Departure::Left] {
        assert!(!world.recovery.depart(world.account.now, old, departure, &mut world.members));
    }
    assert_eq!((world.members.len(), world.recovery.parked()), (1, 0));
}

/// Of two rooms one has lost messages; the client is full in the midst of what the other still has.
#[test]
pub(super) fn a_loss_is_told_once_though_the_client_is_full_within_it() {
    let mut world = one_in_a(2);
    world.join(0, "b", Away::Everything);
    world.settle();
    world.make_room(0, 0);
    publish(&mut world, "b", 1); // it is behind from here on
    for name in ["a", "a", "a", "a", "b"] {
        world.publish(&room(name), &[], None);
    }
    while world.take_effect() || world.append(false) {}
    for items in 1..6 {
        world.make_room(0, 1);
        world.settle();
        let _ = items;
    }
    assert_eq!(world.account.told, 1);
    world.heal();
}

#[test]
fn an_entry_that_the_log_leaves_out_is_told() {
    // Where the last entry of a page is missing, the next page begins with it.
    for (place, outcome) in [(0, (3, 1)), (1, (4, 0))] {
        let mut world = one_in_a(1_000);
        world.make_room(0, 0);
        publish(&mut world, "a", 3);
        world.make_room(0, 9);
        assert!(world.take_effect() && world.read(0));
        world.damage_page(place);
        world.settle();
        let mine = world.account.clients[0].session.as_ref().expect("a session");
        assert_eq!((mine.seen.len(), world.account.told), outcome);
        world.heal();
    }
}

/// The log was cut behind the sessions' backs, and began anew.
#[test]
fn a_session_of_another_life_of_the_log_cannot_go_on() {
    let mut world = one_in_a(1_000);
    world.cut(0, 0, true);
    let at = world.claim(0).expect("a session").at;
    world.account.epoch = Epoch::new(2);
    world.restart();
    assert_eq!(claims(&mut world, at), Err(Reason::EpochReset));
}

#[test]
pub(super) fn whoever_is_away_is_sent_away_as_well() {
    let mut world = one_in_a(1_000);
    world.cut(0, 0, true);
    world.disconnect(&crate::Target::room("a"));
    assert_eq!(world.account.ended.last().map(|ended| ended.1), Some(EndReason::Left));
    assert_eq!((world.recovery.len(), world.members.away()), (0, 0));
    world.settle();
    assert!(world.restored().is_empty(), "nor is it back after a restart");
}

#[test]
pub(super) fn nobody_gets_in_twice_or_beyond_the_bound() {
    let config = Config { sessions: 2, ..Config::default() };
    let mut world = World::with(config, 1_000);
    world.connect(0);
    world.connect(1);
    let arrival = |n| Arrival::new((SocketId::from_bytes([n; 15]), Pid::from_bytes([n; 15])));
    let now = world.account.now;
    let mut connect = |visit, n| world.recovery.connect(now, Visit(visit), arrival(n), &mut world.members);
    assert_eq!(connect(9, 9), Err(ConnectError::Full { limit: 2 }));
    assert_eq!(connect(1, 9), Err(ConnectError::Visiting));
    assert_eq!(connect(9, 1), Err(ConnectError::Taken));
    // A session that waits for its client makes room.
    world.ready(0);
    world.settle();
    world.cut(0, 0, true);
    world.connect(2);
    assert_eq!(world.account.ended.last().map(|ended| ended.1), Some(EndReason::Evicted));
}

#[test]
pub(super) fn parked_sessions_are_bounded_in_bytes() {
    let config = Config { parked_bytes: 10, ..Config::default() };
    let mut world = World::with(config, 1_000);
    for client in 0..2 {
        world.connect(client);
        world.join(client, "a", Away::Everything);
        let id = world.id(client).expect("it is in");
        let data = "\"12345\"".into();
        world.recovery.set_data(world.account.now, id, data, &mut world.members).expect("it is short");
        world.ready(client);
    }
    world.settle();
    world.cut(0, 0, true);
    assert_eq!((world.recovery.parked(), world.account.ended.len()), (1, 0));
    world.cut(1, 0, true);
    assert_eq!((world.recovery.parked(), world.account.ended.len()), (1, 1));
    assert_eq!(world.account.ended[0], (world.id(0).expect("it does not know"), EndReason::Evicted));
}
