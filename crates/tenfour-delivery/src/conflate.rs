//! Conflation: for a subscriber that is behind, only the latest value of each key, in the order of the last updates.
//!
//! A value that is overtaken is counted, and the count goes out with the value that overtook it: it is the `Lost` to report
//! there. The last value of each key is never dropped; where there is no room for another key, it is refused.
//!
//! ```
//! use tenfour_delivery::conflate::{Conflate, Latest};
//!
//! let mut prices = Conflate::new(1_000);
//! prices.push("AAA", 10)?;
//! prices.push("BBB", 20)?;
//! assert_eq!(prices.push("AAA", 11), Ok(Some(10)));
//!
//! assert_eq!(prices.pop(), Some(Latest { key: "BBB", value: 20, dropped: 0 }));
//! assert_eq!(prices.pop(), Some(Latest { key: "AAA", value: 11, dropped: 1 }));
//! assert_eq!(prices.pop(), None);
//! # Ok::<(), tenfour_delivery::conflate::Full<&str, i32>>(())
//! ```

use alloc::{collections::BTreeMap, vec::Vec};
use core::hash::{Hash, Hasher};

use crate::order::Order;

/// The latest value of each key that has not been handed out.
#[derive(Clone, Debug)]
pub struct Conflate<K, V> {
    keys: usize,
    index: BTreeMap<K, usize>,
    slots: Vec<Option<Latest<K, V>>>,
    free: Vec<usize>,
    order: Order,
}

/// A value, and how many of its key it has overtaken since the last one was handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Latest<K, V> {
    /// Of what.
    pub key: K,
    /// The latest value.
    pub value: V,
    /// How many values before it were dropped.
    pub dropped: u64,
}

/// There is no room for another key; both come back.
///
/// Hand some out first, or give the subscriber up: its values can't be conflated in the memory that it may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("values of as many keys as allowed are waiting: pop some before pushing another key")]
pub struct Full<K, V>(pub K, pub V);

impl<K: Ord + Clone, V> Conflate<K, V> {
    /// Holds values of at most `keys` keys.
    #[must_use]
    pub const fn new(keys: usize) -> Self {
        Self { keys, index: BTreeMap::new(), slots: Vec::new(), free: Vec::new(), order: Order::new() }
    }

    /// Takes a value, which overtakes the one of its key that is still here; that one is returned.
    ///
    /// # Errors
    /// [`Full`], with the key and the value.
    pub fn push(&mut self, key: K, value: V) -> Result<Option<V>, Full<K, V>> {
        if let Some(&place) = self.index.get(&key) {
            self.order.renew(place);
            return Ok(self.slots[place].as_mut().map(|latest| latest.overtake(value)));
        }
        if self.index.len() >= self.keys {
            return Err(Full(key, value));
        }
        let place = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        });
        self.index.insert(key.clone(), place);
        self.slots[place] = Some(Latest { key, value, dropped: 0 });
        self.order.renew(place);
        Ok(None)
    }

    /// The value that has waited longest since its last update.
    pub fn pop(&mut self) -> Option<Latest<K, V>> {
        let place = self.order.oldest()?;
        let latest = self.slots[place].take()?;
        self.order.remove(place);
        self.index.remove(&latest.key);
        self.free.push(place);
        Some(latest)
    }

    /// How many keys have a value here.
    #[must_use]
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether none has.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }
}

impl<K, V> Latest<K, V> {
    fn overtake(&mut self, value: V) -> V {
        self.dropped = self.dropped.saturating_add(1);
        core::mem::replace(&mut self.value, value)
    }
}

/// In the order of the updates: where a value stands in memory does not count.
impl<K: Hash, V: Hash> Hash for Conflate<K, V> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.keys, self.order.len()).hash(state);
        for place in self.order.oldest_first() {
            self.slots[place].hash(state);
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use proptest::prelude::*;
    use std::{collections::BTreeMap, vec::Vec};

    proptest! {
        /// Against a plain list of all updates: the last value of each key comes out, keys never go backwards, and what
        /// is handed out and dropped adds up.
        #[test]
        fn the_last_value_of_each_key_comes_out(
            steps in prop::collection::vec(prop_oneof![4 => (0..6_u8).prop_map(Some), 1 => Just(None)], 1..120),
            keys in 1..5_usize,
        ) {
            let mut conflate = Conflate::new(keys);
            let mut model: Vec<Latest<u8, usize>> = Vec::new();
            let mut last_out = BTreeMap::new();
            let drain = core::iter::repeat_n(None, 6);
            for (version, step) in steps.into_iter().chain(drain).enumerate() {
                if let Some(key) = step {
                    let known = model.iter().position(|latest| latest.key == key).map(|at| model.remove(at));
                    if known.is_none() && model.len() == keys {
                        prop_assert_eq!(conflate.push(key, version), Err(Full(key, version)));
                        continue;
                    }
                    prop_assert_eq!(conflate.push(key, version), Ok(known.as_ref().map(|known| known.value)));
                    model.push(Latest { key, value: version, dropped: known.map_or(0, |known| known.dropped + 1) });
                } else {
                    let expected = (!model.is_empty()).then(|| model.remove(0));
                    let latest = conflate.pop();
                    prop_assert_eq!(&latest, &expected);
                    if let Some(Latest { key, value, .. }) = latest {
                        prop_assert!(last_out.insert(key, value) < Some(value), "a key goes backwards");
                    }
                }
                prop_assert_eq!(conflate.len(), model.len());
            }
            prop_assert!(conflate.is_empty());
        }
    }
}
