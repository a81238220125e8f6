use alloc::vec::Vec;
use core::fmt;

use bytes::Bytes;
use bytestring::ByteString;

use super::{
    CloseCode, Credit, kind,
    read::{Reader, value_error},
    write::Sink,
};
use crate::{DecodeError, DecodeErrorKind};

/// The version that this module speaks.
pub const VERSION: u32 = 1;

/// What HELLO begins with, so that whatever else arrives on the port is recognised at once.
pub const MAGIC: [u8; 4] = *b"10-4";

/// The first frame of a client.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Hello {
    /// The lowest version of the protocol that the client speaks.
    pub min_version: u32,
    /// The highest one; not below the lowest.
    pub max_version: u32,
    /// What the client can do beyond the version, one bit each. Version 1 defines none.
    pub features: u64,
    /// The largest frame that the client takes, in bytes without its length.
    pub max_frame_bytes: u64,
    /// What is joined, in Socket.IO's sense: `/` is the default.
    pub namespace: ByteString,
    /// The application's token; opaque here.
    pub credentials: Bytes,
    /// What the server may send.
    pub credit: Credit,
    /// The session that is to go on, if there is one.
    pub resume: Option<Resume>,
    /// What later versions add, in ascending order of tags.
    pub fields: Vec<Field>,
}

/// A claim to a session that was begun on an earlier connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Resume {
    /// Which session, and the proof that it is the client's.
    pub token: Token,
    /// The connection of the session that the client knew last.
    pub generation: u32,
    /// The first sequence that the client has not received.
    pub next: u64,
    /// The first sequence that the client still holds, to send it again; its next one if it holds none.
    pub first_held: u64,
}

/// The server's answer to [`Hello`] where it lets the client in.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Welcome {
    /// The version that both speak from here on.
    pub version: u32,
    /// Those of the client's features that are in force on this connection.
    pub features: u64,
    /// The largest frame that the server takes, in bytes without its length.
    pub max_frame_bytes: u64,
    /// Names the session in the next [`Resume`]. It replaces the one before it.
    pub token: Token,
    /// Which connection of the session this is.
    pub generation: u32,
    /// The epoch of the namespace's log.
    pub epoch: u64,
    /// What became of the client's claim.
    pub outcome: Outcome,
    /// What the client may send.
    pub credit: Credit,
    /// The client sends a frame at least this often, and so does the server.
    pub heartbeat_ms: u32,
    /// How long the server recognises a publication that is repeated; 0 if it makes no promise.
    pub dedup_window_ms: u64,
    /// What later versions add, in ascending order of tags.
    pub fields: Vec<Field>,
}

/// What became of a session on a new connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// A new session, as asked for.
    Fresh,
    /// The session goes on: nothing is lost in either direction.
    Exact {
        /// The first sequence that the server has not received.
        next: u64,
        /// The first sequence that the server still holds; its next one if it holds none.
        first_held: u64,
    },
    /// The session that was claimed is gone, and this is a new one: subscribe again, each channel from its cursor.
    Rebased,
}

/// The server's answer to [`Hello`] where it does not let the client in: the last frame of the connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reject {
    /// Why, and whether to try again.
    pub code: CloseCode,
    /// How long to wait before the next attempt.
    pub retry_after_ms: Option<u32>,
    /// For people who debug; usually empty.
    pub reason: ByteString,
}

/// Names a session and proves that it is its owner's: 15 bytes of id, 15 bytes of secret.
///
/// Its `Debug` form keeps the secret.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Token(pub [u8; 30]);

impl Token {
    /// The part that may be logged and looked up.
    #[must_use]
    pub fn id(&self) -> &[u8] {
        &self.0[..15]
    }

    /// The part to compare in constant time.
    #[must_use]
    pub fn secret(&self) -> &[u8] {
        &self.0[15..]
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(")?;
        self.id().iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str("…)")
    }
}

/// A field that a later version adds; whoever does not know its tag skips it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Field {
    /// What it is. No tag is assigned yet.
    pub tag: u64,
    /// What it holds.
    pub value: Bytes,
}

impl Hello {
    pub(super) const FLAGS: u8 = HAS_RESUME;

    pub(super) fn write(&self, out: &mut impl Sink) {
        out.put(&[kind::HELLO << 3 | if self.resume.is_some() { HAS_RESUME } else { 0 }]);
        out.put(&MAGIC);
        out.put_varint(self.min_version.into());
        out.put_varint(self.max_version.into());
        out.put_varint(self.features);
        out.put_varint(self.max_frame_bytes);
        out.put_bytes(self.namespace.as_bytes());
        out.put_bytes(&self.credentials);
        self.credit.write(out);
        if let Some(resume) = &self.resume {
            out.put(&resume.token.0);
            out.put_varint(resume.generation.into());
            out.put_varint(resume.next);
            out.put_varint(resume.first_held);
        }
        write_fields(&self.fields, out);
    }

