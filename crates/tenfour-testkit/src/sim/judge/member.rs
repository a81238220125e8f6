//! What is owed to a client whose session is a cursor over all its rooms.
//!
//! A session is owed every entry of a room that was committed while it was in that room, in one order over all rooms. The cursor is the
//! client's own: the last that its application handled.

use core::time::Duration;

use tenfour_delivery::{
    loss::{Count, Reason},
    time::Instant,
};

use super::{
    Rules, Verdict,
    log::{Entry, Logs},
};
use crate::sim::{ChannelId, ClientId, ConnectionId, Invariant, Place, Received, SessionNumber, Told};

/// Sessions, and clients that have one.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Members {
    sessions: Vec<Session>,
    clients: Vec<Client>,
    claims: Vec<Claim>,
}

/// A session, as its server has it.
#[derive(Clone, Debug, Hash)]
struct Session {
    start: Place,
    /// When it was in which room: after the one place, up to the other.
    stays: Vec<Stay>,
    /// Since when nobody has spoken for it.
    parked: Option<Instant>,
    state: State,
}

#[derive(Clone, Copy, Debug, Hash)]
struct Stay {
    channel: ChannelId,
    after: u64,
    through: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum State {
    /// Nobody has promised yet that it comes back.
    Begun,
    Recoverable,
    Ended,
}

/// What a client's application has had.
#[derive(Clone, Debug, Default, Hash)]
struct Client {
    session: Option<SessionNumber>,
    at: Place,
    /// Entries that it missed with a session that it has no more, and was not told of.
    debt: u64,
    banned: bool,
    /// Its last claim.
    claimed: Place,
}

/// What a connection was begun with.
#[derive(Clone, Copy, Debug, Hash)]
struct Claim {
    connection: ConnectionId,
    client: ClientId,
    session: SessionNumber,
    at: Option<Place>,
    since: Instant,
}

/// How a client was let in.
pub(super) struct Greeting {
    pub(super) client: ClientId,
    pub(super) connection: ConnectionId,
    pub(super) session: SessionNumber,
    pub(super) recovered: bool,
    pub(super) within: Option<Duration>,
    pub(super) at: Instant,
}

impl Members {
    pub(super) fn new(clients: u8) -> Self {
        Self {
            sessions: Vec::new(),
            clients: vec![Client::default(); usize::from(clients)],
            claims: Vec::new(),
        }
    }

    /// A server died and the next one began: nobody speaks for any session. A log that began anew knows none of them.
    pub(super) fn server_started(&mut self, at: Instant, is_same_log: bool) {
        for session in &mut self.sessions {
            session.parked.get_or_insert(at);
            if !is_same_log {
                session.state = State::Ended;
            }
        }
    }

    pub(super) fn begin(&mut self, session: SessionNumber, start: Place) {
        debug_assert_eq!(self.sessions.len(), session as usize, "sessions are numbered in order");
        self.sessions.push(Session { start, stays: Vec::new(), parked: None, state: State::Begun });
    }

    pub(super) fn enter(&mut self, session: SessionNumber, channel: ChannelId, after: u64) {
        if let Some(session) = self.sessions.get_mut(session as usize)
            && !session.is_in(channel)
        {
            session.stays.push(Stay { channel, after, through: u64::MAX });
        }
    }

    pub(super) fn exit(&mut self, session: SessionNumber, channel: ChannelId, through: u64) {
        let session = self.sessions.get_mut(session as usize);
        let stays = session.into_iter().flat_map(|session| &mut session.stays);
        for stay in stays.filter(|stay| stay.channel == channel && stay.through == u64::MAX) {
            stay.through = through;
        }
    }

    pub(super) fn can_be_recovered(&mut self, session: SessionNumber) {
        if let Some(session) = self.sessions.get_mut(session as usize)
            && session.state == State::Begun
        {
            session.state = State::Recoverable;
        }
    }

    pub(super) fn end(&mut self, session: SessionNumber) {
        if let Some(session) = self.sessions.get_mut(session as usize) {
            session.state = State::Ended;
        }
    }

    pub(super) fn park(&mut self, session: SessionNumber, at: Instant) {
        if let Some(session) = self.sessions.get_mut(session as usize) {
            session.parked.get_or_insert(at);
        }
    }

    pub(super) fn ban(&mut self, client: ClientId, banned: bool) {
        self.clients[usize::from(client)].banned = banned;
    }

