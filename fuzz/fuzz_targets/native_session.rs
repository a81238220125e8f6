//! Either side of a native session under arbitrary frames, bytes, calls and times. Nothing follows the end, a deadline that
//! is not due changes nothing, one that is met is gone, what waits stays within its bounds, and the same calls lead to
//! the same state.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
    time::Duration,
};
use tenfour_delivery::{
    number::{Epoch, Generation, Offset, Sequence},
    time::Instant,
};
use tenfour_session::native::*;
use tenfour_wire::{
    Bytes, BytesMut,
    native::{self as wire, Body, CloseCode, Message, SharedMessage, Target, Token},
};

fuzz_target!(|data: &[u8]| {
    let mut input = Source(data);
    let transport = match input.next() & 1 {
        0 => Transport::Stream,
        _ => Transport::Datagram { mtu: 300 },
    };
    let mut config = Config::default();
    config.window.messages = 8;
    (config.receive.messages, config.receive.bytes) = (8, 2000);
    config.limits.frame_bytes = 4000;
    (config.unanswered, config.subscriptions) = (4, 4);
    match input.next() & 1 {
        0 => run(
            Client(ClientSession::new(Arc::new(config), transport, Hello::default(), None, Instant::ZERO)),
            input,
        ),
        _ => run(Server(ServerSession::new(Arc::new(config), transport, Instant::ZERO)), input),
    }
});

/// What is left of the input; zeros follow its end.
struct Source<'a>(&'a [u8]);

impl<'a> Source<'a> {
    fn next(&mut self) -> u8 {
        let Some((&first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        first
    }

    fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken
    }

    fn message(&mut self) -> Message {
        let len = usize::from(self.next()) * 8;
        Message { name: None, body: Body::Binary(vec![7; len].into()) }
    }
}

#[derive(Clone, Debug, Hash)]
struct Client(ClientSession);
#[derive(Clone, Debug, Hash)]
struct Server(ServerSession);

/// What both sides have, for the loop.
trait Side: Clone + std::fmt::Debug + Hash {
    fn call(&mut self, now: Instant, source: &mut Source<'_>);
    fn input(&mut self, now: Instant, input: Input);
    fn timeout(&mut self, now: Instant);
    fn deadline(&self) -> Option<Instant>;
    fn transmit(&mut self, now: Instant) -> Option<Transmit>;
    /// The next event: its cost, and whether it is the end.
    fn event(&mut self) -> Option<(Cost, bool)>;
    fn consumed(&mut self, now: Instant, cost: Cost);
    fn is_finished(&self) -> bool;
}

macro_rules! side {
    ($event:ident) => {
        fn input(&mut self, now: Instant, input: Input) {
            self.0.handle_input(now, input);
        }
        fn timeout(&mut self, now: Instant) {
            self.0.handle_timeout(now);
        }
        fn deadline(&self) -> Option<Instant> {
            self.0.poll_timeout()
        }
        fn transmit(&mut self, now: Instant) -> Option<Transmit> {
            self.0.poll_transmit(now)
        }
        fn event(&mut self) -> Option<(Cost, bool)> {
            self.0.poll_event().map(|event| (event.cost(), matches!(event, $event::Closed(_))))
        }
        fn consumed(&mut self, now: Instant, cost: Cost) {
            self.0.consumed(now, cost);
        }
        fn is_finished(&self) -> bool {
            self.0.is_finished()
        }
    };
}

impl Side for Client {
    side!(ClientEvent);

    fn call(&mut self, now: Instant, source: &mut Source<'_>) {
        let channel = ["a", "b", "c"][usize::from(source.next() % 3)];
        match source.next() % 8 {
            0 => _ = self.0.subscribe(now, channel, Start::Live),
            1 => self.0.unsubscribe(now, channel),
            2 => {
                let (channel, message) = (channel.into(), source.message());
                _ = self.0.publish(now, Publication { channel, producer: None, ttl: None, message });
            }
            3 => _ = self.0.request(now, source.message()),
            4 => _ = self.0.emit(Target::Peer, &SharedMessage::new(&source.message())),
            5 => self.0.processed(now, channel, Offset::new(source.next().into())),
            6 => self.0.close(now, CloseCode::Normal),
            _ => _ = self.0.take_journal(),
        }
    }
}

impl Side for Server {
    side!(ServerEvent);

