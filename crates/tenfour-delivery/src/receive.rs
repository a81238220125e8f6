//! The receiving half of at-least-once: each message once, in order, from a pipe that repeats and reorders.
//!
//! On a pipe that keeps order everything comes [in order](Accepted::InOrder). On one that does not, what comes early is
//! held, up to the credit that was granted, and told in the acknowledgement as a range.
//!
//! ```
//! use tenfour_delivery::{
//!     number::Sequence,
//!     receive::{Accepted, Config, Receiver},
//! };
//!
//! let mut receiver = Receiver::new(Config::default());
//! assert_eq!(receiver.accept(Sequence::new(1), "world", 5), Ok(Accepted::Held));
//! assert_eq!(receiver.ack().gaps().collect::<Vec<_>>(), [(1, 1)], "0 is missing, 1 is here");
//!
//! assert_eq!(receiver.accept(Sequence::new(0), "hello", 5), Ok(Accepted::InOrder));
//! assert_eq!(receiver.accept(Sequence::new(0), "hello", 5), Ok(Accepted::Duplicate));
//!
//! let mut text = Vec::new();
//! while let Some((_, word)) = receiver.pop() {
//!     text.push(word);
//!     receiver.consumed(word.len()); // the application is done with it, so the peer may send more
//! }
//! assert_eq!(text, ["hello", "world"]);
//! assert_eq!(receiver.ack().next(), Sequence::new(2));
//! assert_eq!(receiver.credit().messages, 256 + 2);
//! ```

use alloc::collections::VecDeque;

use crate::{ack::Ack, mutant, number::Sequence, window::Credit};

/// At-least-once receiving of `T`s: puts them in order, recognises what came before, says what to acknowledge and to grant.
///
/// After it has grown to its bounds it allocates nothing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Receiver<T> {
    config: Config,
    /// From the first that was not popped on; it ends with one that is here.
    items: VecDeque<Option<T>>,
    /// The number of the first item.
    popped: Sequence,
    /// The first number that has not been received.
    next: Sequence,
    /// How many items have come ahead of `next`.
    early: usize,
    /// Bytes of all that was received.
    received: u64,
    /// What the application is done with.
    consumed: Credit,
}

/// How much a receiver takes beyond what its application is done with: what it grants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Config {
    /// Messages. Default: 256.
    pub messages: usize,
    /// Bytes, in the sender's count. Default: 1 MiB. A larger message is never taken.
    pub bytes: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { messages: 256, bytes: 1 << 20 }
    }
}

/// What a message was that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Accepted {
    /// The next one: it, and what was held behind it, can be popped.
    InOrder,
    /// It came early and waits for what is missing before it: acknowledge at once, so that the sender learns of the gap.
    Held,
    /// It had come before and was dropped: acknowledge at once, the sender has not heard.
    Duplicate,
}

/// A message was refused, as the sender has no credit for it: a peer that does this on purpose broke the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// Its number is beyond the messages that were granted.
    #[error("{sequence} is not below {granted}, what was granted: close, the peer broke the protocol")]
    Messages {
        /// The message's number.
        sequence: Sequence,
        /// The first number without credit.
        granted: Sequence,
    },
    /// With it more bytes have come than were granted.
    #[error("{received} bytes have come and {granted} were granted: close, the peer broke the protocol")]
    Bytes {
        /// All bytes of the session with this message's.
        received: u64,
        /// How many were granted.
        granted: u64,
    },
}

impl<T> Receiver<T> {
    /// Nothing received yet.
    #[must_use]
    pub const fn new(config: Config) -> Self {
        Self {
            config,
            items: VecDeque::new(),
            popped: Sequence::FIRST,
            next: Sequence::FIRST,
            early: 0,
            received: 0,
            consumed: Credit { messages: 0, bytes: 0 },
        }
    }

