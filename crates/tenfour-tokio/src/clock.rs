//! The machine's clock, as the core counts it.

use tenfour_delivery::time::Instant;
use tokio::time::Instant as TokioInstant;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    zero: TokioInstant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { zero: TokioInstant::now() }
    }

    pub(crate) fn now(&self) -> Instant {
        Instant::from_micros(u64::try_from(self.zero.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    /// The first moment at which [`now`](Self::now) has reached `at`.
    pub(crate) fn moment(&self, at: Instant) -> TokioInstant {
        self.zero + (at - Instant::ZERO)
    }
}
