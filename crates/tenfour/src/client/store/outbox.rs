//! Publications that were accepted and are not committed yet.

use super::{
    Flush, StoreError,
    record_file::{Durability, Kind, RecordFile},
};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use std::{
    collections::{BTreeMap, VecDeque},
    path::Path,
};
use tenfour_tokio::delivery::number::{ProducerEpoch, ProducerId, ProducerSequence};
use thiserror::Error;

/// Where a client keeps its publications from when they are accepted until the server has committed them, with the numbers by
/// which the server knows a repeated one.
///
/// It is called by one client at a time, and blocks in none of its calls: what takes time is done by [`flush`](Self::flush)'s
/// work. A publication is sent only after the flush that followed its [`push`](Self::push) has succeeded.
///
/// An outbox of your own may be a table beside the business data, written in one transaction with it: `push` then finds the row
/// there already.
pub trait Outbox: Send + 'static {
    /// Whose publications they are: an identity that is drawn once, and its present life.
    fn producer(&self) -> (ProducerId, ProducerEpoch);

    /// The number that the next publication gets.
    fn next(&self) -> ProducerSequence;

    /// What was accepted and is not settled, in order.
    fn pending(&self) -> Vec<Pending>;

    /// Accepts a publication, in the client's encoding.
    ///
    /// # Errors
    /// If there is no room until others are settled.
    fn push(&mut self, publication: Bytes) -> Result<ProducerSequence, OutboxFull>;

    /// The server has committed a publication, or refused it for good: it is not needed any more. One that is not there is
    /// none of the outbox's concern.
    fn settle(&mut self, sequence: ProducerSequence);

    /// Begins a new life, in which what is pending is numbered from the first: the server has forgotten the one before.
    fn renew(&mut self);

    /// What is to be done for everything so far to be durable; `None` where it is.
    fn flush(&mut self) -> Option<Flush>;
}

/// A publication that is not settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// Its number in the producer's present life.
    pub sequence: ProducerSequence,
    /// The publication, in the client's encoding.
    pub publication: Bytes,
}

/// There is no room in the outbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the outbox is full: {bytes} bytes wait for their commit; publish again when some are committed")]
pub struct OutboxFull {
    /// What is in it.
    pub bytes: usize,
}

/// An outbox that lasts as long as its client: it survives connections and no restart.
#[derive(Clone, Debug)]
pub struct MemoryOutbox {
    queue: Queue,
}

impl MemoryOutbox {
    /// An empty one, of a new producer. At most 64 MiB may wait in it.
    #[must_use]
    pub fn new() -> Self {
        Self { queue: Queue::new(random_producer(), MAX_BYTES) }
    }
}

impl Default for MemoryOutbox {
    fn default() -> Self {
        Self::new()
    }
}

impl Outbox for MemoryOutbox {
    fn producer(&self) -> (ProducerId, ProducerEpoch) {
        self.queue.producer
    }

    fn next(&self) -> ProducerSequence {
        self.queue.next
    }

    fn pending(&self) -> Vec<Pending> {
        self.queue.pending()
    }

    fn push(&mut self, publication: Bytes) -> Result<ProducerSequence, OutboxFull> {
        self.queue.push(publication)
    }

    fn settle(&mut self, sequence: ProducerSequence) {
        self.queue.settle(sequence);
    }

    fn renew(&mut self) {
        self.queue.renew();
    }

    fn flush(&mut self) -> Option<Flush> {
        None
    }
}

/// An outbox in a file: an accepted publication is on the disk before it is sent, and is sent again by whoever opens the file
/// next, under the same number.
///
/// ```
/// use tenfour::client::{FileOutbox, Outbox};
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("outbox");
/// let mut outbox = FileOutbox::open(&path)?;
/// let number = outbox.push("a publication, encoded".into())?;
/// outbox.flush().expect("there is something to write").run()?;
/// drop(outbox); // the process crashes
///
/// let mut outbox = FileOutbox::open(&path)?;
/// assert_eq!(outbox.pending()[0].sequence, number);
/// outbox.settle(number); // the server has it
/// assert!(outbox.pending().is_empty());
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct FileOutbox {
    queue: Queue,
    file: RecordFile,
}

const KIND: Kind = Kind { magic: *b"10-4out1", name: "an outbox of tenfour" };

/// A file that is this much larger than what it holds is rewritten.
const SLACK_BYTES: u64 = 1 << 20;

/// Bytes of unsettled publications: 64 MiB.
const MAX_BYTES: usize = 64 << 20;

