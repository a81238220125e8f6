//! A message as every dialect can carry it.

use alloc::vec::Vec;

use bytes::Bytes;
use bytestring::ByteString;

/// What an application sends, before a dialect turns it into bytes.
///
/// ```
/// use tenfour_broker::{Body, Message};
///
/// let message = Message::new("chat", Body::json(r#"{"text":"hello"}"#));
/// assert_eq!(message.byte_len(), 4 + 16);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Message {
    /// The event's name; `None` in a dialect, or for a message, that has none.
    pub name: Option<ByteString>,
    /// What it carries.
    pub body: Body,
}

impl Message {
    /// A message with a name.
    #[must_use]
    pub fn new(name: impl Into<ByteString>, body: Body) -> Self {
        Self { name: Some(name.into()), body }
    }

    /// Bytes of the name and the body, without what a dialect adds.
    #[must_use]
    pub fn byte_len(&self) -> usize {
        self.name.as_ref().map_or(0, |name| name.len()) + self.body.byte_len()
    }
}

/// What a message or an answer carries. Cloning shares the bytes.
///
/// Every dialect has a form for each of these, so the list is exhaustive: who adds to it has to say what each dialect makes of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Body {
    /// A text without further structure.
    Text(ByteString),
    /// Bytes without further structure.
    Binary(Bytes),
    /// The elements of a JSON array, in Socket.IO the arguments of an event or of an acknowledgement.
    Json {
        /// The elements, separated by commas, without the array's brackets; empty for no elements. Whoever makes the
        /// body has checked that it is JSON: the broker relays it unread.
        args: ByteString,
        /// The bytes that stand at the places which `args` leaves for them, in their order.
        attachments: Vec<Bytes>,
    },
}

impl Body {
    /// A JSON body of one element, the text of a JSON value, or of none where it is empty.
    #[must_use]
    pub fn json(value: impl Into<ByteString>) -> Self {
        Self::Json { args: value.into(), attachments: Vec::new() }
    }

    /// Bytes of text and attachments.
    #[must_use]
    pub fn byte_len(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Binary(bytes) => bytes.len(),
            Self::Json { args, attachments } => {
                args.len() + attachments.iter().map(Bytes::len).sum::<usize>()
            }
        }
    }
}
