//! One Socket.IO connection on the server's side.

#[cfg(test)]
mod transitions;

use super::{Admission, Config, ConnectError, Encoded, Encoding};
use crate::{
    engineio::{self, CloseReason, Message, Opening, SendError, TransportKind},
    events::EventQueue,
    io::{Frame, Input, Transmit, WebSocketId},
};
use alloc::{format, sync::Arc};

use bytestring::ByteString;
use smallvec::SmallVec;
use tenfour_delivery::{
    id::Id,
    time::{Instant, earliest},
};
use tenfour_wire::socketio::{AckId, Args, DEFAULT_NAMESPACE, Decoder, EventName, Packet, msgpack};

/// A Socket.IO connection: one Engine.IO session, and the namespaces that its client is in.
///
/// It is driven as [`engineio::ServerSession`] is. Each [`Event`] has a [cost](Event::cost), which the driver gives back
/// with [`consumed`](Self::consumed) once the application is done with it.
#[derive(Debug)]
pub struct ServerSession {
    config: Arc<Config>,
    engine: engineio::ServerSession,
    decoder: Decoder,
    namespaces: SmallVec<[Member; 1]>,
    events: EventQueue<Event>,
    /// Set until the client has joined its first namespace.
    connect_by: Option<Instant>,
    /// Set while a packet's attachments are on the way.
    attachments_by: Option<Instant>,
}

#[derive(Debug)]
struct Member {
    namespace: ByteString,
    state: MemberState,
}

/// ```text
/// (absent) ──CONNECT──▶ Connecting ──accept──▶ Connected ──DISCONNECT from the client──▶ (absent)
///                        │     └──refuse──▶ Left ◀──disconnect──┘
///                        └──DISCONNECT──▶ Withdrawn ──accept, refuse──▶ (absent)
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MemberState {
    Connecting,
    /// The client left before it was answered. It must not ask again until then, or the answer to its first question would
    /// be taken for one to its second.
    Withdrawn,
    Connected,
    /// By the server's doing: what the client sent before it knew is ignored, and not held against it.
    Left,
}

/// What a connection tells the layer above.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// The client wants to join a namespace: answer with [`ServerSession::accept`] or [`ServerSession::refuse`], also where
    /// it has left meanwhile. Events of the namespace may follow before the answer: keep them until then, and drop them
    /// with a refusal.
    Connect {
        /// The namespace's name, `/` for the main one.
        namespace: ByteString,
        /// The JSON text of the client's `auth` object.
        auth: Option<ByteString>,
    },
    /// An event came.
    Event {
        /// The namespace's name.
        namespace: ByteString,
        /// The number under which the client awaits an acknowledgement.
        id: Option<AckId>,
        /// The event's name.
        name: EventName,
        /// Its arguments.
        args: Args,
    },
    /// The client acknowledges the event that was sent with this number.
    Ack {
        /// The namespace's name.
        namespace: ByteString,
        /// The number.
        id: AckId,
        /// The acknowledgement's arguments.
        args: Args,
    },
    /// The client left a namespace.
    Disconnect {
        /// The namespace's name.
        namespace: ByteString,
    },
    /// The connection is over, and with it all its namespaces; nothing follows.
    Closed(CloseReason),
}

impl Event {
    /// What the event counts against [`engineio::Config::inbound_bytes`] from its arrival to [`ServerSession::consumed`]; zero for
    /// those that the driver acts on at once.
    #[must_use]
    pub fn cost(&self) -> usize {
        match self {
            Self::Connect { namespace, auth } => {
                size_of::<Self>() + namespace.len() + auth.as_ref().map_or(0, |auth| auth.len())
            }
            Self::Event { namespace, name, args, .. } => {
                size_of::<Self>() + namespace.len() + name.as_str().len() + args.byte_len()
            }
            Self::Disconnect { namespace } => size_of::<Self>() + namespace.len(),
            Self::Ack { .. } | Self::Closed(_) => 0,
        }
    }
}

impl ServerSession {
    /// A connection whose Engine.IO session begins with `opening`; `sid` as for [`engineio::ServerSession::new`].
    #[must_use]
    pub fn new(config: Arc<Config>, sid: Id, opening: Opening, now: Instant) -> Self {
        Self {
            engine: engineio::ServerSession::new(config.engine.clone(), sid, opening, now),
            decoder: Decoder::new(config.engine.limits),
            namespaces: SmallVec::new(),
            events: EventQueue::new(),
            connect_by: Some(now + config.connect_timeout),
            attachments_by: None,
            config,
        }
    }

    /// The Engine.IO session's secret id.
    #[must_use]
    pub fn sid(&self) -> Id {
        self.engine.sid()
    }

    /// How packets travel now.
    #[must_use]
    pub fn transport(&self) -> TransportKind {
        self.engine.transport()
    }

    /// As [`engineio::ServerSession::handle_input`].
    pub fn handle_input(&mut self, now: Instant, input: Input) {
        self.engine.take_in(now, input);
        self.drain_engine(now);
    }

