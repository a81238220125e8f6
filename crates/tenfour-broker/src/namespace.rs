//! Sockets, their rooms and what is asked of them.

use alloc::vec::Vec;
use core::fmt;

use bytestring::ByteString;
use tenfour_delivery::time::Instant;

use crate::{
    Body, Counters, DataError, Event, InsertError, JoinError, Limits, RequestError, RequestId, SocketId,
    Target, Why,
    index::Key,
    members::{Marks, Members, Owed, Removed, Slot},
    request::Requests,
};

/// The sockets of one namespace: who there is, who is in which room, and who owes an answer.
///
/// `P` is how a member is reached, which the broker only hands out: a link's handle, or an index in a simulation.
///
/// It decides and does nothing else, so a driver keeps it behind a lock of its own that is held for no longer than a
/// decision takes. The same calls on two namespaces of one seed give the same results, in the same order.
pub struct Namespace<P> {
    name: ByteString,
    limits: Limits,
    members: Members<P>,
    requests: Requests,
    counters: Counters,
    marks: Marks,
    /// The sockets of the target at hand; kept for its capacity.
    selected: Vec<Key>,
}

/// A socket of a namespace.
pub struct Member<'a, P> {
    members: &'a Members<P>,
    key: Key,
}

/// What a removed socket leaves behind.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Departed<P> {
    /// How it was reached.
    pub peer: P,
    /// The rooms that it was in, without the room of its own id.
    pub rooms: Vec<ByteString>,
    /// Its data, if any was set.
    pub data: Option<ByteString>,
}

/// What came of [`Namespace::join_selected`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Joined {
    /// Sockets that joined, without those that were in the room before.
    pub joined: usize,
    /// Sockets that could not join, being in [`Limits::rooms_per_socket`] rooms.
    pub full: usize,
}

impl<P> Namespace<P> {
    /// An empty namespace. `seed` keys its hash tables: draw it at random where room names come from outside. It
    /// changes no result and no order.
    #[must_use]
    pub fn new(name: ByteString, mut limits: Limits, seed: u64) -> Self {
        limits.sockets = limits.sockets.min(Key::MOST);
        limits.rooms = limits.rooms.min(Key::MOST);
        Self {
            name,
            limits,
            members: Members::new(seed),
            requests: Requests::default(),
            counters: Counters::default(),
            marks: Marks::default(),
            selected: Vec::new(),
        }
    }

    /// Its name, such as `/`.
    #[must_use]
    pub fn name(&self) -> &ByteString {
        &self.name
    }

    /// The bounds that it keeps.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// How many sockets it has, without those that are away.
    #[must_use]
    pub fn len(&self) -> usize {
        self.members.len() - self.members.away()
    }

    /// Whether it has no sockets.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds a socket, which is then in the room of its own id.
    ///
    /// # Errors
    /// If the id is taken or the namespace is full.
    pub fn insert(&mut self, id: SocketId, peer: P) -> Result<(), InsertError> {
        self.insert_slot(id, Some(peer))
    }

    /// Takes a socket out of the namespace and its rooms; what it still had to answer becomes [`Why::Disconnected`].
    /// `None` if there is no such socket.
    pub fn remove(&mut self, id: SocketId) -> Option<Departed<P>> {
        let removed = self.remove_slot(self.members.find_present(id)?);
        Some(Departed { peer: removed.peer?, rooms: removed.rooms, data: removed.data })
    }

