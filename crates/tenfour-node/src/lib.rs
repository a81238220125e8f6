#![doc = include_str!("../README.md")]
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod claim;
mod connection;
pub mod cursor;
mod dialect;
pub mod hub;
mod namespace;
pub mod native;
#[cfg(test)]
mod tests;

pub use claim::Claim;
pub use connection::{Config, Connection, Event, Incoming, Overflow, ReplyId};
pub use dialect::{Dialect, Kind, LOST, lost_message, render_message, render_reply};
pub use hub::Hub;
pub use namespace::{Delivery, Namespace, Peer, REPLAY_BYTES, Reach, Urgency};
pub use tenfour_broker as broker;
pub use tenfour_session as session;
