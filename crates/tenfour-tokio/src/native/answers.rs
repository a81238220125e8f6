//! Events with keys, and who waits for their answers.

use std::collections::HashMap;
use tenfour_broker::{
    Body,
    idempotency::{Begin, Event, Key, Waiter},
};
use tenfour_delivery::{dedup::Fingerprint, log::AppendError, time::Now};
use tenfour_node::hub::Hub;
use tokio::sync::oneshot;

/// What is told to who waits.
pub(crate) type Told = Result<Option<Body>, AppendError>;

/// What is to be done about an event with a key.
pub(crate) enum Begun {
    /// Its handler is to be run, and its answer to be waited for.
    Run(oneshot::Receiver<Told>),
    /// Its handler runs: its answer is to be waited for.
    Joined(oneshot::Receiver<Told>),
    /// It was answered so.
    Answered(Option<Body>),
    /// Its key was another event's.
    Conflict,
    /// There is no room.
    Full,
}

/// Who waits for what.
#[derive(Default)]
pub(super) struct Answers {
    waiting: HashMap<Waiter, oneshot::Sender<Told>>,
    next: u64,
}

impl Answers {
    pub(super) fn begin(&mut self, now: Now, key: &Key, event: Fingerprint, hub: &mut Hub) -> Begun {
        let waiter = Waiter(self.next);
        self.next += 1;
        let (sender, told) = oneshot::channel();
        let Some(idempotency) = hub.idempotency_mut() else { return Begun::Full };
        let begun = match idempotency.begin(now, key, event, waiter) {
            Begin::Run => Begun::Run(told),
            Begin::Joined => Begun::Joined(told),
            Begin::Answered(body) => return Begun::Answered(body),
            Begin::Conflict => return Begun::Conflict,
            Begin::Full => return Begun::Full,
        };
        self.waiting.insert(waiter, sender);
        begun
    }

    /// Tells those who wait what has become of their events.
    pub(super) fn tell(&mut self, event: Event) {
        let Event::Answered { waiters, result } = event else { return };
        for waiter in waiters {
            if let Some(sender) = self.waiting.remove(&waiter) {
                // Whoever waited may have given up.
                let _ = sender.send(result.clone());
            }
        }
    }
}
