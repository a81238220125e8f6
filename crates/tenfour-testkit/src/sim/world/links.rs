//! Connections: bytes that arrive, ends that break, ends that notice.

use core::time::Duration;

use tenfour_broker::recovery::Departure;
use tenfour_delivery::time::Instant;
use tenfour_session::native::Input;

use super::{Task, World};
use crate::sim::{
    ClientId, ConnectionId, Fact, Left,
    link::{Cargo, Kind, Pipe, Weather},
    options::Dialect,
    sockets::Asked,
};

/// A connection between a client and the server.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) id: ConnectionId,
    pub(super) client: ClientId,
    pub(super) dialect: Dialect,
    pub(super) owner: Owner,
    pub(super) up: Pipe,
    pub(super) down: Pipe,
    /// Whether each end still has it.
    pub(super) client_end: End,
    pub(super) server_end: End,
    /// Nothing passes any more, whether somebody knows it or not.
    pub(super) is_dead: bool,
    /// When the server's session is to be called next.
    pub(super) due: Option<Instant>,
    up_blocked: bool,
    down_blocked: bool,
    /// Since when the server's side may hold what it has written and could not hand over: that has as good as left.
    held: Option<Left>,
}

/// Whose the client's end is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    Player,
    Ghost,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Open,
    Gone,
}

/// One end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Side {
    Client,
    Server,
}

impl Link {
    pub(super) fn new(id: ConnectionId, client: ClientId, dialect: Dialect, owner: Owner) -> Self {
        let kind = match dialect {
            Dialect::Native(kind) => kind,
            Dialect::SocketIo => Kind::Messages,
        };
        Self {
            id,
            client,
            dialect,
            owner,
            up: Pipe::new(kind),
            down: Pipe::new(kind),
            client_end: End::Open,
            server_end: End::Open,
            is_dead: false,
            due: None,
            up_blocked: false,
            down_blocked: false,
            held: None,
        }
    }

    pub(super) fn kind(&self) -> Kind {
        match self.dialect {
            Dialect::Native(kind) => kind,
            Dialect::SocketIo => Kind::Messages,
        }
    }

    /// Whatever is on its way gets lost, and so does what is sent from now on.
    pub(super) fn kill(&mut self) {
        self.is_dead = true;
        self.up.clear();
        self.down.clear();
    }
}

