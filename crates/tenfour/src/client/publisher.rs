//! Publications from their acceptance to their commit: nothing is forgotten, nothing is sent in a way that could commit it
//! twice.
//!
//! It knows no connection. Whoever drives it hands over what [`next`](Publisher::next) gives, says under which number of the
//! session it was sent, and what the server answered.

use super::{
    error::PublishError,
    store::{Flush, Outbox},
};
use bytes::Bytes;
use std::{
    collections::{BTreeMap, HashMap},
    io, mem,
    time::Duration,
};
use tenfour_tokio::{
    delivery::{
        entry::Producer,
        number::{Epoch, ProducerSequence, Sequence},
        time::Instant,
    },
    session::native::Receipt,
    wire::native::{Refusal, RefusalReason},
};
use tokio::sync::oneshot;

pub(super) struct Publisher {
    outbox: Box<dyn Outbox>,
    entries: BTreeMap<ProducerSequence, Entry>,
    /// By the number that the session gave it.
    under_way: HashMap<Sequence, ProducerSequence>,
    /// The first that was not handed to the session; neither was any after it.
    next: ProducerSequence,
    /// Those below are durable.
    durable: ProducerSequence,
    flushing: Option<Flushing>,
    /// How often the producer has begun a new life here.
    life: u32,
    pause: Option<Pause>,
    doubts: Doubt,
    /// How long the server recognises what it has committed.
    window: Duration,
    /// The life of the log to which publications are sent.
    log: Option<Epoch>,
    /// Nothing more is accepted or sent.
    failed: Option<PublishError>,
    /// Nor is anything more written into the outbox.
    is_broken: bool,
}

/// What becomes of a publication that was sent, whose answer was lost with the session, and which the server would not recognise
/// any more if it were sent again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Doubt {
    /// It is reported as [`PublishError::Indeterminate`], and not sent again.
    #[default]
    Report,
    /// It is sent again: subscribers may get it twice.
    Repeat,
}

/// Whom to tell what became of a publication. Either may have given up.
#[derive(Debug, Default)]
pub(super) struct Waiter {
    pub(super) accepted: Option<oneshot::Sender<Result<(), PublishError>>>,
    pub(super) committed: Option<oneshot::Sender<Result<Receipt, PublishError>>>,
}

#[derive(Debug)]
struct Entry {
    publication: Bytes,
    waiter: Waiter,
    earlier: Earlier,
    sent: Instant,
}

/// Whether a publication may be in a log already, though nobody has said so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Earlier {
    /// It was not sent, or what was sent is known not to be in one.
    No,
    /// It was sent by a session that was lost since, at this time or later.
    Sent { at: Instant },
    /// It comes from a process before this one: nobody waits for what became of it, so to have it twice is the lesser evil.
    Unknown,
}

#[derive(Clone, Copy, Debug)]
struct Flushing {
    life: u32,
    through: ProducerSequence,
}

/// Since a number was refused, those after it are refused too. So nothing more is sent until all answers are there.
#[derive(Clone, Copy, Debug)]
struct Pause {
    until: Option<Instant>,
    then: Then,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    Repeat,
    /// A number will never be committed, so the life that it belongs to cannot go on.
    Renew,
}

/// How long to wait before a publication is sent again for which the server has no room.
const AGAIN: Duration = Duration::from_millis(50);

impl Publisher {
    pub(super) fn new(outbox: Box<dyn Outbox>, doubts: Doubt) -> Self {
        let mut publisher = Self {
            outbox,
            entries: BTreeMap::new(),
            under_way: HashMap::new(),
            next: ProducerSequence::FIRST,
            durable: ProducerSequence::FIRST,
            flushing: None,
            life: 0,
            pause: None,
            doubts,
            window: Duration::ZERO,
            log: None,
            failed: None,
            is_broken: false,
        };
        for pending in publisher.outbox.pending() {
            let entry = Entry {
                publication: pending.publication,
                waiter: Waiter::default(),
                earlier: Earlier::Unknown,
                sent: Instant::ZERO,
            };
            publisher.entries.insert(pending.sequence, entry);
        }
        publisher.rewind();
        publisher
    }

    /// How many are not committed.
    pub(super) fn pending(&self) -> usize {
        self.entries.len()
    }

    /// The number of the next publication in the producer's present life.
    pub(super) fn accepted(&self) -> ProducerSequence {
        self.outbox.next()
    }