    /// A client asks for its session, from its cursor on. The cursor is where its application is: an offset of something that is
    /// not in the log, or one that went back, is none.
    pub(super) fn claim(
        &mut self,
        client: ClientId,
        connection: ConnectionId,
        session: SessionNumber,
        at: Option<Place>,
        since: Instant,
    ) -> Verdict {
        self.claims.push(Claim { connection, client, session, at, since });
        let known = &mut self.clients[usize::from(client)];
        let Some(at) = at else {
            return match known.claimed.epoch {
                0 => Ok(()),
                _ => Invariant::S12.broken(format_args!(
                    "client {client} claimed {:?}, and knows of no cursor any more",
                    known.claimed
                )),
            };
        };
        let before = core::mem::replace(&mut known.claimed, at);
        match at.epoch == before.epoch && at.offset < before.offset {
            true => {
                Invariant::S12.broken(format_args!("client {client} claimed {before:?}, and then {at:?}"))
            }
            false => Ok(()),
        }
    }

    /// A server has let a connection in: as the session that it claims, or as another one.
    pub(super) fn admit(
        &mut self,
        connection: ConnectionId,
        session: SessionNumber,
        resumed: bool,
        at: Instant,
        logs: &Logs,
        rules: &Rules,
    ) -> Verdict {
        let claim = self.claims.iter().find(|claim| claim.connection == connection).copied();
        let is_sound = claim.is_none_or(|claim| !self.clients[usize::from(claim.client)].banned);
        if !is_sound {
            return Invariant::S19
                .broken(format_args!("connection {connection} is let in, and its client is banned"));
        }
        if resumed && self.sessions.get(session as usize).is_none_or(|known| known.state == State::Ended) {
            return Invariant::S11.broken(format_args!("session {session} had ended, and goes on"));
        }
        let kept = claim.filter(|_| !resumed).filter(|claim| self.is_kept(claim, at, logs, rules));
        if let Some(known) = self.sessions.get_mut(session as usize) {
            known.parked = None;
        }
        match kept {
            Some(claim) => Invariant::S13.broken(format_args!(
                "session {} was claimed from {:?} on, which could be exact, and connection {connection} got another one",
                claim.session, claim.at
            )),
            None => Ok(()),
        }
    }

    /// Whether a claim can be met exactly: the session is there, and nothing of what is owed to it is gone.
    fn is_kept(&self, claim: &Claim, at: Instant, logs: &Logs, rules: &Rules) -> bool {
        let Some(session) = self.sessions.get(claim.session as usize) else { return false };
        let is_here = session.parked.is_none_or(|since| at - since < rules.away);
        // A client that got nothing on a session may still show the cursor that it had before it.
        let from = claim.at.filter(|at| at.epoch == session.start.epoch).map_or(0, |at| at.offset);
        let from = from.max(session.start.offset);
        let is_whole = session.stays.iter().all(|stay| {
            let trimmed =
                logs.channel(session.start.epoch, stay.channel).map_or(0, super::log::Channel::trimmed);
            trimmed <= from.max(stay.after)
                || logs.channel(session.start.epoch, stay.channel).is_none_or(|known| {
                    known.between(from.max(stay.after), trimmed.min(stay.through)).is_empty()
                })
        });
        session.state == State::Recoverable
            && is_here
            && is_whole
            && logs.epoch() == Some(session.start.epoch)
    }

    /// A client learned which session it has.
    pub(super) fn greet(
        &mut self,
        greeting: &Greeting,
        logs: &Logs,
        expired: impl Fn(&Entry) -> bool,
    ) -> Verdict {
        let &Greeting { client, connection, session, recovered, within, at } = greeting;
        let claim = self.claims.iter().rev().find(|claim| claim.connection == connection);
        let Some(start) = self.sessions.get(session as usize).map(|known| known.start) else {
            return Invariant::S11
                .broken(format_args!("connection {connection} has a session that never was"));
        };
        if recovered && claim.is_none_or(|claim| claim.session != session) {
            return Invariant::S11
                .broken(format_args!("connection {connection} has session {session}, not its own"));
        }
        if let (Some(claim), Some(within)) = (claim, within)
            && recovered
            && at - claim.since > within
        {
            return Invariant::L4
                .broken(format_args!("a recovery took {:?}, and was to take {within:?}", at - claim.since));
        }
        if !recovered {
            let missed = self.missed(client, start, logs, expired);
            let known = &mut self.clients[usize::from(client)];
            known.debt += missed;
            (known.session, known.at) = (Some(session), start);
        }
        Ok(())
    }

    /// A client that begins without any knowledge.
    pub(super) fn forget(&mut self, client: ClientId) {
        let banned = self.clients[usize::from(client)].banned;
        self.clients[usize::from(client)] = Client { banned, ..Client::default() };
    }

