//! Where chance comes from in a test.

use core::{ops::RangeInclusive, time::Duration};

/// A small generator of pseudo-random numbers: xoshiro256++ (Blackman and Vigna, 2019), whose state is filled from one number by
/// SplitMix64. The same seed gives the same numbers on every platform.
///
/// Not for secrets.
///
/// ```
/// use tenfour_testkit::Rng;
///
/// let (mut one, mut other) = (Rng::new(7), Rng::new(7));
/// assert_eq!(one.next_u64(), other.next_u64());
/// assert!(one.up_to(6) <= 6);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Rng([u64; 4]);

impl Rng {
    /// The generator that this number stands for.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut state = seed;
        Self(core::array::from_fn(|_| {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            mixed ^ (mixed >> 31)
        }))
    }

    /// A generator of its own, so that how often one part of a world draws changes nothing for the others.
    #[must_use]
    pub fn fork(&mut self) -> Self {
        Self::new(self.next_u64())
    }

    /// Any number.
    pub fn next_u64(&mut self) -> u64 {
        let [a, b, c, d] = self.0;
        let result = a.wrapping_add(d).rotate_left(23).wrapping_add(a);
        let (c2, d2) = (c ^ a, d ^ b);
        self.0 = [a ^ d2, b ^ c2, c2 ^ (b << 17), d2.rotate_left(45)];
        result
    }

    /// One of `0..=most`. The bias of the multiplication is below 2⁻³², which no simulation sees.
    pub fn up_to(&mut self, most: u32) -> u32 {
        let span = u64::from(most) + 1;
        (((self.next_u64() >> 32) * span) >> 32) as u32
    }

    /// One of a range that is not wider than 2³².
    pub fn within(&mut self, range: RangeInclusive<u64>) -> u64 {
        let width = u32::try_from(range.end() - range.start()).unwrap_or(u32::MAX);
        range.start() + u64::from(self.up_to(width))
    }

    /// Whether something happens that happens `in_a_million` times in a million.
    pub fn happens(&mut self, in_a_million: u32) -> bool {
        in_a_million != 0 && self.up_to(999_999) < in_a_million
    }

    /// One of these, of which there is at least one.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.up_to(u32::try_from(from.len() - 1).unwrap_or(u32::MAX)) as usize]
    }

    /// A duration within a range, in whole microseconds.
    pub fn duration(&mut self, range: &RangeInclusive<Duration>) -> Duration {
        Duration::from_micros(self.within(micros(*range.start())..=micros(*range.end())))
    }

    /// Random bytes.
    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        core::array::from_fn(|_| self.next_u64() as u8)
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the authors' C code, filled with SplitMix64 from 42.
    #[test]
    fn gives_the_published_numbers() {
        let mut reference = Rng([1, 2, 3, 4]);
        let numbers = [(); 4].map(|()| reference.next_u64());
        assert_eq!(numbers, [41_943_041, 58_720_359, 3_588_806_011_781_223, 3_591_011_842_654_386]);
    }

    #[test]
    fn stays_within_what_is_asked() {
        let mut rng = Rng::new(0);
        let mut seen = [0_u32; 7];
        for _ in 0..7_000 {
            seen[rng.up_to(6) as usize] += 1;
        }
        assert!(seen.iter().all(|times| (800..1_200).contains(times)), "{seen:?}");
        assert!((0..1_000).all(|_| (5..=9).contains(&rng.within(5..=9))));
        assert!(!rng.happens(0) && rng.happens(1_000_000));
    }
}
