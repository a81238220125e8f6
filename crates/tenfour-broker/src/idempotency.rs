//! Events that carry a key of their own, each handled once: a repetition is answered what the original was answered.
//!
//! A client that does not know whether its event was handled sends it again. Nothing in Socket.IO tells such a retry from a
//! second event that says the same, so its sender gives each event a [`Key`] and repeats that. The first event with a key
//! is handled; what it was answered is written to the log, and goes out when it is committed; and whoever comes with the
//! key again, also after a restart, gets that answer.
//!
//! ```
//! use tenfour_broker::{Body, Message, channel::Effect};
//! use tenfour_broker::idempotency::{Begin, Config, Event, Idempotency, Key, Waiter, fingerprint};
//! use tenfour_delivery::{number::Epoch, time::Now};
//! use tenfour_log::{Log, Memory, Retention};
//!
//! let mut log = Memory::new(Epoch::new(1), Retention::default());
//! let mut idempotency = Idempotency::new(Config::default());
//! let (now, key) = (Now::default(), Key::new("9d5f")?);
//! let event = fingerprint(&Message::new("order", Body::json(r#""9d5f",{"tea":1}"#)));
//!
//! assert_eq!(idempotency.begin(now, &key, event, Waiter(1)), Begin::Run); // so its handler runs
//! assert_eq!(idempotency.begin(now, &key, event, Waiter(2)), Begin::Joined); // a retry, while it does
//!
//! let answer = Some(Body::json("17"));
//! idempotency.finish(now, &key, answer.clone());
//! while let Some(Effect::Append { ticket, records }) = idempotency.poll_effect() {
//!     log.append(ticket, records);
//!     let done = log.poll().expect("memory answers at once");
//!     idempotency.committed(done.ticket, &done.result);
//! }
//! let Some(Event::Answered { waiters, result }) = idempotency.poll_event() else { panic!("it is committed") };
//! assert_eq!((waiters, result?), (vec![Waiter(1), Waiter(2)], answer.clone()));
//!
//! assert_eq!(idempotency.begin(now, &key, event, Waiter(3)), Begin::Answered(answer)); // a late one
//! let other = fingerprint(&Message::new("order", Body::json(r#""9d5f",{"tea":2}"#)));
//! assert_eq!(idempotency.begin(now, &key, other, Waiter(4)), Begin::Conflict);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! What holds: an event that was *answered* is not handled again within the [window](Config::window). One whose handler was
//! interrupted, by a crash or a failure, is handled again from its beginning, so what such a handler has done by then is done
//! twice, unless it is known by keys as well: messages that it publishes can have [derived](MessageKey::derived) ones.

use core::{fmt, time::Duration};

use alloc::{
    collections::{BTreeMap, VecDeque},
    vec,
    vec::Vec,
};

use bytes::Bytes;
use bytestring::ByteString;
use tenfour_delivery::{
    dedup::Fingerprint,
    log::{AppendError, Ticket},
    mutant,
    number::Offset,
    time::{Now, WallTime},
};

use crate::{
    Body, Message,
    channel::{Effect, Entry, MessageKey, NOTES, Record, StoredError},
    note::Note,
};

/// How many answers are remembered, and for how long. All bounds are finite.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Config {
    /// Answers that are remembered, and events that are being handled: by default 262,144. An event that would be one more
    /// is refused ([`Begin::Full`]).
    pub keys: usize,
    /// Bytes of the answers and their keys; by default 67,108,864 (64 MiB). It may be passed by the answers of the events
    /// that are being handled when it is reached.
    pub bytes: usize,
    /// Events that wait for the same answer; by default 64.
    pub waiters: usize,
    /// How long an answer is remembered at least after it was given, which is to be told to clients; by default 2 minutes.
    pub window: Duration,
    /// How far behind the log's last answer, in positions, an answer must be as well before it is forgotten where there is
    /// room for it, so that a jump of the clock alone forgets nothing; by default 100,000.
    pub span: u64,
    /// Answers of one append; by default 4,096.
    pub append_answers: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            keys: 1 << 18,
            bytes: 64 * 1024 * 1024,
            waiters: 64,
            window: Duration::from_secs(120),
            span: 100_000,
            append_answers: 4_096,
        }
    }
}

