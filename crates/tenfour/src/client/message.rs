//! What is published, as an application writes it, and as an outbox keeps it.

use bytes::{Bytes, BytesMut};
use bytestring::ByteString;
use serde::Serialize;
use std::time::Duration;
use tenfour_tokio::{
    delivery::{entry::Producer, time::WallTime},
    session::native::Publication,
    wire::{
        json,
        native::{self as wire, Body, Frame, Limits, Message, Reliable},
        socketio::Args,
    },
};

/// What can be published, emitted and asked: a [`Message`], a text, or bytes.
///
/// ```
/// use tenfour::client::{Body, IntoMessage};
///
/// assert_eq!("hello".into_message().body, Body::Text("hello".into()));
/// assert_eq!(vec![1_u8, 2].into_message().body, Body::Binary([1, 2][..].to_vec().into()));
/// ```
pub trait IntoMessage {
    /// The message.
    fn into_message(self) -> Message;
}

/// A message with a name, as Socket.IO's clients get it too: `data`'s JSON form is the event's argument, a tuple is several.
///
/// ```
/// use tenfour::client::{Body, event};
///
/// let message = event("moved", &(3, "north"))?;
/// let Body::Json { args, .. } = message.body else { panic!() };
/// assert_eq!((message.name.as_deref(), &*args), (Some("moved"), r#"3,"north""#));
/// # Ok::<_, tenfour::wire::json::Error>(())
/// ```
///
/// # Errors
/// If the data has no JSON form.
pub fn event<T: Serialize + ?Sized>(name: &str, data: &T) -> Result<Message, json::Error> {
    let (args, attachments) = Args::serialize(data)?.into_parts();
    let body = Body::Json { args, attachments };
    Ok(Message { name: Some(name.into()), body })
}

impl IntoMessage for Message {
    fn into_message(self) -> Message {
        self
    }
}

macro_rules! into_message {
    ($variant:ident: $($kind:ty),*) => {$(
        impl IntoMessage for $kind {
            fn into_message(self) -> Message {
                Message { name: None, body: Body::$variant(self.into()) }
            }
        }
    )*};
}

into_message!(Text: &str, String, ByteString);
into_message!(Binary: Vec<u8>, Bytes);

/// The largest publication with its channel that goes through servers with the default limits: half a megabyte, so that a few fit
/// into a window.
pub(super) const MAX_BYTES: usize = 512 << 10;

/// A publication as outboxes keep it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) channel: ByteString,
    /// The wall clock's, since it outlives the process.
    pub(super) expires: Option<WallTime>,
    pub(super) message: Message,
}

impl Stored {
    pub(super) fn encode(self) -> Bytes {
        let publish = wire::Publish {
            channel: self.channel,
            producer: None,
            // A duration on the wire; here, in the same place, the time at which it is over.
            ttl_ms: self.expires.map(WallTime::as_unix_millis),
            message: self.message,
        };
        let mut out = BytesMut::new();
        wire::encode(&Frame::Reliable { sequence: None, body: Reliable::Publish(publish) }, &mut out);
        out.freeze()
    }

    /// `None` of what no version of this has encoded.
    pub(super) fn decode(stored: Bytes) -> Option<Self> {
        let mut decoder = wire::Decoder::new(Limits { frame_bytes: usize::MAX, ..Limits::default() });
        decoder.push(stored);
        match decoder.next() {
            Ok(Some(Frame::Reliable { body: Reliable::Publish(publish), .. })) => Some(Self {
                channel: publish.channel,
                expires: publish.ttl_ms.map(WallTime::from_unix_millis),
                message: publish.message,
            }),
            _ => None,
        }
    }

    /// What is sent now. An expired one is sent too: its number must not be missing.
    pub(super) fn publication(self, producer: Producer, wall: WallTime) -> Publication {
        let left = |expires: WallTime| expires.as_unix_millis().saturating_sub(wall.as_unix_millis());
        Publication {
            channel: self.channel,
            producer: Some(producer),
            ttl: self.expires.map(|expires| Duration::from_millis(left(expires))),
            message: self.message,
        }
    }
}
