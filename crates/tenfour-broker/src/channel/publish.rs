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
        Committed, Contiguous, Fingerprint, IdWindow, Tag,
        contiguous::{self, Check, Disordered},
        id_window,
    },
    entry::Producer,
    log::{AppendError, Ticket},
    mutant,
    number::{Epoch, Offset, ProducerId},
    time::{Now, WallTime},
    ttl::Deadline,
};

use super::{
    Config, Destination, EVERYONE, Entry, Envelope, MessageKey, NOTES, PublishError, Record, SubscriberId,
    is_reserved, rates::Rates,
};
use crate::Message;

/// A message to be published.
///
/// ```
/// use core::time::Duration;
/// use tenfour_broker::{Body, Message};
/// use tenfour_broker::channel::{Destination, MessageKey, Publication};
///
/// let message = Message::new("price", Body::json("17"));
/// let lobby = Publication::to_channel("lobby", message.clone());
/// assert_eq!(lobby, Publication::new(Destination::to("lobby"), message.clone()));
///
/// let everyone = Destination::everyone().except("muted");
/// let ttl = Some(Duration::from_secs(60));
/// let known = Publication { ttl, key: Some(MessageKey::new("quote-7")?), ..Publication::new(everyone, message) };
/// # drop(known);
/// # Ok::<(), tenfour_broker::channel::KeyError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publication {
    /// Where it goes.
    pub to: Destination,
    /// What it says.
    pub message: Message,
    /// How long it may be delivered, from now on; without end if `None`.
    pub ttl: Option<Duration>,
    /// Its number among its producer's messages, if a repetition is to be recognised by that.
    pub producer: Option<Producer>,
    /// What it is known by, if a repetition is to be recognised by that.
    pub key: Option<MessageKey>,
    /// What it is the latest state of, for subscribers who want no more than that.
    pub conflate: Option<ByteString>,
}

impl Publication {
    /// A message that goes there, for ever, and is not known again when it is repeated.
    #[must_use]
    pub const fn new(to: Destination, message: Message) -> Self {
        Self { to, message, ttl: None, producer: None, key: None, conflate: None }
    }

