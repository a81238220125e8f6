//! Answers collected over one or many sockets.

use alloc::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    vec::Vec,
};
use core::fmt;

use tenfour_delivery::time::Instant;

use crate::{Body, Message, SocketId, index::Key};

/// The number of a request in its namespace, which a dialect writes as the acknowledgement id. It counts from 0; a
/// request to many sockets has one number for all of them, so that it is encoded once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(u64);

impl RequestId {
    /// The request of a number read off the wire; whether there is such a request is seen when it is used.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a [`Namespace`](crate::Namespace) has to say.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// Each socket of a request has answered or is known not to.
    RequestDone {
        /// The request.
        request: RequestId,
        /// Who answered what, and who did not.
        outcome: Outcome,
    },
}

/// What came of a request. Each socket that it was for is in exactly one of the lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The answers, in the order of their arrival.
    pub answers: Vec<(SocketId, Body)>,
    /// The sockets without an answer, each with the reason.
    pub missing: Vec<(SocketId, Why)>,
}

/// Why a socket's answer is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Why {
    /// The deadline passed.
    TimedOut,
    /// The socket left before it answered.
    Disconnected,
    /// The request was not sent to it: its queue was full, or it owed too many answers already
    /// ([`Limits::pending_requests_per_socket`](crate::Limits::pending_requests_per_socket)).
    Refused,
    /// It answered, and the answer was dropped: [`Limits::held_answer_bytes`](crate::Limits::held_answer_bytes) were
    /// held already.
    NoRoom,
}

/// The requests that wait, and the events of those that no longer do. It keeps the account of answers; who is asked
/// what stands with the [`Members`](crate::members::Members), which name a socket's place in a request.
#[derive(Default)]
pub(crate) struct Requests {
    next: u64,
    open: BTreeMap<RequestId, Open>,
    deadlines: BTreeSet<(Instant, RequestId)>,
    events: VecDeque<Event>,
    /// Bytes of the answers in `open`.
    held: usize,
    /// Bytes of the messages in `open`.
    kept: usize,
}

/// A request that waits for at least one socket.
pub(crate) struct Open {
    deadline: Instant,
    /// The sockets that were asked, each until its answer is settled.
    expected: Vec<Option<Key>>,
    waiting: usize,
    held: usize,
    /// What was asked, if it is to be asked again.
    message: Option<Message>,
    pub(crate) outcome: Outcome,
}

impl Requests {
    /// Requests that wait, or are done and not yet polled.
    pub(crate) fn pending(&self) -> usize {
        self.open.len() + self.events.len()
    }

    /// The number of the request that is opened next.
    pub(crate) fn next_id(&self) -> RequestId {
        RequestId(self.next)
    }

    /// Opens [`Requests::next_id`].
    pub(crate) fn open(&mut self, expected: Vec<Option<Key>>, refused: Vec<SocketId>, deadline: Instant) {
        let request = self.next_id();
        self.next += 1;
        let missing = refused.into_iter().map(|socket| (socket, Why::Refused)).collect();
        let waiting = expected.len();
        let outcome = Outcome { answers: Vec::new(), missing };
        if waiting == 0 {
            self.events.push_back(Event::RequestDone { request, outcome });
        } else {
            self.deadlines.insert((deadline, request));
            self.open.insert(request, Open { deadline, expected, waiting, held: 0, message: None, outcome });
        }
    }

    /// Keeps what was asked for as long as the request waits: `false` if more than `limit` bytes would be kept.
    pub(crate) fn keep(&mut self, request: RequestId, message: Message, limit: usize) -> bool {
        let Some(open) = self.open.get_mut(&request) else { return true };
        let kept = self.kept.saturating_add(message.byte_len());
        if kept > limit {
            return false;
        }
        self.kept = kept;
        open.message = Some(message);
        true
    }

    /// What was asked, if it was kept.
    pub(crate) fn message(&self, request: RequestId) -> Option<&Message> {
        self.open.get(&request)?.message.as_ref()
    }

    /// The sockets that a request waits for.
    pub(crate) fn expected(&self, request: RequestId) -> impl Iterator<Item = Key> {
        self.open.get(&request).into_iter().flat_map(Open::waiting_for)
    }

    /// Takes what came of the socket at `place`, the one that is `from`. An answer that is to be held beyond
    /// `held_limit` bytes in all is dropped: `false`.
    pub(crate) fn settle(
        &mut self,
        request: RequestId,
        place: Key,
        from: SocketId,
        result: Result<Body, Why>,
        held_limit: usize,
    ) -> bool {
        let Some(open) = self.open.get_mut(&request) else { return false };
        open.expected[place.get()] = None;
        open.waiting -= 1;
        let last = open.waiting == 0;
        let result = result.and_then(|answer| {
            let fits = last || self.held.saturating_add(answer.byte_len()) <= held_limit;
            if fits { Ok(answer) } else { Err(Why::NoRoom) }
        });
        let taken = result.is_ok();
        match result {
            Ok(answer) => {
                self.held += answer.byte_len();
                open.held += answer.byte_len();
                open.outcome.answers.push((from, answer));
            }
            Err(why) => open.outcome.missing.push((from, why)),
        }
        if last && let Some(open) = self.close(request) {
            self.done(request, open.outcome);
        }
        taken
    }

    /// Takes out the first request whose deadline has come. The caller completes its outcome.
    pub(crate) fn close_due(&mut self, now: Instant) -> Option<(RequestId, Open)> {
        let (_, request) = *self.deadlines.first().filter(|(deadline, _)| now.has_reached(*deadline))?;
        Some((request, self.close(request)?))
    }

    /// Takes out a request, with no event.
    pub(crate) fn close(&mut self, request: RequestId) -> Option<Open> {
        let open = self.open.remove(&request)?;
        self.deadlines.remove(&(open.deadline, request));
        self.held -= open.held;
        self.kept -= open.message.as_ref().map_or(0, Message::byte_len);
        Some(open)
    }

    pub(crate) fn done(&mut self, request: RequestId, outcome: Outcome) {
        self.events.push_back(Event::RequestDone { request, outcome });
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    pub(crate) fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }
}

impl Open {
    pub(crate) fn waiting_for(&self) -> impl Iterator<Item = Key> {
        self.expected.iter().copied().flatten()
    }
}
