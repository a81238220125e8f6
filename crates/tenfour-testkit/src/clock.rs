//! Time that moves only when told.
//!
//! ```
//! use core::time::Duration;
//! use tenfour_delivery::time::Instant;
//! use tenfour_testkit::clock::VirtualClock;
//!
//! let mut clock = VirtualClock::new();
//! let deadline = clock.now() + Duration::from_secs(25);
//! clock.advance(Duration::from_secs(20));
//! assert!(!clock.now().has_reached(deadline));
//! clock.advance_to(deadline);
//! assert_eq!(clock.now(), Instant::from_micros(25_000_000));
//! ```

use std::time::Duration;

use tenfour_delivery::time::{Instant, Now, WallTime};

/// A monotonic clock and a calendar that move together, and only when told.
#[derive(Clone, Debug, Default)]
pub struct VirtualClock {
    now: Instant,
    wall_at_zero: WallTime,
}

impl VirtualClock {
    /// A clock at [`Instant::ZERO`], at midnight before 1970-01-01.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A clock at [`Instant::ZERO`] with the calendar at `wall`: what a process sees that starts then.
    #[must_use]
    pub const fn starting_at(wall: WallTime) -> Self {
        Self { now: Instant::ZERO, wall_at_zero: wall }
    }

    /// The time for deadlines.
    #[must_use]
    pub const fn now(&self) -> Instant {
        self.now
    }

    /// The time for deadlines with the calendar's.
    #[must_use]
    pub fn now_and_wall(&self) -> Now {
        let millis = self.wall_at_zero.as_unix_millis().saturating_add(self.now.as_micros() / 1000);
        Now { mono: self.now, wall: WallTime::from_unix_millis(millis) }
    }

    /// Moves on by `duration`, and answers the new time.
    pub fn advance(&mut self, duration: Duration) -> Instant {
        self.now = self.now + duration;
        self.now
    }

    /// Moves on to `deadline`, and answers the new time. A deadline that has passed moves nothing: time never goes back.
    pub fn advance_to(&mut self, deadline: Instant) -> Instant {
        self.now = self.now.max(deadline);
        self.now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_never_goes_back() {
        let mut clock = VirtualClock::new();
        clock.advance(Duration::from_secs(2));
        assert_eq!(clock.advance_to(Instant::from_micros(1)), Instant::from_micros(2_000_000));
    }

    #[test]
    fn the_calendar_moves_along() {
        let mut clock = VirtualClock::starting_at(WallTime::from_unix_millis(1_000));
        clock.advance(Duration::from_micros(2_500));
        let now = clock.now_and_wall();
        assert_eq!((now.mono.as_micros(), now.wall.as_unix_millis()), (2_500, 1_002));
    }
}
