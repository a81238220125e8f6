//! What a log has to hold after whatever happened to it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytestring::ByteString;
use tenfour_delivery::loss::Count;
use tenfour_log::{
    AppendError, Bound, Completion, Entry, Epoch, Log, Offset, Page, Query, ReadError, Record, Retention,
    Ticket, WallTime, is_pinned,
};

use crate::script::CHANNELS;

/// What is wrong.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    /// The log does not keep what it promises.
    #[error("{0}")]
    Broken(String),
    /// The log could not be read. Whether it may be so is known to whoever gave orders to the disk.
    #[error("the log is unreadable: {0}")]
    Unreadable(ReadError),
}

pub(crate) type Verdict = Result<(), Fault>;

macro_rules! ensure {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            return Err(Fault::Broken(format!($($message)+)));
        }
    };
}
pub(crate) use ensure;

/// All that was asked of a log, and all that it ever showed, over its crashes.
pub(crate) struct Judge {
    retention: Retention,
    epoch: Option<Epoch>,
    /// What was acknowledged or read at some time. None of it may change, and no offset may be given again.
    shown: BTreeMap<Offset, Entry>,
    /// Those of them that were committed, as their successors prove, and trimmed before they were seen: what stood before
    /// them is a guess.
    unseen: BTreeSet<Offset>,
    /// What need not be there any more, by channel.
    may_go: BTreeSet<(ByteString, Offset)>,
    released: BTreeMap<ByteString, Offset>,
    /// Whether channels without entries may be forgotten.
    forgets: bool,
    /// Appends without an answer, in their order.
    pending: VecDeque<(Ticket, Vec<Record>)>,
    /// Appends of which nobody knows yet whether the log has them, in their order.
    doubtful: Vec<Vec<Record>>,
}

impl Judge {
    pub(crate) fn new(retention: Retention) -> Self {
        Self {
            forgets: retention.channels < CHANNELS.len(),
            retention,
            epoch: None,
            shown: BTreeMap::new(),
            unseen: BTreeSet::new(),
            may_go: BTreeSet::new(),
            released: BTreeMap::new(),
            pending: VecDeque::new(),
            doubtful: Vec::new(),
        }
    }

    /// The channel's newest entry that the log showed, but for so many.
    pub(crate) fn newest(&self, channel: &str, skipped: usize) -> Option<Offset> {
        self.of(channel).rev().map(|entry| entry.offset).nth(skipped)
    }

    /// The disk may refuse to have written down which channels there were.
    pub(crate) fn troubled(&mut self) {
        self.forgets = true;
    }

    pub(crate) fn asked(&mut self, ticket: Ticket, records: Vec<Record>) {
        self.pending.push_back((ticket, records));
    }

    pub(crate) fn released(&mut self, channel: &str, through: Offset) {
        let released = self.released.entry(channel.into()).or_insert(Offset::START);
        *released = through.max(*released);
        self.note_what_may_go(None);
    }

    pub(crate) fn trimmed(&mut self, now: WallTime) {
        self.note_what_may_go(Some(now));
    }

    /// The process has ended: what was not answered never will be.
    pub(crate) fn ended(&mut self) {
        self.doubtful.extend(self.pending.drain(..).map(|(_, records)| records));
    }

    /// Whether an append waits for its answer.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Judges an answer, which says `Failed` or `Refused` only if something was done to the disk.
    pub(crate) fn answered(&mut self, completion: Completion) -> Verdict {
        let Some((ticket, records)) = self.pending.pop_front() else {
            return Err(Fault::Broken(format!("{completion:?} answers nothing")));
        };
        ensure!(completion.ticket == ticket, "{:?} was answered before {ticket:?}", completion.ticket);
        match completion.result {
            Ok(entries) => self.committed(entries, &records),
            Err(AppendError::Refused { .. }) => Ok(()),
            Err(_) => {
                self.doubtful.push(records);
                Ok(())
            }
        }
    }

    fn committed(&mut self, entries: Vec<Entry>, records: &[Record]) -> Verdict {
        ensure!(self.doubtful.is_empty(), "an append succeeds after one that failed: {entries:?}");
        ensure!(entries.len() == records.len(), "{} entries for {} records", entries.len(), records.len());
        for (entry, record) in entries.into_iter().zip(records) {
            ensure!(entry.record == *record, "{record:?} became {entry:?}");
            self.show(entry)?;
        }
        Ok(())
    }

