//! Packets as text, from borrowed parts: what is sent to many is encoded without a [`Packet`](super::Packet).
//!
//! A namespace starts with `/` and holds no comma; JSON text that a caller hands over is written as it is.

use bytes::{BufMut, BytesMut};

use super::{AckId, Args, EventName};
use crate::json::{number, string};

/// Appends a CONNECT packet to `namespace`, which starts with `/` and holds no comma; `data` is the text of a JSON object.
///
/// ```
/// use tenfour_wire::{BytesMut, socketio::encode_connect};
///
/// let mut out = BytesMut::new();
/// encode_connect(&mut out, "/admin", Some(r#"{"sid":"x"}"#));
/// assert_eq!(out, r#"0/admin,{"sid":"x"}"#);
/// ```
pub fn encode_connect(out: &mut BytesMut, namespace: &str, data: Option<&str>) {
    encode_head(out, b'0', 0, namespace, None);
    out.put_slice(data.unwrap_or_default().as_bytes());
}

/// Appends a DISCONNECT packet from `namespace`.
///
/// ```
/// use tenfour_wire::{BytesMut, socketio::encode_disconnect};
///
/// let mut out = BytesMut::new();
/// encode_disconnect(&mut out, "/");
/// assert_eq!(out, "1");
/// ```
pub fn encode_disconnect(out: &mut BytesMut, namespace: &str) {
    encode_head(out, b'1', 0, namespace, None);
}

/// Appends an EVENT packet, or the text of a BINARY_EVENT if `args` has attachments: those must follow, each as a binary
/// message.
///
/// ```
/// use tenfour_wire::{BytesMut, Limits, socketio::{AckId, Args, encode_event}};
///
/// let args = Args::from_parts(r#""hello",{"loud":true}"#.into(), vec![], &Limits::default())?;
/// let mut out = BytesMut::new();
/// encode_event(&mut out, "/chat", Some(AckId::new(7)), &"say".into(), &args);
/// assert_eq!(out, r#"2/chat,7["say","hello",{"loud":true}]"#);
/// # Ok::<(), tenfour_wire::DecodeError>(())
/// ```
pub fn encode_event(out: &mut BytesMut, namespace: &str, id: Option<AckId>, name: &EventName, args: &Args) {
    let digit = if args.attachments().is_empty() { b'2' } else { b'5' };
    encode_head(out, digit, args.attachments().len(), namespace, id);
    out.put_u8(b'[');
    match name {
        EventName::Text(text) => string::encode(text, out),
        EventName::Number(digits) => out.put_slice(digits.as_bytes()),
    }
    if !args.json().is_empty() {
        out.put_u8(b',');
    }
    out.put_slice(args.json().as_bytes());
    out.put_u8(b']');
}

/// Appends an ACK packet, or the text of a BINARY_ACK if `args` has attachments: those must follow, each as a binary message.
///
/// ```
/// use tenfour_wire::{BytesMut, socketio::{AckId, Args, encode_ack}};
///
/// let mut out = BytesMut::new();
/// encode_ack(&mut out, "/", AckId::new(7), &Args::empty());
/// assert_eq!(out, "37[]");
/// ```
pub fn encode_ack(out: &mut BytesMut, namespace: &str, id: AckId, args: &Args) {
    let digit = if args.attachments().is_empty() { b'3' } else { b'6' };
    encode_head(out, digit, args.attachments().len(), namespace, Some(id));
    out.put_u8(b'[');
    out.put_slice(args.json().as_bytes());
    out.put_u8(b']');
}

/// Appends a CONNECT_ERROR packet; `data` is the text of a JSON object or string.
///
/// ```
/// use tenfour_wire::{BytesMut, socketio::encode_connect_error};
///
/// let mut out = BytesMut::new();
/// encode_connect_error(&mut out, "/x", Some(r#"{"message":"Invalid namespace"}"#));
/// assert_eq!(out, r#"4/x,{"message":"Invalid namespace"}"#);
/// ```
pub fn encode_connect_error(out: &mut BytesMut, namespace: &str, data: Option<&str>) {
    encode_head(out, b'4', 0, namespace, None);
    out.put_slice(data.unwrap_or_default().as_bytes());
}

/// What stands before the payload: `<type>[<attachments>-][<namespace>,][<id>]`.
fn encode_head(out: &mut BytesMut, digit: u8, attachments: usize, namespace: &str, id: Option<AckId>) {
    out.put_u8(digit);
    if attachments > 0 {
        number::encode_integer(attachments as u64, out);
        out.put_u8(b'-');
    }
    if namespace != "/" {
        out.put_slice(namespace.as_bytes());
        out.put_u8(b',');
    }
    if let Some(id) = id {
        number::encode_integer(id.get(), out);
    }
}
