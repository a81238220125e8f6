//! The server's process: what runs on tokio, driven here, with its log.

use std::{collections::VecDeque, sync::Arc};

use bytestring::ByteString;
use tenfour_broker::{
    Body, Message,
    channel::{self, Channels, Effect, Publication, PublishId},
};
use tenfour_delivery::{
    number::Epoch,
    time::{Instant, Now, WallTime},
};
use tenfour_log::{Completion, Memory, Record, Retention};
use tenfour_node::native::{self as node, Grants, Identity, PeerId, Peers, Server};
use tenfour_session::native::{Config as SessionConfig, Input, ServerSession, Transmit};

use super::{
    ClientId, Committed, ConnectionId, Fact, Invariant, Producer,
    client::{channel_id, channel_name, transport},
    judge::{Found, Verdict},
    ledger::{Answer, Ledger, Pace, Store},
    letter::Letter,
    link::Kind,
};

/// The native half of a server, its connections and its log.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Process<S> {
    settings: Arc<Settings>,
    /// How many there were before.
    life: u64,
    server: Server,
    log: Ledger<S>,
    connections: Connections,
    /// Bit for bit the channels that each client may not read, as of its next connection.
    pub(crate) denied: Vec<u64>,
    /// Tokens are drawn by counting: the world's judge knows which are whose.
    drawn: u64,
    /// For members of other dialects, in the order of the log.
    pub(crate) outgoing: VecDeque<Outgoing>,
}

/// What concerns the other dialects.
#[derive(Clone, Debug, Hash)]
pub(crate) enum Outgoing {
    Committed(Box<node::Committed>),
    Emitted(ByteString, Message),
    Published(PublishId, Result<(u64, u64), ()>),
}

/// How a server is set up.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Settings {
    pub(crate) clients: usize,
    pub(crate) channels: u8,
    pub(crate) session: Arc<SessionConfig>,
    pub(crate) node: Arc<node::Config>,
    pub(crate) retention: Retention,
}

impl Process<Box<dyn Store>> {
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
    /// The how-manieth process of a server, on a log that is empty.
    pub(crate) fn new(settings: Arc<Settings>, life: u64, store: S) -> Self {
        let name = ByteString::from_static("/");
        Self {
            life,
            server: Server::new(settings.node.clone(), name, store.epoch(), life),
            log: Ledger::new(store, settings.channels),
            connections: Connections::default(),
            denied: vec![0; settings.clients],
            drawn: 0,
            outgoing: VecDeque::new(),
            settings,
        }
    }

    /// The process dies, and the next one begins on a log that is empty. What is left of the old one is its log.
    pub(crate) fn restart(&mut self, store: S) -> S {
        let mut next = Self::new(self.settings.clone(), self.life + 1, store);
        core::mem::swap(&mut next.denied, &mut self.denied);
        core::mem::replace(self, next).log.into_store()
    }

    /// The process dies, and the next one begins on a log that has been written to.
    pub(crate) fn restart_on(&mut self, store: S) {
        self.restart(store);
        let name = self.server.name().clone();
        let epoch = self.log.store().epoch();
        let mut channels = Channels::of_log(self.settings.node.channels.clone(), epoch, self.life);
        for entry in self.log.all_after(0) {
            // Entries are read in order.
            _ = channels.restore(&entry);
        }
        self.server = Server::with_channels(self.settings.node.clone(), name, channels);
    }

    /// The log commits so many of the appends that wait for it, and the process dies before it hears of that.
    pub(crate) fn commit_unheard(&mut self, appends: usize) {
        self.log.commit_unheard(appends);
    }

    /// What the log has beyond what anybody has heard of.
    pub(crate) fn note_unheard(&mut self, after: u64, facts: &mut Vec<Fact>) {
        self.log.note_trimmed(facts);
        let epoch = self.epoch();
        let entries = self.log.all_after(after);
        facts.extend(entries.iter().filter_map(|entry| committed(epoch, entry)).map(Fact::Committed));
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
        facts: &mut Vec<Fact>,
    ) {
        self.with(connection, |session| session.handle_input(now.mono, input));
        self.drive(now, connection, facts);
    }

    pub(crate) fn handle_session_timeout(
        &mut self,
        now: Now,
        connection: ConnectionId,
        facts: &mut Vec<Fact>,
    ) {
        self.with(connection, |session| session.handle_timeout(now.mono));
        self.drive(now, connection, facts);
    }

    pub(crate) fn session_timeout(&self, connection: ConnectionId) -> Option<Instant> {
        self.connections.0.iter().find(|other| other.id == connection)?.session.poll_timeout()
    }

    pub(crate) fn poll_transmit(&mut self, now: Now, connection: ConnectionId) -> Option<Transmit> {
        self.with(connection, |session| session.poll_transmit(now.mono)).flatten()
    }

    /// A connection is over: its driver lets go of it.
    pub(crate) fn remove(&mut self, now: Now, connection: ConnectionId, facts: &mut Vec<Fact>) {
        self.server.closed(now, peer(connection), &mut self.connections);
        self.settle(now, connection, facts);
        self.connections.0.retain(|other| other.id != connection);
    }

