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

    pub(super) fn get(&self, id: ProducerId) -> Option<&Slot<R>> {
        self.index.get(&id).map(|&place| &self.slots[place])
    }

    pub(super) fn get_mut(&mut self, id: ProducerId) -> Option<&mut Slot<R>> {
        self.index.get(&id).map(|&place| &mut self.slots[place])
    }

    pub(super) fn get_or_insert(&mut self, id: ProducerId) -> &mut Slot<R> {
        let Self { slots, index, free, .. } = self;
        let place = *index.entry(id).or_insert_with(|| match free.pop() {
            Some(place) => {
                slots[place].id = id;
                place
            }
            None => {
                slots.push(Slot::new(id));
                slots.len() - 1
            }
        });
        &mut slots[place]
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
    pub(super) fn renew(&mut self, id: ProducerId) {
        if let Some(&place) = self.index.get(&id) {
            self.order.renew(place);
        }
    }

    /// Ends the oldest life; what the producer has in flight stays.
    pub(super) fn forget_oldest(&mut self) {
        let Some(place) = self.order.oldest() else { return };
        self.order.remove(place);
        let slot = &mut self.slots[place];
        slot.life = None;
        slot.results.clear();
        let id = slot.id;
        self.drop_if_empty(id);
    }

    /// Frees the producer's place if it has neither a life nor anything in flight.
    pub(super) fn drop_if_empty(&mut self, id: ProducerId) {
        let Some(&place) = self.index.get(&id) else { return };
        let slot = &self.slots[place];
        if slot.life.is_none() && slot.pending.is_empty() {
            self.index.remove(&id);
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
