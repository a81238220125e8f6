//! One channel's part of a log.

use std::collections::VecDeque;

use tenfour_delivery::{
    loss::{Count, OffsetRange},
    number::Offset,
};

use self::gone::Gone;
use crate::Bound;

mod gone;

/// Which entries a channel has, and which it had.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Channel {
    gone: Gone,
    head: Offset,
    /// The channel's place among those of the entry at its head; `None` before its first entry.
    place: Option<usize>,
    bytes: usize,
    /// Its entries, each with what it counts in bytes.
    entries: VecDeque<(Offset, usize)>,
}

impl Channel {
    /// A channel of which everything after `born` is known.
    pub(crate) fn new(born: Offset) -> Self {
        Self { gone: Gone::since(born), head: born, place: None, bytes: 0, entries: VecDeque::new() }
    }

    pub(crate) fn trimmed(&self) -> Offset {
        self.gone.through()
    }

    pub(crate) fn head(&self) -> Offset {
        self.head
    }

    /// Its head, and its place among the channels of the entry there; `None` before its first entry.
    pub(crate) fn recency(&self) -> Option<(Offset, usize)> {
        self.place.map(|place| (self.head, place))
    }

    /// Adds an entry, and answers the one before it.
    pub(crate) fn push(&mut self, (offset, place): (Offset, usize), cost: usize) -> Offset {
        let previous = self.head();
        (self.head, self.place) = (offset, Some(place));
        self.bytes += cost;
        self.entries.push_back((offset, cost));
        previous
    }

    /// Drops the oldest entry if the channel is over its bound, and answers its offset.
    pub(crate) fn trim_over(&mut self, bound: Bound) -> Option<Offset> {
        let is_over = self.entries.len() > 1 && bound.is_passed(self.entries.len(), self.bytes);
        if is_over { self.pop() } else { None }
    }

    /// Drops the entry at `offset`, and with it what is older; there is none that is.
    pub(crate) fn trim_through(&mut self, offset: Offset) {
        while self.entries.front().is_some_and(|(oldest, _)| *oldest <= offset) {
            self.pop();
        }
    }

    /// Drops the oldest entry if it is at or before an offset, and answers its own.
    pub(crate) fn trim_next(&mut self, through: Offset) -> Option<Offset> {
        self.entries.front().filter(|(oldest, _)| *oldest <= through)?;
        self.pop()
    }

    /// How many entries it has in a range.
    pub(crate) fn held_in(&self, range: OffsetRange) -> usize {
        let until = |end: Offset| self.entries.partition_point(|(held, _)| *held <= end);
        until(range.through) - until(range.after)
    }

    /// The entries after an offset.
    pub(crate) fn after(&self, offset: Offset) -> impl Iterator<Item = Offset> {
        let first = self.entries.partition_point(|(held, _)| *held <= offset);
        self.entries.range(first..).map(|(offset, _)| *offset)
    }

    /// How many entries were trimmed in a range that ends at or before [`Channel::trimmed`].
    pub(crate) fn count_gone(&self, range: OffsetRange) -> Count {
        self.gone.count(range)
    }

    pub(crate) fn held(self) -> impl Iterator<Item = (Offset, usize)> {
        self.entries.into_iter()
    }

    fn pop(&mut self) -> Option<Offset> {
        let (offset, cost) = self.entries.pop_front()?;
        self.bytes -= cost;
        self.gone.push(offset);
        Some(offset)
    }
}
