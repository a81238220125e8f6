//! Opening a log: what its files hold, up to where they make sense.

use std::{
    collections::BTreeMap,
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use tenfour_delivery::{
    mutant,
    number::{Epoch, Offset},
};

use super::{
    Config, OnDamage,
    committer::{Committer, first_header, start},
    format::{Control, HEADER, Header, ReadHeader, VERSION},
    index::Index,
    report::{Cut, CutReason, OpenError, Recovery, Trying},
    scan::{self, Scan, Tail},
    segment::{self, Filler, Order, fill},
};
use crate::vfs::{File, Open, Vfs};

/// A log that was opened.
pub(super) struct Opened {
    pub(super) index: Index,
    pub(super) committer: Committer,
    pub(super) report: Recovery,
}

/// A segment's file.
#[derive(Clone, Debug)]
struct Segment {
    header: Header,
    file: Arc<dyn File>,
}

impl Segment {
    fn name(&self) -> String {
        segment::name(self.header.id)
    }
}

/// Opens the log in a directory that is locked, or begins one.
pub(super) fn open(vfs: &Arc<dyn Vfs>, config: &Config) -> Result<Opened, OpenError> {
    let files = Files::find(&**vfs)?;
    let Some(chain) = files.chain(config)? else {
        files.remove_unused(&**vfs);
        return begin(vfs, config);
    };
    let scans = scan_all(&chain, config)?;
    let (chain, scans) = drop_leftovers(chain, scans)?;
    let (chain, scans, cut) = cut_damage(chain, scans, config)?;
    let cut = cut.or_else(|| files.beyond(&chain));
    let (oldest, newest) = files.range();
    files.remove_unused(&**vfs);
    let (Some(last), Some(scan)) = (chain.last(), scans.last()) else { return begin(vfs, config) };

    let next = scan.next(&last.header);
    let committed = Offset::new(next.get() - 1);
    let epoch = last.header.epoch;
    let tail = (last.clone(), scan.end);
    write_again(last, scan).trying(|| format!("write the end of {} again", last.name()))?;
    let mut index = load(&chain, scans, epoch, config);
    let mut committer = Committer {
        header: tail.0.header,
        length: tail.0.file.len().trying(|| format!("look at {}", tail.0.name()))?,
        file: tail.0.file,
        end: tail.1,
        committed,
        oldest,
        sync: config.sync,
        segment_bytes: config.segment_bytes.min(MAX_SEGMENT),
        filler: Filler::inline(Arc::clone(vfs)),
        buffer: Vec::new(),
        refused: None,
        failed: None,
    };
    let is_lost = cut.as_ref().is_some_and(|cut| cut.reason == CutReason::Damaged);
    let ended = (is_lost && !mutant!(OffsetReusedAfterCut)).then_some(epoch);
    if ended.is_some() || is_lost && newest > committer.header.id {
        renew(&mut committer, &mut index, newest, config)?;
    } else {
        mend(&committer, cut.as_ref())?;
    }
    let first = index.segments().next().map_or(0, |segment| segment.id);
    if committer.oldest < first {
        committer.filler.unlink(committer.oldest..first);
        committer.oldest = first;
    }
    let report = Recovery {
        entries: index.held(),
        segments: index.segments().count(),
        head: committed,
        epoch: index.epoch,
        ended,
        cut,
    };
    Ok(Opened { index, committer, report })
}

/// Segments are no longer, so that a place in one is a `u32`.
pub(super) const MAX_SEGMENT: u64 = 1 << 30;

/// The files of a directory, by what their headers say.
#[derive(Debug, Default)]
struct Files {
    valid: BTreeMap<u64, Segment>,
    /// Made ahead and never written to, or never finished.
    unused: Vec<String>,
    /// With a header that says nothing, but something behind it.
    broken: Vec<u64>,
}

impl Files {
    fn find(vfs: &dyn Vfs) -> Result<Self, OpenError> {
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
        Some(Cut { segment: segment::name(*broken), at: 0, bytes: 0, reason: CutReason::Damaged })
    }

    /// The lowest and the highest number of a file that is or was a part of the log.
    fn range(&self) -> (u64, u64) {
        let ids = || self.valid.keys().chain(&self.broken);
        (ids().min().copied().unwrap_or(0), ids().max().copied().unwrap_or(0))
    }

    /// What was made ahead is made again.
    fn remove_unused(&self, vfs: &dyn Vfs) {
        for name in &self.unused {
            drop(vfs.unlink(name));
        }
    }
}

/// Begins a log.
fn begin(vfs: &Arc<dyn Vfs>, config: &Config) -> Result<Opened, OpenError> {
    let header = first_header(config.epoch);
    let segment_bytes = config.segment_bytes.min(MAX_SEGMENT);
    let order = Order { id: 1, length: segment::capacity(1, segment_bytes), sync: config.sync };
    let mut filler = Filler::inline(Arc::clone(vfs));
    let file = filler.take(order).trying(|| "make the log's first segment".into())?;
    start(&*file, &header, config.sync).trying(|| "begin the log's first segment".into())?;
    let mut index = Index::new(config.epoch, config.retention.clone(), Offset::START);
    index.roll(header, Arc::clone(&file));
    let committer = Committer {
        header,
        file,
        end: HEADER as u64,
        length: order.length,
        committed: Offset::START,
        oldest: 1,
        sync: config.sync,
        segment_bytes,
        filler,
        buffer: Vec::new(),
        refused: None,
        failed: None,
    };
    let report = Recovery {
        entries: 0,
        segments: 1,
        head: Offset::START,
        epoch: config.epoch,
        ended: None,
        cut: None,
    };
    Ok(Opened { index, committer, report })
}

/// Reads all segments: side by side, unless the log is to do one thing after another.
fn scan_all(chain: &[Segment], config: &Config) -> Result<Vec<Scan>, OpenError> {
    let scan_one = |place: usize| {
        let Segment { header, file } = &chain[place];
        scan::scan(file, header, chain.get(place + 1).map(|next| next.header.first))
    };
    let workers = match config.commit {
        super::Commit::Manual => 1,
        super::Commit::Thread => thread::available_parallelism().map_or(1, usize::from).min(chain.len()),
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

/// Leaves out segments that were about to be unlinked, and sees that no other is missing at the beginning.
fn drop_leftovers(
    mut chain: Vec<Segment>,
    mut scans: Vec<Scan>,
) -> Result<(Vec<Segment>, Vec<Scan>), OpenError> {
    let controls = scans.iter().flat_map(|scan| &scan.controls);
    let bases = controls.filter_map(|(_, control)| match control {
        Control::Trim { base, .. } => Some(*base),
        _ => None,
    });
    let base = bases.max().unwrap_or(Offset::START).max(Offset::new(1));
    // The last one stays in any case.
    let leftover = chain.iter().skip(1).take_while(|next| next.header.first <= base).count();
    chain.drain(..leftover);
    scans.drain(..leftover);
    match chain.first() {
        Some(first) if first.header.first > base => {
            Err(OpenError::Missing { segment: segment::name(first.header.after) })
        }
        _ => Ok((chain, scans)),
    }
}

/// What makes sense, and what is behind it.
type Sound = (Vec<Segment>, Vec<Scan>, Option<Cut>);

/// Finds the end of what makes sense.
fn cut_damage(mut chain: Vec<Segment>, mut scans: Vec<Scan>, config: &Config) -> Result<Sound, OpenError> {
    let sealed = chain.iter().zip(&scans).zip(chain.iter().skip(1));
    let short = sealed
        .enumerate()
        .find(|(_, ((segment, scan), next))| scan.next(&segment.header) != next.header.first);
    if let Some((place, ((segment, scan), next))) = short {
        let (name, at) = (segment.name(), scan.end);
        let expected = next.header.first.get() - 1;
        let have = scan.next(&segment.header).get() - 1;
        if config.on_damage == OnDamage::Refuse {
            let what = format!("it should hold the entries up to {expected}, and makes sense up to {have}");
            return Err(OpenError::Damaged { segment: name, at, what });
        }
        let lengths = chain[place..].iter().map(|segment| segment.file.len());
        let lengths: u64 = lengths.sum::<io::Result<u64>>().trying(|| format!("look behind {name}"))?;
        let bytes = lengths.saturating_sub(at);
        chain.truncate(place + 1);
        scans.truncate(place + 1);
        return Ok((chain, scans, Some(Cut { segment: name, at, bytes, reason: CutReason::Damaged })));
    }
    let (Some(last), Some(scan)) = (chain.last(), scans.last()) else { return Ok((chain, scans, None)) };
    let (name, at) = (last.name(), scan.end);
    let tail = scan::tail(&last.file, &last.header, at, scan.next(&last.header));
    let cut = match tail.trying(|| format!("read {name}"))? {
        Tail::Clean => None,
        Tail::Torn { end } => Some((end - at, CutReason::Torn)),
        Tail::Lost { end } => Some((end - at, CutReason::Damaged)),
    };
    let cut = cut.map(|(bytes, reason)| Cut { segment: name, at, bytes, reason });
    Ok((chain, scans, cut))
}

/// Builds the index, as it was built when the records were committed.
fn load(chain: &[Segment], scans: Vec<Scan>, epoch: Epoch, config: &Config) -> Index {
    let before = chain.first().map_or(Offset::START, |first| Offset::new(first.header.first.get() - 1));
    let mut index = Index::new(epoch, config.retention.clone(), before);
    for (segment, scan) in chain.iter().zip(scans) {
        index.roll(segment.header, Arc::clone(&segment.file));
        load_segment(&mut index, scan);
    }
    index.keep_channels(0);
    index
}

fn load_segment(index: &mut Index, scan: Scan) {
    let Scan { entries, links, names, controls, .. } = scan;
    let mut numbers: Vec<Option<u32>> = vec![None; names.len()];
    let (mut links, mut controls) = (links.into_iter(), controls.into_iter().peekable());
    let mut goes_to = Vec::new();
    for (place, (entry, channels)) in entries.into_iter().enumerate() {
        while let Some((_, control)) = controls.next_if(|(before, _)| *before <= place) {
            apply(index, control);
        }
        goes_to.clear();
        for (local, previous) in links.by_ref().take(usize::from(channels)) {
            let local = local as usize;
            let number = *numbers[local].get_or_insert_with(|| {
                let known = index.channels.find(&names[local]);
                known.unwrap_or_else(|| index.channels.add(&names[local], previous))
            });
            index.meet(number, previous);
            goes_to.push(number);
        }
        index.commit(entry, &goes_to);
    }
    for (_, control) in controls {
        apply(index, control);
    }
}

fn apply(index: &mut Index, control: Control) {
    match control {
        Control::Heads(heads) => {
            for (name, head) in heads {
                index.name_head(&name, head);
            }
        }
        Control::Trim { forgotten, .. } => {
            index.channels.forgotten = index.channels.forgotten.max(forgotten);
        }
        Control::Release { channel, through } => {
            index.release(&channel, through);
        }
        Control::Floor(floor) => index.raise_floor_to(floor),
        Control::Mark => {}
    }
}

/// Begins a new life of the log behind what is left of the old one: at once, by the header of a new segment.
fn renew(
    committer: &mut Committer,
    index: &mut Index,
    last_id: u64,
    config: &Config,
) -> Result<(), OpenError> {
    let old = committer.header.epoch;
    let fresh = if config.epoch == old { Epoch::new(old.get().wrapping_add(1)) } else { config.epoch };
    let epoch = if mutant!(OffsetReusedAfterCut) { old } else { fresh };
    let id = last_id.max(committer.header.id) + 1;
    let header =
        Header { epoch, id, after: committer.header.id, first: Offset::new(committer.committed.get() + 1) };
    // What is left was read, but perhaps not synced.
    config.sync.data(&*committer.file).trying(|| "sync the log".into())?;
    let order = Order { id, length: segment::capacity(id, committer.segment_bytes), sync: config.sync };
    let file = committer.filler.take(order).trying(|| "make a new segment".into())?;
    start(&*file, &header, config.sync).trying(|| "begin a new segment".into())?;
    index.epoch = epoch;
    index.roll(header, Arc::clone(&file));
    (committer.header, committer.file, committer.end, committer.length) =
        (header, file, HEADER as u64, order.length);
    Ok(())
}

/// Writes once more what no record proves to be synced: after a sync that failed, the system may have it in memory alone
/// and take it for written, so that no sync would save it.
fn write_again(segment: &Segment, scan: &Scan) -> io::Result<()> {
    // The header was synced before the first record was written, but no record before the second group proves it.
    let from = if scan.unproven <= HEADER as u64 { 0 } else { scan.unproven };
    let mut bytes = vec![0; scan.end.saturating_sub(from) as usize];
    let read = segment.file.read_at(&mut bytes, from)?;
    segment.file.write_at(&bytes[..read], from)
}

/// Removes what was torn, so that it is never read as the continuation of what will be written, and syncs what is kept: the
/// process that wrote it may have ended before it did.
fn mend(committer: &Committer, cut: Option<&Cut>) -> Result<(), OpenError> {
    let cut = cut.filter(|_| !mutant!(TornTailKept));
    let end = cut.map_or(committer.end, |cut| cut.at + cut.bytes);
    let mended = fill(&*committer.file, committer.end, end);
    let synced = mended.and_then(|()| committer.sync.data(&*committer.file));
    synced.trying(|| format!("mend the end of {}", segment::name(committer.header.id)))
}
