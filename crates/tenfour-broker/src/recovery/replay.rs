//! What a session has missed is read from the log for it, and handed over.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};

use bytestring::ByteString;
use tenfour_delivery::{
    log::{ReadError, Ticket},
    loss::{Count, Lost, OffsetRange, Reason},
    mutant,
    number::Offset,
    resume::Position,
    time::{Instant, Now, WallTime},
};

use super::{
    Effect, Item, Outbox, Recovery, Snapshot,
    reader::{Held, Job, Reader},
    session::{Phase, Session},
};
use crate::{
    Namespace, SocketId,
    channel::{Entry, Envelope, Page, Query, Taken},
};

/// For whom the log is to be read next, and is being read.
#[derive(Clone, Debug, Default, Hash)]
pub(super) struct Reads {
    queue: VecDeque<SocketId>,
    under_way: BTreeMap<Ticket, SocketId>,
    /// Those for whom the log could not be read, and when it is tried again.
    unread: BTreeSet<SocketId>,
    retry_at: Option<Instant>,
}

impl Reads {
    pub(super) fn retry_at(&self) -> Option<Instant> {
        self.retry_at
    }

    /// For whom it is time to try again.
    pub(super) fn due(&mut self, now: Instant) -> BTreeSet<SocketId> {
        match self.retry_at.take_if(|due| now.has_reached(*due)) {
            Some(_) => core::mem::take(&mut self.unread),
            None => BTreeSet::new(),
        }
    }
}

impl Recovery {
    /// The connection of a socket has room again: what it missed is read for it.
    pub fn resume_reading<P>(
        &mut self,
        now: Now,
        id: SocketId,
        members: &mut Namespace<P>,
        outbox: &mut impl Outbox<P>,
    ) {
        let Some(Session { reader: Some(reader), .. }) = self.sessions.get_mut(&id) else { return };
        reader.has_room = true;
        self.go_on(now, id, members, outbox);
    }

    /// Hands over what there is, until the socket is full, has everything, or the log is to be read.
    pub(super) fn go_on<P>(
        &mut self,
        now: Now,
        id: SocketId,
        members: &mut Namespace<P>,
        outbox: &mut impl Outbox<P>,
    ) {
        let (epoch, head) = (self.epoch, self.head);
        let Some(Session { phase: Phase::Here(_), reader: at, kept, .. }) = self.sessions.get_mut(&id) else {
            return;
        };
        let (Some(reader), Some(peer)) = (at.as_deref_mut(), members.peer(id)) else { return };
        if reader.has_room && reader.reading.is_none() {
            let mut handing = Handing { epoch, wall: now.wall, kept, reader, peer, outbox };
            reader_result(handing.owed().and_then(|()| handing.held()), handing.reader);
        }
        let is_complete = reader.owed.is_empty() && reader.held.is_none() && reader.reading.is_none();
        if is_complete && (reader.cursor >= head || mutant!(LiveStartsAfterSeam)) {
            *at = None;
            members.set_behind(id, false);
        } else {
            self.queue_read(id);
        }
    }

    /// Gives a session its turn, if there is something to read for it.
    pub(super) fn queue_read(&mut self, id: SocketId) {
        let head = self.head;
        let Some(Session { phase, reader: Some(reader), .. }) = self.sessions.get_mut(&id) else { return };
        let wants = match phase {
            Phase::Claimed(_) => reader.claim.is_some(),
            Phase::Here(_) => reader.has_room && reader.held.is_none() && reader.cursor < head,
            Phase::Told(_) | Phase::Away(_) => false,
        };
        if wants && reader.reading.is_none() && !reader.is_queued {
            reader.is_queued = true;
            self.reads.queue.push_back(id);
        }
    }

    pub(super) fn next_read(&mut self, ticket: Ticket) -> Option<Effect> {
        while self.reads.under_way.len() < self.config.reads.max(1) {
            let id = self.reads.queue.pop_front()?;
            let Some(Session { kept, reader: Some(reader), .. }) = self.sessions.get_mut(&id) else {
                continue;
            };
            if !core::mem::take(&mut reader.is_queued) || reader.reading.is_some() {
                continue;
            }
            let (job, mut query) = next_query(kept, reader, self.head);
            if job != Job::Decide {
                query.messages = self.config.page_messages.max(1);
            }
            query.bytes = self.config.page_bytes;
            reader.reading = Some((ticket, job, query.through.unwrap_or(Offset::END)));
            self.reads.under_way.insert(ticket, id);
            return Some(Effect::Read { ticket, query });
        }
        None
    }