/// What a sender knows one of its events by: the same for each attempt to send it, and never another event's in the whole
/// namespace. A UUID, say.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(ByteString);

/// A text that is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("an idempotency key of {length} bytes is not within 1 to {most}; use a UUID", most = Key::MOST)]
pub struct KeyError {
    /// Bytes of the text.
    pub length: usize,
}

impl Key {
    /// Bytes of a key at most.
    pub const MOST: usize = 100;

    /// A key, of 1 to [`MOST`](Self::MOST) bytes.
    ///
    /// # Errors
    /// If it is none.
    pub fn new(key: impl Into<ByteString>) -> Result<Self, KeyError> {
        let key = key.into();
        let length = key.len();
        if (1..=Self::MOST).contains(&length) { Ok(Self(key)) } else { Err(KeyError { length }) }
    }

    /// The key of the `count`th message that the event's handler publishes, counted from 0.
    #[must_use]
    pub fn publication(&self, count: u64) -> MessageKey {
        MessageKey::derived(&self.0, count).expect("the longest key leaves room for a number")
    }

    /// The key.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Who waits for an answer. Whoever drives it chooses the number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Waiter(pub u64);

/// What is to be done about an event.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub enum Begin {
    /// It is new: handle it, and then [`finish`](Idempotency::finish) or [`abandon`](Idempotency::abandon) its key. The
    /// waiter waits, too.
    Run,
    /// It is being handled: the waiter waits for that.
    Joined,
    /// It was handled, and this was the answer; `None` if there was none.
    Answered(Option<Body>),
    /// The key was another event's: never to be answered as a success.
    Conflict,
    /// There is no room: it may be sent again later.
    Full,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Event {
    /// These wait no longer.
    Answered {
        /// Who waited, in the order of their coming.
        waiters: Vec<Waiter>,
        /// The answer, if there is one; or why it could not be remembered. Then the event is handled again when it comes
        /// again.
        result: Result<Option<Body>, AppendError>,
    },
}

/// The events that carry a key, and what they were answered.
///
/// What is remembered is a function of the log: it changes by what the log has committed, and after
/// [`restore`](Self::restore) it is what it was. Its tickets have bit 62 set and bit 63 clear.
#[derive(Clone, Debug, Hash)]
pub struct Idempotency {
    config: Config,
    next_ticket: u64,
    /// Those that have no answer in the log.
    open: BTreeMap<Key, Open>,
    /// Keys whose answers are to be appended, with them.
    queue: VecDeque<(Key, Record)>,
    appending: Option<(Ticket, Vec<Key>)>,
    answered: BTreeMap<Key, Answered>,
    /// By the order in which they were committed.
    order: VecDeque<(Offset, Key)>,
    /// Bytes of `answered`.
    bytes: usize,
    latest: Offset,
    events: VecDeque<Event>,
}

#[derive(Clone, Debug, Hash)]
struct Open {
    fingerprint: Fingerprint,
    waiters: Vec<Waiter>,
    /// `None` while it is handled.
    finished: Option<Option<Body>>,
}

#[derive(Clone, Debug, Hash)]
struct Answered {
    fingerprint: Fingerprint,
    body: Option<Body>,
    at: WallTime,
}

/// Where its tickets begin.
pub const TICKETS: u64 = 1 << 62;

impl Idempotency {
    /// One that remembers nothing. What a log has follows with [`restore`](Self::restore).
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self {
            config,
            next_ticket: TICKETS,
            open: BTreeMap::new(),
            queue: VecDeque::new(),
            appending: None,
            answered: BTreeMap::new(),
            order: VecDeque::new(),
            bytes: 0,
            latest: Offset::START,
            events: VecDeque::new(),
        }
    }

    /// Takes an entry that is in the log already, in the log's order and before any other call. Only those of the channel
    /// [`NOTES`] count.
    ///
    /// # Errors
    /// If it is damaged, or a later version wrote it; nothing has changed then.
    pub fn restore(&mut self, entry: &Entry) -> Result<(), StoredError> {
        if !entry.record.channels.contains(&NOTES) || mutant!(AnswersNotRebuilt) {
            return Ok(());
        }
        let Note::Answer { key, fingerprint, answer } = Note::from_stored(&entry.record.payload)? else {
            return Ok(());
        };
        // It was cut out of a page, which would be kept with it.
        let (key, body) = (Key(ByteString::from(&*key)), answer.map(copied));
        let fingerprint = Fingerprint::new(fingerprint);
        self.remember(key, Answered { fingerprint, body, at: entry.record.ingested }, entry.offset);
        Ok(())
    }

