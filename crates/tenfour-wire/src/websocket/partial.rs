use alloc::{string::String, vec::Vec};
use core::{cmp, mem, str};

use bytes::Bytes;
use bytestring::ByteString;

use super::{
    CloseFrame, ErrorKind, Message, Opcode,
    decoder::Limits,
    frame::{FrameHeader, MAX_CONTROL_BYTES, MAX_HEADER_BYTES},
    is_close_code, mask,
};

/// What is reserved at once when a message's first bytes arrive, at most and if it has no more of them.
const FIRST_RESERVE: usize = 1024;

/// What is held of a message that arrives in parts, be it in several frames or in several reads.
#[derive(Debug, Default)]
pub(super) struct Partial {
    /// The beginning of a header whose end is to come.
    prefix: [u8; MAX_HEADER_BYTES],
    prefix_len: usize,
    /// The frame whose payload is to come, or the end of it.
    frame: Option<Incoming>,
    message: Option<Assembly>,
    /// The payload of a control frame, which may come between a message's fragments.
    control: Vec<u8>,
}

/// A frame whose payload is being read.
#[derive(Debug)]
struct Incoming {
    header: FrameHeader,
    remaining: usize,
    /// Turned so that its first byte is for the next one of the payload.
    mask: [u8; 4],
}

/// A frame that was read to its end.
pub(super) struct Frame {
    /// Header and payload.
    pub(super) len: u64,
    /// `None` for a fragment with more to come.
    pub(super) message: Option<Message>,
}

impl Partial {
    /// Whether a message has begun that has fragments to come.
    pub(super) const fn has_message(&self) -> bool {
        self.message.is_some()
    }

    pub(super) fn capacity(&self) -> usize {
        self.control.capacity() + self.message.as_ref().map_or(0, |message| message.bytes.capacity())
    }

    /// Reads the rest of one frame; `None` when it has consumed all of `input` and needs more.
    pub(super) fn read_frame(
        &mut self,
        input: &mut &[u8],
        limits: &Limits,
    ) -> Result<Option<Frame>, ErrorKind> {
        let mut frame = match self.frame.take() {
            Some(frame) => frame,
            None => match self.read_header(input, limits)? {
                Some(frame) => frame,
                None => return Ok(None),
            },
        };
        let (bytes, rest) = input.split_at(cmp::min(frame.remaining, input.len()));
        *input = rest;
        self.append(&frame, bytes);
        frame.remaining -= bytes.len();
        frame.mask.rotate_left(bytes.len() % 4);
        if frame.remaining == 0 {
            let len = frame.header.len as u64 + frame.header.payload_len;
            return Ok(Some(Frame { len, message: self.end_frame(&frame.header)? }));
        }
        if let Some(message) = &mut self.message {
            message.check_text()?;
        }
        self.frame = Some(frame);
        Ok(None)
    }

    fn read_header(&mut self, input: &mut &[u8], limits: &Limits) -> Result<Option<Incoming>, ErrorKind> {
        while let Some((&byte, rest)) = input.split_first() {
            *input = rest;
            self.prefix[self.prefix_len] = byte;
            self.prefix_len += 1;
            if let Some(header) = FrameHeader::parse(&self.prefix[..self.prefix_len], limits.role)? {
                self.prefix_len = 0;
                let remaining = limits.admit(&header, self.message.as_ref())?;
                return Ok(Some(Incoming { header, remaining, mask: header.mask }));
            }
        }
        Ok(None)
    }

    fn append(&mut self, frame: &Incoming, bytes: &[u8]) {
        let payload = if frame.header.opcode.is_control() {
            &mut self.control
        } else {
            &mut self.message.get_or_insert_with(|| Assembly::new(frame.header.opcode)).bytes
        };
        reserve(payload, bytes.len(), frame);
        mask::extend_masked(payload, bytes, frame.mask);
    }

    fn end_frame(&mut self, header: &FrameHeader) -> Result<Option<Message>, ErrorKind> {
        if header.opcode.is_control() {
            return into_message(header.opcode, mem::take(&mut self.control)).map(Some);
        }
        if header.is_last {
            return self
                .message
                .take()
                .map(|message| into_message(message.opcode, message.bytes))
                .transpose();
        }
        if let Some(message) = &mut self.message {
            message.frames += 1;
            message.check_text()?;
        }
        Ok(None)
    }
}

