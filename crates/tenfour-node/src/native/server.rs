//! The server itself: what it is made of, and how it is driven.

use super::{
    Config, Event, LeaveReason, PeerId, Peers, RequestError, SessionId,
    convert::{to_result, to_wire},
    delivery::Delivery,
    drain::Drain,
    sessions::{Answer, Sessions},
};
use alloc::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    vec::Vec,
};
use bytestring::ByteString;
use tenfour_broker::{
    Message,
    channel::{self, Channels, Effect, Entry, Page, Publication, PublishError, PublishId},
};
use tenfour_delivery::{
    log::{AppendError, ReadError, Ticket},
    mutant,
    number::{Epoch, Sequence},
    time::{Instant, Now, earliest},
};
use tenfour_session::native::{Cost, RequestId, ResumeClaim, SendError, ServerJournal, ServerSession};
use tenfour_wire::native::{SharedMessage, Target};

/// The native half of a namespace: its sessions, live and parked, and its channels.
///
/// See the [module](super) for how it is driven.
#[derive(Clone, Debug, Hash)]
pub struct Server {
    pub(super) config: Arc<Config>,
    pub(super) name: ByteString,
    pub(super) channels: Channels,
    pub(super) sessions: Sessions,
    pub(super) stages: BTreeMap<PeerId, Stage>,
    pub(super) authenticating: usize,
    /// Whom to answer when a client's publication is decided.
    pub(super) publishers: BTreeMap<PublishId, Publisher>,
    /// Sessions for whom the log could not be read, and when to try again.
    pub(super) unread: BTreeSet<SessionId>,
    pub(super) reread_at: Option<Instant>,
    pub(super) drain: Option<Drain>,
    pub(super) events: VecDeque<Event>,
    pub(super) touched: BTreeSet<PeerId>,
    pub(super) refused_emits: u64,
}

/// How far a connection has come.
#[derive(Clone, Copy, Debug, Hash)]
pub(super) enum Stage {
    /// The driver is asked who it is.
    Authenticating(Option<ResumeClaim>),
    /// It has a session, and the session has it.
    Joined(SessionId),
}

/// A client's publication: the session and the number of the frame.
#[derive(Clone, Copy, Debug, Hash)]
pub(super) struct Publisher {
    pub(super) session: SessionId,
    pub(super) publish: Sequence,
    pub(super) cost: Cost,
}

/// What a server holds at the moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Load {
    /// Sessions, live and parked.
    pub sessions: usize,
    /// Parked sessions.
    pub parked: usize,
    /// Bytes that parked sessions hold.
    pub parked_bytes: usize,
    /// Connections that wait for their authentication.
    pub authenticating: usize,
    /// Channels that have subscribers.
    pub subscribed_channels: usize,
    /// Clients' publications that are not committed yet.
    pub unanswered_publishes: usize,
    /// Messages that clients sent at most once where they may not, or over their rate, since the server began. They were
    /// dropped.
    pub refused_emits: u64,
}

impl Server {
    /// A server for the namespace of this name, on a log that is empty. `epoch` is the log's, and `seed` is random.
    #[must_use]
    pub fn new(config: Arc<Config>, name: ByteString, epoch: Epoch, seed: u64) -> Self {
        let channels = Channels::new(config.channels.clone(), epoch, seed);
        Self::with_channels(config, name, channels)
    }

    /// A server on channels that were made from what [a log holds](Channels::of_log).
    #[must_use]
    pub fn with_channels(config: Arc<Config>, name: ByteString, channels: Channels) -> Self {
        Self {
            config,
            name,
            channels,
            sessions: Sessions::default(),
            stages: BTreeMap::new(),
            authenticating: 0,
            publishers: BTreeMap::new(),
            unread: BTreeSet::new(),
            reread_at: None,
            drain: None,
            events: VecDeque::new(),
            touched: BTreeSet::new(),
            refused_emits: 0,
        }
    }

    /// The namespace's name, which a client's HELLO has to have.
    #[must_use]
    pub fn name(&self) -> &ByteString {
        &self.name
    }

    /// The channels, and the positions of the subscribers: a session is the subscriber of its number.
    #[must_use]
    pub fn channels(&self) -> &Channels {
        &self.channels
    }

    /// The connection of a session, while it has one.
    #[must_use]
    pub fn peer(&self, session: SessionId) -> Option<PeerId> {
        self.sessions.get(session)?.peer()
    }

