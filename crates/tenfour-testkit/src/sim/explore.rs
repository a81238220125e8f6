//! Every interleaving of a very small world.
//!
//! A state is everything that there is: both clients with their disks and sessions, the server with its sessions and its log,
//! what is on its way, and the judge with all that it must remember. From each state every step that is possible is taken: the
//! next chunk of each direction of each connection arrives, the log answers, a timer fires, an application publishes, a
//! connection is cut, the server restarts. A state that was reached before is not entered again.
//!
//! States are told apart by a hash of 128 bits: with n states the chance that any two of them share one is below n² / 2¹²⁹, for
//! a hundred million states less than one in 10²². Time stands still: acknowledgements go out with what is sent anyway, and
//! whatever waits for a peer's silence waits for longer than anything here takes.

use core::{
    hash::{Hash, Hasher},
    time::Duration,
};
use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
};

use bytes::Bytes;
use tenfour_broker::Limits;
use tenfour_delivery::{
    number::Epoch,
    time::{Instant, Now, WallTime},
};
use tenfour_log::{Memory, Retention};
use tenfour_session::native::{Config as SessionConfig, Input, Transmit};

use super::{
    Broken, ClientId, ConnectionId, Fact, Happening, Judge, MessageId, Rules, Start,
    client::Client,
    judge::Verdict,
    ledger::{Fate, Pace},
    link::Kind,
    server::{Process, Settings},
    sockets::Members,
};

/// How small the world is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Smallest {
    /// How many messages the publisher publishes: 2.
    pub messages: u8,
    /// How many times a connection is cut: at most 2.
    pub cuts: u8,
    /// How many times the server restarts: at most 1.
    pub restarts: u8,
}

impl Default for Smallest {
    fn default() -> Self {
        Self { messages: 2, cuts: 2, restarts: 1 }
    }
}

/// What there was.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Explored {
    /// States that differ.
    pub states: u64,
    /// Steps from one state to another, or to the same.
    pub transitions: u64,
    /// States from which no step leads on, in each of which nothing was owed.
    pub ends: u64,
    /// The first broken invariant that was found, and the steps that lead to it.
    pub broken: Option<Counterexample>,
}

/// How an invariant comes to be broken.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{broken}, after: {}", steps.join(", "))]
pub struct Counterexample {
    /// What is broken.
    pub broken: Broken,
    /// The steps from the beginning.
    pub steps: Vec<String>,
}

/// Takes every step from every state.
#[must_use]
pub fn explore(smallest: &Smallest) -> Explored {
    let mut explored = Explored { states: 0, transitions: 0, ends: 0, broken: None };
    let mut seen = HashSet::new();
    let begin = State::new(smallest);
    seen.insert(fingerprint(&begin));
    let mut todo = vec![(begin, None)];
    while let Some((state, path)) = todo.pop() {
        explored.states += 1;
        let steps = state.steps();
        if steps.is_empty() {
            explored.ends += 1;
            if let Err(broken) = state.judge.converged(NOW) {
                explored.broken = Some(Counterexample { broken, steps: told(path.as_ref()) });
                return explored;
            }
        }
        for step in steps {
            explored.transitions += 1;
            let mut next = state.clone();
            let verdict = next.take(step);
            let path = Some(Arc::new(Path { step, before: path.clone() }));
            if let Err(broken) = verdict {
                explored.broken = Some(Counterexample { broken, steps: told(path.as_ref()) });
                return explored;
            }
            if seen.insert(fingerprint(&next)) {
                todo.push((next, path));
            }
        }
    }
    explored
}

const NOW: Instant = Instant::from_micros(1_000_000);
const PUBLISHER: ClientId = 0;
const SUBSCRIBER: ClientId = 1;

#[derive(Clone, Debug, Hash)]
struct State {
    process: Process<Memory>,
    clients: [Client; 2],
    wires: [Wire; 2],
    session: Arc<SessionConfig>,
    judge: Judge,
    connections: ConnectionId,
    published: u8,
    left: Left,
}

/// What may still happen.
#[derive(Clone, Copy, Debug, Hash)]
struct Left {
    messages: u8,
    cuts: u8,
    restarts: u8,
}

/// A client's present connection.
#[derive(Clone, Debug, Default, Hash)]
struct Wire {
    connection: ConnectionId,
    up: VecDeque<Bytes>,
    down: VecDeque<Bytes>,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    ToServer(ClientId),
    ToClient(ClientId),
    Publish,
    LogAnswers,
    ClientTimer(ClientId),
    ServerTimer(ClientId),
    Cut(ClientId),
    Restart,
}

struct Path {
    step: Step,
    before: Option<Arc<Path>>,
}

fn told(path: Option<&Arc<Path>>) -> Vec<String> {
    let steps = core::iter::successors(path, |path| path.before.as_ref());
    let mut steps: Vec<_> = steps.map(|path| format!("{:?}", path.step)).collect();
    steps.reverse();
    steps
}

