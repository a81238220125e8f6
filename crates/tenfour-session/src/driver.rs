//! A driver with virtual time, which keeps a session's contract to the letter and checks that the session does too.

extern crate std;

pub(crate) mod arbitrary;

use crate::{
    Frame, Input, PostContent, RequestId, Response, Transmit, WebSocketId, engineio,
    engineio::{CloseReason, Opening},
    socketio,
};
use alloc::{
    collections::{BTreeMap, BTreeSet},
    format,
    string::{String, ToString},
    sync::Arc,
    vec::Vec,
};
use core::{fmt::Debug, time::Duration};
use tenfour_delivery::{id::Id, time::Instant};
use tenfour_wire::websocket::{CloseFrame, Message};

/// What the sessions of both protocols have in common.
pub(crate) trait Session: Debug {
    type Event: Debug;

    fn handle_input(&mut self, now: Instant, input: Input);
    fn handle_timeout(&mut self, now: Instant);
    fn poll_timeout(&self) -> Option<Instant>;
    fn poll_event(&mut self) -> Option<Self::Event>;
    fn poll_transmit(&mut self) -> Option<Transmit>;
    fn poll_frame(&mut self, socket: WebSocketId) -> Option<Frame>;
    fn serves(&self, socket: WebSocketId) -> bool;
    fn is_finished(&self) -> bool;
    fn accepts_input(&self) -> bool;
    fn consumed(&mut self, now: Instant, cost: usize);
    fn close(&mut self, now: Instant, reason: CloseReason);
    fn abort(&mut self, reason: CloseReason);
    fn cost_of(event: &Self::Event) -> usize;
    fn end_of(event: &Self::Event) -> Option<CloseReason>;
}

macro_rules! session {
    ($protocol:ident) => {
        impl Session for $protocol::ServerSession {
            type Event = $protocol::Event;

            fn handle_input(&mut self, now: Instant, input: Input) {
                self.handle_input(now, input);
            }
            fn handle_timeout(&mut self, now: Instant) {
                self.handle_timeout(now);
            }
            fn poll_timeout(&self) -> Option<Instant> {
                self.poll_timeout()
            }
            fn poll_event(&mut self) -> Option<$protocol::Event> {
                self.poll_event()
            }
            fn poll_transmit(&mut self) -> Option<Transmit> {
                self.poll_transmit()
            }
            fn poll_frame(&mut self, socket: WebSocketId) -> Option<Frame> {
                self.poll_frame(socket)
            }
            fn serves(&self, socket: WebSocketId) -> bool {
                self.serves(socket)
            }
            fn is_finished(&self) -> bool {
                self.is_finished()
            }
            fn accepts_input(&self) -> bool {
                self.accepts_input()
            }
            fn consumed(&mut self, now: Instant, cost: usize) {
                self.consumed(now, cost);
            }
            fn close(&mut self, now: Instant, reason: CloseReason) {
                self.close(now, reason);
            }
            fn abort(&mut self, reason: CloseReason) {
                self.abort(reason);
            }
            fn cost_of(event: &$protocol::Event) -> usize {
                event.cost()
            }
            fn end_of(event: &$protocol::Event) -> Option<CloseReason> {
                match event {
                    $protocol::Event::Closed(reason) => Some(*reason),
                    _ => None,
                }
            }
        }
    };
}

session!(engineio);
session!(socketio);

pub(crate) struct Driver<S: Session> {
    pub(crate) session: S,
    pub(crate) now: Instant,
    names: u32,
    calls: usize,
    /// How many calls are made before what they led to is carried out.
    batch: usize,
    /// Every request so far, with its answer once it has one.
    answers: BTreeMap<RequestId, Option<Response>>,
    /// Those whose client went away.
    aborted: BTreeSet<RequestId>,
    /// Those that were answered since it was asked last.
    answered: Vec<RequestId>,
    sockets: BTreeMap<WebSocketId, Socket>,
    events: Vec<S::Event>,
    end: Option<CloseReason>,
}

