//! What a window refuses, and what the caller does then.

use crate::number::Sequence;

/// A message was not taken, and here it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("{cause}")]
pub struct Full<P> {
    /// What was pushed.
    pub payload: P,
    /// What to wait for, if anything.
    pub cause: Cause,
}

/// Why a message was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Cause {
    /// The window's own bound.
    #[error("the window is full: try again after an acknowledgement")]
    Window,
    /// The peer's credit.
    #[error("the peer has granted no more: try again after a grant")]
    Credit,
    /// It is larger than [`Config::bytes`](super::Config::bytes).
    #[error("the message is larger than the window: it will never fit, send less or configure more")]
    TooLarge,
}

/// What a peer says it has received cannot be. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum AckError {
    /// It acknowledges what was never transmitted.
    #[error(
        "what is below {acknowledged} is acknowledged, what is below {transmitted} was sent: close, the peer broke the protocol"
    )]
    FromFuture {
        /// The number after the highest that the peer acknowledges.
        acknowledged: Sequence,
        /// The number after the highest that was transmitted.
        transmitted: Sequence,
    },
    /// It wants to go on from what it acknowledged before, and that is no longer held.
    #[error("{needed} was acknowledged, and only what is from {first_held} on is held: begin a new session")]
    Gone {
        /// The first number that the peer has not received, as it says now.
        needed: Sequence,
        /// The first number that could be sent again.
        first_held: Sequence,
    },
}