    pub(super) fn take_page<P>(
        &mut self,
        now: Now,
        ticket: Ticket,
        result: Result<Page, ReadError>,
        members: &mut Namespace<P>,
        outbox: &mut impl Outbox<P>,
    ) {
        let Some(id) = self.reads.under_way.remove(&ticket) else { return };
        let Some(Session { reader: Some(reader), kept, .. }) = self.sessions.get_mut(&id) else { return };
        let Some((_, job, through)) =
            reader.reading.take_if(|(reading, ..)| *reading == ticket || mutant!(FencedReadGoesOn))
        else {
            return;
        };
        let page = match result {
            Ok(page) => page,
            Err(_) => {
                self.reads.unread.insert(id);
                self.reads.retry_at.get_or_insert(now.mono + self.config.retry);
                return;
            }
        };
        match job {
            Job::Decide => {
                reader.decided(through, &page);
                self.decide_on(now, id, members);
            }
            Job::Pick => {
                reader.pick(kept, &page, now.wall, self.config.latest_keys.max(1));
                self.decide_on(now, id, members);
            }
            Job::Replay => {
                self.replay(now, id, through, page, members, outbox);
                self.go_on(now, id, members, outbox);
            }
        }
    }

    fn replay<P>(
        &mut self,
        now: Now,
        id: SocketId,
        through: Offset,
        page: Page,
        members: &Namespace<P>,
        outbox: &mut impl Outbox<P>,
    ) {
        let epoch = self.epoch;
        let Some(Session { reader: Some(reader), kept, .. }) = self.sessions.get_mut(&id) else { return };
        let Some(peer) = members.peer(id).filter(|_| reader.has_room) else { return };
        let last = page.entries.last().map(|entry| entry.offset);
        let is_all = !page.more || mutant!(ReplayStopsAtPage);
        let Some(covered) = Some(through).filter(|_| is_all).or(last) else { return };
        let channels = kept.segment(reader.cursor, through, reader.away, &reader.picked).channels;
        let lost = lost_of(&page).or_else(|| hole_in(&page, &channels, reader.cursor));
        if lost.is_some_and(|lost| lost.range.through > covered) {
            // A loss is counted as a whole, so the page has to have all that is within it.
            reader.limit = Some(covered);
            return;
        }
        reader.limit = None;
        let mut handing = Handing { epoch, wall: now.wall, kept, reader, peer, outbox };
        let result = handing.owed().and_then(|()| handing.page(page.entries.into(), covered, lost));
        reader_result(result, handing.reader);
    }
}

/// What the log has lost of what it was asked for. It may tell of a range in which there was nothing.
fn lost_of(page: &Page) -> Option<Lost> {
    page.lost.filter(|lost| lost.count != Count::Exact(0) && !mutant!(TrimmedSilently))
}

/// An entry that another one names as the one before it, and that is not there: nobody says why.
fn hole_in(page: &Page, channels: &[ByteString], after: Offset) -> Option<Lost> {
    let is_there = |offset| page.entries.binary_search_by_key(&offset, |entry| entry.offset).is_ok();
    let named = page.entries.iter().flat_map(|entry| entry.record.channels.iter().zip(&entry.previous));
    let followed = named.filter(|(channel, _)| channels.contains(channel));
    let missing =
        followed.map(|(_, previous)| *previous).filter(|previous| *previous > after && !is_there(*previous));
    let range = OffsetRange { after, through: missing.max()? };
    Some(Lost { range, count: Count::AtLeast(1), reason: Reason::Unknown })
}

