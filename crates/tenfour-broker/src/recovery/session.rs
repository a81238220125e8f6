//! One session: what is noted of it, and what is being done for it.

use core::{fmt, str::FromStr};

use alloc::{
    boxed::Box,
    collections::{BTreeMap, VecDeque},
    vec::Vec,
};

use bytestring::ByteString;
use tenfour_delivery::{
    id::{Id, ParseIdError},
    loss::Lost,
    mutant,
    number::Offset,
    resume::Position,
    time::Instant,
};

use super::{Away, Visit, reader::Reader};
use crate::{SocketId, channel::EVERYONE};

/// By which a client claims its session: 15 random bytes, written as 20 characters of the URL-safe base64 alphabet
/// (RFC 4648 §5). A secret: whoever has it is the client, so `Debug` shows its beginning alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pid(Id);

impl Pid {
    /// The pid that writes these random bytes, which come from a cryptographic generator.
    #[must_use]
    pub fn from_bytes(random: [u8; 15]) -> Self {
        Self(Id::from_random(random))
    }

    /// The 20 characters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl FromStr for Pid {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        text.parse().map(Self)
    }
}

/// What is noted of a session: all that it needs to go on, in this process or another.
#[derive(Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Snapshot {
    /// The public id of its socket, the same as long as it lives.
    pub id: SocketId,
    /// By which its client claims it.
    pub pid: Pid,
    /// Where it began: it owes what was committed after this.
    pub start: Position,
    /// From before this it cannot go on exactly, since it is not remembered in which rooms it was.
    pub floor: Offset,
    /// What its client was not given before it began, for a client that may not have been told.
    pub lost: Option<Lost>,
    /// The rooms that it is in, without the room of its own id.
    pub rooms: BTreeMap<ByteString, Membership>,
    /// The rooms that it has left, the last one last.
    pub left: VecDeque<Left>,
    /// Its data, a JSON text.
    pub data: Option<ByteString>,
}

/// Since when a session is in a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Membership {
    /// What was committed after this is for it.
    pub since: Offset,
    /// What it gets of the time that its client is away.
    pub away: Away,
}

/// A room that a session has left.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Left {
    /// The room.
    pub room: ByteString,
    /// How it was in it.
    pub membership: Membership,
    /// What was committed up to here is for it.
    pub until: Offset,
}

impl Snapshot {
    /// A session that begins, in no room.
    #[must_use]
    pub fn new(id: SocketId, pid: Pid, start: Position) -> Self {
        Self {
            id,
            pid,
            start,
            floor: start.offset,
            lost: None,
            rooms: BTreeMap::new(),
            left: VecDeque::new(),
            data: None,
        }
    }

    /// It is in a room from `since` on. Where it is in it already, only what it gets when it is away is new.
    pub(super) fn join(&mut self, room: &ByteString, since: Offset, away: Away) {
        let membership = self.rooms.entry(room.clone()).or_insert(Membership { since, away });
        membership.away = away;
    }

    /// It is not in a room from `until` on: `false` if it was not in it.
    pub(super) fn leave(&mut self, room: &str, until: Offset, most: usize) -> bool {
        let Some((room, membership)) = self.rooms.remove_entry(room) else { return false };
        if membership.since < until {
            self.left.push_back(Left { room, membership, until });
        }
        while self.left.len() > most {
            let forgotten = self.left.pop_front().map_or(Offset::START, |left| left.until);
            self.floor = self.floor.max(forgotten);
        }
        true
    }

    /// Each membership that there was: the room, since when and until when.
    fn memberships(&self) -> impl Iterator<Item = (&ByteString, Membership, Offset)> {
        let rooms = self.rooms.iter().map(|(room, membership)| (room, *membership, Offset::END));
        let left = self.left.iter().filter(|_| !mutant!(ReplayByRoomsNow));
        rooms.chain(left.map(|left| (&left.room, left.membership, left.until)))
    }

    /// Whether what was committed to a room at `offset` was for this session.
    pub(super) fn was_in(&self, room: &str, offset: Offset) -> bool {
        room == self.id.as_str()
            || self
                .memberships()
                .any(|(own, membership, until)| own == room && membership.since < offset && offset <= until)
    }

    /// What it holds beside a fixed size, in bytes.
    pub(super) fn bytes(&self) -> usize {
        let rooms: usize = self.memberships().map(|(room, ..)| room.len()).sum();
        rooms + self.data.as_ref().map_or(0, |data| data.len())
    }

