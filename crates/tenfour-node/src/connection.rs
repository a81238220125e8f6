//! One connection, in terms that every dialect shares.

use crate::{
    Delivery, Dialect, REPLAY_BYTES, Urgency,
    dialect::{from_args, from_name, render_reply},
};
use alloc::sync::Arc;
use bytestring::ByteString;
use tenfour_broker::{Body, Message, RequestId};
use tenfour_delivery::{id::Id, time::Instant};
use tenfour_session::{
    Frame, Input, Transmit, WebSocketId,
    engineio::{self, CloseReason, Opening, SendError, TransportKind},
    socketio::{self, Admission, ConnectError, Encoded},
};
use tenfour_wire::socketio::{AckId, DEFAULT_NAMESPACE};

/// How a node's connections behave.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The sessions' settings; those of Engine.IO count for either dialect.
    pub session: Arc<socketio::Config>,
    /// What the connections speak: Socket.IO with its default encoding.
    pub dialect: Dialect,
    /// What becomes of a connection whose queue is full when a broadcast comes: [`Overflow::Disconnect`].
    pub overflow: Overflow,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            session: Arc::default(),
            dialect: Dialect::SocketIo(socketio::Encoding::Json),
            overflow: Overflow::Disconnect,
        }
    }
}

/// What becomes of a connection whose queue is full when a message comes that cannot wait for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overflow {
    /// It is closed as a slow consumer: the client sees a disconnection in place of a silent gap.
    Disconnect,
    /// The message is refused for this connection, and the sender is told.
    Refuse,
}

/// One connection: its session, and the translation between its dialect and the broker's messages.
///
/// It is driven as [`engineio::ServerSession`] is, and never needs a lock besides the one that guards it.
#[derive(Debug)]
pub struct Connection {
    config: Arc<Config>,
    session: Session,
}

#[derive(Debug)]
enum Session {
    SocketIo(socketio::ServerSession),
    EngineIo { session: engineio::ServerSession, membership: Membership },
}

/// What the sessions of all dialects have in common.
macro_rules! either {
    ($of:expr, $session:ident => $call:expr) => {
        match $of {
            Session::SocketIo($session) => $call,
            Session::EngineIo { session: $session, .. } => $call,
        }
    };
}

/// A connection of a dialect without namespaces is in the main one, once it is let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Membership {
    Unasked,
    Asked,
    Joined,
}

/// An event with what it costs to keep.
#[derive(Clone, Debug, PartialEq)]
pub struct Incoming {
    /// What happened.
    pub event: Event,
    /// To be given to [`Connection::consumed`] when the application is done with the event.
    pub cost: usize,
}

/// What a connection tells the application, in the order in which the client said it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// The client wants to join a namespace: answer with [`Connection::accept`] or [`Connection::refuse`], also where it
    /// has left meanwhile. Messages may follow before the answer.
    Connect {
        /// Which namespace.
        namespace: ByteString,
        /// The JSON text of what the client says of itself.
        auth: Option<ByteString>,
    },
    /// A message came.
    Message {
        /// In which namespace.
        namespace: ByteString,
        /// What it says.
        message: Message,
        /// Where its answer goes, if the client wants one.
        reply: Option<ReplyId>,
    },
    /// The answer to a request came; to be acted on at once.
    Answer {
        /// In which namespace.
        namespace: ByteString,
        /// To which request.
        request: RequestId,
        /// What it says.
        answer: Body,
    },
    /// The client left a namespace.
    Leave {
        /// Which one.
        namespace: ByteString,
    },
    /// The connection is over, and with it every membership; nothing follows.
    Closed(CloseReason),
}

/// Where the answer to a client's message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplyId(AckId);

impl Connection {
    /// A connection that begins with `opening`, under the secret id `sid`.
    #[must_use]
    pub fn new(config: Arc<Config>, sid: Id, opening: Opening, now: Instant) -> Self {
        let session = match config.dialect {
            Dialect::SocketIo(_) => {
                Session::SocketIo(socketio::ServerSession::new(config.session.clone(), sid, opening, now))
            }
            Dialect::EngineIo => Session::EngineIo {
                session: engineio::ServerSession::new(config.session.engine.clone(), sid, opening, now),
                membership: Membership::Unasked,
            },
        };
        Self { config, session }
    }

