//! Each oracle hears a history that breaks its invariant, and the same without the break.

use core::time::Duration;

use tenfour_delivery::{
    loss::{Count, Reason},
    time::{Instant, WallTime},
};

use crate::sim::{
    Broken, Committed, Delivered, Fact, Forgery, Happening, Invariant, Judge, Left, Lost, Producer,
    ProtocolFault, Rules, Start,
};

const EPOCH: u64 = 1;
const TTL: Duration = Duration::from_secs(1);

/// Hears these, a millisecond apart.
fn judged(facts: &[Fact]) -> (Judge, Result<(), Broken>) {
    let mut judge = Judge::new(Rules { parking: Duration::from_secs(60), ..Rules::new(2, 2) });
    let mut at = Instant::ZERO;
    for fact in facts {
        at = at + Duration::from_millis(1);
        if let Err(broken) = judge.observe(Happening { at, fact: *fact }) {
            return (judge, Err(broken));
        }
    }
    (judge, Ok(()))
}

#[track_caller]
fn holds(facts: &[Fact]) {
    let (judge, verdict) = judged(facts);
    assert_eq!(verdict, Ok(()));
    drop(judge);
}

#[track_caller]
fn breaks(invariant: Invariant, facts: &[Fact]) {
    let (_, verdict) = judged(facts);
    let broken = verdict.expect_err("the last fact breaks it");
    assert_eq!(broken.invariant, invariant, "{broken}");
    holds(&facts[..facts.len() - 1]);
}

const fn offered(message: u32) -> Fact {
    Fact::Offered { by: 0, message, channel: 0, ttl: None }
}

const fn expiring(message: u32) -> Fact {
    Fact::Offered { by: 0, message, channel: 0, ttl: Some(TTL) }
}

/// Entry `offset` is message `offset`, number `offset` of one producer, and follows the one before it.
const fn committed(offset: u64) -> Committed {
    Committed {
        epoch: EPOCH,
        channel: 0,
        offset,
        previous: offset - 1,
        message: offset as u32,
        producer: Some(Producer { id: 1, epoch: 1, sequence: offset }),
        expires: None,
    }
}

/// A log with the entries 1 and 2 (and 3, which expires), and a reader from the start.
fn beginning() -> Vec<Fact> {
    vec![
        Fact::Started { epoch: EPOCH },
        connected(0, 0, false),
        Fact::Admitted { connection: 0, session: 1, resumed: false },
        offered(1),
        offered(2),
        expiring(3),
        Fact::Committed(committed(1)),
        Fact::Committed(committed(2)),
        Fact::Committed(Committed { expires: Some(WallTime::from_unix_millis(5_000)), ..committed(3) }),
        subscribed(Start::Earliest, EPOCH, 0),
    ]
}

const fn connected(client: u8, connection: u32, claims: bool) -> Fact {
    Fact::Connected { client, connection, claims, contests: false, knows: None }
}

const fn subscribed(start: Start, epoch: u64, after: u64) -> Fact {
    Fact::Subscribed { by: 0, channel: 0, start, epoch, after }
}

const fn delivery(offset: u64) -> Delivered {
    let message = offset as u32;
    Delivered { to: 0, connection: 0, channel: 0, epoch: EPOCH, offset, message, left: None }
}

const fn delivered(offset: u64) -> Fact {
    Fact::Delivered(delivery(offset))
}

const fn lost(after: u64, through: u64, count: Count, reason: Reason) -> Fact {
    Fact::Lost(Lost { to: 0, channel: 0, after, through, count, reason })
}

const fn acked(message: u32, offset: u64) -> Fact {
    Fact::Acked { by: 0, message, epoch: EPOCH, offset }
}

/// The beginning, and then these.
fn then(facts: &[Fact]) -> Vec<Fact> {
    let mut all = beginning();
    all.extend_from_slice(facts);
    all
}

#[test]
fn a_good_history_holds() {
    let facts = then(&[
        acked(1, 1),
        delivered(1),
        Fact::Saving { by: 0 },
        delivered(2),
        Fact::Saved { by: 0 },
        Fact::Crashed { client: 0 },
        subscribed(Start::After { epoch: EPOCH, offset: 1 }, EPOCH, 1),
        delivered(2),
        delivered(3),
        acked(2, 2),
        Fact::Acked { by: 0, message: 3, epoch: EPOCH, offset: 3 },
    ]);
    let (judge, verdict) = judged(&facts);
    assert_eq!(verdict, Ok(()));
    assert_eq!(judge.converged(Instant::ZERO), Ok(()));
}

