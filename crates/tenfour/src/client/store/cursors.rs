//! How far each channel was processed.

use super::{
    Flush, StoreError,
    record_file::{Durability, Kind, RecordFile},
};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use bytestring::ByteString;
use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    path::Path,
};
use tenfour_tokio::delivery::number::{Epoch, Offset};

/// Where a client keeps how far it has processed each channel, so that it goes on from there after a restart.
///
/// It is called by one client at a time, and blocks in none of its calls. A position is saved once it is processed, so what a
/// crash takes is delivered again and never passed over.
///
/// To have each message take effect once, keep the position with the effect, in one transaction, and subscribe after it; then no
/// store is needed.
pub trait CursorStore: Send + 'static {
    /// The last position that was saved: the life of the channel's log, and the last offset that was processed in it.
    fn load(&self, channel: &str) -> Option<(Epoch, Offset)>;

    /// Keeps a position. Within one life it only increases: a lower one changes nothing.
    fn save(&mut self, channel: &str, epoch: Epoch, offset: Offset);

    /// What is to be done for everything so far to be durable; `None` where it is.
    fn flush(&mut self) -> Option<Flush>;
}

/// Cursors that last as long as their client.
#[derive(Clone, Debug, Default)]
pub struct MemoryCursors {
    positions: Positions,
}

impl MemoryCursors {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl CursorStore for MemoryCursors {
    fn load(&self, channel: &str) -> Option<(Epoch, Offset)> {
        self.positions.0.get(channel).copied()
    }

    fn save(&mut self, channel: &str, epoch: Epoch, offset: Offset) {
        self.positions.advance(channel.into(), epoch, offset);
    }

    fn flush(&mut self) -> Option<Flush> {
        None
    }
}

/// Cursors in a file.
///
/// ```
/// use tenfour::client::{CursorStore, FileCursors};
/// use tenfour::delivery::number::{Epoch, Offset};
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("cursors");
/// let mut cursors = FileCursors::open(&path)?;
/// cursors.save("news", Epoch::new(1), Offset::new(7));
/// cursors.flush().expect("there is something to write").run()?;
/// drop(cursors);
/// assert_eq!(FileCursors::open(&path)?.load("news"), Some((Epoch::new(1), Offset::new(7))));
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct FileCursors {
    positions: Positions,
    /// Those that the file does not have yet.
    changed: BTreeSet<ByteString>,
    file: RecordFile,
}

const KIND: Kind = Kind { magic: *b"10-4cur1", name: "a file of tenfour's cursors" };

/// A file of more than this is rewritten, if it holds a lot of what is outdated.
const SLACK_BYTES: u64 = 256 << 10;

impl FileCursors {
    /// Opens the file, or creates it.
    ///
    /// # Errors
    /// If the file is in use, is something else, or cannot be read or written.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let path = path.as_ref();
        let (file, records) = RecordFile::open(path, KIND)?;
        let mut positions = Positions::default();
        for record in records {
            let foreign = || StoreError::Foreign { path: path.to_owned(), expected: KIND.name };
            let (channel, epoch, offset) = decode(record).ok_or_else(foreign)?;
            positions.advance(channel, epoch, offset);
        }
        Ok(Self { positions, changed: BTreeSet::new(), file })
    }
}

impl CursorStore for FileCursors {
    fn load(&self, channel: &str) -> Option<(Epoch, Offset)> {
        self.positions.0.get(channel).copied()
    }

    fn save(&mut self, channel: &str, epoch: Epoch, offset: Offset) {
        let channel = ByteString::from(channel);
        if self.positions.advance(channel.clone(), epoch, offset) {
            self.changed.insert(channel);
        }
    }

