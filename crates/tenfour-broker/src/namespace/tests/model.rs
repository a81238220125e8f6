//! A namespace as plainly as it can be said.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};

use super::*;

pub(super) struct Model {
    pub(super) sockets: BTreeMap<SocketId, Socket>,
    pub(super) open: BTreeMap<RequestId, Open>,
    events: VecDeque<(RequestId, Outcome)>,
    counts: Counters,
    limits: Limits,
}

#[derive(Default)]
pub(super) struct Socket {
    pub(super) rooms: BTreeSet<ByteString>,
    pub(super) data: Option<ByteString>,
}

pub(super) struct Open {
    pub(super) deadline: Instant,
    pub(super) waiting: BTreeSet<SocketId>,
    outcome: Outcome,
}

impl Model {
    pub(super) fn new(limits: Limits) -> Self {
        let (sockets, open, events) = Default::default();
        Self { sockets, open, events, counts: Counters::default(), limits }
    }

    pub(super) fn call(&mut self, call: &Call) -> Reply {
        match call {
            Call::Insert(id) => Reply::Inserted(self.insert(*id)),
            Call::Remove(id) => Reply::Removed(self.remove(*id)),
            Call::Join(id, room) => Reply::Joined(self.join(*id, room)),
            Call::Leave(id, room) => Reply::Is(self.leave(*id, room)),
            Call::SetData(id, data) => Reply::DataSet(self.set_data(*id, data)),
            Call::Select(target) => Reply::Selected(self.select(target)),
            Call::JoinSelected(target, room) => Reply::JoinedSelected(self.join_selected(target, room)),
            Call::LeaveSelected(target, room) => {
                let selected = self.select(target);
                Reply::LeftSelected(selected.into_iter().filter(|id| self.leave(*id, room)).count())
            }
            Call::OpenRequest(target, deadline) => Reply::Opened(self.open_request(target, *deadline)),
            Call::OpenRequestTo(id, deadline) => Reply::Opened(self.open_request_to(*id, *deadline)),
            Call::Answer(from, request, answer) => {
                Reply::Is(self.settle(*request, *from, Ok(answer.clone())))
            }
            Call::Refuse(request, socket) => Reply::Is(self.settle(*request, *socket, Err(Why::Refused))),
            Call::Cancel(request) => Reply::Is(self.open.remove(request).is_some()),
            Call::HandleTimeout(now) => self.handle_timeout(*now),
            Call::PollEvent => Reply::Event(self.events.pop_front().map(|(request, mut outcome)| {
                outcome.missing.sort_by_key(|(socket, _)| *socket);
                (request, outcome)
            })),
        }
    }

    pub(super) fn counters(&self) -> Counters {
        let rooms: BTreeSet<_> = self.sockets.values().flat_map(|socket| &socket.rooms).collect();
        Counters { sockets: self.sockets.len() as u64, rooms: rooms.len() as u64, ..self.counts }
    }

    fn insert(&mut self, id: SocketId) -> Result<(), InsertError> {
        if self.sockets.contains_key(&id) {
            return Err(InsertError::Exists { id });
        }
        if self.sockets.len() == self.limits.sockets {
            return Err(InsertError::Full { limit: self.limits.sockets });
        }
        self.sockets.insert(id, Socket::default());
        self.counts.inserted += 1;
        Ok(())
    }

    fn remove(&mut self, id: SocketId) -> Option<(SocketId, BTreeSet<ByteString>, Option<ByteString>)> {
        let socket = self.sockets.remove(&id)?;
        self.counts.removed += 1;
        let requests: Vec<_> = self.open.keys().copied().collect();
        for request in requests {
            self.settle(request, id, Err(Why::Disconnected));
        }
        Some((id, socket.rooms, socket.data))
    }

    fn join(&mut self, id: SocketId, room: &ByteString) -> Result<bool, JoinError> {
        let rooms = self.counters().rooms;
        let is_new = self.sockets.values().all(|socket| !socket.rooms.contains(room));
        let socket = self.sockets.get_mut(&id).ok_or(JoinError::Unknown { id })?;
        if room.len() > self.limits.room_name_bytes {
            return Err(JoinError::NameTooLong { length: room.len(), limit: self.limits.room_name_bytes });
        }
        if *room == id.as_str() || socket.rooms.contains(room) {
            return Ok(false);
        }
        if socket.rooms.len() == self.limits.rooms_per_socket {
            return Err(JoinError::TooManyRooms { limit: self.limits.rooms_per_socket });
        }
        if is_new && rooms == self.limits.rooms as u64 {
            return Err(JoinError::Full { limit: self.limits.rooms });
        }
        Ok(socket.rooms.insert(room.clone()))
    }

    fn leave(&mut self, id: SocketId, room: &ByteString) -> bool {
        self.sockets.get_mut(&id).is_some_and(|socket| socket.rooms.remove(room))
    }

