//! The files of a log: how they are named, made ahead of their use, and removed.

use std::{
    io,
    ops::Range,
    sync::{Arc, mpsc},
    thread,
};

use tenfour_delivery::mutant;

use super::{
    Sync,
    format::{HEADER, RESERVE},
};
use crate::vfs::{File, Open, Vfs};

/// The first segment of a log is small, and each has twice the size of the one before it up to the configured one: a log
/// that is hardly used takes little.
const FIRST_BYTES: u64 = 256 * 1024;

static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];

const SUFFIX: &str = ".segment";

/// What is behind the name of a segment that is not made yet.
const UNFINISHED: &str = ".new";

pub(super) fn name(id: u64) -> String {
    format!("{id:010}{SUFFIX}")
}

fn unfinished_name(id: u64) -> String {
    name(id) + UNFINISHED
}

/// Whether a file of this name was left behind while a segment was made.
pub(super) fn is_unfinished(file: &str) -> bool {
    file.strip_suffix(UNFINISHED).and_then(id).is_some()
}

/// The number of the segment of this name, `None` if no segment has such a name.
pub(super) fn id(file: &str) -> Option<u64> {
    let id = file.strip_suffix(SUFFIX)?.parse().ok()?;
    (name(id) == file).then_some(id)
}

/// How long a segment is made if nothing in it is larger.
pub(super) fn capacity(id: u64, configured: u64) -> u64 {
    let doublings = id.saturating_sub(1).min(32) as u32;
    (FIRST_BYTES << doublings).min(configured).max(needed(0))
}

/// How long a segment has to be for an append of so many bytes.
pub(super) const fn needed(append: u64) -> u64 {
    (HEADER + RESERVE) as u64 + append
}

/// Makes a segment's file: all zero, so that writing to it later changes no length, which a sync would have to wait for.
///
/// It gets its name when its zeros are synced: a file that was not may show, after a power failure, what its blocks held
/// when they were another segment's.
fn make(vfs: &dyn Vfs, order: Order) -> io::Result<Arc<dyn File>> {
    let (unfinished, name) = (unfinished_name(order.id), name(order.id));
    let file = match vfs.open(&unfinished, Open::Create) {
        // An earlier try left it, and could not remove it.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            vfs.unlink(&unfinished)?;
            vfs.open(&unfinished, Open::Create)?
        }
        opened => opened?,
    };
    let made = fill(&*file, 0, order.length)
        .and_then(|()| order.sync.data(&*file))
        .and_then(|()| vfs.rename(&unfinished, &name))
        .and_then(|()| if mutant!(NoDirSync) { Ok(()) } else { order.sync.dir(vfs) });
    if made.is_err() {
        // What it took is needed more elsewhere; if it cannot be removed now, it is when the log is opened again.
        drop(vfs.unlink(&unfinished).or_else(|_| vfs.unlink(&name)));
    }
    made.map(|()| file)
}

/// Writes zeros over a part of a file.
pub(super) fn fill(file: &dyn File, from: u64, to: u64) -> io::Result<()> {
    let mut at = from;
    while at < to {
        let length = (to - at).min(ZEROS.len() as u64);
        file.write_at(&ZEROS[..length as usize], at)?;
        at += length;
    }
    Ok(())
}

/// A segment to be made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Order {
    pub(super) id: u64,
    pub(super) length: u64,
    pub(super) sync: Sync,
}

/// Makes and removes files, on a thread of its own or where it is asked.
#[derive(Debug)]
pub(super) enum Filler {
    Inline { vfs: Arc<dyn Vfs> },
    Thread { tasks: mpsc::Sender<Task>, made: mpsc::Receiver<Made>, ordered: Option<Order> },
}

type Made = io::Result<Arc<dyn File>>;

#[derive(Debug)]
pub(super) enum Task {
    Make(Order),
    Unlink(Range<u64>),
}

impl Filler {
    pub(super) fn inline(vfs: Arc<dyn Vfs>) -> Self {
        Self::Inline { vfs }
    }

    /// On a thread, which ends when this is dropped.
    pub(super) fn start(vfs: Arc<dyn Vfs>) -> io::Result<(Self, thread::JoinHandle<()>)> {
        let ((tasks, work), (done, made)) = (mpsc::channel(), mpsc::channel());
        let thread = thread::Builder::new().name("tenfour-log-files".into()).spawn(move || {
            for task in work {
                match task {
                    Task::Make(order) => drop(done.send(make(&*vfs, order))),
                    Task::Unlink(ids) => unlink(&*vfs, ids),
                }
            }
        })?;
        Ok((Self::Thread { tasks, made, ordered: None }, thread))
    }

    /// Has a segment made ahead, if there is a thread for it.
    pub(super) fn order(&mut self, order: Order) {
        if let Self::Thread { tasks, ordered, .. } = self
            && ordered.is_none()
            && tasks.send(Task::Make(order)).is_ok()
        {
            *ordered = Some(order);
        }
    }

    /// The segment, which is made now unless it was ordered.
    pub(super) fn take(&mut self, order: Order) -> Made {
        match self {
            Self::Inline { vfs } => make(&**vfs, order),
            Self::Thread { tasks, made, ordered } => {
                if let Some(ahead) = ordered.take()
                    && let Ok(file) = made.recv().map_err(|_| gone())?
                    && ahead.length >= order.length
                {
                    return Ok(file);
                }
                // It was not ordered, or there was no room for it then, or it is too short.
                tasks.send(Task::Make(order)).map_err(|_| gone())?;
                made.recv().map_err(|_| gone())?
            }
        }
    }

    /// Removes segments that hold nothing any more. What cannot be removed is when the log is opened again.
    pub(super) fn unlink(&self, ids: Range<u64>) {
        match self {
            Self::Inline { vfs } => unlink(&**vfs, ids),
            Self::Thread { tasks, .. } => drop(tasks.send(Task::Unlink(ids))),
        }
    }
}

fn gone() -> io::Error {
    io::Error::other("the thread that makes files is gone")
}

fn unlink(vfs: &dyn Vfs, ids: Range<u64>) {
    for id in ids {
        drop(vfs.unlink(&name(id)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_back_to_its_segment() {
        for number in [1, 7, 9_999_999_999, u64::MAX] {
            assert_eq!(id(&name(number)), Some(number));
        }
        for file in ["", ".segment", "1.segment", "00000000001.segment", "lock", "0000000001.segment.bad"] {
            assert_eq!(id(file), None, "{file}");
        }
    }

    #[test]
    fn a_file_that_was_being_made_is_no_segment() {
        assert!(is_unfinished(&unfinished_name(7)));
        assert_eq!(id(&unfinished_name(7)), None);
        for file in ["", ".new", "notes.new", "7.segment.new", "0000000007.segment"] {
            assert!(!is_unfinished(file), "{file}");
        }
    }

    #[test]
    fn segments_grow_to_the_configured_size() {
        let sizes = [1, 2, 3, 4, 5, 80].map(|id| capacity(id, 1 << 21));
        assert_eq!(sizes, [1 << 18, 1 << 19, 1 << 20, 1 << 21, 1 << 21, 1 << 21]);
        assert_eq!(capacity(1, 0), needed(0), "however small it is configured");
    }
}
