//! Clients, connections, a server and a log.

use super::{log::Log, *};
use tenfour_delivery::number::Epoch;
use tenfour_session::native as session;

pub(super) struct World {
    pub(super) now: Now,
    pub(super) server: Server,
    pub(super) log: Log,
    pub(super) connections: Connections,
    pub(super) clients: Vec<Client>,
    /// What the server's application was told, but for who wants in.
    pub(super) events: Vec<Event>,
    /// Who gets in, by credentials.
    pub(super) identities: BTreeMap<ByteString, Identity>,
    /// Connections that wait to be told apart, while that is held back.
    pub(super) unanswered: VecDeque<(PeerId, ByteString)>,
    pub(super) is_asking_late: bool,
    /// The clients' and the connections'.
    pub(super) config: Arc<session::Config>,
    peers: u64,
}

#[derive(Default)]
pub(super) struct Connections(BTreeMap<PeerId, ServerSession>);

impl Peers for Connections {
    fn with<R>(&mut self, peer: PeerId, act: impl FnOnce(&mut ServerSession) -> R) -> Option<R> {
        self.0.get_mut(&peer).map(act)
    }
}

/// A client and the connection that it thinks it has.
pub(super) struct Client {
    pub(super) session: ClientSession,
    pub(super) events: Vec<ClientEvent>,
    pub(super) peer: Option<PeerId>,
    /// Whether what the server sends is lost on the way.
    pub(super) is_deaf: bool,
    /// Whether its application takes nothing, so that it gives no credit.
    pub(super) is_stalled: bool,
    /// How it was let in, each time.
    pub(super) resumptions: Vec<Resumption>,
    /// What became of its publications.
    pub(super) published: Vec<(Sequence, Result<Receipt, RefusalReason>)>,
    /// Whether it was told that the server is about to go.
    pub(super) was_told_to_go: bool,
    closed: Option<Closed>,
    owed: session::Cost,
    credentials: ByteString,
}

impl World {
    pub(super) fn new() -> Self {
        Self::with(Config::default(), session::Config::default())
    }

    pub(super) fn with(config: Config, session: session::Config) -> Self {
        let everything = Identity::new("ada", Grants::all());
        Self {
            now: Now { mono: Instant::ZERO, wall: WallTime::from_unix_millis(1_000_000) },
            server: Server::new(Arc::new(config), "/".into(), Epoch::new(1), 7),
            log: Log::new(1),
            connections: Connections::default(),
            clients: Vec::new(),
            events: Vec::new(),
            identities: [("ada".into(), everything)].into(),
            unanswered: VecDeque::new(),
            is_asking_late: false,
            config: Arc::new(session),
            peers: 0,
        }
    }

    /// The server loses everything, its log included; a new one takes its place.
    pub(super) fn restart(&mut self, epoch: u64) {
        for client in 0..self.clients.len() {
            self.cut(client);
        }
        self.connections.0.clear();
        self.log = Log::new(epoch);
        self.server = Server::new(Arc::default(), "/".into(), self.log.epoch, 8);
    }

    /// A client that is let in.
    pub(super) fn join(&mut self, credentials: &str) -> usize {
        let client = self.connect(credentials, None);
        self.settle();
        assert_eq!(self.clients[client].resumptions, [Resumption::Fresh]);
        client
    }

    /// A client that has said hello.
    pub(super) fn connect(&mut self, credentials: &str, journal: Option<session::ClientJournal>) -> usize {
        let session = self.dial(credentials, journal);
        let peer = Some(self.accept());
        self.clients.push(Client {
            session,
            events: Vec::new(),
            peer,
            is_deaf: false,
            is_stalled: false,
            resumptions: Vec::new(),
            published: Vec::new(),
            was_told_to_go: false,
            closed: None,
            owed: session::Cost::default(),
            credentials: credentials.into(),
        });
        self.clients.len() - 1
    }

    fn dial(&mut self, credentials: &str, journal: Option<session::ClientJournal>) -> ClientSession {
        let hello =
            session::Hello { namespace: "/".into(), credentials: ByteString::from(credentials).into_bytes() };
        ClientSession::new(self.config.clone(), Transport::Stream, hello, journal, self.now.mono)
    }

    fn accept(&mut self) -> PeerId {
        self.peers += 1;
        let peer = PeerId(self.peers);
        let session = ServerSession::new(self.config.clone(), Transport::Stream, self.now.mono);
        self.connections.0.insert(peer, session);
        peer
    }

