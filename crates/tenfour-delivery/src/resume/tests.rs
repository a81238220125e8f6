extern crate std;

use alloc::{format, string::String};

use proptest::prelude::*;

use super::*;
use crate::cursor::Cursor;

fn seq(number: u64) -> Sequence {
    Sequence::new(number)
}

/// We hold 4 to 7 and have received everything below 20; the peer's claims are everything around these borders.
#[test]
fn every_case_of_a_session() {
    let local = Local { first_held: seq(4), transmitted: seq(8), received: seq(20) };
    let mut table = String::from("held: 4 to 7, received: everything below 20\n");
    for next in [0, 3, 4, 5, 7, 8, 9, u64::MAX] {
        for first_held in [0, 19, 20, 21] {
            let claim = Claim { next: seq(next), first_held: seq(first_held) };
            table += &format!("needs {next}, holds {first_held}: {}\n", told(decide(&local, &claim)));
        }
    }
    insta::assert_snapshot!(table);
}

fn told(session: Session) -> String {
    let missing = |missing: Option<Missing>| {
        missing.map_or("nothing".into(), |missing| format!("[{}, {})", missing.from, missing.before))
    };
    match session {
        Session::Exact { retransmit_from } => format!("exact, from {retransmit_from}"),
        Session::Gap { outgoing, incoming } => {
            format!("gap, outgoing {} and incoming {}", missing(outgoing), missing(incoming))
        }
        Session::FromFuture { claimed, transmitted } => {
            format!("{claimed} of {transmitted} is from the future")
        }
    }
}

#[test]
fn every_case_of_a_channel() {
    let mut table = String::new();
    for (trimmed, head) in [(0, 0), (0, 9), (5, 9), (9, 9)] {
        let history =
            History { epoch: Epoch::new(2), trimmed: Offset::new(trimmed), head: Offset::new(head) };
        table += &format!("epoch 2, trimmed through {trimmed}, head {head}\n");
        for (epoch, offset) in
            [(2, 0), (2, 3), (2, 4), (2, 5), (2, 6), (2, 8), (2, 9), (2, 10), (1, 0), (1, 40), (3, 4)]
        {
            let claimed = Position { epoch: Epoch::new(epoch), offset: Offset::new(offset) };
            table += &format!("  {epoch}/{offset}: {}\n", decided(decide_stream(claimed, &history)));
        }
    }
    insta::assert_snapshot!(table);
}

fn decided(decision: Decision) -> String {
    let told = |lost: Lost| format!("{} {} lost: {}", lost.range, lost.count, lost.reason);
    match decision {
        Decision::Continue { after } => format!("continue after {after}"),
        Decision::Gap { lost, after } => format!("gap, {}; after {after}", told(lost)),
        Decision::Reset { lost, epoch, after } => {
            format!("reset to epoch {epoch}, {}; after {after}", told(lost))
        }
        Decision::Ahead { head } => format!("ahead of {head}"),
    }
}

proptest! {
    /// A subscriber that does what was decided, and reads on, has been delivered or told every entry of the channel that
    /// it was owed; and if it asks again from where it is, it simply goes on.
    #[test]
    fn what_is_decided_leaves_no_hole(
        entries in proptest::collection::btree_set(1..30_u64, 0..12),
        trimmed in 0..13_usize,
        offset in 0..32_u64,
    ) {
        let before = entries.iter().copied().take(trimmed).next_back().unwrap_or(0);
        let head = entries.last().copied().unwrap_or(0);
        let history = History { epoch: Epoch::new(1), trimmed: Offset::new(before), head: Offset::new(head) };
        let claimed = Position { epoch: Epoch::new(1), offset: Offset::new(offset) };
        let mut cursor = Cursor::new(claimed);
        let after = match decide_stream(claimed, &history) {
            Decision::Continue { after } => after,
            Decision::Gap { lost, after } => {
                let gone = entries.range(offset + 1..).filter(|&&entry| entry <= before).count() as u64;
                let is_true = match lost.count {
                    Count::Exact(count) => count == gone,
                    Count::AtLeast(count) => (1..=gone).contains(&count),
                };
                prop_assert!(is_true, "{} of {}", lost.count, gone);
                cursor.lost(&lost).expect("begins at the position");
                after
            }
            Decision::Ahead { .. } => {
                prop_assert!(offset > head);
                return Ok(());
            }
            Decision::Reset { .. } => return Err(TestCaseError::fail("the epoch is the same")),
        };
        prop_assert_eq!(after, cursor.received().offset);
        prop_assert!(entries.range(after.get() + 1..).all(|&entry| entry > before), "all that is read on is there");
        let again = decide_stream(cursor.received(), &history);
        prop_assert_eq!(again, Decision::Continue { after });
    }

    /// The peer gets all that it needs and nothing that it has, in both directions, or is told.
    #[test]
    fn an_exact_session_misses_nothing(held in 0..6_u64, sent in 0..6_u64, received in 0..9_u64, next in 0..14_u64, first_held in 0..14_u64) {
        let local = Local { first_held: seq(held), transmitted: seq(held + sent), received: seq(received) };
        let claim = Claim { next: seq(next), first_held: seq(first_held) };
        let session = decide(&local, &claim);
        let exact = (held..=held + sent).contains(&next) && first_held <= received;
        prop_assert_eq!(session == Session::Exact { retransmit_from: seq(next) }, exact);
        prop_assert_eq!(decide(&local, &claim), session, "asked again");
    }
}
