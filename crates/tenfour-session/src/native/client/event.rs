use super::super::{Closed, Cost, Receipt, Rejection, RequestId, Subscription, outgoing::message_cost};
use bytestring::ByteString;
use core::time::Duration;
use tenfour_delivery::{
    loss::{Lost, Skip},
    mutant,
    number::{Epoch, Generation, Offset, Sequence},
};
use tenfour_wire::native::{Message, Refusal};

/// What a client's application is told.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ClientEvent {
    /// The server has let the client in.
    Welcomed(Welcome),
    /// The server has not. [`Closed`](Self::Closed) follows.
    Rejected(Rejection),
    /// A subscription has begun, or has begun anew after [`Resumption::Rebased`].
    Subscribed {
        /// The channel.
        channel: ByteString,
        /// Where it goes on, and what was lost before that.
        subscription: Subscription,
    },
    /// A subscription has ended, or did not begin.
    Unsubscribed {
        /// The channel.
        channel: ByteString,
        /// Why, where it was not this client that ended it.
        refusal: Option<Refusal>,
    },
    /// A message of a channel.
    Message(Delivered),
    /// A message that is sent at most once.
    Emitted {
        /// The channel; `None` if it is for this client alone.
        channel: Option<ByteString>,
        /// What it says.
        message: Message,
    },
    /// Messages that will not come, at their place in the channel's order. What they go over is processed when the application
    /// [says so](super::ClientSession::processed).
    Lost {
        /// The channel.
        channel: ByteString,
        /// The epoch that the offsets belong to.
        epoch: Epoch,
        /// What.
        lost: Lost,
        /// What of the server's credit it has used: a message that expired on the way takes its own.
        charge: u64,
    },
    /// A range of the channel in which nothing was owed.
    Skip {
        /// The channel.
        channel: ByteString,
        /// Where.
        skip: Skip,
    },
    /// What follows in this channel is live.
    CaughtUp {
        /// The channel.
        channel: ByteString,
        /// Where.
        offset: Offset,
    },
    /// After a silence, the server says that the channel goes further than what has come of it. What is missing may be on its
    /// way; if it does not come by the next time, something has lost it, and a new session brings it: see
    /// [`forget_session`](super::ClientSession::forget_session).
    Behind {
        /// The channel.
        channel: ByteString,
        /// What has come.
        received: Offset,
        /// The channel's last entry.
        head: Offset,
    },
    /// The answer to a publication.
    Published {
        /// What [`publish`](super::ClientSession::publish) returned.
        publish: Sequence,
        /// Where it was committed, or why it was not.
        result: Result<Receipt, Refusal>,
    },
    /// The session was gone, and with it the answer. What was sent may have arrived.
    Unanswered(Unanswered),
    /// The server asks.
    Request {
        /// For [`reply`](super::ClientSession::reply).
        request: RequestId,
        /// What.
        message: Message,
    },
    /// The answer to a request.
    Reply {
        /// What [`request`](super::ClientSession::request) returned.
        request: RequestId,
        /// The answer, or what went wrong, for people.
        result: Result<Message, ByteString>,
    },
    /// The server is about to go: connect again within `drain`, at a moment drawn from `jitter`, and resume.
    GoAway {
        /// When the server closes the connection at the latest.
        drain: Duration,
        /// The span to draw the moment from.
        jitter: Duration,
    },
    /// There is room again for what was [refused](super::SendError::Full).
    Writable,
    /// The session is over. This is the last event.
    Closed(Closed),
}

/// How the server has let a client in.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Welcome {
    /// What became of the session that the client had.
    pub resumption: Resumption,
    /// Which connection of the session this is.
    pub generation: Generation,
    /// The epoch of the namespace's log.
    pub epoch: Epoch,
    /// How long the server recognises a publication that is repeated; `None` if it makes no promise.
    pub dedup_window: Option<Duration>,
}

/// What became of the session that a client had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Resumption {
    /// It had none.
    Fresh,
    /// It goes on, and nothing is lost in either direction.
    Exact,
    /// It is gone, and this is a new one. Each channel is subscribed to again, from its position; what waited for an answer
    /// is reported as [`Unanswered`].
    Rebased,
}

/// What will get no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unanswered {
    /// A publication: publish it again with the same producer's number, and it is committed once.
    Publication(Sequence),
    /// A request.
    Request(RequestId),
}

/// A message of a channel, in its place.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Delivered {
    /// The channel.
    pub channel: ByteString,
    /// The epoch of the log.
    pub epoch: Epoch,
    /// The channel's entry before this one, which the application has been told of.
    pub previous: Offset,
    /// The place.
    pub offset: Offset,
    /// What it says.
    pub message: Message,
}

impl ClientEvent {
    /// For [`consumed`](super::ClientSession::consumed), once the application is done with the event. It is nothing for
    /// events that the server needs no credit for.
    #[must_use]
    pub fn cost(&self) -> Cost {
        match self {
            Self::Message(Delivered { message, .. })
            | Self::Request { message, .. }
            | Self::Reply { result: Ok(message), .. } => message_cost(message),
            Self::Lost { .. } | Self::Skip { .. } if mutant!(CreditLeaks) => Cost::default(),
            Self::Lost { charge, .. } => Cost { messages: 1, bytes: *charge },
            Self::Subscribed { .. }
            | Self::Unsubscribed { .. }
            | Self::Skip { .. }
            | Self::CaughtUp { .. }
            | Self::Published { .. }
            | Self::Reply { result: Err(_), .. } => Cost { messages: 1, bytes: 0 },
            Self::Welcomed(_)
            | Self::Rejected(_)
            | Self::Emitted { .. }
            | Self::Behind { .. }
            | Self::Unanswered(_)
            | Self::GoAway { .. }
            | Self::Writable
            | Self::Closed(_) => Cost::default(),
        }
    }
}
