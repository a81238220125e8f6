//! What every [`Log`] is tested with.
//!
//! A run appends, commits, reads and trims at random, with a list of all entries beside the log, and judges each answer
//! by that list. When entries leave is the log's own affair as long as they had to leave at some time, so a log
//! that drops whole segments passes as well as one that drops single entries.
//!
//! ```
//! use tenfour_log::{Memory, conformance};
//!
//! conformance::check(Memory::new, |_| {});
//! ```
//!
//! The number of runs is proptest's (256, or `PROPTEST_CASES`).

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use bytestring::ByteString;
use proptest::{
    prelude::*,
    test_runner::{TestError, TestRunner},
};
use tenfour_delivery::{
    entry::Producer,
    loss::{Count, Lost, OffsetRange, Reason},
    number::{Epoch, Offset, ProducerEpoch, ProducerId, ProducerSequence},
    resume::History,
    time::WallTime,
};

use crate::{
    AppendError, Bound, Entry, Log, Page, Query, Record, Retention, Ticket, is_pinned, retention::cost,
};

/// Tests a kind of log: `open` makes an empty one, `settle` waits until it has answered every append.
///
/// # Panics
/// If it does not keep what [`Log`] promises, with the smallest run that shows it.
pub fn check<L: Log>(open: impl Fn(Epoch, Retention) -> L, settle: impl Fn(&mut L)) {
    let mut runner =
        TestRunner::new(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() });
    let run = |(retention, steps): (Retention, Vec<Step>)| {
        let mut judge = Judge::new(open(EPOCH, retention.clone()), retention);
        for step in steps {
            judge.step(step, &settle)?;
        }
        Ok(())
    };
    match runner.run(&(retentions(), prop::collection::vec(steps(), 1..60)), run) {
        Ok(()) => {}
        Err(TestError::Fail(reason, (retention, steps))) => {
            panic!("{reason}\nwith {retention:?}\nafter {steps:#?}")
        }
        Err(error) => panic!("{error}"),
    }
}

const EPOCH: Epoch = Epoch::new(7);
/// The last one is pinned.
const CHANNELS: [&str; 5] = ["a", "b", "c", "d", "\0notes"];

/// What is done to the log.
#[derive(Clone, Debug)]
enum Step {
    /// Hands over records, each for the channels whose bit is set, with a payload of so many bytes.
    Append(Vec<(u8, usize)>),
    /// Hands over a record that names a channel twice, among others.
    AppendRepeated,
    Settle,
    /// Reads the channels whose bit is set; all entries if none is.
    Read {
        channels: u8,
        after: u64,
        through: Option<u64>,
        messages: usize,
        bytes: usize,
    },
    /// Reads a channel from its beginning to its end, page by page.
    ReadAll {
        channel: usize,
        messages: usize,
    },
    Trim {
        wait: u64,
    },
    Release {
        channel: usize,
        through: u64,
    },
    /// The wall clock goes back.
    Back {
        by: u64,
    },
}

fn steps() -> impl Strategy<Value = Step> {
    let record = (0..32_u8, prop_oneof![9 => 0..40_usize, 1 => Just(2_000)]);
    let read = (
        prop_oneof![3 => (0..CHANNELS.len()).prop_map(|place| 1 << place), 2 => 0..32_u8],
        0..40_u64,
        prop::option::of(0..40_u64),
        0..6_usize,
        0..90_usize,
    );
    prop_oneof![
        6 => prop::collection::vec(record, 0..5).prop_map(Step::Append),
        1 => Just(Step::AppendRepeated),
        5 => Just(Step::Settle),
        5 => read.prop_map(|(channels, after, through, messages, bytes)| {
            Step::Read { channels, after, through, messages, bytes }
        }),
        3 => (0..CHANNELS.len(), 1..4_usize).prop_map(|(channel, messages)| Step::ReadAll { channel, messages }),
        2 => (0..2_000_u64).prop_map(|wait| Step::Trim { wait }),
        2 => (0..CHANNELS.len(), 0..40_u64).prop_map(|(channel, through)| Step::Release { channel, through }),
        1 => (0..500_u64).prop_map(|by| Step::Back { by }),
    ]
}

fn retentions() -> impl Strategy<Value = Retention> {
    let messages = || prop_oneof![Just(usize::MAX), 1..8_usize];
    let bytes = || prop_oneof![Just(usize::MAX), 100..2_500_usize];
    let bound = || (messages(), bytes()).prop_map(|(messages, bytes)| Bound { messages, bytes });
    let age = prop::option::of((100..2_000_u64).prop_map(Duration::from_millis));
    (age, bound(), bound(), 1..7_usize).prop_map(|(age, channel, total, channels)| {
        let mut retention = Retention::default();
        (retention.age, retention.channel, retention.total, retention.channels) =
            (age, channel, total, channels);
        retention
    })
}