    pub(super) fn receive(
        &mut self,
        received: &Received,
        place: Option<(ChannelId, u64)>,
        logs: &Logs,
        expired: impl Fn(&Entry) -> bool,
    ) -> Verdict {
        let client = &self.clients[usize::from(received.by)];
        let Some(session) = client.session.and_then(|session| self.sessions.get(session as usize)) else {
            return Invariant::S19.broken(format_args!("{received:?} comes to a client without a session"));
        };
        let Some((channel, offset)) = place else {
            return Invariant::S9.broken(format_args!("{received:?} is not in the log"));
        };
        if client.debt > 0 {
            return Invariant::S7.broken(format_args!(
                "{received:?}, and its reader was not told of the {} that it missed with its last session",
                client.debt
            ));
        }
        if offset <= client.at.offset {
            return Invariant::S6
                .broken(format_args!("{received:?} at {offset} comes after {:?}", client.at));
        }
        if !session.was_in(channel, offset) {
            return Invariant::S19
                .broken(format_args!("{received:?} at {offset} is of a room that it was not in then"));
        }
        if let Some(missing) = session.owed(client.at.offset, offset - 1, logs).find(|entry| !expired(entry))
        {
            return Invariant::S7.broken(format_args!(
                "{received:?} at {offset} comes after {:?}; message {} at {} is missing without a word",
                client.at, missing.message, missing.offset
            ));
        }
        self.clients[usize::from(received.by)].at.offset = offset;
        Ok(())
    }

    /// A client was told of a loss.
    pub(super) fn tell(&mut self, told: &Told, logs: &Logs, expired: impl Fn(&Entry) -> bool) -> Verdict {
        let client = &mut self.clients[usize::from(told.to)];
        let debt = core::mem::take(&mut client.debt);
        let Some(session) = client.session.and_then(|session| self.sessions.get(session as usize)) else {
            return Invariant::S8.broken(format_args!("{told:?}, to a client without a session"));
        };
        if debt > 0 || told.through <= session.start.offset {
            return match told.count {
                Count::Exact(count) if count != debt => {
                    Invariant::S8.broken(format_args!("{told:?}, and {debt} were missed"))
                }
                Count::AtLeast(count) if count > debt => {
                    Invariant::S8.broken(format_args!("{told:?}, and no more than {debt} were missed"))
                }
                _ => Ok(()),
            };
        }
        let is_expiry = told.reason == Reason::Ttl;
        let from = if is_expiry { told.after } else { client.at.offset.max(told.after) };
        let lost = session.owed(from, told.through, logs).filter(|entry| !is_expiry || expired(entry)).count()
            as u64;
        let is_true = match told.count {
            Count::Exact(count) if is_expiry => count <= lost,
            Count::Exact(count) => count == lost,
            Count::AtLeast(count) => count <= lost,
        };
        if !is_true {
            return Invariant::S8.broken(format_args!("{told:?}, and {lost} were lost"));
        }
        if is_expiry {
            return Ok(());
        }
        if let Some(before) = session.owed(client.at.offset, told.after, logs).find(|entry| !expired(entry)) {
            return Invariant::S7.broken(format_args!("{told:?} leaves out {before:?}"));
        }
        client.at.offset = client.at.offset.max(told.through);
        Ok(())
    }

    /// Who is there has everything that is owed to it, or was told.
    pub(super) fn l2_everything_arrived(&self, logs: &Logs, expired: impl Fn(&Entry) -> bool) -> Verdict {
        for (client, known) in self.clients.iter().enumerate() {
            let Some(session) = known.session.and_then(|session| self.sessions.get(session as usize)) else {
                continue;
            };
            if known.debt > 0 {
                return Invariant::L2
                    .broken(format_args!("client {client} was never told of {} losses", known.debt));
            }
            if let Some(missing) = session.owed(known.at.offset, u64::MAX, logs).find(|entry| !expired(entry))
            {
                return Invariant::L2
                    .broken(format_args!("client {client} lacks {missing:?} after {:?}", known.at));
            }
        }
        Ok(())
    }

    /// What a client did not get of the session that it had, up to where another one begins.
    fn missed(&self, client: ClientId, start: Place, logs: &Logs, expired: impl Fn(&Entry) -> bool) -> u64 {
        let client = &self.clients[usize::from(client)];
        let Some(session) = client.session.and_then(|session| self.sessions.get(session as usize)) else {
            return 0;
        };
        let through = if session.start.epoch == start.epoch { start.offset } else { u64::MAX };
        session.owed(client.at.offset, through, logs).filter(|entry| !expired(entry)).count() as u64
    }
}

impl Session {
    fn is_in(&self, channel: ChannelId) -> bool {
        self.was_in(channel, u64::MAX)
    }

    fn was_in(&self, channel: ChannelId, offset: u64) -> bool {
        self.stays.iter().any(|stay| stay.channel == channel && stay.after < offset && offset <= stay.through)
    }

    /// What was committed to its rooms while it was in them. Room by room: only who is first in each is in order.
    fn owed<'a>(&'a self, after: u64, through: u64, logs: &'a Logs) -> impl Iterator<Item = &'a Entry> + 'a {
        self.stays.iter().flat_map(move |stay| {
            let channel = logs.channel(self.start.epoch, stay.channel);
            let (after, through) = (after.max(stay.after), through.min(stay.through));
            channel.filter(|_| after < through).map_or(&[][..], |known| known.between(after, through))
        })
    }
}
