//! Why sessions are refused, and changes to them.

use tenfour_delivery::log::AppendError;

/// Why a client cannot have a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// There are as many sessions as there may be, and none of them is parked.
    #[error("the namespace has {limit} sessions; refuse this one, or raise `recovery::Config::sessions`")]
    Full {
        /// [`Config::sessions`](super::Config::sessions), or [`Limits::sockets`](crate::Limits::sockets).
        limit: usize,
    },
    /// The new session's id or pid is another one's.
    #[error("the session's id or pid is taken; draw new ones")]
    Taken,
    /// The visit has a session.
    #[error("the visit has a session already; number visits anew")]
    Visiting,
    /// Its session was claimed on a connection that is newer.
    #[error("the session goes on on a newer connection; end this one")]
    Superseded,
}

/// Why a change was not made. Nothing of it was.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum ChangeError {
    /// The log did not take it.
    #[error(transparent)]
    NotCommitted(#[from] AppendError),
    /// The session ended before it was committed.
    #[error("the session has ended; drop what was meant for it")]
    Ended,
}
