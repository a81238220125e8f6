//! What a session of the native protocol takes from the allocator: its connection, its place in the server, and its
//! subscription.

use bytes::{Bytes, BytesMut};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tenfour_counting_alloc::held;
use tenfour_delivery::{number::Epoch, time::Now};
use tenfour_log::{Log, Memory, Retention};
use tenfour_node::{
    broker::{
        Body, Message,
        channel::{Effect, Publication},
    },
    native::{Config, Event, Grants, Identity, PeerId, Peers, Server},
    session::native::{Input, ServerSession, Transport},
};
use tenfour_wire::native::{self as wire, Frame, Reliable};

const SESSIONS: u64 = 1_000;
const HEARTBEAT: Duration = Duration::from_secs(10);

#[derive(Default)]
struct Connections(BTreeMap<PeerId, ServerSession>);

impl Peers for Connections {
    fn with<R>(&mut self, peer: PeerId, act: impl FnOnce(&mut ServerSession) -> R) -> Option<R> {
        self.0.get_mut(&peer).map(act)
    }
}

/// A server, whose clients are the frames that they send.
struct Host {
    now: Now,
    server: Server,
    log: Memory,
    connections: Connections,
    identity: Identity,
}

impl Host {
    fn new() -> Self {
        let log = Memory::new(Epoch::new(1), Retention::default());
        Self {
            now: Now::default(),
            server: Server::new(Arc::new(Config::default()), "/".into(), log.epoch(), 7),
            log,
            connections: Connections::default(),
            identity: Identity::new("ada", Grants::all()),
        }
    }

    /// Clients that have been let in, and have said so.
    fn with_clients() -> Self {
        let mut host = Self::new();
        let config = Arc::default();
        for peer in (0..SESSIONS).map(PeerId) {
            let session = ServerSession::new(Arc::clone(&config), Transport::Stream, host.now.mono);
            host.connections.0.insert(peer, session);
            host.hear(peer, &Frame::Hello(hello()));
            host.hear(peer, &ack(0));
        }
        assert_eq!(host.server.load().sessions as u64, SESSIONS);
        host
    }

    /// The frame comes in a buffer as a driver reads into.
    fn hear(&mut self, peer: PeerId, frame: &Frame) {
        let mut buffer = BytesMut::with_capacity(16 << 10);
        wire::encode(frame, &mut buffer);
        let (mono, input) = (self.now.mono, Input::Bytes(buffer.freeze()));
        self.connections.with(peer, |connection| connection.handle_input(mono, input));
        self.server.drive(self.now, peer, &mut self.connections);
        self.settle();
    }

    fn settle(&mut self) {
        while let Some(effect) = self.server.poll_effect() {
            match effect {
                Effect::Append { ticket, records } => self.log.append(ticket, records),
                Effect::Read { ticket, query } => {
                    let page = self.log.read(&query);
                    self.server.page(self.now, ticket, page, &mut self.connections);
                }
            }
            while let Some(done) = self.log.poll() {
                self.server.committed(self.now, done.ticket, done.result, &mut self.connections);
            }
        }
        while let Some(event) = self.server.poll_event() {
            if let Event::Authenticate { peer, .. } = event {
                let mut random = [0; 30];
                random[..8].copy_from_slice(&peer.0.to_be_bytes());
                let identity = Ok(self.identity.clone());
                self.server.authenticated(self.now, peer, identity, random, &mut self.connections);
            }
        }
        while let Some(peer) = self.server.poll_touched() {
            let mono = self.now.mono;
            while self.connections.with(peer, |connection| connection.poll_transmit(mono)).flatten().is_some()
            {
            }
        }
    }

    fn say(&mut self, says: &str) {
        let message = Message { name: None, body: Body::Text(says.into()) };
        let publication = Publication::to_channel("news", message);
        self.server.publish(self.now, publication, &mut self.connections).expect("there is room");
        self.settle();
    }

    fn pass(&mut self, time: Duration) {
        self.now.mono = self.now.mono + time;
        for peer in (0..SESSIONS).map(PeerId) {
            let mono = self.now.mono;
            self.connections.with(peer, |connection| connection.handle_timeout(mono));
            self.server.drive(self.now, peer, &mut self.connections);
        }
        self.settle();
    }

