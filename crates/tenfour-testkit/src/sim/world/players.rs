//! Clients and what their applications do.

use core::time::Duration;

use tenfour_delivery::time::Instant;
use tenfour_session::native::Input;

use super::{Task, World, links::Owner};
use crate::sim::{
    ChannelId, ClientId, ConnectionId, Fact, Fault, Left, MessageId, Start,
    client::{Client, LastWrite, NextLife},
    options::Dialect,
    stock::{JOIN, LEAVE, Stock},
};

/// A client with its application.
pub(super) struct Player {
    pub(super) who: Who,
    /// When its session, or the application, is to be called next.
    pub(super) due: Option<Instant>,
    /// Until then it takes its time over what it reads.
    pub(super) slow_until: Instant,
    pub(super) is_writing: bool,
    pub(super) is_reading: bool,
    pub(super) is_connecting: bool,
}

pub(super) enum Who {
    Native(Box<Client>),
    Stock(Box<Stock>),
}

/// A copy of a client that asks for the same session. What it sees nobody else sees.
pub(super) struct Ghost {
    pub(super) connection: ConnectionId,
    pub(super) client: Box<Client>,
}

/// In a million publications, those that are something else.
const EMITS: u32 = 150_000;
const REQUESTS: u32 = 150_000;
const CHANGES: u32 = 10_000;
/// In a million crashes, those after which the producer begins a new life, too.
const NEW_LIVES: u32 = 300_000;
/// Publications that an application has at most without an answer.
const PATIENCE: usize = 40;

