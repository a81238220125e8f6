//! One Engine.IO session on the server's side.

mod http;
mod socket;
#[cfg(test)]
mod transitions;

use super::{
    CloseReason, Config, Event, Message, Refusal, TransportKind,
    heartbeat::{Beat, Heartbeat},
    queue::SendQueue,
    transport::{Polling, Transport, WebSocket, Write},
};
use crate::{
    events::EventQueue,
    io::{Frame, Input, RequestId, Response, Transmit, WebSocketId},
};
use alloc::{collections::VecDeque, sync::Arc};
use bytes::{Bytes, BytesMut};
use core::time::Duration;
use tenfour_delivery::{
    id::Id,
    time::{Instant, earliest},
};
use tenfour_wire::engineio::{Handshake, Packet};
use thiserror::Error;

/// An Engine.IO session from its handshake to its end.
///
/// Drive it like this: pass what happens to [`handle_input`](Self::handle_input), and time to
/// [`handle_timeout`](Self::handle_timeout) no later than [`poll_timeout`](Self::poll_timeout) says. After either, after
/// [`send`](Self::send), or after several of them, empty [`poll_event`](Self::poll_event) and
/// [`poll_transmit`](Self::poll_transmit). Take a frame with [`poll_frame`](Self::poll_frame) only when its socket has
/// room: what is not taken waits here, where it is counted and survives the upgrade. A socket that the session no longer
/// [`serves`](Self::serves) is closed.
///
/// ```
/// use tenfour_delivery::{id::Id, time::Instant};
/// use tenfour_session::{Input, PostContent, RequestId, Transmit};
/// use tenfour_session::engineio::{Event, Message, Opening, ServerSession};
///
/// let now = Instant::ZERO;
/// let opening = Opening::Polling(RequestId(0));
/// let mut session = ServerSession::new(Default::default(), Id::from_random([7; 15]), opening, now);
/// let Some(Transmit::Respond { response, .. }) = session.poll_transmit() else { panic!() };
/// assert!(response.body.starts_with(b"0{"));
///
/// // The client posts a message, which is echoed to its next poll.
/// let request = RequestId(1);
/// session.handle_input(now, Input::PostOpened { request, content: PostContent::Text });
/// session.handle_input(now, Input::PostBody { request, body: "4hello".into() });
/// let Some(Event::Message(message)) = session.poll_event() else { panic!() };
/// session.consumed(now, message.cost());
/// session.send(message)?;
/// session.handle_input(now, Input::Poll { request: RequestId(2) });
/// let mut bodies = Vec::new();
/// while let Some(Transmit::Respond { response, .. }) = session.poll_transmit() {
///     bodies.push(response.body);
/// }
/// assert_eq!(bodies, ["ok", "4hello"]);
/// # Ok::<(), tenfour_session::engineio::SendError>(())
/// ```
#[derive(Debug)]
pub struct ServerSession {
    config: Arc<Config>,
    sid: Id,
    state: State,
    transport: Transport,
    heartbeat: Heartbeat,
    queue: SendQueue,
    events: EventQueue<Event>,
    responses: VecDeque<(RequestId, Response)>,
    /// The cost of the messages that are with the layer above.
    outstanding: usize,
}

/// ```text
/// Open ──close(); a WebSocket's fault or close──▶ Closing ──last packet fetched, close timeout──▶ Closed
///   └──polling's fault or close, abort(), the heartbeat, a lost connection─────────────────────────▲
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    /// The close packet is the last of the queue: the client is to fetch it.
    Closing {
        deadline: Instant,
    },
    /// Nothing is queued, no request is pending, no socket is served.
    Closed,
}

/// How a session begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// With a GET, which the handshake answers.
    Polling(RequestId),
    /// With a WebSocket, on which the handshake is the first frame.
    WebSocket(WebSocketId),
}

/// Why a message was not queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SendError {
    /// The client doesn't keep up: [`Config::send_queue_bytes`] are waiting. Try again once
    /// [`ServerSession::queued_bytes`] has fallen.
    #[error("the client's send queue is full; wait until it has drained, or drop the message")]
    Full,
    /// The session is over, or about to be.
    #[error("the session is closed")]
    Closed,
}