/// What to read next for a session.
fn next_query(kept: &Snapshot, reader: &Reader, head: Offset) -> (Job, Query) {
    let Some(claim) = &reader.claim else {
        let to = reader.limit.map_or(head, |limit| limit.min(head));
        let segment = kept.segment(reader.cursor, to, reader.away, &reader.picked);
        let query = Query::of_any(segment.channels, reader.cursor);
        return (Job::Replay, Query { through: Some(segment.through), ..query });
    };
    if claim.decided < reader.away {
        let segment = kept.segment(claim.decided, reader.away, reader.away, &[]);
        let query = Query::of_any(segment.channels, claim.decided);
        return (Job::Decide, Query { through: Some(segment.through), messages: 0, ..query });
    }
    match reader.picked.get(claim.picked) {
        Some(picked) => {
            let query = Query::of(picked.room.clone(), picked.after.max(claim.picked_through));
            (Job::Pick, Query { through: Some(picked.through), ..query })
        }
        None => (Job::Decide, Query { through: Some(reader.away), messages: 0, ..Query::all(reader.away) }),
    }
}

/// The socket has no room.
struct Full;

fn reader_result(result: Result<(), Full>, reader: &mut Reader) {
    reader.has_room = result.is_ok();
}

/// One session, while something is handed over to it.
struct Handing<'a, P, O> {
    epoch: tenfour_delivery::number::Epoch,
    wall: WallTime,
    kept: &'a Snapshot,
    reader: &'a mut Reader,
    peer: &'a P,
    outbox: &'a mut O,
}

impl<P, O: Outbox<P>> Handing<'_, P, O> {
    /// What is told before anything else.
    fn owed(&mut self) -> Result<(), Full> {
        while let Some(&(lost, at)) = self.reader.owed.front() {
            self.tell(lost, at)?;
            self.reader.owed.pop_front();
        }
        Ok(())
    }

    /// The rest of a page.
    fn held(&mut self) -> Result<(), Full> {
        let Some(Held { entries, through }) = self.reader.held.take() else { return Ok(()) };
        self.entries(entries, through, true)
    }

    /// A page that has everything up to `covered` but what is lost.
    fn page(&mut self, entries: VecDeque<Entry>, covered: Offset, lost: Option<Lost>) -> Result<(), Full> {
        let Some(lost) = lost else { return self.entries(entries, covered, false) };
        // Who is told of a loss and has not what is within its range is still before that.
        let before_first = entries.front().map_or(Offset::END, |entry| before(entry.offset));
        let at = lost.range.through.min(before_first).max(self.reader.cursor);
        self.tell(lost, at)?;
        self.reader.advance(at);
        self.entries(entries, covered, true)
    }

    /// Hands over the entries, and what has expired of them as one loss each time. What the socket has no room for is kept if
    /// it `keeps`, and else read again.
    fn entries(&mut self, mut entries: VecDeque<Entry>, covered: Offset, keeps: bool) -> Result<(), Full> {
        let mut missing: Option<Lost> = None;
        let mut left = 0;
        let mut result = Ok(());
        while let Some(entry) = entries.get(left) {
            match self.deliverable(entry) {
                Deliverable::Not => {}
                Deliverable::Lost(reason) => {
                    let after = missing.map_or(self.reader.cursor, |lost| lost.range.through);
                    let range = OffsetRange { after, through: entry.offset };
                    let count = Count::Exact(u64::from(!mutant!(LostMiscounted)));
                    let lost = Lost { range, count, reason };
                    let joined = missing.map_or(Some(lost), |missing| missing.join(lost));
                    if joined.is_none() {
                        result = self.tell_missing(missing.take());
                    }
                    missing = joined.or(Some(lost));
                }
                Deliverable::Message(envelope) => {
                    result = self.tell_missing(missing.take()).and_then(|()| {
                        let item = Item::Replayed { entry, message: &envelope.message };
                        self.hand(item)?;
                        self.reader.advance(entry.offset);
                        Ok(())
                    });
                }
            }
            if result.is_err() {
                break;
            }
            left += 1;
        }
        if result.is_ok() {
            result = self.tell_missing(missing);
        }
        if result.is_ok() {
            self.reader.advance(covered);
        } else if keeps {
            let cursor = self.reader.cursor;
            entries.retain(|entry| entry.offset > cursor);
            self.reader.held = Some(Held { entries, through: covered });
        }
        result
    }

    fn deliverable(&self, entry: &Entry) -> Deliverable {
        deliverable(self.kept, entry, self.wall)
    }

    fn tell_missing(&mut self, missing: Option<Lost>) -> Result<(), Full> {
        let Some(lost) = missing else { return Ok(()) };
        self.tell(lost, lost.range.through)?;
        self.reader.advance(lost.range.through);
        Ok(())
    }

    fn tell(&mut self, lost: Lost, at: Offset) -> Result<(), Full> {
        let at = Position { epoch: self.epoch, offset: at };
        self.hand(Item::Lost { lost, at })
    }

    fn hand(&mut self, item: Item<'_>) -> Result<(), Full> {
        match self.outbox.deliver(self.kept.id, self.peer, item) {
            Taken::Yes => Ok(()),
            Taken::Full => Err(Full),
        }
    }
}

