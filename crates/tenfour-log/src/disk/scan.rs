//! Reading a segment from its beginning, up to where it makes sense.

use std::{collections::HashMap, io, sync::Arc};

use bytestring::ByteString;
use tenfour_delivery::number::Offset;

use super::{
    format::{self, Content, Control, HEADER, Header, RECORD, View},
    index::Place,
};
use crate::vfs::File;

/// Bytes that are read at once.
const CHUNK: usize = 1024 * 1024;

/// What a segment holds.
#[derive(Debug)]
pub(super) struct Scan {
    /// Its entries, from the header's first offset on, each with how many channels it goes to.
    pub(super) entries: Vec<(Place, u16)>,
    /// The channels of each entry, entry by entry: a place in `names`, and the entry before it.
    pub(super) links: Vec<(u32, Offset)>,
    pub(super) names: Vec<ByteString>,
    /// Each with the number of entries before it.
    pub(super) controls: Vec<(usize, Control)>,
    /// Where the group that was written last begins: its records say that what is before it was synced.
    pub(super) unproven: u64,
    /// Where its last whole append ends.
    pub(super) end: u64,
}

impl Scan {
    /// The offset of the entry after its last one.
    pub(super) fn next(&self, header: &Header) -> Offset {
        Offset::new(header.first.get() + self.entries.len() as u64)
    }
}

/// Reads a segment's records as long as they are whole and follow one another, and no entry from `before` on.
pub(super) fn scan(file: &Arc<dyn File>, header: &Header, before: Option<Offset>) -> io::Result<Scan> {
    let mut scanner = Scanner {
        header,
        before: before.unwrap_or(Offset::END),
        window: Window { file, length: file.len()?, begin: 0, bytes: Vec::new() },
        numbers: HashMap::default(),
        scan: Scan {
            entries: Vec::new(),
            links: Vec::new(),
            names: Vec::new(),
            controls: Vec::new(),
            unproven: HEADER as u64,
            end: HEADER as u64,
        },
        committed: Offset::START,
    };
    let mut at = HEADER as u64;
    // Entries of an append that has not ended yet.
    let mut whole = (0, 0, 0);
    while let Some((length, more)) = scanner.record(at)? {
        at += length;
        if !more {
            let Scan { entries, links, controls, .. } = &scanner.scan;
            whole = (entries.len(), links.len(), controls.len());
            scanner.scan.end = at;
        }
    }
    let mut scan = scanner.scan;
    scan.unproven = scan.unproven.min(scan.end);
    scan.entries.truncate(whole.0);
    scan.links.truncate(whole.1);
    scan.controls.truncate(whole.2);
    Ok(scan)
}

struct Scanner<'a> {
    header: &'a Header,
    before: Offset,
    window: Window<'a>,
    numbers: HashMap<ByteString, u32, foldhash::fast::RandomState>,
    scan: Scan,
    /// What the last record says to be committed.
    committed: Offset,
}

impl Scanner<'_> {
    /// Takes the record at a place, and answers how long it is, and whether its append goes on; `None` if there is none.
    fn record(&mut self, at: u64) -> io::Result<Option<(u64, bool)>> {
        let Some(bytes) = self.window.record(at)? else { return Ok(None) };
        let next = self.scan.next(self.header);
        let Some(record) = format::check(bytes, self.header.seed()).filter(|record| record.offset == next)
        else {
            return Ok(None);
        };
        let length = record.length as u64;
        if record.committed > self.committed {
            (self.committed, self.scan.unproven) = (record.committed, at);
        }
        let more = match record.content() {
            Some(Content::Entry(view)) if next < self.before => {
                let more = view.more;
                take_entry(&mut self.scan, &mut self.numbers, (at, length), &view);
                more
            }
            Some(Content::Control(control)) if control != Control::Mark => {
                self.scan.controls.push((self.scan.entries.len(), control));
                false
            }
            // A mark is the end: it is written over by what comes next.
            _ => return Ok(None),
        };
        Ok(Some((length, more)))
    }
}

fn take_entry(
    scan: &mut Scan,
    numbers: &mut HashMap<ByteString, u32, foldhash::fast::RandomState>,
    (at, length): (u64, u64),
    view: &View<'_>,
) {
    let channels = view.channels();
    scan.entries.push((Place::new(at as u32, length as u32, view.ingested), channels.len() as u16));
    for (name, previous) in channels {
        let number = numbers.get(name).copied().unwrap_or_else(|| {
            let (name, number) = (ByteString::from(name), scan.names.len() as u32);
            scan.names.push(name.clone());
            numbers.insert(name, number);
            number
        });
        scan.links.push((number, previous));
    }
}