impl State {
    fn new(smallest: &Smallest) -> Self {
        let session = Arc::new(session());
        let settings = Settings {
            clients: 2,
            channels: 1,
            session: session.clone(),
            hub: Default::default(),
            retention: Retention::default(),
        };
        let client = |id, wish| Client::new(id, Kind::Stream, vec![wish]);
        let Smallest { messages, cuts, restarts } = *smallest;
        let process = Process::new(settings.into(), 1, clock(), log(1), &mut nobody());
        let process = process.expect("a log in memory can be read");
        let mut state = Self {
            process,
            clients: [client(PUBLISHER, None), client(SUBSCRIBER, Some(Start::Earliest))],
            wires: Default::default(),
            session,
            judge: Judge::new(Rules::new(2, 1)),
            connections: 0,
            published: 0,
            left: Left { messages, cuts, restarts },
        };
        let begun = state.tell(Fact::Started { epoch: 1 });
        for client in [PUBLISHER, SUBSCRIBER] {
            let connected = state.connect(client);
            debug_assert!(begun.is_ok() && connected.is_ok(), "a world begins without a break");
        }
        state
    }

    fn steps(&self) -> Vec<Step> {
        let mut steps = Vec::with_capacity(8);
        for client in [PUBLISHER, SUBSCRIBER] {
            let wire = &self.wires[usize::from(client)];
            if !wire.up.is_empty() {
                steps.push(Step::ToServer(client));
            }
            if !wire.down.is_empty() {
                steps.push(Step::ToClient(client));
            }
            if is_due(self.clients[usize::from(client)].poll_timeout()) {
                steps.push(Step::ClientTimer(client));
            }
            if is_due(self.process.session_timeout(wire.connection)) {
                steps.push(Step::ServerTimer(client));
            }
        }
        if self.process.next_answer().is_some() {
            steps.push(Step::LogAnswers);
        }
        if self.left.messages > 0 {
            steps.push(Step::Publish);
        }
        // Once nothing else is left to happen, a cut or a restart would only begin everything anew.
        if !steps.is_empty() {
            if self.left.cuts > 0 {
                steps.extend([Step::Cut(PUBLISHER), Step::Cut(SUBSCRIBER)]);
            }
            if self.left.restarts > 0 {
                steps.push(Step::Restart);
            }
        }
        steps
    }

    fn take(&mut self, step: Step) -> Result<(), Broken> {
        let mut facts = Vec::new();
        let mut verdict: Verdict = Ok(());
        match step {
            Step::ToServer(client) => {
                let wire = &mut self.wires[usize::from(client)];
                let connection = wire.connection;
                if let Some(bytes) = wire.up.pop_front() {
                    self.process.handle_input(
                        clock(),
                        connection,
                        Input::Bytes(bytes),
                        &mut nobody(),
                        &mut facts,
                    );
                }
            }
            Step::ToClient(client) => {
                if let Some(bytes) = self.wires[usize::from(client)].down.pop_front() {
                    self.clients[usize::from(client)].handle_input(
                        NOW,
                        Input::Bytes(bytes),
                        None,
                        &mut facts,
                    );
                }
            }
            Step::Publish => {
                self.left.messages -= 1;
                let message = MessageId::from(self.published);
                self.published += 1;
                self.clients[usize::from(PUBLISHER)].publish(NOW, message, 0, None, &mut facts);
            }
            Step::LogAnswers => verdict = self.process.answer(clock(), &mut nobody(), &mut facts).map(drop),
            Step::ClientTimer(client) => self.clients[usize::from(client)].handle_timeout(NOW, &mut facts),
            Step::ServerTimer(client) => {
                let connection = self.wires[usize::from(client)].connection;
                self.process.handle_session_timeout(clock(), connection, &mut nobody(), &mut facts);
            }
            Step::Cut(client) => {
                self.left.cuts -= 1;
                self.cut(client, &mut facts);
            }
            Step::Restart => {
                self.left.restarts -= 1;
                self.restart(&mut facts);
            }
        }
        verdict.map_err(|found| found.at(NOW))?;
        self.settle(facts)
    }

    fn cut(&mut self, client: ClientId, facts: &mut Vec<Fact>) {
        let connection = self.wires[usize::from(client)].connection;
        self.process.handle_input(clock(), connection, Input::Closed, &mut nobody(), facts);
        self.process.remove(clock(), connection, &mut nobody(), facts);
        facts.push(Fact::Parted { connection });
        self.clients[usize::from(client)].handle_input(NOW, Input::Closed, None, facts);
    }

    fn restart(&mut self, facts: &mut Vec<Fact>) {
        let epoch = self.process.epoch() + 1;
        let restarted = self.process.restart(clock(), log(epoch), &mut nobody());
        debug_assert!(restarted.is_ok(), "a log in memory can be read");
        facts.extend(self.wires.iter().map(|wire| Fact::Parted { connection: wire.connection }));
        facts.push(Fact::Started { epoch });
        for client in &mut self.clients {
            client.handle_input(NOW, Input::Closed, None, facts);
        }
    }

