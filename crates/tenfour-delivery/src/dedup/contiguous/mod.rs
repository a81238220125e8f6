//! Exactly the next number of each producer, as Kafka's idempotent producers have it; the state is a function of the log.
//!
//! A message is checked and begun when it is handed to the log, and committed or aborted when the log has answered. Only
//! what is committed is remembered; what is in flight is joined by its duplicates. Several messages of a producer may be
//! in flight, in order.
//!
//! ```
//! use tenfour_delivery::dedup::{Committed, Contiguous, Fingerprint, contiguous::{Check, Config}};
//! use tenfour_delivery::entry::Producer;
//! use tenfour_delivery::number::{Offset, ProducerEpoch, ProducerId, ProducerSequence};
//! use tenfour_delivery::time::WallTime;
//!
//! let mut producers = Contiguous::new(Config::default());
//! let now = WallTime::from_unix_millis(1_700_000_000_000);
//! let first = Producer {
//!     id: ProducerId::new(0xfeed),
//!     epoch: ProducerEpoch::new(1),
//!     sequence: ProducerSequence::FIRST,
//! };
//! let payload = Fingerprint::new(42);
//!
//! // The message goes to the log; a retry that comes meanwhile waits for the same answer.
//! let claim = producers.begin(first, payload, now).expect("it is new");
//! assert_eq!(producers.check(&first, payload, now), Check::Pending(claim));
//!
//! // The log has committed it; a retry gets the original result, another payload an error.
//! let place = Committed { position: Offset::new(7), ingested: now };
//! producers.commit(claim, place, "offset 7").expect("it was in flight");
//! assert_eq!(producers.check(&first, payload, now), Check::Duplicate("offset 7"));
//! assert_eq!(producers.check(&first, Fingerprint::new(43), now), Check::Conflict);
//!
//! // A number that skips one is refused with the number that is due.
//! let third = Producer { sequence: ProducerSequence::new(2), ..first };
//! assert_eq!(producers.check(&third, payload, now), Check::Gap { expected: ProducerSequence::new(1) });
//! ```

mod table;
#[cfg(test)]
mod tests;

use alloc::collections::VecDeque;
use core::{
    hash::{Hash, Hasher},
    time::Duration,
};

use self::table::{Slot, Table};
use super::{Committed, Fingerprint};
use crate::{
    entry::Producer,
    mutant,
    number::{Offset, ProducerEpoch, ProducerSequence},
    time::WallTime,
};

/// What is remembered, and for how long.
///
/// At most [`producers`](Self::producers) + [`OVERSHOOT`] producers are held, each with at most
/// [`results`](Self::results) results of `size_of::<R>()` + 16 bytes and [`pending`](Self::pending) messages in flight
/// of 64 bytes, and some 200 bytes beside.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Config {
    /// How many producers are remembered. Default 16,384.
    pub producers: usize,
    /// How many of a producer's last results are held to answer duplicates with; an older one is
    /// [`Check::Applied`]. At least 1; default 256, so that all that a client's window holds can be answered.
    pub results: usize,
    /// How many messages of a producer may be in flight. At least 1; default 256.
    pub pending: usize,
    /// How long after its last message a producer is remembered at least: the advertised window. Default 2 minutes.
    pub idle: Duration,
    /// How far behind the log's end, in positions, a producer's last message must be before it is forgotten, so that a
    /// jump of the clock alone forgets nobody while there is room. Default 100,000.
    pub span: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { producers: 16_384, results: 256, pending: 256, idle: Duration::from_secs(120), span: 100_000 }
    }
}

/// How many producers may be held beyond [`Config::producers`], while they wait for the places of idle ones.
pub const OVERSHOOT: usize = 64;

/// Which messages of which producers are in the log, or on their way to it.
///
/// A producer is forgotten when it has been silent for [`Config::idle`] *and* for [`Config::span`] positions; where the
/// table is full, the time alone will do. Both are measured by what the log commits, never by a clock, so the state after the
/// same entries is the same. Where no producer may be forgotten and the table is full, a new one is refused
/// ([`Check::Busy`]).
///
/// `Hash` covers what is committed and what is in flight, not what failed.
#[derive(Clone, Debug)]
pub struct Contiguous<R> {
    config: Config,
    table: Table<R>,
    /// The newest that the log has committed.
    latest: Committed,
    /// Whether there may be, or have been, producers that the table does not know.
    forgotten: bool,
    /// The first messages of producers that were not known, whose appends failed: nothing of such a producer goes before.
    due: VecDeque<Producer>,
    attempts: u64,
}

