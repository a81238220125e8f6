//! The server's log: in memory or on a disk, with answers that take their time.

use core::{cell::Cell, fmt, time::Duration};
use std::collections::VecDeque;

use tenfour_delivery::{
    log::{AppendError, ReadError, Ticket},
    number::{Epoch, Offset},
    time::{Instant, WallTime},
};
use tenfour_log::{Completion, Entry, Log, Memory, Page, Query, Record};
use tenfour_node::hub::LogPort;

use super::{ChannelId, Fact, Invariant, MessageId, client::channel_name, judge::Verdict};

/// What keeps a log's entries.
pub(crate) trait Store: Log + fmt::Debug {
    /// How much of what was asked for is committed at a time.
    fn group(&self) -> Group {
        Group::One
    }

    /// Commits what was handed over.
    fn commit(&mut self) {}

    /// Whether the machine has power. A process without power learns nothing more.
    fn is_powered(&self) -> bool {
        true
    }
}

impl Store for Memory {}

impl<S: Store + ?Sized> Store for Box<S> {
    fn group(&self) -> Group {
        (**self).group()
    }

    fn commit(&mut self) {
        (**self).commit();
    }

    fn is_powered(&self) -> bool {
        (**self).is_powered()
    }
}

/// How much is committed at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Group {
    /// One append.
    One,
    /// Whatever has been handed over by then.
    All,
}

/// A store whose answers take their time.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Ledger<S> {
    store: S,
    appends: VecDeque<Append>,
    reads: VecDeque<Read>,
    /// Up to where each channel is known to be trimmed.
    trimmed: Vec<u64>,
    /// How much it was asked for.
    asked: usize,
}

#[derive(Clone, Debug, Hash)]
struct Append {
    due: Instant,
    ticket: Ticket,
    records: Vec<Record>,
    fate: Fate,
}

#[derive(Clone, Debug, Hash)]
struct Read {
    due: Instant,
    ticket: Ticket,
    query: Query,
}

/// What becomes of the next appends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Fate {
    #[default]
    Committed,
    Refused,
}

/// How long the log takes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pace {
    pub(crate) append: Duration,
    /// `None` for reads that wait for nothing.
    pub(crate) read: Option<Duration>,
    pub(crate) fate: Fate,
}

/// What a log says when it is due.
pub(crate) enum Answer {
    Appended(Vec<Completion>),
    Page(Ticket, Result<Page, ReadError>),
    /// The power went while it was at work.
    Died,
}

impl<S: Store> Ledger<S> {
    pub(crate) fn new(store: S, channels: u8) -> Self {
        let (appends, reads) = (VecDeque::new(), VecDeque::new());
        let trimmed = vec![0; usize::from(channels)];
        Self { store, appends, reads, trimmed, asked: 0 }
    }

    pub(crate) fn store(&self) -> &S {
        &self.store
    }

    pub(crate) fn store_mut(&mut self) -> &mut S {
        &mut self.store
    }

    pub(crate) fn append(&mut self, now: Instant, ticket: Ticket, records: Vec<Record>, pace: Pace) {
        self.asked += 1;
        let due = now + pace.append;
        let due = self.appends.back().map_or(due, |last| due.max(last.due));
        self.appends.push_back(Append { due, ticket, records, fate: pace.fate });
    }

    pub(crate) fn read(&mut self, now: Instant, ticket: Ticket, query: Query, takes: Duration) {
        self.asked += 1;
        self.reads.push_back(Read { due: now + takes, ticket, query });
    }

    /// How much it was ever asked for.
    pub(crate) fn asked(&self) -> usize {
        self.asked
    }