/// The channels whose bit is set.
fn named(channels: u8) -> Vec<ByteString> {
    let named = CHANNELS.iter().enumerate().filter(|(place, _)| channels >> place & 1 == 1);
    named.map(|(_, name)| ByteString::from_static(name)).collect()
}

/// The log, and all that it ever committed.
struct Judge<L> {
    log: L,
    retention: Retention,
    entries: Vec<Entry>,
    /// Which of them no bound has protected at some time, unless a pinned channel has them.
    may_be_gone: BTreeSet<Offset>,
    /// Up to where each channel's entries were said not to be needed.
    released: BTreeMap<ByteString, Offset>,
    /// The last that was said of each channel.
    histories: BTreeMap<ByteString, History>,
    pending: VecDeque<(Ticket, Vec<Record>)>,
    tickets: u64,
    records: u64,
    now: u64,
}

impl<L: Log> Judge<L> {
    fn new(log: L, retention: Retention) -> Self {
        Self {
            log,
            retention,
            entries: Vec::new(),
            may_be_gone: BTreeSet::new(),
            released: BTreeMap::new(),
            histories: BTreeMap::new(),
            pending: VecDeque::new(),
            tickets: 0,
            records: 0,
            now: 10_000,
        }
    }

    fn step(&mut self, step: Step, settle: &impl Fn(&mut L)) -> Result<(), TestCaseError> {
        match step {
            Step::Append(records) => {
                let records = records.into_iter().map(|(channels, length)| self.record(channels, length));
                let records = records.collect();
                self.append(records);
            }
            Step::AppendRepeated => {
                let mut repeated = self.record(1, 1);
                repeated.channels.push(repeated.channels[0].clone());
                let records = vec![self.record(3, 1), repeated];
                self.append(records);
            }
            Step::Settle => {
                settle(&mut self.log);
                while let Some(completion) = self.log.poll() {
                    self.completed(completion.ticket, completion.result)?;
                }
                prop_assert!(self.pending.is_empty(), "every append is answered");
            }
            Step::Read { channels, after, through, messages, bytes } => {
                let channels = named(channels);
                let (after, through) = (Offset::new(after), through.map(Offset::new));
                self.read(&Query { channels, after, through, messages, bytes })?;
            }
            Step::ReadAll { channel, messages } => self.read_all(CHANNELS[channel], messages)?,
            Step::Trim { wait } => {
                self.now += wait;
                self.log.trim(WallTime::from_unix_millis(self.now));
                self.note_what_may_go();
            }
            Step::Release { channel, through } => {
                let (name, through) = (CHANNELS[channel], Offset::new(through));
                // What is not committed yet may be released as well; but only what is must be told of.
                self.log.release(name, through);
                let released = self.released.entry(name.into()).or_insert(Offset::START);
                *released = through.min(self.log.head()).max(*released);
            }
            Step::Back { by } => self.now -= by,
        }
        self.check_histories()
    }

    /// A record that differs from every other.
    fn record(&mut self, channels: u8, length: usize) -> Record {
        self.records += 1;
        let mut payload = self.records.to_be_bytes().to_vec();
        payload.resize(8 + length, 0x5a);
        let producer = self.records.is_multiple_of(2).then(|| Producer {
            id: ProducerId::new(3),
            epoch: ProducerEpoch::new(1),
            sequence: ProducerSequence::new(self.records),
        });
        Record {
            channels: named(channels),
            producer,
            ingested: WallTime::from_unix_millis(self.now),
            expires: self.records.is_multiple_of(3).then(|| WallTime::from_unix_millis(self.now + 50)),
            payload: Bytes::from(payload),
        }
    }

    fn append(&mut self, records: Vec<Record>) {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        self.log.append(ticket, records.clone());
        self.pending.push_back((ticket, records));
        self.note_what_may_go();
    }

    fn completed(
        &mut self,
        ticket: Ticket,
        result: Result<Vec<Entry>, AppendError>,
    ) -> Result<(), TestCaseError> {
        let (expected, records) = self.pending.pop_front().expect("there is an append to answer");
        prop_assert_eq!(ticket, expected, "appends are answered in their order");
        let is_sound = records.iter().all(|record| {
            let names: BTreeSet<_> = record.channels.iter().collect();
            names.len() == record.channels.len()
        });
        prop_assert_eq!(result.is_ok(), is_sound, "{:?}", &result);
        let Ok(entries) = result else { return Ok(()) };
        prop_assert_eq!(entries.len(), records.len());
        for (entry, record) in entries.into_iter().zip(records) {
            prop_assert_eq!(&entry.record, &record);
            self.committed(entry)?;
        }
        prop_assert_eq!(self.log.head(), self.entries.last().map_or(Offset::START, |entry| entry.offset));
        Ok(())
    }

