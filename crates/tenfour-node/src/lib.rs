#![doc = include_str!("../README.md")]
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod connection;
mod dialect;
mod namespace;
pub mod native;
#[cfg(test)]
mod tests;

pub use connection::{Config, Connection, Event, Incoming, Overflow, ReplyId};
pub use dialect::{Dialect, render_message, render_reply};
pub use namespace::{Delivery, Namespace, Peer, Reach, Urgency};
pub use tenfour_broker as broker;
pub use tenfour_session as session;
