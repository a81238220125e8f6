//! Where the entries of a log on a disk are, which channels have them, and which of them the retention keeps.

use std::{collections::VecDeque, sync::Arc};

use tenfour_delivery::{
    number::{Epoch, Offset},
    time::WallTime,
};

use super::{
    channels::Channels,
    format::{Control, Header},
};
use crate::{Retention, channel::Channel, retention::is_older, shelf::Shelf, vfs::File};

/// All that is known of a log without reading its files. It is a function of the records in them and of the retention: so
/// it is built again, by the same steps, when the log is opened.
#[derive(Debug)]
pub(super) struct Index {
    pub(super) epoch: Epoch,
    retention: Retention,
    pub(super) head: Offset,
    /// The segments that are not gone, in their order. The last one is written to.
    segments: VecDeque<Segment>,
    /// Every entry in them. Offsets are dense: the first is that of the first segment.
    places: VecDeque<Place>,
    pub(super) channels: Channels,
    /// The channels of each entry after `floor`, entry by entry.
    links: VecDeque<u32>,
    /// The retention has trimmed every channel that is not pinned through here.
    floor: Offset,
    /// Entries that some channel which is not pinned has, and what they take on the disk.
    messages: usize,
    bytes: usize,
    /// The last offset whose entry nobody has.
    gone: Offset,
}

/// A file of entries.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    pub(super) id: u64,
    pub(super) first: Offset,
    pub(super) seed: u32,
    pub(super) file: Arc<dyn File>,
    /// Entries of it that the retention keeps, and entries that pinned channels keep.
    messages: usize,
    notes: usize,
}

/// Where an entry is, and who has it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) ingested: WallTime,
    pub(super) at: u32,
    pub(super) length: u32,
    channels: u16,
    /// Channels that have it, of those that are not pinned and of those that are.
    holders: u16,
    pins: u16,
}

impl Place {
    pub(super) const fn new(at: u32, length: u32, ingested: WallTime) -> Self {
        Self { ingested, at, length, channels: 0, holders: 0, pins: 0 }
    }

    const fn is_held(&self) -> bool {
        self.holders > 0 || self.pins > 0
    }
}

impl Index {
    pub(super) fn new(epoch: Epoch, retention: Retention, head: Offset) -> Self {
        Self {
            epoch,
            retention,
            head,
            segments: VecDeque::new(),
            places: VecDeque::new(),
            channels: Channels::new(),
            links: VecDeque::new(),
            floor: head,
            messages: 0,
            bytes: 0,
            gone: head,
        }
    }

    /// What is committed from here on stands in this segment.
    pub(super) fn roll(&mut self, header: Header, file: Arc<dyn File>) {
        let Header { id, first, .. } = header;
        let seed = header.seed();
        self.segments.push_back(Segment { id, first, seed, file, messages: 0, notes: 0 });
    }

    /// An entry is committed, behind the head, to these channels.
    pub(super) fn commit(&mut self, mut place: Place, numbers: &[u32]) {
        let offset = Offset::new(self.head.get() + 1);
        self.head = offset;
        place.channels = numbers.len() as u16;
        for &number in numbers {
            let Some(slot) = self.channels.get_mut(number) else { continue };
            slot.channel.push((offset, 0), place.length as usize);
            slot.assigned = slot.assigned.max(offset);
            slot.named = offset;
            *if slot.is_pinned { &mut place.pins } else { &mut place.holders } += 1;
            self.channels.touch(number);
        }
        // What goes nowhere is held by the log itself.
        place.holders += u16::from(numbers.is_empty());
        if let Some(segment) = self.segments.back_mut() {
            segment.messages += usize::from(place.holders > 0);
            segment.notes += usize::from(place.pins > 0);
        }
        if place.holders > 0 {
            self.messages += 1;
            self.bytes += place.length as usize;
        }
        self.places.push_back(place);
        self.links.extend(numbers);
        self.keep_bounds(numbers);
        self.pass_unheld();
    }

    fn keep_bounds(&mut self, numbers: &[u32]) {
        for &number in numbers {
            while let Some(slot) = self.channels.get_mut(number)
                && !slot.is_pinned
                && let Some(offset) = slot.channel.trim_over(self.retention.channel)
            {
                self.let_go(offset);
            }
        }
        while self.messages > 1 && self.retention.total.is_passed(self.messages, self.bytes) {
            self.raise_floor();
        }
    }

    /// The channel of this name, which is added if it is not known. Others are forgotten for it, but for those that have
    /// entries on their way.
    pub(super) fn channel_number(&mut self, name: &str) -> u32 {
        self.channels.find(name).unwrap_or_else(|| {
            self.keep_channels(1);
            self.channels.add(name, self.channels.forgotten)
        })
    }

