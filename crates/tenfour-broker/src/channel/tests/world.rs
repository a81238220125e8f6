//! Channels, their log and their subscribers, and a plain account of all that happened, which judges each item.

use alloc::{
    collections::{BTreeMap, VecDeque},
    format,
    string::ToString,
    vec::Vec,
};

use tenfour_delivery::{
    entry::Producer,
    loss::{Count, Lost, OffsetRange, Reason, Skip},
    number::{ProducerEpoch, ProducerId, ProducerSequence},
    resume::Decision,
    time::Instant,
};
use tenfour_log::{Log, Memory, Retention};

use super::super::*;
use crate::Body;

pub(super) const CHANNELS: [&str; 3] = ["a", "b", "c"];
pub(super) const SUBSCRIBERS: u64 = 3;

/// Whose subscription to what.
type Key = (SubscriberId, ChannelNumber);

/// The channels with everything around them.
pub(super) struct World {
    pub(super) channels: Channels,
    pub(super) log: Memory,
    pub(super) account: Account,
    /// Effects that the driver has taken and not performed.
    appends: VecDeque<(Ticket, Vec<Record>)>,
    reads: Vec<(Ticket, Query)>,
    /// Pages that were read and not handed in.
    pages: Vec<(Ticket, Page)>,
}

/// All that was said and done, and what must be true of it.
pub(super) struct Account {
    pub(super) now: Now,
    committed: Vec<Entry>,
    subscriptions: BTreeMap<Key, Seen>,
    pub(super) rooms: BTreeMap<SubscriberId, usize>,
    trimmed: BTreeMap<ByteString, Offset>,
    /// What is not answered.
    unanswered: BTreeMap<PublishId, Asked>,
    pub(super) emitted: usize,
    payloads: u64,
    pub(super) delivered: usize,
}

/// By what a publication is known.
#[derive(Clone, Debug)]
pub(super) enum Known {
    Not,
    Number(Producer),
    Key(MessageKey),
}

/// What was published and not answered.
struct Asked {
    channels: Vec<ByteString>,
    payload: Bytes,
    known: Known,
}

/// One subscription as its subscriber sees it.
struct Seen {
    name: ByteString,
    start: Start,
    away: Away,
    /// The channel's head when it subscribed.
    head: Offset,
    base: Option<Offset>,
    processed: Offset,
    caught_up: bool,
    refused: bool,
}

impl World {
    pub(super) fn new(config: Config, retention: Retention) -> Self {
        let epoch = Epoch::new(3);
        Self {
            channels: Channels::new(config, epoch, 1),
            log: Memory::new(epoch, retention),
            account: Account {
                now: Now { mono: Instant::ZERO, wall: WallTime::from_unix_millis(10_000) },
                committed: Vec::new(),
                subscriptions: BTreeMap::new(),
                rooms: (0..SUBSCRIBERS).map(|id| (SubscriberId(id), usize::MAX)).collect(),
                trimmed: BTreeMap::new(),
                unanswered: BTreeMap::new(),
                emitted: 0,
                payloads: 0,
                delivered: 0,
            },
            appends: VecDeque::new(),
            reads: Vec::new(),
            pages: Vec::new(),
        }
    }

