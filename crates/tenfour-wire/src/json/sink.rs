//! Where text is written: into the buffer of a frame, or into a string.

use alloc::string::String;

use bytes::{BufMut, BytesMut};

/// A buffer that text is appended to.
pub(crate) trait Sink {
    fn push_str(&mut self, text: &str);

    /// Appends one ASCII character.
    fn push(&mut self, ascii: u8);

    fn reserve(&mut self, bytes: usize);

    /// Appends bytes that are ASCII; what is not is left out.
    #[inline]
    fn push_ascii(&mut self, bytes: &[u8]) {
        self.push_str(str::from_utf8(bytes).unwrap_or_default());
    }
}

impl Sink for BytesMut {
    #[inline]
    fn push_str(&mut self, text: &str) {
        self.put_slice(text.as_bytes());
    }

    #[inline]
    fn push_ascii(&mut self, bytes: &[u8]) {
        self.put_slice(bytes);
    }

    #[inline]
    fn push(&mut self, ascii: u8) {
        self.put_u8(ascii);
    }

    #[inline]
    fn reserve(&mut self, bytes: usize) {
        BytesMut::reserve(self, bytes);
    }
}

impl Sink for String {
    #[inline]
    fn push_str(&mut self, text: &str) {
        String::push_str(self, text);
    }

    #[inline]
    fn push(&mut self, ascii: u8) {
        String::push(self, char::from(ascii));
    }

    #[inline]
    fn reserve(&mut self, bytes: usize) {
        String::reserve(self, bytes);
    }
}
