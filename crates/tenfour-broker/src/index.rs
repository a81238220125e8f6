//! A hash index over values that live in a slab.

use core::hash::{BuildHasher, Hash};

use foldhash::quality::FixedState;
use hashbrown::HashTable;

/// A place in a slab or a list, in four bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key(u32);

impl Key {
    /// The most values that such keys tell apart.
    pub(crate) const MOST: usize = u32::MAX as usize;

    /// `place` is below [`Key::MOST`]: no more sockets and rooms than that are let in, a slab fills its holes before it
    /// grows, and a list of some names each once.
    pub(crate) fn new(place: usize) -> Self {
        debug_assert!(place < Self::MOST);
        Self(place as u32)
    }

    pub(crate) fn get(self) -> usize {
        self.0 as usize
    }
}

/// Finds slab places by name in some ten bytes a name, since the names stand in the slab alone: each call is told how
/// to read the name at a place.
pub(crate) struct Index {
    keys: HashTable<Key>,
    hasher: FixedState,
}

impl Index {
    pub(crate) fn new(seed: u64) -> Self {
        Self { keys: HashTable::new(), hasher: FixedState::with_seed(seed) }
    }

    pub(crate) fn find<'a, N>(&self, name: &N, name_at: impl Fn(Key) -> &'a N) -> Option<Key>
    where
        N: ?Sized + Hash + Eq + 'a,
    {
        self.keys.find(self.hasher.hash_one(name), |&key| name_at(key) == name).copied()
    }

    /// `name` is at `key` already, and was not in the index.
    pub(crate) fn insert<'a, N>(&mut self, name: &N, key: Key, name_at: impl Fn(Key) -> &'a N)
    where
        N: ?Sized + Hash + Eq + 'a,
    {
        let hash = self.hasher.hash_one(name);
        self.keys.insert_unique(hash, key, |&key| self.hasher.hash_one(name_at(key)));
    }

    pub(crate) fn remove<N: ?Sized + Hash>(&mut self, name: &N, key: Key) {
        if let Ok(entry) = self.keys.find_entry(self.hasher.hash_one(name), |&candidate| candidate == key) {
            entry.remove();
        }
    }
}

#[cfg(test)]
impl Index {
    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }
}
