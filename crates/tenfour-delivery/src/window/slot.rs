//! What a window holds under one number, or of a run under several.

use core::mem;

use super::{Content, Run, Transmit};
use crate::{number::Sequence, time::Instant};

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Slot<P> {
    pub(super) first: Sequence,
    state: State,
    held: Held<P>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Held<P> {
    Payload { payload: P, bytes: usize, deadline: Option<Instant> },
    Expired { payload: P, bytes: usize },
    Run(Run),
    Nothing { count: u64 },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum State {
    /// To be transmitted, `again` or for the first time.
    Pending { again: bool },
    /// On its way.
    Flying(Flight),
    /// Acknowledged, while something before it is not. Nothing is held then.
    Settled,
}

/// A transmission; of a run the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Flight {
    /// Its number among all.
    pub(super) transmission: u64,
    pub(super) at: Instant,
    pub(super) certainty: Certainty,
}

/// What an acknowledgement says of a transmission.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Certainty {
    /// It has arrived.
    Only,
    /// It has arrived, or one before it has.
    Again,
    /// Nothing: it is that of the end of a run, of which this was an earlier part.
    Later,
}

/// What became free.
pub(super) struct Settled {
    pub(super) messages: u64,
    pub(super) bytes: usize,
    pub(super) flight: Option<Flight>,
}

impl<P> Slot<P> {
    pub(super) fn payload(first: Sequence, payload: P, bytes: usize, deadline: Option<Instant>) -> Self {
        Self {
            first,
            state: State::Pending { again: false },
            held: Held::Payload { payload, bytes, deadline },
        }
    }

    pub(super) fn run(first: Sequence, run: Run) -> Self {
        Self { first, state: State::Pending { again: false }, held: Held::Run(run) }
    }

    pub(super) fn as_payload(&self) -> Option<&P> {
        match &self.held {
            Held::Payload { payload, .. } | Held::Expired { payload, .. } => Some(payload),
            Held::Run(_) | Held::Nothing { .. } => None,
        }
    }

    pub(super) fn payload_mut(&mut self) -> Option<&mut P> {
        match &mut self.held {
            Held::Payload { payload, .. } | Held::Expired { payload, .. } => Some(payload),
            Held::Run(_) | Held::Nothing { .. } => None,
        }
    }

    pub(super) fn len(&self) -> u64 {
        match &self.held {
            Held::Payload { .. } | Held::Expired { .. } => 1,
            Held::Run(run) => u64::from(run.count),
            Held::Nothing { count } => *count,
        }
    }

    pub(super) fn end(&self) -> Sequence {
        self.first.advance(self.len())
    }

    pub(super) fn is_pending(&self) -> bool {
        matches!(self.state, State::Pending { .. })
    }

    pub(super) fn is_settled(&self) -> bool {
        self.state == State::Settled
    }

    pub(super) fn is_skip(&self) -> bool {
        matches!(self.held, Held::Expired { .. })
    }

    pub(super) fn flight(&self) -> Option<Flight> {
        if let State::Flying(flight) = self.state { Some(flight) } else { None }
    }

    /// Begins a transmission, of a skip if the payload has expired.
    pub(super) fn transmit(&mut self, now: Instant, transmission: u64) {
        if self.is_settled() {
            return;
        }
        let again = !matches!(self.state, State::Pending { again: false });
        let certainty = if again { Certainty::Again } else { Certainty::Only };
        self.state = State::Flying(Flight { transmission, at: now, certainty });
        if matches!(self.held, Held::Payload { deadline: Some(deadline), .. } if now.has_reached(deadline))
            && let Held::Payload { payload, bytes, .. } = self.take()
        {
            self.held = Held::Expired { payload, bytes };
        }
    }

