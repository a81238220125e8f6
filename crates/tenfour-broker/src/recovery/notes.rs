//! Notes on their way into the log, and what they change when they are there.

use alloc::{
    collections::{BTreeMap, VecDeque},
    format, vec,
    vec::Vec,
};

use bytestring::ByteString;
use tenfour_delivery::{
    log::{AppendError, Ticket},
    mutant,
    number::Offset,
    time::{Now, WallTime},
};

use super::{
    Away, ChangeError, ChangeId, Effect, Event, Recovery,
    restore::Checkpoint,
    session::{Phase, Session, Written},
};
use crate::{
    Namespace, SocketId,
    channel::{Entry, NOTES, Record},
    note::Note,
};

/// Notes from the call to the answer. One append is under way at a time, and what is noted meanwhile becomes the next.
#[derive(Clone, Debug, Default, Hash)]
pub(super) struct Notes {
    queue: VecDeque<Queued>,
    appending: Option<(Ticket, Appending)>,
    next_change: u64,
    changes: BTreeMap<ChangeId, Waiting>,
    /// Ends of sessions that the log has refused.
    refused: Vec<Queued>,
    /// The log failed for good.
    pub(super) failed: Option<AppendError>,
    pub(super) checkpoint: Option<Checkpoint>,
    /// When the last note was made.
    pub(super) wall: WallTime,
    /// The last note that is committed.
    pub(super) last: Option<Offset>,
    /// Notes since the sessions were written down anew.
    pub(super) since_checkpoint: usize,
    pub(super) wants_checkpoint: bool,
    pub(super) release: Option<Offset>,
}

#[derive(Clone, Debug, Hash)]
struct Queued {
    wall: WallTime,
    pending: Pending,
}

/// A note that is to be written.
#[derive(Clone, Debug, Hash)]
pub(super) enum Pending {
    /// As the session is when it is written.
    Open {
        id: SocketId,
    },
    Join {
        id: SocketId,
        room: ByteString,
        away: Away,
        change: ChangeId,
    },
    Leave {
        id: SocketId,
        room: ByteString,
        change: ChangeId,
    },
    Data {
        id: SocketId,
        data: ByteString,
        change: ChangeId,
    },
    Close {
        id: SocketId,
    },
}

#[derive(Clone, Debug, Hash)]
enum Appending {
    Notes(Vec<Queued>),
    /// Sessions as they are, up to this one.
    Checkpoint(SocketId),
}

/// A change of some sessions that was asked for as one.
#[derive(Clone, Debug, Default, Hash)]
struct Waiting {
    parts: usize,
    error: Option<ChangeError>,
}

impl Notes {
    pub(super) fn push(&mut self, wall: WallTime, pending: Pending) {
        if let Pending::Join { change, .. } | Pending::Leave { change, .. } | Pending::Data { change, .. } =
            &pending
        {
            self.changes.entry(*change).or_default().parts += 1;
        }
        self.wall = wall;
        self.queue.push_back(Queued { wall, pending });
    }

    /// A session that the log has refused goes before all that changes it: it is written as it is by then.
    fn push_front(&mut self, wall: WallTime, id: SocketId) {
        self.wall = wall;
        self.queue.push_front(Queued { wall, pending: Pending::Open { id } });
    }

    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    pub(super) fn next_change(&mut self) -> ChangeId {
        self.next_change += 1;
        ChangeId(self.next_change)
    }
}

impl Recovery {
    pub(super) fn next_release(&mut self) -> Option<Effect> {
        let through = self.notes.release.take()?;
        Some(Effect::Release { channel: NOTES, through })
    }

    pub(super) fn next_append(&mut self, ticket: Ticket) -> Option<Effect> {
        if self.notes.appending.is_some() {
            return None;
        }
        if let Some(error) = self.notes.failed.clone() {
            let queue = core::mem::take(&mut self.notes.queue);
            self.fail(queue.into(), &error);
            return None;
        }
        let (records, appending) = match self.next_checkpoint() {
            Some((records, last)) => (records, Appending::Checkpoint(last)),
            None => {
                let (records, notes) = self.next_notes()?;
                (records, Appending::Notes(notes))
            }
        };
        self.notes.appending = Some((ticket, appending));
        Some(Effect::Append { ticket, records })
    }