    /// Both ends see the connection end.
    pub(super) fn cut(&mut self, client: usize) {
        if let Some(peer) = self.clients[client].abandon(self.now.mono) {
            self.end(peer);
        }
    }

    /// The server sees a connection end.
    pub(super) fn end(&mut self, peer: PeerId) {
        self.connections.with(peer, |session| session.handle_input(self.now.mono, Input::Closed));
        self.server.closed(self.now, peer, &mut self.connections);
        self.connections.0.remove(&peer);
    }

    /// The client comes back with what it has kept; the server may not have seen it go.
    pub(super) fn reconnect(&mut self, client: usize) {
        self.clients[client].abandon(self.now.mono);
        let journal = self.clients[client].session.take_journal();
        let credentials = self.clients[client].credentials.clone();
        let session = self.dial(&credentials, journal);
        self.clients[client].session = session;
        self.clients[client].peer = Some(self.accept());
        self.clients[client].is_deaf = false;
        self.clients[client].closed = None;
    }

    /// The server's application publishes a text.
    pub(super) fn say(&mut self, channel: &str, says: &str) {
        self.server.publish(self.now, broadcast(channel, says), &mut self.connections).unwrap();
    }

    /// What a client has sent arrives, and the server has not looked at it.
    pub(super) fn upload_unseen(&mut self, client: usize) {
        let now = self.now.mono;
        let peer = self.clients[client].peer.unwrap();
        while let Some(Transmit::Bytes(bytes)) = self.clients[client].session.poll_transmit(now) {
            self.connections.with(peer, |session| session.handle_input(now, Input::Bytes(bytes)));
        }
    }

    pub(super) fn session_of(&self, client: usize) -> SessionId {
        let peer = self.clients[client].peer.unwrap();
        let Some(server::Stage::Joined(id)) = self.server.stages.get(&peer) else { panic!("it is in") };
        *id
    }

    pub(super) fn token(&mut self, client: usize) -> wire::Token {
        let id = self.session_of(client);
        self.server.sessions.get_mut(id).unwrap().tokens().current().token
    }

    /// What holds between any two calls.
    pub(super) fn check(&self) {
        let Server { sessions, stages, authenticating, .. } = &self.server;
        sessions.check();
        let waiting = stages.values().filter(|stage| matches!(stage, server::Stage::Authenticating(_)));
        assert_eq!(waiting.count(), *authenticating);
        let joined = stages.iter().filter_map(|(peer, stage)| match stage {
            server::Stage::Joined(id) => Some((*id, *peer)),
            server::Stage::Authenticating(_) => None,
        });
        let joined: BTreeMap<_, _> =
            joined.inspect(|(id, peer)| assert_eq!(self.server.peer(*id), Some(*peer))).collect();
        assert_eq!(joined.len() + sessions.parked_len(), sessions.len(), "a session is live once, or parked");
    }

    /// How many sessions had to make room.
    pub(super) fn evicted(&mut self) -> usize {
        self.settle();
        let is_evicted = |event: &&Event| matches!(event, Event::Left { reason: LeaveReason::Evicted, .. });
        self.events.iter().filter(is_evicted).count()
    }

    /// A frame arrives that no client sends.
    pub(super) fn inject(&mut self, client: usize, frame: wire::Frame) {
        let peer = self.clients[client].peer.unwrap();
        let mut bytes = bytes::BytesMut::new();
        wire::encode(&frame, &mut bytes);
        let now = self.now.mono;
        self.connections.with(peer, |session| session.handle_input(now, Input::Bytes(bytes.freeze())));
        self.server.drive(self.now, peer, &mut self.connections);
    }

    pub(super) fn hello(credentials: &str, resume: Option<wire::Resume>) -> wire::Hello {
        wire::Hello {
            min_version: wire::VERSION,
            max_version: wire::VERSION,
            features: 0,
            max_frame_bytes: 1 << 20,
            namespace: "/".into(),
            credentials: ByteString::from(credentials).into_bytes(),
            credit: wire::Credit { messages: 100, bytes: 1 << 20 },
            resume,
            fields: Vec::new(),
        }
    }

    /// How somebody is greeted who says this much.
    pub(super) fn greet(
        &mut self,
        credentials: &str,
        resume: Option<wire::Resume>,
    ) -> Result<wire::Outcome, CloseCode> {
        self.greet_with(Self::hello(credentials, resume))
    }

