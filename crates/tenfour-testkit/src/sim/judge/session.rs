//! Which connection speaks for whom.

use tenfour_delivery::time::Instant;

use super::{Rules, Verdict};
use crate::sim::{ClientId, ConnectionId, Delivered, Fact, Forgery, Invariant};

#[derive(Clone, Debug, Hash)]
pub(crate) struct Sessions {
    clients: Vec<Client>,
    connections: Vec<Connection>,
}

#[derive(Clone, Debug, Default, Hash)]
struct Client {
    /// Bit for bit the channels that it may not read, as of its next connection.
    denied: u64,
    /// Whether its session is still at the server: `None` if not, else since when nobody has spoken for it.
    session: Option<Kept>,
    /// The last request of it that the server's application saw, and the last that it has an answer to.
    asked: Option<u32>,
    answered: Option<u32>,
}

#[derive(Clone, Copy, Debug, Hash)]
enum Kept {
    Live,
    Since(Instant),
}

#[derive(Clone, Debug, Hash)]
struct Connection {
    client: ClientId,
    claims: bool,
    since: Instant,
    denied: u64,
    admitted: bool,
    /// When another one of its client was admitted.
    fenced: Option<Instant>,
    /// Whether it acknowledged what was never sent, and whether it claimed a session that is not its own.
    overclaimed: Option<Instant>,
    forged_token: bool,
    parted: bool,
    /// What was at the server of its session when it was admitted: whether it had to be resumed.
    resumable: bool,
}

impl Sessions {
    pub(super) fn new(clients: u8) -> Self {
        Self { clients: vec![Client::default(); usize::from(clients)], connections: Vec::new() }
    }

    pub(super) fn server_started(&mut self) {
        for client in &mut self.clients {
            client.session = None;
        }
    }

    pub(super) fn crash(&mut self, client: ClientId) {
        let client = &mut self.clients[usize::from(client)];
        client.session = None;
        // Requests are not kept on a disk; their numbers go on.
    }

    pub(super) fn judge(&mut self, fact: Fact, at: Instant, rules: &Rules) -> Verdict {
        match fact {
            Fact::Connected { client, connection, claims } => self.connect(client, connection, claims, at),
            Fact::Admitted { connection } => self.admit(connection, at, rules),
            Fact::Parted { connection } => self.part(connection, at),
            Fact::Granted { client, channel, may_read } => {
                let bit = 1 << channel;
                let denied = &mut self.clients[usize::from(client)].denied;
                *denied = if may_read { *denied & !bit } else { *denied | bit };
            }
            Fact::Welcomed { connection, resumed, within } => {
                let connection = &self.connections[connection as usize];
                s11_forged_tokens_open_nothing(connection, resumed)?;
                s13_resume_is_idempotent(connection, resumed)?;
                if let Some(within) = within
                    && connection.claims
                    && at - connection.since > within
                {
                    return Invariant::L4.broken(format_args!(
                        "a resumption took {:?}, and was to take {within:?}",
                        at - connection.since
                    ));
                }
            }
            Fact::Forged { connection, forgery } => {
                let connection = &mut self.connections[connection as usize];
                match forgery {
                    Forgery::Acknowledgement => connection.overclaimed = Some(at),
                    Forgery::Token => connection.forged_token = true,
                }
            }
            Fact::Acted { connection } => return self.s11_fenced_have_no_effect(connection),
            Fact::Asked { by, number } => {
                return s5_in_order("request", &mut self.clients[usize::from(by)].asked, number);
            }
            Fact::Answered { to, number } => {
                return s5_in_order("answer", &mut self.clients[usize::from(to)].answered, number);
            }
            _ => {}
        }
        Ok(())
    }

    /// Who acknowledged what was never sent gets nothing more.
    pub(super) fn s10_nothing_for_overclaimers(&self, delivered: &Delivered) -> Verdict {
        let Some(connection) = self.connections.get(delivered.connection as usize) else { return Ok(()) };
        match (connection.overclaimed, delivered.left) {
            (Some(overclaimed), Some(left)) if left.at > overclaimed => Invariant::S10.broken(format_args!(
                "{delivered:?} left after its reader had acknowledged what was never sent, at {overclaimed}"
            )),
            _ => Ok(()),
        }
    }

