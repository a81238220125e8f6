//! What is owed to a client whose session is a cursor over all its rooms.
//!
//! A session is owed every entry of a room that was committed while it was in that room, in one order over all rooms. The cursor is the
//! client's own: the last that its application handled.

#[cfg(test)]
mod tests;

use core::time::Duration;

use tenfour_delivery::{
    loss::{Count, Reason},
    time::Instant,
};

use super::{
    Rules, Verdict,
    log::{Entry, Logs},
};
use crate::sim::{
    ChannelId, ClientId, ConnectionId, Cursor, Invariant, Place, Received, SessionNumber, Told,
};

/// Sessions, and clients that have one.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Members {
    sessions: Vec<Session>,
    clients: Vec<Client>,
    claims: Vec<Claim>,
    /// How often the server has begun.
    life: u32,
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
    /// Whether the log has ever had it.
    is_written: bool,
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
    /// In this life of the server it is over. The next one may not know that.
    Ended(u32),
    Closed,
}

/// What a client's application has had.
#[derive(Clone, Debug, Default, Hash)]
struct Client {
    session: Option<SessionNumber>,
    at: Place,
    /// Entries that it missed with sessions that it has no more, and was not told of.
    debt: u64,
    /// The same with those that have expired: whoever counts for it may count them.
    at_most: u64,
    /// Its last claim.
    claimed: Place,
}

