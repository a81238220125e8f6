//! The form in which a log keeps a message.
//!
//! Version 2 is `2` `flags` (`count`, then `length` `room` for each) (`length` `key`) (`length` `conflate`) and the message;
//! bits 0, 1 and 2 of the flags say which of the three are there. Version 1 is `1` and the message. That is `kind`
//! (`length` `name`) `body`: bit 7 of the kind says that there is a name. Lengths are LEB128 varints.

use alloc::vec::Vec;

use bytes::{BufMut, Bytes, BytesMut};
use bytestring::ByteString;

use super::{MessageKey, StoredError};
use crate::{
    Message,
    coding::{Reader, VARINT_BYTES, body_bytes, body_kind, malformed, put_block, put_blocks, put_body},
};

const BARE: u8 = 1;
const VERSION: u8 = 2;

const EXCEPT: u8 = 1;
const KEY: u8 = 2;
const CONFLATE: u8 = 4;
const KNOWN: u8 = EXCEPT | KEY | CONFLATE;

const NAMED: u8 = 0x80;

/// A message as a log keeps it: with all that is to be known of it besides the channels it goes to.
///
/// ```
/// use tenfour_broker::{Body, Message};
/// use tenfour_broker::channel::{Envelope, MessageKey};
///
/// let message = Message::new("chat", Body::json(r#"{"text":"hello"}"#));
/// let envelope = Envelope { key: Some(MessageKey::new("line-7")?), ..Envelope::of(message) };
/// assert_eq!(Envelope::from_stored(&envelope.to_stored())?, envelope);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Envelope {
    /// Rooms whose members do not get it.
    pub except: Vec<ByteString>,
    /// What it is known by, if a repetition is to be recognised.
    pub key: Option<MessageKey>,
    /// What it is the latest state of, for subscribers who want no more than that.
    pub conflate: Option<ByteString>,
    /// What it says.
    pub message: Message,
}

impl Envelope {
    /// A message alone.
    #[must_use]
    pub const fn of(message: Message) -> Self {
        Self { except: Vec::new(), key: None, conflate: None, message }
    }

    /// The bytes that a log keeps, from which [`Envelope::from_stored`] makes an equal one, also in a later version of this
    /// crate.
    #[must_use]
    pub fn to_stored(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(self.stored_bytes());
        let flags = self.flags();
        if flags == 0 {
            out.put_u8(BARE);
        } else {
            out.put_slice(&[VERSION, flags]);
        }
        if flags & EXCEPT != 0 {
            put_blocks(&mut out, &self.except);
        }
        if let Some(key) = &self.key {
            put_block(&mut out, key.as_str().as_bytes());
        }
        if let Some(conflate) = &self.conflate {
            put_block(&mut out, conflate.as_bytes());
        }
        put_message(&mut out, &self.message);
        out.freeze()
    }

    /// The envelope that these bytes are the storage form of. It shares them: nothing is copied.
    ///
    /// # Errors
    /// If a later version wrote them, or they are damaged.
    pub fn from_stored(stored: &Bytes) -> Result<Self, StoredError> {
        let mut reader = Reader::new(stored);
        let flags = match reader.byte()? {
            BARE => 0,
            VERSION => reader.byte()?,
            found => return Err(StoredError::Version { found }),
        };
        if flags & !KNOWN != 0 {
            return Err(malformed(format_args!("flags {flags:#04x}")));
        }
        let has = |flag| flags & flag != 0;
        let except = if has(EXCEPT) { reader.texts()? } else { Vec::new() };
        let key = if has(KEY) { Some(MessageKey::from_stored(reader.text()?)) } else { None };
        let conflate = if has(CONFLATE) { Some(reader.text()?) } else { None };
        Ok(Self { except, key, conflate, message: read_message(reader)? })
    }

    fn flags(&self) -> u8 {
        let except = if self.except.is_empty() { 0 } else { EXCEPT };
        let key = if self.key.is_some() { KEY } else { 0 };
        let conflate = if self.conflate.is_some() { CONFLATE } else { 0 };
        except | key | conflate
    }

    /// As many bytes as its storage form takes, or a few more.
    fn stored_bytes(&self) -> usize {
        let block = |text: &str| text.len() + VARINT_BYTES;
        let except: usize = self.except.iter().map(|room| block(room)).sum();
        let key = self.key.as_ref().map_or(0, |key| block(key.as_str()));
        let conflate = self.conflate.as_ref().map_or(0, |conflate| block(conflate));
        let name = self.message.name.as_ref().map_or(0, |name| block(name));
        3 + VARINT_BYTES + except + key + conflate + name + body_bytes(&self.message.body)
    }
}