/// What a message is, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub enum Check<R> {
    /// The next one: [`Contiguous::begin`] takes it.
    New,
    /// It is in flight: answer when this claim is answered, and append nothing.
    Pending(Claim),
    /// It is in the log, with this result.
    Duplicate(R),
    /// It is in the log, but so long ago that its result and its fingerprint are no longer held.
    Applied,
    /// Its number was used for another payload: the producer's mistake, and never to be answered as a success.
    Conflict,
    /// One or more before it are missing. The producer sends the expected one first.
    Gap {
        /// The number that is due.
        expected: ProducerSequence,
    },
    /// A later life of the producer has published.
    Fenced {
        /// The latest life.
        epoch: ProducerEpoch,
    },
    /// The producer's state has been forgotten, so nobody can say whether this is in the log. The producer asks its
    /// application, or begins a new life.
    Indeterminate,
    /// There is no room: too many of this producer's messages are in flight, or too many producers are remembered. The
    /// same message may be sent again later.
    Busy,
}

/// One attempt to append one message, from [`Contiguous::begin`] until it is committed or aborted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Claim {
    producer: Producer,
    attempt: u64,
}

impl Claim {
    /// The message's number.
    #[must_use]
    pub const fn producer(&self) -> Producer {
        self.producer
    }
}

/// The claim is not the next to commit: it was aborted, or another one of its producer comes first.
///
/// A log commits in the order of its appends, and nothing behind a failed append; so this is a mistake of the caller's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not the next message of its producer to commit: commit in the order of the appends")]
pub struct NotDue(pub Claim);

/// The log holds a producer's messages out of order.
///
/// The log is damaged, or it was written without this check. What was restored before stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the log has {found:?} after {epoch}/{last} of the same producer: it must not go back")]
pub struct Disordered {
    /// What was found.
    pub found: Producer,
    /// The life of the one before it.
    pub epoch: ProducerEpoch,
    /// The number of the one before it.
    pub last: ProducerSequence,
}

