//! Frames into packets.

use alloc::{boxed::Box, vec::Vec};

use bytes::Bytes;
use bytestring::ByteString;

use super::{AckId, Args, DEFAULT_NAMESPACE, EventName, Packet};
use crate::{
    DecodeError, DecodeErrorKind, Limits,
    json::{
        number,
        scan::{Scanner, skip_whitespace},
        string,
    },
};

/// Reads the messages of one connection as packets.
///
/// One decoder serves all namespaces of a connection, in one direction. It holds the text of at most one packet, and
/// only while its attachments are still to come. After an error it holds what it held before: the connection should be
/// closed, since its other end and this one no longer agree.
///
/// ```
/// use tenfour_wire::{Limits, socketio::{Decoder, Packet}};
///
/// let mut decoder = Decoder::new(Limits::default());
/// let text = r#"51-["upload",{"_placeholder":true,"num":0}]"#;
/// assert_eq!(decoder.decode_text(text.into())?, None);
/// let Some(Packet::Event { name, args, .. }) = decoder.decode_binary(vec![1, 2, 3].into())? else { panic!() };
/// assert_eq!(name.as_str(), "upload");
/// assert_eq!(args.attachments(), [vec![1, 2, 3]]);
/// # Ok::<(), tenfour_wire::DecodeError>(())
/// ```
#[derive(Debug)]
pub struct Decoder {
    payload_bytes: usize,
    json_depth: u16,
    attachments: u16,
    pending: Option<Box<Pending>>,
}

/// A packet whose attachments are still to come.
#[derive(Debug)]
struct Pending {
    packet: Packet,
    due: usize,
    attachments: Vec<Bytes>,
    bytes: usize,
}

impl Decoder {
    /// A decoder that waits for no attachment. Of the limits, `attachments` and `json_depth` count at most 65,535.
    pub fn new(limits: Limits) -> Self {
        Self {
            payload_bytes: limits.payload_bytes,
            json_depth: u16::try_from(limits.json_depth).unwrap_or(u16::MAX),
            attachments: u16::try_from(limits.attachments).unwrap_or(u16::MAX),
            pending: None,
        }
    }

    /// Reads a text message: the data of an Engine.IO text packet, without the digit of that packet.
    ///
    /// `None` if the packet is complete only with the attachments that follow, and for an event without a payload, which
    /// means nothing: JavaScript's server takes it, so it is no error.
    ///
    /// # Errors
    /// Every kind but those of Engine.IO and MessagePack; [`UnexpectedText`](DecodeErrorKind::UnexpectedText) while
    /// attachments are due.
    pub fn decode_text(&mut self, text: ByteString) -> Result<Option<Packet>, DecodeError> {
        if self.is_pending() {
            return Err(DecodeError::new(DecodeErrorKind::UnexpectedText, 0));
        }
        self.check_size(text.len())?;
        let bytes = text.len();
        let head = Head::read(&text, usize::from(self.attachments))?;
        let body = Body {
            text: &text,
            start: head.payload,
            json_depth: usize::from(self.json_depth),
            due: head.due,
        };
        let due = head.due;
        let Some(packet) = body.packet(head)? else { return Ok(None) };
        if due == 0 {
            return Ok(Some(packet));
        }
        self.pending = Some(Box::new(Pending { packet, due, attachments: Vec::new(), bytes }));
        Ok(None)
    }

    /// Reads a binary message, which is the next attachment of the packet that is pending.
    ///
    /// `None` if more attachments are to come.
    ///
    /// # Errors
    /// [`UnexpectedBinary`](DecodeErrorKind::UnexpectedBinary) if no packet is pending,
    /// [`TooLarge`](DecodeErrorKind::TooLarge).
    pub fn decode_binary(&mut self, data: Bytes) -> Result<Option<Packet>, DecodeError> {
        self.check_size(data.len())?;
        let Some(mut pending) = self.pending.take() else {
            return Err(DecodeError::new(DecodeErrorKind::UnexpectedBinary, 0));
        };
        pending.bytes += data.len();
        pending.attachments.push(data);
        if pending.attachments.len() < pending.due {
            self.pending = Some(pending);
            return Ok(None);
        }
        let Pending { packet, attachments, .. } = *pending;
        Ok(Some(packet.with_attachments(attachments)))
    }

    /// Whether a packet waits for attachments.
    pub fn is_pending(&self) -> bool {
        self.pending.is_some()
    }

    /// The bytes held of a packet that waits for attachments; at most `payload_bytes * attachments`.
    pub fn pending_bytes(&self) -> usize {
        self.pending.as_ref().map_or(0, |pending| pending.bytes)
    }

