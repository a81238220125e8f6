use std::io;

use tenfour_wire::{DecodeError, websocket};
use thiserror::Error;

use super::http::Response;
use crate::TimedOut;

/// Why a client could not go on: in a test, what the server did other than was expected.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// Nothing came in time.
    #[error(transparent)]
    TimedOut(#[from] TimedOut),
    /// The server ended the connection, in good order.
    #[error("the server ended the connection before {waited_for}")]
    Ended {
        /// What was waited for.
        waited_for: String,
    },
    /// The connection broke, or was never made.
    #[error("{doing}: {source}")]
    Io {
        /// What failed.
        doing: String,
        /// Why.
        source: io::Error,
    },
    /// What came is not HTTP/1.1.
    #[error("not an HTTP/1.1 response: {0}")]
    Http(String),
    /// The server answered a request with another status.
    #[error("the server answered {} instead of {expected}: {}", response.status, response.text())]
    Status {
        /// The status that was expected.
        expected: u16,
        /// The whole answer.
        response: Box<Response>,
    },
    /// A broken WebSocket frame.
    #[error("a broken frame: {0}")]
    Frame(#[from] websocket::Error),
    /// A broken Engine.IO or Socket.IO packet.
    #[error("a broken packet: {0}")]
    Packet(#[from] DecodeError),
    /// Something else than was expected.
    #[error("expected {expected}, but got {got}")]
    Unexpected {
        /// What was expected.
        expected: String,
        /// What came.
        got: String,
    },
}

impl Error {
    pub(super) fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        |source| Self::Io { doing: doing.into(), source }
    }

    pub(super) fn unexpected(expected: impl Into<String>, got: impl std::fmt::Debug) -> Self {
        Self::Unexpected { expected: expected.into(), got: format!("{got:?}") }
    }

    /// Whether the connection is over, in whatever way: what a test wants that expects the server to close it.
    #[must_use]
    pub const fn is_end(&self) -> bool {
        matches!(self, Self::Ended { .. } | Self::Io { .. })
    }
}
