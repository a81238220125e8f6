//! A client and a server that lose their connection again and again, with applications that remember what they were told.
//!
//! The server has one channel, which is all that is ever published to it. Its log and its table of producers outlive
//! everything; its journals may be forgotten, as in a restart.

use super::{
    super::*,
    pipe::{Faults, Pipe, Random},
};
use alloc::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    format,
    string::{String, ToString},
    sync::Arc,
    vec::Vec,
};
use core::time::Duration;
use tenfour_delivery::{
    entry::Producer,
    number::{Epoch, Generation, Offset, ProducerEpoch, ProducerId, ProducerSequence, Sequence},
    time::Instant,
};
use tenfour_wire::native::{Body, CloseCode, Message, SharedMessage, Target, Token};

const CHANNEL: u32 = 3;
const EPOCH: Epoch = Epoch::new(1);

pub(super) fn text(text: &str) -> Message {
    Message { name: None, body: Body::Text(text.into()) }
}

/// What may go wrong, and how often.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) seed: u64,
    pub(super) transport: Transport,
    pub(super) faults: Faults,
    /// Percent of the steps in which the connection breaks.
    pub(super) cuts: u64,
    /// Percent of the breaks after which the server has forgotten the session.
    pub(super) amnesia: u64,
    /// How many messages each side sends.
    pub(super) messages: u64,
    pub(super) window: usize,
}

#[derive(Debug)]
pub(super) struct World {
    plan: Plan,
    random: Random,
    now: Instant,
    config: Arc<Config>,
    client: ClientSession,
    server: ServerSession,
    to_server: Pipe,
    to_client: Pipe,
    /// What the server keeps of the session: its journal, unless that is in use.
    parked: Option<ServerJournal>,
    /// The session that the server has, or had last.
    token: Token,
    generation: u32,
    log: Log,
    reader: Reader,
    publisher: Publisher,
    asker: Asker,
    pub(super) ends: Vec<Closed>,
    pub(super) rebased: u64,
    pub(super) resumed: u64,
}

/// The server's application.
#[derive(Debug, Default)]
struct Log {
    entries: Vec<(Offset, SharedMessage, String)>,
    producers: BTreeMap<u64, Offset>,
    appended: u64,
    /// Where the subscriber is; `None` if there is none.
    cursor: Option<Offset>,
    emitted: u64,
}

impl Log {
    fn head(&self) -> Offset {
        self.entries.last().map_or(Offset::START, |(offset, ..)| *offset)
    }

    fn append(&mut self, random: &mut Random, message: String) -> Offset {
        let offset = Offset::new(self.head().get() + 1 + random.below(3) / 2);
        self.entries.push((offset, SharedMessage::new(&text(&message)), message));
        offset
    }
}

/// The part of the client's application that reads.
#[derive(Debug, Default)]
struct Reader {
    read: Vec<(Offset, Offset, String)>,
    held: VecDeque<Cost>,
    emitted: BTreeSet<String>,
}

/// The part that publishes: an outbox.
#[derive(Debug, Default)]
struct Publisher {
    next: u64,
    outbox: VecDeque<u64>,
    in_flight: BTreeMap<Sequence, u64>,
    answered: BTreeMap<u64, Receipt>,
}

/// The part that asks.
#[derive(Debug, Default)]
struct Asker {
    asked: u64,
    waiting: BTreeMap<RequestId, u64>,
    answered: u64,
    unanswered: u64,
    server_waiting: u64,
    server_answered: u64,
}

impl World {
    pub(super) fn new(plan: Plan) -> Self {
        let mut config = Config::default();
        config.window.messages = plan.window;
        config.receive.messages = plan.window;
        config.unanswered = 32;
        let config = Arc::new(config);
        let now = Instant::ZERO;
        let mut client = ClientSession::new(config.clone(), plan.transport, Hello::default(), None, now);
        client.subscribe(now, "c", Start::Earliest).unwrap();
        Self {
            random: Random(plan.seed),
            now,
            client,
            server: ServerSession::new(config.clone(), plan.transport, now),
            config,
            to_server: Pipe::new(plan.transport, plan.faults),
            to_client: Pipe::new(plan.transport, plan.faults),
            parked: None,
            token: Token([0; 30]),
            generation: 0,
            log: Log::default(),
            reader: Reader::default(),
            publisher: Publisher::default(),
            asker: Asker::default(),
            ends: Vec::new(),
            rebased: 0,
            resumed: 0,
            plan,
        }
    }

