//! Publications on their way into the log.

use core::{hash::BuildHasher, time::Duration};

use alloc::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    format,
    vec::Vec,
};

use bytestring::ByteString;
use foldhash::quality::FixedState;
use tenfour_delivery::{
    dedup::{
        Committed, Contiguous, Fingerprint,
        contiguous::{Check, Claim, Disordered},
    },
    entry::Producer,
    log::{AppendError, Ticket},
    mutant,
    number::{Epoch, Offset, ProducerId},
    time::{Now, WallTime},
    ttl::Deadline,
};

use super::{Config, Entry, PublishError, Record, SubscriberId, rates::Rates};
use crate::Message;

/// A message to be published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publication {
    /// Where it goes; a channel that is named twice gets it once.
    pub channels: Vec<ByteString>,
    /// What it says.
    pub message: Message,
    /// How long it may be delivered, from now on; without end if `None`.
    pub ttl: Option<Duration>,
    /// Its number among its producer's messages, if a repetition is to be recognised.
    pub producer: Option<Producer>,
}

/// A publication, by which its answer is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublishId(u64);

impl PublishId {
    /// Its number: publications are counted from 0.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

/// Where a message is in the log: the proof that it was published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Receipt {
    /// The life of the log.
    pub epoch: Epoch,
    /// The entry.
    pub offset: Offset,
    /// Whether it was published before, and this is where.
    pub duplicate: bool,
}

/// What came of a publication.
pub(super) type Outcome = Result<Receipt, PublishError>;

/// Publications from the call to the answer.
///
/// One append is under way at a time, and what is published meanwhile becomes the next: that is as much as a group
/// commit can gain, and nothing of a producer is ever committed behind an append that failed.
#[derive(Clone, Debug, Hash)]
pub(super) struct Publications {
    epoch: Epoch,
    seed: u64,
    next: u64,
    /// The last offset that was committed here.
    head: Offset,
    producers: Contiguous<Offset>,
    rates: Rates,
    queue: VecDeque<Queued>,
    appending: Option<(Ticket, Vec<Waiting>)>,
    /// Those that repeat one that is in flight, and get its answer.
    joined: BTreeMap<Claim, Vec<PublishId>>,
    /// Bytes of the messages in `queue` and `appending`.
    bytes: usize,
    /// Publications without an answer.
    unanswered: usize,
    answers: VecDeque<(PublishId, Outcome)>,
}

#[derive(Clone, Debug, Hash)]
struct Queued {
    record: Record,
    waiting: Waiting,
}

#[derive(Clone, Debug, Hash)]
struct Waiting {
    publish: PublishId,
    claim: Option<Claim>,
    bytes: usize,
}

impl Publications {
    pub(super) fn new(config: &Config, epoch: Epoch, seed: u64, from_tail: bool) -> Self {
        let known = config.dedup.clone();
        let producers = if from_tail { Contiguous::from_tail(known) } else { Contiguous::new(known) };
        Self {
            epoch,
            seed,
            next: 0,
            head: Offset::START,
            producers,
            rates: Rates::default(),
            queue: VecDeque::new(),
            appending: None,
            joined: BTreeMap::new(),
            bytes: 0,
            unanswered: 0,
            answers: VecDeque::new(),
        }
    }

    pub(super) fn publish(
        &mut self,
        config: &Config,
        now: Now,
        publisher: Option<SubscriberId>,
        publication: Publication,
    ) -> Result<PublishId, PublishError> {
        let limit = config.in_flight;
        if self.unanswered + self.answers.len() >= limit {
            return Err(PublishError::Full { limit });
        }
        let record = record(config, now, publication)?;
        let fingerprint = record.producer.map(|_| self.fingerprint(&record));
        if let Some((producer, fingerprint)) = record.producer.zip(fingerprint)
            && let Some(repeated) = self.recognise(&producer, fingerprint, record.ingested)?
        {
            return Ok(repeated);
        }
        self.check_bytes(config, &record)?;
        if let Some(publisher) = publisher {
            let charged = self.charge(config, now, publisher);
            charged.map_err(|retry_after| PublishError::RateLimited { retry_after })?;
        }
        Ok(self.enqueue(record, fingerprint))
    }

    /// Charges a publisher for a message.
    ///
    /// # Errors
    /// If it is over the rate: after how long it no longer is.
    pub(super) fn charge(
        &mut self,
        config: &Config,
        now: Now,
        publisher: SubscriberId,
    ) -> Result<(), Duration> {
        let Some(limit) = &config.rate else { return Ok(()) };
        self.rates.charge(limit, publisher, now.mono)
    }