#[derive(Default)]
struct Socket {
    taken: Vec<Frame>,
    flow: Flow,
    closed: Option<Option<u16>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Flow {
    #[default]
    Free,
    /// The client doesn't read: nothing is taken from the session for this socket.
    Stalled,
}

impl Driver<engineio::ServerSession> {
    /// A session that began with a poll, which the handshake has answered.
    pub(crate) fn polling(config: engineio::Config) -> Self {
        let opening = Opening::Polling(RequestId(0));
        Self::begin(engineio::ServerSession::new(Arc::new(config), sid(), opening, Instant::ZERO), opening)
    }

    /// A session that began with the WebSocket [`FIRST`], which has got the handshake.
    pub(crate) fn websocket(config: engineio::Config) -> Self {
        let opening = Opening::WebSocket(FIRST);
        Self::begin(engineio::ServerSession::new(Arc::new(config), sid(), opening, Instant::ZERO), opening)
    }

    pub(crate) fn send(&mut self, text: &str) -> Result<(), engineio::SendError> {
        self.call(|session, _| session.send(engineio::Message::Text(text.into())))
    }
}

impl Driver<socketio::ServerSession> {
    /// A connection on the WebSocket [`FIRST`], which has got the handshake.
    pub(crate) fn socketio(config: socketio::Config) -> Self {
        let opening = Opening::WebSocket(FIRST);
        Self::begin(socketio::ServerSession::new(Arc::new(config), sid(), opening, Instant::ZERO), opening)
    }

    /// A connection that began with a poll, which the handshake has answered.
    pub(crate) fn socketio_polling(config: socketio::Config) -> Self {
        let opening = Opening::Polling(RequestId(0));
        Self::begin(socketio::ServerSession::new(Arc::new(config), sid(), opening, Instant::ZERO), opening)
    }

    /// Takes the client's wish to join a namespace, which must be the only event, and grants it.
    pub(crate) fn admit(&mut self, namespace: &str) {
        let events = self.events();
        assert!(
            matches!(&events[..], [socketio::Event::Connect { namespace: asked, .. }] if asked == namespace),
            "{events:?}"
        );
        self.call(|session, now| {
            session.consumed(now, events[0].cost());
            assert!(session.accept(namespace, "id"));
        });
    }
}

impl<S: Session> Driver<S> {
    fn begin(session: S, opening: Opening) -> Self {
        let mut driver = Self {
            session,
            now: Instant::ZERO,
            names: 1,
            calls: 0,
            batch: 1,
            answers: BTreeMap::new(),
            aborted: BTreeSet::new(),
            answered: Vec::new(),
            sockets: BTreeMap::new(),
            events: Vec::new(),
            end: None,
        };
        match opening {
            Opening::Polling(request) => _ = driver.answers.insert(request, None),
            Opening::WebSocket(socket) => _ = driver.sockets.insert(socket, Socket::default()),
        }
        driver.carry_out();
        driver
    }

    /// What came on a transport.
    pub(crate) fn input(&mut self, input: Input) {
        self.call(|session, now| session.handle_input(now, input));
    }

    /// A call from above.
    pub(crate) fn call<R>(&mut self, call: impl FnOnce(&mut S, Instant) -> R) -> R {
        let result = call(&mut self.session, self.now);
        self.calls += 1;
        if self.is_settled() {
            self.carry_out();
        }
        result
    }

    /// From now on, this many calls are made at a time.
    pub(crate) fn in_batches_of(mut self, calls: usize) -> Self {
        self.batch = calls;
        self
    }

    /// Whether all that was called for has been carried out.
    pub(crate) fn is_settled(&self) -> bool {
        self.calls.is_multiple_of(self.batch)
    }

    /// A GET; its answer may take.
    pub(crate) fn get(&mut self) -> RequestId {
        let request = self.request();
        self.input(Input::Poll { request });
        request
    }

    /// A GET, and the answer that it must have got.
    pub(crate) fn poll(&mut self) -> (u16, String) {
        let request = self.get();
        self.answer(request)
    }

