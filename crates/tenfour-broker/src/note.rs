//! What a namespace notes in its log, beside the messages: who has a session, where it belongs, and what was answered.
//!
//! A note is an entry of the channel [`NOTES`](crate::channel::NOTES), and takes effect at its place in the log: whoever
//! reads the notes in their order knows what the namespace knew.
//!
//! The form is `1` `kind` and what the kind has, in the order of the fields: numbers as LEB128 varints, texts with their
//! length before them, lists with their count, and a byte of 0 or 1 before what may be missing.
//!
//! ```
//! use tenfour_broker::{SocketId, note::Note, recovery::Away};
//!
//! let id = SocketId::from_bytes([7; 15]);
//! let note = Note::Joined { id, room: "lobby".into(), away: Away::Everything };
//! assert_eq!(Note::from_stored(&note.to_stored())?, note);
//! # Ok::<(), tenfour_broker::channel::StoredError>(())
//! ```

use alloc::{boxed::Box, vec::Vec};

use bytes::{BufMut, Bytes, BytesMut};
use bytestring::ByteString;
use tenfour_delivery::{
    loss::{Count, Lost, OffsetRange, Reason},
    number::{Epoch, Offset},
    resume::Position,
};

use crate::{
    Body, SocketId,
    channel::StoredError,
    coding::{Reader, body_kind, malformed, put_block, put_body, put_varint},
    recovery::{Away, Left, Membership, Pid, Snapshot},
};

/// Something that a namespace remembers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Note {
    /// A session as it is here, whatever was noted of it before.
    Opened(Box<Snapshot>),
    /// From here on a session is in a room.
    Joined {
        /// The session.
        id: SocketId,
        /// The room.
        room: ByteString,
        /// What it gets of the room for the time that it is away.
        away: Away,
    },
    /// From here on a session is not in a room.
    Left {
        /// The session.
        id: SocketId,
        /// The room.
        room: ByteString,
    },
    /// A session's data was replaced.
    Data {
        /// The session.
        id: SocketId,
        /// A JSON text.
        data: ByteString,
    },
    /// A session is over.
    Closed {
        /// The session.
        id: SocketId,
    },
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

const OPENED: u8 = 1;
const JOINED: u8 = 2;
const LEFT: u8 = 3;
const DATA: u8 = 4;
const CLOSED: u8 = 5;
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
            Self::Opened(session) => {
                out.put_u8(OPENED);
                put_session(&mut out, session);
            }
            Self::Joined { id, room, away } => {
                put_of(&mut out, JOINED, *id);
                put_block(&mut out, room.as_bytes());
                out.put_u8(away_number(*away));
            }
            Self::Left { id, room } => {
                put_of(&mut out, LEFT, *id);
                put_block(&mut out, room.as_bytes());
            }
            Self::Data { id, data } => {
                put_of(&mut out, DATA, *id);
                put_block(&mut out, data.as_bytes());
            }
            Self::Closed { id } => put_of(&mut out, CLOSED, *id),
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
        let note = match reader.byte()? {
            OPENED => Self::Opened(Box::new(read_session(&mut reader)?)),
            JOINED => {
                let (id, room) = (read_id(&mut reader)?, reader.text()?);
                Self::Joined { id, room, away: read_away(&mut reader)? }
            }
            LEFT => Self::Left { id: read_id(&mut reader)?, room: reader.text()? },
            DATA => Self::Data { id: read_id(&mut reader)?, data: reader.text()? },
            CLOSED => Self::Closed { id: read_id(&mut reader)? },
            ANSWER => {
                let (key, fingerprint) = (reader.text()?, reader.varint()?);
                return Ok(Self::Answer { key, fingerprint, answer: read_answer(reader)? });
            }
            other => return Err(malformed(format_args!("a note of kind {other}"))),
        };
        reader.end()?;
        Ok(note)
    }
}

fn read_answer(mut reader: Reader) -> Result<Option<Body>, StoredError> {
    match reader.byte()? {
        SILENCE => reader.end().map(|()| None),
        kind => reader.body(kind).map(Some),
    }
}

fn put_of(out: &mut BytesMut, kind: u8, id: SocketId) {
    out.put_u8(kind);
    put_block(out, id.as_str().as_bytes());
}

