//! A log that ends with its process.

use std::{
    collections::{BTreeMap, VecDeque},
    ops::Bound::{Excluded, Included, Unbounded},
};

use bytestring::ByteString;
use tenfour_delivery::{
    loss::Count,
    number::{Epoch, Offset},
    resume::History,
    time::WallTime,
};

use crate::{
    Completion, Entry, Log, Page, Query, ReadError, Record, Retention, Ticket,
    channel::Channel,
    check_names, is_pinned,
    retention::{cost, cost_of, is_older},
    shelf::{Shelf, loss, merge},
};

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
    /// What the retention may trim.
    entries: BTreeMap<Offset, Box<Held>>,
    /// What only pinned channels hold.
    pinned: BTreeMap<Offset, Box<Held>>,
    /// The last offset whose entry nobody holds.
    gone: Offset,
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
    /// How many of its channels have not trimmed it: those that retention trims, and those that are pinned.
    holders: usize,
    pins: usize,
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
            pinned: BTreeMap::new(),
            gone: Offset::START,
            bytes: 0,
            channels: BTreeMap::new(),
            recency: BTreeMap::new(),
            forgotten: Offset::START,
            pending: VecDeque::new(),
        }
    }

    /// How many entries it holds, those that only pinned channels hold with them.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len() + self.pinned.len()
    }

    /// Whether it holds no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of the entries that it holds and that retention may trim, as [`Retention`] counts them.
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
        let pins = entry.record.channels.iter().filter(|name| is_pinned(name)).count();
        let holders = entry.record.channels.len() - pins;
        self.entries.insert(offset, Box::new(Held { entry: entry.clone(), holders, pins }));
        if holders == 0 && pins > 0 {
            self.retire(offset);
        }
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

    /// Forgets channels until there is room for one more, but none that the entry at `offset` goes to, and none that is
    /// pinned: their recency has no place among those that can be forgotten.
    fn make_room(&mut self, offset: Offset) {
        while self.channels.len() >= self.retention.channels.max(1) {
            let mut oldest = self.recency.iter().take_while(|((head, _), _)| *head < offset);
            let Some((&at, _)) = oldest.find(|(_, name)| !is_pinned(name)) else { return };
            let Some(name) = self.recency.remove(&at) else { return };
            let Some(channel) = self.channels.remove(&name) else { return };
            self.forgotten = self.forgotten.max(channel.head());
            for (offset, _) in channel.held() {
                self.let_go(offset);
            }
        }
    }

    fn keep_bounds(&mut self, newest: &Entry) {
        for name in newest.record.channels.iter().filter(|name| !is_pinned(name)) {
            while let Some(offset) =
                self.channels.get_mut(name).and_then(|channel| channel.trim_over(self.retention.channel))
            {
                self.let_go(offset);
            }
        }
        while self.entries.len() > 1 && self.retention.total.is_passed(self.entries.len(), self.bytes) {
            self.trim_oldest();
        }
    }

    /// Takes the oldest entry that retention may trim out of all channels that are not pinned.
    fn trim_oldest(&mut self) {
        let Some(oldest) = self.entries.first_entry() else { return };
        let offset = *oldest.key();
        for name in oldest.get().entry.record.channels.iter().filter(|name| !is_pinned(name)) {
            if let Some(channel) = self.channels.get_mut(name) {
                channel.trim_through(offset);
            }
        }
        self.retire(offset);
    }

    /// A channel that retention trims no longer has the entry.
    fn let_go(&mut self, offset: Offset) {
        let Some(held) = self.entries.get_mut(&offset) else { return };
        held.holders -= 1;
        if held.holders == 0 {
            self.retire(offset);
        }
    }

    /// No channel that retention trims has the entry.
    fn retire(&mut self, offset: Offset) {
        let Some(held) = self.entries.remove(&offset) else { return };
        self.bytes -= cost_of(&held.entry);
        if held.pins > 0 {
            self.pinned.insert(offset, held);
        } else {
            self.gone = self.gone.max(offset);
        }
    }

    /// A pinned channel no longer has the entry.
    fn unpin(&mut self, offset: Offset) {
        let at = if self.pinned.contains_key(&offset) { &mut self.pinned } else { &mut self.entries };
        let Some(held) = at.get_mut(&offset) else { return };
        held.pins -= 1;
        if held.pins == 0 && self.pinned.remove(&offset).is_some() {
            self.gone = self.gone.max(offset);
        }
    }

    fn entry(&self, offset: Offset) -> Option<&Entry> {
        let held = self.entries.get(&offset).or_else(|| self.pinned.get(&offset))?;
        Some(&held.entry)
    }

    /// What is known of all channels together: what is gone before the first entry that may be trimmed.
    fn history_of_all(&self) -> History {
        let first = self.entries.first_key_value().map(|(offset, _)| *offset);
        let trimmed = first.map_or(self.gone, |first| self.gone.min(Offset::new(first.get() - 1)));
        History { epoch: self.epoch, trimmed, head: self.head }
    }

    fn page(&self, query: &Query, offsets: impl Iterator<Item = Offset>, history: History) -> Page {
        let through = query.through.unwrap_or(Offset::END);
        let mut offsets = offsets.take_while(|offset| *offset <= through).peekable();
        let mut entries: Vec<Entry> = Vec::new();
        let mut bytes = 0_usize;
        while entries.len() < query.messages
            && let Some(entry) = offsets.peek().and_then(|offset| self.entry(*offset))
        {
            bytes = bytes.saturating_add(entry.record.payload.len());
            if bytes > query.bytes && !entries.is_empty() {
                break;
            }
            entries.push(entry.clone());
            offsets.next();
        }
        Page { entries, more: offsets.peek().is_some(), lost: None, history }
    }

    fn read_channels(&self, query: &Query) -> Page {
        let history = self.state_of_all(&query.channels);
        let offsets = self.offsets_of(&query.channels, query.after);
        Page { lost: self.loss_of(query, history), ..self.page(query, offsets, history) }
    }

    fn read_all(&self, query: &Query) -> Page {
        let history = self.history_of_all();
        let after = (Excluded(query.after), Unbounded);
        let lost = loss(query, history, |lost| {
            let kept = self.pinned.range((Excluded(lost.after), Included(lost.through)));
            Count::Exact(lost.span() - kept.count() as u64)
        });
        let maps = [&self.entries, &self.pinned].into_iter();
        let offsets = merge(maps.map(|entries| entries.range(after).map(|(offset, _)| *offset)));
        Page { lost, ..self.page(query, offsets, history) }
    }
}

