//! The channels of a log on a disk: found by name, known by number, forgotten in the order in which they fell silent.

use std::hash::BuildHasher as _;

use bytestring::ByteString;
use foldhash::fast::RandomState;
use hashbrown::HashTable;
use tenfour_delivery::number::Offset;

use crate::{channel::Channel, is_pinned};

/// No slot has this number.
const NONE: u32 = u32::MAX;

/// A channel, and its place in the order.
#[derive(Clone, Debug)]
pub(super) struct Slot {
    pub(super) name: ByteString,
    pub(super) channel: Channel,
    pub(super) is_pinned: bool,
    /// Its last entry, those that are not committed yet with them, and how many of those there are.
    pub(super) assigned: Offset,
    pub(super) pending: u32,
    /// Where in the log it is named for the last time: here or later.
    pub(super) named: Offset,
    newer: u32,
    older: u32,
}

#[derive(Debug)]
pub(super) struct Channels {
    slots: Vec<Option<Slot>>,
    free: Vec<u32>,
    by_name: HashTable<u32>,
    hasher: RandomState,
    newest: u32,
    oldest: u32,
    /// The last head of a channel that was forgotten.
    pub(super) forgotten: Offset,
}

impl Channels {
    pub(super) fn new() -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            by_name: HashTable::new(),
            hasher: RandomState::default(),
            newest: NONE,
            oldest: NONE,
            forgotten: Offset::START,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.by_name.len()
    }

    pub(super) fn find(&self, name: &str) -> Option<u32> {
        let is_it = |&number: &u32| self.get(number).is_some_and(|slot| slot.name == name);
        self.by_name.find(self.hasher.hash_one(name), is_it).copied()
    }

    pub(super) fn get(&self, number: u32) -> Option<&Slot> {
        self.slots.get(number as usize)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, number: u32) -> Option<&mut Slot> {
        self.slots.get_mut(number as usize)?.as_mut()
    }

    /// All of them, in the order of their numbers.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Slot> {
        self.slots.iter_mut().flatten()
    }

    /// Adds a channel of which everything after `born` is known.
    pub(super) fn add(&mut self, name: &str, born: Offset) -> u32 {
        // A name may have been cut out of a larger buffer, which would be kept with it.
        let slot = Slot {
            name: ByteString::from(name),
            channel: Channel::new(born),
            is_pinned: is_pinned(name),
            assigned: born,
            pending: 0,
            named: Offset::START,
            newer: NONE,
            older: NONE,
        };
        let number = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            (self.slots.len() - 1) as u32
        });
        self.slots[number as usize] = Some(slot);
        let hash = |&number: &u32| {
            let slot = self.slots[number as usize].as_ref();
            self.hasher.hash_one(slot.map_or("", |slot| &slot.name))
        };
        self.by_name.insert_unique(self.hasher.hash_one(name), number, hash);
        self.link(number);
        number
    }

    /// Makes a channel the one that spoke last.
    pub(super) fn touch(&mut self, number: u32) {
        if self.newest != number {
            self.unlink(number);
            self.link(number);
        }
    }

    /// Forgets the channel that has been silent the longest, unless it is needed: one that is pinned, or that has
    /// entries on their way. Answers the offsets of what it had.
    pub(super) fn forget_oldest(&mut self) -> Option<Vec<Offset>> {
        let mut number = self.oldest;
        loop {
            let slot = self.get(number)?;
            if !slot.is_pinned && slot.pending == 0 {
                break;
            }
            number = slot.newer;
        }
        self.unlink(number);
        let slot = self.slots[number as usize].take()?;
        let hash = self.hasher.hash_one(&*slot.name);
        if let Ok(found) = self.by_name.find_entry(hash, |&other| other == number) {
            found.remove();
        }
        self.free.push(number);
        self.forgotten = self.forgotten.max(slot.channel.head());
        Some(slot.channel.held().map(|(offset, _)| offset).collect())
    }

    fn link(&mut self, number: u32) {
        let older = std::mem::replace(&mut self.newest, number);
        if let Some(slot) = self.get_mut(number) {
            (slot.older, slot.newer) = (older, NONE);
        }
        match self.get_mut(older) {
            Some(slot) => slot.newer = number,
            None => self.oldest = number,
        }
    }

    fn unlink(&mut self, number: u32) {
        let Some((older, newer)) = self.get(number).map(|slot| (slot.older, slot.newer)) else { return };
        match self.get_mut(older) {
            Some(slot) => slot.newer = newer,
            None => self.oldest = newer,
        }
        match self.get_mut(newer) {
            Some(slot) => slot.older = older,
            None => self.newest = older,
        }
    }
}
