//! The packets as `socket.io-msgpack-parser` writes them: each one MessagePack map in one binary message.

use bytes::{Bytes, BytesMut};

use super::{AckId, Args, EventName, Packet};
use crate::{DecodeError, DecodeErrorKind, Limits};

/// Reads one binary message.
pub fn decode(message: Bytes, limits: &Limits) -> Result<Packet, DecodeError> {
    let _ = (message, limits);
    Err(DecodeError::new(DecodeErrorKind::MessagePack, 0))
}

/// Appends a packet.
pub fn encode(packet: &Packet, out: &mut BytesMut) {
    match packet {
        Packet::Connect { namespace, data } => encode_connect(out, namespace, data.as_deref()),
        Packet::Disconnect { namespace } => encode_disconnect(out, namespace),
        Packet::Event { namespace, id, name, args } => encode_event(out, namespace, *id, name, args),
        Packet::Ack { namespace, id, args } => encode_ack(out, namespace, *id, args),
        Packet::ConnectError { namespace, data } => encode_connect_error(out, namespace, data.as_deref()),
    }
}

/// Appends a CONNECT packet; `data` is the text of a JSON object.
pub fn encode_connect(out: &mut BytesMut, namespace: &str, data: Option<&str>) {
    let _ = (out, namespace, data);
}

/// Appends a DISCONNECT packet.
pub fn encode_disconnect(out: &mut BytesMut, namespace: &str) {
    let _ = (out, namespace);
}

/// Appends an EVENT packet.
pub fn encode_event(out: &mut BytesMut, namespace: &str, id: Option<AckId>, name: &EventName, args: &Args) {
    let _ = (out, namespace, id, name, args);
}

/// Appends an ACK packet.
pub fn encode_ack(out: &mut BytesMut, namespace: &str, id: AckId, args: &Args) {
    let _ = (out, namespace, id, args);
}

/// Appends a CONNECT_ERROR packet; `data` is the text of a JSON object or string.
pub fn encode_connect_error(out: &mut BytesMut, namespace: &str, data: Option<&str>) {
    let _ = (out, namespace, data);
}
