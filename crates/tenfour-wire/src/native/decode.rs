use bytes::{Bytes, BytesMut};

use super::{Frame, Limits, read::parse_varint};
use crate::{DecodeError, DecodeErrorKind};

/// What is reserved at once for a frame of which little has come.
const FIRST_RESERVE: usize = 1024;

/// Reads one direction of a stream: bytes in, frames out.
///
/// A frame that arrives whole is a slice of what was pushed, and so are the bodies in it; one that arrives in parts is
/// put together in a buffer that grows with what has come, never with what its length claims. Between frames no memory is
/// held; but a body that the caller keeps keeps all that was pushed with it, so copy one that is kept for long. After an
/// error every further call answers the same.
///
/// ```
/// use tenfour_wire::{Bytes, BytesMut, native::{Decoder, Frame, Limits, Pong, encode}};
///
/// let mut wire = BytesMut::new();
/// encode(&Frame::Pong(Pong { nonce: 7 }), &mut wire);
/// let mut decoder = Decoder::new(Limits::default());
/// decoder.push(Bytes::copy_from_slice(&wire[..1]));
/// assert_eq!(decoder.next()?, None);
/// decoder.push(Bytes::copy_from_slice(&wire[1..]));
/// assert_eq!(decoder.next()?, Some(Frame::Pong(Pong { nonce: 7 })));
/// # Ok::<(), tenfour_wire::DecodeError>(())
/// ```
#[derive(Clone, Debug, Hash)]
pub struct Decoder {
    limits: Limits,
    /// What was pushed and not read.
    input: Bytes,
    /// The beginning of a frame whose end is to come; empty between frames.
    partial: BytesMut,
    failed: Option<DecodeError>,
}

impl Decoder {
    /// A decoder at the beginning of a stream.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, input: Bytes::new(), partial: BytesMut::new(), failed: None }
    }

    /// What a frame may have of everything, from the next one that is read on.
    #[must_use]
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Sets other limits, as when the peer has shown who it is.
    pub const fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Takes the next bytes of the stream. Call [`next`](Self::next) until it answers `None` before the next push:
    /// otherwise what is left over is copied.
    pub fn push(&mut self, bytes: Bytes) {
        if self.failed.is_some() {
            return;
        }
        if self.input.is_empty() {
            self.input = bytes;
        } else {
            let mut joined = BytesMut::from(core::mem::take(&mut self.input));
            joined.extend_from_slice(&bytes);
            self.input = joined.freeze();
        }
    }

    /// The next frame; `None` if its end is to come.
    ///
    /// # Errors
    /// What the frame has wrong; the offset counts from the first byte of its length. Close the connection with the
    /// [`CloseCode`](super::CloseCode) of the error's kind.
    #[expect(
        clippy::should_implement_trait,
        reason = "an iterator ends, and this one goes on after the next push"
    )]
    pub fn next(&mut self) -> Result<Option<Frame>, DecodeError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let frame = self.read();
        if let Err(error) = frame {
            *self = Self { failed: Some(error), ..Self::new(self.limits) };
        }
        frame
    }

    /// The bytes of memory held for a frame that is not complete; 0 between frames.
    #[must_use]
    pub fn buffered_bytes(&self) -> usize {
        self.partial.capacity()
    }

    #[inline]
    fn read(&mut self) -> Result<Option<Frame>, DecodeError> {
        if self.partial.is_empty() {
            return match split(&self.input, &self.limits)? {
                Split::Whole { start, end } => {
                    let frame = self.input.split_to(end);
                    Frame::read(frame, start, &self.limits).map(Some)
                }
                Split::Partial { .. } => {
                    self.keep_rest();
                    Ok(None)
                }
            };
        }
        while !self.input.is_empty() {
            match split(&self.partial, &self.limits)? {
                Split::Whole { .. } => break,
                Split::Partial { missing } => self.append(missing),
            }
        }
        match split(&self.partial, &self.limits)? {
            Split::Whole { start, .. } => {
                let frame = core::mem::take(&mut self.partial).freeze();
                Frame::read(frame, start, &self.limits).map(Some)
            }
            Split::Partial { .. } => Ok(None),
        }
    }

    /// Keeps the beginning of a frame, so that the buffer it came in is free.
    fn keep_rest(&mut self) {
        let rest = core::mem::take(&mut self.input);
        if !rest.is_empty() {
            self.partial.reserve(rest.len());
            self.partial.extend_from_slice(&rest);
        }
    }

    /// Moves up to `missing` bytes to the frame that is incomplete.
    fn append(&mut self, missing: usize) {
        let bytes = self.input.split_to(missing.min(self.input.len()));
        if self.partial.capacity() - self.partial.len() < bytes.len() {
            let earned = self.partial.len().max(FIRST_RESERVE);
            self.partial.reserve(bytes.len().max(missing.min(earned)));
        }
        self.partial.extend_from_slice(&bytes);
    }
}

/// Reads the frames of one datagram, which holds each of them whole.
///
/// After an error there is nothing more.
#[derive(Clone, Debug)]
pub struct Datagram<'a> {
    limits: &'a Limits,
    rest: Bytes,
    /// Where the rest stands in the datagram.
    offset: usize,
}

/// The frames of a datagram. An error's offset counts from the datagram's first byte.
#[must_use]
pub fn decode_datagram(datagram: Bytes, limits: &Limits) -> Datagram<'_> {
    Datagram { limits, rest: datagram, offset: 0 }
}

impl Iterator for Datagram<'_> {
    type Item = Result<Frame, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let offset = self.offset;
        let frame = match split(&self.rest, self.limits) {
            Ok(Split::Whole { start, end }) => {
                self.offset += end;
                Frame::read(self.rest.split_to(end), start, self.limits)
            }
            Ok(Split::Partial { .. }) => Err(DecodeError::new(DecodeErrorKind::Truncated, self.rest.len())),
            Err(error) => Err(error),
        };
        if frame.is_err() {
            self.rest = Bytes::new();
        }
        Some(frame.map_err(|error| DecodeError::new(error.kind(), offset + error.offset())))
    }
}

impl core::iter::FusedIterator for Datagram<'_> {}

/// How much of a frame there is.
enum Split {
    /// All of it: its content is in `start..end`.
    Whole { start: usize, end: usize },
    /// At least so many bytes are to come.
    Partial { missing: usize },
}

#[inline]
fn split(bytes: &[u8], limits: &Limits) -> Result<Split, DecodeError> {
    let (len, start) = match parse_varint(bytes) {
        Ok(Some(length)) => length,
        Ok(None) => return Ok(Split::Partial { missing: 1 }),
        Err(kind) => return Err(DecodeError::new(kind, 0)),
    };
    let len = match usize::try_from(len) {
        Ok(0) => return Err(DecodeError::new(DecodeErrorKind::Empty, 0)),
        Ok(len) if len <= limits.frame_bytes => len,
        _ => return Err(DecodeError::new(DecodeErrorKind::TooLarge, 0)),
    };
    let end = start + len;
    if end <= bytes.len() {
        Ok(Split::Whole { start, end })
    } else {
        Ok(Split::Partial { missing: end - bytes.len() })
    }
}