    /// As [`engineio::ServerSession::handle_timeout`].
    pub fn handle_timeout(&mut self, now: Instant) {
        self.engine.handle_timeout(now);
        self.drain_engine(now);
        self.events.shrink();
        if self.own_timeout().is_some_and(|by| now.has_reached(by)) {
            self.close(now, CloseReason::ServerClose);
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due; may change with every other call.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        earliest([self.engine.poll_timeout(), self.own_timeout()])
    }

    /// What the client is late with may lie unread while the driver doesn't read.
    fn own_timeout(&self) -> Option<Instant> {
        if self.accepts_input() { earliest([self.connect_by, self.attachments_by]) } else { None }
    }

    /// What to tell the layer above. Ends with `None` until the next call of another method.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop()
    }

    /// As [`engineio::ServerSession::poll_transmit`].
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.engine.poll_transmit()
    }

    /// As [`engineio::ServerSession::poll_frame`].
    pub fn poll_frame(&mut self, socket: WebSocketId) -> Option<Frame> {
        self.engine.poll_frame(socket)
    }

    /// As [`engineio::ServerSession::serves`].
    #[must_use]
    pub fn serves(&self, socket: WebSocketId) -> bool {
        self.engine.serves(socket)
    }

    /// As [`engineio::ServerSession::is_finished`].
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.engine.is_finished() && self.events.is_empty()
    }

    /// As [`engineio::ServerSession::is_writable`].
    #[must_use]
    pub fn is_writable(&self) -> bool {
        self.engine.is_writable()
    }

    /// As [`engineio::ServerSession::has_capacity`].
    #[must_use]
    pub fn has_capacity(&self) -> bool {
        self.engine.has_capacity()
    }

    /// As [`engineio::ServerSession::queued_bytes`].
    #[must_use]
    pub fn queued_bytes(&self) -> usize {
        self.engine.queued_bytes()
    }

    /// As [`engineio::ServerSession::is_open`].
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.engine.is_open()
    }

    /// As [`engineio::ServerSession::accepts_input`].
    #[must_use]
    pub fn accepts_input(&self) -> bool {
        self.engine.accepts_input()
    }

    /// The application is done with an event of this [cost](Event::cost).
    pub fn consumed(&mut self, now: Instant, cost: usize) {
        self.engine.transfer(cost, 0);
        self.settle(now);
    }

    fn settle(&mut self, now: Instant) {
        let Some(held) = self.engine.settle(now) else { return };
        for deadline in [&mut self.connect_by, &mut self.attachments_by].into_iter().flatten() {
            *deadline = *deadline + held;
        }
    }

    /// Lets the client into a namespace that it asked for, and tells it what it is known by. `false` where it doesn't wait
    /// for an answer any more: it left, or the connection is over.
    pub fn accept<'a>(&mut self, namespace: &str, admission: impl Into<Admission<'a>>) -> bool {
        let Some(member) = self.asking(namespace) else { return false };
        member.state = MemberState::Connected;
        let namespace = member.namespace.clone();
        self.connect_by = None;
        self.push(&Packet::Connect { namespace, data: Some(admission.into().to_json()) });
        self.end();
        true
    }

    /// Does not let the client into a namespace that it asked for.
    pub fn refuse(&mut self, namespace: &str, error: &ConnectError) {
        let Some(member) = self.asking(namespace) else { return };
        member.state = MemberState::Left;
        let namespace = member.namespace.clone();
        self.push(&Packet::ConnectError { namespace, data: Some(error.to_json()) });
        self.end();
    }

    /// Takes the client out of a namespace; its connection stays. `false` where it is not in.
    ///
    /// A stock client that is told so does not come back by itself. So it is also what fences one whose session has been taken
    /// over on another connection: the two don't take it from each other for ever.
    pub fn disconnect(&mut self, namespace: &str) -> bool {
        let Some(member) = self.member(namespace, MemberState::Connected) else { return false };
        member.state = MemberState::Left;
        let namespace = member.namespace.clone();
        self.push(&Packet::Disconnect { namespace });
        self.end();
        true
    }

    /// The member whose question is answered now, if the client still waits.
    fn asking(&mut self, namespace: &str) -> Option<&mut Member> {
        self.namespaces
            .retain(|member| member.state != MemberState::Withdrawn || member.namespace != namespace);
        self.member(namespace, MemberState::Connecting)
    }

    fn member(&mut self, namespace: &str, state: MemberState) -> Option<&mut Member> {
        self.namespaces.iter_mut().find(|member| member.state == state && member.namespace == namespace)
    }

    /// Queues a packet behind those before it.
    ///
    /// # Errors
    /// As [`engineio::ServerSession::send`].
    pub fn send(&mut self, packet: &Encoded) -> Result<(), SendError> {
        self.engine.send_frames(packet.frames())
    }

    /// Ends the connection in order: what is queued is sent first.
    pub fn close(&mut self, now: Instant, reason: CloseReason) {
        self.engine.close(now, reason);
        self.end();
    }

    /// Ends the connection at once, for a client that doesn't take what is queued.
    pub fn abort(&mut self, reason: CloseReason) {
        self.engine.abort(reason);
        self.end();
    }

    /// Packets of the protocol itself pass the queue's bound. A client that provokes too many of them ends the session, so
    /// [`end`](Self::end) must follow, unless the engine is being drained.
    fn push(&mut self, packet: &Packet) {
        self.engine.push_control(Encoded::control(self.config.encoding, packet).frames());
    }

    fn drain_engine(&mut self, now: Instant) {
        let mut standing = Ok(());
        while let Some(event) = self.engine.poll_event() {
            match event {
                engineio::Event::Message(message) => {
                    self.engine.transfer(message.cost(), 0);
                    // What came with one input behind a fault is not looked at.
                    if standing.is_ok() {
                        standing = self.handle_message(now, message);
                        if standing.is_err() {
                            self.engine.close(now, CloseReason::ParseError);
                        }
                    }
                }
                engineio::Event::Closed(reason) => self.closed(reason),
            }
        }
        self.settle(now);
    }

    /// Takes over the end that this side may just have made; messages are never left with the engine.
    fn end(&mut self) {
        if let Some(engineio::Event::Closed(reason)) = self.engine.poll_event() {
            self.closed(reason);
        }
    }

    fn closed(&mut self, reason: CloseReason) {
        self.namespaces.clear();
        self.connect_by = None;
        self.attachments_by = None;
        self.events.push(Event::Closed(reason));
    }

    fn handle_message(&mut self, now: Instant, message: Message) -> Result<(), Fault> {
        match self.decode(message)? {
            Some(packet) => {
                self.attachments_by = None;
                self.handle_packet(packet)
            }
            None => {
                if self.decoder.is_pending() {
                    self.attachments_by.get_or_insert(now + self.config.attachment_timeout);
                }
                Ok(())
            }
        }
    }

    fn decode(&mut self, message: Message) -> Result<Option<Packet>, Fault> {
        let packet = match (self.config.encoding, message) {
            (Encoding::Json, Message::Text(text)) => self.decoder.decode_text(text),
            (Encoding::Json, Message::Binary(data)) => self.decoder.decode_binary(data),
            (Encoding::MessagePack, Message::Text(_)) => return Err(Fault),
            (Encoding::MessagePack, Message::Binary(data)) => {
                msgpack::decode(data, &self.config.engine.limits).map(Some)
            }
        };
        packet.map_err(|_| Fault)
    }

    fn handle_packet(&mut self, packet: Packet) -> Result<(), Fault> {
        use MemberState::{Connected, Connecting, Left};

        let place = self.namespaces.iter().position(|member| member.namespace == *packet.namespace());
        let state = place.map(|place| self.namespaces[place].state);
        match (packet, state) {
            (Packet::Connect { namespace, data }, None | Some(Left)) => {
                self.handle_connect(namespace, data, place);
            }
            (Packet::Disconnect { namespace }, Some(Connecting | Connected)) => {
                self.handle_disconnect(namespace);
            }
            (Packet::Event { namespace, id, name, args }, Some(Connecting | Connected)) => {
                self.event(Event::Event { namespace, id, name, args });
            }
            (Packet::Ack { namespace, id, args }, Some(Connected)) => {
                self.event(Event::Ack { namespace, id, args });
            }
            (Packet::Ack { .. }, Some(Connecting))
            | (Packet::Disconnect { .. } | Packet::Event { .. } | Packet::Ack { .. }, Some(Left)) => {}
            _ => return Err(Fault),
        }
        Ok(())
    }

    fn handle_disconnect(&mut self, namespace: ByteString) {
        match self.member(&namespace, MemberState::Connecting) {
            Some(member) => member.state = MemberState::Withdrawn,
            None => self.namespaces.retain(|member| member.namespace != namespace),
        }
        self.event(Event::Disconnect { namespace });
    }

    fn handle_connect(&mut self, namespace: ByteString, auth: Option<ByteString>, place: Option<usize>) {
        let active = self.namespaces.iter().filter(|member| member.state != MemberState::Left).count();
        if active >= self.config.namespaces {
            let error = ConnectError::new(format!("too many namespaces on one connection: {active}"));
            return self.push(&Packet::ConnectError { namespace, data: Some(error.to_json()) });
        }
        match place {
            Some(place) => self.namespaces[place].state = MemberState::Connecting,
            None => {
                if self.namespaces.len() >= self.config.namespaces {
                    self.namespaces.retain(|member| member.state != MemberState::Left);
                }
                self.namespaces
                    .push(Member { namespace: detach(&namespace), state: MemberState::Connecting });
            }
        }
        self.event(Event::Connect { namespace, auth });
    }

    fn event(&mut self, event: Event) {
        self.engine.transfer(0, event.cost());
        self.events.push(event);
    }
}

/// What may not come here: no packet at all, a second CONNECT, a CONNECT_ERROR from a client, anything for a namespace that the
/// client never asked for.
struct Fault;

/// A membership lasts, and must not keep the packet alive that asked for it.
fn detach(namespace: &ByteString) -> ByteString {
    if *namespace == DEFAULT_NAMESPACE { DEFAULT_NAMESPACE } else { ByteString::from(&**namespace) }
}
