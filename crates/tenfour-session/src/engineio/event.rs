//! What a session and the layer above say to each other.

use bytes::Bytes;
use bytestring::ByteString;
use thiserror::Error;

/// What a client or a server says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Text.
    Text(ByteString),
    /// Bytes.
    Binary(Bytes),
}

impl Message {
    /// What the message counts against [`Config::inbound_bytes`](super::Config::inbound_bytes) from its arrival to [`ServerSession::consumed`](super::ServerSession::consumed).
    #[must_use]
    pub fn cost(&self) -> usize {
        let len = match self {
            Self::Text(text) => text.len(),
            Self::Binary(data) => data.len(),
        };
        size_of::<Self>() + len
    }
}

/// What a session tells the layer above.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A message came.
    Message(Message),
    /// The session is over for the layer above; nothing follows.
    Closed(CloseReason),
}

impl Event {
    /// What the event counts against [`Config::inbound_bytes`](super::Config::inbound_bytes) from its arrival to
    /// [`ServerSession::consumed`](super::ServerSession::consumed): that of its message.
    #[must_use]
    pub fn cost(&self) -> usize {
        match self {
            Self::Message(message) => message.cost(),
            Self::Closed(_) => 0,
        }
    }
}

/// Why a session is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum CloseReason {
    /// The client closed, or its connection ended.
    #[error("transport close")]
    TransportClose,
    /// The client broke the transport's rules: overlapping requests, a ping of its own, an oversized frame.
    #[error("transport error")]
    TransportError,
    /// No pong came in time.
    #[error("ping timeout")]
    PingTimeout,
    /// What came was no packet.
    #[error("parse error")]
    ParseError,
    /// The layer above closed the session.
    #[error("forced server close")]
    ServerClose,
    /// The server is going away.
    #[error("server shutting down")]
    Shutdown,
    /// The client did not read what was sent to it, and its queue ran over.
    #[error("slow consumer")]
    SlowConsumer,
}