    /// Who acknowledged what was never sent is sent away.
    pub(super) fn s10_overclaimers_are_gone(&self) -> Verdict {
        let stays = |connection: &Connection| connection.overclaimed.is_some() && !connection.parted;
        match self.connections.iter().position(stays) {
            Some(connection) => Invariant::S10.broken(format_args!(
                "connection {connection} acknowledged what was never sent, and is still there"
            )),
            None => Ok(()),
        }
    }

    /// Nothing comes over a connection that left the server after its session had gone to another one.
    pub(super) fn s14_one_live_connection(&self, delivered: &Delivered) -> Verdict {
        let Some(connection) = self.connections.get(delivered.connection as usize) else { return Ok(()) };
        match (connection.fenced, delivered.left) {
            (Some(fenced), Some(left)) if left.at > fenced => Invariant::S14.broken(format_args!(
                "{delivered:?} left on a connection whose session went to another one at {fenced}"
            )),
            _ => Ok(()),
        }
    }

    pub(super) fn s19_only_what_may_be_read(&self, delivered: &Delivered) -> Verdict {
        let Some(connection) = self.connections.get(delivered.connection as usize) else { return Ok(()) };
        match connection.denied & (1 << delivered.channel) {
            0 => Ok(()),
            _ => Invariant::S19.broken(format_args!("{delivered:?} was not to be read by this connection")),
        }
    }

    fn connect(&mut self, client: ClientId, connection: ConnectionId, claims: bool, since: Instant) {
        debug_assert_eq!(self.connections.len(), connection as usize, "connections are numbered in order");
        self.connections.push(Connection {
            client,
            claims,
            since,
            denied: 0,
            admitted: false,
            fenced: None,
            overclaimed: None,
            forged_token: false,
            parted: false,
            resumable: false,
        });
    }

    fn admit(&mut self, connection: ConnectionId, at: Instant, rules: &Rules) {
        let client = self.connections[connection as usize].client;
        for other in self.connections.iter_mut().filter(|other| other.client == client && other.admitted) {
            other.fenced.get_or_insert(at);
        }
        let session = &mut self.clients[usize::from(client)];
        let this = &mut self.connections[connection as usize];
        this.admitted = true;
        this.denied = session.denied;
        this.resumable = this.claims
            && match session.session {
                Some(Kept::Live) => true,
                Some(Kept::Since(since)) => at - since < rules.parking,
                None => false,
            };
        session.session = Some(Kept::Live);
    }

    fn part(&mut self, connection: ConnectionId, at: Instant) {
        let Some(this) = self.connections.get_mut(connection as usize) else { return };
        this.parted = true;
        if this.admitted && this.fenced.is_none() {
            let session = &mut self.clients[usize::from(this.client)].session;
            if session.is_some() {
                *session = Some(Kept::Since(at));
            }
        }
    }

    fn s11_fenced_have_no_effect(&self, connection: ConnectionId) -> Verdict {
        match self.connections.get(connection as usize).and_then(|connection| connection.fenced) {
            Some(fenced) => Invariant::S11
                .broken(format_args!("connection {connection} still acts, and was replaced at {fenced}")),
            None => Ok(()),
        }
    }
}

fn s11_forged_tokens_open_nothing(connection: &Connection, resumed: bool) -> Verdict {
    match connection.forged_token && resumed {
        true => Invariant::S11.broken("a session was resumed with a token that is not its own"),
        false => Ok(()),
    }
}

/// A session that the server still has is resumed, however often the client asks: an answer that gets lost costs it
/// nothing.
fn s13_resume_is_idempotent(connection: &Connection, resumed: bool) -> Verdict {
    match connection.resumable && !resumed {
        true => Invariant::S13.broken("a session that the server has was not resumed"),
        false => Ok(()),
    }
}

/// A client numbers its requests, sends them in order, and is answered in order.
fn s5_in_order(what: &str, last: &mut Option<u32>, number: u32) -> Verdict {
    match last.replace(number) {
        Some(last) if last >= number => {
            Invariant::S5.broken(format_args!("{what} {number} comes after {last}"))
        }
        _ => Ok(()),
    }
}
