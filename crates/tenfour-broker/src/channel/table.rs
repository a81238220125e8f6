//! The channels that have subscribers, by name and by number.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};

use bytestring::ByteString;
use tenfour_delivery::number::Offset;

use super::{ChannelNumber, SubscriberId, subscription::Subscription};

/// How many channels without subscribers keep their numbers, so that a subscriber who comes back soon, or a frame that is
/// still on its way, means the same channel.
const IDLE: usize = 1_024;

/// A channel with subscribers, or one that had some not long ago.
#[derive(Clone, Debug, Hash)]
pub(super) struct Channel {
    pub(super) name: ByteString,
    /// The last offset that is known to be committed.
    pub(super) head: Offset,
    pub(super) subscriptions: BTreeMap<SubscriberId, Subscription>,
    /// Since which turn it has had no subscribers.
    idle_since: u64,
}

#[derive(Clone, Debug, Default, Hash)]
pub(super) struct Table {
    names: BTreeMap<ByteString, ChannelNumber>,
    channels: Vec<Channel>,
    idle: BTreeSet<(u64, ChannelNumber)>,
    turns: u64,
}

impl Table {
    pub(super) fn find(&self, name: &str) -> Option<ChannelNumber> {
        self.names.get(name).copied()
    }

    pub(super) fn get(&self, number: ChannelNumber) -> Option<&Channel> {
        self.channels.get(number.index())
    }

    pub(super) fn get_mut(&mut self, number: ChannelNumber) -> Option<&mut Channel> {
        self.channels.get_mut(number.index())
    }

    pub(super) fn subscription(&self, id: SubscriberId, number: ChannelNumber) -> Option<&Subscription> {
        self.get(number)?.subscriptions.get(&id)
    }

    pub(super) fn subscription_mut(
        &mut self,
        id: SubscriberId,
        number: ChannelNumber,
    ) -> Option<&mut Subscription> {
        self.get_mut(number)?.subscriptions.get_mut(&id)
    }

    /// How many channels have subscribers.
    pub(super) fn len(&self) -> usize {
        self.channels.len() - self.idle.len()
    }

    /// Adds a subscription to a channel, which gets a number if it has none.
    pub(super) fn insert(&mut self, name: &ByteString, id: SubscriberId, new: Subscription) -> ChannelNumber {
        let number = self.find(name).unwrap_or_else(|| self.add(name));
        let channel = &mut self.channels[number.index()];
        self.idle.remove(&(channel.idle_since, number));
        channel.subscriptions.insert(id, new);
        number
    }

    /// `false` if there is no such subscription.
    pub(super) fn remove(&mut self, id: SubscriberId, number: ChannelNumber) -> bool {
        let Some(channel) = self.channels.get_mut(number.index()) else { return false };
        let removed = channel.subscriptions.remove(&id).is_some();
        if removed && channel.subscriptions.is_empty() {
            self.turns += 1;
            channel.idle_since = self.turns;
            self.idle.insert((self.turns, number));
        }
        removed
    }

    /// A new channel takes the number of the one that has been idle the longest, once enough are. Its name is copied: it
    /// may have been cut out of a larger buffer, which would be kept with it.
    fn add(&mut self, name: &str) -> ChannelNumber {
        let name = ByteString::from(name);
        let channel = Channel {
            name: name.clone(),
            head: Offset::START,
            subscriptions: BTreeMap::new(),
            idle_since: 0,
        };
        let reused = if self.idle.len() >= IDLE { self.idle.pop_first() } else { None };
        let number = match reused {
            Some((_, number)) => {
                let old = core::mem::replace(&mut self.channels[number.index()], channel);
                self.names.remove(&old.name);
                number
            }
            None => {
                self.channels.push(channel);
                ChannelNumber::at(self.channels.len() - 1)
            }
        };
        self.names.insert(name, number);
        number
    }
}
