//! When to send again on a pipe that loses: the round trip as it was measured, and the probe timeout that follows from it.
//!
//! RFC 9002's estimator (§5) and probe timeout (§6.2), and nothing of its congestion control. What to send is the
//! [window](crate::window)'s to say. On a pipe that keeps order none of this is needed.
//!
//! ```
//! use core::time::Duration;
//! use tenfour_delivery::{
//!     probe::{Config, Probe},
//!     time::Instant,
//! };
//!
//! let millis = Duration::from_millis;
//! let mut probe = Probe::new(Config::default());
//! let sent = Instant::ZERO;
//! assert_eq!(probe.deadline(sent), sent + millis(1_024), "333 ms and four times its half, and the peer's delay");
//!
//! // An acknowledgement after 20 ms.
//! probe.acknowledged(Some(millis(20)), Duration::ZERO);
//! assert_eq!(probe.deadline(sent), sent + millis(20 + 4 * 10 + 25));
//!
//! // Silence: probe, and then wait twice as long.
//! probe.timed_out();
//! assert_eq!(probe.deadline(sent), sent + millis(2 * 85));
//! ```

use core::time::Duration;

use crate::time::Instant;

/// When to probe: the deadline after a transmission that nobody answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Probe {
    config: Config,
    round_trip: RoundTrip,
    /// How many timeouts there were in a row.
    timeouts: u32,
}

/// What a probe timeout is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Config {
    /// The round trip before one was measured. Default: 333 ms (RFC 9002 §6.2.2).
    pub initial: Duration,
    /// How long a peer may wait with an acknowledgement. Default: 25 ms.
    pub ack_delay: Duration,
    /// The coarseness of the driver's timers: what the variation counts for at least. Default: 1 ms (RFC 9002 §6.1.2).
    pub granularity: Duration,
    /// No timeout is longer, however many there were in a row. Default: 10 s.
    pub longest: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            initial: Duration::from_millis(333),
            ack_delay: Duration::from_millis(25),
            granularity: Duration::from_millis(1),
            longest: Duration::from_secs(10),
        }
    }
}

impl Probe {
    /// Nothing measured yet.
    #[must_use]
    pub const fn new(config: Config) -> Self {
        Self { config, round_trip: RoundTrip::new(config.initial), timeouts: 0 }
    }

    /// Something was acknowledged for the first time: the pipe works. `sample` is the round trip if it is known
    /// (`Acknowledged::round_trip`), and `delay` how long the peer says that it waited.
    pub fn acknowledged(&mut self, sample: Option<Duration>, delay: Duration) {
        self.timeouts = 0;
        if let Some(sample) = sample {
            self.round_trip.sample(sample, delay.min(self.config.ack_delay));
        }
    }

    /// The deadline has passed: the next one is twice as far away.
    pub fn timed_out(&mut self) {
        self.timeouts = self.timeouts.saturating_add(1);
    }

    /// When to probe if nothing is acknowledged after the last transmission, which was at `sent`.
    #[must_use]
    pub fn deadline(&self, sent: Instant) -> Instant {
        sent + self.timeout()
    }

    /// How long to wait for an acknowledgement (RFC 9002 §6.2.1), doubled for each timeout in a row.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        let variation = (self.round_trip.variation * 4).max(self.config.granularity);
        let once = self.round_trip.smoothed + variation + self.config.ack_delay;
        once.saturating_mul(1_u32.checked_shl(self.timeouts).unwrap_or(u32::MAX)).min(self.config.longest)
    }

    /// The round trip so far.
    #[must_use]
    pub const fn round_trip(&self) -> RoundTrip {
        self.round_trip
    }
}

/// A round trip as it was measured (RFC 9002 §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RoundTrip {
    smoothed: Duration,
    variation: Duration,
    /// The shortest there was, `None` before the first.
    shortest: Option<Duration>,
}

impl RoundTrip {
    const fn new(initial: Duration) -> Self {
        Self {
            smoothed: initial,
            variation: initial.checked_div(2).expect("two is not zero"),
            shortest: None,
        }
    }

    /// A moving average; the configured value before the first measurement.
    #[must_use]
    pub const fn smoothed(&self) -> Duration {
        self.smoothed
    }

    /// A moving average of the distance from it.
    #[must_use]
    pub const fn variation(&self) -> Duration {
        self.variation
    }

    /// The shortest that was measured, the peer's delay included; `None` before the first measurement.
    #[must_use]
    pub const fn shortest(&self) -> Option<Duration> {
        self.shortest
    }

    fn sample(&mut self, sample: Duration, delay: Duration) {
        let Some(shortest) = self.shortest else {
            *self = Self { smoothed: sample, variation: sample / 2, shortest: Some(sample) };
            return;
        };
        let shortest = shortest.min(sample);
        // A delay that would make the round trip shorter than it ever was is not believed.
        let adjusted = if sample >= shortest + delay { sample - delay } else { sample };
        self.shortest = Some(shortest);
        self.variation = (self.variation * 3 + self.smoothed.abs_diff(adjusted)) / 4;
        self.smoothed = (self.smoothed * 7 + adjusted) / 8;
    }
}

#[cfg(test)]
mod tests;
