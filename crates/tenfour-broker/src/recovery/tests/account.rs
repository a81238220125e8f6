//! What was committed, what each client has of it, and whether that is right.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};

use tenfour_delivery::loss::{Count, Reason};

use super::super::*;
use crate::{
    Message,
    channel::{EVERYONE, Entry, Envelope, Taken},
    note::Note,
};

/// All that was committed, and what each client has of it.
pub(super) struct Account {
    pub(super) now: Now,
    pub(super) epoch: Epoch,
    pub(super) committed: Vec<(Entry, Envelope)>,
    pub(super) head: Offset,
    /// Who joined and left what, after which offset.
    pub(super) changes: BTreeMap<SocketId, Vec<(Offset, ByteString, bool)>>,
    pub(super) clients: Vec<Client>,
    /// Up to where each channel has lost its messages.
    pub(super) trimmed: BTreeMap<ByteString, Offset>,
    pub(super) delivered: usize,
    pub(super) told: usize,
    /// What was told of changes.
    pub(super) changed: Vec<(ChangeId, Result<(), ChangeError>)>,
    pub(super) ended: Vec<(SocketId, EndReason)>,
    pub(super) fenced: Vec<Visit>,
    pub(super) unwritten: usize,
}

/// A client, as it sees itself.
#[derive(Clone, Default)]
pub(super) struct Client {
    pub(super) visit: Option<Visit>,
    pub(super) session: Option<Mine>,
    /// Items that it takes before it is full.
    pub(super) room: usize,
    /// What it claimed, and is not answered.
    pub(super) claimed: Option<Claim>,
    pub(super) recovered: usize,
    pub(super) lost: Vec<Lost>,
}

/// What a client knows of its session.
#[derive(Clone)]
pub(super) struct Mine {
    pub(super) id: SocketId,
    pub(super) pid: Pid,
    pub(super) at: Option<Position>,
    pub(super) start: Offset,
    /// What it got, and what it was told of, over all visits.
    pub(super) seen: BTreeSet<Offset>,
    pub(super) gone: BTreeSet<Offset>,
    /// What its client lost before it began.
    pub(super) before: Option<Lost>,
    /// The same, until it is told.
    pub(super) owed: Option<Lost>,
    /// Up to where it was told of losses on this visit: none is told twice.
    pub(super) told: BTreeMap<Reason, Offset>,
    /// What it got on this visit, each with where it was before.
    pub(super) inbox: Vec<(Option<Position>, Option<Offset>)>,
}

impl Account {
    pub(super) fn forget(&mut self, visit: Visit) {
        for client in &mut self.clients {
            client.visit.take_if(|own| *own == visit);
        }
    }

    pub(super) fn change(&mut self, id: SocketId, room: ByteString, is_in: bool) {
        let head = self.head;
        self.changes.entry(id).or_default().push((head, room, is_in));
    }

    pub(super) fn note(&mut self, entry: &Entry) {
        self.head = entry.offset;
        match Note::from_stored(&entry.record.payload).expect("a note") {
            Note::Joined { id, room, .. } => self.change(id, room, true),
            Note::Left { id, room } => self.change(id, room, false),
            _ => {}
        }
    }

    fn is_in(&self, id: SocketId, room: &str, offset: Offset) -> bool {
        let changes = self.changes.get(&id).into_iter().flatten();
        let before = changes.filter(|(at, name, _)| *at < offset && name == room);
        id.as_str() == room || before.last().is_some_and(|(.., is_in)| *is_in)
    }

