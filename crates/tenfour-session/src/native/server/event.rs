use super::super::{Closed, Cost, Publication, RequestId, Start, outgoing::message_cost};
use bytes::Bytes;
use bytestring::ByteString;
use tenfour_delivery::{
    number::{Generation, Offset, Sequence},
    resume::Claim,
};
use tenfour_wire::native::{Message, Target, Token};

/// What a server's application is told.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ServerEvent {
    /// A client wants in: answer with [`welcome`](super::ServerSession::welcome), [`resume`](super::ServerSession::resume)
    /// or [`reject`](super::ServerSession::reject).
    Hello {
        /// What it joins.
        namespace: ByteString,
        /// The application's own token.
        credentials: Bytes,
        /// The session that it had.
        resume: Option<ResumeClaim>,
    },
    /// Answer with [`subscribed`](super::ServerSession::subscribed).
    Subscribe {
        /// For the answer.
        request: RequestId,
        /// The channel's name.
        channel: ByteString,
        /// Where it begins.
        start: Start,
    },
    /// Answer with [`unsubscribed`](super::ServerSession::unsubscribed).
    Unsubscribe {
        /// The channel's number.
        channel: u32,
    },
    /// Answer with [`published`](super::ServerSession::published), once it is committed.
    Publish {
        /// For the answer.
        publish: Sequence,
        /// What.
        publication: Publication,
    },
    /// A message that is sent at most once.
    Emit {
        /// Where it goes.
        target: Target,
        /// What it says.
        message: Message,
    },
    /// The client asks: answer with [`reply`](super::ServerSession::reply).
    Request {
        /// For the answer.
        request: RequestId,
        /// What.
        message: Message,
    },
    /// The answer to a request.
    Reply {
        /// What [`request`](super::ServerSession::request) returned.
        request: RequestId,
        /// The answer, or what went wrong, for people.
        result: Result<Message, ByteString>,
    },
    /// The client's application has processed everything of a channel through `offset`, if that was ever sent.
    Processed {
        /// The channel's number.
        channel: u32,
        /// The position.
        offset: Offset,
    },
    /// There is room again for what was [refused](super::SendError::Full).
    Writable,
    /// The session is over. This is the last event.
    Closed(Closed),
}

/// A claim to a session that was begun on an earlier connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ResumeClaim {
    /// Which session, and the proof that it is the client's.
    pub token: Token,
    /// The connection that the client knew last.
    pub generation: Generation,
    /// What the client has received, and what it still holds.
    pub claim: Claim,
}

impl ServerEvent {
    /// For [`consumed`](super::ServerSession::consumed), once the application is done with the event. It is nothing for
    /// events that the client needs no credit for.
    #[must_use]
    pub fn cost(&self) -> Cost {
        match self {
            Self::Publish { publication, .. } => message_cost(&publication.message),
            Self::Request { message, .. } | Self::Reply { result: Ok(message), .. } => message_cost(message),
            Self::Subscribe { .. } | Self::Unsubscribe { .. } | Self::Reply { result: Err(_), .. } => {
                Cost { messages: 1, bytes: 0 }
            }
            Self::Hello { .. }
            | Self::Emit { .. }
            | Self::Processed { .. }
            | Self::Writable
            | Self::Closed(_) => Cost::default(),
        }
    }
}
