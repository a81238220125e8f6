//! Who subscribes, and for whom the log is to be read next.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};

use tenfour_delivery::log::Ticket;

use super::{ChannelNumber, SubscriberId};

/// The subscribers, each with the subscriptions that wait to be read for, in turn. One is read for at a time.
#[derive(Clone, Debug, Default, Hash)]
pub(super) struct Subscribers {
    all: BTreeMap<SubscriberId, Subscriber>,
    /// Those that have room and something to read, and for whom nothing is being read, by their turns.
    ready: BTreeMap<u64, SubscriberId>,
    turns: u64,
    reads: BTreeMap<Ticket, (SubscriberId, ChannelNumber)>,
}

#[derive(Clone, Debug, Hash)]
struct Subscriber {
    channels: BTreeSet<ChannelNumber>,
    waiting: VecDeque<ChannelNumber>,
    reading: Option<Ticket>,
    has_room: bool,
    is_away: bool,
    ready: Option<u64>,
}

impl Subscribers {
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn contains(&self, id: SubscriberId) -> bool {
        self.all.contains_key(&id)
    }

    /// How many subscriptions it has.
    pub(super) fn subscriptions(&self, id: SubscriberId) -> usize {
        self.all.get(&id).map_or(0, |subscriber| subscriber.channels.len())
    }

    /// What it subscribes to.
    pub(super) fn channels(&self, id: SubscriberId) -> impl Iterator<Item = ChannelNumber> + use<'_> {
        self.all.get(&id).into_iter().flat_map(|subscriber| subscriber.channels.iter().copied())
    }

    /// Adds a subscription, which waits.
    pub(super) fn add(&mut self, id: SubscriberId, number: ChannelNumber) {
        self.all.entry(id).or_insert_with(Subscriber::new).channels.insert(number);
        self.wait(id, number);
    }

    /// Ends a subscription, and forgets a subscriber without one.
    pub(super) fn drop_one(&mut self, id: SubscriberId, number: ChannelNumber) {
        let Some(subscriber) = self.all.get_mut(&id) else { return };
        subscriber.channels.remove(&number);
        subscriber.waiting.retain(|waiting| *waiting != number);
        if subscriber.channels.is_empty() {
            self.remove(id);
        } else {
            self.queue(id);
        }
    }

    /// Forgets a subscriber, and answers what it subscribed to.
    pub(super) fn remove(&mut self, id: SubscriberId) -> Option<BTreeSet<ChannelNumber>> {
        let subscriber = self.all.remove(&id)?;
        if let Some(turn) = subscriber.ready {
            self.ready.remove(&turn);
        }
        Some(subscriber.channels)
    }

    /// A subscription is to be read for.
    pub(super) fn wait(&mut self, id: SubscriberId, number: ChannelNumber) {
        if let Some(subscriber) = self.all.get_mut(&id) {
            subscriber.waiting.push_back(number);
            self.queue(id);
        }
    }

    pub(super) fn leave(&mut self, id: SubscriberId) {
        if let Some(subscriber) = self.all.get_mut(&id) {
            subscriber.is_away = true;
        }
        self.set_room(id, false);
    }

    /// Whether it was away until now.
    pub(super) fn come(&mut self, id: SubscriberId) -> bool {
        self.all.get_mut(&id).is_some_and(|subscriber| core::mem::take(&mut subscriber.is_away))
    }

    pub(super) fn set_room(&mut self, id: SubscriberId, has_room: bool) {
        if let Some(subscriber) = self.all.get_mut(&id) {
            subscriber.has_room = has_room;
            self.queue(id);
        }
    }

    /// The next to read for, unless as many reads as allowed are under way.
    pub(super) fn next(&mut self, limit: usize, ticket: Ticket) -> Option<(SubscriberId, ChannelNumber)> {
        if self.reads.len() >= limit.max(1) {
            return None;
        }
        let (_, id) = self.ready.pop_first()?;
        let subscriber = self.all.get_mut(&id)?;
        subscriber.ready = None;
        let number = subscriber.waiting.pop_front()?;
        subscriber.reading = Some(ticket);
        self.reads.insert(ticket, (id, number));
        Some((id, number))
    }

    /// A read was answered: whose it was, if that subscriber still waits for it.
    pub(super) fn answered(&mut self, ticket: Ticket) -> Option<(SubscriberId, ChannelNumber)> {
        let (id, number) = self.reads.remove(&ticket)?;
        let subscriber = self.all.get_mut(&id)?;
        subscriber.reading.take_if(|reading| *reading == ticket)?;
        self.queue(id);
        Some((id, number))
    }

    /// Sets whether a subscriber has its turn.
    fn queue(&mut self, id: SubscriberId) {
        let Some(subscriber) = self.all.get_mut(&id) else { return };
        match (subscriber.is_ready(), subscriber.ready) {
            (true, None) => {
                self.turns += 1;
                subscriber.ready = Some(self.turns);
                self.ready.insert(self.turns, id);
            }
            (false, Some(turn)) => {
                subscriber.ready = None;
                self.ready.remove(&turn);
            }
            (true, Some(_)) | (false, None) => {}
        }
    }
}

impl Subscriber {
    fn new() -> Self {
        Self {
            channels: BTreeSet::new(),
            waiting: VecDeque::new(),
            reading: None,
            has_room: true,
            is_away: false,
            ready: None,
        }
    }

    fn is_ready(&self) -> bool {
        self.has_room && self.reading.is_none() && !self.waiting.is_empty()
    }
}
