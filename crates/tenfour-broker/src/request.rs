//! Answers collected over one or many sockets.

use alloc::vec::Vec;
use core::fmt;

use crate::{Body, SocketId};

/// The number of a request in its namespace, which a dialect writes as the acknowledgement id. It counts from 0; a
/// request to many sockets has one number for all of them, so that it is encoded once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(u64);

impl RequestId {
    /// The request of a number read off the wire; whether there is such a request is seen when it is used.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a [`Namespace`](crate::Namespace) has to say.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// Each socket of a request has answered or is known not to.
    RequestDone {
        /// The request.
        request: RequestId,
        /// Who answered what, and who did not.
        outcome: Outcome,
    },
}

/// What came of a request. Each socket that it was sent to is in exactly one of the lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The answers, in the order of their arrival.
    pub answers: Vec<(SocketId, Body)>,
    /// The sockets without an answer, each with the reason.
    pub missing: Vec<(SocketId, Why)>,
}

/// Why a socket's answer is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Why {
    /// The deadline passed.
    TimedOut,
    /// The socket left before it answered.
    Disconnected,
    /// The request was not sent to it: its queue was full, or it owed too many answers already
    /// ([`Limits::pending_requests_per_socket`](crate::Limits::pending_requests_per_socket)).
    Refused,
    /// It answered, and the answer was dropped: [`Limits::held_answer_bytes`](crate::Limits::held_answer_bytes) were
    /// held already.
    NoRoom,
}