#[test]
fn s1() {
    breaks(Invariant::S1, &then(&[offered(4), acked(4, 4)]));
    breaks(Invariant::S1, &then(&[offered(4), acked(4, 1)]));
}

#[test]
fn s2() {
    breaks(Invariant::S2, &then(&[Fact::Committed(Committed { offset: 4, previous: 3, ..committed(3) })]));
    let again = Some(Producer { id: 1, epoch: 1, sequence: 9 });
    let other = Committed { producer: again, message: 1, ..committed(4) };
    breaks(Invariant::S2, &then(&[Fact::Committed(other)]));
}

#[test]
fn s3() {
    let late = Producer { id: 1, epoch: 1, sequence: 1 };
    let other = Committed { producer: Some(late), ..committed(4) };
    breaks(Invariant::S3, &then(&[offered(4), Fact::Committed(other)]));
}

#[test]
fn s4() {
    breaks(Invariant::S4, &then(&[lost(0, 2, Count::AtLeast(1), Reason::SlowConsumer), delivered(1)]));
    let back = Committed { offset: 3, previous: 3, producer: None, ..committed(4) };
    breaks(Invariant::S4, &then(&[offered(4), Fact::Committed(back)]));
}

#[test]
fn s5() {
    let asked = |number| Fact::Asked { connection: 0, number };
    breaks(
        Invariant::S5,
        &[
            connected(0, 0, false),
            Fact::Admitted { connection: 0, session: 1, resumed: false },
            asked(1),
            asked(3),
            asked(2),
        ],
    );
    let answered = |number| Fact::Answered { to: 0, number };
    breaks(Invariant::S5, &[answered(1), answered(1)]);
}

#[test]
fn s6() {
    breaks(Invariant::S6, &then(&[delivered(1), delivered(2), delivered(1)]));
}

#[test]
fn s7() {
    breaks(Invariant::S7, &then(&[delivered(1), delivered(3)]));
    breaks(Invariant::S7, &then(&[Fact::Skipped { to: 0, channel: 0, after: 0, through: 1 }]));
    let elsewhere = Committed { previous: 2, ..committed(4) };
    breaks(Invariant::S7, &then(&[offered(4), Fact::Committed(elsewhere)]));
    let fault = ProtocolFault::BrokenChain;
    breaks(Invariant::S7, &then(&[Fact::Faulted { connection: 0, fault }]));
    // A server began anew, and nothing was said of what is gone.
    let anew = Fact::Started { epoch: 2 };
    let of_new = Fact::Committed(Committed { epoch: 2, ..committed(1) });
    let on_new = Fact::Delivered(Delivered { epoch: 2, ..delivery(1) });
    let moved = [delivered(1), anew, of_new, subscribed(Start::Earliest, 2, 0)];
    breaks(Invariant::S7, &then(&[&moved[..], &[on_new]].concat()));
    let told = lost(1, u64::MAX, Count::AtLeast(0), Reason::EpochReset);
    holds(&then(&[&moved[..], &[told, on_new]].concat()));
    holds(&then(&[&moved[..3], &[told, moved[3], on_new]].concat()));
}

#[test]
fn s8() {
    breaks(Invariant::S8, &then(&[lost(0, 2, Count::Exact(3), Reason::SlowConsumer)]));
    breaks(Invariant::S8, &then(&[delivered(1), lost(0, 2, Count::AtLeast(1), Reason::SlowConsumer)]));
    breaks(Invariant::S8, &then(&[lost(0, 1, Count::Exact(1), Reason::Ttl)]));
    breaks(Invariant::S8, &then(&[delivered(1), lost(1, u64::MAX, Count::AtLeast(3), Reason::EpochReset)]));
    breaks(
        Invariant::S8,
        &then(&[Fact::Trimmed { channel: 0, through: 1 }, lost(0, 2, Count::Exact(2), Reason::Retention)]),
    );
    holds(&then(&[Fact::Trimmed { channel: 0, through: 1 }, lost(0, 1, Count::Exact(1), Reason::Retention)]));
}

