//! Rate limits: the generic cell rate algorithm in eight bytes, and a bounded queue that makes a stream conform.
//!
//! A [`Limit`] is shared by all that are limited alike; a [`Gcra`] is the state of one of them, be that a connection, a
//! user, a channel or a tenant: the caller keeps one under each key. Recognise duplicates *before* charging, or a storm
//! of retries starves a client of its own acknowledgements; and refuse without using up the message's number.
//!
//! ```
//! use core::time::Duration;
//! use tenfour_delivery::{rate::{Gcra, Limit, Outcome}, time::Instant};
//!
//! // Ten a second, and at most three at once.
//! let limit = Limit::new(10, Duration::from_secs(1), 3);
//! let mut connection = Gcra::new();
//! let now = Instant::from_micros(5_000_000);
//! for _ in 0..3 {
//!     assert_eq!(connection.check(&limit, 1, now), Outcome::Accept);
//! }
//! let refused = Outcome::Reject { retry_after: Duration::from_millis(100) };
//! assert_eq!(connection.check(&limit, 1, now), refused);
//! assert_eq!(connection.check(&limit, 1, now + Duration::from_millis(100)), Outcome::Accept);
//! ```

mod shaper;

pub use shaper::{Overflow, Shaped, Shaper};

use core::time::Duration;

use crate::time::Instant;

/// How much may pass: so many units in each period, and so many at once.
///
/// What is accepted in any stretch of time `w` is at most `burst + w × units ⁄ period`. The interval between two units is
/// rounded up to a nanosecond, so that rounding never lets more through. What is delayed passes at the next microsecond, the
/// clock's finest step, which may move it that much closer to what follows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Limit {
    /// Nanoseconds for each unit.
    interval: u64,
    burst: u64,
    patience: Duration,
}

impl Limit {
    /// At most `units` in each `period`, and at most `burst` at once; zero counts as one. What takes longer than 146 years,
    /// be it one unit or a whole burst, counts as what takes so long.
    ///
    /// A unit is whatever the caller charges for: a message, or a byte.
    #[must_use]
    pub fn new(units: u64, period: Duration, burst: u64) -> Self {
        let interval = period.as_nanos().div_ceil(u128::from(units.max(1)));
        let interval = u64::try_from(interval).unwrap_or(LONGEST).clamp(1, LONGEST);
        Self { interval, burst: burst.clamp(1, LONGEST / interval), patience: Duration::ZERO }
    }

    /// Delays by up to so long what would be rejected. The default is not at all.
    #[must_use]
    pub const fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// How much may pass at once.
    #[must_use]
    pub const fn burst(&self) -> u64 {
        self.burst
    }

    fn tolerance(&self) -> u64 {
        self.interval * self.burst
    }
}

/// The longest time for a burst, in nanoseconds: a quarter of what there is, so that what is charged on top of one does not
/// reach the end of time, where everything would pass.
const LONGEST: u64 = u64::MAX / 4;

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub enum Outcome {
    /// It passes now, and is charged.
    Accept,
    /// It is charged, and passes then: keep it until then in a bounded queue, such as a [`Shaper`].
    Delay {
        /// When it passes.
        until: Instant,
    },
    /// It is not charged. Tell the sender when to come again.
    Reject {
        /// How long from now it would pass, if nothing else came.
        retry_after: Duration,
    },
    /// It costs more than the limit's burst, so it never passes.
    TooLarge,
}

/// The state of one that is limited: the theoretical arrival time of ITU-T I.371, virtual scheduling.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Gcra {
    /// When all that was charged has been paid off, in nanoseconds.
    paid_off: u64,
}

const _: () = assert!(size_of::<Gcra>() == 8);

impl Gcra {
    /// One that has sent nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self { paid_off: 0 }
    }

    /// What becomes of a message that costs so many units.
    pub fn check(&mut self, limit: &Limit, cost: u64, now: Instant) -> Outcome {
        if cost > limit.burst {
            return Outcome::TooLarge;
        }
        let now_nanos = nanos(now);
        let paid_off = self.paid_off.max(now_nanos).saturating_add(limit.interval.saturating_mul(cost));
        let wait = paid_off.saturating_sub(limit.tolerance()).saturating_sub(now_nanos);
        let wait = Duration::from_micros(wait.div_ceil(1_000));
        if wait > limit.patience {
            return Outcome::Reject { retry_after: wait };
        }
        self.paid_off = paid_off;
        if wait.is_zero() { Outcome::Accept } else { Outcome::Delay { until: now + wait } }
    }

    /// Whether it is as one that has sent nothing, so that its key may be dropped.
    #[must_use]
    pub fn is_idle(&self, now: Instant) -> bool {
        self.paid_off <= nanos(now)
    }
}

