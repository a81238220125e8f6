//! Sessions, their log and their clients, and a plain account of all that was committed, which judges each item.

use alloc::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    string::ToString,
    vec,
    vec::Vec,
};
use core::time::Duration;

use tenfour_delivery::{log::AppendError, time::WallTime};
use tenfour_log::{Bound, Log, Memory, Retention};

use super::{
    super::*,
    account::{Account, Client, Mine},
};
use crate::{
    Body, Limits, Message, Target,
    channel::{EVERYONE, Entry, Envelope, NOTES},
};

pub(super) const ROOMS: [&str; 3] = ["a", "b", "c"];
pub(super) const CLIENTS: usize = 3;

/// The sessions with everything around them.
pub(super) struct World {
    pub(super) recovery: Recovery,
    pub(super) members: Namespace<Visit>,
    pub(super) log: Memory,
    pub(super) account: Account,
    appends: VecDeque<(Ticket, Vec<Record>)>,
    reads: Vec<(Ticket, Query)>,
    pages: Vec<(Ticket, Page)>,
    pub(super) config: Config,
    drawn: u8,
}

impl World {
    pub(super) fn new(per_channel: usize) -> Self {
        let mut config = Config::default();
        (config.page_messages, config.reads, config.append_notes, config.left_rooms) = (2, 2, 3, 1);
        config.checkpoint_notes = 12;
        Self::with(config, per_channel)
    }

    pub(super) fn with(config: Config, per_channel: usize) -> Self {
        let epoch = Epoch::new(1);
        let mut retention = Retention::default();
        retention.channel = Bound { messages: per_channel, ..Bound::default() };
        let now = Now { wall: WallTime::from_unix_millis(1_000_000), ..Now::default() };
        Self {
            recovery: Recovery::new(config.clone(), epoch),
            members: Namespace::new("/".into(), Limits::default(), 7),
            log: Memory::new(epoch, retention),
            account: Account {
                now,
                epoch,
                committed: Vec::new(),
                head: Offset::START,
                changes: BTreeMap::new(),
                clients: vec![Client { room: usize::MAX, ..Client::default() }; CLIENTS],
                trimmed: BTreeMap::new(),
                delivered: 0,
                told: 0,
                changed: Vec::new(),
                ended: Vec::new(),
                fenced: Vec::new(),
                unwritten: 0,
            },
            appends: VecDeque::new(),
            reads: Vec::new(),
            pages: Vec::new(),
            config,
            drawn: 0,
        }
    }

    /// Asks for an append of a message, in the order of the log's other appends.
    pub(super) fn publish(&mut self, channels: &[ByteString], except: &[ByteString], ttl: Option<u64>) {
        let message = Message::new("m", Body::json("1"));
        self.publish_as(channels, Envelope { except: except.to_vec(), ..Envelope::of(message) }, ttl);
    }

    pub(super) fn publish_as(&mut self, channels: &[ByteString], envelope: Envelope, ttl: Option<u64>) {
        let wall = self.account.now.wall;
        let expires = ttl.map(|ttl| WallTime::from_unix_millis(wall.as_unix_millis() + ttl));
        let (channels, payload) = (channels.to_vec(), envelope.to_stored());
        let record = Record { channels, producer: None, ingested: wall, expires, payload };
        self.appends.push_back((Ticket(0), vec![record]));
    }

    /// A client connects, with what it knows.
    pub(super) fn connect(&mut self, client: usize) {
        let claim = self.claim(client);
        self.connect_with(client, claim);
    }

    pub(super) fn claim(&self, client: usize) -> Option<Claim> {
        self.account.clients[client].session.as_ref().map(|mine| Claim { pid: mine.pid, at: mine.at })
    }

    pub(super) fn connect_with(&mut self, client: usize, claim: Option<Claim>) {
        self.drawn += 1;
        let (visit, random) = (Visit(u64::from(self.drawn)), [self.drawn; 15]);
        let fresh = (SocketId::from_bytes(random), Pid::from_bytes(random));
        let arrival = Arrival { claim, ..Arrival::new(fresh) };
        // What was on the way on its last connection does not come any more.
        if let Some(mine) = &mut self.account.clients[client].session {
            mine.inbox.clear();
            mine.told.clear();
        }
        self.account.clients[client].visit = Some(visit);
        self.account.clients[client].claimed = claim;
        self.recovery.connect(self.account.now, visit, arrival, &mut self.members).expect("there is room");
        self.events();
    }

