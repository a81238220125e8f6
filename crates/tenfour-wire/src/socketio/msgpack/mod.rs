//! The packets as `socket.io-msgpack-parser` 3.0 writes them: each one MessagePack map in one binary message.
//!
//! The map is `{type, nsp, data, id?, options?}`, binary data stands in place, and there are no attachments. Both ends of a
//! connection must have been told to speak it. A [`Packet`] is the same in both dialects, so decoding transcodes to JSON
//! text and attachments, and encoding transcodes back:
//!
//! | MessagePack | in the packet |
//! |---|---|
//! | `bin`, `ext` of type 0 (`ArrayBuffer`) | placeholder and attachment; written as `bin` |
//! | `fixext 8` of type 0 (`Date`) | a string as of `Date.toISOString`; `null` beyond its range |
//! | `fixext 1` of type 0 (`undefined`), a float that is not finite | `null` |
//! | any other `ext` | an array of its type and its data, as notepack.io reads it |
//! | a key that is an integer | its digits |
//! | an integer of 64 bits | exact; JavaScript rounds it |
//!
//! Where this is stricter than the JavaScript parser: text must be UTF-8; a key must be a string or an integer, and not
//! `_placeholder`; an event needs a name that is a string or a number and not reserved; an acknowledgement needs an id, and no
//! id is negative; a namespace starts with `/` and holds no comma; depth and number of attachments are limited as in text,
//! since the packet may be passed on as text. The text of a packet is at most seven times as long as its message.
//!
//! ```
//! use tenfour_wire::{BytesMut, Limits, socketio::{Args, Packet, msgpack}};
//!
//! let args = Args::serialize(&("lobby", 3))?;
//! let packet = Packet::Event { namespace: "/".into(), id: None, name: "join".into(), args };
//! let mut out = BytesMut::new();
//! msgpack::encode(&packet, &mut out);
//! assert_eq!(msgpack::decode(out.freeze(), &Limits::default())?, packet);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod date;
mod read;
mod transcode;
mod write;

use bytes::{Bytes, BytesMut};
use bytestring::ByteString;

use self::{
    read::{Reader, Value},
    transcode::Transcoder,
    write::{put_args, put_json, put_map_len, put_str, put_uint},
};
use super::{AckId, Args, DEFAULT_NAMESPACE, EventName, Packet};
use crate::{DecodeError, DecodeErrorKind, Limits};

/// Reads one binary message.
///
/// # Errors
/// [`TooLarge`](DecodeErrorKind::TooLarge), [`MessagePack`](DecodeErrorKind::MessagePack),
/// [`Utf8`](DecodeErrorKind::Utf8), [`PacketType`](DecodeErrorKind::PacketType),
/// [`Namespace`](DecodeErrorKind::Namespace), [`Payload`](DecodeErrorKind::Payload),
/// [`AckId`](DecodeErrorKind::AckId), [`EventName`](DecodeErrorKind::EventName),
/// [`ReservedEventName`](DecodeErrorKind::ReservedEventName), [`Depth`](DecodeErrorKind::Depth),
/// [`Placeholder`](DecodeErrorKind::Placeholder), [`TooManyAttachments`](DecodeErrorKind::TooManyAttachments).
pub fn decode(message: Bytes, limits: &Limits) -> Result<Packet, DecodeError> {
    if message.len() > limits.payload_bytes {
        return Err(DecodeError::new(DecodeErrorKind::TooLarge, limits.payload_bytes));
    }
    let fields = Fields::read(&message)?;
    let wrong_payload = |at| Err(DecodeError::new(DecodeErrorKind::Payload, at));
    let namespace = fields.namespace.ok_or(DecodeError::new(DecodeErrorKind::Namespace, 0))?;
    let id = fields.id;
    let data = fields.data.map(|at| Data { message: &message, at, limits });
    match (fields.kind, data) {
        (Some(0), None) => Ok(Packet::Connect { namespace, data: None }),
        (Some(0), Some(data)) => Ok(Packet::Connect { namespace, data: Some(data.object()?) }),
        (Some(1), None) => Ok(Packet::Disconnect { namespace }),
        (Some(1), Some(data)) => wrong_payload(data.at),
        (Some(2), Some(data)) => {
            let (name, args) = data.event()?;
            Ok(Packet::Event { namespace, id, name, args })
        }
        (Some(3), Some(data)) => match id {
            Some(id) => Ok(Packet::Ack { namespace, id, args: data.args()? }),
            None => Err(DecodeError::new(DecodeErrorKind::AckId, 0)),
        },
        (Some(4), Some(data)) => Ok(Packet::ConnectError { namespace, data: Some(data.object_or_string()?) }),
        (Some(2..=4), None) => wrong_payload(0),
        _ => Err(DecodeError::new(DecodeErrorKind::PacketType, 0)),
    }
}

/// The entries of a packet's map; of `data`, where it stands.
#[derive(Default)]
struct Fields {
    kind: Option<u64>,
    namespace: Option<ByteString>,
    id: Option<AckId>,
    data: Option<usize>,
}