    fn flush(&mut self) -> Option<Flush> {
        let positions = &self.positions.0;
        let changed = std::mem::take(&mut self.changed).into_iter();
        for record in changed.map(|channel| encode(&channel, positions[&channel])) {
            self.file.append(&record, Durability::Disk);
        }
        let live: usize = positions.keys().map(|channel| 32 + channel.len()).sum();
        if self.file.len() > 2 * live as u64 + SLACK_BYTES {
            let records: Vec<_> = positions.iter().map(|(channel, at)| encode(channel, *at)).collect();
            self.file.replace(records.iter().map(|record| &**record));
        }
        self.file.flush()
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Positions(BTreeMap<ByteString, (Epoch, Offset)>);

impl Positions {
    /// Whether that is news. In another life of the log, offsets begin anew.
    fn advance(&mut self, channel: ByteString, epoch: Epoch, offset: Offset) -> bool {
        match self.0.entry(channel) {
            Entry::Vacant(entry) => {
                entry.insert((epoch, offset));
                true
            }
            Entry::Occupied(mut entry) => {
                let (known, at) = *entry.get();
                let advances = known != epoch || offset > at;
                if advances {
                    entry.insert((epoch, offset));
                }
                advances
            }
        }
    }
}

fn encode(channel: &str, (epoch, offset): (Epoch, Offset)) -> BytesMut {
    let mut out = BytesMut::with_capacity(16 + channel.len());
    out.put_u64_le(epoch.get());
    out.put_u64_le(offset.get());
    out.put_slice(channel.as_bytes());
    out
}

fn decode(mut record: Bytes) -> Option<(ByteString, Epoch, Offset)> {
    let epoch = Epoch::new(record.try_get_u64_le().ok()?);
    let offset = Offset::new(record.try_get_u64_le().ok()?);
    Some((ByteString::try_from(record).ok()?, epoch, offset))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::*};
    use std::fs;

    fn at(epoch: u64, offset: u64) -> (Epoch, Offset) {
        (Epoch::new(epoch), Offset::new(offset))
    }

    #[test]
    fn a_cursor_does_not_go_back_within_a_life_of_the_log() {
        let mut cursors = MemoryCursors::new();
        for ((epoch, offset), kept) in
            [(at(1, 5), at(1, 5)), (at(1, 4), at(1, 5)), (at(2, 1), at(2, 1)), (at(2, 3), at(2, 3))]
        {
            cursors.save("news", epoch, offset);
            assert_eq!(cursors.load("news"), Some(kept));
        }
        assert_eq!(cursors.load("other"), None);
    }

    #[test]
    fn the_file_does_not_grow_with_what_was_processed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cursors");
        let mut cursors = FileCursors::open(&path).unwrap();
        for offset in 1..=30_000 {
            cursors.save("news", Epoch::new(1), Offset::new(offset));
            // Writing each of them is the worst that a client may do.
            if offset % 2 == 0 {
                cursors.flush().unwrap();
            }
        }
        assert!(cursors.file.len() <= 2 * SLACK_BYTES, "{}", cursors.file.len());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        /// Wherever the file is cut off, what is found is what was saved at some earlier time.
        #[test]
        fn a_file_that_is_cut_off_has_an_earlier_position(offsets in vec((0..3_usize, 1..5_u64), 1..10), cut in any::<prop::sample::Index>()) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("cursors");
            let mut cursors = FileCursors::open(&path).unwrap();
            cursors.flush().unwrap().run().unwrap();
            let mut history = vec![(fs::metadata(&path).unwrap().len(), cursors.positions.clone())];
            let mut next = 0;
            for (channel, step) in offsets {
                next += step;
                cursors.save(["a", "b", "c"][channel], Epoch::new(1), Offset::new(next));
                cursors.flush().unwrap().run().unwrap();
                history.push((fs::metadata(&path).unwrap().len(), cursors.positions.clone()));
            }
            drop(cursors);
            let content = fs::read(&path).unwrap();
            let cut = cut.index(content.len() + 1).max(KIND.magic.len());
            fs::write(&path, &content[..cut]).unwrap();
            let found = FileCursors::open(&path).unwrap().positions;
            let (_, expected) = history.iter().rev().find(|(len, _)| *len <= cut as u64).unwrap();
            prop_assert_eq!(&found, expected);
        }
    }
}
