//! The server's process: what runs on tokio, driven here, with its log.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use bytestring::ByteString;
use tenfour_broker::{
    Body, Message, SocketId,
    channel::{self, MessageKey, Publication, PublishId},
    idempotency,
    note::Note,
    recovery::{self, Arrival, Claim, Pid, Recovery, Snapshot, Visit},
};
use tenfour_delivery::{
    log::AppendError,
    number::Epoch,
    time::{Instant, Now, WallTime},
};
use tenfour_log::{Completion, Memory, Record, Retention};
use tenfour_node::{
    hub::{self, Effect, Event, Hub, OpenError},
    native::{self as node, Grants, Identity, PeerId, Peers},
};
use tenfour_session::native::{Config as SessionConfig, Input, ServerSession, Transmit};

use super::{
    ClientId, Committed, ConnectionId, Fact, Invariant, Place, Producer, SessionNumber,
    client::{channel_id, channel_name, transport},
    judge::{Found, Verdict},
    ledger::{Answer, Desk, Ledger, Pace, Store},
    letter::Letter,
    link::Kind,
    sockets::Members,
};

/// The native half of a server, its connections and its log.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Process<S> {
    settings: Arc<Settings>,
    /// How many there were before.
    life: u64,
    hub: Hub,
    log: Ledger<S>,
    connections: Connections,
    /// Bit for bit the channels that each client may not read, as of its next connection.
    pub(crate) denied: Vec<u64>,
    /// Tokens are drawn by counting: the world's judge knows which are whose.
    drawn: u64,
    /// The log takes nothing more until it is opened again.
    has_failed: bool,
    /// For members of other dialects, in the order of the log.
    pub(crate) outgoing: VecDeque<Outgoing>,
    pub(crate) seats: Seats,
}

/// Which session is whose, over all processes: what the judge calls them.
#[derive(Clone, Debug, Default, Hash)]
pub(crate) struct Seats {
    by_id: BTreeMap<SocketId, SessionNumber>,
    by_pid: BTreeMap<ByteString, SessionNumber>,
}

impl Seats {
    pub(crate) fn of_pid(&self, pid: &str) -> Option<SessionNumber> {
        self.by_pid.get(pid).copied()
    }

    pub(crate) fn of_id(&self, id: SocketId) -> Option<SessionNumber> {
        self.by_id.get(&id).copied()
    }

    /// Whether it is a new one, and which.
    pub(crate) fn seat(&mut self, id: SocketId, pid: &Pid) -> (bool, SessionNumber) {
        let next = self.by_id.len() as SessionNumber;
        let number = *self.by_id.entry(id).or_insert(next);
        self.by_pid.entry(pid.as_str().into()).or_insert(number);
        (number == next, number)
    }

    /// What the server notes of a session is so from here on.
    fn read(&self, entry: &channel::Entry, facts: &mut Vec<Fact>) {
        let Ok(note) = Note::from_stored(&entry.record.payload) else { return };
        let offset = entry.offset.get();
        let fact = |id: SocketId, fact: fn(SessionNumber) -> Fact| self.of_id(id).map(fact);
        facts.extend(match note {
            Note::Opened(session) => fact(session.id, |session| Fact::Recoverable { session }),
            Note::Closed { id } => fact(id, |session| Fact::Closed { session }),
            Note::Joined { id, room, .. } => {
                let channel = channel_id(&room);
                self.of_id(id).map(|session| Fact::Entered { session, channel, after: offset })
            }
            Note::Left { id, room } => {
                let channel = channel_id(&room);
                self.of_id(id).map(|session| Fact::Exited { session, channel, through: offset })
            }
            // A key is the letter `k` and the message's number.
            Note::Answer { key, .. } => key
                .get(1..)
                .and_then(|number| number.parse().ok())
                .map(|message| Fact::AnswerKept { message }),
            _ => None,
        });
    }
}

