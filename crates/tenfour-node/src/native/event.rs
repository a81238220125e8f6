//! What a server tells its driver.

use super::{PeerId, RequestId, SessionId};
use bytes::Bytes;
use bytestring::ByteString;
use tenfour_broker::{
    Message, Target,
    channel::{EVERYONE, Entry, Envelope, PublishError, PublishId, Receipt},
};
use tenfour_session::native::SendError;
use tenfour_wire::native::CloseCode;

/// Something that the driver, or the application behind it, is to know or to decide.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[expect(
    clippy::large_enum_variant,
    reason = "the largest is the commonest, and a box would be an allocation for each"
)]
#[non_exhaustive]
pub enum Event {
    /// A client wants in, or back in: answer with [`Server::authenticated`](super::Server::authenticated).
    Authenticate {
        /// Its connection.
        peer: PeerId,
        /// What it proves its identity with; the application's affair.
        credentials: Bytes,
        /// Whether it claims a session that it had before.
        resuming: bool,
    },
    /// A client is in. Further connections of the same session say so again.
    Joined {
        /// Its session.
        session: SessionId,
        /// The connection that it has now.
        peer: PeerId,
        /// The name under which it was authenticated.
        identity: ByteString,
        /// Whether the session is a new one.
        is_new: bool,
    },
    /// A session has ended, and cannot be resumed. Its requests, in both directions, will not be answered.
    Left {
        /// The session.
        session: SessionId,
        /// Why.
        reason: LeaveReason,
    },
    /// A client asks: answer with [`Server::reply`](super::Server::reply), now or later.
    Request {
        /// Whose request it is.
        session: SessionId,
        /// Which of its requests.
        request: RequestId,
        /// The question.
        message: Message,
    },
    /// A client answered a [`Server::request`](super::Server::request).
    Reply {
        /// Who answered.
        session: SessionId,
        /// Which of the requests to it.
        request: RequestId,
        /// The answer, or the client's word for why there is none.
        result: Result<Message, ByteString>,
    },
    /// What came of a [`Server::publish`](super::Server::publish).
    Published {
        /// Which.
        publish: PublishId,
        /// Where it is in the log, once it is committed.
        result: Result<Receipt, PublishError>,
    },
    /// An entry of the log was committed: in this order, members of other dialects get it
    /// ([`Committed::fan_out`]).
    Committed(Committed),
    /// A client, or the driver, sent a message at most once; those of other dialects get it as well.
    Emitted {
        /// The channel, which is a room of other dialects.
        channel: ByteString,
        /// The message.
        message: Message,
    },
    /// A client sent a message to the server's application, at most once.
    Told {
        /// Whose it is.
        session: SessionId,
        /// The message.
        message: Message,
    },
    /// After [`Server::shutdown`](super::Server::shutdown): every connection is closed.
    Drained,
}

/// An entry of the log, for those who are reached in other ways than by a subscription.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Committed {
    /// The entry: its place in the log, and the channels that it is in; a channel is the room of the same name.
    pub entry: Entry,
    /// What was published; `None` if it expired before it was committed, or cannot be read.
    pub envelope: Option<Envelope>,
}

impl Committed {
    /// Sends the message to the members of the rooms that are called as its channels, but for those it excepts; each gets it
    /// once.
    ///
    /// Called in the order of the [events](Event::Committed), every member gets the messages in the order of the log.
    pub fn fan_out<P: crate::Peer>(&self, namespace: &mut crate::Namespace<P>) -> crate::Reach {
        let Some(Envelope { except, message, .. }) = &self.envelope else { return crate::Reach::default() };
        let channels = &self.entry.record.channels;
        let target = if channels.contains(&EVERYONE) {
            Target::all()
        } else {
            Target::rooms(channels.iter().cloned())
        };
        let target = except.iter().cloned().fold(target, Target::except);
        namespace.emit(&target, message, crate::Urgency::Queued)
    }
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LeaveReason {
    /// The connection ended for good: the client was done, or either side broke the protocol.
    Closed(CloseCode),
    /// It was not resumed in time.
    Expired,
    /// It was parked, and its room was needed for others.
    Evicted,
    /// It was claimed, and could not go on: one side no longer holds what the other needs.
    Unresumable,
    /// The driver dropped the connection before the server could take over what the session needs to go on.
    Abandoned,
}

/// Why a client could not be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The session has no connection now, or is over.
    #[error("the client is away; ask again when it has joined again")]
    Away,
    /// Its connection does not take the request.
    #[error(transparent)]
    Refused(#[from] SendError),
}