fn put_session(out: &mut BytesMut, session: &Snapshot) {
    put_block(out, session.id.as_str().as_bytes());
    put_block(out, session.pid.as_str().as_bytes());
    put_varint(out, session.start.epoch.get());
    put_varint(out, session.start.offset.get());
    put_varint(out, session.floor.get());
    put_option(out, session.lost.as_ref(), put_lost);
    put_varint(out, session.rooms.len() as u64);
    for (room, membership) in &session.rooms {
        put_block(out, room.as_bytes());
        put_varint(out, membership.since.get());
        out.put_u8(away_number(membership.away));
    }
    put_varint(out, session.left.len() as u64);
    for left in &session.left {
        put_block(out, left.room.as_bytes());
        put_varint(out, left.membership.since.get());
        out.put_u8(away_number(left.membership.away));
        put_varint(out, left.until.get());
    }
    put_option(out, session.data.as_ref(), |out, data| put_block(out, data.as_bytes()));
}

fn read_session(reader: &mut Reader) -> Result<Snapshot, StoredError> {
    let (id, pid) = (read_id(reader)?, reader.text()?);
    let pid = pid.parse::<Pid>().map_err(|_| malformed(format_args!("{} bytes are no pid", pid.len())))?;
    let start = Position { epoch: Epoch::new(reader.varint()?), offset: read_offset(reader)? };
    let floor = read_offset(reader)?;
    let lost = read_option(reader, read_lost)?;
    let mut session = Snapshot { lost, floor, ..Snapshot::new(id, pid, start) };
    for _ in 0..reader.varint()? {
        let (room, membership) = (reader.text()?, read_membership(reader)?);
        session.rooms.insert(room, membership);
    }
    let count = reader.varint()?;
    let mut left = Vec::new();
    for _ in 0..count {
        let (room, membership) = (reader.text()?, read_membership(reader)?);
        left.push(Left { room, membership, until: read_offset(reader)? });
    }
    session.left = left.into();
    session.data = read_option(reader, Reader::text)?;
    Ok(session)
}

fn read_id(reader: &mut Reader) -> Result<SocketId, StoredError> {
    let text = reader.text()?;
    SocketId::parse(&text).map_err(|_| malformed(format_args!("{} bytes are no socket's id", text.len())))
}

fn read_offset(reader: &mut Reader) -> Result<Offset, StoredError> {
    reader.varint().map(Offset::new)
}

fn read_membership(reader: &mut Reader) -> Result<Membership, StoredError> {
    Ok(Membership { since: read_offset(reader)?, away: read_away(reader)? })
}

fn away_number(away: Away) -> u8 {
    match away {
        Away::Everything => 0,
        Away::Latest => 1,
        Away::LatestPerKey => 2,
        Away::Nothing => 3,
    }
}

fn read_away(reader: &mut Reader) -> Result<Away, StoredError> {
    match reader.byte()? {
        0 => Ok(Away::Everything),
        1 => Ok(Away::Latest),
        2 => Ok(Away::LatestPerKey),
        3 => Ok(Away::Nothing),
        other => Err(malformed(format_args!("a policy of number {other}"))),
    }
}

fn put_lost(out: &mut BytesMut, lost: &Lost) {
    put_varint(out, lost.range.after.get());
    put_varint(out, lost.range.through.get());
    out.put_u8(u8::from(matches!(lost.count, Count::Exact(_))));
    put_varint(out, lost.count.at_least());
    out.put_u8(match lost.reason {
        Reason::Retention => 0,
        Reason::Ttl => 1,
        Reason::SlowConsumer => 2,
        Reason::RateLimit => 3,
        Reason::Conflated => 4,
        Reason::EpochReset => 5,
        Reason::Unsubscribed => 6,
        _ => 7,
    });
}

fn read_lost(reader: &mut Reader) -> Result<Lost, StoredError> {
    let range = OffsetRange { after: read_offset(reader)?, through: read_offset(reader)? };
    let (is_exact, count) = (reader.byte()? == 1, reader.varint()?);
    let count = if is_exact { Count::Exact(count) } else { Count::AtLeast(count) };
    let reason = match reader.byte()? {
        0 => Reason::Retention,
        1 => Reason::Ttl,
        2 => Reason::SlowConsumer,
        3 => Reason::RateLimit,
        4 => Reason::Conflated,
        5 => Reason::EpochReset,
        6 => Reason::Unsubscribed,
        _ => Reason::Unknown,
    };
    Ok(Lost { range, count, reason })
}

fn put_option<T>(out: &mut BytesMut, value: Option<&T>, put: impl FnOnce(&mut BytesMut, &T)) {
    out.put_u8(u8::from(value.is_some()));
    if let Some(value) = value {
        put(out, value);
    }
}

fn read_option<T>(
    reader: &mut Reader,
    read: impl FnOnce(&mut Reader) -> Result<T, StoredError>,
) -> Result<Option<T>, StoredError> {
    match reader.byte()? {
        0 => Ok(None),
        1 => read(reader).map(Some),
        other => Err(malformed(format_args!("{other} stands where 0 or 1 belongs"))),
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