    /// The memberships that are not about everything, as far as they were between two offsets.
    pub(super) fn of_policy(&self, after: Offset, through: Offset) -> impl Iterator<Item = Picked> {
        let some = self
            .memberships()
            .filter(|(_, membership, _)| matches!(membership.away, Away::Latest | Away::LatestPerKey));
        some.filter_map(move |(room, membership, until)| {
            let picked = Picked {
                room: room.clone(),
                after: membership.since.max(after),
                through: until.min(through),
                per_key: membership.away == Away::LatestPerKey,
                offsets: Vec::new(),
            };
            (picked.after < picked.through).then_some(picked)
        })
    }

    /// What to read after `cursor`: the channels from which the next entries are for this session, and through which offset they
    /// are the same. What was committed through `away` was committed while its client was away.
    pub(super) fn segment(&self, cursor: Offset, to: Offset, away: Offset, picked: &[Picked]) -> Segment {
        let mut segment = Segment {
            channels: Vec::from([EVERYONE, ByteString::from(self.id)]),
            through: if cursor < away { to.min(away) } else { to },
        };
        for (room, membership, until) in self.memberships() {
            let is_owed = cursor >= away || membership.away == Away::Everything;
            let bounds = [membership.since, until];
            segment.consider(room, bounds, cursor, is_owed);
        }
        for picked in picked {
            for &offset in &picked.offsets {
                let before = Offset::new(offset.get().saturating_sub(1));
                segment.consider(&picked.room, [before, offset], cursor, true);
            }
        }
        segment
    }
}

/// Hides the data, which may hold secrets.
impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot")
            .field("id", &self.id)
            .field("pid", &self.pid)
            .field("start", &self.start)
            .field("floor", &self.floor)
            .field("lost", &self.lost)
            .field("rooms", &self.rooms)
            .field("left", &self.left)
            .field("data", &self.data.as_ref().map(|data| data.len()))
            .finish()
    }
}

/// What was chosen of a room's messages for whoever wants the latest alone.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Picked {
    pub(super) room: ByteString,
    pub(super) after: Offset,
    pub(super) through: Offset,
    pub(super) per_key: bool,
    /// In rising order.
    pub(super) offsets: Vec<Offset>,
}

/// A range of the log throughout which a session gets the entries of the same channels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) channels: Vec<ByteString>,
    pub(super) through: Offset,
}

impl Segment {
    /// A channel of which the session gets what is after the one bound and not after the other.
    fn consider(&mut self, channel: &ByteString, [since, until]: [Offset; 2], cursor: Offset, is_owed: bool) {
        if cursor < since && !mutant!(ReplayByRoomsNow) {
            self.through = self.through.min(since);
        } else if cursor < until {
            self.through = self.through.min(until);
            if is_owed {
                self.channels.push(channel.clone());
            }
        }
    }
}

/// A session, and what is being done for it.
#[derive(Clone, Debug, Hash)]
pub(super) struct Session {
    pub(super) kept: Snapshot,
    pub(super) written: Written,
    /// Notes of changes to it that are not committed yet.
    pub(super) changing: usize,
    pub(super) phase: Phase,
    /// What is read for it; `None` for one that has everything, or is away.
    pub(super) reader: Option<Box<Reader>>,
}

/// Whether the log knows of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Written {
    /// The application has not said yet that it is complete.
    No,
    /// It is to be written, or the log has refused it.
    Due,
    /// It waits for the commit.
    Queued,
    Yes,
}

/// Where the client of a session is.
///
/// ```text
///  connect            decided           admitted
/// ────────► Claimed ──────────► Told ────────────► Here
///              ▲                 │ depart            │ depart
///              │     connect     ▼                   ▼
///              └────────────── Away ◄────────────────┘
/// ```
/// A connect in any phase leads to `Claimed` and fences the visit that was there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Phase {
    /// It is back, and it is being decided whether it can go on exactly.
    Claimed(Visit),
    /// Its driver was told how it goes on.
    Told(Visit),
    /// It is reached, and gets what is committed.
    Here(Visit),
    /// It may come back until then.
    Away(Instant),
}

impl Session {
    pub(super) fn visit(&self) -> Option<Visit> {
        match self.phase {
            Phase::Claimed(visit) | Phase::Told(visit) | Phase::Here(visit) => Some(visit),
            Phase::Away(_) => None,
        }
    }

    /// Whether changes to it act at once, since the log does not know of it, and none that was asked for before waits.
    pub(super) fn changes_at_once(&self) -> bool {
        matches!(self.written, Written::No | Written::Due) && self.changing == 0
    }
}
