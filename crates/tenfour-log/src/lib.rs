#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

use std::task::Waker;

use bytes::Bytes;
use bytestring::ByteString;

pub use memory::Memory;
pub use retention::{Bound, Retention};
pub use tenfour_delivery::{
    log::{AppendError, ReadError, Ticket},
    number::{Epoch, Offset},
    resume::History,
    time::WallTime,
};

#[cfg(feature = "conformance")]
pub mod conformance;
mod memory;
mod retention;

/// What is appended: channels are named by texts, the payload is bytes that the log does not read.
pub type Record = tenfour_delivery::entry::Record<ByteString, Bytes>;

/// What the commit makes of a record.
pub type Entry = tenfour_delivery::entry::Entry<ByteString, Bytes>;

/// What to read.
pub type Query = tenfour_delivery::log::Query<ByteString>;

/// What was read.
pub type Page = tenfour_delivery::log::Page<ByteString, Bytes>;

/// The committed log of one namespace: the entries of all its channels, in one order.
///
/// Whoever holds it is its only writer. Nothing here waits: [`Log::append`] hands records over, and
/// [`Log::poll`] says when they are committed, which is also when they can first be read. So an implementation that
/// syncs a disk on another thread looks the same as [`Memory`].
///
/// What an implementation promises, and `conformance` tests:
/// - offsets increase; one is never given twice in an epoch, nor to other content;
/// - an entry names, for each of its channels, the entry before it there, so that the chain from entry to entry has
///   every entry of the channel;
/// - appends are answered in their order, each as a whole: all its records or none;
/// - only what was answered is read, and it stays as it is until it is trimmed;
/// - what is trimmed from a channel is a beginning of it, and the channel's [`History`] says up to where.
pub trait Log: Send {
    /// The log's life. A new one begins only where committed entries may have been lost or replaced.
    fn epoch(&self) -> Epoch;

    /// The offset of the last entry, [`Offset::START`] before the first.
    fn head(&self) -> Offset;

    /// Hands records over to be committed together, in their order. The answer comes from [`Log::poll`], under this
    /// ticket, and may be a refusal.
    fn append(&mut self, ticket: Ticket, records: Vec<Record>);

    /// The next answer to an append, in the order of the appends; `None` while there is none. May have something new
    /// after [`Log::append`], and later for a log that commits elsewhere.
    fn poll(&mut self) -> Option<Completion>;

    /// Whom to wake, from any thread, when [`Log::poll`] has something new without having been called for it. A log that
    /// answers within [`Log::append`] wakes nobody, and need not implement this.
    fn wake_when_answered(&mut self, waker: Waker) {
        drop(waker);
    }

    /// Reads entries.
    ///
    /// # Errors
    /// If the medium fails. To ask for what is not there is none: the page says what was lost.
    fn read(&self, query: &Query) -> Result<Page, ReadError>;

    /// What is held of a channel. One that was never written to has no entries and its head at or before every entry
    /// that it will have.
    fn history(&self, channel: &str) -> History;

    /// Drops what is older than the retention allows. Bounds in number and bytes are kept without it.
    fn trim(&mut self, now: WallTime);
}

/// A log whose kind is chosen at run time.
impl<L: Log + ?Sized> Log for Box<L> {
    fn epoch(&self) -> Epoch {
        (**self).epoch()
    }

    fn head(&self) -> Offset {
        (**self).head()
    }

    fn append(&mut self, ticket: Ticket, records: Vec<Record>) {
        (**self).append(ticket, records);
    }

    fn poll(&mut self) -> Option<Completion> {
        (**self).poll()
    }

    fn wake_when_answered(&mut self, waker: Waker) {
        (**self).wake_when_answered(waker);
    }

    fn read(&self, query: &Query) -> Result<Page, ReadError> {
        (**self).read(query)
    }

    fn history(&self, channel: &str) -> History {
        (**self).history(channel)
    }

    fn trim(&mut self, now: WallTime) {
        (**self).trim(now);
    }
}

/// What came of an append.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completion {
    /// The append.
    pub ticket: Ticket,
    /// Its entries, one for each record in their order, or why there are none.
    pub result: Result<Vec<Entry>, AppendError>,
}
