//! What is read from the log becomes a subscriber's items.

use alloc::collections::BTreeSet;

use bytestring::ByteString;
use tenfour_delivery::{
    log::{ReadError, Ticket},
    loss::{Count, Lost, OffsetRange, Reason, Skip},
    mutant,
    number::Offset,
    resume::{Decision, History, decide_stream},
    time::WallTime,
};

use super::{
    ChannelNumber, Entry, Envelope, Item, Page, Sink, Start, SubscribeError, Subscribed, SubscriberId, Taken,
    subscription::{State, Subscription},
};
use crate::{Message, recovery::Away};

/// One subscription, while an answer of the log is handed over to it.
pub(super) struct Reader<'a, S> {
    pub(super) now: WallTime,
    pub(super) id: SubscriberId,
    pub(super) number: ChannelNumber,
    pub(super) name: &'a ByteString,
    /// The last offset of the channel that is known to be committed.
    pub(super) head: Offset,
    pub(super) subscription: &'a mut Subscription,
    pub(super) sink: &'a mut S,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Read {
    /// The subscription has everything.
    Live,
    /// There is more to read.
    Waits,
    /// There is more to read when the subscriber has room.
    Full,
    /// The subscription cannot be.
    Refused,
}

/// The subscriber has no room.
struct Full;

impl<S: Sink> Reader<'_, S> {
    /// Takes the answer to what the subscription asked under this ticket; `None`, and nothing changes, if it did not.
    pub(super) fn answered(&mut self, ticket: Ticket, result: Result<Page, ReadError>) -> Option<Read> {
        match self.subscription.state() {
            State::Deciding(start, asked) if asked == ticket => Some(self.open(start, result)),
            State::Reading(asked) if asked == ticket => Some(self.take(result)),
            _ => None,
        }
    }

    /// Decides from where the subscription goes on.
    fn open(&mut self, start: Start, result: Result<Page, ReadError>) -> Read {
        let page = match result {
            Ok(page) => page,
            Err(error) => return self.fail(&error),
        };
        // The log was asked before the last commits were heard of.
        let history = History { head: page.history.head.max(self.head), ..page.history };
        let decision = decide(start, &history, page.lost);
        let subscribed = Subscribed { decision, epoch: history.epoch, head: history.head };
        let (outcome, after) = match decision {
            Decision::Ahead { head } => (Err(SubscribeError::Ahead { head }), None),
            Decision::Continue { after } | Decision::Gap { after, .. } | Decision::Reset { after, .. } => {
                (Ok(subscribed), Some(after))
            }
        };
        let (channel, name) = (self.number, self.name);
        if self.hand(Item::Subscribed { channel, name, outcome }).is_err() {
            return self.full();
        }
        let Some(after) = after else { return Read::Refused };
        self.subscription.open(after, history.head);
        self.announce()
    }

    /// Hands a page over, as far as the subscriber has room.
    fn take(&mut self, result: Result<Page, ReadError>) -> Read {
        let page = match result {
            Ok(page) => page,
            Err(error) => return self.fail(&error),
        };
        if self.hand_page(&page).is_err() {
            return self.full();
        }
        if page.more && !mutant!(ReplayStopsAtPage) {
            self.subscription.wait();
            return Read::Waits;
        }
        self.subscription.settle(if page.more { Offset::START } else { self.head });
        self.announce()
    }

    fn hand_page(&mut self, page: &Page) -> Result<(), Full> {
        let mut missing = Missing(None);
        let (base, asked) = (self.subscription.base(), self.subscription.asked());
        if base < asked {
            missing.add(Gap::skip(base, asked));
        }
        if let Some(lost) = page.lost.filter(|_| !mutant!(TrimmedSilently)) {
            self.miss(&mut missing, Gap::Lost(lost))?;
        }
        let superseded = self.superseded(page);
        for (place, entry) in page.entries.iter().enumerate() {
            let base = missing.through(self.subscription.base());
            if entry.offset <= base {
                continue;
            }
            let previous = entry.previous_in(self.name).unwrap_or(base);
            if previous > base && !mutant!(TrimmedSilently) {
                // The page has a hole, and does not say why.
                let range = OffsetRange { after: base, through: previous };
                let lost = Lost { range, count: Count::AtLeast(1), reason: Reason::Unknown };
                self.miss(&mut missing, Gap::Lost(lost))?;
            }
            let base = missing.through(self.subscription.base());
            match deliverable(entry, self.now) {
                _ if superseded.contains(&place) => {
                    self.miss(&mut missing, Gap::skip(base, entry.offset))?;
                }
                Ok(envelope) => {
                    self.tell(missing.take())?;
                    self.hand_message(base, entry, &envelope.message)?;
                }
                Err(reason) => {
                    let range = OffsetRange { after: base, through: entry.offset };
                    let count = Count::Exact(if mutant!(LostMiscounted) { 0 } else { 1 });
                    self.miss(&mut missing, Gap::Lost(Lost { range, count, reason }))?;
                }
            }
        }
        self.tell(missing.take())
    }

    /// The places of entries after which there is one with their conflation key, for a subscription that gets the latest of each
    /// alone. Those without a key count as one.
    fn superseded(&self, page: &Page) -> BTreeSet<usize> {
        let mut superseded = BTreeSet::new();
        if self.subscription.gets() != Away::LatestPerKey {
            return superseded;
        }
        let mut seen = BTreeSet::new();
        for (place, entry) in page.entries.iter().enumerate().rev() {
            if let Ok(envelope) = deliverable(entry, self.now)
                && !seen.insert(envelope.conflate)
            {
                superseded.insert(place);
            }
        }
        superseded
    }

    fn miss(&mut self, missing: &mut Missing, gap: Gap) -> Result<(), Full> {
        let ended = missing.add(gap);
        self.tell(ended)
    }

    fn tell(&mut self, gap: Option<Gap>) -> Result<(), Full> {
        let Some(gap) = gap else { return Ok(()) };
        let channel = self.number;
        self.hand(match gap {
            Gap::Lost(lost) => Item::Lost { channel, lost },
            Gap::Skip(skip) => Item::Skip { channel, skip },
        })?;
        self.subscription.advance(gap.through());
        Ok(())
    }

    fn hand_message(&mut self, previous: Offset, entry: &Entry, message: &Message) -> Result<(), Full> {
        self.hand(Item::Message { channel: self.number, previous, entry, message })?;
        self.subscription.advance(entry.offset);
        Ok(())
    }

    /// Says that the replay is over, where it is.
    fn announce(&mut self) -> Read {
        if self.subscription.is_caught_up() {
            let offset = self.subscription.base();
            if self.hand(Item::CaughtUp { channel: self.number, offset }).is_err() {
                return self.full();
            }
            self.subscription.announced();
        }
        if self.subscription.is_live() { Read::Live } else { Read::Waits }
    }

    fn fail(&mut self, error: &ReadError) -> Read {
        let _ = self.hand(Item::Unreadable { channel: self.number, error });
        self.full()
    }

    fn full(&mut self) -> Read {
        self.subscription.wait();
        Read::Full
    }

    fn hand(&mut self, item: Item<'_>) -> Result<(), Full> {
        match self.sink.deliver(self.id, item) {
            Taken::Yes => Ok(()),
            Taken::Full => Err(Full),
        }
    }
}

