use alloc::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use super::{Frame, Place, Reliable, SharedMessage, Target, frame, write::Sink};

/// What is reserved at once for heads and small frames.
const RESERVE: usize = 1024;

/// Frames on their way to a stream, as pieces to be written in order: small frames together, a large body as it is.
///
/// ```
/// use tenfour_wire::{Bytes, native::{Body, Message, Pieces, Place, SharedMessage}};
///
/// let body = Body::Binary(Bytes::from(vec![7; 100_000]));
/// let message = SharedMessage::new(&Message { name: None, body });
/// let mut pieces = Pieces::new(4096);
/// pieces.push_deliver(None, &Place::next(1), &message);
/// assert_eq!(pieces.pop().unwrap().len(), 5, "the length in three bytes, the kind, and the channel");
/// assert_eq!(pieces.pop().unwrap().as_ptr(), message.as_bytes().as_ptr(), "shared, not copied");
/// assert!(pieces.is_empty());
/// ```
#[derive(Clone, Debug, Hash)]
pub struct Pieces {
    share_from: usize,
    /// Complete pieces.
    queue: VecDeque<Bytes>,
    /// The last piece, which grows.
    tail: BytesMut,
    byte_len: usize,
}

impl Pieces {
    /// Nothing yet. Bodies of `share_from` bytes or more become pieces of their own.
    #[must_use]
    pub fn new(share_from: usize) -> Self {
        Self { share_from, queue: VecDeque::new(), tail: BytesMut::new(), byte_len: 0 }
    }

    /// Appends a frame.
    pub fn push(&mut self, frame: &Frame) {
        frame::write_frame(frame, self);
    }

    /// Appends a [`Frame::Reliable`] whose body the caller keeps, to send it again.
    pub fn push_reliable(&mut self, sequence: Option<u64>, body: &Reliable) {
        frame::write_reliable(sequence, body, self);
    }

    /// Appends a DELIVER whose message is encoded already.
    pub fn push_deliver(&mut self, sequence: Option<u64>, place: &Place, message: &SharedMessage) {
        frame::write_deliver(sequence, place, message, self);
    }

    /// Appends an EMIT whose message is encoded already.
    pub fn push_emit(&mut self, number: Option<u64>, target: &Target, message: &SharedMessage) {
        frame::write_emit(number, target, message, self);
    }

    /// The next bytes to write.
    pub fn pop(&mut self) -> Option<Bytes> {
        let piece = match self.queue.pop_front() {
            Some(piece) => piece,
            None if self.tail.is_empty() => return None,
            None => self.tail.split().freeze(),
        };
        self.byte_len -= piece.len();
        Some(piece)
    }

    /// Whether there is nothing to write.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.byte_len == 0
    }

    /// The bytes that are to be written.
    #[must_use]
    pub const fn byte_len(&self) -> usize {
        self.byte_len
    }
}

impl Sink for Pieces {
    fn put(&mut self, bytes: &[u8]) {
        if self.tail.capacity() - self.tail.len() < bytes.len() {
            // Pieces that wait keep the buffer: the heads of large bodies would each begin a new one.
            self.tail.reserve(bytes.len().max(RESERVE));
        }
        self.tail.extend_from_slice(bytes);
        self.byte_len += bytes.len();
    }

    fn put_shared(&mut self, bytes: &Bytes) {
        if bytes.len() < self.share_from.max(1) {
            return self.put(bytes);
        }
        if !self.tail.is_empty() {
            self.queue.push_back(self.tail.split().freeze());
        }
        self.queue.push_back(bytes.clone());
        self.byte_len += bytes.len();
    }
}
