//! tenfour's own protocol, from either side of one connection.
//!
//! A [`ClientSession`] and a [`ServerSession`] speak over an ordered stream, or over a pipe that loses, repeats and reorders
//! datagrams ([`Transport`]). What they send under a number arrives exactly once and in order for as long as the session
//! goes on, over any number of connections: each side takes its journal out of a dead connection and gives it to the next.
//! If the session cannot go on, both applications are told before anything else.
//!
//! ```
//! use tenfour_delivery::{number::{Epoch, Generation, Offset}, time::Instant};
//! use tenfour_session::native::*;
//! use tenfour_wire::native::{Body, Message, SharedMessage, Token};
//!
//! /// Carries bytes both ways until nobody says anything more. A real driver has a socket for this, and a clock.
//! fn carry(client: &mut ClientSession, server: &mut ServerSession) {
//!     let now = Instant::ZERO;
//!     loop {
//!         let (up, down) = (client.poll_transmit(now), server.poll_transmit(now));
//!         if let Some(Transmit::Bytes(bytes)) = &up {
//!             server.handle_input(now, Input::Bytes(bytes.clone()));
//!         }
//!         if let Some(Transmit::Bytes(bytes)) = &down {
//!             client.handle_input(now, Input::Bytes(bytes.clone()));
//!         }
//!         if up.is_none() && down.is_none() {
//!             return;
//!         }
//!     }
//! }
//!
//! let now = Instant::ZERO;
//! let connect = |journal| ClientSession::new(Default::default(), Transport::Stream, Hello::default(), journal, now);
//! let (mut client, mut server) = (connect(None), ServerSession::new(Default::default(), Transport::Stream, now));
//! client.subscribe(now, "news", Start::Live)?;
//! carry(&mut client, &mut server);
//!
//! // The server looks at whom it has before it, and lets the client in.
//! let Some(ServerEvent::Hello { resume: None, .. }) = server.poll_event() else { panic!() };
//! let (token, generation, epoch) = (Token([7; 30]), Generation::FIRST, Epoch::new(1));
//! server.welcome(now, &Welcomed { token, generation, epoch, dedup_window: None, beginning: Beginning::Fresh });
//! carry(&mut client, &mut server);
//! let Some(ServerEvent::Subscribe { request, .. }) = server.poll_event() else { panic!() };
//! let (channel, after, decision) = (1, Offset::START, Decision::Continue);
//! server.subscribed(now, request, Ok(Subscription { channel, epoch, decision, after, head: after }));
//!
//! // A message is on its way when the connection breaks.
//! let message = Message { name: None, body: Body::Text("10-4".into()) };
//! let (previous, offset, shared) = (after, Offset::new(1), SharedMessage::new(&message));
//! server.deliver(now, Delivery { channel, previous, offset, expires: None, message: &shared })?;
//! while server.poll_transmit(now).is_some() {}
//! let (kept, parked) = (client.take_journal(), server.take_journal().expect("the client was let in"));
//!
//! // The client comes back on another one, and the session goes on.
//! (client, server) = (connect(kept), ServerSession::new(Default::default(), Transport::Stream, now));
//! carry(&mut client, &mut server);
//! let Some(ServerEvent::Hello { resume: Some(claim), .. }) = server.poll_event() else { panic!() };
//! assert_eq!(claim.token, token);
//! let fence = generation.next().expect("it is the second");
//! server.resume(now, parked, Token([8; 30]), fence).map_err(|(_, error)| error)?;
//! carry(&mut client, &mut server);
//! let events: Vec<_> = std::iter::from_fn(|| client.poll_event()).collect();
//! let [ClientEvent::Welcomed(welcome), ClientEvent::Subscribed { .. }, ClientEvent::Message(delivered)] = &events[..] else {
//!     panic!("{events:?}")
//! };
//! assert_eq!((welcome.resumption, &delivered.message), (Resumption::Exact, &message));
//! client.consumed(now, events.iter().map(ClientEvent::cost).sum());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is held, and for whom
//!
//! Everything that a peer makes a session hold is bounded by [`Config`], and every message counts against the credit of its
//! sender until the application is [done](ServerSession::consumed) with it. What breaks the protocol ends the session with
//! a code that the peer is told ([`Closed::Fault`]); docs/PROTOCOL.md lists them.
//!
//! A message of a channel is encoded once ([`SharedMessage`](tenfour_wire::native::SharedMessage)) and shared by the windows of all
//! its subscribers; on a stream its bytes are a piece of their own if they are a kilobyte or more. Once the buffers have
//! grown, a delivery allocates nothing, but for the count of the owners of each piece of a stream that comes; whatever else is sent
//! under a number allocates one box. A silent session gives its buffers back: with a subscription it takes 2.6 kB on the
//! server's side and 4.2 kB on the client's (`cargo test -p tenfour-session --test allocations`).

mod acks;
mod calls;
mod client;
mod closed;
mod config;
mod io;
mod link;
mod liveness;
mod outgoing;
mod requests;
mod server;
mod state;
#[cfg(test)]
mod tests;
mod translate;
mod types;
mod writer;

pub use client::{
    ClientEvent, ClientJournal, ClientSession, Delivered, Hello, Resumption, Unanswered, Welcome,
};
pub use closed::Closed;
pub use config::Config;
pub use io::{Input, Transmit, Transport};
pub use server::{
    Beginning, Delivery, ResumeClaim, ResumeError, ServerEvent, ServerJournal, ServerSession, Welcomed,
};
pub use types::{
    Cost, Decision, Publication, Receipt, Rejection, RequestId, SendError, Start, SubscribeError,
    Subscription,
};
