#![doc = include_str!("../README.md")]
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

#[cfg(test)]
mod driver;
pub mod engineio;
mod events;
mod io;
pub mod native;
pub mod socketio;

pub use io::{Frame, Input, PostContent, RequestId, Response, Transmit, WebSocketId};
