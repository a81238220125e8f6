//! A bounded queue of messages that may be dropped, and never are in silence: what did not fit is counted.
//!
//! ```
//! use tenfour_delivery::at_most_once::{Config, DropPolicy, Pushed, Queue};
//!
//! let config = Config { messages: 2, bytes: 1_000, policy: DropPolicy::Oldest };
//! let mut positions = Queue::new(config);
//! assert_eq!(positions.push("1,1", 3), Pushed::Kept);
//! assert_eq!(positions.push("1,2", 3), Pushed::Kept);
//! assert_eq!(positions.push("1,3", 3), Pushed::Displaced { messages: 1 });
//! assert_eq!(positions.pop(), Some("1,2"));
//! assert_eq!(positions.dropped(), 1);
//! ```

use alloc::collections::VecDeque;

/// Messages that wait for room in a pipe, and are dropped if they don't get it. After it has grown to its bounds it
/// allocates nothing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Queue<T> {
    config: Config,
    items: VecDeque<(T, usize)>,
    bytes: usize,
    dropped: u64,
}

/// A queue's bounds, and what goes when they are reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Config {
    /// How many messages it holds. Default: 128.
    pub messages: usize,
    /// How many bytes it holds. Default: 256 KiB. A larger message is always dropped.
    pub bytes: usize,
    /// Default: [`DropPolicy::Oldest`].
    pub policy: DropPolicy,
}

impl Default for Config {
    fn default() -> Self {
        Self { messages: 128, bytes: 256 << 10, policy: DropPolicy::Oldest }
    }
}

/// Which message goes when not all of them fit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum DropPolicy {
    /// The oldest ones, as many as it takes: for states, of which the last counts.
    #[default]
    Oldest,
    /// The new one: for events, of which the first tells of the trouble.
    Newest,
}

/// What became of a message that was pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pushed<T> {
    /// It waits.
    Kept,
    /// It waits, and older ones were dropped for it.
    Displaced {
        /// How many.
        messages: u64,
    },
    /// It was dropped and counted; here it is.
    Dropped(T),
}

impl<T> Queue<T> {
    /// An empty queue.
    #[must_use]
    pub const fn new(config: Config) -> Self {
        Self { config, items: VecDeque::new(), bytes: 0, dropped: 0 }
    }

    /// Queues a message of `bytes`, or drops what the [policy](DropPolicy) says.
    pub fn push(&mut self, item: T, bytes: usize) -> Pushed<T> {
        let never = bytes > self.config.bytes || self.config.messages == 0;
        if never || (self.config.policy == DropPolicy::Newest && !self.fits(bytes)) {
            self.dropped += 1;
            return Pushed::Dropped(item);
        }
        let before = self.dropped;
        while !self.fits(bytes) {
            self.pop();
            self.dropped += 1;
        }
        self.items.push_back((item, bytes));
        self.bytes += bytes;
        match self.dropped - before {
            0 => Pushed::Kept,
            messages => Pushed::Displaced { messages },
        }
    }

    /// The oldest message; `None` until one is pushed. It is gone then, whatever becomes of it.
    pub fn pop(&mut self) -> Option<T> {
        let (item, bytes) = self.items.pop_front()?;
        self.bytes -= bytes;
        Some(item)
    }

    /// Drops everything, and counts it: the pipe is gone, and none of this may reach the next one.
    pub fn clear(&mut self) {
        self.dropped += self.items.len() as u64;
        self.items.clear();
        self.bytes = 0;
    }

    /// How many messages wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// How many bytes wait.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many messages were dropped since the beginning.
    #[must_use]
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }

    fn fits(&self, bytes: usize) -> bool {
        self.items.len() < self.config.messages && self.config.bytes - self.bytes >= bytes
    }
}

#[cfg(test)]
mod tests;