/// Makes room for `len` more bytes of a payload, and for what follows them as far as what has come warrants it: a
/// header alone reserves little, and a message that is larger doubles its room until the end is in sight.
fn reserve(payload: &mut Vec<u8>, len: usize, frame: &Incoming) {
    if payload.capacity() - payload.len() >= len {
        return;
    }
    let earned = cmp::max(payload.len(), FIRST_RESERVE);
    let expected = if frame.header.is_last { cmp::min(frame.remaining, earned) } else { earned };
    payload.reserve_exact(cmp::max(len, expected));
}

/// A text or binary message with fragments to come.
#[derive(Debug)]
pub(super) struct Assembly {
    opcode: Opcode,
    bytes: Vec<u8>,
    /// How many frames were read to their end.
    frames: u32,
    /// How many of its bytes were found to be UTF-8.
    checked: usize,
}

impl Assembly {
    const fn new(opcode: Opcode) -> Self {
        Self { opcode, bytes: Vec::new(), frames: 0, checked: 0 }
    }

    /// Fails as early as it can where text is not UTF-8: only a character's beginning may wait for its end.
    fn check_text(&mut self) -> Result<(), ErrorKind> {
        if self.opcode != Opcode::Text {
            return Ok(());
        }
        self.checked += match str::from_utf8(&self.bytes[self.checked..]) {
            Ok(text) => text.len(),
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            Err(_) => return Err(ErrorKind::Utf8),
        };
        Ok(())
    }
}

impl Limits {
    /// Whether a frame may come after the `message` that has begun; answers its payload's length, which is within the
    /// limits.
    pub(super) fn admit(&self, header: &FrameHeader, message: Option<&Assembly>) -> Result<usize, ErrorKind> {
        let room = match (header.opcode, message) {
            (Opcode::Close | Opcode::Ping | Opcode::Pong, _) => MAX_CONTROL_BYTES,
            (Opcode::Continuation, None) => return Err(ErrorKind::UnexpectedContinuation),
            (Opcode::Continuation, Some(message)) if message.frames >= self.max_fragments => {
                return Err(ErrorKind::TooManyFragments);
            }
            (Opcode::Continuation, Some(message)) => {
                self.max_message_bytes.saturating_sub(message.bytes.len())
            }
            (Opcode::Text | Opcode::Binary, Some(_)) => return Err(ErrorKind::ExpectedContinuation),
            (Opcode::Text | Opcode::Binary, None) => self.max_message_bytes,
        };
        usize::try_from(header.payload_len).ok().filter(|&len| len <= room).ok_or(ErrorKind::Oversized)
    }
}

/// The message of a whole payload; `opcode` is its first frame's.
pub(super) fn into_message(opcode: Opcode, mut payload: Vec<u8>) -> Result<Message, ErrorKind> {
    payload.shrink_to_fit();
    Ok(match opcode {
        Opcode::Text => Message::Text(String::from_utf8(payload).map_err(|_| ErrorKind::Utf8)?.into()),
        Opcode::Binary | Opcode::Continuation => Message::Binary(payload.into()),
        Opcode::Ping => Message::Ping(payload.into()),
        Opcode::Pong => Message::Pong(payload.into()),
        Opcode::Close => Message::Close(parse_close(&payload.into())?),
    })
}

fn parse_close(payload: &Bytes) -> Result<Option<CloseFrame>, ErrorKind> {
    if payload.is_empty() {
        return Ok(None);
    }
    let code = match payload.first_chunk() {
        Some(code) => u16::from_be_bytes(*code),
        None => return Err(ErrorKind::CloseCode),
    };
    if !is_close_code(code) {
        return Err(ErrorKind::CloseCode);
    }
    let reason = ByteString::try_from(payload.slice(2..)).map_err(|_| ErrorKind::Utf8)?;
    Ok(Some(CloseFrame { code, reason }))
}
