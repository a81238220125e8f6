//! A world: who is in it, what is between them, and its clock.

mod converge;
mod flush;
mod links;
mod members;
mod players;
mod power;
mod troubles;

use core::{cmp::Reverse, time::Duration};
use std::{
    collections::{BTreeMap, BinaryHeap, VecDeque},
    sync::Arc,
};

use tenfour_delivery::{
    number::Epoch,
    time::{Instant, Now, WallTime},
};
use tenfour_log::Memory;
use tenfour_node::Claim;

use crate::disk::FaultyDisk;

use self::{
    links::{Link, Side},
    players::{Ghost, Player},
};
use super::{
    Broken, ChannelId, ClientId, ConnectionId, Fact, Fault, Faults, Happening, Invariant, Judge, Options,
    Report, Rng, Violation,
    client::Client,
    drive::OnDisk,
    judge::Verdict,
    ledger::{Fate, Pace, Store},
    options::{Medium, Plan},
    report::TraceHash,
    server::{Process, Survival},
    setup,
    sockets::Sockets,
    stock::Stock,
};

/// Everything that there is.
pub(crate) struct World<'a> {
    seed: u64,
    plan: Plan,
    now: Instant,
    /// What the server's calendar is ahead of the world's clock, in milliseconds.
    calendar: u64,
    chance: Chance,
    faults: Faults,
    events: u64,
    judge: Judge,
    trace: TraceHash,
    observer: Option<&'a mut dyn FnMut(&Happening)>,
    broken: Option<Broken>,
    facts: Vec<Fact>,
    session: Arc<tenfour_session::native::Config>,
    process: Process<Box<dyn Store>>,
    sockets: Sockets,
    /// What the connections claim that are not let in yet.
    arrivals: BTreeMap<ConnectionId, Option<Claim>>,
    /// Bit for bit the clients that are not let in.
    banned: u64,
    /// What the log is on, if it is on a disk.
    disk: Option<Arc<FaultyDisk>>,
    /// Whether somebody is about to open a log that has failed.
    reopening: bool,
    players: Vec<Player>,
    ghosts: Vec<Ghost>,
    /// The same of stock clients.
    copies: Vec<Stock>,
    /// What was copied of each of them before.
    stale: BTreeMap<ClientId, Stock>,
    /// Copies of clients that have not appeared yet.
    lurking: VecDeque<Box<Client>>,
    links: Vec<Link>,
    connections: u32,
    /// The channel of each message.
    messages: Vec<ChannelId>,
    agenda: BinaryHeap<Reverse<Entry>>,
    entries: u64,
    log: LogWeather,
    phase: Phase,
    /// How many steps there were since the clock moved.
    at_once: u32,
    /// The first connection that was begun after everything had healed.
    healed_from: Option<u32>,
}

/// One stream of chance for each part, so that one more draw in one of them leaves the others as they were.
struct Chance {
    links: Rng,
    troubles: Rng,
    players: Rng,
    log: Rng,
}

/// How the log does at the moment.
#[derive(Debug, Default)]
struct LogWeather {
    failures: u32,
    slow_until: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Faults,
    /// Since then nothing goes wrong any more.
    Healing(Instant),
    /// Everybody has left, and the server is to forget them.
    Leaving,
    Over,
}

/// Something that is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    at: Instant,
    /// What was entered first comes first.
    order: u64,
    task: Task,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Task {
    Connect(ClientId),
    Publish(ClientId),
    /// Of this life of the client's process.
    Written(ClientId, u32),
    ReadOn(ClientId, u32),
    Trouble(u8),
    /// One end of a connection learns that it is broken.
    Notice(u32, Side),
    Haunt,
    EndGhost(u32),
    /// What the server's application decides of a connection of this process.
    LetIn(u32, u64),
    SetUp(u32, u64),
    /// The disk has room again.
    Freed,
    /// A log that has failed is opened again.
    Reopen,
    Gone,
    Heal,
    Check,
}

/// What happens next.
enum Next {
    Arrival(usize, Side),
    Client(usize),
    Ghost(usize),
    Connection(usize),
    Server,
    Log,
    Task,
}

/// More steps than any world takes in one moment, and in all.
const AT_ONCE: u32 = 20_000;
const ENDLESS: u64 = 500_000;

/// The calendar at the world's beginning: in the year 2001, so that it can jump back.
const CALENDAR: u64 = 1_000_000_000_000;

