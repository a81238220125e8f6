//! Clients go, and sessions end.

use tenfour_delivery::{mutant, time::Now};

use super::{
    Departure, EndReason, Event, Recovery, Visit,
    notes::Pending,
    session::{Phase, Written},
};
use crate::{Namespace, SocketId, Target};

impl Recovery {
    /// A visit is over. One that was [fenced](Event::Fenced), or is not known, changes nothing: `false`.
    pub fn depart<P>(
        &mut self,
        now: Now,
        visit: Visit,
        departure: Departure,
        members: &mut Namespace<P>,
    ) -> bool {
        let Some(id) = self.visitor(visit) else { return false };
        let is_ready = self.sessions.get(&id).is_some_and(|session| session.written != Written::No);
        match departure {
            Departure::Lost if is_ready => self.park(now, id, members),
            Departure::Lost => self.end(now, id, EndReason::Unready, members),
            Departure::Left => self.end(now, id, EndReason::Left, members),
        }
        true
    }

    /// Sends away whoever is in a target, and ends the sessions whose clients are away. Each that is there is visited: close
    /// its connection, and let it [depart](Self::depart) as [left](Departure::Left). Answers how many there were.
    pub fn disconnect_selected<P>(
        &mut self,
        now: Now,
        target: &Target,
        members: &mut Namespace<P>,
        mut each: impl FnMut(SocketId, &P),
    ) -> usize {
        let mut away = alloc::vec::Vec::new();
        let count = members.select_with_away(target, |id, peer| match peer {
            Some(peer) => each(id, peer),
            None => away.push(id),
        });
        away.retain(|_| !mutant!(AwayNotSentAway));
        for id in away {
            match self.phase(id) {
                // Its driver was told, or will be, that it is in: it is told that it is not.
                Some(Phase::Claimed(visit) | Phase::Told(visit)) => {
                    self.end(now, id, EndReason::Left, members);
                    self.events.push_back(Event::Fenced { visit, id });
                }
                _ => self.end(now, id, EndReason::Left, members),
            }
        }
        count
    }

    /// The client is away, and may come back.
    fn park<P>(&mut self, now: Now, id: SocketId, members: &mut Namespace<P>) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        if let Some(visit) = session.visit() {
            self.visits.remove(&visit);
        }
        if mutant!(SessionWrittenAtDisconnect) {
            self.notes.push(now.wall, Pending::Open { id });
        }
        let until = now.mono + self.config.away;
        session.phase = Phase::Away(until);
        session.reader = None;
        self.parked_bytes += session.kept.bytes();
        self.parked.insert((until, id));
        members.park(id);
        while self.parked_bytes > self.config.parked_bytes
            && let Some(&(_, oldest)) = self.parked.first()
        {
            self.end(now, oldest, EndReason::Evicted, members);
        }
    }

    /// A session is over for good.
    pub(super) fn end<P>(&mut self, now: Now, id: SocketId, reason: EndReason, members: &mut Namespace<P>) {
        let Some(session) = self.sessions.remove(&id) else { return };
        self.pids.remove(&session.kept.pid);
        self.unwritten.remove(&id);
        match session.phase {
            Phase::Away(until) => {
                self.parked.remove(&(until, id));
                self.parked_bytes -= session.kept.bytes();
            }
            Phase::Claimed(visit) | Phase::Told(visit) | Phase::Here(visit) => {
                self.visits.remove(&visit);
            }
        }
        let is_known = matches!(session.written, Written::Queued | Written::Yes);
        if is_known && !mutant!(SessionEndNotWritten) {
            self.notes.push(now.wall, Pending::Close { id });
        }
        if !mutant!(RemovedSessionLeaks) && members.remove(id).is_none() {
            members.remove_away(id);
        }
        self.events.push_back(Event::Ended { id, reason });
    }
}
