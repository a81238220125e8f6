use bytestring::ByteString;

use super::{
    CaughtUp, Deliver, Lost, Message, Refusal, Skip, Subscribe, Subscribed, Unsubscribe, Unsubscribed, kind,
    read::{Reader, value_error},
    write::Sink,
};
use crate::{DecodeError, DecodeErrorKind};

/// What takes a sequence number, is acknowledged, and is sent again until it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Reliable {
    /// See [`Subscribe`].
    Subscribe(Subscribe),
    /// See [`Subscribed`].
    Subscribed(Subscribed),
    /// See [`Unsubscribe`].
    Unsubscribe(Unsubscribe),
    /// See [`Unsubscribed`].
    Unsubscribed(Unsubscribed),
    /// See [`Publish`].
    Publish(Publish),
    /// See [`Published`].
    Published(Published),
    /// See [`Deliver`].
    Deliver(Deliver),
    /// See [`Lost`].
    Lost(Lost),
    /// See [`Skip`].
    Skip(Skip),
    /// See [`CaughtUp`].
    CaughtUp(CaughtUp),
    /// See [`Request`].
    Request(Request),
    /// See [`Reply`].
    Reply(Reply),
    /// Nothing: what had this number expired or was withdrawn before it arrived, and its sender knows.
    Void {
        /// What of the receiver's credit this counts for, in bytes: as much as what had the number.
        charge: u64,
    },
}

/// An entry to be, to be answered when it is committed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Publish {
    /// The channel's name.
    pub channel: ByteString,
    /// Who publishes, and the publication's number among theirs, so that a repetition is recognised.
    pub producer: Option<ProducerRef>,
    /// How long the entry is worth delivering, counted from its arrival at the server.
    pub ttl_ms: Option<u64>,
    /// What it says.
    pub message: Message,
}

/// A producer's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProducerRef {
    /// The one after that of the last PUBLISH of this connection that had one, in the order of sequences; of the same
    /// producer and epoch.
    Next,
    /// This one.
    Explicit(Producer),
}

/// A producer's number, written out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Producer {
    /// Who; random, and the same over restarts.
    pub id: u128,
    /// Which of its lives. A newer one fences an older one.
    pub epoch: u32,
    /// The publication's number in that life: dense, from 0.
    pub sequence: u64,
}

/// The answer to [`Publish`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Published {
    /// The sequence of the PUBLISH that is answered.
    pub publish: u64,
    /// Where it was committed, or why it was not.
    pub result: Result<Receipt, Refusal>,
}

/// Where a publication stands in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Receipt {
    /// The epoch of the log.
    pub epoch: u64,
    /// The place in it; of a duplicate also 0, where that is not known any more.
    pub offset: u64,
    /// Whether it was there already: then the place is the one that it got at first.
    pub duplicate: bool,
}

/// Asks the peer's application.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Request {
    /// What the answer repeats: any number that the asker has not in use.
    pub request: u64,
    /// The question.
    pub message: Message,
}

/// The answer to [`Request`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reply {
    /// The request's.
    pub request: u64,
    /// The answer, or what went wrong, for people.
    pub result: Result<Message, ByteString>,
}

/// What precedes the body of a reliable frame: its number, if that is written out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header(pub(super) Option<u64>);

impl Header {
    pub(super) fn write(self, kind: u8, flags: u8, out: &mut impl Sink) {
        match self.0 {
            None => out.put(&[kind << 3 | flags]),
            Some(sequence) => {
                out.put(&[kind << 3 | flags | kind::SEQUENCE]);
                out.put_varint(sequence);
            }
        }
    }
}

impl Reliable {
    pub(super) fn write(&self, sequence: Option<u64>, out: &mut impl Sink) {
        let header = Header(sequence);
        match self {
            Self::Subscribe(body) => body.write(header, out),
            Self::Subscribed(body) => body.write(header, out),
            Self::Unsubscribe(body) => body.write(header, out),
            Self::Unsubscribed(body) => body.write(header, out),
            Self::Publish(body) => body.write(header, out),
            Self::Published(body) => body.write(header, out),
            Self::Deliver(body) => body.write(header, out),
            Self::Lost(body) => body.write(header, out),
            Self::Skip(body) => body.write(header, out),
            Self::CaughtUp(body) => body.write(header, out),
            Self::Request(body) => body.write(header, out),
            Self::Reply(body) => body.write(header, out),
            Self::Void { charge } => {
                header.write(kind::VOID, 0, out);
                out.put_varint(*charge);
            }
        }
    }

    /// The body behind the number; `flags` are those that the kind has.
    #[inline]
    pub(super) fn read(kind: u8, flags: u8, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match kind {
            kind::DELIVER => Self::Deliver(Deliver::read(flags, reader)?),
            kind::LOST => Self::Lost(Lost::read(reader)?),
            kind::SKIP => Self::Skip(Skip::read(reader)?),
            kind::CAUGHT_UP => Self::CaughtUp(CaughtUp::read(reader)?),
            kind::SUBSCRIBE => Self::Subscribe(Subscribe::read(flags, reader)?),
            kind::SUBSCRIBED => Self::Subscribed(Subscribed::read(flags, reader)?),
            kind::UNSUBSCRIBE => Self::Unsubscribe(Unsubscribe::read(reader)?),
            kind::UNSUBSCRIBED => Self::Unsubscribed(Unsubscribed::read(flags, reader)?),
            kind::PUBLISH => Self::Publish(Publish::read(flags, reader)?),
            kind::PUBLISHED => Self::Published(Published::read(flags, reader)?),
            kind::REQUEST => Self::Request(Request::read(reader)?),
            kind::REPLY => Self::Reply(Reply::read(flags, reader)?),
            kind::VOID => Self::Void { charge: reader.varint()? },
            _ => return Err(DecodeError::new(DecodeErrorKind::PacketType, reader.kind_at())),
        })
    }

    /// The flags that a kind has beside that of the number.
    pub(super) const fn flags(kind: u8) -> u8 {
        match kind {
            kind::DELIVER => Deliver::FLAGS,
            kind::SUBSCRIBE => Subscribe::FLAGS,
            kind::SUBSCRIBED => Subscribed::FLAGS,
            kind::UNSUBSCRIBED => Unsubscribed::FLAGS,
            kind::PUBLISH => Publish::FLAGS,
            kind::PUBLISHED => Published::FLAGS,
            kind::REPLY => Reply::FLAGS,
            _ => 0,
        }
    }
}

