//! What a log keeps of a message: the [`Record`] that was appended, and the [`Entry`] that the commit made of it.
//!
//! Offsets increase and may have holes, so a gap is seen by a chain and never by arithmetic: an entry names, for each
//! channel it went to, that channel's entry before it.
//!
//! ```
//! use tenfour_delivery::{
//!     entry::{Entry, Record},
//!     number::Offset,
//!     time::WallTime,
//! };
//!
//! let record = Record {
//!     channels: vec!["lobby", "audit"],
//!     producer: None,
//!     ingested: WallTime::from_unix_millis(1_000),
//!     expires: Some(WallTime::from_unix_millis(6_000)),
//!     payload: "hello",
//! };
//! let entry = Entry { offset: Offset::new(12), previous: vec![Offset::new(9), Offset::START], record };
//! assert_eq!(entry.previous_in(&"lobby"), Some(Offset::new(9)));
//! assert_eq!(entry.previous_in(&"audit"), Some(Offset::START), "the channel's first entry");
//! assert_eq!(entry.previous_in(&"elsewhere"), None);
//! assert!(entry.record.is_expired(WallTime::from_unix_millis(6_000)));
//! ```

use alloc::vec::Vec;
use core::borrow::Borrow;

use crate::{
    number::{Offset, ProducerEpoch, ProducerId, ProducerSequence},
    time::WallTime,
};

/// A message as it is given to a log: channels are named by `C`, the payload is a `P`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Record<C, P> {
    /// Where it goes, each channel once.
    pub channels: Vec<C>,
    /// Whose message it is, if that is to be deduplicated.
    pub producer: Option<Producer>,
    /// When the server took it.
    pub ingested: WallTime,
    /// From when on it must not be delivered; never if `None`.
    pub expires: Option<WallTime>,
    /// What it says.
    pub payload: P,
}

impl<C, P> Record<C, P> {
    /// Whether its time to live has ended.
    #[must_use]
    pub fn is_expired(&self, now: WallTime) -> bool {
        self.expires.is_some_and(|expires| now >= expires)
    }
}

/// A record that a log committed. It never changes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Entry<C, P> {
    /// Its place in the log.
    pub offset: Offset,
    /// For each of the record's channels, in their order, the entry before it there; [`Offset::START`] before the first.
    pub previous: Vec<Offset>,
    /// What was appended.
    pub record: Record<C, P>,
}

impl<C, P> Entry<C, P> {
    /// The entry before it in `channel`, `None` if it did not go there.
    #[must_use]
    pub fn previous_in<Q>(&self, channel: &Q) -> Option<Offset>
    where
        C: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let place = self.record.channels.iter().position(|own| own.borrow() == channel)?;
        self.previous.get(place).copied()
    }
}

/// A message's number among those of its producer, by which a repetition is recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Producer {
    /// Who.
    pub id: ProducerId,
    /// In which of its lives.
    pub epoch: ProducerEpoch,
    /// Which message of that life.
    pub sequence: ProducerSequence,
}
