//! Places in the order of their last use: a doubly linked list threaded through a caller's vector of places.

use alloc::vec::Vec;

#[derive(Clone, Debug, Default)]
pub(crate) struct Order {
    /// One for each place that was ever in the order.
    links: Vec<Link>,
    oldest: Option<usize>,
    newest: Option<usize>,
    len: usize,
}

#[derive(Clone, Copy, Debug, Default)]
struct Link {
    listed: bool,
    older: Option<usize>,
    newer: Option<usize>,
}

impl Order {
    pub(crate) const fn new() -> Self {
        Self { links: Vec::new(), oldest: None, newest: None, len: 0 }
    }

    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    pub(crate) const fn oldest(&self) -> Option<usize> {
        self.oldest
    }

    pub(crate) fn oldest_first(&self) -> impl Iterator<Item = usize> {
        core::iter::successors(self.oldest, |&place| self.links[place].newer)
    }

    /// Makes this place the newest, be it in the order or not.
    pub(crate) fn renew(&mut self, place: usize) {
        if self.newest == Some(place) {
            return;
        }
        self.remove(place);
        if self.links.len() <= place {
            self.links.resize(place + 1, Link::default());
        }
        self.links[place] = Link { listed: true, older: self.newest, newer: None };
        match self.newest {
            Some(before) => self.links[before].newer = Some(place),
            None => self.oldest = Some(place),
        }
        self.newest = Some(place);
        self.len += 1;
    }

    /// Takes this place out of the order, if it is in it.
    pub(crate) fn remove(&mut self, place: usize) {
        let Some(link) = self.links.get_mut(place).filter(|link| link.listed) else { return };
        let Link { older, newer, .. } = core::mem::take(link);
        match older {
            Some(older) => self.links[older].newer = newer,
            None => self.oldest = newer,
        }
        match newer {
            Some(newer) => self.links[newer].older = older,
            None => self.newest = older,
        }
        self.len -= 1;
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn is_a_list_that_is_searched(steps in prop::collection::vec((0..6_usize, any::<bool>()), 0..80)) {
            let (mut order, mut model) = (Order::new(), Vec::new());
            for (place, renews) in steps {
                model.retain(|&other| other != place);
                if renews {
                    model.push(place);
                    order.renew(place);
                } else {
                    order.remove(place);
                }
                prop_assert_eq!(order.oldest_first().collect::<Vec<_>>(), &*model);
                prop_assert_eq!((order.oldest(), order.len()), (model.first().copied(), model.len()));
            }
        }
    }
}
