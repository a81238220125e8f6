//! What goes wrong with whole connections and processes.

use core::{ops::RangeInclusive, time::Duration};

use bytes::{Bytes, BytesMut};
use tenfour_wire::native::{Ack, Frame, encode};

use super::{
    Task, World,
    links::{End, Owner, Side},
    players::{Ghost, Who},
};
use crate::sim::{
    ClientId, Fact, Fault, Forgery, MessageId,
    client::LastWrite,
    judge::Verdict,
    link::{Cargo, Kind},
    options::{Dialect, Trouble},
};

/// How long it takes an end to notice a break that it can notice.
const NOTICE: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_millis(60);
const STALL: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(6);
const SLOWNESS: RangeInclusive<Duration> = Duration::from_millis(500)..=Duration::from_secs(5);
/// How long a copy of a client lives.
const HAUNTING: RangeInclusive<Duration> = Duration::from_millis(50)..=Duration::from_secs(4);
/// Milliseconds by which a calendar jumps.
const JUMP: RangeInclusive<u64> = 100..=3_600_000;

impl World<'_> {
    pub(super) fn enter_trouble(&mut self, place: u8) {
        let every = self.plan.every[usize::from(place)].1;
        let after = self.chance.troubles.duration(&(Duration::ZERO..=every * 2));
        self.enter(after, Task::Trouble(place));
    }

    pub(super) fn trouble(&mut self, place: u8) -> Verdict {
        if self.is_healing() {
            return Ok(());
        }
        self.enter_trouble(place);
        match self.plan.every[usize::from(place)].0 {
            Trouble::Cut => self.cut(),
            Trouble::HalfOpen => self.half_open(),
            Trouble::EarlyReturn => self.return_early(),
            Trouble::Crash => self.crash_someone(),
            Trouble::Restart => return self.restart(),
            Trouble::ClockJump => self.jump(),
            Trouble::SlowReader => self.slow_down(),
            Trouble::StalledReader => self.stall(),
            Trouble::DoubleClaim => self.haunt(),
            Trouble::Trim => {
                let wall = self.clock().wall;
                self.process.trim(wall, &mut self.facts);
            }
            Trouble::AppendFailure => self.log.failures = 1 + self.chance.troubles.up_to(2),
            Trouble::SlowCommit => {
                self.faults.count(Fault::SlowCommit);
                self.log.slow_until = self.now + self.chance.troubles.duration(&SLOWNESS);
            }
            Trouble::Revocation => self.revoke(),
            Trouble::Forgery => self.forge(),
            Trouble::PowerCut => self.cut_power(),
            Trouble::DiskFull => self.fill_disk(),
            Trouble::SyncFailure => self.fail_sync(),
        }
        Ok(())
    }

    fn some_client(&mut self) -> ClientId {
        self.chance.troubles.up_to(self.players.len() as u32 - 1) as ClientId
    }

    /// A connection whose both ends are there.
    fn some_link(&mut self) -> Option<usize> {
        let whole = |place: &usize| {
            let link = &self.links[*place];
            !link.is_dead && link.client_end == End::Open && link.server_end == End::Open
        };
        let count = (0..self.links.len()).filter(whole).count();
        let chosen = self.chance.troubles.up_to(u32::try_from(count.checked_sub(1)?).ok()?);
        let whole = |place: &usize| {
            let link = &self.links[*place];
            !link.is_dead && link.client_end == End::Open && link.server_end == End::Open
        };
        (0..self.links.len()).filter(whole).nth(chosen as usize)
    }

    pub(super) fn will_notice(&mut self, place: usize, side: Side) {
        let after = self.chance.troubles.duration(&NOTICE);
        self.enter(after, Task::Notice(self.links[place].id, side));
    }

    fn cut(&mut self) {
        let Some(place) = self.some_link() else { return };
        self.faults.count(Fault::Cut);
        self.links[place].kill();
        self.will_notice(place, Side::Client);
        self.will_notice(place, Side::Server);
    }

    fn half_open(&mut self) {
        let Some(place) = self.some_link() else { return };
        self.faults.count(Fault::HalfOpen);
        self.links[place].kill();
        let side = *self.chance.troubles.pick(&[Side::Client, Side::Server]);
        self.will_notice(place, side);
    }

    fn return_early(&mut self) {
        let Some(place) = self.some_link() else { return };
        self.come_back_from(place);
    }

    fn client_is_back(&mut self, client: ClientId) {
        let connection = self.connection_of(client);
        if let Some(place) = connection.and_then(|connection| self.place_of(connection)) {
            self.come_back_from(place);
        }
    }

    fn come_back_from(&mut self, place: usize) {
        self.faults.count(Fault::EarlyReturn);
        self.links[place].kill();
        let client = self.links[place].client;
        self.client_end_closed(place);
        if self.links[place].owner == Owner::Player {
            self.connect(client);
        }
    }

    /// With its whole machine, which says no goodbye, or alone.
    fn crash_someone(&mut self) {
        let client = self.some_client();
        let connection = self.connection_of(client);
        if let Some(place) = connection.and_then(|connection| self.place_of(connection))
            && self.chance.troubles.happens(500_000)
        {
            self.links[place].kill();
            self.links[place].client_end = End::Gone;
        }
        let write = *self.chance.troubles.pick(&[LastWrite::Kept, LastWrite::Lost]);
        self.crash(client, write);
        self.flush_client(client);
    }

    /// A machine whose process has died ends its streams; what it had sent before may still arrive. Of datagrams nobody
    /// hears anything.
    pub(super) fn lose_server_end(&mut self, place: usize) {
        self.links[place].server_end = End::Gone;
        self.links[place].due = None;
        self.links[place].up.clear();
        self.facts.push(Fact::Parted { connection: self.links[place].id });
        match self.links[place].dialect {
            Dialect::Native(Kind::Datagram) => self.links[place].kill(),
            Dialect::Native(_) => {
                if self.chance.troubles.happens(500_000) {
                    self.links[place].down.clear();
                }
                self.send(place, Side::Server, Cargo::End);
                self.links[place].is_dead = true;
            }
            Dialect::SocketIo => {
                self.links[place].kill();
                self.will_notice(place, Side::Client);
            }
        }
    }

    fn jump(&mut self) {
        self.faults.count(Fault::ClockJump);
        let by = self.chance.troubles.within(JUMP);
        self.calendar = match self.chance.troubles.happens(500_000) {
            true => self.calendar.saturating_add(by),
            false => self.calendar.saturating_sub(by),
        };
        let wall = self.clock().wall;
        self.judge.calendar_jumped(self.now, wall);
    }

    fn slow_down(&mut self) {
        self.faults.count(Fault::SlowReader);
        let client = self.some_client();
        let until = self.now + self.chance.troubles.duration(&SLOWNESS);
        self.players[usize::from(client)].slow_until = until;
    }

    fn stall(&mut self) {
        let Some(place) = self.some_link() else { return };
        self.faults.count(Fault::StalledReader);
        let until = self.now + self.chance.troubles.duration(&STALL);
        let link = &mut self.links[place];
        match self.chance.troubles.happens(500_000) {
            true => link.up.stall(until),
            false => link.down.stall(until),
        }
    }

    /// A copy of a client, with all that it knows, asks for its session: at once, or when much of it may not hold any more.
    fn haunt(&mut self) {
        let client = self.some_client();
        let Who::Native(native) = &self.players[usize::from(client)].who else {
            if let Some(connection) = self.haunt_as_stock(client) {
                self.faults.count(Fault::DoubleClaim);
                let after = self.chance.troubles.duration(&HAUNTING);
                self.enter(after, Task::EndGhost(connection));
                // As likely as not the first tab is back at the same time.
                if self.chance.troubles.happens(500_000) {
                    self.client_is_back(client);
                }
            }
            return;
        };
        if !native.is_welcome() {
            return;
        }
        let mut copy = native.clone();
        copy.drop_connection();
        self.faults.count(Fault::DoubleClaim);
        let after = self.chance.troubles.duration(&HAUNTING);
        let lurks = self.chance.troubles.happens(500_000);
        self.lurking.push_back(copy);
        self.enter(if lurks { after } else { Duration::ZERO }, Task::Haunt);
    }

    /// The copy that has waited the longest appears.
    pub(super) fn appear(&mut self) {
        let Some(mut copy) = self.lurking.pop_front().filter(|_| !self.is_healing()) else { return };
        let client = copy.id;
        let connection = self.open(client, Owner::Ghost);
        let (claims, knows) = (copy.claims(), copy.knows());
        self.hear(Fact::Connected { client, connection, claims, contests: true, knows });
        copy.connect(self.now, connection, &self.session);
        self.ghosts.push(Ghost { connection, client: copy });
        let ghost = self.ghosts.len() - 1;
        self.flush_ghost(ghost);
        let after = self.chance.troubles.duration(&HAUNTING);
        self.enter(after, Task::EndGhost(connection));
    }

    pub(super) fn end_ghost(&mut self, connection: u32) {
        self.ghosts.retain(|ghost| ghost.connection != connection);
        self.copies.retain(|copy| copy.connection() != Some(connection));
        let Some(place) = self.place_of(connection) else { return };
        self.links[place].client_end = End::Gone;
        self.links[place].kill();
        self.will_notice(place, Side::Server);
    }

    /// A client may not read a channel any more, from its next connection on.
    fn revoke(&mut self) {
        let client = self.some_client();
        self.faults.count(Fault::Revocation);
        if self.plan.clients[usize::from(client)] == Dialect::SocketIo {
            self.banned ^= 1 << client;
            return;
        }
        let channel = self.chance.troubles.up_to(u32::from(self.plan.channels) - 1) as u8;
        self.process.denied[usize::from(client)] |= 1 << channel;
        self.facts.push(Fact::Granted { client, channel, may_read: false });
    }

    fn forge(&mut self) {
        let client = self.some_client();
        match self.chance.troubles.up_to(3) {
            0 => self.overclaim(client),
            1 => self.reuse_number(client),
            2 => self.publish_from_the_past(client),
            _ => self.steal(client),
        }
    }

    /// Something on the way acknowledges what was never sent.
    fn overclaim(&mut self, client: ClientId) {
        let Some(native) = self.native(client).filter(|native| native.is_welcome()) else { return };
        let place = native.connection().and_then(|connection| self.place_of(connection));
        let Some(place) = place.filter(|place| {
            let link = &self.links[*place];
            !link.is_dead && link.client_end == End::Open && link.server_end == End::Open
        }) else {
            return;
        };
        let next = u64::from(u32::MAX) + self.chance.troubles.next_u64() % 1_000;
        let ack = frame(&Frame::Ack(Ack { next, ..Ack::default() }));
        let connection = self.links[place].id;
        let now = self.clock();
        self.faults.count(Fault::Forgery);
        // It arrives at once, between two others: what is under way on a stream is whole frames only at its end.
        if self.links[place].up.is_empty() {
            let input = tenfour_session::native::Input::Bytes(ack);
            self.process.handle_input(now, connection, input, &mut self.sockets.members, &mut self.facts);
            self.facts.push(Fact::Forged { connection, forgery: Forgery::Acknowledgement });
            self.flush_server_end(place);
        }
    }

    fn reuse_number(&mut self, client: ClientId) {
        let epoch = self.process.epoch();
        let (now, message) = (self.now, self.messages.len() as MessageId);
        let channel = self.chance.troubles.up_to(u32::from(self.plan.channels) - 1) as u8;
        let Who::Native(native) = &mut self.players[usize::from(client)].who else { return };
        if native.publish_conflicting(now, message, channel, epoch, &mut self.facts) {
            self.faults.count(Fault::Forgery);
            self.messages.push(channel);
            self.flush_client(client);
        }
    }

    fn publish_from_the_past(&mut self, client: ClientId) {
        let (now, message) = (self.now, self.messages.len() as MessageId);
        let channel = self.chance.troubles.up_to(u32::from(self.plan.channels) - 1) as u8;
        let Who::Native(native) = &mut self.players[usize::from(client)].who else { return };
        if native.publish_from_the_past(now, message, channel, &mut self.facts) {
            self.faults.count(Fault::Forgery);
            self.messages.push(channel);
            self.flush_client(client);
        }
    }

    /// Another one asks for a client's session, without its secret.
    fn steal(&mut self, client: ClientId) {
        let Who::Native(native) = &self.players[usize::from(client)].who else { return };
        if !native.is_welcome() {
            return;
        }
        let mut thief = native.clone();
        thief.drop_connection();
        if !thief.claims() {
            return;
        }
        let connection = self.open(client, Owner::Ghost);
        self.faults.count(Fault::Forgery);
        self.hear(Fact::Connected { client, connection, claims: true, contests: false, knows: None });
        self.facts.push(Fact::Forged { connection, forgery: Forgery::Token });
        thief.connect(self.now, connection, &self.session);
        let mut hello = BytesMut::new();
        while let Some(tenfour_session::native::Transmit::Bytes(bytes)) = thief.poll_transmit(self.now) {
            hello.extend_from_slice(&bytes);
        }
        let Some(hello) = crate::sim::forgery::with_another_secret(hello.freeze()) else { return };
        // It has said what it has to say: what it is answered it does not hear.
        if let Some(place) = self.place_of(connection) {
            self.send(place, Side::Client, Cargo::Bytes(hello));
        }
        let after = self.chance.troubles.duration(&HAUNTING);
        self.enter(after, Task::EndGhost(connection));
    }
}

fn frame(frame: &Frame) -> Bytes {
    let mut out = BytesMut::new();
    encode(frame, &mut out);
    out.freeze()
}