    /// Takes a publication, in the encoding of the outbox.
    pub(super) fn accept(&mut self, publication: Bytes, waiter: Waiter) {
        let refused = match &self.failed {
            Some(error) => error.clone(),
            None => match self.outbox.push(publication.clone()) {
                Ok(sequence) => {
                    self.entries.insert(
                        sequence,
                        Entry { publication, waiter, earlier: Earlier::No, sent: Instant::ZERO },
                    );
                    return;
                }
                Err(full) => PublishError::Full(full),
            },
        };
        waiter.refuse(&refused);
    }

    /// What is to be made durable now. [`flushed`](Self::flushed) is to follow.
    pub(super) fn start_flush(&mut self) -> Option<Flush> {
        if self.flushing.is_some() || self.is_broken {
            return None;
        }
        let through = self.outbox.next();
        let flush = self.outbox.flush();
        match flush {
            Some(_) => self.flushing = Some(Flushing { life: self.life, through }),
            None => self.make_durable(through),
        }
        flush
    }

    pub(super) fn flushed(&mut self, result: io::Result<()>) {
        let Some(Flushing { life, through }) = self.flushing.take() else { return };
        match result {
            Ok(()) if life == self.life => self.make_durable(through),
            Ok(()) => {}
            Err(error) => {
                self.is_broken = true;
                self.fail(&PublishError::Outbox(error.to_string()));
            }
        }
    }

    fn make_durable(&mut self, through: ProducerSequence) {
        for (_, entry) in self.entries.range_mut(self.durable..through) {
            if let Some(accepted) = entry.waiter.accepted.take() {
                let _ = accepted.send(Ok(()));
            }
        }
        self.durable = through;
    }

    /// The publication to send next, if it may be sent now; [`sent`](Self::sent) is to follow if it was.
    pub(super) fn next(&mut self, now: Instant) -> Option<(Producer, Bytes)> {
        self.doubt_what_is_late(now);
        self.go_on(now);
        let only_in_doubt = match self.pause {
            None => false,
            Some(Pause { until, then: Then::Renew }) => {
                if !self.under_way.is_empty() || until.is_some_and(|until| !now.has_reached(until)) {
                    return None;
                }
                true
            }
            Some(_) => return None,
        };
        if self.failed.is_some() || self.next >= self.durable {
            return None;
        }
        let mut entries = self.entries.range_mut(self.next..self.durable);
        let (&sequence, entry) = entries.find(|(_, entry)| !only_in_doubt || entry.is_in_doubt())?;
        entry.sent = now;
        let (id, epoch) = self.outbox.producer();
        Some((Producer { id, epoch, sequence }, entry.publication.clone()))
    }

    /// What the server would not recognise any more is not repeated. It is the oldest that is in doubt first.
    fn doubt_what_is_late(&mut self, now: Instant) {
        let late = |entry: &Entry| match entry.earlier {
            Earlier::Sent { at } => now.saturating_since(at) >= self.window,
            Earlier::No | Earlier::Unknown => false,
        };
        if let Some((&sequence, _)) = self.entries.range(self.next..).next().filter(|(_, entry)| late(entry))
        {
            self.doubt(sequence);
        }
    }

    /// What [`next`](Self::next) gave was sent, under this number of the session.
    pub(super) fn sent(&mut self, producer: Producer, sequence: Sequence) {
        self.under_way.insert(sequence, producer.sequence);
        self.next = producer.sequence.next();
    }

