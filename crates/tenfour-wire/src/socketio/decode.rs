//! Frames into packets.

use alloc::{boxed::Box, vec::Vec};

use bytes::Bytes;
use bytestring::ByteString;

use super::Packet;
use crate::{DecodeError, DecodeErrorKind, Limits};

/// Reads the messages of one connection as packets.
#[derive(Debug)]
pub struct Decoder {
    limits: Limits,
    pending: Option<Box<Pending>>,
}

/// A packet whose attachments are still to come.
#[derive(Debug)]
struct Pending {
    packet: Packet,
    due: usize,
    attachments: Vec<Bytes>,
    bytes: usize,
}

impl Decoder {
    /// A decoder that waits for no attachment.
    pub fn new(limits: Limits) -> Self {
        Self { limits, pending: None }
    }

    /// Reads a text message.
    pub fn decode_text(&mut self, text: ByteString) -> Result<Option<Packet>, DecodeError> {
        let _ = (text, self.limits);
        Err(DecodeError::new(DecodeErrorKind::PacketType, 0))
    }

    /// Reads a binary message.
    pub fn decode_binary(&mut self, data: Bytes) -> Result<Option<Packet>, DecodeError> {
        let Some(pending) = &mut self.pending else {
            return Err(DecodeError::new(DecodeErrorKind::UnexpectedBinary, 0));
        };
        pending.attachments.push(data);
        if pending.attachments.len() < pending.due {
            return Ok(None);
        }
        Ok(self.pending.take().map(|pending| pending.packet))
    }

    /// Whether a packet waits for attachments.
    pub fn is_pending(&self) -> bool {
        self.pending.is_some()
    }

    /// The bytes held of a packet that waits for attachments.
    pub fn pending_bytes(&self) -> usize {
        self.pending.as_ref().map_or(0, |pending| pending.bytes)
    }
}