    /// The next of the queue, without what has become pointless meanwhile.
    fn next_notes(&mut self) -> Option<(Vec<Record>, Vec<Queued>)> {
        let (mut records, mut notes) = (Vec::new(), Vec::new());
        while records.len() < self.config.append_notes.max(1)
            && let Some(queued) = self.notes.queue.pop_front()
        {
            match self.write(&queued.pending) {
                Some(note) => {
                    records.push(record(queued.wall, &note));
                    notes.push(queued);
                }
                None => self.answer(&queued.pending, Err(ChangeError::Ended)),
            }
        }
        (!records.is_empty()).then_some((records, notes))
    }

    /// The note, unless its session is over.
    fn write(&self, pending: &Pending) -> Option<Note> {
        Some(match pending {
            Pending::Open { id } => Note::Opened(self.sessions.get(id)?.kept.clone().into()),
            Pending::Join { id, room, away, .. } => {
                self.sessions.get(id)?;
                Note::Joined { id: *id, room: room.clone(), away: *away }
            }
            Pending::Leave { id, room, .. } => {
                self.sessions.get(id)?;
                Note::Left { id: *id, room: room.clone() }
            }
            Pending::Data { id, data, .. } => {
                self.sessions.get(id)?;
                Note::Data { id: *id, data: data.clone() }
            }
            Pending::Close { id } => Note::Closed { id: *id },
        })
    }

    /// The log's answer to an [`Effect::Append`]. One that is not expected changes nothing. To be called in the log's order
    /// with [`Recovery::fan_out`].
    pub fn committed<P>(
        &mut self,
        now: Now,
        ticket: Ticket,
        result: Result<Vec<Entry>, AppendError>,
        members: &mut Namespace<P>,
    ) {
        let Some((_, appended)) = self.notes.appending.take_if(|(appending, _)| *appending == ticket) else {
            return;
        };
        let entries = result.and_then(|entries| match &appended {
            Appending::Notes(notes) if notes.len() != entries.len() => {
                let reason = format!("{} entries for {} records", entries.len(), notes.len());
                Err(AppendError::Failed { reason })
            }
            _ => Ok(entries),
        });
        match (entries, appended) {
            (Ok(entries), Appending::Notes(notes)) => {
                for (entry, queued) in entries.iter().zip(notes) {
                    self.commit(entry.offset, queued.pending, members);
                }
            }
            (Ok(entries), Appending::Checkpoint(last)) => self.checkpointed(&entries, last),
            (Err(error), appended) => {
                if matches!(error, AppendError::Failed { .. }) {
                    self.notes.failed = Some(error.clone());
                }
                self.notes.checkpoint = None;
                self.retry_at.get_or_insert(now.mono + self.config.retry);
                if let Appending::Notes(notes) = appended {
                    self.fail(notes, &error);
                }
            }
        }
    }

    /// A note is in the log: what it says is so from here on.
    fn commit<P>(&mut self, offset: Offset, pending: Pending, members: &mut Namespace<P>) {
        self.head = self.head.max(offset);
        self.notes.last = Some(offset);
        self.notes.since_checkpoint += 1;
        let result = match &pending {
            Pending::Open { id } => {
                if let Some(session) = self.sessions.get_mut(id) {
                    session.written = Written::Yes;
                }
                Ok(())
            }
            Pending::Join { id, room, away, .. } => {
                self.change(*id, |kept| kept.join(room, offset, *away)).map(|()| members.admit(*id, room))
            }
            Pending::Leave { id, room, .. } => self.leave_at(*id, room, offset).map(|()| {
                members.leave(*id, room);
            }),
            Pending::Data { id, data, .. } => {
                self.change(*id, |kept| kept.data = Some(data.clone())).map(|()| {
                    // It was short enough when it was noted.
                    _ = members.set_data(*id, data.clone());
                })
            }
            Pending::Close { .. } => Ok(()),
        };
        self.answer(&pending, result);
    }