impl ServerSession {
    /// A session that an admitted request opens. `sid` is a secret between the client and this server: whoever knows it
    /// is the client.
    #[must_use]
    pub fn new(config: Arc<Config>, sid: Id, opening: Opening, now: Instant) -> Self {
        let (transport, kind) = match opening {
            Opening::Polling(request) => (
                Transport::Polling(Polling { get: Some(request), ..Polling::default() }),
                TransportKind::Polling,
            ),
            Opening::WebSocket(socket) => {
                (Transport::WebSocket(WebSocket::new(socket)), TransportKind::WebSocket)
            }
        };
        let mut session = Self {
            heartbeat: Heartbeat::new(&config, now),
            config,
            sid,
            state: State::Open,
            transport,
            queue: SendQueue::default(),
            events: EventQueue::new(),
            responses: VecDeque::new(),
            outstanding: 0,
        };
        session.queue.push(Frame::Text(session.handshake(kind)));
        session
    }

    fn handshake(&self, kind: TransportKind) -> Bytes {
        let mut text = BytesMut::with_capacity(128);
        let handshake = Handshake {
            sid: self.sid.as_str(),
            upgrades: self.config.upgrades_from(kind),
            ping_interval: self.config.ping_interval,
            ping_timeout: self.config.ping_timeout,
            max_payload: self.config.limits.payload_bytes,
        };
        handshake.encode(&mut text);
        text.freeze()
    }

    /// The session's secret id.
    #[must_use]
    pub fn sid(&self) -> Id {
        self.sid
    }

    /// How packets travel now; changes with the upgrade.
    #[must_use]
    pub fn transport(&self) -> TransportKind {
        match self.transport {
            Transport::Polling(_) => TransportKind::Polling,
            Transport::WebSocket(_) => TransportKind::WebSocket,
        }
    }

    /// Takes in what happened on a transport. Nothing that a peer sends is an error of the call: what it leads to comes
    /// out of the polls. What belongs to a request or a socket that the session doesn't know is ignored.
    pub fn handle_input(&mut self, now: Instant, input: Input) {
        self.take_in(now, input);
        self.settle(now);
    }

    /// [`handle_input`](Self::handle_input) for a layer that settles after it has looked at the messages.
    pub(crate) fn take_in(&mut self, now: Instant, input: Input) {
        match input {
            Input::Poll { request } => self.handle_poll(now, request),
            Input::PostOpened { request, content } => self.handle_post(now, request, content),
            Input::PostBody { request, body } => self.handle_body(now, request, body),
            Input::PostTooLarge { request } => self.handle_oversized_post(request),
            Input::RequestAborted { request } => self.handle_abort(request),
            Input::SocketOpened { socket } => self.handle_socket(now, socket),
            Input::SocketMessage { socket, message } => self.handle_message(now, socket, message),
            Input::SocketFailed { socket, code } => self.handle_socket_failure(now, socket, code),
            Input::SocketClosed { socket } => self.handle_socket_end(socket),
            Input::WriteBlocked { socket } => self.set_write(socket, Write::Blocked),
            Input::WriteReady { socket } => self.set_write(socket, Write::Ready),
        }
    }

    /// Lets time pass. A call before [`poll_timeout`](Self::poll_timeout) does nothing.
    pub fn handle_timeout(&mut self, now: Instant) {
        if let Transport::Polling(polling) = &mut self.transport {
            polling.probe.take_if(|probe| now.has_reached(probe.deadline));
        }
        match self.state {
            State::Open => self.beat(now),
            State::Closing { deadline } if now.has_reached(deadline) => self.finish(CLOSE),
            State::Closing { .. } | State::Closed => {}
        }
    }

    fn beat(&mut self, now: Instant) {
        match self.heartbeat.handle_timeout(&self.config, now, self.queue.front()) {
            Some(Beat::Ping) => {
                self.queue.shrink();
                self.events.shrink();
                self.responses.shrink_to_fit();
                self.push_control(&[PING]);
            }
            Some(Beat::Expired) => self.abort(CloseReason::PingTimeout),
            None => {}
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due; may change with every other call.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let probe = match &self.transport {
            Transport::Polling(polling) => polling.probe.as_ref().map(|probe| probe.deadline),
            Transport::WebSocket(_) => None,
        };
        let own = match self.state {
            State::Open => self.heartbeat.poll_timeout(),
            State::Closing { deadline } => Some(deadline),
            State::Closed => None,
        };
        earliest([probe, own])
    }

    /// Queues a message behind those before it.
    ///
    /// # Errors
    /// [`SendError::Full`] where the queue has reached its bound, [`SendError::Closed`] after the end.
    pub fn send(&mut self, message: Message) -> Result<(), SendError> {
        let frame = match message {
            Message::Text(text) => {
                let mut packet = BytesMut::with_capacity(text.len() + 1);
                Packet::Text(text).encode(&mut packet);
                Frame::Text(packet.freeze())
            }
            Message::Binary(data) => Frame::Binary(data),
        };
        self.send_frames(core::slice::from_ref(&frame))
    }

    /// Queues message frames that are encoded already (a text frame begins with the packet type `4`), so that one
    /// encoding serves many sessions. All of them are accepted, or none.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn send_frames(&mut self, frames: &[Frame]) -> Result<(), SendError> {
        if self.state != State::Open {
            return Err(SendError::Closed);
        }
        if !self.has_capacity() {
            return Err(SendError::Full);
        }
        frames.iter().for_each(|frame| self.queue.push(frame.clone()));
        Ok(())
    }

