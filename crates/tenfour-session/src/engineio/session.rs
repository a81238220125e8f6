//! One Engine.IO session on the server's side.

use super::{
    Config, Refusal, TransportKind,
    admission::Intent,
    heartbeat::{Beat, Heartbeat},
    queue::SendQueue,
    transport::{Polling, Probe, Probed, Transport, WebSocket, Write},
};
use crate::io::{Frame, Input, PostContent, RequestId, Response, Transmit, WebSocketId};
use alloc::{collections::VecDeque, sync::Arc};
use bytes::{Bytes, BytesMut};
use bytestring::ByteString;
use core::time::Duration;
use tenfour_delivery::{
    id::Id,
    time::{Instant, earliest},
};
use tenfour_wire::{
    engineio::{Handshake, Packet, decode_payload},
    websocket,
};
use thiserror::Error;

/// An Engine.IO session from its handshake to its end.
///
/// Drive it like this: pass what happens to [`handle_input`](Self::handle_input), and time to
/// [`handle_timeout`](Self::handle_timeout) no later than [`poll_timeout`](Self::poll_timeout) says. After either, and
/// after [`send`](Self::send), empty [`poll_event`](Self::poll_event) and [`poll_transmit`](Self::poll_transmit).
/// Take a frame with [`poll_frame`](Self::poll_frame) only when its socket has room: what is not taken waits here, where
/// it is counted and survives the upgrade. A socket that the session no longer [`serves`](Self::serves) is dropped.
#[derive(Debug)]
pub struct ServerSession {
    config: Arc<Config>,
    sid: Id,
    state: State,
    transport: Transport,
    heartbeat: Heartbeat,
    queue: SendQueue,
    events: VecDeque<Event>,
    responses: VecDeque<(RequestId, Response)>,
    /// The cost of the messages that are with the layer above.
    outstanding: usize,
}

/// ```text
/// Open ──close()──▶ Closing ──last packet fetched, close timeout──▶ Closed
///   └──the peer's close, a fault, the heartbeat──────────────────────▲
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    Closing { deadline: Instant },
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

/// What a client or a server says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Text.
    Text(ByteString),
    /// Bytes.
    Binary(Bytes),
}

impl Message {
    /// What the message counts against [`Config::inbound_bytes`] from its arrival to [`ServerSession::consumed`].
    #[must_use]
    pub fn cost(&self) -> usize {
        let len = match self {
            Self::Text(text) => text.len(),
            Self::Binary(data) => data.len(),
        };
        size_of::<Self>() + len
    }
}

/// What a session tells the layer above.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A message came.
    Message(Message),
    /// The session is over for the layer above; nothing follows.
    Closed(CloseReason),
}