    pub(super) fn publish(
        &mut self,
        to: &[&str],
        ttl: Option<u64>,
        known: Known,
        text: Option<&str>,
    ) -> Result<PublishId, PublishError> {
        self.account.payloads += 1;
        let text = text.map_or_else(|| self.account.payloads.to_string(), Into::into);
        let message = Message { name: None, body: Body::Text(text.into()) };
        let to = Destination { channels: to.iter().map(|name| (*name).into()).collect(), except: Vec::new() };
        let ttl = ttl.map(core::time::Duration::from_millis);
        let (producer, key) = match &known {
            Known::Not => (None, None),
            Known::Number(producer) => (Some(*producer), None),
            Known::Key(key) => (None, Some(key.clone())),
        };
        let channels = to.channels.clone();
        // What is known by something says the same each time.
        let conflate =
            matches!(known, Known::Not).then(|| ["x", "y"][self.account.payloads as usize % 2].into());
        let envelope = Envelope { key: key.clone(), conflate, ..Envelope::of(message) };
        let payload = envelope.to_stored();
        let Envelope { conflate, message, .. } = envelope;
        let publication = Publication { ttl, producer, key, conflate, ..Publication::new(to, message) };
        let published = self.channels.publish(self.account.now, publication);
        let asked = Asked { channels, payload, known };
        self.account.check_key(&asked, published.as_ref());
        if let Ok(publish) = published {
            assert!(self.account.unanswered.insert(publish, asked).is_none());
        }
        #[cfg(tenfour_mutants)]
        self.channels.deliver_early(self.account.now, &mut self.account);
        self.events();
        published
    }

    pub(super) fn subscribe(
        &mut self,
        id: u64,
        name: &str,
        start: Start,
        away: Away,
    ) -> Result<ChannelNumber, SubscribeError> {
        let id = SubscriberId(id);
        let subscribed = self.channels.subscribe_with(id, &name.into(), start, away);
        if let Ok(number) = subscribed {
            let seen = Seen {
                name: name.into(),
                start,
                away,
                head: self.account.head(name),
                base: None,
                processed: Offset::START,
                caught_up: false,
                refused: false,
            };
            let before = self.account.subscriptions.insert((id, number), seen);
            assert!(before.is_none_or(|before| before.refused), "there is one subscription to a channel");
        }
        subscribed
    }

    pub(super) fn unsubscribe(&mut self, id: u64, name: &str) {
        let id = SubscriberId(id);
        let Some(number) = self.channels.number(name) else { return };
        let removed = self.channels.unsubscribe(id, number);
        let known = self.account.subscriptions.remove(&(id, number));
        assert_eq!(removed, known.is_some_and(|seen| !seen.refused));
    }

    pub(super) fn remove(&mut self, id: u64) {
        let id = SubscriberId(id);
        self.channels.remove(id);
        self.account.subscriptions.retain(|(subscriber, _), _| *subscriber != id);
    }

    /// Gives a subscriber room for so many items.
    pub(super) fn make_room(&mut self, id: u64, items: usize) {
        let id = SubscriberId(id);
        self.account.rooms.insert(id, items);
        if items > 0 {
            self.channels.resume_reading(id);
        }
    }

    pub(super) fn leave(&mut self, id: u64) {
        self.account.rooms.insert(SubscriberId(id), 0);
        self.channels.leave(SubscriberId(id));
    }

    /// Takes one effect.
    pub(super) fn take_effect(&mut self) -> bool {
        match self.channels.poll_effect() {
            None => return false,
            Some(Effect::Append { ticket, records }) => self.appends.push_back((ticket, records)),
            Some(Effect::Read { ticket, query }) => self.reads.push((ticket, query)),
        }
        true
    }

    /// The log commits an append, or refuses it.
    pub(super) fn append(&mut self, fails: bool) -> bool {
        let Some((ticket, records)) = self.appends.pop_front() else { return false };
        let result = if fails {
            Err(AppendError::Refused { reason: "no".to_string() })
        } else {
            self.log.append(ticket, records);
            self.log.poll().expect("memory answers at once").result
        };
        self.account.committed.extend(result.iter().flatten().cloned());
        self.note_trimmed();
        self.channels.committed(self.account.now, ticket, result, &mut self.account);
        self.events();
        true
    }

    /// Reads a page, without handing it in.
    pub(super) fn read(&mut self, which: usize) -> bool {
        if self.reads.is_empty() {
            return false;
        }
        let (ticket, query) = self.reads.remove(which % self.reads.len());
        self.pages.push((ticket, self.log.read(&query).expect("memory can be read")));
        true
    }

