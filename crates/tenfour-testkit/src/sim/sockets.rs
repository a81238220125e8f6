//! The Socket.IO half of a server: connections of stock clients, and the application's handlers.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    sync::Arc,
};

use bytes::Bytes;
use bytestring::ByteString;
use tenfour_broker::{
    Body, Limits, SocketId,
    channel::{MessageKey, PublishId},
    idempotency::{Key, Waiter},
    recovery::{ChangeId, Pid},
};
use tenfour_delivery::{id::Id, time::Instant};
use tenfour_node::{Claim, Config, Connection, Delivery, Dialect, Event, Namespace, Peer, ReplyId, Urgency};
use tenfour_session::{
    Frame, Input, WebSocketId,
    engineio::{CloseReason, Opening},
    socketio::{self, Admission, ConnectError, Encoded},
};
use tenfour_wire::websocket;

use super::{
    ChannelId, ClientId, ConnectionId,
    client::{channel_id, channel_name},
    letter::Letter,
    link::Cargo,
    stock::{EMIT, JOIN, LEAVE, PUBLISH, PUBLISH_ONCE},
};

const SOCKET: WebSocketId = WebSocketId(0);
/// The members of the namespace.
pub(crate) type Members = Namespace<Line>;

/// The server's side of all stock clients.
pub(crate) struct Sockets {
    config: Arc<Config>,
    recovers: bool,
    pub(crate) members: Members,
    sockets: Vec<Socket>,
    /// Whom to answer when a publication is committed.
    asked: BTreeMap<PublishId, (ConnectionId, ReplyId)>,
    /// Whom to answer when a room is joined or left.
    changing: BTreeMap<ChangeId, RoomChange>,
    /// What handlers publish on the occasion of which key.
    handling: BTreeMap<PublishId, Key>,
    /// Who waits for what an event is answered.
    waiting: BTreeMap<Waiter, (ConnectionId, ReplyId)>,
    waiters: u64,
    touched: Rc<RefCell<BTreeSet<ConnectionId>>>,
}

/// A client asks to be in a room, or not to be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RoomChange {
    pub(crate) connection: ConnectionId,
    pub(crate) reply: ReplyId,
    pub(crate) channel: ChannelId,
    pub(crate) joins: bool,
}

struct Socket {
    id: ConnectionId,
    client: ClientId,
    line: Line,
    member: Option<SocketId>,
}

/// A connection that members share with its driver.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    id: ConnectionId,
    connection: Rc<RefCell<Connection>>,
    /// The connections that were handed something since they were named last.
    touched: Rc<RefCell<BTreeSet<ConnectionId>>>,
}

impl Peer for Line {
    fn dialect(&self) -> Dialect {
        self.connection.borrow().dialect()
    }

    fn deliver(&self, packet: &Encoded, urgency: Urgency) -> Delivery {
        self.touched.borrow_mut().insert(self.id);
        self.connection.borrow_mut().offer(packet, urgency)
    }
}

/// What a handler is asked for.
pub(crate) enum Asked {
    Joined(ConnectionId, ClientId),
    /// It wants to be let in, with what it claims.
    Arrives(ConnectionId, Option<Claim>),
    Room(RoomChange),
    /// It left, or is sent away for what it did.
    Leaves(ConnectionId),
    /// Its connection is over.
    Departs(ConnectionId),
    Publish(ConnectionId, ReplyId, Option<MessageKey>, ChannelId, Letter),
    Emit(ChannelId, Letter),
}

impl Sockets {
    pub(crate) fn new(config: Arc<Config>, recovers: bool) -> Self {
        let members = Namespace::new("/".into(), Limits::default(), 0);
        let members = if recovers { members.recoverable() } else { members };
        let (sockets, asked, changing) = Default::default();
        let (handling, waiting, touched) = Default::default();
        let waiters = 0;
        Self { config, recovers, members, sockets, asked, changing, handling, waiting, waiters, touched }
    }

    /// The server's process began anew: nothing is left.
    pub(crate) fn restart(&mut self) {
        *self = Self::new(self.config.clone(), self.recovers);
    }

    pub(crate) fn accept(&mut self, now: Instant, connection: ConnectionId, client: ClientId) {
        let sid = Id::from_random(unique(connection));
        let opening = Opening::WebSocket(SOCKET);
        let accepted = Connection::new(self.config.clone(), sid, opening, now);
        let touched = self.touched.clone();
        let line = Line { id: connection, connection: Rc::new(RefCell::new(accepted)), touched };
        self.sockets.push(Socket { id: connection, client, line, member: None });
    }

    pub(crate) fn handle_input(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        input: Input,
    ) -> Vec<Asked> {
        self.with(now, connection, |line| line.handle_input(now, input))
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant, connection: ConnectionId) -> Vec<Asked> {
        self.with(now, connection, |line| line.handle_timeout(now))
    }

    pub(crate) fn receive(&mut self, now: Instant, connection: ConnectionId, text: Bytes) -> Vec<Asked> {
        let Ok(text) = ByteString::try_from(text) else { return Vec::new() };
        let message = websocket::Message::Text(text);
        self.handle_input(now, connection, Input::SocketMessage { socket: SOCKET, message })
    }

