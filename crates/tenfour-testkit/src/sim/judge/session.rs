//! Which connection speaks for whom.

use std::collections::BTreeMap;

use tenfour_delivery::time::Instant;

use super::{Rules, Verdict};
use crate::sim::{ClientId, ConnectionId, Delivered, Fact, Forgery, Invariant, Left};

#[derive(Clone, Debug, Hash)]
pub(crate) struct Sessions {
    clients: Vec<Client>,
    connections: Vec<Connection>,
    /// The last request in each session that the server's application saw.
    asked: BTreeMap<u64, Option<u32>>,
    /// How often the server has begun.
    life: u32,
}

#[derive(Clone, Debug, Default, Hash)]
struct Client {
    /// Bit for bit the channels that it may not read, as of its next connection.
    denied: u64,
    /// The session that it knows, if the server still has it, and since when nobody has spoken for it.
    session: Option<(u64, Kept)>,
    /// Whether a copy of the client has ever asked for that session.
    contested: bool,
    /// The last request that it has an answer to.
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
    /// The session that it asks for, if the server had that when it began to.
    claimed: Option<u64>,
    since: Instant,
    denied: u64,
    /// As what it was admitted.
    session: Option<u64>,
    /// When another one of its session was admitted.
    fenced: Option<Instant>,
    /// Whether it acknowledged what was never sent, and whether it claimed a session that is not its own.
    overclaimed: Option<Instant>,
    forged_token: bool,
    parted: bool,
    /// Where its client learned the token that it shows.
    knows: Option<ConnectionId>,
    /// Whether its client has shown that it has the token that it was given.
    acted: bool,
    /// In which of its lives the server let it in.
    life: u32,
}

impl Sessions {
    pub(super) fn new(clients: u8) -> Self {
        Self {
            clients: vec![Client::default(); usize::from(clients)],
            connections: Vec::new(),
            asked: BTreeMap::new(),
            life: 0,
        }
    }

