//! Frames of the native protocol, and the same as postcard writes them.

use bytes::{Buf, Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use tenfour_wire::native::{
    Ack, AckRange, Body, ChannelOffset, Decoder, Deliver, Frame, Limits, Message, Place, Producer,
    ProducerRef, Publish, Reliable, SharedMessage, encode, encode_deliver,
};

/// A frame as serde sees it; postcard writes its numbers as we do, in LEB128.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Plain<S, B> {
    /// An entry of a channel.
    Deliver {
        /// Its number; none for the next one.
        sequence: Option<u64>,
        /// The channel.
        channel: u32,
        /// The entry before; none for the last one.
        previous: Option<u64>,
        /// How far behind that it stands.
        advance: u64,
        /// What it says.
        message: PlainMessage<S, B>,
    },
    /// An entry to be.
    Publish {
        /// Its number; none for the next one.
        sequence: Option<u64>,
        /// The channel.
        channel: S,
        /// Identity, life and number of the producer.
        producer: Option<(u128, u32, u64)>,
        /// Its time to live.
        ttl_ms: Option<u64>,
        /// What it says.
        message: PlainMessage<S, B>,
    },
    /// An acknowledgement.
    Ack {
        /// All below it.
        next: u64,
        /// Gaps and lengths.
        ranges: Vec<(u64, u64)>,
        /// Channels and offsets.
        processed: Vec<(u32, u64)>,
    },
}

/// A message as serde sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlainMessage<S, B> {
    /// Its name.
    pub name: Option<S>,
    /// Its body.
    pub body: PlainBody<S, B>,
}

/// A body as serde sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum PlainBody<S, B> {
    /// Text.
    Text(S),
    /// Bytes.
    Binary(B),
    /// JSON, which postcard does not look into.
    Json(S),
}

/// What postcard gives that may outlive the buffer which it was read from.
pub type Owned = Plain<String, Bytes>;

/// What postcard gives that may not.
pub type Borrowed<'a> = Plain<&'a str, &'a [u8]>;

/// A frame in every form that the measurements need.
#[derive(Debug)]
pub struct Case {
    /// What is measured.
    pub name: &'static str,
    ours: Frame,
    theirs: Owned,
    our_bytes: Bytes,
    their_bytes: Bytes,
}

impl Case {
    fn new(name: &'static str, ours: Frame, theirs: Owned) -> Self {
        let mut our_bytes = BytesMut::new();
        encode(&ours, &mut our_bytes);
        let mut their_bytes = Vec::new();
        write_plain(&theirs, &mut their_bytes);
        Self { name, ours, theirs, our_bytes: our_bytes.freeze(), their_bytes: their_bytes.into() }
    }

    /// The bytes of ours and of postcard's frame.
    #[must_use]
    pub fn sizes(&self) -> (usize, usize) {
        (self.our_bytes.len(), self.their_bytes.len())
    }

    /// Encodes into a buffer that is used again.
    pub fn encode_ours(&self, out: &mut BytesMut) {
        out.clear();
        encode(&self.ours, out);
    }

    /// The same by postcard.
    pub fn encode_theirs(&self, out: &mut Vec<u8>) {
        out.clear();
        write_plain(&self.theirs, out);
    }

    /// Decodes from memory that is shared, as a read buffer is. The body is validated.
    pub fn decode_ours(&self, decoder: &mut Decoder) -> Frame {
        decoder.push(self.our_bytes.clone());
        decoder.next().expect("the frame is valid").expect("it is whole")
    }

    /// The same by postcard, to values of their own.
    #[must_use]
    pub fn decode_owned(&self) -> Owned {
        read_plain(&self.their_bytes)
    }

    /// The same by postcard, to values that borrow the buffer.
    #[must_use]
    pub fn decode_borrowed(&self) -> Borrowed<'_> {
        read_plain(&self.their_bytes)
    }
}

/// A decoder for [`Case::decode_ours`].
#[must_use]
pub fn decoder() -> Decoder {
    Decoder::new(Limits::default())
}

