//! Sessions join rooms, leave them, and get data.

use alloc::vec::Vec;

use bytestring::ByteString;
use tenfour_delivery::{mutant, time::Now};

use super::{
    Away, Change, ChangeId, Recovery,
    notes::Pending,
    session::{Session, Written},
};
use crate::{DataError, JoinError, Namespace, SocketId, Target, channel::is_reserved};

/// What came of a change of many sessions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Selected {
    /// Sessions that are changed, or will be, without those for whom there was nothing to change.
    pub changed: usize,
    /// Sessions that are in as many rooms as they may be.
    pub full: usize,
    /// What is made when it is committed: [`Event::Changed`](super::Event::Changed) tells.
    pub pending: Option<ChangeId>,
}

impl Recovery {
    /// The application is done with setting a session up. It is written to the log as it is, and from then on its client can
    /// claim it, and changes are notes that take effect when they are committed. Where too many notes wait it is written later. A
    /// second call changes nothing.
    pub fn ready(&mut self, now: Now, id: SocketId) {
        let Some(session) = self.sessions.get_mut(&id).filter(|session| session.written == Written::No)
        else {
            return;
        };
        if self.notes.len() >= self.config.pending_notes {
            session.written = Written::Due;
            self.unwritten.insert(id);
            self.retry_at.get_or_insert(now.mono + self.config.retry);
            return;
        }
        session.written = Written::Queued;
        if !mutant!(SessionWrittenAtDisconnect) {
            self.notes.push(now.wall, Pending::Open { id });
        }
    }

    /// Puts a session into a room: at once as long as it is not [ready](Self::ready), and else when that is committed.
    ///
    /// # Errors
    /// If it cannot join; nothing has changed then.
    pub fn join<P>(
        &mut self,
        now: Now,
        id: SocketId,
        room: &ByteString,
        away: Away,
        members: &mut Namespace<P>,
    ) -> Result<Change, JoinError> {
        let mut pending = None;
        let changes = self.join_as(now, id, (room, away), &mut pending, members)?;
        Ok(pending.map_or(Change::Done(changes), Change::Pending))
    }

    /// Takes a session out of a room, as [`Recovery::join`].
    ///
    /// # Errors
    /// If there is no such session, or too many changes wait; nothing has changed then.
    pub fn leave<P>(
        &mut self,
        now: Now,
        id: SocketId,
        room: &ByteString,
        members: &mut Namespace<P>,
    ) -> Result<Change, JoinError> {
        let mut pending = None;
        let changes = self.leave_as(now, id, room, &mut pending, members)?;
        Ok(pending.map_or(Change::Done(changes), Change::Pending))
    }

    /// Replaces a session's data, a JSON text that is not read here, as [`Recovery::join`].
    ///
    /// # Errors
    /// If it cannot be replaced; nothing has changed then.
    pub fn set_data<P>(
        &mut self,
        now: Now,
        id: SocketId,
        data: ByteString,
        members: &mut Namespace<P>,
    ) -> Result<Change, DataError> {
        let (length, limit) = (data.len(), members.limits().data_bytes);
        if length > limit {
            return Err(DataError::TooLong { length, limit });
        }
        let limit = self.config.pending_notes;
        let is_busy = self.notes.len() >= limit;
        let session = self.sessions.get_mut(&id).ok_or(DataError::Unknown { id })?;
        if session.changes_at_once() {
            members.set_data(id, data.clone())?;
            _ = self.change(id, |kept| kept.data = Some(data));
            return Ok(Change::Done(true));
        }
        if is_busy {
            return Err(DataError::Busy { limit });
        }
        session.changing += 1;
        let change = self.notes.next_change();
        self.notes.push(now.wall, Pending::Data { id, data, change });
        Ok(Change::Pending(change))
    }

