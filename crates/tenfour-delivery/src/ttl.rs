//! Time to live: a deadline in calendar time that is fixed when a message is taken in, and a queue of what expires next.
//!
//! A deadline is absolute, so it is the same after a restart; it can only be so if it, or the time of ingestion, is
//! stored with the message. Never make one from the time at which a message is read back: a crash would prolong its
//! life. It is checked wherever a message is about to move: when it is queued, sent, sent again and replayed; what is sent
//! along is the time that remains (MQTT 5.0 §3.3.2.3.3).
//!
//! ```
//! use core::time::Duration;
//! use tenfour_delivery::{time::{Instant, Now, WallTime}, ttl::{Deadline, Expiry}};
//!
//! let ingested = WallTime::from_unix_millis(1_000_000);
//! let deadline = Deadline::after(ingested, Duration::from_secs(5));
//! let now = Now { mono: Instant::from_micros(70_000_000), wall: WallTime::from_unix_millis(1_002_000) };
//! assert_eq!(deadline.remaining(now.wall), Some(Duration::from_secs(3)));
//!
//! let mut expiry = Expiry::new(Duration::from_millis(50), 1_000);
//! expiry.insert(deadline.on_clock(now), "message 7")?;
//! let due = expiry.poll_timeout().expect("one is waiting");
//! assert_eq!(expiry.poll(due), Some("message 7"));
//! assert!(deadline.is_past(WallTime::from_unix_millis(1_005_000)));
//! # Ok::<(), tenfour_delivery::ttl::Full<&str>>(())
//! ```

use alloc::{collections::BinaryHeap, vec::Vec};
use core::{
    cmp::Ordering,
    hash::{Hash, Hasher},
    time::Duration,
};

use crate::time::{Instant, Now, WallTime};

/// From when on a message must not be delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Deadline(WallTime);

impl Deadline {
    /// The deadline of a message that was taken in then and lives so long; whole milliseconds, saturating at the end of
    /// time.
    #[must_use]
    pub fn after(ingested: WallTime, ttl: Duration) -> Self {
        let millis = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
        Self(WallTime::from_unix_millis(ingested.as_unix_millis().saturating_add(millis)))
    }

    /// The deadline that was stored.
    #[must_use]
    pub const fn at(time: WallTime) -> Self {
        Self(time)
    }

    /// The time to store.
    #[must_use]
    pub const fn time(self) -> WallTime {
        self.0
    }

    /// Whether it is now or past.
    #[must_use]
    pub fn is_past(self, now: WallTime) -> bool {
        now >= self.0
    }

    /// How long the message still lives, `None` where it has expired.
    #[must_use]
    pub fn remaining(self, now: WallTime) -> Option<Duration> {
        let millis = self.0.as_unix_millis().saturating_sub(now.as_unix_millis());
        (millis > 0).then(|| Duration::from_millis(millis))
    }

    /// The same point on the driver's monotonic clock, as things are now.
    ///
    /// For a timer in this process: it is not moved by a jump of the calendar, so what is due by it is checked against
    /// the deadline itself.
    #[must_use]
    pub fn on_clock(self, now: Now) -> Instant {
        now.mono + self.remaining(now.wall).unwrap_or(Duration::ZERO)
    }
}

/// What expires when: a heap with a coarse clock, so that what expires at about the same time is one wake-up.
///
/// Nothing is due before its deadline, and nothing later than a tick after it. A key cannot be removed; one that no longer
/// matters is ignored when it is due.
#[derive(Clone, Debug)]
pub struct Expiry<K> {
    tick: Duration,
    limit: usize,
    inserted: u64,
    waiting: BinaryHeap<Waiting<K>>,
}

/// The queue holds as many keys as it may: it gives this one back.
///
/// Poll what is due, or treat the key as one without a timer: its deadline is checked when it is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the expiry queue is full: poll what is due before inserting more")]
pub struct Full<K>(pub K);

impl<K> Expiry<K> {
    /// A queue of at most `limit` keys, due at multiples of `tick` (at least a microsecond); a hundredth of the usual
    /// time to live is a good tick.
    #[must_use]
    pub fn new(tick: Duration, limit: usize) -> Self {
        let tick = tick.max(Duration::from_micros(1));
        Self { tick, limit, inserted: 0, waiting: BinaryHeap::new() }
    }

