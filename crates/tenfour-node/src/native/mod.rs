//! A whole server of tenfour's own protocol, for one namespace, without I/O.
//!
//! A [`Server`] has the sessions of all clients and the channels that they publish on and subscribe to. A session is a
//! client over as many connections as it takes: when a connection is gone its session is *parked*, and goes on, exactly,
//! on the next one that shows its token. A session that was parked for too long is gone; its client is told so
//! and subscribes again from its cursors, which the log still knows.
//!
//! # Driving it
//!
//! The driver has the connections, each a [`ServerSession`] that it names by a [`PeerId`], the log, and the application:
//!
//! | it sees | it calls |
//! |---|---|
//! | bytes on a connection, or its deadline | the session's `handle_input` or `handle_timeout`, then [`drive`](Server::drive) |
//! | the connection's end | [`closed`](Server::closed), before it drops the session |
//! | [`poll_effect`](Server::poll_effect) | its log, and [`committed`](Server::committed) or [`page`](Server::page) with the answer |
//! | [`poll_event`](Server::poll_event) | the application, and [`authenticated`](Server::authenticated) or [`reply`](Server::reply) |
//! | [`poll_timeout`](Server::poll_timeout) has come | [`handle_timeout`](Server::handle_timeout) |
//! | [`poll_touched`](Server::poll_touched) | that session's `poll_transmit` and `poll_timeout` |
//!
//! After any of these calls the polls may have something new. A server never waits for anyone: a subscriber without room
//! is a cursor on the log, a session without connection is a parked one, a publication is answered when the log has
//! committed it.
//!

mod admission;
mod config;
mod convert;
mod delivery;
mod dispatch;
mod drain;
mod event;
mod identity;
mod server;
mod sessions;
#[cfg(test)]
mod tests;
mod tokens;

pub use self::{
    config::{Config, Limits},
    event::{Committed, Event, LeaveReason, RequestError},
    identity::{Grants, Identity},
    server::{Load, Server},
    sessions::SessionId,
};
pub use tenfour_session::native::{Rejection, RequestId};

use tenfour_session::native::ServerSession;

/// A connection, named by the driver. A name is never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId(pub u64);

/// How a server reaches the connections' sessions: a lock in a runtime, an index in a simulator.
pub trait Peers {
    /// Calls the session of a connection; `None` if there is no such connection any more.
    fn with<R>(&mut self, peer: PeerId, act: impl FnOnce(&mut ServerSession) -> R) -> Option<R>;
}