/// What an entry is for a session.
enum Deliverable {
    Message(Envelope),
    /// It is not for this session.
    Not,
    Lost(Reason),
}

fn deliverable(kept: &Snapshot, entry: &Entry, wall: WallTime) -> Deliverable {
    let Ok(envelope) = Envelope::from_stored(&entry.record.payload) else {
        return Deliverable::Lost(Reason::Unknown);
    };
    let mut except = envelope.except.iter().filter(|_| !mutant!(ExceptForgottenInReplay));
    if except.any(|room| kept.was_in(room, entry.offset)) {
        return Deliverable::Not;
    }
    if entry.record.is_expired(wall) && !mutant!(ExpiredDelivered) {
        return Deliverable::Lost(Reason::Ttl);
    }
    Deliverable::Message(envelope)
}

fn before(offset: Offset) -> Offset {
    Offset::new(offset.get().saturating_sub(1))
}

impl Reader {
    /// The log still has everything up to `through`, or it says what is lost.
    fn decided(&mut self, through: Offset, page: &Page) {
        let Some(claim) = &mut self.claim else { return };
        claim.decided = claim.decided.max(through);
        if let Some(lost) = lost_of(page).filter(|_| !mutant!(RecoveredThoughTrimmed)) {
            claim.lost = Some(claim.lost.map_or(lost.count, |count| count + lost.count));
        }
    }

    /// Chooses the latest of a room, page by page.
    fn pick(&mut self, kept: &Snapshot, page: &Page, wall: WallTime, most: usize) {
        let Self { picked, claim: Some(claim), owed, .. } = self else { return };
        let Some(task) = picked.get_mut(claim.picked) else { return };
        claim.pick_lost |= lost_of(page).is_some();
        for entry in &page.entries {
            let Deliverable::Message(envelope) = deliverable(kept, entry, wall) else { continue };
            let key = envelope.conflate.filter(|_| task.per_key);
            claim.latest.insert(key, entry.offset);
            if claim.latest.len() > most {
                let dropped = drop_oldest(&mut claim.latest, claim.from);
                owed.extend(dropped.map(|lost| (lost, claim.from)));
            }
        }
        claim.picked_through = page.entries.last().map_or(task.through, |entry| entry.offset);
        if page.more {
            return;
        }
        let is_gone = claim.pick_lost && (task.per_key || claim.latest.is_empty());
        if is_gone {
            let count = Count::AtLeast(u64::from(!task.per_key));
            claim.lost = Some(claim.lost.map_or(count, |lost| lost + count));
        }
        task.offsets = core::mem::take(&mut claim.latest).into_values().collect();
        task.offsets.sort_unstable();
        (claim.picked, claim.picked_through, claim.pick_lost) = (claim.picked + 1, Offset::START, false);
    }
}

/// There are too many keys: the one whose latest is the oldest is given up.
fn drop_oldest<K: Clone + Ord>(latest: &mut BTreeMap<K, Offset>, after: Offset) -> Option<Lost> {
    let oldest = latest.iter().min_by_key(|(_, offset)| **offset).map(|(key, _)| key.clone())?;
    let through = latest.remove(&oldest)?;
    let range = OffsetRange { after, through };
    Some(Lost { range, count: Count::Exact(1), reason: Reason::Conflated })
}
