//! Clients come, and are let in.

use alloc::boxed::Box;

use bytestring::ByteString;
use tenfour_delivery::{
    loss::{Count, Lost, OffsetRange, Reason},
    mutant,
    number::Offset,
    resume::Position,
    time::Now,
};

use super::{
    Arrival, Claim, ConnectError, EndReason, Event, How, Outbox, Pid, Recovery, Snapshot, Visit,
    reader::{Claiming, Reader},
    session::{Phase, Session, Written},
};
use crate::{InsertError, Namespace, SocketId};

impl Recovery {
    /// A client wants in, and may: its authorisation is done. [`Event::Admitted`] says how, at once or when the log was
    /// asked. A session that it claims is its own from here on: whoever had it is [fenced](Event::Fenced), unless that visit
    /// has a higher number, as where an older connection's authorisation took longer.
    ///
    /// # Errors
    /// If it can have no session; nothing has changed then.
    pub fn connect<P>(
        &mut self,
        now: Now,
        visit: Visit,
        arrival: Arrival,
        members: &mut Namespace<P>,
    ) -> Result<(), ConnectError> {
        if self.visits.contains_key(&visit) {
            return Err(ConnectError::Visiting);
        }
        let Arrival { claim, fresh, data } = arrival;
        self.check_fresh(fresh)?;
        let claimed = claim.and_then(|claim| Some((self.pids.get(&claim.pid).copied()?, claim)));
        let claimed =
            claimed.filter(|(_, claim)| claim.at.is_some() || !mutant!(RecoveryBeforeFirstEventLost));
        let Some((id, claim)) = claimed.filter(|(id, _)| self.is_recoverable(*id)) else {
            self.make_room(now, members)?;
            let lost =
                claim.and_then(|claim| self.missed_by_stranger(claim)).filter(|_| !mutant!(StrangerNotTold));
            return self.begin(visit, fresh, data, lost, members);
        };
        if self.sessions.get(&id).and_then(Session::visit).is_some_and(|newer| newer > visit) {
            return Err(ConnectError::Superseded);
        }
        self.take_over(id, visit, members);
        self.claim(now, id, claim, (fresh, data), members);
        Ok(())
    }

    /// The session that a pid would claim now, for whoever asks the application whether its client may come in.
    #[must_use]
    pub fn claimed(&self, pid: Pid) -> Option<&Snapshot> {
        let id = self.pids.get(&pid).copied().filter(|id| self.is_recoverable(*id))?;
        self.session(id)
    }

    /// The answer to the client is queued, and it is reached so from now on: what it is owed follows. `false` if the visit
    /// is over by now, or was never told.
    pub fn admitted<P>(
        &mut self,
        now: Now,
        visit: Visit,
        peer: P,
        members: &mut Namespace<P>,
        outbox: &mut impl Outbox<P>,
    ) -> bool {
        let Some(id) = self.visitor(visit) else { return false };
        let Some(session) = self.sessions.get_mut(&id) else { return false };
        if session.phase != Phase::Told(visit) || members.attach(id, peer).is_err() {
            return false;
        }
        session.phase = Phase::Here(visit);
        members.set_behind(id, !mutant!(ReplayOverlapsLive));
        self.go_on(now, id, members, outbox);
        true
    }

    fn check_fresh(&self, (id, pid): (SocketId, Pid)) -> Result<(), ConnectError> {
        let is_taken = self.sessions.contains_key(&id) || self.pids.contains_key(&pid);
        if is_taken { Err(ConnectError::Taken) } else { Ok(()) }
    }

    /// One that is not complete yet cannot be claimed: nobody knows where it would belong.
    fn is_recoverable(&self, id: SocketId) -> bool {
        let session = self.sessions.get(&id).filter(|session| session.written != Written::No);
        session.is_some_and(|session| session.visit().is_none() || !mutant!(TakeoverWaitsForTimeout))
    }

    /// Ends parked sessions until there is room for one more.
    fn make_room<P>(&mut self, now: Now, members: &mut Namespace<P>) -> Result<(), ConnectError> {
        let limit = self.config.sessions.min(members.limits().sockets);
        while self.sessions.len() >= limit {
            let Some(&(_, oldest)) = self.parked.first() else { return Err(ConnectError::Full { limit }) };
            self.end(now, oldest, EndReason::Evicted, members);
        }
        Ok(())
    }

    /// A new session.
    fn begin<P>(
        &mut self,
        visit: Visit,
        (id, pid): (SocketId, Pid),
        data: Option<ByteString>,
        lost: Option<Lost>,
        members: &mut Namespace<P>,
    ) -> Result<(), ConnectError> {
        members.insert_away(id).map_err(|error| match error {
            InsertError::Full { limit } => ConnectError::Full { limit },
            InsertError::Exists { .. } => ConnectError::Taken,
        })?;
        if let Some(data) = &data {
            // What the namespace finds too long, its limits keep out of the session as well.
            _ = members.set_data(id, data.clone());
        }
        let data = data.filter(|data| data.len() <= members.limits().data_bytes);
        let kept = Snapshot { lost, data: data.clone(), ..Snapshot::new(id, pid, self.head()) };
        let reader = Reader {
            owed: lost.map(|lost| (lost, self.head)).into_iter().collect(),
            ..Reader::at(self.head)
        };
        self.sessions.insert(
            id,
            Session {
                kept,
                written: Written::No,
                changing: 0,
                phase: Phase::Told(visit),
                reader: Some(Box::new(reader)),
            },
        );
        self.pids.insert(pid, id);
        self.visits.insert(visit, id);
        let how = lost.map_or(How::Fresh, How::Lost);
        self.events.push_back(Event::Admitted { visit, id, pid, how, data });
        Ok(())
    }

