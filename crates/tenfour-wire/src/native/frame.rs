use bytes::{Bytes, BytesMut};
use bytestring::ByteString;

use super::{
    Ack, Close, Credit, GoAway, Hello, Limits, Message, Ping, Place, Pong, Reject, Reliable, SharedMessage,
    Welcome, kind,
    read::Reader,
    reliable::Header,
    write::{Counter, Sink},
};
use crate::{DecodeError, DecodeErrorKind};

/// One frame, either direction.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Frame {
    /// See [`Hello`].
    Hello(Hello),
    /// See [`Welcome`].
    Welcome(Welcome),
    /// See [`Reject`].
    Reject(Reject),
    /// See [`Close`].
    Close(Close),
    /// See [`GoAway`].
    GoAway(GoAway),
    /// See [`Ping`].
    Ping(Ping),
    /// See [`Pong`].
    Pong(Pong),
    /// See [`Ack`].
    Ack(Ack),
    /// See [`Credit`].
    Credit(Credit),
    /// See [`Emit`].
    Emit(Emit),
    /// A frame that takes a number and is sent again until it is acknowledged.
    Reliable {
        /// Its number; `None` for the one after that of the last reliable frame of this connection or, where frames
        /// come in datagrams, of this datagram.
        sequence: Option<u64>,
        /// What it says.
        body: Reliable,
    },
    /// An extension that may be skipped by whoever does not know it.
    Unknown {
        /// The number of the extension; even.
        kind: u64,
        /// What it says.
        body: Bytes,
    },
}

/// A message that is sent at most once, and never kept.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Emit {
    /// Which EMIT of the connection it is, from its sender: on a pipe that repeats, a receiver passes each on once. A
    /// stream needs none.
    pub number: Option<u64>,
    /// Where it goes, or comes from.
    pub target: Target,
    /// What it says.
    pub message: Message,
}

/// What an [`Emit`] is addressed to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// The peer's application.
    Peer,
    /// The channel of this number.
    Number(u32),
    /// The channel of this name.
    Name(ByteString),
}

/// Appends a frame, its length before it.
///
/// What a receiver's limits refuse is encoded all the same: whoever makes a frame sees to its size.
pub fn encode(frame: &Frame, out: &mut BytesMut) {
    let len = content_len(frame);
    out.reserve(len + super::read::MAX_VARINT_BYTES);
    out.put_varint(len as u64);
    frame.write(out);
}

/// The bytes that [`encode`] appends.
#[must_use]
pub fn encoded_len(frame: &Frame) -> usize {
    let len = content_len(frame);
    super::write::varint_len(len as u64) + len
}

/// Appends a [`Frame::Reliable`] whose body the caller keeps, to send it again.
pub fn encode_reliable(sequence: Option<u64>, body: &Reliable, out: &mut BytesMut) {
    write_reliable(sequence, body, out);
}

/// Appends a DELIVER whose message is encoded already. `sequence` is that of [`Frame::Reliable`].
pub fn encode_deliver(sequence: Option<u64>, place: &Place, message: &SharedMessage, out: &mut BytesMut) {
    write_deliver(sequence, place, message, out);
}

/// Appends an EMIT whose message is encoded already.
pub fn encode_emit(number: Option<u64>, target: &Target, message: &SharedMessage, out: &mut BytesMut) {
    write_emit(number, target, message, out);
}

pub(super) fn write_frame(frame: &Frame, out: &mut impl Sink) {
    out.put_varint(content_len(frame) as u64);
    frame.write(out);
}

pub(super) fn write_reliable(sequence: Option<u64>, body: &Reliable, out: &mut impl Sink) {
    let mut counter = Counter::default();
    body.write(sequence, &mut counter);
    out.put_varint(counter.0 as u64);
    body.write(sequence, out);
}

pub(super) fn write_deliver(
    sequence: Option<u64>,
    place: &Place,
    message: &SharedMessage,
    out: &mut impl Sink,
) {
    let mut counter = Counter::default();
    place.write(Header(sequence), &mut counter);
    out.put_varint((counter.0 + message.len()) as u64);
    place.write(Header(sequence), out);
    out.put_shared(message.as_bytes());
}

pub(super) fn write_emit(number: Option<u64>, target: &Target, message: &SharedMessage, out: &mut impl Sink) {
    let mut counter = Counter::default();
    target.write(number, &mut counter);
    out.put_varint((counter.0 + message.len()) as u64);
    target.write(number, out);
    out.put_shared(message.as_bytes());
}

fn content_len(frame: &Frame) -> usize {
    let mut counter = Counter::default();
    frame.write(&mut counter);
    counter.0
}

