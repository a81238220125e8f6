//! Reading pages: neighbours are read at once, and what was committed last is still in memory.

use std::{collections::VecDeque, iter::Peekable, ops::Range};

use bytestring::ByteString;
use tenfour_delivery::{loss::Count, number::Offset, resume::History};

use super::{
    format::{self, Content, View},
    index::{Index, Place, Segment},
    segment,
};
use crate::{
    Entry, Page, Query, ReadError,
    retention::cost_of,
    shelf::{Shelf, loss},
};

/// Offsets that are looked up together.
const BATCH: usize = 256;

/// Entries so close to one another are read at once, together with what lies between them.
const GAP: u64 = 8 * 1024;

/// So many bytes are read at once, unless one entry is larger.
const RUN: u64 = 256 * 1024;

/// The entries that were committed last, all of them.
#[derive(Debug)]
pub(super) struct Tail {
    entries: VecDeque<Entry>,
    bytes: usize,
    limit: usize,
}

impl Tail {
    pub(super) fn new(limit: usize) -> Self {
        Self { entries: VecDeque::new(), bytes: 0, limit }
    }

    pub(super) fn push(&mut self, entry: Entry) {
        self.bytes += cost_of(&entry);
        self.entries.push_back(entry);
        while self.bytes > self.limit
            && let Some(oldest) = self.entries.pop_front()
        {
            self.bytes -= cost_of(&oldest);
        }
    }

    fn get(&self, offset: Offset) -> Option<&Entry> {
        let first = self.entries.front()?.offset;
        self.entries.get(usize::try_from(offset.get().checked_sub(first.get())?).ok()?)
    }
}

/// What is read from.
pub(super) struct Reader<'a> {
    pub(super) index: &'a Index,
    pub(super) tail: &'a Tail,
}

impl<'a> Reader<'a> {
    pub(super) fn read(&self, query: &Query) -> Result<Page, ReadError> {
        let names = &query.channels;
        if names.is_empty() {
            let Index { epoch, head, .. } = *self.index;
            let history = History { epoch, trimmed: self.index.trimmed(), head };
            let lost = loss(query, history, |range| {
                Count::Exact(range.span() - self.index.held_in(range.after, range.through) as u64)
            });
            return self.page(query, self.index.offsets(query.after), Page { lost, ..empty(history) });
        }
        let history = self.index.state_of_all(names);
        let lost = self.index.loss_of(query, history);
        self.page(query, self.index.offsets_of(names, query.after), Page { lost, ..empty(history) })
    }

    fn page(
        &self,
        query: &Query,
        offsets: impl Iterator<Item = Offset>,
        mut page: Page,
    ) -> Result<Page, ReadError> {
        let through = query.through.unwrap_or(Offset::END);
        let mut offsets = offsets.take_while(|offset| *offset <= through).peekable();
        let mut filling = Filling { query, entries: Vec::new(), bytes: 0, is_full: query.messages == 0 };
        let mut unread = 0;
        while !filling.is_full && offsets.peek().is_some() {
            let batch: Vec<_> = next_batch(&mut offsets, query.messages - filling.entries.len());
            let before = filling.entries.len();
            self.fill(&batch, &mut filling)?;
            unread = batch.len() - (filling.entries.len() - before);
        }
        page.more = unread > 0 || offsets.peek().is_some();
        page.entries = filling.entries;
        Ok(page)
    }

    /// Reads entries, until the page is full.
    fn fill(&self, batch: &[Offset], page: &mut Filling<'_>) -> Result<(), ReadError> {
        let mut at = 0;
        while at < batch.len() && !page.is_full {
            if let Some(entry) = self.tail.get(batch[at]) {
                page.push(entry.record.payload.len(), || entry.clone());
                at += 1;
                continue;
            }
            let run = self.run(&batch[at..], page.query.bytes.saturating_sub(page.bytes) as u64);
            at += run.offsets;
            self.fill_run(&run, &batch[at - run.offsets..at], page)?;
        }
        Ok(())
    }