    pub(super) fn hand_in(&mut self, which: usize, fails: bool) -> bool {
        if self.pages.is_empty() {
            return false;
        }
        let (ticket, page) = self.pages.remove(which % self.pages.len());
        let failed = ReadError::Failed { reason: "no".to_string() };
        let result = if fails { Err(failed) } else { Ok(page) };
        self.channels.page(self.account.now, ticket, result, &mut self.account);
        true
    }

    pub(super) fn trim(&mut self, wait: u64) {
        let wall = self.account.now.wall.as_unix_millis() + wait;
        self.account.now.wall = WallTime::from_unix_millis(wall);
        self.log.trim(self.account.now.wall);
        self.note_trimmed();
    }

    pub(super) fn emit(&mut self, name: &str) {
        let message = Message { name: None, body: Body::Text("emitted".into()) };
        let before = self.account.emitted;
        let taken = self.channels.emit(name, &message, &mut self.account);
        assert_eq!(self.account.emitted - before, taken);
    }

    /// Acknowledges through an offset, which may be any.
    pub(super) fn acknowledge(&mut self, id: u64, name: &str, processed: u64) {
        let (id, processed) = (SubscriberId(id), Offset::new(processed));
        let Some(number) = self.channels.number(name) else { return };
        let before = self.channels.position(id, number);
        let result = self.channels.acknowledge(id, number, processed);
        let seen = self.account.subscriptions.get_mut(&(id, number)).filter(|seen| !seen.refused);
        let Some(seen) = seen else { return assert_eq!(result, Err(AcknowledgeError::Unknown)) };
        let may = seen.base.is_some_and(|base| processed <= base);
        assert_eq!(result.is_ok(), may, "what was not delivered cannot be processed: {result:?}");
        if may {
            seen.processed = seen.processed.max(processed);
        }
        let after = self.channels.position(id, number);
        assert!(before.map(|at| at.offset) <= after.map(|at| at.offset), "a cursor never goes back");
        assert_eq!(after.map(|at| at.offset), seen.base.map(|_| seen.processed));
    }

    /// Everything heals: all have room, and all that is asked of the log is done. Then everyone has everything.
    pub(super) fn heal(&mut self) {
        for id in 0..SUBSCRIBERS {
            self.make_room(id, usize::MAX);
        }
        let mut turns = 0;
        while self.take_effect() || self.append(false) || self.read(0) || self.hand_in(0, false) {
            turns += 1;
            assert!(turns < 100_000, "it never comes to rest");
        }
        assert!(self.account.unanswered.is_empty(), "every publication is answered");
        let state = format!("{:?}", self.channels);
        for rest in ["joined: {}", "bytes: 0", "unanswered: 0", "ready: {}", "reads: {}"] {
            assert!(state.contains(rest), "something is left: no {rest} in {state}");
        }
        for ((id, number), seen) in self.account.subscriptions.iter().filter(|(_, seen)| !seen.refused) {
            let base = seen.base.expect("every subscription is decided");
            let head = self.account.of(&seen.name).last().map_or(Offset::START, |entry| entry.offset);
            assert!(base >= head, "{id:?} is at {base} of {head} in {}", seen.name);
            assert_eq!(seen.caught_up, seen.start != Start::Live, "the end of a replay is told once");
            assert_eq!(self.channels.number(&seen.name), Some(*number), "a number stays");
        }
    }