/// The part of a file that is looked at.
struct Window<'a> {
    file: &'a Arc<dyn File>,
    length: u64,
    begin: u64,
    bytes: Vec<u8>,
}

impl Window<'_> {
    /// Bytes from a place on that have the length which a record there says it has; `None` if the file does not.
    fn record(&mut self, at: u64) -> io::Result<Option<&[u8]>> {
        let Some(head) = self.get(at, RECORD)? else { return Ok(None) };
        let Some(length) = format::declared_length(head) else { return Ok(None) };
        self.get(at, length)
    }

    fn get(&mut self, at: u64, length: usize) -> io::Result<Option<&[u8]>> {
        // Checked against the file before anything is made so long.
        if at + length as u64 > self.length {
            return Ok(None);
        }
        if at + length as u64 > self.begin + self.bytes.len() as u64 || at < self.begin {
            let read = (self.length - at).min(length.max(CHUNK) as u64) as usize;
            self.bytes.resize(read, 0);
            self.begin = at;
            let read = self.file.read_at(&mut self.bytes, at)?;
            self.bytes.truncate(read);
        }
        let begin = (at - self.begin) as usize;
        Ok(self.bytes.get(begin..begin + length))
    }
}

/// What stands behind the last whole append of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tail {
    /// Nothing.
    Clean,
    /// What was being written when the log ended, up to this place. Nothing says that it was acknowledged.
    Torn { end: u64 },
    /// Records that had been committed, as one of those behind them proves.
    Lost { end: u64 },
}

/// Looks at what is behind a segment's last whole append; the next entry would be `next`.
pub(super) fn tail(file: &Arc<dyn File>, header: &Header, from: u64, next: Offset) -> io::Result<Tail> {
    let Some(end) = end_of_data(file, from)? else { return Ok(Tail::Clean) };
    let seed = header.seed();
    if end <= from + RECORD as u64 && ends_with_mark(&read(file, from, RECORD as u64)?, seed, next) {
        return Ok(Tail::Clean);
    }
    // A record may end in zeros, so all that follows is looked at.
    let rest = read(file, from, file.len()?.saturating_sub(from))?;
    Ok(if proves_loss(&rest, seed, next) { Tail::Lost { end } } else { Tail::Torn { end } })
}

fn read(file: &Arc<dyn File>, from: u64, length: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length as usize];
    let read = file.read_at(&mut bytes, from)?;
    bytes.truncate(read);
    Ok(bytes)
}

/// A mark, with nothing behind it, is how an ordinary log ends.
fn ends_with_mark(bytes: &[u8], seed: u32, next: Offset) -> bool {
    let record = format::check(bytes, seed).filter(|record| record.offset == next);
    matches!(record.and_then(|record| record.content()), Some(Content::Control(Control::Mark)))
}

/// Whether a record among these bytes says that `next` had been committed when it was written. What would take too long to
/// find out is taken for proven.
fn proves_loss(bytes: &[u8], seed: u32, next: Offset) -> bool {
    let before = Offset::new(next.get().saturating_add(bytes.len() as u64));
    let mut budget = bytes.len().saturating_mul(16);
    let mut at = 0;
    while at + RECORD <= bytes.len() {
        let rest = &bytes[at..];
        if !format::is_likely(rest, next, before) {
            at += 1;
            continue;
        }
        let length = format::declared_length(rest).unwrap_or(1);
        let Some(left) = budget.checked_sub(length) else { return true };
        budget = left;
        match format::check(rest, seed) {
            Some(record) if record.committed >= next => return true,
            Some(record) => at += record.length,
            None => at += 1,
        }
    }
    false
}

/// The place behind the last byte of a file that is not zero; `None` if there is none from `from` on.
fn end_of_data(file: &Arc<dyn File>, from: u64) -> io::Result<Option<u64>> {
    let (mut at, mut end) = (from, None);
    let mut chunk = vec![0; CHUNK];
    loop {
        let read = file.read_at(&mut chunk, at)?;
        if let Some(last) = chunk[..read].iter().rposition(|byte| *byte != 0) {
            end = Some(at + last as u64 + 1);
        }
        at += read as u64;
        if read < chunk.len() {
            return Ok(end);
        }
    }
}

/// Whether nothing but zeros follows a file's header.
pub(super) fn is_unused(file: &Arc<dyn File>) -> io::Result<bool> {
    Ok(end_of_data(file, HEADER as u64)?.is_none())
}