impl World<'_> {
    /// A new connection of a client, with both ends open.
    pub(super) fn open(&mut self, client: ClientId, owner: Owner) -> ConnectionId {
        let id = self.connections;
        self.connections += 1;
        let dialect = self.plan.clients[usize::from(client)];
        self.links.push(Link::new(id, client, dialect, owner));
        match dialect {
            Dialect::Native(kind) => {
                let now = self.clock();
                self.process.accept(now, id, kind);
            }
            Dialect::SocketIo => self.sockets.accept(self.now, id, client),
        }
        id
    }

    pub(super) fn place_of(&self, connection: ConnectionId) -> Option<usize> {
        self.links.iter().position(|link| link.id == connection)
    }

    /// What has come to one end of a connection is read there.
    pub(super) fn arrive(&mut self, place: usize, side: Side) {
        let link = &mut self.links[place];
        let (pipe, end) = match side {
            Side::Server => (&mut link.up, link.server_end),
            Side::Client => (&mut link.down, link.client_end),
        };
        let parcel = match link.dialect {
            Dialect::Native(Kind::Stream) => pipe.take_coalesced(self.now),
            _ => pipe.take(self.now),
        };
        let (Some(parcel), End::Open) = (parcel, end) else { return };
        let connection = link.id;
        match (side, parcel.what) {
            (Side::Server, Cargo::End) => self.server_end_closed(place),
            (Side::Client, Cargo::End) => self.client_end_closed(place),
            (Side::Server, Cargo::Text(text)) => {
                let asked = self.sockets.receive(self.now, connection, text);
                self.handle(asked);
                self.flush_server_end(place);
            }
            (Side::Server, Cargo::Bytes(bytes)) => {
                let now = self.clock();
                self.process.handle_input(
                    now,
                    connection,
                    Input::Bytes(bytes),
                    &mut self.sockets.members,
                    &mut self.facts,
                );
            }
            (Side::Client, Cargo::Text(text)) => self.stock_receives(place, text, parcel.left),
            (Side::Client, Cargo::Bytes(bytes)) => {
                self.client_input(place, Input::Bytes(bytes), Some(parcel.left));
            }
        }
        self.unblock(place);
    }

    /// One end learns that the connection is broken.
    pub(super) fn notice(&mut self, connection: ConnectionId, side: Side) {
        let Some(place) = self.place_of(connection) else { return };
        match side {
            Side::Client => self.client_end_closed(place),
            Side::Server => self.server_end_closed(place),
        }
    }

    pub(super) fn connection_timeout(&mut self, place: usize) {
        let Link { id, dialect, .. } = self.links[place];
        match dialect {
            Dialect::Native(_) => {
                let now = self.clock();
                self.process.handle_session_timeout(now, id, &mut self.sockets.members, &mut self.facts);
            }
            Dialect::SocketIo => {
                let asked = self.sockets.handle_timeout(self.now, id);
                self.handle(asked);
            }
        }
        self.links[place].due = None;
        self.flush_server_end(place);
    }

    pub(super) fn client_end_closed(&mut self, place: usize) {
        if core::mem::replace(&mut self.links[place].client_end, End::Gone) == End::Gone {
            return;
        }
        match self.links[place].dialect {
            Dialect::Native(_) => self.client_input(place, Input::Closed, None),
            Dialect::SocketIo => {
                let client = self.links[place].client;
                self.stock_disconnected(client);
            }
        }
    }

    /// The server's end is over: its driver lets go of it.
    pub(super) fn server_end_closed(&mut self, place: usize) {
        if core::mem::replace(&mut self.links[place].server_end, End::Gone) == End::Gone {
            return;
        }
        let Link { id, dialect, .. } = self.links[place];
        self.links[place].due = None;
        match dialect {
            Dialect::Native(_) => {
                let now = self.clock();
                self.process.handle_input(now, id, Input::Closed, &mut self.sockets.members, &mut self.facts);
                self.process.remove(now, id, &mut self.sockets.members, &mut self.facts);
            }
            Dialect::SocketIo => {
                let asked = self.sockets.close(self.now, id);
                self.handle(asked);
                self.sockets.remove(id);
            }
        }
        self.facts.push(Fact::Parted { connection: id });
    }

    /// The ends that have let go of a connection are heard of at the others, unless it is dead; what both have let go of is
    /// forgotten.
    pub(super) fn sweep(&mut self) {
        self.links.retain(|link| link.client_end == End::Open || link.server_end == End::Open);
    }

    /// Sends bytes to the other end.
    pub(super) fn send(&mut self, place: usize, from: Side, cargo: Cargo) {
        let wall = self.clock().wall;
        let link = &mut self.links[place];
        let held = link.held.filter(|_| from == Side::Server);
        let left = held.unwrap_or(Left { at: self.now, wall });
        if link.is_dead {
            return;
        }
        // The end of a connection is no datagram: nobody hears of it.
        if link.kind() == Kind::Datagram && matches!(cargo, Cargo::End) {
            return;
        }
        let pipe = match from {
            Side::Client => &mut link.up,
            Side::Server => &mut link.down,
        };
        pipe.send(cargo, self.now, left, &self.plan.weather, &mut self.chance.links, &mut self.faults);
    }

    /// Tells the sender of a pipe that is full that it is, and that it has room again.
    pub(super) fn block(&mut self, place: usize) {
        let (up_full, down_full) = (self.links[place].up.is_full(), self.links[place].down.is_full());
        if up_full && !self.links[place].up_blocked {
            self.links[place].up_blocked = true;
            self.client_input(place, Input::WriteBlocked, None);
        }
        if down_full && !self.links[place].down_blocked {
            self.links[place].down_blocked = true;
            let wall = self.clock().wall;
            self.links[place].held.get_or_insert(Left { at: self.now, wall });
            self.server_input(place, Input::WriteBlocked);
        }
    }

    fn unblock(&mut self, place: usize) {
        let link = &mut self.links[place];
        if link.up_blocked && !link.up.is_full() {
            link.up_blocked = false;
            self.client_input(place, Input::WriteReady, None);
        }
        let link = &mut self.links[place];
        if link.down_blocked && !link.down.is_full() {
            link.down_blocked = false;
            self.server_input(place, Input::WriteReady);
            let link = &mut self.links[place];
            link.held = link.held.filter(|_| link.down_blocked);
        }
    }

    fn server_input(&mut self, place: usize, input: Input) {
        let Link { id, dialect, server_end, .. } = self.links[place];
        match (server_end, dialect) {
            (End::Open, Dialect::Native(_)) => {
                let now = self.clock();
                self.process.handle_input(now, id, input, &mut self.sockets.members, &mut self.facts);
            }
            (End::Open, Dialect::SocketIo) => {
                let asked = self.sockets.blocked(self.now, id, input == Input::WriteBlocked);
                self.handle(asked);
            }
            (End::Gone, _) => {}
        }
        self.flush_server_end(place);
    }

    /// What the handlers of stock clients' events do.
    pub(super) fn handle(&mut self, asked: Vec<Asked>) {
        for asked in asked {
            let now = self.clock();
            match asked {
                Asked::Joined(connection, client) => {
                    self.facts.push(Fact::Admitted {
                        connection,
                        session: connection.into(),
                        resumed: false,
                    });
                    // What a client sent on a connection that it has left meanwhile subscribes it to nothing.
                    if self.connection_of(client) == Some(connection) {
                        self.join(connection, client);
                    }
                }
                Asked::Arrives(connection, claim) => self.arrives(connection, claim),
                Asked::Room(change) => self.change_room(change),
                Asked::Leaves(connection) => self.depart(connection, Departure::Left),
                Asked::Departs(connection) => self.depart(connection, Departure::Lost),
                Asked::Publish(connection, reply, Some(key), channel, letter) if self.plan.remembers => {
                    self.handle_keyed(connection, reply, key.as_str(), channel, letter);
                }
                Asked::Publish(connection, reply, key, channel, letter) => {
                    let name = crate::sim::client::channel_name(channel);
                    match self.process.publish(
                        now,
                        &name,
                        letter,
                        key,
                        &mut self.sockets.members,
                        &mut self.facts,
                    ) {
                        Some(publish) => self.sockets.wait_for(publish, connection, reply),
                        None => self.sockets.answer(self.now, connection, reply, Err(())),
                    }
                }
                Asked::Emit(channel, letter) => {
                    let name = crate::sim::client::channel_name(channel);
                    self.process.emit(now, &name, letter, &mut self.sockets.members, &mut self.facts);
                }
            }
        }
    }

    /// How long it may take to resume, now that nothing goes wrong: two round trips, and what the log takes.
    pub(super) fn patience(&self) -> Option<Duration> {
        let Weather { latency, jitter, .. } = self.plan.weather;
        self.is_healing().then(|| (latency + jitter) * 4 + Duration::from_millis(5))
    }

    pub(super) fn reconnect_after(&mut self, client: ClientId) {
        let most = if self.is_healing() { Duration::from_millis(50) } else { Duration::from_millis(800) };
        let after = self.chance.players.duration(&(Duration::from_millis(1)..=most));
        self.enter(after, Task::Connect(client));
    }
}
