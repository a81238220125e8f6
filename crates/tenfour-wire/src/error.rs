//! Why bytes were refused, and where.

use thiserror::Error;

/// Why a frame was refused, and the byte at which that became certain.
///
/// The offset counts from the first byte of the text or body that was given to the function which returned
/// the error. Two words long and `Copy`: an error costs no allocation, whatever a peer sends.
///
/// ```
/// use tenfour_wire::{DecodeErrorKind, Limits, socketio::Decoder};
///
/// let error = Decoder::new(Limits::default()).decode_text(r#"2["chat",]"#.into()).unwrap_err();
/// assert_eq!((error.kind(), error.offset()), (DecodeErrorKind::Json, 9));
/// assert_eq!(error.to_string(), "malformed JSON, at byte 9");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[error("{kind}, at byte {offset}")]
pub struct DecodeError {
    kind: DecodeErrorKind,
    offset: usize,
}

impl DecodeError {
    /// An error of this kind at this byte.
    pub const fn new(kind: DecodeErrorKind, offset: usize) -> Self {
        Self { kind, offset }
    }

    /// What was wrong.
    pub const fn kind(&self) -> DecodeErrorKind {
        self.kind
    }

    /// The byte at which it was noticed, counted from the start of what was decoded.
    pub const fn offset(&self) -> usize {
        self.offset
    }
}

/// What was wrong with a frame; each kind has one meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum DecodeErrorKind {
    /// A packet or frame of no bytes.
    #[error("empty packet")]
    Empty,
    /// The first byte names no packet type of the protocol, or an extension that must be understood and is not.
    #[error("unknown packet type")]
    PacketType,
    /// More bytes than [`Limits::payload_bytes`](crate::Limits::payload_bytes), or in a native frame than its
    /// `frame_bytes`.
    #[error("larger than the limit")]
    TooLarge,
    /// More packets than [`Limits::packets_per_payload`](crate::Limits::packets_per_payload).
    #[error("more packets than the limit `packets_per_payload`")]
    TooManyPackets,
    /// Not base64, neither in the standard alphabet nor in the URL-safe one.
    #[error("malformed base64")]
    Base64,
    /// An Engine.IO handshake that lacks a field or has one of another type.
    #[error("malformed handshake")]
    Handshake,
    /// An acknowledgement id that is missing, unexpected, has a leading zero, or exceeds `u64::MAX`.
    #[error("malformed acknowledgement id")]
    AckId,
    /// An attachment count that is missing, zero, not plain digits, or does not match the attachments given.
    #[error("malformed attachment count")]
    AttachmentCount,
    /// More attachments than [`Limits::attachments`](crate::Limits::attachments).
    #[error("more attachments than the limit `attachments`")]
    TooManyAttachments,
    /// A text frame while the attachments of a packet were due.
    #[error("text frame where a binary attachment was due")]
    UnexpectedText,
    /// A binary frame, and no packet waits for an attachment.
    #[error("binary frame that no packet announced")]
    UnexpectedBinary,
    /// The payload is well-formed, but of a shape that this packet type does not have.
    #[error("payload that this packet type does not take")]
    Payload,
    /// The event's name is neither a string nor a number.
    #[error("event name that is neither a string nor a number")]
    EventName,
    /// The event's name is one that Socket.IO keeps for itself.
    #[error("reserved event name")]
    ReservedEventName,
    /// The namespace does not start with `/`, or contains a comma.
    #[error("malformed namespace")]
    Namespace,
    /// Not JSON (RFC 8259).
    #[error("malformed JSON")]
    Json,
    /// JSON nested deeper than [`Limits::json_depth`](crate::Limits::json_depth).
    #[error("nested deeper than the limit `json_depth`")]
    Depth,
    /// A `\u` escape of one half of a surrogate pair: no Unicode string holds it.
    #[error("lone surrogate in a string")]
    LoneSurrogate,
    /// An object with the key `_placeholder` that stands for no attachment of its packet.
    #[error("forged attachment placeholder")]
    Placeholder,
    /// Not MessagePack, or not as the Socket.IO MessagePack parser writes it.
    #[error("malformed MessagePack")]
    MessagePack,
    /// Text that is not UTF-8.
    #[error("malformed UTF-8")]
    Utf8,
    /// A native HELLO that does not begin as one.
    #[error("not a HELLO of this protocol")]
    Magic,
    /// The frame, or the datagram, ends inside a field.
    #[error("ends inside a field")]
    Truncated,
    /// Bytes behind the last field.
    #[error("bytes behind the last field")]
    Trailing,
    /// A number in more bytes than it needs, or of more than 64 bits.
    #[error("number that is not in its shortest form, or exceeds 64 bits")]
    Varint,
    /// A flag that the frame's kind does not have, or two that exclude each other.
    #[error("flags that this kind of frame does not have")]
    Flags,
    /// A number that its field does not take.
    #[error("value that this field does not take")]
    Value,
    /// A name or text longer than its limit in the native `Limits`.
    #[error("text longer than its limit")]
    TooLong,
    /// More entries in a list than its limit in the native `Limits`.
    #[error("more entries than the limit of their list")]
    TooMany,
}
