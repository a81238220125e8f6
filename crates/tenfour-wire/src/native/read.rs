//! Fields out of a frame.

use alloc::vec::Vec;

use bytes::{Buf, Bytes};
use bytestring::ByteString;

use super::Limits;
use crate::{DecodeError, DecodeErrorKind};

/// Reads the fields of one frame, each in its turn.
#[derive(Clone, Debug)]
pub(super) struct Reader<'a> {
    /// The frame; empty once its [`rest`](Self::rest) was taken.
    bytes: Bytes,
    /// The frame's first byte: its kind and flags.
    kind_at: usize,
    /// The next byte to read.
    at: usize,
    pub(super) limits: &'a Limits,
}

impl<'a> Reader<'a> {
    /// A reader of `bytes` from `at` on. Its errors count from the first of `bytes`.
    pub(super) const fn new(bytes: Bytes, at: usize, limits: &'a Limits) -> Self {
        Self { bytes, kind_at: at, at, limits }
    }

    /// Where the frame's kind and flags stand.
    pub(super) const fn kind_at(&self) -> usize {
        self.kind_at
    }

    /// Checks that no flag is set but those of `allowed`.
    pub(super) const fn allow_flags(&self, flags: u8, allowed: u8) -> Result<(), DecodeError> {
        if flags & !allowed == 0 {
            Ok(())
        } else {
            Err(DecodeError::new(DecodeErrorKind::Flags, self.kind_at))
        }
    }

    /// The byte to read next.
    pub(super) const fn at(&self) -> usize {
        self.at
    }

    pub(super) fn remaining(&self) -> usize {
        self.bytes.len() - self.at
    }

    #[inline]
    pub(super) fn u8(&mut self) -> Result<u8, DecodeError> {
        match self.bytes.get(self.at) {
            Some(&byte) => {
                self.at += 1;
                Ok(byte)
            }
            None => Err(self.truncated()),
        }
    }