    /// What producers have published is known from the log alone, as far as the log reaches.
    pub(super) fn check_restored(&mut self) {
        let query = Query { messages: usize::MAX, bytes: usize::MAX, ..Query::all(Offset::START) };
        let page = self.log.read(&query).expect("memory can be read");
        let mut restored = Channels::of_log(small(), self.log.epoch(), 9);
        for entry in &page.entries {
            restored.restore(entry).expect("the log is in order");
        }
        for entry in &page.entries {
            let Envelope { message, key, conflate, .. } =
                Envelope::from_stored(&entry.record.payload).expect("it was stored");
            let producer = entry.record.producer;
            if producer.is_none() && key.is_none() {
                continue;
            }
            let to = Destination { channels: entry.record.channels.clone(), except: Vec::new() };
            let publication = Publication { producer, key, conflate, ..Publication::new(to, message) };
            let [one, other] = [&mut restored, &mut self.channels].map(|channels| {
                let published = channels.publish(self.account.now, publication.clone());
                published.map(|_| channels.poll_event().map(|Event::Published { result, .. }| result))
            });
            assert_eq!(one, other, "{publication:?} is recognised alike");
            let fenced = matches!(one, Err(PublishError::Fenced { .. }));
            let original = Receipt { epoch: self.log.epoch(), offset: entry.offset, duplicate: true };
            assert!(
                fenced || one == Ok(Some(Ok(original))),
                "a duplicate gets the original's receipt: {one:?}"
            );
        }
    }

    fn note_trimmed(&mut self) {
        for name in CHANNELS {
            self.account.trimmed.insert(name.into(), self.log.history(name).trimmed);
        }
    }

    fn events(&mut self) {
        while let Some(Event::Published { publish, result }) = self.channels.poll_event() {
            self.account.answered(publish, result);
        }
    }
}

impl Account {
    fn of<'a>(&'a self, channel: &'a str) -> impl DoubleEndedIterator<Item = &'a Entry> {
        self.committed.iter().filter(move |entry| entry.record.channels.iter().any(|name| *name == channel))
    }

    /// The last offset of a channel, and what a reader there would claim.
    pub(super) fn head(&self, channel: &str) -> Offset {
        self.of(channel).last().map_or(Offset::START, |entry| entry.offset)
    }

    fn answered(&mut self, publish: PublishId, result: Result<Receipt, PublishError>) {
        let Asked { channels, payload, known } =
            self.unanswered.remove(&publish).expect("an answer comes once");
        let Ok(receipt) = result else { return };
        let entry = self.committed.iter().find(|entry| entry.offset == receipt.offset);
        let entry = entry.expect("an answer comes after the commit");
        assert_eq!(entry.record.channels, channels);
        match &known {
            Known::Key(key) if key.is_derived() => assert_eq!(key_of(entry).as_ref(), Some(key)),
            _ => assert_eq!(entry.record.payload, payload, "the receipt is of this message"),
        }
        let number = if let Known::Number(producer) = known { Some(producer) } else { None };
        assert_eq!(entry.record.producer, number);
        assert!(!receipt.duplicate || !matches!(known, Known::Not));
    }

    /// S22: a key is refused exactly where it was another message's, in the log or on the way there.
    fn check_key(&self, asked: &Asked, published: Result<&PublishId, &PublishError>) {
        let Known::Key(key) = &asked.known else { return };
        let is_other = |channels: &[ByteString], payload: &Bytes| {
            !key.is_derived() && (channels != asked.channels || *payload != asked.payload)
        };
        let committed = self.committed.iter().filter(|entry| key_of(entry).as_ref() == Some(key));
        let mut committed = committed.map(|entry| is_other(&entry.record.channels, &entry.record.payload));
        let waiting = self
            .unanswered
            .values()
            .filter(|asked| matches!(&asked.known, Known::Key(known) if known == key));
        let mut waiting = waiting.map(|other| is_other(&other.channels, &other.payload));
        let conflicts = committed.any(|other| other) || waiting.any(|other| other);
        assert_eq!(published == Err(&PublishError::KeyConflict), conflicts, "{key} {published:?}");
    }

    /// S2: a key stands once in the log; one that is derived, once in each channel that it goes to here.
    pub(super) fn check_keys(&self) {
        let keyed = |entry: &Entry| key_of(entry).map(|key| (key, entry.record.channels.clone()));
        let mut keys: Vec<_> = self.committed.iter().filter_map(keyed).collect();
        let count = keys.len();
        keys.sort();
        keys.dedup_by(|(one, one_to), (other, other_to)| {
            one == other && (!one.is_derived() || one_to == other_to)
        });
        assert_eq!(keys.len(), count, "a key is in the log twice");
    }