/// What concerns the other dialects.
#[derive(Clone, Debug, Hash)]
pub(crate) enum Outgoing {
    Session(recovery::Event),
    Answered(idempotency::Event),
    Emitted(ByteString, Message),
    Published(PublishId, Result<(u64, u64), ()>),
}

/// How a server is set up.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Settings {
    pub(crate) clients: usize,
    pub(crate) channels: u8,
    pub(crate) session: Arc<SessionConfig>,
    pub(crate) hub: hub::Config,
    pub(crate) retention: Retention,
}

impl Process<Box<dyn Store>> {
    pub(crate) fn retention(&self) -> Retention {
        self.settings.retention.clone()
    }

    /// A log that nobody has written to, in memory.
    pub(crate) fn empty(&self, epoch: u64) -> Box<dyn Store> {
        Box::new(Memory::new(Epoch::new(epoch), self.settings.retention.clone()))
    }
}

/// Whether a process is still there after what it did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Survival {
    Lives,
    Died,
}

/// The sessions of the connections that there are, by number. They are few.
#[derive(Clone, Debug, Default, Hash)]
struct Connections(Vec<Connection>);

#[derive(Clone, Debug, Hash)]
struct Connection {
    id: ConnectionId,
    session: Box<ServerSession>,
}

impl Peers for Connections {
    fn with<R>(&mut self, peer: PeerId, act: impl FnOnce(&mut ServerSession) -> R) -> Option<R> {
        let found = self.0.iter_mut().find(|connection| u64::from(connection.id) == peer.0);
        found.map(|connection| act(&mut connection.session))
    }
}

impl<S: Store> Process<S> {
    /// The how-manieth process of a server, on what its log holds.
    ///
    /// # Errors
    /// If that cannot be read, or not be understood.
    pub(crate) fn new(
        settings: Arc<Settings>,
        life: u64,
        now: Now,
        store: S,
        members: &mut Members,
    ) -> Result<Self, OpenError> {
        let name = ByteString::from_static("/");
        let mut log = Ledger::new(store, settings.channels);
        let desk = Desk::of(&mut log, now.mono, Pace::default());
        let hub = Hub::open(&settings.hub, name, life, now, &desk, members)?;
        Ok(Self {
            life,
            hub,
            log,
            connections: Connections::default(),
            denied: vec![0; settings.clients],
            drawn: 0,
            has_failed: false,
            outgoing: VecDeque::new(),
            seats: Seats::default(),
            settings,
        })
    }

    /// The process dies. What is left of it is its log.
    pub(crate) fn end(&mut self, nothing: S) -> S {
        core::mem::replace(self.log.store_mut(), nothing)
    }

    /// The process has died, and the next one begins on a log.
    ///
    /// # Errors
    /// As of [`new`](Self::new).
    pub(crate) fn restart(&mut self, now: Now, store: S, members: &mut Members) -> Result<(), OpenError> {
        let mut next = Self::new(self.settings.clone(), self.life + 1, now, store, members)?;
        core::mem::swap(&mut next.denied, &mut self.denied);
        core::mem::swap(&mut next.seats, &mut self.seats);
        *self = next;
        Ok(())
    }

    /// The log commits so many of the appends that wait for it, and the process dies before it hears of that.
    pub(crate) fn commit_unheard(&mut self, appends: usize) {
        self.log.commit_unheard(appends);
    }

    /// What the log has beyond what anybody has heard of.
    pub(crate) fn note_unheard(&mut self, after: u64, facts: &mut Vec<Fact>) {
        self.log.note_trimmed(facts);
        self.note(self.log.all_after(after).iter(), facts);
    }

    /// Whether it is of no use without a new beginning.
    pub(crate) fn has_failed(&self) -> bool {
        self.has_failed
    }

    /// Whether its machine has power.
    pub(crate) fn is_powered(&self) -> bool {
        self.log.store().is_powered()
    }

