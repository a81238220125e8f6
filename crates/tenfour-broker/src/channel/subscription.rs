//! One subscription: a cursor on a channel.

use tenfour_delivery::{log::Ticket, mutant, number::Offset, resume::Position};

use super::Taken;
use crate::{Message, recovery::Away};

/// From where a subscription reads a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Start {
    /// What is published from now on.
    Live,
    /// Everything that the log has.
    Earliest,
    /// Everything after a position that the subscriber was at before.
    After(Position),
}

/// A cursor on a channel, and what is being done about it.
///
/// ```text
///            ask             answered, behind               page, at the head
/// Opening ────────► Deciding ────────────────► Lagging ◄──► Reading ─────────────► Live
///    ▲                 │ │ answered, at the head  ▲                                 │ ▲
///    └─────────────────┘ └───────────────────────────────────────────────────────────┘
///      full or failed                             └─────────────────────────────────┘
///                                                   full, or a commit that does not follow
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Subscription {
    /// The last offset that was handed over.
    base: Offset,
    /// The last offset that the subscriber has processed.
    processed: Offset,
    /// Whether it is still to be told that its replay is over.
    announces: bool,
    /// What it gets of what it missed while it was away.
    away: Away,
    /// Whether it was away, and has not everything since.
    was_away: bool,
    /// After which offset it reads, or read last: what it gets no part of is before that.
    asked: Offset,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum State {
    /// It is not decided from where it goes on; that needs the channel's history.
    Opening(Start),
    /// The history is being read.
    Deciding(Start, Ticket),
    /// Entries after the base are in the log, and are to be read.
    Lagging,
    /// They are being read.
    Reading(Ticket),
    /// It has everything: the next commit is handed to it directly.
    Live,
}

/// What came of a commit for a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Followed {
    /// Handed over.
    Delivered,
    /// It is read later, or was handed over before.
    Unchanged,
    /// The subscription was live and now lags: the entry has to be read for it.
    Lags,
    /// The same, since the subscriber has no room.
    Full,
}

impl Subscription {
    pub(super) fn new(start: Start, away: Away) -> Self {
        let announces = !matches!(start, Start::Live);
        let offset = start.offset();
        Self {
            base: offset,
            processed: offset,
            announces,
            away,
            was_away: announces,
            asked: offset,
            state: State::Opening(start),
        }
    }

    pub(super) fn state(&self) -> State {
        self.state
    }

    pub(super) fn base(&self) -> Offset {
        self.base
    }

    pub(super) fn processed(&self) -> Offset {
        self.processed
    }

    /// Whether it is decided from where it goes on, so that it hears what is emitted.
    pub(super) fn is_open(&self) -> bool {
        !matches!(self.state, State::Opening(_) | State::Deciding(..))
    }

    /// The subscriber is away from now on.
    pub(super) fn leave(&mut self) {
        self.was_away = true;
    }

    /// The subscriber is back. If it has everything it has missed nothing.
    pub(super) fn come(&mut self) {
        self.was_away &= !self.is_live();
    }

    /// What it gets of what it reads now.
    pub(super) fn gets(&self) -> Away {
        if self.was_away { self.away } else { Away::Everything }
    }

    /// After which offset the read began.
    pub(super) fn asked(&self) -> Offset {
        self.asked
    }

    /// Begins what it waits for, under this ticket, in a channel with this head. After which offset it reads, and whether it asks
    /// for the history alone.
    pub(super) fn read(&mut self, ticket: Ticket, head: Offset) -> Option<Asks> {
        match self.state {
            State::Opening(start) => {
                self.state = State::Deciding(start, ticket);
                Some(Asks { after: start.offset(), history_alone: true })
            }
            State::Lagging => {
                self.state = State::Reading(ticket);
                self.asked = match self.gets() {
                    Away::Everything | Away::LatestPerKey => self.base,
                    Away::Latest => self.base.max(Offset::new(head.get().saturating_sub(1))),
                    Away::Nothing => self.base.max(head),
                };
                Some(Asks { after: self.asked, history_alone: false })
            }
            State::Deciding(..) | State::Reading(_) | State::Live => None,
        }
    }

    /// The read did not bring it on: it waits again.
    pub(super) fn wait(&mut self) {
        self.state = match self.state {
            State::Opening(start) | State::Deciding(start, _) => State::Opening(start),
            State::Lagging | State::Reading(_) | State::Live => State::Lagging,
        };
    }

    /// It goes on after this offset, of a channel with this head.
    pub(super) fn open(&mut self, after: Offset, head: Offset) {
        (self.base, self.processed) = (after, after);
        self.settle(head);
    }

    /// Nothing was left to read: it is live, unless something was committed meanwhile.
    pub(super) fn settle(&mut self, head: Offset) {
        let is_behind =
            self.base < head && !mutant!(LiveStartsAfterSeam) && !mutant!(MergeUncheckedAgainstBase);
        self.state = if is_behind { State::Lagging } else { State::Live };
        self.was_away &= is_behind;
    }

    pub(super) fn is_live(&self) -> bool {
        self.state == State::Live
    }

    /// Whether to say now that the replay is over.
    pub(super) fn is_caught_up(&self) -> bool {
        self.announces && self.is_live()
    }

    pub(super) fn announced(&mut self) {
        self.announces = false;
    }

    /// The cursor moves on.
    pub(super) fn advance(&mut self, through: Offset) {
        self.base = self.base.max(through);
    }

    /// An entry was committed at `offset` that names `previous` as the channel's entry before it. It is handed over only
    /// if it follows the base; without a message to deliver it has to be read, too, since reading is where losses are
    /// told.
    pub(super) fn follow(
        &mut self,
        previous: Offset,
        offset: Offset,
        message: Option<&Message>,
        mut deliver: impl FnMut(Offset, &Message) -> Taken,
    ) -> Followed {
        if mutant!(ReplayOverlapsLive)
            && let (State::Reading(_), Some(message)) = (self.state, message)
        {
            deliver(previous, message);
        }
        if self.state != State::Live || offset <= self.base {
            return Followed::Unchanged;
        }
        let follows = previous <= self.base || mutant!(MergeUncheckedAgainstBase);
        let Some(message) = message.filter(|_| follows) else {
            self.state = State::Lagging;
            return Followed::Lags;
        };
        match deliver(self.base, message) {
            Taken::Yes => {
                self.base = offset;
                Followed::Delivered
            }
            Taken::Full if mutant!(LagDropsSilently) => {
                self.base = offset;
                Followed::Unchanged
            }
            Taken::Full => {
                self.state = State::Lagging;
                Followed::Full
            }
        }
    }

    /// The subscriber has processed everything through `processed`; what it has processed before changes nothing.
    /// `false` if it was never handed over.
    pub(super) fn acknowledge(&mut self, processed: Offset) -> bool {
        let is_known = self.is_open() && processed <= self.base;
        if is_known {
            self.processed = if mutant!(CursorRegresses) { processed } else { self.processed.max(processed) };
        }
        is_known
    }
}

/// What a subscription has to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asks {
    pub(super) after: Offset,
    pub(super) history_alone: bool,
}

impl Start {
    fn offset(self) -> Offset {
        match self {
            Self::Live | Self::Earliest => Offset::START,
            Self::After(position) => position.offset,
        }
    }
}
