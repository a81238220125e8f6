//! The three number spaces of a real-time protocol, a type for each number, so that none is taken for another.
//!
//! | space | identity | number | assigned by |
//! |---|---|---|---|
//! | a channel's log | its name and [`Epoch`] | [`Offset`] | the log, at commit |
//! | a session, in one direction | the session; [`Generation`] tells its connections apart | [`Sequence`] | the sender |
//! | a producer | [`ProducerId`] and [`ProducerEpoch`] | [`ProducerSequence`] | the producer |
//!
//! An [`Offset`] is an order and not a count: it increases and may have holes, so it has no `next`. The two sequences
//! are dense, so they have one.
//!
//! ```
//! use tenfour_delivery::number::{Offset, ProducerSequence};
//!
//! let (earlier, later) = (Offset::new(7), Offset::new(40));
//! assert!(earlier < later);
//! assert_eq!(ProducerSequence::new(7).next(), ProducerSequence::new(8));
//! ```
//!
//! Two spaces do not compare:
//!
//! ```compile_fail
//! use tenfour_delivery::number::{Offset, Sequence};
//!
//! assert!(Offset::new(1) < Sequence::new(2));
//! ```

use core::fmt;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name($inner);

        impl $name {
            /// The number as it is written on a wire or a disk.
            #[must_use]
            pub const fn new(value: $inner) -> Self {
                Self(value)
            }

            /// The value that [`Self::new`] takes.
            #[must_use]
            pub const fn get(self) -> $inner {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

macro_rules! dense {
    ($name:ident) => {
        impl $name {
            /// Where the space begins.
            pub const FIRST: Self = Self(0);

            /// The number after this one; the last one, 2⁶⁴ − 1, stays.
            #[must_use]
            pub const fn next(self) -> Self {
                Self(self.0.saturating_add(1))
            }

            /// The number `count` places further on; it stops at the last one.
            #[must_use]
            pub const fn advance(self, count: u64) -> Self {
                Self(self.0.saturating_add(count))
            }

            /// How many numbers there are from `earlier` on up to before this one; none if `earlier` is later.
            #[must_use]
            pub const fn since(self, earlier: Self) -> u64 {
                self.0.saturating_sub(earlier.0)
            }
        }
    };
}

number! {
    /// A life of a channel's log. A new one begins only when committed history may have been lost or replaced.
    Epoch(u64)
}
number! {
    /// A place in a channel's log: increasing, not dense.
    Offset(u64)
}

impl Offset {
    /// The place before the first entry, which no entry has.
    pub const START: Self = Self(0);

    /// The last place there can be: the end of a range that is open.
    pub const END: Self = Self(u64::MAX);
}

number! {
    /// The place of a message in one direction of a session: dense, from [`Sequence::FIRST`].
    Sequence(u64)
}
number! {
    /// Which connection of a session this is. A higher one fences a lower one.
    Generation(u32)
}

impl Generation {
    /// A session's first connection.
    pub const FIRST: Self = Self(0);

    /// The generation that fences this one, `None` after 2³² connections: such a session has to begin anew.
    #[must_use]
    pub const fn next(self) -> Option<Self> {
        match self.0.checked_add(1) {
            Some(next) => Some(Self(next)),
            None => None,
        }
    }
}

number! {
    /// A producer's identity over its restarts: 128 random bits.
    ProducerId(u128)
}
number! {
    /// A life of a producer. A higher one fences a lower one.
    ProducerEpoch(u32)
}
number! {
    /// The place of a message among those of one life of a producer: dense, from [`ProducerSequence::FIRST`].
    ProducerSequence(u64)
}

dense!(Sequence);
dense!(ProducerSequence);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dense_space_ends_without_wrapping() {
        assert_eq!(Sequence::new(u64::MAX).next(), Sequence::new(u64::MAX));
        assert_eq!(ProducerSequence::FIRST.next().get(), 1);
        assert_eq!(Sequence::new(u64::MAX - 1).advance(5), Sequence::new(u64::MAX));
        assert_eq!(Sequence::new(3).since(Sequence::new(5)), 0);
    }

    #[test]
    fn a_generation_that_cannot_be_fenced_is_the_last() {
        assert_eq!(Generation::FIRST.next(), Some(Generation::new(1)));
        assert_eq!(Generation::new(u32::MAX).next(), None);
    }
}
