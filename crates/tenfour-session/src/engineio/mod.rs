//! Engine.IO v4: a message channel over long polling, WebSocket, or the one and then the other.
//!
//! A server's front door is [`admit`]; each session that it opens is a [`ServerSession`].

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