impl Publish {
    const FLAGS: u8 = IS_NEXT | HAS_OPTIONS;

    fn write(&self, header: Header, out: &mut impl Sink) {
        let mut flags = 0;
        let mut options = 0;
        match self.producer {
            Some(ProducerRef::Next) => flags |= IS_NEXT,
            Some(ProducerRef::Explicit(_)) => options |= HAS_PRODUCER,
            None => {}
        }
        if self.ttl_ms.is_some() {
            options |= HAS_TTL;
        }
        if options != 0 {
            flags |= HAS_OPTIONS;
        }
        header.write(kind::PUBLISH, flags, out);
        if options != 0 {
            out.put_varint(options);
        }
        out.put_bytes(self.channel.as_bytes());
        if let Some(ProducerRef::Explicit(producer)) = &self.producer {
            producer.write(out);
        }
        if let Some(ttl_ms) = self.ttl_ms {
            out.put_varint(ttl_ms);
        }
        self.message.write(out);
    }

    fn read(flags: u8, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let is_next = flags & IS_NEXT != 0;
        let at = reader.at();
        let options = if flags & HAS_OPTIONS == 0 { 0 } else { reader.varint()? };
        let has_producer = options & HAS_PRODUCER != 0;
        let is_empty = options == 0 && flags & HAS_OPTIONS != 0;
        if is_empty || options > HAS_PRODUCER | HAS_TTL || is_next && has_producer {
            return Err(value_error(at));
        }
        let channel = reader.text(reader.limits.channel_bytes)?;
        let producer = match is_next {
            true => Some(ProducerRef::Next),
            false if has_producer => Some(ProducerRef::Explicit(Producer::read(reader)?)),
            false => None,
        };
        let ttl_ms = if options & HAS_TTL == 0 { None } else { Some(reader.varint()?) };
        Ok(Self { channel, producer, ttl_ms, message: Message::read(reader)? })
    }
}

impl Producer {
    fn write(&self, out: &mut impl Sink) {
        out.put(&self.id.to_be_bytes());
        out.put_varint(self.epoch.into());
        out.put_varint(self.sequence);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            id: u128::from_be_bytes(reader.array()?),
            epoch: reader.varint_u32()?,
            sequence: reader.varint()?,
        })
    }
}

impl Published {
    const FLAGS: u8 = IS_REFUSED | IS_DUPLICATE;

    fn write(&self, header: Header, out: &mut impl Sink) {
        let flags = match &self.result {
            Ok(Receipt { duplicate: false, .. }) => 0,
            Ok(Receipt { duplicate: true, .. }) => IS_DUPLICATE,
            Err(_) => IS_REFUSED,
        };
        header.write(kind::PUBLISHED, flags, out);
        out.put_varint(self.publish);
        match &self.result {
            Ok(receipt) => {
                out.put_varint(receipt.epoch);
                out.put_varint(receipt.offset);
            }
            Err(refusal) => refusal.write(out),
        }
    }

    fn read(flags: u8, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let publish = reader.varint()?;
        let result = match flags {
            IS_REFUSED => Err(Refusal::read(reader)?),
            0 | IS_DUPLICATE => Ok(Receipt {
                epoch: reader.varint()?,
                offset: reader.varint()?,
                duplicate: flags == IS_DUPLICATE,
            }),
            _ => return Err(DecodeError::new(DecodeErrorKind::Flags, reader.kind_at())),
        };
        Ok(Self { publish, result })
    }
}

impl Request {
    fn write(&self, header: Header, out: &mut impl Sink) {
        header.write(kind::REQUEST, 0, out);
        out.put_varint(self.request);
        self.message.write(out);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { request: reader.varint()?, message: Message::read(reader)? })
    }
}

impl Reply {
    const FLAGS: u8 = IS_REFUSED;

    fn write(&self, header: Header, out: &mut impl Sink) {
        header.write(kind::REPLY, if self.result.is_err() { IS_REFUSED } else { 0 }, out);
        out.put_varint(self.request);
        match &self.result {
            Ok(message) => message.write(out),
            Err(text) => out.put_bytes(text.as_bytes()),
        }
    }

    fn read(flags: u8, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let request = reader.varint()?;
        let result = match flags & IS_REFUSED {
            0 => Ok(Message::read(reader)?),
            _ => Err(reader.text(reader.limits.text_bytes)?),
        };
        Ok(Self { request, result })
    }
}

const IS_REFUSED: u8 = 2;
const IS_DUPLICATE: u8 = 4;
const IS_NEXT: u8 = 2;
const HAS_OPTIONS: u8 = 4;
const HAS_PRODUCER: u64 = 1;
const HAS_TTL: u64 = 2;
