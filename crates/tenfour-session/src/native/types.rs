//! What both sides speak of, in the core's own numbers.

use bytestring::ByteString;
use core::{iter::Sum, ops::Add, time::Duration};
use tenfour_delivery::{
    entry::Producer,
    loss::Lost,
    number::{Epoch, Offset},
    resume::Position,
};
use tenfour_wire::native::{CloseCode, Message};

/// A request, named by whoever asks; or a wish to subscribe, named by the client's session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub(super) u64);

impl RequestId {
    /// The number on the wire.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

/// What a message takes of the credit that its sender has, until the application is done with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Cost {
    /// One for each numbered frame.
    pub messages: u64,
    /// Bytes of the message as it is encoded, its frame's head left out.
    pub bytes: u64,
}

impl Add for Cost {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { messages: self.messages + other.messages, bytes: self.bytes + other.bytes }
    }
}

impl Sum for Cost {
    fn sum<I: Iterator<Item = Self>>(costs: I) -> Self {
        costs.fold(Self::default(), Add::add)
    }
}

/// A message to be committed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Publication {
    /// The channel's name.
    pub channel: ByteString,
    /// The message's number among its producer's, so that a repetition is recognised.
    pub producer: Option<Producer>,
    /// How long it is worth delivering, counted from its arrival at the server, in whole milliseconds.
    pub ttl: Option<Duration>,
    /// What it says.
    pub message: Message,
}

/// Where a publication stands in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Receipt {
    /// The epoch of the log.
    pub epoch: Epoch,
    /// The place in it.
    pub offset: Offset,
    /// Whether it was there already: then the place is the one that it got at first.
    pub duplicate: bool,
}

/// Where a subscription begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Start {
    /// With what is committed from now on.
    Live,
    /// With the oldest entry that is kept.
    Earliest,
    /// Behind what the subscriber has.
    After(Position),
}

/// A subscription that has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Subscription {
    /// The number that stands for the channel, the same for all sessions of the server.
    pub channel: u32,
    /// The epoch of the log.
    pub epoch: Epoch,
    /// What became of the place that was asked for.
    pub decision: Decision,
    /// The place behind which the subscription goes on: its first message names it as its predecessor.
    pub after: Offset,
    /// The channel's last entry at this moment.
    pub head: Offset,
}

/// What became of the place where a subscription was to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Decision {
    /// It goes on there.
    Continue,
    /// Entries behind it are gone.
    Gap(Lost),
    /// The log has begun anew: the place means nothing in it.
    Reset(Lost),
}

/// Why a client is not let in.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Rejection {
    /// Why, and whether to try again.
    pub code: CloseCode,
    /// How long to wait before the next attempt, in whole milliseconds.
    pub retry_after: Option<Duration>,
    /// For people who debug; usually empty.
    pub reason: ByteString,
}

/// Why something was not taken to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The window or the peer's credit is used up.
    #[error("the peer does not keep up; try again after the event `Writable`")]
    Full,
    /// The peer, the transport or the window takes nothing of this size.
    #[error("a frame of {bytes} bytes, and at most {limit} can be sent; send less, or more often")]
    TooLarge {
        /// The size of its frame.
        bytes: usize,
        /// What there is room for.
        limit: usize,
    },
    /// More wait for an answer than [`Config::unanswered`](super::Config::unanswered).
    #[error("too many wait for an answer; try again after one has come")]
    TooManyUnanswered,
    /// More bytes of answers wait than [`Config::waiting_bytes`](super::Config::waiting_bytes): the peer asks and takes no
    /// answers. It is told that this one does not come.
    #[error(
        "more than {limit} bytes of answers wait, so the peer got an error in place of this one; answer less"
    )]
    TooMuchWaits {
        /// How many may wait.
        limit: usize,
    },
    /// The session is over.
    #[error("the session is over; connect again and resume")]
    Closed,
}

/// Why a channel was not subscribed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum SubscribeError {
    /// There are as many as [`Config::subscriptions`](super::Config::subscriptions).
    #[error("as many subscriptions as are configured; end one, or configure more")]
    TooMany,
    /// The name is empty, or longer than [`Limits::channel_bytes`](tenfour_wire::native::Limits::channel_bytes), or than fits into a datagram.
    #[error("a channel's name has 1 to {limit} bytes here; choose such a name")]
    Name {
        /// The longest that can be sent.
        limit: usize,
    },
}