    /// Up to where it has handed on what the log has.
    pub(crate) fn heard(&self) -> Option<u64> {
        Some(self.hub.recovery()?.head().offset.get())
    }

    /// The how-manieth process it is.
    pub(crate) fn life(&self) -> u64 {
        self.life
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.log.store().epoch().get()
    }

    pub(crate) fn accept(&mut self, now: Now, connection: ConnectionId, kind: Kind) {
        let session = ServerSession::new(self.settings.session.clone(), transport(kind), now.mono);
        self.connections.0.push(Connection { id: connection, session: Box::new(session) });
    }

    /// Whether the connection's session is there and has not ended.
    pub(crate) fn has(&mut self, connection: ConnectionId) -> bool {
        self.with(connection, |session| !session.is_finished()).unwrap_or(false)
    }

    pub(crate) fn handle_input(
        &mut self,
        now: Now,
        connection: ConnectionId,
        input: Input,
        members: &mut Members,
        facts: &mut Vec<Fact>,
    ) {
        self.with(connection, |session| session.handle_input(now.mono, input));
        self.drive(now, connection, members, facts);
    }

    pub(crate) fn handle_session_timeout(
        &mut self,
        now: Now,
        connection: ConnectionId,
        members: &mut Members,
        facts: &mut Vec<Fact>,
    ) {
        self.with(connection, |session| session.handle_timeout(now.mono));
        self.drive(now, connection, members, facts);
    }

    pub(crate) fn session_timeout(&self, connection: ConnectionId) -> Option<Instant> {
        self.connections.0.iter().find(|other| other.id == connection)?.session.poll_timeout()
    }

    pub(crate) fn poll_transmit(&mut self, now: Now, connection: ConnectionId) -> Option<Transmit> {
        self.with(connection, |session| session.poll_transmit(now.mono)).flatten()
    }

    /// A connection is over: its driver lets go of it.
    pub(crate) fn remove(
        &mut self,
        now: Now,
        connection: ConnectionId,
        members: &mut Members,
        facts: &mut Vec<Fact>,
    ) {
        self.hub.native_mut().closed(now, peer(connection), &mut self.connections);
        self.settle(now, connection, members, facts);
        self.connections.0.retain(|other| other.id != connection);
    }

    pub(crate) fn handle_timeout(&mut self, now: Now, members: &mut Members, facts: &mut Vec<Fact>) {
        self.hub.handle_timeout(now, &mut self.connections, members);
        self.settle(now, NOBODY, members, facts);
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.hub.poll_timeout()
    }

    /// A connection that may have something to transmit.
    pub(crate) fn poll_touched(&mut self) -> Option<ConnectionId> {
        self.hub.native_mut().poll_touched().map(|peer| peer.0 as ConnectionId)
    }

    /// Publishes for a client of another dialect.
    pub(crate) fn publish(
        &mut self,
        now: Now,
        channel: &str,
        letter: Letter,
        key: Option<MessageKey>,
        members: &mut Members,
        facts: &mut Vec<Fact>,
    ) -> Option<PublishId> {
        let publication = Publication { key, ..Publication::to_channel(channel, message(letter)) };
        let publish = self.hub.publish(now, publication, &mut self.connections).ok();
        self.settle(now, NOBODY, members, facts);
        publish
    }

    pub(crate) fn emit(
        &mut self,
        now: Now,
        channel: &ByteString,
        letter: Letter,
        members: &mut Members,
        facts: &mut Vec<Fact>,
    ) {
        self.hub.native_mut().emit(now, channel, message(letter), &mut self.connections);
        self.settle(now, NOBODY, members, facts);
    }