    /// The connection of a client is gone, with the last items that were on it. Its server may not know yet.
    pub(super) fn cut(&mut self, client: usize, lost: usize, is_seen: bool) {
        let Some(visit) = self.account.clients[client].visit.take() else { return };
        if let Some(mine) = &mut self.account.clients[client].session {
            for _ in 0..lost {
                let Some((before, offset)) = mine.inbox.pop() else { break };
                mine.at = before;
                mine.seen.retain(|seen| Some(*seen) != offset);
            }
            mine.inbox.clear();
        }
        if is_seen {
            self.depart(visit, Departure::Lost);
        }
    }

    pub(super) fn leave_for_good(&mut self, client: usize) {
        let Some(visit) = self.account.clients[client].visit.take() else { return };
        self.account.clients[client].session = None;
        self.depart(visit, Departure::Left);
    }

    fn depart(&mut self, visit: Visit, departure: Departure) {
        self.recovery.depart(self.account.now, visit, departure, &mut self.members);
        self.events();
    }

    pub(super) fn id(&self, client: usize) -> Option<SocketId> {
        self.account.clients[client].session.as_ref().map(|mine| mine.id)
    }

    pub(super) fn ready(&mut self, client: usize) {
        let Some(id) = self.id(client) else { return };
        self.recovery.ready(self.account.now, id);
    }

    pub(super) fn join(&mut self, client: usize, room: &str, away: Away) -> Option<Change> {
        let (id, room) = (self.id(client)?, ByteString::from(room));
        let result = self.recovery.join(self.account.now, id, &room, away, &mut self.members);
        if let Ok(Change::Done(true)) = result {
            self.account.change(id, room, true);
        }
        self.events();
        result.ok()
    }

    pub(super) fn leave(&mut self, client: usize, room: &str) {
        let Some(id) = self.id(client) else { return };
        let room = ByteString::from(room);
        let result = self.recovery.leave(self.account.now, id, &room, &mut self.members);
        if let Ok(Change::Done(true)) = result {
            self.account.change(id, room, false);
        }
        self.events();
    }

    pub(super) fn join_all(&mut self, room: &str) {
        self.change_all(room, |recovery, now, room, members| {
            _ = recovery.join_selected(now, &Target::all(), room, members);
        });
    }

    pub(super) fn leave_all(&mut self, room: &str) {
        self.change_all(room, |recovery, now, room, members| {
            _ = recovery.leave_selected(now, &Target::room(room.clone()), room, members);
        });
    }

    /// A change of many, which is made at once for those who are not in the log.
    fn change_all(
        &mut self,
        room: &str,
        act: impl FnOnce(&mut Recovery, Now, &ByteString, &mut Namespace<Visit>),
    ) {
        let room = ByteString::from(room);
        let mut before = Vec::new();
        self.members.select_with_away(&Target::all(), |id, _| before.push(id));
        let is_in = |world: &Self, id| {
            world.recovery.session(id).is_some_and(|session| session.rooms.contains_key(&room))
        };
        let before: Vec<_> = before.into_iter().map(|id| (id, is_in(self, id))).collect();
        act(&mut self.recovery, self.account.now, &room, &mut self.members);
        for (id, was_in) in before {
            let is_in = is_in(self, id);
            if is_in != was_in {
                self.account.change(id, room.clone(), is_in);
            }
        }
        self.events();
    }

    pub(super) fn disconnect(&mut self, target: &Target) {
        let mut there = Vec::new();
        let Self { recovery, members, .. } = self;
        recovery.disconnect_selected(self.account.now, target, members, |_, visit| there.push(*visit));
        for visit in there {
            self.depart(visit, Departure::Left);
            self.account.forget(visit);
        }
        self.events();
    }