    pub(crate) fn handle_timeout(&mut self, now: Now, facts: &mut Vec<Fact>) {
        self.server.handle_timeout(now, &mut self.connections);
        self.settle(now, NOBODY, facts);
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.server.poll_timeout()
    }

    /// A connection that may have something to transmit.
    pub(crate) fn poll_touched(&mut self) -> Option<ConnectionId> {
        self.server.poll_touched().map(|peer| peer.0 as ConnectionId)
    }

    /// Publishes for a client of another dialect.
    pub(crate) fn publish(
        &mut self,
        now: Now,
        channel: &str,
        letter: Letter,
        facts: &mut Vec<Fact>,
    ) -> Option<PublishId> {
        let message = message(letter);
        let publication = Publication::to_channel(channel, message);
        let publish = self.server.publish(now, publication, &mut self.connections).ok();
        self.settle(now, NOBODY, facts);
        publish
    }

    pub(crate) fn emit(&mut self, now: Now, channel: &ByteString, letter: Letter, facts: &mut Vec<Fact>) {
        self.server.emit(now, channel, message(letter), &mut self.connections);
        self.settle(now, NOBODY, facts);
    }

    /// When the log has something to say.
    pub(crate) fn next_answer(&self) -> Option<Instant> {
        self.log.next()
    }

    /// The log says what is due next. Whether the process still lives then is the answer.
    pub(crate) fn answer(&mut self, now: Now, facts: &mut Vec<Fact>) -> Result<Survival, Found> {
        match self.log.answer(now.mono)? {
            None => {}
            Some(Answer::Died) => return Ok(Survival::Died),
            Some(Answer::Appended(completions)) => {
                // The last of a batch may push out the first: what is trimmed by then was never too much.
                self.log.note_trimmed(facts);
                for completion in completions {
                    self.commit(now, completion, facts);
                }
            }
            Some(Answer::Page(ticket, page)) => {
                self.server.page(now, ticket, page, &mut self.connections);
            }
        }
        self.settle(now, NOBODY, facts);
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

    /// How the log answers from now on.
    pub(crate) fn schedule(&mut self, now: Instant, pace: Pace) -> usize {
        let mut scheduled = 0;
        while let Some(effect) = self.server.poll_effect() {
            scheduled += 1;
            match effect {
                Effect::Append { ticket, records } => self.log.append(now, ticket, records, pace),
                Effect::Read { ticket, query } => self.log.read(now, ticket, query, pace),
            }
        }
        scheduled
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
        let load = self.server.load();
        let left = (load.sessions, load.authenticating, load.subscribed_channels, self.connections.0.len());
        match left {
            (0, 0, 0, 0) => Ok(()),
            _ => Invariant::B6.broken(format_args!("everybody is gone, and there is {load:?}")),
        }
    }

    fn with<R>(&mut self, connection: ConnectionId, act: impl FnOnce(&mut ServerSession) -> R) -> Option<R> {
        self.connections.with(peer(connection), act)
    }

    fn drive(&mut self, now: Now, connection: ConnectionId, facts: &mut Vec<Fact>) {
        self.server.drive(now, peer(connection), &mut self.connections);
        self.settle(now, connection, facts);
    }

    /// Does what the server asks of its application, which is this one.
    fn settle(&mut self, now: Now, driving: ConnectionId, facts: &mut Vec<Fact>) {
        let mut admitting = driving;
        while let Some(event) = self.server.poll_event() {
            match event {
                node::Event::Authenticate { peer, credentials, .. } => {
                    admitting = peer.0 as ConnectionId;
                    let client = credentials.first().copied().unwrap_or_default();
                    let result = Ok(self.identity(client));
                    let random = self.random();
                    self.server.authenticated(now, peer, result, random, &mut self.connections);
                }
                node::Event::Joined { session, is_new, .. } => facts.push(Fact::Admitted {
                    connection: admitting,
                    session: session.0 << LIFE_BITS | self.life,
                    resumed: !is_new,
                }),
                node::Event::Request { session, request, message } => {
                    facts.push(Fact::Acted { connection: driving });
                    if let Some(asked) = asked(&message, driving) {
                        facts.push(asked);
                    }
                    // If it has no room, the client is told so in its place.
                    _ = self.server.reply(now, session, request, Ok(message), &mut self.connections);
                }
                node::Event::Committed(committed) => {
                    self.outgoing.push_back(Outgoing::Committed(Box::new(committed)));
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
        random
    }

    fn commit(&mut self, now: Now, completion: Completion, facts: &mut Vec<Fact>) {
        let Completion { ticket, result } = completion;
        let epoch = self.epoch();
        let entries = result.iter().flatten();
        facts.extend(entries.filter_map(|entry| committed(epoch, entry)).map(Fact::Committed));
        self.server.committed(now, ticket, result, &mut self.connections);
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
