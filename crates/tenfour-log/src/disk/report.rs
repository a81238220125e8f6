//! What opening a log found, and why it could not be opened.

use std::{fmt, io};

use tenfour_delivery::number::{Epoch, Offset};

/// What was found when a log was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recovery {
    /// Entries that it holds.
    pub entries: usize,
    /// Segments that they are in.
    pub segments: usize,
    /// The last entry.
    pub head: Offset,
    /// The log's epoch, and the one it had before if committed entries were lost.
    pub epoch: Epoch,
    /// The epoch that ended because committed entries were cut off.
    pub ended: Option<Epoch>,
    /// What was cut off.
    pub cut: Option<Cut>,
}

/// What was cut off the end of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cut {
    /// The file, and the place in it.
    pub segment: String,
    /// From this byte on.
    pub at: u64,
    /// So many bytes, of this file and of those behind it.
    pub bytes: u64,
    /// Why.
    pub reason: CutReason,
}

impl Cut {
    /// A segment of which nothing can be read.
    pub(super) const fn damaged(segment: String) -> Self {
        Self { segment, at: 0, bytes: 0, reason: CutReason::Damaged }
    }
}

/// Why something was cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CutReason {
    /// It was being written when the log ended. Nothing says that it was acknowledged, and with a disk that keeps what it
    /// was told to sync, it was not.
    Torn,
    /// Committed entries, which had been acknowledged: they or what was before them are damaged. The epoch ended with them.
    Damaged,
}

/// One line for a log file: what was found and what was cut.
impl fmt::Display for Recovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { entries, segments, head, epoch, ended, cut } = self;
        write!(f, "{entries} entries in {segments} segments, the last at {head} of epoch {epoch}")?;
        if let Some(Cut { segment, at, bytes, reason }) = cut {
            let why = match reason {
                CutReason::Torn => "which were being written when it ended",
                CutReason::Damaged => "which were damaged, committed entries among them",
            };
            write!(f, "; cut {bytes} bytes at {at} of {segment}, {why}")?;
        }
        match ended {
            Some(ended) => write!(f, "; epoch {ended} has ended"),
            None => Ok(()),
        }
    }
}

/// Why a log was not opened. Its files are as they were.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process has it open.
    #[error("another process has this log open; stop that one, or give each its own directory")]
    Locked,
    /// A later version of this program wrote it.
    #[error(
        "{segment} has format version {found}, and this program knows {known}; open it with the version \
         that wrote it, or a later one"
    )]
    NewerFormat {
        /// The file.
        segment: String,
        /// Its version.
        found: u16,
        /// The latest that is known here.
        known: u16,
    },
    /// Committed entries cannot be read, and others that can stand behind them.
    #[error(
        "{segment} is damaged at byte {at} ({what}); bring the file back from a copy, or open the log with \
         OnDamage::Cut, which gives up everything from there on"
    )]
    Damaged {
        /// The file.
        segment: String,
        /// Where.
        at: u64,
        /// What is wrong.
        what: String,
    },
    /// A file is not there though nothing says that it was removed.
    #[error("{segment} is missing; bring it back from a copy, with all others of the log")]
    Missing {
        /// The file.
        segment: String,
    },
    /// The system refuses.
    #[error("cannot {what}: {error}")]
    Io {
        /// What was tried.
        what: String,
        /// What the system says.
        #[source]
        error: io::Error,
    },
}

/// Says what was tried.
pub(super) trait Trying<T> {
    fn trying(self, what: impl FnOnce() -> String) -> Result<T, OpenError>;
}

impl<T> Trying<T> for io::Result<T> {
    fn trying(self, what: impl FnOnce() -> String) -> Result<T, OpenError> {
        self.map_err(|error| OpenError::Io { what: what(), error })
    }
}