impl FileOutbox {
    /// Opens the file, or creates it for a new producer. At most 64 MiB may wait in it.
    ///
    /// # Errors
    /// If the file is in use, is something else, or cannot be read or written.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        Self::with_capacity(path, MAX_BYTES)
    }

    /// [`open`](Self::open) with a bound in bytes of its own.
    ///
    /// # Errors
    /// Those of [`open`](Self::open).
    pub fn with_capacity(path: impl AsRef<Path>, bytes: usize) -> Result<Self, StoreError> {
        let path = path.as_ref();
        let (file, records) = RecordFile::open(path, KIND)?;
        let foreign = || StoreError::Foreign { path: path.to_owned(), expected: KIND.name };
        let mut records = records.into_iter().map(|record| Record::decode(record).ok_or_else(foreign));
        let mut queue = match records.next().transpose()? {
            None => Queue::new(random_producer(), bytes),
            Some(Record::Producer { producer, next }) => Queue { next, ..Queue::new(producer, bytes) },
            Some(_) => return Err(foreign()),
        };
        for record in records {
            match record? {
                Record::Push { publication } => queue.accept(publication),
                Record::Settle { sequence } => queue.settle(sequence),
                Record::Pending { sequence, publication } => queue.restore(sequence, publication),
                Record::Producer { .. } => return Err(foreign()),
            }
        }
        let mut outbox = Self { queue, file };
        if outbox.file.len() <= KIND.magic.len() as u64 {
            outbox.rewrite();
        }
        Ok(outbox)
    }

    /// Bytes at the file's end that were dropped when it was opened: a crash had torn what was being written. Nothing of it
    /// had been sent.
    #[must_use]
    pub fn torn(&self) -> u64 {
        self.file.torn()
    }

    fn rewrite(&mut self) {
        let Queue { producer, next, ref waiting, .. } = self.queue;
        let head = Record::Producer { producer, next }.encode();
        let pending = waiting.iter().map(|(sequence, publication)| {
            Record::Pending { sequence: *sequence, publication: publication.clone() }.encode()
        });
        let records: Vec<_> = std::iter::once(head).chain(pending).collect();
        self.file.replace(records.iter().map(|record| &**record));
    }
}

impl Outbox for FileOutbox {
    fn producer(&self) -> (ProducerId, ProducerEpoch) {
        self.queue.producer
    }

    fn next(&self) -> ProducerSequence {
        self.queue.next
    }

    fn pending(&self) -> Vec<Pending> {
        self.queue.pending()
    }

    fn push(&mut self, publication: Bytes) -> Result<ProducerSequence, OutboxFull> {
        let sequence = self.queue.push(publication.clone())?;
        self.file.append(&Record::Push { publication }.encode(), Durability::Disk);
        Ok(sequence)
    }

    fn settle(&mut self, sequence: ProducerSequence) {
        if !self.queue.waiting.contains_key(&sequence) {
            return;
        }
        self.queue.settle(sequence);
        // It need not reach the disk: what is sent once more is recognised by its number.
        self.file.append(&Record::Settle { sequence }.encode(), Durability::Process);
        if self.file.len() > self.queue.bytes as u64 * 2 + SLACK_BYTES {
            self.rewrite();
        }
    }

    fn renew(&mut self) {
        self.queue.renew();
        self.rewrite();
    }

    fn flush(&mut self) -> Option<Flush> {
        self.file.flush()
    }
}

/// What an outbox is, wherever it is kept.
#[derive(Clone, Debug)]
struct Queue {
    producer: (ProducerId, ProducerEpoch),
    next: ProducerSequence,
    waiting: BTreeMap<ProducerSequence, Bytes>,
    bytes: usize,
    capacity: usize,
}

impl Queue {
    fn new(producer: (ProducerId, ProducerEpoch), capacity: usize) -> Self {
        Self { producer, next: ProducerSequence::FIRST, waiting: BTreeMap::new(), bytes: 0, capacity }
    }

    fn push(&mut self, publication: Bytes) -> Result<ProducerSequence, OutboxFull> {
        // One that is larger than the bound goes alone: refused, it could never go.
        if self.bytes > 0 && self.bytes + publication.len() > self.capacity {
            return Err(OutboxFull { bytes: self.bytes });
        }
        let sequence = self.next;
        self.accept(publication);
        Ok(sequence)
    }

    fn accept(&mut self, publication: Bytes) {
        let sequence = self.next;
        self.next = sequence.next();
        self.restore(sequence, publication);
    }