    /// A number in its shortest form.
    #[inline]
    pub(super) fn varint(&mut self) -> Result<u64, DecodeError> {
        match self.bytes.get(self.at) {
            Some(&byte @ ..0x80) => {
                self.at += 1;
                Ok(u64::from(byte))
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Result<u64, DecodeError> {
        match parse_varint(&self.bytes[self.at..]) {
            Ok(Some((value, len))) => {
                self.at += len;
                Ok(value)
            }
            Ok(None) => Err(self.truncated()),
            Err(kind) => Err(DecodeError::new(kind, self.at)),
        }
    }

    /// A number of at most 32 bits.
    #[inline]
    pub(super) fn varint_u32(&mut self) -> Result<u32, DecodeError> {
        let at = self.at;
        u32::try_from(self.varint()?).map_err(|_| value_error(at))
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        match self.bytes[self.at..].first_chunk() {
            Some(array) => {
                self.at += N;
                Ok(*array)
            }
            None => Err(self.truncated()),
        }
    }

    /// The next `len` bytes.
    #[inline]
    pub(super) fn take(&mut self, len: usize) -> Result<Bytes, DecodeError> {
        if len > self.remaining() {
            return Err(self.truncated());
        }
        let bytes = self.bytes.slice(self.at..self.at + len);
        self.at += len;
        Ok(bytes)
    }

    /// The next `len` bytes as text.
    #[inline]
    pub(super) fn take_text(&mut self, len: usize) -> Result<ByteString, DecodeError> {
        let start = self.at;
        into_text(self.take(len)?, start)
    }

    /// All that is left. It takes the frame's own reference, so it costs none.
    #[inline]
    pub(super) fn rest(&mut self) -> Bytes {
        let mut rest = core::mem::take(&mut self.bytes);
        rest.advance(core::mem::take(&mut self.at));
        rest
    }

    /// All that is left, as text.
    #[inline]
    pub(super) fn rest_text(&mut self) -> Result<ByteString, DecodeError> {
        let start = self.at;
        into_text(self.rest(), start)
    }

    /// Bytes behind their length, which is at most `max`.
    pub(super) fn bytes(&mut self, max: usize) -> Result<Bytes, DecodeError> {
        let len = self.len(max)?;
        self.take(len)
    }

    /// Text behind its length, which is at most `max`.
    pub(super) fn text(&mut self, max: usize) -> Result<ByteString, DecodeError> {
        let len = self.len(max)?;
        self.take_text(len)
    }

    fn len(&mut self, max: usize) -> Result<usize, DecodeError> {
        let at = self.at;
        self.varint()?
            .try_into()
            .ok()
            .filter(|&len| len <= max)
            .ok_or(DecodeError::new(DecodeErrorKind::TooLong, at))
    }

    /// A count of at least 1 and at most `max`; beyond it the error is `excess`.
    #[inline]
    pub(super) fn count(&mut self, max: usize, excess: DecodeErrorKind) -> Result<usize, DecodeError> {
        let at = self.at;
        match usize::try_from(self.varint()?) {
            Ok(0) => Err(value_error(at)),
            Ok(count) if count <= max => Ok(count),
            _ => Err(DecodeError::new(excess, at)),
        }
    }

    /// Entries behind their count.
    #[inline]
    pub(super) fn list<T>(
        &mut self,
        max: usize,
        mut entry: impl FnMut(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        let count = self.count(max, DecodeErrorKind::TooMany)?;
        // An entry takes at least a byte: what is claimed but cannot be there reserves nothing.
        let mut entries = Vec::with_capacity(count.min(self.remaining()));
        for _ in 0..count {
            entries.push(entry(self)?);
        }
        Ok(entries)
    }

    /// A duration in milliseconds that may be missing: 0 for none, else one more than it.
    pub(super) fn optional_ms(&mut self) -> Result<Option<u32>, DecodeError> {
        let at = self.at;
        match self.varint()?.checked_sub(1) {
            None => Ok(None),
            Some(ms) => u32::try_from(ms).map(Some).map_err(|_| value_error(at)),
        }
    }

    /// Checks that nothing follows.
    pub(super) fn finish(&self) -> Result<(), DecodeError> {
        if self.remaining() == 0 { Ok(()) } else { Err(DecodeError::new(DecodeErrorKind::Trailing, self.at)) }
    }

    fn truncated(&self) -> DecodeError {
        DecodeError::new(DecodeErrorKind::Truncated, self.bytes.len())
    }
}

/// The bytes at `start` as text.
#[inline]
fn into_text(bytes: Bytes, start: usize) -> Result<ByteString, DecodeError> {
    ByteString::try_from(bytes)
        .map_err(|error| DecodeError::new(DecodeErrorKind::Utf8, start + error.valid_up_to()))
}

/// A field at `at` that its type does not have.
pub(super) const fn value_error(at: usize) -> DecodeError {
    DecodeError::new(DecodeErrorKind::Value, at)
}

/// The number at the start of `bytes` and its length in bytes; `None` if its end is to come.
pub(super) fn parse_varint(bytes: &[u8]) -> Result<Option<(u64, usize)>, DecodeErrorKind> {
    let mut value = 0;
    for (index, &byte) in bytes.iter().take(MAX_VARINT_BYTES).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte < 0x80 {
            let is_too_long = byte == 0 && index > 0;
            let is_too_large = index + 1 == MAX_VARINT_BYTES && byte > 1;
            return if is_too_long || is_too_large {
                Err(DecodeErrorKind::Varint)
            } else {
                Ok(Some((value, index + 1)))
            };
        }
    }
    if bytes.len() < MAX_VARINT_BYTES { Ok(None) } else { Err(DecodeErrorKind::Varint) }
}

/// The bytes of a number of 64 bits, seven in each.
pub(super) const MAX_VARINT_BYTES: usize = 10;
