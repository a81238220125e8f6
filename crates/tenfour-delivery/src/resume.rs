//! Where to go on after an interruption: decided from what both sides hold, before anything is sent.
//!
//! There are two levels. A **session** goes on exactly if each side still holds what the other has not received:
//! [`decide`]. If it cannot, each **channel** is decided for itself, from a position in its log: [`decide_stream`], so
//! that one channel whose history is gone does not take the others with it.
//!
//! Both are functions of their arguments alone, so that a request which is repeated is answered alike.
//!
//! ```
//! use tenfour_delivery::{
//!     loss::{Count, Lost, OffsetRange, Reason},
//!     number::{Epoch, Offset, Sequence},
//!     resume::{Claim, Decision, History, Local, Position, Session, decide, decide_stream},
//! };
//!
//! // We hold 40 to 59 and the peer has received everything below 52: it gets 52 to 59 again.
//! let local = Local { first_held: Sequence::new(40), transmitted: Sequence::new(60), received: Sequence::new(7) };
//! let claim = Claim { next: Sequence::new(52), first_held: Sequence::new(5) };
//! assert_eq!(decide(&local, &claim), Session::Exact { retransmit_from: Sequence::new(52) });
//!
//! // A subscriber that was away too long: what it missed is told, then it goes on.
//! let history = History { epoch: Epoch::new(1), trimmed: Offset::new(30), head: Offset::new(95) };
//! let claimed = Position { epoch: Epoch::new(1), offset: Offset::new(12) };
//! let lost = Lost {
//!     range: OffsetRange { after: Offset::new(12), through: Offset::new(30) },
//!     count: Count::AtLeast(1),
//!     reason: Reason::Retention,
//! };
//! assert_eq!(decide_stream(claimed, &history), Decision::Gap { lost, after: Offset::new(30) });
//! ```

use crate::{
    loss::{Count, Lost, OffsetRange, Reason},
    mutant,
    number::{Epoch, Offset, Sequence},
};

/// How one side of a session stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Local {
    /// The first number that it could send again: `Window::first_held`.
    pub first_held: Sequence,
    /// The number after the highest that it ever sent: `Window::transmitted`.
    pub transmitted: Sequence,
    /// The first number of the other direction that it has not received: `Receiver::next`.
    pub received: Sequence,
}

/// How the peer says it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Claim {
    /// The first number that it has not received.
    pub next: Sequence,
    /// The first number of its own direction that it could send again.
    pub first_held: Sequence,
}

/// Whether a session goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Session {
    /// Nothing is missing in either direction.
    Exact {
        /// Where our direction goes on: for `Window::rewind`.
        retransmit_from: Sequence,
    },
    /// At least one side no longer holds what the other needs: a new session, whose channels are decided one by one.
    Gap {
        /// What the peer needs of us and we do not hold.
        outgoing: Option<Missing>,
        /// What we need of the peer and it does not hold.
        incoming: Option<Missing>,
    },
    /// The peer claims to have received what was never sent. It broke the protocol, or this is another session's token:
    /// refuse.
    FromFuture {
        /// The peer's [`Claim::next`].
        claimed: Sequence,
        /// Our [`Local::transmitted`].
        transmitted: Sequence,
    },
}

/// Numbers of a session's direction that its sender no longer holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Missing {
    /// The first of them.
    pub from: Sequence,
    /// The first number after them, which the sender holds.
    pub before: Sequence,
}

/// Decides whether a session goes on: it does, exactly, or it ends.
#[must_use]
pub fn decide(local: &Local, claim: &Claim) -> Session {
    if claim.next > local.transmitted {
        return Session::FromFuture { claimed: claim.next, transmitted: local.transmitted };
    }
    let outgoing = Missing::between(claim.next, local.first_held);
    let incoming = Missing::between(local.received, claim.first_held);
    if outgoing.is_some() || incoming.is_some() {
        return Session::Gap { outgoing, incoming };
    }
    Session::Exact { retransmit_from: claim.next }
}

impl Missing {
    fn between(needed: Sequence, first_held: Sequence) -> Option<Self> {
        (needed < first_held).then_some(Self { from: needed, before: first_held })
    }
}

/// A place in a channel's log: everything through `offset` is behind it. There need be no entry with that offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Position {
    /// The life of the log that the offset belongs to.
    pub epoch: Epoch,
    /// Where in it; [`Offset::START`] before the first entry.
    pub offset: Offset,
}

/// What a log still has of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct History {
    /// The life of the log.
    pub epoch: Epoch,
    /// The channel's last entry that is gone: it and all before it were removed. [`Offset::START`] if none was.
    pub trimmed: Offset,
    /// The channel's last entry, gone or not; [`Offset::START`] if it never had one.
    pub head: Offset,
}

/// How a subscriber goes on in one channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Decision {
    /// Nothing is missing.
    Continue {
        /// Read on from here.
        after: Offset,
    },
    /// Some of what came since is gone. Tell it, then read on.
    Gap {
        /// What is gone.
        lost: Lost,
        /// Read on from here, the end of the loss.
        after: Offset,
    },
    /// The position is of another life of the log. Tell it, then read what this life has.
    Reset {
        /// Everything after the position in its own epoch, to that epoch's end, which nobody knows: the range ends at
        /// [`Offset::END`]. The count adds what this epoch has lost already.
        lost: Lost,
        /// The log's epoch now.
        epoch: Epoch,
        /// Read on from here, in the new epoch: its start, or the end of what it has lost already.
        after: Offset,
    },
    /// The position is beyond the last entry: a claim on what was never committed. Refuse it.
    Ahead {
        /// The channel's last entry.
        head: Offset,
    },
}

/// Decides how a subscriber at `claimed` goes on in a channel of which the log has `history`.
///
/// A loss is counted exactly where offsets prove the count: one number, which is the trimmed entry's own. Else that entry
/// is the only one that is certain.
#[must_use]
pub fn decide_stream(claimed: Position, history: &History) -> Decision {
    if claimed.epoch != history.epoch && !mutant!(ResetSilently) {
        return reset(claimed.offset, history);
    }
    if claimed.offset < history.trimmed && !mutant!(TrimmedSilently) {
        let range = OffsetRange { after: claimed.offset, through: history.trimmed };
        let count = if range.span() == 1 { Count::Exact(1) } else { Count::AtLeast(1) };
        return Decision::Gap {
            lost: Lost { range, count, reason: Reason::Retention },
            after: history.trimmed,
        };
    }
    if claimed.offset > history.head {
        return Decision::Ahead { head: history.head };
    }
    Decision::Continue { after: claimed.offset }
}

fn reset(claimed: Offset, history: &History) -> Decision {
    let range = OffsetRange { after: claimed, through: Offset::END };
    let count = Count::AtLeast(u64::from(history.trimmed > Offset::START));
    let lost = Lost { range, count, reason: Reason::EpochReset };
    Decision::Reset { lost, epoch: history.epoch, after: history.trimmed }
}

#[cfg(test)]
mod tests;