    /// Waits for this deadline.
    ///
    /// # Errors
    /// [`Full`], with the key.
    pub fn insert(&mut self, deadline: Instant, key: K) -> Result<(), Full<K>> {
        if self.waiting.len() >= self.limit {
            return Err(Full(key));
        }
        let tick = u64::try_from(self.tick.as_micros()).unwrap_or(u64::MAX);
        let due = Instant::from_micros(deadline.as_micros().div_ceil(tick).saturating_mul(tick));
        self.waiting.push(Waiting { due, order: self.inserted, key });
        self.inserted += 1;
        Ok(())
    }

    /// The next key that is due, in the order of the ticks and then of insertion.
    pub fn poll(&mut self, now: Instant) -> Option<K> {
        let first = self.waiting.peek()?;
        if !now.has_reached(first.due) {
            return None;
        }
        self.waiting.pop().map(|waiting| waiting.key)
    }

    /// When the next key is due; changes with [`Self::insert`] and [`Self::poll`].
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.waiting.peek().map(|first| first.due)
    }

    /// How many keys wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

/// In the order in which they are due: how the heap has grown does not count.
impl<K: Hash> Hash for Expiry<K> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let mut waiting: Vec<_> = self.waiting.iter().collect();
        waiting.sort_unstable_by(|a, b| b.cmp(a));
        (self.tick, self.limit, waiting.len()).hash(state);
        for Waiting { due, key, .. } in waiting {
            (due, key).hash(state);
        }
    }
}

#[derive(Clone, Debug)]
struct Waiting<K> {
    due: Instant,
    order: u64,
    key: K,
}

/// The one that is due first is the greatest, as the heap wants it.
impl<K> Ord for Waiting<K> {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.due, other.order).cmp(&(self.due, self.order))
    }
}

impl<K> PartialOrd for Waiting<K> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<K> PartialEq for Waiting<K> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<K> Eq for Waiting<K> {}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    #[test]
    fn a_message_that_lives_for_ever_does_not_wrap() {
        let deadline = Deadline::after(WallTime::from_unix_millis(5), Duration::MAX);
        assert!(!deadline.is_past(WallTime::from_unix_millis(u64::MAX - 1)));
        let now = Now { mono: Instant::from_micros(7), wall: WallTime::from_unix_millis(5) };
        assert_eq!(deadline.on_clock(now), Instant::from_micros(u64::MAX));
    }

    #[test]
    fn what_has_expired_is_due_at_once() {
        let deadline = Deadline::at(WallTime::from_unix_millis(5));
        let now = Now { mono: Instant::from_micros(7), wall: WallTime::from_unix_millis(5) };
        assert!(deadline.is_past(now.wall));
        assert_eq!((deadline.remaining(now.wall), deadline.on_clock(now)), (None, now.mono));
    }

    #[test]
    fn a_full_queue_gives_the_key_back() {
        let mut expiry = Expiry::new(Duration::ZERO, 1);
        assert_eq!(expiry.insert(Instant::ZERO, 1), Ok(()));
        assert_eq!(expiry.insert(Instant::ZERO, 2), Err(Full(2)));
        assert_eq!((expiry.poll(Instant::ZERO), expiry.poll(Instant::ZERO)), (Some(1), None));
    }

    proptest! {
        #[test]
        fn nothing_is_due_early_and_nothing_more_than_a_tick_late(
            deadlines in prop::collection::vec(0..10_000_u64, 0..60),
            tick in 1..700_u64,
            jumps in prop::collection::vec(1..900_u64, 0..60),
        ) {
            let mut expiry = Expiry::new(Duration::from_micros(tick), 100);
            for (key, &deadline) in deadlines.iter().enumerate() {
                expiry.insert(Instant::from_micros(deadline), key).expect("there is room");
            }
            let mut waiting: Vec<_> = (0..deadlines.len()).collect();
            let mut now = 0;
            for jump in jumps {
                now += jump;
                let next = expiry.poll_timeout();
                prop_assert_eq!(next.is_none(), waiting.is_empty());
                while let Some(key) = expiry.poll(Instant::from_micros(now)) {
                    prop_assert!(deadlines[key] <= now, "early");
                    waiting.retain(|&other| other != key);
                }
                prop_assert!(waiting.iter().all(|&key| deadlines[key] + tick > now), "late");
                prop_assert_eq!(expiry.len(), waiting.len());
            }
        }
    }
}