    /// Forgets channels until there is room for so many more.
    pub(super) fn keep_channels(&mut self, more: usize) {
        while self.channels.len() + more > self.retention.channels.max(1) {
            let Some(held) = self.channels.forget_oldest() else { return };
            for offset in held {
                self.let_go(offset);
            }
            self.pass_unheld();
        }
    }

    /// A record says what a channel's last entry was. If it is not the one that is known, the channel was forgotten in
    /// between, with all that it had.
    pub(super) fn meet(&mut self, number: u32, previous: Offset) {
        let Some(slot) = self.channels.get_mut(number).filter(|slot| slot.channel.head() != previous) else {
            return;
        };
        let is_pinned = slot.is_pinned;
        let forgotten = std::mem::replace(&mut slot.channel, Channel::new(previous));
        slot.assigned = previous;
        for (offset, _) in forgotten.held() {
            if is_pinned { self.unpin(offset) } else { self.let_go(offset) }
        }
        self.pass_unheld();
    }

    /// A channel is named whose entries up to this one are gone. Later ones may have been on their way then.
    pub(super) fn name_head(&mut self, name: &str, head: Offset) {
        let number = self.channels.find(name).unwrap_or_else(|| self.channels.add(name, head));
        let here = self.head;
        let slot = self.channels.get_mut(number).filter(|slot| slot.channel.head() <= head);
        if let Some(slot) = slot {
            slot.named = here;
            self.meet(number, head);
        }
    }

    /// Trims what is older than the retention allows, and answers the floor if anything was.
    pub(super) fn trim(&mut self, now: WallTime) -> Option<Offset> {
        let age = self.retention.age?;
        let before = self.messages;
        while self.next_kept().is_some_and(|place| is_older(place.ingested, age, now)) {
            self.raise_floor();
            self.pass_unheld();
        }
        (self.messages < before).then_some(self.floor)
    }

    /// The entry behind the floor: after [`Index::pass_unheld`], the first one that the retention keeps.
    fn next_kept(&self) -> Option<&Place> {
        self.place(Offset::new(self.floor.get() + 1))
    }

    /// Raises the floor over what the retention does not keep.
    fn pass_unheld(&mut self) {
        while self.next_kept().is_some_and(|place| place.holders == 0) {
            self.raise_floor();
        }
    }

    pub(super) fn raise_floor_to(&mut self, floor: Offset) {
        while self.floor < floor.min(self.head) {
            self.raise_floor();
        }
        self.pass_unheld();
    }

    /// Trims the next entry from all its channels that are not pinned.
    fn raise_floor(&mut self) {
        self.floor = Offset::new(self.floor.get() + 1);
        let Some(place) = self.place(self.floor).copied() else { return };
        for _ in 0..place.channels {
            let slot = self.links.pop_front().and_then(|number| self.channels.get_mut(number));
            // A number may be another channel's by now. That one has nothing so old.
            if let Some(slot) = slot.filter(|slot| !slot.is_pinned) {
                slot.channel.trim_through(self.floor);
            }
        }
        if place.holders > 0 {
            self.retire(self.floor);
        }
    }

    /// A pinned channel, or any other, needs its entries no more.
    pub(super) fn release(&mut self, name: &str, through: Offset) -> bool {
        let Some(number) = self.channels.find(name) else { return false };
        let mut any = false;
        while let Some(slot) = self.channels.get_mut(number)
            && let Some(offset) = slot.channel.trim_next(through)
        {
            any = true;
            if slot.is_pinned { self.unpin(offset) } else { self.let_go(offset) }
        }
        self.pass_unheld();
        any
    }

    /// A channel that is not pinned has the entry no longer.
    fn let_go(&mut self, offset: Offset) {
        let Some(place) = self.place_mut(offset) else { return };
        place.holders -= 1;
        if place.holders == 0 {
            self.retire(offset);
        }
    }

    /// No channel that is not pinned has the entry any more.
    fn retire(&mut self, offset: Offset) {
        let Some(place) = self.place_mut(offset) else { return };
        place.holders = 0;
        let place = *place;
        self.messages -= 1;
        self.bytes -= place.length as usize;
        if let Some(segment) = self.segment_mut(offset) {
            segment.messages -= 1;
        }
        self.note_gone(offset, place);
    }

    fn unpin(&mut self, offset: Offset) {
        let Some(place) = self.place_mut(offset) else { return };
        place.pins -= 1;
        let place = *place;
        if place.pins == 0 {
            if let Some(segment) = self.segment_mut(offset) {
                segment.notes -= 1;
            }
            self.note_gone(offset, place);
        }
    }

