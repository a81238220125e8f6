#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

use std::task::Waker;

use bytes::Bytes;
use bytestring::ByteString;

pub use disk::Disk;
pub use memory::Memory;
pub use retention::{Bound, Retention};
pub use tenfour_delivery::{
    log::{AppendError, ReadError, Ticket},
    number::{Epoch, Offset},
    resume::History,
    time::WallTime,
};

mod channel;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod disk;
mod memory;
mod retention;
mod shelf;
pub mod vfs;

/// Names of channels that begin with this are for whoever drives the log, not for those who publish.
pub const RESERVED: char = '\0';

/// Whether a channel is *pinned*: no retention trims it, only [`Log::release`] does.
///
/// Those are the reserved names, in which a driver keeps its own state. Reserved names that begin with `"\0*"`
/// are for messages that go to more than one channel could name, and are trimmed as other channels are.
///
/// ```
/// use tenfour_log::is_pinned;
///
/// assert!(is_pinned("\0sessions"));
/// assert!(!is_pinned("\0*") && !is_pinned("news"));
/// ```
#[must_use]
pub fn is_pinned(channel: &str) -> bool {
    channel.strip_prefix(RESERVED).is_some_and(|name| !name.starts_with('*'))
}

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

    /// Says that the entries of a channel up to and with an offset are needed no more. For a [pinned](is_pinned) channel,
    /// whose entries nothing else trims, this is the only way out; another one may lose them, too.
    fn release(&mut self, channel: &str, through: Offset);

    /// Whether room is held by [pinned](is_pinned) channels alone that the retention would free: whoever keeps its state in
    /// them should write down what of it still holds, and [release](Log::release) what came before. May change with every
    /// commit and every release.
    fn wants_checkpoint(&self) -> bool {
        false
    }
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

    fn release(&mut self, channel: &str, through: Offset) {
        (**self).release(channel, through);
    }

    fn wants_checkpoint(&self) -> bool {
        (**self).wants_checkpoint()
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

/// A channel that stands twice in a record would be its own predecessor.
fn check_names(records: &[Record]) -> Result<(), AppendError> {
    let repeated = records.iter().find_map(|record| {
        let names = record.channels.iter().enumerate();
        names.into_iter().find(|(place, name)| record.channels[..*place].contains(name))
    });
    match repeated {
        None => Ok(()),
        Some((_, name)) => {
            Err(AppendError::Refused { reason: format!("a record names the channel {name:?} twice") })
        }
    }
}
