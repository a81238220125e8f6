extern crate std;

use alloc::{collections::BTreeSet, vec::Vec};

use proptest::prelude::*;

use super::*;

fn seq(number: u64) -> Sequence {
    Sequence::new(number)
}

#[test]
fn ranges_ascend_and_never_touch() {
    let mut ack = Ack::new(seq(5));
    for (first, last) in [(0, 3), (4, 9), (5, 5), (8, 7)] {
        assert_eq!(ack.push(seq(first), seq(last)), Err(InvalidAck::Order), "{first}..={last} above 5");
    }
    ack.push(seq(6), seq(8)).expect("5 is missing before it");
    for (first, last) in [(6, 8), (7, 9), (9, 9)] {
        assert_eq!(ack.push(seq(first), seq(last)), Err(InvalidAck::Order), "{first}..={last} above 8");
    }
    ack.push(seq(10), seq(10)).expect("9 is missing before it");
    assert_eq!(ack.end(), seq(11));
}

#[test]
fn a_peers_numbers_neither_overflow_nor_come_without_end() {
    let from = |next, gaps: &[(u64, u64)]| Ack::from_gaps(seq(next), gaps.iter().copied());
    assert_eq!(from(5, &[(0, 1)]), Err(InvalidAck::Order));
    assert_eq!(from(5, &[(1, 0)]), Err(InvalidAck::Order));
    assert_eq!(from(u64::MAX, &[(1, 1)]), Err(InvalidAck::Overflow));
    assert_eq!(from(1, &[(1, u64::MAX)]), Err(InvalidAck::Overflow));
    // A range has a number after it, so that what is derived from it does not overflow.
    assert_eq!(from(0, &[(u64::MAX, 1)]), Err(InvalidAck::Overflow));
    assert_eq!(from(0, &[(u64::MAX - 1, 1)]).map(|ack| ack.end()), Ok(seq(u64::MAX)));
    assert_eq!(from(0, &[(1, 1); Ack::MAX_RANGES]).map(|ack| ack.end()), Ok(seq(64)));
    assert_eq!(from(0, &[(1, 1); Ack::MAX_RANGES + 1]), Err(InvalidAck::TooManyRanges));
}

proptest! {
    #[test]
    fn a_wire_carries_it_unchanged(next in 0..u64::MAX / 2, gaps in proptest::collection::vec((1..1_000_u64, 1..1_000_u64), 0..=32)) {
        let ack = Ack::from_gaps(seq(next), gaps.iter().copied()).expect("ascending, and no more than 32");
        prop_assert_eq!(ack.gaps().collect::<Vec<_>>(), gaps);
        prop_assert_eq!(ack.gaps().len(), ack.ranges().len());
    }

    #[test]
    fn it_has_what_was_pushed(next in 0..20_u64, gaps in proptest::collection::vec((1..5_u64, 1..5_u64), 0..10)) {
        let mut has: BTreeSet<u64> = (0..next).collect();
        let mut end = next;
        for (gap, len) in &gaps {
            has.extend(end + gap..end + gap + len);
            end += gap + len;
        }
        let ack = Ack::from_gaps(seq(next), gaps).expect("ascending");
        for number in 0..end + 3 {
            prop_assert_eq!(ack.contains(seq(number)), has.contains(&number), "{}", number);
        }
        let ranged: u64 = ack.ranges().iter().map(|range| range.len()).sum();
        prop_assert_eq!(next + ranged, has.len() as u64);
        prop_assert_eq!(ack.end(), seq(end));
    }
}
