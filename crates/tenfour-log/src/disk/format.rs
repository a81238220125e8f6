//! The bytes of a segment.
//!
//! A segment is a header of [`HEADER`] bytes and records behind one another; after the last one it is zero. All numbers are
//! little endian.
//!
//! | header | bytes |
//! |---|---|
//! | `10-4 log` | 8 |
//! | format version, 0 | 2, 6 |
//! | the log's epoch | 8 |
//! | number of this segment, and of the one before it | 8, 8 |
//! | offset of its first entry | 8 |
//! | offset before which everything was given up when the epoch began | 8 |
//! | CRC32 of the above, 0 | 4, 4 |
//!
//! | record | bytes |
//! |---|---|
//! | length of what follows the CRC | 4 |
//! | CRC32 of the length and of what follows | 4 |
//! | kind | 1 |
//! | offset of the entry; of what is none, the offset of the next one | 8 |
//! | the last offset that was committed when this was written | 8 |
//! | by kind | |
//!
//! | kind | what it holds |
//! |---|---|
//! | 1, an entry | flags (1: the append goes on, 2: a producer, 4: it expires), ingested, \[expires], \[producer's id (16), epoch (4), sequence], how many channels (2); of each its name and the entry before it; the payload |
//! | 2, heads | of each channel its name and its last entry |
//! | 3, a trim | the first offset that stays, and the last head of a channel that was forgotten |
//! | 4, a release | the offset through which, and the channel, to the end |
//! | 5, a floor | the offset through which the retention has trimmed |
//! | 6, a mark | nothing |
//!
//! What has no size there takes 8 bytes, and a name 2 for its length.
//!
//! The CRC of a record starts from the epoch and the number of its segment, so bytes of another segment, or of a payload
//! that looks like a record, are no records here. A record says up to where its log was committed because that proves, when
//! records before it are found damaged, that those had been acknowledged.

use bytestring::ByteString;
use crc32fast::Hasher;
use tenfour_delivery::{
    entry::Producer,
    mutant,
    number::{Epoch, Offset, ProducerEpoch, ProducerId, ProducerSequence},
    time::WallTime,
};

use crate::{Entry, Record};

/// Bytes of a segment's header.
pub(super) const HEADER: usize = 64;

/// The format that is written, and the newest that is read.
pub(super) const VERSION: u16 = 1;

/// Bytes of a record before what differs by its kind.
pub(super) const RECORD: usize = 8 + 1 + 8 + 8;

/// Bytes at a segment's end that no entry takes: so that there is room to write down that older segments go, which makes
/// room on a full disk.
pub(super) const RESERVE: usize = 64;

/// Channels that one record can name.
pub(super) const MAX_CHANNELS: usize = u16::MAX as usize;

/// Bytes that the name of a channel can have.
pub(super) const MAX_NAME: usize = u16::MAX as usize;

const MAGIC: [u8; 8] = *b"10-4 log";
const CHECKED: usize = 56;

const ENTRY: u8 = 1;
const HEADS: u8 = 2;
const TRIM: u8 = 3;
const RELEASE: u8 = 4;
const FLOOR: u8 = 5;
const MARK: u8 = 6;

const MORE: u8 = 1;
const PRODUCER: u8 = 2;
const EXPIRES: u8 = 4;

/// What a segment begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) epoch: Epoch,
    pub(super) id: u64,
    /// The segment that goes before it; 0 if it is the log's first.
    pub(super) after: u64,
    pub(super) first: Offset,
    /// What is before this is not missed: it was given up when the epoch began.
    pub(super) base: Offset,
}

/// What stands where a header should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReadHeader {
    Valid(Header),
    /// Of a later version of the format.
    Newer(u16),
    Invalid,
}