    fn call(&mut self, now: Instant, source: &mut Source<'_>) {
        let (channel, offset) = (u32::from(source.next() % 3), u64::from(source.next()));
        let offsets = (Offset::new(offset), Offset::new(offset + 1));
        match source.next() % 10 {
            0 | 1 => {
                let (token, generation, epoch) = (Token([7; 30]), Generation::FIRST, Epoch::new(1));
                let (dedup_window, beginning) = (None, Beginning::Fresh);
                self.0.welcome(now, &Welcomed { token, generation, epoch, dedup_window, beginning });
            }
            2 => {
                let rejection =
                    Rejection { code: CloseCode::Forbidden, retry_after: None, reason: "".into() };
                self.0.reject(now, rejection);
            }
            3 | 4 => {
                let message = &SharedMessage::new(&source.message());
                let expires = (source.next() & 1 == 1).then_some(now + Duration::from_millis(10));
                let (previous, offset) = offsets;
                _ = self.0.deliver(now, Delivery { channel, previous, offset, expires, message });
            }
            5 => self.0.published(
                now,
                Sequence::new(offset),
                Ok(Receipt { epoch: Epoch::new(1), offset: offsets.0, duplicate: false }),
            ),
            6 => _ = self.0.request(now, source.message()),
            7 => self.0.unsubscribed(now, channel, None),
            8 => self.0.close(now, CloseCode::GoingAway),
            _ => _ = self.0.take_journal(),
        }
    }
}

/// A frame that leads somewhere: the numbers in it are small.
fn frame(source: &mut Source<'_>) -> Bytes {
    let number = u64::from(source.next() % 16);
    let sequence = if source.next().is_multiple_of(4) { None } else { Some(number) };
    let channel = u32::from(source.next() % 3);
    let body = reliable(source, number, channel);
    let frame = match source.next() % 12 {
        0 => wire::Frame::Hello(wire::Hello {
            min_version: 1,
            max_version: 1,
            features: 0,
            max_frame_bytes: 4000,
            namespace: "/".into(),
            credentials: Bytes::new(),
            credit: wire::Credit { messages: number, bytes: 2000 },
            resume: None,
            fields: Vec::new(),
        }),
        1 => wire::Frame::Welcome(wire::Welcome {
            version: 1,
            features: 0,
            max_frame_bytes: 4000,
            token: Token([7; 30]),
            generation: 0,
            epoch: 1,
            outcome: wire::Outcome::Fresh,
            credit: wire::Credit { messages: number, bytes: 2000 },
            heartbeat_ms: 1000,
            dedup_window_ms: 0,
            fields: Vec::new(),
        }),
        2 => wire::Frame::Ack(wire::Ack { next: number, ranges: Vec::new(), processed: Vec::new() }),
        3 => wire::Frame::Credit(wire::Credit { messages: number * 8, bytes: number * 2000 }),
        4 => wire::Frame::Ping(wire::Ping { nonce: 1, next: number, heads: Vec::new() }),
        5 => wire::Frame::Emit(wire::Emit {
            number: Some(number),
            target: Target::Number(channel),
            message: source.message(),
        }),
        _ => wire::Frame::Reliable { sequence, body },
    };
    let mut bytes = BytesMut::new();
    wire::encode(&frame, &mut bytes);
    bytes.freeze()
}

fn reliable(source: &mut Source<'_>, number: u64, channel: u32) -> wire::Reliable {
    match source.next() % 8 {
        0 => wire::Reliable::Request(wire::Request { request: number, message: source.message() }),
        1 => wire::Reliable::Subscribed(wire::Subscribed {
            request: number % 4,
            outcome: Ok(wire::Subscription {
                channel,
                epoch: 1,
                decision: wire::Decision::Continue,
                after: 0,
                head: 9,
            }),
        }),
        2 => {
            let place =
                wire::Place { channel, previous: number.is_multiple_of(2).then_some(number), advance: 1 };
            wire::Reliable::Deliver(wire::Deliver { place, message: source.message() })
        }
        3 => wire::Reliable::Unsubscribed(wire::Unsubscribed { channel, refusal: None }),
        4 => wire::Reliable::Subscribe(wire::Subscribe {
            request: number,
            channel: "a".into(),
            start: wire::Start::Live,
        }),
        5 => wire::Reliable::Void { charge: number },
        6 => wire::Reliable::Unsubscribe(wire::Unsubscribe { channel }),
        _ => {
            let (channel, message) = ("a".into(), source.message());
            wire::Reliable::Publish(wire::Publish { channel, producer: None, ttl_ms: None, message })
        }
    }
}

fn hash(side: &impl Side) -> u64 {
    let mut hasher = DefaultHasher::new();
    side.hash(&mut hasher);
    hasher.finish()
}

fn run(mut side: impl Side, mut source: Source<'_>) {
    let (mut now, mut held, mut reading, mut over) = (Instant::ZERO, Vec::new(), true, false);
    while !source.0.is_empty() {
        match source.next() % 16 {
            0..=5 => side.input(now, Input::Bytes(frame(&mut source))),
            6 => {
                let len = usize::from(source.next());
                side.input(now, Input::Bytes(Bytes::copy_from_slice(source.take(len))));
            }
            7 => {
                reading = !reading;
                side.input(now, if reading { Input::WriteReady } else { Input::WriteBlocked });
            }
            8 if source.next() < 16 => side.input(now, Input::Closed),
            8..=9 => {
                now = side
                    .deadline()
                    .filter(|_| source.next() & 1 == 0)
                    .unwrap_or(now + Duration::from_millis(7));
                side.timeout(now);
            }
            10..=12 => side.call(now, &mut source),
            _ => {
                if let Some(cost) = held.pop() {
                    side.consumed(now, cost);
                }
            }
        }
        while let Some((cost, end)) = side.event() {
            assert!(!over, "an event after the end");
            over = end;
            held.push(cost);
        }
        while let Some(transmit) = side.transmit(now) {
            if let Transmit::Bytes(bytes) = transmit {
                assert!(!bytes.is_empty());
            }
        }
        assert!(
            side.deadline().is_none_or(|due| !now.has_reached(due)),
            "a deadline that is met is gone: {side:?}"
        );
        let before = hash(&side);
        side.timeout(now);
        assert_eq!(hash(&side), before, "a timeout that is not due changes nothing: {side:?}");
        let waiting: u64 = held.iter().map(|cost| cost.messages).sum();
        assert!(waiting <= 8, "{waiting} messages are with the application, beyond the credit");
        assert!(!side.is_finished() || side.deadline().is_none());
    }
}
