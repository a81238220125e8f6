//! The parts of which everything is made that a log keeps: varints (LEB128), and blocks with their length before them.

use alloc::{format, vec::Vec};

use bytes::{BufMut, Bytes, BytesMut};
use bytestring::ByteString;

use crate::{Body, channel::StoredError};

/// A varint of 64 bits takes so many bytes at most.
pub(crate) const VARINT_BYTES: usize = 10;

const TEXT: u8 = 0;
const BINARY: u8 = 1;
const JSON: u8 = 2;

pub(crate) fn put_varint(out: &mut BytesMut, mut value: u64) {
    while value >= 0x80 {
        out.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

pub(crate) fn put_block(out: &mut BytesMut, block: &[u8]) {
    put_varint(out, block.len() as u64);
    out.put_slice(block);
}

pub(crate) fn put_blocks(out: &mut BytesMut, blocks: &[ByteString]) {
    put_varint(out, blocks.len() as u64);
    for block in blocks {
        put_block(out, block.as_bytes());
    }
}

/// How a body's kind is written: 0 for a text, 1 for bytes, 2 for JSON.
pub(crate) fn body_kind(body: &Body) -> u8 {
    match body {
        Body::Text(_) => TEXT,
        Body::Binary(_) => BINARY,
        Body::Json { .. } => JSON,
    }
}

/// Writes a body, which is the last of what holds it. A text and bytes go to the end. JSON is `length` `args` `count` and
/// then `length` `attachment` for each.
pub(crate) fn put_body(out: &mut BytesMut, body: &Body) {
    match body {
        Body::Text(text) => out.put_slice(text.as_bytes()),
        Body::Binary(bytes) => out.put_slice(bytes),
        Body::Json { args, attachments } => {
            put_block(out, args.as_bytes());
            put_varint(out, attachments.len() as u64);
            for attachment in attachments {
                put_block(out, attachment);
            }
        }
    }
}

/// No body takes more bytes than this when it is written.
pub(crate) fn body_bytes(body: &Body) -> usize {
    let attachments = match body {
        Body::Json { attachments, .. } => attachments.len(),
        Body::Text(_) | Body::Binary(_) => 0,
    };
    body.byte_len() + VARINT_BYTES * (2 + attachments)
}

/// Reads what was written, sharing its bytes.
pub(crate) struct Reader {
    rest: Bytes,
}

impl Reader {
    pub(crate) fn new(stored: &Bytes) -> Self {
        Self { rest: stored.clone() }
    }

    pub(crate) fn byte(&mut self) -> Result<u8, StoredError> {
        if self.rest.is_empty() {
            return Err(malformed(format_args!("it ends early")));
        }
        Ok(self.rest.split_to(1)[0])
    }

    pub(crate) fn varint(&mut self) -> Result<u64, StoredError> {
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

    pub(crate) fn block(&mut self) -> Result<Bytes, StoredError> {
        let length = self.varint()?;
        match usize::try_from(length) {
            Ok(length) if length <= self.rest.len() => Ok(self.rest.split_to(length)),
            _ => Err(malformed(format_args!("{length} bytes are said to follow, {} do", self.rest.len()))),
        }
    }

    pub(crate) fn text(&mut self) -> Result<ByteString, StoredError> {
        text(self.block()?)
    }

    /// As many texts as are said to follow; a number that lies costs no memory.
    pub(crate) fn texts(&mut self) -> Result<Vec<ByteString>, StoredError> {
        let count = self.varint()?;
        let mut texts = Vec::new();
        for _ in 0..count {
            texts.push(self.text()?);
        }
        Ok(texts)
    }

    /// A body of this kind, which is all the rest.
    pub(crate) fn body(mut self, kind: u8) -> Result<Body, StoredError> {
        match kind {
            TEXT => Ok(Body::Text(text(self.rest)?)),
            BINARY => Ok(Body::Binary(self.rest)),
            JSON => {
                let args = self.text()?;
                let count = self.varint()?;
                let mut attachments = Vec::new();
                for _ in 0..count {
                    attachments.push(self.block()?);
                }
                self.end()?;
                Ok(Body::Json { args, attachments })
            }
            other => Err(malformed(format_args!("kind {other}"))),
        }
    }

    /// Nothing may trail.
    pub(crate) fn end(self) -> Result<(), StoredError> {
        match self.rest.len() {
            0 => Ok(()),
            trailing => Err(malformed(format_args!("{trailing} bytes trail"))),
        }
    }
}

fn text(bytes: Bytes) -> Result<ByteString, StoredError> {
    ByteString::try_from(bytes).map_err(|_| malformed(format_args!("a text is not UTF-8")))
}

pub(crate) fn malformed(reason: core::fmt::Arguments<'_>) -> StoredError {
    StoredError::Malformed { reason: format!("{reason}") }
}
