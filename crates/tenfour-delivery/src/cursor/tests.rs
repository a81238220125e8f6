extern crate std;

use alloc::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::loss::Count;

fn at(offset: u64) -> Offset {
    Offset::new(offset)
}

fn position(epoch: u64, offset: u64) -> Position {
    Position { epoch: Epoch::new(epoch), offset: at(offset) }
}

fn range(after: u64, through: u64) -> OffsetRange {
    OffsetRange { after: at(after), through: at(through) }
}

fn lost(after: u64, through: u64, reason: Reason) -> Lost {
    Lost { range: range(after, through), count: Count::AtLeast(1), reason }
}

#[test]
fn an_entry_that_does_not_follow_the_base_is_refused() {
    let mut cursor = Cursor::new(position(1, 10));
    cursor.follow(at(10), at(12)).expect("follows");
    let before = cursor;
    // A hole, an entry before the base, the same again, and one that turns back.
    for (previous, offset, repetition) in
        [(13, 14, false), (9, 10, true), (10, 12, true), (12, 12, true), (12, 5, true)]
    {
        let broken = cursor.follow(at(previous), at(offset)).expect_err("does not follow");
        assert_eq!(broken, Broken { expected: at(12), found: at(previous), offset: at(offset) });
        assert_eq!(broken.is_repetition(), repetition, "{broken}");
        assert_eq!(cursor, before);
    }
    // The entry after is here, but what names the base as its predecessor twice is not the log that we know.
    assert!(!cursor.follow(at(10), at(13)).expect_err("10 is not the base").is_repetition());
}

#[test]
fn a_loss_is_processed_when_the_application_says_so_and_a_skip_with_what_was_before_it() {
    let mut cursor = Cursor::new(position(1, 0));
    cursor.lost(&lost(0, 7, Reason::Retention)).expect("follows");
    assert_eq!((cursor.received(), cursor.position()), (position(1, 7), position(1, 0)));
    cursor.skip(Skip { range: range(7, 9) }).expect("follows");
    assert_eq!((cursor.received(), cursor.position()), (position(1, 9), position(1, 0)));
    cursor.processed(at(9)).expect("received");
    cursor.skip(Skip { range: range(9, 20) }).expect("follows");
    assert_eq!((cursor.received(), cursor.position()), (position(1, 20), position(1, 20)));
}

#[test]
fn a_range_must_touch_the_base() {
    let mut cursor = Cursor::new(position(1, 10));
    let before = cursor;
    let broken = Broken { expected: at(10), found: at(11), offset: at(15) };
    assert_eq!(cursor.lost(&lost(11, 15, Reason::Ttl)), Err(broken));
    assert_eq!(cursor.skip(Skip { range: range(11, 15) }), Err(broken));
    assert!(!broken.is_repetition());
    cursor.lost(&lost(3, 8, Reason::Ttl)).expect("told before");
    cursor.skip(Skip { range: range(9, 4) }).expect("empty");
    assert_eq!(cursor, before);
    cursor.lost(&lost(3, 12, Reason::Ttl)).expect("reaches beyond the base");
    assert_eq!(cursor.received(), position(1, 12));
}

#[test]
fn a_new_epoch_begins_anew() {
    let mut cursor = Cursor::new(position(1, 10));
    cursor.lost(&lost(10, u64::MAX, Reason::EpochReset)).expect("of the old epoch");
    assert_eq!(cursor.received(), position(1, 10));
    cursor.reset(position(2, 0));
    cursor.follow(Offset::START, at(1)).expect("the first of the new epoch");
    assert_eq!((cursor.received(), cursor.position()), (position(2, 1), position(2, 0)));
}

#[derive(Clone, Copy, Debug)]
enum Op {
    Follow { previous: u64, offset: u64 },
    Lost { after: u64, through: u64 },
    Skip { after: u64, through: u64 },
    Processed { offset: u64 },
}

fn op() -> impl Strategy<Value = Op> {
    let pair = || (0..12_u64, 0..12_u64);
    prop_oneof![
        4 => pair().prop_map(|(previous, offset)| Op::Follow { previous, offset }),
        1 => pair().prop_map(|(after, through)| Op::Lost { after, through }),
        1 => pair().prop_map(|(after, through)| Op::Skip { after, through }),
        2 => (0..14_u64).prop_map(|offset| Op::Processed { offset }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    /// Whatever is said to it, it never goes back, never has processed what it has not received, and what it took covers
    /// everything from its beginning without a hole.
    #[test]
    fn it_never_regresses_and_has_no_hole(ops in proptest::collection::vec(op(), 1..60)) {
        let mut cursor = Cursor::new(position(1, 0));
        let mut covered: Vec<(u64, u64)> = Vec::new();
        for op in ops {
            let before = cursor;
            let taken = match op {
                Op::Follow { previous, offset } => {
                    cursor.follow(at(previous), at(offset)).map(|()| covered.push((previous, offset))).is_ok()
                }
                Op::Lost { after, through } => {
                    cursor.lost(&lost(after, through, Reason::Ttl)).map(|()| covered.push((after, through))).is_ok()
                }
                Op::Skip { after, through } => {
                    cursor.skip(Skip { range: range(after, through) }).map(|()| covered.push((after, through))).is_ok()
                }
                Op::Processed { offset } => {
                    let received = offset <= before.received().offset.get();
                    prop_assert_eq!(cursor.processed(at(offset)).is_ok(), received);
                    received
                }
            };
            prop_assert!(taken || cursor == before);
            prop_assert!(cursor.position().offset >= before.position().offset);
            prop_assert!(cursor.received().offset >= before.received().offset);
            prop_assert!(cursor.position().offset <= cursor.received().offset);
            for offset in 1..=cursor.received().offset.get() {
                prop_assert!(covered.iter().any(|&(after, through)| after < offset && offset <= through), "{}", offset);
            }
        }
    }
}