    /// Changes what is kept of a session.
    pub(super) fn change<R>(
        &mut self,
        id: SocketId,
        change: impl FnOnce(&mut super::Snapshot) -> R,
    ) -> Result<R, ChangeError> {
        let session = self.sessions.get_mut(&id).ok_or(ChangeError::Ended)?;
        let before = session.kept.bytes();
        let result = change(&mut session.kept);
        if let Phase::Away(_) = session.phase {
            self.parked_bytes = self.parked_bytes - before + session.kept.bytes();
        }
        Ok(result)
    }

    /// A session is not in a room from here on. Where so many rooms were left that one is forgotten which is still to be read
    /// for it, its client is told of a loss.
    pub(super) fn leave_at(&mut self, id: SocketId, room: &str, until: Offset) -> Result<(), ChangeError> {
        let most = self.config.left_rooms;
        self.change(id, |kept| kept.leave(room, until, most))?;
        if let Some(Session { reader: Some(reader), kept, .. }) = self.sessions.get_mut(&id) {
            reader.forget(kept.floor);
            self.queue_read(id);
        }
        Ok(())
    }

    /// None of these notes is in the log.
    fn fail(&mut self, notes: Vec<Queued>, error: &AppendError) {
        for queued in notes {
            match queued.pending {
                Pending::Open { id } => self.refused(id, error),
                Pending::Close { .. } => self.notes.refused.push(queued),
                pending => {
                    if let (Pending::Join { id, room, away, .. }, true) =
                        (&pending, mutant!(RefusedChangeMade))
                    {
                        let since = self.head;
                        _ = self.change(*id, |kept| kept.join(room, since, *away));
                    }
                    self.answer(&pending, Err(error.clone().into()));
                }
            }
        }
    }

    fn refused(&mut self, id: SocketId, error: &AppendError) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        if let AppendError::Failed { .. } = error {
            // The log may have it all the same. So it stays as if it were on its way, and what would change it is refused.
            session.written = Written::Queued;
        } else {
            session.written = Written::Due;
            self.unwritten.insert(id);
        }
        self.events.push_back(Event::Unwritten { id, error: error.clone() });
    }

    /// Offers the log again what it has refused.
    pub(super) fn write_again(&mut self, now: Now) {
        if self.notes.failed.is_some() {
            return;
        }
        for queued in core::mem::take(&mut self.notes.refused) {
            self.notes.queue.push_back(queued);
        }
        for id in core::mem::take(&mut self.unwritten) {
            if let Some(session) = self.sessions.get_mut(&id) {
                session.written = Written::Queued;
                self.notes.push_front(now.wall, id);
            }
        }
    }

    /// Tells whoever waits for a change, when all its parts are answered.
    fn answer(&mut self, pending: &Pending, result: Result<(), ChangeError>) {
        let (id, change) = match pending {
            Pending::Join { id, change, .. }
            | Pending::Leave { id, change, .. }
            | Pending::Data { id, change, .. } => (*id, *change),
            Pending::Open { .. } | Pending::Close { .. } => return,
        };
        if let Some(session) = self.sessions.get_mut(&id) {
            session.changing -= 1;
        }
        let Some(waiting) = self.notes.changes.get_mut(&change) else { return };
        waiting.parts -= 1;
        waiting.error = waiting.error.take().or(result.err());
        if waiting.parts == 0 {
            let error = self.notes.changes.remove(&change).and_then(|waiting| waiting.error);
            let result = error.map_or(Ok(()), Err);
            self.events.push_back(Event::Changed { change, result });
        }
    }
}

pub(super) fn record(wall: WallTime, note: &Note) -> Record {
    Record { channels: vec![NOTES], producer: None, ingested: wall, expires: None, payload: note.to_stored() }
}
