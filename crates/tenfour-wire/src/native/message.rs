use alloc::vec::Vec;

use bytes::{Bytes, BytesMut};
use bytestring::ByteString;

use super::{
    read::Reader,
    write::{Counter, Sink},
};
use crate::{DecodeError, DecodeErrorKind, json::scan};

/// What an application sends: a name, if it has one, and a body.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Message {
    /// The event's name; an empty name is a name.
    pub name: Option<ByteString>,
    /// What it carries.
    pub body: Body,
}

/// What a message carries. Cloning shares the bytes of all but the list of attachments.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Body {
    /// A text without further structure.
    Text(ByteString),
    /// Bytes without further structure.
    Binary(Bytes),
    /// The elements of a JSON array. What was decoded may be relayed to any dialect: grammar, depth, surrogates and
    /// placeholders are checked.
    Json {
        /// The elements, separated by commas, without the array's brackets and without whitespace around them; empty
        /// for no elements. `{"_placeholder":true,"num":n}` stands for attachment `n`.
        args: ByteString,
        /// The bytes that the placeholders stand for.
        attachments: Vec<Bytes>,
    },
}

/// A message in its wire form, to be encoded once and sent in many frames.
///
/// ```
/// use tenfour_wire::{BytesMut, native::{Body, Message, Place, SharedMessage, encode_deliver}};
///
/// let message = SharedMessage::new(&Message { name: Some("chat".into()), body: Body::Text("10-4".into()) });
/// let (mut alice, mut bob) = (BytesMut::new(), BytesMut::new());
/// encode_deliver(None, &Place::next(3), &message, &mut alice);
/// encode_deliver(Some(17), &Place { channel: 3, previous: Some(40), advance: 1 }, &message, &mut bob);
/// assert_eq!(alice, b"\x0b\x80\x03\x14chat10-4"[..]);
/// assert_eq!(bob, b"\x0d\x83\x11\x03\x28\x14chat10-4"[..]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SharedMessage(Bytes);

impl SharedMessage {
    /// Encodes a message.
    #[must_use]
    pub fn new(message: &Message) -> Self {
        let mut out = BytesMut::with_capacity(message.encoded_len());
        message.write(&mut out);
        Self(out.freeze())
    }

    /// The wire form.
    #[must_use]
    pub const fn as_bytes(&self) -> &Bytes {
        &self.0
    }

    /// The bytes of the wire form.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a message is never empty: it has its head")]
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

/// How the body is laid out, in the two low bits of a message's head.
const TEXT: u64 = 0;
const BINARY: u64 = 1;
const JSON: u64 = 2;
const JSON_WITH_ATTACHMENTS: u64 = 3;

impl Message {
    /// The bytes of the wire form: head, name and body.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        let mut counter = Counter::default();
        self.write(&mut counter);
        counter.0
    }

    /// Head, name, body. The body runs to the end of the frame.
    pub(super) fn write(&self, out: &mut impl Sink) {
        let form = match &self.body {
            Body::Text(_) => TEXT,
            Body::Binary(_) => BINARY,
            Body::Json { attachments, .. } if attachments.is_empty() => JSON,
            Body::Json { .. } => JSON_WITH_ATTACHMENTS,
        };
        match &self.name {
            None => out.put_varint(form),
            Some(name) => {
                out.put_varint((name.len() as u64 + 1) << 2 | form);
                out.put(name.as_bytes());
            }
        }
        match &self.body {
            Body::Text(text) => out.put_shared(text.as_bytes()),
            Body::Binary(bytes) => out.put_shared(bytes),
            Body::Json { args, attachments } => {
                if !attachments.is_empty() {
                    out.put_list(attachments, |out, attachment| out.put_varint(attachment.len() as u64));
                    attachments.iter().for_each(|attachment| out.put_shared(attachment));
                }
                out.put_shared(args.as_bytes());
            }
        }
    }

    #[inline]
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let at = reader.at();
        let head = reader.varint()?;
        let name = match usize::try_from(head >> 2) {
            Ok(0) => None,
            Ok(len) if len - 1 <= reader.limits.name_bytes => Some(reader.take_text(len - 1)?),
            _ => return Err(DecodeError::new(DecodeErrorKind::TooLong, at)),
        };
        let body = match head & 3 {
            TEXT => Body::Text(reader.rest_text()?),
            BINARY => Body::Binary(reader.rest()),
            JSON => json_body(reader, Vec::new())?,
            _ => {
                let attachments = attachments(reader)?;
                json_body(reader, attachments)?
            }
        };
        Ok(Self { name, body })
    }
}

/// The count, the lengths, and then the attachments themselves.
fn attachments(reader: &mut Reader<'_>) -> Result<Vec<Bytes>, DecodeError> {
    let count = reader.count(reader.limits.attachments, DecodeErrorKind::TooManyAttachments)?;
    let mut lengths = reader.clone();
    for _ in 0..count {
        reader.varint()?;
    }
    let mut attachments = Vec::with_capacity(count);
    for _ in 0..count {
        let len = lengths.varint()?;
        attachments.push(reader.take(usize::try_from(len).unwrap_or(usize::MAX))?);
    }
    Ok(attachments)
}

/// The rest of the frame, as the elements of a JSON array.
fn json_body(reader: &mut Reader<'_>, attachments: Vec<Bytes>) -> Result<Body, DecodeError> {
    let start = reader.at();
    let args = reader.rest_text()?;
    match scan::elements(&args, reader.limits.json_depth, attachments.len()) {
        Ok(Some(values)) if values.start > 0 => Err(DecodeError::new(DecodeErrorKind::Json, start)),
        Ok(Some(values)) if values.end < args.len() => {
            Err(DecodeError::new(DecodeErrorKind::Json, start + values.end))
        }
        Ok(None) if !args.is_empty() => Err(DecodeError::new(DecodeErrorKind::Json, start)),
        Ok(_) => Ok(Body::Json { args, attachments }),
        Err(error) => Err(DecodeError::new(error.kind(), start + error.offset())),
    }
}
