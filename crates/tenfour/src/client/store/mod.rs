//! What a client keeps where it survives the client: publications that are not committed yet, and how far each channel was
//! processed.

mod cursors;
mod outbox;
mod record_file;

pub use cursors::{CursorStore, FileCursors, MemoryCursors};
pub use outbox::{FileOutbox, MemoryOutbox, Outbox, OutboxFull, Pending};

use std::{fmt, io, path::PathBuf};
use thiserror::Error;

/// Work that makes durable what a store was told. It may block, so the client runs it on a thread for such work, one at a time
/// for each store.
pub struct Flush(Box<dyn FnOnce() -> io::Result<()> + Send>);

impl Flush {
    /// Work to be done off the runtime's threads.
    #[must_use]
    pub fn new(work: impl FnOnce() -> io::Result<()> + Send + 'static) -> Self {
        Self(Box::new(work))
    }

    /// Does it, on this thread.
    ///
    /// # Errors
    /// Those of the disk, or of whatever the store is. What was to be made durable may then be lost with the process, and the
    /// store is not used any more.
    pub fn run(self) -> io::Result<()> {
        (self.0)()
    }
}

impl fmt::Debug for Flush {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Flush")
    }
}

/// Why a file cannot be used as a store.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Another process has it open, or another client of this one.
    #[error("{path:?} is in use by another client; give each client a file of its own")]
    InUse {
        /// The store's file.
        path: PathBuf,
    },
    /// The file is something else.
    #[error("{path:?} is not {expected}; choose another path, or remove the file if nobody needs it")]
    Foreign {
        /// The store's file.
        path: PathBuf,
        /// What it should have been.
        expected: &'static str,
    },
    /// The operating system refused.
    #[error("cannot {doing} {path:?}: {source}")]
    Io {
        /// The store's file.
        path: PathBuf,
        /// What was tried.
        doing: &'static str,
        /// Its reason.
        source: io::Error,
    },
}
