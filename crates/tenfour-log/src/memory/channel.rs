//! One channel's part of a log.

use std::collections::VecDeque;

use tenfour_delivery::{
    loss::{Count, OffsetRange},
    number::Offset,
};

use crate::Bound;

/// Which entries a channel has, and which it had.
#[derive(Clone, Debug, Hash)]
pub(super) struct Channel {
    /// From here on, everything that the channel got is known.
    born: Offset,
    trimmed: Offset,
    /// Entries that were trimmed since `born`.
    gone: u64,
    head: (Offset, usize),
    bytes: usize,
    /// Its entries, each with what it counts in bytes.
    entries: VecDeque<(Offset, usize)>,
}

impl Channel {
    pub(super) fn new(born: Offset) -> Self {
        Self { born, trimmed: born, gone: 0, head: (born, 0), bytes: 0, entries: VecDeque::new() }
    }

    pub(super) fn trimmed(&self) -> Offset {
        self.trimmed
    }

    pub(super) fn head(&self) -> Offset {
        self.head.0
    }

    /// Its head, and its place among the channels of the entry there; `None` before its first entry.
    pub(super) fn recency(&self) -> Option<(Offset, usize)> {
        (self.head.0 > self.born).then_some(self.head)
    }

    /// Adds an entry, and answers the one before it.
    pub(super) fn push(&mut self, (offset, place): (Offset, usize), cost: usize) -> Offset {
        let previous = self.head();
        self.head = (offset, place);
        self.bytes += cost;
        self.entries.push_back((offset, cost));
        previous
    }

    /// Drops the oldest entry if the channel is over its bound, and answers its offset.
    pub(super) fn trim_over(&mut self, bound: Bound) -> Option<Offset> {
        let is_over = self.entries.len() > 1 && bound.is_passed(self.entries.len(), self.bytes);
        if is_over { self.pop() } else { None }
    }

    /// Drops the entry at `offset`, and with it what is older; there is none that is.
    pub(super) fn trim_through(&mut self, offset: Offset) {
        while self.entries.front().is_some_and(|(oldest, _)| *oldest <= offset) {
            self.pop();
        }
    }

    /// The entries after an offset.
    pub(super) fn after(&self, offset: Offset) -> impl Iterator<Item = Offset> {
        let first = self.entries.partition_point(|(held, _)| *held <= offset);
        self.entries.range(first..).map(|(offset, _)| *offset)
    }

    /// How many entries were trimmed in a range that begins anywhere and ends at or before [`Channel::trimmed`].
    pub(super) fn count_gone(&self, range: OffsetRange) -> Count {
        let is_whole = range.through == self.trimmed;
        if !is_whole {
            Count::AtLeast(0)
        } else if range.after == self.born {
            Count::Exact(self.gone)
        } else if range.after < self.born {
            Count::AtLeast(self.gone)
        } else if range.span() == 1 {
            Count::Exact(1)
        } else {
            // The entry at `trimmed` itself.
            Count::AtLeast(1)
        }
    }

    pub(super) fn held(self) -> impl Iterator<Item = (Offset, usize)> {
        self.entries.into_iter()
    }

    fn pop(&mut self) -> Option<Offset> {
        let (offset, cost) = self.entries.pop_front()?;
        self.bytes -= cost;
        self.trimmed = offset;
        self.gone += 1;
        Some(offset)
    }
}