impl<'a> World<'a> {
    pub(crate) fn new(seed: u64, options: &Options, observer: Option<&'a mut dyn FnMut(&Happening)>) -> Self {
        let mut rng = Rng::new(seed);
        let plan = Plan::draw(&mut rng, options);
        let settings = Arc::new(setup::settings(&plan));
        let disk = (plan.medium == Medium::Disk).then(|| Arc::new(FaultyDisk::new(seed)));
        let retention = settings.retention.clone();
        let log: Box<dyn Store> = match &disk {
            Some(disk) => Box::new(OnDisk::open(disk, 1, retention).expect("nothing was written to it")),
            None => Box::new(Memory::new(Epoch::new(1), retention)),
        };
        let mut sockets = Sockets::new(setup::sockets(&plan), plan.recovers);
        let now = Now { mono: Instant::ZERO, wall: WallTime::from_unix_millis(CALENDAR) };
        let process = Process::new(settings.clone(), 1, now, log, &mut sockets.members);
        let process = process.expect("a log that is empty can be read");
        let mut world = Self {
            seed,
            now: Instant::ZERO,
            calendar: CALENDAR,
            chance: Chance { links: rng.fork(), troubles: rng.fork(), players: rng.fork(), log: rng.fork() },
            faults: Faults::default(),
            events: 0,
            judge: Judge::new(setup::rules(&plan, &settings)),
            trace: TraceHash::default(),
            observer,
            broken: None,
            facts: Vec::new(),
            session: setup::client_session(&plan),
            process,
            sockets,
            arrivals: BTreeMap::new(),
            banned: 0,
            disk,
            reopening: false,
            players: Vec::new(),
            ghosts: Vec::new(),
            copies: Vec::new(),
            stale: BTreeMap::new(),
            lurking: VecDeque::new(),
            links: Vec::new(),
            connections: 0,
            messages: Vec::new(),
            agenda: BinaryHeap::new(),
            entries: 0,
            log: LogWeather::default(),
            phase: Phase::Faults,
            at_once: 0,
            healed_from: None,
            plan,
        };
        world.populate(options);
        world
    }

    /// Lives until nothing is owed any more, or something is broken.
    pub(crate) fn run(mut self, options: &Options) -> Report {
        while self.broken.is_none() && self.phase != Phase::Over {
            self.step();
            if let Phase::Healing(since) = self.phase
                && self.now - since > options.converge_within
            {
                self.give_up();
            }
        }
        Report {
            seed: self.seed,
            events: self.events,
            faults: self.faults,
            lived: self.now - Instant::ZERO,
            trace: core::hash::Hasher::finish(&self.trace),
            violation: self.broken.map(|broken| Violation { seed: self.seed, broken }),
        }
    }

    fn populate(&mut self, options: &Options) {
        self.hear(Fact::Started { epoch: 1 });
        for client in 0..self.plan.clients.len() as ClientId {
            self.create(client);
            self.enter(Duration::ZERO, Task::Connect(client));
            let first = self.chance.players.duration(&(Duration::ZERO..=self.plan.publish_every));
            self.enter(first, Task::Publish(client));
        }
        for place in 0..self.plan.every.len() {
            self.enter_trouble(place as u8);
        }
        self.enter(options.faults_for, Task::Heal);
    }

    fn step(&mut self) {
        let Some((at, next)) = self.next() else { return self.give_up() };
        self.at_once = if at > self.now { 0 } else { self.at_once + 1 };
        if self.at_once > AT_ONCE || self.events > ENDLESS {
            let found = Invariant::L6.broken("something is due again and again without end");
            return self.check(found);
        }
        self.now = self.now.max(at);
        self.events += 1;
        let verdict = match next {
            Next::Arrival(link, side) => {
                self.arrive(link, side);
                Ok(())
            }
            Next::Client(client) => {
                self.client_timeout(client);
                Ok(())
            }
            Next::Ghost(ghost) => {
                self.ghost_timeout(ghost);
                Ok(())
            }
            Next::Connection(link) => {
                self.connection_timeout(link);
                Ok(())
            }
            Next::Server => {
                let now = self.clock();
                self.process.handle_timeout(now, &mut self.sockets.members, &mut self.facts);
                Ok(())
            }
            Next::Log => {
                let now = self.clock();
                self.process.answer(now, &mut self.sockets.members, &mut self.facts).and_then(|survival| {
                    match survival {
                        Survival::Lives => Ok(()),
                        Survival::Died => self.restart(),
                    }
                })
            }
            Next::Task => self.do_task(),
        };
        self.check(verdict);
        self.watch_over_log();
        self.flush();
    }