    fn committed(&mut self, entry: Entry) -> Result<(), TestCaseError> {
        let head = self.entries.last().map_or(Offset::START, |entry| entry.offset);
        prop_assert!(entry.offset > head, "offsets increase");
        prop_assert_eq!(entry.previous.len(), entry.record.channels.len());
        for (name, &previous) in entry.record.channels.iter().zip(&entry.previous) {
            let last = self.of(name).last().map_or(Offset::START, |entry| entry.offset);
            prop_assert!(last <= previous && previous < entry.offset, "nothing is between");
            prop_assert!(previous == last || self.forgets(), "the entry before");
        }
        self.entries.push(entry);
        self.note_what_may_go();
        Ok(())
    }

    /// Whether the log may have forgotten a channel.
    fn forgets(&self) -> bool {
        self.retention.channels < CHANNELS.len()
    }

    fn of<'a>(&'a self, channel: &'a str) -> impl DoubleEndedIterator<Item = &'a Entry> {
        self.entries.iter().filter(move |entry| entry.record.channels.iter().any(|name| *name == channel))
    }

    /// Whether only pinned channels have the entry, so that it counts towards no bound.
    fn is_kept_apart(entry: &Entry) -> bool {
        let names = &entry.record.channels;
        !names.is_empty() && names.iter().all(|name| is_pinned(name))
    }

    /// An entry may leave if those from it on are over a bound, in one of its channels or in all, or if it is old.
    fn note_what_may_go(&mut self) {
        let is_over = |bound: Bound, entries: &mut dyn Iterator<Item = &Entry>| {
            let (mut count, mut bytes) = (0, 0);
            for entry in entries {
                count += 1;
                bytes += cost(&entry.record);
            }
            bound.is_passed(count, bytes)
        };
        let mut gone = BTreeSet::new();
        for (place, entry) in self.entries.iter().enumerate() {
            let later = &self.entries[place..];
            let age = self.now.saturating_sub(entry.record.ingested.as_unix_millis());
            let is_old = self.retention.age.is_some_and(|limit| u128::from(age) > limit.as_millis());
            let over_in_channel = entry.record.channels.iter().filter(|name| !is_pinned(name)).any(|name| {
                let mut of = later.iter().filter(|later| later.record.channels.contains(name));
                is_over(self.retention.channel, &mut of)
            });
            // A channel may be forgotten with all its entries, as soon as another one needs its place.
            let forgotten = self.forgets() && (later.len() > 1 || !self.pending.is_empty());
            let mut in_all = later.iter().filter(|later| !Self::is_kept_apart(later));
            if is_old || over_in_channel || forgotten || is_over(self.retention.total, &mut in_all) {
                gone.insert(entry.offset);
            }
        }
        self.may_be_gone.extend(gone);
    }

    fn check_histories(&mut self) -> Result<(), TestCaseError> {
        prop_assert_eq!(self.log.epoch(), EPOCH);
        for name in CHANNELS {
            let history = self.log.history(name);
            prop_assert_eq!(history.epoch, EPOCH);
            prop_assert!(history.trimmed <= history.head);
            let head = self.of(name).last().map_or(Offset::START, |entry| entry.offset);
            let is_known = history.head == head;
            prop_assert!(
                is_known || self.forgets() && history.head > head && history.trimmed == history.head
            );
            let released = self.released.get(name).copied().unwrap_or(Offset::START);
            let may_go = |entry: &Entry| {
                entry.offset <= released || !is_pinned(name) && self.may_be_gone.contains(&entry.offset)
            };
            let is_due = self.of(name).filter(|entry| entry.offset <= history.trimmed).all(may_go);
            prop_assert!(is_due, "{name} lost too much");
            let before = self.histories.insert(name.into(), history);
            prop_assert!(before.is_none_or(|before| before.trimmed <= history.trimmed), "{name} came back");
        }
        Ok(())
    }

    fn read(&self, query: &Query) -> Result<Page, TestCaseError> {
        let page = self.log.read(query).expect("a log that has not failed can be read");
        match &query.channels[..] {
            [] => self.judge_all(query, &page)?,
            names => self.judge_channels(query, &page, names)?,
        }
        let bytes: usize = page.entries.iter().map(|entry| entry.record.payload.len()).sum();
        prop_assert!(page.entries.len() <= query.messages);
        prop_assert!(bytes <= query.bytes || page.entries.len() == 1);
        Ok(page)
    }