    pub(super) fn make_room(&mut self, client: usize, room: usize) {
        self.account.clients[client].room = room;
        if let Some(id) = self.id(client).filter(|_| room > 0) {
            self.recovery.resume_reading(self.account.now, id, &mut self.members, &mut self.account);
        }
    }

    pub(super) fn take_effect(&mut self) -> bool {
        match self.recovery.poll_effect() {
            None => return false,
            Some(Effect::Append { ticket, records }) => self.appends.push_back((ticket, records)),
            Some(Effect::Read { ticket, query }) => self.reads.push((ticket, query)),
            Some(Effect::Release { channel, through }) => self.log.release(&channel, through),
        }
        true
    }

    pub(super) fn append(&mut self, fails: bool) -> bool {
        let refused = AppendError::Refused { reason: "the disk is full".to_string() };
        self.append_as(fails.then_some(refused))
    }

    pub(super) fn append_as(&mut self, error: Option<AppendError>) -> bool {
        let Some((ticket, records)) = self.appends.pop_front() else { return false };
        let result = match error {
            Some(error) => Err(error),
            None => {
                self.log.append(ticket, records);
                self.log.poll().expect("memory answers at once").result
            }
        };
        self.note_trimmed();
        if ticket.0 & TICKETS != 0 {
            for entry in result.iter().flatten() {
                self.account.note(entry);
            }
            self.recovery.committed(self.account.now, ticket, result, &mut self.members);
        } else {
            for entry in result.iter().flatten() {
                self.fan_out(entry);
            }
        }
        self.events();
        true
    }

    fn fan_out(&mut self, entry: &Entry) {
        let envelope = Envelope::from_stored(&entry.record.payload).expect("it was stored");
        self.account.committed.push((entry.clone(), envelope.clone()));
        let is_expired = entry.record.is_expired(self.account.now.wall);
        let envelope = Some(&envelope).filter(|_| !is_expired);
        self.recovery.fan_out(entry, envelope, &mut self.members, &mut self.account);
        self.account.head = entry.offset;
    }

    pub(super) fn read(&mut self, which: usize) -> bool {
        if self.reads.is_empty() {
            return false;
        }
        let (ticket, query) = self.reads.remove(which % self.reads.len());
        self.pages.push((ticket, self.log.read(&query).expect("memory can be read")));
        true
    }

    /// The log leaves out an entry of the next page, and does not know it.
    pub(super) fn damage_page(&mut self, place: usize) {
        self.pages[0].1.entries.remove(place);
    }

    pub(super) fn hand_in(&mut self, which: usize, fails: bool) -> bool {
        if self.pages.is_empty() {
            return false;
        }
        let (ticket, page) = self.pages.remove(which % self.pages.len());
        let failed = ReadError::Failed { reason: "a bad sector".to_string() };
        let result = if fails { Err(failed) } else { Ok(page) };
        self.recovery.page(self.account.now, ticket, result, &mut self.members, &mut self.account);
        self.events();
        true
    }

    pub(super) fn wait(&mut self, millis: u64) {
        let Now { mono, wall } = self.account.now;
        let mono = mono + Duration::from_millis(millis);
        let wall = WallTime::from_unix_millis(wall.as_unix_millis() + millis);
        self.account.now = Now { mono, wall };
        if self.recovery.poll_timeout().is_some_and(|due| mono.has_reached(due)) {
            self.recovery.handle_timeout(self.account.now, &mut self.members);
        }
        self.events();
    }

    /// The process dies with all that is not in the log, and another one reads it.
    pub(super) fn restart(&mut self) {
        for client in 0..CLIENTS {
            self.cut(client, 0, false);
        }
        self.appends.clear();
        self.reads.clear();
        self.pages.clear();
        self.members = Namespace::new("/".into(), Limits::default(), 7);
        self.recovery = self.restored();
        self.recovery.restored(self.account.now, self.log.head(), &mut self.members);
        self.account.head = self.log.head();
    }

    /// What another process makes of the log.
    pub(super) fn restored(&self) -> Recovery {
        let mut restored = Recovery::new(self.config.clone(), self.account.epoch);
        let query = Query { messages: usize::MAX, bytes: usize::MAX, ..Query::of(NOTES, Offset::START) };
        for entry in &self.log.read(&query).expect("memory can be read").entries {
            restored.restore(entry).expect("a note");
        }
        restored
    }

