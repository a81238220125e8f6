//! How fast each publisher may publish.

use alloc::collections::BTreeMap;
use core::time::Duration;

use tenfour_delivery::{
    rate::{Gcra, Limit, Outcome},
    time::Instant,
};

use super::SubscriberId;

/// The publishers that have published lately. One that has been quiet for as long as its burst lasts is as one that
/// never published, so it is dropped when there are twice as many as after the last time.
#[derive(Clone, Debug, Default, Hash)]
pub(super) struct Rates {
    publishers: BTreeMap<SubscriberId, Gcra>,
    kept: usize,
}

/// So many are always kept.
const FEW: usize = 64;

impl Rates {
    /// Charges a publisher for a message.
    ///
    /// # Errors
    /// If it is over the limit: after how long it no longer is. It is not charged then.
    pub(super) fn charge(&mut self, limit: &Limit, id: SubscriberId, now: Instant) -> Result<(), Duration> {
        if self.publishers.len() >= 2 * self.kept.max(FEW) {
            self.publishers.retain(|_, gcra| !gcra.is_idle(now));
            self.kept = self.publishers.len();
        }
        let state = self.publishers.entry(id).or_default();
        let mut charged = *state;
        match charged.check(limit, 1, now) {
            Outcome::Accept | Outcome::TooLarge => {
                *state = charged;
                Ok(())
            }
            // A delay would need a queue of its own; who is to wait is told so, and not charged.
            Outcome::Delay { until } => Err(until - now),
            Outcome::Reject { retry_after } => Err(retry_after),
        }
    }
}