    /// Faults first, then none: then everything must arrive.
    pub(super) fn run(&mut self) {
        for _ in 0..600 {
            self.act();
            self.advance();
            if self.random.chance(self.plan.cuts) {
                self.cut();
            }
        }
        self.to_server.faults = Faults::NONE;
        self.to_client.faults = Faults::NONE;
        let healed = self.now;
        while !self.is_done() {
            self.act();
            self.advance();
            assert!(self.now - healed < Duration::from_secs(600), "it does not converge: {self:#?}");
        }
        self.check();
    }

    fn is_done(&self) -> bool {
        let messages = self.plan.messages;
        self.publisher.answered.len() as u64 == messages
            && self.log.appended == messages
            && self.reader.read.len() == self.log.entries.len()
            && self.asker.waiting.is_empty()
    }

    fn check(&self) {
        let mut previous = Offset::START;
        for ((offset, _, text), read) in self.log.entries.iter().zip(&self.reader.read) {
            assert_eq!(
                *read,
                (previous, *offset, text.clone()),
                "each entry once, in order, with its predecessor"
            );
            previous = *offset;
        }
        for (number, receipt) in &self.publisher.answered {
            assert_eq!(self.log.producers.get(number), Some(&receipt.offset), "the original place");
        }
        assert_eq!(self.asker.asked, self.asker.answered + self.asker.unanswered);
        if self.plan.cuts == 0 && self.plan.faults.loss == 0 {
            assert!(self.ends.is_empty() && self.asker.unanswered == 0, "{:?}", self.ends);
        }
        let allowed = |end: &&Closed| {
            matches!(end, Closed::Transport | Closed::Fault(CloseCode::IdleTimeout | CloseCode::HelloTimeout))
        };
        assert!(self.ends.iter().all(|end| allowed(&end)), "{:?}", self.ends);
    }

    /// What the applications do of their own accord.
    fn act(&mut self) {
        let now = self.now;
        for _ in 0..self.random.below(8) {
            if self.log.appended < self.plan.messages {
                self.log.appended += 1;
                let message = format!("appended {}", self.log.appended);
                self.log.append(&mut self.random, message);
            }
            self.publish();
        }
        if self.random.chance(20)
            && let Ok(request) = self.client.request(now, text(&format!("{}", self.asker.asked)))
        {
            self.asker.waiting.insert(request, self.asker.asked);
            self.asker.asked += 1;
        }
        if self.server.is_open() && self.random.chance(10) {
            let message = SharedMessage::new(&text(&format!("emitted {}", self.log.emitted)));
            self.log.emitted += 1;
            self.server.emit(Target::Number(CHANNEL), &message);
            self.asker.server_waiting += u64::from(self.server.request(now, text("?")).is_ok());
        }
        let count =
            self.random.below(1 + self.reader.held.len() as u64 * 2).min(self.reader.held.len() as u64);
        let done: Cost = self.reader.held.drain(..count as usize).sum();
        self.client.consumed(now, done);
        if let Some((_, offset, _)) = self.reader.read.last() {
            self.client.processed(now, "c", *offset);
        }
        self.deliver();
        self.exchange();
    }

    fn publish(&mut self) {
        let number = match self.publisher.outbox.pop_front() {
            Some(number) => number,
            None if self.publisher.next < self.plan.messages => {
                self.publisher.next += 1;
                self.publisher.next - 1
            }
            None => return,
        };
        let producer = Producer {
            id: ProducerId::new(9),
            epoch: ProducerEpoch::new(0),
            sequence: ProducerSequence::new(number),
        };
        let message = text(&format!("published {number}"));
        let publication = Publication { channel: "c".into(), producer: Some(producer), ttl: None, message };
        match self.client.publish(self.now, publication) {
            Ok(publish) => _ = self.publisher.in_flight.insert(publish, number),
            Err(error) => {
                assert!(
                    matches!(error, SendError::Full | SendError::TooManyUnanswered | SendError::Closed),
                    "{error}"
                );
                self.publisher.outbox.push_front(number);
            }
        }
    }

