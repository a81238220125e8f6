//! What is handed over is written, synced and answered, in groups.

use std::{io, mem, sync::Arc};

use tenfour_delivery::{
    mutant,
    number::{Epoch, Offset},
};

use super::{
    Sync,
    format::{Control, HEADER, Header, RESERVE, Writer, control_length, entry_length},
    segment::{Filler, Order, capacity, fill, needed},
};
use crate::{Entry, Ticket, vfs::File};

/// What is to be written, all of it or nothing.
#[derive(Debug)]
pub(super) struct Job {
    /// Once a job is refused, so are the others of its generation: their offsets follow ones that were not given.
    pub(super) generation: u64,
    pub(super) work: Work,
}

#[derive(Debug)]
pub(super) enum Work {
    /// Entries to commit together, behind what is to be written down before them.
    Append { ticket: Ticket, entries: Vec<Entry>, controls: Vec<Control> },
    /// An append that was refused before it came here, and waits for those before it.
    Refuse { ticket: Ticket, reason: String },
    /// What is to be written down before all segments before this one go.
    Unlink { controls: Vec<Control>, before: u64 },
    /// What is to be written down.
    Note { controls: Vec<Control> },
}

#[derive(Debug)]
pub(super) enum Answer {
    /// The entries that are answered from here on stand in this segment.
    Rolled {
        header: Header,
        file: Arc<dyn File>,
    },
    Done(Done),
}

/// What came of a job.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) ticket: Option<Ticket>,
    pub(super) entries: Vec<Entry>,
    pub(super) controls: Vec<Control>,
    pub(super) outcome: Outcome,
}

#[derive(Clone, Debug)]
pub(super) enum Outcome {
    /// It is durable; its entries stand behind one another from this place in the segment on.
    Committed { at: u32 },
    /// Nothing of it was kept. All up to and with this generation is.
    Refused { reason: String, generation: Option<u64> },
    /// Nobody knows, and nothing will be written any more.
    Failed { reason: String },
}

/// Writes to the end of the log. Nobody else does.
#[derive(Debug)]
pub(super) struct Committer {
    pub(super) header: Header,
    pub(super) file: Arc<dyn File>,
    /// The end of what is written and synced, and the length of the file.
    pub(super) end: u64,
    pub(super) length: u64,
    /// The last entry that is synced.
    pub(super) committed: Offset,
    /// The first segment that may be on the disk.
    pub(super) oldest: u64,
    pub(super) sync: Sync,
    pub(super) segment_bytes: u64,
    pub(super) filler: Filler,
    pub(super) buffer: Vec<u8>,
    pub(super) refused: Option<Refusal>,
    /// Why nothing is written any more.
    pub(super) failed: Option<String>,
}

/// Jobs of this generation and before are refused.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    generation: u64,
    reason: String,
}

impl Refusal {
    fn outcome(self) -> Outcome {
        Outcome::Refused { reason: self.reason, generation: Some(self.generation) }
    }
}

/// Where answers go.
pub(super) trait Answers {
    fn answer(&mut self, answers: Vec<Answer>);
}

impl<F: FnMut(Vec<Answer>)> Answers for F {
    fn answer(&mut self, answers: Vec<Answer>) {
        self(answers);
    }
}

/// What is written together.
#[derive(Debug, Default)]
struct Group {
    done: Vec<Done>,
    last: Option<Offset>,
    generation: u64,
    unlink_before: u64,
}

impl Committer {
    /// Writes, syncs, and answers what is then true; `more` says whether jobs wait already.
    pub(super) fn commit(
        &mut self,
        jobs: impl Iterator<Item = Job>,
        answers: &mut impl Answers,
        more: impl FnOnce() -> bool,
    ) {
        let before = self.end;
        let mut group = Group::default();
        for job in jobs {
            self.take(job, &mut group, answers);
        }
        self.flush(&mut group, answers);
        if self.end != before && self.failed.is_none() && !more() {
            self.mark();
        }
    }

    /// Orders the next segment when half of this one is used.
    pub(super) fn look_ahead(&mut self) {
        if self.end > self.length / 2 && self.failed.is_none() {
            let order = self.next_segment(0);
            self.filler.order(order);
        }
    }

