//! How a subscriber is reached.

use bytestring::ByteString;
use tenfour_delivery::{
    log::ReadError,
    loss::{Lost, Skip},
    number::{Epoch, Offset},
    resume::Decision,
};

use super::{ChannelNumber, Entry, Envelope, SubscribeError, SubscriberId};
use crate::Message;

/// Where deliveries go: the subscribers' sessions, as their driver has them.
pub trait Sink {
    /// Hands an item to a subscriber. One that is [`Taken::Full`] stays a cursor and gets the same item again, or what
    /// has become of it, after [`Channels::resume_reading`](super::Channels::resume_reading).
    fn deliver(&mut self, to: SubscriberId, item: Item<'_>) -> Taken;

    /// A message is committed: called once for each, in the log's order, before it is delivered to anyone; without an
    /// envelope for one that has expired by then, or cannot be read. For whoever hears of all channels, such as the rooms of
    /// other protocols.
    fn committed(&mut self, entry: &Entry, envelope: Option<&Envelope>) {
        let _ = (entry, envelope);
    }
}

/// Whether an item was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Taken {
    /// It is the sink's now, and is not offered again.
    Yes,
    /// The subscriber has no room for it, or is away.
    Full,
}

/// What a subscriber gets of a channel. From one to the next, a subscription's items cover the channel's log without a
/// hole: each begins where the one before it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Item<'a> {
    /// The first item of each subscription, where the log could be read: from where it goes on, or that it does not.
    Subscribed {
        /// The channel.
        channel: ChannelNumber,
        /// Its name.
        name: &'a ByteString,
        /// The decision. After a refusal the subscription is over.
        outcome: Result<Subscribed, SubscribeError>,
    },
    /// A committed message.
    Message {
        /// The channel.
        channel: ChannelNumber,
        /// Where the subscription was before it: of this channel there is nothing between there and the entry.
        previous: Offset,
        /// The entry, with the message in its storage form.
        entry: &'a Entry,
        /// The message.
        message: &'a Message,
    },
    /// Messages that were owed and will not come.
    Lost {
        /// The channel.
        channel: ChannelNumber,
        /// Which, how many, and why.
        lost: Lost,
    },
    /// A range in which nothing was owed.
    Skip {
        /// The channel.
        channel: ChannelNumber,
        /// Which.
        skip: Skip,
    },
    /// The replay is over: whatever comes now is new. Once for each subscription that did not start at
    /// [`Start::Live`](super::Start::Live).
    CaughtUp {
        /// The channel.
        channel: ChannelNumber,
        /// Where it is now.
        offset: Offset,
    },
    /// An at-most-once message, which has no place in the log. If it is not taken it is gone.
    Emitted {
        /// The channel.
        channel: ChannelNumber,
        /// The message.
        message: &'a Message,
    },
    /// The log could not be read, so the subscription stands still until
    /// [`Channels::resume_reading`](super::Channels::resume_reading). The answer is not regarded.
    Unreadable {
        /// The channel.
        channel: ChannelNumber,
        /// What the log says.
        error: &'a ReadError,
    },
}

impl Item<'_> {
    /// The channel that it is of.
    #[must_use]
    pub fn channel(&self) -> ChannelNumber {
        match *self {
            Self::Subscribed { channel, .. }
            | Self::Message { channel, .. }
            | Self::Lost { channel, .. }
            | Self::Skip { channel, .. }
            | Self::CaughtUp { channel, .. }
            | Self::Emitted { channel, .. }
            | Self::Unreadable { channel, .. } => channel,
        }
    }
}

/// From where a subscription goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Subscribed {
    /// How it goes on after what the subscriber claimed. A loss that is told here is not told again.
    pub decision: Decision,
    /// The life of the log.
    pub epoch: Epoch,
    /// The channel's last entry when it was decided.
    pub head: Offset,
}
