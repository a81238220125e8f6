//! The files of a log: what they hold, up to where they make sense.

use std::{
    collections::BTreeMap,
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use tenfour_delivery::number::Offset;

use super::{
    Commit, Config, OnDamage,
    format::{Control, HEADER, Header, ReadHeader, VERSION},
    report::{Cut, CutReason, OpenError, Trying},
    scan::{self, Scan, Tail},
    segment,
};
use crate::vfs::{File, Open, Vfs};

/// The files of a directory, by what their headers say.
#[derive(Debug, Default)]
pub(super) struct Files {
    valid: BTreeMap<u64, Segment>,
    /// Made ahead and never written to, or never finished.
    unused: Vec<String>,
    /// With a header that says nothing, but something behind it.
    broken: Vec<u64>,
}

impl Files {
    pub(super) fn find(vfs: &dyn Vfs) -> Result<Self, OpenError> {
        let mut files = Self::default();
        let names = vfs.list().trying(|| "list the log's directory".into())?;
        let mut ids: Vec<_> = names.iter().filter_map(|name| segment::id(name)).collect();
        ids.sort_unstable();
        files.unused.extend(names.into_iter().filter(|name| segment::is_unfinished(name)));
        files.unused.sort_unstable();
        for id in ids {
            files.add(vfs, id)?;
        }
        Ok(files)
    }

    fn add(&mut self, vfs: &dyn Vfs, id: u64) -> Result<(), OpenError> {
        let name = segment::name(id);
        let reading = || format!("read {name}");
        let file = vfs.open(&name, Open::Existing).trying(reading)?;
        let mut bytes = [0; HEADER];
        file.read_at(&mut bytes, 0).trying(reading)?;
        match Header::decode(&bytes) {
            ReadHeader::Valid(header) if header.id == id => {
                self.valid.insert(id, Segment { header, file });
            }
            ReadHeader::Newer(found) => {
                return Err(OpenError::NewerFormat { segment: name, found, known: VERSION });
            }
            // The header is synced before anything is written behind it.
            _ if scan::is_unused(&file).trying(reading)? => self.unused.push(name),
            _ => self.broken.push(id),
        }
        Ok(())
    }

    /// What of them makes sense; `None` if there is no log.
    pub(super) fn sound(&self, config: &Config) -> Result<Option<Sound>, OpenError> {
        let Some(chain) = self.chain(config)? else { return Ok(None) };
        let scans = scan_all(&chain, config)?;
        let mut sound = Sound { chain, scans, cut: None };
        let missing = sound.drop_leftovers();
        sound.cut_damage(config)?;
        // A torn tail before it is no reason to write on where the damage would still be behind.
        if !sound.is_lost() {
            sound.cut = self.beyond(&sound.chain).or(sound.cut);
        }
        match missing {
            // What says that it was removed may be among what is lost.
            Some(segment) if !sound.is_lost() => match config.on_damage {
                OnDamage::Refuse => return Err(OpenError::Missing { segment }),
                OnDamage::Cut => sound.cut = Some(Cut::damaged(segment)),
            },
            _ => {}
        }
        Ok(Some(sound))
    }

    /// The segments that make up the log; `None` if there is no log.
    fn chain(&self, config: &Config) -> Result<Option<Vec<Segment>>, OpenError> {
        let last = self.valid.keys().next_back().copied();
        if let Some(&broken) = self.broken.last().filter(|broken| Some(**broken) > last)
            && (config.on_damage == OnDamage::Refuse || last.is_none())
        {
            let what = "its header cannot be read".into();
            return Err(OpenError::Damaged { segment: segment::name(broken), at: 0, what });
        }
        let mut chain = Vec::new();
        let mut next = last;
        while let Some(segment) = next.and_then(|id| self.valid.get(&id)) {
            next = Some(segment.header.after);
            chain.push(segment.clone());
        }
        chain.reverse();
        Ok((!chain.is_empty()).then_some(chain))
    }

    /// What is given up behind the last segment: a file whose header cannot be read.
    fn beyond(&self, chain: &[Segment]) -> Option<Cut> {
        let last = chain.last().map_or(0, |last| last.header.id);
        let broken = self.broken.last().filter(|broken| **broken > last)?;
        Some(Cut::damaged(segment::name(*broken)))
    }

    /// The lowest and the highest number of a file that is or was a part of the log.
    pub(super) fn range(&self) -> (u64, u64) {
        let ids = || self.valid.keys().chain(&self.broken);
        (ids().min().copied().unwrap_or(0), ids().max().copied().unwrap_or(0))
    }

    /// What was made ahead is made again.
    pub(super) fn remove_unused(&self, vfs: &dyn Vfs) {
        for name in &self.unused {
            drop(vfs.unlink(name));
        }
    }
}

/// A segment's file.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    pub(super) header: Header,
    pub(super) file: Arc<dyn File>,
}

impl Segment {
    pub(super) fn name(&self) -> String {
        segment::name(self.header.id)
    }
}

