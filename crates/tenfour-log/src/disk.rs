//! A log on a disk.

use std::{
    any::Any,
    collections::{BTreeMap, VecDeque},
    io, mem,
    path::PathBuf,
    sync::Arc,
    task::Waker,
    thread::JoinHandle,
};

use bytestring::ByteString;
use tenfour_delivery::{
    number::{Epoch, Offset},
    resume::History,
    time::WallTime,
};

use self::{
    committer::{Answer, Committer, Done, Job, Outcome, Work},
    format::{Control, MAX_CHANNELS, MAX_NAME, entry_length},
    index::{Index, Place},
    queue::Queue,
    read::{Reader, Tail},
    segment::Filler,
};
use crate::{
    AppendError, Completion, Entry, Log, Page, Query, ReadError, Record, Ticket, check_names,
    shelf::Shelf as _, vfs::Vfs,
};

pub use config::{Commit, Config, OnDamage, Sync};
use report::Trying as _;
pub use report::{Cut, CutReason, OpenError, Recovery};

mod channels;
mod committer;
mod config;
mod files;
mod format;
mod index;
mod open;
mod queue;
mod read;
mod report;
mod scan;
mod segment;

#[cfg(test)]
mod tests;

/// The log on a disk: what it has answered survives the process, and a power failure.
///
/// ```
/// use bytes::Bytes;
/// use tenfour_delivery::{number::{Epoch, Offset}, time::WallTime};
/// use tenfour_log::{Disk, Log, Query, Record, Ticket, disk::Config};
///
/// let directory = tempfile::tempdir()?;
/// let (mut log, found) = Disk::open(directory.path(), Config::new(Epoch::new(1)))?;
/// assert_eq!((found.entries, found.cut), (0, None));
///
/// let record = Record {
///     channels: vec!["news".into()],
///     producer: None,
///     ingested: WallTime::from_unix_millis(1_000),
///     expires: None,
///     payload: Bytes::from_static(b"hello"),
/// };
/// log.append(Ticket(1), vec![record]);
/// log.wait(); // a server is woken instead: `Log::wake_when_answered`
/// let entries = log.poll().expect("it was waited for").result?;
/// drop(log);
///
/// // Another process, another day; the epoch would be that of a new log.
/// let (log, found) = Disk::open(directory.path(), Config::new(Epoch::new(2)))?;
/// assert_eq!((log.epoch(), found.entries), (Epoch::new(1), 1));
/// assert_eq!(log.read(&Query::of("news".into(), Offset::START))?.entries, entries);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # How it is kept
/// Entries stand behind one another in segments, files that are made ahead and filled with zeros. One thread commits:
/// whatever was appended while it synced is written and synced together, and then answered. A read goes to a tail in
/// memory or to the files, and waits for nobody.
///
/// Which channel has which entries is known in memory: 24 bytes for an entry and 20 for each of its channels, and about 300
/// for a channel. It is built again when the log is opened.
///
/// # What is trimmed
/// As [`Retention`](crate::Retention) says, entry by entry, and at once; only that bytes are those that an entry takes on the disk. The space
/// comes back by whole segments, from the old end, once a segment holds nothing but what was trimmed or released. What was
/// trimmed by age is known to be so after a restart, too, except for what was trimmed after the last commit, if the process
/// was killed. A channel's history stays true when all its entries are gone.
///
/// # What goes wrong
/// - **The disk is full**: an append is refused, with all that were handed over behind it; nothing else is lost, and
///   the next one tries again.
/// - **A sync fails**: the log has failed. What was on its way is answered so, and so is every further append, until the log
///   is opened again: a system may have dropped what it could not write. What was committed can be read.
/// - **The process was killed, or the power failed**: when it is opened, what was being written is cut off and
///   [told](Recovery::cut). Nothing of that was acknowledged, so the epoch stays. An append is there as a whole or not at all.
/// - **The disk damaged what was committed**: see [`OnDamage`]. Where entries were cut off that records behind them prove to
///   have been committed, the log has a new epoch, so that no cursor is taken for one on entries that came in their place.
///   When that cannot be known, because the damage took the very last records and the mark behind them too, it looks like the
///   power failure above.
#[derive(Debug)]
pub struct Disk {
    index: Index,
    tail: Tail,
    queue: Arc<Queue>,
    answers: VecDeque<Answer>,
    unanswered: VecDeque<Ticket>,
    /// The offset that was assigned last.
    assigned: Offset,
    generation: u64,
    /// Bytes on their way.
    waiting: usize,
    queue_bytes: usize,
    notes: Notes,
    unlink: Unlink,
    engine: Engine,
    _lock: Box<dyn Any + Send + std::marker::Sync>,
}