    /// What the connection speaks.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        self.config.dialect
    }

    /// The session's secret id.
    #[must_use]
    pub fn sid(&self) -> Id {
        either!(&self.session, session => session.sid())
    }

    /// How packets travel now.
    #[must_use]
    pub fn transport(&self) -> TransportKind {
        either!(&self.session, session => session.transport())
    }

    /// As [`engineio::ServerSession::handle_input`].
    pub fn handle_input(&mut self, now: Instant, input: Input) {
        either!(&mut self.session, session => session.handle_input(now, input))
    }

    /// As [`engineio::ServerSession::handle_timeout`].
    pub fn handle_timeout(&mut self, now: Instant) {
        either!(&mut self.session, session => session.handle_timeout(now))
    }

    /// As [`engineio::ServerSession::poll_timeout`].
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        either!(&self.session, session => session.poll_timeout())
    }

    /// As [`engineio::ServerSession::poll_transmit`].
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        either!(&mut self.session, session => session.poll_transmit())
    }

    /// As [`engineio::ServerSession::poll_frame`].
    pub fn poll_frame(&mut self, socket: WebSocketId) -> Option<Frame> {
        either!(&mut self.session, session => session.poll_frame(socket))
    }

    /// As [`engineio::ServerSession::serves`].
    #[must_use]
    pub fn serves(&self, socket: WebSocketId) -> bool {
        either!(&self.session, session => session.serves(socket))
    }

    /// As [`engineio::ServerSession::is_finished`].
    #[must_use]
    pub fn is_finished(&self) -> bool {
        either!(&self.session, session => session.is_finished())
    }

    /// As [`engineio::ServerSession::accepts_input`].
    #[must_use]
    pub fn accepts_input(&self) -> bool {
        either!(&self.session, session => session.accepts_input())
    }

    /// As [`engineio::ServerSession::has_capacity`].
    #[must_use]
    pub fn has_capacity(&self) -> bool {
        either!(&self.session, session => session.has_capacity())
    }

    /// The application is done with an event of this [cost](Incoming::cost).
    pub fn consumed(&mut self, now: Instant, cost: usize) {
        either!(&mut self.session, session => session.consumed(now, cost))
    }

    /// What to tell the application. Ends with `None` until the next call of another method.
    pub fn poll_event(&mut self) -> Option<Incoming> {
        match &mut self.session {
            Session::SocketIo(session) => core::iter::from_fn(|| session.poll_event()).find_map(incoming),
            Session::EngineIo { membership: membership @ Membership::Unasked, .. } => {
                *membership = Membership::Asked;
                Some(Incoming { event: Event::Connect { namespace: DEFAULT_NAMESPACE, auth: None }, cost: 0 })
            }
            Session::EngineIo { session, .. } => {
                core::iter::from_fn(|| session.poll_event()).find_map(plain_incoming)
            }
        }
    }

    /// Lets the client into a namespace that it asked for, and tells it what it is known by. `false` where it doesn't wait for
    /// an answer any more: it left, or the connection is over.
    pub fn accept<'a>(&mut self, namespace: &str, admission: impl Into<Admission<'a>>) -> bool {
        match &mut self.session {
            Session::SocketIo(session) => session.accept(namespace, admission),
            Session::EngineIo { session, membership } => {
                let waits = *membership == Membership::Asked && is_in(session, namespace);
                if waits {
                    *membership = Membership::Joined;
                }
                waits
            }
        }
    }

    /// Does not let the client into a namespace that it asked for. A dialect without namespaces closes.
    pub fn refuse(&mut self, now: Instant, namespace: &str, error: &ConnectError) {
        match &mut self.session {
            Session::SocketIo(session) => session.refuse(namespace, error),
            Session::EngineIo { session, membership } => {
                if *membership == Membership::Asked && is_in(session, namespace) {
                    session.close(now, CloseReason::ServerClose);
                }
            }
        }
    }

    /// Takes the client out of a namespace. A dialect without namespaces closes. `false` where it is not in.
    pub fn disconnect(&mut self, now: Instant, namespace: &str) -> bool {
        match &mut self.session {
            Session::SocketIo(session) => session.disconnect(namespace),
            Session::EngineIo { session, membership } => {
                let joined = *membership == Membership::Joined && is_in(session, namespace);
                if joined {
                    session.close(now, CloseReason::ServerClose);
                }
                joined
            }
        }
    }

    /// Ends the connection in order: what is queued is sent first.
    pub fn close(&mut self, now: Instant, reason: CloseReason) {
        either!(&mut self.session, session => session.close(now, reason))
    }

    /// Queues a packet, for a sender that waits for room or tells of its lack.
    ///
    /// # Errors
    /// As [`engineio::ServerSession::send`].
    pub fn send(&mut self, packet: &Encoded) -> Result<(), SendError> {
        match &mut self.session {
            Session::SocketIo(session) => session.send(packet),
            Session::EngineIo { session, .. } => session.send_frames(packet.frames()),
        }
    }

    /// Queues a packet, for a sender that does not wait.
    pub fn offer(&mut self, packet: &Encoded, urgency: Urgency) -> Delivery {
        match urgency {
            Urgency::Volatile if !either!(&self.session, session => session.is_writable()) => {
                return Delivery::Dropped;
            }
            Urgency::Replayed if self.queued_bytes() > REPLAY_BYTES => return Delivery::Refused,
            _ => {}
        }
        match (self.send(packet), urgency, self.config.overflow) {
            (Ok(()), ..) => Delivery::Queued,
            (Err(SendError::Full), Urgency::Volatile, _) => Delivery::Dropped,
            (Err(SendError::Full), Urgency::Queued, Overflow::Disconnect) => {
                self.abort();
                Delivery::Refused
            }
            (Err(_), ..) => Delivery::Refused,
        }
    }

    /// As [`engineio::ServerSession::queued_bytes`].
    #[must_use]
    pub fn queued_bytes(&self) -> usize {
        either!(&self.session, session => session.queued_bytes())
    }

    fn abort(&mut self) {
        either!(&mut self.session, session => session.abort(CloseReason::SlowConsumer))
    }

    /// Queues the answer to a client's message. Nothing happens where the dialect has no answers.
    ///
    /// # Errors
    /// As [`engineio::ServerSession::send`].
    pub fn reply(&mut self, namespace: &str, to: ReplyId, body: &Body) -> Result<(), SendError> {
        match render_reply(self.dialect(), namespace, to.0, body) {
            Some(packet) => self.send(&packet),
            None => Ok(()),
        }
    }
}

