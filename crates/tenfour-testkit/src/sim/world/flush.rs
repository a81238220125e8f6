//! After each step: what the step left to be sent, scheduled and told.

use core::time::Duration;

use tenfour_session::native::Transmit;

use super::{
    Task, World,
    links::{End, Link, Owner, Side},
    players::Who,
};
use crate::sim::{ClientId, Fact, Fault, Invariant, link::Cargo, options::Dialect, server::Outgoing};

/// More rounds than any one step needs to settle.
const ENDLESS: u32 = 10_000;

impl World<'_> {
    /// Until nothing is left: whatever is sent may make something else want to be.
    pub(super) fn flush(&mut self) {
        for round in 0.. {
            if round == ENDLESS {
                let found = Invariant::L6.broken::<()>("two sides keep each other busy without end");
                return self.check(found);
            }
            self.schedule_log();
            if !self.process.is_powered() {
                let verdict = self.restart();
                self.check(verdict);
            }
            let mut moved = false;
            while let Some(connection) = self.process.poll_touched() {
                moved = true;
                if let Some(place) = self.place_of(connection) {
                    self.flush_server_end(place);
                }
            }
            while let Some(connection) = self.sockets.poll_touched() {
                moved = true;
                if let Some(place) = self.place_of(connection) {
                    self.flush_server_end(place);
                }
            }
            while let Some(outgoing) = self.process.outgoing.pop_front() {
                moved = true;
                self.fan_out(outgoing);
            }
            if !moved {
                break;
            }
        }
        self.hear_all();
        self.sweep();
    }

    pub(super) fn hear_all(&mut self) {
        let mut facts = core::mem::take(&mut self.facts);
        for mut fact in facts.drain(..) {
            if let Fact::Welcomed { connection, within, .. } = &mut fact
                && self.is_promised(*connection)
            {
                *within = self.patience();
            }
            self.hear(fact);
        }
        self.facts = facts;
    }

    /// L4 is a promise of connections that were begun when everything was well.
    pub(super) fn is_promised(&self, connection: u32) -> bool {
        self.healed_from.is_some_and(|first| connection >= first)
    }

    fn schedule_log(&mut self) {
        loop {
            let pace = self.pace();
            let now = self.clock();
            let scheduled = self.process.schedule(now, pace, &mut self.sockets.members, &mut self.facts);
            if scheduled == 0 {
                return;
            }
            if self.log.failures > 0 {
                self.log.failures -= 1;
                self.faults.count(Fault::AppendFailure);
            }
        }
    }

    fn fan_out(&mut self, outgoing: Outgoing) {
        match outgoing {
            Outgoing::Answered(event) => self.answered(event),
            Outgoing::Session(event) => self.session_event(event),
            Outgoing::Emitted(channel, message) => self.sockets.emit(&channel, &message),
            Outgoing::Published(publish, result) => match self.sockets.handled_key(publish) {
                Some(key) => self.handled(&key, result),
                None => self.sockets.published(self.now, publish, result),
            },
        }
        for place in 0..self.links.len() {
            if self.links[place].dialect == Dialect::SocketIo {
                self.flush_server_end(place);
            }
        }
    }

    /// What the server's end of a connection has to send, and when it is to be called next.
    pub(super) fn flush_server_end(&mut self, place: usize) {
        let Link { id, dialect, server_end, .. } = self.links[place];
        if server_end == End::Gone {
            return;
        }
        match dialect {
            Dialect::Native(_) => {
                let now = self.clock();
                while let Some(transmit) = self.process.poll_transmit(now, id) {
                    let cargo = match transmit {
                        Transmit::Bytes(bytes) => Cargo::Bytes(bytes),
                        _ => Cargo::End,
                    };
                    self.send(place, Side::Server, cargo);
                    self.block(place);
                }
                self.links[place].due = self.process.session_timeout(id);
                if !self.process.has(id) {
                    self.server_end_closed(place);
                }
            }
            Dialect::SocketIo => {
                let mut sent = false;
                while !self.links[place].down.is_full() {
                    let Some(cargo) = self.sockets.poll_frame(id) else { break };
                    self.send(place, Side::Server, cargo);
                    sent = true;
                }
                if sent {
                    self.read_on_for(id);
                }
                self.block(place);
                self.links[place].due = self.sockets.poll_timeout(id);
                if self.sockets.is_finished(id) {
                    self.send(place, Side::Server, Cargo::End);
                    self.server_end_closed(place);
                }
            }
        }
    }

    /// What a client has to send, to write and to read, and when it is to be called next.
    pub(super) fn flush_client(&mut self, client: ClientId) {
        let now = self.now;
        let connection = self.connection_of(client);
        if let Some(place) = connection.and_then(|connection| self.place_of(connection)) {
            match self.plan.clients[usize::from(client)] {
                Dialect::Native(_) => self.flush_native(client, place),
                Dialect::SocketIo => {
                    while let Who::Stock(stock) = &mut self.players[usize::from(client)].who
                        && let Some(text) = stock.poll_transmit()
                    {
                        self.send(place, Side::Client, Cargo::Text(text));
                    }
                }
            }
        }
        self.release_client_ends(client);
        let disk = self.plan.disk;
        let pause = if now < self.players[usize::from(client)].slow_until {
            self.chance.players.duration(&(Duration::from_millis(100)..=Duration::from_millis(900)))
        } else {
            Duration::from_millis(1)
        };
        let player = &mut self.players[usize::from(client)];
        let Who::Native(native) = &mut player.who else { return };
        let life = native.life;
        player.due = native.poll_timeout();
        let writes = !player.is_writing && native.wants_to_write();
        let reads = !player.is_reading && native.is_reading();
        let is_away = native.connection().is_none();
        if writes {
            player.is_writing = true;
            native.begin_write(&mut self.facts);
        }
        player.is_reading |= reads;
        if writes {
            self.enter(disk, Task::Written(client, life));
        }
        if reads {
            self.enter(pause, Task::ReadOn(client, life));
        }
        if is_away {
            self.come_back(client);
        }
    }

    fn flush_native(&mut self, client: ClientId, place: usize) {
        let now = self.now;
        while let Some(transmit) = self.native(client).and_then(|native| native.poll_transmit(now)) {
            let cargo = match transmit {
                Transmit::Bytes(bytes) => Cargo::Bytes(bytes),
                _ => Cargo::End,
            };
            self.send(place, Side::Client, cargo);
            self.block(place);
        }
    }

    /// Connections that a client has let go of: its machine says so, where there is one to say it to.
    fn release_client_ends(&mut self, client: ClientId) {
        let current = self.connection_of(client);
        for place in 0..self.links.len() {
            let link = &self.links[place];
            let is_let_go = link.client == client
                && link.owner == Owner::Player
                && link.client_end == End::Open
                && Some(link.id) != current;
            if is_let_go {
                self.links[place].client_end = End::Gone;
                self.send(place, Side::Client, Cargo::End);
            }
        }
    }

    pub(super) fn flush_ghost(&mut self, place: usize) {
        let now = self.now;
        let connection = self.ghosts[place].connection;
        let link = self.place_of(connection);
        while self.ghosts[place].client.is_reading() {
            self.ghosts[place].client.read_on(now);
        }
        while let (Some(transmit), Some(link)) = (self.ghosts[place].client.poll_transmit(now), link) {
            let cargo = match transmit {
                Transmit::Bytes(bytes) => Cargo::Bytes(bytes),
                _ => Cargo::End,
            };
            self.send(link, Side::Client, cargo);
        }
        if self.ghosts[place].client.connection().is_none() {
            self.end_ghost(connection);
        }
    }
}