    fn check_size(&self, bytes: usize) -> Result<(), DecodeError> {
        if bytes > self.payload_bytes {
            return Err(DecodeError::new(DecodeErrorKind::TooLarge, self.payload_bytes));
        }
        Ok(())
    }
}

/// What stands before the payload: `<type>[<attachments>-][<namespace>,][<id>]`.
struct Head {
    kind: Kind,
    due: usize,
    namespace: ByteString,
    id: Option<AckId>,
    /// Where the id starts, or would.
    id_start: usize,
    /// Where the payload starts.
    payload: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Connect,
    Disconnect,
    Event,
    Ack,
    ConnectError,
}

impl Head {
    fn read(text: &ByteString, max_attachments: usize) -> Result<Self, DecodeError> {
        let bytes = text.as_bytes();
        let (kind, binary) = match bytes.first() {
            None => return Err(DecodeError::new(DecodeErrorKind::Empty, 0)),
            Some(b'0') => (Kind::Connect, false),
            Some(b'1') => (Kind::Disconnect, false),
            Some(b'2') => (Kind::Event, false),
            Some(b'3') => (Kind::Ack, false),
            Some(b'4') => (Kind::ConnectError, false),
            Some(b'5') => (Kind::Event, true),
            Some(b'6') => (Kind::Ack, true),
            Some(_) => return Err(DecodeError::new(DecodeErrorKind::PacketType, 0)),
        };
        let (due, at) = if binary { attachment_count(bytes, max_attachments)? } else { (0, 1) };
        let (namespace, id_start) = namespace(text, at);
        let (id, payload) = match digits(bytes, id_start) {
            None => (None, id_start),
            Some((Some(number), end)) => (Some(AckId::new(number)), end),
            Some((None, _)) => return Err(DecodeError::new(DecodeErrorKind::AckId, id_start)),
        };
        Ok(Self { kind, due, namespace, id, id_start, payload })
    }
}

/// `<count>-`: at least 1, since a packet without attachments has another type.
fn attachment_count(bytes: &[u8], max: usize) -> Result<(usize, usize), DecodeError> {
    match digits(bytes, 1) {
        Some((Some(count @ 1..), end)) if bytes.get(end) == Some(&b'-') => match usize::try_from(count) {
            Ok(count) if count <= max => Ok((count, end + 1)),
            _ => Err(DecodeError::new(DecodeErrorKind::TooManyAttachments, 1)),
        },
        _ => Err(DecodeError::new(DecodeErrorKind::AttachmentCount, 1)),
    }
}

/// The namespace at `start` and what follows its comma. A text that ends without one is all namespace.
fn namespace(text: &ByteString, start: usize) -> (ByteString, usize) {
    let rest = &text[start..];
    if !rest.starts_with('/') {
        return (DEFAULT_NAMESPACE, start);
    }
    let name = rest.find(',').map_or(rest, |comma| &rest[..comma]);
    let end = (start + name.len() + 1).min(text.len());
    (if name == "/" { DEFAULT_NAMESPACE } else { text.slice_ref(name) }, end)
}

/// The digits at `start`, if there are any, and their end; their number is `None` if it starts with a zero too many or
/// exceeds `u64::MAX`.
fn digits(bytes: &[u8], start: usize) -> Option<(Option<u64>, usize)> {
    let digits = &bytes[start..];
    let len = digits.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(digits.len());
    let number = match &digits[..len] {
        [] => return None,
        [b'0', _, ..] => None,
        digits => digits
            .iter()
            .try_fold(0u64, |number, digit| number.checked_mul(10)?.checked_add(u64::from(digit - b'0'))),
    };
    Some((number, start + len))
}

/// What follows the head.
struct Body<'a> {
    text: &'a ByteString,
    start: usize,
    json_depth: usize,
    due: usize,
}