    /// How many of these entries to read at once.
    fn run(&self, batch: &[Offset], wanted: u64) -> Run<'a> {
        let mut run = Run { segment: None, bytes: 0..0, offsets: 0 };
        for &offset in batch {
            let (Some(place), Some(segment)) = (self.index.place(offset), self.index.segment(offset)) else {
                break;
            };
            let bytes = bytes_of(place);
            if run.offsets == 0 {
                (run.segment, run.bytes) = (Some(segment), bytes);
            } else {
                let is_same = run.segment.is_some_and(|first| first.id == segment.id);
                let is_near =
                    is_same && bytes.start <= run.bytes.end + GAP && bytes.end - run.bytes.start <= RUN;
                let is_wanted = run.bytes.end - run.bytes.start < wanted;
                if !is_near || !is_wanted || self.tail.get(offset).is_some() {
                    break;
                }
                run.bytes.end = bytes.end;
            }
            run.offsets += 1;
        }
        run.offsets = run.offsets.max(1);
        run
    }

    fn fill_run(&self, run: &Run<'_>, batch: &[Offset], page: &mut Filling<'_>) -> Result<(), ReadError> {
        let Some(segment) = run.segment else {
            return Err(ReadError::Failed { reason: format!("no entry is known at {}", batch[0]) });
        };
        let name = || segment::name(segment.id);
        let mut bytes = vec![0; (run.bytes.end - run.bytes.start) as usize];
        let read = segment.file.read_at(&mut bytes, run.bytes.start);
        read.map_err(|error| ReadError::Failed { reason: format!("{}: {error}", name()) })?;
        for &offset in batch {
            if page.is_full {
                break;
            }
            let place = self.index.place(offset);
            let at = place.map_or(0, |place| u64::from(place.at).saturating_sub(run.bytes.start));
            let view = bytes.get(at as usize..).and_then(|record| view(record, segment.seed, offset));
            let Some(view) = view else {
                let at = at + run.bytes.start;
                return Err(ReadError::Failed { reason: format!("{} is damaged at byte {at}", name()) });
            };
            page.push(view.payload_length(), || view.to_entry(offset, |name| self.name(name)));
        }
        Ok(())
    }

    /// A name that all entries of the channel share.
    fn name(&self, name: &str) -> ByteString {
        let number = self.index.channels.find(name);
        let slot = number.and_then(|number| self.index.channels.get(number));
        slot.map_or_else(|| name.into(), |slot| slot.name.clone())
    }
}

/// Bytes that are read at once, and how many entries of a batch they hold.
#[derive(Debug)]
struct Run<'a> {
    segment: Option<&'a Segment>,
    bytes: Range<u64>,
    offsets: usize,
}

/// A page on its way.
struct Filling<'a> {
    query: &'a Query,
    entries: Vec<Entry>,
    bytes: usize,
    is_full: bool,
}

impl Filling<'_> {
    /// Takes an entry unless it is over the bound.
    fn push(&mut self, payload: usize, entry: impl FnOnce() -> Entry) {
        let bytes = self.bytes.saturating_add(payload);
        if bytes > self.query.bytes && !self.entries.is_empty() {
            self.is_full = true;
            return;
        }
        self.bytes = bytes;
        self.entries.push(entry());
        self.is_full = self.entries.len() >= self.query.messages;
    }
}

fn next_batch(offsets: &mut Peekable<impl Iterator<Item = Offset>>, at_most: usize) -> Vec<Offset> {
    offsets.take(at_most.min(BATCH)).collect()
}

fn empty(history: History) -> Page {
    Page { entries: Vec::new(), more: false, lost: None, history }
}

fn bytes_of(place: &Place) -> Range<u64> {
    let at = u64::from(place.at);
    at..at + u64::from(place.length)
}

/// The entry that a record holds, if it is whole and the one at this offset.
fn view(record: &[u8], seed: u32, offset: Offset) -> Option<View<'_>> {
    let record = format::check(record, seed).filter(|record| record.offset == offset)?;
    match record.content()? {
        Content::Entry(view) => Some(view),
        Content::Control(_) => None,
    }
}
