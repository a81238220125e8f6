//! The few things that a log on a disk asks of a file system.
//!
//! [`Disk`](crate::Disk) does all its work through [`Vfs`], one flat directory of files, so that a test can put a disk
//! under it that loses its power, tears a write, runs full or fails a sync, at every single operation. [`Std`] is the
//! one for production.
//!
//! What a log may rely on after a power failure is what POSIX systems promise, and no more: contents of a file up to its
//! last [`File::sync_data`], names in the directory up to the last [`Vfs::sync_dir`]. What was written since may be
//! there, in part or in whole and in any order, or not.
//!
//! ```
//! use tenfour_log::vfs::{File as _, Open, Std, Vfs as _};
//!
//! let directory = tempfile::tempdir()?;
//! let vfs = Std::new(directory.path().join("log"))?;
//! let file = vfs.open("segment", Open::Create)?;
//! file.write_at(b"hello", 3)?;
//! file.sync_data()?;
//! vfs.sync_dir()?; // only now does its name survive a power failure
//! let mut text = [0; 8];
//! assert_eq!((file.read_at(&mut text, 0)?, &text), (8, b"\0\0\0hello"));
//! assert_eq!(vfs.list()?, ["segment"]);
//! # Ok::<(), std::io::Error>(())
//! ```

use std::{any::Any, fmt::Debug, io, sync::Arc};

#[cfg(unix)]
pub use std_fs::Std;

#[cfg(unix)]
mod std_fs;

/// A directory of files. Names are plain file names, without a separator.
pub trait Vfs: Send + Sync + Debug {
    /// Opens a file for reading and writing, at once from several threads.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] if it should exist and does not, [`io::ErrorKind::AlreadyExists`] the other way round;
    /// whatever else the system says.
    fn open(&self, name: &str, mode: Open) -> io::Result<Arc<dyn File>>;

    /// The names of all files, in no order.
    ///
    /// # Errors
    /// What the system says.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Gives a file another name, in place of a file that had it.
    ///
    /// # Errors
    /// What the system says.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file. Whoever has it open can go on reading it.
    ///
    /// # Errors
    /// What the system says.
    fn unlink(&self, name: &str) -> io::Result<()>;

    /// Makes what was created, renamed and removed survive a power failure.
    ///
    /// # Errors
    /// What the system says.
    fn sync_dir(&self) -> io::Result<()>;

    /// Takes the directory for this process, until what is answered is dropped or the process ends, however it ends.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] if another one holds it; whatever else the system says.
    fn lock(&self) -> io::Result<Box<dyn Any + Send + Sync>>;
}

/// What there must be for a file to be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Open {
    /// A file of that name.
    Existing,
    /// No file of that name: it is made, empty.
    Create,
}

/// An open file.
pub trait File: Send + Sync + Debug {
    /// How many bytes it has.
    ///
    /// # Errors
    /// What the system says.
    fn len(&self) -> io::Result<u64>;

    /// Whether it has no bytes.
    ///
    /// # Errors
    /// What the system says.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Reads from a place on, and answers how much: less than was asked for only at the end of the file.
    ///
    /// # Errors
    /// What the system says.
    fn read_at(&self, buf: &mut [u8], at: u64) -> io::Result<usize>;

    /// Writes all of it at a place; what lies before it and was never written is zero.
    ///
    /// # Errors
    /// What the system says; then any part of it may have been written.
    fn write_at(&self, buf: &[u8], at: u64) -> io::Result<()>;

    /// Makes the file so long: cut off, or with zeros at its end.
    ///
    /// # Errors
    /// What the system says.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Returns when all that was written, and the length, survive a power failure.
    ///
    /// # Errors
    /// What the system says; then nobody knows what of it survives, and another call does not tell.
    fn sync_data(&self) -> io::Result<()>;
}
