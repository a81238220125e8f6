//! What a namespace notes in its log, beside the messages.
//!
//! A note is an entry of the channel [`NOTES`](crate::channel::NOTES). The form is `1` `kind` and what the kind has, in the
//! order of the fields: numbers as LEB128 varints, texts with their length before them.

use bytes::{BufMut, Bytes, BytesMut};
use bytestring::ByteString;

use crate::{
    Body,
    channel::StoredError,
    coding::{Reader, body_kind, malformed, put_block, put_body, put_varint},
};

/// Something that a namespace remembers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Note {
    /// What was answered to whoever sent something under a key.
    Answer {
        /// The key.
        key: ByteString,
        /// Of what was sent.
        fingerprint: u64,
        /// The answer; `None` if there was none.
        answer: Option<Body>,
    },
}

const VERSION: u8 = 1;

const ANSWER: u8 = 6;

/// The kind of body that an answer has which has none.
const SILENCE: u8 = 0xff;

impl Note {
    /// The bytes that a log keeps, from which [`Note::from_stored`] makes an equal note, also in a later version of this
    /// crate.
    #[must_use]
    pub fn to_stored(&self) -> Bytes {
        let mut out = BytesMut::new();
        out.put_u8(VERSION);
        match self {
            Self::Answer { key, fingerprint, answer } => {
                out.put_u8(ANSWER);
                put_block(&mut out, key.as_bytes());
                put_varint(&mut out, *fingerprint);
                out.put_u8(answer.as_ref().map_or(SILENCE, body_kind));
                if let Some(answer) = answer {
                    put_body(&mut out, answer);
                }
            }
        }
        out.freeze()
    }

    /// The note that these bytes are the storage form of. It shares them: nothing is copied.
    ///
    /// # Errors
    /// If another version wrote them, or they are damaged.
    pub fn from_stored(stored: &Bytes) -> Result<Self, StoredError> {
        let mut reader = Reader::new(stored);
        match reader.byte()? {
            VERSION => {}
            found => return Err(StoredError::Version { found }),
        }
        match reader.byte()? {
            ANSWER => {
                let (key, fingerprint) = (reader.text()?, reader.varint()?);
                Ok(Self::Answer { key, fingerprint, answer: read_answer(reader)? })
            }
            kind => Err(malformed(format_args!("note of kind {kind}"))),
        }
    }
}

fn read_answer(mut reader: Reader) -> Result<Option<Body>, StoredError> {
    match reader.byte()? {
        SILENCE => reader.end().map(|()| None),
        kind => reader.body(kind).map(Some),
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    fn notes() -> impl Strategy<Value = Note> {
        let text = || "[ -~]{0,9}".prop_map(ByteString::from);
        let attachment = prop::collection::vec(any::<u8>(), 0..9).prop_map(Bytes::from);
        let body = prop_oneof![
            text().prop_map(Body::Text),
            attachment.clone().prop_map(Body::Binary),
            (text(), prop::collection::vec(attachment, 0..3))
                .prop_map(|(args, attachments)| Body::Json { args, attachments }),
        ];
        (text(), any::<u64>(), prop::option::of(body)).prop_map(|(key, fingerprint, answer)| Note::Answer {
            key,
            fingerprint,
            answer,
        })
    }

    proptest! {
        #[test]
        fn what_is_noted_is_read_back(note in notes()) {
            prop_assert_eq!(Note::from_stored(&note.to_stored()), Ok(note));
        }

        #[test]
        fn anything_can_be_read_or_is_an_error(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let stored: Vec<u8> = [VERSION, ANSWER].into_iter().chain(bytes).collect();
            if let Ok(note) = Note::from_stored(&Bytes::from(stored.clone())) {
                prop_assert!(note.to_stored().len() <= stored.len());
            }
        }
    }

    #[test]
    fn the_form_stays_as_it_is() {
        let note = Note::Answer { key: "k".into(), fingerprint: 2, answer: Some(Body::json("7")) };
        assert_eq!(note.to_stored(), &b"\x01\x06\x01k\x02\x02\x017\x00"[..]);
    }
}
