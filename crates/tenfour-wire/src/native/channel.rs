use bytestring::ByteString;

use super::{
    Message, Refusal, kind,
    read::{Reader, value_error},
    reliable::Header,
    write::Sink,
};
use crate::{DecodeError, DecodeErrorKind};

/// Asks for a channel's entries from a place on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Subscribe {
    /// What the answer repeats.
    pub request: u64,
    /// The channel's name.
    pub channel: ByteString,
    /// The place.
    pub start: Start,
}

/// Where a subscription begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Start {
    /// With what is committed from now on.
    Live,
    /// With the oldest entry that is kept.
    Earliest,
    /// Behind an entry that the subscriber has.
    After {
        /// The epoch of the log that assigned the offset.
        epoch: u64,
        /// The entry's place; 0 for "before the first one".
        offset: u64,
    },
}

/// The answer to [`Subscribe`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Subscribed {
    /// The request's.
    pub request: u64,
    /// The subscription, or why there is none.
    pub outcome: Result<Subscription, Refusal>,
}

/// A subscription that has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Subscription {
    /// The number that stands for the channel from here on, the same for all sessions of the server.
    pub channel: u32,
    /// The epoch of the log that the offsets belong to.
    pub epoch: u64,
    /// What became of the place that was asked for.
    pub decision: Decision,
    /// The place behind which the subscription goes on: what its first [`Deliver`] names as the entry before.
    pub after: u64,
    /// The channel's last entry at this moment.
    pub head: u64,
}

/// What became of the place where a subscription was to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Decision {
    /// It goes on there.
    Continue,
    /// Entries behind it are gone.
    Gap(Loss),
    /// The log has begun anew: the place means nothing in it.
    Reset(Loss),
}

/// Ends a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Unsubscribe {
    /// The channel's number.
    pub channel: u32,
}

/// A subscription has ended: nothing of its channel follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Unsubscribed {
    /// The channel's number.
    pub channel: u32,
    /// Why, where it was not the subscriber who asked.
    pub refusal: Option<Refusal>,
}

/// An entry of a channel.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Deliver {
    /// Where it stands.
    pub place: Place,
    /// What it says.
    pub message: Message,
}

/// Where a delivered entry stands: it names the entry before it, so that a gap shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// The channel's number.
    pub channel: u32,
    /// The channel's entry before this one; `None` if it is where the channel's last DELIVER, LOST, SKIP or SUBSCRIBED
    /// left off, in the order of sequences.
    pub previous: Option<u64>,
    /// How far behind that one it stands; at least 1, which costs no byte.
    pub advance: u64,
}

impl Place {
    /// The entry right behind the last one.
    #[must_use]
    pub const fn next(channel: u32) -> Self {
        Self { channel, previous: None, advance: 1 }
    }
}

/// Entries that the subscriber will not get, though they were for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lost {
    /// The channel's number.
    pub channel: u32,
    /// What of the receiver's credit this counts for, in bytes: as much as the message whose number it took, if it took
    /// one's that expired on the way; else nothing.
    pub charge: u64,
    /// Which, how many and why.
    pub loss: Loss,
}

/// What was lost, wherever it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Loss {
    /// The place behind which it begins.
    pub after: u64,
    /// The last place of it; not below `after`.
    pub through: u64,
    /// How many entries.
    pub count: Count,
    /// Why.
    pub reason: LossReason,
}

/// How many, as exactly as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Count {
    /// So many.
    Exact(u64),
    /// So many or more.
    AtLeast(u64),
}

/// Why entries are lost to a subscriber.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LossReason {
    /// They were older than the channel keeps them.
    Retention,
    /// They expired.
    Ttl,
    /// The subscriber was too slow for its policy.
    SlowConsumer,
    /// They exceeded a rate.
    RateLimit,
    /// A newer entry of the same key took their place.
    Conflated,
    /// The log began anew.
    EpochReset,
    /// The subscription ended.
    Unsubscribed,
    /// The sender does not know.
    Unknown,
    /// A reason that this version does not know.
    Other(u64),
}

/// Places in a channel where nothing was owed to the subscriber.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Skip {
    /// The channel's number.
    pub channel: u32,
    /// The place behind which they begin.
    pub after: u64,
    /// The last of them; not below `after`.
    pub through: u64,
}

/// The subscriber has everything up to this place: what follows is live.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CaughtUp {
    /// The channel's number.
    pub channel: u32,
    /// The place.
    pub offset: u64,
}

