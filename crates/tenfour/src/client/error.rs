//! What can go wrong, and what to do then.

use super::store::OutboxFull;
use tenfour_tokio::wire::native::{CloseCode, RefusalReason};
use thiserror::Error;

/// Why a client is over, or did not get through.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The application closed it.
    #[error("the client was closed")]
    Closed,
    /// The server ended it for good.
    #[error("the server ended the connection for good: {code}{}", reason_of(.reason))]
    Ended {
        /// Why.
        code: CloseCode,
        /// For people who debug; often empty.
        reason: String,
    },
    /// There is no connection yet, after so long.
    #[error("no connection to {url}: {problem}")]
    Unreachable {
        /// Where it was tried.
        url: String,
        /// The last attempt's error.
        problem: String,
    },
}

fn reason_of(reason: &str) -> String {
    if reason.is_empty() { String::new() } else { format!(" ({reason})") }
}

/// Why a publication is not known to be committed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The client is over. What a durable outbox has accepted is sent by whoever opens it next.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// It is larger than what servers take.
    #[error("a message of {bytes} bytes is larger than the {limit} that servers take; send it in parts")]
    TooLarge {
        /// With its channel and name.
        bytes: usize,
        /// What one may have.
        limit: usize,
    },
    /// The outbox is full.
    #[error(transparent)]
    Full(OutboxFull),
    /// The outbox failed. What is in it stays there, and the client publishes no more.
    #[error("the outbox failed: {0}; open it anew when that is mended")]
    Outbox(String),
    /// The server refuses it, and would do so again.
    #[error("the server refuses the publication: {0:?}")]
    Refused(RefusalReason),
    /// Its number was used for another message: two clients share one outbox, or a copy of it.
    #[error("the publication's number was used for another message; give each client an outbox of its own")]
    Conflict,
    /// A newer life of the producer publishes: two clients share one outbox, or a copy of it. This one publishes no more.
    #[error(
        "another client publishes from a newer state of the same outbox; give each client an outbox of its own"
    )]
    Fenced,
    /// It may be committed, or not: the connection was lost before the answer, and the server has forgotten since.
    #[error(
        "whether the publication was committed is not known any more; publish it again if twice is better than not at all"
    )]
    Indeterminate,
}

/// Why there is no subscription.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SubscribeError {
    /// The client is over.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The client has a subscription to the channel.
    #[error("the client subscribes to {0:?} already; use that subscription, or drop it first")]
    Subscribed(String),
    /// No server would be asked for it.
    #[error("no such subscription: {0}")]
    Impossible(String),
    /// The server refuses it, and would do so again.
    #[error("the server refuses the subscription: {0:?}")]
    Refused(RefusalReason),
}

/// Why a request has no answer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The client is over. The server may have got the request.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// There is no connection at the moment. The request was not sent.
    #[error("there is no connection at the moment; ask again once there is one")]
    NotConnected,
    /// No answer came in time. The server may have got the request.
    #[error("the server did not answer in time; it may have received the request")]
    TimedOut,
    /// The session that asked is gone. The server may have got the request.
    #[error("the session was lost before the answer came; the server may have received the request")]
    SessionLost,
    /// The server did not answer the request itself, but refused it.
    #[error("the server refuses the request: {0}")]
    Refused(String),
}