/// What a connection was begun with.
#[derive(Clone, Copy, Debug, Hash)]
pub(super) struct Claim {
    pub(super) connection: ConnectionId,
    pub(super) client: ClientId,
    pub(super) session: SessionNumber,
    pub(super) at: Option<Place>,
    pub(super) since: Instant,
    /// Whether something that is owed from there on was gone by then.
    pub(super) is_too_late: bool,
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
            life: 0,
        }
    }

    /// A server died and the next one began: nobody speaks for any session. A log that began anew knows none of them.
    pub(super) fn server_started(&mut self, at: Instant, is_same_log: bool) {
        self.life += 1;
        for session in &mut self.sessions {
            // The time for which it is kept begins anew.
            session.parked = Some(at);
            if !is_same_log {
                session.state = State::Closed;
            }
        }
    }

    pub(super) fn begin(&mut self, session: SessionNumber, start: Place) {
        debug_assert_eq!(self.sessions.len(), session as usize, "sessions are numbered in order");
        self.sessions.push(Session {
            start,
            stays: Vec::new(),
            parked: None,
            state: State::Begun,
            is_written: false,
        });
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
            session.is_written = true;
        }
    }

    pub(super) fn end(&mut self, session: SessionNumber) {
        let life = self.life;
        if let Some(session) = self.sessions.get_mut(session as usize)
            && session.state != State::Closed
        {
            session.state = State::Ended(life);
        }
    }

    pub(super) fn close(&mut self, session: SessionNumber) {
        if let Some(session) = self.sessions.get_mut(session as usize) {
            session.state = State::Closed;
        }
    }

    /// Who is told that it is in a room is in it in the log.
    pub(super) fn s1_a_change_is_made(
        &self,
        session: SessionNumber,
        channel: ChannelId,
        is_in: bool,
    ) -> Verdict {
        match self.sessions.get(session as usize).is_some_and(|session| session.is_in(channel) == is_in) {
            true => Ok(()),
            false => Invariant::S1.broken(format_args!(
                "session {session} was told that its being in room {channel} is {is_in}, which the log does not say"
            )),
        }
    }

    /// Whoever is not let in gets nothing, also not to keep it for later.
    pub(super) fn s19_nothing_before_it_is_in(connection: ConnectionId, entries: usize) -> Verdict {
        match entries {
            0 => Ok(()),
            _ => Invariant::S19
                .broken(format_args!("connection {connection} got {entries} entries, and was turned away")),
        }
    }

    pub(super) fn park(&mut self, session: SessionNumber, at: Instant) {
        if let Some(session) = self.sessions.get_mut(session as usize) {
            session.parked.get_or_insert(at);
        }
    }

    /// When everything has settled, the log knows of the sessions what their server does.
    pub(super) fn s23_the_log_knows_the_sessions(&self) -> Verdict {
        for client in &self.clients {
            let session =
                client.session.and_then(|session| Some((session, self.sessions.get(session as usize)?)));
            if let Some((session, Session { state: State::Begun, .. })) = session {
                return Invariant::S23.broken(format_args!("session {session} is not in the log"));
            }
        }
        let is_open = |session: &Session| session.is_written && session.state == State::Ended(self.life);
        match self.sessions.iter().position(is_open) {
            None => Ok(()),
            Some(session) => Invariant::S23
                .broken(format_args!("session {session} has ended, and the log does not say so")),
        }
    }

    /// Whether something that is owed to a session from a place on is gone.
    fn is_too_late(&self, claim: &Claim, logs: &Logs, expired: impl Fn(&Entry) -> bool) -> bool {
        let Some(session) = self.sessions.get(claim.session as usize) else { return false };
        let from = claim.at.filter(|at| at.epoch == session.start.epoch).map_or(0, |at| at.offset);
        session.stays.iter().any(|stay| {
            let Some(known) = logs.channel(session.start.epoch, stay.channel) else { return false };
            let after = from.max(stay.after).max(session.start.offset);
            let through = stay.through.min(known.trimmed());
            after < through && known.between(after, through).iter().any(|entry| !expired(entry))
        })
    }

    /// A client asks for its session, from its cursor on. The cursor is where its application is: what is not in the log, or went
    /// back, is none.
    pub(super) fn claim(
        &mut self,
        claim: Claim,
        cursor: Cursor,
        contests: bool,
        logs: &Logs,
        expired: impl Fn(&Entry) -> bool,
    ) -> Verdict {
        let (client, mut claim) = (claim.client, claim);
        if let Cursor::At(at) = cursor {
            claim.at = Some(at);
        }
        claim.is_too_late = self.is_too_late(&claim, logs, expired);
        let known = &mut self.clients[usize::from(client)].claimed;
        let before = *known;
        match cursor {
            Cursor::At(at) => {
                if contests {
                    self.claims.push(claim);
                    return Ok(());
                }
                *known = at;
            }
            Cursor::Elsewhere => *known = Place::default(),
            Cursor::None | Cursor::Garbage => {}
        }
        self.claims.push(claim);
        match cursor {
            Cursor::At(at) if at.epoch == before.epoch && at.offset < before.offset => {
                Invariant::S12.broken(format_args!("client {client} claimed {before:?}, and then {at:?}"))
            }
            Cursor::Garbage => Invariant::S12.broken(format_args!("client {client} claims what is no place")),
            Cursor::None if before.epoch != 0 && !contests => Invariant::S12
                .broken(format_args!("client {client} claimed {before:?}, and knows no place now")),
            _ => Ok(()),
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
        if resumed && self.sessions.get(session as usize).is_none_or(|known| known.is_over(self.life)) {
            return Invariant::S11.broken(format_args!("session {session} had ended, and goes on"));
        }
        if let Some(claim) = claim.filter(|claim| resumed && claim.is_too_late) {
            return Invariant::S7.broken(format_args!(
                "session {session} goes on as if nothing were missing after {:?}, where something is",
                claim.at
            ));
        }
        let failed = claim.filter(|_| !resumed);
        let kept = failed.filter(|claim| self.is_kept(claim, at, logs, rules));
        // One that is not complete cannot be claimed, and goes on where it is.
        let is_begun = |claim: &Claim| {
            self.sessions.get(claim.session as usize).is_some_and(|known| known.state == State::Begun)
        };
        if let Some(claim) = failed.filter(|claim| !is_begun(claim)) {
            self.end(claim.session);
        }
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
        // Where something is trimmed, the log does not know whether it was from this range.
        let is_whole = session.stays.iter().all(|stay| {
            let known = logs.channel(session.start.epoch, stay.channel);
            let after = from.max(stay.after);
            stay.through <= after || known.is_none_or(|known| known.trimmed() <= after)
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
            let missed = self.missed(client, start, logs, |entry| !expired(entry));
            let at_most = self.missed(client, start, logs, |_| true);
            let known = &mut self.clients[usize::from(client)];
            known.debt += missed;
            known.at_most += at_most;
            (known.session, known.at) = (Some(session), start);
        }
        Ok(())
    }

    /// A client that begins without any knowledge.
    pub(super) fn forget(&mut self, client: ClientId) {
        self.clients[usize::from(client)] = Client::default();
    }

    pub(super) fn receive(
        &mut self,
        received: &Received,
        channel: Option<ChannelId>,
        logs: &Logs,
        expired: impl Fn(&Entry) -> bool,
    ) -> Verdict {
        let client = &self.clients[usize::from(received.by)];
        let Some(session) = client.session.and_then(|session| self.sessions.get(session as usize)) else {
            return Invariant::S19.broken(format_args!("{received:?} comes to a client without a session"));
        };
        let offset = received.offset;
        let entry = |channel| Some((channel, logs.entry(session.start.epoch, channel, offset)?));
        let Some((channel, _)) =
            channel.and_then(entry).filter(|(_, entry)| entry.message == received.message)
        else {
            return Invariant::S9.broken(format_args!("{received:?} is not what the log has there"));
        };
        if client.debt > 0 {
            return Invariant::S7.broken(format_args!(
                "{received:?}, and its reader was not told of the {} that it missed with its last session",
                client.debt
            ));
        }
        if offset <= client.at.offset {
            return Invariant::S6.broken(format_args!("{received:?} comes after {:?}", client.at));
        }
        if !session.was_in(channel, offset) {
            return Invariant::S19.broken(format_args!("{received:?} is of a room that it was not in then"));
        }
        if let Some(missing) = session.owed(client.at.offset, offset - 1, logs).find(|entry| !expired(entry))
        {
            return Invariant::S7.broken(format_args!(
                "{received:?} comes after {:?}; message {} at {} is missing without a word",
                client.at, missing.message, missing.offset
            ));
        }
        self.clients[usize::from(received.by)].at.offset = offset;
        Ok(())
    }

    /// A client was told of a loss.
    pub(super) fn tell(&mut self, told: &Told, logs: &Logs, expired: impl Fn(&Entry) -> bool) -> Verdict {
        let client = &mut self.clients[usize::from(told.to)];
        let Some(session) = client.session.and_then(|session| self.sessions.get(session as usize)) else {
            return Invariant::S8.broken(format_args!("{told:?}, to a client without a session"));
        };
        // What it missed with the session before, it is told at the beginning of this one.
        if told.through <= session.start.offset || told.through == u64::MAX {
            let (debt, at_most) = (core::mem::take(&mut client.debt), core::mem::take(&mut client.at_most));
            return match told.count {
                Count::Exact(count) if !(debt..=at_most).contains(&count) => {
                    Invariant::S8.broken(format_args!("{told:?}, and {debt} were missed"))
                }
                Count::AtLeast(count) if count > at_most => {
                    Invariant::S8.broken(format_args!("{told:?}, and no more than {at_most} were missed"))
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
    fn missed(&self, client: ClientId, start: Place, logs: &Logs, counts: impl Fn(&Entry) -> bool) -> u64 {
        let client = &self.clients[usize::from(client)];
        let Some(session) = client.session.and_then(|session| self.sessions.get(session as usize)) else {
            return 0;
        };
        let through = if session.start.epoch == start.epoch { start.offset } else { u64::MAX };
        session.owed(client.at.offset, through, logs).filter(|entry| counts(entry)).count() as u64
    }
}

impl Session {
    fn is_over(&self, life: u32) -> bool {
        self.state == State::Closed || self.state == State::Ended(life)
    }

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