    /// The subscriber is sent what is behind its cursor, as long as there is room.
    fn deliver(&mut self) {
        while let Some(cursor) = self.log.cursor {
            let Some((offset, message, _)) = self.log.entries.iter().find(|(offset, ..)| *offset > cursor)
            else {
                return;
            };
            let delivery =
                Delivery { channel: CHANNEL, previous: cursor, offset: *offset, expires: None, message };
            match self.server.deliver(self.now, delivery) {
                Ok(()) => self.log.cursor = Some(*offset),
                Err(error) => {
                    return assert!(matches!(error, SendError::Full | SendError::Closed), "{error}");
                }
            }
        }
    }

    /// Time goes on to whatever happens next, and never beyond.
    fn advance(&mut self) {
        let deadlines = [
            self.client.poll_timeout(),
            self.server.poll_timeout(),
            self.to_client.due(),
            self.to_server.due(),
            Some(self.now + Duration::from_millis(self.random.below(40))),
        ];
        let next = deadlines.into_iter().flatten().min().unwrap_or(self.now);
        self.now = self.now.max(next);
        let now = self.now;
        while let Some(bytes) = self.to_server.arrived(now) {
            self.server.handle_input(now, Input::Bytes(bytes));
            self.exchange();
        }
        while let Some(bytes) = self.to_client.arrived(now) {
            self.client.handle_input(now, Input::Bytes(bytes));
            self.exchange();
        }
        self.client.handle_timeout(now);
        self.server.handle_timeout(now);
        self.exchange();
        for deadline in [self.client.poll_timeout(), self.server.poll_timeout()].into_iter().flatten() {
            assert!(!now.has_reached(deadline), "a deadline that is met is gone: {deadline} at {now}");
        }
        if self.client.is_finished() || self.server.is_finished() {
            self.cut();
        }
    }

    /// The connection breaks, and what was under way on it is gone; the client makes another.
    fn cut(&mut self) {
        let now = self.now;
        // Half of the time the server learns of it only by the next HELLO.
        if self.random.chance(50) {
            self.server.handle_input(now, Input::Closed);
        }
        if self.random.chance(50) {
            self.client.handle_input(now, Input::Closed);
        }
        self.exchange();
        let journal = self.client.take_journal();
        self.exchange();
        if let Some(journal) = self.server.take_journal() {
            self.parked = Some(journal);
        }
        self.exchange();
        if self.random.chance(self.plan.amnesia) {
            self.parked = None;
        }
        let Plan { transport, .. } = self.plan;
        self.client = ClientSession::new(self.config.clone(), transport, Hello::default(), journal, now);
        self.server = ServerSession::new(self.config.clone(), transport, now);
        self.to_server = Pipe::new(transport, self.to_server.faults);
        self.to_client = Pipe::new(transport, self.to_client.faults);
        self.exchange();
    }

    /// Both applications take what there is, and the transports too.
    fn exchange(&mut self) {
        loop {
            while let Some(event) = self.client.poll_event() {
                self.client_event(event);
            }
            while let Some(event) = self.server.poll_event() {
                self.server_event(event);
            }
            let mut silent = true;
            while let Some(Transmit::Bytes(bytes)) = self.client.poll_transmit(self.now) {
                silent = false;
                self.to_server.send(&mut self.random, self.now, bytes);
            }
            while let Some(Transmit::Bytes(bytes)) = self.server.poll_transmit(self.now) {
                silent = false;
                self.to_client.send(&mut self.random, self.now, bytes);
            }
            if silent {
                return;
            }
        }
    }

