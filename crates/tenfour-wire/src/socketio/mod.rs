//! Socket.IO v5 (protocol revision 5, on Engine.IO v4): packets with their attachments and acknowledgements.
//!
//! A packet is one text message, `<type>[<attachments>-][<namespace>,][<id>][<payload>]`, and then as many binary messages
//! as it says. [`Decoder`] puts them together; [`Packet::encode`], or [`encode_event`] and its like from borrowed
//! parts, writes the text, and [`Packet::attachments`] are the binary messages. [`Args`] are an event's arguments: one
//! slice of the frame, read into types only when asked. A packet keeps the memory of its whole frame: copy what is to
//! outlive it by long.
//!
//! # Where this is stricter than the JavaScript parser
//!
//! | input | JavaScript (socket.io-parser 4.2) | here |
//! |---|---|---|
//! | a space in place of the type | CONNECT | [`PacketType`](crate::DecodeErrorKind::PacketType) |
//! | empty text | fails later | [`Empty`](crate::DecodeErrorKind::Empty) |
//! | id `007`, or above `u64::MAX` | `7`, or rounded | [`AckId`](crate::DecodeErrorKind::AckId) |
//! | id ` 5` | `5` | [`Payload`](crate::DecodeErrorKind::Payload) |
//! | an acknowledgement without id | ignored by the server | [`AckId`](crate::DecodeErrorKind::AckId) |
//! | an id on CONNECT, DISCONNECT or CONNECT_ERROR | ignored | [`AckId`](crate::DecodeErrorKind::AckId) |
//! | attachment count `1e1`, ` 1` or `01` | 10, 1 or 1 | [`AttachmentCount`](crate::DecodeErrorKind::AttachmentCount) |
//! | attachments announced, but no payload | accepted | [`Payload`](crate::DecodeErrorKind::Payload) |
//! | nesting beyond [`json_depth`](crate::Limits::json_depth) | accepted; fails when it is sent on | [`Depth`](crate::DecodeErrorKind::Depth) |
//! | half a surrogate pair, escaped | accepted | [`LoneSurrogate`](crate::DecodeErrorKind::LoneSurrogate) |
//! | the key `_placeholder` but in a placeholder of this packet | accepted, and binary to whom it is relayed | [`Placeholder`](crate::DecodeErrorKind::Placeholder) |
//!
//! What is as there: an event without a payload means nothing and is no error; attachments may have no placeholder or
//! several; a namespace is taken literally, its query included; an event's name is a string or a number and none of
//! those that are [reserved](EventName::is_reserved); ids beyond 2^53 are accepted, but kept exact.

mod args;
mod decode;
mod encode;
#[cfg(feature = "msgpack")]
pub mod msgpack;
mod packet;
mod sequence;

pub use args::{Args, Iter};
pub use decode::Decoder;
pub use encode::{encode_ack, encode_connect, encode_connect_error, encode_disconnect, encode_event};
pub use packet::{AckId, DEFAULT_NAMESPACE, EventName, Packet};