    /// When [`next`](Self::next) may have something that it has not now.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.pause.filter(|_| self.under_way.is_empty())?.until
    }

    fn go_on(&mut self, now: Instant) {
        let Some(Pause { until, then }) = self.pause else { return };
        if !self.under_way.is_empty() || until.is_some_and(|until| !now.has_reached(until)) {
            return;
        }
        if then == Then::Renew {
            // In another life a repetition would not be recognised: whether they are committed must be known first.
            if self.entries.values().any(Entry::is_in_doubt) {
                return self.rewind();
            }
            self.outbox.renew();
            self.life += 1;
            let sequences = self.outbox.pending().into_iter().map(|pending| pending.sequence);
            self.entries = sequences.zip(mem::take(&mut self.entries).into_values()).collect();
            self.durable = ProducerSequence::FIRST;
        }
        self.pause = None;
        self.rewind();
    }

    fn rewind(&mut self) {
        self.next = self.entries.keys().next().copied().unwrap_or_else(|| self.outbox.next());
    }

    /// The server has answered what the session sent under this number.
    pub(super) fn answered(&mut self, now: Instant, sequence: Sequence, answer: Result<Receipt, Refusal>) {
        let Some(sequence) = self.under_way.remove(&sequence) else { return };
        let Refusal { reason, retry_after_ms } = match answer {
            Ok(receipt) => return self.settle(sequence, Ok(receipt)),
            Err(refusal) => refusal,
        };
        let again = retry_after_ms.map(|ms| Duration::from_millis(ms.into()));
        match reason {
            RefusalReason::Fenced { .. } => self.fail(&PublishError::Fenced),
            RefusalReason::Conflict => self.settle(sequence, Err(PublishError::Conflict)),
            // One before it was refused, which may be all that the server has heard of this life.
            RefusalReason::Indeterminate if self.pause.is_some_and(|pause| pause.then == Then::Repeat) => {}
            RefusalReason::Indeterminate => self.doubt(sequence),
            RefusalReason::Gap { expected } => {
                let then = if self.holds(expected) { Then::Repeat } else { Then::Renew };
                self.pause(None, then);
                if let Some(entry) = self.entries.get_mut(&sequence) {
                    entry.earlier = Earlier::No;
                }
            }
            // Whether it is committed already, its repetition will tell.
            RefusalReason::Internal
            | RefusalReason::Overloaded
            | RefusalReason::RateLimited
            | RefusalReason::Unavailable => self.pause(Some(now + again.unwrap_or(AGAIN)), Then::Repeat),
            _ if again.is_some() => self.pause(again.map(|again| now + again), Then::Repeat),
            _ => {
                self.settle(sequence, Err(PublishError::Refused(reason)));
                self.pause(None, Then::Renew);
            }
        }
    }

    /// Whether a number that the server waits for is still here to be sent.
    fn holds(&self, number: u64) -> bool {
        self.entries.contains_key(&ProducerSequence::new(number))
    }

    /// The server does not know the producer's life, or would not any more by now: what was sent in it may be committed, and
    /// will not be recognised.
    fn doubt(&mut self, from: ProducerSequence) {
        self.pause(None, Then::Renew);
        let (mut given_up, mut repeated) = (Vec::new(), 0);
        for (sequence, entry) in self.entries.range_mut(from..).filter(|(_, entry)| entry.is_in_doubt()) {
            if self.doubts == Doubt::Report && entry.earlier != Earlier::Unknown {
                given_up.push(*sequence);
            } else {
                repeated += 1;
            }
            entry.earlier = Earlier::No;
        }
        if repeated > 0 {
            tracing::warn!(
                repeated,
                "the server has forgotten this producer: what may be published already is sent again"
            );
        }
        for sequence in given_up {
            self.settle(sequence, Err(PublishError::Indeterminate));
        }
    }

    fn pause(&mut self, until: Option<Instant>, then: Then) {
        let pause = self.pause.get_or_insert(Pause { until, then });
        pause.until = pause.until.max(until);
        if then == Then::Renew {
            pause.then = then;
        }
    }

    fn settle(&mut self, sequence: ProducerSequence, result: Result<Receipt, PublishError>) {
        self.outbox.settle(sequence);
        let Some(mut entry) = self.entries.remove(&sequence) else { return };
        match (&result, entry.waiter.committed.take()) {
            (_, Some(committed)) => drop(committed.send(result)),
            (Err(error), None) => tracing::warn!(%error, "a publication that nobody waits for was refused"),
            (Ok(_), None) => {}
        }
    }

    /// A session has begun, on a log in this life, whose server recognises repetitions for so long.
    pub(super) fn joined(&mut self, log: Epoch, window: Duration) {
        self.window = window;
        if self.log.replace(log).is_some_and(|known| known != log) {
            // Nothing of it is in the new log, and the server has forgotten the producer with the old one.
            self.entries.values_mut().for_each(|entry| entry.earlier = Earlier::No);
            self.pause(None, Then::Renew);
        }
    }

    /// The session is gone, with all that it had not passed on or not heard of.
    pub(super) fn session_lost(&mut self) {
        for sequence in mem::take(&mut self.under_way).into_values() {
            if let Some(entry) = self.entries.get_mut(&sequence)
                && entry.earlier == Earlier::No
            {
                entry.earlier = Earlier::Sent { at: entry.sent };
            }
        }
        self.rewind();
    }

    /// Nothing more is sent. What is in the outbox stays there.
    pub(super) fn fail(&mut self, error: &PublishError) {
        for entry in self.entries.values_mut() {
            mem::take(&mut entry.waiter).refuse(error);
        }
        self.failed.get_or_insert_with(|| error.clone());
    }
}

impl Entry {
    fn is_in_doubt(&self) -> bool {
        self.earlier != Earlier::No
    }
}

impl Waiter {
    pub(super) fn refuse(self, error: &PublishError) {
        if let Some(accepted) = self.accepted {
            let _ = accepted.send(Err(error.clone()));
        }
        if let Some(committed) = self.committed {
            let _ = committed.send(Err(error.clone()));
        }
    }
}

#[cfg(test)]
mod tests;