/// A connection of a dialect without namespaces is, as long as it is open, in the main one or on its way there.
fn is_in(session: &engineio::ServerSession, namespace: &str) -> bool {
    session.is_open() && namespace == &*DEFAULT_NAMESPACE
}

/// An event that only a later version of the sessions has is none for this one.
fn incoming(event: socketio::Event) -> Option<Incoming> {
    let cost = event.cost();
    let event = match event {
        socketio::Event::Connect { namespace, auth } => Event::Connect { namespace, auth },
        socketio::Event::Event { namespace, id, name, args } => Event::Message {
            namespace,
            message: Message { name: Some(from_name(name)), body: from_args(args) },
            reply: id.map(ReplyId),
        },
        socketio::Event::Ack { namespace, id, args } => {
            Event::Answer { namespace, request: RequestId::new(id.get()), answer: from_args(args) }
        }
        socketio::Event::Disconnect { namespace } => Event::Leave { namespace },
        socketio::Event::Closed(reason) => Event::Closed(reason),
        _ => return None,
    };
    Some(Incoming { event, cost })
}

fn plain_incoming(event: engineio::Event) -> Option<Incoming> {
    let cost = event.cost();
    let event = match event {
        engineio::Event::Message(message) => plain_message(message),
        engineio::Event::Closed(reason) => Event::Closed(reason),
        _ => return None,
    };
    Some(Incoming { event, cost })
}

fn plain_message(message: engineio::Message) -> Event {
    let body = match message {
        engineio::Message::Text(text) => Body::Text(text),
        engineio::Message::Binary(data) => Body::Binary(data),
    };
    Event::Message { namespace: DEFAULT_NAMESPACE, message: Message { name: None, body }, reply: None }
}
