//! A Socket.IO connection under arbitrary inputs, calls and times. Each request is answered once, nothing follows the end,
//! what is queued and what waits stay within their bounds, and a timeout that is not due changes nothing.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use tenfour_delivery::{id::Id, time::Instant};
use tenfour_session::{
    Frame, Input, PostContent, RequestId, Transmit, WebSocketId,
    engineio::{CloseReason, Opening},
    socketio::{Config, ConnectError, Encoded, Encoding, Event, ServerSession},
};
use tenfour_wire::{
    Limits,
    socketio::{Args, EventName},
    websocket::Message,
};

const TEXTS: [&str; 16] = [
    "40",
    "40/a,",
    "41",
    "41/a,",
    r#"42["x"]"#,
    r#"421["x",1]"#,
    r#"42/a,["x"]"#,
    "431[]",
    r#"451-["x",{"_placeholder":true,"num":0}]"#,
    "bAQID",
    "2probe",
    "5",
    "3",
    "1",
    "44",
    "x",
];

const NAMESPACES: [&str; 3] = ["/", "/a", "/b"];

fuzz_target!(|data: &[u8]| {
    let mut bytes = Bytes(data);
    let mut run = Run::new(bytes.next());
    while !bytes.0.is_empty() {
        run.step(&mut bytes);
        run.carry_out();
    }
});

/// What is left of the input; zeros follow its end.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn next(&mut self) -> u8 {
        let Some((&first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        first
    }

    fn line(&mut self) -> &'a [u8] {
        let len = self.0.iter().position(|&byte| byte == b'\n').unwrap_or(self.0.len());
        let (line, rest) = self.0.split_at(len);
        self.0 = rest.get(1..).unwrap_or_default();
        line
    }

    /// A packet that leads somewhere, or anything.
    fn text(&mut self) -> String {
        match TEXTS.get(usize::from(self.next())) {
            Some(&text) => text.into(),
            None => String::from_utf8_lossy(self.line()).into(),
        }
    }

    fn payload(&mut self) -> String {
        let packets = self.next() % 4 + 1;
        (0..packets).map(|_| self.text()).collect::<Vec<_>>().join("\u{1e}")
    }
}

struct Run {
    session: ServerSession,
    now: Instant,
    encoding: Encoding,
    /// Every request, and whether it is answered.
    requests: BTreeMap<RequestId, bool>,
    /// How many requests there were.
    names: u64,
    post: RequestId,
    /// The number of the last socket.
    sockets: u32,
    reading: bool,
    closed: BTreeSet<WebSocketId>,
    /// Costs of the events that the application has.
    held: Vec<usize>,
    over: bool,
}

impl Run {
    fn new(flags: u8) -> Self {
        let encoding = if flags & 1 == 0 { Encoding::Json } else { Encoding::MessagePack };
        let mut engine = tenfour_session::engineio::Config::default();
        engine.send_queue_bytes = 1000;
        engine.inbound_bytes = 1000;
        engine.limits = Limits { payload_bytes: 2000, ..Limits::default() };
        let mut config = Config::default();
        config.engine = Arc::new(engine);
        config.encoding = encoding;
        config.namespaces = 2;
        let mut requests = BTreeMap::new();
        let opening = if flags & 2 == 0 {
            requests.insert(RequestId(0), false);
            Opening::Polling(RequestId(0))
        } else {
            Opening::WebSocket(WebSocketId(0))
        };
        let session = ServerSession::new(config.into(), Id::from_random([7; 15]), opening, Instant::ZERO);
        let mut run = Self {
            session,
            now: Instant::ZERO,
            encoding,
            requests,
            names: 0,
            post: RequestId(0),
            sockets: 0,
            reading: true,
            closed: BTreeSet::new(),
            held: Vec::new(),
            over: false,
        };
        run.carry_out();
        run
    }

    fn step(&mut self, bytes: &mut Bytes<'_>) {
        match bytes.next() % 12 {
            kind @ 0..=3 => self.request(kind, bytes),
            4 => {
                self.sockets += 1;
                self.input(Input::SocketOpened { socket: WebSocketId(self.sockets) });
            }
            kind @ 5..=7 => self.socket(kind, bytes),
            8 => self.pass(bytes.next()),
            9 => self.answer(bytes.next()),
            10 => self.send(bytes.next()),
            _ => match bytes.next() % 16 {
                0 => self.session.close(self.now, CloseReason::Shutdown),
                1 => self.session.abort(CloseReason::SlowConsumer),
                2..=5 => self.reading ^= true,
                _ if self.held.is_empty() => {}
                _ => {
                    let cost = self.held.remove(0);
                    self.session.consumed(self.now, cost);
                }
            },
        }
    }