impl Frame {
    fn write(&self, out: &mut impl Sink) {
        match self {
            Self::Hello(frame) => frame.write(out),
            Self::Welcome(frame) => frame.write(out),
            Self::Reject(frame) => frame.write(out),
            Self::Close(frame) => frame.write(out),
            Self::GoAway(frame) => frame.write(out),
            Self::Ping(frame) => frame.write(out),
            Self::Pong(frame) => {
                out.put(&[kind::PONG << 3]);
                out.put_varint(frame.nonce);
            }
            Self::Ack(frame) => frame.write(out),
            Self::Credit(frame) => {
                out.put(&[kind::CREDIT << 3]);
                frame.write(out);
            }
            Self::Emit(frame) => {
                frame.target.write(frame.number, out);
                frame.message.write(out);
            }
            Self::Reliable { sequence, body } => body.write(*sequence, out),
            Self::Unknown { kind, body } => {
                out.put(&[kind::EXTENSION << 3]);
                out.put_varint(*kind);
                out.put_shared(body);
            }
        }
    }

    /// Reads the frame whose content begins at `at`, and ends where `bytes` do. Errors count from the first of `bytes`.
    #[inline]
    pub(super) fn read(bytes: Bytes, at: usize, limits: &Limits) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes, at, limits);
        let first = reader.u8()?;
        let (kind, flags) = (first >> 3, first & 7);
        let frame = if kind & kind::RELIABLE == 0 {
            reader.allow_flags(flags, Self::flags(kind))?;
            Self::read_control(kind, flags, &mut reader)?
        } else {
            reader.allow_flags(flags, Reliable::flags(kind) | kind::SEQUENCE)?;
            let sequence = if flags & kind::SEQUENCE == 0 { None } else { Some(reader.varint()?) };
            Self::Reliable { sequence, body: Reliable::read(kind, flags & !kind::SEQUENCE, &mut reader)? }
        };
        reader.finish()?;
        Ok(frame)
    }

    fn read_control(kind: u8, flags: u8, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match kind {
            kind::HELLO => Self::Hello(Hello::read(flags, reader)?),
            kind::WELCOME => Self::Welcome(Welcome::read(flags, reader)?),
            kind::REJECT => Self::Reject(Reject::read(reader)?),
            kind::CLOSE => Self::Close(Close::read(reader)?),
            kind::GO_AWAY => Self::GoAway(GoAway::read(reader)?),
            kind::PING => Self::Ping(Ping::read(flags, reader)?),
            kind::PONG => Self::Pong(Pong { nonce: reader.varint()? }),
            kind::ACK => Self::Ack(Ack::read(flags, reader)?),
            kind::CREDIT => Self::Credit(Credit::read(reader)?),
            kind::EMIT => {
                let number = if flags & HAS_NUMBER == 0 { None } else { Some(reader.varint()?) };
                let target = Target::read(flags & !HAS_NUMBER, reader)?;
                Self::Emit(Emit { number, target, message: Message::read(reader)? })
            }
            kind::EXTENSION => {
                let at = reader.at();
                let kind = reader.varint()?;
                if kind % 2 == 1 {
                    return Err(DecodeError::new(DecodeErrorKind::PacketType, at));
                }
                Self::Unknown { kind, body: reader.rest() }
            }
            _ => return Err(DecodeError::new(DecodeErrorKind::PacketType, reader.kind_at())),
        })
    }

    const fn flags(kind: u8) -> u8 {
        match kind {
            kind::HELLO => Hello::FLAGS,
            kind::WELCOME => Welcome::FLAGS,
            kind::PING => Ping::FLAGS,
            kind::ACK => Ack::FLAGS,
            kind::EMIT => Target::FLAGS,
            _ => 0,
        }
    }
}

impl Target {
    const FLAGS: u8 = HAS_NUMBER | IS_NUMBER | IS_NAME;

    /// What stands before the message of an EMIT.
    fn write(&self, number: Option<u64>, out: &mut impl Sink) {
        let flags = match self {
            Self::Peer => 0,
            Self::Number(_) => IS_NUMBER,
            Self::Name(_) => IS_NAME,
        };
        out.put(&[kind::EMIT << 3 | flags | if number.is_some() { HAS_NUMBER } else { 0 }]);
        if let Some(number) = number {
            out.put_varint(number);
        }
        match self {
            Self::Peer => {}
            Self::Number(number) => out.put_varint((*number).into()),
            Self::Name(name) => out.put_bytes(name.as_bytes()),
        }
    }

    fn read(flags: u8, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match flags {
            0 => Ok(Self::Peer),
            IS_NUMBER => Ok(Self::Number(reader.varint_u32()?)),
            IS_NAME => Ok(Self::Name(reader.text(reader.limits.channel_bytes)?)),
            _ => Err(DecodeError::new(DecodeErrorKind::Flags, reader.kind_at())),
        }
    }
}

const HAS_NUMBER: u8 = 1;
const IS_NUMBER: u8 = 2;
const IS_NAME: u8 = 4;