    /// A message to one channel.
    #[must_use]
    pub fn to_channel(channel: impl Into<ByteString>, message: Message) -> Self {
        Self::new(Destination::to(channel), message)
    }
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
    keys: IdWindow<Offset>,
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

/// By what a message is known.
enum Name {
    Producer(Producer),
    Key(Tag),
}

/// The attempt to append a message that is known by something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Claim {
    Producer(contiguous::Claim),
    Key(id_window::Claim),
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
            keys: IdWindow::new(config.keys.clone()),
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
        let (record, envelope) = record(config, now, publication)?;
        let known = self.known(&record, Some(&envelope));
        if let Some((name, fingerprint)) = &known
            && let Some(repeated) = self.recognise(name, *fingerprint, record.ingested)?
        {
            return Ok(repeated);
        }
        self.check_bytes(config, &record)?;
        if let Some(publisher) = publisher {
            let charged = self.charge(config, now, publisher);
            charged.map_err(|retry_after| PublishError::RateLimited { retry_after })?;
        }
        Ok(self.enqueue(record, known))
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
        let is_note = entry.record.channels.contains(&NOTES);
        let envelope = if is_note { None } else { Envelope::from_stored(&entry.record.payload).ok() };
        match self.known(&entry.record, envelope.as_ref()).filter(|_| !mutant!(DedupNotRebuilt)) {
            Some((Name::Producer(producer), fingerprint)) => {
                self.producers.restore(producer, fingerprint, place(entry), entry.offset)?;
            }
            Some((Name::Key(tag), fingerprint)) if !mutant!(KeysNotRebuilt) => {
                self.keys.restore(tag, fingerprint, place(entry), entry.offset);
            }
            _ => {}
        }
        self.head = entry.offset;
        Ok(())
    }

    pub(super) fn window(&self) -> Duration {
        self.producers.window().min(self.keys.window())
    }

    /// A message that is in the log or on its way there is answered from that; `None` if it is new. This comes before
    /// the rate, or retries would starve their producer of its answers.
    fn recognise(
        &mut self,
        name: &Name,
        fingerprint: Fingerprint,
        now: WallTime,
    ) -> Result<Option<PublishId>, PublishError> {
        match name {
            Name::Producer(producer) => self.recognise_number(producer, fingerprint, now),
            Name::Key(tag) => self.recognise_key(*tag, fingerprint, now),
        }
    }

    fn recognise_key(
        &mut self,
        tag: Tag,
        fingerprint: Fingerprint,
        now: WallTime,
    ) -> Result<Option<PublishId>, PublishError> {
        match self.keys.check(tag, fingerprint, now) {
            id_window::Check::New => Ok(None),
            id_window::Check::Pending(claim) => Ok(Some(self.join(Claim::Key(claim)))),
            id_window::Check::Duplicate(original) => Ok(Some(self.answer_again(original))),
            id_window::Check::Conflict => Err(PublishError::KeyConflict),
            id_window::Check::Busy => Err(PublishError::Busy),
        }
    }

    fn recognise_number(
        &mut self,
        producer: &Producer,
        fingerprint: Fingerprint,
        now: WallTime,
    ) -> Result<Option<PublishId>, PublishError> {
        match self.producers.check(producer, fingerprint, now) {
            Check::New => Ok(None),
            Check::Pending(_) if mutant!(DuplicateAppendInFlight) => Ok(None),
            Check::Pending(claim) => Ok(Some(self.join(Claim::Producer(claim)))),
            Check::Duplicate(_) if mutant!(DuplicateAnswersError) => Err(PublishError::Conflict),
            Check::Duplicate(original) => Ok(Some(self.answer_again(original))),
            Check::Applied => Err(PublishError::Applied),
            Check::Conflict => Err(PublishError::Conflict),
            Check::Gap { expected } => Err(PublishError::Gap { expected }),
            Check::Fenced { epoch } => Err(PublishError::Fenced { epoch }),
            Check::Indeterminate => Err(PublishError::Indeterminate),
            Check::Busy => Err(PublishError::Busy),
        }
    }

    /// A repetition gets the answer of the message that is in flight.
    fn join(&mut self, claim: Claim) -> PublishId {
        let publish = self.number();
        self.joined.entry(claim).or_default().push(publish);
        publish
    }

    /// A repetition gets the answer that the message in the log got.
    fn answer_again(&mut self, original: Offset) -> PublishId {
        let publish = self.number();
        let offset = if mutant!(DuplicateAnswersNewOffset) { self.head } else { original };
        self.answer(publish, Ok(Receipt { epoch: self.epoch, offset, duplicate: true }));
        publish
    }

    /// A single message is taken whatever its size.
    fn check_bytes(&self, config: &Config, record: &Record) -> Result<(), PublishError> {
        let limit = config.in_flight_bytes;
        let is_over = self.bytes > 0 && self.bytes.saturating_add(record.payload.len()) > limit;
        if is_over { Err(PublishError::Full { limit }) } else { Ok(()) }
    }

    /// Queues a record that was found to be new.
    fn enqueue(&mut self, record: Record, known: Option<(Name, Fingerprint)>) -> PublishId {
        let claim = known.and_then(|(name, payload)| match name {
            Name::Producer(producer) => {
                self.producers.begin(producer, payload, record.ingested).ok().map(Claim::Producer)
            }
            Name::Key(tag) => self.keys.begin(tag, payload, record.ingested).ok().map(Claim::Key),
        });
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
        self.remember(claim, place(entry), entry.offset);
        for publish in self.joined.remove(&claim).unwrap_or_default() {
            self.answer(publish, Ok(Receipt { duplicate: true, ..receipt }));
        }
    }

    /// The message of this claim is in the log.
    fn remember(&mut self, claim: Claim, at: Committed, offset: Offset) {
        let is_remembered = match claim {
            Claim::Producer(claim) => self.producers.commit(claim, at, offset).is_ok(),
            Claim::Key(claim) => self.keys.commit(claim, at, offset).is_ok(),
        };
        debug_assert!(
            is_remembered,
            "a claim is answered once, and one append at a time keeps a producer's order"
        );
    }

    /// Nothing of a failed append is in the log, and nothing that its producers have queued behind it may be.
    fn fail(&mut self, waiting: Vec<Waiting>, error: &AppendError) {
        let mut withdrawn = BTreeSet::new();
        for failed in waiting {
            self.fail_one(&failed, error);
            let Some(claim) = failed.claim else { continue };
            if mutant!(DedupBeforeDurable) {
                let nowhere = Committed { position: self.head, ingested: WallTime::default() };
                self.remember(claim, nowhere, self.head);
                continue;
            }
            match claim {
                Claim::Producer(claim) if self.producers.abort(claim) > 1 => {
                    withdrawn.insert(claim.producer().id);
                }
                Claim::Producer(_) => {}
                Claim::Key(claim) => drop(self.keys.abort(claim)),
            }
        }
        if !withdrawn.is_empty() {
            self.fail_behind(&withdrawn, error);
        }
    }

    fn fail_behind(&mut self, withdrawn: &BTreeSet<ProducerId>, error: &AppendError) {
        let queue = core::mem::take(&mut self.queue);
        for queued in queue {
            let producer = queued.record.producer;
            if producer.is_some_and(|producer| withdrawn.contains(&producer.id)) {
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

    /// By what a message is known, and what makes two of that name the same: where they go and what they say. It is read off
    /// what the log keeps.
    fn known(&self, record: &Record, envelope: Option<&Envelope>) -> Option<(Name, Fingerprint)> {
        let hash = FixedState::with_seed(self.seed);
        let whole = || Fingerprint::new(hash.hash_one((&record.channels, &record.payload)));
        if let Some(producer) = record.producer {
            return Some((Name::Producer(producer), whole()));
        }
        let Envelope { key, message, .. } = envelope?;
        let key = key.as_ref()?;
        let known = if key.is_derived() {
            (hash.hash_one((key, &record.channels, &message.name)), Fingerprint::new(0))
        } else {
            (hash.hash_one(key), whole())
        };
        Some((Name::Key(Tag::new(known.0)), known.1))
    }
}

fn record(config: &Config, now: Now, publication: Publication) -> Result<(Record, Envelope), PublishError> {
    let Publication { to: Destination { channels, except }, message, ttl, producer, key, conflate } =
        publication;
    if producer.is_some() && key.is_some() {
        return Err(PublishError::TwoNames);
    }
    let channels = check_channels(config, channels)?;
    let limit = config.excepts_per_publication;
    if except.len() > limit {
        return Err(PublishError::TooManyExcepts { limit });
    }
    let envelope = Envelope { except, key, conflate, message };
    let payload = envelope.to_stored();
    let (length, limit) = (payload.len(), config.message_bytes);
    if length > limit {
        return Err(PublishError::TooLarge { length, limit });
    }
    let expires = ttl.map(|ttl| Deadline::after(now.wall, ttl).time());
    Ok((Record { channels, producer, ingested: now.wall, expires, payload }, envelope))
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
    if channels.iter().any(|name| is_reserved(name) && *name != EVERYONE) {
        return Err(PublishError::Reserved);
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