impl Subscribe {
    pub(super) const FLAGS: u8 = START_EARLIEST | START_AFTER;

    pub(super) fn write(&self, header: Header, out: &mut impl Sink) {
        let flags = match self.start {
            Start::Live => 0,
            Start::Earliest => START_EARLIEST,
            Start::After { .. } => START_AFTER,
        };
        header.write(kind::SUBSCRIBE, flags, out);
        out.put_varint(self.request);
        out.put_bytes(self.channel.as_bytes());
        if let Start::After { epoch, offset } = self.start {
            out.put_varint(epoch);
            out.put_varint(offset);
        }
    }

    pub(super) fn read(flags: u8, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            request: reader.varint()?,
            channel: reader.text(reader.limits.channel_bytes)?,
            start: match flags {
                0 => Start::Live,
                START_EARLIEST => Start::Earliest,
                START_AFTER => Start::After { epoch: reader.varint()?, offset: reader.varint()? },
                _ => return Err(DecodeError::new(DecodeErrorKind::Flags, reader.kind_at())),
            },
        })
    }
}

impl Subscribed {
    pub(super) const FLAGS: u8 = IS_REFUSED;

    pub(super) fn write(&self, header: Header, out: &mut impl Sink) {
        header.write(kind::SUBSCRIBED, if self.outcome.is_err() { IS_REFUSED } else { 0 }, out);
        out.put_varint(self.request);
        match &self.outcome {
            Ok(subscription) => subscription.write(out),
            Err(refusal) => refusal.write(out),
        }
    }

    pub(super) fn read(flags: u8, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let request = reader.varint()?;
        let outcome = match flags & IS_REFUSED {
            0 => Ok(Subscription::read(reader)?),
            _ => Err(Refusal::read(reader)?),
        };
        Ok(Self { request, outcome })
    }
}

impl Subscription {
    fn write(&self, out: &mut impl Sink) {
        out.put_varint(self.channel.into());
        out.put_varint(self.epoch);
        out.put_varint(self.after);
        out.put_varint(self.head);
        match &self.decision {
            Decision::Continue => out.put_varint(CONTINUE),
            Decision::Gap(loss) => {
                out.put_varint(GAP);
                loss.write(out);
            }
            Decision::Reset(loss) => {
                out.put_varint(RESET);
                loss.write(out);
            }
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let channel = reader.varint_u32()?;
        let (epoch, after, head) = (reader.varint()?, reader.varint()?, reader.varint()?);
        let at = reader.at();
        let decision = match reader.varint()? {
            CONTINUE => Decision::Continue,
            GAP => Decision::Gap(Loss::read(reader)?),
            RESET => Decision::Reset(Loss::read(reader)?),
            _ => return Err(value_error(at)),
        };
        Ok(Self { channel, epoch, decision, after, head })
    }
}

impl Unsubscribe {
    pub(super) fn write(self, header: Header, out: &mut impl Sink) {
        header.write(kind::UNSUBSCRIBE, 0, out);
        out.put_varint(self.channel.into());
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { channel: reader.varint_u32()? })
    }
}

impl Unsubscribed {
    pub(super) const FLAGS: u8 = IS_REFUSED;

    pub(super) fn write(self, header: Header, out: &mut impl Sink) {
        header.write(kind::UNSUBSCRIBED, if self.refusal.is_some() { IS_REFUSED } else { 0 }, out);
        out.put_varint(self.channel.into());
        if let Some(refusal) = &self.refusal {
            refusal.write(out);
        }
    }

    pub(super) fn read(flags: u8, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let channel = reader.varint_u32()?;
        let refusal = if flags & IS_REFUSED == 0 { None } else { Some(Refusal::read(reader)?) };
        Ok(Self { channel, refusal })
    }
}

impl Deliver {
    pub(super) const FLAGS: u8 = HAS_PREVIOUS | HAS_ADVANCE;

    pub(super) fn write(&self, header: Header, out: &mut impl Sink) {
        self.place.write(header, out);
        self.message.write(out);
    }

    #[inline]
    pub(super) fn read(flags: u8, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { place: Place::read(flags, reader)?, message: Message::read(reader)? })
    }
}