    /// What producers have published stands once in the log, and in their order.
    pub(super) fn check_producers(&self) {
        let mut last: BTreeMap<ProducerId, (ProducerEpoch, ProducerSequence)> = BTreeMap::new();
        for Producer { id, epoch, sequence } in
            self.committed.iter().filter_map(|entry| entry.record.producer)
        {
            let before = last.insert(id, (epoch, sequence));
            assert!(before.is_none_or(|before| before < (epoch, sequence)), "{id} goes back");
        }
    }

    fn check_lost(&self, name: &str, lost: Lost) {
        let within: Vec<_> = self.of(name).filter(|entry| lost.range.contains(entry.offset)).collect();
        match lost.count {
            Count::Exact(count) => assert_eq!(count, within.len() as u64, "{lost:?}"),
            Count::AtLeast(count) => assert!(count <= within.len() as u64, "{lost:?}"),
        }
        match lost.reason {
            Reason::Ttl => assert!(within.iter().all(|entry| entry.record.is_expired(self.now.wall))),
            Reason::Retention => assert!(lost.range.through <= self.trimmed[name], "{lost:?} is not gone"),
            other => panic!("lost for no reason: {other}"),
        }
    }

    /// What is skipped is not owed.
    fn check_skip(&self, seen: &Seen, range: OffsetRange) {
        let mut within = self.of(&seen.name).filter(|entry| range.contains(entry.offset));
        let mut later = self.of(&seen.name).filter(|entry| entry.offset > range.through);
        match seen.away {
            Away::Everything => panic!("everything is owed"),
            Away::Nothing => {}
            Away::Latest => assert!(within.next().is_none() || later.next().is_some()),
            Away::LatestPerKey => {
                let newer: Vec<_> =
                    self.of(&seen.name).map(|entry| (entry.offset, conflation(entry))).collect();
                let has_newer = |entry: &Entry| {
                    newer.iter().any(|(offset, key)| *offset > entry.offset && *key == conflation(entry))
                };
                assert!(within.all(has_newer), "S17: the latest of each key is owed");
            }
        }
    }

    fn check_opened(&self, seen: &Seen, subscribed: Subscribed) -> Offset {
        let head = self.head(&seen.name);
        assert!(subscribed.head <= head.max(self.trimmed.get(&seen.name).copied().unwrap_or(Offset::START)));
        match (seen.start, subscribed.decision) {
            (Start::Live, Decision::Continue { after }) => {
                assert!(seen.head <= after && after <= head, "live begins at what is there");
                after
            }
            (Start::Earliest, Decision::Continue { after }) => {
                let skipped = self.of(&seen.name).filter(|entry| entry.offset <= after);
                assert!(skipped.map(|entry| entry.offset).all(|gone| gone <= self.trimmed[&seen.name]));
                after
            }
            (Start::After(position), Decision::Continue { after }) => {
                assert_eq!(position, Position { epoch: subscribed.epoch, offset: after });
                after
            }
            (Start::After(position), Decision::Gap { lost, after }) => {
                assert_eq!(position.epoch, subscribed.epoch);
                assert_eq!((lost.range.after, lost.range.through), (position.offset, after));
                self.check_lost(&seen.name, lost);
                after
            }
            (Start::After(position), Decision::Reset { after, .. }) => {
                assert_ne!(position.epoch, subscribed.epoch);
                after
            }
            other => panic!("decided wrongly: {other:?}"),
        }
    }

