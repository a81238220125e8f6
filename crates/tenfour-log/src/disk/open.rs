//! Opening a log: from what makes sense in its files.

use std::{io, sync::Arc};

use tenfour_delivery::{
    mutant,
    number::{Epoch, Offset},
};

use super::{
    Config,
    committer::{Committer, first_header, start},
    files::{Files, Segment, Sound},
    format::{Control, HEADER, Header},
    index::Index,
    report::{Cut, OpenError, Recovery, Trying},
    scan::Scan,
    segment::{self, Filler, Order, fill},
};
use crate::vfs::Vfs;

/// Segments are no longer, so that a place in one is a `u32`.
pub(super) const MAX_SEGMENT: u64 = 1 << 30;

/// A log that was opened.
pub(super) struct Opened {
    pub(super) index: Index,
    pub(super) committer: Committer,
    pub(super) report: Recovery,
}

/// Opens the log in a directory that is locked, or begins one.
pub(super) fn open(vfs: &Arc<dyn Vfs>, config: &Config) -> Result<Opened, OpenError> {
    let files = Files::find(&**vfs)?;
    let sound = files.sound(config)?;
    files.remove_unused(&**vfs);
    match sound {
        Some(sound) => go_on(vfs, config, &files, sound),
        None => begin(vfs, config),
    }
}

/// Begins a log.
fn begin(vfs: &Arc<dyn Vfs>, config: &Config) -> Result<Opened, OpenError> {
    let header = first_header(config.epoch);
    let mut filler = Filler::inline(Arc::clone(vfs));
    let length = segment::capacity(1, config.segment_bytes.min(MAX_SEGMENT));
    let order = Order { id: 1, length, sync: config.sync };
    let file = filler.take(order).trying(|| "make the log's first segment".into())?;
    start(&*file, &header, config.sync).trying(|| "begin the log's first segment".into())?;
    let segment = Segment { header, file };
    let mut index = Index::new(config.epoch, config.retention.clone(), Offset::START);
    index.roll(header, Arc::clone(&segment.file));
    let committer = committer(filler, segment, Offset::START, HEADER as u64, config)?;
    let report = report(&index, None, None);
    Ok(Opened { index, committer, report })
}

/// Goes on with a log, behind what of it makes sense.
fn go_on(vfs: &Arc<dyn Vfs>, config: &Config, files: &Files, sound: Sound) -> Result<Opened, OpenError> {
    let is_lost = sound.is_lost();
    let Sound { chain, scans, cut } = sound;
    let (Some(last), Some(scan)) = (chain.last(), scans.last()) else { return begin(vfs, config) };
    let committed = Offset::new(scan.next(&last.header).get() - 1);
    let filler = Filler::inline(Arc::clone(vfs));
    let mut committer = committer(filler, last.clone(), committed, scan.end, config)?;
    write_again(last, scan).trying(|| format!("write the end of {} again", last.name()))?;
    let mut index = load(&chain, scans, is_lost, config);

    let (oldest, newest) = files.range();
    let ended = (is_lost && !mutant!(OffsetReusedAfterCut)).then_some(index.epoch);
    if ended.is_some() || is_lost && newest > committer.header.id {
        renew(&mut committer, &mut index, newest, config)?;
    } else {
        mend(&committer, cut.as_ref())?;
    }
    let first = index.segments().next().map_or(0, |segment| segment.id);
    committer.oldest = first;
    if oldest < first {
        committer.filler.unlink(oldest..first);
    }
    let report = report(&index, ended, cut);
    Ok(Opened { index, committer, report })
}

/// Writes on in a segment, from `end` on.
fn committer(
    filler: Filler,
    segment: Segment,
    committed: Offset,
    end: u64,
    config: &Config,
) -> Result<Committer, OpenError> {
    Ok(Committer {
        length: segment.file.len().trying(|| format!("look at {}", segment.name()))?,
        header: segment.header,
        file: segment.file,
        end,
        committed,
        oldest: segment.header.id,
        sync: config.sync,
        segment_bytes: config.segment_bytes.min(MAX_SEGMENT),
        filler,
        buffer: Vec::new(),
        refused: None,
        failed: None,
    })
}

fn report(index: &Index, ended: Option<Epoch>, cut: Option<Cut>) -> Recovery {
    let (entries, segments) = (index.held(), index.segments().count());
    Recovery { entries, segments, head: index.head, epoch: index.epoch, ended, cut }
}

/// Builds the index, as it was built when the records were committed.
fn load(chain: &[Segment], scans: Vec<Scan>, is_lost: bool, config: &Config) -> Index {
    let epoch = chain.last().map_or(config.epoch, |last| last.header.epoch);
    let before = chain.first().map_or(Offset::START, |first| Offset::new(first.header.first.get() - 1));
    let mut index = Index::new(epoch, config.retention.clone(), before);
    // The names of channels whose entries are all gone may be among what is lost.
    index.channels.forgotten = if is_lost { before } else { Offset::START };
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
    newest: u64,
    config: &Config,
) -> Result<(), OpenError> {
    let old = committer.header.epoch;
    let fresh = if config.epoch == old { Epoch::new(old.get().wrapping_add(1)) } else { config.epoch };
    let header = Header {
        epoch: if mutant!(OffsetReusedAfterCut) { old } else { fresh },
        id: newest.max(committer.header.id) + 1,
        after: committer.header.id,
        first: Offset::new(index.head.get() + 1),
        // Should the beginning be missing, it is not missed again.
        base: index.segments().next().map_or(Offset::START, |first| first.first),
    };
    // What is left was read, but perhaps not synced.
    config.sync.data(&*committer.file).trying(|| "sync the log".into())?;
    let length = segment::capacity(header.id, committer.segment_bytes);
    let order = Order { id: header.id, length, sync: config.sync };
    let file = committer.filler.take(order).trying(|| "make a new segment".into())?;
    start(&*file, &header, config.sync).trying(|| "begin a new segment".into())?;
    index.epoch = header.epoch;
    index.roll(header, Arc::clone(&file));
    (committer.header, committer.file, committer.end, committer.length) =
        (header, file, HEADER as u64, length);
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