    /// An event with a key has come: what is to be done about it.
    pub fn begin(&mut self, now: Now, key: &Key, event: Fingerprint, waiter: Waiter) -> Begin {
        if let Some(open) = self.open.get_mut(key) {
            if open.fingerprint != event {
                return Begin::Conflict;
            }
            if open.waiters.len() >= self.config.waiters {
                return Begin::Full;
            }
            open.waiters.push(waiter);
            return Begin::Joined;
        }
        match self.answered.get(key) {
            Some(answered) if answered.fingerprint == event => Begin::Answered(answered.body.clone()),
            Some(_) => Begin::Conflict,
            None if !self.has_room(now.wall) => Begin::Full,
            None => {
                let open = Open { fingerprint: event, waiters: [waiter].into(), finished: None };
                self.open.insert(key.clone(), open);
                Begin::Run
            }
        }
    }

    /// The event of this key was handled, and this is its answer; `None` for none. It is told when it is in the log. A key
    /// that is not being handled changes nothing.
    pub fn finish(&mut self, now: Now, key: &Key, answer: Option<Body>) {
        let Some(open) = self.open.get_mut(key).filter(|open| open.finished.is_none()) else { return };
        open.finished = Some(answer.clone());
        let fingerprint = open.fingerprint.get();
        let payload = Note::Answer { key: key.0.clone(), fingerprint, answer }.to_stored();
        let record =
            Record { channels: vec![NOTES], producer: None, ingested: now.wall, expires: None, payload };
        self.queue.push_back((key.clone(), record));
        if mutant!(AnswerBeforeCommit) {
            let told = open.finished.clone().flatten();
            let waiters = core::mem::take(&mut open.waiters);
            self.events.push_back(Event::Answered { waiters, result: Ok(told) });
        }
    }

    /// The event of this key was not handled to its end: it failed, or its server stops. Whoever waits is told this answer, and
    /// the event is handled again when it comes again. A key that is not being handled changes nothing.
    pub fn abandon(&mut self, key: &Key, answer: Option<Body>) {
        if self.open.get(key).is_some_and(|open| open.finished.is_none()) {
            self.close(key, Ok(answer));
        }
    }

    /// The next thing to do on the log, always an append. May have something new after [`finish`](Self::finish) and
    /// [`committed`](Self::committed).
    pub fn poll_effect(&mut self) -> Option<Effect> {
        if self.appending.is_some() || self.queue.is_empty() {
            return None;
        }
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        let count = self.queue.len().min(self.config.append_answers.max(1));
        let (keys, records) = self.queue.drain(..count).unzip();
        self.appending = Some((ticket, keys));
        Some(Effect::Append { ticket, records })
    }

    /// The log's answer to an append; `false`, and nothing changes, if it is to none of these.
    pub fn committed(&mut self, ticket: Ticket, result: &Result<Vec<Entry>, AppendError>) -> bool {
        let Some((_, keys)) = self.appending.take_if(|(appending, _)| *appending == ticket) else {
            return false;
        };
        match result {
            Ok(entries) => {
                for (key, entry) in keys.iter().zip(entries) {
                    self.commit(key, entry);
                }
                for key in keys.iter().skip(entries.len()) {
                    let reason = "it answered too few entries".into();
                    self.close(key, Err(AppendError::Failed { reason }));
                }
            }
            Err(error) => keys.iter().for_each(|key| self.close(key, Err(error.clone()))),
        }
        true
    }

    /// The next event. May have something new after [`abandon`](Self::abandon) and [`committed`](Self::committed).
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// How long an answer is remembered at least: what to advertise.
    #[must_use]
    pub const fn window(&self) -> Duration {
        self.config.window
    }

