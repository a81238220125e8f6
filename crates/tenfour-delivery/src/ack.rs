//! An acknowledgement: everything below a number, and up to 32 ranges above it. It needs no heap.
//!
//! The shape is that of QUIC's ACK frame (RFC 9000 §19.3), upside down: it counts from the oldest number that is
//! missing, because there are no numbers that are never repeated here. An acknowledgement only ever adds to the one
//! before it, so one that is lost, repeated or late does no harm.
//!
//! ```
//! use tenfour_delivery::{ack::Ack, number::Sequence};
//!
//! // 0 to 4 have arrived, 5 and 6 are missing, 7 to 9 have arrived.
//! let mut ack = Ack::new(Sequence::new(5));
//! ack.push(Sequence::new(7), Sequence::new(9))?;
//! assert!(ack.contains(Sequence::new(8)) && !ack.contains(Sequence::new(6)));
//!
//! // On a wire: `next`, then for each range how many are missing before it and how many it has.
//! assert_eq!(ack.gaps().collect::<Vec<_>>(), [(2, 3)]);
//! assert_eq!(Ack::from_gaps(Sequence::new(5), [(2, 3)])?, ack);
//! # Ok::<(), tenfour_delivery::ack::InvalidAck>(())
//! ```

use crate::number::Sequence;

/// What a receiver has: everything below [`next`](Self::next), and each of [`ranges`](Self::ranges) above it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ack {
    next: Sequence,
    len: u8,
    /// Those from `len` on are `EMPTY`, so that what is derived compares and hashes the ranges in use.
    ranges: [SequenceRange; Ack::MAX_RANGES],
}

impl Ack {
    /// How many ranges there can be.
    pub const MAX_RANGES: usize = 32;

    /// Everything below `next` has arrived, and nothing else.
    #[must_use]
    pub const fn new(next: Sequence) -> Self {
        Self { next, len: 0, ranges: [EMPTY; Self::MAX_RANGES] }
    }

    /// An acknowledgement as it is written on a wire: for each range how many numbers are missing before it, and how
    /// many it has.
    ///
    /// # Errors
    /// A gap or a length of zero, a number beyond 2⁶⁴ − 1, and more than [`Self::MAX_RANGES`] ranges.
    pub fn from_gaps(next: Sequence, gaps: impl IntoIterator<Item = (u64, u64)>) -> Result<Self, InvalidAck> {
        let mut ack = Self::new(next);
        for (gap, len) in gaps {
            let first = ack.end().get().checked_add(gap).ok_or(InvalidAck::Overflow)?;
            let last = len.checked_sub(1).ok_or(InvalidAck::Order)?;
            let last = first.checked_add(last).ok_or(InvalidAck::Overflow)?;
            ack.push(Sequence::new(first), Sequence::new(last))?;
        }
        Ok(ack)
    }

    /// Adds a range, both ends included. It must lie above what is there, with at least one number missing between.
    ///
    /// # Errors
    /// The range touches or precedes what is there, is upside down, ends at 2⁶⁴ − 1, or is the 33rd.
    pub fn push(&mut self, first: Sequence, last: Sequence) -> Result<(), InvalidAck> {
        if first <= self.end() || last < first {
            return Err(InvalidAck::Order);
        }
        if last.get() == u64::MAX {
            return Err(InvalidAck::Overflow);
        }
        let free = self.ranges.get_mut(usize::from(self.len)).ok_or(InvalidAck::TooManyRanges)?;
        *free = SequenceRange { first, last };
        self.len += 1;
        Ok(())
    }

    /// The first number that has not arrived.
    #[must_use]
    pub const fn next(&self) -> Sequence {
        self.next
    }

    /// What has arrived above [`next`](Self::next), in ascending order, never touching one another.
    #[must_use]
    pub fn ranges(&self) -> &[SequenceRange] {
        &self.ranges[..usize::from(self.len)]
    }

    /// The ranges as [`from_gaps`](Self::from_gaps) takes them: how many are missing before each, and how many it has.
    pub fn gaps(&self) -> impl ExactSizeIterator<Item = (u64, u64)> + '_ {
        let mut end = self.next;
        self.ranges().iter().map(move |range| {
            let gap = range.first.since(end);
            end = range.end();
            (gap, range.len())
        })
    }

    /// The number after the highest that has arrived.
    #[must_use]
    pub fn end(&self) -> Sequence {
        self.ranges().last().map_or(self.next, |range| range.end())
    }

    /// Whether `sequence` has arrived.
    #[must_use]
    pub fn contains(&self, sequence: Sequence) -> bool {
        sequence < self.next || self.ranges().iter().any(|range| range.contains(sequence))
    }
}

/// Consecutive numbers, both ends included; it has at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SequenceRange {
    first: Sequence,
    last: Sequence,
}

impl SequenceRange {
    /// The lowest number.
    #[must_use]
    pub const fn first(self) -> Sequence {
        self.first
    }

    /// The highest number.
    #[must_use]
    pub const fn last(self) -> Sequence {
        self.last
    }

    /// The number after the highest.
    #[must_use]
    pub const fn end(self) -> Sequence {
        self.last.next()
    }

    /// How many numbers it has.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "it is never empty")]
    pub const fn len(self) -> u64 {
        self.end().since(self.first)
    }

    /// Whether `sequence` is in it.
    #[must_use]
    pub fn contains(self, sequence: Sequence) -> bool {
        self.first <= sequence && sequence <= self.last
    }
}

/// Why a peer's ranges are no acknowledgement. The peer broke the protocol: close.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAck {
    /// The ranges must ascend, hold at least one number each, and leave at least one between them.
    #[error(
        "the ranges do not ascend with at least one number between them: close, the peer broke the protocol"
    )]
    Order,
    /// A number beyond the last one there is.
    #[error("a number beyond 2^64 - 1: close, the peer broke the protocol")]
    Overflow,
    /// More ranges than [`Ack::MAX_RANGES`].
    #[error("more than {max} ranges: close, the peer broke the protocol", max = Ack::MAX_RANGES)]
    TooManyRanges,
}

const EMPTY: SequenceRange = SequenceRange { first: Sequence::FIRST, last: Sequence::FIRST };

#[cfg(test)]
mod tests;
