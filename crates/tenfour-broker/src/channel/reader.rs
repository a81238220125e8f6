//! What is read from the log becomes a subscriber's items.

use bytestring::ByteString;
use tenfour_delivery::{
    log::{ReadError, Ticket},
    loss::{Count, Lost, OffsetRange, Reason},
    mutant,
    number::Offset,
    resume::{Decision, History, decide_stream},
    time::WallTime,
};

use super::{
    ChannelNumber, Entry, Envelope, Item, Page, Sink, Start, SubscribeError, Subscribed, SubscriberId, Taken,
    subscription::{State, Subscription},
};
use crate::Message;

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
        let mut missing = Missing::from(page.lost.filter(|_| !mutant!(TrimmedSilently)));
        for entry in &page.entries {
            let base = missing.through(self.subscription.base());
            if entry.offset <= base {
                continue;
            }
            let previous = entry.previous_in(self.name).unwrap_or(base);
            if previous > base && !mutant!(TrimmedSilently) {
                // The page has a hole, and does not say why.
                let range = OffsetRange { after: base, through: previous };
                self.miss(&mut missing, Lost { range, count: Count::AtLeast(1), reason: Reason::Unknown })?;
            }
            let base = missing.through(self.subscription.base());
            match deliverable(entry, self.now) {
                Ok(envelope) => {
                    self.tell(missing.take())?;
                    self.hand_message(base, entry, &envelope.message)?;
                }
                Err(reason) => {
                    let range = OffsetRange { after: base, through: entry.offset };
                    let count = Count::Exact(if mutant!(LostMiscounted) { 0 } else { 1 });
                    self.miss(&mut missing, Lost { range, count, reason })?;
                }
            }
        }
        self.tell(missing.take())
    }

    fn miss(&mut self, missing: &mut Missing, lost: Lost) -> Result<(), Full> {
        let ended = missing.add(lost);
        self.tell(ended)
    }

    fn tell(&mut self, lost: Option<Lost>) -> Result<(), Full> {
        let Some(lost) = lost else { return Ok(()) };
        self.hand(Item::Lost { channel: self.number, lost })?;
        self.subscription.advance(lost.range.through);
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

/// Losses that follow one another, and are told as one where their reason is the same.
struct Missing(Option<Lost>);

impl From<Option<Lost>> for Missing {
    fn from(lost: Option<Lost>) -> Self {
        Self(lost)
    }
}

impl Missing {
    /// Adds a loss that begins where the last one ends; answers that one if its reason is another.
    fn add(&mut self, next: Lost) -> Option<Lost> {
        match self.0.map(|lost| lost.join(next).ok_or(lost)) {
            None => self.0 = Some(next),
            Some(Ok(joined)) => self.0 = Some(joined),
            Some(Err(ended)) => {
                self.0 = Some(next);
                return Some(ended);
            }
        }
        None
    }

    /// How far the losses reach that begin at `base`.
    fn through(&self, base: Offset) -> Offset {
        self.0.map_or(base, |lost| lost.range.through)
    }

    fn take(&mut self) -> Option<Lost> {
        self.0.take()
    }
}