    /// How many sessions, connections and kept bytes there are.
    #[must_use]
    pub fn load(&self) -> Load {
        Load {
            sessions: self.sessions.len(),
            parked: self.sessions.parked_len(),
            parked_bytes: self.sessions.parked_bytes(),
            authenticating: self.authenticating,
            subscribed_channels: self.channels.subscribed(),
            unanswered_publishes: self.publishers.len(),
            refused_emits: self.refused_emits,
        }
    }

    /// Publishes a message of the server's own; [`Event::Published`] says what became of it.
    ///
    /// # Errors
    /// If it cannot be published; nothing has happened then.
    pub fn publish(
        &mut self,
        now: Now,
        publication: Publication,
        peers: &mut impl Peers,
    ) -> Result<PublishId, PublishError> {
        let publish = self.channels.publish(now, publication)?;
        self.settle(now, peers);
        Ok(publish)
    }

    /// Sends a message to the channel's subscribers at most once: whoever has no room for it, or is away, never gets
    /// it.
    pub fn emit(&mut self, now: Now, channel: &ByteString, message: Message, peers: &mut impl Peers) {
        let (channels, mut sink) = self.delivery(now, peers);
        channels.emit(channel, &message, &mut sink);
        self.events.push_back(Event::Emitted { channel: channel.clone(), message });
    }

    /// Sends a message to one session's application at most once; `false` if it is away or has no room.
    pub fn tell(&mut self, session: SessionId, message: &Message, peers: &mut impl Peers) -> bool {
        let message = SharedMessage::new(&to_wire(message));
        self.reach_session(session, peers, |connection| connection.emit(Target::Peer, &message)) == Some(true)
    }

    /// Asks a client. [`Event::Reply`] brings the answer, also after a reconnection; none comes if the session
    /// [ends](Event::Left).
    ///
    /// # Errors
    /// If the client is away, or its connection takes no more.
    pub fn request(
        &mut self,
        now: Now,
        session: SessionId,
        message: &Message,
        peers: &mut impl Peers,
    ) -> Result<RequestId, RequestError> {
        let message = to_wire(message);
        self.reach_session(session, peers, |connection| connection.request(now.mono, message))
            .ok_or(RequestError::Away)?
            .map_err(RequestError::from)
    }

    /// Answers an [`Event::Request`], with a message or with a text that says why there is none. A request that was
    /// answered, or whose session is gone, is left alone. While the client is away the answer is kept, and counts for
    /// [`Limits::parked_bytes`](super::Limits::parked_bytes).
    ///
    /// # Errors
    /// If the answer is too large, or too much waits for the client: it gets an error then, as the one answer to its request.
    pub fn reply(
        &mut self,
        now: Now,
        session: SessionId,
        request: RequestId,
        result: Result<Message, ByteString>,
        peers: &mut impl Peers,
    ) -> Result<(), SendError> {
        if self.sessions.get_mut(session).is_none_or(|session| !session.requests.remove(&request)) {
            return Ok(());
        }
        let result = result.map(|message| to_wire(&message));
        self.try_answer(now, session, Answer::Reply { request, result }, peers)
    }

