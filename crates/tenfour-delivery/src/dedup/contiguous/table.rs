//! The producers, found by their ids and in the order of their last commits.
//!
//! Places are reused together with their buffers, and the order is a list threaded through them: committing a known
//! producer's message allocates nothing.

use alloc::{collections::BTreeMap, vec::Vec};
use core::hash::{Hash, Hasher};

use super::{Done, Life, Pending, VecDeque};
use crate::number::ProducerId;

#[derive(Clone, Debug)]
pub(super) struct Table<R> {
    slots: Vec<Slot<R>>,
    index: BTreeMap<ProducerId, usize>,
    free: Vec<usize>,
    /// The ends of the list of those with a life.
    oldest: Option<usize>,
    newest: Option<usize>,
    lives: usize,
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
    listed: bool,
    older: Option<usize>,
    newer: Option<usize>,
}

impl<R> Table<R> {
    pub(super) const fn new() -> Self {
        Self {
            slots: Vec::new(),
            index: BTreeMap::new(),
            free: Vec::new(),
            oldest: None,
            newest: None,
            lives: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    /// How many have a life.
    pub(super) const fn lives(&self) -> usize {
        self.lives
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
        self.slots[self.oldest?].life
    }

    /// The lives, the one with the oldest last commit first.
    pub(super) fn oldest_first(&self) -> impl Iterator<Item = &Life> {
        self.listed().filter_map(|slot| slot.life.as_ref())
    }

    /// Puts the producer, which has a life now, at the end of the order.
    pub(super) fn renew(&mut self, id: ProducerId) {
        let Some(&place) = self.index.get(&id) else { return };
        if self.newest == Some(place) {
            return;
        }
        self.unlist(place);
        self.slots[place].older = self.newest;
        self.slots[place].listed = true;
        match self.newest {
            Some(before) => self.slots[before].newer = Some(place),
            None => self.oldest = Some(place),
        }
        self.newest = Some(place);
        self.lives += 1;
    }

    /// Ends the oldest life; what the producer has in flight stays.
    pub(super) fn forget_oldest(&mut self) {
        let Some(place) = self.oldest else { return };
        self.unlist(place);
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

    fn unlist(&mut self, place: usize) {
        let slot = &mut self.slots[place];
        if !core::mem::take(&mut slot.listed) {
            return;
        }
        let (older, newer) = (slot.older.take(), slot.newer.take());
        match older {
            Some(older) => self.slots[older].newer = newer,
            None => self.oldest = newer,
        }
        match newer {
            Some(newer) => self.slots[newer].older = older,
            None => self.newest = older,
        }
        self.lives -= 1;
    }

    fn listed(&self) -> impl Iterator<Item = &Slot<R>> {
        core::iter::successors(self.oldest, |&place| self.slots[place].newer).map(|place| &self.slots[place])
    }
}

/// Where a producer stands in memory does not count, only the order of the commits and what is in flight.
impl<R: Hash> Hash for Table<R> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_usize(self.lives);
        for slot in self.listed() {
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
        Self {
            id,
            life: None,
            results: VecDeque::new(),
            pending: VecDeque::new(),
            listed: false,
            older: None,
            newer: None,
        }
    }
}
