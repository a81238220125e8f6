//! A sliding window over dense numbers that may come in any order: 136 bytes, a few instructions.
//!
//! The anti-replay window of IPsec (RFC 4303 §3.4.3) in the blocks of RFC 6479: it slides by whole words, so it never
//! shifts a bit.
//!
//! ```
//! use tenfour_delivery::dedup::{Bitmap, bitmap::Seen};
//!
//! let mut datagrams = Bitmap::new();
//! assert_eq!(datagrams.accept(2_000), Seen::New);
//! assert_eq!(datagrams.accept(1_500), Seen::New);
//! assert_eq!(datagrams.accept(1_500), Seen::Duplicate);
//! assert_eq!(datagrams.accept(900), Seen::TooOld);
//! assert_eq!(datagrams.highest(), Some(2_000));
//! ```

/// Which of the newest numbers have come.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Bitmap {
    highest: u64,
    /// A ring: the word of number `n` is `n / 64 % 16`. The words above the highest number's are stale.
    words: [u64; WORDS],
}

const WORDS: usize = 16;
const BITS: u64 = u64::BITS as u64;

const _: () = assert!(size_of::<Bitmap>() == 136);

/// What a number is to a [`Bitmap`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub enum Seen {
    /// It has not come before.
    New,
    /// It has.
    Duplicate,
    /// It is [`Bitmap::WINDOW`] or more below the highest: nobody knows. What is not accepted as new is not lost in
    /// silence only if the sender hears of it.
    TooOld,
}

impl Bitmap {
    /// How far below the highest number another may be and still be told apart.
    pub const WINDOW: u64 = (WORDS as u64 - 1) * BITS;

    /// A window that has seen nothing; any number may come first.
    #[must_use]
    pub const fn new() -> Self {
        Self { highest: 0, words: [0; WORDS] }
    }

    /// What this number is; nothing changes.
    pub fn check(&self, number: u64) -> Seen {
        if number > self.highest {
            Seen::New
        } else if self.highest - number >= Self::WINDOW {
            Seen::TooOld
        } else if self.words[word(number)] & bit(number) == 0 {
            Seen::New
        } else {
            Seen::Duplicate
        }
    }

    /// What this number is; if it is new, it has come now.
    ///
    /// Where numbers may be forged, first verify the message: a number that is far ahead moves the window.
    pub fn accept(&mut self, number: u64) -> Seen {
        let seen = self.check(number);
        if seen == Seen::New {
            self.slide_to(number);
            self.words[word(number)] |= bit(number);
        }
        seen
    }

    /// The highest number that has come.
    #[must_use]
    pub fn highest(&self) -> Option<u64> {
        (self.words[word(self.highest)] & bit(self.highest) != 0).then_some(self.highest)
    }

    fn slide_to(&mut self, number: u64) {
        if number <= self.highest {
            return;
        }
        let (from, to) = (self.highest / BITS, number / BITS);
        for step in 0..(to - from).min(WORDS as u64) {
            self.words[((to - step) % WORDS as u64) as usize] = 0;
        }
        self.highest = number;
    }
}

const fn word(number: u64) -> usize {
    (number / BITS % WORDS as u64) as usize
}

const fn bit(number: u64) -> u64 {
    1 << (number % BITS)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use proptest::prelude::*;
    use std::{collections::BTreeSet, vec::Vec};

    /// Jumps of every size about a current number, and the ends of the space.
    fn numbers() -> impl Strategy<Value = Vec<u64>> {
        let jump = prop_oneof![
            8 => -70..70_i64,
            3 => -1_100..1_100_i64,
            1 => -3_000..100_000_i64,
            1 => Just(i64::MAX),
            1 => Just(i64::MIN),
        ];
        prop::collection::vec(jump, 1..150).prop_map(|jumps| {
            let mut current = 1_000_u64;
            jumps
                .into_iter()
                .map(|jump| {
                    current = current.saturating_add_signed(jump);
                    current
                })
                .collect()
        })
    }

    proptest! {
        #[test]
        fn says_what_a_set_of_all_numbers_says(numbers in numbers()) {
            let (mut bitmap, mut all) = (Bitmap::new(), BTreeSet::<u64>::new());
            for number in numbers {
                let highest = all.last().copied().unwrap_or(0);
                let expected = if highest.saturating_sub(number) >= Bitmap::WINDOW {
                    Seen::TooOld
                } else if all.contains(&number) {
                    Seen::Duplicate
                } else {
                    Seen::New
                };
                prop_assert_eq!(bitmap.check(number), expected);
                prop_assert_eq!(bitmap.accept(number), expected);
                if expected == Seen::New {
                    all.insert(number);
                }
                prop_assert_eq!(bitmap.highest(), all.last().copied());
            }
        }
    }

    #[test]
    fn a_jump_leaves_nothing_behind_that_was_before_it() {
        for words in 0..40 {
            let mut bitmap = Bitmap::new();
            for number in 0..4_096 {
                assert_eq!(bitmap.accept(number), Seen::New);
            }
            let highest = 4_095 + words * BITS + 1;
            assert_eq!(bitmap.accept(highest), Seen::New);
            for number in highest - Bitmap::WINDOW + 1..highest {
                let expected = if number < 4_096 { Seen::Duplicate } else { Seen::New };
                assert_eq!(bitmap.check(number), expected, "{number} after a jump to {highest}");
            }
        }
    }

    #[test]
    fn the_first_number_may_be_zero_or_the_last() {
        assert_eq!(Bitmap::new().highest(), None);
        for number in [0, 1, u64::MAX] {
            let mut bitmap = Bitmap::new();
            assert_eq!(bitmap.accept(number), Seen::New);
            assert_eq!(bitmap.accept(number), Seen::Duplicate);
            assert_eq!(bitmap.highest(), Some(number));
        }
    }
}