    /// An entry is seen for the first time.
    fn show(&mut self, entry: Entry) -> Verdict {
        let last = self.last();
        ensure!(entry.offset > last, "{} was given again, or later than {last}", entry.offset);
        for (place, name) in entry.record.channels.iter().enumerate() {
            let (named, before) = (entry.previous.get(place), self.head(name));
            // A channel that was forgotten begins anew, somewhere after what it had.
            let is_true = named == Some(&before)
                || self.forgets && named > Some(&before) && named < Some(&entry.offset);
            ensure!(is_true, "{entry:?} names {named:?} in {name:?}, where {before} was before");
        }
        self.shown.insert(entry.offset, entry);
        self.note_what_may_go(None);
        Ok(())
    }

    /// Judges what a log holds that was just opened.
    pub(crate) fn reopened<L: Log>(&mut self, log: &L) -> Verdict {
        let epoch = *self.epoch.get_or_insert(log.epoch());
        ensure!(log.epoch() == epoch, "the epoch {epoch} became {}", log.epoch());
        let mut unknown = VecDeque::new();
        for entry in read_all(log, &[])?.0 {
            let seen_now = self.unseen.remove(&entry.offset);
            match self.shown.get_mut(&entry.offset) {
                // What was trimmed may be back after a crash.
                Some(guess) if seen_now && guess.record == entry.record => *guess = entry,
                Some(shown) => ensure!(*shown == entry, "{shown:?} became {entry:?}"),
                None => unknown.push_back(entry),
            }
        }
        // Those that are there are the first, each whole; the others are gone for good.
        let head = log.head().get();
        for records in std::mem::take(&mut self.doubtful) {
            let last = self.last().get();
            if last == head {
                break;
            }
            ensure!(last + records.len() as u64 <= head, "{head} ends a part of {records:?}");
            for record in records {
                let next = Offset::new(self.last().get() + 1);
                let entry = match unknown.pop_front_if(|entry| entry.offset == next) {
                    Some(entry) => entry,
                    // Committed, and already trimmed: whether that may be is seen below.
                    None => {
                        self.unseen.insert(next);
                        Entry { offset: next, previous: self.previous(&record), record: record.clone() }
                    }
                };
                ensure!(entry.record == record, "{record:?} became {entry:?}");
                self.show(entry)?;
            }
        }
        ensure!(unknown.is_empty(), "nobody asked for {unknown:?}, or it was gone");
        self.check(log)
    }

    /// Judges what a log holds.
    pub(crate) fn check<L: Log>(&self, log: &L) -> Verdict {
        let last = self.last();
        ensure!(log.head() == last, "the head is {}, {last} was shown last", log.head());
        let (all, _) = read_all(log, &[])?;
        for entry in &all {
            ensure!(self.shown.get(&entry.offset) == Some(entry), "{entry:?} was never committed so");
        }
        let all: BTreeSet<Offset> = all.into_iter().map(|entry| entry.offset).collect();
        for name in CHANNELS {
            let held = self.check_channel(log, name)?;
            let missing: Vec<_> = held.difference(&all).collect();
            ensure!(missing.is_empty(), "{missing:?} of {name:?} are not among all");
        }
        Ok(())
    }

    /// What the channel has after its history's beginning is there, and linked; what is before may have gone.
    fn check_channel<L: Log>(&self, log: &L, name: &'static str) -> Result<BTreeSet<Offset>, Fault> {
        let history = log.history(name);
        let (read, first) = read_all(log, &[name])?;
        ensure!(first.history == history, "{name:?}: {:?} in a page, {history:?}", first.history);
        let head = self.head(name);
        let is_forgotten = self.forgets && history.trimmed == history.head && history.head > head;
        ensure!(history.head == head || is_forgotten, "the head of {name:?} is {}, not {head}", history.head);
        ensure!(history.trimmed <= history.head, "{name:?} has {history:?}");
        let (gone, held): (Vec<&Entry>, Vec<&Entry>) =
            self.of(name).partition(|entry| entry.offset <= history.trimmed);
        for entry in &gone {
            let may_go = self.may_go.contains(&(name.into(), entry.offset));
            ensure!(may_go, "{name:?} lost {}: {history:?}", entry.offset);
        }
        ensure!(read.iter().eq(held.iter().copied()), "{name:?} has {read:?}, not {held:?}");
        let mut chain = history.trimmed;
        for entry in &read {
            let previous = entry.previous_in(name);
            ensure!(
                previous == Some(chain),
                "{} in {name:?} follows {previous:?}, not {chain}",
                entry.offset
            );
            chain = entry.offset;
        }
        match first.lost.map(|lost| (lost.range.through, lost.count)) {
            None => ensure!(history.trimmed == Offset::START, "no loss is told: {history:?}"),
            Some((through, count)) => {
                ensure!(through == history.trimmed, "the loss ends at {through}: {history:?}");
                let is_true = match count {
                    Count::Exact(count) => count == gone.len() as u64,
                    Count::AtLeast(count) => count <= gone.len() as u64,
                };
                ensure!(is_true, "{name:?} lost {}, not {count:?}", gone.len());
            }
        }
        Ok(read.into_iter().map(|entry| entry.offset).collect())
    }