    fn check_message(&mut self, key: Key, previous: Offset, entry: &Entry, message: &Message) {
        let seen = &self.subscriptions[&key];
        assert_eq!(seen.base, Some(previous), "an item begins where the one before it ended");
        assert!(entry.offset > previous);
        let between =
            self.of(&seen.name).filter(|other| previous < other.offset && other.offset < entry.offset);
        assert_eq!(between.count(), 0, "nothing is left out");
        assert!(self.of(&seen.name).any(|committed| committed == entry), "what is delivered is committed");
        assert_eq!(
            Envelope::from_stored(&entry.record.payload).map(|envelope| envelope.message).as_ref(),
            Ok(message)
        );
        assert!(!entry.record.is_expired(self.now.wall), "what has expired is not delivered");
        self.delivered += 1;
    }
}

impl Sink for Account {
    fn deliver(&mut self, to: SubscriberId, item: Item<'_>) -> Taken {
        let room = self.rooms.get_mut(&to).expect("it is known");
        let Some(left) = room.checked_sub(1) else { return Taken::Full };
        *room = left;
        let channel = item.channel();
        let key = (to, channel);
        let seen = self.subscriptions.get(&key).expect("items come to those who subscribe");
        assert!(!seen.refused, "a refused subscription is over");
        let base = match item {
            Item::Subscribed { name, outcome, .. } => {
                assert_eq!((name, seen.base), (&seen.name, None), "it is told once, and first");
                match outcome {
                    Ok(subscribed) => self.check_opened(seen, subscribed),
                    Err(error) => {
                        assert!(matches!(error, SubscribeError::Ahead { head } if head <= self.head(name)));
                        self.subscriptions.get_mut(&key).expect("it is there").refused = true;
                        return Taken::Yes;
                    }
                }
            }
            Item::Message { previous, entry, message, .. } => {
                self.check_message(key, previous, entry, message);
                entry.offset
            }
            Item::Lost { lost, .. } => {
                assert_eq!(seen.base, Some(lost.range.after), "a loss stands at its place");
                assert!(!lost.range.is_empty());
                self.check_lost(&seen.name, lost);
                lost.range.through
            }
            Item::CaughtUp { offset, .. } => {
                assert_eq!((seen.base, seen.caught_up), (Some(offset), false));
                assert_ne!(seen.start, Start::Live);
                self.subscriptions.get_mut(&key).expect("it is there").caught_up = true;
                offset
            }
            Item::Emitted { .. } => {
                self.emitted += 1;
                seen.base.expect("only an open subscription hears what is emitted")
            }
            Item::Unreadable { .. } => return Taken::Yes,
            Item::Skip { skip: Skip { range }, .. } => {
                assert_eq!(seen.base, Some(range.after), "a skip stands at its place");
                assert!(!range.is_empty());
                self.check_skip(seen, range);
                range.through
            }
        };
        let seen = self.subscriptions.get_mut(&key).expect("it is there");
        if seen.base.is_none() {
            seen.processed = base;
        }
        seen.base = Some(base);
        Taken::Yes
    }

    fn committed(&mut self, entry: &Entry, envelope: Option<&Envelope>) {
        let stored = Envelope::from_stored(&entry.record.payload).ok();
        let is_expired = entry.record.is_expired(self.now.wall);
        assert_eq!(stored.filter(|_| !is_expired).as_ref(), envelope);
    }
}

fn conflation(entry: &Entry) -> Option<ByteString> {
    Envelope::from_stored(&entry.record.payload).ok()?.conflate
}

fn key_of(entry: &Entry) -> Option<MessageKey> {
    Envelope::from_stored(&entry.record.payload).ok()?.key
}

/// The producers whose messages a run repeats.
pub(super) fn producer(id: u128, epoch: u32, sequence: u64) -> Producer {
    Producer {
        id: ProducerId::new(id),
        epoch: ProducerEpoch::new(epoch),
        sequence: ProducerSequence::new(sequence),
    }
}

/// Small bounds, so that each is met.
pub(super) fn small() -> Config {
    let mut config = Config::default();
    (config.page_messages, config.reads, config.append_messages) = (2, 2, 3);
    config
}
