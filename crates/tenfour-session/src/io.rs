//! What goes into a session and what comes out: requests, sockets, frames.

use bytes::Bytes;
use tenfour_wire::websocket;

/// A pending HTTP request, named by the driver. A name is never used twice within a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// A WebSocket of the session, named by the driver. A name is never used twice within a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WebSocketId(pub u32);

/// Something that happened on a transport, as the driver saw it.
#[derive(Debug)]
#[non_exhaustive]
pub enum Input {
    /// A GET came: the client waits for packets.
    Poll {
        /// The request to answer.
        request: RequestId,
    },
    /// The head of a POST came; its body is still on the way.
    PostOpened {
        /// The request to answer.
        request: RequestId,
        /// What the head says of the body.
        content: PostContent,
    },
    /// The body of a POST is complete.
    PostBody {
        /// The request to answer.
        request: RequestId,
        /// At most the configured payload limit.
        body: Bytes,
    },
    /// The body of a POST went over the payload limit, and the driver stopped reading it.
    PostTooLarge {
        /// The request to answer.
        request: RequestId,
    },
    /// The client went away from a request that is not answered yet.
    RequestAborted {
        /// The request that needs no answer any more.
        request: RequestId,
    },
    /// A WebSocket for this session is open.
    SocketOpened {
        /// The new socket.
        socket: WebSocketId,
    },
    /// A WebSocket message came.
    SocketMessage {
        /// Where it came.
        socket: WebSocketId,
        /// What came.
        message: websocket::Message,
    },
    /// What came on a WebSocket was malformed or too large.
    SocketFailed {
        /// Where it came.
        socket: WebSocketId,
        /// The close code that tells the client ([`websocket::Error::close_code`]).
        code: u16,
    },
    /// A WebSocket ended without a closing handshake.
    SocketClosed {
        /// The socket that is gone.
        socket: WebSocketId,
    },
    /// The WebSocket takes no more bytes for now.
    WriteBlocked {
        /// The socket that is full.
        socket: WebSocketId,
    },
    /// All that was written to the WebSocket is on its way.
    WriteReady {
        /// The socket that has room again.
        socket: WebSocketId,
    },
}

/// What the `Content-Type` of a POST says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PostContent {
    /// Anything but the other one.
    Text,
    /// `application/octet-stream`: the binary payloads of Engine.IO v3, which v4 does not have.
    OctetStream,
}

/// Something to do that is not bound to the pace of a socket.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Transmit {
    /// Answer a request.
    Respond {
        /// The request.
        request: RequestId,
        /// Its answer.
        response: Response,
    },
}

/// An HTTP answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The `Content-Type`; none for an empty body.
    pub content_type: Option<&'static str>,
    /// The body.
    pub body: Bytes,
}

impl Response {
    pub(crate) const fn empty(status: u16) -> Self {
        Self { status, content_type: None, body: Bytes::new() }
    }

    /// The answer to a WebSocket handshake that the driver has checked; the headers are the driver's.
    #[must_use]
    pub const fn switching_protocols() -> Self {
        Self::empty(101)
    }

    pub(crate) const fn new(status: u16, content_type: &'static str, body: Bytes) -> Self {
        Self { status, content_type: Some(content_type), body }
    }
}

/// What is written to a WebSocket next.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Frame {
    /// A text message; the bytes are UTF-8.
    Text(Bytes),
    /// A binary message.
    Binary(Bytes),
    /// The answer to a WebSocket ping.
    Pong(Bytes),
    /// The closing handshake, with its code where there is one. Nothing follows.
    Close(Option<u16>),
}

impl Frame {
    /// The payload's length in bytes.
    #[must_use]
    pub fn payload_len(&self) -> usize {
        match self {
            Self::Text(data) | Self::Binary(data) | Self::Pong(data) => data.len(),
            Self::Close(code) => code.map_or(0, |_| 2),
        }
    }
}