    pub(super) fn read(flags: u8, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let at = reader.at();
        if reader.array()? != MAGIC {
            return Err(DecodeError::new(DecodeErrorKind::Magic, at));
        }
        let min_version = reader.varint_u32()?;
        let at = reader.at();
        let max_version = reader.varint_u32()?;
        if max_version < min_version {
            return Err(value_error(at));
        }
        Ok(Self {
            min_version,
            max_version,
            features: reader.varint()?,
            max_frame_bytes: reader.varint()?,
            namespace: reader.text(reader.limits.channel_bytes)?,
            credentials: reader.bytes(reader.limits.credential_bytes)?,
            credit: Credit::read(reader)?,
            resume: if flags & HAS_RESUME == 0 { None } else { Some(Resume::read(reader)?) },
            fields: read_fields(reader)?,
        })
    }
}

impl Resume {
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            token: Token(reader.array()?),
            generation: reader.varint_u32()?,
            next: reader.varint()?,
            first_held: reader.varint()?,
        })
    }
}

impl Welcome {
    pub(super) const FLAGS: u8 = IS_EXACT | IS_REBASED;

    pub(super) fn write(&self, out: &mut impl Sink) {
        let flags = match self.outcome {
            Outcome::Fresh => 0,
            Outcome::Exact { .. } => IS_EXACT,
            Outcome::Rebased => IS_REBASED,
        };
        out.put(&[kind::WELCOME << 3 | flags]);
        out.put_varint(self.version.into());
        out.put_varint(self.features);
        out.put_varint(self.max_frame_bytes);
        out.put(&self.token.0);
        out.put_varint(self.generation.into());
        out.put_varint(self.epoch);
        if let Outcome::Exact { next, first_held } = self.outcome {
            out.put_varint(next);
            out.put_varint(first_held);
        }
        self.credit.write(out);
        out.put_varint(self.heartbeat_ms.into());
        out.put_varint(self.dedup_window_ms);
        write_fields(&self.fields, out);
    }

    pub(super) fn read(flags: u8, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            version: reader.varint_u32()?,
            features: reader.varint()?,
            max_frame_bytes: reader.varint()?,
            token: Token(reader.array()?),
            generation: reader.varint_u32()?,
            epoch: reader.varint()?,
            outcome: match flags {
                0 => Outcome::Fresh,
                IS_EXACT => Outcome::Exact { next: reader.varint()?, first_held: reader.varint()? },
                IS_REBASED => Outcome::Rebased,
                _ => return Err(DecodeError::new(DecodeErrorKind::Flags, reader.kind_at())),
            },
            credit: Credit::read(reader)?,
            heartbeat_ms: reader.varint_u32()?,
            dedup_window_ms: reader.varint()?,
            fields: read_fields(reader)?,
        })
    }
}

impl Reject {
    pub(super) fn write(&self, out: &mut impl Sink) {
        out.put(&[kind::REJECT << 3]);
        out.put_varint(self.code.number().into());
        out.put_optional_ms(self.retry_after_ms);
        out.put_bytes(self.reason.as_bytes());
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            code: CloseCode::from_number(reader.varint_u32()?),
            retry_after_ms: reader.optional_ms()?,
            reason: reader.text(reader.limits.text_bytes)?,
        })
    }
}

const HAS_RESUME: u8 = 2;
const IS_EXACT: u8 = 2;
const IS_REBASED: u8 = 4;

fn write_fields(fields: &[Field], out: &mut impl Sink) {
    for field in fields {
        out.put_varint(field.tag);
        out.put_bytes(&field.value);
    }
}

/// Fields to the end of the frame, their tags ascending.
fn read_fields(reader: &mut Reader<'_>) -> Result<Vec<Field>, DecodeError> {
    let mut fields: Vec<Field> = Vec::new();
    while reader.remaining() > 0 {
        let at = reader.at();
        if fields.len() >= reader.limits.fields {
            return Err(DecodeError::new(DecodeErrorKind::TooMany, at));
        }
        let tag = reader.varint()?;
        if fields.last().is_some_and(|last| last.tag >= tag) {
            return Err(value_error(at));
        }
        fields.push(Field { tag, value: reader.bytes(reader.limits.frame_bytes)? });
    }
    Ok(fields)
}
