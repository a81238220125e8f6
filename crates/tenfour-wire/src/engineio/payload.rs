//! Many packets in one body of HTTP long polling.

use bytes::{BufMut, BytesMut};
use bytestring::ByteString;

use super::Packet;
use crate::{DecodeError, DecodeErrorKind, Limits, base64};

/// Stands between two packets: the record separator of ASCII, which JSON text never holds unescaped.
const SEPARATOR: char = '\u{1e}';

/// Reads the body of a long-polling request or response.
///
/// The packets are counted before the first is decoded, so that a body over the limit has no effect at all.
///
/// # Errors
/// [`TooLarge`](DecodeErrorKind::TooLarge) and [`TooManyPackets`](DecodeErrorKind::TooManyPackets). A packet that
/// is malformed is told by the iterator, after the packets before it.
///
/// ```
/// use tenfour_wire::{Limits, engineio::{Packet, decode_payload}};
///
/// let mut packets = decode_payload("4a\u{1e}?".into(), &Limits::default())?;
/// assert_eq!(packets.next(), Some(Ok(Packet::Text("a".into()))));
/// assert_eq!(packets.next().unwrap().unwrap_err().offset(), 3);
/// assert_eq!(packets.next(), None);
/// # Ok::<(), tenfour_wire::DecodeError>(())
/// ```
pub fn decode_payload(body: ByteString, limits: &Limits) -> Result<Payload, DecodeError> {
    if body.len() > limits.payload_bytes {
        return Err(DecodeError::new(DecodeErrorKind::TooLarge, limits.payload_bytes));
    }
    let separators = body.bytes().filter(|&byte| byte == SEPARATOR as u8).count();
    if separators >= limits.packets_per_payload {
        let last_allowed = limits.packets_per_payload.saturating_sub(1);
        let (offset, _) = body.match_indices(SEPARATOR).nth(last_allowed).unwrap_or_default();
        return Err(DecodeError::new(DecodeErrorKind::TooManyPackets, offset));
    }
    Ok(Payload { body, next: Some(0) })
}

/// The packets of a payload, in order; it ends after the first error.
#[derive(Clone, Debug)]
pub struct Payload {
    body: ByteString,
    /// Where the next packet starts.
    next: Option<usize>,
}

impl Iterator for Payload {
    type Item = Result<Packet, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        let start = self.next.take()?;
        let rest = &self.body[start..];
        let packet = match rest.find(SEPARATOR) {
            Some(len) => {
                self.next = Some(start + len + 1);
                &rest[..len]
            }
            None => rest,
        };
        let decoded = Packet::decode(self.body.slice_ref(packet))
            .map_err(|error| DecodeError::new(error.kind(), start + error.offset()));
        if decoded.is_err() {
            self.next = None;
        }
        Some(decoded)
    }
}

impl core::iter::FusedIterator for Payload {}

/// Appends packets to a buffer, a separator between each two.
///
/// ```
/// use tenfour_wire::{BytesMut, engineio::{Packet, PayloadEncoder}};
///
/// let mut body = BytesMut::new();
/// let mut payload = PayloadEncoder::new(&mut body);
/// payload.push_text(b"42[\"tick\",1]");
/// assert!(payload.len_with_text(1) <= 14, "a noop still fits a limit of 14 bytes");
/// payload.push(&Packet::Noop);
/// assert_eq!(body, "42[\"tick\",1]\u{1e}6");
/// ```
#[derive(Debug)]
pub struct PayloadEncoder<'a> {
    out: &'a mut BytesMut,
    start: usize,
}

impl<'a> PayloadEncoder<'a> {
    /// A payload that begins at the end of `out`.
    pub fn new(out: &'a mut BytesMut) -> Self {
        Self { start: out.len(), out }
    }

    /// Appends a packet.
    pub fn push(&mut self, packet: &Packet) {
        self.separate(packet.encoded_len());
        packet.encode(self.out);
    }

    /// Appends a text frame as it would stand in a WebSocket text frame, its type digit included.
    pub fn push_text(&mut self, frame: &[u8]) {
        self.separate(frame.len());
        self.out.put_slice(frame);
    }

    /// Appends a binary message, which is what would stand in a WebSocket binary frame.
    pub fn push_binary(&mut self, data: &[u8]) {
        self.separate(1 + base64::encoded_len(data.len()));
        self.out.put_u8(b'b');
        base64::encode(data, self.out);
    }

    /// The payload's length in bytes.
    pub fn len(&self) -> usize {
        self.out.len() - self.start
    }

    /// Whether nothing was pushed. A payload of no packets cannot be sent: it would read as an empty packet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The length that the payload would have after [`push_text`](Self::push_text) of this many bytes.
    pub fn len_with_text(&self, frame_len: usize) -> usize {
        self.len() + usize::from(!self.is_empty()) + frame_len
    }

    /// The length that the payload would have after [`push_binary`](Self::push_binary) of this many bytes.
    pub fn len_with_binary(&self, data_len: usize) -> usize {
        self.len_with_text(1 + base64::encoded_len(data_len))
    }

    fn separate(&mut self, packet_len: usize) {
        self.out.reserve(1 + packet_len);
        if !self.is_empty() {
            self.out.put_u8(SEPARATOR as u8);
        }
    }
}
