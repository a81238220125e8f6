//! What can be chosen.

use std::io;

use tenfour_delivery::number::Epoch;

use crate::{
    Retention,
    vfs::{File, Vfs},
};

/// How a log on a disk is kept.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The epoch of the life that begins if there is no log yet, or if committed entries had to be cut off. No earlier log of
    /// this name may have had it: draw it at random.
    pub epoch: Epoch,
    /// How much is kept.
    pub retention: Retention,
    /// How long a segment becomes: 64 MiB by default, 1 GiB at most. The first ones are shorter, 256 KiB and twice the one
    /// before. An append that is longer has one of its own.
    pub segment_bytes: u64,
    /// Bytes of the last entries that are kept in memory for reading, as [`Retention`] counts them: 4 MiB by default.
    pub tail_bytes: usize,
    /// Bytes that may wait to be committed, 64 MiB by default. What would be more is refused, unless nothing waits.
    pub queue_bytes: usize,
    /// Who commits.
    pub commit: Commit,
    /// What becomes of a log that the disk has damaged.
    pub on_damage: OnDamage,
    /// Whether it syncs.
    #[doc(hidden)]
    pub sync: Sync,
}

impl Config {
    /// The defaults.
    #[must_use]
    pub fn new(epoch: Epoch) -> Self {
        Self {
            epoch,
            retention: Retention::default(),
            segment_bytes: 64 * 1024 * 1024,
            tail_bytes: 4 * 1024 * 1024,
            queue_bytes: 64 * 1024 * 1024,
            commit: Commit::Thread,
            on_damage: OnDamage::Refuse,
            sync: Sync::Always,
        }
    }
}

/// Who commits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Commit {
    /// A thread of the log's own, and another one that makes and removes files. Dropping the log waits until both have done
    /// what was handed over.
    Thread,
    /// Whoever calls [`Disk::commit_now`](super::Disk::commit_now). Then every operation on the files is done within a call, in an order that depends
    /// on nothing else: for simulations. What was not committed when the log is dropped is lost.
    Manual,
}

/// What becomes of a log in which something is damaged that others can be read behind.
///
/// The end of the last segment is cut off in either case, and told by [`Recovery::cut`](super::Recovery::cut).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OnDamage {
    /// It is not opened: [`OpenError::Damaged`](super::OpenError::Damaged). The files can be brought back from a copy.
    Refuse,
    /// Everything from the damage on is given up, in a new epoch; so is what a missing beginning held. The files stay until
    /// the retention has passed them.
    Cut,
}

/// Whether a log syncs.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sync {
    Always,
    /// It loses what it has acknowledged when the power fails: to see that a test notices.
    Never,
}

impl Sync {
    pub(super) fn data(self, file: &dyn File) -> io::Result<()> {
        match self {
            Self::Always => file.sync_data(),
            Self::Never => Ok(()),
        }
    }

    pub(super) fn dir(self, vfs: &dyn Vfs) -> io::Result<()> {
        match self {
            Self::Always => vfs.sync_dir(),
            Self::Never => Ok(()),
        }
    }
}
