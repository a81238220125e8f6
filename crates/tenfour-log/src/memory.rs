//! A log that ends with its process.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use bytestring::ByteString;
use tenfour_delivery::{
    loss::{Count, Lost, OffsetRange, Reason},
    number::{Epoch, Offset},
    resume::History,
    time::WallTime,
};

use self::channel::Channel;
use crate::{
    AppendError, Completion, Entry, Log, Page, Query, ReadError, Record, Retention, Ticket,
    retention::{cost, cost_of},
};

mod channel;
mod gone;

/// The log in memory: durable as long as the process lives.
///
/// An append is committed when its answer is polled, so a test delays a commit by polling later. Offsets are dense.
/// Restarted, it is another log: give it an epoch that none before it had, so that cursors of the lost one are known
/// for what they are.
///
/// Appending costs a search among the channels' names and among the entries; reading, a search and the entries that are
/// read; trimming, what is trimmed. A channel's name is copied when the channel is new; a payload is kept as it came, so
/// one that was cut out of a larger buffer keeps all of that.
///
/// # Channels that are forgotten
/// A channel that lost all its entries to trimming stays, with the offsets of what is gone, since a subscriber may come
/// back for it. Over [`Retention::channels`] the one with the oldest head is forgotten, and what remains of all that are
/// forgotten is the last of their heads. A channel that the log does not know may be one of them, so its history says
/// that it is trimmed up to there, and a reader from before is told of a loss of [`Count::AtLeast`] 0: it cannot be
/// known, and is not kept silent. A reader that was there after that offset is not affected.
#[derive(Clone, Debug, Hash)]
pub struct Memory {
    epoch: Epoch,
    retention: Retention,
    head: Offset,
    entries: BTreeMap<Offset, Box<Held>>,
    bytes: usize,
    channels: BTreeMap<ByteString, Channel>,
    /// The channels by their heads, the place in the entry's list telling those of one entry apart.
    recency: BTreeMap<(Offset, usize), ByteString>,
    /// The last head of a channel that was forgotten.
    forgotten: Offset,
    /// Appends whose answers were not polled.
    pending: VecDeque<(Ticket, Vec<Record>)>,
}

#[derive(Clone, Debug, Hash)]
struct Held {
    entry: Entry,
    /// How many of its channels have not trimmed it.
    holders: usize,
}

impl Memory {
    /// An empty log.
    #[must_use]
    pub fn new(epoch: Epoch, retention: Retention) -> Self {
        Self {
            epoch,
            retention,
            head: Offset::START,
            entries: BTreeMap::new(),
            bytes: 0,
            channels: BTreeMap::new(),
            recency: BTreeMap::new(),
            forgotten: Offset::START,
            pending: VecDeque::new(),
        }
    }

    /// How many entries it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether it holds no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes of the entries that it holds, as [`Retention`] counts them.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many channels it remembers.
    #[must_use]
    pub fn channels(&self) -> usize {
        self.channels.len()
    }

    fn commit(&mut self, mut record: Record) -> Entry {
        let offset = Offset::new(self.head.get() + 1);
        let cost = cost(&record);
        let names = record.channels.iter_mut().enumerate();
        let previous = names.map(|(place, name)| self.advance(name, (offset, place), cost)).collect();
        let entry = Entry { offset, previous, record };
        self.head = offset;
        self.bytes += cost;
        let holders = entry.record.channels.len();
        self.entries.insert(offset, Box::new(Held { entry: entry.clone(), holders }));
        self.keep_bounds(&entry);
        entry
    }

    /// Moves a channel's head, and answers the one before. The name becomes the one that the channel is known by, which
    /// all its entries share: it may have been cut out of a larger buffer, which would be kept with it.
    fn advance(&mut self, name: &mut ByteString, to: (Offset, usize), cost: usize) -> Offset {
        let known = self.channels.get(name).and_then(Channel::recency);
        *name = match known.and_then(|head| self.recency.remove(&head)) {
            Some(known) => known,
            None => {
                self.make_room(to.0);
                ByteString::from(&**name)
            }
        };
        self.recency.insert(to, name.clone());
        let born = self.forgotten;
        self.channels.entry(name.clone()).or_insert_with(|| Channel::new(born)).push(to, cost)
    }

    /// Forgets channels until there is room for one more, but none that the entry at `offset` goes to.
    fn make_room(&mut self, offset: Offset) {
        while self.channels.len() >= self.retention.channels.max(1) {
            let Some(oldest) = self.recency.first_entry().filter(|oldest| oldest.key().0 < offset) else {
                return;
            };
            let name = oldest.remove();
            let Some(channel) = self.channels.remove(&name) else { return };
            self.forgotten = self.forgotten.max(channel.head());
            for (offset, _) in channel.held() {
                self.release(offset);
            }
        }
    }

    fn keep_bounds(&mut self, newest: &Entry) {
        for name in &newest.record.channels {
            while let Some(offset) =
                self.channels.get_mut(name).and_then(|channel| channel.trim_over(self.retention.channel))
            {
                self.release(offset);
            }
        }
        while self.entries.len() > 1 && self.retention.total.is_passed(self.entries.len(), self.bytes) {
            self.trim_oldest();
        }
    }