impl Header {
    pub(super) fn encode(&self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..10].copy_from_slice(&VERSION.to_le_bytes());
        let fields = [self.epoch.get(), self.id, self.after, self.first.get(), self.base.get()];
        for (place, field) in fields.into_iter().enumerate() {
            let at = 16 + 8 * place;
            bytes[at..at + 8].copy_from_slice(&field.to_le_bytes());
        }
        let crc = crc32fast::hash(&bytes[..CHECKED]);
        bytes[CHECKED..CHECKED + 4].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    pub(super) fn decode(bytes: &[u8; HEADER]) -> ReadHeader {
        if bytes[..8] != MAGIC {
            return ReadHeader::Invalid;
        }
        // Before the CRC is looked at: where it stands is for a later version to say.
        let version = u16::from_le_bytes([bytes[8], bytes[9]]);
        if version > VERSION {
            return ReadHeader::Newer(version);
        }
        let mut fields = Cursor(&bytes[CHECKED..]);
        let is_intact = fields.u32() == Some(crc32fast::hash(&bytes[..CHECKED]));
        let mut fields = Cursor(&bytes[16..]);
        let mut field = || fields.u64();
        match [(); 5].map(|()| field()) {
            [Some(epoch), Some(id), Some(after), Some(first), Some(base)]
                if is_intact && after < id && first > 0 && base <= first =>
            {
                let (epoch, first, base) = (Epoch::new(epoch), Offset::new(first), Offset::new(base));
                ReadHeader::Valid(Self { epoch, id, after, first, base })
            }
            _ => ReadHeader::Invalid,
        }
    }

    /// What the CRC of its records starts from.
    pub(super) fn seed(&self) -> u32 {
        let mut hasher = Hasher::new();
        hasher.update(&self.epoch.get().to_le_bytes());
        hasher.update(&self.id.to_le_bytes());
        hasher.finalize()
    }
}

/// What a log writes down beside its entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Control {
    /// Channels that would be named nowhere else any more, each with its last entry, which is gone.
    Heads(Vec<(ByteString, Offset)>),
    /// Everything before `base` is gone from the disk. Of what channel was forgotten, the last head.
    Trim { base: Offset, forgotten: Offset },
    /// A channel's entries through this offset are not needed any more.
    Release { channel: ByteString, through: Offset },
    /// The retention has trimmed every channel through this offset.
    Floor(Offset),
    /// Nothing: written after a sync, it says that what is before it was committed.
    Mark,
}

/// Where records are written to.
#[derive(Debug)]
pub(super) struct Writer<'a> {
    pub(super) to: &'a mut Vec<u8>,
    pub(super) seed: u32,
    pub(super) committed: Offset,
}

impl Writer<'_> {
    /// Writes an entry; `more` if others of the same append follow.
    pub(super) fn entry(&mut self, entry: &Entry, more: bool) {
        let Record { channels, producer, ingested, expires, payload } = &entry.record;
        let flag = |is_set: bool, flag: u8| if is_set { flag } else { 0 };
        self.record(ENTRY, entry.offset, |to| {
            to.push(flag(more, MORE) | flag(producer.is_some(), PRODUCER) | flag(expires.is_some(), EXPIRES));
            put_u64(to, ingested.as_unix_millis());
            if let Some(expires) = expires {
                put_u64(to, expires.as_unix_millis());
            }
            if let Some(producer) = producer {
                to.extend_from_slice(&producer.id.get().to_le_bytes());
                to.extend_from_slice(&producer.epoch.get().to_le_bytes());
                put_u64(to, producer.sequence.get());
            }
            put_u16(to, channels.len());
            for (name, previous) in channels.iter().zip(&entry.previous) {
                put_u16(to, name.len());
                to.extend_from_slice(name.as_bytes());
                put_u64(to, previous.get());
            }
            to.extend_from_slice(payload);
        });
    }

    /// Writes a control; `next` is the offset that the next entry will have.
    pub(super) fn control(&mut self, control: &Control, next: Offset) {
        match control {
            Control::Heads(heads) => self.record(HEADS, next, |to| {
                for (name, head) in heads {
                    put_u16(to, name.len());
                    to.extend_from_slice(name.as_bytes());
                    put_u64(to, head.get());
                }
            }),
            Control::Trim { base, forgotten } => self.record(TRIM, next, |to| {
                put_u64(to, base.get());
                put_u64(to, forgotten.get());
            }),
            Control::Release { channel, through } => self.record(RELEASE, next, |to| {
                put_u64(to, through.get());
                to.extend_from_slice(channel.as_bytes());
            }),
            Control::Floor(floor) => self.record(FLOOR, next, |to| put_u64(to, floor.get())),
            Control::Mark => self.record(MARK, next, |_| {}),
        }
    }

    fn record(&mut self, kind: u8, offset: Offset, rest: impl FnOnce(&mut Vec<u8>)) {
        let begin = self.to.len();
        self.to.extend_from_slice(&[0; 8]);
        self.to.push(kind);
        put_u64(self.to, offset.get());
        put_u64(self.to, self.committed.get());
        rest(self.to);
        let record = &mut self.to[begin..];
        let length = (record.len() - 8) as u32;
        record[..4].copy_from_slice(&length.to_le_bytes());
        let crc = crc(record, self.seed);
        record[4..8].copy_from_slice(&crc.to_le_bytes());
    }
}