#[derive(Debug)]
enum Engine {
    Thread(Vec<JoinHandle<()>>),
    Manual(Box<Committer>),
}

/// What is written down with the next append: it is true of the log whether it is durable or not.
#[derive(Debug, Default)]
struct Notes {
    floor: Option<Offset>,
    released: BTreeMap<ByteString, Offset>,
}

/// Segments that are to be removed.
#[derive(Debug, Default)]
struct Unlink {
    /// What is to be written down before, and the number of the first segment that stays.
    waiting: Option<(Vec<Control>, u64)>,
    /// Whether others are on their way already.
    is_underway: bool,
    /// Whether there was no room for it, so that nothing else is written down with it.
    is_bare: bool,
}

impl Disk {
    /// Opens the log in a directory, which is made if there is none; and says what was found there.
    ///
    /// # Errors
    /// If another process has it open, if it is damaged or of a later version, or if the system refuses. The files are then
    /// as they were.
    #[cfg(unix)]
    pub fn open(directory: impl Into<PathBuf>, config: Config) -> Result<(Self, Recovery), OpenError> {
        let vfs = crate::vfs::Std::new(directory).trying(|| "make the log's directory".into())?;
        Self::open_on(Arc::new(vfs), config)
    }

    /// The same on any file system.
    ///
    /// # Errors
    /// As for [`Disk::open`].
    pub fn open_on(vfs: Arc<dyn Vfs>, config: Config) -> Result<(Self, Recovery), OpenError> {
        let lock = vfs.lock().map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => OpenError::Locked,
            _ => OpenError::Io { what: "lock the log".into(), error },
        })?;
        let open::Opened { index, mut committer, report } = open::open(&vfs, &config)?;
        let queue = Arc::new(Queue::default());
        let engine = match config.commit {
            Commit::Manual => Engine::Manual(Box::new(committer)),
            Commit::Thread => {
                let starting = || "start the log's threads".into();
                let (filler, files) = Filler::start(vfs).trying(starting)?;
                committer.filler = filler;
                Engine::Thread(vec![queue.serve(committer).trying(starting)?, files])
            }
        };
        let log = Self {
            assigned: index.head,
            index,
            tail: Tail::new(config.tail_bytes),
            queue,
            answers: VecDeque::new(),
            unanswered: VecDeque::new(),
            generation: 1,
            waiting: 0,
            queue_bytes: config.queue_bytes,
            notes: Notes::default(),
            unlink: Unlink::default(),
            engine,
            _lock: lock,
        };
        Ok((log, report))
    }

    /// Commits what was handed over, if that is for the caller to do: [`Commit::Manual`].
    pub fn commit_now(&mut self) {
        if let Engine::Manual(committer) = &mut self.engine {
            let jobs = self.queue.take_jobs();
            committer.commit(jobs.into_iter(), &mut |answers| self.queue.answer(answers), || false);
        }
    }

    /// Waits until every append so far can be polled. With [`Commit::Manual`], commits them.
    pub fn wait(&mut self) {
        self.commit_now();
        self.queue.wait();
    }

    /// How many segments there are.
    #[must_use]
    pub fn segments(&self) -> usize {
        self.index.segments().count()
    }

    fn check(&self, records: &[Record]) -> Result<(), AppendError> {
        check_names(records)?;
        let refused = |reason: String| Err(AppendError::Refused { reason });
        for record in records {
            if record.channels.len() > MAX_CHANNELS {
                return refused(format!("a record names more than {MAX_CHANNELS} channels"));
            }
            if record.channels.iter().any(|name| name.len() > MAX_NAME) {
                return refused(format!("a channel's name is longer than {MAX_NAME} bytes"));
            }
        }
        let bytes = records.iter().map(entry_length).fold(0, usize::saturating_add);
        if bytes as u64 > open::MAX_SEGMENT / 2 {
            return refused(format!("{bytes} bytes are too many for one append"));
        }
        if self.waiting > 0 && self.waiting.saturating_add(bytes) > self.queue_bytes {
            return refused(format!("{} bytes wait to be committed already", self.waiting));
        }
        Ok(())
    }

    /// Makes entries of records, as they will be if nothing before them is refused.
    fn assign(&mut self, record: Record) -> Entry {
        let offset = Offset::new(self.assigned.get() + 1);
        self.assigned = offset;
        let mut record = record;
        let names = record.channels.iter_mut();
        let previous = names.map(|name| {
            let number = self.index.channel_number(name);
            let Some(slot) = self.index.channels.get_mut(number) else { return Offset::START };
            slot.pending += 1;
            *name = slot.name.clone();
            mem::replace(&mut slot.assigned, offset)
        });
        let previous = previous.collect();
        Entry { offset, previous, record }
    }

    /// Takes what came of a job into the index.
    fn done(&mut self, done: Done) -> Option<Completion> {
        let Done { ticket, entries, controls, outcome } = done;
        self.waiting -= entries.iter().map(|entry| entry_length(&entry.record)).sum::<usize>();
        let Some(ticket) = ticket else {
            self.unlinked(controls, outcome);
            return None;
        };
        let result = match outcome {
            Outcome::Committed { at } => Ok(self.committed(entries, at)),
            Outcome::Refused { reason, generation } => {
                self.take_back(&entries, generation);
                self.notes.put_back(controls);
                Err(AppendError::Refused { reason })
            }
            Outcome::Failed { reason } => {
                self.take_back(&entries, None);
                Err(AppendError::Failed { reason })
            }
        };
        self.reap();
        Some(Completion { ticket, result })
    }

    fn committed(&mut self, entries: Vec<Entry>, mut at: u32) -> Vec<Entry> {
        let mut numbers = Vec::new();
        for entry in &entries {
            self.number(entry, &mut numbers);
            let length = entry_length(&entry.record) as u32;
            self.index.commit(Place::new(at, length, entry.record.ingested), &numbers);
            self.tail.push(entry.clone());
            at += length;
        }
        entries
    }

    /// The numbers of an entry's channels, which have one less on its way.
    fn number(&mut self, entry: &Entry, numbers: &mut Vec<u32>) {
        numbers.clear();
        for name in &entry.record.channels {
            let number = self.index.channels.find(name);
            let slot = number.and_then(|number| self.index.channels.get_mut(number));
            if let (Some(number), Some(slot)) = (number, slot) {
                slot.pending -= 1;
                numbers.push(number);
            }
        }
    }

    /// These entries will not be. If their generation has not ended yet, nothing that was assigned in it holds.
    fn take_back(&mut self, entries: &[Entry], generation: Option<u64>) {
        if generation.is_some_and(|refused| refused >= self.generation) {
            self.generation += 1;
            self.assigned = self.index.head;
            for slot in self.index.channels.iter_mut() {
                slot.assigned = slot.channel.head();
            }
        }
        let mut numbers = Vec::new();
        for entry in entries {
            self.number(entry, &mut numbers);
        }
    }

    /// Has segments removed that hold nothing any more.
    fn reap(&mut self) {
        if let Some((mut controls, before)) = self.index.drop_segments() {
            // What waits names what would be named nowhere else.
            let earlier = self.unlink.waiting.take().map_or(Vec::new(), |(earlier, _)| earlier);
            controls.splice(0..0, earlier);
            self.unlink.waiting = Some((controls, before));
        }
        if !self.unlink.is_underway
            && let Some((controls, before)) = self.unlink.waiting.take()
        {
            self.unlink.is_underway = true;
            let notes = if self.unlink.is_bare { Vec::new() } else { self.notes.take() };
            let controls = notes.into_iter().chain(controls).collect();
            self.queue.push(Job { generation: self.generation, work: Work::Unlink { controls, before } });
        }
    }

    fn unlinked(&mut self, controls: Vec<Control>, outcome: Outcome) {
        self.unlink.is_underway = false;
        self.unlink.is_bare = false;
        if let Outcome::Refused { generation, .. } = outcome {
            self.take_back(&[], generation);
            self.postpone(controls);
        }
    }

    /// There was no room to write down what is to be written down before segments go. The least of it is tried again: not
    /// the names of channels, which are forgotten instead.
    fn postpone(&mut self, controls: Vec<Control>) {
        let mut forgotten = self.index.channels.forgotten;
        let mut trim = None;
        for control in &controls {
            match control {
                Control::Heads(heads) => {
                    forgotten = heads.iter().map(|(_, head)| *head).fold(forgotten, Offset::max);
                }
                Control::Trim { base, .. } => trim = Some(*base),
                _ => {}
            }
        }
        self.index.channels.forgotten = forgotten;
        self.notes.put_back(controls);
        let first = self.index.segments().next().map(|segment| segment.id);
        // If more has become free since, that waits, and is tried with its notes.
        if let (Some(base), Some(before), None) = (trim, first, &self.unlink.waiting) {
            self.unlink.waiting = Some((vec![Control::Trim { base, forgotten }], before));
            self.unlink.is_bare = true;
        }
    }
}

