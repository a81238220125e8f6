//! tenfour's own protocol, from either side of one connection.
//!
//! A [`ClientSession`] and a [`ServerSession`] speak over an ordered stream or over a pipe that loses, repeats and reorders
//! datagrams ([`Transport`]). What they send under a number arrives exactly once and in order, as long as the session
//! goes on: over any number of connections, since each side takes its journal out of a dead connection and gives it to
//! the next. If it cannot go on, both applications are told before anything else.

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
    ClientEvent, ClientJournal, ClientSession, Delivered, Hello, Resumption, SubscribeError, Unanswered,
    Welcome,
};
pub use closed::Closed;
pub use config::Config;
pub use io::{Input, Transmit, Transport};
pub use server::{
    Beginning, Delivery, ResumeClaim, ResumeError, ServerEvent, ServerJournal, ServerSession, Welcomed,
};
pub use types::{Cost, Decision, Publication, Receipt, Rejection, RequestId, SendError, Start, Subscription};