/// Bytes that an entry takes as a record.
pub(super) fn entry_length(record: &Record) -> usize {
    let channels: usize = record.channels.iter().map(|name| 2 + name.len() + 8).sum();
    let expires = if record.expires.is_some() { 8 } else { 0 };
    let producer = if record.producer.is_some() { 16 + 4 + 8 } else { 0 };
    RECORD + 1 + 8 + expires + producer + 2 + channels + record.payload.len()
}

/// Bytes that a control takes as a record.
pub(super) fn control_length(control: &Control) -> usize {
    RECORD
        + match control {
            Control::Heads(heads) => heads.iter().map(|(name, _)| 2 + name.len() + 8).sum(),
            Control::Trim { .. } => 16,
            Control::Release { channel, .. } => 8 + channel.len(),
            Control::Floor(_) => 8,
            Control::Mark => 0,
        }
}

/// A record that is whole.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sound<'a> {
    kind: u8,
    pub(super) offset: Offset,
    pub(super) committed: Offset,
    rest: &'a [u8],
    /// Bytes that it takes, all in all.
    pub(super) length: usize,
}

/// The length that a record says it has, of which at least the first [`RECORD`] bytes are given; `None` for one that no
/// record can have.
pub(super) fn declared_length(bytes: &[u8]) -> Option<usize> {
    let length = 8 + Cursor(bytes).u32()? as usize;
    (length >= RECORD).then_some(length)
}

/// The record that `bytes` begin with, if it is whole.
pub(super) fn check(bytes: &[u8], seed: u32) -> Option<Sound<'_>> {
    let record = bytes.get(..declared_length(bytes)?)?;
    let mut cursor = Cursor(&record[4..]);
    let is_intact = cursor.u32()? == crc(record, seed);
    if !is_intact && !mutant!(TornTailAccepted) {
        return None;
    }
    let kind = cursor.u8()?;
    let (offset, committed) = (Offset::new(cursor.u64()?), Offset::new(cursor.u64()?));
    Some(Sound { kind, offset, committed, rest: cursor.0, length: record.len() })
}

/// Whether a sound record could begin like this, at an offset from `from` on and before `before`: far cheaper to ask
/// than [`check`].
pub(super) fn is_likely(bytes: &[u8], from: Offset, before: Offset) -> bool {
    let mut cursor = Cursor(bytes);
    let (Some(length), Some(_)) = (cursor.u32(), cursor.u32()) else { return false };
    let (Some(kind), Some(offset)) = (cursor.u8(), cursor.u64()) else { return false };
    let fits = (RECORD..=bytes.len()).contains(&(8 + length as usize));
    fits && (ENTRY..=MARK).contains(&kind) && (from.get()..before.get()).contains(&offset)
}

/// What a record holds.
#[derive(Clone, Debug)]
pub(super) enum Content<'a> {
    Entry(View<'a>),
    Control(Control),
}

