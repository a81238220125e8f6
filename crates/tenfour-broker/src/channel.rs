//! Channels: messages that are in the log before anyone sees them, and subscribers that are cursors on it.
//!
//! ```
//! use tenfour_broker::{Body, Message};
//! use tenfour_broker::channel::{Channels, Config, Effect, Event, Item, Publication, Sink, Start, SubscriberId, Taken};
//! use tenfour_delivery::{number::{Epoch, Offset}, time::Now};
//! use tenfour_log::{Log, Memory, Retention};
//!
//! /// Where deliveries go: here, what they say.
//! struct Screen(Vec<Body>);
//!
//! impl Sink for Screen {
//!     fn deliver(&mut self, _to: SubscriberId, item: Item<'_>) -> Taken {
//!         if let Item::Message { message, .. } = item {
//!             self.0.push(message.body.clone());
//!         }
//!         Taken::Yes
//!     }
//! }
//!
//! /// The driver performs whatever is asked for on its log, and hands in the answers, at once or later.
//! fn drive(channels: &mut Channels, log: &mut Memory, now: Now, screen: &mut Screen) {
//!     while let Some(effect) = channels.poll_effect() {
//!         match effect {
//!             Effect::Append { ticket, records } => log.append(ticket, records),
//!             Effect::Read { ticket, query } => channels.page(now, ticket, log.read(&query), screen),
//!         }
//!         while let Some(done) = log.poll() {
//!             channels.committed(now, done.ticket, done.result, screen);
//!         }
//!     }
//! }
//!
//! let epoch = Epoch::new(1);
//! let mut log = Memory::new(epoch, Retention::default());
//! let mut channels = Channels::new(Config::default(), epoch, 0x5eed);
//! let (now, mut screen) = (Now::default(), Screen(Vec::new()));
//!
//! channels.subscribe(SubscriberId(7), &"news".into(), Start::Live)?;
//! drive(&mut channels, &mut log, now, &mut screen);
//!
//! let message = Message { name: None, body: Body::Text("hello".into()) };
//! let publish = channels.publish(now, Publication::to_channel("news", message))?;
//! assert!(channels.poll_event().is_none() && screen.0.is_empty()); // nobody hears of it before the log has it
//!
//! drive(&mut channels, &mut log, now, &mut screen);
//! let Some(Event::Published { publish: answered, result }) = channels.poll_event() else { panic!("it is committed") };
//! assert_eq!((answered, result?.offset), (publish, Offset::new(1)));
//! assert_eq!(screen.0, [Body::Text("hello".into())]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | rule | how |
//! |---|---|
//! | nothing is seen before its commit | the answer, the fan-out and the memory of a producer's number all come from [`Channels::committed`] |
//! | one order, and no seam between replay and live | a subscription is a cursor; what is handed over begins where the cursor is, whatever brings it |
//! | no silent gap | a commit that does not follow the cursor is read for; what is gone is an [`Item::Lost`] at its place |
//! | a slow subscriber costs an offset, not a queue | it lags until retention passes it, and is then told what it lost |
//! | a repetition gets the original's receipt | by its producer's number or its key; while the original is in flight, too; and it is not charged |
//! | nothing grows without bound | [`Config`] |

use core::fmt;

use alloc::vec::Vec;

use bytes::Bytes;
use bytestring::ByteString;
use tenfour_delivery::{
    dedup::contiguous::Disordered,
    log::{AppendError, ReadError, Ticket},
    mutant,
    number::{Epoch, Offset},
    resume::Position,
    time::{Now, WallTime},
};

pub use self::{
    config::Config,
    destination::{Destination, EVERYONE, NOTES, RESERVED, is_reserved},
    envelope::Envelope,
    error::{AcknowledgeError, EmitError, PublishError, StoredError, SubscribeError},
    key::{KeyError, MessageKey},
    publish::{Publication, PublishId, Receipt},
    sink::{Item, Sink, Subscribed, Taken},
    subscription::Start,
};
use self::{
    publish::Publications,
    reader::{Read, Reader, deliverable},
    subscribers::Subscribers,
    subscription::{Followed, Subscription},
    table::{Channel, Table},
};
use crate::Message;