    /// A POST whose body is still on the way.
    pub(crate) fn open_post(&mut self) -> RequestId {
        let request = self.request();
        self.input(Input::PostOpened { request, content: PostContent::Text });
        request
    }

    /// A POST, and the answer that it must have got.
    pub(crate) fn post(&mut self, body: &str) -> (u16, String) {
        let request = self.open_post();
        if self.is_pending(request) {
            self.input(Input::PostBody { request, body: String::from(body).into() });
        }
        self.answer(request)
    }

    pub(crate) fn request(&mut self) -> RequestId {
        let request = RequestId(self.name().into());
        self.aborted.remove(&request);
        self.answers.insert(request, None);
        request
    }

    /// The client goes away from a request.
    pub(crate) fn abort(&mut self, request: RequestId) {
        self.answers.remove(&request);
        self.aborted.insert(request);
        self.input(Input::RequestAborted { request });
    }

    /// A WebSocket for the session.
    pub(crate) fn connect(&mut self) -> WebSocketId {
        let socket = WebSocketId(self.name());
        self.sockets.insert(socket, Socket::default());
        self.input(Input::SocketOpened { socket });
        socket
    }

    fn name(&mut self) -> u32 {
        let name = self.names;
        self.names += 1;
        name
    }

    pub(crate) fn text(&mut self, socket: WebSocketId, text: &str) {
        self.input(Input::SocketMessage { socket, message: Message::Text(text.into()) });
    }

    pub(crate) fn binary(&mut self, socket: WebSocketId, data: &[u8]) {
        self.input(Input::SocketMessage { socket, message: Message::Binary(data.to_vec().into()) });
    }

    /// The client begins the closing handshake.
    pub(crate) fn hang_up(&mut self, socket: WebSocketId) {
        let message = Message::Close(Some(CloseFrame { code: 1000, reason: "".into() }));
        self.input(Input::SocketMessage { socket, message });
    }

    /// From now on the client doesn't read.
    pub(crate) fn stall(&mut self, socket: WebSocketId) {
        self.sockets.get_mut(&socket).unwrap().flow = Flow::Stalled;
        self.input(Input::WriteBlocked { socket });
    }

    /// The client reads again.
    pub(crate) fn resume(&mut self, socket: WebSocketId) {
        self.sockets.get_mut(&socket).unwrap().flow = Flow::Free;
        self.input(Input::WriteReady { socket });
    }

    /// Lets time pass, from deadline to deadline and never to anywhere between.
    pub(crate) fn pass(&mut self, duration: Duration) {
        let end = self.now + duration;
        while let Some(due) = self.session.poll_timeout().filter(|&due| end.has_reached(due)) {
            if self.now < due {
                self.now = Instant::from_micros(due.as_micros() - 1).max(self.now);
                self.check_spurious_timeout();
            }
            self.now = self.now.max(due);
            let before = format!("{:?}", self.session);
            self.call(|session, now| session.handle_timeout(now));
            assert_ne!(before, format!("{:?}", self.session), "a timeout that was due changes something");
        }
        self.now = end;
        self.check_spurious_timeout();
    }

    pub(crate) fn is_pending(&self, request: RequestId) -> bool {
        self.answers[&request].is_none()
    }

    /// Status and body of an answer.
    pub(crate) fn answer(&self, request: RequestId) -> (u16, String) {
        let response = self.answers[&request].as_ref().expect("the request is answered");
        (response.status, String::from_utf8(response.body.to_vec()).unwrap())
    }

    pub(crate) fn response(&self, request: RequestId) -> &Response {
        self.answers[&request].as_ref().expect("the request is answered")
    }

    /// The requests that were answered since this was asked last, with status and body.
    pub(crate) fn answered(&mut self) -> Vec<(RequestId, u16, String)> {
        let answered = core::mem::take(&mut self.answered).into_iter().map(|request| {
            let (status, body) = self.answer(request);
            (request, status, body)
        });
        answered.collect()
    }

    /// What the client has got on a WebSocket since it was asked last, as [`show`] writes it.
    pub(crate) fn heard(&mut self, socket: WebSocketId) -> Vec<String> {
        let taken = core::mem::take(&mut self.sockets.get_mut(&socket).unwrap().taken);
        taken.iter().map(show).collect()
    }

