//! What native sessions allocate and hold, counted; in a binary of its own, since the counter is the process's allocator.

use std::sync::Arc;
use tenfour_counting_alloc::{allocations, held};
use tenfour_delivery::{
    number::{Epoch, Generation, Offset},
    time::Instant,
};
use tenfour_session::native::*;
use tenfour_wire::{
    Bytes,
    native::{Body, Message, SharedMessage, Token},
};

const NOW: Instant = Instant::ZERO;

/// Both sides, with a subscription to channel 1 from its beginning.
struct Pair {
    client: ClientSession,
    server: ServerSession,
    /// What the two sides allocate, apart from each other.
    client_allocations: usize,
    server_allocations: usize,
    sent: u64,
    received: u64,
}

impl Pair {
    fn new(config: Arc<Config>) -> Self {
        let client = ClientSession::new(config.clone(), Transport::Stream, Hello::default(), None, NOW);
        let server = ServerSession::new(config, Transport::Stream, NOW);
        let mut pair =
            Self { client, server, client_allocations: 0, server_allocations: 0, sent: 0, received: 0 };
        pair.client.subscribe(NOW, "c", Start::Earliest).expect("the first of many");
        pair.carry();
        pair
    }

    /// Carries bytes both ways. They are copied into buffers of the transport's own, as a socket's are.
    fn carry(&mut self) {
        loop {
            let (up, down) = (self.taken_from_client(), self.taken_from_server());
            let silent = up.is_empty() && down.is_empty();
            let before = allocations();
            for bytes in up {
                self.server.handle_input(NOW, Input::Bytes(bytes));
            }
            self.server_events();
            self.server_allocations += allocations() - before;
            let before = allocations();
            for bytes in down {
                self.client.handle_input(NOW, Input::Bytes(bytes));
            }
            self.client_events();
            self.client_allocations += allocations() - before;
            if silent {
                return;
            }
        }
    }

    fn taken_from_client(&mut self) -> Vec<Bytes> {
        let mut pieces = Vec::new();
        while let Some(Transmit::Bytes(piece)) = self.client.poll_transmit(NOW) {
            pieces.push(Bytes::copy_from_slice(&piece));
        }
        pieces
    }

    fn taken_from_server(&mut self) -> Vec<Bytes> {
        let mut pieces = Vec::new();
        loop {
            let before = allocations();
            let transmit = self.server.poll_transmit(NOW);
            self.server_allocations += allocations() - before;
            let Some(Transmit::Bytes(piece)) = transmit else { return pieces };
            pieces.push(Bytes::copy_from_slice(&piece));
        }
    }

    fn server_events(&mut self) {
        while let Some(event) = self.server.poll_event() {
            self.server.consumed(NOW, event.cost());
            match event {
                ServerEvent::Hello { .. } => {
                    let (token, generation, epoch) = (Token([7; 30]), Generation::FIRST, Epoch::new(1));
                    let (dedup_window, beginning) = (None, Beginning::Fresh);
                    let welcomed = Welcomed { token, generation, epoch, dedup_window, beginning };
                    self.server.welcome(NOW, &welcomed);
                }
                ServerEvent::Subscribe { request, .. } => {
                    let (after, decision) = (Offset::START, Decision::Continue);
                    let subscription =
                        Subscription { channel: 1, epoch: Epoch::new(1), decision, after, head: after };
                    self.server.subscribed(NOW, request, Ok(subscription));
                }
                _ => {}
            }
        }
    }

    fn client_events(&mut self) {
        while let Some(event) = self.client.poll_event() {
            self.client.consumed(NOW, event.cost());
            self.received += u64::from(matches!(event, ClientEvent::Message(_)));
        }
    }

    fn deliver(&mut self, message: &SharedMessage) {
        let (previous, offset) = (Offset::new(self.sent), Offset::new(self.sent + 1));
        self.sent += 1;
        let before = allocations();
        let delivery = Delivery { channel: 1, previous, offset, expires: None, message };
        self.server.deliver(NOW, delivery).expect("there is room");
        self.server_allocations += allocations() - before;
    }

    /// Sends so many messages, some at a time.
    fn run(&mut self, message: &SharedMessage, messages: u64) {
        for _ in 0..messages / 50 {
            for _ in 0..50 {
                self.deliver(message);
            }
            self.carry();
        }
    }
}

fn message(len: usize) -> SharedMessage {
    SharedMessage::new(&Message { name: None, body: Body::Binary(vec![7; len].into()) })
}

#[test]
fn a_delivery_allocates_nothing_but_for_the_pieces_that_it_travels_in() {
    for len in [32, 5_000] {
        let (mut pair, message) = (Pair::new(Arc::default()), message(len));
        pair.run(&message, 1_000);
        (pair.server_allocations, pair.client_allocations) = (0, 0);
        pair.run(&message, 10_000);
        assert_eq!(pair.received, 11_000);
        // A piece that comes has one owner until a message is sliced out of it; then its owners are counted: so many pieces
        // of small messages, or one for each large one and its head.
        let pieces = if len < 1_024 { 200 } else { 20_000 };
        assert!(pair.client_allocations <= pieces, "{} for messages of {len} bytes", pair.client_allocations);
        let buffers = if len < 1_024 { 200 } else { 1_000 };
        assert!(
            pair.server_allocations <= buffers,
            "{} for messages of {len} bytes",
            pair.server_allocations
        );
    }
}

#[test]
fn an_idle_session_is_small() {
    let config = Arc::new(Config::default());
    drop(Pair::new(config.clone()));
    let message = message(32);
    let (mut clients, mut servers) = (Vec::with_capacity(100), Vec::with_capacity(100));
    for _ in 0..100 {
        let mut pair = Pair::new(config.clone());
        pair.run(&message, 1_000);
        clients.push(pair.client);
        servers.push(pair.server);
    }
    // A heartbeat of silence later.
    for (client, server) in clients.iter_mut().zip(&mut servers) {
        let now = NOW + config.heartbeat;
        client.handle_timeout(now);
        server.handle_timeout(now);
        while client.poll_transmit(now).is_some() || server.poll_transmit(now).is_some() {}
    }
    let all = held();
    drop(clients);
    let client = (all - held()) / 100;
    let all = held();
    drop(servers);
    let server = (all - held()) / 100;
    assert!(client <= 6_000, "a client's session takes {client} bytes");
    assert!(server <= 3_000, "a server's session takes {server} bytes");
}
