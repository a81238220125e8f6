//! What is asked of a log, and what it answers: the words in which a broker and a committed log speak.
//!
//! Neither knows the other; a driver carries these values between them. The channel's name and the payload are type
//! parameters, as in [`entry`](crate::entry).
//!
//! ```
//! use tenfour_delivery::{
//!     log::{Page, Query},
//!     number::{Epoch, Offset},
//!     resume::History,
//! };
//!
//! // The first page of a channel, and the next one after the last entry that it held.
//! let mut query: Query<&str> = Query { messages: 100, ..Query::of("news", Offset::START) };
//! let history = History { epoch: Epoch::new(1), trimmed: Offset::START, head: Offset::START };
//! let page: Page<&str, ()> = Page { entries: Vec::new(), more: false, lost: None, history };
//! query.after = page.entries.last().map_or(query.after, |entry| entry.offset);
//! assert_eq!(query.after, Offset::START);
//! ```

use alloc::{string::String, vec::Vec};

use crate::{entry::Entry, loss::Lost, number::Offset, resume::History};

/// The number of an append or a read, by which its answer is known. Whoever asks chooses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// What to read: the entries of some channels, or of the whole log, after an offset and in its order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Query<C> {
    /// The channels. An entry that goes to any of them is asked for, once; with none named, every entry is.
    pub channels: Vec<C>,
    /// Entries up to here are not asked for; [`Offset::START`] to begin with the oldest one that is held.
    pub after: Offset,
    /// The last offset that is asked for; `None` for all that is committed.
    pub through: Option<Offset>,
    /// How many entries to answer at most. With 0, what is wanted is the [`Page::history`] alone.
    pub messages: usize,
    /// Bytes of the entries' payloads to answer at most. One entry is always answered, however large it is.
    pub bytes: usize,
}

impl<C> Query<C> {
    /// A channel's entries after an offset, up to 256 of them and 1 MiB.
    #[must_use]
    pub fn of(channel: C, after: Offset) -> Self {
        Self::of_any(Vec::from([channel]), after)
    }

    /// The entries of any of these channels after an offset, up to 256 of them and 1 MiB. With no channel named it is
    /// [`Query::all`].
    #[must_use]
    pub const fn of_any(channels: Vec<C>, after: Offset) -> Self {
        Self { channels, after, through: None, messages: 256, bytes: 1024 * 1024 }
    }

    /// Every entry after an offset, up to 256 of them and 1 MiB.
    #[must_use]
    pub const fn all(after: Offset) -> Self {
        Self::of_any(Vec::new(), after)
    }
}

/// What a log holds after an offset, as far as a [`Query`] asks for it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Page<C, P> {
    /// The entries, in the log's order.
    pub entries: Vec<Entry<C, P>>,
    /// Whether entries that are asked for were left for a further page, after the last one of this.
    pub more: bool,
    /// What is gone after [`Query::after`]; `None` where nothing can be missing. Of several channels the range ends
    /// at the highest offset that any of them lost, so that entries of the others may stand within it; they are not
    /// among those that are counted.
    pub lost: Option<Lost>,
    /// The state of the channel, or of the whole log, when it was read. Of several channels, the highest offset that
    /// any of them lost, and the highest of their heads.
    pub history: History,
}

/// Why records were not appended. None of an append's records is in the log, or it is not known.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// The log refused the records, and holds none of them; a later append may succeed.
    #[error("the log took none of the records ({reason}); publish them again")]
    Refused {
        /// What the log says.
        reason: String,
    },
    /// The log failed, and nobody knows what it holds until it has been opened again. Further appends fail, too.
    #[error("the log failed ({reason}); reopen it, and ask it which records it holds")]
    Failed {
        /// What the log says.
        reason: String,
    },
}

/// Why a log could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The medium failed, or what it holds is damaged.
    #[error("the log cannot be read ({reason}); try again, or reopen it")]
    Failed {
        /// What the log says.
        reason: String,
    },
}
