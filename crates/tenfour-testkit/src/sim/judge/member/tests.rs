//! What is owed to members: each oracle hears a history that breaks its invariant, and the same without the break.

use core::time::Duration;

use tenfour_delivery::{
    loss::{Count, Reason},
    time::{Instant, WallTime},
};

use crate::sim::{Committed, Cursor, Fact, Happening, Invariant, Judge, Left, Place, Received, Rules, Told};

const EPOCH: u64 = 1;
const AWAY: Duration = Duration::from_secs(60);

/// Hears these, a millisecond apart, and answers what they break, and the judge.
fn judged(facts: &[Fact]) -> (Judge, Option<Invariant>) {
    let mut judge = Judge::new(Rules { away: AWAY, ..Rules::new(2, 2) });
    let mut at = Instant::ZERO;
    for fact in facts {
        at = at + Duration::from_millis(1);
        if let Err(broken) = judge.observe(Happening { at, fact: *fact }) {
            return (judge, Some(broken.invariant));
        }
    }
    (judge, None)
}

/// Only the last of them breaks it.
#[track_caller]
fn breaks(invariant: Invariant, facts: &[Fact]) {
    assert_eq!(judged(facts).1, Some(invariant));
    holds(&facts[..facts.len() - 1]);
}

#[track_caller]
fn holds(facts: &[Fact]) {
    assert_eq!(judged(facts).1, None);
}

/// Session 0 of client 1 is in room 0 from the start, and messages 1, 2 and 3 are committed there.
fn beginning() -> Vec<Fact> {
    let mut facts = vec![
        Fact::Started { epoch: EPOCH },
        connected(0),
        Fact::SessionBegun { session: 0, start: place(0) },
        seated(0, 0, false),
        Fact::Entered { session: 0, channel: 0, after: 0 },
        Fact::Recoverable { session: 0 },
        greeted(0, 0, false),
    ];
    facts.extend((1..=3).flat_map(|offset| [offered(offset as u32, 0), committed(offset, 0, offset - 1)]));
    facts
}

fn then(facts: &[Fact]) -> Vec<Fact> {
    [&beginning()[..], facts].concat()
}

const fn place(offset: u64) -> Place {
    Place { epoch: EPOCH, offset }
}

const fn connected(connection: u32) -> Fact {
    Fact::Connected { client: 1, connection, claims: false, contests: false, knows: None }
}

const fn seated(connection: u32, session: u32, resumed: bool) -> Fact {
    Fact::Seated { connection, session, resumed }
}

const fn greeted(connection: u32, session: u32, recovered: bool) -> Fact {
    Fact::Greeted { client: 1, connection, session, recovered, within: None }
}

const fn claimed(connection: u32, cursor: Cursor) -> Fact {
    Fact::Claimed { client: 1, connection, session: 0, cursor, contests: false }
}

const fn offered(message: u32, channel: u8) -> Fact {
    Fact::Offered { by: 0, message, channel, ttl: None }
}

const fn committed(offset: u64, channel: u8, previous: u64) -> Fact {
    let (message, producer, expires) = (offset as u32, None, None);
    Fact::Committed(Committed { epoch: EPOCH, channel, offset, previous, message, producer, expires })
}

const fn received(offset: u64) -> Fact {
    let left = Left { at: Instant::ZERO, wall: WallTime::from_unix_millis(0) };
    Fact::Received(Received { by: 1, connection: 0, message: offset as u32, offset, left })
}

const fn told(after: u64, through: u64, count: Count) -> Fact {
    Fact::Told(Told { to: 1, after, through, count, reason: Reason::Retention })
}

#[test]
fn a_member_gets_everything_once_and_in_order() {
    holds(&then(&[received(1), received(2), received(3)]));
    breaks(Invariant::S7, &then(&[received(1), received(3)]));
    breaks(Invariant::S6, &then(&[received(1), received(2), received(2)]));
    breaks(Invariant::S6, &then(&[received(1), received(2), received(1)]));
    breaks(Invariant::S9, &then(&[received(4)]));
}

#[test]
fn what_is_owed_follows_from_when_it_was_in_the_room() {
    let elsewhere = [offered(4, 1), committed(4, 1, 0), received(1), received(2), received(3)];
    breaks(Invariant::S19, &then(&[&elsewhere[..], &[received(4)]].concat()));
    let entered = Fact::Entered { session: 0, channel: 1, after: 3 };
    holds(&then(&[&[entered], &elsewhere[..], &[received(4)]].concat()));
    let left = Fact::Exited { session: 0, channel: 0, through: 2 };
    breaks(Invariant::S19, &then(&[left, received(1), received(2), received(3)]));
}

