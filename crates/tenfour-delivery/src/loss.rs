//! Loss is an event: what a subscriber will not get is told at its place in the order, counted and with a reason.
//!
//! A [`Lost`] stands where messages were owed and did not come, a [`Skip`] where none were. Both cover a range of the
//! channel's offsets, so that the chain from entry to entry has no hole in it. Neighbours with one reason are told as
//! one:
//!
//! ```
//! use tenfour_delivery::{
//!     loss::{Count, Lost, OffsetRange, Reason},
//!     number::Offset,
//! };
//!
//! let lost = |after, through, count| Lost {
//!     range: OffsetRange { after: Offset::new(after), through: Offset::new(through) },
//!     count,
//!     reason: Reason::Ttl,
//! };
//! let both = lost(3, 7, Count::Exact(2)).join(lost(7, 20, Count::AtLeast(1))).expect("the second begins where the first ends");
//! assert_eq!(both, lost(3, 20, Count::AtLeast(3)));
//! assert!(both.range.contains(Offset::new(20)) && !both.range.contains(Offset::new(3)));
//! // Two that do not touch stay two: what lies between them was not lost.
//! assert_eq!(lost(3, 7, Count::Exact(2)).join(lost(9, 20, Count::Exact(1))), None);
//! ```

use core::{fmt, ops::Add};

use crate::number::Offset;

/// What a subscriber was owed and will not get.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lost {
    /// Where: the next entry names `range.through` as its predecessor. With [`Reason::EpochReset`] it is a range of the
    /// epoch that ended.
    pub range: OffsetRange,
    /// How many messages.
    pub count: Count,
    /// Why.
    pub reason: Reason,
}

impl Lost {
    /// This loss and `next` as one, if `next` begins where this one ends and has the same reason.
    #[must_use]
    pub fn join(self, next: Self) -> Option<Self> {
        let range = self.range.join(next.range).filter(|_| self.reason == next.reason)?;
        Some(Self { range, count: self.count + next.count, reason: self.reason })
    }
}

/// A range in which nothing was owed: entries that a filter left out, say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Skip {
    /// Where: the next entry names `range.through` as its predecessor.
    pub range: OffsetRange,
}

impl Skip {
    /// This skip and `next` as one, if `next` begins where this one ends.
    #[must_use]
    pub fn join(self, next: Self) -> Option<Self> {
        self.range.join(next.range).map(|range| Self { range })
    }
}

/// Offsets of one channel: `after` is not among them, `through` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OffsetRange {
    /// The offset before the range, which need not be an entry's.
    pub after: Offset,
    /// The last offset of the range.
    pub through: Offset,
}

impl OffsetRange {
    /// Whether no offset is in it.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.through.get() <= self.after.get()
    }

    /// Whether `offset` is in it.
    #[must_use]
    pub fn contains(self, offset: Offset) -> bool {
        self.after < offset && offset <= self.through
    }

    /// How many offsets it has: no fewer than entries, since offsets may have holes.
    #[must_use]
    pub const fn span(self) -> u64 {
        self.through.get().saturating_sub(self.after.get())
    }

    /// This range and `next` as one, if `next` begins where this one ends.
    #[must_use]
    pub fn join(self, next: Self) -> Option<Self> {
        (self.through == next.after).then_some(Self { after: self.after, through: next.through })
    }
}

/// Everything after `after` and through `through`: `(3, 7]`.
impl fmt::Display for OffsetRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({}, {}]", self.after, self.through)
    }
}

/// How many messages were lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Count {
    /// So many, and none of them was delivered.
    Exact(u64),
    /// So many, and perhaps more: nobody counted. `AtLeast(0)`: perhaps none.
    AtLeast(u64),
}

impl Count {
    /// How many messages were lost for certain.
    #[must_use]
    pub const fn at_least(self) -> u64 {
        match self {
            Self::Exact(count) | Self::AtLeast(count) => count,
        }
    }
}

/// Exact only if both are; it stops at the largest number.
impl Add for Count {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        let sum = self.at_least().saturating_add(other.at_least());
        match (self, other) {
            (Self::Exact(_), Self::Exact(_)) => Self::Exact(sum),
            _ => Self::AtLeast(sum),
        }
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(count) => count.fmt(f),
            Self::AtLeast(count) => write!(f, "at least {count}"),
        }
    }
}

/// Why messages were lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// They left the log, by age, count or bytes, before the subscriber read them.
    Retention,
    /// They reached the end of their time to live.
    Ttl,
    /// The subscriber was too slow for the bound of its queue.
    SlowConsumer,
    /// A limit on what may be sent to the subscriber.
    RateLimit,
    /// A later message with the same key replaced them.
    Conflated,
    /// The channel's log began anew, so committed history may be gone.
    EpochReset,
    /// The subscription ended, or is no longer allowed.
    Unsubscribed,
    /// Nobody knows.
    Unknown,
}

impl Reason {
    /// Whether a subscription may choose not to be told: the application asked for these losses itself.
    #[must_use]
    pub const fn may_be_muted(self) -> bool {
        matches!(self, Self::Ttl | Self::Conflated)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Retention => "left the log before it was read",
            Self::Ttl => "its time to live ended",
            Self::SlowConsumer => "the subscriber was too slow",
            Self::RateLimit => "over the rate limit",
            Self::Conflated => "replaced by a later message",
            Self::EpochReset => "the log began anew",
            Self::Unsubscribed => "the subscription ended",
            Self::Unknown => "for an unknown reason",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(after: u64, through: u64) -> OffsetRange {
        OffsetRange { after: Offset::new(after), through: Offset::new(through) }
    }

    #[test]
    fn a_sum_is_exact_only_if_both_are() {
        assert_eq!(Count::Exact(1) + Count::Exact(2), Count::Exact(3));
        assert_eq!(Count::Exact(1) + Count::AtLeast(2), Count::AtLeast(3));
        assert_eq!(Count::AtLeast(1) + Count::Exact(2), Count::AtLeast(3));
        assert_eq!(Count::Exact(u64::MAX) + Count::Exact(2), Count::Exact(u64::MAX));
    }

    #[test]
    fn a_range_excludes_its_beginning_and_includes_its_end() {
        assert!(!range(3, 5).contains(Offset::new(3)));
        assert!(range(3, 5).contains(Offset::new(4)) && range(3, 5).contains(Offset::new(5)));
        assert_eq!(range(3, 5).span(), 2);
        assert!(range(3, 3).is_empty() && range(5, 3).is_empty() && !range(3, 4).is_empty());
        assert_eq!(range(5, 3).span(), 0);
    }

    #[test]
    fn losses_of_different_reasons_stay_apart() {
        let ttl = Lost { range: range(3, 5), count: Count::Exact(1), reason: Reason::Ttl };
        let retention = Lost { range: range(5, 9), count: Count::Exact(1), reason: Reason::Retention };
        assert_eq!(ttl.join(retention), None);
        assert_eq!(
            Skip { range: range(3, 5) }.join(Skip { range: range(5, 9) }),
            Some(Skip { range: range(3, 9) })
        );
    }

    #[test]
    fn only_losses_that_the_application_asked_for_may_be_muted() {
        let all = [
            Reason::Retention,
            Reason::Ttl,
            Reason::SlowConsumer,
            Reason::RateLimit,
            Reason::Conflated,
            Reason::EpochReset,
            Reason::Unsubscribed,
            Reason::Unknown,
        ];
        let muted: alloc::vec::Vec<_> = all.into_iter().filter(|reason| reason.may_be_muted()).collect();
        assert_eq!(muted, [Reason::Ttl, Reason::Conflated]);
    }
}
