//! JSON (RFC 8259) as the dialects carry it: checked before it is passed on, read into types, written from them.
//!
//! | | |
//! |---|---|
//! | [`validate`] | one pass over a text: grammar, depth, lone surrogates, forged placeholders |
//! | [`from_str`], [`Deserializer`] | typed values out of a text, binary attachments in their place |
//! | [`members`] | an object's members, each as it was written |
//! | [`to_string`] | typed values as a text and its attachments |
//!
//! Why not `serde_json` alone: its `RawValue` accepts any depth and half a surrogate pair, which a receiver in JavaScript
//! or Rust then chokes on, and it knows no attachments.
#![cfg_attr(
    not(any(feature = "socketio", test)),
    expect(dead_code, unused_imports, reason = "only Socket.IO has arguments and attachments")
)]

mod de;
mod error;
mod members;
pub(crate) mod number;
pub(crate) mod placeholder;
pub(crate) mod scan;
mod ser;
mod sink;
pub(crate) mod string;

use bytes::BytesMut;

pub(crate) use de::Missing;
pub use de::{Deserializer, from_str};
pub use error::Error;
pub use members::{Member, members};
pub use scan::{MAX_DEPTH, validate};
pub(crate) use ser::to_elements;
pub use ser::to_string;

/// Appends `text` as a JSON string, escaping what `JSON.stringify` escapes and as it does.
///
/// ```
/// use tenfour_wire::{BytesMut, json};
///
/// let mut out = BytesMut::new();
/// json::encode_string("a\n\"b\"", &mut out);
/// assert_eq!(out, r#""a\n\"b\"""#);
/// ```
pub fn encode_string(text: &str, out: &mut BytesMut) {
    string::encode(text, out);
}