    pub(super) fn server_started(&mut self) {
        self.life += 1;
        self.asked.clear();
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
            Fact::Connected { client, connection, claims, contests, knows } => {
                self.clients[usize::from(client)].contested |= contests;
                self.connect(client, connection, claims, at);
                self.connections[connection as usize].knows = knows;
            }
            Fact::Admitted { connection, session, resumed } => {
                return self.admit(connection, session, resumed, at, rules);
            }
            Fact::Parted { connection } => self.part(connection, at),
            Fact::Granted { client, channel, may_read } => {
                let bit = 1 << channel;
                let denied = &mut self.clients[usize::from(client)].denied;
                *denied = if may_read { *denied & !bit } else { *denied | bit };
            }
            Fact::Welcomed { connection, resumed, within } => {
                self.welcome(connection, at, resumed);
                let connection = &self.connections[connection as usize];
                s11_forged_tokens_open_nothing(connection, resumed)?;
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
                    Forgery::Acknowledgement => {
                        connection.overclaimed = Some(at);
                        // Who breaks the protocol has no session any more.
                        self.clients[usize::from(connection.client)].session = None;
                    }
                    Forgery::Token => connection.forged_token = true,
                }
            }
            Fact::Acted { connection } => return self.s11_fenced_have_no_effect(connection),
            Fact::Asked { connection, number } => {
                let session = self.connections.get(connection as usize).and_then(|known| known.session);
                let Some(session) = session else { return Ok(()) };
                return s5_in_order("request", self.asked.entry(session).or_default(), number);
            }
            Fact::Refused { connection } => {
                let connection = &self.connections[connection as usize];
                return s13_a_right_claim_is_not_refused(
                    connection,
                    &self.clients[usize::from(connection.client)],
                );
            }
            Fact::Answered { to, number } => {
                return s5_in_order("answer", &mut self.clients[usize::from(to)].answered, number);
            }
            _ => {}
        }
        Ok(())
    }

    /// Whether a copy of this client has asked for its session: what the server knows of it may then be true of the copy.
    pub(super) fn is_contested(&self, client: ClientId) -> bool {
        self.clients[usize::from(client)].contested
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
    pub(super) fn s14_one_live_connection(&self, connection: ConnectionId, left: Left) -> Verdict {
        match self.connections.get(connection as usize).and_then(|known| known.fenced) {
            Some(fenced) if left.at > fenced => Invariant::S14.broken(format_args!(
                "something left at {} on connection {connection}, whose session went to another one at {fenced}",
                left.at
            )),
            _ => Ok(()),
        }
    }

    /// What a datagram brought before may be let go only now, so only where it is known when a message left.
    pub(super) fn s19_only_what_may_be_read(&self, delivered: &Delivered) -> Verdict {
        let Some(connection) = self.connections.get(delivered.connection as usize) else { return Ok(()) };
        match delivered.left.map_or(0, |_| connection.denied & (1 << delivered.channel)) {
            0 => Ok(()),
            _ => Invariant::S19.broken(format_args!("{delivered:?} was not to be read by this connection")),
        }
    }

    fn connect(&mut self, client: ClientId, connection: ConnectionId, claims: bool, since: Instant) {
        debug_assert_eq!(self.connections.len(), connection as usize, "connections are numbered in order");
        self.connections.push(Connection {
            client,
            claims,
            claimed: self.clients[usize::from(client)].session.map(|(id, _)| id).filter(|_| claims),
            since,
            denied: 0,
            session: None,
            fenced: None,
            overclaimed: None,
            forged_token: false,
            parted: false,
            knows: None,
            acted: false,
            life: 0,
        });
    }

    fn admit(
        &mut self,
        connection: ConnectionId,
        session: u64,
        resumed: bool,
        at: Instant,
        rules: &Rules,
    ) -> Verdict {
        let client = self.connections[connection as usize].client;
        self.s11_replaced_tokens_open_nothing(connection, session, resumed)?;
        for other in self.connections.iter_mut().filter(|other| other.session == Some(session)) {
            other.fenced.get_or_insert(at);
        }
        let id = session;
        let session = &mut self.clients[usize::from(client)];
        let this = &mut self.connections[connection as usize];
        (this.session, this.denied, this.life) = (Some(id), session.denied, self.life);
        let is_kept = match session.session.filter(|(known, _)| this.claimed == Some(*known)) {
            Some((_, Kept::Live)) => true,
            Some((_, Kept::Since(since))) => at - since < rules.parking,
            None => false,
        };
        let was_kept = is_kept && this.claims && !this.forged_token && !session.contested;
        if resumed {
            session.session = Some((id, Kept::Live));
        } else if this.claimed == session.session.map(|(known, _)| known) && !this.forged_token {
            // It has a new one, and knows of none until it hears of that.
            session.session = None;
        }
        s13_what_is_kept_is_resumed(was_kept, resumed)
    }

    /// From here on a client has the session that it was told of.
    fn welcome(&mut self, connection: ConnectionId, at: Instant, resumed: bool) {
        let this = &self.connections[connection as usize];
        let client = &mut self.clients[usize::from(this.client)];
        if !resumed {
            client.contested = false;
            let kept = if this.parted { Kept::Since(at) } else { Kept::Live };
            let is_there = this.life == self.life && this.overclaimed.is_none();
            client.session = this.session.filter(|_| is_there).map(|session| (session, kept));
        }
    }

    fn part(&mut self, connection: ConnectionId, at: Instant) {
        let Some(this) = self.connections.get_mut(connection as usize) else { return };
        this.parted = true;
        if this.session.is_some() && this.fenced.is_none() {
            let session = &mut self.clients[usize::from(this.client)].session;
            if let Some((_, kept)) = session.as_mut().filter(|(known, _)| this.session == Some(*known)) {
                *kept = Kept::Since(at);
            }
        }
    }

    /// A token is worth nothing once a later one of its session was used.
    fn s11_replaced_tokens_open_nothing(
        &self,
        connection: ConnectionId,
        session: u64,
        resumed: bool,
    ) -> Verdict {
        let knows = self.connections[connection as usize].knows;
        let later = knows.map_or(usize::MAX, |knows| knows as usize + 1).min(self.connections.len());
        let used = |other: &&Connection| other.session == Some(session) && other.acted;
        match self.connections[later..].iter().any(|other| used(&other)) && resumed {
            true => Invariant::S11.broken(format_args!(
                "connection {connection} was let in with the token of {knows:?}, which had been replaced"
            )),
            false => Ok(()),
        }
    }

    fn s11_fenced_have_no_effect(&mut self, connection: ConnectionId) -> Verdict {
        if let Some(acting) = self.connections.get_mut(connection as usize) {
            acting.acted = true;
        }
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
fn s13_what_is_kept_is_resumed(was_kept: bool, resumed: bool) -> Verdict {
    match was_kept && !resumed {
        true => Invariant::S13.broken("a session that the server has was not resumed"),
        false => Ok(()),
    }
}

/// Whoever asks for a session with the token that it was given last, or the one before as long as the answer with the new one
/// may be lost, is not refused.
fn s13_a_right_claim_is_not_refused(connection: &Connection, client: &Client) -> Verdict {
    let is_right = connection.claims && !connection.forged_token && !client.contested;
    match is_right
        && client.session.map(|(known, _)| known) == connection.claimed
        && connection.claimed.is_some()
    {
        true => Invariant::S13.broken("a client was refused the session that is its own"),
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
