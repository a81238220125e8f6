//! Identifiers of any kind, each once within a window of time and of log positions: for publishers that number nothing.
//!
//! An identifier is known by its [`Tag`], 64 bits of a hash. They are kept in generations that are dropped whole, so
//! forgetting costs nothing for each of them. What is outside the window is taken for new, therefore the window is
//! [advertised](IdWindow::window): a publisher that returns later must not retry, but report that it does not know.
//!
//! ```
//! use tenfour_delivery::dedup::{Committed, Fingerprint, IdWindow, Tag, id_window::{Check, Config}};
//! use tenfour_delivery::{number::Offset, time::WallTime};
//!
//! let mut ids = IdWindow::new(Config::default());
//! let now = WallTime::from_unix_millis(1_700_000_000_000);
//! let (id, payload) = (Tag::new(0x51d3_0a77), Fingerprint::new(42));
//!
//! let claim = ids.begin(id, payload, now).expect("it is new");
//! assert_eq!(ids.check(id, payload, now), Check::Pending(claim));
//! ids.commit(claim, Committed { position: Offset::new(7), ingested: now }, "offset 7").expect("it was begun");
//!
//! assert_eq!(ids.check(id, payload, now), Check::Duplicate("offset 7"));
//! assert_eq!(ids.check(id, Fingerprint::new(43), now), Check::Conflict);
//! ```

#[cfg(test)]
mod tests;

use alloc::{collections::VecDeque, vec::Vec};
use core::{
    hash::{Hash, Hasher},
    time::Duration,
};

use hashbrown::HashTable;

use super::{Committed, Fingerprint};
use crate::{number::Offset, time::WallTime};

/// How many identifiers are remembered, and for how long.
///
/// An identifier takes `size_of::<R>()` + 17 bytes in a hash table that is between 7/16 and 7/8 full.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Config {
    /// How many committed identifiers are remembered. Default 1,048,576: 8,700 a second for two minutes.
    pub ids: usize,
    /// How many may be in flight. Default 4,096.
    pub pending: usize,
    /// For how long each is remembered at least: the advertised window. Default 2 minutes.
    pub window: Duration,
    /// How far behind the log's end, in positions, an identifier must be before it is forgotten, so that a jump of the
    /// clock alone forgets nothing while there is room. Default 100,000.
    pub span: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { ids: 1 << 20, pending: 4_096, window: Duration::from_secs(120), span: 100_000 }
    }
}

/// 64 bits of a hash of an identifier, which know it by.
///
/// A secret key keeps a peer from choosing two identifiers alike. Where two are alike by chance, the second is a
/// [`Check::Conflict`], or a duplicate if its payload is the same as well: compare the identifier that the log has at
/// the result where that matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(u64);

impl Tag {
    /// The tag of this value, all of whose bits must depend on all of the identifier.
    #[must_use]
    pub const fn new(hash: u64) -> Self {
        Self(hash)
    }

