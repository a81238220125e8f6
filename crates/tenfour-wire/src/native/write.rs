//! Fields into bytes.

use bytes::{BufMut, Bytes, BytesMut};

use super::read::MAX_VARINT_BYTES;

/// Where the fields of a frame go: into a buffer, into a queue of pieces, or only counted. Each call is one field.
pub(super) trait Sink {
    /// Appends bytes as they are.
    fn put(&mut self, bytes: &[u8]);

    /// Appends bytes that may be shared instead of copied.
    fn put_shared(&mut self, bytes: &Bytes) {
        self.put(bytes);
    }

    /// Appends a number in its shortest form.
    #[inline]
    fn put_varint(&mut self, mut value: u64) {
        if value < 0x80 {
            return self.put(&[value as u8]);
        }
        let mut bytes = [0; MAX_VARINT_BYTES];
        let mut len = 0;
        while value >= 0x80 {
            bytes[len] = value as u8 | 0x80;
            value >>= 7;
            len += 1;
        }
        bytes[len] = value as u8;
        self.put(&bytes[..=len]);
    }

    /// Appends bytes behind their length.
    fn put_bytes(&mut self, bytes: &[u8]) {
        self.put_varint(bytes.len() as u64);
        self.put(bytes);
    }

    /// Appends entries behind their count.
    fn put_list<T>(&mut self, entries: &[T], mut put: impl FnMut(&mut Self, &T)) {
        self.put_varint(entries.len() as u64);
        for entry in entries {
            put(self, entry);
        }
    }

    /// Appends a duration in milliseconds that may be missing: 0 for none, else one more than it.
    fn put_optional_ms(&mut self, ms: Option<u32>) {
        self.put_varint(ms.map_or(0, |ms| u64::from(ms) + 1));
    }
}

impl Sink for BytesMut {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        self.put_slice(bytes);
    }
}

/// Counts the bytes.
#[derive(Debug, Default)]
pub(super) struct Counter(pub(super) usize);

impl Sink for Counter {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        self.0 += bytes.len();
    }

    #[inline]
    fn put_varint(&mut self, value: u64) {
        self.0 += varint_len(value);
    }
}

/// The bytes of a number in its shortest form.
pub(super) const fn varint_len(value: u64) -> usize {
    // Seven bits in each byte, and one byte for zero.
    (70 - (value | 1).leading_zeros() as usize) / 7
}
