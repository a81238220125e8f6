//! Sessions that outlive their connections: a client that comes back with its pid and its offset goes on where it was.
//!
//! A session is a cursor on the namespace's log, and the client brings the cursor. What else a session is made of (its id,
//! its rooms, its data) is noted in the same log, at the place where it takes effect, so that whoever reads the log knows for
//! each message who was in the room. Live and replay come from that one log, and have no seam.
//!
//! ```
//! use tenfour_broker::{Limits, Message, Body, Namespace, SocketId};
//! use tenfour_broker::channel::{Entry, Envelope, Record, Taken};
//! use tenfour_broker::recovery::{Arrival, Away, Claim, Config, Departure, Effect, Event, How, Item, Pid, Recovery, Visit};
//! use tenfour_delivery::{number::Epoch, resume::Position, time::Now};
//! use tenfour_log::{Log, Memory, Retention};
//!
//! let epoch = Epoch::new(1);
//! let (mut log, mut recovery) = (Memory::new(epoch, Retention::default()), Recovery::new(Config::default(), epoch));
//! let mut members: Namespace<&'static str> = Namespace::new("/".into(), Limits::default(), 0);
//! let (now, mut seen) = (Now::default(), Vec::new());
//! let mut outbox = |_: SocketId, wire: &&'static str, item: Item<'_>| {
//!     if let Item::Committed { message, .. } | Item::Replayed { message, .. } = item {
//!         seen.push((*wire, message.name.clone().unwrap()));
//!     }
//!     Taken::Yes
//! };
//! // The driver performs what is asked for, and hands in the answers.
//! macro_rules! settle { () => {
//!     while let Some(effect) = recovery.poll_effect() {
//!         match effect {
//!             Effect::Append { ticket, records } => log.append(ticket, records),
//!             Effect::Read { ticket, query } => {
//!                 recovery.page(now, ticket, log.read(&query), &mut members, &mut outbox);
//!             }
//!             Effect::Release { channel, through } => log.release(&channel, through),
//!             _ => unreachable!("that is all"),
//!         }
//!         while let Some(done) = log.poll() {
//!             recovery.committed(now, done.ticket, done.result, &mut members);
//!         }
//!     }
//! } }
//! // A message that was published and is committed, as `channel::Sink::committed` tells of it.
//! macro_rules! publish { ($name:literal) => {{
//!     let envelope = Envelope::of(Message::new($name, Body::json("")));
//!     let (channels, payload) = (vec!["lobby".into()], envelope.to_stored());
//!     log.append(tenfour_log::Ticket(0), vec![Record { channels, producer: None, ingested: now.wall, expires: None, payload }]);
//!     let entry: Entry = log.poll().unwrap().result.unwrap().remove(0);
//!     recovery.fan_out(&entry, Some(&envelope), &mut members, &mut outbox);
//!     Position { epoch, offset: entry.offset }
//! }} }
//!
//! let (id, pid) = (SocketId::from_bytes([1; 15]), Pid::from_bytes([2; 15]));
//! recovery.connect(now, Visit(1), Arrival::new((id, pid)), &mut members)?;
//! assert!(matches!(recovery.poll_event(), Some(Event::Admitted { how: How::Fresh, .. })));
//! recovery.admitted(now, Visit(1), "first wire", &mut members, &mut outbox);
//! recovery.join(now, id, &"lobby".into(), Away::Everything, &mut members)?;
//! recovery.ready(now, id); // the application has set it up
//! settle!();
//!
//! let at = publish!("hello");
//! recovery.depart(now, Visit(1), Departure::Lost, &mut members);
//! publish!("while away");
//!
//! let claim = Claim { pid, at: Some(at) };
//! let arrival = Arrival::new((SocketId::from_bytes([3; 15]), Pid::from_bytes([4; 15]))).claiming(claim);
//! recovery.connect(now, Visit(2), arrival, &mut members)?;
//! settle!();
//! assert!(matches!(recovery.poll_event(), Some(Event::Admitted { how: How::Recovered, .. })));
//! recovery.admitted(now, Visit(2), "second wire", &mut members, &mut outbox);
//! settle!();
//! publish!("there again");
//! let seen: Vec<_> = seen.iter().map(|(wire, name)| (*wire, &**name)).collect();
//! assert_eq!(seen, [("first wire", "hello"), ("second wire", "while away"), ("second wire", "there again")]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | rule | how |
//! |---|---|
//! | a pid is answered again only where the replay is exact | the log is asked first whether it lost anything after the claim, in rooms that the session was in |
//! | the newest claimant has the session | the visit before it is [fenced](Event::Fenced) at once, and nothing that was begun for it goes on |
//! | who was in a room when, decides | a membership begins and ends at a place in the log; a replay goes by it |
//! | whoever has everything costs a look at a flag | a commit is handed to them directly; anyone else is read for, in pages |
//! | a refused note changes nothing | a change is made when it is committed, and whoever asked for it is told |
//! | nothing grows without bound | [`Config`] |

