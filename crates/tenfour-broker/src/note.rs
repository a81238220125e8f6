//! What a namespace writes into its log about itself, on the channel [`NOTES`]: `1` `kind` and what the kind says.

use alloc::vec;

use bytes::{BufMut, Bytes, BytesMut};
use bytestring::ByteString;
use tenfour_delivery::{dedup::Fingerprint, time::WallTime};

use crate::{
    Body,
    channel::{Entry, NOTES, Record, StoredError},
    coding::{Reader, VARINT_BYTES, body_bytes, body_kind, malformed, put_block, put_body},
};

const VERSION: u8 = 1;

/// The kinds of notes. Numbers are never used again for another kind.
const ANSWER: u8 = 1;

/// An answer without a body is written as one of this kind.
const SILENCE: u8 = 0xff;

/// Something that a namespace remembers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Note {
    /// What an event with a key was answered: `length` `key` `fingerprint` (8 bytes, little endian) `kind` `body`.
    Answer(Answer),
}

/// What an event with a key was answered.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Answer {
    pub(crate) key: ByteString,
    /// Of the event.
    pub(crate) fingerprint: Fingerprint,
    /// `None` if its handler gives none.
    pub(crate) body: Option<Body>,
}

impl Note {
    /// The note of an entry; `None` if it is a message.
    pub(crate) fn of(entry: &Entry) -> Option<Result<Self, StoredError>> {
        entry.record.channels.contains(&NOTES).then(|| Self::from_stored(&entry.record.payload))
    }

    pub(crate) fn to_record(&self, now: WallTime) -> Record {
        let payload = self.to_stored();
        Record { channels: vec![NOTES], producer: None, ingested: now, expires: None, payload }
    }

    fn to_stored(&self) -> Bytes {
        match self {
            Self::Answer(answer) => answer.to_stored(),
        }
    }

    fn from_stored(stored: &Bytes) -> Result<Self, StoredError> {
        let mut reader = Reader::new(stored);
        match reader.byte()? {
            VERSION => {}
            found => return Err(StoredError::Version { found }),
        }
        match reader.byte()? {
            ANSWER => Answer::read(reader).map(Self::Answer),
            kind => Err(malformed(format_args!("note of kind {kind}"))),
        }
    }
}

impl Answer {
    fn to_stored(&self) -> Bytes {
        let body = self.body.as_ref();
        let capacity = 2 + VARINT_BYTES + self.key.len() + 8 + 1 + body.map_or(0, body_bytes);
        let mut out = BytesMut::with_capacity(capacity);
        out.put_slice(&[VERSION, ANSWER]);
        put_block(&mut out, self.key.as_bytes());
        out.put_u64_le(self.fingerprint.get());
        out.put_u8(body.map_or(SILENCE, body_kind));
        if let Some(body) = body {
            put_body(&mut out, body);
        }
        out.freeze()
    }

    fn read(mut reader: Reader) -> Result<Self, StoredError> {
        let key = reader.text()?;
        let mut fingerprint = [0; 8];
        for byte in &mut fingerprint {
            *byte = reader.byte()?;
        }
        let fingerprint = Fingerprint::new(u64::from_le_bytes(fingerprint));
        let body = match reader.byte()? {
            SILENCE => {
                reader.end()?;
                None
            }
            kind => Some(reader.body(kind)?),
        };
        Ok(Self { key, fingerprint, body })
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
        (text(), any::<u64>(), prop::option::of(body)).prop_map(|(key, fingerprint, body)| {
            Note::Answer(Answer { key, fingerprint: Fingerprint::new(fingerprint), body })
        })
    }

    proptest! {
        #[test]
        fn what_is_noted_is_read_back(note in notes()) {
            let record = note.to_record(WallTime::default());
            prop_assert_eq!(&record.channels, &[NOTES]);
            prop_assert_eq!(Note::from_stored(&record.payload), Ok(note));
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
        let body = Some(Body::json("7"));
        let answer = Answer { key: "k".into(), fingerprint: Fingerprint::new(2), body };
        let stored = Note::Answer(answer).to_stored();
        assert_eq!(stored, &b"\x01\x01\x01k\x02\0\0\0\0\0\0\0\x02\x017\x00"[..]);
    }
}