/// Why a session is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum CloseReason {
    /// The client closed, or its connection ended.
    #[error("transport close")]
    TransportClose,
    /// The client broke the transport's rules: overlapping requests, a ping of its own, an oversized frame.
    #[error("transport error")]
    TransportError,
    /// No pong came in time.
    #[error("ping timeout")]
    PingTimeout,
    /// What came was no packet.
    #[error("parse error")]
    ParseError,
    /// The layer above closed the session.
    #[error("forced server close")]
    ServerClose,
    /// The server is going away.
    #[error("server shutting down")]
    Shutdown,
    /// The client did not read what was sent to it, and its queue ran over.
    #[error("slow consumer")]
    SlowConsumer,
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
            events: VecDeque::new(),
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
            Input::Poll { request } => self.handle_poll(request),
            Input::PostOpened { request, content } => self.handle_post(request, content),
            Input::PostBody { request, body } => self.handle_body(now, request, body),
            Input::PostTooLarge { request } => self.handle_oversized_post(request),
            Input::RequestAborted { request } => self.handle_abort(request),
            Input::SocketOpened { socket } => self.handle_socket(now, socket),
            Input::SocketMessage { socket, message } => self.handle_message(now, socket, message),
            Input::SocketFailed { socket, code } => self.handle_socket_end(socket, Some(code)),
            Input::SocketClosed { socket } => self.handle_socket_end(socket, None),
            Input::WriteBlocked { socket } => self.set_write(socket, Write::Blocked),
            Input::WriteReady { socket } => self.set_write(socket, Write::Ready),
        }
    }

    /// Lets time pass. A call before [`poll_timeout`](Self::poll_timeout) does nothing.
    pub fn handle_timeout(&mut self, now: Instant) {
        match self.state {
            State::Closed => return,
            State::Closing { deadline } => {
                if now.has_reached(deadline) {
                    self.state = State::Closed;
                    self.queue.clear();
                }
                return;
            }
            State::Open => {}
        }
        if let Transport::Polling(polling) = &mut self.transport {
            polling.probe.take_if(|probe| now.has_reached(probe.deadline));
        }
        match self.heartbeat.handle_timeout(&self.config, now) {
            Some(Beat::Ping) => {
                self.queue.shrink();
                self.events.shrink_to_fit();
                self.responses.shrink_to_fit();
                self.queue.push(Frame::Text(PING));
            }
            Some(Beat::Expired) => self.fail(CloseReason::PingTimeout, Farewell::Silent),
            None => {}
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due; changes with every other call.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Open => {
                let probe = match &self.transport {
                    Transport::Polling(polling) => polling.probe.as_ref().map(|probe| probe.deadline),
                    Transport::WebSocket(_) => None,
                };
                earliest([self.heartbeat.poll_timeout(), probe])
            }
            State::Closing { deadline } => Some(deadline),
            State::Closed => None,
        }
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
        self.push_frames(frames);
        Ok(())
    }

    /// Queues frames of the protocol above itself, whose number the protocol bounds, past the queue's bound.
    pub(crate) fn push_frames(&mut self, frames: &[Frame]) {
        if self.state == State::Open {
            frames.iter().for_each(|frame| self.queue.push(frame.clone()));
        }
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

    /// Ends the session in order: what is queued is sent first, for as long as [`Config::close_timeout`] allows.
    pub fn close(&mut self, now: Instant, reason: CloseReason) {
        if self.state != State::Open {
            return;
        }
        self.queue.push(Frame::Close(None));
        self.state = State::Closing { deadline: now + self.config.close_timeout };
        if let Transport::Polling(polling) = &mut self.transport {
            polling.probe = None;
        }
        self.events.push_back(Event::Closed(reason));
    }

    /// Ends the session at once, for a client that doesn't take what is queued.
    pub fn abort(&mut self, reason: CloseReason) {
        self.fail(reason, Farewell::Silent);
    }

    /// Whether the driver may read more from the client. It may not while [`Config::inbound_bytes`] of messages are with
    /// the layer above; meanwhile the heartbeat rests, since a pong may lie unread. [`consumed`](Self::consumed) opens it
    /// again.
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
        if self.outstanding >= self.config.inbound_bytes {
            self.heartbeat.hold(now);
            return None;
        }
        self.heartbeat.release(now)
    }

    /// What to tell the layer above. Ends with `None` until the next call of another method.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
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
            Transport::Polling(polling) => {
                polling.probe.as_mut().filter(|probe| probe.socket == socket)?.poll_frame()
            }
            Transport::WebSocket(websocket) if websocket.socket == socket => {
                if let Some(data) = websocket.pong.take() {
                    return Some(Frame::Pong(data));
                }
                let frame = self.queue.pop()?;
                if let Frame::Close(_) = frame {
                    self.state = State::Closed;
                }
                Some(frame)
            }
            Transport::WebSocket(_) => None,
        }
    }

    /// Whether the session has still to do with a socket. Once it hasn't, the socket is to be closed at once, whatever it
    /// has not taken yet.
    #[must_use]
    pub fn serves(&self, socket: WebSocketId) -> bool {
        match &self.transport {
            Transport::Polling(polling) => polling.probe.as_ref().is_some_and(|probe| probe.socket == socket),
            Transport::WebSocket(websocket) => {
                websocket.socket == socket && (self.state != State::Closed || !self.queue.is_empty())
            }
        }
    }

    /// Whether the session is over and has nothing more to say, so that it can be forgotten.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.state == State::Closed && self.responses.is_empty() && self.events.is_empty()
    }

    fn handle_poll(&mut self, request: RequestId) {
        match &mut self.transport {
            _ if self.state == State::Closed => {
                self.respond(request, Refusal::UnknownSession.response(Intent::Exchange));
            }
            Transport::WebSocket(_) => self.respond(request, Refusal::BadRequest.response(Intent::Exchange)),
            Transport::Polling(Polling { get: Some(_), .. }) => {
                self.respond(request, Response::empty(400));
                self.fail(CloseReason::TransportError, Farewell::Polite(None));
            }
            Transport::Polling(polling) => polling.get = Some(request),
        }
    }

    fn handle_post(&mut self, request: RequestId, content: PostContent) {
        let Transport::Polling(polling) = &mut self.transport else {
            return self.respond(request, Refusal::BadRequest.response(Intent::Exchange));
        };
        if self.state != State::Open {
            self.respond(request, Refusal::UnknownSession.response(Intent::Exchange));
        } else if polling.post.is_some() || content == PostContent::OctetStream {
            self.respond(request, Response::empty(400));
            self.fail(CloseReason::TransportError, Farewell::Polite(None));
        } else {
            polling.post = Some(request);
        }
    }

    fn handle_body(&mut self, now: Instant, request: RequestId, body: Bytes) {
        if !self.take_post(request) {
            return self.respond(request, Refusal::UnknownSession.response(Intent::Exchange));
        }
        match self.handle_payload(now, body) {
            Ok(()) => self.respond(request, Response::new(200, "text/html", Bytes::from_static(b"ok"))),
            Err(Malformed) => {
                self.respond(request, Refusal::BadRequest.response(Intent::Exchange));
                self.fail(CloseReason::ParseError, Farewell::Polite(None));
            }
        }
    }

    fn handle_payload(&mut self, now: Instant, body: Bytes) -> Result<(), Malformed> {
        let whole = body.len();
        let body = ByteString::try_from(body).map_err(|_| Malformed)?;
        for packet in decode_payload(body, &self.config.limits).map_err(|_| Malformed)? {
            let packet = packet.map_err(|_| Malformed)?;
            if self.state != State::Open {
                break;
            }
            self.handle_packet(now, detach(packet, whole));
        }
        Ok(())
    }

    fn handle_oversized_post(&mut self, request: RequestId) {
        self.take_post(request);
        self.respond(request, Response::empty(413));
    }

    fn handle_abort(&mut self, request: RequestId) {
        let Transport::Polling(polling) = &mut self.transport else { return };
        if polling.get.take_if(|get| *get == request).is_some() || self.take_post(request) {
            self.fail(CloseReason::TransportError, Farewell::Silent);
        }
    }

    fn take_post(&mut self, request: RequestId) -> bool {
        let Transport::Polling(polling) = &mut self.transport else { return false };
        polling.post.take_if(|post| *post == request).is_some()
    }

    fn handle_socket(&mut self, now: Instant, socket: WebSocketId) {
        let offered = !self.config.upgrades_from(TransportKind::Polling).is_empty();
        if let Transport::Polling(polling @ Polling { probe: None, .. }) = &mut self.transport
            && self.state == State::Open
            && offered
        {
            polling.probe = Some(Probe::new(socket, now + self.config.upgrade_timeout));
        }
    }

    fn handle_message(&mut self, now: Instant, socket: WebSocketId, message: websocket::Message) {
        match &mut self.transport {
            Transport::Polling(polling) => {
                let Some(probe) = polling.probe.as_mut().filter(|probe| probe.socket == socket) else {
                    return;
                };
                match probe.handle_message(message) {
                    Probed::Continues => {}
                    Probed::Failed => polling.probe = None,
                    Probed::Upgraded => self.upgrade(socket),
                }
            }
            Transport::WebSocket(websocket) if websocket.socket == socket && self.state == State::Open => {
                match message {
                    websocket::Message::Text(text) => self.handle_text(now, text),
                    websocket::Message::Binary(data) => self.handle_packet(now, Packet::Binary(data)),
                    websocket::Message::Ping(data) => websocket.pong = Some(data),
                    websocket::Message::Pong(_) => {}
                    websocket::Message::Close(_) => {
                        self.fail(CloseReason::TransportClose, Farewell::Polite(None));
                    }
                }
            }
            Transport::WebSocket(_) => {}
        }
    }

    /// What is queued goes on to the socket. Whatever polling has pending is freed: the client has paused it.
    fn upgrade(&mut self, socket: WebSocketId) {
        let upgraded = Transport::WebSocket(WebSocket::new(socket));
        if let Transport::Polling(polling) = core::mem::replace(&mut self.transport, upgraded) {
            if let Some(get) = polling.get {
                self.respond(get, payload(Bytes::from_static(NOOP)));
            }
            if let Some(post) = polling.post {
                self.respond(post, Refusal::BadRequest.response(Intent::Exchange));
            }
        }
    }

    fn handle_text(&mut self, now: Instant, text: ByteString) {
        match Packet::decode(text) {
            Ok(packet) => self.handle_packet(now, packet),
            Err(_) => self.fail(CloseReason::ParseError, Farewell::Polite(None)),
        }
    }

    fn handle_packet(&mut self, now: Instant, packet: Packet) {
        match packet {
            Packet::Pong(_) => return self.heartbeat.pong(&self.config, now),
            Packet::Text(text) => self.push_message(Message::Text(text)),
            Packet::Binary(data) => self.push_message(Message::Binary(data)),
            Packet::Close => return self.fail(CloseReason::TransportClose, Farewell::Noop),
            Packet::Ping(_) => return self.fail(CloseReason::TransportError, Farewell::Polite(None)),
            // Open, Upgrade and Noop mean nothing here.
            _ => {}
        }
        self.heartbeat.heard();
    }

    fn push_message(&mut self, message: Message) {
        self.outstanding += message.cost();
        self.events.push_back(Event::Message(message));
    }

    fn handle_socket_end(&mut self, socket: WebSocketId, code: Option<u16>) {
        match &mut self.transport {
            Transport::Polling(polling) => {
                polling.probe.take_if(|probe| probe.socket == socket);
            }
            Transport::WebSocket(websocket) if websocket.socket == socket => match code {
                Some(_) => self.fail(CloseReason::TransportError, Farewell::Polite(code)),
                None => self.fail(CloseReason::TransportClose, Farewell::Silent),
            },
            Transport::WebSocket(_) => {}
        }
    }

    fn set_write(&mut self, socket: WebSocketId, write: Write) {
        if let Transport::WebSocket(websocket) = &mut self.transport
            && websocket.socket == socket
        {
            websocket.write = write;
        }
    }

    /// Ends the session at once: what is queued is not sent any more.
    fn fail(&mut self, reason: CloseReason, farewell: Farewell) {
        if self.state == State::Open {
            self.events.push_back(Event::Closed(reason));
        }
        self.state = State::Closed;
        self.queue.clear();
        match &mut self.transport {
            Transport::Polling(polling) => {
                polling.probe = None;
                if let Some(get) = polling.get.take() {
                    let body = if farewell == Farewell::Noop { NOOP } else { CLOSE };
                    self.respond(get, payload(Bytes::from_static(body)));
                }
            }
            Transport::WebSocket(_) => match farewell {
                Farewell::Polite(code) => self.queue.push(Frame::Close(code)),
                Farewell::Noop => self.queue.push(Frame::Close(None)),
                Farewell::Silent => {}
            },
        }
    }

    fn answer_poll(&mut self) {
        let Transport::Polling(polling) = &mut self.transport else { return };
        let freed = polling.probe.as_ref().is_some_and(Probe::frees_polls);
        if self.queue.is_empty() && !freed {
            return;
        }
        let Some(get) = polling.get.take() else { return };
        let body = if self.queue.is_empty() {
            Bytes::from_static(NOOP)
        } else {
            self.queue.pop_payload(self.config.limits.payload_bytes)
        };
        if matches!(self.state, State::Closing { .. }) && self.queue.is_empty() {
            self.state = State::Closed;
        }
        self.respond(get, payload(body));
    }

    fn respond(&mut self, request: RequestId, response: Response) {
        self.responses.push_back((request, response));
    }
}

const PING: Bytes = Bytes::from_static(b"2");
const CLOSE: &[u8] = b"1";
const NOOP: &[u8] = b"6";

/// How a session that ends at once takes leave of its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Farewell {
    /// A pending poll gets a close packet, a WebSocket its closing handshake with this code.
    Polite(Option<u16>),
    /// The client has closed by itself: its pending poll is freed.
    Noop,
    /// The client hears nothing, or is not there to hear.
    Silent,
}

/// A payload that is no sequence of packets.
struct Malformed;

fn payload(body: Bytes) -> Response {
    Response::new(200, "text/plain; charset=UTF-8", body)
}

/// A small packet must not keep a large payload alive for as long as the application keeps the packet.
fn detach(packet: Packet, whole: usize) -> Packet {
    match packet {
        Packet::Text(text) if text.len() * 2 < whole => Packet::Text(ByteString::from(&*text)),
        other => other,
    }
}
