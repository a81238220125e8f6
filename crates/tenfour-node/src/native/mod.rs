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
//! ```
//! use std::sync::Arc;
//! use tenfour_delivery::{number::Epoch, time::Now};
//! use tenfour_log::{Log, Memory, Retention};
//! use tenfour_node::broker::{Body, Message, channel::{Effect, Publication}};
//! use tenfour_node::native::{Config, Event, Grants, Identity, PeerId, Peers, Server};
//! use tenfour_node::session::native::*;
//!
//! /// The server's ends of the connections: here, one.
//! struct One(ServerSession);
//!
//! impl Peers for One {
//!     fn with<R>(&mut self, _: PeerId, act: impl FnOnce(&mut ServerSession) -> R) -> Option<R> {
//!         Some(act(&mut self.0))
//!     }
//! }
//!
//! /// Does what the server asks for: of the log, and of the application, which lets everybody in.
//! fn settle(now: Now, server: &mut Server, log: &mut Memory, peers: &mut One) {
//!     while let Some(effect) = server.poll_effect() {
//!         match effect {
//!             Effect::Append { ticket, records } => log.append(ticket, records),
//!             Effect::Read { ticket, query } => server.page(now, ticket, log.read(&query), peers),
//!         }
//!         while let Some(done) = log.poll() {
//!             server.committed(now, done.ticket, done.result, peers);
//!         }
//!     }
//!     while let Some(event) = server.poll_event() {
//!         if let Event::Authenticate { peer, .. } = event {
//!             let identity = Identity::new("ada", Grants::new().subscribe("news"));
//!             server.authenticated(now, peer, Ok(identity), [4; 30], peers); // 30 random bytes
//!         }
//!     }
//! }
//!
//! let (now, peer) = (Now::default(), PeerId(1));
//! let mut log = Memory::new(Epoch::new(1), Retention::default());
//! let mut server = Server::new(Arc::new(Config::default()), "/".into(), log.epoch(), 0x5eed);
//! let mut peers = One(ServerSession::new(Arc::default(), Transport::Stream, now.mono));
//! let mut client = ClientSession::new(Arc::default(), Transport::Stream, Hello::default(), None, now.mono);
//! client.subscribe(now.mono, "news", Start::Earliest)?;
//!
//! let message = Message { name: None, body: Body::Text("hello".into()) };
//! server.publish(now, Publication::to_channel("news", message), &mut peers)?;
//!
//! for _ in 0..3 { // there, and back, and there
//!     while let Some(Transmit::Bytes(bytes)) = client.poll_transmit(now.mono) {
//!         peers.0.handle_input(now.mono, Input::Bytes(bytes));
//!         server.drive(now, peer, &mut peers);
//!     }
//!     settle(now, &mut server, &mut log, &mut peers);
//!     while let Some(Transmit::Bytes(bytes)) = peers.0.poll_transmit(now.mono) {
//!         client.handle_input(now.mono, Input::Bytes(bytes));
//!     }
//! }
//! let heard = std::iter::from_fn(|| client.poll_event()).find_map(|event| match event {
//!     ClientEvent::Message(delivered) => Some(delivered.message.body),
//!     _ => None,
//! });
//! assert_eq!(heard, Some(tenfour_wire::native::Body::Text("hello".into())));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

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
    convert::{from_wire, to_wire},
    event::{Committed, Event, LeaveReason, RequestError},
    identity::{Grants, Identity},
    server::{Load, Server},
    sessions::SessionId,
};
pub use tenfour_session::native::{Rejection, RequestId, SendError};

use tenfour_session::native::ServerSession;

/// A connection, named by the driver. A name is never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId(pub u64);

/// How a server reaches the connections' sessions: a lock in a runtime, an index in a simulator.
pub trait Peers {
    /// Calls the session of a connection; `None` if there is no such connection any more.
    fn with<R>(&mut self, peer: PeerId, act: impl FnOnce(&mut ServerSession) -> R) -> Option<R>;
}