    /// A socket; `None` if there is no such socket, or it is away.
    #[must_use]
    pub fn get(&self, id: SocketId) -> Option<Member<'_, P>> {
        self.members.find_present(id).map(|key| Member { members: &self.members, key })
    }

    /// Puts a socket into a room: `false` if it was in it before, as it always is in the room of its own id.
    ///
    /// # Errors
    /// If there is no such socket, the name is too long, or the socket or the namespace has too many rooms.
    pub fn join(&mut self, id: SocketId, room: &str) -> Result<bool, JoinError> {
        let socket = self.members.find(id).ok_or(JoinError::Unknown { id })?;
        self.check_name(room)?;
        self.join_key(socket, room)
    }

    /// Takes a socket out of a room: `false` if it was not in it. The room of its own id cannot be left.
    pub fn leave(&mut self, id: SocketId, room: &str) -> bool {
        let found = self.members.find(id).zip(self.members.find_room(room));
        found.is_some_and(|(socket, room)| self.members.leave(socket, room))
    }

    /// Replaces a socket's data, a JSON text that the broker does not read.
    ///
    /// # Errors
    /// If there is no such socket, or the text is too long.
    pub fn set_data(&mut self, id: SocketId, data: ByteString) -> Result<(), DataError> {
        let socket = self.members.find(id).ok_or(DataError::Unknown { id })?;
        let (length, limit) = (data.len(), self.limits.data_bytes);
        if length > limit {
            return Err(DataError::TooLong { length, limit });
        }
        self.members.set_data(socket, data);
        Ok(())
    }

    /// Visits each socket of a target once; says how many there were. It allocates nothing once it has run with as
    /// many sockets, and its order depends on the calls made so far alone.
    pub fn select(&mut self, target: &Target, mut each: impl FnMut(SocketId, &P)) -> usize {
        self.walk(target, |_, _, slot, peer| each(slot.id, peer))
    }

    /// The same as [`Namespace::select`], with the sockets' rooms and data.
    pub fn select_members(&mut self, target: &Target, mut each: impl FnMut(Member<'_, P>)) -> usize {
        self.walk(target, |members, key, _, _| each(Member { members, key }))
    }

    /// Puts each socket of a target into a room.
    ///
    /// # Errors
    /// If the room's name is too long, or the room is one too many for the namespace; then nobody joined.
    pub fn join_selected(&mut self, target: &Target, room: &str) -> Result<Joined, JoinError> {
        self.check_name(room)?;
        self.with_selected(target, |namespace, selected| {
            let mut result = Joined::default();
            for &socket in selected {
                match namespace.join_key(socket, room) {
                    Ok(joined) => result.joined += usize::from(joined),
                    Err(JoinError::TooManyRooms { .. }) => result.full += 1,
                    Err(error) => return Err(error),
                }
            }
            Ok(result)
        })
    }

    /// Takes each socket of a target out of a room; says how many were in it.
    pub fn leave_selected(&mut self, target: &Target, room: &str) -> usize {
        let Some(room) = self.members.find_room(room) else { return 0 };
        self.with_selected(target, |namespace, selected| {
            selected.iter().filter(|&&socket| namespace.members.leave(socket, room)).count()
        })
    }

    /// Expects an answer from each socket of a target until `deadline`, and numbers the request. Send it to those that
    /// [`Namespace::select_expected`] then visits. With nobody to answer it is done at once.
    ///
    /// A socket that owes [`Limits::pending_requests_per_socket`] answers is not asked: [`Why::Refused`].
    ///
    /// # Errors
    /// If too many requests are pending.
    pub fn open_request(&mut self, target: &Target, deadline: Instant) -> Result<RequestId, RequestError> {
        self.check_pending()?;
        Ok(self.with_selected(target, |namespace, selected| namespace.open(selected, deadline)))
    }

    /// Expects an answer from one socket alone, not also from whoever joined the room of its id.
    ///
    /// # Errors
    /// If there is no such socket, it owes too many answers, or too many requests are pending.
    pub fn open_request_to(&mut self, id: SocketId, deadline: Instant) -> Result<RequestId, RequestError> {
        let socket = self.members.find_present(id).ok_or(RequestError::Unknown { id })?;
        self.open_to(socket, deadline)
    }

    /// Visits each socket that still has to answer a request and is not away; says how many there were.
    pub fn select_expected(&self, request: RequestId, mut each: impl FnMut(SocketId, &P)) -> usize {
        let slots = self.requests.expected(request).map(|socket| self.members.slot(socket));
        let present = slots.filter_map(|slot| Some((slot.id, slot.peer.as_ref()?)));
        present.inspect(|(id, peer)| each(*id, peer)).count()
    }

    /// Takes a socket's answer: `false`, and nothing changes, if the request is unknown or done, or this socket was not
    /// asked or has answered.
    ///
    /// An answer is kept as it is: one that is a small part of a large buffer keeps that buffer until the request is
    /// done, so a driver that reads many packets into one buffer copies it out.
    pub fn answer(&mut self, from: SocketId, request: RequestId, answer: Body) -> bool {
        self.settle_from(from, request, Ok(answer))
    }

    /// Says that a request could not be sent to a socket: `false` if no answer was expected from it.
    pub fn refuse(&mut self, request: RequestId, socket: SocketId) -> bool {
        self.settle_from(socket, request, Err(Why::Refused))
    }

    /// Forgets a request, without an event: `false` if it is unknown or done.
    pub fn cancel(&mut self, request: RequestId) -> bool {
        let closed = self.requests.close(request);
        for socket in closed.iter().flat_map(|open| open.waiting_for()) {
            self.members.settle(socket, request);
        }
        closed.is_some()
    }

    /// Ends the requests whose deadline is now or past; a spurious call changes nothing.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some((request, mut open)) = self.requests.close_due(now) {
            let waiting = open.waiting_for().map(|socket| {
                self.members.settle(socket, request);
                (self.members.slot(socket).id, Why::TimedOut)
            });
            let missing: Vec<_> = waiting.collect();
            self.counters.timeouts += missing.len() as u64;
            open.outcome.missing.extend(missing);
            self.requests.done(request, open.outcome);
        }
    }

    /// When [`Namespace::handle_timeout`] has something to do: the first deadline of a pending request. May change with
    /// each call that opens or ends a request.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.requests.poll_timeout()
    }

    /// What happened, in its order. May have something new after [`Namespace::open_request`], `answer`, `refuse`,
    /// `remove` and `handle_timeout`.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.requests.poll_event()
    }

    /// What it has done so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        let (sockets, rooms) = (self.len() as u64, self.members.room_count() as u64);
        Counters { sockets, rooms, ..self.counters }
    }

    /// Counts a message that was sent to a target, and to how many sockets it was handed.
    pub fn count_broadcast(&mut self, deliveries: u64) {
        self.counters.broadcasts += 1;
        self.counters.deliveries += deliveries;
    }

    /// Counts volatile messages dropped.
    pub fn count_volatile_dropped(&mut self, messages: u64) {
        self.counters.volatile_dropped += messages;
    }

    /// Counts messages that a full queue refused; those of [`Namespace::refuse`] are counted there.
    pub fn count_refused(&mut self, messages: u64) {
        self.counters.refused += messages;
    }

    /// Visits the sockets of a target that are not away.
    fn walk(&mut self, target: &Target, mut each: impl FnMut(&Members<P>, Key, &Slot<P>, &P)) -> usize {
        let Self { members, marks, .. } = self;
        let mut count = 0;
        members.walk(target, marks, |key, slot| {
            if let Some(peer) = &slot.peer {
                count += 1;
                each(members, key, slot, peer);
            }
        });
        count
    }

    fn insert_slot(&mut self, id: SocketId, peer: Option<P>) -> Result<(), InsertError> {
        if self.members.find(id).is_some() {
            return Err(InsertError::Exists { id });
        }
        let limit = self.limits.sockets;
        if self.members.len() >= limit {
            return Err(InsertError::Full { limit });
        }
        self.members.insert(id, peer);
        self.counters.inserted += 1;
        Ok(())
    }

    fn remove_slot(&mut self, socket: Key) -> Removed<P> {
        let id = self.members.slot(socket).id;
        let mut removed = self.members.remove(socket);
        self.counters.removed += 1;
        for Owed { request, place } in core::mem::take(&mut removed.owed) {
            self.settle(request, place, id, Err(Why::Disconnected));
        }
        removed
    }

    /// Runs `act` on the sockets of a target, which are listed first, so that it may change who is where.
    fn with_selected<R>(&mut self, target: &Target, act: impl FnOnce(&mut Self, &[Key]) -> R) -> R {
        let mut selected = core::mem::take(&mut self.selected);
        selected.clear();
        self.walk(target, |_, key, _, _| selected.push(key));
        let result = act(self, &selected);
        self.selected = selected;
        result
    }

    fn check_name(&self, room: &str) -> Result<(), JoinError> {
        let (length, limit) = (room.len(), self.limits.room_name_bytes);
        if length > limit { Err(JoinError::NameTooLong { length, limit }) } else { Ok(()) }
    }

    fn join_key(&mut self, socket: Key, room: &str) -> Result<bool, JoinError> {
        let found = self.members.find_room(room);
        let is_own = self.members.slot(socket).id.as_str() == room;
        if is_own || found.is_some_and(|room| self.members.is_in(socket, room)) {
            return Ok(false);
        }
        let limit = self.limits.rooms_per_socket;
        if self.members.rooms_of(socket).len() >= limit {
            return Err(JoinError::TooManyRooms { limit });
        }
        let room = match found {
            Some(room) => room,
            None if self.members.room_count() >= self.limits.rooms => {
                return Err(JoinError::Full { limit: self.limits.rooms });
            }
            None => self.members.add_room(room),
        };
        self.members.link(socket, room);
        Ok(true)
    }

    fn check_pending(&self) -> Result<(), RequestError> {
        let limit = self.limits.pending_requests;
        if self.requests.pending() >= limit { Err(RequestError::TooMany { limit }) } else { Ok(()) }
    }

    fn open_to(&mut self, socket: Key, deadline: Instant) -> Result<RequestId, RequestError> {
        self.check_pending()?;
        let limit = self.limits.pending_requests_per_socket;
        if self.members.slot(socket).owed() >= limit {
            return Err(RequestError::Busy { limit });
        }
        Ok(self.open(&[socket], deadline))
    }

    fn open(&mut self, sockets: &[Key], deadline: Instant) -> RequestId {
        let request = self.requests.next_id();
        let mut expected = Vec::with_capacity(sockets.len());
        let mut refused = Vec::new();
        for &socket in sockets {
            let owed = Owed { request, place: Key::new(expected.len()) };
            if self.members.owe(socket, owed, self.limits.pending_requests_per_socket) {
                expected.push(Some(socket));
            } else {
                refused.push(self.members.slot(socket).id);
            }
        }
        self.counters.requests += 1;
        self.counters.refused += refused.len() as u64;
        self.requests.open(expected, refused, deadline);
        request
    }

    /// `false` if `from` owes the request nothing.
    fn settle_from(&mut self, from: SocketId, request: RequestId, result: Result<Body, Why>) -> bool {
        let Some(socket) = self.members.find(from) else { return false };
        let Some(place) = self.members.settle(socket, request) else { return false };
        self.settle(request, place, from, result);
        true
    }

    fn settle(&mut self, request: RequestId, place: Key, from: SocketId, result: Result<Body, Why>) {
        self.counters.refused += u64::from(result == Err(Why::Refused));
        let taken = self.requests.settle(request, place, from, result, self.limits.held_answer_bytes);
        self.counters.answers += u64::from(taken);
    }
}