    fn input(&mut self, input: Input) {
        self.session.handle_input(self.now, input);
    }

    fn request(&mut self, kind: u8, bytes: &mut Bytes<'_>) {
        self.names += 1;
        let request = RequestId(self.names);
        match kind {
            0 => {
                self.requests.insert(request, false);
                self.input(Input::Poll { request });
            }
            1 => {
                self.requests.insert(request, false);
                self.post = request;
                let octets = bytes.next() == 1;
                let content = if octets { PostContent::OctetStream } else { PostContent::Text };
                self.input(Input::PostOpened { request, content });
            }
            2 if bytes.next() == 1 => self.input(Input::PostTooLarge { request: self.post }),
            2 => self.input(Input::PostBody { request: self.post, body: bytes.payload().into() }),
            _ => {
                let request = RequestId(u64::from(bytes.next()));
                self.requests.remove(&request);
                self.input(Input::RequestAborted { request });
            }
        }
    }

    fn socket(&mut self, kind: u8, bytes: &mut Bytes<'_>) {
        let socket = WebSocketId(self.sockets.saturating_sub(u32::from(kind == 7)));
        let message = |message| Input::SocketMessage { socket, message };
        let input = match kind {
            5 | 7 => message(Message::Text(bytes.text().into())),
            _ => match bytes.next() % 8 {
                0 => Input::SocketClosed { socket },
                1 => Input::SocketFailed { socket, code: 1002 },
                2 => Input::WriteBlocked { socket },
                3 => Input::WriteReady { socket },
                4 => message(Message::Ping("ping".into())),
                5 => message(Message::Close(None)),
                _ => message(Message::Binary(bytes.line().to_vec().into())),
            },
        };
        self.input(input);
    }

    fn pass(&mut self, seconds: u8) {
        self.now = match (seconds, self.session.poll_timeout()) {
            (0, Some(due)) => self.now.max(due),
            _ => self.now + Duration::from_secs(seconds.into()),
        };
        self.session.handle_timeout(self.now);
    }

    fn answer(&mut self, how: u8) {
        let namespace = NAMESPACES[usize::from(how) % NAMESPACES.len()];
        match how / 64 {
            0 => self.session.refuse(namespace, &ConnectError::invalid_namespace()),
            1 => _ = self.session.disconnect(namespace),
            _ => _ = self.session.accept(namespace, "id"),
        }
    }

    fn send(&mut self, size: u8) {
        let json = format!("{:?}", "x".repeat(usize::from(size) * 4));
        let args = Args::from_parts(json.into(), Vec::new(), &Limits::default()).expect("a text");
        let name = EventName::Text("event".into());
        let packet = Encoded::event(self.encoding, "/", None, &name, &args);
        let expected = self.session.is_open() && self.session.has_capacity();
        assert_eq!(self.session.send(&packet).is_ok(), expected);
    }

    fn carry_out(&mut self) {
        while let Some(event) = self.session.poll_event() {
            assert!(!self.over, "{event:?} after the end");
            self.over = matches!(event, Event::Closed(_));
            self.held.push(event.cost());
        }
        while let Some(Transmit::Respond { request, response }) = self.session.poll_transmit() {
            let answered = self.requests.insert(request, true);
            assert_eq!(answered, Some(false), "{request:?} is answered once: {response:?}");
        }
        for socket in (0..=self.sockets).map(WebSocketId).filter(|_| self.reading) {
            while let Some(frame) = self.session.poll_frame(socket) {
                assert!(!self.closed.contains(&socket), "{frame:?} after the close frame");
                if let Frame::Close(_) = frame {
                    self.closed.insert(socket);
                }
            }
        }
        self.check();
    }

    fn check(&mut self) {
        let held: usize = self.held.iter().sum();
        assert_eq!(self.session.accepts_input(), held < 1000, "{held} bytes are with the application");
        assert!(self.session.queued_bytes() < 1000 + 1200 + (66 << 10));
        let pending = self.requests.values().filter(|answered| !**answered).count();
        assert!(pending <= 2);
        if self.session.poll_timeout().is_none_or(|due| !self.now.has_reached(due)) {
            let (due, queued) = (self.session.poll_timeout(), self.session.queued_bytes());
            self.session.handle_timeout(self.now);
            assert_eq!((due, queued), (self.session.poll_timeout(), self.session.queued_bytes()));
            assert_eq!(self.session.poll_event(), None);
        }
        if self.session.is_finished() {
            assert!(self.over && pending == 0 && self.session.poll_timeout().is_none());
            assert!(!(0..=self.sockets).any(|socket| self.session.serves(WebSocketId(socket))));
        }
    }
}