impl Shelf for Memory {
    fn life(&self) -> Epoch {
        self.epoch
    }

    fn channel(&self, name: &str) -> Option<&Channel> {
        self.channels.get(name)
    }

    fn forgotten(&self) -> Offset {
        self.forgotten
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
            check_names(&records).map(|()| records.into_iter().map(|record| self.commit(record)).collect());
        Some(Completion { ticket, result })
    }

    fn read(&self, query: &Query) -> Result<Page, ReadError> {
        Ok(if query.channels.is_empty() { self.read_all(query) } else { self.read_channels(query) })
    }

    fn history(&self, channel: &str) -> History {
        self.state_of(channel)
    }

    fn trim(&mut self, now: WallTime) {
        let Some(age) = self.retention.age else { return };
        while self
            .entries
            .first_key_value()
            .is_some_and(|(_, held)| is_older(held.entry.record.ingested, age, now))
        {
            self.trim_oldest();
        }
    }

    fn release(&mut self, channel: &str, through: Offset) {
        let is_pinned = is_pinned(channel);
        while let Some(offset) = self.channels.get_mut(channel).and_then(|of| of.trim_next(through)) {
            if is_pinned { self.unpin(offset) } else { self.let_go(offset) }
        }
    }
}

#[cfg(test)]
mod tests;
