//! WebSocket messages from and to bytes (RFC 6455), without I/O and without a connection's buffers.
//!
//! A [`Decoder`] takes whatever bytes a socket gave and hands over whole [`Message`]s; a sender writes a [`Header`]
//! before the payload that it has already. The opening handshake is HTTP's business but for [`accept_key`].
//!
//! ```
//! use tenfour_wire::websocket::{Decoder, Message, Opcode, Role, encode_masked, header};
//!
//! let mut wire = bytes::BytesMut::new();
//! encode_masked(Opcode::Text, b"hello", [0x37, 0xfa, 0x21, 0x3d], &mut wire);
//!
//! let mut decoder = Decoder::new(Role::Server, 1_000_000);
//! let mut input = &wire[..];
//! let message = decoder.decode(&mut input)?;
//! assert_eq!(message, Some(Message::Text("hello".into())));
//! assert_eq!(decoder.decode(&mut input)?, None);
//!
//! assert_eq!(*header(Opcode::Text, 5), [0x81, 5]);
//! # Ok::<(), tenfour_wire::websocket::Error>(())
//! ```
//!
//! # Why frames of our own
//!
//! A server of many quiet connections that sends one message to thousands of them wants two things of its framing
//! which a library that owns the socket's buffers does not give. A connection that waits must hold no read buffer:
//! tungstenite's default is 128 KiB for each. And a broadcast's payload must be shared by its receivers, with only a
//! header of each connection's own, where tungstenite copies the payload for each receiver.
//!
//! # What is not here
//!
//! Extensions: `permessage-deflate` is not negotiated, so a reserved bit is an error. Outgoing messages are not
//! fragmented. Whether a peer pings too often is for the session to judge.

mod decoder;
mod encode;
mod error;
mod frame;
mod handshake;
mod mask;
mod partial;
#[cfg(test)]
mod tests;

use bytes::Bytes;
use bytestring::ByteString;

pub use self::{
    decoder::{DEFAULT_MAX_FRAGMENTS, Decoder},
    encode::{Header, encode_close, encode_masked, header},
    error::{Error, ErrorKind},
    frame::Opcode,
    handshake::accept_key,
};

/// Whose end of the connection this is: masks go one way only (RFC 6455 §5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Demands masked frames of its peer.
    Server,
    /// Demands unmasked frames of its peer.
    Client,
}

/// A whole message, its fragments joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Text, checked to be UTF-8.
    Text(ByteString),
    /// Bytes.
    Binary(Bytes),
    /// To be answered with a [`Message::Pong`] of the same payload, at most 125 bytes.
    Ping(Bytes),
    /// An answer to a ping, or unasked for; at most 125 bytes.
    Pong(Bytes),
    /// The last message: to be answered with the same, unless it is an answer itself. `None` has no status code.
    Close(Option<CloseFrame>),
}

/// Why a peer closes (RFC 6455 §7.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloseFrame {
    /// 1000 is a normal closure; 3000 to 4999 are free for libraries and applications.
    pub code: u16,
    /// For people who debug, at most 123 bytes; usually empty.
    pub reason: ByteString,
}

/// Whether a close frame may carry `code`: defined for use in one (RFC 6455 §7.4 and the IANA registry), or free.
const fn is_close_code(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}