    /// What a step leaves to be done at once: the disk writes, the application reads, bytes go onto the wire, and who has
    /// no connection connects.
    fn settle(&mut self, mut facts: Vec<Fact>) -> Result<(), Broken> {
        for client in [PUBLISHER, SUBSCRIBER] {
            let place = usize::from(client);
            self.clients[place].begin_write(&mut facts);
            self.clients[place].written(NOW, &mut facts);
            while self.clients[place].is_reading() {
                self.clients[place].read_on(NOW);
            }
        }
        for fact in facts {
            self.tell(fact)?;
        }
        for client in [PUBLISHER, SUBSCRIBER] {
            if self.clients[usize::from(client)].connection().is_none() {
                self.connect(client)?;
            }
        }
        self.transmit();
        Ok(())
    }

    fn connect(&mut self, client: ClientId) -> Result<(), Broken> {
        let connection = self.connections;
        self.connections += 1;
        let place = usize::from(client);
        let claims = self.clients[place].claims();
        self.tell(Fact::Connected {
            client,
            connection,
            claims,
            contests: false,
            knows: self.clients[place].knows(),
        })?;
        self.process.accept(clock(), connection, Kind::Stream);
        self.clients[place].connect(NOW, connection, &self.session);
        self.wires[place] = Wire { connection, ..Wire::default() };
        self.transmit();
        Ok(())
    }

    fn transmit(&mut self) {
        while self.process.schedule(clock(), AT_ONCE, &mut nobody(), &mut Vec::new()) > 0 {}
        while self.process.poll_touched().is_some() {}
        self.process.outgoing.clear();
        for (client, wire) in self.clients.iter_mut().zip(&mut self.wires) {
            while let Some(Transmit::Bytes(bytes)) = client.poll_transmit(NOW) {
                wire.up.push_back(bytes);
            }
            while let Some(Transmit::Bytes(bytes)) = self.process.poll_transmit(clock(), wire.connection) {
                wire.down.push_back(bytes);
            }
        }
    }

    fn tell(&mut self, fact: Fact) -> Result<(), Broken> {
        self.judge.observe(Happening { at: NOW, fact })
    }
}

const AT_ONCE: Pace = Pace { append: Duration::ZERO, read: Some(Duration::ZERO), fate: Fate::Committed };

fn is_due(deadline: Option<Instant>) -> bool {
    deadline.is_some_and(|deadline| NOW.has_reached(deadline))
}

fn clock() -> Now {
    Now { mono: NOW, wall: WallTime::from_unix_millis(1_000_000_000_000) }
}

/// There are no members of rooms.
fn nobody() -> Members {
    Members::new("/".into(), Limits::default(), 0)
}

fn log(epoch: u64) -> Memory {
    Memory::new(Epoch::new(epoch), Retention::default())
}

/// Time stands still, so nothing may wait for it. Acknowledgements go out with other frames, or at a resumption: each by
/// itself would be one more thing to happen before or after every other.
fn session() -> SessionConfig {
    let mut config = SessionConfig::default();
    config.ack_delay = Duration::from_secs(3_600);
    config
}

/// Two hashes of 64 bits that share nothing but what they are fed.
#[derive(Debug)]
struct Wide([u64; 2]);

fn fingerprint(state: &State) -> u128 {
    let mut wide = Wide([0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7344]);
    state.hash(&mut wide);
    let [one, other] = wide.0.map(mixed);
    u128::from(one) << 64 | u128::from(other)
}

fn mixed(mut hash: u64) -> u64 {
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

impl Wide {
    fn feed(&mut self, word: u64) {
        self.0[0] = (self.0[0] ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
        self.0[1] = (self.0[1].rotate_left(23) ^ word).wrapping_mul(0xd6e8_feb8_6659_fd93).rotate_right(17);
    }
}

impl Hasher for Wide {
    fn finish(&self) -> u64 {
        mixed(self.0[0])
    }

    fn write(&mut self, bytes: &[u8]) {
        let mut words = bytes.chunks_exact(8);
        for word in &mut words {
            self.feed(word.try_into().map_or(0, u64::from_le_bytes));
        }
        let mut last = [0; 8];
        let rest = words.remainder();
        last[..rest.len()].copy_from_slice(rest);
        self.feed(u64::from_le_bytes(last));
    }

    fn write_u8(&mut self, number: u8) {
        self.feed(number.into());
    }

    fn write_u32(&mut self, number: u32) {
        self.feed(number.into());
    }

    fn write_u64(&mut self, number: u64) {
        self.feed(number);
    }

    fn write_usize(&mut self, number: usize) {
        self.feed(number as u64);
    }

    fn write_isize(&mut self, number: isize) {
        self.feed(number as u64);
    }
}