    /// The next records to append, if none are being appended.
    pub(super) fn next_append(&mut self, config: &Config, ticket: Ticket) -> Option<Vec<Record>> {
        if self.appending.is_some() || self.queue.is_empty() {
            return None;
        }
        let count = self.queue.len().min(config.append_messages.max(1));
        let (records, waiting) =
            self.queue.drain(..count).map(|queued| (queued.record, queued.waiting)).unzip();
        self.appending = Some((ticket, waiting));
        Some(records)
    }

    /// Takes the log's answer; `false` if it is to no append that is under way.
    pub(super) fn answered(&mut self, ticket: Ticket, result: Result<&[Entry], &AppendError>) -> bool {
        let Some((_, waiting)) = self.appending.take_if(|(appending, _)| *appending == ticket) else {
            return false;
        };
        match result {
            Ok(entries) if entries.len() == waiting.len() => {
                for (waiting, entry) in waiting.into_iter().zip(entries) {
                    self.commit(waiting, entry);
                }
            }
            Ok(entries) => {
                let reason = format!("{} entries for {} records", entries.len(), waiting.len());
                self.fail(waiting, &AppendError::Failed { reason });
            }
            Err(error) => self.fail(waiting, error),
        }
        true
    }

    pub(super) fn poll(&mut self) -> Option<(PublishId, Outcome)> {
        self.answers.pop_front()
    }

    pub(super) fn restore(&mut self, entry: &Entry) -> Result<(), Disordered> {
        if let Some(producer) = entry.record.producer.filter(|_| !mutant!(DedupNotRebuilt)) {
            let fingerprint = self.fingerprint(&entry.record);
            self.producers.restore(producer, fingerprint, place(entry), entry.offset)?;
        }
        self.head = entry.offset;
        Ok(())
    }

    pub(super) fn window(&self) -> Duration {
        self.producers.window()
    }

    /// A message that is in the log or on its way there is answered from that; `None` if it is new. This comes before
    /// the rate, or retries would starve their producer of its answers.
    fn recognise(
        &mut self,
        producer: &Producer,
        fingerprint: Fingerprint,
        now: WallTime,
    ) -> Result<Option<PublishId>, PublishError> {
        match self.producers.check(producer, fingerprint, now) {
            Check::New => Ok(None),
            Check::Pending(_) if mutant!(DuplicateAppendInFlight) => Ok(None),
            Check::Pending(claim) => {
                let publish = self.number();
                self.joined.entry(claim).or_default().push(publish);
                Ok(Some(publish))
            }
            Check::Duplicate(_) if mutant!(DuplicateAnswersError) => Err(PublishError::Conflict),
            Check::Duplicate(original) => {
                let publish = self.number();
                let offset = if mutant!(DuplicateAnswersNewOffset) { self.head } else { original };
                self.answer(publish, Ok(Receipt { epoch: self.epoch, offset, duplicate: true }));
                Ok(Some(publish))
            }
            Check::Applied => Err(PublishError::Applied),
            Check::Conflict => Err(PublishError::Conflict),
            Check::Gap { expected } => Err(PublishError::Gap { expected }),
            Check::Fenced { epoch } => Err(PublishError::Fenced { epoch }),
            Check::Indeterminate => Err(PublishError::Indeterminate),
            Check::Busy => Err(PublishError::Busy),
        }
    }

    /// A single message is taken whatever its size.
    fn check_bytes(&self, config: &Config, record: &Record) -> Result<(), PublishError> {
        let limit = config.in_flight_bytes;
        let is_over = self.bytes > 0 && self.bytes.saturating_add(record.payload.len()) > limit;
        if is_over { Err(PublishError::Full { limit }) } else { Ok(()) }
    }

    /// Queues a record that was found to be new.
    fn enqueue(&mut self, record: Record, fingerprint: Option<Fingerprint>) -> PublishId {
        let begin = |(producer, payload)| self.producers.begin(producer, payload, record.ingested).ok();
        let claim = record.producer.zip(fingerprint).and_then(begin);
        let publish = self.number();
        let bytes = record.payload.len();
        self.bytes += bytes;
        self.queue.push_back(Queued { record, waiting: Waiting { publish, claim, bytes } });
        if mutant!(AckBeforeCommit) {
            let offset = self.predicted(self.queue.len() - 1);
            self.answer(publish, Ok(Receipt { epoch: self.epoch, offset, duplicate: false }));
        }
        publish
    }

    fn number(&mut self) -> PublishId {
        let publish = PublishId(self.next);
        self.next += 1;
        self.unanswered += 1;
        publish
    }

    /// The offset that a dense log will give to what is queued at this place: for planted faults alone.
    fn predicted(&self, place: usize) -> Offset {
        let appending = self.appending.as_ref().map_or(0, |(_, waiting)| waiting.len());
        Offset::new(self.head.get() + (appending + place + 1) as u64)
    }