    /// Takes the oldest entry out of the log and all its channels.
    fn trim_oldest(&mut self) {
        let Some((offset, held)) = self.entries.pop_first() else { return };
        self.bytes -= cost_of(&held.entry);
        for name in &held.entry.record.channels {
            if let Some(channel) = self.channels.get_mut(name) {
                channel.trim_through(offset);
            }
        }
    }

    /// A channel no longer has the entry.
    fn release(&mut self, offset: Offset) {
        let Some(held) = self.entries.get_mut(&offset) else { return };
        held.holders -= 1;
        if held.holders == 0 {
            self.bytes -= cost_of(&held.entry);
            self.entries.remove(&offset);
        }
    }

    /// What is known of all channels together: the offsets are dense, so what is gone before the first entry is counted.
    fn history_of_all(&self) -> History {
        let first = self.entries.first_key_value().map(|(offset, _)| *offset);
        let trimmed = first.map_or(self.head, |first| Offset::new(first.get() - 1));
        History { epoch: self.epoch, trimmed, head: self.head }
    }

    fn page(&self, query: &Query, offsets: impl Iterator<Item = Offset>, history: History) -> Page {
        let through = query.through.unwrap_or(Offset::END);
        let mut offsets = offsets.take_while(|offset| *offset <= through).peekable();
        let mut entries: Vec<Entry> = Vec::new();
        let mut bytes = 0_usize;
        while entries.len() < query.messages
            && let Some(held) = offsets.peek().and_then(|offset| self.entries.get(offset))
        {
            bytes = bytes.saturating_add(held.entry.record.payload.len());
            if bytes > query.bytes && !entries.is_empty() {
                break;
            }
            entries.push(held.entry.clone());
            offsets.next();
        }
        Page { entries, more: offsets.peek().is_some(), lost: None, history }
    }

    fn read_channel(&self, query: &Query, name: &ByteString) -> Page {
        let history = self.history(name);
        let channel = self.channels.get(name);
        let offsets = channel.into_iter().flat_map(|channel| channel.after(query.after));
        let known = |lost: OffsetRange| match channel {
            Some(channel) => channel.count_gone(lost),
            None => Count::AtLeast(0),
        };
        let lost = gone(query, history.trimmed, known);
        Page { lost, ..self.page(query, offsets, history) }
    }

    fn read_all(&self, query: &Query) -> Page {
        let history = self.history_of_all();
        let lost = gone(query, history.trimmed, |lost| Count::Exact(lost.span()));
        let after = (std::ops::Bound::Excluded(query.after), std::ops::Bound::Unbounded);
        let offsets = self.entries.range(after).map(|(offset, _)| *offset);
        Page { lost, ..self.page(query, offsets, history) }
    }
}

impl Log for Memory {
    fn epoch(&self) -> Epoch {
        self.epoch
    }

    fn head(&self) -> Offset {
        self.head
    }

    fn append(&mut self, ticket: Ticket, records: Vec<Record>) {
        self.pending.push_back((ticket, records));
    }

    fn poll(&mut self) -> Option<Completion> {
        let (ticket, records) = self.pending.pop_front()?;
        let result =
            check(&records).map(|()| records.into_iter().map(|record| self.commit(record)).collect());
        Some(Completion { ticket, result })
    }

    fn read(&self, query: &Query) -> Result<Page, ReadError> {
        Ok(match &query.channel {
            Some(name) => self.read_channel(query, name),
            None => self.read_all(query),
        })
    }

    fn history(&self, channel: &str) -> History {
        let (trimmed, head) = match self.channels.get(channel) {
            Some(channel) => (channel.trimmed(), channel.head()),
            None => (self.forgotten, self.forgotten),
        };
        History { epoch: self.epoch, trimmed, head }
    }

    fn trim(&mut self, now: WallTime) {
        let Some(age) = self.retention.age else { return };
        while self.entries.first_key_value().is_some_and(|(_, held)| is_older(&held.entry, age, now)) {
            self.trim_oldest();
        }
    }
}

/// A channel that stands twice in a record would be its own predecessor.
fn check(records: &[Record]) -> Result<(), AppendError> {
    let repeated = records.iter().find_map(|record| {
        let names = record.channels.iter().enumerate();
        names.into_iter().find(|(place, name)| record.channels[..*place].contains(name))
    });
    match repeated {
        None => Ok(()),
        Some((_, name)) => {
            Err(AppendError::Refused { reason: format!("a record names the channel {name:?} twice") })
        }
    }
}

/// The loss of a reader that is behind what is trimmed.
fn gone(query: &Query, trimmed: Offset, count: impl FnOnce(OffsetRange) -> Count) -> Option<Lost> {
    let through = query.through.map_or(trimmed, |through| trimmed.min(through));
    let range = OffsetRange { after: query.after, through };
    (!range.is_empty()).then(|| Lost { range, count: count(range), reason: Reason::Retention })
}

fn is_older(entry: &Entry, age: Duration, now: WallTime) -> bool {
    let ingested = Duration::from_millis(entry.record.ingested.as_unix_millis());
    Duration::from_millis(now.as_unix_millis()).saturating_sub(ingested) > age
}

#[cfg(test)]
mod tests;