    pub(crate) fn blocked(&mut self, now: Instant, connection: ConnectionId, blocked: bool) -> Vec<Asked> {
        let socket = SOCKET;
        let input = if blocked { Input::WriteBlocked { socket } } else { Input::WriteReady { socket } };
        self.handle_input(now, connection, input)
    }

    pub(crate) fn poll_timeout(&self, connection: ConnectionId) -> Option<Instant> {
        self.find(connection)?.line.connection.borrow().poll_timeout()
    }

    pub(crate) fn poll_frame(&mut self, connection: ConnectionId) -> Option<Cargo> {
        match self.find(connection)?.line.connection.borrow_mut().poll_frame(SOCKET)? {
            Frame::Text(text) => Some(Cargo::Text(text)),
            Frame::Binary(bytes) | Frame::Pong(bytes) => Some(Cargo::Bytes(bytes)),
            _ => Some(Cargo::End),
        }
    }

    /// Whether there is nothing more to be done for a connection.
    pub(crate) fn is_finished(&self, connection: ConnectionId) -> bool {
        self.find(connection).is_none_or(|socket| socket.line.connection.borrow().is_finished())
    }

    /// A connection that may have something to transmit.
    pub(crate) fn poll_touched(&mut self) -> Option<ConnectionId> {
        self.touched.borrow_mut().pop_first()
    }

    /// A connection is over.
    pub(crate) fn close(&mut self, now: Instant, connection: ConnectionId) -> Vec<Asked> {
        self.handle_input(now, connection, Input::SocketClosed { socket: SOCKET })
    }

    pub(crate) fn remove(&mut self, connection: ConnectionId) {
        self.sockets.retain(|socket| socket.id != connection);
    }

    pub(crate) fn emit(&mut self, channel: &ByteString, message: &tenfour_broker::Message) {
        let target = tenfour_broker::Target::room(channel.clone());
        self.members.emit(&target, message, Urgency::Queued);
    }

    /// A handler waits for this publication, and answers with what comes of it.
    pub(crate) fn wait_for(&mut self, publish: PublishId, connection: ConnectionId, reply: ReplyId) {
        self.asked.insert(publish, (connection, reply));
    }

    pub(crate) fn published(&mut self, now: Instant, publish: PublishId, result: Result<(u64, u64), ()>) {
        if let Some((connection, reply)) = self.asked.remove(&publish) {
            self.answer(now, connection, reply, result);
        }
    }

    /// A new one who waits.
    pub(crate) fn wait(&mut self, connection: ConnectionId, reply: ReplyId) -> Waiter {
        self.waiters += 1;
        let waiter = Waiter(self.waiters);
        self.waiting.insert(waiter, (connection, reply));
        waiter
    }

    pub(crate) fn waited(&mut self, waiter: Waiter) -> Option<(ConnectionId, ReplyId)> {
        self.waiting.remove(&waiter)
    }

    pub(crate) fn handle_key(&mut self, publish: PublishId, key: Key) {
        self.handling.insert(publish, key);
    }

    pub(crate) fn handled_key(&mut self, publish: PublishId) -> Option<Key> {
        self.handling.remove(&publish)
    }

    /// A client whose answer has no room is closed as too slow: it then knows that it does not know.
    pub(crate) fn answer(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        reply: ReplyId,
        result: Result<(u64, u64), ()>,
    ) {
        self.answer_with(now, connection, reply, &body(result));
    }

    pub(crate) fn answer_with(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        reply: ReplyId,
        body: &Body,
    ) {
        let Some(socket) = self.find(connection) else { return };
        let mut line = socket.line.connection.borrow_mut();
        if line.reply("/", reply, body).is_err() {
            line.close(now, CloseReason::SlowConsumer);
        }
    }

    fn with(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        act: impl FnOnce(&mut Connection),
    ) -> Vec<Asked> {
        let mut asked = Vec::new();
        let Some(place) = self.sockets.iter().position(|socket| socket.id == connection) else {
            return asked;
        };
        let line = self.sockets[place].line.clone();
        act(&mut line.connection.borrow_mut());
        loop {
            let incoming = line.connection.borrow_mut().poll_event();
            let Some(incoming) = incoming else { return asked };
            self.hear(place, incoming.event, &mut asked);
            line.connection.borrow_mut().consumed(now, incoming.cost);
        }
    }