    pub(super) fn greet_with(&mut self, hello: wire::Hello) -> Result<wire::Outcome, CloseCode> {
        let peer = self.accept();
        let mut bytes = bytes::BytesMut::new();
        wire::encode(&wire::Frame::Hello(hello), &mut bytes);
        let now = self.now.mono;
        self.connections.with(peer, |session| session.handle_input(now, Input::Bytes(bytes.freeze())));
        self.server.drive(self.now, peer, &mut self.connections);
        self.settle();
        for frame in self.sent(peer) {
            match frame {
                wire::Frame::Welcome(welcome) => return Ok(welcome.outcome),
                wire::Frame::Reject(reject) => return Err(reject.code),
                _ => {}
            }
        }
        panic!("no answer")
    }

    /// Why the server ends a connection.
    pub(super) fn goodbye(&mut self, peer: PeerId) -> Option<CloseCode> {
        let [wire::Frame::Close(close)] = &self.sent(peer)[..] else { return None };
        Some(close.code)
    }

    /// What the server sends on a connection that no client has.
    fn sent(&mut self, peer: PeerId) -> Vec<wire::Frame> {
        let now = self.now.mono;
        let mut decoder = wire::Decoder::new(wire::Limits::default());
        let mut frames = Vec::new();
        while let Some(Transmit::Bytes(bytes)) =
            self.connections.with(peer, |session| session.poll_transmit(now)).flatten()
        {
            decoder.push(bytes);
            while let Some(frame) = decoder.next().unwrap() {
                frames.push(frame);
            }
        }
        frames
    }

    pub(super) fn subscribe(&mut self, client: usize, channel: &str, start: Start) {
        let now = self.now.mono;
        self.clients[client].session.subscribe(now, channel, start).unwrap();
    }

    pub(super) fn publish(&mut self, client: usize, publication: Publication) -> Sequence {
        let now = self.now.mono;
        self.clients[client].session.publish(now, publication).unwrap()
    }

    /// Lets everything happen that needs no time.
    pub(super) fn settle(&mut self) {
        while self.step() {}
    }

    /// Lets time pass, from one deadline to the next.
    pub(super) fn advance(&mut self, duration: Duration) {
        let until = self.now.mono + duration;
        loop {
            self.settle();
            let next = self.poll_timeout().filter(|next| *next <= until);
            self.set_time(next.unwrap_or(until).max(self.now.mono));
            self.handle_timeouts();
            if next.is_none() {
                return self.settle();
            }
        }
    }

    pub(super) fn step(&mut self) -> bool {
        let mut moved = false;
        for client in 0..self.clients.len() {
            moved |= self.upload(client) | self.download(client);
            let client = &mut self.clients[client];
            moved |= client.take_events(self.now.mono);
        }
        while let Some(event) = self.server.poll_event() {
            self.hear(event);
            moved = true;
        }
        while self.server.poll_touched().is_some() {}
        moved | self.log.work(self.now, &mut self.server, &mut self.connections)
    }

    fn upload(&mut self, client: usize) -> bool {
        let now = self.now.mono;
        let mut moved = false;
        while let Some(transmit) = self.clients[client].session.poll_transmit(now) {
            moved = true;
            let Some(peer) = self.clients[client].peer else { continue };
            let input = match transmit {
                Transmit::Bytes(bytes) => Input::Bytes(bytes),
                _ => Input::Closed,
            };
            self.connections.with(peer, |session| session.handle_input(now, input));
            self.server.drive(self.now, peer, &mut self.connections);
        }
        moved
    }

    fn download(&mut self, client: usize) -> bool {
        let now = self.now.mono;
        let Some(peer) = self.clients[client].peer else { return false };
        let mut moved = false;
        while let Some(transmit) = self.connections.with(peer, |session| session.poll_transmit(now)).flatten()
        {
            moved = true;
            let client = &mut self.clients[client];
            match transmit {
                _ if client.is_deaf => {}
                Transmit::Bytes(bytes) => client.session.handle_input(now, Input::Bytes(bytes)),
                _ => client.session.handle_input(now, Input::Closed),
            }
        }
        moved
    }

    fn hear(&mut self, event: Event) {
        if let Event::Authenticate { peer, credentials, .. } = event {
            let credentials = ByteString::try_from(credentials).unwrap();
            self.unanswered.push_back((peer, credentials));
            if !self.is_asking_late {
                self.authenticate();
            }
        } else {
            self.events.push(event);
        }
    }