pub use crate::recovery::Away;

mod config;
mod destination;
mod envelope;
mod error;
mod key;
mod publish;
mod rates;
mod reader;
mod sink;
mod subscribers;
mod subscription;
mod table;

/// What is appended to the log: a message in its storage form.
pub type Record = tenfour_delivery::entry::Record<ByteString, Bytes>;

/// What the commit makes of it.
pub type Entry = tenfour_delivery::entry::Entry<ByteString, Bytes>;

/// What is to be read from the log.
pub type Query = tenfour_delivery::log::Query<ByteString>;

/// What was read.
pub type Page = tenfour_delivery::log::Page<ByteString, Bytes>;

/// A subscriber: a session, which outlives its connections. Whoever drives the channels chooses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubscriberId(pub u64);

/// A channel's number in its namespace, the same for all subscribers. It is small, so that a frame names its channel in
/// a byte or two.
///
/// A number means its channel while that has subscribers; when it has lost the last one, until 1,024 other channels have
/// lost theirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelNumber(u32);

impl ChannelNumber {
    /// The channel of a number read off the wire; whether there is such a channel is seen when it is used.
    #[must_use]
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }

    fn at(index: usize) -> Self {
        Self(u32::try_from(index).expect("`Channels::new` bounds the channels"))
    }

    fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for ChannelNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What the driver does on the log.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Append these records, then call [`Channels::committed`].
    Append {
        /// By which the answer is known.
        ticket: Ticket,
        /// What to append.
        records: Vec<Record>,
    },
    /// Read this, then call [`Channels::page`].
    Read {
        /// By which the answer is known.
        ticket: Ticket,
        /// What to read.
        query: Query,
    },
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Event {
    /// A publication is in the log, or will never be.
    Published {
        /// The publication.
        publish: PublishId,
        /// Where it is, or why not.
        result: Result<Receipt, PublishError>,
    },
}

/// The log-backed half of a namespace: publications on their way into the log, and subscribers, each a cursor on it.
///
/// The log itself is elsewhere. The driver polls [`Effect`]s, performs them on its log and hands in the answers, at once
/// or later; deliveries go to a [`Sink`] that it passes. A commit is delivered directly to a subscriber that has
/// everything before it and has room. Any other subscriber is read for, in pages, when it has room, until it has
/// everything again. Both come from one log, and whatever is handed over begins where the subscription's cursor is, so
/// nothing is lost or repeated between them.
///
/// The same calls give the same effects, deliveries and events in the same order.
#[derive(Clone, Debug, Hash)]
pub struct Channels {
    config: Config,
    epoch: Epoch,
    next_ticket: u64,
    publications: Publications,
    subscribers: Subscribers,
    table: Table,
}

impl Channels {
    /// The channels of a log that is empty. The seed keys the hash that tells a repeated message from another one under
    /// its number.
    #[must_use]
    pub fn new(config: Config, epoch: Epoch, seed: u64) -> Self {
        let publications = Publications::new(&config, epoch, seed, false);
        Self::with(config, epoch, publications)
    }

    /// The channels of a log that has been written to. All entries that it holds follow, with [`Channels::restore`].
    #[must_use]
    pub fn of_log(config: Config, epoch: Epoch, seed: u64) -> Self {
        let publications = Publications::new(&config, epoch, seed, true);
        Self::with(config, epoch, publications)
    }

    fn with(config: Config, epoch: Epoch, publications: Publications) -> Self {
        let (subscribers, table) = Default::default();
        Self { config, epoch, next_ticket: 0, publications, subscribers, table }
    }

    /// Takes an entry that is in the log already, in the log's order and before any other call: what producers have
    /// published is known from the log.
    ///
    /// # Errors
    /// If the log goes back; nothing has changed then.
    pub fn restore(&mut self, entry: &Entry) -> Result<(), Disordered> {
        self.publications.restore(entry)
    }

    /// The bounds that it keeps.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The life of the log.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// How long a repeated message is recognised at least, after its producer's last one or its own commit: what to advertise.
    #[must_use]
    pub fn dedup_window(&self) -> core::time::Duration {
        self.publications.window()
    }

