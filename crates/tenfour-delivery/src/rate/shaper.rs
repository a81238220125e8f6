use alloc::collections::VecDeque;
use core::time::Duration;

use super::{Gcra, Limit, Outcome};
use crate::time::Instant;

/// A bounded queue whose output conforms to a [`Limit`], in the order of its input.
///
/// It holds a message for at most the limit's [patience](Limit::with_patience), and at most so many of them.
///
/// ```
/// use core::time::Duration;
/// use tenfour_delivery::{rate::{Limit, Shaped, Shaper}, time::Instant};
///
/// let limit = Limit::new(10, Duration::from_secs(1), 1).with_patience(Duration::from_secs(1));
/// let mut shaper = Shaper::new(limit, 100);
/// let now = Instant::ZERO;
/// assert_eq!(shaper.push(now, 1, "first"), Ok(Shaped::Pass("first")));
/// assert_eq!(shaper.push(now, 1, "second"), Ok(Shaped::Queued));
///
/// let due = shaper.poll_timeout().expect("one is waiting");
/// assert_eq!(due, now + Duration::from_millis(100));
/// assert_eq!(shaper.poll(due), Some("second"));
/// ```
#[derive(Clone, Debug, Hash)]
pub struct Shaper<T> {
    limit: Limit,
    capacity: usize,
    state: Gcra,
    /// Ascending by the time at which they pass.
    queue: VecDeque<(Instant, T)>,
}

/// What has become of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub enum Shaped<T> {
    /// It passes now.
    Pass(T),
    /// [`Shaper::poll`] gives it out when it is due.
    Queued,
}

/// The message does not fit; it comes back, and nothing was charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Overflow<T> {
    /// The queue is full or the message would wait too long.
    #[error("too many messages are waiting: try again in {retry_after:?}")]
    Later {
        /// The message.
        message: T,
        /// How long from now it would fit, if nothing else came.
        retry_after: Duration,
    },
    /// The message costs more than the limit's burst.
    #[error("the message is larger than the limit's burst: it can never pass")]
    TooLarge(T),
}

impl<T> Shaper<T> {
    /// A shaper that holds at most `capacity` messages.
    #[must_use]
    pub const fn new(limit: Limit, capacity: usize) -> Self {
        Self { limit, capacity, state: Gcra::new(), queue: VecDeque::new() }
    }

    /// Takes a message that costs so many units.
    ///
    /// # Errors
    /// [`Overflow`], with the message.
    pub fn push(&mut self, now: Instant, cost: u64, message: T) -> Result<Shaped<T>, Overflow<T>> {
        if self.queue.len() >= self.capacity
            && let Some(&(first, _)) = self.queue.front()
        {
            return Err(Overflow::Later { message, retry_after: first - now });
        }
        let before = self.state;
        let until = match self.state.check(&self.limit, cost, now) {
            Outcome::Accept if self.queue.is_empty() => return Ok(Shaped::Pass(message)),
            Outcome::Accept => now,
            Outcome::Delay { until } if self.capacity > 0 => until,
            Outcome::Delay { until } => {
                self.state = before;
                return Err(Overflow::Later { message, retry_after: until - now });
            }
            Outcome::Reject { retry_after } => return Err(Overflow::Later { message, retry_after }),
            Outcome::TooLarge => return Err(Overflow::TooLarge(message)),
        };
        self.queue.push_back((until, message));
        Ok(Shaped::Queued)
    }

    /// The next message that is due.
    pub fn poll(&mut self, now: Instant) -> Option<T> {
        self.queue.pop_front_if(|(until, _)| now.has_reached(*until)).map(|(_, message)| message)
    }

    /// When the next message is due; changes with [`Self::push`] and [`Self::poll`].
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.queue.front().map(|(until, _)| *until)
    }

    /// How many messages wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    proptest! {
        #[test]
        fn what_is_taken_comes_out_once_in_order_and_within_patience(
            arrivals in prop::collection::vec((0..40_000_u64, any::<bool>()), 1..80),
            capacity in 0..6_usize,
        ) {
            let patience = Duration::from_millis(60);
            let limit = Limit::new(100, Duration::from_secs(1), 2).with_patience(patience);
            let mut shaper = Shaper::new(limit, capacity);
            let (mut taken, mut out) = (Vec::new(), Vec::new());
            let mut now = Instant::ZERO;
            for (index, (gap, polled)) in arrivals.into_iter().enumerate() {
                now = now + Duration::from_micros(gap);
                while polled && let Some((pushed, index)) = shaper.poll(now) {
                    out.push(index);
                    prop_assert!(now >= pushed);
                }
                match shaper.push(now, 1, (now, index)) {
                    Ok(Shaped::Pass((_, index))) => {
                        prop_assert!(shaper.is_empty(), "none is overtaken");
                        taken.push(index);
                        out.push(index);
                    }
                    Ok(Shaped::Queued) => taken.push(index),
                    Err(Overflow::Later { message, .. }) => prop_assert_eq!(message, (now, index)),
                    Err(Overflow::TooLarge(_)) => prop_assert!(false, "each costs one"),
                }
                prop_assert!(shaper.len() <= capacity);
            }
            while let Some(due) = shaper.poll_timeout() {
                prop_assert!(due <= now + patience);
                let (_, index) = shaper.poll(due).expect("it is due");
                out.push(index);
            }
            prop_assert_eq!(out, taken);
        }
    }

    #[test]
    fn a_shaper_without_a_queue_only_passes_or_refuses() {
        let limit = Limit::new(10, Duration::from_secs(1), 1).with_patience(Duration::from_secs(9));
        let mut shaper = Shaper::new(limit, 0);
        assert_eq!(shaper.push(Instant::ZERO, 1, 'a'), Ok(Shaped::Pass('a')));
        let later = Overflow::Later { message: 'b', retry_after: Duration::from_millis(100) };
        assert_eq!(shaper.push(Instant::ZERO, 1, 'b'), Err(later));
        assert_eq!(shaper.push(Instant::ZERO, 1, 'b'), Err(later), "nothing was charged");
        assert_eq!(shaper.push(Instant::ZERO, 2, 'c'), Err(Overflow::TooLarge('c')));
    }
}