    /// Puts a job into the buffer, in another segment if this one is full.
    fn take(&mut self, job: Job, group: &mut Group, answers: &mut impl Answers) {
        let Job { generation, work } = job;
        let mut unlink_before = 0;
        // What makes room may use what is reserved for it.
        let (mut done, reserve) = match work {
            Work::Append { ticket, entries, controls } => {
                (Done::new(Some(ticket), entries, controls), RESERVE)
            }
            Work::Note { controls } => (Done::new(None, Vec::new(), controls), RESERVE),
            Work::Unlink { controls, before } => {
                unlink_before = before;
                (Done::new(None, Vec::new(), controls), 0)
            }
            Work::Refuse { ticket, reason } => {
                let outcome = Outcome::Refused { reason, generation: None };
                return group.done.push(Done { outcome, ..Done::new(Some(ticket), Vec::new(), Vec::new()) });
            }
        };
        if let Err(refused) = self.make_room(generation, &done, reserve, group, answers) {
            if !mutant!(FullDiskAcks) {
                done.outcome = refused;
            }
            return group.done.push(done);
        }
        group.unlink_before = group.unlink_before.max(unlink_before);
        group.generation = group.generation.max(generation);
        let next = Offset::new(group.last.unwrap_or(self.committed).get() + 1);
        let seed = self.header.seed();
        let mut writer = Writer { to: &mut self.buffer, seed, committed: self.committed };
        for control in &done.controls {
            writer.control(control, next);
        }
        // Relative to the end of what is written, until that is known.
        done.outcome = Outcome::Committed { at: writer.to.len() as u32 };
        for (place, entry) in done.entries.iter().enumerate() {
            writer.entry(entry, place + 1 < done.entries.len());
        }
        group.last = done.entries.last().map(|entry| entry.offset).or(group.last);
        group.done.push(done);
    }

    /// Goes on in a new segment if there is no room for so many bytes in this one.
    fn make_room(
        &mut self,
        generation: u64,
        done: &Done,
        reserve: usize,
        group: &mut Group,
        answers: &mut impl Answers,
    ) -> Result<(), Outcome> {
        self.refuses(generation)?;
        let bytes = done.length();
        if self.end + (self.buffer.len() + bytes + reserve) as u64 <= self.length {
            return Ok(());
        }
        self.flush(group, answers);
        self.refuses(generation)?;
        self.roll(bytes as u64, answers).map_err(|error| {
            let reason = format!("there is no room for a new segment: {error}");
            if done.entries.is_empty() {
                // It has no offset that others follow.
                return Outcome::Refused { reason, generation: None };
            }
            self.refused.insert(Refusal { generation, reason }).clone().outcome()
        })
    }

    fn refuses(&self, generation: u64) -> Result<(), Outcome> {
        let refusal = self.refused.as_ref().filter(|refusal| generation <= refusal.generation);
        refusal.map_or(Ok(()), |refusal| Err(refusal.clone().outcome()))
    }

    /// Writes what is gathered, and answers.
    fn flush(&mut self, group: &mut Group, answers: &mut impl Answers) {
        let Group { mut done, last, generation, unlink_before } = mem::take(group);
        if mutant!(UnlinkBeforeTrimRecord) {
            self.unlink(unlink_before);
        }
        let begin = self.end;
        let refused = self.write().err().map(|error| {
            let reason = format!("the records could not be written: {error}");
            Refusal { generation, reason }
        });
        match (&refused, &self.failed) {
            (None, None) => {
                self.committed = last.unwrap_or(self.committed);
                self.unlink(unlink_before);
            }
            (None, Some(_)) => {}
            (Some(_), _) => self.refused.clone_from(&refused),
        }
        for done in &mut done {
            let Outcome::Committed { at } = &mut done.outcome else { continue };
            *at += begin as u32;
            if let Some(reason) = self.failed.clone() {
                done.outcome = Outcome::Failed { reason };
            } else if let Some(refusal) = refused.clone() {
                done.outcome = refusal.outcome();
            }
        }
        if !done.is_empty() {
            answers.answer(done.into_iter().map(Answer::Done).collect());
        }
    }

    fn unlink(&mut self, before: u64) {
        if self.oldest < before {
            self.filler.unlink(self.oldest..before);
            self.oldest = before;
        }
    }

