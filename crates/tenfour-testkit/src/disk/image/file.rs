//! One file's contents.

use std::{collections::BTreeSet, fmt, mem};

use crate::{
    disk::{SECTOR, Unsynced},
    rng::Rng,
};

#[derive(Clone, Default, Hash)]
pub(super) struct File {
    /// What processes read.
    seen: Vec<u8>,
    /// What a power failure is sure to leave.
    synced: Vec<u8>,
    /// What led from the second to the first, as far as a sync can still save it.
    changes: Vec<Change>,
    /// Which sectors take up space.
    sectors: BTreeSet<usize>,
}

#[derive(Clone, Hash)]
enum Change {
    /// Within one sector.
    Written {
        at: usize,
        bytes: Vec<u8>,
    },
    Length(usize),
}

impl File {
    pub(super) fn synced(contents: &[u8]) -> Self {
        let sectors = (0..contents.len().div_ceil(SECTOR)).collect();
        Self { seen: contents.to_vec(), synced: contents.to_vec(), changes: Vec::new(), sectors }
    }

    pub(super) fn seen(&self) -> &[u8] {
        &self.seen
    }

    /// Bytes of the disk that it takes up.
    pub(super) fn used(&self) -> u64 {
        (self.sectors.len() * SECTOR) as u64
    }

    /// How much of a write there is room for, with so many sectors free.
    pub(super) fn fitting(&self, at: usize, len: usize, mut free: u64) -> usize {
        for piece in pieces(at, len) {
            if self.sectors.contains(&(piece.start / SECTOR)) {
                continue;
            }
            if free == 0 {
                return piece.start - at;
            }
            free -= 1;
        }
        len
    }

    /// Whoever writes into a sector writes all of it, as it stands by then.
    pub(super) fn write(&mut self, at: usize, bytes: &[u8]) {
        Change::Written { at, bytes: bytes.to_vec() }.apply(&mut self.seen);
        for piece in pieces(at, bytes.len()) {
            let sector = piece.start / SECTOR;
            let whole = sector * SECTOR..self.seen.len().min((sector + 1) * SECTOR);
            self.sectors.insert(sector);
            self.changes.push(Change::Written { at: whole.start, bytes: self.seen[whole].to_vec() });
        }
    }

    pub(super) fn set_len(&mut self, len: usize) {
        Change::Length(len).apply(&mut self.seen);
        self.sectors.retain(|sector| sector * SECTOR < len);
        self.changes.push(Change::Length(len));
    }

    pub(super) fn sync(&mut self) {
        for change in self.changes.drain(..) {
            change.apply(&mut self.synced);
        }
    }

    /// Saves some of the changes and forgets the others, which processes go on seeing, or do not: the system throws away
    /// what it could not write, or keeps it as if it had.
    pub(super) fn sync_in_part(&mut self, rng: &mut Rng) {
        self.save_some(rng);
        if rng.up_to(1) == 0 {
            self.seen.clone_from(&self.synced);
        }
    }

    pub(super) fn lose_power(&mut self, unsynced: Unsynced, stale: &[u8], rng: &mut Rng) {
        match unsynced {
            Unsynced::Lost => self.changes.clear(),
            Unsynced::Kept => self.sync(),
            Unsynced::Torn => {
                let end = self.seen.len();
                self.save_some(rng);
                let held = self.synced.len();
                if end > held && rng.up_to(1) == 0 {
                    self.synced.resize(end, 0);
                    if rng.up_to(1) == 0 {
                        let old = stale.get(held..end.min(stale.len())).unwrap_or_default();
                        self.synced[held..held + old.len()].copy_from_slice(old);
                    }
                }
            }
        }
        self.seen.clone_from(&self.synced);
        self.sectors.retain(|sector| sector * SECTOR < self.seen.len());
    }

    /// Some of the changes, sometimes most and sometimes few.
    fn save_some(&mut self, rng: &mut Rng) {
        let share = *rng.pick(&[50_000, 500_000, 950_000]);
        for change in mem::take(&mut self.changes) {
            if rng.happens(share) {
                change.apply(&mut self.synced);
            }
        }
    }
}

impl Change {
    fn apply(&self, contents: &mut Vec<u8>) {
        match self {
            Self::Length(len) => contents.resize(*len, 0),
            Self::Written { at, bytes } => {
                let end = at + bytes.len();
                if contents.len() < end {
                    contents.resize(end, 0);
                }
                contents[*at..end].copy_from_slice(bytes);
            }
        }
    }
}

/// A range of bytes, cut where sectors begin.
fn pieces(at: usize, len: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
    let end = at + len;
    let mut start = at;
    std::iter::from_fn(move || {
        let piece = start..end.min((start / SECTOR + 1) * SECTOR);
        start = piece.end;
        (!piece.is_empty()).then_some(piece)
    })
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seen, synced, changes) = (self.seen.len(), self.synced.len(), self.changes.len());
        write!(f, "File({seen} bytes, {synced} synced, {changes} changes un-synced)")
    }
}