    /// Publishes a message. The answer is an [`Event::Published`], when the log has committed it.
    ///
    /// # Errors
    /// If it is refused at once; then there is no event.
    pub fn publish(&mut self, now: Now, publication: Publication) -> Result<PublishId, PublishError> {
        self.publications.publish(&self.config, now, None, publication)
    }

    /// Publishes a message that a session sent: as [`Channels::publish`], within that session's [`Config::rate`]. A
    /// message that is recognised as a repetition is not charged.
    ///
    /// # Errors
    /// If it is refused at once; then there is no event.
    pub fn publish_by(
        &mut self,
        now: Now,
        publisher: SubscriberId,
        publication: Publication,
    ) -> Result<PublishId, PublishError> {
        self.publications.publish(&self.config, now, Some(publisher), publication)
    }

    /// Hands an at-most-once message to those that subscribe to a channel now; says how many took it. It has no place in
    /// the log, and moves no cursor.
    pub fn emit(&self, channel: &str, message: &Message, sink: &mut impl Sink) -> usize {
        let found = self.table.find(channel).and_then(|number| Some((number, self.table.get(number)?)));
        let Some((channel, Channel { subscriptions, .. })) = found else { return 0 };
        let open = subscriptions.iter().filter(|(_, subscription)| subscription.is_open());
        open.filter(|(id, _)| sink.deliver(**id, Item::Emitted { channel, message }) == Taken::Yes).count()
    }

    /// Hands over an at-most-once message that a session sent: as [`Channels::emit`], within that session's
    /// [`Config::rate`], which its publications count for as well.
    ///
    /// # Errors
    /// [`EmitError::RateLimited`]; the message is dropped.
    pub fn emit_by(
        &mut self,
        now: Now,
        publisher: SubscriberId,
        channel: &str,
        message: &Message,
        sink: &mut impl Sink,
    ) -> Result<usize, EmitError> {
        self.charge(now, publisher)?;
        Ok(self.emit(channel, message, sink))
    }

    /// Charges a session's [`Config::rate`] for a message that goes to no channel.
    ///
    /// # Errors
    /// [`EmitError::RateLimited`]; the message is to be dropped.
    pub fn charge(&mut self, now: Now, publisher: SubscriberId) -> Result<(), EmitError> {
        let charged = self.publications.charge(&self.config, now, publisher);
        charged.map_err(|retry_after| EmitError::RateLimited { retry_after })
    }

    /// Subscribes to a channel. From where it goes on is decided when the log has been asked: that is the subscription's
    /// first item, [`Item::Subscribed`].
    ///
    /// # Errors
    /// If it is refused at once; then there is no subscription and no item.
    pub fn subscribe(
        &mut self,
        id: SubscriberId,
        channel: &ByteString,
        start: Start,
    ) -> Result<ChannelNumber, SubscribeError> {
        self.subscribe_with(id, channel, start, Away::Everything)
    }

    /// [`subscribe`](Self::subscribe), and says what the subscriber gets of what it misses while it is away: what is older than
    /// where it starts, and what comes after [`Channels::leave`] until it has room again. What it does not get is an
    /// [`Item::Skip`], not a loss: it is not owed. [`Away::LatestPerKey`] holds for each page that is read
    /// ([`Config::page_messages`]): of one key it gets at most one of a page.
    ///
    /// # Errors
    /// Those of [`subscribe`](Self::subscribe).
    pub fn subscribe_with(
        &mut self,
        id: SubscriberId,
        channel: &ByteString,
        start: Start,
        away: Away,
    ) -> Result<ChannelNumber, SubscribeError> {
        self.check_subscribe(id, channel)?;
        let number = self.table.insert(channel, id, Subscription::new(start, away));
        self.subscribers.add(id, number);
        Ok(number)
    }

    /// Ends a subscription: `false` if there is none. It has no further items.
    pub fn unsubscribe(&mut self, id: SubscriberId, channel: ChannelNumber) -> bool {
        let removed = mutant!(UnsubscribeLeavesSubscriber) || self.table.remove(id, channel);
        if removed {
            self.subscribers.drop_one(id, channel);
        }
        removed
    }

