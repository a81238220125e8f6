//! Stock clients: what they do, and what they are told.

use core::time::Duration;

use bytes::Bytes;
use tenfour_broker::{
    Body, SocketId,
    channel::MessageKey,
    idempotency::{self, Begin, Key, Waiter, fingerprint},
    recovery::{self, Away, Change, Departure, How, Pid, Visit},
};
use tenfour_delivery::{number::Epoch, time::Now};
use tenfour_node::{Claim, ReplyId, cursor};

use super::{
    Task, World,
    links::{Link, Owner, Side},
    players::Who,
};
use crate::sim::{
    self, ChannelId, ClientId, ConnectionId, Cursor, Delivered, Fact, Left, MessageId, Place, Received,
    SessionNumber, Start,
    client::channel_name,
    letter::Letter,
    link::Cargo,
    server::message,
    sockets::{RoomChange, body},
    stock::{Stock, Told},
};

/// In a million rooms, those that a session is in from the beginning.
const INITIALLY: u32 = 800_000;
/// Sessions of members are not those of the native protocol.
const MEMBERS: u64 = 1 << 63;

impl World<'_> {
    pub(super) fn stock(&mut self, client: ClientId) -> Option<&mut Stock> {
        match &mut self.players[usize::from(client)].who {
            Who::Native(_) => None,
            Who::Stock(stock) => Some(stock),
        }
    }

    pub(super) fn stock_receives(&mut self, place: usize, text: Bytes, left: Left) {
        let Link { id: connection, client, owner, .. } = self.links[place];
        if owner == Owner::Ghost {
            return self.copy_receives(connection, text);
        }
        let stock = self.stock(client).filter(|stock| stock.connection() == Some(connection));
        for told in stock.map(|stock| stock.receive(text)).unwrap_or_default() {
            self.told(connection, client, told, left);
        }
        self.flush_client(client);
    }

    pub(super) fn stock_disconnected(&mut self, client: ClientId) {
        let told = self.stock(client).map(Stock::disconnect).unwrap_or_default();
        self.stock_is_away(client, told);
    }

    /// Its page is reloaded: what it knew is gone.
    pub(super) fn stock_crashes(&mut self, client: ClientId) {
        let told = self.stock(client).map(Stock::crash).unwrap_or_default();
        self.facts.push(Fact::Reborn { client });
        self.stock_is_away(client, told);
    }

    fn stock_is_away(&mut self, client: ClientId, told: Vec<Told>) {
        for told in told {
            if let Told::Forgotten(message) = told {
                self.facts.push(Fact::Forgotten { message });
            }
        }
        if !self.plan.recovers {
            for channel in 0..self.plan.channels {
                self.facts.push(Fact::Unsubscribed { by: client, channel });
            }
        }
        self.come_back(client);
    }

    /// What was not taken is sent again.
    pub(super) fn nudge_stock_clients(&mut self) {
        for client in 0..self.players.len() {
            if let Some(stock) = self.stock(client as ClientId) {
                stock.send();
                self.flush_client(client as ClientId);
            }
        }
    }

    /// A stock client is in: from now on it gets what comes on all channels.
    pub(super) fn join(&mut self, connection: ConnectionId, client: ClientId) {
        let epoch = self.process.epoch();
        for channel in 0..self.plan.channels {
            self.sockets.join(connection, channel);
            let after = self.process.head(channel);
            self.facts.push(Fact::Unsubscribed { by: client, channel });
            let start = Start::Live;
            self.facts.push(Fact::Subscribed { by: client, channel, start, epoch, after });
        }
    }

    fn told(&mut self, connection: ConnectionId, client: ClientId, told: Told, left: Left) {
        let fact = match told {
            Told::Asks { pid, offset } => {
                return self.claims(connection, client, pid.as_deref(), offset.as_deref(), false);
            }
            Told::In { pid: Some(pid), recovered } => {
                // No session has this number, so the judge sees that it is none.
                let session = self.process.seats.of_pid(&pid).unwrap_or(SessionNumber::MAX);
                let within = self.is_promised(connection).then(|| self.patience()).flatten();
                // Middleware takes its time, and the log is asked once for each stay in a room.
                let within = within.map(|within| within + self.plan.middleware + self.plan.commit * 40);
                Fact::Greeted { client, connection, session, recovered, within }
            }
            Told::Entry { message, cursor } if self.plan.recovers => {
                let epoch = Epoch::new(self.process.epoch());
                let at = cursor.and_then(|cursor| cursor::decode(&cursor, epoch));
                let offset = at.map_or(0, |at| at.offset.get());
                Fact::Received(Received { by: client, connection, message, offset, left })
            }
            Told::Entry { message, .. } => return self.heard_in_order(connection, client, message),
            Told::Lost { after, through, count, reason } => {
                Fact::Told(sim::Told { to: client, after, through, count, reason })
            }
            Told::Stopped { early } => {
                self.stopped(client);
                Fact::TurnedAway { connection, entries: early }
            }
            Told::Heard(message) => Fact::Heard { by: client, message },
            Told::Acked(message, epoch, offset) => Fact::Acked { by: client, message, epoch, offset },
            Told::Rejected(message) => Fact::Rejected { by: client, message, conflict: false },
            Told::Forgotten(message) => Fact::Forgotten { message },
            Told::In { pid: None, .. } => return,
        };
        self.facts.push(fact);
    }

    /// A second tab, with what the first one knew, claims its session. What it sees nobody else sees.
    pub(super) fn haunt_as_stock(&mut self, client: ClientId) -> Option<ConnectionId> {
        let copy = self.stock(client).filter(|stock| stock.is_in())?.copy();
        // As likely as not it is one that was made before, and knows less.
        let before = self.stale.insert(client, copy.copy());
        let is_old = self.chance.troubles.happens(500_000);
        let mut copy = before.filter(|before| is_old && before.is_of_the_session_of(&copy)).unwrap_or(copy);
        let connection = self.open(client, Owner::Ghost);
        self.hear(Fact::Connected { client, connection, claims: false, contests: true, knows: None });
        copy.connect(connection);
        self.copies.push(copy);
        self.flush_connection(connection);
        Some(connection)
    }

    fn copy_receives(&mut self, connection: ConnectionId, text: Bytes) {
        let find = |copy: &&mut Stock| copy.connection() == Some(connection);
        let Some(copy) = self.copies.iter_mut().find(find) else { return };
        let told = copy.receive(text);
        let sent: Vec<_> = core::iter::from_fn(|| copy.poll_transmit()).collect();
        for told in told {
            match told {
                Told::Asks { pid, offset } => {
                    let client = self.links.iter().find(|link| link.id == connection).map(|link| link.client);
                    let client = client.unwrap_or_default();
                    self.claims(connection, client, pid.as_deref(), offset.as_deref(), true);
                }
                Told::Stopped { .. } => return self.end_ghost(connection),
                _ => {}
            }
        }
        if let Some(place) = self.place_of(connection) {
            for text in sent {
                self.send(place, Side::Client, Cargo::Text(text));
            }
        }
    }

    /// A client shows what it knows of its session.
    fn claims(
        &mut self,
        connection: ConnectionId,
        client: ClientId,
        pid: Option<&str>,
        offset: Option<&str>,
        contests: bool,
    ) {
        let Some(session) = pid.and_then(|pid| self.process.seats.of_pid(pid)) else { return };
        let epoch = self.process.epoch();
        let cursor = offset.map_or(Cursor::None, |offset| match cursor::decode(offset, Epoch::new(epoch)) {
            Some(at) if at.epoch.get() == epoch => Cursor::At(Place { epoch, offset: at.offset.get() }),
            Some(_) => Cursor::Elsewhere,
            None => Cursor::Garbage,
        });
        self.facts.push(Fact::Claimed { client, connection, session, cursor, contests });
    }

    /// Its user leaves, and does not mean to come back.
    pub(super) fn say_goodbye(&mut self, client: ClientId) {
        if let Some(stock) = self.stock(client).filter(|stock| stock.is_in()) {
            stock.leave();
            self.flush_client(client);
            self.stopped(client);
        }
    }

    /// It was sent away, or not let in: it lets go of the connection, and its user tries again.
    fn stopped(&mut self, client: ClientId) {
        let told = self.stock(client).map(Stock::disconnect).unwrap_or_default();
        self.stock_is_away(client, told);
    }

    /// Middleware sees whether a client may come in, which may take its time.
    pub(super) fn arrives(&mut self, connection: ConnectionId, claim: Option<Claim>) {
        self.arrivals.insert(connection, claim);
        let after = self.chance.players.duration(&(Duration::ZERO..=self.plan.middleware));
        let life = self.process.life();
        self.enter(after, Task::LetIn(connection, life));
    }

    pub(super) fn let_in(&mut self, connection: ConnectionId, life: u64) {
        let Some(claim) = self.arrivals.remove(&connection).filter(|_| self.process.life() == life) else {
            return;
        };
        let Some(client) = self.sockets.client(connection) else { return };
        let now = self.clock();
        if self.banned & (1 << client) != 0 {
            self.sockets.turn_away(now.mono, connection);
        } else {
            let (visit, members) = (Visit(connection.into()), &mut self.sockets.members);
            self.process.arrive(now, visit, claim.as_ref(), members, &mut self.facts);
        }
        self.flush_connection(connection);
    }

    /// The application has set a session up: it is in its rooms, and may be recovered from now on.
    pub(super) fn set_up(&mut self, connection: ConnectionId, life: u64) {
        let member = self.sockets.member(connection).filter(|_| self.process.life() == life);
        let Some(id) = member else { return };
        let now = self.clock();
        for channel in 0..self.plan.channels {
            if self.chance.players.happens(INITIALLY) {
                self.enter_room(now, id, channel);
            }
        }
        let (members, facts) = (&mut self.sockets.members, &mut self.facts);
        self.process
            .call(now, members, facts, |hub, _| hub.recovery_mut().map(|recovery| recovery.ready(now, id)));
        self.flush_connection(connection);
    }

    /// As long as a session is being set up, a room is joined at once.
    fn enter_room(&mut self, now: Now, id: SocketId, channel: ChannelId) {
        let after = self.process.place().offset;
        let (members, facts) = (&mut self.sockets.members, &mut self.facts);
        let room = channel_name(channel);
        let joined = self.process.call(now, members, facts, |hub, members| {
            Some(hub.recovery_mut()?.join(now, id, &room, Away::Everything, members))
        });
        if let (Some(Ok(Change::Done(true))), Some(session)) = (joined, self.process.seats.of_id(id)) {
            self.facts.push(Fact::Entered { session, channel, after });
        }
    }

    /// A client asks to be in a room, or not to be. It is answered when that is so.
    pub(super) fn change_room(&mut self, change: RoomChange) {
        let RoomChange { connection, channel, joins, .. } = change;
        let Some(id) = self.sockets.member(connection) else { return };
        let (now, room) = (self.clock(), channel_name(channel));
        let (members, facts) = (&mut self.sockets.members, &mut self.facts);
        let made = self.process.call(now, members, facts, |hub, members| {
            let recovery = hub.recovery_mut()?;
            Some(match joins {
                true => recovery.join(now, id, &room, Away::Everything, members),
                false => recovery.leave(now, id, &room, members),
            })
        });
        match made {
            Some(Ok(Change::Pending(waiting))) => self.sockets.wait_for_change(waiting, change),
            Some(Ok(Change::Done(is_new))) => {
                // It is still being set up: this is at once, too.
                if let Some(session) = self.process.seats.of_id(id).filter(|_| is_new) {
                    let offset = self.process.place().offset;
                    self.facts.push(match joins {
                        true => Fact::Entered { session, channel, after: offset },
                        false => Fact::Exited { session, channel, through: offset },
                    });
                }
                self.room_changed(change, true);
            }
            _ => self.room_changed(change, false),
        }
    }

    fn room_changed(&mut self, change: RoomChange, is_made: bool) {
        let RoomChange { connection, reply, channel, joins } = change;
        let session = self.sockets.member(connection).and_then(|id| self.process.seats.of_id(id));
        if let Some(session) = session.filter(|_| is_made) {
            self.facts.push(Fact::RoomAnswered { session, channel, is_in: joins });
        }
        self.sockets.answer(self.now, connection, reply, Err(()));
    }

    /// What is published with a key is handled once, and answered what it was answered then.
    pub(super) fn handle_keyed(
        &mut self,
        connection: ConnectionId,
        reply: ReplyId,
        key: &str,
        channel: ChannelId,
        letter: Letter,
    ) {
        let (Ok(key), Ok(derived)) = (Key::new(key), MessageKey::derived(key, 0)) else { return };
        let (now, waiter) = (self.clock(), self.sockets.wait(connection, reply));
        let event = fingerprint(&message(letter));
        let (members, facts) = (&mut self.sockets.members, &mut self.facts);
        let begun = self
            .process
            .call(now, members, facts, |hub, _| Some(hub.idempotency_mut()?.begin(now, &key, event, waiter)));
        match begun {
            Some(Begin::Run) => {
                if let Letter::Publication(message) = letter {
                    self.facts.push(Fact::Handled { message });
                }
                let (members, facts) = (&mut self.sockets.members, &mut self.facts);
                let name = channel_name(channel);
                match self.process.publish(now, &name, letter, Some(derived), members, facts) {
                    Some(publish) => self.sockets.handle_key(publish, key),
                    None => self.handled(&key, Err(())),
                }
            }
            Some(Begin::Joined) => {}
            Some(Begin::Answered(answer)) => {
                let body = answer.unwrap_or_else(|| body(Err(())));
                self.answer_waiters(&[waiter], &body);
            }
            _ => self.answer_waiters(&[waiter], &body(Err(()))),
        }
    }

    /// A handler has come to its end, with what its client is to be answered.
    pub(super) fn handled(&mut self, key: &Key, result: Result<(u64, u64), ()>) {
        let now = self.clock();
        let (members, facts) = (&mut self.sockets.members, &mut self.facts);
        self.process.call(now, members, facts, |hub, _| {
            let idempotency = hub.idempotency_mut()?;
            match result {
                Ok(_) => idempotency.finish(now, key, Some(body(result))),
                Err(()) => idempotency.abandon(key, Some(body(result))),
            }
            Some(())
        });
    }

    pub(super) fn answered(&mut self, event: idempotency::Event) {
        let idempotency::Event::Answered { waiters, result } = event else { return };
        let body = result.ok().flatten().unwrap_or_else(|| body(Err(())));
        self.answer_waiters(&waiters, &body);
    }

    fn answer_waiters(&mut self, waiters: &[Waiter], body: &Body) {
        for waiter in waiters {
            if let Some((connection, reply)) = self.sockets.waited(*waiter) {
                self.sockets.answer_with(self.now, connection, reply, body);
                self.flush_connection(connection);
            }
        }
    }

    /// A visit is over.
    pub(super) fn depart(&mut self, connection: ConnectionId, departure: Departure) {
        self.arrivals.remove(&connection);
        let (now, visit) = (self.clock(), Visit(connection.into()));
        let (members, facts) = (&mut self.sockets.members, &mut self.facts);
        let departed = self.process.call(now, members, facts, |hub, members| {
            let id = hub.recovery()?.visitor(visit);
            hub.depart(now, visit, departure, members);
            id
        });
        if let Some(session) = departed.and_then(|id| self.process.seats.of_id(id)) {
            self.facts.push(match departure {
                Departure::Lost => Fact::Parked { session },
                Departure::Left => Fact::Ended { session },
            });
        }
    }

    /// What becomes of sessions.
    pub(super) fn session_event(&mut self, event: recovery::Event) {
        match event {
            recovery::Event::Admitted { visit, id, pid, how, .. } => self.seat(visit, id, &pid, how),
            recovery::Event::Fenced { visit, .. } => {
                let connection = visit.0 as ConnectionId;
                self.sockets.fence(self.now, connection);
                self.flush_connection(connection);
            }
            recovery::Event::Changed { change, result } => {
                if let Some(change) = self.sockets.changed(change) {
                    self.room_changed(change, result.is_ok());
                    self.flush_connection(change.connection);
                }
            }
            _ => {}
        }
    }

    fn seat(&mut self, visit: Visit, id: SocketId, pid: &Pid, how: How) {
        let (now, connection) = (self.clock(), visit.0 as ConnectionId);
        let (is_new, session) = self.process.seats.seat(id, pid);
        if is_new {
            self.facts.push(Fact::SessionBegun { session, start: self.process.place() });
        }
        let resumed = how == How::Recovered;
        self.facts.push(Fact::Seated { connection, session, resumed });
        self.facts.push(Fact::Admitted { connection, session: MEMBERS | u64::from(session), resumed });
        let Some(line) = self.sockets.let_in(connection, id, pid) else {
            return self.depart(connection, Departure::Lost);
        };
        let (members, facts) = (&mut self.sockets.members, &mut self.facts);
        self.process.call(now, members, facts, |hub, members| hub.admitted(now, visit, line, members));
        if !resumed {
            let after = self.chance.players.duration(&(Duration::ZERO..=self.plan.middleware));
            let life = self.process.life();
            self.enter(after, Task::SetUp(connection, life));
        }
        self.flush_connection(connection);
    }

    /// A connection has room for more of what is owed to its session.
    pub(super) fn read_on_for(&mut self, connection: ConnectionId) {
        let Some(id) = self.sockets.member(connection).filter(|_| self.plan.recovers) else { return };
        let now = self.clock();
        let (members, facts) = (&mut self.sockets.members, &mut self.facts);
        self.process.call(now, members, facts, |hub, members| hub.resume_reading(now, id, members));
    }

    fn flush_connection(&mut self, connection: ConnectionId) {
        if let Some(place) = self.place_of(connection) {
            self.flush_server_end(place);
        }
    }

    /// A stock client without a cursor sees no offsets: it is as if it had seen the one where the log has the message. Nor is it told what
    /// expired: that it was not owed the judge sees for itself.
    fn heard_in_order(&mut self, connection: ConnectionId, to: ClientId, message: MessageId) {
        let channel = self.messages.get(message as usize).copied().unwrap_or_default();
        let (epoch, offset) = (self.process.epoch(), self.judge.place_of(message).unwrap_or(u64::MAX));
        self.not_owed(to, channel, offset.saturating_sub(1));
        self.facts.push(Fact::Delivered(Delivered {
            to,
            connection,
            channel,
            epoch,
            offset,
            message,
            left: None,
        }));
    }

    /// A stock client will get nothing more up to here.
    fn not_owed(&mut self, to: ClientId, channel: ChannelId, through: u64) {
        self.facts.push(Fact::Skipped { to, channel, after: 0, through });
    }
}