impl<R: Clone> Contiguous<R> {
    /// The state behind an empty log.
    ///
    /// A producer that comes for the first time may begin at any number, since none can have been forgotten.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let latest = Committed { position: Offset::new(0), ingested: WallTime::default() };
        Self { config, table: Table::new(), latest, forgotten: false, due: VecDeque::new(), attempts: 0 }
    }

    /// The state behind a log whose beginning is gone; its entries follow, with [`Self::restore`].
    ///
    /// An unknown producer must begin at [`ProducerSequence::FIRST`]: of any other number nobody can say whether it was
    /// in the part that is gone.
    #[must_use]
    pub fn from_tail(config: Config) -> Self {
        Self { forgotten: true, ..Self::new(config) }
    }

    /// What the message is; `now` is the time that the log would store with it.
    pub fn check(&self, producer: &Producer, payload: Fingerprint, now: WallTime) -> Check<R> {
        self.check_at(self.table.find(producer.id), producer, payload, now)
    }

    /// Claims the message for an append that the caller now makes.
    ///
    /// # Errors
    /// What the message is, where it is not [`Check::New`].
    pub fn begin(
        &mut self,
        producer: Producer,
        payload: Fingerprint,
        now: WallTime,
    ) -> Result<Claim, Check<R>> {
        let place = self.table.find(producer.id);
        match self.check_at(place, &producer, payload, now) {
            Check::New => {}
            other => return Err(other),
        }
        let place = place.unwrap_or_else(|| self.table.insert(producer.id));
        let claim = Claim { producer, attempt: self.attempts };
        self.attempts += 1;
        self.table.slot_mut(place).pending.push_back(Pending { claim, payload });
        Ok(claim)
    }

    /// The log has committed the message of this claim, here and with this result.
    ///
    /// # Errors
    /// [`NotDue`], and nothing has changed.
    pub fn commit(&mut self, claim: Claim, at: Committed, result: R) -> Result<(), NotDue> {
        let place = self.table.find(claim.producer.id).ok_or(NotDue(claim))?;
        let due = self
            .table
            .slot_mut(place)
            .pending
            .pop_front_if(|next| next.claim == claim)
            .ok_or(NotDue(claim))?;
        self.record(place, claim.producer, due.payload, at, result);
        Ok(())
    }

    /// The append of this claim has failed: its message may be sent again.
    ///
    /// The producer's later messages in flight are withdrawn with it, and their retries are a gap until this one is
    /// sent again: a log must commit nothing of a producer behind a failed append. Says how many claims are gone, this
    /// one included; none if it was withdrawn before.
    pub fn abort(&mut self, claim: Claim) -> usize {
        let Some(place) = self.table.find(claim.producer.id) else { return 0 };
        let slot = self.table.slot_mut(place);
        let Some(first) = slot.pending.iter().position(|pending| pending.claim == claim) else { return 0 };
        let withdrawn = slot.pending.len() - first;
        slot.pending.truncate(first);
        if first == 0 && slot.life.is_none() {
            self.note_due(claim.producer);
        }
        self.table.drop_if_empty(place);
        withdrawn
    }

    /// Reads an entry of the log again, in the log's order, before anything is begun.
    ///
    /// After the same entries the state is the same as the one that committed them. Entries may be missing where the
    /// log has trimmed them; what is missing is [`Check::Indeterminate`].
    ///
    /// # Errors
    /// [`Disordered`], and nothing has changed.
    pub fn restore(
        &mut self,
        producer: Producer,
        payload: Fingerprint,
        at: Committed,
        result: R,
    ) -> Result<(), Disordered> {
        let place = self.table.find(producer.id);
        if let Some(life) = place.and_then(|place| self.table.slot(place).life) {
            let Life { epoch, last, .. } = life;
            if (producer.epoch, producer.sequence) <= (epoch, last) {
                return Err(Disordered { found: producer, epoch, last });
            }
        }
        let place = place.unwrap_or_else(|| self.table.insert(producer.id));
        self.record(place, producer, payload, at, result);
        Ok(())
    }

    /// How long a duplicate is recognised at least: what a server advertises, so that a producer which returns later
    /// does not retry.
    #[must_use]
    pub const fn window(&self) -> Duration {
        self.config.idle
    }

    /// How many producers are remembered, those included whose first message is in flight.
    #[must_use]
    pub fn producers(&self) -> usize {
        self.table.len()
    }

    fn check_at(
        &self,
        place: Option<usize>,
        producer: &Producer,
        payload: Fingerprint,
        now: WallTime,
    ) -> Check<R> {
        let Some(slot) = place.map(|place| self.table.slot(place)) else {
            return self.check_unknown(producer, now);
        };
        let Some((epoch, last)) = slot.frontier() else { return self.check_unknown(producer, now) };
        if producer.epoch < epoch {
            if mutant!(OldProducerEpochAccepted) { Check::New } else { Check::Fenced { epoch } }
        } else if producer.epoch > epoch {
            self.check_next(slot, producer, ProducerSequence::FIRST)
        } else if producer.sequence <= last {
            slot.check_known(producer, payload)
        } else {
            self.check_next(slot, producer, last.next())
        }
    }

    /// A producer that is unknown begins anywhere, but not behind its first message, which may come again.
    fn note_due(&mut self, producer: Producer) {
        self.due.retain(|due| due.id != producer.id);
        if self.due.len() >= DUE {
            self.due.pop_front();
        }
        self.due.push_back(producer);
    }

    fn check_unknown(&self, producer: &Producer, now: WallTime) -> Check<R> {
        let due = self.due.iter().find(|due| (due.id, due.epoch) == (producer.id, producer.epoch));
        if let Some(due) = due.filter(|due| due.sequence < producer.sequence) {
            return Check::Gap { expected: due.sequence };
        }
        let may_be_in_the_log = producer.sequence != ProducerSequence::FIRST && self.forgotten;
        if may_be_in_the_log && !mutant!(ForgottenTakenForNew) {
            Check::Indeterminate
        } else if self.has_room(now) {
            Check::New
        } else {
            Check::Busy
        }
    }

    fn check_next(&self, slot: &Slot<R>, producer: &Producer, expected: ProducerSequence) -> Check<R> {
        if producer.sequence != expected && !mutant!(PseqGapAccepted) {
            Check::Gap { expected }
        } else if slot.pending.len() < self.config.pending.max(1) {
            Check::New
        } else {
            Check::Busy
        }
    }

    /// Whether another producer can be held: there is a place, or one of a producer that may be forgotten.
    fn has_room(&self, now: WallTime) -> bool {
        let needed = (self.table.len() + 1).saturating_sub(self.config.producers);
        let latest = Committed { ingested: now, ..self.latest };
        needed <= OVERSHOOT
            && self.table.oldest_first().take(needed).filter(|life| self.is_idle(life, latest)).count()
                == needed
    }

    /// What the log has committed; the only place where what is remembered changes.
    fn record(&mut self, place: usize, producer: Producer, payload: Fingerprint, at: Committed, result: R) {
        let results = self.config.results.max(1);
        let slot = self.table.slot_mut(place);
        let same_life = slot.life.filter(|life| life.epoch == producer.epoch);
        let base = match same_life {
            Some(life) if life.last.next() == producer.sequence => life.base,
            _ => producer.sequence,
        };
        if same_life.is_none() {
            slot.results.clear();
        } else if slot.results.len() == results {
            slot.results.pop_front();
        }
        slot.results.push_back(Done { sequence: producer.sequence, payload, result });
        slot.life = Some(Life { epoch: producer.epoch, base, last: producer.sequence, at });
        self.latest = at;
        self.due.retain(|due| due.id != producer.id);
        self.table.renew(place);
        self.forget();
    }

    /// Forgets the producers that have been silent too long.
    fn forget(&mut self) {
        while let Some(life) = self.table.oldest() {
            let over = self.table.lives() > self.config.producers;
            let far_over = self.table.lives() > self.config.producers + OVERSHOOT;
            let goes =
                far_over || (self.is_idle(&life, self.latest) && (over || self.is_far(&life, self.latest)));
            if !goes {
                return;
            }
            self.table.forget_oldest();
            self.forgotten = true;
        }
    }

    /// Whether the producer may be forgotten where its place is needed: not before, or what is advertised would not hold.
    fn is_idle(&self, life: &Life, latest: Committed) -> bool {
        let silent = latest.ingested.as_unix_millis().saturating_sub(life.at.ingested.as_unix_millis());
        Duration::from_millis(silent) > self.config.idle
    }

    fn is_far(&self, life: &Life, latest: Committed) -> bool {
        latest.position.get().saturating_sub(life.at.position.get()) > self.config.span
    }
}