    fn client_event(&mut self, event: ClientEvent) {
        let cost = event.cost();
        match event {
            ClientEvent::Message(Delivered { previous, offset, message, .. }) => {
                let Body::Text(text) = message.body else { panic!("only text is sent") };
                self.reader.read.push((previous, offset, text.to_string()));
            }
            ClientEvent::Published { publish, result } => {
                let number = self.publisher.in_flight.remove(&publish).expect("answered once");
                let before = self.publisher.answered.insert(number, result.expect("nothing is refused"));
                assert_eq!(before, None, "{number} is answered once");
            }
            ClientEvent::Unanswered(Unanswered::Publication(publish)) => {
                let number = self.publisher.in_flight.remove(&publish).expect("it was in flight");
                self.publisher.outbox.push_back(number);
            }
            ClientEvent::Unanswered(Unanswered::Request(request)) => {
                self.asker.waiting.remove(&request).expect("it was asked");
                self.asker.unanswered += 1;
            }
            ClientEvent::Reply { request, result } => {
                let number = self.asker.waiting.remove(&request).expect("answered once");
                assert_eq!(result, Ok(text(&format!("re {number}"))));
                self.asker.answered += 1;
            }
            ClientEvent::Request { request, .. } => {
                self.client.reply(self.now, request, Ok(text("!"))).unwrap();
            }
            ClientEvent::Emitted { message, .. } => {
                let Body::Text(text) = message.body else { panic!("only text is sent") };
                let once = self.reader.emitted.insert(text.to_string());
                assert!(once, "{text} came twice");
            }
            ClientEvent::Welcomed(welcome) => match welcome.resumption {
                Resumption::Fresh => {}
                Resumption::Exact => self.resumed += 1,
                Resumption::Rebased => self.rebased += 1,
            },
            ClientEvent::Closed(closed) => self.ends.push(closed),
            ClientEvent::Lost { .. } | ClientEvent::Unsubscribed { .. } => {
                panic!("nothing is lost: {event:?}")
            }
            _ => {}
        }
        self.reader.held.push_back(cost);
    }

    fn server_event(&mut self, event: ServerEvent) {
        let (now, cost) = (self.now, event.cost());
        match event {
            ServerEvent::Hello { resume, .. } => self.decide(resume),
            ServerEvent::Subscribe { request, channel, start } => {
                assert_eq!(channel, "c");
                let after = if let Start::After(position) = start { position.offset } else { Offset::START };
                self.log.cursor = Some(after);
                let head = self.log.head();
                let (epoch, decision) = (EPOCH, Decision::Continue);
                let subscription = Subscription { channel: CHANNEL, epoch, decision, after, head };
                self.server.subscribed(now, request, Ok(subscription));
                self.deliver();
            }
            ServerEvent::Publish { publish, publication } => {
                let number = publication.producer.expect("the outbox numbers them").sequence.get();
                let Body::Text(message) = publication.message.body else { panic!("only text is sent") };
                assert_eq!(message, format!("published {number}"));
                let known = self.log.producers.get(&number).copied();
                let offset = known.unwrap_or_else(|| {
                    let offset = self.log.append(&mut self.random, message.to_string());
                    self.log.producers.insert(number, offset);
                    offset
                });
                let receipt = Receipt { epoch: EPOCH, offset, duplicate: known.is_some() };
                self.server.published(now, publish, Ok(receipt));
            }
            ServerEvent::Request { request, message } => {
                let Body::Text(number) = message.body else { panic!("only text is sent") };
                self.server.reply(now, request, Ok(text(&format!("re {number}")))).unwrap();
            }
            ServerEvent::Reply { .. } => self.asker.server_answered += 1,
            ServerEvent::Processed { offset, .. } => {
                let last = self.reader.read.last().expect("something was read");
                assert!(offset <= last.1, "only what was read");
            }
            ServerEvent::Closed(closed) => self.ends.push(closed),
            _ => {}
        }
        self.server.consumed(now, cost);
    }

    fn decide(&mut self, resume: Option<ResumeClaim>) {
        let generation = Generation::new(self.generation);
        self.generation += 1;
        let is_known = resume.is_some_and(|claim| claim.token == self.token);
        match self.parked.take().filter(|_| is_known) {
            Some(journal) => {
                let resumed = self.server.resume(self.now, journal, self.token, generation);
                assert!(resumed.is_ok(), "both sides hold what the other lacks: {resumed:?}");
            }
            None => {
                self.log.cursor = None;
                self.asker.server_waiting = self.asker.server_answered;
                self.token.0[..4].copy_from_slice(&self.generation.to_be_bytes());
                let beginning = if resume.is_some() { Beginning::Rebased } else { Beginning::Fresh };
                let welcomed =
                    Welcomed { token: self.token, generation, epoch: EPOCH, dedup_window: None, beginning };
                self.server.welcome(self.now, &welcomed);
            }
        }
    }
}