    /// Ends all subscriptions of a subscriber: `false` if it has none.
    pub fn remove(&mut self, id: SubscriberId) -> bool {
        let Some(channels) = self.subscribers.remove(id) else { return false };
        for number in channels.into_iter().filter(|_| !mutant!(RemovedSessionLeaks)) {
            self.table.remove(id, number);
        }
        true
    }

    /// How many channels have subscribers.
    #[must_use]
    pub fn subscribed(&self) -> usize {
        self.table.len()
    }

    /// The number of a channel that has subscribers, or had some not long ago.
    #[must_use]
    pub fn number(&self, channel: &str) -> Option<ChannelNumber> {
        self.table.find(channel)
    }

    /// The name of a channel that has a number.
    #[must_use]
    pub fn name(&self, channel: ChannelNumber) -> Option<&ByteString> {
        self.table.get(channel).map(|channel| &channel.name)
    }

    /// What the subscriber has processed of a channel: from where it would go on in another process. `None` if there is
    /// no such subscription, or it is not decided yet from where it goes on.
    #[must_use]
    pub fn position(&self, id: SubscriberId, channel: ChannelNumber) -> Option<Position> {
        let open = self.table.subscription(id, channel).filter(|subscription| subscription.is_open());
        open.map(|subscription| Position { epoch: self.epoch, offset: subscription.processed() })
    }

    /// The subscriber has processed a channel through this offset. What it has processed before changes nothing.
    ///
    /// # Errors
    /// If it is beyond what was delivered, or there is no such subscription.
    pub fn acknowledge(
        &mut self,
        id: SubscriberId,
        channel: ChannelNumber,
        processed: Offset,
    ) -> Result<(), AcknowledgeError> {
        let found = self.table.subscription_mut(id, channel).ok_or(AcknowledgeError::Unknown)?;
        let delivered = found.base();
        if found.acknowledge(processed) {
            Ok(())
        } else {
            Err(AcknowledgeError::FromFuture { processed, delivered })
        }
    }

    /// The subscriber is away: it has no room, and gets of what comes now what its subscriptions say.
    pub fn leave(&mut self, id: SubscriberId) {
        self.subscribers.leave(id);
        for number in self.subscribers.channels(id) {
            if let Some(subscription) = self.table.subscription_mut(id, number) {
                subscription.leave();
            }
        }
    }

    /// The subscriber has room again: what it missed is read for it.
    pub fn resume_reading(&mut self, id: SubscriberId) {
        if self.subscribers.come(id) {
            for number in self.subscribers.channels(id) {
                if let Some(subscription) = self.table.subscription_mut(id, number) {
                    subscription.come();
                }
            }
        }
        self.subscribers.set_room(id, true);
    }