impl<R: Hash> Hash for Contiguous<R> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.config, &self.table, self.latest, self.forgotten).hash(state);
    }
}

/// How many producers' failed first messages are remembered.
const DUE: usize = 1_024;

/// The life of a producer that the log knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Life {
    epoch: ProducerEpoch,
    /// From here to `last`, every number is in the log.
    base: ProducerSequence,
    last: ProducerSequence,
    at: Committed,
}

/// A message in the log.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Done<R> {
    sequence: ProducerSequence,
    payload: Fingerprint,
    result: R,
}

/// A message on its way to the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Pending {
    claim: Claim,
    payload: Fingerprint,
}

const _: () = assert!(size_of::<Pending>() == 64 && size_of::<Done<u64>>() == 24);

impl<R: Clone> Slot<R> {
    /// The newest message, be it in flight.
    fn frontier(&self) -> Option<(ProducerEpoch, ProducerSequence)> {
        let in_flight = self.pending.back().map(|pending| pending.claim.producer);
        in_flight
            .map(|producer| (producer.epoch, producer.sequence))
            .or(self.life.map(|life| (life.epoch, life.last)))
    }

    /// What a message is that is not above the frontier, in the frontier's life.
    fn check_known(&self, producer: &Producer, payload: Fingerprint) -> Check<R> {
        if let Some(pending) = self.pending.iter().find(|pending| pending.claim.producer == *producer) {
            return if payload.matches(pending.payload) {
                Check::Pending(pending.claim)
            } else {
                Check::Conflict
            };
        }
        let Some(life) = self.life.filter(|life| life.epoch == producer.epoch) else {
            return Check::Indeterminate;
        };
        match self.results.binary_search_by_key(&producer.sequence, |done| done.sequence) {
            Ok(index) if payload.matches(self.results[index].payload) => {
                Check::Duplicate(self.results[index].result.clone())
            }
            Ok(_) => Check::Conflict,
            Err(_) if producer.sequence >= life.base => Check::Applied,
            Err(_) => Check::Indeterminate,
        }
    }
}