use alloc::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    vec::Vec,
};

use bytestring::ByteString;
use tenfour_delivery::{
    log::{ReadError, Ticket},
    loss::Lost,
    mutant,
    number::{Epoch, Offset},
    resume::Position,
    time::{Instant, Now, earliest},
};

pub use self::{
    change::Selected,
    config::{Away, Config},
    error::{ChangeError, ConnectError},
    item::{Item, Outbox},
    session::{Left, Membership, Pid, Snapshot},
};
use self::{
    notes::Notes,
    replay::Reads,
    session::{Phase, Session, Written},
};
use crate::{
    Namespace, SocketId,
    channel::{Page, Query, Record},
};

mod arrive;
mod change;
mod config;
mod error;
mod fan_out;
mod item;
mod leave;
mod notes;
mod reader;
mod replay;
mod restore;
mod session;

/// A client's presence: one connection's stay in the namespace. The driver numbers them as their clients come, and uses no
/// number twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Visit(pub u64);

/// What a client claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Claim {
    /// Its session.
    pub pid: Pid,
    /// What it has; `None` for a client that got nothing yet.
    pub at: Option<Position>,
}

/// A client that wants in, and that may come in.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Arrival {
    /// The session that it had.
    pub claim: Option<Claim>,
    /// Drawn at random, for the session that it gets if it cannot have that one.
    pub fresh: (SocketId, Pid),
    /// The data of a fresh session, a JSON text. One that is recovered keeps its own.
    pub data: Option<ByteString>,
}

impl Arrival {
    /// A client that claims nothing.
    #[must_use]
    pub const fn new(fresh: (SocketId, Pid)) -> Self {
        Self { claim: None, fresh, data: None }
    }

    /// The same client, with a claim.
    #[must_use]
    pub fn claiming(self, claim: Claim) -> Self {
        Self { claim: Some(claim), ..self }
    }
}

/// How a session begins a visit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum How {
    /// It is new, and its client has missed nothing that it was owed.
    Fresh,
    /// It goes on exactly where its client is: tell it the same pid.
    Recovered,
    /// It is new, since the one that was claimed could not go on. The client is told of it by an [`Item::Lost`], the first
    /// thing that it gets.
    Lost(Lost),
}

/// How a visit ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Departure {
    /// The connection is lost: the client may come back.
    Lost,
    /// The client is done, or was sent away: its session is over.
    Left,
}

/// Why a session is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EndReason {
    /// Its client left, or was sent away.
    Left,
    /// Its client was lost before the application was done with setting it up.
    Unready,
    /// Its client did not come back in time.
    Expired,
    /// Its room was needed for others.
    Evicted,
    /// It was claimed, and could not go on exactly.
    Unrecoverable,
}

/// A change that waits for its commit, by which its answer is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChangeId(u64);

/// What became of a change that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Change {
    /// It is made, or there was nothing to be changed (`false`).
    Done(bool),
    /// It is made when it is committed: [`Event::Changed`] tells.
    Pending(ChangeId),
}

/// What is to be done with the log. Tickets have bit 63 set, so that they never meet those of
/// [`Channels`](crate::channel::Channels).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Effect {
    /// Append; the answer goes to [`Recovery::committed`].
    Append {
        /// By which the answer is known.
        ticket: Ticket,
        /// What to append.
        records: Vec<Record>,
    },
    /// Read; the answer goes to [`Recovery::page`].
    Read {
        /// By which the answer is known.
        ticket: Ticket,
        /// What to read.
        query: Query,
    },
    /// Let go of what a channel has up to here; there is no answer.
    Release {
        /// The channel.
        channel: ByteString,
        /// The last entry that is not needed.
        through: Offset,
    },
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Event {
    /// A client is in: queue the answer to it, and then call [`Recovery::admitted`].
    Admitted {
        /// Its visit.
        visit: Visit,
        /// Its socket's public id.
        id: SocketId,
        /// What it claims the session by when it comes back.
        pid: Pid,
        /// Whether it goes on.
        how: How,
        /// Its socket's data.
        data: Option<ByteString>,
    },
    /// Another visit has the session now: tell the client of this one, so that it does not come back by itself, and let
    /// go of it. Nothing more is handed to it.
    Fenced {
        /// The visit that is over.
        visit: Visit,
        /// The session that it had.
        id: SocketId,
    },
    /// What came of a [`Change::Pending`].
    Changed {
        /// Which.
        change: ChangeId,
        /// Whether it is made.
        result: Result<(), ChangeError>,
    },
    /// The log did not take a session. It goes on, also when its client comes back; but a restart would end it. It is tried
    /// again.
    Unwritten {
        /// The session.
        id: SocketId,
        /// What the log says.
        error: tenfour_delivery::log::AppendError,
    },
    /// A session is over, and its members are gone from the namespace.
    Ended {
        /// The session.
        id: SocketId,
        /// Why.
        reason: EndReason,
    },
}