    /// Puts each session of a target into a room, also those whose clients are away.
    ///
    /// # Errors
    /// If nobody may join it, or too many changes wait; then no further session joins.
    pub fn join_selected<P>(
        &mut self,
        now: Now,
        target: &Target,
        room: &ByteString,
        members: &mut Namespace<P>,
    ) -> Result<Selected, JoinError> {
        let mut result = Selected::default();
        for id in select(target, members) {
            match self.join_as(now, id, (room, Away::Everything), &mut result.pending, members) {
                Ok(changes) => result.changed += usize::from(changes),
                Err(JoinError::TooManyRooms { .. }) => result.full += 1,
                Err(JoinError::Unknown { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(result)
    }

    /// Takes each session of a target out of a room, also those whose clients are away.
    ///
    /// # Errors
    /// If too many changes wait; then no further session leaves.
    pub fn leave_selected<P>(
        &mut self,
        now: Now,
        target: &Target,
        room: &ByteString,
        members: &mut Namespace<P>,
    ) -> Result<Selected, JoinError> {
        let mut result = Selected::default();
        for id in select(target, members) {
            match self.leave_as(now, id, room, &mut result.pending, members) {
                Ok(changes) => result.changed += usize::from(changes),
                Err(JoinError::Unknown { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(result)
    }

    /// Whether there is something to change. Where it waits for its commit, it is a part of `pending`.
    fn join_as<P>(
        &mut self,
        now: Now,
        id: SocketId,
        (room, away): (&ByteString, Away),
        pending: &mut Option<ChangeId>,
        members: &mut Namespace<P>,
    ) -> Result<bool, JoinError> {
        if is_reserved(room) {
            return Err(JoinError::Reserved);
        }
        let session = self.sessions.get(&id).ok_or(JoinError::Unknown { id })?;
        let known = session.kept.rooms.get(room);
        let is_in = known.is_some_and(|membership| membership.away == away) && session.changing == 0;
        if is_in || id.as_str() == &**room {
            return Ok(false);
        }
        let limit = members.limits().rooms_per_socket;
        if known.is_none() && session.kept.rooms.len() + session.changing >= limit {
            return Err(JoinError::TooManyRooms { limit });
        }
        members.check_room(room)?;
        if session.changes_at_once() {
            let since = self.head;
            _ = self.change(id, |kept| kept.join(&ByteString::from(&**room), since, away));
            members.admit(id, room);
            return Ok(true);
        }
        if mutant!(JoinBeforeCommit) {
            members.admit(id, room);
        }
        self.push_change(now, id, pending, |change| Pending::Join { id, room: room.clone(), away, change })?;
        Ok(true)
    }

    fn leave_as<P>(
        &mut self,
        now: Now,
        id: SocketId,
        room: &ByteString,
        pending: &mut Option<ChangeId>,
        members: &mut Namespace<P>,
    ) -> Result<bool, JoinError> {
        let session = self.sessions.get(&id).ok_or(JoinError::Unknown { id })?;
        if !session.kept.rooms.contains_key(room) && session.changing == 0 {
            return Ok(false);
        }
        if session.changes_at_once() {
            _ = self.leave_at(id, room, self.head);
            members.leave(id, room);
            return Ok(true);
        }
        self.push_change(now, id, pending, |change| Pending::Leave { id, room: room.clone(), change })?;
        Ok(true)
    }

    fn push_change(
        &mut self,
        now: Now,
        id: SocketId,
        pending: &mut Option<ChangeId>,
        note: impl FnOnce(ChangeId) -> Pending,
    ) -> Result<(), JoinError> {
        let limit = self.config.pending_notes;
        if self.notes.len() >= limit {
            return Err(JoinError::Busy { limit });
        }
        let change = *pending.get_or_insert_with(|| self.notes.next_change());
        if let Some(Session { changing, .. }) = self.sessions.get_mut(&id) {
            *changing += 1;
        }
        self.notes.push(now.wall, note(change));
        Ok(())
    }
}

fn select<P>(target: &Target, members: &mut Namespace<P>) -> Vec<SocketId> {
    let mut selected = Vec::new();
    members.select_with_away(target, |id, _| selected.push(id));
    selected
}
