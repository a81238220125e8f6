//! Events with keys, and who waits for their answers.

use std::collections::HashMap;
use tenfour_broker::{
    Body,
    channel::{Effect, Entry, NOTES, Query},
    idempotency::{Begin, Config, Event, Idempotency, Key, Waiter},
};
use tenfour_delivery::{
    dedup::Fingerprint,
    log::{AppendError, Ticket},
    number::Offset,
    time::Now,
};
use tenfour_log::Log;
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

pub(super) struct Answers {
    idempotency: Idempotency,
    waiting: HashMap<Waiter, oneshot::Sender<Told>>,
    next: u64,
}

impl Answers {
    /// What the log knows of answers that were given.
    pub(super) fn restored(config: Config, log: &dyn Log) -> Result<Self, String> {
        let mut idempotency = Idempotency::new(config);
        let mut query = Query::of(NOTES, Offset::START);
        loop {
            let page = log.read(&query).map_err(|error| error.to_string())?;
            for entry in &page.entries {
                idempotency.restore(entry).map_err(|error| error.to_string())?;
                query.after = entry.offset;
            }
            if !page.more {
                return Ok(Self { idempotency, waiting: HashMap::new(), next: 0 });
            }
        }
    }

    pub(super) fn begin(&mut self, now: Now, key: &Key, event: Fingerprint) -> Begun {
        let waiter = Waiter(self.next);
        self.next += 1;
        let (sender, told) = oneshot::channel();
        let begun = match self.idempotency.begin(now, key, event, waiter) {
            Begin::Run => Begun::Run(told),
            Begin::Joined => Begun::Joined(told),
            Begin::Answered(body) => return Begun::Answered(body),
            Begin::Conflict => return Begun::Conflict,
            Begin::Full => return Begun::Full,
        };
        self.waiting.insert(waiter, sender);
        begun
    }

    pub(super) fn finish(&mut self, now: Now, key: &Key, answer: Option<Body>) {
        self.idempotency.finish(now, key, answer);
    }

    pub(super) fn abandon(&mut self, key: &Key, answer: Option<Body>) {
        self.idempotency.abandon(key, answer);
    }

    pub(super) fn poll_effect(&mut self) -> Option<Effect> {
        self.idempotency.poll_effect()
    }

    /// `false` if it is no answer to one of its appends.
    pub(super) fn committed(&mut self, ticket: Ticket, result: &Result<Vec<Entry>, AppendError>) -> bool {
        self.idempotency.committed(ticket, result)
    }

    /// Through which note the log may forget.
    pub(super) fn poll_release(&mut self) -> Option<Offset> {
        self.idempotency.poll_release()
    }

    /// Tells those who wait what has become of their events.
    pub(super) fn tell(&mut self) {
        while let Some(Event::Answered { waiters, result }) = self.idempotency.poll_event() {
            for waiter in waiters {
                if let Some(sender) = self.waiting.remove(&waiter) {
                    // Whoever waited may have given up.
                    let _ = sender.send(result.clone());
                }
            }
        }
    }
}