    /// Queues what the protocols themselves have to say, past the queue's bound but not without end: a client that
    /// makes its server talk, and doesn't listen, is a slow consumer.
    pub(crate) fn push_control(&mut self, frames: &[Frame]) {
        if self.state != State::Open {
            return;
        }
        let most = self.config.send_queue_bytes.saturating_add(CONTROL_RESERVE);
        if self.queue.bytes() >= most {
            return self.abort(CloseReason::SlowConsumer);
        }
        frames.iter().for_each(|frame| self.queue.push(frame.clone()));
    }

    /// Whether the session takes messages in either direction: nobody has ended it.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.state == State::Open
    }

    /// Whether [`send`](Self::send) would accept a message now.
    #[must_use]
    pub fn has_capacity(&self) -> bool {
        self.queue.bytes() < self.config.send_queue_bytes
    }

    /// How many bytes wait to be sent, a small overhead for each frame included.
    #[must_use]
    pub fn queued_bytes(&self) -> usize {
        self.queue.bytes()
    }

    /// Whether a message would leave at once: the WebSocket takes bytes, or a poll is waiting. What is volatile is dropped
    /// where it would not.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        self.state == State::Open
            && match &self.transport {
                Transport::Polling(polling) => polling.get.is_some(),
                Transport::WebSocket(websocket) => websocket.write == Write::Ready,
            }
    }

    /// Ends the session in order: what is queued is sent first, for as long as [`Config::close_timeout`] allows. An upgrade
    /// that is under way goes on, since the client has paused its polling for it.
    pub fn close(&mut self, now: Instant, reason: CloseReason) {
        if self.state == State::Open {
            self.report(reason);
            self.hang_up(now, None);
        }
    }

    /// Ends the session at once, for a client that doesn't take what is queued.
    pub fn abort(&mut self, reason: CloseReason) {
        self.report(reason);
        self.finish(CLOSE);
    }

    /// Whether the driver may read more from the client. It may not while [`Config::inbound_bytes`] of messages are with
    /// the layer above; meanwhile the heartbeat rests, since a pong may lie unread, and only a client that takes nothing of
    /// what is queued for it times out. [`consumed`](Self::consumed) opens it again.
    #[must_use]
    pub fn accepts_input(&self) -> bool {
        !self.heartbeat.is_held()
    }

    /// The layer above is done with a message of this [cost](Message::cost).
    pub fn consumed(&mut self, now: Instant, cost: usize) {
        self.transfer(cost, 0);
        self.settle(now);
    }

    /// Counts what became of a message in place of the message.
    pub(crate) fn transfer(&mut self, from: usize, to: usize) {
        self.outstanding = self.outstanding.saturating_sub(from) + to;
    }

    /// Stops or resumes reading. Says how long it had stopped, once it resumes.
    pub(crate) fn settle(&mut self, now: Instant) -> Option<Duration> {
        if self.outstanding >= self.config.inbound_bytes.max(1) {
            self.heartbeat.hold(&self.config, now, self.queue.front());
            return None;
        }
        self.heartbeat.release(now)
    }

    /// What to tell the layer above. Ends with `None` until the next call of another method.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop()
    }

    /// What to do apart from writing to a socket. A poll is answered here, with all that is queued by then: call it once
    /// a burst is complete, and the burst is one answer.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        if self.responses.is_empty() {
            self.answer_poll();
        }
        let (request, response) = self.responses.pop_front()?;
        Some(Transmit::Respond { request, response })
    }

    /// The next frame for a socket, to be called when the socket has room. `None` until the session has more.
    pub fn poll_frame(&mut self, socket: WebSocketId) -> Option<Frame> {
        match &mut self.transport {
            Transport::Polling(polling) => polling.probe_on(socket)?.poll_frame(),
            Transport::WebSocket(websocket) if websocket.socket == socket => {
                if let Some(pong) = websocket.poll_pong() {
                    return Some(pong);
                }
                let frame = self.queue.pop()?;
                if let Frame::Close(_) = frame {
                    self.finish(CLOSE);
                }
                Some(frame)
            }
            Transport::WebSocket(_) => None,
        }
    }

    /// Whether the session has still to do with a socket. Once it hasn't, the socket is to be closed as soon as it has
    /// sent what was taken for it.
    #[must_use]
    pub fn serves(&self, socket: WebSocketId) -> bool {
        self.state != State::Closed && self.transport.websocket(socket).is_some()
    }

    /// Whether the session is over and has nothing more to say, so that it can be forgotten.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.state == State::Closed && self.responses.is_empty() && self.events.is_empty()
    }

    fn push_message(&mut self, message: Message) {
        self.outstanding += message.cost();
        self.events.push(Event::Message(message));
    }

    fn handle_packet(&mut self, now: Instant, packet: Packet) {
        match packet {
            Packet::Pong(_) => return self.heartbeat.pong(&self.config, now),
            Packet::Text(text) => self.push_message(Message::Text(text)),
            Packet::Binary(data) => self.push_message(Message::Binary(data)),
            Packet::Close => return self.handle_close(now),
            Packet::Ping(_) => return self.fail(now, CloseReason::TransportError, None),
            // Open, Upgrade and Noop mean nothing here.
            _ => {}
        }
        self.heartbeat.heard();
    }

    /// The client closes: its pending poll needs no close packet, only an answer.
    fn handle_close(&mut self, now: Instant) {
        match &mut self.transport {
            Transport::Polling(polling @ Polling { get: None, .. }) => {
                polling.probe = None;
                self.report(CloseReason::TransportClose);
                self.queue.clear();
                self.queue.push(Frame::Text(Bytes::from_static(NOOP)));
                self.state = State::Closing { deadline: now + self.config.close_timeout.min(OVERTAKEN) };
            }
            Transport::Polling(_) => {
                self.report(CloseReason::TransportClose);
                self.finish(NOOP);
            }
            Transport::WebSocket(_) => self.fail(now, CloseReason::TransportClose, None),
        }
    }

    /// Ends the session over something that the client did: what is queued is not sent any more. A pending poll gets a
    /// close packet; a WebSocket gets the closing handshake with `code`, once it has room.
    fn fail(&mut self, now: Instant, reason: CloseReason, code: Option<u16>) {
        self.report(reason);
        match (&self.transport, self.state) {
            (_, State::Closed) => {}
            (Transport::Polling(_), _) => self.finish(CLOSE),
            (Transport::WebSocket(_), _) => {
                self.queue.clear();
                self.hang_up(now, code);
            }
        }
    }

    fn report(&mut self, reason: CloseReason) {
        if self.state == State::Open {
            self.events.push(Event::Closed(reason));
        }
    }

    /// The close packet goes behind what is queued. Its time runs from the first end, whatever follows.
    fn hang_up(&mut self, now: Instant, code: Option<u16>) {
        self.queue.push(Frame::Close(code));
        if self.state == State::Open {
            self.state = State::Closing { deadline: now + self.config.close_timeout };
        }
    }

    /// The last step of every end. A poll that is pending is answered with `packet`.
    fn finish(&mut self, packet: &'static [u8]) {
        self.state = State::Closed;
        self.queue.clear();
        match &mut self.transport {
            Transport::Polling(polling) => {
                let Polling { get, post, .. } = core::mem::take(polling);
                self.free(get, packet);
                self.turn_away(post, Refusal::UnknownSession);
            }
            Transport::WebSocket(websocket) => websocket.pong = None,
        }
    }
}

/// How long a poll is still answered that its client sent before it closed, and that the close overtook on the way: they
/// travel on two connections.
const OVERTAKEN: Duration = Duration::from_secs(1);

/// How far the packets of the protocols themselves may go over [`Config::send_queue_bytes`].
pub(super) const CONTROL_RESERVE: usize = 64 << 10;

const PING: Frame = Frame::Text(Bytes::from_static(b"2"));
const CLOSE: &[u8] = b"1";
const NOOP: &[u8] = b"6";