    /// How many answers are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.answered.len()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.answered.is_empty()
    }

    /// The first entry that it would have to be restored from; `None` if there is none. Before it, the log may forget.
    #[must_use]
    pub fn oldest(&self) -> Option<Offset> {
        self.order.front().map(|(offset, _)| *offset)
    }

    fn commit(&mut self, key: &Key, entry: &Entry) {
        let Some(open) = self.open.get(key) else { return };
        let (fingerprint, body) = (open.fingerprint, open.finished.clone().flatten());
        let answered = Answered { fingerprint, body: body.clone(), at: entry.record.ingested };
        self.remember(key.clone(), answered, entry.offset);
        self.close(key, Ok(body));
    }

    fn close(&mut self, key: &Key, result: Result<Option<Body>, AppendError>) {
        if let Some(Open { waiters, .. }) = self.open.remove(key) {
            self.events.push_back(Event::Answered { waiters, result });
        }
    }

    /// What the log has committed: the only place where what is remembered changes.
    fn remember(&mut self, key: Key, answered: Answered, offset: Offset) {
        self.latest = offset;
        self.forget(answered.at);
        self.bytes += cost(&key, &answered);
        // A key that was forgotten by those that knew it, and is used again.
        if let Some(before) = self.answered.insert(key.clone(), answered) {
            self.bytes -= cost(&key, &before);
            self.order.retain(|(_, known)| *known != key);
        }
        self.order.push_back((offset, key));
    }

    fn forget(&mut self, now: WallTime) {
        while let Some((offset, key)) = self.order.front() {
            let is_far = self.latest.get().saturating_sub(offset.get()) > self.config.span;
            let is_over = self.answered.len() >= self.config.keys || self.bytes >= self.config.bytes;
            if !self.is_old(key, now) || !(is_far || is_over) {
                return;
            }
            let Some((_, key)) = self.order.pop_front() else { return };
            if let Some(answered) = self.answered.remove(&key) {
                self.bytes -= cost(&key, &answered);
            }
        }
    }

    fn is_old(&self, key: &Key, now: WallTime) -> bool {
        let Some(answered) = self.answered.get(key) else { return true };
        let age = now.as_unix_millis().saturating_sub(answered.at.as_unix_millis());
        Duration::from_millis(age) > self.config.window
    }

    /// Whether one more may be remembered: there is room, or so many may be forgotten by then that there will be.
    fn has_room(&self, now: WallTime) -> bool {
        let Config { keys, bytes, .. } = self.config;
        let too_many = (self.answered.len() + self.open.len() + 1).saturating_sub(keys);
        let to_forget = too_many.max(usize::from(self.bytes >= bytes));
        let is_old = |place: usize| self.order.get(place).is_some_and(|(_, key)| self.is_old(key, now));
        self.open.len() < keys && to_forget.checked_sub(1).is_none_or(is_old)
    }
}

fn cost(key: &Key, answered: &Answered) -> usize {
    key.0.len() + answered.body.as_ref().map_or(0, Body::byte_len)
}

/// The same body in bytes of its own.
fn copied(body: Body) -> Body {
    match body {
        Body::Text(text) => Body::Text(ByteString::from(&*text)),
        Body::Binary(bytes) => Body::Binary(Bytes::copy_from_slice(&bytes)),
        Body::Json { args, attachments } => {
            let attachments = attachments.iter().map(|bytes| Bytes::copy_from_slice(bytes)).collect();
            Body::Json { args: ByteString::from(&*args), attachments }
        }
    }
}

/// What tells a retry from another event with its key: its name, its arguments and its attachments.
///
/// It is the same in every process, since answers are remembered over restarts; so it is no secret, and a client can make two
/// events alike. It fools nobody but itself with that.
#[must_use]
pub fn fingerprint(message: &Message) -> Fingerprint {
    let mut hash = Fnv::default();
    hash.block(message.name.as_ref().map_or(&b"\xff"[..], |name| name.as_bytes()));
    match &message.body {
        Body::Text(text) => hash.block(text.as_bytes()),
        Body::Binary(bytes) => hash.block(bytes),
        Body::Json { args, attachments } => {
            hash.block(args.as_bytes());
            attachments.iter().for_each(|attachment| hash.block(attachment));
        }
    }
    Fingerprint::new(hash.0)
}

/// FNV-1a of 64 bits.
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv {
    /// Its length goes first, so that no two lists of blocks are alike.
    fn block(&mut self, block: &[u8]) {
        let length = (block.len() as u64).to_le_bytes();
        for byte in length.iter().chain(block) {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
}

#[cfg(test)]
mod tests;
