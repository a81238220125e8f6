//! How long a client waits before it connects again: exponential, spread over the whole wait, and patient after a
//! connection that did not last.
//!
//! The wait is uniform between zero and a ceiling that doubles with each attempt ("full jitter"), *also at the cap*: where
//! a jitter is added and the sum then cut off, all clients that have waited long enough come back in step. A server that
//! names a time is obeyed, and its clients are spread after that time in the same way. A connection counts as a success
//! only once it has stayed up for a while; else a server that accepts and drops would be called at full speed.
//!
//! ```
//! use core::time::Duration;
//! use tenfour_delivery::{backoff::{Backoff, Config}, time::Instant};
//!
//! let mut backoff = Backoff::new(Config::default());
//! // The random number is the caller's. Its whole range is the whole range of the wait.
//! assert_eq!(backoff.next_wait(u64::MAX, None), Duration::from_millis(500));
//! assert_eq!(backoff.next_wait(u64::MAX / 2, None), Duration::from_millis(500));
//! assert_eq!(backoff.next_wait(0, Some(Duration::from_secs(3))), Duration::from_secs(3));
//!
//! backoff.connected(Instant::ZERO);
//! backoff.disconnected(Instant::from_micros(60_000_000));
//! assert_eq!(backoff.attempts(), 0, "it has stayed up");
//! ```

use core::time::Duration;

use crate::time::Instant;

/// How long to wait.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Config {
    /// The ceiling of the first wait. Default 500 ms.
    pub initial: Duration,
    /// The ceiling of the longest wait. Default 30 s.
    pub max: Duration,
    /// How long a connection must have stayed up to count as a success. Default 10 s.
    pub stable: Duration,
    /// The longest time that a server may ask for. Default 10 minutes.
    pub max_retry_after: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            initial: Duration::from_millis(500),
            max: Duration::from_secs(30),
            stable: Duration::from_secs(10),
            max_retry_after: Duration::from_secs(600),
        }
    }
}

/// Where a client is in its attempts.
#[derive(Clone, Debug, Hash)]
pub struct Backoff {
    config: Config,
    attempts: u32,
    connected: Option<Instant>,
}

impl Backoff {
    /// Before the first attempt has failed.
    #[must_use]
    pub const fn new(config: Config) -> Self {
        Self { config, attempts: 0, connected: None }
    }

    /// An attempt has failed, or a connection has ended: how long to wait before the next attempt.
    ///
    /// `random` is uniform over all its values. `retry_after` is what the server has asked for; the wait is never
    /// shorter, up to [`Config::max_retry_after`].
    #[must_use]
    pub fn next_wait(&mut self, random: u64, retry_after: Option<Duration>) -> Duration {
        let doublings = 2_u32.saturating_pow(self.attempts);
        self.attempts = self.attempts.saturating_add(1);
        let ceiling = self.config.initial.saturating_mul(doublings).min(self.config.max);
        let least = retry_after.unwrap_or(Duration::ZERO).min(self.config.max_retry_after);
        least.saturating_add(portion(ceiling, random))
    }

    /// A connection stands.
    pub const fn connected(&mut self, now: Instant) {
        self.connected = Some(now);
    }

    /// The connection has ended; if it has stayed up long enough, the waits begin anew.
    pub fn disconnected(&mut self, now: Instant) {
        if self.connected.take().is_some_and(|since| now - since >= self.config.stable) {
            self.attempts = 0;
        }
    }

    /// How many waits there were since the last success.
    #[must_use]
    pub const fn attempts(&self) -> u32 {
        self.attempts
    }
}

/// So much of the whole as `random` is of its range, in microseconds, both ends included.
fn portion(whole: Duration, random: u64) -> Duration {
    let micros = u64::try_from(whole.as_micros()).unwrap_or(u64::MAX);
    let share = ((u128::from(micros) + 1) * u128::from(random)) >> u64::BITS;
    Duration::from_micros(u64::try_from(share).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn each_wait_is_below_its_ceiling_and_above_what_the_server_asked_for(
            randoms in prop::collection::vec(any::<u64>(), 1..80),
            retry_after in prop::option::of(0..1_000_u64),
        ) {
            let retry_after = retry_after.map(Duration::from_secs);
            let least = retry_after.unwrap_or(Duration::ZERO).min(Duration::from_secs(600));
            let mut backoff = Backoff::new(Config::default());
            let mut ceiling = Duration::from_millis(500);
            for random in randoms {
                let wait = backoff.next_wait(random, retry_after);
                prop_assert!(wait >= least && wait <= least + ceiling);
                ceiling = (ceiling * 2).min(Duration::from_secs(30));
            }
        }
    }

    /// At the cap the waits still fill the whole range evenly: each tenth of it gets its share.
    #[test]
    fn the_cap_is_spread_too() {
        let mut backoff = Backoff::new(Config::default());
        for _ in 0..100 {
            let _ = backoff.next_wait(0, None);
        }
        let mut tenths = [0; 10];
        for step in 0..10_000_u64 {
            let wait = backoff.next_wait(step * (u64::MAX / 10_000), None);
            tenths[(wait.as_millis() / 3_000).min(9) as usize] += 1;
        }
        assert!(tenths.iter().all(|share| (990..=1_010).contains(share)), "{tenths:?}");
    }

    #[test]
    fn only_a_connection_that_lasts_is_a_success() {
        let mut backoff = Backoff::new(Config::default());
        let _ = backoff.next_wait(0, None);
        backoff.connected(Instant::ZERO);
        backoff.disconnected(Instant::from_micros(9_999_999));
        assert_eq!(backoff.attempts(), 1);
        backoff.disconnected(Instant::from_micros(99_000_000));
        assert_eq!(backoff.attempts(), 1, "there was no connection");
        backoff.connected(Instant::ZERO);
        backoff.disconnected(Instant::from_micros(10_000_000));
        assert_eq!(backoff.attempts(), 0);
    }

    #[test]
    fn the_longest_waits_do_not_overflow() {
        let config = Config {
            initial: Duration::MAX,
            max: Duration::MAX,
            max_retry_after: Duration::MAX,
            ..Config::default()
        };
        let mut backoff = Backoff::new(config);
        for _ in 0..40 {
            assert_eq!(backoff.next_wait(u64::MAX, Some(Duration::MAX)), Duration::MAX);
        }
    }
}