    /// A client wants to be a member, and may.
    pub(crate) fn arrive(
        &mut self,
        now: Now,
        visit: Visit,
        claim: Option<&tenfour_node::Claim>,
        members: &mut Members,
        facts: &mut Vec<Fact>,
    ) {
        let epoch = self.log.store().epoch();
        let fresh = self.fresh();
        let mut arrival = Arrival::new(fresh);
        if let Some((claim, pid)) = claim.and_then(|claim| Some((claim, claim.pid.parse::<Pid>().ok()?))) {
            arrival = arrival.claiming(Claim { pid, at: claim.position(epoch) });
        }
        // There are fewer sessions than the limit, and no visit comes twice.
        _ = self.hub.connect(now, visit, arrival, members);
        self.settle(now, NOBODY, members, facts);
    }

    /// Calls the hub, and does what comes of it.
    pub(crate) fn call<R>(
        &mut self,
        now: Now,
        members: &mut Members,
        facts: &mut Vec<Fact>,
        act: impl FnOnce(&mut Hub, &mut Members) -> R,
    ) -> R {
        let result = act(&mut self.hub, members);
        self.settle(now, NOBODY, members, facts);
        result
    }

    /// The last entry of the log.
    pub(crate) fn place(&self) -> Place {
        let store = self.log.store();
        Place { epoch: store.epoch().get(), offset: store.head().get() }
    }

    /// Sessions as the log has them, by the word of the process.
    pub(crate) fn written(&self) -> Vec<Snapshot> {
        self.hub.recovery().into_iter().flat_map(Recovery::written).cloned().collect()
    }

    fn fresh(&mut self) -> (SocketId, Pid) {
        let random = self.random();
        let part = |from: usize| core::array::from_fn(|place| random[from + place]);
        (SocketId::from_bytes(part(0)), Pid::from_bytes(part(15)))
    }

    /// When the log has something to say.
    pub(crate) fn next_answer(&self) -> Option<Instant> {
        self.log.next()
    }

    /// The log says what is due next. Whether the process still lives then is the answer.
    pub(crate) fn answer(
        &mut self,
        now: Now,
        members: &mut Members,
        facts: &mut Vec<Fact>,
    ) -> Result<Survival, Found> {
        match self.log.answer(now.mono)? {
            None => {}
            Some(Answer::Died) => return Ok(Survival::Died),
            Some(Answer::Appended(completions)) => {
                let failed =
                    |completion: &Completion| matches!(completion.result, Err(AppendError::Failed { .. }));
                self.has_failed |= completions.iter().any(failed);
                // The last of a batch may push out the first: what is trimmed by then was never too much.
                self.log.note_trimmed(facts);
                for completion in completions {
                    self.commit(now, completion, members, facts);
                }
            }
            Some(Answer::Page(ticket, page)) => {
                self.hub.page(now, ticket, page, &mut self.connections, members);
            }
        }
        self.settle(now, NOBODY, members, facts);
        Ok(Survival::Lives)
    }

    /// Lets go of what is older than the retention allows.
    pub(crate) fn trim(&mut self, wall: WallTime, facts: &mut Vec<Fact>) {
        self.log.trim(wall);
        self.log.note_trimmed(facts);
    }

    /// The channel's last entry.
    pub(crate) fn head(&self, channel: super::ChannelId) -> u64 {
        self.log.store().history(&channel_name(channel)).head.get()
    }

    /// How the log answers from now on: each read when it is due, or at once.
    pub(crate) fn schedule(
        &mut self,
        now: Now,
        pace: Pace,
        members: &mut Members,
        facts: &mut Vec<Fact>,
    ) -> usize {
        let before = self.log.asked();
        match pace.read {
            Some(read) => {
                while let Some(effect) = self.hub.poll_effect() {
                    match effect {
                        Effect::Append { ticket, records } => {
                            self.log.append(now.mono, ticket, records, pace)
                        }
                        Effect::Read { ticket, query } => self.log.read(now.mono, ticket, query, read),
                        Effect::Release { channel, through } => self.log.release(&channel, through),
                        _ => {}
                    }
                }
            }
            None => {
                let mut desk = Desk::of(&mut self.log, now.mono, pace);
                self.hub.settle(now, &mut desk, &mut self.connections, members);
                self.settle(now, NOBODY, members, facts);
            }
        }
        self.log.asked() - before
    }

