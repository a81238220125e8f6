//! A disk that fails when it is told to: what is written to it survives a power failure only as far as it was synced.
//!
//! A [`FaultyDisk`] is one directory of files in memory, of which it holds two images: the one that a running process
//! sees, and the one that a power failure leaves. Contents go from the first to the second by
//! [`File::sync_data`](tenfour_log::vfs::File::sync_data), names by [`Vfs::sync_dir`], and nothing else moves them. All
//! chance comes from the seed, so the same calls have the same outcome.
//!
//! ```
//! use tenfour_log::vfs::Open;
//! use tenfour_testkit::disk::{FaultyDisk, Unsynced};
//!
//! let disk = FaultyDisk::new(1);
//! let vfs = disk.vfs();
//! let file = vfs.open("segment", Open::Create)?;
//! file.write_at(b"kept", 0)?;
//! file.sync_data()?;
//! vfs.sync_dir()?;
//! file.write_at(b"lost", 4)?;
//!
//! disk.cut_power(Unsynced::Lost);
//! assert!(file.write_at(b"late", 8).is_err(), "its process has ended");
//! assert_eq!(disk.contents("segment").as_deref(), Some(&b"kept"[..]));
//!
//! // A process that meets the failure in the middle of its work: its third call is the last one, and half done.
//! disk.cut_power_in(3);
//! let vfs = disk.vfs();
//! let file = vfs.open("segment", Open::Existing)?;
//! assert_eq!(file.len()?, 4);
//! assert!(file.write_at(b"perhaps", 4).is_err() && !disk.is_powered());
//! disk.cut_power(Unsynced::Torn);
//! # Ok::<(), std::io::Error>(())
//! ```

mod image;
mod machine;
#[cfg(test)]
mod tests;
mod vfs;

use std::{
    fmt,
    hash::{Hash, Hasher},
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tenfour_log::vfs::Vfs;

use self::{image::Image, machine::Machine, vfs::Directory};
use crate::rng::Rng;

/// What a disk writes whole or not at all.
pub const SECTOR: usize = 512;

/// A directory in memory whose failures are ordered. What it shares with the processes that use it, [`FaultyDisk::vfs`],
/// is one disk; a clone is another one of the same contents and the same future, which no process has open.
pub struct FaultyDisk(Arc<Mutex<Machine>>);

/// What becomes of that which was not synced when the power fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unsynced {
    /// It is gone.
    Lost,
    /// It is there: everything happened to be written already.
    Kept,
    /// Of each write some sectors are there, of each change of a length, of each name some, in no order. Where a file has
    /// become longer without its content, there are zeros, or what a file that was removed held at that place.
    Torn,
}

/// A call on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Call {
    /// [`Vfs::open`] and [`Vfs::list`].
    Look,
    /// [`Vfs::open`] with [`Open::Create`](tenfour_log::vfs::Open::Create).
    Create,
    /// [`Vfs::rename`].
    Rename,
    /// [`Vfs::unlink`].
    Unlink,
    /// [`Vfs::sync_dir`].
    SyncDir,
    /// [`File::read_at`](tenfour_log::vfs::File::read_at) and [`File::len`](tenfour_log::vfs::File::len).
    Read,
    /// [`File::write_at`](tenfour_log::vfs::File::write_at).
    Write,
    /// [`File::set_len`](tenfour_log::vfs::File::set_len).
    SetLen,
    /// [`File::sync_data`](tenfour_log::vfs::File::sync_data).
    SyncData,
}

/// Whether a sync does what it says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Syncs {
    /// It does.
    #[default]
    Honest,
    /// It answers that all is well, and leaves everything as it is: a drive with a cache that says what it should not.
    Lie,
}

impl FaultyDisk {
    /// An empty disk, whose failures are drawn from the seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self::of(Image::new(Rng::new(seed)))
    }

    fn of(image: Image) -> Self {
        Self(Arc::new(Mutex::new(Machine::new(image))))
    }

    /// The directory as a process that starts now sees it, until [`FaultyDisk::kill`] or [`FaultyDisk::cut_power`] ends
    /// that. Two of them are two processes at once.
    #[must_use]
    pub fn vfs(&self) -> Arc<dyn Vfs> {
        Arc::new(Directory::new(self.0.clone(), self.machine().boot()))
    }

    /// Ends all processes, as `kill -9` does: what they wrote is there, and is no more synced than it was.
    pub fn kill(&self) {
        self.machine().end_processes();
    }

    /// Takes the power away and gives it back: all processes have ended, what was ordered by `*_in` and has not happened
    /// is forgotten.
    pub fn cut_power(&self, unsynced: Unsynced) {
        self.machine().cut_power(unsynced);
    }

    /// Lets the power fail in the middle of a later call: 1 is the next one. It is as done as [`FaultyDisk::cut_power`]
    /// says afterwards, it and all calls after it fail.
    pub fn cut_power_in(&self, calls: u64) {
        self.machine().cut_power_in(calls);
    }

    /// Whether calls can succeed: not between a failure by [`FaultyDisk::cut_power_in`] and the
    /// [`FaultyDisk::cut_power`] that follows.
    #[must_use]
    pub fn is_powered(&self) -> bool {
        self.machine().is_powered()
    }

    /// Lets a later call fail with this error: 1 is the next one. A write may then be done in part; a sync that fails has
    /// saved some of what it should and **forgets the rest**, which no later sync saves, as Linux does.
    pub fn fail_in(&self, calls: u64, error: io::ErrorKind) {
        self.machine().fail_in(calls, error);
    }

    /// The same for the next call of a kind.
    pub fn fail_next(&self, call: Call, error: io::ErrorKind) {
        self.machine().fail_next(call, error);
    }

    /// Bytes that files can have in sum, counted in sectors that were written to. Who writes beyond it is refused with
    /// [`io::ErrorKind::StorageFull`], after what fits. `None`, as at first, for any number.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.machine().image.set_capacity(bytes);
    }

    /// Bytes in use, as [`FaultyDisk::set_capacity`] counts them.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.machine().image.used()
    }

    /// Whether syncs are honest from now on.
    pub fn set_syncs(&self, syncs: Syncs) {
        self.machine().image.set_syncs(syncs);
    }

    /// Forgets every failure that was ordered, the capacity and the lies. Power that has failed is not given back:
    /// [`FaultyDisk::cut_power`] does that.
    pub fn heal(&self) {
        self.machine().heal();
    }

    /// How many calls there were, failed ones included.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.machine().calls()
    }

    /// The names of the files, in order.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.machine().image.names()
    }

    /// What a process reads in a file; `None` if there is none of that name.
    #[must_use]
    pub fn contents(&self, name: &str) -> Option<Vec<u8>> {
        self.machine().image.contents(name)
    }

    /// Puts a file there, synced, in place of one of that name: damage, or what another program left.
    pub fn put(&self, name: &str, contents: &[u8]) {
        self.machine().image.put(name, contents);
    }

    fn machine(&self) -> MutexGuard<'_, Machine> {
        lock(&self.0)
    }
}

/// A panic of one who held it is a failed test; what the disk holds is in order all the same.
fn lock(machine: &Mutex<Machine>) -> MutexGuard<'_, Machine> {
    machine.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Clone for FaultyDisk {
    fn clone(&self) -> Self {
        Self::of(self.machine().image.clone())
    }
}

impl fmt::Debug for FaultyDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.machine().fmt(f)
    }
}

/// What a power failure, a new process and their successors can see; not which processes there are.
impl Hash for FaultyDisk {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.machine().image.hash(state);
    }
}