impl<'a> Sound<'a> {
    /// What it holds; `None` if its bytes say nothing, for all that they are whole.
    pub(super) fn content(&self) -> Option<Content<'a>> {
        let mut cursor = Cursor(self.rest);
        let control = match self.kind {
            ENTRY => return View::decode(cursor).map(Content::Entry),
            HEADS => {
                let mut heads = Vec::new();
                while !cursor.0.is_empty() {
                    let name = cursor.name()?;
                    heads.push((name.into(), Offset::new(cursor.u64()?)));
                }
                Control::Heads(heads)
            }
            TRIM => Control::Trim { base: Offset::new(cursor.u64()?), forgotten: Offset::new(cursor.u64()?) },
            RELEASE => {
                let through = Offset::new(cursor.u64()?);
                Control::Release { channel: std::str::from_utf8(cursor.take_rest()).ok()?.into(), through }
            }
            FLOOR => Control::Floor(Offset::new(cursor.u64()?)),
            MARK => Control::Mark,
            _ => return None,
        };
        cursor.0.is_empty().then_some(Content::Control(control))
    }
}

/// An entry as it lies in a buffer, but for its offset.
#[derive(Clone, Debug)]
pub(super) struct View<'a> {
    /// Whether the next record belongs to the same append.
    pub(super) more: bool,
    pub(super) ingested: WallTime,
    expires: Option<WallTime>,
    producer: Option<Producer>,
    channels: usize,
    names: Cursor<'a>,
    payload: &'a [u8],
}

impl<'a> View<'a> {
    fn decode(mut cursor: Cursor<'a>) -> Option<Self> {
        let flags = cursor.u8()?;
        if flags & !(MORE | PRODUCER | EXPIRES) != 0 {
            return None;
        }
        let ingested = WallTime::from_unix_millis(cursor.u64()?);
        let expires = match flags & EXPIRES {
            0 => None,
            _ => Some(WallTime::from_unix_millis(cursor.u64()?)),
        };
        let producer = match flags & PRODUCER {
            0 => None,
            _ => Some(cursor.producer()?),
        };
        let channels = usize::from(cursor.u16()?);
        let names = cursor;
        for _ in 0..channels {
            cursor.name()?;
            cursor.u64()?;
        }
        let (more, payload) = (flags & MORE != 0, cursor.0);
        Some(Self { more, ingested, expires, producer, channels, names, payload })
    }

    /// The names of its channels, each with the entry before it there.
    pub(super) fn channels(&self) -> impl ExactSizeIterator<Item = (&'a str, Offset)> {
        let mut names = self.names;
        (0..self.channels).map(move |_| {
            let name = names.name().unwrap_or_default();
            (name, Offset::new(names.u64().unwrap_or_default()))
        })
    }

    /// The entry, with names that `name` makes.
    pub(super) fn to_entry(&self, offset: Offset, mut name: impl FnMut(&str) -> ByteString) -> Entry {
        let (channels, previous) = self.channels().map(|(text, previous)| (name(text), previous)).unzip();
        let Self { ingested, expires, producer, .. } = *self;
        let payload = bytes::Bytes::copy_from_slice(self.payload);
        Entry { offset, previous, record: Record { channels, producer, ingested, expires, payload } }
    }

    /// Bytes of the payload.
    pub(super) fn payload_length(&self) -> usize {
        self.payload.len()
    }
}

fn crc(record: &[u8], seed: u32) -> u32 {
    let mut hasher = Hasher::new_with_initial(seed);
    hasher.update(&record[..4]);
    hasher.update(&record[8..]);
    hasher.finalize()
}

fn put_u64(to: &mut Vec<u8>, value: u64) {
    to.extend_from_slice(&value.to_le_bytes());
}

/// A length that was checked when the record was taken.
fn put_u16(to: &mut Vec<u8>, value: usize) {
    to.extend_from_slice(&(value as u16).to_le_bytes());
}

/// Takes numbers and names from the front of bytes.
#[derive(Clone, Copy, Debug)]
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    fn take_rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn name(&mut self) -> Option<&'a str> {
        let length = usize::from(self.u16()?);
        std::str::from_utf8(self.take(length)?).ok()
    }

    fn producer(&mut self) -> Option<Producer> {
        let id = ProducerId::new(self.array().map(u128::from_le_bytes)?);
        let epoch = ProducerEpoch::new(self.array().map(u32::from_le_bytes)?);
        let sequence = ProducerSequence::new(self.u64()?);
        Some(Producer { id, epoch, sequence })
    }
}

#[cfg(test)]
mod tests;