/// Saturates 584 years after the clock's zero.
const fn nanos(instant: Instant) -> u64 {
    instant.as_micros().saturating_mul(1_000)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    fn limits() -> impl Strategy<Value = Limit> {
        (1..5_000_u64, 1..3_000_u64, 1..20_u64, prop_oneof![Just(0), 0..5_000_u64]).prop_map(
            |(units, millis, burst, patience)| {
                Limit::new(units, Duration::from_millis(millis), burst)
                    .with_patience(Duration::from_micros(patience))
            },
        )
    }

    #[test]
    fn a_limit_that_is_out_of_all_proportion_still_limits() {
        let forever = Limit::new(1, Duration::MAX, 1);
        let vast = Limit::new(1, Duration::from_secs(86_400), u64::MAX);
        for limit in [forever, vast] {
            let (mut gcra, now) = (Gcra::new(), Instant::from_micros(1_000_000));
            assert_eq!(gcra.check(&limit, 1, now), Outcome::Accept);
            let passed =
                (0..1_000_000_u64).take_while(|_| gcra.check(&limit, 1, now) == Outcome::Accept).count();
            assert!(passed < 1_000_000, "{limit:?} lets everything through");
        }
    }

    proptest! {
        /// In any stretch of time no more passes than the burst and the rate allow, exactly; with delays, to a microsecond.
        #[test]
        fn any_window_is_bounded(
            limit in limits(),
            arrivals in prop::collection::vec((0..3_000_u64, 1..4_u64), 1..150),
        ) {
            let mut gcra = Gcra::new();
            let mut passed: Vec<(u64, u64)> = Vec::new();
            let mut now = Instant::from_micros(1_000);
            for (gap, cost) in arrivals {
                now = now + Duration::from_micros(gap);
                let before = gcra;
                match gcra.check(&limit, cost, now) {
                    Outcome::Accept => passed.push((now.as_micros(), cost)),
                    Outcome::Delay { until } => {
                        prop_assert!(until > now && until - now <= limit.patience);
                        passed.push((until.as_micros(), cost));
                    }
                    Outcome::Reject { retry_after } => {
                        prop_assert_eq!(gcra, before, "what is rejected is not charged");
                        let next = gcra.clone().check(&limit, cost, now + retry_after);
                        prop_assert_eq!(next, Outcome::Accept, "it passes when it was told");
                        let early = now + (retry_after - Duration::from_micros(1));
                        let early = gcra.clone().check(&Limit { patience: Duration::ZERO, ..limit.clone() }, cost, early);
                        prop_assert_ne!(early, Outcome::Accept, "and not before");
                    }
                    Outcome::TooLarge => prop_assert!(cost > limit.burst),
                }
            }
            prop_assert!(passed.is_sorted_by_key(|passed| passed.0), "delays keep the order");
            for from in 0..passed.len() {
                let mut sum = 0;
                for &(at, cost) in &passed[from..] {
                    sum += cost;
                    let step = if limit.patience.is_zero() { 0 } else { 999 };
                    let window = (at - passed[from].0) * 1_000 + step;
                    prop_assert!((sum - limit.burst.min(sum)) * limit.interval <= window);
                }
            }
        }
    }

    #[test]
    fn one_that_has_paid_off_may_be_forgotten() {
        let limit = Limit::new(1, Duration::from_secs(1), 2);
        let mut gcra = Gcra::new();
        assert!(gcra.is_idle(Instant::ZERO));
        assert_eq!(gcra.check(&limit, 2, Instant::ZERO), Outcome::Accept);
        assert!(!gcra.is_idle(Instant::from_micros(1_999_999)));
        assert!(gcra.is_idle(Instant::from_micros(2_000_000)));
    }

    #[test]
    fn the_ends_of_the_ranges_saturate() {
        let limit = Limit::new(0, Duration::MAX, u64::MAX);
        let mut gcra = Gcra::new();
        assert_eq!(limit.burst(), 1, "one alone takes longer than there is time");
        assert_eq!(gcra.check(&limit, u64::MAX, Instant::ZERO), Outcome::TooLarge);
        assert_eq!(gcra.check(&limit, 1, Instant::from_micros(u64::MAX)), Outcome::Accept);
        let limit = Limit::new(u64::MAX, Duration::ZERO, 0);
        assert_eq!(Gcra::new().check(&limit, 2, Instant::ZERO), Outcome::TooLarge);
        assert_eq!(Gcra::new().check(&limit, 1, Instant::ZERO), Outcome::Accept);
    }
}