    pub(super) fn as_transmit(&self) -> Option<Transmit<'_, P>> {
        let (bytes, content) = match &self.held {
            Held::Payload { payload, bytes, .. } => (*bytes, Content::Payload(payload)),
            Held::Expired { payload, bytes } => (*bytes, Content::Skip(payload)),
            Held::Run(run) => (0, Content::Run(*run)),
            Held::Nothing { .. } => return None,
        };
        Some(Transmit { sequence: self.first, bytes, content })
    }

    pub(super) fn into_content(self) -> Option<Content<P>> {
        match self.held {
            Held::Payload { payload, .. } => Some(Content::Payload(payload)),
            Held::Expired { payload, .. } => Some(Content::Skip(payload)),
            Held::Run(run) => Some(Content::Run(run)),
            Held::Nothing { .. } => None,
        }
    }

    pub(super) fn as_run(&self) -> Option<Run> {
        if let Held::Run(run) = self.held { Some(run) } else { None }
    }

    /// What is on its way is to be transmitted again.
    pub(super) fn put_back(&mut self) {
        if let State::Flying(_) = self.state {
            self.state = State::Pending { again: true };
        }
    }

    /// Frees what is held.
    pub(super) fn settle(&mut self) -> Settled {
        let flight = self.flight();
        let (messages, bytes) = match self.take() {
            Held::Payload { bytes, .. } | Held::Expired { bytes, .. } => (1, bytes),
            Held::Run(run) => (u64::from(run.count), 0),
            Held::Nothing { .. } => (0, 0),
        };
        self.state = State::Settled;
        Settled { messages, bytes, flight }
    }

    fn take(&mut self) -> Held<P> {
        let count = self.len();
        mem::replace(&mut self.held, Held::Nothing { count })
    }

    /// Cuts a run in two: leaves what is before `cut` and returns the rest. `None` if `cut` is not inside of a run. When
    /// the earlier part was transmitted is not known, since the time is the last message's.
    pub(super) fn split_off(&mut self, cut: Sequence) -> Option<Self> {
        let Held::Run(run) = &mut self.held else { return None };
        let kept = u32::try_from(cut.since(self.first)).ok().filter(|kept| (1..run.count).contains(kept))?;
        let rest = Run { skip: run.skip + kept, count: run.count - kept, ..*run };
        run.count = kept;
        let state = self.state;
        if let State::Flying(flight) = &mut self.state {
            flight.certainty = Certainty::Later;
        }
        Some(Self { first: cut, state, held: Held::Run(rest) })
    }

    /// The run here and the one in `next`, which follows, as one, if the entries are consecutive, all were transmitted
    /// alike, and no more than `bound` would have to be re-read.
    pub(super) fn joined(&self, next: &Self, bound: u32) -> Option<Self> {
        let (Held::Run(run), Held::Run(more)) = (&self.held, &next.held) else { return None };
        let reread = run.skip.checked_add(run.count)?.checked_add(more.count)?;
        let consecutive = run.log == more.log && run.through == more.after && more.skip == 0;
        let alike = match (self.state, next.state) {
            (State::Flying(one), State::Flying(other)) => one.certainty == other.certainty,
            (one, other) => one == other,
        };
        if !consecutive || !alike || reread > bound {
            return None;
        }
        let joined = Run { through: more.through, count: run.count + more.count, ..*run };
        Some(Self { first: self.first, state: next.state, held: Held::Run(joined) })
    }
}

#[cfg(test)]
impl<P: core::fmt::Debug> Slot<P> {
    pub(super) fn describe(&self) -> alloc::string::String {
        let state = match self.state {
            State::Pending { again: false } => "pending",
            State::Pending { again: true } => "pending again",
            State::Flying(Flight { certainty: Certainty::Only, .. }) => "flying",
            State::Flying(Flight { certainty: Certainty::Again, .. }) => "flying again",
            State::Flying(Flight { certainty: Certainty::Later, .. }) => "flying, in part",
            State::Settled => "settled",
        };
        match &self.held {
            Held::Payload { .. } => alloc::format!("{state}, the payload"),
            Held::Expired { .. } => alloc::format!("{state}, a skip"),
            Held::Run(_) => alloc::format!("{state}, a run"),
            Held::Nothing { .. } => alloc::format!("{state}, nothing"),
        }
    }
}
