//! What waits to be sent, counted in bytes.

use crate::io::Frame;
use alloc::collections::VecDeque;
use bytes::{Bytes, BytesMut};
use tenfour_wire::engineio::{Packet, PayloadEncoder};

/// Counted for each frame on top of its payload, so that empty frames are bounded too.
const FRAME_OVERHEAD: usize = size_of::<Frame>();

#[derive(Debug, Default)]
pub(super) struct SendQueue {
    frames: VecDeque<Frame>,
    bytes: usize,
    taken: u64,
}

/// How many frames were taken before one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FrameNumber(u64);

impl SendQueue {
    pub(super) fn push(&mut self, frame: Frame) {
        self.bytes += cost(&frame);
        self.frames.push_back(frame);
    }

    pub(super) fn pop(&mut self) -> Option<Frame> {
        let frame = self.frames.pop_front()?;
        self.bytes -= cost(&frame);
        self.taken += 1;
        Some(frame)
    }

    /// Which frame is taken next, if there is one.
    pub(super) fn front(&self) -> Option<FrameNumber> {
        (!self.is_empty()).then_some(FrameNumber(self.taken))
    }

    /// Gives memory back that nothing needs. Called at the pace of the heartbeat, so that a busy connection keeps its
    /// buffer and an idle one holds none.
    pub(super) fn shrink(&mut self) {
        self.frames.shrink_to_fit();
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes what fits into one polling payload, at least one packet.
    pub(super) fn pop_payload(&mut self, max_bytes: usize) -> Bytes {
        let mut body = BytesMut::with_capacity(self.bytes.min(max_bytes));
        let mut payload = PayloadEncoder::new(&mut body);
        while let Some(frame) = self.frames.front() {
            let len = match frame {
                Frame::Binary(data) => payload.len_with_binary(data.len()),
                Frame::Text(_) | Frame::Close(_) | Frame::Pong(_) => {
                    payload.len_with_text(frame.payload_len())
                }
            };
            // Stock clients act on a close packet before they act on the messages of the same payload.
            let alone = matches!(frame, Frame::Close(_));
            if (len > max_bytes || alone) && !payload.is_empty() {
                break;
            }
            match frame {
                Frame::Text(text) => payload.push_text(text),
                Frame::Binary(data) => payload.push_binary(data),
                Frame::Close(_) => payload.push(&Packet::Close),
                // Of a WebSocket: not queued.
                Frame::Pong(_) => {}
            }
            self.pop();
        }
        body.freeze()
    }
}

fn cost(frame: &Frame) -> usize {
    frame.payload_len() + FRAME_OVERHEAD
}