    /// The session is this visit's now, whoever had it.
    fn take_over<P>(&mut self, id: SocketId, visit: Visit, members: &mut Namespace<P>) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let before = session.visit();
        if let Phase::Away(until) = session.phase {
            self.parked_bytes -= session.kept.bytes();
            self.parked.remove(&(until, id));
        }
        session.phase = Phase::Claimed(visit);
        session.reader = None;
        if let Some(before) = before.filter(|_| !mutant!(OldConnectionKeptAlive)) {
            self.visits.remove(&before);
            members.park(id);
            self.events.push_back(Event::Fenced { visit: before, id });
        }
        self.visits.insert(visit, id);
    }

    /// Sees from where a session goes on, and asks the log what it still has.
    fn claim<P>(
        &mut self,
        now: Now,
        id: SocketId,
        claim: Claim,
        (fresh, data): ((SocketId, Pid), Option<ByteString>),
        members: &mut Namespace<P>,
    ) {
        let (head, epoch) = (self.head, self.epoch);
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let (from, owed) = goes_on_from(&session.kept, claim.at);
        let claiming = Claiming {
            fresh,
            data,
            from,
            decided: from,
            lost: None,
            picked: 0,
            latest: Default::default(),
            picked_through: Offset::START,
            pick_lost: false,
        };
        let picked = session.kept.of_policy(from, head).collect();
        let owed = owed.map(|lost| (lost, from)).into_iter().collect();
        let reader = Reader { away: head, picked, owed, claim: Some(claiming), ..Reader::at(from) };
        session.reader = Some(Box::new(reader));
        let claimed = claim.at.unwrap_or(session.kept.start);
        if session.kept.start.epoch != epoch || from > head {
            // What the client has is not in this log.
            let range = OffsetRange { after: claimed.offset, through: Offset::END };
            let lost = Lost { range, count: Count::AtLeast(0), reason: Reason::EpochReset };
            self.begin_instead(now, id, lost, members);
        } else {
            self.decide_on(now, id, members);
        }
    }

    /// Goes on with a claim as far as it is possible without the log.
    pub(super) fn decide_on<P>(&mut self, now: Now, id: SocketId, members: &mut Namespace<P>) {
        let head = self.head;
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let (Phase::Claimed(visit), Some(reader)) = (session.phase, &mut session.reader) else { return };
        let Some(claim) = &reader.claim else { return };
        let is_known = claim.from >= session.kept.floor;
        let unknown = (Count::AtLeast(0), Reason::Unknown);
        // What the log still has of the range is not given, either.
        let lost = claim.lost.map(|count| (Count::AtLeast(count.at_least()), Reason::Retention));
        let lost = lost.or((!is_known).then_some(unknown));
        if let Some((count, reason)) = lost {
            // What the log still has of the range is not given, either.
            let count = Count::AtLeast(count.at_least());
            let range = OffsetRange { after: claim.from, through: head };
            return self.begin_instead(now, id, Lost { range, count, reason }, members);
        }
        if claim.decided < reader.away || claim.picked < reader.picked.len() {
            return self.queue_read(id);
        }
        reader.claim = None;
        session.phase = Phase::Told(visit);
        let Snapshot { pid, data, .. } = &session.kept;
        let (pid, data) = (*pid, data.clone());
        self.events.push_back(Event::Admitted { visit, id, pid, how: How::Recovered, data });
    }

    /// The session that is claimed cannot go on exactly: it ends, and the client has a new one.
    fn begin_instead<P>(&mut self, now: Now, id: SocketId, lost: Lost, members: &mut Namespace<P>) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let claim = session.reader.as_mut().and_then(|reader| reader.claim.take());
        let (Some(claim), Some(visit)) = (claim, session.visit()) else { return };
        self.end(now, id, EndReason::Unrecoverable, members);
        // One has just ended, so there is room; the id was free when it was drawn, and is drawn at random.
        _ = self.begin(visit, claim.fresh, claim.data, Some(lost), members);
    }

    /// What a client has missed whose session nobody knows. `None` if nothing was published since. One without an offset may have
    /// had its session on another log.
    fn missed_by_stranger(&self, claim: Claim) -> Option<Lost> {
        let Some(at) = claim.at else {
            let range = OffsetRange { after: Offset::START, through: Offset::END };
            return Some(Lost { range, count: Count::AtLeast(0), reason: Reason::Unknown });
        };
        let (through, reason) = if at.epoch == self.epoch && at.offset <= self.head {
            (self.head, Reason::Unsubscribed)
        } else {
            (Offset::END, Reason::EpochReset)
        };
        let range = OffsetRange { after: at.offset, through };
        (!range.is_empty()).then_some(Lost { range, count: Count::AtLeast(0), reason })
    }
}

/// From where a client goes on that is at `at`, and what it is told before. What is before the session's start, or of another life
/// of the log, it brings from an earlier session: of this one it has nothing yet, and may not even know what it lost.
fn goes_on_from(kept: &Snapshot, at: Option<Position>) -> (Offset, Option<Lost>) {
    match at {
        Some(at) if at.epoch == kept.start.epoch && at.offset >= kept.start.offset => (at.offset, None),
        _ => (kept.start.offset, kept.lost),
    }
}