    fn set_data(&mut self, id: SocketId, data: &ByteString) -> Result<(), DataError> {
        let socket = self.sockets.get_mut(&id).ok_or(DataError::Unknown { id })?;
        if data.len() > self.limits.data_bytes {
            return Err(DataError::TooLong { length: data.len(), limit: self.limits.data_bytes });
        }
        socket.data = Some(data.clone());
        Ok(())
    }

    fn select(&self, target: &Target) -> BTreeSet<SocketId> {
        let is_in = |id: &SocketId, socket: &Socket, rooms: &[crate::target::RoomName]| {
            rooms.iter().any(|room| room.as_str() == id.as_str() || socket.rooms.contains(room.as_str()))
        };
        let selected = self.sockets.iter().filter(|(id, socket)| {
            target.rooms.as_ref().is_none_or(|rooms| is_in(id, socket, rooms))
                && !is_in(id, socket, &target.except)
        });
        selected.map(|(id, _)| *id).collect()
    }

    fn join_selected(&mut self, target: &Target, room: &ByteString) -> Result<Joined, JoinError> {
        if room.len() > self.limits.room_name_bytes {
            return Err(JoinError::NameTooLong { length: room.len(), limit: self.limits.room_name_bytes });
        }
        let mut result = Joined::default();
        for id in self.select(target) {
            match self.join(id, room) {
                Ok(joined) => result.joined += usize::from(joined),
                Err(JoinError::TooManyRooms { .. }) => result.full += 1,
                Err(error) => return Err(error),
            }
        }
        Ok(result)
    }

    fn owes(&self, id: SocketId) -> usize {
        self.open.values().filter(|open| open.waiting.contains(&id)).count()
    }

    fn open_request_to(&mut self, id: SocketId, deadline: Instant) -> Result<RequestId, RequestError> {
        if !self.sockets.contains_key(&id) {
            return Err(RequestError::Unknown { id });
        }
        if self.open.len() + self.events.len() == self.limits.pending_requests {
            return Err(RequestError::TooMany { limit: self.limits.pending_requests });
        }
        if self.owes(id) == self.limits.pending_requests_per_socket {
            return Err(RequestError::Busy { limit: self.limits.pending_requests_per_socket });
        }
        Ok(self.open_to([id].into(), deadline))
    }

    fn open_request(&mut self, target: &Target, deadline: Instant) -> Result<RequestId, RequestError> {
        if self.open.len() + self.events.len() == self.limits.pending_requests {
            return Err(RequestError::TooMany { limit: self.limits.pending_requests });
        }
        Ok(self.open_to(self.select(target), deadline))
    }

    fn open_to(&mut self, sockets: BTreeSet<SocketId>, deadline: Instant) -> RequestId {
        let request = RequestId::new(self.counts.requests);
        self.counts.requests += 1;
        let limit = self.limits.pending_requests_per_socket;
        let (busy, waiting): (BTreeSet<_>, BTreeSet<_>) =
            sockets.iter().partition(|id| self.owes(**id) == limit);
        self.counts.refused += busy.len() as u64;
        let missing = busy.into_iter().map(|id| (id, Why::Refused)).collect();
        let outcome = Outcome { answers: Vec::new(), missing };
        self.open.insert(request, Open { deadline, waiting, outcome });
        self.finish(request);
        request
    }

    fn settle(&mut self, request: RequestId, from: SocketId, result: Result<Body, Why>) -> bool {
        let answers = self.open.values().flat_map(|open| &open.outcome.answers);
        let held: usize = answers.map(|(_, answer)| answer.byte_len()).sum();
        let Some(open) = self.open.get_mut(&request) else { return false };
        if !open.waiting.remove(&from) {
            return false;
        }
        match result {
            Ok(body)
                if open.waiting.is_empty() || held + body.byte_len() <= self.limits.held_answer_bytes =>
            {
                self.counts.answers += 1;
                open.outcome.answers.push((from, body));
            }
            Ok(_) => open.outcome.missing.push((from, Why::NoRoom)),
            Err(why) => {
                self.counts.refused += u64::from(why == Why::Refused);
                open.outcome.missing.push((from, why));
            }
        }
        self.finish(request);
        true
    }

    fn handle_timeout(&mut self, now: Instant) -> Reply {
        let due = self.open.iter().filter(|(_, open)| open.deadline <= now);
        let mut due: Vec<_> = due.map(|(request, open)| (open.deadline, *request)).collect();
        due.sort();
        for (_, request) in due {
            let open = self.open.get_mut(&request).expect("it is due");
            self.counts.timeouts += open.waiting.len() as u64;
            let late = core::mem::take(&mut open.waiting);
            open.outcome.missing.extend(late.into_iter().map(|id| (id, Why::TimedOut)));
            self.finish(request);
        }
        Reply::Nothing
    }

    fn finish(&mut self, request: RequestId) {
        if self.open[&request].waiting.is_empty() {
            let open = self.open.remove(&request).expect("it is open");
            self.events.push_back((request, open.outcome));
        }
    }
}