#[test]
fn a_loss_is_told_as_it_is() {
    holds(&then(&[told(0, 2, Count::Exact(2)), received(3)]));
    holds(&then(&[told(0, 2, Count::AtLeast(1)), received(3)]));
    breaks(Invariant::S8, &then(&[told(0, 2, Count::Exact(1))]));
    breaks(Invariant::S8, &then(&[told(0, 2, Count::AtLeast(3))]));
    breaks(Invariant::S7, &then(&[told(1, 2, Count::Exact(1))]));
}

#[test]
fn a_session_that_can_go_on_does() {
    let back = |cursor| [received(1), Fact::Parked { session: 0 }, connected(1), claimed(1, cursor)];
    let recovered = [seated(1, 0, true), greeted(1, 0, true), received(2), received(3)];
    holds(&then(&[&back(Cursor::At(place(1)))[..], &recovered].concat()));
    let fresh = [Fact::SessionBegun { session: 1, start: place(3) }, seated(1, 1, false)];
    breaks(Invariant::S13, &then(&[&back(Cursor::At(place(1)))[..], &fresh].concat()));
    breaks(Invariant::S13, &then(&[&back(Cursor::None)[..], &fresh].concat()));
    let trimmed = [Fact::Trimmed { channel: 0, through: 2 }];
    let too_late = [&trimmed[..], &back(Cursor::At(place(1)))].concat();
    holds(&then(&[&too_late[..], &fresh].concat()));
    breaks(Invariant::S7, &then(&[&too_late[..], &[seated(1, 0, true)]].concat()));
    let ended = [&[Fact::Ended { session: 0 }][..], &back(Cursor::At(place(1)))].concat();
    breaks(Invariant::S11, &then(&[&ended[..], &[seated(1, 0, true)]].concat()));
}

#[test]
fn whoever_begins_anew_is_told_of_what_it_missed() {
    let anew = [
        Fact::Ended { session: 0 },
        connected(1),
        claimed(1, Cursor::None),
        Fact::SessionBegun { session: 1, start: place(3) },
        seated(1, 1, false),
        Fact::Entered { session: 1, channel: 0, after: 3 },
        greeted(1, 1, false),
        offered(4, 0),
        committed(4, 0, 3),
    ];
    breaks(Invariant::S7, &then(&[&anew[..], &[received(4)]].concat()));
    holds(&then(&[&anew[..], &[told(0, 3, Count::AtLeast(0)), received(4)]].concat()));
    breaks(Invariant::S8, &then(&[&anew[..], &[told(0, 3, Count::Exact(2))]].concat()));
}

#[test]
fn a_cursor_is_a_place_and_does_not_go_back() {
    let claim = |connection, cursor| {
        [connected(connection), claimed(connection, cursor), seated(connection, 0, true)]
    };
    let first = claim(1, Cursor::At(place(2)));
    holds(&then(&[&first[..], &claim(2, Cursor::At(place(2)))].concat()));
    for cursor in [Cursor::At(place(1)), Cursor::None, Cursor::Garbage] {
        let again = [connected(2), claimed(2, cursor)];
        breaks(Invariant::S12, &then(&[&first[..], &again].concat()));
    }
}

#[test]
fn who_is_refused_gets_nothing_and_who_is_told_of_a_room_is_in_it() {
    holds(&then(&[Fact::TurnedAway { connection: 0, entries: 0 }]));
    breaks(Invariant::S19, &then(&[Fact::TurnedAway { connection: 0, entries: 1 }]));
    holds(&then(&[Fact::RoomAnswered { session: 0, channel: 0, is_in: true }]));
    breaks(Invariant::S1, &then(&[Fact::RoomAnswered { session: 0, channel: 1, is_in: true }]));
}

#[test]
fn in_the_end_everything_has_arrived_and_the_log_knows_the_sessions() {
    let converged =
        |facts: &[Fact]| judged(facts).0.converged(Instant::ZERO).map_err(|broken| broken.invariant);
    let answered =
        [1, 2, 3].map(|offset| Fact::Acked { by: 0, message: offset as u32, epoch: EPOCH, offset });
    let all = then(&[&answered[..], &[received(1), received(2), received(3)]].concat());
    assert_eq!(converged(&all), Ok(()));
    assert_eq!(converged(&all[..all.len() - 1]), Err(Invariant::L2));
    let unwritten: Vec<_> =
        all.iter().filter(|fact| !matches!(fact, Fact::Recoverable { .. })).copied().collect();
    assert_eq!(converged(&unwritten), Err(Invariant::S23));
    assert_eq!(converged(&[&all[..], &[Fact::Ended { session: 0 }]].concat()), Err(Invariant::S23));
    let closed = [Fact::Ended { session: 0 }, Fact::Closed { session: 0 }];
    assert_eq!(converged(&[&all[..], &closed].concat()), Ok(()));
}
