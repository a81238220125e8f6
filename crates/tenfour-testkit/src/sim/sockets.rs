//! The Socket.IO half: connections of stock clients on the server's side, and the clients themselves.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc, sync::Arc};

use bytes::{Bytes, BytesMut};
use bytestring::ByteString;
use tenfour_broker::{Body, Limits, SocketId, channel::PublishId};
use tenfour_delivery::{id::Id, time::Instant};
use tenfour_node::{
    Config, Connection, Delivery, Dialect, Event, Namespace, Peer, ReplyId, Urgency, native::Committed,
};
use tenfour_session::{
    Frame, Input, WebSocketId,
    engineio::{CloseReason, Opening},
    socketio::{self, Encoded},
};
use tenfour_wire::{
    Limits as WireLimits,
    socketio::{AckId, Decoder, EventName, Packet, encode_event},
    websocket,
};

use super::{
    ChannelId, ClientId, ConnectionId, MessageId,
    client::{channel_id, channel_name},
    letter::Letter,
    link::Cargo,
};

const SOCKET: WebSocketId = WebSocketId(0);
/// The events that a client sends, and the server's handlers answer.
const PUBLISH: &str = "publish";
const EMIT: &str = "emit";

/// The server's side of all stock clients.
pub(crate) struct Sockets {
    config: Arc<Config>,
    namespace: Namespace<Line>,
    sockets: Vec<Socket>,
    /// Whom to answer when a publication is committed.
    asked: BTreeMap<PublishId, (ConnectionId, ReplyId)>,
}

struct Socket {
    id: ConnectionId,
    client: ClientId,
    line: Line,
    member: Option<SocketId>,
}

#[derive(Clone)]
struct Line(Rc<RefCell<Connection>>);

impl Peer for Line {
    fn dialect(&self) -> Dialect {
        self.0.borrow().dialect()
    }

    fn deliver(&self, packet: &Encoded, urgency: Urgency) -> Delivery {
        self.0.borrow_mut().offer(packet, urgency)
    }
}

/// What a handler is asked for.
pub(crate) enum Asked {
    Joined(ConnectionId, ClientId),
    Publish(ConnectionId, ReplyId, ChannelId, Letter),
    Emit(ChannelId, Letter),
}

impl Sockets {
    pub(crate) fn new(config: Arc<Config>) -> Self {
        let namespace = Namespace::new("/".into(), Limits::default(), 0);
        Self { config, namespace, sockets: Vec::new(), asked: BTreeMap::new() }
    }

    /// The server's process began anew: nothing is left.
    pub(crate) fn restart(&mut self) {
        *self = Self::new(self.config.clone());
    }

    pub(crate) fn accept(&mut self, now: Instant, connection: ConnectionId, client: ClientId) {
        let sid = Id::from_random(unique(connection));
        let opening = Opening::WebSocket(SOCKET);
        let line = Line(Rc::new(RefCell::new(Connection::new(self.config.clone(), sid, opening, now))));
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
        self.find(connection)?.line.0.borrow().poll_timeout()
    }

    pub(crate) fn poll_frame(&mut self, connection: ConnectionId) -> Option<Cargo> {
        match self.find(connection)?.line.0.borrow_mut().poll_frame(SOCKET)? {
            Frame::Text(text) => Some(Cargo::Text(text)),
            Frame::Binary(bytes) | Frame::Pong(bytes) => Some(Cargo::Bytes(bytes)),
            _ => Some(Cargo::End),
        }
    }

    /// Whether there is nothing more to be done for a connection.
    pub(crate) fn is_finished(&self, connection: ConnectionId) -> bool {
        self.find(connection).is_none_or(|socket| socket.line.0.borrow().is_finished())
    }

    pub(crate) fn remove(&mut self, now: Instant, connection: ConnectionId) {
        self.handle_input(now, connection, Input::SocketClosed { socket: SOCKET });
        self.sockets.retain(|socket| socket.id != connection);
    }