/// What makes sense: segments that go on where the one before them ends, each with what it holds.
#[derive(Debug)]
pub(super) struct Sound {
    pub(super) chain: Vec<Segment>,
    pub(super) scans: Vec<Scan>,
    /// What is behind that.
    pub(super) cut: Option<Cut>,
}

impl Sound {
    /// Whether committed entries are among what is cut off.
    pub(super) fn is_lost(&self) -> bool {
        self.cut.as_ref().is_some_and(|cut| cut.reason == CutReason::Damaged)
    }

    /// Leaves out segments that were about to be unlinked, and names the one that is missing before the others.
    fn drop_leftovers(&mut self) -> Option<String> {
        let controls = self.scans.iter().flat_map(|scan| &scan.controls);
        let bases = controls.filter_map(|(_, control)| match control {
            Control::Trim { base, .. } => Some(*base),
            _ => None,
        });
        let given_up = self.chain.iter().map(|segment| segment.header.base);
        let base = bases.chain(given_up).max().unwrap_or(Offset::START);
        // The last one stays in any case.
        let leftover = self.chain.iter().skip(1).take_while(|next| next.header.first <= base).count();
        self.chain.drain(..leftover);
        self.scans.drain(..leftover);
        let missing = self.chain.first().filter(|first| first.header.first > base);
        missing.map(|first| segment::name(first.header.after))
    }

    /// Finds the end of what makes sense.
    fn cut_damage(&mut self, config: &Config) -> Result<(), OpenError> {
        let sealed = self.chain.iter().zip(&self.scans).zip(self.chain.iter().skip(1));
        let is_short = |((segment, scan), next): ((&Segment, &Scan), &Segment)| {
            scan.next(&segment.header) != next.header.first
        };
        match sealed.into_iter().position(is_short) {
            Some(place) => self.cut_behind(place, config),
            None => self.cut_tail(),
        }
    }

    /// A segment ends before the one behind it begins.
    fn cut_behind(&mut self, place: usize, config: &Config) -> Result<(), OpenError> {
        let (segment, scan) = (&self.chain[place], &self.scans[place]);
        let (name, at, have) = (segment.name(), scan.end, scan.next(&segment.header).get() - 1);
        if config.on_damage == OnDamage::Refuse {
            let expected = self.chain[place + 1].header.first.get() - 1;
            let what = format!("it should hold the entries up to {expected}, and makes sense up to {have}");
            return Err(OpenError::Damaged { segment: name, at, what });
        }
        let lengths = self.chain[place..].iter().map(|segment| segment.file.len());
        let lengths: u64 = lengths.sum::<io::Result<u64>>().trying(|| format!("look behind {name}"))?;
        let bytes = lengths.saturating_sub(at);
        self.chain.truncate(place + 1);
        self.scans.truncate(place + 1);
        self.cut = Some(Cut { at, bytes, ..Cut::damaged(name) });
        Ok(())
    }

    fn cut_tail(&mut self) -> Result<(), OpenError> {
        let (Some(last), Some(scan)) = (self.chain.last(), self.scans.last()) else { return Ok(()) };
        let (segment, at) = (last.name(), scan.end);
        let tail = scan::tail(&last.file, &last.header, at, scan.next(&last.header));
        let (end, reason) = match tail.trying(|| format!("read {segment}"))? {
            Tail::Clean => return Ok(()),
            Tail::Torn { end } => (end, CutReason::Torn),
            Tail::Lost { end } => (end, CutReason::Damaged),
        };
        self.cut = Some(Cut { segment, at, bytes: end - at, reason });
        Ok(())
    }
}

/// Reads all segments: side by side, unless the log is to do one thing after another.
fn scan_all(chain: &[Segment], config: &Config) -> Result<Vec<Scan>, OpenError> {
    let scan_one = |place: usize| {
        let Segment { header, file } = &chain[place];
        scan::scan(file, header, chain.get(place + 1).map(|next| next.header.first))
    };
    let workers = match config.commit {
        Commit::Manual => 1,
        Commit::Thread => thread::available_parallelism().map_or(1, usize::from).min(chain.len()),
    };
    let next = AtomicUsize::new(0);
    let work = || {
        let mut scans = Vec::new();
        loop {
            let place = next.fetch_add(1, Ordering::Relaxed);
            if place >= chain.len() {
                return scans;
            }
            scans.push((place, scan_one(place)));
        }
    };
    let mut scans: Vec<(usize, io::Result<Scan>)> = thread::scope(|scope| {
        let others: Vec<_> = (1..workers).map(|_| scope.spawn(work)).collect();
        let mut scans = work();
        for other in others {
            scans.extend(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        scans
    });
    scans.sort_unstable_by_key(|(place, _)| *place);
    let named =
        |(place, scan): (usize, io::Result<Scan>)| scan.trying(|| format!("read {}", chain[place].name()));
    scans.into_iter().map(named).collect()
}
