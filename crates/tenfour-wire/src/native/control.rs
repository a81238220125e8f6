use alloc::vec::Vec;

use bytestring::ByteString;

use super::{
    CloseCode, kind,
    read::{Reader, value_error},
    write::Sink,
};
use crate::DecodeError;

/// What was received in order, what beyond that, and what was processed.
///
/// *Received* lets the sender forget a frame; *processed* moves the durable position of a subscription. Neither
/// implies the other.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Ack {
    /// The first sequence that was not received: all below it were.
    pub next: u64,
    /// What was received beyond, ascending; the first range counts its gap from `next`.
    pub ranges: Vec<AckRange>,
    /// The last entry that was processed, for channels in which it moved.
    pub processed: Vec<ChannelOffset>,
}

/// A run of received sequences above a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AckRange {
    /// How many are missing before it; at least 1.
    pub gap: u64,
    /// How many it has; at least 1.
    pub len: u64,
}

/// A place in a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ChannelOffset {
    /// The channel's number.
    pub channel: u32,
    /// The place.
    pub offset: u64,
}

/// How much the peer may send, over all connections of the session: totals since it began, which only ever grow.
///
/// So that order and repetition do not matter, a receiver keeps the highest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Credit {
    /// Reliable frames.
    pub messages: u64,
    /// Their bytes, as the receiver counts them.
    pub bytes: u64,
}

/// Asks for a [`Pong`], and tells what the peer cannot see by itself where the last frames were lost.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Ping {
    /// What the answer repeats.
    pub nonce: u64,
    /// The sequence that the sender will use next.
    pub next: u64,
    /// The last entry of channels in which it moved, from a server.
    pub heads: Vec<ChannelOffset>,
}

/// Answers a [`Ping`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Pong {
    /// The ping's.
    pub nonce: u64,
}

/// The server is about to go: the client connects anew, and resumes, at a moment of its choice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct GoAway {
    /// When the server closes the connection at the latest.
    pub drain_ms: u32,
    /// The client picks its moment at random in this span, so that not all come at once.
    pub jitter_ms: u32,
}

/// The last frame of a connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Close {
    /// Why, and whether to come back.
    pub code: CloseCode,
    /// For people who debug; usually empty.
    pub reason: ByteString,
}

impl Ack {
    pub(super) const FLAGS: u8 = HAS_RANGES | HAS_PROCESSED;

    pub(super) fn write(&self, out: &mut impl Sink) {
        let mut flags = 0;
        if !self.ranges.is_empty() {
            flags |= HAS_RANGES;
        }
        if !self.processed.is_empty() {
            flags |= HAS_PROCESSED;
        }
        out.put(&[kind::ACK << 3 | flags]);
        out.put_varint(self.next);
        if !self.ranges.is_empty() {
            out.put_list(&self.ranges, |out, range| {
                out.put_varint(range.gap.saturating_sub(1));
                out.put_varint(range.len.saturating_sub(1));
            });
        }
        if !self.processed.is_empty() {
            out.put_list(&self.processed, |out, place| place.write(out));
        }
    }

    pub(super) fn read(flags: u8, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut ack = Self { next: reader.varint()?, ..Self::default() };
        if flags & HAS_RANGES != 0 {
            let mut end = ack.next;
            ack.ranges = reader.list(reader.limits.ack_ranges, |reader| AckRange::read(&mut end, reader))?;
        }
        if flags & HAS_PROCESSED != 0 {
            ack.processed = reader.list(reader.limits.processed, ChannelOffset::read)?;
        }
        Ok(ack)
    }
}

impl AckRange {
    /// `end` is that of the range before, and becomes that of this one.
    #[inline]
    fn read(end: &mut u64, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let at = reader.at();
        let (gap, len) = (reader.varint()?, reader.varint()?);
        let (gap, len) = (gap.checked_add(1), len.checked_add(1));
        match (gap, len, gap.and_then(|gap| end.checked_add(gap)?.checked_add(len?))) {
            (Some(gap), Some(len), Some(new_end)) => {
                *end = new_end;
                Ok(Self { gap, len })
            }
            _ => Err(value_error(at)),
        }
    }
}

impl ChannelOffset {
    fn write(self, out: &mut impl Sink) {
        out.put_varint(self.channel.into());
        out.put_varint(self.offset);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { channel: reader.varint_u32()?, offset: reader.varint()? })
    }
}

impl Credit {
    pub(super) fn write(self, out: &mut impl Sink) {
        out.put_varint(self.messages);
        out.put_varint(self.bytes);
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { messages: reader.varint()?, bytes: reader.varint()? })
    }
}

impl Ping {
    pub(super) const FLAGS: u8 = HAS_HEADS;

    pub(super) fn write(&self, out: &mut impl Sink) {
        out.put(&[kind::PING << 3 | if self.heads.is_empty() { 0 } else { HAS_HEADS }]);
        out.put_varint(self.nonce);
        out.put_varint(self.next);
        if !self.heads.is_empty() {
            out.put_list(&self.heads, |out, head| head.write(out));
        }
    }

    pub(super) fn read(flags: u8, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            nonce: reader.varint()?,
            next: reader.varint()?,
            heads: match flags & HAS_HEADS {
                0 => Vec::new(),
                _ => reader.list(reader.limits.heads, ChannelOffset::read)?,
            },
        })
    }
}

impl GoAway {
    pub(super) fn write(self, out: &mut impl Sink) {
        out.put(&[kind::GO_AWAY << 3]);
        out.put_varint(self.drain_ms.into());
        out.put_varint(self.jitter_ms.into());
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { drain_ms: reader.varint_u32()?, jitter_ms: reader.varint_u32()? })
    }
}

impl Close {
    pub(super) fn write(&self, out: &mut impl Sink) {
        out.put(&[kind::CLOSE << 3]);
        out.put_varint(self.code.number().into());
        out.put_bytes(self.reason.as_bytes());
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            code: CloseCode::from_number(reader.varint_u32()?),
            reason: reader.text(reader.limits.text_bytes)?,
        })
    }
}

const HAS_RANGES: u8 = 2;
const HAS_PROCESSED: u8 = 4;
const HAS_HEADS: u8 = 2;