/// A message that is encoded once, to be sent to many.
#[derive(Debug)]
pub struct FanOut(SharedMessage);

impl FanOut {
    /// A message with a name and a text of 32 bytes.
    #[must_use]
    pub fn new() -> Self {
        Self(SharedMessage::new(&text()))
    }

    /// The frame for one more receiver.
    pub fn encode_next(&self, out: &mut BytesMut) {
        out.clear();
        encode_deliver(None, &Place::next(3), &self.0, out);
    }
}

impl Default for FanOut {
    fn default() -> Self {
        Self::new()
    }
}

/// What is measured.
#[must_use]
pub fn cases() -> Vec<Case> {
    let json = r#"{"user":"alice","count":7,"tags":["alpha","beta"],"at":[52.52,13.4]}"#;
    let kilobyte = Bytes::from(vec![7; 1024]);
    vec![
        deliver("deliver, 32 B of text", text(), PlainBody::Text(TEXT.into())),
        deliver(
            "deliver, 68 B of JSON",
            Message {
                name: Some("chat".into()),
                body: Body::Json { args: json.into(), attachments: vec![] },
            },
            PlainBody::Json(json.into()),
        ),
        deliver(
            "deliver, 1 KiB",
            Message { name: Some("chat".into()), body: Body::Binary(kilobyte.clone()) },
            PlainBody::Binary(kilobyte),
        ),
        publish(),
        ack(),
    ]
}

const TEXT: &str = "a body of exactly thirty-two byt";

fn text() -> Message {
    Message { name: Some("chat".into()), body: Body::Text(TEXT.into()) }
}

fn deliver(name: &'static str, message: Message, body: PlainBody<String, Bytes>) -> Case {
    let body_of_plain = PlainMessage { name: Some("chat".into()), body };
    let ours = Reliable::Deliver(Deliver { place: Place::next(3), message });
    let theirs =
        Plain::Deliver { sequence: None, channel: 3, previous: None, advance: 1, message: body_of_plain };
    Case::new(name, Frame::Reliable { sequence: None, body: ours }, theirs)
}

fn publish() -> Case {
    let (id, epoch, sequence) = (0x0123_4567_89ab_cdef_0011_2233_4455_6677, 1, 500);
    let ours = Reliable::Publish(Publish {
        channel: "lobby".into(),
        producer: Some(ProducerRef::Explicit(Producer { id, epoch, sequence })),
        ttl_ms: Some(30_000),
        message: text(),
    });
    let theirs = Plain::Publish {
        sequence: None,
        channel: "lobby".into(),
        producer: Some((id, epoch, sequence)),
        ttl_ms: Some(30_000),
        message: PlainMessage { name: Some("chat".into()), body: PlainBody::Text(TEXT.into()) },
    };
    Case::new("publish, producer and TTL", Frame::Reliable { sequence: None, body: ours }, theirs)
}

fn ack() -> Case {
    let ours = Frame::Ack(Ack {
        next: 300,
        ranges: vec![AckRange { gap: 1, len: 4 }, AckRange { gap: 2, len: 1 }],
        processed: vec![ChannelOffset { channel: 3, offset: 41 }],
    });
    let theirs = Plain::Ack { next: 300, ranges: vec![(1, 4), (2, 1)], processed: vec![(3, 41)] };
    Case::new("ack, two ranges", ours, theirs)
}

/// A frame behind its length in four bytes, which is what one writes around postcard for a stream.
fn write_plain(frame: &Owned, out: &mut Vec<u8>) {
    out.extend_from_slice(&[0; 4]);
    let mut written = postcard::to_extend(frame, std::mem::take(out)).expect("a vector takes it");
    let len = written.len() as u32 - 4;
    written[..4].copy_from_slice(&len.to_le_bytes());
    *out = written;
}

fn read_plain<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> T {
    let (mut len, content) = bytes.split_at(4);
    let content = &content[..len.get_u32_le() as usize];
    postcard::from_bytes(content).expect("the frame is valid")
}
