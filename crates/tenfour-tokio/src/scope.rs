//! What the handler of an event with a key publishes.

use crate::Space;
use parking_lot::Mutex;
use std::{collections::BTreeSet, sync::Arc};
use tenfour_broker::{
    channel::{MessageKey, Publication, PublishError, Receipt},
    idempotency::Key,
};

/// The messages that the handler of an event with a key publishes through its socket, each known by that key and its place among
/// them. When the handler runs again, since it was interrupted, what it publishes again is recognised.
pub struct Scope {
    key: Key,
    numbers: Mutex<Numbers>,
}

#[derive(Default)]
struct Numbers {
    next: u64,
    /// Those of messages that were refused: the next one takes the lowest, as it did, or will do, in another run.
    free: BTreeSet<u64>,
    is_over: bool,
}

impl Scope {
    pub(crate) fn new(key: Key) -> Self {
        Self { key, numbers: Mutex::default() }
    }

    /// The handler is done: what is published from here on is not part of it.
    pub(crate) fn end(&self) {
        self.numbers.lock().is_over = true;
    }

    /// Publishes a message as one of the handler's, unless it is known by something else or the handler is done.
    ///
    /// # Errors
    /// If it was not committed.
    pub async fn publish(
        &self,
        space: &Arc<Space>,
        mut publication: Publication,
    ) -> Result<Receipt, PublishError> {
        let is_known = publication.key.is_some() || publication.producer.is_some();
        let taken = if is_known { None } else { self.take() };
        publication.key = publication.key.or_else(|| taken.map(|number| self.name(number)));
        let published = space.publish(publication).await;
        if let (Some(number), Err(_)) = (taken, &published) {
            self.numbers.lock().free.insert(number);
        }
        published
    }

    fn take(&self) -> Option<u64> {
        let mut numbers = self.numbers.lock();
        if numbers.is_over {
            return None;
        }
        numbers.free.pop_first().or_else(|| {
            numbers.next += 1;
            Some(numbers.next - 1)
        })
    }

    fn name(&self, number: u64) -> MessageKey {
        self.key.publication(number)
    }
}
