#![doc = include_str!("../README.md")]
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub use counters::Counters;
pub use error::{DataError, InsertError, JoinError, RequestError};
pub use id::SocketId;
pub use limits::Limits;
pub use message::{Body, Message};
pub use namespace::{Departed, Joined, Member, Namespace};
pub use request::{Event, Outcome, RequestId, Why};
pub use target::Target;

pub mod channel;
mod coding;
mod counters;
mod error;
mod id;
pub mod idempotency;
mod index;
mod limits;
mod members;
mod message;
mod namespace;
pub mod note;
pub mod recovery;
pub mod registry;
mod request;
mod target;