impl Notes {
    /// What is to be written down.
    fn take(&mut self) -> Vec<Control> {
        let Self { floor, released } = mem::take(self);
        let released = released.into_iter().map(|(channel, through)| Control::Release { channel, through });
        floor.map(Control::Floor).into_iter().chain(released).collect()
    }

    fn put_back(&mut self, controls: Vec<Control>) {
        for control in controls {
            match control {
                Control::Floor(floor) => self.floor = self.floor.max(Some(floor)),
                Control::Release { channel, through } => self.release(channel, through),
                _ => {}
            }
        }
    }

    fn release(&mut self, channel: ByteString, through: Offset) {
        let released = self.released.entry(channel).or_insert(through);
        *released = through.max(*released);
    }
}

impl Log for Disk {
    fn epoch(&self) -> Epoch {
        self.index.epoch
    }

    fn head(&self) -> Offset {
        self.index.head
    }

    fn append(&mut self, ticket: Ticket, records: Vec<Record>) {
        let work = match self.check(&records) {
            Err(refused) => Work::Refuse { ticket, reason: refused.to_string() },
            Ok(()) => {
                self.waiting += records.iter().map(entry_length).sum::<usize>();
                let entries = records.into_iter().map(|record| self.assign(record)).collect();
                Work::Append { ticket, entries, controls: self.notes.take() }
            }
        };
        self.unanswered.push_back(ticket);
        self.queue.push(Job { generation: self.generation, work });
    }