    /// When it has something to say.
    pub(crate) fn next(&self) -> Option<Instant> {
        let append = self.appends.front().map(|append| append.due);
        let read = self.reads.iter().map(|read| read.due).min();
        match (append, read) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        }
    }

    /// Says what is due next.
    pub(crate) fn answer(&mut self, now: Instant) -> Result<Option<Answer>, super::judge::Found> {
        let due = |at: Instant| now.has_reached(at);
        if let Some(append) = self.appends.pop_front_if(|append| due(append.due)) {
            return Ok(Some(self.commit(append)));
        }
        let Some(read) = self.reads.iter().position(|read| due(read.due)) else { return Ok(None) };
        let Some(Read { ticket, query, .. }) = self.reads.remove(read) else { return Ok(None) };
        let page = self.store.read(&query);
        if !self.store.is_powered() {
            return Ok(Some(Answer::Died));
        }
        if let Ok(page) = &page {
            b4_page_within_its_bounds(&query, page)?;
        }
        Ok(Some(Answer::Page(ticket, page)))
    }

    fn commit(&mut self, first: Append) -> Answer {
        if first.fate == Fate::Refused {
            let result = Err(AppendError::Refused { reason: "no room".into() });
            return Answer::Appended(vec![Completion { ticket: first.ticket, result }]);
        }
        self.store.append(first.ticket, first.records);
        if self.store.group() == Group::All {
            for append in self.appends.drain(..) {
                self.store.append(append.ticket, append.records);
            }
        }
        self.store.commit();
        match self.store.is_powered() {
            true => Answer::Appended(core::iter::from_fn(|| self.store.poll()).collect()),
            false => Answer::Died,
        }
    }

    pub(crate) fn release(&mut self, channel: &str, through: Offset) {
        self.store.release(channel, through);
    }

    /// Lets go of what is older than the retention allows.
    pub(crate) fn trim(&mut self, wall: WallTime) {
        self.store.trim(wall);
    }

    /// Tells what has been let go of since the last time.
    pub(crate) fn note_trimmed(&mut self, facts: &mut Vec<Fact>) {
        for channel in 0..self.trimmed.len() {
            let through = self.store.history(&channel_name(channel as ChannelId)).trimmed.get();
            if through > self.trimmed[channel] {
                self.trimmed[channel] = through;
                facts.push(Fact::Trimmed { channel: channel as ChannelId, through });
            }
        }
    }

    /// Commits so many of the appends that wait, without a word.
    pub(crate) fn commit_unheard(&mut self, appends: usize) {
        let appends = self.appends.len().min(appends);
        for append in self.appends.drain(..appends).filter(|append| append.fate == Fate::Committed) {
            self.store.append(append.ticket, append.records);
        }
        self.store.commit();
        while self.store.poll().is_some() {}
    }

    /// Everything that is held after an offset, as far as it can be read.
    pub(crate) fn all_after(&self, after: u64) -> Vec<Entry> {
        self.store.read(&whole(Query::all(Offset::new(after)))).map(|page| page.entries).unwrap_or_default()
    }

    /// S1 and S9, where it counts in the end: what the log holds is what it committed.
    pub(crate) fn s1_the_log_keeps(
        &self,
        channel: ChannelId,
        trimmed: u64,
        kept: impl Iterator<Item = (u64, MessageId)>,
        letter_of: impl Fn(&Record) -> Option<MessageId>,
    ) -> Verdict {
        let query = Query::of(channel_name(channel), Offset::new(trimmed));
        let Ok(page) = self.store.read(&whole(query)) else {
            return Invariant::S1.broken("the log cannot be read");
        };
        let mut held = page.entries.iter().map(|entry| (entry.offset.get(), letter_of(&entry.record)));
        for (offset, message) in kept {
            let found = held.next();
            if found != Some((offset, Some(message))) {
                return Invariant::S1.broken(format_args!(
                    "the log had message {message} at {offset} of channel {channel}, and has {found:?} there"
                ));
            }
        }
        match held.next() {
            None => Ok(()),
            Some(more) => Invariant::S9
                .broken(format_args!("the log has {more:?} of channel {channel}, never committed")),
        }
    }
}

fn whole(query: Query) -> Query {
    Query { messages: usize::MAX, bytes: usize::MAX, ..query }
}

/// A ledger as a hub that settles by itself uses it: appends wait, everything else is done at once.
pub(crate) struct Desk<'a, S> {
    ledger: &'a mut Ledger<S>,
    now: Instant,
    pace: Pace,
    /// How many reads it still answers: whoever asks without end gets nothing more.
    reads: Cell<u32>,
}

/// More reads than any settling takes.
const READS: u32 = 10_000;

impl<'a, S> Desk<'a, S> {
    pub(crate) fn of(ledger: &'a mut Ledger<S>, now: Instant, pace: Pace) -> Self {
        Self { ledger, now, pace, reads: Cell::new(READS) }
    }
}

impl<S: Store> LogPort for Desk<'_, S> {
    fn epoch(&self) -> Epoch {
        self.ledger.store.epoch()
    }

    fn head(&self) -> Offset {
        self.ledger.store.head()
    }

    fn append(&mut self, ticket: Ticket, records: Vec<Record>) {
        self.ledger.append(self.now, ticket, records, self.pace);
    }

    /// What is committed is handed in when it is due.
    fn poll(&mut self) -> Option<(Ticket, Result<Vec<Entry>, AppendError>)> {
        None
    }

    fn read(&self, query: &Query) -> Result<Page, ReadError> {
        let left = self.reads.get().checked_sub(1);
        self.reads.set(left.ok_or_else(|| ReadError::Failed { reason: "it was asked without end".into() })?);
        self.ledger.store.read(query)
    }

    fn release(&mut self, channel: &str, through: Offset) {
        self.ledger.release(channel, through);
    }

    fn wants_checkpoint(&self) -> bool {
        self.ledger.store.wants_checkpoint()
    }
}

/// A page has no more than was asked for; one entry is always given, however large.
fn b4_page_within_its_bounds(query: &Query, page: &Page) -> Verdict {
    let bytes: usize = page.entries.iter().map(|entry| entry.record.payload.len()).sum();
    let fits = page.entries.len() <= query.messages && (bytes <= query.bytes || page.entries.len() <= 1);
    match fits {
        true => Ok(()),
        false => Invariant::B4.broken(format_args!(
            "{} entries of {bytes} bytes for a query of {} and {}",
            page.entries.len(),
            query.messages,
            query.bytes
        )),
    }
}
