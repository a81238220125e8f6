//! Sessions are read back from the log, and written down anew so that old notes can go.

use core::ops::Bound;

use alloc::vec::Vec;

use bytes::Bytes;
use tenfour_delivery::{mutant, number::Offset, time::Now};

use super::{
    EndReason, Recovery,
    notes::record,
    session::{Phase, Session, Written},
};
use crate::{
    Namespace, SocketId,
    channel::{Entry, Record, StoredError},
    note::Note,
};

/// The sessions on their way into the log, as they are: once the last of those that there were is written, what was noted before
/// the first is needed no more.
#[derive(Clone, Debug, Hash)]
pub(super) struct Checkpoint {
    /// Where the first of them stands.
    start: Option<Offset>,
    /// The last that is written.
    after: Option<SocketId>,
}

/// Bytes of the sessions of one append, which is finished with the session that passes it.
const CHUNK: usize = 256 * 1024;

impl Recovery {
    /// Takes an entry of [`NOTES`](crate::channel::NOTES) that is in the log already, in the log's order and before any
    /// other call.
    ///
    /// # Errors
    /// If another version wrote it, or it is damaged: what the sessions are is not known then.
    pub fn restore(&mut self, entry: &Entry) -> Result<(), StoredError> {
        let (offset, most) = (entry.offset, self.config.left_rooms);
        self.notes.last = Some(offset);
        self.notes.wall = entry.record.ingested;
        self.notes.since_checkpoint += 1;
        // A session may be there for long, and would keep the whole page that it was read with.
        match Note::from_stored(&Bytes::copy_from_slice(&entry.record.payload))? {
            Note::Opened(kept) => {
                let id = kept.id;
                self.forget(id);
                self.pids.insert(kept.pid, id);
                let phase = Phase::Away(Default::default());
                let session =
                    Session { kept: *kept, written: Written::Yes, changing: 0, phase, reader: None };
                self.sessions.insert(id, session);
            }
            Note::Closed { id } => self.forget(id),
            Note::Joined { id, room, away } => {
                if let Some(session) = self.sessions.get_mut(&id) {
                    session.kept.join(&room, offset, away);
                }
            }
            Note::Left { id, room } => {
                if let Some(session) = self.sessions.get_mut(&id) {
                    session.kept.leave(&room, offset, most);
                }
            }
            Note::Data { id, data } => {
                if let Some(session) = self.sessions.get_mut(&id) {
                    session.kept.data = Some(data);
                }
            }
            Note::Answer { .. } => {}
        }
        Ok(())
    }

    /// The notes are read: all sessions wait for their clients from now on. `head` is the log's last entry.
    pub fn restored<P>(&mut self, now: Now, head: Offset, members: &mut Namespace<P>) {
        self.head = self.head.max(head);
        let until = now.mono + self.config.away;
        let mut refused = Vec::new();
        for (&id, session) in &mut self.sessions {
            session.phase = Phase::Away(until);
            if mutant!(MembershipRestoredFromEnd) {
                session.kept.rooms.values_mut().for_each(|membership| membership.since = head);
            }
            self.parked.insert((until, id));
            self.parked_bytes += session.kept.bytes();
            if members.insert_away(id).is_err() {
                refused.push(id);
            }
            for room in session.kept.rooms.keys() {
                members.admit(id, room);
            }
            if let Some(data) = &session.kept.data {
                // Where the bound is lower than it was, the session keeps what the namespace does not.
                _ = members.set_data(id, data.clone());
            }
        }
        for id in refused {
            self.end(now, id, EndReason::Evicted, members);
        }
    }

    /// Writes the sessions down anew when it is next the log's turn, so that the notes before can go: for a log that holds
    /// nothing but them. Without notes since the last time nothing happens.
    pub fn checkpoint(&mut self) {
        self.notes.wants_checkpoint = self.notes.since_checkpoint > 0 && self.retry_at.is_none();
    }

    /// The next sessions to write down, and the last of them.
    pub(super) fn next_checkpoint(&mut self) -> Option<(Vec<Record>, SocketId)> {
        let many = self.config.checkpoint_notes.max(2 * self.sessions.len());
        if self.notes.checkpoint.is_none() {
            let is_due = self.notes.since_checkpoint >= many && self.retry_at.is_none();
            if !core::mem::take(&mut self.notes.wants_checkpoint) && !is_due {
                return None;
            }
            self.notes.since_checkpoint = 0;
            self.notes.checkpoint = Some(Checkpoint { start: None, after: None });
        }
        let after = self.notes.checkpoint.as_ref().and_then(|checkpoint| checkpoint.after);
        let after = after.map_or(Bound::Unbounded, Bound::Excluded);
        let (mut records, mut bytes, mut last) = (Vec::new(), 0, None);
        for (id, session) in self.sessions.range((after, Bound::Unbounded)) {
            if session.written != Written::Yes {
                continue;
            }
            let mut kept = session.kept.clone();
            if mutant!(CheckpointForgetsLeftRooms) {
                kept.left.clear();
            }
            let note = record(self.notes.wall, &Note::Opened(kept.into()));
            bytes += note.payload.len();
            records.push(note);
            last = Some(*id);
            if bytes >= CHUNK || records.len() >= self.config.append_notes.max(1) {
                break;
            }
        }
        match last {
            Some(last) => Some((records, last)),
            None => {
                let done = self.notes.checkpoint.take()?;
                self.notes.release = done
                    .start
                    .filter(|_| !mutant!(CheckpointReleasesTooMuch))
                    .map(before)
                    .or(self.notes.last);
                None
            }
        }
    }

    /// Sessions are written down, up to this one.
    pub(super) fn checkpointed(&mut self, entries: &[Entry], last: SocketId) {
        if let Some(entry) = entries.last() {
            self.head = self.head.max(entry.offset);
            self.notes.last = Some(entry.offset);
        }
        let Some(checkpoint) = &mut self.notes.checkpoint else { return };
        checkpoint.start = checkpoint.start.or(entries.first().map(|entry| entry.offset));
        checkpoint.after = Some(last);
    }

    fn forget(&mut self, id: SocketId) {
        if let Some(session) = self.sessions.remove(&id) {
            self.pids.remove(&session.kept.pid);
        }
    }
}

fn before(offset: Offset) -> Offset {
    Offset::new(offset.get().saturating_sub(1))
}
