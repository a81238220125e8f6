//! Engine.IO v4: a message channel over long polling, WebSocket, or the one and then the other.
//!
//! A server's front door is [`admit`]; each session that it opens is a [`ServerSession`].
//!
//! # Where this differs from the JavaScript server
//!
//! | what | JavaScript (engine.io 6.6) | here |
//! |---|---|---|
//! | a POST that is no payload | 200, and the session is gone | 400, and the session is gone |
//! | a close packet on a WebSocket | ignored until the ping times out | closes |
//! | `transport=polling` on a WebSocket handshake | upgraded, then closed | 400 |
//! | a close packet behind messages, by polling | one payload | a payload of its own, since stock clients act on it first |
//! | a client that lets what is sent to it pile up | no bound | [`SendError::Full`], and an end as [`CloseReason::SlowConsumer`] |
//! | an application that lets what it gets pile up | no bound | [`ServerSession::accepts_input`]; timers rest meanwhile |
//!
//! What the codec takes otherwise is told in [`tenfour_wire::engineio`].

mod admission;
mod config;
mod event;
mod heartbeat;
mod queue;
mod session;
#[cfg(test)]
mod tests;
mod transport;

pub use admission::{Admission, Intent, Method, Query, Refusal, Request, admit};
pub use config::{Config, TransportKind, Transports, Upgrade};
pub use event::{CloseReason, Event, Message};
pub use session::{Opening, SendError, ServerSession};