    /// S1 and S9, where it counts in the end: what the log holds is what it committed.
    pub(crate) fn s1_the_log_keeps(
        &self,
        channel: super::ChannelId,
        trimmed: u64,
        kept: impl Iterator<Item = (u64, super::MessageId)>,
    ) -> Verdict {
        self.log.s1_the_log_keeps(channel, trimmed, kept, letter_of)
    }

    /// Of connections and sessions that are gone nothing is left.
    pub(crate) fn b6_nothing_is_left(&self) -> Verdict {
        let load = self.hub.native().load();
        let recovered = self.hub.recovery().map_or(0, Recovery::len);
        let left = (load.sessions, load.authenticating, load.subscribed_channels, self.connections.0.len());
        match (left, recovered) {
            ((0, 0, 0, 0), 0) => Ok(()),
            _ => Invariant::B6
                .broken(format_args!("everybody is gone, and there is {load:?}, and {recovered} sessions")),
        }
    }

    fn with<R>(&mut self, connection: ConnectionId, act: impl FnOnce(&mut ServerSession) -> R) -> Option<R> {
        self.connections.with(peer(connection), act)
    }

    fn drive(&mut self, now: Now, connection: ConnectionId, members: &mut Members, facts: &mut Vec<Fact>) {
        self.hub.native_mut().drive(now, peer(connection), &mut self.connections);
        self.settle(now, connection, members, facts);
    }

    /// Does what the server asks of its application, which is this one.
    fn settle(&mut self, now: Now, driving: ConnectionId, members: &mut Members, facts: &mut Vec<Fact>) {
        self.hub.collect(members);
        let mut admitting = driving;
        while let Some(event) = self.hub.poll_event() {
            match event {
                Event::Native(event) => self.native_event(now, driving, &mut admitting, event, facts),
                Event::Recovery(event) => self.outgoing.push_back(Outgoing::Session(event)),
                Event::Idempotency(event) => self.outgoing.push_back(Outgoing::Answered(event)),
                _ => {}
            }
            self.hub.collect(members);
        }
    }

    fn native_event(
        &mut self,
        now: Now,
        driving: ConnectionId,
        admitting: &mut ConnectionId,
        event: node::Event,
        facts: &mut Vec<Fact>,
    ) {
        match event {
            node::Event::Authenticate { peer, credentials, .. } => {
                *admitting = peer.0 as ConnectionId;
                let client = credentials.first().copied().unwrap_or_default();
                let result = Ok(self.identity(client));
                let random = self.random();
                self.hub.native_mut().authenticated(now, peer, result, random, &mut self.connections);
            }
            node::Event::Joined { session, is_new, .. } => facts.push(Fact::Admitted {
                connection: *admitting,
                session: session.0 << LIFE_BITS | self.life,
                resumed: !is_new,
            }),
            node::Event::Request { session, request, message } => {
                facts.push(Fact::Acted { connection: driving });
                if let Some(asked) = asked(&message, driving) {
                    facts.push(asked);
                }
                // If it has no room, the client is told so in its place.
                let native = self.hub.native_mut();
                _ = native.reply(now, session, request, Ok(message), &mut self.connections);
            }
            node::Event::Emitted { channel, message } => {
                self.outgoing.push_back(Outgoing::Emitted(channel, message));
            }
            node::Event::Published { publish, result } => {
                let result = result.map(|receipt| (receipt.epoch.get(), receipt.offset.get()));
                self.outgoing.push_back(Outgoing::Published(publish, result.map_err(drop)));
            }
            _ => {}
        }
    }