    pub(crate) fn fan_out(&mut self, committed: &Committed) {
        committed.fan_out(&mut self.namespace);
    }

    pub(crate) fn emit(&mut self, channel: &ByteString, message: &tenfour_broker::Message) {
        let target = tenfour_broker::Target::room(channel.clone());
        self.namespace.emit(&target, message, Urgency::Queued);
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

    /// A client whose answer has no room is closed as too slow: it then knows that it does not know.
    pub(crate) fn answer(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        reply: ReplyId,
        result: Result<(u64, u64), ()>,
    ) {
        let args = match result {
            Ok((epoch, offset)) => format!("{epoch},{offset}"),
            Err(()) => "null".into(),
        };
        let Some(socket) = self.find(connection) else { return };
        let mut line = socket.line.0.borrow_mut();
        if line.reply("/", reply, &Body::json(args)).is_err() {
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
        act(&mut line.0.borrow_mut());
        loop {
            let incoming = line.0.borrow_mut().poll_event();
            let Some(incoming) = incoming else { return asked };
            self.hear(place, incoming.event, &mut asked);
            line.0.borrow_mut().consumed(now, incoming.cost);
        }
    }

    fn hear(&mut self, place: usize, event: Event, asked: &mut Vec<Asked>) {
        let socket = &mut self.sockets[place];
        match event {
            Event::Connect { namespace, .. } => {
                let id = SocketId::from_bytes(unique(socket.id));
                if self.namespace.insert(id, socket.line.clone()).is_ok() {
                    socket.line.0.borrow_mut().accept(&namespace, id.as_str());
                    socket.member = Some(id);
                    asked.push(Asked::Joined(socket.id, socket.client));
                }
            }
            Event::Message { message, reply, .. } => {
                let Body::Json { args, .. } = &message.body else { return };
                let (Some(channel), Some(letter)) = (args.get(1..2), args.get(4..)) else { return };
                let channel = channel_id(channel);
                match (message.name.as_deref(), reply) {
                    (Some(PUBLISH), Some(reply)) => {
                        let letter = Letter::read_parts(Letter::Publication(0).name(), letter);
                        asked.extend(letter.map(|letter| Asked::Publish(socket.id, reply, channel, letter)));
                    }
                    _ => {
                        let letter = Letter::read_parts(Letter::Emit(0).name(), letter);
                        asked.extend(letter.map(|letter| Asked::Emit(channel, letter)));
                    }
                }
            }
            Event::Leave { .. } | Event::Closed(_) => {
                if let Some(member) = socket.member.take() {
                    self.namespace.remove(member);
                }
            }
            _ => {}
        }
    }

    /// The client is to get what comes on a channel.
    pub(crate) fn join(&mut self, connection: ConnectionId, channel: ChannelId) {
        if let Some(member) = self.find(connection).and_then(|socket| socket.member) {
            // It is in fewer rooms than the limit.
            _ = self.namespace.join(member, &channel_name(channel));
        }
    }

    fn find(&self, connection: ConnectionId) -> Option<&Socket> {
        self.sockets.iter().find(|socket| socket.id == connection)
    }
}

fn unique(connection: ConnectionId) -> [u8; 15] {
    let mut bytes = [0; 15];
    bytes[..4].copy_from_slice(&connection.to_be_bytes());
    bytes
}

/// A stock client, which asks for no recovery and repeats nothing.
#[derive(Debug)]
pub(crate) struct Stock {
    connection: Option<(ConnectionId, Decoder)>,
    is_joined: bool,
    next_ack: u64,
    unanswered: BTreeMap<u64, MessageId>,
    outgoing: Vec<Bytes>,
}

/// What a stock client learns.
#[derive(Debug)]
pub(crate) enum Told {
    Publication(MessageId),
    Heard(MessageId),
    Acked(MessageId, u64, u64),
    Rejected(MessageId),
    /// The connection is over; so many publications will never be answered.
    Forgotten(MessageId),
}

impl Stock {
    pub(crate) fn new() -> Self {
        Self {
            connection: None,
            is_joined: false,
            next_ack: 0,
            unanswered: BTreeMap::new(),
            outgoing: Vec::new(),
        }
    }

    pub(crate) fn connection(&self) -> Option<ConnectionId> {
        self.connection.as_ref().map(|(connection, _)| *connection)
    }

    pub(crate) fn is_settled(&self) -> bool {
        self.is_joined && self.unanswered.is_empty()
    }

    pub(crate) fn connect(&mut self, connection: ConnectionId) {
        self.connection = Some((connection, Decoder::new(WireLimits::default())));
        self.is_joined = false;
    }

    pub(crate) fn disconnect(&mut self) -> Vec<Told> {
        self.connection = None;
        self.is_joined = false;
        self.outgoing.clear();
        core::mem::take(&mut self.unanswered).into_values().map(Told::Forgotten).collect()
    }

    /// `false` where it is not joined, and sends nothing.
    pub(crate) fn publish(&mut self, message: MessageId, channel: ChannelId) -> bool {
        if self.is_joined {
            self.next_ack += 1;
            self.unanswered.insert(self.next_ack, message);
            let ack = AckId::new(self.next_ack);
            self.event(PUBLISH, Some(ack), channel, Letter::Publication(message));
        }
        self.is_joined
    }

    pub(crate) fn emit(&mut self, message: MessageId, channel: ChannelId) -> bool {
        if self.is_joined {
            self.event(EMIT, None, channel, Letter::Emit(message));
        }
        self.is_joined
    }

    pub(crate) fn poll_transmit(&mut self) -> Option<Bytes> {
        (!self.outgoing.is_empty()).then(|| self.outgoing.remove(0))
    }

    pub(crate) fn receive(&mut self, text: Bytes) -> Option<Told> {
        let text = ByteString::try_from(text).ok()?;
        let (_, decoder) = self.connection.as_mut()?;
        match text.as_bytes().first()? {
            b'0' => self.outgoing.push(Bytes::from_static(b"40")),
            b'2' => self.outgoing.push(Bytes::from_static(b"3")),
            b'4' => {
                let packet = decoder.decode_text(text.slice_ref(&text[1..])).ok().flatten()?;
                return self.packet(packet);
            }
            _ => {}
        }
        None
    }

    fn packet(&mut self, packet: Packet) -> Option<Told> {
        match packet {
            Packet::Connect { .. } => {
                self.is_joined = true;
                None
            }
            Packet::Event { name, args, .. } => match Letter::read_parts(name.as_str(), args.json()) {
                Some(Letter::Publication(message)) => Some(Told::Publication(message)),
                Some(Letter::Emit(message)) => Some(Told::Heard(message)),
                // No message has this number, so the judge sees that it is none.
                _ => Some(Told::Publication(MessageId::MAX)),
            },
            Packet::Ack { id, args, .. } => {
                let message = self.unanswered.remove(&id.get())?;
                let place = args.json().split_once(',');
                let place =
                    place.and_then(|(epoch, offset)| Some((epoch.parse().ok()?, offset.parse().ok()?)));
                Some(match place {
                    Some((epoch, offset)) => Told::Acked(message, epoch, offset),
                    None => Told::Rejected(message),
                })
            }
            _ => None,
        }
    }

    fn event(&mut self, name: &'static str, ack: Option<AckId>, channel: ChannelId, letter: Letter) {
        let args = format!("\"{}\",{}", channel_name(channel), letter.args());
        let args = tenfour_wire::socketio::Args::from_validated(args.into(), Vec::new());
        let mut text = BytesMut::from(&b"4"[..]);
        encode_event(&mut text, "/", ack, &EventName::Text(ByteString::from_static(name)), &args);
        self.outgoing.push(text.freeze());
    }
}

/// A server's settings for stock clients.
pub(crate) fn config(change: impl FnOnce(&mut socketio::Config)) -> Arc<Config> {
    let mut session = socketio::Config::default();
    change(&mut session);
    let mut config = Config::default();
    config.session = session.into();
    config.into()
}