    /// The next thing to do on the log. May have something new after each call that is not a mere question.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        let ticket = Ticket(self.next_ticket);
        let effect = match self.publications.next_append(&self.config, ticket) {
            Some(records) => Effect::Append { ticket, records },
            None => Effect::Read { ticket, query: self.next_query(ticket)? },
        };
        self.next_ticket += 1;
        Some(effect)
    }

    /// The next event. May have something new after [`Channels::publish`] and [`Channels::committed`].
    pub fn poll_event(&mut self) -> Option<Event> {
        self.publications.poll().map(|(publish, result)| Event::Published { publish, result })
    }

    /// The log's answer to an [`Effect::Append`]. One that is not expected changes nothing.
    pub fn committed(
        &mut self,
        now: Now,
        ticket: Ticket,
        result: Result<Vec<Entry>, AppendError>,
        sink: &mut impl Sink,
    ) {
        if !self.publications.answered(ticket, result.as_deref()) {
            return;
        }
        for entry in result.iter().flatten() {
            self.fan_out(now.wall, entry, sink);
        }
    }

    /// The log's answer to an [`Effect::Read`]. One that is no longer expected changes nothing.
    pub fn page(&mut self, now: Now, ticket: Ticket, result: Result<Page, ReadError>, sink: &mut impl Sink) {
        let Some((id, number)) = self.subscribers.answered(ticket) else { return };
        let Some(channel) = self.table.get_mut(number) else { return };
        let Channel { name, head, subscriptions, .. } = channel;
        if let Ok(page) = &result {
            *head = page.history.head.max(*head);
        }
        let Some(subscription) = subscriptions.get_mut(&id) else { return };
        let mut reader = Reader { now: now.wall, id, number, name, head: *head, subscription, sink };
        match reader.answered(ticket, result) {
            None | Some(Read::Live) => {}
            Some(Read::Waits) => self.subscribers.wait(id, number),
            Some(Read::Full) => {
                self.subscribers.set_room(id, false);
                self.subscribers.wait(id, number);
            }
            Some(Read::Refused) => {
                self.unsubscribe(id, number);
            }
        }
    }

    /// What [`Mutant::DeliverBeforeCommit`](mutant::Mutant) does, at every chance.
    #[cfg(tenfour_mutants)]
    #[doc(hidden)]
    pub fn deliver_early(&mut self, now: Now, sink: &mut impl Sink) {
        for entry in self.publications.predicted_entries().iter().filter(|_| mutant!(DeliverBeforeCommit)) {
            self.hand_out(entry, deliverable(entry, now.wall).ok().as_ref(), sink);
        }
    }

    fn check_subscribe(&self, id: SubscriberId, channel: &ByteString) -> Result<(), SubscribeError> {
        let (length, limit) = (channel.len(), self.config.channel_name_bytes);
        if !(1..=limit).contains(&length) {
            return Err(SubscribeError::ChannelName { length, limit });
        }
        if is_reserved(channel) {
            return Err(SubscribeError::Reserved);
        }
        let known = self.table.find(channel).and_then(|number| self.table.get(number));
        if known.is_some_and(|channel| channel.subscriptions.contains_key(&id)) {
            return Err(SubscribeError::Exists);
        }
        let limit = self.config.subscriptions_per_subscriber;
        if self.subscribers.subscriptions(id) >= limit {
            return Err(SubscribeError::TooMany { limit });
        }
        let limit = self.config.subscribers;
        if !self.subscribers.contains(id) && self.subscribers.len() >= limit {
            return Err(SubscribeError::TooManySubscribers { limit });
        }
        let limit = self.config.channels;
        let is_new = known.is_none_or(|channel| channel.subscriptions.is_empty());
        if is_new && self.table.len() >= limit {
            return Err(SubscribeError::TooManyChannels { limit });
        }
        Ok(())
    }

    fn next_query(&mut self, ticket: Ticket) -> Option<Query> {
        let (id, number) = self.subscribers.next(self.config.reads, ticket)?;
        let channel = self.table.get_mut(number)?;
        let asks = channel.subscriptions.get_mut(&id)?.read(ticket, channel.head)?;
        Some(Query {
            channels: Vec::from([channel.name.clone()]),
            after: asks.after,
            through: None,
            messages: if asks.history_alone { 0 } else { self.config.page_messages.max(1) },
            bytes: self.config.page_bytes,
        })
    }

    /// Hands a commit to everyone who follows it.
    fn fan_out(&mut self, now: WallTime, entry: &Entry, sink: &mut impl Sink) {
        let envelope = deliverable(entry, now).ok();
        sink.committed(entry, envelope.as_ref());
        for name in &entry.record.channels {
            if let Some(channel) = self.table.find(name).and_then(|number| self.table.get_mut(number)) {
                channel.head = channel.head.max(entry.offset);
            }
        }
        self.hand_out(entry, envelope.as_ref(), sink);
    }

    fn hand_out(&mut self, entry: &Entry, envelope: Option<&Envelope>, sink: &mut impl Sink) {
        let message = envelope.map(|envelope| &envelope.message);
        for (name, previous) in entry.record.channels.iter().zip(&entry.previous) {
            let Some(number) = self.table.find(name) else { continue };
            let Some(channel) = self.table.get_mut(number) else { continue };
            for (&id, subscription) in &mut channel.subscriptions {
                let followed = subscription.follow(*previous, entry.offset, message, |previous, message| {
                    sink.deliver(id, Item::Message { channel: number, previous, entry, message })
                });
                match followed {
                    Followed::Delivered | Followed::Unchanged => {}
                    Followed::Lags => self.subscribers.wait(id, number),
                    Followed::Full => {
                        self.subscribers.set_room(id, false);
                        self.subscribers.wait(id, number);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
