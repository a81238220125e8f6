//! The packets of Socket.IO.

use alloc::vec::Vec;
use core::fmt;

use bytes::{Bytes, BytesMut};
use bytestring::ByteString;

use super::{Args, encode};

/// The namespace of packets that name none: `/`.
pub const DEFAULT_NAMESPACE: ByteString = ByteString::from_static("/");

/// A Socket.IO packet, its attachments included.
///
/// `namespace` always starts with `/`; the default one costs no allocation. `data` is the text of a JSON object
/// (for [`ConnectError`](Self::ConnectError) also a string).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Packet {
    /// Type 0. From a client: asks to join a namespace. From a server: it is joined.
    Connect {
        /// What is joined.
        namespace: ByteString,
        /// A JSON object: credentials from the client, `sid` (and `pid`) from the server.
        data: Option<ByteString>,
    },
    /// Type 1. Leaves a namespace; the connection stays.
    Disconnect {
        /// What is left.
        namespace: ByteString,
    },
    /// Types 2 and 5. An event.
    Event {
        /// Where it happens.
        namespace: ByteString,
        /// Present if the sender wants an acknowledgement.
        id: Option<AckId>,
        /// The event's name.
        name: EventName,
        /// What follows the name.
        args: Args,
    },
    /// Types 3 and 6. Acknowledges an event.
    Ack {
        /// The event's namespace.
        namespace: ByteString,
        /// The event's id.
        id: AckId,
        /// The answer.
        args: Args,
    },
    /// Type 4, server to client. The namespace cannot be joined.
    ConnectError {
        /// What was asked for.
        namespace: ByteString,
        /// A JSON object, in general `{"message":…,"data":…}`, or a string.
        data: Option<ByteString>,
    },
}

impl Packet {
    /// The namespace that the packet belongs to.
    pub fn namespace(&self) -> &ByteString {
        match self {
            Self::Connect { namespace, .. }
            | Self::Disconnect { namespace }
            | Self::Event { namespace, .. }
            | Self::Ack { namespace, .. }
            | Self::ConnectError { namespace, .. } => namespace,
        }
    }

    /// The binary frames that must follow the text of this packet, in order.
    pub fn attachments(&self) -> &[Bytes] {
        match self {
            Self::Event { args, .. } | Self::Ack { args, .. } => args.attachments(),
            _ => &[],
        }
    }

    /// The packet with the attachments that its arguments' placeholders stand for.
    pub(super) fn with_attachments(self, attachments: Vec<Bytes>) -> Self {
        match self {
            Self::Event { namespace, id, name, args } => {
                Self::Event { namespace, id, name, args: args.with_attachments(attachments) }
            }
            Self::Ack { namespace, id, args } => {
                Self::Ack { namespace, id, args: args.with_attachments(attachments) }
            }
            other => other,
        }
    }

    /// Appends the packet's text, without the type digit of the Engine.IO message around it. The
    /// [attachments](Self::attachments) must follow, each as a binary message.
    ///
    /// ```
    /// use tenfour_wire::{BytesMut, socketio::{DEFAULT_NAMESPACE, Packet}};
    ///
    /// let mut out = BytesMut::from("4");
    /// Packet::Connect { namespace: DEFAULT_NAMESPACE, data: None }.encode(&mut out);
    /// assert_eq!(out, "40");
    /// ```
    pub fn encode(&self, out: &mut BytesMut) {
        match self {
            Self::Connect { namespace, data } => encode::encode_connect(out, namespace, data.as_deref()),
            Self::Disconnect { namespace } => encode::encode_disconnect(out, namespace),
            Self::Event { namespace, id, name, args } => {
                encode::encode_event(out, namespace, *id, name, args)
            }
            Self::Ack { namespace, id, args } => encode::encode_ack(out, namespace, *id, args),
            Self::ConnectError { namespace, data } => {
                encode::encode_connect_error(out, namespace, data.as_deref());
            }
        }
    }
}

/// Ties an acknowledgement to its event; unique per namespace and direction of one connection.
///
/// Exact over the whole range of `u64`, where JavaScript's numbers round from 2^53 on.
///
/// ```
/// use tenfour_wire::socketio::AckId;
///
/// assert_eq!(AckId::new(9_007_199_254_740_993).to_string(), "9007199254740993");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AckId(u64);

impl AckId {
    /// The id of this number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The id's number.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for AckId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An event's name.
///
/// ```
/// use tenfour_wire::socketio::EventName;
///
/// let name = EventName::from("message");
/// assert_eq!(name, EventName::Text("message".into()));
/// assert!(!EventName::is_reserved(name.as_str()) && EventName::is_reserved("disconnect"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EventName {
    /// A string, without its quotes and escapes.
    Text(ByteString),
    /// A number, in the digits in which it was sent.
    Number(ByteString),
}

impl EventName {
    /// The name, or the number's digits.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Text(text) | Self::Number(text) => text,
        }
    }

    /// Whether Socket.IO keeps `name` for itself, so that no event may have it.
    pub fn is_reserved(name: &str) -> bool {
        matches!(
            name,
            "connect" | "connect_error" | "disconnect" | "disconnecting" | "newListener" | "removeListener"
        )
    }
}

impl From<&'static str> for EventName {
    fn from(name: &'static str) -> Self {
        Self::Text(ByteString::from_static(name))
    }
}

impl fmt::Display for EventName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