fn put_message(out: &mut BytesMut, message: &Message) {
    let named = if message.name.is_some() { NAMED } else { 0 };
    out.put_u8(named | body_kind(&message.body));
    if let Some(name) = &message.name {
        put_block(out, name.as_bytes());
    }
    put_body(out, &message.body);
}

fn read_message(mut reader: Reader) -> Result<Message, StoredError> {
    let kind = reader.byte()?;
    let name = if kind & NAMED == 0 { None } else { Some(reader.text()?) };
    Ok(Message { name, body: reader.body(kind & !NAMED)? })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Body;

    fn text() -> impl Strategy<Value = ByteString> {
        proptest::string::string_regex(".{0,12}").expect("a pattern").prop_map(ByteString::from)
    }

    fn binary() -> impl Strategy<Value = Bytes> {
        prop::collection::vec(any::<u8>(), 0..200).prop_map(Bytes::from)
    }

    fn messages() -> impl Strategy<Value = Message> {
        let body = prop_oneof![
            text().prop_map(Body::Text),
            binary().prop_map(Body::Binary),
            (text(), prop::collection::vec(binary(), 0..4))
                .prop_map(|(args, attachments)| Body::Json { args, attachments }),
        ];
        (prop::option::of(text()), body).prop_map(|(name, body)| Message { name, body })
    }

    fn envelopes() -> impl Strategy<Value = Envelope> {
        let key = prop::option::of("[a-z]{1,9}".prop_map(|key| MessageKey::new(key).expect("it is one")));
        (prop::collection::vec(text(), 0..3), key, prop::option::of(text()), messages())
            .prop_map(|(except, key, conflate, message)| Envelope { except, key, conflate, message })
    }

    proptest! {
        #[test]
        fn what_is_stored_is_read_back(envelope in envelopes()) {
            let stored = envelope.to_stored();
            prop_assert!(stored.len() <= envelope.stored_bytes());
            prop_assert_eq!(Envelope::from_stored(&stored), Ok(envelope));
        }

        #[test]
        fn what_can_be_read_is_what_would_be_stored(
            version in BARE..=VERSION,
            mut bytes in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            if let Some(first) = bytes.first_mut() {
                *first = version;
            }
            let stored = Bytes::from(bytes);
            if let Ok(envelope) = Envelope::from_stored(&stored) {
                // Only a varint may be written longer than needed, and flags that say nothing.
                prop_assert!(envelope.to_stored().len() <= stored.len());
            }
        }

        #[test]
        fn a_part_of_a_json_message_is_none(envelope in envelopes(), cut in any::<prop::sample::Index>()) {
            let stored = envelope.to_stored();
            let part = stored.slice(..cut.index(stored.len()));
            if matches!(envelope.message.body, Body::Json { .. }) {
                let is_malformed = matches!(Envelope::from_stored(&part), Err(StoredError::Malformed { .. }));
                prop_assert!(is_malformed);
            } else if let Ok(read) = Envelope::from_stored(&part) {
                prop_assert_eq!(read.message.name, envelope.message.name);
                prop_assert_eq!((read.except, read.key), (envelope.except, envelope.key));
            }
        }
    }

    #[test]
    fn the_form_stays_as_it_is() {
        let attachments = [Bytes::from_static(b"\x00")].into();
        let json = Envelope::of(Message::new("n", Body::Json { args: "1".into(), attachments }));
        assert_eq!(json.to_stored(), &b"\x01\x82\x01n\x011\x01\x01\x00"[..]);
        let text = Envelope::of(Message { name: None, body: Body::Text("hi".into()) });
        assert_eq!(text.to_stored(), &b"\x01\x00hi"[..]);
        let key = MessageKey::new("k").ok();
        let full = Envelope { except: ["ab".into()].into(), key, conflate: Some("c".into()), ..text };
        assert_eq!(full.to_stored(), &b"\x02\x07\x01\x02ab\x01k\x01c\x00hi"[..]);
    }

    #[test]
    fn what_a_later_version_wrote_is_named() {
        let of = |bytes: &'static [u8]| Envelope::from_stored(&Bytes::from_static(bytes));
        assert_eq!(of(b"\x03\x00"), Err(StoredError::Version { found: 3 }));
        assert!(matches!(of(b"\x02\x08\x00"), Err(StoredError::Malformed { .. })));
    }
}