    /// What is queued, as it would be in a dense log.
    #[cfg(tenfour_mutants)]
    pub(super) fn predicted_entries(&self) -> Vec<Entry> {
        let entry = |(place, queued): (usize, &Queued)| Entry {
            offset: self.predicted(place),
            previous: alloc::vec![Offset::START; queued.record.channels.len()],
            record: queued.record.clone(),
        };
        self.queue.iter().enumerate().map(entry).collect()
    }

    fn commit(&mut self, waiting: Waiting, entry: &Entry) {
        self.bytes -= waiting.bytes;
        self.head = entry.offset;
        let receipt = Receipt { epoch: self.epoch, offset: entry.offset, duplicate: false };
        if !mutant!(AckBeforeCommit) {
            self.answer(waiting.publish, Ok(receipt));
        }
        let Some(claim) = waiting.claim else { return };
        let committed = self.producers.commit(claim, place(entry), entry.offset);
        debug_assert_eq!(committed, Ok(()), "one append at a time keeps a producer's order");
        for publish in self.joined.remove(&claim).unwrap_or_default() {
            self.answer(publish, Ok(Receipt { duplicate: true, ..receipt }));
        }
    }

    /// Nothing of a failed append is in the log, and nothing that its producers have queued behind it may be.
    fn fail(&mut self, waiting: Vec<Waiting>, error: &AppendError) {
        let mut withdrawn = BTreeSet::new();
        for failed in waiting {
            self.fail_one(&failed, error);
            let Some(claim) = failed.claim else { continue };
            if mutant!(DedupBeforeDurable) {
                let nowhere = Committed { position: self.head, ingested: WallTime::default() };
                let _ = self.producers.commit(claim, nowhere, self.head);
            } else if self.producers.abort(claim) > 1 {
                withdrawn.insert(claim.producer().id);
            }
        }
        if !withdrawn.is_empty() {
            self.fail_behind(&withdrawn, error);
        }
    }

    fn fail_behind(&mut self, withdrawn: &BTreeSet<ProducerId>, error: &AppendError) {
        let queue = core::mem::take(&mut self.queue);
        for queued in queue {
            if queued.waiting.claim.is_some_and(|claim| withdrawn.contains(&claim.producer().id)) {
                self.fail_one(&queued.waiting, error);
            } else {
                self.queue.push_back(queued);
            }
        }
    }

    fn fail_one(&mut self, failed: &Waiting, error: &AppendError) {
        self.bytes -= failed.bytes;
        if mutant!(AppendFailureSwallowed) {
            let receipt = Receipt { epoch: self.epoch, offset: self.head, duplicate: false };
            self.answer(failed.publish, Ok(receipt));
        } else if !mutant!(AckBeforeCommit) {
            self.answer(failed.publish, Err(error.clone().into()));
        }
        let joined = failed.claim.and_then(|claim| self.joined.remove(&claim)).unwrap_or_default();
        for publish in joined {
            self.answer(publish, Err(error.clone().into()));
        }
    }

    fn answer(&mut self, publish: PublishId, outcome: Outcome) {
        self.unanswered -= 1;
        self.answers.push_back((publish, outcome));
    }

    /// Of what makes two messages the same: where they go and what they say.
    fn fingerprint(&self, record: &Record) -> Fingerprint {
        Fingerprint::new(FixedState::with_seed(self.seed).hash_one((&record.channels, &record.payload)))
    }
}

fn record(config: &Config, now: Now, publication: Publication) -> Result<Record, PublishError> {
    let channels = check_channels(config, publication.channels)?;
    let payload = publication.message.to_stored();
    let (length, limit) = (payload.len(), config.message_bytes);
    if length > limit {
        return Err(PublishError::TooLarge { length, limit });
    }
    let expires = publication.ttl.map(|ttl| Deadline::after(now.wall, ttl).time());
    Ok(Record { channels, producer: publication.producer, ingested: now.wall, expires, payload })
}

fn check_channels(config: &Config, mut channels: Vec<ByteString>) -> Result<Vec<ByteString>, PublishError> {
    let limit = config.channels_per_publication;
    if channels.len() > limit {
        return Err(PublishError::TooManyChannels { limit });
    }
    if channels.is_empty() {
        return Err(PublishError::NoChannel);
    }
    let limit = config.channel_name_bytes;
    if let Some(name) = channels.iter().find(|name| !(1..=limit).contains(&name.len())) {
        return Err(PublishError::ChannelName { length: name.len(), limit });
    }
    let mut place = 0;
    while place < channels.len() {
        if channels[..place].contains(&channels[place]) {
            channels.remove(place);
        } else {
            place += 1;
        }
    }
    Ok(channels)
}

fn place(entry: &Entry) -> Committed {
    Committed { position: entry.offset, ingested: entry.record.ingested }
}
