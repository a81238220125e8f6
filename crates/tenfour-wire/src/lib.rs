#![doc = include_str!("../README.md")]
#![no_std]
#![forbid(unsafe_code)]

#[cfg(any(feature = "json", feature = "websocket"))]
extern crate alloc;

#[cfg(any(feature = "engineio", feature = "websocket"))]
mod base64;
#[cfg(feature = "engineio")]
pub mod engineio;
mod error;
#[cfg(feature = "json")]
pub mod json;
mod limits;
#[cfg(feature = "native")]
pub mod native;
#[cfg(feature = "socketio")]
pub mod socketio;
#[cfg(feature = "websocket")]
pub mod websocket;

pub use bytes::{Bytes, BytesMut};
pub use bytestring::ByteString;
pub use error::{DecodeError, DecodeErrorKind};
pub use limits::Limits;
