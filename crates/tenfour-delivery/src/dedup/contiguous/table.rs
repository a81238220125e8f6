//! The producers, found by their ids and in the order of their last commits.
//!
//! Places are reused together with their buffers: committing a known producer's message allocates nothing.

use alloc::{collections::BTreeMap, vec::Vec};
use core::hash::{Hash, Hasher};

use super::{Done, Life, Pending, VecDeque};
use crate::{number::ProducerId, order::Order};

#[derive(Clone, Debug)]
pub(super) struct Table<R> {
    slots: Vec<Slot<R>>,
    index: BTreeMap<ProducerId, usize>,
    free: Vec<usize>,
    /// The places with a life.
    order: Order,
}

/// A producer: what the log has of it, if anything, and what is in flight.
#[derive(Clone, Debug)]
pub(super) struct Slot<R> {
    id: ProducerId,
    pub(super) life: Option<Life>,
    /// The last results of this life, ascending.
    pub(super) results: VecDeque<Done<R>>,
    /// Ascending by life and number.
    pub(super) pending: VecDeque<Pending>,
}

impl<R> Table<R> {
    pub(super) const fn new() -> Self {
        Self { slots: Vec::new(), index: BTreeMap::new(), free: Vec::new(), order: Order::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    /// How many have a life.
    pub(super) const fn lives(&self) -> usize {
        self.order.len()
    }

    pub(super) fn find(&self, id: ProducerId) -> Option<usize> {
        self.index.get(&id).copied()
    }

    /// The producer at this place, which [`Self::find`] or [`Self::insert`] gave out and nothing has freed since.
    pub(super) fn slot(&self, place: usize) -> &Slot<R> {
        &self.slots[place]
    }

    pub(super) fn slot_mut(&mut self, place: usize) -> &mut Slot<R> {
        &mut self.slots[place]
    }

    /// Makes a place for a producer that has none.
    pub(super) fn insert(&mut self, id: ProducerId) -> usize {
        let place = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::new(id));
            self.slots.len() - 1
        });
        self.slots[place].id = id;
        self.index.insert(id, place);
        place
    }

    /// The life with the oldest last commit.
    pub(super) fn oldest(&self) -> Option<Life> {
        self.slots[self.order.oldest()?].life
    }

    /// The lives, the one with the oldest last commit first.
    pub(super) fn oldest_first(&self) -> impl Iterator<Item = &Life> {
        self.order.oldest_first().filter_map(|place| self.slots[place].life.as_ref())
    }

    /// Puts the producer, which has a life now, at the end of the order.
    pub(super) fn renew(&mut self, place: usize) {
        self.order.renew(place);
    }

    /// Ends the oldest life; what the producer has in flight stays.
    pub(super) fn forget_oldest(&mut self) {
        let Some(place) = self.order.oldest() else { return };
        self.order.remove(place);
        let slot = &mut self.slots[place];
        slot.life = None;
        slot.results.clear();
        self.drop_if_empty(place);
    }

    /// Frees the place if its producer has neither a life nor anything in flight.
    pub(super) fn drop_if_empty(&mut self, place: usize) {
        let slot = &self.slots[place];
        if slot.life.is_none() && slot.pending.is_empty() {
            self.index.remove(&slot.id);
            self.free.push(place);
        }
    }
}

/// Where a producer stands in memory does not count, only the order of the commits and what is in flight.
impl<R: Hash> Hash for Table<R> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_usize(self.order.len());
        for place in self.order.oldest_first() {
            let slot = &self.slots[place];
            (slot.id, slot.life, &slot.results).hash(state);
        }
        for (id, &place) in &self.index {
            let pending = &self.slots[place].pending;
            if !pending.is_empty() {
                (id, pending).hash(state);
            }
        }
    }
}

impl<R> Slot<R> {
    const fn new(id: ProducerId) -> Self {
        Self { id, life: None, results: VecDeque::new(), pending: VecDeque::new() }
    }
}