    fn restore(&mut self, sequence: ProducerSequence, publication: Bytes) {
        self.bytes += publication.len();
        self.waiting.insert(sequence, publication);
    }

    fn settle(&mut self, sequence: ProducerSequence) {
        if let Some(publication) = self.waiting.remove(&sequence) {
            self.bytes -= publication.len();
        }
    }

    fn renew(&mut self) {
        let (id, epoch) = self.producer;
        self.producer = match epoch.get().checked_add(1) {
            Some(epoch) => (id, ProducerEpoch::new(epoch)),
            None => random_producer(),
        };
        let waiting: VecDeque<_> = std::mem::take(&mut self.waiting).into_values().collect();
        (self.next, self.bytes) = (ProducerSequence::FIRST, 0);
        waiting.into_iter().for_each(|publication| self.accept(publication));
    }

    fn pending(&self) -> Vec<Pending> {
        let pending = |(sequence, publication): (&ProducerSequence, &Bytes)| Pending {
            sequence: *sequence,
            publication: publication.clone(),
        };
        self.waiting.iter().map(pending).collect()
    }
}

fn random_producer() -> (ProducerId, ProducerEpoch) {
    let mut id = [0; 16];
    getrandom::fill(&mut id).expect("the system has randomness");
    (ProducerId::new(u128::from_le_bytes(id)), ProducerEpoch::new(0))
}

/// What a file's records say.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Record {
    /// The first one: who, and the number of the next publication but for those that follow.
    Producer {
        producer: (ProducerId, ProducerEpoch),
        next: ProducerSequence,
    },
    /// One that was pending when the file was written anew.
    Pending {
        sequence: ProducerSequence,
        publication: Bytes,
    },
    /// One that was accepted since, under the next number.
    Push {
        publication: Bytes,
    },
    Settle {
        sequence: ProducerSequence,
    },
}

impl Record {
    fn encode(&self) -> BytesMut {
        let mut out = BytesMut::new();
        match self {
            Self::Producer { producer: (id, epoch), next } => {
                out.put_u8(0);
                out.put_u128_le(id.get());
                out.put_u32_le(epoch.get());
                out.put_u64_le(next.get());
            }
            Self::Pending { sequence, publication } => {
                out.put_u8(1);
                out.put_u64_le(sequence.get());
                out.put_slice(publication);
            }
            Self::Push { publication } => {
                out.put_u8(2);
                out.put_slice(publication);
            }
            Self::Settle { sequence } => {
                out.put_u8(3);
                out.put_u64_le(sequence.get());
            }
        }
        out
    }

