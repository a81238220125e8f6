//! Time as an argument: a monotonic [`Instant`], a [`WallTime`], and [`Now`], which is both.
//!
//! Nothing in the core reads a clock. Whoever drives a state machine passes the time in, be it an adapter with the
//! machine's clocks or a simulator with its own. The standard library's `Instant` cannot be made up, has no zero
//! and does not print; this one does.
//!
//! ```
//! use core::time::Duration;
//! use tenfour_delivery::time::{Instant, earliest};
//!
//! let ping = Some(Instant::ZERO + Duration::from_secs(25));
//! let upgrade = Some(Instant::ZERO + Duration::from_secs(10));
//! assert_eq!(earliest([ping, None, upgrade]), upgrade);
//! ```

use core::{
    fmt,
    ops::{Add, Sub},
    time::Duration,
};

/// A point on the driver's monotonic clock, in microseconds since a zero of the driver's choosing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// The clock's zero.
    pub const ZERO: Self = Self(0);

    /// The instant `micros` microseconds after zero.
    #[must_use]
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// Microseconds since zero.
    #[must_use]
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// Whether `deadline` is now or past.
    #[must_use]
    pub const fn has_reached(self, deadline: Self) -> bool {
        self.0 >= deadline.0
    }

    /// How long ago `earlier` was; zero if it is still to come.
    #[must_use]
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

/// Saturates at the end of time, some 580,000 years after zero.
impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(micros))
    }
}

impl Sub for Instant {
    type Output = Duration;

    /// The same as [`Instant::saturating_since`].
    fn sub(self, earlier: Self) -> Duration {
        self.saturating_since(earlier)
    }
}

/// Seconds with microseconds: `12.000345s`.
impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}s", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

/// A point in calendar time, in milliseconds since 1970-01-01T00:00:00Z.
///
/// It may jump in either direction, so it never measures a duration; it is what an expiry is written down in that must
/// hold across a restart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WallTime(u64);

impl WallTime {
    /// The time `millis` milliseconds after 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn from_unix_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn as_unix_millis(self) -> u64 {
        self.0
    }
}

/// What a driver says of the time with each call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// For deadlines within this process.
    pub mono: Instant,
    /// For what outlives it.
    pub wall: WallTime,
}

/// The first of some deadlines, `None` where none is set.
#[must_use]
pub fn earliest<const N: usize>(deadlines: [Option<Instant>; N]) -> Option<Instant> {
    deadlines.into_iter().flatten().min()
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::ToString;

    #[test]
    fn arithmetic_saturates_at_both_ends() {
        assert_eq!(Instant::from_micros(u64::MAX) + Duration::from_micros(1), Instant::from_micros(u64::MAX));
        assert_eq!(Instant::ZERO + Duration::MAX, Instant::from_micros(u64::MAX));
        assert_eq!(Instant::ZERO - Instant::from_micros(5), Duration::ZERO);
    }

    #[test]
    fn a_deadline_is_reached_at_its_own_instant() {
        let deadline = Instant::from_micros(10);
        assert!(!Instant::from_micros(9).has_reached(deadline));
        assert!(Instant::from_micros(10).has_reached(deadline));
    }

    #[test]
    fn prints_seconds() {
        assert_eq!(Instant::from_micros(12_000_345).to_string(), "12.000345s");
    }
}