    fn last(&self) -> Offset {
        self.shown.last_key_value().map_or(Offset::START, |(offset, _)| *offset)
    }

    fn head(&self, channel: &str) -> Offset {
        self.of(channel).next_back().map_or(Offset::START, |entry| entry.offset)
    }

    /// What stands before a new entry in its channels.
    fn previous(&self, record: &Record) -> Vec<Offset> {
        record.channels.iter().map(|name| self.head(name)).collect()
    }

    fn of<'a>(&'a self, channel: &'a str) -> impl DoubleEndedIterator<Item = &'a Entry> {
        self.shown.values().filter(move |entry| entry.record.channels.iter().any(|name| *name == channel))
    }

    /// An entry may leave a channel if those from it on are over a bound, there or in all, or if it is old. A pinned
    /// channel loses only what was released.
    fn note_what_may_go(&mut self, now: Option<WallTime>) {
        let is_over = |bound: Bound, entries: &mut dyn Iterator<Item = &Entry>| {
            let (count, bytes) =
                entries.fold((0, 0), |(count, bytes), entry| (count + 1, bytes + cost(entry)));
            count > bound.messages || bytes > bound.bytes
        };
        let mut going = Vec::new();
        for (offset, entry) in &self.shown {
            let later = || self.shown.range(offset..).map(|(_, entry)| entry);
            let is_old = now.zip(self.retention.age).is_some_and(|(now, age)| {
                let passed = now.as_unix_millis().saturating_sub(entry.record.ingested.as_unix_millis());
                u128::from(passed) > age.as_millis()
            });
            let leaves_all = is_old || is_over(self.retention.total, &mut later());
            for name in &entry.record.channels {
                let leaves = match is_pinned(name) {
                    true => self.released.get(name).is_some_and(|through| offset <= through),
                    // A channel may be forgotten with all that it had.
                    false if self.retention.channels < CHANNELS.len() => true,
                    false => {
                        let mut of = later().filter(|later| later.record.channels.contains(name));
                        leaves_all || is_over(self.retention.channel, &mut of)
                    }
                };
                if leaves {
                    going.push((name.clone(), *offset));
                }
            }
        }
        self.may_go.extend(going);
    }
}

/// As [`Retention`] counts.
fn cost(entry: &Entry) -> usize {
    let channels: usize = entry.record.channels.iter().map(|name| name.len() + 64).sum();
    entry.record.payload.len() + 224 + channels
}

/// Reads some channels, or all, from the beginning, by pages of three, and answers the first page without its entries.
fn read_all<L: Log>(log: &L, channels: &[&'static str]) -> Result<(Vec<Entry>, Page), Fault> {
    let channels = channels.iter().copied().map(ByteString::from_static).collect();
    let mut query = Query { messages: 3, ..Query::of_any(channels, Offset::START) };
    let mut entries: Vec<Entry> = Vec::new();
    let mut first = None;
    loop {
        let mut page = log.read(&query).map_err(Fault::Unreadable)?;
        entries.append(&mut page.entries);
        let (more, after) = (page.more, entries.last().map_or(Offset::START, |entry| entry.offset));
        let first = first.get_or_insert(page).clone();
        if !more {
            return Ok((entries, first));
        }
        ensure!(after > query.after, "a page has no entries, and says that there are more: {first:?}");
        query.after = after;
    }
}
