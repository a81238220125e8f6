//! What is about to be written, in the pieces in which the transport takes it.

use super::Transport;
use alloc::collections::VecDeque;
use bytes::{Bytes, BytesMut};
use tenfour_wire::native::{
    Frame, Pieces, Place, Reliable, SharedMessage, Target, encode, encode_deliver, encode_emit,
    encode_reliable,
};

/// Frames into pieces of a stream, where large bodies are shared and not copied, or into datagrams.
///
/// The buffers are used again once the driver has let go of what was split from them.
#[derive(Clone, Debug, Hash)]
pub(super) struct Writer {
    out: Out,
    /// The number of the last numbered frame on the stream, or in the datagram: the one after it is not written out.
    last: Option<u64>,
    /// How many messages were sent at most once.
    emitted: u64,
}

#[derive(Clone, Debug, Hash)]
enum Out {
    Stream(Pieces),
    Datagrams { mtu: usize, buffer: BytesMut, ready: VecDeque<Bytes> },
}

/// From this size on a body is not copied into a stream's buffer.
const SHARE_FROM: usize = 1024;

/// A frame fits into no datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooLarge;

impl Writer {
    pub(super) fn new(transport: Transport) -> Self {
        let out = match transport.mtu() {
            None => Out::Stream(Pieces::new(SHARE_FROM)),
            Some(mtu) => Out::Datagrams { mtu, buffer: BytesMut::new(), ready: VecDeque::new() },
        };
        Self { out, last: None, emitted: 0 }
    }

    pub(super) fn control(&mut self, frame: &Frame) -> Result<(), TooLarge> {
        match &mut self.out {
            Out::Stream(pieces) => pieces.push(frame),
            Out::Datagrams { .. } => self.datagram(|_, out| encode(frame, out))?,
        }
        Ok(())
    }

    pub(super) fn reliable(&mut self, sequence: u64, body: &Reliable) -> Result<(), TooLarge> {
        let number = self.number(sequence);
        match &mut self.out {
            Out::Stream(pieces) => pieces.push_reliable(number, body),
            Out::Datagrams { .. } => {
                self.datagram(|last, out| encode_reliable(follows(last, sequence), body, out))?;
            }
        }
        self.last = Some(sequence);
        Ok(())
    }

    pub(super) fn deliver(
        &mut self,
        sequence: u64,
        place: &Place,
        message: &SharedMessage,
    ) -> Result<(), TooLarge> {
        let number = self.number(sequence);
        match &mut self.out {
            Out::Stream(pieces) => pieces.push_deliver(number, place, message),
            Out::Datagrams { .. } => {
                self.datagram(|last, out| encode_deliver(follows(last, sequence), place, message, out))?;
            }
        }
        self.last = Some(sequence);
        Ok(())
    }

    /// A message that is sent at most once. In datagrams it has its number, since they may be repeated.
    pub(super) fn emit(&mut self, target: &Target, message: &SharedMessage) -> Result<(), TooLarge> {
        match &mut self.out {
            Out::Stream(pieces) => pieces.push_emit(None, target, message),
            Out::Datagrams { .. } => {
                let number = Some(self.emitted);
                self.emitted += 1;
                self.datagram(|_, out| encode_emit(number, target, message, out))?;
            }
        }
        Ok(())
    }

    /// Whether a piece of about the wanted size, or a datagram, is complete.
    pub(super) fn is_full(&self, gather: usize) -> bool {
        match &self.out {
            Out::Stream(pieces) => pieces.byte_len() >= gather,
            Out::Datagrams { ready, .. } => !ready.is_empty(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        match &self.out {
            Out::Stream(pieces) => pieces.is_empty(),
            Out::Datagrams { buffer, ready, .. } => buffer.is_empty() && ready.is_empty(),
        }
    }

    /// The next piece, or the next datagram, be it full or not.
    pub(super) fn pop(&mut self) -> Option<Bytes> {
        match &mut self.out {
            Out::Stream(pieces) => pieces.pop(),
            Out::Datagrams { buffer, ready, .. } => ready.pop_front().or_else(|| {
                self.last = None;
                (!buffer.is_empty()).then(|| buffer.split().freeze())
            }),
        }
    }

    /// Forgets what was not taken, and gives memory back.
    pub(super) fn clear(&mut self) {
        match &mut self.out {
            Out::Stream(pieces) => *pieces = Pieces::new(SHARE_FROM),
            Out::Datagrams { buffer, ready, .. } => (*buffer, *ready) = Default::default(),
        }
        self.last = None;
    }

    /// Gives memory back that nothing needs.
    pub(super) fn shrink(&mut self) {
        if self.is_empty() {
            let last = self.last;
            self.clear();
            self.last = last;
        }
    }

    fn number(&self, sequence: u64) -> Option<u64> {
        follows(self.last, sequence)
    }

    /// Appends a frame to the datagram, or to the next one if it does not fit any more. What is appended depends on the
    /// last number in the datagram.
    fn datagram(&mut self, append: impl Fn(Option<u64>, &mut BytesMut)) -> Result<(), TooLarge> {
        let Out::Datagrams { mtu, buffer, ready } = &mut self.out else { return Ok(()) };
        let mark = buffer.len();
        append(self.last, buffer);
        if buffer.len() <= *mtu {
            return Ok(());
        }
        buffer.truncate(mark);
        if mark > 0 {
            ready.push_back(buffer.split().freeze());
            self.last = None;
        }
        append(None, buffer);
        if buffer.len() <= *mtu {
            return Ok(());
        }
        buffer.clear();
        Err(TooLarge)
    }
}

/// The number to write out, if it has to be.
fn follows(last: Option<u64>, sequence: u64) -> Option<u64> {
    (last.and_then(|last| last.checked_add(1)) != Some(sequence)).then_some(sequence)
}