    /// Takes a message that counts for `bytes`, as its sender counted it.
    ///
    /// # Errors
    /// [`Refused`] if there was no credit for it; nothing changes then.
    pub fn accept(&mut self, sequence: Sequence, item: T, bytes: usize) -> Result<Accepted, Refused> {
        if sequence < self.next {
            return Ok(Accepted::Duplicate);
        }
        let credit = self.credit();
        if sequence.get() >= credit.messages {
            return Err(Refused::Messages { sequence, granted: Sequence::new(credit.messages) });
        }
        // Granted, so it is within the window's size of what was popped.
        let place = usize::try_from(sequence.since(self.popped)).unwrap_or(usize::MAX);
        if self.items.get(place).is_some_and(Option::is_some) {
            return Ok(Accepted::Duplicate);
        }
        let received = self.received.saturating_add(bytes as u64);
        if received > credit.bytes {
            return Err(Refused::Bytes { received, granted: credit.bytes });
        }
        self.received = received;
        if self.items.len() <= place {
            self.items.resize_with(place + 1, || None);
        }
        self.items[place] = Some(item);
        Ok(self.advance(sequence))
    }

    /// The next message in order, with its number; `None` until it has arrived.
    pub fn pop(&mut self) -> Option<(Sequence, T)> {
        if self.popped == self.next {
            return if mutant!(OutOfOrderDelivered) { self.pop_early() } else { None };
        }
        let item = self.items.pop_front().flatten()?;
        let sequence = self.popped;
        self.popped = sequence.next();
        Some((sequence, item))
    }

    /// The application is done with a message that counted for `bytes`: the peer may send another. It is never done with
    /// more than it popped.
    pub fn consumed(&mut self, bytes: usize) {
        let consumed = self.consumed.plus(bytes);
        self.consumed = Credit {
            messages: consumed.messages.min(self.popped.get()),
            bytes: consumed.bytes.min(self.received),
        };
    }

    /// Gives memory back that nothing needs. For a session that has fallen silent: the next messages ask for it again.
    pub fn shrink(&mut self) {
        self.items.shrink_to_fit();
    }

    /// What to acknowledge. Of more than 32 ranges the lowest are told; the others are when those have closed.
    #[must_use]
    pub fn ack(&self) -> Ack {
        let mut ack = Ack::new(self.next);
        let mut left = self.early;
        let mut place = usize::try_from(self.next.since(self.popped)).unwrap_or(usize::MAX);
        while left > 0 {
            let here = |place: usize| self.items.get(place).is_some_and(Option::is_some);
            place += 1;
            if !here(place) {
                continue;
            }
            let first = place;
            while here(place + 1) {
                place += 1;
            }
            left = left.saturating_sub(place - first + 1);
            let number = |place: usize| self.popped.advance(place as u64);
            if ack.push(number(first), number(place)).is_err() {
                break;
            }
        }
        ack
    }

    /// What to grant: what the application is done with, and the window's size.
    #[must_use]
    pub const fn credit(&self) -> Credit {
        Credit {
            messages: self.consumed.messages.saturating_add(self.config.messages as u64),
            bytes: self.consumed.bytes.saturating_add(self.config.bytes as u64),
        }
    }

    /// The first number that has not been received: what to resume from.
    #[must_use]
    pub const fn next(&self) -> Sequence {
        self.next
    }

    /// How many messages have arrived and were not popped, those included that wait for others.
    #[must_use]
    pub fn len(&self) -> usize {
        self.early + usize::try_from(self.next.since(self.popped)).unwrap_or(usize::MAX)
    }

    /// Whether nothing has arrived that was not popped.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Whether something waits for a message that is missing before it.
    #[must_use]
    pub const fn has_gap(&self) -> bool {
        self.early > 0
    }

    /// What a receiver without an order would hand out.
    fn pop_early(&mut self) -> Option<(Sequence, T)> {
        let place = self.items.iter().position(Option::is_some)?;
        let item = self.items[place].take()?;
        self.early -= 1;
        Some((self.popped.advance(place as u64), item))
    }

    /// What the arrival of `sequence`, which is in its place, has made of the order.
    fn advance(&mut self, sequence: Sequence) -> Accepted {
        if sequence != self.next {
            self.early += 1;
            return Accepted::Held;
        }
        self.next = sequence.next();
        while self.early > 0 {
            let place = usize::try_from(self.next.since(self.popped)).unwrap_or(usize::MAX);
            if !self.items.get(place).is_some_and(Option::is_some) {
                break;
            }
            self.next = self.next.next();
            self.early -= 1;
        }
        Accepted::InOrder
    }
}

#[cfg(test)]
mod tests;