#[test]
fn s9() {
    breaks(Invariant::S9, &then(&[Fact::Delivered(Delivered { message: 2, ..delivery(1) })]));
    breaks(Invariant::S9, &then(&[delivered(9)]));
    breaks(Invariant::S9, &then(&[Fact::Committed(Committed { producer: None, ..committed(4) })]));
}

#[test]
fn s11() {
    let admitted = |connection| Fact::Admitted { connection, session: 1, resumed: true };
    breaks(
        Invariant::S11,
        &then(&[
            connected(0, 1, true),
            admitted(1),
            Fact::Acted { connection: 1 },
            Fact::Acted { connection: 0 },
        ]),
    );
    let forged =
        [connected(0, 1, true), Fact::Forged { connection: 1, forgery: Forgery::Token }, admitted(1)];
    let resumed = Fact::Welcomed { connection: 1, resumed: true, within: None };
    breaks(Invariant::S11, &then(&[&forged[..], &[resumed]].concat()));
    // A copy that shows the first token after the second one was used.
    let stale = Fact::Connected { client: 0, connection: 2, claims: true, contests: true, knows: Some(0) };
    breaks(
        Invariant::S11,
        &then(&[connected(0, 1, true), admitted(1), Fact::Acted { connection: 1 }, stale, admitted(2)]),
    );
    let of_life = |epoch, offset| {
        let producer = Some(Producer { id: 1, epoch, sequence: 0 });
        Fact::Committed(Committed { producer, ..committed(offset) })
    };
    breaks(Invariant::S11, &then(&[offered(4), offered(5), of_life(2, 4), of_life(1, 5)]));
}

#[test]
fn s12() {
    let claim = |offset| subscribed(Start::After { epoch: EPOCH, offset }, EPOCH, offset);
    let read = [delivered(1), Fact::Saving { by: 0 }, Fact::Saved { by: 0 }];
    breaks(Invariant::S12, &then(&[&read[..], &[claim(0)]].concat()));
    breaks(Invariant::S12, &then(&[&read[..], &[claim(2)]].concat()));
    let positioned = |offset| Fact::Positioned { by: 0, channel: 0, epoch: EPOCH, offset };
    breaks(Invariant::S12, &then(&[positioned(2), positioned(1)]));
}

#[test]
fn s13() {
    let welcomed = |connection, resumed| Fact::Welcomed { connection, resumed, within: None };
    let admitted = |connection, resumed| Fact::Admitted { connection, session: 1, resumed };
    let twice = [
        welcomed(0, false),
        Fact::Parted { connection: 0 },
        connected(0, 1, true),
        admitted(1, true),
        connected(0, 2, true),
    ];
    breaks(Invariant::S13, &then(&[&twice[..], &[admitted(2, false)]].concat()));
    holds(&then(&[&twice[..], &[admitted(2, true)]].concat()));
    let refused = Fact::Refused { connection: 2 };
    breaks(Invariant::S13, &then(&[&twice[..], &[refused]].concat()));
    let copy = Fact::Connected { client: 0, connection: 2, claims: true, contests: true, knows: None };
    holds(&then(&[&twice[..4], &[copy, refused]].concat()));
    // Who never heard of a session cannot ask for it.
    let unheard = [connected(0, 1, true), admitted(1, false), connected(0, 2, true), admitted(2, false)];
    holds(&then(&unheard));
    // A server that has begun anew has nothing to resume.
    let anew = [welcomed(0, false), Fact::Started { epoch: 2 }, connected(0, 1, true)];
    holds(&then(&[&anew[..], &[admitted(1, false)]].concat()));
}

#[test]
fn s14() {
    let at = |millis: u64| Some(Left { at: Instant::from_micros(millis * 1000), wall: WallTime::default() });
    let over = |left| Fact::Delivered(Delivered { left, ..delivery(1) });
    let replaced = [connected(0, 1, true), Fact::Admitted { connection: 1, session: 1, resumed: true }];
    breaks(Invariant::S14, &then(&[&replaced[..], &[over(at(500))]].concat()));
    holds(&then(&[&replaced[..], &[over(at(1))]].concat()));
}