    /// Answers who asked first to be let in.
    pub(super) fn authenticate(&mut self) {
        let (peer, credentials) = self.unanswered.pop_front().unwrap();
        let identity = self.identities.get(&credentials).cloned();
        let result = identity.ok_or(Rejection {
            code: CloseCode::Unauthorized,
            retry_after: None,
            reason: ByteString::new(),
        });
        let mut random = [0; 30];
        random[7..15].copy_from_slice(&peer.0.to_be_bytes());
        random[22..].copy_from_slice(&(peer.0 * 31).to_be_bytes());
        self.server.authenticated(self.now, peer, result, random, &mut self.connections);
    }

    fn set_time(&mut self, mono: Instant) {
        let millis = mono.as_micros() / 1000;
        self.now = Now { mono, wall: WallTime::from_unix_millis(1_000_000 + millis) };
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let clients = self.clients.iter().filter_map(|client| client.session.poll_timeout());
        let connections = self.connections.0.values().filter_map(ServerSession::poll_timeout);
        clients.chain(connections).chain(self.server.poll_timeout()).min()
    }

    fn handle_timeouts(&mut self) {
        let now = self.now.mono;
        for client in &mut self.clients {
            client.session.handle_timeout(now);
        }
        for peer in self.connections.0.keys().copied().collect::<Vec<_>>() {
            self.connections.with(peer, |session| session.handle_timeout(now));
            self.server.drive(self.now, peer, &mut self.connections);
        }
        self.server.handle_timeout(self.now, &mut self.connections);
    }

    /// What a client has been told of a channel since the last time: texts, and losses in brackets.
    pub(super) fn read(&mut self, client: usize) -> Vec<std::string::String> {
        self.settle();
        self.clients[client].read()
    }
}

impl Client {
    /// The client gives its connection up.
    fn abandon(&mut self, now: Instant) -> Option<PeerId> {
        self.session.handle_input(now, Input::Closed);
        self.take_events(now);
        self.peer.take()
    }

    /// Its application goes on after a pause.
    pub(super) fn take_up(&mut self, now: Instant) {
        self.is_stalled = false;
        let cost = core::mem::take(&mut self.owed);
        self.session.consumed(now, cost);
    }

    fn take_events(&mut self, now: Instant) -> bool {
        let mut moved = false;
        while let Some(event) = self.session.poll_event() {
            moved = true;
            match self.is_stalled {
                true => self.owed = self.owed + event.cost(),
                false => self.session.consumed(now, event.cost()),
            }
            match &event {
                ClientEvent::Welcomed(welcome) => self.resumptions.push(welcome.resumption),
                ClientEvent::GoAway { .. } => self.was_told_to_go = true,
                ClientEvent::Closed(closed) => self.closed = Some(*closed),
                ClientEvent::Published { publish, result } => {
                    self.published.push((*publish, result.map_err(|refusal| refusal.reason)));
                }
                _ => {}
            }
            self.events.push(event);
        }
        moved
    }

    /// Why its last connection ended.
    pub(super) fn closed(&self) -> Option<Closed> {
        self.closed
    }

    pub(super) fn replies(&self) -> impl Iterator<Item = Result<std::string::String, ByteString>> {
        self.events.iter().filter_map(|event| match event {
            ClientEvent::Reply { result, .. } => Some(result.as_ref().map(said).map_err(Clone::clone)),
            _ => None,
        })
    }

    fn read(&mut self) -> Vec<std::string::String> {
        let events = core::mem::take(&mut self.events);
        events.iter().filter_map(show).collect()
    }
}

/// What an event says of a channel.
fn show(event: &ClientEvent) -> Option<std::string::String> {
    Some(match event {
        ClientEvent::Message(Delivered { message, .. }) => said(message),
        ClientEvent::Emitted { message, .. } => std::format!("~{}", said(message)),
        ClientEvent::Lost { lost, .. } => std::format!("<{:?} {:?}>", lost.count, lost.reason),
        ClientEvent::Subscribed { subscription, .. } => match subscription.decision {
            Decision::Continue => "subscribed".into(),
            Decision::Gap(lost) => std::format!("subscribed <{:?} {:?}>", lost.count, lost.reason),
            Decision::Reset(lost) => std::format!("subscribed anew <{:?}>", lost.reason),
        },
        ClientEvent::Unsubscribed { refusal: None, .. } => "unsubscribed".into(),
        ClientEvent::Unsubscribed { refusal: Some(refusal), .. } => std::format!("{:?}", refusal.reason),
        ClientEvent::CaughtUp { .. } => "caught up".into(),
        _ => return None,
    })
}

fn said(message: &wire::Message) -> std::string::String {
    match &message.body {
        wire::Body::Text(text) => (&**text).into(),
        body => std::format!("{body:?}"),
    }
}