    fn identity(&self, client: ClientId) -> Identity {
        let denied = self.denied.get(usize::from(client)).copied().unwrap_or_default();
        let readable = (0..self.settings.channels).filter(|channel| denied & (1 << channel) == 0);
        let grants = readable
            .fold(Grants::new().publish("*"), |grants, channel| grants.subscribe(channel_name(channel)));
        Identity::new(NAMES[usize::from(client)], grants)
    }

    /// Not random at all: a run is a function of its seed, and no world forges what it would have to guess.
    fn random(&mut self) -> [u8; 30] {
        self.drawn += 1;
        let mut random = [0; 30];
        random[..8].copy_from_slice(&self.drawn.to_be_bytes());
        random[8..15].copy_from_slice(&self.life.to_be_bytes()[1..]);
        random[15..23].copy_from_slice(&self.drawn.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
        random[23..].copy_from_slice(&self.life.to_be_bytes()[1..]);
        random
    }

    fn commit(&mut self, now: Now, completion: Completion, members: &mut Members, facts: &mut Vec<Fact>) {
        let Completion { ticket, result } = completion;
        self.note(result.iter().flatten(), facts);
        self.hub.committed(now, ticket, result, &mut self.connections, members);
        if self.log.store().wants_checkpoint() {
            self.hub.checkpoint();
        }
        // In the log's order: what is committed is handed on before what is committed next.
        self.settle(now, NOBODY, members, facts);
    }

    /// What is in the log: messages, and what the server notes of its sessions.
    fn note<'a>(&self, entries: impl Iterator<Item = &'a channel::Entry>, facts: &mut Vec<Fact>) {
        let epoch = self.epoch();
        for entry in entries {
            match committed(epoch, entry) {
                Some(committed) => facts.push(Fact::Committed(committed)),
                None => self.seats.read(entry, facts),
            }
        }
    }
}

/// An entry as far as it is a message: what the server writes for itself is none.
fn committed(epoch: u64, entry: &channel::Entry) -> Option<Committed> {
    let channel = entry.record.channels.first()?;
    if channel.starts_with(tenfour_log::RESERVED) {
        return None;
    }
    let producer = entry.record.producer.map(|producer| Producer {
        id: producer.id.get(),
        epoch: producer.epoch.get(),
        sequence: producer.sequence.get(),
    });
    Some(Committed {
        epoch,
        channel: channel_id(channel),
        offset: entry.offset.get(),
        previous: entry.previous.first().map_or(0, |previous| previous.get()),
        message: letter_of(&entry.record).unwrap_or(super::MessageId::MAX),
        producer,
        expires: entry.record.expires,
    })
}

fn letter_of(record: &Record) -> Option<super::MessageId> {
    match letter(&channel::Envelope::from_stored(&record.payload).ok()?.message)? {
        Letter::Publication(message) => Some(message),
        Letter::Emit(_) | Letter::Request(_) => None,
    }
}

pub(crate) fn letter(message: &Message) -> Option<Letter> {
    match &message.body {
        Body::Json { args, .. } => Letter::read_parts(message.name.as_deref()?, args),
        _ => None,
    }
}

pub(crate) fn message(letter: Letter) -> Message {
    Message {
        name: Some(letter.name().into()),
        body: Body::Json { args: letter.args(), attachments: Vec::new() },
    }
}

/// A request's number. Whose it is, the world knows by the connection.
fn asked(message: &Message, connection: ConnectionId) -> Option<Fact> {
    match letter(message)? {
        Letter::Request(number) => Some(Fact::Asked { connection, number }),
        _ => None,
    }
}

const fn peer(connection: ConnectionId) -> PeerId {
    PeerId(connection as u64)
}

/// Sessions of two lives of the server are two.
const LIFE_BITS: u32 = 16;
/// No connection has this number.
const NOBODY: ConnectionId = ConnectionId::MAX;

const NAMES: [&str; 8] = ["ada", "bob", "cleo", "dan", "eve", "finn", "gwen", "hal"];