impl Fields {
    fn read(message: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(message, 0);
        let Value::Map(len) = reader.next()? else {
            return Err(DecodeError::new(DecodeErrorKind::MessagePack, 0));
        };
        let mut fields = Self::default();
        for _ in 0..len {
            let start = reader.at();
            let Value::Str(key) = reader.next()? else {
                return Err(DecodeError::new(DecodeErrorKind::MessagePack, start));
            };
            fields.read_entry(key, &mut reader)?;
        }
        if reader.at() < message.len() {
            return Err(DecodeError::new(DecodeErrorKind::MessagePack, reader.at()));
        }
        Ok(fields)
    }

    fn read_entry(&mut self, key: &str, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        let start = reader.at();
        let fail = |kind| Err(DecodeError::new(kind, start));
        match key {
            "type" => match reader.next()? {
                Value::Unsigned(kind) => self.kind = Some(kind),
                _ => return fail(DecodeErrorKind::PacketType),
            },
            "nsp" => match reader.next()? {
                Value::Str("/") => self.namespace = Some(DEFAULT_NAMESPACE),
                Value::Str(name) if name.starts_with('/') && !name.contains(',') => {
                    self.namespace = Some(name.into());
                }
                _ => return fail(DecodeErrorKind::Namespace),
            },
            "id" => match reader.next()? {
                Value::Unsigned(id) => self.id = Some(AckId::new(id)),
                Value::Undefined => self.id = None,
                _ => return fail(DecodeErrorKind::AckId),
            },
            "data" => {
                self.data = match reader.next()? {
                    Value::Undefined => None,
                    value => {
                        reader.skip_rest(&value)?;
                        Some(start)
                    }
                };
            }
            _ => {
                let value = reader.next()?;
                reader.skip_rest(&value)?;
            }
        }
        Ok(())
    }
}

/// The packet's `data`, at its place in the message.
struct Data<'a> {
    message: &'a Bytes,
    at: usize,
    limits: &'a Limits,
}

impl Data<'_> {
    fn event(&self) -> Result<(EventName, Args), DecodeError> {
        let (len, mut transcoder) = self.open_array()?;
        let start = transcoder.at();
        let name = match len {
            0 => return Err(DecodeError::new(DecodeErrorKind::EventName, start)),
            _ => transcoder.event_name()?,
        };
        if matches!(&name, EventName::Text(name) if EventName::is_reserved(name)) {
            return Err(DecodeError::new(DecodeErrorKind::ReservedEventName, start));
        }
        Ok((name, transcoder.args(len - 1)?))
    }

    fn args(&self) -> Result<Args, DecodeError> {
        let (len, transcoder) = self.open_array()?;
        transcoder.args(len)
    }

    fn object(&self) -> Result<ByteString, DecodeError> {
        match Reader::new(self.message, self.at).next()? {
            Value::Map(_) => self.json(),
            _ => Err(DecodeError::new(DecodeErrorKind::Payload, self.at)),
        }
    }

    fn object_or_string(&self) -> Result<ByteString, DecodeError> {
        match Reader::new(self.message, self.at).next()? {
            Value::Str(_) => self.json(),
            _ => self.object(),
        }
    }

    /// One value without attachments.
    fn json(&self) -> Result<ByteString, DecodeError> {
        let limits = Limits { attachments: 0, ..*self.limits };
        let args = Transcoder::new(self.message, self.at, &limits).args(1)?;
        Ok(args.into_parts().0)
    }

    fn open_array(&self) -> Result<(usize, Transcoder<'_>), DecodeError> {
        let mut transcoder = Transcoder::new(self.message, self.at, self.limits);
        match transcoder.open_array()? {
            Some(len) => Ok((len, transcoder)),
            None => Err(DecodeError::new(DecodeErrorKind::Payload, self.at)),
        }
    }
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
    put_head(out, 2 + usize::from(data.is_some()), 0, namespace);
    if let Some(data) = data {
        put_str(out, "data");
        put_json(out, data);
    }
}

/// Appends a DISCONNECT packet.
pub fn encode_disconnect(out: &mut BytesMut, namespace: &str) {
    put_head(out, 2, 1, namespace);
}

/// Appends an EVENT packet.
pub fn encode_event(out: &mut BytesMut, namespace: &str, id: Option<AckId>, name: &EventName, args: &Args) {
    put_head(out, 3 + usize::from(id.is_some()), 2, namespace);
    put_str(out, "data");
    put_args(out, Some(name), args);
    put_id(out, id);
}

/// Appends an ACK packet.
pub fn encode_ack(out: &mut BytesMut, namespace: &str, id: AckId, args: &Args) {
    put_head(out, 4, 3, namespace);
    put_str(out, "data");
    put_args(out, None, args);
    put_id(out, Some(id));
}

/// Appends a CONNECT_ERROR packet; `data` is the text of a JSON object or string, `{}` where there is none, since the
/// JavaScript parser demands it.
pub fn encode_connect_error(out: &mut BytesMut, namespace: &str, data: Option<&str>) {
    put_head(out, 3, 4, namespace);
    put_str(out, "data");
    put_json(out, data.unwrap_or("{}"));
}

/// The map's length and its first entries.
fn put_head(out: &mut BytesMut, entries: usize, kind: u64, namespace: &str) {
    put_map_len(out, entries);
    put_str(out, "type");
    put_uint(out, kind);
    put_str(out, "nsp");
    put_str(out, namespace);
}

fn put_id(out: &mut BytesMut, id: Option<AckId>) {
    if let Some(id) = id {
        put_str(out, "id");
        put_uint(out, id.get());
    }
}