    /// Whatever comes first; of what comes at once, what stands first here.
    fn next(&self) -> Option<(Instant, Next)> {
        let mut first: Option<(Instant, Next)> = None;
        let mut offer = |at: Option<Instant>, next: Next| {
            if let Some(at) = at
                && first.as_ref().is_none_or(|(earliest, _)| at < *earliest)
            {
                first = Some((at, next));
            }
        };
        for (place, link) in self.links.iter().enumerate() {
            offer(link.up.next(), Next::Arrival(place, Side::Server));
            offer(link.down.next(), Next::Arrival(place, Side::Client));
            offer(link.due, Next::Connection(place));
        }
        for (place, player) in self.players.iter().enumerate() {
            offer(player.due, Next::Client(place));
        }
        for (place, ghost) in self.ghosts.iter().enumerate() {
            offer(ghost.client.poll_timeout(), Next::Ghost(place));
        }
        offer(self.process.next_answer(), Next::Log);
        offer(self.process.poll_timeout(), Next::Server);
        offer(self.agenda.peek().map(|Reverse(entry)| entry.at), Next::Task);
        first
    }

    fn do_task(&mut self) -> Verdict {
        let Some(Reverse(Entry { task, .. })) = self.agenda.pop() else { return Ok(()) };
        match task {
            Task::Connect(client) => self.connect(client),
            Task::Publish(client) => self.publish(client),
            Task::Written(client, life) => self.written(client, life),
            Task::ReadOn(client, life) => self.read_on(client, life),
            Task::Trouble(place) => return self.trouble(place),
            Task::Notice(connection, side) => self.notice(connection, side),
            Task::Haunt => self.appear(),
            Task::EndGhost(connection) => self.end_ghost(connection),
            Task::LetIn(connection, life) => self.let_in(connection, life),
            Task::SetUp(connection, life) => self.set_up(connection, life),
            Task::Freed => self.free_disk(),
            Task::Reopen if self.process.has_failed() => return self.restart(),
            Task::Reopen => {}
            Task::Gone => return self.check_nothing_is_left(),
            Task::Heal => self.heal(),
            Task::Check => return self.check_convergence(),
        }
        Ok(())
    }

    fn enter(&mut self, after: Duration, task: Task) {
        self.entries += 1;
        self.agenda.push(Reverse(Entry { at: self.now + after, order: self.entries, task }));
    }

    /// The time as the server knows it.
    fn clock(&self) -> Now {
        let millis = self.calendar.saturating_add(self.now.as_micros() / 1000);
        Now { mono: self.now, wall: WallTime::from_unix_millis(millis) }
    }

    fn hear(&mut self, fact: Fact) {
        if self.broken.is_some() {
            return;
        }
        let happening = Happening { at: self.now, fact };
        self.trace.fact(self.now, &fact);
        if let Some(observer) = &mut self.observer {
            observer(&happening);
        }
        self.count(&fact);
        if let Err(broken) = self.judge.observe(happening) {
            self.broken = Some(broken);
        }
    }

    /// Some faults show only in what comes of them.
    fn count(&mut self, fact: &Fact) {
        match fact {
            Fact::Trimmed { .. } => self.faults.count(Fault::Trim),
            Fact::Lost(lost) if lost.reason == tenfour_delivery::loss::Reason::Ttl => {
                self.faults.count(Fault::Expiry);
            }
            _ => {}
        }
    }

    fn check(&mut self, verdict: Verdict) {
        if let Err(found) = verdict {
            self.broken.get_or_insert(found.at(self.now));
        }
    }

    fn is_leaving(&self) -> bool {
        self.phase == Phase::Leaving
    }

    fn is_healing(&self) -> bool {
        self.phase != Phase::Faults
    }

    /// How the log takes what is asked of it now.
    fn pace(&mut self) -> Pace {
        let mut append = self.plan.commit;
        let read = self.chance.log.duration(&(Duration::ZERO..=self.plan.commit));
        let read = (!self.plan.reads_at_once).then_some(read);
        if self.now < self.log.slow_until {
            append += self.chance.log.duration(&SLOW_COMMIT);
        }
        let fate = if self.log.failures > 0 { Fate::Refused } else { Default::default() };
        Pace { append, read, fate }
    }
}

/// What a log that is slow takes beyond its usual time.
const SLOW_COMMIT: core::ops::RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(2);