    fn note_gone(&mut self, offset: Offset, place: Place) {
        if !place.is_held() {
            self.gone = self.gone.max(offset);
        }
    }

    /// Drops the segments at the beginning that nothing is held in, and answers what is to be written down before they are
    /// unlinked, with the number of the first that stays. The last segment always stays.
    pub(super) fn drop_segments(&mut self) -> Option<(Vec<Control>, u64)> {
        let is_dead = |segment: &Segment| segment.messages == 0 && segment.notes == 0;
        let dead = self.segments.iter().take(self.segments.len().saturating_sub(1));
        let dead = dead.take_while(|segment| is_dead(segment)).count();
        let base = self.segments.get(dead).filter(|_| dead > 0).map(|segment| (segment.first, segment.id));
        let (base, id) = base?;
        let last = Offset::new(base.get() - 1);
        self.raise_floor_to(last);
        let first = self.first();
        self.places.drain(..(base.get() - first.get()) as usize);
        self.segments.drain(..dead);
        let mut controls = self.name_again(last);
        controls.push(Control::Trim { base, forgotten: self.channels.forgotten });
        Some((controls, id))
    }

    /// Channels that are named only in what goes, through `last`: they are named once more.
    fn name_again(&mut self, last: Offset) -> Vec<Control> {
        /// Channels in one record.
        const HEADS: usize = 512;
        let head = self.head;
        let silent = self.channels.iter_mut().filter(|slot| slot.named <= last);
        let heads: Vec<_> = silent
            .filter(|slot| slot.channel.head() > Offset::START)
            .map(|slot| {
                // Where that will be is not known yet, but it is behind what is committed.
                slot.named = head;
                (slot.name.clone(), slot.channel.head())
            })
            .collect();
        heads.chunks(HEADS).map(|heads| Control::Heads(heads.to_vec())).collect()
    }

    /// Whether the first segment is kept by pinned channels alone.
    pub(super) fn is_held_by_notes(&self) -> bool {
        let first = self.segments.front().filter(|_| self.segments.len() > 1);
        first.is_some_and(|segment| segment.messages == 0 && segment.notes > 0)
    }

    /// The segments, the first of which is at `first`.
    pub(super) fn segments(&self) -> impl Iterator<Item = &Segment> {
        self.segments.iter()
    }

    /// How many entries are held, those of pinned channels alone with them.
    pub(super) fn held(&self) -> usize {
        self.places.iter().filter(|place| place.is_held()).count()
    }

    /// The entries after an offset that are held.
    pub(super) fn offsets(&self, after: Offset) -> impl Iterator<Item = Offset> {
        let first = self.first();
        let skipped = (after.get() + 1).saturating_sub(first.get()).min(self.places.len() as u64) as usize;
        let places = self.places.range(skipped..).zip(first.get() + skipped as u64..);
        places.filter(|(place, _)| place.is_held()).map(|(_, offset)| Offset::new(offset))
    }

    /// The last entry that is gone from before the first one that the retention keeps.
    pub(super) fn trimmed(&self) -> Offset {
        self.gone.min(self.floor)
    }

    /// How many entries of a range are held.
    pub(super) fn held_in(&self, after: Offset, through: Offset) -> usize {
        self.offsets(after).take_while(|offset| *offset <= through).count()
    }

    pub(super) fn place(&self, offset: Offset) -> Option<&Place> {
        self.places.get(self.place_of(offset)?)
    }

    /// The segment that an entry is in.
    pub(super) fn segment(&self, offset: Offset) -> Option<&Segment> {
        self.segments.get(self.segment_of(offset)?)
    }

    fn place_mut(&mut self, offset: Offset) -> Option<&mut Place> {
        let place = self.place_of(offset)?;
        self.places.get_mut(place)
    }

    fn segment_mut(&mut self, offset: Offset) -> Option<&mut Segment> {
        let segment = self.segment_of(offset)?;
        self.segments.get_mut(segment)
    }

    fn place_of(&self, offset: Offset) -> Option<usize> {
        usize::try_from(offset.get().checked_sub(self.first().get())?).ok()
    }

    fn segment_of(&self, offset: Offset) -> Option<usize> {
        self.segments.partition_point(|segment| segment.first <= offset).checked_sub(1)
    }

    /// The offset of the first place.
    fn first(&self) -> Offset {
        Offset::new(self.head.get() + 1 - self.places.len() as u64)
    }
}

impl Shelf for Index {
    fn life(&self) -> Epoch {
        self.epoch
    }

    fn channel(&self, name: &str) -> Option<&Channel> {
        let number = self.channels.find(name)?;
        self.channels.get(number).map(|slot| &slot.channel)
    }

    fn forgotten(&self) -> Offset {
        self.channels.forgotten
    }
}