    /// The channels by which an entry is a session's.
    fn ways<'a>(&'a self, mine: &'a Mine, entry: &'a Entry) -> impl Iterator<Item = &'a ByteString> {
        let channels = entry.record.channels.iter().filter(|_| entry.offset > mine.start);
        channels.filter(|name| **name == EVERYONE || self.is_in(mine.id, name, entry.offset))
    }

    /// What is a session's.
    fn owed<'a>(&'a self, mine: &'a Mine) -> impl Iterator<Item = &'a Entry> {
        let of_rooms = self.committed.iter().filter(|(entry, _)| self.ways(mine, entry).next().is_some());
        let not_excepted = of_rooms.filter(|(entry, envelope)| {
            !envelope.except.iter().any(|room| self.is_in(mine.id, room, entry.offset))
        });
        not_excepted.map(|(entry, _)| entry)
    }

    /// Whether the log no longer has it for this session, or must not give it.
    fn is_gone(&self, mine: &Mine, entry: &Entry) -> bool {
        let mut ways = self.ways(mine, entry);
        entry.record.is_expired(self.now.wall)
            || ways.all(|name| self.trimmed.get(name).is_some_and(|trimmed| entry.offset <= *trimmed))
    }

    pub(super) fn check_complete(&self, mine: &Mine) {
        for entry in self.owed(mine) {
            let is_known = mine.seen.contains(&entry.offset) || mine.gone.contains(&entry.offset);
            assert!(is_known, "{:?} has not {entry:?}, and was not told so", mine.id);
        }
    }

    fn check_message(&self, mine: &Mine, entry: &Entry, message: &Message) {
        let at = mine.at.map_or(mine.start, |at| at.offset);
        assert!(entry.offset > at, "{} comes after {at}", entry.offset);
        assert!(mine.owed.is_none(), "what was lost is told first");
        assert!(self.owed(mine).any(|owed| owed == entry), "{entry:?} is not for {:?}", mine.id);
        assert!(!entry.record.is_expired(self.now.wall), "what has expired is not delivered");
        let stored = Envelope::from_stored(&entry.record.payload).expect("it was stored");
        assert_eq!(stored.message, *message);
        for between in self.owed(mine).filter(|other| at < other.offset && other.offset < entry.offset) {
            let is_told = mine.gone.contains(&between.offset);
            assert!(is_told, "{} is left out before {}", between.offset, entry.offset);
        }
    }

    /// What is gone of a range. The count is true.
    fn check_lost(&self, mine: &Mine, lost: Lost) -> Vec<Offset> {
        let within = self.committed.iter().filter(|(entry, _)| lost.range.contains(entry.offset));
        let of_rooms = within.filter(|(entry, _)| self.ways(mine, entry).next().is_some());
        let gone = of_rooms.filter(|(entry, _)| self.is_gone(mine, entry));
        let gone: Vec<_> = gone.map(|(entry, _)| entry).collect();
        if matches!(lost.reason, Reason::SlowConsumer | Reason::Unknown) {
            // Rooms that were left, and of which nobody knows when; or a log that is damaged.
            let owed = self.owed(mine).filter(|entry| lost.range.contains(entry.offset));
            return owed.map(|entry| entry.offset).collect();
        }
        let most = match lost.reason {
            // A message of two rooms that both have lost it may count for both.
            Reason::Retention => gone.iter().map(|entry| self.ways(mine, entry).count()).sum(),
            Reason::Ttl => gone.iter().filter(|entry| entry.record.is_expired(self.now.wall)).count(),
            other => panic!("lost for no reason: {other}"),
        };
        let least = u64::from(matches!(lost.count, Count::Exact(_)));
        assert!((least..=most as u64).contains(&lost.count.at_least()), "{lost:?} of {gone:?}");
        gone.iter().map(|entry| entry.offset).collect()
    }
}

impl Outbox<Visit> for Account {
    fn deliver(&mut self, to: SocketId, peer: &Visit, item: Item<'_>) -> Taken {
        let Some(client) = self.clients.iter().position(|client| client.visit == Some(*peer)) else {
            // The connection is dead, and the server does not know: it is full at some time, or is not.
            return if peer.0.is_multiple_of(2) { Taken::Yes } else { Taken::Full };
        };
        if self.clients[client].room == 0 {
            return Taken::Full;
        }
        self.clients[client].room -= 1;
        let mut mine = self.clients[client].session.clone().expect("it was admitted");
        assert_eq!(mine.id, to);
        let before = mine.at;
        match item {
            Item::Committed { entry, message } | Item::Replayed { entry, message } => {
                self.check_message(&mine, entry, message);
                assert!(mine.seen.insert(entry.offset), "nothing comes twice");
                mine.at = Some(Position { epoch: self.epoch, offset: entry.offset });
                mine.inbox.push((before, Some(entry.offset)));
                self.delivered += 1;
            }
            Item::Lost { lost, at } => {
                assert!(before.map_or(mine.start, |at| at.offset) <= at.offset, "a cursor never goes back");
                let is_from_before = mine.before == Some(lost);
                mine.owed.take_if(|owed| *owed == lost);
                if !is_from_before {
                    let before = mine.told.insert(lost.reason, lost.range.through);
                    assert!(before.is_none_or(|told| told <= lost.range.after), "{lost:?} was told before");
                    mine.gone.extend(self.check_lost(&mine, lost));
                }
                mine.at = Some(at);
                mine.inbox.push((before, None));
                self.told += 1;
            }
        }
        self.clients[client].session = Some(mine);
        Taken::Yes
    }
}