impl World<'_> {
    pub(super) fn create(&mut self, client: ClientId) {
        let who = match self.plan.clients[usize::from(client)] {
            Dialect::Native(kind) => {
                let wishes = (0..self.plan.channels).map(|_| self.wish()).collect();
                Who::Native(Box::new(Client::new(client, kind, wishes)))
            }
            Dialect::SocketIo => Who::Stock(Box::new(Stock::new())),
        };
        let (due, slow_until) = (None, Instant::ZERO);
        self.players.push(Player {
            who,
            due,
            slow_until,
            is_writing: false,
            is_reading: false,
            is_connecting: true,
        });
    }

    fn wish(&mut self) -> Option<Start> {
        *self.chance.players.pick(&[Some(Start::Earliest), Some(Start::Earliest), Some(Start::Live), None])
    }

    pub(super) fn native(&mut self, client: ClientId) -> Option<&mut Client> {
        match &mut self.players[usize::from(client)].who {
            Who::Native(native) => Some(native),
            Who::Stock(_) => None,
        }
    }

    /// A client connects, if it is not connected.
    pub(super) fn connect(&mut self, client: ClientId) {
        self.players[usize::from(client)].is_connecting = false;
        if self.connection_of(client).is_some() || self.is_leaving() {
            return;
        }
        let connection = self.open(client, Owner::Player);
        let (now, session) = (self.now, self.session.clone());
        let player = &mut self.players[usize::from(client)];
        let (claims, knows) = match &mut player.who {
            Who::Native(native) => {
                let asked = (native.claims(), native.knows());
                native.connect(now, connection, &session);
                asked
            }
            Who::Stock(stock) => {
                stock.connect(connection);
                (false, None)
            }
        };
        self.hear(Fact::Connected { client, connection, claims, contests: false, knows });
        self.flush_client(client);
        if let Some(place) = self.place_of(connection) {
            self.flush_server_end(place);
        }
    }

    pub(super) fn connection_of(&self, client: ClientId) -> Option<ConnectionId> {
        match &self.players[usize::from(client)].who {
            Who::Native(native) => native.connection(),
            Who::Stock(stock) => stock.connection(),
        }
    }

    /// The application says something, and will again.
    pub(super) fn publish(&mut self, client: ClientId) {
        if self.is_healing() {
            return;
        }
        let next = self.chance.players.duration(&(Duration::ZERO..=self.plan.publish_every * 2));
        self.enter(next, Task::Publish(client));
        let channel = self.chance.players.up_to(u32::from(self.plan.channels) - 1) as ChannelId;
        let (is_emit, is_request) =
            (self.chance.players.happens(EMITS), self.chance.players.happens(REQUESTS));
        let changes = self.chance.players.happens(CHANGES);
        let is_keyed = self.chance.players.happens(500_000);
        let ttl = self.ttl();
        let message = self.messages.len() as MessageId;
        let now = self.now;
        let sent = match &mut self.players[usize::from(client)].who {
            Who::Native(native) if changes => {
                native.change_subscription(now, channel, &mut self.facts);
                false
            }
            Who::Native(native) if is_request => {
                native.request(now);
                false
            }
            Who::Native(native) if is_emit => {
                let sent = native.emit(message, channel);
                self.facts.extend(sent.then_some(Fact::Emitted { message }));
                sent
            }
            Who::Native(native) => {
                let has_room = native.unanswered() < PATIENCE;
                if has_room {
                    native.publish(now, message, channel, ttl, &mut self.facts);
                }
                has_room
            }
            Who::Stock(stock) if self.plan.recovers && is_request => {
                let verb = if is_keyed { JOIN } else { LEAVE };
                stock.change_room(verb, channel);
                false
            }
            Who::Stock(stock) if is_emit => {
                let sent = stock.emit(message, channel);
                self.facts.extend(sent.then_some(Fact::Emitted { message }));
                sent
            }
            Who::Stock(stock) => {
                let sent = stock.say(message, channel, is_keyed);
                let offered = Fact::Offered { by: client, message, channel, ttl: None };
                self.facts.extend(sent.then_some(offered));
                sent
            }
        };
        if sent {
            self.messages.push(channel);
        }
        if changes && self.plan.recovers {
            self.say_goodbye(client);
        }
        self.flush_client(client);
    }

    fn ttl(&mut self) -> Option<Duration> {
        let expires = self.chance.players.happens(self.plan.expiring);
        let ttl = self.chance.players.within(50..=3_000);
        expires.then(|| Duration::from_millis(ttl))
    }

    /// The disk has what a client wrote.
    pub(super) fn written(&mut self, client: ClientId, life: u32) {
        let now = self.now;
        let player = &mut self.players[usize::from(client)];
        if let Who::Native(native) = &mut player.who
            && native.life == life
        {
            player.is_writing = false;
            native.written(now, &mut self.facts);
            self.flush_client(client);
        }
    }

    /// The application is done with something, or with all that it has read.
    pub(super) fn read_on(&mut self, client: ClientId, life: u32) {
        let now = self.now;
        let player = &mut self.players[usize::from(client)];
        let is_slow = now < player.slow_until;
        if let Who::Native(native) = &mut player.who
            && native.life == life
        {
            player.is_reading = false;
            native.read_on(now);
            while !is_slow && native.is_reading() {
                native.read_on(now);
            }
            self.flush_client(client);
        }
    }

    pub(super) fn client_timeout(&mut self, place: usize) {
        let now = self.now;
        if let Who::Native(native) = &mut self.players[place].who {
            native.handle_timeout(now, &mut self.facts);
        }
        self.flush_client(place as ClientId);
    }

    pub(super) fn ghost_timeout(&mut self, place: usize) {
        let now = self.now;
        self.ghosts[place].client.handle_timeout(now, &mut Vec::new());
        self.flush_ghost(place);
    }

    /// Gives something to a native client's end of a connection, whoever has it.
    pub(super) fn client_input(&mut self, place: usize, input: Input, left: Option<Left>) {
        let (connection, client) = (self.links[place].id, self.links[place].client);
        let now = self.now;
        if self.links[place].owner == Owner::Ghost {
            let Some(ghost) = self.ghosts.iter().position(|ghost| ghost.connection == connection) else {
                return;
            };
            self.ghosts[ghost].client.handle_input(now, input, left, &mut Vec::new());
            return self.flush_ghost(ghost);
        }
        if let Who::Native(native) = &mut self.players[usize::from(client)].who
            && native.connection() == Some(connection)
        {
            native.handle_input(now, input, left, &mut self.facts);
            self.flush_client(client);
        }
    }

    /// A client that is not connected tries again in a while.
    pub(super) fn come_back(&mut self, client: ClientId) {
        if !core::mem::replace(&mut self.players[usize::from(client)].is_connecting, true) {
            self.reconnect_after(client);
        }
    }

    /// A client's process dies.
    pub(super) fn crash(&mut self, client: ClientId, write: LastWrite) {
        self.faults.count(match write {
            LastWrite::Kept => Fault::Crash,
            LastWrite::Lost => Fault::CrashLosingWrite,
        });
        let player = &mut self.players[usize::from(client)];
        let Who::Native(native) = &mut player.who else { return self.stock_crashes(client) };
        let next = match self.chance.players.happens(NEW_LIVES) {
            true => NextLife::OfTheProducerToo,
            false => NextLife::OfTheProcess,
        };
        native.crash(write, next, &mut self.facts);
        player.is_writing = false;
        player.is_reading = false;
        player.due = None;
        self.come_back(client);
    }
}