impl Body<'_> {
    fn packet(&self, head: Head) -> Result<Option<Packet>, DecodeError> {
        let Head { kind, namespace, id, .. } = head;
        match (kind, id) {
            (Kind::Event, _) => {
                Ok(self.event()?.map(|(name, args)| Packet::Event { namespace, id, name, args }))
            }
            (Kind::Ack, Some(id)) => Ok(Some(Packet::Ack { namespace, id, args: self.ack()? })),
            (Kind::Ack, None) | (_, Some(_)) => Err(DecodeError::new(DecodeErrorKind::AckId, head.id_start)),
            (Kind::Connect, None) => Ok(Some(Packet::Connect { namespace, data: self.data(b"{")? })),
            (Kind::ConnectError, None) => {
                Ok(Some(Packet::ConnectError { namespace, data: self.data(b"{\"")? }))
            }
            (Kind::Disconnect, None) if self.is_empty() => Ok(Some(Packet::Disconnect { namespace })),
            (Kind::Disconnect, None) => Err(self.wrong_payload()),
        }
    }

    /// `["name",…]`, or nothing at all.
    fn event(&self) -> Result<Option<(EventName, Args)>, DecodeError> {
        if self.is_empty() && self.due == 0 {
            return Ok(None);
        }
        let first = self.open_array()?;
        let (name, name_end) = self.event_name(first)?;
        let scanner = self.element_scanner();
        let bytes = self.text.as_bytes();
        let next = skip_whitespace(bytes, name_end);
        let args = match bytes.get(next) {
            Some(b']') => {
                scanner.end(next + 1)?;
                Args::empty()
            }
            Some(b',') => self.args(scanner, next + 1)?,
            _ => return Err(DecodeError::new(DecodeErrorKind::Json, next)),
        };
        Ok(Some((name, args)))
    }

    /// The name whose first byte is at `start`, and its end.
    fn event_name(&self, start: usize) -> Result<(EventName, usize), DecodeError> {
        let bytes = self.text.as_bytes();
        match bytes.get(start) {
            Some(b'"') => {
                let (close, escaped) = string::end(bytes, start + 1)?;
                let content = &self.text[start + 1..close];
                let name =
                    if escaped { string::unescape(content).into() } else { self.text.slice_ref(content) };
                if EventName::is_reserved(&name) {
                    return Err(DecodeError::new(DecodeErrorKind::ReservedEventName, start));
                }
                Ok((EventName::Text(name), close + 1))
            }
            Some(b'-' | b'0'..=b'9') => match number::end(bytes, start) {
                Ok(end) => Ok((EventName::Number(self.text.slice_ref(&self.text[start..end])), end)),
                Err(offset) => Err(DecodeError::new(DecodeErrorKind::Json, offset)),
            },
            Some(_) => Err(DecodeError::new(DecodeErrorKind::EventName, start)),
            None => Err(DecodeError::new(DecodeErrorKind::Json, start)),
        }
    }

    /// `[…]`, or nothing at all.
    fn ack(&self) -> Result<Args, DecodeError> {
        if self.is_empty() && self.due == 0 {
            return Ok(Args::empty());
        }
        let first = self.open_array()?;
        let scanner = self.element_scanner();
        if self.text.as_bytes().get(first) == Some(&b']') {
            scanner.end(first + 1)?;
            return Ok(Args::empty());
        }
        self.args(scanner, first)
    }

    /// The elements from `start` on and the end of their array, which is also the text's.
    fn args(&self, mut scanner: Scanner<'_>, start: usize) -> Result<Args, DecodeError> {
        let values = scanner.values(start)?;
        if self.text.as_bytes().get(values.next) != Some(&b']') {
            return Err(DecodeError::new(DecodeErrorKind::Json, values.next));
        }
        scanner.end(values.next + 1)?;
        Ok(Args::from_validated(self.text.slice_ref(&self.text[values.start..values.end]), Vec::new()))
    }

    /// Nothing, or one value that starts with one of these bytes.
    fn data(&self, first: &[u8]) -> Result<Option<ByteString>, DecodeError> {
        match self.text.as_bytes().get(self.start) {
            None => return Ok(None),
            Some(byte) if first.contains(byte) => {}
            Some(_) => return Err(self.wrong_payload()),
        }
        let mut scanner = Scanner::new(self.text, self.json_depth, 0);
        let end = scanner.value(self.start)?;
        scanner.end(end)?;
        Ok(Some(self.text.slice_ref(&self.text[self.start..end])))
    }

    /// The first byte inside the array that the payload must be.
    fn open_array(&self) -> Result<usize, DecodeError> {
        let bytes = self.text.as_bytes();
        if bytes.get(self.start) != Some(&b'[') {
            return Err(self.wrong_payload());
        }
        if self.json_depth == 0 {
            return Err(DecodeError::new(DecodeErrorKind::Depth, self.start));
        }
        Ok(skip_whitespace(bytes, self.start + 1))
    }

    fn element_scanner(&self) -> Scanner<'_> {
        Scanner::new(self.text, self.json_depth, self.due).inside_array()
    }

    fn is_empty(&self) -> bool {
        self.start == self.text.len()
    }

    fn wrong_payload(&self) -> DecodeError {
        DecodeError::new(DecodeErrorKind::Payload, self.start)
    }
}