    fn hear(&mut self, place: usize, event: Event, asked: &mut Vec<Asked>) {
        let socket = &mut self.sockets[place];
        match event {
            Event::Connect { auth, .. } if self.recovers => {
                asked.push(Asked::Arrives(socket.id, Claim::take(auth).0));
            }
            Event::Connect { namespace, .. } => {
                let id = SocketId::from_bytes(unique(socket.id));
                if self.members.insert(id, socket.line.clone()).is_ok() {
                    socket.line.connection.borrow_mut().accept(&namespace, id.as_str());
                    socket.member = Some(id);
                    asked.push(Asked::Joined(socket.id, socket.client));
                }
            }
            Event::Message { message, reply, .. } => {
                let Body::Json { args, .. } = &message.body else { return };
                let connection = socket.id;
                asked.extend(match (message.name.as_deref(), reply) {
                    (Some(PUBLISH), Some(reply)) => posted(args, Letter::Publication(0))
                        .map(|(channel, letter)| Asked::Publish(connection, reply, None, channel, letter)),
                    (Some(PUBLISH_ONCE), Some(reply)) => keyed(args).map(|(key, channel, letter)| {
                        Asked::Publish(connection, reply, Some(key), channel, letter)
                    }),
                    (Some(EMIT), None) => {
                        posted(args, Letter::Emit(0)).map(|(channel, letter)| Asked::Emit(channel, letter))
                    }
                    (Some(verb @ (JOIN | LEAVE)), Some(reply)) => {
                        let (channel, joins) = (channel_id(args.trim_matches('"')), verb == JOIN);
                        Some(Asked::Room(RoomChange { connection, reply, channel, joins }))
                    }
                    _ => None,
                });
            }
            Event::Leave { .. } | Event::Closed(CloseReason::ParseError) if self.recovers => {
                asked.push(Asked::Leaves(socket.id));
            }
            Event::Closed(_) if self.recovers => asked.push(Asked::Departs(socket.id)),
            Event::Leave { .. } | Event::Closed(_) => {
                if let Some(member) = socket.member.take() {
                    self.members.remove(member);
                }
            }
            _ => {}
        }
    }

    /// The client is to get what comes on a channel.
    pub(crate) fn join(&mut self, connection: ConnectionId, channel: ChannelId) {
        if let Some(member) = self.find(connection).and_then(|socket| socket.member) {
            // It is in fewer rooms than the limit.
            _ = self.members.join(member, &channel_name(channel));
        }
    }

    /// Lets a client in as what it is told; `false` where it is not there any more.
    pub(crate) fn let_in(&mut self, connection: ConnectionId, id: SocketId, pid: &Pid) -> Option<Line> {
        let socket = self.sockets.iter_mut().find(|socket| socket.id == connection)?;
        let admission = Admission { sid: id.as_str(), pid: Some(pid.as_str()), fields: &[] };
        let is_there = socket.line.connection.borrow_mut().accept("/", admission);
        socket.member = Some(id).filter(|_| is_there);
        is_there.then(|| socket.line.clone())
    }

    pub(crate) fn turn_away(&mut self, now: Instant, connection: ConnectionId) {
        if let Some(socket) = self.find(connection) {
            socket.line.connection.borrow_mut().refuse(now, "/", &ConnectError::new("not you"));
        }
    }

    /// Its session is another connection's now.
    pub(crate) fn fence(&mut self, now: Instant, connection: ConnectionId) {
        if let Some(socket) = self.sockets.iter_mut().find(|socket| socket.id == connection) {
            socket.member = None;
            socket.line.connection.borrow_mut().disconnect(now, "/");
        }
    }

    pub(crate) fn member(&self, connection: ConnectionId) -> Option<SocketId> {
        self.find(connection)?.member
    }

    pub(crate) fn client(&self, connection: ConnectionId) -> Option<ClientId> {
        Some(self.find(connection)?.client)
    }

    pub(crate) fn wait_for_change(&mut self, id: ChangeId, change: RoomChange) {
        self.changing.insert(id, change);
    }

    pub(crate) fn changed(&mut self, id: ChangeId) -> Option<RoomChange> {
        self.changing.remove(&id)
    }

    fn find(&self, connection: ConnectionId) -> Option<&Socket> {
        self.sockets.iter().find(|socket| socket.id == connection)
    }
}

/// What a publication is answered with.
pub(crate) fn body(result: Result<(u64, u64), ()>) -> Body {
    match result {
        Ok((epoch, offset)) => Body::json(format!("{epoch},{offset}")),
        Err(()) => Body::json("null"),
    }
}

/// A channel's name and a letter.
fn posted(args: &str, kind: Letter) -> Option<(ChannelId, Letter)> {
    let (channel, letter) = args.split_once(',')?;
    Some((channel_id(channel.trim_matches('"')), Letter::read_parts(kind.name(), letter)?))
}

/// A key, a channel's name and a letter.
fn keyed(args: &str) -> Option<(MessageKey, ChannelId, Letter)> {
    let (key, rest) = args.split_once(',')?;
    let (channel, letter) = posted(rest, Letter::Publication(0))?;
    Some((MessageKey::new(key.trim_matches('"')).ok()?, channel, letter))
}

fn unique(connection: ConnectionId) -> [u8; 15] {
    let mut bytes = [0; 15];
    bytes[..4].copy_from_slice(&connection.to_be_bytes());
    bytes
}

/// A server's settings for stock clients.
pub(crate) fn config(change: impl FnOnce(&mut socketio::Config)) -> Arc<Config> {
    let mut session = socketio::Config::default();
    change(&mut session);
    let mut config = Config::default();
    config.session = session.into();
    config.into()
}