    /// A page is a beginning of what the channels have there; it ends early only at a bound.
    fn judge_channels(&self, query: &Query, page: &Page, names: &[ByteString]) -> Result<(), TestCaseError> {
        let histories: Vec<_> = names.iter().map(|name| self.log.history(name)).collect();
        prop_assert_eq!(Some(page.history.trimmed), histories.iter().map(|history| history.trimmed).max());
        prop_assert_eq!(Some(page.history.head), histories.iter().map(|history| history.head).max());
        prop_assert_eq!(page.history.epoch, EPOCH);
        let through = query.through.unwrap_or(Offset::END);
        let asked = |entry: &&Entry| query.after < entry.offset && entry.offset <= through;
        // Of one of the channels, and held by one of those that it goes to.
        let goes = |entry: &Entry| names.iter().any(|name| entry.record.channels.contains(name));
        let held_by = |entry: &Entry, (name, history): (&ByteString, &History)| {
            entry.record.channels.contains(name) && entry.offset > history.trimmed
        };
        let is_held = |entry: &Entry| names.iter().zip(&histories).any(|one| held_by(entry, one));
        let (held, gone): (Vec<_>, Vec<_>) =
            self.entries.iter().filter(asked).filter(|entry| goes(entry)).partition(|entry| is_held(entry));
        let read: Vec<_> = page.entries.iter().collect();
        prop_assert_eq!(&read[..], &held[..read.len().min(held.len())]);
        prop_assert_eq!(page.more, read.len() < held.len());
        if let Some(next) = held.get(read.len()) {
            let bytes: usize = read.iter().chain([next]).map(|entry| entry.record.payload.len()).sum();
            let at_bound = read.len() == query.messages || !read.is_empty() && bytes > query.bytes;
            prop_assert!(at_bound, "the page ends early");
        }
        self.judge_loss(query, page, gone.len() as u64)
    }

    /// A loss covers all that is gone, and is counted truly.
    fn judge_loss(&self, query: &Query, page: &Page, gone: u64) -> Result<(), TestCaseError> {
        let trimmed = page.history.trimmed;
        let range = OffsetRange {
            after: query.after,
            through: query.through.map_or(trimmed, |end| trimmed.min(end)),
        };
        let Some(Lost { range: told, count, reason }) = page.lost else {
            prop_assert!(range.is_empty(), "a loss is told");
            return Ok(());
        };
        prop_assert_eq!((told, reason), (range, Reason::Retention));
        match count {
            Count::Exact(count) => prop_assert_eq!(count, gone),
            Count::AtLeast(count) => prop_assert!(count <= gone, "{count} of {gone}"),
        }
        Ok(())
    }

    /// All that some channel holds is there, in order.
    fn judge_all(&self, query: &Query, page: &Page) -> Result<(), TestCaseError> {
        let through = query.through.unwrap_or(Offset::END);
        let end = match page.entries.last() {
            Some(last) if page.more => last.offset,
            None if page.more => query.after,
            _ => through,
        };
        let read: BTreeSet<_> = page.entries.iter().map(|entry| entry.offset).collect();
        prop_assert!(page.entries.is_sorted_by_key(|entry| entry.offset) && read.len() == page.entries.len());
        for entry in &page.entries {
            prop_assert!(query.after < entry.offset && entry.offset <= through);
            prop_assert!(self.entries.contains(entry), "what is read was committed");
        }
        for entry in self.entries.iter().filter(|entry| query.after < entry.offset && entry.offset <= end) {
            let holds = |name: &ByteString| self.log.history(name).trimmed < entry.offset;
            if entry.record.channels.iter().any(holds) {
                prop_assert!(read.contains(&entry.offset), "{} is held", entry.offset);
            }
        }
        Ok(())
    }

    fn read_all(&self, channel: &str, messages: usize) -> Result<(), TestCaseError> {
        let mut query = Query { messages, ..Query::of(channel.into(), Offset::START) };
        let mut chain = self.log.history(channel).trimmed;
        loop {
            let page = self.read(&query)?;
            for entry in &page.entries {
                prop_assert_eq!(entry.previous_in(channel), Some(chain), "the chain has no hole");
                chain = entry.offset;
            }
            query.after = chain;
            if !page.more {
                prop_assert_eq!(chain, self.log.history(channel).head);
                return Ok(());
            }
        }
    }
}