    /// Every connection ends.
    fn park(&mut self) {
        for peer in (0..SESSIONS).map(PeerId) {
            let mono = self.now.mono;
            self.connections.with(peer, |connection| connection.handle_input(mono, Input::Closed));
            self.server.closed(self.now, peer, &mut self.connections);
            self.connections.0.remove(&peer);
        }
        self.settle();
        assert_eq!(self.server.load().parked as u64, SESSIONS);
    }

    /// What a parked session counts for.
    fn said(&self) -> i64 {
        self.server.load().parked_bytes as i64 / SESSIONS as i64
    }

    /// Every client subscribes, and gets as much as a window takes before it acknowledges any of it.
    fn burst(&mut self) {
        for peer in (0..SESSIONS).map(PeerId) {
            self.hear(peer, &subscribe());
        }
        (0..200).for_each(|_| self.say(&"x".repeat(500)));
        for peer in (0..SESSIONS).map(PeerId) {
            self.hear(peer, &ack(201));
        }
        assert_eq!(self.server.load().sessions as u64, SESSIONS);
    }
}

fn hello() -> wire::Hello {
    wire::Hello {
        min_version: wire::VERSION,
        max_version: wire::VERSION,
        features: 0,
        max_frame_bytes: 1 << 20,
        namespace: "/".into(),
        credentials: Bytes::from_static(b"ada"),
        credit: wire::Credit { messages: 1_000, bytes: 1 << 20 },
        resume: None,
        fields: Vec::new(),
    }
}

fn ack(next: u64) -> Frame {
    Frame::Ack(wire::Ack { next, ranges: Vec::new(), processed: Vec::new() })
}

fn subscribe() -> Frame {
    subscribe_to(0, "news")
}

fn subscribe_to(number: u64, channel: &str) -> Frame {
    let subscribe = wire::Subscribe { request: number, channel: channel.into(), start: wire::Start::Live };
    Frame::Reliable { sequence: Some(number), body: Reliable::Subscribe(subscribe) }
}

fn publish(number: u64, channel: &str) -> Frame {
    let message = wire::Message { name: None, body: wire::Body::Text("hello".into()) };
    let publish = wire::Publish { channel: channel.into(), producer: None, ttl_ms: None, message };
    Frame::Reliable { sequence: Some(number), body: Reliable::Publish(publish) }
}

/// What each session holds more than before, on the average.
fn each(before: i64) -> i64 {
    (held() - before) / SESSIONS as i64
}

#[test]
fn an_idle_session_gives_back_what_a_burst_has_taken() {
    let before = held();
    let mut host = Host::with_clients();
    host.pass(HEARTBEAT);
    let idle = each(before);
    host.burst();
    let busy = each(before);
    host.pass(HEARTBEAT);
    let rested = each(before);
    println!(
        "a session: idle {idle} bytes; after a burst {busy}, and {rested} when it rests, with a subscription"
    );
    assert!(idle < 4_800 && rested < idle + 1_500 && busy > 20_000);
}

/// The bound on what parked sessions hold is one on memory, not on a part of it.
#[test]
fn a_parked_session_holds_about_what_it_says() {
    let before = held();
    let mut host = Host::with_clients();
    host.burst();
    host.park();
    let (real, said) = (each(before), host.said());
    println!("a parked session with a subscription: {real} bytes, and {said} said");
    assert!(real < said + 2_000, "{real} bytes, and {said} said");

    drop(host);
    let before = held();
    let mut host = Host::with_clients();
    for peer in (0..SESSIONS).map(PeerId) {
        host.hear(peer, &subscribe());
    }
    (0..200).for_each(|_| host.say("x"));
    host.park();
    let (real, said) = (each(before), host.said());
    println!("with 200 messages that wait: {real} bytes, and {said} said");
    assert!(real < said + 2_000, "{real} bytes, and {said} said");
}

#[test]
fn a_name_does_not_keep_the_buffer_that_it_came_in() {
    let mut host = Host::with_clients();
    let before = held();
    for number in 0..SESSIONS {
        host.hear(PeerId(7), &publish(number, &format!("room {number}")));
        host.hear(PeerId(7), &ack(number + 1));
    }
    println!("a channel, and its entry in the log: {} bytes", each(before));
    assert!(each(before) < 2_000);

    let before = held();
    for number in 0..SESSIONS {
        host.hear(PeerId(8), &subscribe_to(number, &format!("hall {number}")));
        host.hear(PeerId(8), &ack(number + 1));
    }
    println!("a subscription, and its channel: {} bytes", each(before));
    assert!(each(before) < 2_000);
    assert_eq!(host.server.load().sessions as u64, SESSIONS);
}
