//! The sending half of at-least-once: numbered messages, held until the peer has acknowledged them.
//!
//! What has a number keeps it: a message that expires is sent as a *skip* of the same number, so that the peer never
//! sees a hole. On a pipe that keeps order nothing is sent twice but after a reconnection ([`Window::rewind`]); on
//! one that does not, [`Window::mark_lost`] and [`Window::probe`] say what to send again, and [`probe`](crate::probe)
//! says when.
//!
//! ```
//! use tenfour_delivery::{
//!     ack::Ack,
//!     number::Sequence,
//!     time::Instant,
//!     window::{Config, Content, Credit, Window},
//! };
//!
//! let now = Instant::ZERO;
//! let mut window = Window::new(Config::default());
//! window.grant(Credit { messages: 100, bytes: 10_000 }); // what the peer will take
//!
//! let first = window.push("hello", 5, None).expect("there is room");
//! window.push("world", 5, None).expect("there is room");
//! while let Some(transmit) = window.next_transmit(now) {
//!     let Content::Payload(text) = transmit.content else { unreachable!("it cannot expire") };
//!     println!("{}: {text}", transmit.sequence);
//! }
//!
//! // The connection breaks. The peer comes back and has received the first: the second is sent again.
//! window.rewind(first.next())?;
//! assert_eq!(window.next_transmit(now).map(|again| again.sequence), Some(Sequence::new(1)));
//!
//! let acknowledged = window.acknowledge(&Ack::new(Sequence::new(2)), now)?;
//! assert_eq!((acknowledged.messages, window.len()), (1, 0));
//! # Ok::<(), tenfour_delivery::window::AckError>(())
//! ```

use alloc::collections::VecDeque;
use core::time::Duration;

use crate::{
    ack::Ack,
    mutant,
    number::{Offset, Sequence},
    time::Instant,
};

mod credit;
mod error;
mod slot;
mod withdraw;

pub use credit::Credit;
pub use error::{AckError, Cause, Full};
use slot::{Certainty, Flight, Settled, Slot};

/// At-least-once sending of payloads `P`: numbers them, holds them until they are acknowledged, says what to transmit.
///
/// After it has grown to its bounds it allocates nothing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Window<P> {
    config: Config,
    /// Everything unacknowledged in ascending order, and what was acknowledged ahead of it.
    slots: VecDeque<Slot<P>>,
    /// The number that the next message gets; the end of the last slot.
    next: Sequence,
    /// The number after the highest that was ever transmitted: nothing from here on can have been acknowledged.
    transmitted: Sequence,
    /// No slot before this one waits for transmission.
    pending: Sequence,
    /// Bytes of the payloads that are held.
    bytes: usize,
    /// How many slots are on their way.
    flying: usize,
    /// What the peer has granted.
    granted: Credit,
    /// What has been numbered.
    charged: Credit,
    /// How many transmissions there were: each has a number, as QUIC's packets have.
    transmissions: u64,
    /// The highest transmission that is known to have arrived.
    arrived: Option<u64>,
    /// The shortest round trip there was.
    shortest: Option<Duration>,
    last_transmit: Option<Instant>,
}

/// A window's own bounds, whatever the peer grants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Config {
    /// How many messages may be unacknowledged at a time. Default: 256.
    pub messages: usize,
    /// How many bytes of payload may be held at a time. Default: 1 MiB. A larger message is never taken.
    pub bytes: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { messages: 256, bytes: 1 << 20 }
    }
}

/// What an acknowledgement did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Acknowledged {
    /// How many messages were acknowledged for the first time.
    pub messages: u64,
    /// How many bytes of payload were freed.
    pub bytes: usize,
    /// How long ago the newest of them was transmitted, unless it was transmitted more than once, since then nobody knows
    /// which arrived (Karn's algorithm). The peer's delay is in it.
    pub round_trip: Option<Duration>,
}

/// Something to transmit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Transmit<'a, P> {
    /// Its number; of a run, the first one's.
    pub sequence: Sequence,
    /// How many bytes it counts for against the peer's credit; zero for a run, whose messages were counted one by one.
    pub bytes: usize,
    /// What to send.
    pub content: Content<&'a P>,
}

/// What to send under a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Content<P> {
    /// The message.
    Payload(P),
    /// That this message has expired. The peer counts the skip for as many bytes as the message had, so it is told how
    /// many, else the two sides' credit would drift apart.
    Skip(P),
    /// Messages to be read from the log, under consecutive numbers.
    Run(Run),
}