/// From where a subscription goes on. The log counts better than offsets can what a position has missed.
fn decide(start: Start, history: &History, lost: Option<Lost>) -> Decision {
    match start {
        Start::Live => Decision::Continue { after: history.head },
        Start::Earliest => Decision::Continue { after: history.trimmed },
        Start::After(position) => match (decide_stream(position, history), lost) {
            (Decision::Gap { after, .. }, Some(lost)) if lost.range.through == after => {
                Decision::Gap { lost, after }
            }
            (decision, _) => decision,
        },
    }
}

/// The message of an entry, or why there is none to deliver.
pub(super) fn deliverable(entry: &Entry, now: WallTime) -> Result<Envelope, Reason> {
    if entry.record.is_expired(now) && !mutant!(ExpiredDelivered) {
        return Err(Reason::Ttl);
    }
    Envelope::from_stored(&entry.record.payload).map_err(|_| Reason::Unknown)
}

/// What is not delivered.
#[derive(Clone, Copy)]
enum Gap {
    Lost(Lost),
    Skip(Skip),
}

impl Gap {
    fn skip(after: Offset, through: Offset) -> Self {
        Self::Skip(Skip { range: OffsetRange { after, through } })
    }

    fn join(self, next: Self) -> Option<Self> {
        match (self, next) {
            (Self::Lost(lost), Self::Lost(next)) => lost.join(next).map(Self::Lost),
            (Self::Skip(skip), Self::Skip(next)) => skip.join(next).map(Self::Skip),
            (Self::Lost(_), Self::Skip(_)) | (Self::Skip(_), Self::Lost(_)) => None,
        }
    }

    fn through(self) -> Offset {
        match self {
            Self::Lost(Lost { range, .. }) | Self::Skip(Skip { range }) => range.through,
        }
    }
}

/// Gaps that follow one another, and are told as one where they are of one kind.
struct Missing(Option<Gap>);

impl Missing {
    /// Adds a gap that begins where the last one ends; answers that one if it is of another kind.
    fn add(&mut self, next: Gap) -> Option<Gap> {
        match self.0.map(|gap| gap.join(next).ok_or(gap)) {
            None => self.0 = Some(next),
            Some(Ok(joined)) => self.0 = Some(joined),
            Some(Err(ended)) => {
                self.0 = Some(next);
                return Some(ended);
            }
        }
        None
    }

    /// How far the gaps reach that begin at `base`.
    fn through(&self, base: Offset) -> Offset {
        self.0.map_or(base, Gap::through)
    }

    fn take(&mut self) -> Option<Gap> {
        self.0.take()
    }
}