    /// What to do with the log: append, whose outcome is for [`committed`](Self::committed), or read, whose answer is
    /// for [`page`](Self::page). May change with every call.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.channels.poll_effect()
    }

    /// The log has answered an append.
    pub fn committed(
        &mut self,
        now: Now,
        ticket: Ticket,
        result: Result<Vec<Entry>, AppendError>,
        peers: &mut impl Peers,
    ) {
        let (channels, mut sink) = self.delivery(now, peers);
        channels.committed(now, ticket, result, &mut sink);
        self.settle(now, peers);
    }

    /// The log has answered a read.
    pub fn page(
        &mut self,
        now: Now,
        ticket: Ticket,
        result: Result<Page, ReadError>,
        peers: &mut impl Peers,
    ) {
        let (channels, mut sink) = self.delivery(now, peers);
        channels.page(now, ticket, result, &mut sink);
        self.settle(now, peers);
    }

    /// What the driver is to know. May change with every call.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// A connection whose session may have something to transmit, or another deadline, since it was named last. To be
    /// asked after every other call, until it answers `None`.
    pub fn poll_touched(&mut self) -> Option<PeerId> {
        self.touched.pop_first()
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called next. The connections have deadlines of their own.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let drain = self.drain.as_ref().and_then(Drain::poll_timeout);
        earliest([self.sessions.poll_timeout(), drain, self.reread_at])
    }

    /// Does what is due. A spurious call changes nothing.
    pub fn handle_timeout(&mut self, now: Now, peers: &mut impl Peers) {
        self.evict(now);
        self.drain_due(now, peers);
        if self.reread_at.take_if(|due| now.mono.has_reached(*due)).is_some() {
            for session in core::mem::take(&mut self.unread) {
                self.channels.resume_reading(session.into());
            }
        }
    }

    /// What came of publications is told to whom they are.
    pub(super) fn settle(&mut self, now: Now, peers: &mut impl Peers) {
        #[cfg(tenfour_mutants)]
        {
            let (channels, mut sink) = self.delivery(now, peers);
            channels.deliver_early(now, &mut sink);
        }
        while let Some(channel::Event::Published { publish, result }) = self.channels.poll_event() {
            let Some(publisher) = self.publishers.remove(&publish) else {
                self.events.push_back(Event::Published { publish, result });
                continue;
            };
            if let Some(session) = self.sessions.get_mut(publisher.session) {
                session.publishes -= 1;
            }
            let result = to_result(self.channels.epoch(), result);
            let Publisher { session, publish, cost } = publisher;
            self.answer(now, session, Answer::Published { publish, result, cost }, peers);
        }
    }

    /// Sends an answer to a session, or keeps it until its client is back. A connection that is over takes none, also while
    /// the server has not seen its end yet.
    pub(super) fn answer(&mut self, now: Now, id: SessionId, answer: Answer, peers: &mut impl Peers) {
        // If it has no room, the client is told so in its place.
        _ = self.try_answer(now, id, answer, peers);
    }

    fn try_answer(
        &mut self,
        now: Now,
        id: SessionId,
        answer: Answer,
        peers: &mut impl Peers,
    ) -> Result<(), SendError> {
        let mut answer = Some(answer);
        let sent = self.reach_session(id, peers, |connection| {
            let answer = answer.take_if(|_| connection.is_open())?;
            Some(answer.send(now.mono, connection))
        });
        if let Some(answer) = answer.filter(|_| !mutant!(PublishedAnswerLost)) {
            self.sessions.hold(id, answer);
            self.evict(now);
        }
        sent.flatten().unwrap_or(Ok(()))
    }

    /// Calls a session's connection, if the session is live.
    pub(super) fn reach_session<R>(
        &mut self,
        id: SessionId,
        peers: &mut impl Peers,
        act: impl FnOnce(&mut ServerSession) -> R,
    ) -> Option<R> {
        let peer = self.sessions.get(id)?.peer()?;
        self.reach(peer, peers, act)
    }

    /// Calls a connection, and notes that it was touched.
    pub(super) fn reach<R>(
        &mut self,
        peer: PeerId,
        peers: &mut impl Peers,
        act: impl FnOnce(&mut ServerSession) -> R,
    ) -> Option<R> {
        self.touched.insert(peer);
        peers.with(peer, act)
    }

    /// A connection is no longer anyone's.
    pub(super) fn detach(&mut self, peer: PeerId) -> Option<Stage> {
        let stage = self.stages.remove(&peer);
        if matches!(stage, Some(Stage::Authenticating(_))) {
            self.authenticating -= 1;
        }
        self.note_drained();
        stage
    }

    /// A session has lost its connection.
    pub(super) fn park(&mut self, now: Now, id: SessionId, journal: Option<ServerJournal>) {
        match journal {
            Some(journal) => {
                self.channels.leave(id.into());
                self.sessions.park(id, journal, now.mono + self.config.parking);
                self.evict(now);
            }
            None => self.leave(id, LeaveReason::Abandoned),
        }
    }

    /// Ends the parked sessions whose time is up, or for which there is no room.
    fn evict(&mut self, now: Now) {
        while let Some((id, reason)) = self.sessions.overdue(now.mono, &self.config.limits) {
            self.leave(id, reason);
        }
    }

    /// A session is over for good.
    pub(super) fn leave(&mut self, id: SessionId, reason: LeaveReason) {
        let Some(session) = self.sessions.remove(id) else { return };
        self.channels.remove(id.into());
        self.unread.remove(&id);
        if let Some(peer) = session.peer() {
            self.detach(peer);
        }
        self.events.push_back(Event::Left { session: id, reason });
    }

    pub(super) fn delivery<'a, P: Peers>(
        &'a mut self,
        now: Now,
        peers: &'a mut P,
    ) -> (&'a mut Channels, Delivery<'a, P>) {
        let delivery = Delivery {
            now,
            sessions: &mut self.sessions,
            unread: &mut self.unread,
            reread_at: &mut self.reread_at,
            reread: self.config.reread,
            touched: &mut self.touched,
            events: &mut self.events,
            peers,
            written: Default::default(),
        };
        (&mut self.channels, delivery)
    }
}