#[test]
fn s15() {
    let left = |millis: u64, wall| {
        let left = Left { at: Instant::from_micros(millis * 1000), wall: WallTime::from_unix_millis(wall) };
        Fact::Delivered(Delivered { left: Some(left), ..delivery(3) })
    };
    let read = [delivered(1), delivered(2)];
    breaks(Invariant::S15, &then(&[&read[..], &[left(2_000, 6_000)]].concat()));
    // A calendar that jumped ahead is not held against anybody, nor one that jumped back.
    holds(&then(&[&read[..], &[left(500, 6_000)]].concat()));
    holds(&then(&[&read[..], &[left(2_000, 4_000)]].concat()));
}

#[test]
fn s19() {
    let denied = [
        Fact::Granted { client: 0, channel: 0, may_read: false },
        connected(0, 1, true),
        Fact::Admitted { connection: 1, session: 1, resumed: true },
    ];
    let left = Some(Left { at: Instant::ZERO, wall: WallTime::default() });
    let over_new = Fact::Delivered(Delivered { connection: 1, left, ..delivery(1) });
    breaks(Invariant::S19, &then(&[&denied[..], &[over_new]].concat()));
    // The old connection was let in when it might still read.
    holds(&then(&[&denied[..1], &[delivered(1)]].concat()));
}

#[test]
fn s20() {
    let heard = Fact::Heard { by: 0, message: 9 };
    breaks(Invariant::S20, &[Fact::Emitted { message: 9 }, heard, heard]);
    breaks(Invariant::S20, &[heard]);
}

#[test]
fn s10() {
    let overclaimed = Fact::Forged { connection: 0, forgery: Forgery::Acknowledgement };
    let left = Left { at: Instant::from_micros(1_000_000), wall: WallTime::default() };
    let after = Fact::Delivered(Delivered { left: Some(left), ..delivery(1) });
    breaks(Invariant::S10, &then(&[overclaimed, after]));
    let read = [delivered(1), delivered(2), delivered(3), acked(1, 1), acked(2, 2), acked(3, 3), overclaimed];
    let (judge, _) = judged(&then(&read));
    assert_eq!(judge.converged(Instant::ZERO).unwrap_err().invariant, Invariant::S10);
    let (judge, _) = judged(&then(&[&read[..], &[Fact::Parted { connection: 0 }]].concat()));
    assert_eq!(judge.converged(Instant::ZERO), Ok(()));
}

#[test]
fn s21() {
    breaks(Invariant::S21, &then(&[acked(1, 1), acked(1, 2)]));
    breaks(Invariant::S21, &then(&[Fact::Rejected { by: 0, message: 1, conflict: false }]));
}

#[test]
fn s22() {
    let conflicting = [offered(4), Fact::Conflicting { message: 4 }];
    breaks(Invariant::S22, &then(&[&conflicting[..], &[acked(4, 3)]].concat()));
    let entry = Committed { message: 4, ..Committed { offset: 4, previous: 3, ..committed(3) } };
    breaks(Invariant::S22, &then(&[&conflicting[..], &[Fact::Committed(entry)]].concat()));
    breaks(Invariant::S22, &then(&[offered(4), Fact::Rejected { by: 0, message: 4, conflict: true }]));
    holds(&then(&[&conflicting[..], &[Fact::Rejected { by: 0, message: 4, conflict: true }]].concat()));
}

#[test]
fn l1() {
    let (judge, verdict) = judged(&beginning());
    assert_eq!(verdict, Ok(()));
    assert_eq!(judge.converged(Instant::ZERO).unwrap_err().invariant, Invariant::L1);
}

#[test]
fn l2() {
    let (judge, verdict) = judged(&then(&[acked(1, 1), acked(2, 2), acked(3, 3), delivered(1)]));
    assert_eq!(verdict, Ok(()));
    assert_eq!(judge.converged(Instant::ZERO).unwrap_err().invariant, Invariant::L2);
}

#[test]
fn l4() {
    let welcomed = |within| Fact::Welcomed { connection: 1, resumed: true, within };
    let again = [connected(0, 1, true), Fact::Admitted { connection: 1, session: 1, resumed: true }];
    let soon = Some(Duration::from_micros(1));
    breaks(Invariant::L4, &then(&[&again[..], &[welcomed(soon)]].concat()));
    holds(&then(&[&again[..], &[welcomed(Some(TTL))]].concat()));
}
