//! Where a subscriber is in a channel: what it received, and what its application has processed.
//!
//! The two mean different things. What was *received* need not be sent again while the process lives; what was
//! *processed* need not be sent again ever, so that is the position to store, in one transaction with the effect where
//! there is one. Neither goes back, except that a new epoch begins anew.
//!
//! Each entry is checked against the base, which is what was received last, so that neither a hole nor a repetition
//! can pass in silence, be it at the seam between replay and live or anywhere else.
//!
//! ```
//! use tenfour_delivery::{
//!     cursor::{Broken, Cursor},
//!     loss::{OffsetRange, Skip},
//!     number::{Epoch, Offset},
//!     resume::Position,
//! };
//!
//! let at = Offset::new;
//! let mut cursor = Cursor::new(Position { epoch: Epoch::new(1), offset: Offset::START });
//! cursor.follow(Offset::START, at(4))?;                      // an entry at 4, the first of the channel
//! cursor.skip(Skip { range: OffsetRange { after: at(4), through: at(9) } })?;
//! cursor.follow(at(9), at(12))?;
//! // An entry that names 15 as the one before it: whatever is between 12 and 15 has not come.
//! assert_eq!(cursor.follow(at(15), at(16)), Err(Broken { expected: at(12), found: at(15), offset: at(16) }));
//!
//! cursor.processed(at(12)).expect("received");
//! assert_eq!(cursor.position(), Position { epoch: Epoch::new(1), offset: at(12) });
//! # Ok::<(), Broken>(())
//! ```

use crate::{
    loss::{Lost, OffsetRange, Reason, Skip},
    mutant,
    number::{Epoch, Offset},
    resume::Position,
};

/// A subscriber's place in one channel. `processed <= received`, and both only grow within an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cursor {
    epoch: Epoch,
    received: Offset,
    processed: Offset,
}

impl Cursor {
    /// A subscriber that has processed everything through `position`.
    #[must_use]
    pub const fn new(position: Position) -> Self {
        Self { epoch: position.epoch, received: position.offset, processed: position.offset }
    }

    /// What to store, and to resume from in a new process.
    #[must_use]
    pub const fn position(&self) -> Position {
        Position { epoch: self.epoch, offset: self.processed }
    }

    /// Where to go on while this process lives: the base that the next entry is checked against.
    #[must_use]
    pub const fn received(&self) -> Position {
        Position { epoch: self.epoch, offset: self.received }
    }

    /// Takes an entry at `offset` that names `previous` as the one before it.
    ///
    /// # Errors
    /// [`Broken`] if that is not the base; nothing changes then. See [`Broken::is_repetition`].
    pub fn follow(&mut self, previous: Offset, offset: Offset) -> Result<(), Broken> {
        if previous != self.received || offset <= self.received {
            return Err(Broken { expected: self.received, found: previous, offset });
        }
        self.received = offset;
        Ok(())
    }

    /// Takes a loss of this epoch: the next entry follows its end. A loss is told to the application like a message, so
    /// it is processed when the application says so, with the end of its range. One with [`Reason::EpochReset`] is of an
    /// epoch that ended and changes nothing; [`reset`](Self::reset) follows it.
    ///
    /// # Errors
    /// [`Broken`] if the range begins beyond the base; nothing changes then.
    pub fn lost(&mut self, lost: &Lost) -> Result<(), Broken> {
        if lost.reason == Reason::EpochReset { Ok(()) } else { self.pass(lost.range) }
    }

    /// Takes a range in which nothing was owed: the next entry follows its end. Where all that was received before is
    /// processed, so is the range.
    ///
    /// # Errors
    /// [`Broken`] if the range begins beyond the base; nothing changes then.
    pub fn skip(&mut self, skip: Skip) -> Result<(), Broken> {
        let settled = self.processed == self.received;
        self.pass(skip.range)?;
        if settled {
            self.processed = self.received;
        }
        Ok(())
    }

    /// A range that begins before the base counts for what lies beyond it.
    fn pass(&mut self, range: OffsetRange) -> Result<(), Broken> {
        if range.after > self.received {
            return Err(Broken { expected: self.received, found: range.after, offset: range.through });
        }
        self.received = self.received.max(range.through);
        Ok(())
    }

    /// The application has processed everything through `offset`. An offset that it has been at before changes nothing.
    ///
    /// # Errors
    /// [`NotReceived`] if `offset` is beyond what was received; nothing changes then.
    pub fn processed(&mut self, offset: Offset) -> Result<(), NotReceived> {
        if offset > self.received {
            return Err(NotReceived { processed: offset, received: self.received });
        }
        self.processed = if mutant!(CursorRegresses) { offset } else { self.processed.max(offset) };
        Ok(())
    }

    /// The log began anew: go on after `after` in `epoch`. This is the only way back.
    pub fn reset(&mut self, position: Position) {
        *self = Self::new(position);
    }
}

/// An entry does not follow what was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("the entry at {offset} follows {found} where {expected} was the last: {}", self.advice())]
pub struct Broken {
    /// The base: what was received last.
    pub expected: Offset,
    /// What the entry names as the one before it.
    pub found: Offset,
    /// The entry's own offset.
    pub offset: Offset,
}

impl Broken {
    /// Whether the entry was received before, so that it may be dropped; else something is missing before it, and the
    /// subscriber resumes from its position.
    #[must_use]
    pub fn is_repetition(&self) -> bool {
        self.offset <= self.expected
    }

    fn advice(&self) -> &'static str {
        if self.is_repetition() { "drop it, it was received before" } else { "resume from the last position" }
    }
}

/// What was never received cannot have been processed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("{processed} is said to be processed and {received} is the last that was received: refuse it")]
pub struct NotReceived {
    /// What is said to be processed.
    pub processed: Offset,
    /// The last that was received.
    pub received: Offset,
}

#[cfg(test)]
mod tests;
