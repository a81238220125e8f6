//! The machine's clocks, as the core counts them.

use std::time::{SystemTime, UNIX_EPOCH};
use tenfour_delivery::time::{Instant, Now, WallTime};
use tokio::time::Instant as TokioInstant;

/// The machine's clocks, as the core counts them: the monotonic one from a zero of its own, which is when it was started.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    zero: TokioInstant,
}

impl Clock {
    /// A clock whose zero is now.
    #[must_use]
    pub fn start() -> Self {
        Self { zero: TokioInstant::now() }
    }

    /// The time since the zero.
    #[must_use]
    pub fn now(&self) -> Instant {
        Instant::from_micros(u64::try_from(self.zero.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    /// The calendar's time.
    #[must_use]
    pub fn wall(&self) -> WallTime {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        WallTime::from_unix_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    /// Both.
    #[must_use]
    pub fn both(&self) -> Now {
        Now { mono: self.now(), wall: self.wall() }
    }

    /// The first moment at which [`now`](Self::now) has reached `at`.
    #[must_use]
    pub fn moment(&self, at: Instant) -> TokioInstant {
        self.zero + (at - Instant::ZERO)
    }
}
