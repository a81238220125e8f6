//! How many entries a channel has lost, and after which offset.

use std::collections::VecDeque;

use tenfour_delivery::{
    loss::{Count, OffsetRange},
    number::Offset,
};

/// So many places in what is gone are remembered.
const MARKS: usize = 32;

/// So many of them are the last ones, without a gap.
const RECENT: usize = 12;

/// The entries that a channel had and has no longer.
///
/// What is gone is gone with its numbers, so a reader that comes from the middle of it could not be told how much it
/// missed. Some places are remembered, the later the more: from one of them, and from the last dozen, a loss is exact; from
/// elsewhere it is a bound that is not far below.
#[derive(Clone, Debug, Hash)]
pub(super) struct Gone {
    /// From here on, everything that the channel got is known.
    since: Offset,
    count: u64,
    /// Offsets of entries that are gone, each with how many are gone up to it; the last one is the last that is gone.
    marks: VecDeque<(Offset, u64)>,
}

impl Gone {
    pub(super) const fn since(since: Offset) -> Self {
        Self { since, count: 0, marks: VecDeque::new() }
    }

    /// The last entry that is gone; where knowledge begins if none is.
    pub(super) fn through(&self) -> Offset {
        self.marks.back().map_or(self.since, |(offset, _)| *offset)
    }

    /// The channel's oldest entry goes.
    pub(super) fn push(&mut self, offset: Offset) {
        self.count += 1;
        self.marks.push_back((offset, self.count));
        if self.marks.len() > MARKS {
            self.marks.remove(self.least_needed());
        }
    }

    /// The place among the older ones without which a bound would be off the least: the one whose neighbours are about
    /// as far from the end as each other.
    fn least_needed(&self) -> usize {
        let distance = |place: usize| self.count - self.marks[place].1;
        let before = |place: usize| place.checked_sub(1).map_or(self.count, distance);
        let older = 0..self.marks.len() - RECENT;
        // before ÷ after is compared by cross multiplication.
        let (mut least, mut ratio) = (0, (u128::MAX, 1));
        for place in older {
            let (far, near) = (u128::from(before(place)), u128::from(distance(place + 1)));
            if far.saturating_mul(ratio.1) < near.saturating_mul(ratio.0) {
                (least, ratio) = (place, (far, near));
            }
        }
        least
    }

    /// How many entries are gone in a range that ends at or before [`Gone::through`].
    pub(super) fn count(&self, range: OffsetRange) -> Count {
        let (least, most) = self.up_to(range.through);
        if range.after < self.since {
            return Count::AtLeast(least);
        }
        let (least_before, most_before) = self.up_to(range.after);
        if (least, least_before) == (most, most_before) {
            Count::Exact(least - least_before)
        } else {
            Count::AtLeast(least.saturating_sub(most_before))
        }
    }

    /// How many entries are gone up to an offset, at least and at most.
    fn up_to(&self, offset: Offset) -> (u64, u64) {
        let later = self.marks.partition_point(|(mark, _)| *mark <= offset);
        let before = later.checked_sub(1).and_then(|place| self.marks.get(place));
        let &(mark, least) = before.unwrap_or(&(self.since, 0));
        let most = match self.marks.get(later) {
            Some((_, next)) if mark != offset => next - 1,
            _ => least,
        };
        (least, most)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

        #[test]
        fn a_count_is_true_exact_where_it_is_recent_and_never_far_off(
            gaps in prop::collection::vec(1..4_u64, 1..1_500),
            since in 0..5_u64,
        ) {
            let mut gone = Gone::since(Offset::new(since));
            let mut offsets: Vec<u64> = Vec::new();
            for gap in gaps {
                let offset = offsets.last().copied().unwrap_or(since) + gap;
                offsets.push(offset);
                gone.push(Offset::new(offset));
            }
            prop_assert!(gone.marks.len() <= MARKS);
            for after in 0..gone.through().get() {
                let range = OffsetRange { after: Offset::new(after), through: gone.through() };
                let truth = offsets.iter().filter(|offset| **offset > after).count() as u64;
                match gone.count(range) {
                    Count::Exact(count) => prop_assert_eq!(count, truth),
                    Count::AtLeast(count) => {
                        prop_assert!(count <= truth && truth <= 3 * count, "{} of {}", count, truth);
                        prop_assert!(truth >= RECENT as u64 || after < since, "{} are recent", truth);
                    }
                }
            }
        }
    }
}