    fn poll(&mut self) -> Option<Completion> {
        loop {
            if self.answers.is_empty()
                && !self.queue.take_answers(&mut self.answers)
                && self.answers.is_empty()
            {
                // Its thread has panicked, and nobody else answers.
                let ticket = self.unanswered.pop_front()?;
                let reason = "the thread that commits has ended".into();
                return Some(Completion { ticket, result: Err(AppendError::Failed { reason }) });
            }
            match self.answers.pop_front()? {
                Answer::Rolled { header, file } => self.index.roll(header, file),
                Answer::Done(done) => {
                    if let Some(completion) = self.done(done) {
                        self.unanswered.pop_front();
                        return Some(completion);
                    }
                }
            }
        }
    }

    fn wake_when_answered(&mut self, waker: Waker) {
        self.queue.wake(waker);
    }

    fn read(&self, query: &Query) -> Result<Page, ReadError> {
        Reader { index: &self.index, tail: &self.tail }.read(query)
    }

    fn history(&self, channel: &str) -> History {
        self.index.state_of(channel)
    }

    fn trim(&mut self, now: WallTime) {
        if let Some(floor) = self.index.trim(now) {
            self.notes.floor = Some(floor);
        }
        self.reap();
    }

    fn release(&mut self, channel: &str, through: Offset) {
        let through = through.min(self.index.head);
        if self.index.release(channel, through) {
            self.notes.release(channel.into(), through);
            self.reap();
        }
    }

    fn wants_checkpoint(&self) -> bool {
        self.index.is_held_by_notes()
    }
}

/// Commits what was handed over, and ends the threads.
impl Drop for Disk {
    fn drop(&mut self) {
        let Engine::Thread(threads) = &mut self.engine else { return };
        let controls = self.notes.take();
        if !controls.is_empty() {
            self.queue.push(Job { generation: self.generation, work: Work::Note { controls } });
        }
        self.queue.close();
        for thread in mem::take(threads) {
            // A panic there was told by itself, and one here would end the process.
            drop(thread.join());
        }
    }
}
