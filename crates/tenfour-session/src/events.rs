//! What waits for the layer above.

use alloc::collections::VecDeque;

/// The buffer that is kept over bursts: room for so many events.
const KEPT: usize = 64;

/// Events, first in, first out.
///
/// One request may bring a hundred thousand small packets, whose events take many times its bytes. So the buffer of
/// a burst goes with the burst's last event, and does not wait for the heartbeat as a small one does.
#[derive(Clone, Debug, Hash)]
pub(crate) struct EventQueue<E>(VecDeque<E>);

impl<E> EventQueue<E> {
    pub(crate) const fn new() -> Self {
        Self(VecDeque::new())
    }

    pub(crate) fn push(&mut self, event: E) {
        self.0.push_back(event);
    }

    pub(crate) fn pop(&mut self) -> Option<E> {
        let event = self.0.pop_front();
        if self.0.is_empty() && self.0.capacity() > KEPT {
            *self = Self::new();
        }
        event
    }

    /// Gives memory back that nothing needs. Called at the pace of the heartbeat, so that a busy connection keeps its
    /// buffer and an idle one holds none.
    pub(crate) fn shrink(&mut self) {
        self.0.shrink_to_fit();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drained_after(events: usize) -> EventQueue<usize> {
        let mut queue = EventQueue::new();
        (0..events).for_each(|event| queue.push(event));
        (0..events).for_each(|event| assert_eq!(queue.pop(), Some(event)));
        assert!(queue.is_empty() && queue.pop().is_none());
        queue
    }

    #[test]
    fn the_buffer_of_a_burst_goes_with_its_last_event() {
        assert_eq!(drained_after(100_000).0.capacity(), 0);
    }

    #[test]
    fn a_small_buffer_is_kept_until_the_heartbeat() {
        let mut queue = drained_after(KEPT / 2);
        assert!((1..=KEPT).contains(&queue.0.capacity()));
        queue.shrink();
        assert_eq!(queue.0.capacity(), 0);
    }
}