    /// The value that [`Self::new`] takes.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

/// Which identifiers are in the log, or on their way to it.
///
/// A generation of them is forgotten when its newest is older than [`Config::window`] *and* further back than
/// [`Config::span`]; where the table is full, the time alone will do. Both are measured by what the log commits, so the state
/// after the same entries is the same. Where nothing may be forgotten and the table is full, a new identifier is refused
/// ([`Check::Busy`]).
#[derive(Clone, Debug)]
pub struct IdWindow<R> {
    config: Config,
    /// The oldest first; the last one is being filled.
    generations: VecDeque<Generation<R>>,
    /// An emptied table, kept for its memory.
    spare: HashTable<Done<R>>,
    pending: HashTable<Pending>,
    latest: Committed,
    attempts: u64,
}

/// Into how many generations a window is divided.
const GENERATIONS: usize = 8;

#[derive(Clone, Debug)]
struct Generation<R> {
    first: Committed,
    last: Committed,
    done: HashTable<Done<R>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Done<R> {
    tag: Tag,
    payload: Fingerprint,
    result: R,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Pending {
    claim: Claim,
    payload: Fingerprint,
}

/// What a message is, by its identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub enum Check<R> {
    /// Not within the window: [`IdWindow::begin`] takes it.
    New,
    /// It is in flight: answer when this claim is answered, and append nothing.
    Pending(Claim),
    /// It is in the log, with this result.
    Duplicate(R),
    /// The identifier was used for another payload: never to be answered as a success.
    Conflict,
    /// There is no room: the message may be sent again later.
    Busy,
}

/// One attempt to append one message, from [`IdWindow::begin`] until it is committed or aborted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Claim {
    tag: Tag,
    attempt: u64,
}

/// The claim was committed or aborted before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not in flight: a claim is committed or aborted once")]
pub struct NotPending(pub Claim);

impl<R: Clone> IdWindow<R> {
    /// A window that has seen nothing.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self {
            config,
            generations: VecDeque::new(),
            spare: HashTable::new(),
            pending: HashTable::new(),
            latest: Committed { position: Offset::new(0), ingested: WallTime::default() },
            attempts: 0,
        }
    }

    /// What the message is; `now` is the time that the log would store with it.
    pub fn check(&self, tag: Tag, payload: Fingerprint, now: WallTime) -> Check<R> {
        if let Some(pending) = self.find_pending(tag) {
            return if payload.matches(pending.payload) {
                Check::Pending(pending.claim)
            } else {
                Check::Conflict
            };
        }
        match self.find_done(tag) {
            Some(done) if payload.matches(done.payload) => Check::Duplicate(done.result.clone()),
            Some(_) => Check::Conflict,
            None if self.has_room(now) => Check::New,
            None => Check::Busy,
        }
    }

    /// Claims the message for an append that the caller now makes.
    ///
    /// # Errors
    /// What the message is, where it is not [`Check::New`].
    pub fn begin(&mut self, tag: Tag, payload: Fingerprint, now: WallTime) -> Result<Claim, Check<R>> {
        match self.check(tag, payload, now) {
            Check::New => {}
            other => return Err(other),
        }
        let claim = Claim { tag, attempt: self.attempts };
        self.attempts += 1;
        self.pending.insert_unique(tag.0, Pending { claim, payload }, |pending| pending.claim.tag.0);
        Ok(claim)
    }

    /// The log has committed the message of this claim, here and with this result.
    ///
    /// # Errors
    /// [`NotPending`], and nothing has changed.
    pub fn commit(&mut self, claim: Claim, at: Committed, result: R) -> Result<(), NotPending> {
        let payload = self.take_pending(claim)?.payload;
        self.record(Done { tag: claim.tag, payload, result }, at);
        Ok(())
    }

    /// The append of this claim has failed: its message may be sent again.
    ///
    /// # Errors
    /// [`NotPending`], and nothing has changed.
    pub fn abort(&mut self, claim: Claim) -> Result<(), NotPending> {
        self.take_pending(claim).map(|_| ())
    }

    /// Reads an entry of the log again, in the log's order: after the same entries the state is the same as the one that
    /// committed them.
    pub fn restore(&mut self, tag: Tag, payload: Fingerprint, at: Committed, result: R) {
        self.record(Done { tag, payload, result }, at);
    }

    /// How long a duplicate is recognised at least: what a server advertises.
    #[must_use]
    pub const fn window(&self) -> Duration {
        self.config.window
    }

    /// How many committed identifiers are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.generations.iter().map(|generation| generation.done.len()).sum()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.generations.is_empty()
    }

    /// How many bytes the tables take.
    #[must_use]
    pub fn allocated(&self) -> usize {
        let done: usize = self.generations.iter().map(|generation| generation.done.allocation_size()).sum();
        done + self.spare.allocation_size() + self.pending.allocation_size()
    }

    fn find_pending(&self, tag: Tag) -> Option<&Pending> {
        self.pending.find(tag.0, |pending| pending.claim.tag == tag)
    }

    fn take_pending(&mut self, claim: Claim) -> Result<Pending, NotPending> {
        let found = self.pending.find_entry(claim.tag.0, |pending| pending.claim == claim);
        Ok(found.map_err(|_| NotPending(claim))?.remove().0)
    }

    /// The newest first: most retries come soon.
    fn find_done(&self, tag: Tag) -> Option<&Done<R>> {
        let mut newest_first = self.generations.iter().rev();
        newest_first.find_map(|generation| generation.done.find(tag.0, |done| done.tag == tag))
    }

    fn has_room(&self, now: WallTime) -> bool {
        let latest = Committed { ingested: now, ..self.latest };
        let oldest_may_go = || self.generations.front().is_some_and(|oldest| self.is_old(oldest, latest));
        self.pending.len() < self.config.pending
            && (self.len() + self.pending.len() < self.config.ids || oldest_may_go())
    }

    /// What the log has committed; the only place where what is remembered changes.
    fn record(&mut self, done: Done<R>, at: Committed) {
        self.latest = at;
        self.forget();
        if self.needs_generation(at) {
            let table = core::mem::take(&mut self.spare);
            self.generations.push_back(Generation { first: at, last: at, done: table });
        }
        let Some(newest) = self.generations.back_mut() else { return };
        newest.last = at;
        newest.done.insert_unique(done.tag.0, done, |done| done.tag.0);
    }

    fn needs_generation(&self, at: Committed) -> bool {
        let Some(newest) = self.generations.back() else { return true };
        let is_old = age(newest.first, at) * GENERATIONS as u32 >= self.config.window;
        let is_full = newest.done.len() * GENERATIONS >= self.config.ids;
        (is_old || is_full) && self.generations.len() <= GENERATIONS
    }

    fn forget(&mut self) {
        while let Some(oldest) = self.generations.front() {
            let over = self.len() >= self.config.ids;
            let far_over = self.len() > self.config.ids + self.config.pending;
            let goes =
                far_over || (self.is_old(oldest, self.latest) && (over || self.is_far(oldest, self.latest)));
            if !goes {
                return;
            }
            if let Some(mut oldest) = self.generations.pop_front() {
                oldest.done.clear();
                self.spare = oldest.done;
            }
        }
    }

    /// Whether the generation may be forgotten where its place is needed: not before, or what is advertised would not hold.
    fn is_old(&self, generation: &Generation<R>, latest: Committed) -> bool {
        age(generation.last, latest) > self.config.window
    }

    fn is_far(&self, generation: &Generation<R>, latest: Committed) -> bool {
        latest.position.get().saturating_sub(generation.last.position.get()) > self.config.span
    }
}

fn age(from: Committed, to: Committed) -> Duration {
    let (from, to) = (from.ingested.as_unix_millis(), to.ingested.as_unix_millis());
    Duration::from_millis(to.saturating_sub(from))
}

/// In the order of the tags: how a table has grown does not count.
impl<R: Hash> Hash for IdWindow<R> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.config, self.latest).hash(state);
        for generation in &self.generations {
            (generation.first, generation.last).hash(state);
            let mut done: Vec<_> = generation.done.iter().collect();
            done.sort_unstable_by_key(|done| done.tag);
            done.hash(state);
        }
        let mut pending: Vec<_> = self.pending.iter().collect();
        pending.sort_unstable_by_key(|pending| pending.claim);
        pending.hash(state);
    }
}
