//! What is read from the log for one session.

use alloc::{
    collections::{BTreeMap, VecDeque},
    vec::Vec,
};

use bytestring::ByteString;
use tenfour_delivery::{
    log::Ticket,
    loss::{Count, Lost, OffsetRange, Reason},
    number::Offset,
};

use super::{Pid, session::Picked};
use crate::{SocketId, channel::Entry};

/// A cursor on the log, and what is being done about it.
#[derive(Clone, Debug, Hash)]
pub(super) struct Reader {
    /// What the session has. It never goes back.
    pub(super) cursor: Offset,
    /// Up to here its client was away, and gets what its rooms' policies say.
    pub(super) away: Offset,
    pub(super) picked: Vec<Picked>,
    /// To be told before anything else, and where the session is then.
    pub(super) owed: VecDeque<(Lost, Offset)>,
    /// Where the next page has to end, since the log has lost something beyond.
    pub(super) limit: Option<Offset>,
    pub(super) held: Option<Held>,
    pub(super) has_room: bool,
    /// Whether it waits for its turn.
    pub(super) is_queued: bool,
    pub(super) reading: Option<(Ticket, Job, Offset)>,
    pub(super) claim: Option<Claiming>,
}

/// What a page is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Job {
    /// To see whether the log still has everything.
    Decide,
    /// To choose the latest of a room.
    Pick,
    /// To be handed over.
    Replay,
}

/// A claim that is not decided.
#[derive(Clone, Debug, Hash)]
pub(super) struct Claiming {
    /// The session that its client gets if this one cannot go on.
    pub(super) fresh: (SocketId, Pid),
    pub(super) data: Option<ByteString>,
    /// From where it goes on.
    pub(super) from: Offset,
    /// How far it is known that nothing is lost.
    pub(super) decided: Offset,
    /// How many messages are known to be lost.
    pub(super) lost: Option<Count>,
    /// How many pickings are complete, and what the one under way has found: by conflation key, or all as one.
    pub(super) picked: usize,
    pub(super) latest: BTreeMap<Option<ByteString>, Offset>,
    pub(super) picked_through: Offset,
    pub(super) pick_lost: bool,
}

/// The rest of a page whose loss was told before it, so that it is not read, and told, again.
#[derive(Clone, Debug, Hash)]
pub(super) struct Held {
    pub(super) entries: VecDeque<Entry>,
    pub(super) through: Offset,
}

impl Reader {
    /// What goes on after `cursor`.
    pub(super) fn at(cursor: Offset) -> Self {
        Self {
            cursor,
            away: Offset::START,
            picked: Vec::new(),
            owed: VecDeque::new(),
            limit: None,
            held: None,
            has_room: true,
            is_queued: false,
            reading: None,
            claim: None,
        }
    }

    /// It is not known any more in which rooms the session was up to here, so all that it has not got by then it will not get.
    /// Who decides on a claim sees that for itself.
    pub(super) fn forget(&mut self, floor: Offset) {
        if self.cursor >= floor || self.claim.is_some() {
            return;
        }
        let reason = Reason::SlowConsumer;
        match self.owed.back_mut().filter(|(lost, _)| lost.reason == reason) {
            Some((lost, at)) => (lost.range.through, *at) = (floor, floor),
            None => {
                let range = OffsetRange { after: self.cursor, through: floor };
                self.owed.push_back((Lost { range, count: Count::AtLeast(0), reason }, floor));
            }
        }
        self.cursor = floor;
        (self.held, self.reading) = (None, None);
    }

    pub(super) fn advance(&mut self, through: Offset) {
        self.cursor = self.cursor.max(through);
    }
}