    pub(super) fn settle(&mut self) {
        let mut turns = 0;
        while self.take_effect() || self.append(false) || self.read(0) || self.hand_in(0, false) {
            turns += 1;
            assert!(turns < 10_000, "it never comes to rest");
        }
    }

    /// Everything heals: all have room and a connection. Then everyone has everything.
    pub(super) fn heal(&mut self) {
        for client in 0..CLIENTS {
            self.make_room(client, usize::MAX);
        }
        self.settle();
        self.wait(1_000); // what was refused is tried again
        self.settle();
        for client in 0..CLIENTS {
            if self.account.clients[client].visit.is_none() {
                self.connect(client);
            }
        }
        self.settle();
        assert_eq!(self.members.away(), self.recovery.parked());
        for client in &self.account.clients {
            let mine = client.session.as_ref().expect("everyone is in");
            assert!(self.recovery.sessions[&mine.id].reader.is_none(), "{:?} never comes to rest", mine.id);
            self.account.check_complete(mine);
        }
        self.check_restored();
    }

    /// Who reads the log knows the sessions as they are.
    pub(super) fn check_restored(&self) {
        let restored = self.restored();
        let live: Vec<_> = self.recovery.written().collect();
        assert_eq!(live, restored.written().collect::<Vec<_>>());
        for session in live {
            let rooms: BTreeSet<_> = session.rooms.keys().map(|room| &**room).collect();
            if let Some(member) = self.members.get(session.id) {
                let known: BTreeSet<_> = member.rooms().filter(|room| *room != session.id.as_str()).collect();
                assert_eq!(rooms, known, "a session is where its socket is");
            }
        }
    }

    fn note_trimmed(&mut self) {
        let ids = self.account.changes.keys().map(|id| ByteString::from(*id));
        for name in ROOMS.into_iter().map(ByteString::from).chain([EVERYONE]).chain(ids) {
            let trimmed = self.log.history(&name).trimmed;
            self.account.trimmed.insert(name, trimmed);
        }
    }

    pub(super) fn events(&mut self) {
        while let Some(event) = self.recovery.poll_event() {
            match event {
                Event::Admitted { visit, id, pid, how, .. } => self.admitted(visit, id, pid, how),
                Event::Fenced { visit, .. } => {
                    self.account.fenced.push(visit);
                    self.account.forget(visit);
                }
                Event::Changed { change, result } => self.account.changed.push((change, result)),
                Event::Unwritten { .. } => self.account.unwritten += 1,
                Event::Ended { id, reason } => self.account.ended.push((id, reason)),
            }
        }
    }

    fn admitted(&mut self, visit: Visit, id: SocketId, pid: Pid, how: How) {
        let session = self.recovery.session(id).expect("it is there");
        let start = session.start.offset;
        let found = self.account.clients.iter().position(|client| client.visit == Some(visit));
        self.account.changes.entry(id).or_default();
        // One that was cut is let in by a server that has not noticed.
        if let Some(client) = found {
            let client = &mut self.account.clients[client];
            let claim = client.claimed.take();
            if how == How::Recovered {
                let mine = client.session.as_ref().expect("it claimed it");
                assert_eq!((mine.id, mine.pid), (id, pid), "the same session, by the same pid");
                assert_eq!(claim.map(|claim| claim.pid), Some(pid));
                client.recovered += 1;
            } else {
                let owed = if let How::Lost(lost) = how { Some(lost) } else { None };
                assert!(owed.is_none() || claim.is_some(), "who claims nothing has lost nothing");
                assert_eq!(start, self.recovery.head().offset, "a session begins now");
                let (seen, gone, inbox, told) =
                    (BTreeSet::new(), BTreeSet::new(), Vec::new(), BTreeMap::new());
                client.session =
                    Some(Mine { id, pid, at: None, start, seen, gone, before: owed, owed, told, inbox });
                client.lost.extend(owed);
            }
        }
        let now = self.account.now;
        self.recovery.admitted(now, visit, visit, &mut self.members, &mut self.account);
    }
}
