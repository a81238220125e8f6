use alloc::{boxed::Box, vec::Vec};

use super::{
    Error, ErrorKind, Message, Role,
    frame::FrameHeader,
    mask,
    partial::{Partial, into_message},
};

/// How many frames a message may have, unless [`Decoder::with_max_fragments`] says otherwise: empty fragments cost a
/// peer six bytes each and never reach the limit of a message's size.
pub const DEFAULT_MAX_FRAGMENTS: u32 = 4096;

/// Reads one direction of a connection: bytes in, whole messages out.
///
/// Between messages it holds no buffer. A message that arrives whole is copied once, unmasked on the way, into an
/// allocation of its size; one that arrives in parts grows with what has arrived, never with what its header claims.
///
/// Nothing is read after a close frame, as RFC 6455 §1.4 has it: what follows is consumed and dropped. After an error
/// each further call answers the same error.
#[derive(Debug)]
pub struct Decoder {
    limits: Limits,
    state: State,
    /// Where the frame that is being read began.
    frame_offset: u64,
    partial: Option<Box<Partial>>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Open,
    Closed,
    Failed(Error),
}

/// What the decoder demands of every frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) role: Role,
    pub(super) max_fragments: u32,
    pub(super) max_message_bytes: usize,
}

impl Decoder {
    /// A decoder for what arrives at this end, of messages of up to `max_message_bytes` over all their fragments.
    #[must_use]
    pub const fn new(role: Role, max_message_bytes: usize) -> Self {
        Self {
            limits: Limits { role, max_fragments: DEFAULT_MAX_FRAGMENTS, max_message_bytes },
            state: State::Open,
            frame_offset: 0,
            partial: None,
        }
    }

    /// Limits how many frames one message may have, in place of [`DEFAULT_MAX_FRAGMENTS`].
    #[must_use]
    pub fn with_max_fragments(mut self, max_fragments: u32) -> Self {
        self.limits.max_fragments = max_fragments;
        self
    }

    /// Takes bytes off the front of `input`; `Ok(None)` when it has consumed all of it and no message is complete.
    ///
    /// # Errors
    ///
    /// When the peer broke the protocol or a limit. The connection is to be closed with [`Error::close_code`].
    pub fn decode(&mut self, input: &mut &[u8]) -> Result<Option<Message>, Error> {
        match self.state {
            State::Failed(error) => return Err(error),
            State::Closed => {
                *input = &[];
                return Ok(None);
            }
            State::Open => {}
        }
        let result = self.read(input).map_err(|kind| Error::new(kind, self.frame_offset));
        match &result {
            Err(error) => self.end(State::Failed(*error)),
            Ok(Some(Message::Close(_))) => self.end(State::Closed),
            Ok(_) => {}
        }
        result
    }

    /// The bytes of memory held for a message that is not complete yet; 0 between messages.
    #[must_use]
    pub fn buffered_bytes(&self) -> usize {
        self.partial.as_ref().map_or(0, |partial| size_of::<Partial>() + partial.capacity())
    }

    fn read(&mut self, input: &mut &[u8]) -> Result<Option<Message>, ErrorKind> {
        loop {
            if self.partial.is_none() {
                if let Some((frame_len, message)) = read_whole(input, &self.limits)? {
                    self.frame_offset += frame_len as u64;
                    return Ok(Some(message));
                }
                if input.is_empty() {
                    return Ok(None);
                }
            }
            let partial = self.partial.get_or_insert_default();
            let Some(frame) = partial.read_frame(input, &self.limits)? else {
                return Ok(None);
            };
            self.frame_offset += frame.len;
            if !partial.has_message() {
                self.partial = None;
            }
            if frame.message.is_some() {
                return Ok(frame.message);
            }
        }
    }

    fn end(&mut self, state: State) {
        self.state = state;
        self.partial = None;
    }
}

/// Reads a message of one frame that is here to its last byte, which is the usual case: one allocation, one copy.
/// Answers the frame's length too, and `None`, with `input` as it was, where it is not so.
fn read_whole(input: &mut &[u8], limits: &Limits) -> Result<Option<(usize, Message)>, ErrorKind> {
    let Some(header) = FrameHeader::parse(input, limits.role)? else { return Ok(None) };
    let payload_len = limits.admit(&header, None)?;
    let frame = header.len.checked_add(payload_len).and_then(|frame_len| input.split_at_checked(frame_len));
    let Some((frame, rest)) = frame else { return Ok(None) };
    if !header.is_last {
        return Ok(None);
    }
    let mut payload = Vec::with_capacity(payload_len);
    mask::extend_masked(&mut payload, &frame[header.len..], header.mask);
    let message = into_message(header.opcode, payload)?;
    *input = rest;
    Ok(Some((frame.len(), message)))
}
