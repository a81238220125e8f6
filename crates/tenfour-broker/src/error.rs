//! Why a namespace refuses a call.

use crate::SocketId;

/// Why a socket cannot be inserted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InsertError {
    /// There is a socket of this id.
    #[error("the namespace has a socket {id} already; draw a new id")]
    Exists {
        /// The id that both claim.
        id: SocketId,
    },
    /// The namespace is full.
    #[error("the namespace holds {limit} sockets; refuse this one, or raise `Limits::sockets`")]
    Full {
        /// [`Limits::sockets`](crate::Limits::sockets).
        limit: usize,
    },
}

/// Why a socket cannot join a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// There is no such socket: it never came, or has left.
    #[error("the namespace has no socket {id}; it has left, so drop what was meant for it")]
    Unknown {
        /// The id asked for.
        id: SocketId,
    },
    /// The room's name is too long.
    #[error(
        "a room's name of {length} bytes is over {limit}; shorten it, or raise `Limits::room_name_bytes`"
    )]
    NameTooLong {
        /// Bytes of the name.
        length: usize,
        /// [`Limits::room_name_bytes`](crate::Limits::room_name_bytes).
        limit: usize,
    },
    /// The room would be one more than the namespace may have.
    #[error("the namespace has {limit} rooms; empty one first, or raise `Limits::rooms`")]
    Full {
        /// [`Limits::rooms`](crate::Limits::rooms).
        limit: usize,
    },
    /// The room's name is one that only the namespace uses.
    #[error("a room's name does not begin with U+0000; choose another one")]
    Reserved,
    /// Too many changes of sessions wait for the log.
    #[error("{limit} changes wait for the log; wait for one, or raise `recovery::Config::pending_notes`")]
    Busy {
        /// [`recovery::Config::pending_notes`](crate::recovery::Config::pending_notes).
        limit: usize,
    },
    /// The socket is in as many rooms as it may be.
    #[error("the socket is in {limit} rooms; leave one first, or raise `Limits::rooms_per_socket`")]
    TooManyRooms {
        /// [`Limits::rooms_per_socket`](crate::Limits::rooms_per_socket).
        limit: usize,
    },
}

/// Why a socket's data cannot be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// There is no such socket: it never came, or has left.
    #[error("the namespace has no socket {id}; it has left, so drop what was meant for it")]
    Unknown {
        /// The id asked for.
        id: SocketId,
    },
    /// Too many changes of sessions wait for the log.
    #[error("{limit} changes wait for the log; wait for one, or raise `recovery::Config::pending_notes`")]
    Busy {
        /// [`recovery::Config::pending_notes`](crate::recovery::Config::pending_notes).
        limit: usize,
    },
    /// The data is too long.
    #[error(
        "a socket's data of {length} bytes is over {limit}; keep less in it, or raise `Limits::data_bytes`"
    )]
    TooLong {
        /// Bytes of the data.
        length: usize,
        /// [`Limits::data_bytes`](crate::Limits::data_bytes).
        limit: usize,
    },
}

/// Why a request cannot be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// Too many requests are pending.
    #[error("{limit} requests are pending; wait for one to be done, or raise `Limits::pending_requests`")]
    TooMany {
        /// [`Limits::pending_requests`](crate::Limits::pending_requests).
        limit: usize,
    },
    /// There is no such socket: it never came, or has left.
    #[error("the namespace has no socket {id}; it has left, so it will not answer")]
    Unknown {
        /// The id asked for.
        id: SocketId,
    },
    /// The socket owes too many answers.
    #[error("the socket owes {limit} answers; wait for one, or raise `Limits::pending_requests_per_socket`")]
    Busy {
        /// [`Limits::pending_requests_per_socket`](crate::Limits::pending_requests_per_socket).
        limit: usize,
    },
    /// What is asked would have to be kept, to be asked again, and there is no room.
    #[error("{limit} bytes of requests would be passed; ask for less, or raise `Limits::kept_request_bytes`")]
    TooLarge {
        /// [`Limits::kept_request_bytes`](crate::Limits::kept_request_bytes).
        limit: usize,
    },
}