/// Prints its name and counters.
impl<P> fmt::Debug for Namespace<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counters = self.counters();
        f.debug_struct("Namespace")
            .field("name", &self.name)
            .field("counters", &counters)
            .finish_non_exhaustive()
    }
}

impl<'a, P> Member<'a, P> {
    /// Its id.
    #[must_use]
    pub fn id(&self) -> SocketId {
        self.slot().id
    }

    /// How it is reached.
    #[must_use]
    pub fn peer(&self) -> &'a P {
        self.slot().peer.as_ref().expect("a member that is away is not handed out")
    }

    /// The rooms that it is in: the room of its own id, then those that it joined, in no stated order.
    pub fn rooms(&self) -> impl Iterator<Item = &'a str> + use<'a, P> {
        let joined = self.members.rooms_of(self.key).map(|room| &**room);
        core::iter::once(self.slot().id.as_str()).chain(joined)
    }

    /// Its data, a JSON text; `None` until it is set.
    #[must_use]
    pub fn data(&self) -> Option<&'a ByteString> {
        self.slot().data()
    }

    fn slot(&self) -> &'a Slot<P> {
        self.members.slot(self.key)
    }
}

/// Prints its id, rooms and data.
impl<P> fmt::Debug for Member<'_, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rooms: Vec<_> = self.rooms().collect();
        let mut member = f.debug_struct("Member");
        member
            .field("id", &self.id())
            .field("rooms", &rooms)
            .field("data", &self.data())
            .finish_non_exhaustive()
    }
}

mod away;
mod owed;

#[cfg(test)]
mod tests;