impl Place {
    /// What stands before the message of a DELIVER.
    pub(super) fn write(&self, header: Header, out: &mut impl Sink) {
        let advance = self.advance.max(1);
        let mut flags = 0;
        if self.previous.is_some() {
            flags |= HAS_PREVIOUS;
        }
        if advance > 1 {
            flags |= HAS_ADVANCE;
        }
        header.write(kind::DELIVER, flags, out);
        out.put_varint(self.channel.into());
        if let Some(previous) = self.previous {
            out.put_varint(previous);
        }
        if advance > 1 {
            out.put_varint(advance);
        }
    }

    #[inline]
    fn read(flags: u8, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let channel = reader.varint_u32()?;
        let previous = if flags & HAS_PREVIOUS == 0 { None } else { Some(reader.varint()?) };
        let at = reader.at();
        let advance = match flags & HAS_ADVANCE {
            0 => 1,
            _ => match reader.varint()? {
                advance @ 2.. => advance,
                _ => return Err(value_error(at)),
            },
        };
        if previous.unwrap_or(0).checked_add(advance).is_none() {
            return Err(value_error(at));
        }
        Ok(Self { channel, previous, advance })
    }
}

impl Lost {
    pub(super) fn write(&self, header: Header, out: &mut impl Sink) {
        header.write(kind::LOST, 0, out);
        out.put_varint(self.channel.into());
        out.put_varint(self.charge);
        self.loss.write(out);
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { channel: reader.varint_u32()?, charge: reader.varint()?, loss: Loss::read(reader)? })
    }
}

impl Loss {
    fn write(&self, out: &mut impl Sink) {
        write_range(self.after, self.through, out);
        let (count, is_at_least) = match self.count {
            Count::Exact(count) => (count, 0),
            Count::AtLeast(count) => (count, 1),
        };
        out.put_varint(self.reason.number() << 1 | is_at_least);
        out.put_varint(count);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (after, through) = read_range(reader)?;
        let reason = reader.varint()?;
        let count = reader.varint()?;
        let count = if reason & 1 == 0 { Count::Exact(count) } else { Count::AtLeast(count) };
        Ok(Self { after, through, count, reason: LossReason::from_number(reason >> 1) })
    }
}

impl LossReason {
    const fn number(self) -> u64 {
        match self {
            Self::Retention => 0,
            Self::Ttl => 1,
            Self::SlowConsumer => 2,
            Self::RateLimit => 3,
            Self::Conflated => 4,
            Self::EpochReset => 5,
            Self::Unsubscribed => 6,
            Self::Unknown => 7,
            Self::Other(number) => number,
        }
    }

    pub(super) const fn from_number(number: u64) -> Self {
        match number {
            0 => Self::Retention,
            1 => Self::Ttl,
            2 => Self::SlowConsumer,
            3 => Self::RateLimit,
            4 => Self::Conflated,
            5 => Self::EpochReset,
            6 => Self::Unsubscribed,
            7 => Self::Unknown,
            number => Self::Other(number),
        }
    }
}

impl Skip {
    pub(super) fn write(self, header: Header, out: &mut impl Sink) {
        header.write(kind::SKIP, 0, out);
        out.put_varint(self.channel.into());
        write_range(self.after, self.through, out);
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let channel = reader.varint_u32()?;
        let (after, through) = read_range(reader)?;
        Ok(Self { channel, after, through })
    }
}

impl CaughtUp {
    pub(super) fn write(self, header: Header, out: &mut impl Sink) {
        header.write(kind::CAUGHT_UP, 0, out);
        out.put_varint(self.channel.into());
        out.put_varint(self.offset);
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { channel: reader.varint_u32()?, offset: reader.varint()? })
    }
}

const START_EARLIEST: u8 = 2;
const START_AFTER: u8 = 4;
const IS_REFUSED: u8 = 2;
const HAS_PREVIOUS: u8 = 2;
const HAS_ADVANCE: u8 = 4;
const CONTINUE: u64 = 0;
const GAP: u64 = 1;
const RESET: u64 = 2;

/// A range whose end is written as its distance from the beginning.
fn write_range(after: u64, through: u64, out: &mut impl Sink) {
    out.put_varint(after);
    out.put_varint(through.saturating_sub(after));
}

fn read_range(reader: &mut Reader<'_>) -> Result<(u64, u64), DecodeError> {
    let after = reader.varint()?;
    let at = reader.at();
    let through = after.checked_add(reader.varint()?).ok_or(value_error(at))?;
    Ok((after, through))
}