    /// The same of every WebSocket together.
    pub(crate) fn all_heard(&mut self) -> Vec<String> {
        let sockets: Vec<_> = self.sockets.keys().copied().collect();
        sockets.into_iter().flat_map(|socket| self.heard(socket)).collect()
    }

    /// Events since this was asked last.
    pub(crate) fn events(&mut self) -> Vec<S::Event> {
        core::mem::take(&mut self.events)
    }

    /// Why the session is over, if it is.
    pub(crate) fn end(&self) -> Option<CloseReason> {
        self.end
    }

    pub(crate) fn serves(&self, socket: WebSocketId) -> bool {
        self.session.serves(socket)
    }

    /// Takes all that the session has to give, as its documentation tells a driver to.
    fn carry_out(&mut self) {
        while let Some(event) = self.session.poll_event() {
            assert_eq!(self.end, None, "{event:?} comes after the end");
            self.end = S::end_of(&event);
            self.events.push(event);
        }
        while let Some(Transmit::Respond { request, response }) = self.session.poll_transmit() {
            if self.aborted.contains(&request) {
                assert!(self.batch > 1, "an answer to an aborted request must have been on its way already");
                continue;
            }
            let answer = self.answers.get_mut(&request).expect("a request that the client waits for");
            assert_eq!(*answer, None, "{request:?} is answered once");
            *answer = Some(response);
            self.answered.push(request);
        }
        for (&name, socket) in &mut self.sockets {
            let room = socket.flow == Flow::Free;
            while let Some(frame) = room.then(|| self.session.poll_frame(name)).flatten() {
                assert_eq!(socket.closed, None, "{frame:?} comes after the close frame");
                if let Frame::Close(code) = frame {
                    socket.closed = Some(code);
                }
                socket.taken.push(frame);
            }
        }
        self.check_rest();
        // Printing sessions is slow: not every time.
        if self.calls.is_multiple_of(4) {
            self.check_spurious_timeout();
        }
    }

    /// Whatever was to be had has been taken.
    fn check_rest(&mut self) {
        let pending = self.answers.values().filter(|answer| answer.is_none()).count();
        assert!(pending <= 2, "a poll and a post may wait, and nothing else");
        assert!(self.session.poll_event().is_none(), "an event, though all were taken");
        assert_eq!(self.session.poll_transmit(), None, "an answer, though all were taken");
        if self.session.is_finished() {
            assert!(self.end.is_some(), "finished without a reason");
            assert_eq!(self.session.poll_timeout(), None, "nothing is due once all is finished");
            assert_eq!(pending, 0, "left waiting");
            for &socket in self.sockets.keys() {
                assert!(!self.session.serves(socket), "{socket:?} is left");
                assert_eq!(self.session.poll_frame(socket), None, "{socket:?} after the end");
            }
        }
    }

    /// A timeout that is not due must change nothing at all.
    fn check_spurious_timeout(&mut self) {
        if self.session.poll_timeout().is_some_and(|due| self.now.has_reached(due)) {
            return;
        }
        let before = format!("{:?}", self.session);
        self.session.handle_timeout(self.now);
        assert_eq!(before, format!("{:?}", self.session), "a spurious timeout changed something");
    }
}

/// The socket of a session that begins with one.
pub(crate) const FIRST: WebSocketId = WebSocketId(0);

fn sid() -> Id {
    Id::from_random([7; 15])
}

/// A text as it is, anything else in angle brackets.
pub(crate) fn show(frame: &Frame) -> String {
    match frame {
        Frame::Text(text) => String::from_utf8(text.to_vec()).unwrap(),
        Frame::Binary(data) => format!("<{}>", data.iter().map(u8::to_string).collect::<Vec<_>>().join(" ")),
        Frame::Pong(data) => format!("<pong {}>", data.escape_ascii()),
        Frame::Close(None) => "<close>".into(),
        Frame::Close(Some(code)) => format!("<close {code}>"),
    }
}