/// Consecutive messages of a log, as a reference: however many they are, it has the same size.
///
/// They are the entries after `after` and through `through`, without the first `skip` of them, and no more than `count`.
/// If the log no longer has them, a loss or a skip takes each number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Run {
    /// The entry before the first one, or where reading began.
    pub after: Offset,
    /// The last one.
    pub through: Offset,
    /// The caller's name for the log or the channel.
    pub log: u32,
    /// How many entries after `after` are not wanted, having been acknowledged.
    pub skip: u32,
    /// How many entries are wanted.
    pub count: u32,
}

const _: () = assert!(size_of::<Run>() <= 32, "a run is a reference, of a few words");
const _: () = assert!(size_of::<Slot<&()>>() <= 80, "and what the window adds to it is small");

impl<P> Window<P> {
    /// A transmission is lost when one that began so many later has arrived (RFC 9002 §6.1.1).
    pub const PACKET_THRESHOLD: u64 = 3;

    /// What each message takes of a window's memory, besides what its payload has elsewhere.
    pub const SLOT_BYTES: usize = size_of::<Slot<P>>();

    /// An empty window, without credit: [`grant`](Self::grant) some.
    #[must_use]
    pub const fn new(config: Config) -> Self {
        Self {
            config,
            slots: VecDeque::new(),
            next: Sequence::FIRST,
            transmitted: Sequence::FIRST,
            pending: Sequence::FIRST,
            bytes: 0,
            flying: 0,
            granted: Credit { messages: 0, bytes: 0 },
            charged: Credit { messages: 0, bytes: 0 },
            transmissions: 0,
            arrived: None,
            shortest: None,
            last_transmit: None,
        }
    }

    /// Numbers a message that counts for `bytes`, and holds it. From `deadline` on it is sent as a skip, be it for the
    /// first time or again.
    ///
    /// # Errors
    /// [`Full`] gives it back and says what to wait for.
    pub fn push(&mut self, payload: P, bytes: usize, deadline: Option<Instant>) -> Result<Sequence, Full<P>> {
        match self.refusal(bytes, bytes) {
            Some(cause) => Err(Full { payload, cause }),
            None => {
                self.bytes += bytes;
                Ok(self.number(bytes, |first| Slot::payload(first, payload, bytes, deadline)))
            }
        }
    }

    /// Numbers a message that `log` holds at `offset`, its entry before that being `previous`, and keeps a reference.
    /// Consecutive ones share one. Its `bytes` count for the peer's credit alone.
    ///
    /// # Errors
    /// [`Full`] says what to wait for.
    pub fn push_log(
        &mut self,
        log: u32,
        previous: Offset,
        offset: Offset,
        bytes: usize,
    ) -> Result<Sequence, Full<()>> {
        if let Some(cause) = self.refusal(0, bytes) {
            return Err(Full { payload: (), cause });
        }
        let run = Run { after: previous, through: offset, log, skip: 0, count: 1 };
        let sequence = self.number(bytes, |first| Slot::run(first, run));
        self.join(self.slots.len() - 1);
        Ok(sequence)
    }

    /// Whether [`push`](Self::push) would take a message of `bytes` now.
    #[must_use]
    pub fn has_capacity(&self, bytes: usize) -> bool {
        self.refusal(bytes, bytes).is_none()
    }

    /// The peer takes so much. A grant that is lower than one before changes nothing.
    pub fn grant(&mut self, credit: Credit) {
        self.granted = self.granted.max(credit);
    }

