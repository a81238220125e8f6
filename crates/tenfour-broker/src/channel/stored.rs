//! The form in which a log keeps a message.
//!
//! `version` `kind` (`name length` `name`) `body`, lengths as LEB128 varints. Bit 7 of the kind says that there is a
//! name; the rest is 0 for a text, 1 for bytes, 2 for JSON. A text and bytes go to the end. JSON is `length` `args`
//! `count` and then `length` `attachment` for each.

use alloc::{format, vec::Vec};

use bytes::{BufMut, Bytes, BytesMut};
use bytestring::ByteString;

use super::StoredError;
use crate::{Body, Message};

const VERSION: u8 = 1;
const NAMED: u8 = 0x80;
const TEXT: u8 = 0;
const BINARY: u8 = 1;
const JSON: u8 = 2;

/// A varint of 64 bits takes so many bytes at most.
const VARINT_BYTES: usize = 10;

impl Message {
    /// The bytes that a log keeps, from which [`Message::from_stored`] makes an equal message, also in a later version
    /// of this crate.
    ///
    /// ```
    /// use tenfour_broker::{Body, Message};
    ///
    /// let message = Message::new("chat", Body::json(r#"{"text":"hello"}"#));
    /// assert_eq!(Message::from_stored(&message.to_stored())?, message);
    /// # Ok::<(), tenfour_broker::channel::StoredError>(())
    /// ```
    #[must_use]
    pub fn to_stored(&self) -> Bytes {
        let attachments = match &self.body {
            Body::Json { attachments, .. } => attachments.len(),
            Body::Text(_) | Body::Binary(_) => 0,
        };
        let mut out = BytesMut::with_capacity(self.byte_len() + 2 + VARINT_BYTES * (3 + attachments));
        out.put_u8(VERSION);
        let named = if self.name.is_some() { NAMED } else { 0 };
        out.put_u8(named | kind(&self.body));
        if let Some(name) = &self.name {
            put_block(&mut out, name.as_bytes());
        }
        match &self.body {
            Body::Text(text) => out.put_slice(text.as_bytes()),
            Body::Binary(bytes) => out.put_slice(bytes),
            Body::Json { args, attachments } => {
                put_block(&mut out, args.as_bytes());
                put_varint(&mut out, attachments.len() as u64);
                for attachment in attachments {
                    put_block(&mut out, attachment);
                }
            }
        }
        out.freeze()
    }

    /// The message that these bytes are the storage form of. It shares them: nothing is copied.
    ///
    /// # Errors
    /// If another version wrote them, or they are damaged.
    pub fn from_stored(stored: &Bytes) -> Result<Self, StoredError> {
        let mut reader = Reader { rest: stored.clone() };
        match reader.byte()? {
            VERSION => {}
            found => return Err(StoredError::Version { found }),
        }
        let kind = reader.byte()?;
        let name = if kind & NAMED == 0 { None } else { Some(reader.text_block()?) };
        let body = match kind & !NAMED {
            TEXT => Body::Text(text(reader.rest)?),
            BINARY => Body::Binary(reader.rest),
            JSON => reader.json()?,
            other => return Err(malformed(format_args!("kind {other}"))),
        };
        Ok(Self { name, body })
    }
}

fn kind(body: &Body) -> u8 {
    match body {
        Body::Text(_) => TEXT,
        Body::Binary(_) => BINARY,
        Body::Json { .. } => JSON,
    }
}

fn put_block(out: &mut BytesMut, block: &[u8]) {
    put_varint(out, block.len() as u64);
    out.put_slice(block);
}

fn put_varint(out: &mut BytesMut, mut value: u64) {
    while value >= 0x80 {
        out.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

struct Reader {
    rest: Bytes,
}

impl Reader {
    fn byte(&mut self) -> Result<u8, StoredError> {
        if self.rest.is_empty() {
            return Err(malformed(format_args!("it ends early")));
        }
        Ok(self.rest.split_to(1)[0])
    }

    fn varint(&mut self) -> Result<u64, StoredError> {
        let mut value = 0_u64;
        for place in 0..VARINT_BYTES {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            let shift = 7 * place as u32;
            if bits << shift >> shift != bits {
                break;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(malformed(format_args!("a number is over 64 bits")))
    }

    fn block(&mut self) -> Result<Bytes, StoredError> {
        let length = self.varint()?;
        match usize::try_from(length) {
            Ok(length) if length <= self.rest.len() => Ok(self.rest.split_to(length)),
            _ => Err(malformed(format_args!("{length} bytes are said to follow, {} do", self.rest.len()))),
        }
    }

    fn text_block(&mut self) -> Result<ByteString, StoredError> {
        text(self.block()?)
    }

    fn json(mut self) -> Result<Body, StoredError> {
        let args = self.text_block()?;
        let count = self.varint()?;
        let mut attachments = Vec::new();
        for _ in 0..count {
            attachments.push(self.block()?);
        }
        if !self.rest.is_empty() {
            return Err(malformed(format_args!("{} bytes trail", self.rest.len())));
        }
        Ok(Body::Json { args, attachments })
    }
}

fn text(bytes: Bytes) -> Result<ByteString, StoredError> {
    ByteString::try_from(bytes).map_err(|_| malformed(format_args!("a text is not UTF-8")))
}

fn malformed(reason: core::fmt::Arguments<'_>) -> StoredError {
    StoredError::Malformed { reason: format!("{reason}") }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

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

    proptest! {
        #[test]
        fn what_is_stored_is_read_back(message in messages()) {
            prop_assert_eq!(Message::from_stored(&message.to_stored()), Ok(message));
        }

        #[test]
        fn what_can_be_read_is_what_would_be_stored(mut bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            if let Some(version) = bytes.first_mut() {
                *version = VERSION;
            }
            let stored = Bytes::from(bytes);
            if let Ok(message) = Message::from_stored(&stored) {
                // Only a varint may be written longer than needed.
                prop_assert!(message.to_stored().len() <= stored.len());
            }
        }

        #[test]
        fn a_part_of_a_json_message_is_none(message in messages(), cut in any::<prop::sample::Index>()) {
            let stored = message.to_stored();
            let part = stored.slice(..cut.index(stored.len()));
            if matches!(message.body, Body::Json { .. }) {
                let is_malformed = matches!(Message::from_stored(&part), Err(StoredError::Malformed { .. }));
                prop_assert!(is_malformed);
            } else if let Ok(read) = Message::from_stored(&part) {
                prop_assert_eq!(read.name, message.name);
            }
        }
    }

    #[test]
    fn the_form_stays_as_it_is() {
        let attachments = [Bytes::from_static(b"\x00")].into();
        let json = Message::new("n", Body::Json { args: "1".into(), attachments });
        assert_eq!(json.to_stored(), &b"\x01\x82\x01n\x011\x01\x01\x00"[..]);
        let text = Message { name: None, body: Body::Text("hi".into()) };
        assert_eq!(text.to_stored(), &b"\x01\x00hi"[..]);
        assert_eq!(Message { body: Body::Binary("hi".into()), ..text }.to_stored(), &b"\x01\x01hi"[..]);
    }

    #[test]
    fn another_version_is_named() {
        assert_eq!(
            Message::from_stored(&Bytes::from_static(b"\x02\x00")),
            Err(StoredError::Version { found: 2 })
        );
    }
}