    /// Appends the buffer, and syncs it. An error means that none of it is in the log; whatever else goes wrong is final.
    fn write(&mut self) -> io::Result<()> {
        let buffer = mem::take(&mut self.buffer);
        let written =
            if buffer.is_empty() || self.failed.is_some() { Ok(()) } else { self.write_all(&buffer) };
        self.buffer = buffer;
        self.buffer.clear();
        self.buffer.shrink_to(1024 * 1024);
        written
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let end = self.end + bytes.len() as u64;
        if let Err(error) = self.file.write_at(bytes, self.end) {
            // A part of it may be there, and must not be taken for a record when the log is opened again.
            let undone = fill(&*self.file, self.end, end).and_then(|()| self.sync.data(&*self.file));
            if undone.is_ok() {
                return Err(error);
            }
            self.failed = Some(format!("a write failed, and could not be undone: {error}"));
            return Ok(());
        }
        let synced = if mutant!(AckBeforeSync) { Ok(()) } else { self.sync.data(&*self.file) };
        match synced {
            Err(error) if !mutant!(FailedSyncIgnored) => {
                // What the system could not write it may have dropped, and a second sync would not tell.
                self.failed = Some(format!("a sync failed, which is final: {error}"));
            }
            _ => self.end = end,
        }
        Ok(())
    }

    /// Goes on in a new segment, which has room for so many bytes.
    fn roll(&mut self, bytes: u64, answers: &mut impl Answers) -> io::Result<()> {
        if self.failed.is_some() {
            return Ok(());
        }
        let order = self.next_segment(bytes);
        let file = self.filler.take(order)?;
        let first = Offset::new(self.committed.get() + 1);
        let header = Header { id: order.id, after: self.header.id, first, ..self.header };
        // The header is synced before any record, so that a segment without one never held anything.
        if let Err(error) = file.write_at(&header.encode(), 0) {
            // With a header that lasts, the log would go on there.
            let undone = fill(&*file, 0, HEADER as u64).and_then(|()| self.sync.data(&*file));
            if undone.is_ok() {
                return Err(error);
            }
            self.failed = Some(format!("a new segment could not be begun, nor left: {error}"));
            return Ok(());
        }
        if let Err(error) = self.sync.data(&*file) {
            self.failed = Some(format!("a sync failed, which is final: {error}"));
            return Ok(());
        }
        (self.header, self.length, self.end) = (header, order.length, HEADER as u64);
        self.file = Arc::clone(&file);
        answers.answer(vec![Answer::Rolled { header, file }]);
        Ok(())
    }

    fn next_segment(&self, bytes: u64) -> Order {
        let id = self.header.id + 1;
        let length = capacity(id, self.segment_bytes).max(needed(bytes));
        Order { id, length, sync: self.sync }
    }

    /// Says in the log that all of it is committed. It is not synced, and the next record is written over it; but should
    /// its last records be found damaged, then it proves that they had been acknowledged.
    fn mark(&mut self) {
        let next = Offset::new(self.committed.get() + 1);
        let seed = self.header.seed();
        let mut writer = Writer { to: &mut self.buffer, seed, committed: self.committed };
        writer.control(&Control::Mark, next);
        if self.end + self.buffer.len() as u64 <= self.length {
            // Nothing is lost without it. If the disk is failing, the next write says so.
            drop(self.file.write_at(&self.buffer, self.end));
        }
        self.buffer.clear();
    }
}

impl Done {
    fn new(ticket: Option<Ticket>, entries: Vec<Entry>, controls: Vec<Control>) -> Self {
        Self { ticket, entries, controls, outcome: Outcome::Committed { at: 0 } }
    }

    /// Bytes that it takes.
    fn length(&self) -> usize {
        let controls: usize = self.controls.iter().map(control_length).sum();
        controls + self.entries.iter().map(|entry| entry_length(&entry.record)).sum::<usize>()
    }
}

/// Writes a segment's header, and makes it last.
pub(super) fn start(file: &dyn File, header: &Header, sync: Sync) -> io::Result<()> {
    file.write_at(&header.encode(), 0)?;
    sync.data(file)
}

/// The header of a log's first segment.
pub(super) const fn first_header(epoch: Epoch) -> Header {
    Header { epoch, id: 1, after: 0, first: Offset::new(1), base: Offset::new(1) }
}
