//! One namespace's log and all that lives by it: the native half, the sessions that outlive their connections, and the
//! answers that are remembered.
//!
//! A [`Hub`] takes what happens, and [`Hub::settle`] does with the log what is to be done, through whatever implements
//! [`LogPort`]. So a driver has the log, the connections and the clock, and nothing to decide.
//!
//! ```
//! use std::sync::{Arc, Mutex};
//! use tenfour_delivery::{log::{AppendError, ReadError, Ticket}, number::{Epoch, Offset}, time::Now};
//! use tenfour_log::{Log, Memory, Retention};
//! use tenfour_node::{Delivery, Dialect, Namespace, Peer, Urgency, broker, native};
//! use tenfour_node::broker::{Body, Message, channel::{Destination, Entry, Page, Publication, Query, Record}};
//! use tenfour_node::hub::{Config, Event, Hub, LogPort};
//! use tenfour_node::session::{native::ServerSession, socketio::{Encoded, Encoding}};
//! use broker::recovery::{self, Arrival, Pid, Visit};
//!
//! struct Port(Memory);
//!
//! impl LogPort for Port {
//!     fn epoch(&self) -> Epoch { self.0.epoch() }
//!     fn head(&self) -> Offset { self.0.head() }
//!     fn append(&mut self, ticket: Ticket, records: Vec<Record>) { self.0.append(ticket, records) }
//!     fn poll(&mut self) -> Option<(Ticket, Result<Vec<Entry>, AppendError>)> {
//!         self.0.poll().map(|done| (done.ticket, done.result))
//!     }
//!     fn read(&self, query: &Query) -> Result<Page, ReadError> { self.0.read(query) }
//!     fn release(&mut self, channel: &str, through: Offset) { self.0.release(channel, through) }
//!     fn wants_checkpoint(&self) -> bool { self.0.wants_checkpoint() }
//! }
//!
//! /// A connection: here, what was written to it.
//! #[derive(Clone, Default)]
//! struct Wire(Arc<Mutex<Vec<Encoded>>>);
//!
//! impl Peer for Wire {
//!     fn dialect(&self) -> Dialect { Dialect::SocketIo(Encoding::Json) }
//!     fn deliver(&self, packet: &Encoded, _: Urgency) -> Delivery {
//!         self.0.lock().unwrap().push(packet.clone());
//!         Delivery::Queued
//!     }
//! }
//!
//! /// No native connections.
//! struct None_;
//!
//! impl native::Peers for None_ {
//!     fn with<R>(&mut self, _: native::PeerId, _: impl FnOnce(&mut ServerSession) -> R) -> Option<R> { None }
//! }
//!
//! let (now, mut peers) = (Now::default(), None_);
//! let mut log = Port(Memory::new(Epoch::new(1), Retention::default()));
//! let mut members = Namespace::new("/".into(), broker::Limits::default(), 0).recoverable();
//! let mut config = Config::default();
//! config.recovery = Some(recovery::Config::default());
//! let mut hub = Hub::open(&config, "/".into(), 7, now, &log, &mut members)?;
//!
//! let (id, pid) = (broker::SocketId::from_bytes([1; 15]), Pid::from_bytes([2; 15]));
//! hub.connect(now, Visit(1), Arrival::new((id, pid)), &mut members)?;
//! assert!(matches!(hub.poll_event(), Some(Event::Recovery(recovery::Event::Admitted { .. }))));
//! let wire = Wire::default(); // on which the answer is queued now
//! hub.admitted(now, Visit(1), wire.clone(), &mut members);
//!
//! let hello = Publication::new(Destination::everyone(), Message::new("chat", Body::json("1")));
//! hub.publish(now, hello, &mut peers)?;
//! hub.settle(now, &mut log, &mut peers, &mut members);
//! assert_eq!(wire.0.lock().unwrap().len(), 1);
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```

use crate::{
    Namespace, Peer,
    native::{self, Peers, Server},
};
use alloc::{collections::VecDeque, sync::Arc, vec::Vec};
use tenfour_broker::{
    SocketId, Target,
    channel::{self, Entry, NOTES, Page, Publication, PublishError, PublishId, Query, Record},
    idempotency::{self, Idempotency},
    recovery::{self, Arrival, ConnectError, Departure, Recovery, Visit},
};
use tenfour_delivery::{
    log::{AppendError, ReadError, Ticket},
    number::{Epoch, Offset},
    time::{Instant, Now, earliest},
};

use self::outlet::Outlet;
pub use self::restore::OpenError;
pub use tenfour_broker::recovery::Effect;

mod outlet;
mod restore;
#[cfg(test)]
mod tests;

/// What a namespace has besides its members.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Config {
    /// The native half, and the bounds of what is published.
    pub native: Arc<native::Config>,
    /// How sessions outlive their connections; by default `None`: they do not.
    pub recovery: Option<recovery::Config>,
    /// How answers are remembered; by default `None`: they are not.
    pub idempotency: Option<idempotency::Config>,
}

/// A committed log, as a hub uses it.
pub trait LogPort {
    /// The log's life.
    fn epoch(&self) -> Epoch;

    /// The last entry; [`Offset::START`] before the first.
    fn head(&self) -> Offset;

    /// Hands records over. The answer comes from [`LogPort::poll`], in the order of the appends.
    fn append(&mut self, ticket: Ticket, records: Vec<Record>);

    /// The next answer to an append, `None` while there is none.
    fn poll(&mut self) -> Option<(Ticket, Result<Vec<Entry>, AppendError>)>;

    /// Reads what is committed.
    ///
    /// # Errors
    /// If the medium fails.
    fn read(&self, query: &Query) -> Result<Page, ReadError>;

    /// The channel's entries up to here are needed no more.
    fn release(&mut self, channel: &str, through: Offset);

    /// Whether the log holds what only [`LogPort::release`] would free.
    fn wants_checkpoint(&self) -> bool {
        false
    }
}

/// Something that the driver, or the application behind it, is to know or to decide.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[expect(
    clippy::large_enum_variant,
    reason = "it is handed on at once, and a box would be an allocation for each"
)]
#[non_exhaustive]
pub enum Event {
    /// Of the native half, and of what was published. A commit is handed to the members before, and not told.
    Native(native::Event),
    /// Of the sessions.
    Recovery(recovery::Event),
    /// Of the answers that are remembered.
    Idempotency(idempotency::Event),
}

/// What of a namespace lives by its log.
///
/// Besides its own methods it lends those of its parts: [`native_mut`](Self::native_mut),
/// [`recovery_mut`](Self::recovery_mut), [`idempotency_mut`](Self::idempotency_mut). After any of them the driver calls
/// [`settle`](Self::settle), and then polls the events.
#[derive(Clone, Debug, Hash)]
pub struct Hub {
    native: Server,
    recovery: Option<Recovery>,
    idempotency: Option<Idempotency>,
    /// Up to here the sessions do not need their notes.
    releasable: Offset,
    released: Offset,
    events: VecDeque<Event>,
}

impl Hub {
    /// The native half: sessions of the native protocol, and what is published.
    #[must_use]
    pub fn native(&self) -> &Server {
        &self.native
    }

    /// The same.
    pub fn native_mut(&mut self) -> &mut Server {
        &mut self.native
    }

    /// The sessions, if they outlive their connections here.
    #[must_use]
    pub fn recovery(&self) -> Option<&Recovery> {
        self.recovery.as_ref()
    }

    /// The same. For what hands something over there are methods of the hub.
    pub fn recovery_mut(&mut self) -> Option<&mut Recovery> {
        self.recovery.as_mut()
    }

    /// The answers, if they are remembered here.
    #[must_use]
    pub fn idempotency(&self) -> Option<&Idempotency> {
        self.idempotency.as_ref()
    }

    /// The same.
    pub fn idempotency_mut(&mut self) -> Option<&mut Idempotency> {
        self.idempotency.as_mut()
    }

    /// Publishes a message of the server's own. [`native::Event::Published`] says what became of it.
    ///
    /// # Errors
    /// If it cannot be published; nothing has happened then.
    pub fn publish(
        &mut self,
        now: Now,
        publication: Publication,
        peers: &mut impl Peers,
    ) -> Result<PublishId, PublishError> {
        self.native.publish(now, publication, peers)
    }

    /// A client wants in, and may: [`Recovery::connect`].
    ///
    /// # Errors
    /// If it can have no session, or sessions do not outlive their connections here; nothing has changed then.
    pub fn connect<P: Peer>(
        &mut self,
        now: Now,
        visit: Visit,
        arrival: Arrival,
        members: &mut Namespace<P>,
    ) -> Result<(), ConnectError> {
        let Some(recovery) = &mut self.recovery else { return Err(ConnectError::Full { limit: 0 }) };
        let result = recovery.connect(now, visit, arrival, members);
        self.collect(members);
        result
    }

    /// The answer to a client is queued, and it is reached so: [`Recovery::admitted`].
    pub fn admitted<P: Peer>(&mut self, now: Now, visit: Visit, peer: P, members: &mut Namespace<P>) -> bool {
        let Some(recovery) = &mut self.recovery else { return false };
        let name = members.name().clone();
        let mut outlet = Outlet::new(&name, self.native.channels().epoch());
        let is_admitted = recovery.admitted(now, visit, peer, members, &mut outlet);
        if let Some(id) = recovery.visitor(visit).filter(|_| is_admitted) {
            members.ask_again(id);
        }
        is_admitted
    }

    /// A connection has room again: [`Recovery::resume_reading`].
    pub fn resume_reading<P: Peer>(&mut self, now: Now, id: SocketId, members: &mut Namespace<P>) {
        let Some(recovery) = &mut self.recovery else { return };
        let name = members.name().clone();
        recovery.resume_reading(now, id, members, &mut Outlet::new(&name, self.native.channels().epoch()));
    }

    /// A visit is over: [`Recovery::depart`].
    pub fn depart<P: Peer>(
        &mut self,
        now: Now,
        visit: Visit,
        departure: Departure,
        members: &mut Namespace<P>,
    ) -> bool {
        let Some(recovery) = &mut self.recovery else { return false };
        let result = recovery.depart(now, visit, departure, members);
        self.collect(members);
        result
    }

    /// Sends away whoever is in a target: [`Recovery::disconnect_selected`].
    pub fn disconnect_selected<P: Peer>(
        &mut self,
        now: Now,
        target: &Target,
        members: &mut Namespace<P>,
        each: impl FnMut(SocketId, &P),
    ) -> usize {
        let Some(recovery) = &mut self.recovery else { return members.select(target, each) };
        let result = recovery.disconnect_selected(now, target, members, each);
        self.collect(members);
        result
    }

    /// What to do with the log; [`settle`](Self::settle) does it. May have something new after each call that is not a mere
    /// question.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        let native = self.native.poll_effect().map(effect);
        let recovery = || self.recovery.as_mut().and_then(Recovery::poll_effect);
        match native.or_else(recovery) {
            Some(Effect::Release { through, .. }) => {
                self.releasable = self.releasable.max(through);
                self.next_release().or_else(|| self.poll_effect())
            }
            Some(effect) => Some(effect),
            None => {
                let idempotency = self.idempotency.as_mut().and_then(Idempotency::poll_effect);
                idempotency.map(effect).or_else(|| self.next_release())
            }
        }
    }

    /// The log has answered an append.
    pub fn committed<P: Peer>(
        &mut self,
        now: Now,
        ticket: Ticket,
        result: Result<Vec<Entry>, AppendError>,
        peers: &mut impl Peers,
        members: &mut Namespace<P>,
    ) {
        match Owner::of(ticket) {
            Owner::Native => self.native.committed(now, ticket, result, peers),
            Owner::Recovery => {
                if let Some(recovery) = &mut self.recovery {
                    recovery.committed(now, ticket, result, members);
                }
            }
            Owner::Idempotency => {
                if let Some(idempotency) = &mut self.idempotency {
                    idempotency.committed(ticket, &result);
                }
            }
        }
        self.collect(members);
    }

    /// The log has answered a read.
    pub fn page<P: Peer>(
        &mut self,
        now: Now,
        ticket: Ticket,
        result: Result<Page, ReadError>,
        peers: &mut impl Peers,
        members: &mut Namespace<P>,
    ) {
        match (Owner::of(ticket), &mut self.recovery) {
            (Owner::Recovery, Some(recovery)) => {
                let name = members.name().clone();
                let mut outlet = Outlet::new(&name, self.native.channels().epoch());
                recovery.page(now, ticket, result, members, &mut outlet);
            }
            _ => self.native.page(now, ticket, result, peers),
        }
        self.collect(members);
    }

    /// Does with the log what is to be done, until nothing is.
    pub fn settle<P: Peer>(
        &mut self,
        now: Now,
        log: &mut impl LogPort,
        peers: &mut impl Peers,
        members: &mut Namespace<P>,
    ) {
        self.collect(members);
        loop {
            while let Some(effect) = self.poll_effect() {
                match effect {
                    Effect::Append { ticket, records } => log.append(ticket, records),
                    Effect::Read { ticket, query } => {
                        let page = log.read(&query);
                        self.page(now, ticket, page, peers, members);
                    }
                    Effect::Release { channel, through } => log.release(&channel, through),
                    _ => {}
                }
            }
            // What is not appended any more is answered without the log.
            self.collect(members);
            let Some((ticket, result)) = log.poll() else { break };
            self.committed(now, ticket, result, peers, members);
            if log.wants_checkpoint() {
                self.checkpoint();
            }
        }
    }

    /// Lets old notes go, as soon as it is the log's turn. [`settle`](Self::settle) calls it for a log that asks for it.
    pub fn checkpoint(&mut self) {
        if let Some(recovery) = &mut self.recovery {
            recovery.checkpoint();
        }
    }

    /// What the driver is to know. May have something new after every other call.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called next. The connections have deadlines of their own.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let recovery = self.recovery.as_ref().and_then(Recovery::poll_timeout);
        earliest([self.native.poll_timeout(), recovery])
    }

    /// Does what is due. A spurious call changes nothing.
    pub fn handle_timeout<P: Peer>(&mut self, now: Now, peers: &mut impl Peers, members: &mut Namespace<P>) {
        self.native.handle_timeout(now, peers);
        if let Some(recovery) = &mut self.recovery {
            recovery.handle_timeout(now, members);
        }
        self.collect(members);
    }

    /// Takes what has happened in the parts, for a driver that does by itself what [`poll_effect`](Self::poll_effect) says, in
    /// place of [`settle`](Self::settle). What is committed goes to the members here, so that whoever published it hears of it after
    /// them.
    pub fn collect<P: Peer>(&mut self, members: &mut Namespace<P>) {
        while let Some(event) = self.native.poll_event() {
            let native::Event::Committed(committed) = event else {
                self.events.push_back(Event::Native(event));
                continue;
            };
            match &mut self.recovery {
                Some(recovery) => {
                    let name = members.name().clone();
                    let mut outlet = Outlet::new(&name, self.native.channels().epoch());
                    let native::Committed { entry, envelope, .. } = &committed;
                    recovery.fan_out(entry, envelope.as_ref(), members, &mut outlet);
                }
                None => {
                    committed.fan_out(members);
                }
            }
        }
        while let Some(event) = self.recovery.as_mut().and_then(Recovery::poll_event) {
            self.events.push_back(Event::Recovery(event));
        }
        while let Some(event) = self.idempotency.as_mut().and_then(Idempotency::poll_event) {
            self.events.push_back(Event::Idempotency(event));
        }
    }

    /// Of the notes, what neither the sessions nor the answers need.
    fn next_release(&mut self) -> Option<Effect> {
        let answers = self.idempotency.as_ref().and_then(Idempotency::oldest);
        let through = match answers {
            Some(oldest) => self.releasable.min(Offset::new(oldest.get().saturating_sub(1))),
            // Without sessions it is not known what can go before there was an answer.
            None if self.recovery.is_none() => return None,
            None => self.releasable,
        };
        // Answers are forgotten one by one.
        let step = if answers.is_some() && self.recovery.is_none() { 1_024 } else { 1 };
        if through.get() < self.released.get().saturating_add(step) {
            return None;
        }
        self.released = through;
        Some(Effect::Release { channel: NOTES, through })
    }
}

/// Whose append or read it was.
enum Owner {
    Native,
    Recovery,
    Idempotency,
}

impl Owner {
    fn of(Ticket(ticket): Ticket) -> Self {
        if ticket & recovery::TICKETS != 0 {
            Self::Recovery
        } else if ticket & idempotency::TICKETS != 0 {
            Self::Idempotency
        } else {
            Self::Native
        }
    }
}

fn effect(effect: channel::Effect) -> Effect {
    match effect {
        channel::Effect::Append { ticket, records } => Effect::Append { ticket, records },
        channel::Effect::Read { ticket, query } => Effect::Read { ticket, query },
    }
}
