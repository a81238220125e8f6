//! What has to go out and found the window full.

use super::super::outgoing::Outgoing;
use alloc::collections::VecDeque;

/// Answers, SUBSCRIBE and UNSUBSCRIBE, in their order, and how many bytes they take.
#[derive(Clone, Debug, Default, Hash)]
pub(super) struct Backlog {
    frames: VecDeque<Outgoing>,
    bytes: usize,
}

impl Backlog {
    pub(super) fn push_back(&mut self, frame: Outgoing) {
        self.bytes += frame.body_len();
        self.frames.push_back(frame);
    }

    /// Puts back what was [taken](Self::pop_front) and had no room.
    pub(super) fn push_front(&mut self, frame: Outgoing) {
        self.bytes += frame.body_len();
        self.frames.push_front(frame);
    }

    pub(super) fn pop_front(&mut self) -> Option<Outgoing> {
        let frame = self.frames.pop_front()?;
        self.bytes -= frame.body_len();
        Some(frame)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.frames.len()
    }

    /// The bytes of messages, names and texts.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Outgoing> {
        self.frames.iter()
    }

    pub(super) fn shrink(&mut self) {
        self.frames.shrink_to_fit();
    }
}