    fn decode(mut record: Bytes) -> Option<Self> {
        let sequence = |record: &mut Bytes| record.try_get_u64_le().ok().map(ProducerSequence::new);
        Some(match record.try_get_u8().ok()? {
            0 => {
                let id = ProducerId::new(record.try_get_u128_le().ok()?);
                let epoch = ProducerEpoch::new(record.try_get_u32_le().ok()?);
                Self::Producer { producer: (id, epoch), next: sequence(&mut record)? }
            }
            1 => Self::Pending { sequence: sequence(&mut record)?, publication: record },
            2 => Self::Push { publication: record },
            3 => Self::Settle { sequence: sequence(&mut record)? },
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::*};
    use std::fs;

    /// What may happen to an outbox.
    #[derive(Clone, Debug)]
    enum Act {
        Push(u8),
        /// The one of the pending at this place.
        Settle(usize),
        Renew,
        Flush,
        /// The process ends, and what was not flushed with it.
        Crash,
    }

    fn acts() -> impl Strategy<Value = Vec<Act>> {
        let act = prop_oneof![
            6 => any::<u8>().prop_map(Act::Push),
            4 => any::<usize>().prop_map(Act::Settle),
            1 => Just(Act::Renew),
            4 => Just(Act::Flush),
            2 => Just(Act::Crash),
        ];
        vec(act, 0..60)
    }

    fn state(outbox: &impl Outbox) -> (ProducerId, ProducerEpoch, ProducerSequence, Vec<Pending>) {
        let (id, epoch) = outbox.producer();
        (id, epoch, outbox.next(), outbox.pending())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        /// Beside a file, its queue alone, as it was at the last flush: whatever happens, who opens the file finds that.
        #[test]
        fn a_crash_leaves_what_was_flushed(acts in acts()) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("outbox");
            let mut file = FileOutbox::open(&path).unwrap();
            file.flush().unwrap().run().unwrap();
            let mut flushed = state(&file);
            for act in acts {
                match act {
                    Act::Push(byte) => {
                        file.push(Bytes::from(vec![byte; usize::from(byte)])).unwrap();
                    }
                    Act::Settle(place) => {
                        let pending = file.pending();
                        if !pending.is_empty() {
                            file.settle(pending[place % pending.len()].sequence);
                        }
                    }
                    Act::Renew => file.renew(),
                    Act::Flush => {
                        if let Some(flush) = file.flush() {
                            flush.run().unwrap();
                        }
                        flushed = state(&file);
                    }
                    Act::Crash => {
                        drop(file);
                        file = FileOutbox::open(&path).unwrap();
                        prop_assert_eq!(state(&file), flushed.clone());
                    }
                }
            }
        }
    }

    /// Wherever a crash cuts the file off, the outbox is as it was after some number of whole operations: never one in which a
    /// number means two publications, or one that was flushed before the cut is gone.
    #[test]
    fn a_file_that_is_cut_off_anywhere_is_an_earlier_outbox() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("outbox");
        let mut outbox = FileOutbox::open(&path).unwrap();
        let mut states = Vec::new();
        let mut flush = |outbox: &mut FileOutbox| {
            outbox.flush().unwrap().run().unwrap();
            states.push((fs::metadata(&path).unwrap().len(), state(outbox)));
        };
        flush(&mut outbox);
        for number in 0..6_u8 {
            outbox.push(Bytes::from(vec![number; 20])).unwrap();
            flush(&mut outbox);
            if number % 2 == 1 {
                outbox.settle(ProducerSequence::new(u64::from(number) - 1));
                flush(&mut outbox);
            }
        }
        drop(outbox);
        let content = fs::read(&path).unwrap();
        let first = usize::try_from(states[0].0).unwrap();
        for cut in first..=content.len() {
            fs::write(&path, &content[..cut]).unwrap();
            let (_, expected) = states.iter().rev().find(|(len, _)| *len <= cut as u64).unwrap();
            assert_eq!(state(&FileOutbox::open(&path).unwrap()), *expected, "cut at {cut}");
        }
    }

    #[test]
    fn the_producer_is_one_over_restarts_and_another_for_another_file() {
        let folder = tempfile::tempdir().unwrap();
        let open = |name: &str| {
            let mut outbox = FileOutbox::open(folder.path().join(name)).unwrap();
            if let Some(flush) = outbox.flush() {
                flush.run().unwrap();
            }
            outbox.producer()
        };
        assert_eq!(open("a"), open("a"));
        assert_ne!(open("a"), open("b"));
    }

    #[test]
    fn a_new_life_numbers_what_is_pending_from_the_first_in_the_same_order() {
        let mut outbox = MemoryOutbox::new();
        for text in ["a", "b", "c"] {
            outbox.push(text.into()).unwrap();
        }
        outbox.settle(ProducerSequence::FIRST);
        let (id, _) = outbox.producer();
        outbox.renew();
        assert_eq!(outbox.producer(), (id, ProducerEpoch::new(1)));
        let pending: Vec<_> =
            outbox.pending().into_iter().map(|p| (p.sequence.get(), p.publication)).collect();
        assert_eq!(pending, [(0, Bytes::from("b")), (1, Bytes::from("c"))]);
        assert_eq!(outbox.next().get(), 2);
    }

    #[test]
    fn it_is_bounded_and_takes_more_once_some_is_settled() {
        let folder = tempfile::tempdir().unwrap();
        let mut outbox = FileOutbox::with_capacity(folder.path().join("outbox"), 100).unwrap();
        let sequence = outbox.push(Bytes::from(vec![0; 60])).unwrap();
        assert_eq!(outbox.push(Bytes::from(vec![1; 60])), Err(OutboxFull { bytes: 60 }));
        outbox.settle(sequence);
        assert_eq!(outbox.push(Bytes::from(vec![1; 600])), Ok(sequence.next()), "alone, whatever its size");
    }

    #[test]
    fn the_file_does_not_grow_with_what_went_through_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("outbox");
        let mut outbox = FileOutbox::open(&path).unwrap();
        for _ in 0..100 {
            let sequence = outbox.push(Bytes::from(vec![7; 100_000])).unwrap();
            outbox.flush().unwrap().run().unwrap();
            outbox.settle(sequence);
        }
        outbox.flush().unwrap().run().unwrap();
        assert!(fs::metadata(&path).unwrap().len() < 2 * SLACK_BYTES);
        assert_eq!(outbox.next().get(), 100);
    }
}