    /// What to transmit next, the lowest number first; `None` until something is pushed, lost or rewound. What it returns
    /// counts as transmitted.
    pub fn next_transmit(&mut self, now: Instant) -> Option<Transmit<'_, P>> {
        let Some(index) = self.first_pending() else {
            self.pending = self.next;
            return None;
        };
        let slot = &mut self.slots[index];
        slot.transmit(now, self.transmissions);
        self.flying += 1;
        self.transmissions += 1;
        self.last_transmit = Some(now);
        self.pending = slot.end();
        self.transmitted = self.transmitted.max(slot.end());
        let sequence = slot.first;
        if mutant!(SkipNotNumbered) && slot.is_skip() {
            self.bytes -= slot.settle().bytes;
            self.flying -= 1;
            self.release();
            return self.next_transmit(now);
        }
        if let Some(run) = slot.as_run() {
            self.join(index);
            return Some(Transmit { sequence, bytes: 0, content: Content::Run(run) });
        }
        self.slots[index].as_transmit()
    }

    /// Takes an acknowledgement: frees what it covers. One that is late or repeated changes nothing.
    ///
    /// # Errors
    /// [`AckError::FromFuture`] if it covers what was never transmitted; nothing changes then.
    pub fn acknowledge(&mut self, ack: &Ack, now: Instant) -> Result<Acknowledged, AckError> {
        self.check(ack.end())?;
        let mut tally = Tally::default();
        self.settle_below(ack.next(), &mut tally);
        for range in ack.ranges() {
            self.settle_between(range.first(), range.end(), &mut tally);
        }
        self.release();
        Ok(self.conclude(tally, now))
    }

    /// The peer is back on a new connection and has received everything below `peer_next`, and what it acknowledged above:
    /// the rest is to be transmitted, again where it was before.
    ///
    /// # Errors
    /// [`AckError::FromFuture`] and [`AckError::Gone`]; nothing changes then. [`resume::decide`](crate::resume::decide)
    /// tells these cases before.
    pub fn rewind(&mut self, peer_next: Sequence) -> Result<Acknowledged, AckError> {
        self.check(peer_next)?;
        if peer_next < self.first_held() {
            return Err(AckError::Gone { needed: peer_next, first_held: self.first_held() });
        }
        let mut tally = Tally::default();
        self.settle_below(peer_next, &mut tally);
        self.release();
        self.bytes -= tally.bytes;
        for slot in &mut self.slots {
            slot.put_back();
        }
        self.flying = 0;
        self.pending = self.first_held();
        Ok(Acknowledged { messages: tally.messages, bytes: tally.bytes, round_trip: None })
    }

    /// For a pipe that loses: what was overtaken by [three](Self::PACKET_THRESHOLD) transmissions that arrived is to be
    /// transmitted again. Call it after [`acknowledge`](Self::acknowledge); it returns how many messages these are.
    pub fn mark_lost(&mut self) -> u64 {
        let Some(overtaken) = self.arrived.and_then(|arrived| arrived.checked_sub(Self::PACKET_THRESHOLD))
        else {
            return 0;
        };
        let mut messages = 0;
        for slot in &mut self.slots {
            match slot.flight() {
                Some(flight) if flight.transmission <= overtaken => {
                    slot.put_back();
                    self.flying -= 1;
                    self.pending = self.pending.min(slot.first);
                    messages += slot.len();
                }
                // What is behind it was transmitted later, be it for the first time.
                Some(Flight { certainty: Certainty::Only, .. }) => break,
                _ => {}
            }
        }
        messages
    }

    /// For a pipe that loses: nothing has been heard for a [probe timeout](crate::probe), so the oldest that is in flight is
    /// to be transmitted again. Returns its number, `None` if nothing is in flight.
    pub fn probe(&mut self) -> Option<Sequence> {
        let oldest = self.slots.iter_mut().find(|slot| slot.flight().is_some())?;
        oldest.put_back();
        self.flying -= 1;
        self.pending = self.pending.min(oldest.first);
        Some(oldest.first)
    }

    /// When the last transmission was, if anything is in flight: a probe timeout runs from here (RFC 9002 §6.2.1).
    #[must_use]
    pub fn last_transmit(&self) -> Option<Instant> {
        self.last_transmit.filter(|_| self.flying > 0)
    }

    /// Whether [`next_transmit`](Self::next_transmit) has something.
    #[must_use]
    pub fn has_pending(&self) -> bool {
        self.first_pending().is_some()
    }

    /// The first number that is not acknowledged, and so could be sent again.
    #[must_use]
    pub fn first_held(&self) -> Sequence {
        self.slots.front().map_or(self.next, |slot| slot.first)
    }

    /// The number that the next message gets.
    #[must_use]
    pub const fn next(&self) -> Sequence {
        self.next
    }

    /// The number after the highest that was ever transmitted.
    #[must_use]
    pub const fn transmitted(&self) -> Sequence {
        self.transmitted
    }

    /// How many numbers there are from [`first_held`](Self::first_held) on: what [`Config::messages`] bounds.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.next.since(self.first_held())
    }

    /// Whether everything is acknowledged.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// How many bytes of payload are held: what [`Config::bytes`] bounds.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// What the peer has granted, and what of it is used.
    #[must_use]
    pub const fn credit(&self) -> (Credit, Credit) {
        (self.granted, self.charged)
    }

    /// Gives memory back that nothing needs. For a session that has fallen silent: the next messages ask for it again.
    pub fn shrink(&mut self) {
        self.slots.shrink_to_fit();
    }

    /// What is not acknowledged, in order: for a new session where this one cannot go on.
    pub fn into_unacknowledged(self) -> impl Iterator<Item = (Sequence, Content<P>)> {
        self.slots.into_iter().filter_map(|slot| Some((slot.first, slot.into_content()?)))
    }

    fn refusal(&self, held: usize, charge: usize) -> Option<Cause> {
        if held > self.config.bytes {
            return Some(Cause::TooLarge);
        }
        if self.len() >= self.config.messages as u64 || held > self.config.bytes - self.bytes {
            return Some(Cause::Window);
        }
        (!self.charged.plus(charge).fits(self.granted)).then_some(Cause::Credit)
    }

    fn number(&mut self, bytes: usize, slot: impl FnOnce(Sequence) -> Slot<P>) -> Sequence {
        let sequence = self.next;
        self.charged = self.charged.plus(bytes);
        self.slots.push_back(slot(sequence));
        self.next = sequence.next();
        sequence
    }

    /// Makes the run at `index` one with the run before it, where they are alike. A run is bounded by the window's size:
    /// else one that is acknowledged at its beginning and grows at its end would be re-read from ever further back.
    fn join(&mut self, index: usize) {
        let bound = u32::try_from(self.config.messages).unwrap_or(u32::MAX);
        let Some(before) = index.checked_sub(1) else { return };
        if let Some(joined) = self.slots[before].joined(&self.slots[index], bound) {
            self.flying -= usize::from(joined.flight().is_some());
            self.slots[before] = joined;
            self.slots.remove(index);
        }
    }

    fn check(&self, end: Sequence) -> Result<(), AckError> {
        if end > self.transmitted && !mutant!(AckFromFutureAccepted) {
            return Err(AckError::FromFuture { acknowledged: end, transmitted: self.transmitted });
        }
        Ok(())
    }

    fn settle_below(&mut self, end: Sequence, tally: &mut Tally) {
        while let Some(slot) = self.slots.front_mut().filter(|slot| slot.first < end) {
            let rest = slot.split_off(end);
            let settled = slot.settle();
            // What was split flies in two parts now.
            self.flying -= usize::from(settled.flight.is_some() && rest.is_none());
            tally.add(settled);
            match rest {
                Some(rest) => *slot = rest,
                None => drop(self.slots.pop_front()),
            }
        }
    }

    fn settle_between(&mut self, first: Sequence, end: Sequence, tally: &mut Tally) {
        let Some(mut index) = self.index(first.max(self.first_held())) else { return };
        while self.slots.get(index).is_some_and(|slot| slot.first < end) {
            // Of a run, neither what lies before the range nor what lies beyond it.
            if let Some(rest) = self.slots[index].split_off(first) {
                index += 1;
                self.flying += usize::from(rest.flight().is_some());
                self.slots.insert(index, rest);
            }
            if let Some(rest) = self.slots[index].split_off(end) {
                self.flying += usize::from(rest.flight().is_some());
                self.slots.insert(index + 1, rest);
            }
            let settled = self.slots[index].settle();
            self.flying -= usize::from(settled.flight.is_some());
            tally.add(settled);
            index += 1;
        }
    }

    /// What is acknowledged is forgotten once nothing before it is held.
    fn release(&mut self) {
        while self.slots.front().is_some_and(Slot::is_settled) {
            self.slots.pop_front();
        }
    }

    /// What an acknowledgement says of the pipe. Which transmission of several has arrived is known only if the last was
    /// too recent to be it, or the others too long ago: RFC 8985 §6.2 takes the last for it unless it would have been
    /// faster than ever.
    fn conclude(&mut self, tally: Tally, now: Instant) -> Acknowledged {
        self.bytes -= tally.bytes;
        let round_trip =
            tally.newest.filter(|newest| newest.certainty == Certainty::Only).map(|newest| now - newest.at);
        self.shortest = [self.shortest, round_trip].into_iter().flatten().min();
        let has_arrived = |newest: &Flight| match newest.certainty {
            Certainty::Only => true,
            Certainty::Again => self.shortest.is_some_and(|shortest| now - newest.at >= shortest),
            Certainty::Later => false,
        };
        let arrived = tally.newest.filter(has_arrived).map(|newest| newest.transmission);
        self.arrived = self.arrived.max(arrived);
        Acknowledged { messages: tally.messages, bytes: tally.bytes, round_trip }
    }

    fn first_pending(&self) -> Option<usize> {
        let from = self.index(self.pending.max(self.first_held()))?;
        self.slots.range(from..).position(|slot| slot.is_pending()).map(|place| from + place)
    }

    /// Where `sequence` is: at its distance from the first, where no run comes before it.
    fn index(&self, sequence: Sequence) -> Option<usize> {
        let distance = usize::try_from(sequence.since(self.first_held())).ok()?;
        match self.slots.get(distance) {
            Some(slot) if slot.first == sequence => Some(distance),
            _ if sequence >= self.next => None,
            _ => self.slots.partition_point(|slot| slot.first <= sequence).checked_sub(1),
        }
    }
}

/// What is being settled by one acknowledgement.
#[derive(Default)]
struct Tally {
    messages: u64,
    bytes: usize,
    newest: Option<Flight>,
}

impl Tally {
    fn add(&mut self, settled: Settled) {
        self.messages += settled.messages;
        self.bytes += settled.bytes;
        if settled.flight.map(|flight| flight.transmission) >= self.newest.map(|newest| newest.transmission) {
            self.newest = settled.flight;
        }
    }
}

#[cfg(test)]
mod tests;