/// The sessions of one namespace.
///
/// See the [module](self) for how it is driven. The same calls give the same effects, items and events in the same order.
#[derive(Clone, Debug, Hash)]
pub struct Recovery {
    config: Config,
    epoch: Epoch,
    /// The last entry that is known to be committed: all before it was handed to whoever has everything.
    head: Offset,
    sessions: BTreeMap<SocketId, Session>,
    pids: BTreeMap<Pid, SocketId>,
    visits: BTreeMap<Visit, SocketId>,
    /// Those whose clients are away, by when they end.
    parked: BTreeSet<(Instant, SocketId)>,
    parked_bytes: usize,
    notes: Notes,
    reads: Reads,
    /// Sessions that the log has refused, and when they are offered again.
    unwritten: BTreeSet<SocketId>,
    retry_at: Option<Instant>,
    next_ticket: u64,
    events: VecDeque<Event>,
}

/// Set in every ticket of a [`Recovery`].
pub const TICKETS: u64 = 1 << 63;

impl Recovery {
    /// The sessions of a log that is empty.
    #[must_use]
    pub fn new(config: Config, epoch: Epoch) -> Self {
        Self {
            config,
            epoch,
            head: Offset::START,
            sessions: BTreeMap::new(),
            pids: BTreeMap::new(),
            visits: BTreeMap::new(),
            parked: BTreeSet::new(),
            parked_bytes: 0,
            notes: Notes::default(),
            reads: Reads::default(),
            unwritten: BTreeSet::new(),
            retry_at: None,
            next_ticket: 0,
            events: VecDeque::new(),
        }
    }

    /// The bounds that it keeps.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Where a client is that has everything.
    #[must_use]
    pub fn head(&self) -> Position {
        Position { epoch: self.epoch, offset: self.head }
    }

    /// How many sessions there are, also those whose clients are away.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Whether there are no sessions.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    /// How many sessions wait for their clients.
    #[must_use]
    pub fn parked(&self) -> usize {
        self.parked.len()
    }

    /// How many sessions have not everything yet, and are read for.
    #[must_use]
    pub fn behind(&self) -> usize {
        self.sessions.values().filter(|session| session.reader.is_some()).count()
    }

    /// A session, as it would be noted now.
    #[must_use]
    pub fn session(&self, id: SocketId) -> Option<&Snapshot> {
        self.sessions.get(&id).map(|session| &session.kept)
    }

    /// The session of a visit.
    #[must_use]
    pub fn visitor(&self, visit: Visit) -> Option<SocketId> {
        self.visits.get(&visit).copied()
    }

    /// The sessions that the log knows of, as it knows them.
    pub fn written(&self) -> impl Iterator<Item = &Snapshot> {
        let written = self.sessions.values().filter(|session| session.written == Written::Yes);
        written.map(|session| &session.kept)
    }

    /// The next thing to do on the log. May have something new after each call that is not a mere question.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        let ticket = Ticket(TICKETS | self.next_ticket);
        let effect =
            self.next_release().or_else(|| self.next_append(ticket)).or_else(|| self.next_read(ticket))?;
        self.next_ticket += 1;
        Some(effect)
    }

    /// The next event. May have something new after each call that is not a mere question.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When [`Recovery::handle_timeout`] has something to do. May change with each call.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let expires = self.parked.first().map(|(until, _)| *until);
        earliest([expires, self.reads.retry_at(), self.retry_at])
    }

    /// Ends the sessions whose clients did not come back, and asks the log again where it failed. A spurious call changes
    /// nothing.
    pub fn handle_timeout<P>(&mut self, now: Now, members: &mut Namespace<P>) {
        while let Some(&(until, id)) = self.parked.first()
            && now.mono.has_reached(until)
            && !mutant!(ParkedNeverExpires)
        {
            self.end(now, id, EndReason::Expired, members);
            // Whatever else is wrong, this loop ends.
            self.parked.remove(&(until, id));
        }
        if self.retry_at.take_if(|due| now.mono.has_reached(*due)).is_some() {
            self.write_again(now);
        }
        for id in self.reads.due(now.mono) {
            self.queue_read(id);
        }
    }

    /// The log's answer to an [`Effect::Read`]. One that is no longer expected changes nothing.
    pub fn page<P>(
        &mut self,
        now: Now,
        ticket: Ticket,
        result: Result<Page, ReadError>,
        members: &mut Namespace<P>,
        outbox: &mut impl Outbox<P>,
    ) {
        self.take_page(now, ticket, result, members, outbox);
    }

    fn session_mut(&mut self, id: SocketId) -> Option<&mut Session> {
        self.sessions.get_mut(&id)
    }

    fn phase(&self, id: SocketId) -> Option<Phase> {
        self.sessions.get(&id).map(|session| session.phase)
    }
}

#[cfg(test)]
mod tests;
