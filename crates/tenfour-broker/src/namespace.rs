//! Sockets, their rooms and what is asked of them.

use alloc::vec::Vec;
use core::marker::PhantomData;

use bytestring::ByteString;
use tenfour_delivery::time::Instant;

use crate::{
    Body, Counters, DataError, Event, InsertError, JoinError, Limits, RequestError, RequestId, SocketId,
    Target,
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
    peer: PhantomData<P>,
}

/// A socket of a namespace.
pub struct Member<'a, P> {
    peer: PhantomData<&'a P>,
}

/// What a removed socket leaves behind.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    pub fn new(name: ByteString, limits: Limits, _seed: u64) -> Self {
        Self { name, limits, peer: PhantomData }
    }

    /// Its name, such as `/`.
    #[must_use]
    pub fn name(&self) -> &ByteString {
        &self.name
    }

    /// The bounds that it was made with.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// How many sockets it has.
    #[must_use]
    pub fn len(&self) -> usize {
        unimplemented!()
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
    pub fn insert(&mut self, _id: SocketId, _peer: P) -> Result<(), InsertError> {
        unimplemented!()
    }

    /// Takes a socket out of the namespace and its rooms; what it still had to answer becomes
    /// [`Why::Disconnected`](crate::Why::Disconnected). `None` if there is no such socket.
    pub fn remove(&mut self, _id: SocketId) -> Option<Departed<P>> {
        unimplemented!()
    }

    /// A socket; `None` if there is no such socket.
    #[must_use]
    pub fn get(&self, _id: SocketId) -> Option<Member<'_, P>> {
        unimplemented!()
    }

    /// Puts a socket into a room: `false` if it was in it before, as it always is in the room of its own id.
    ///
    /// # Errors
    /// If there is no such socket, the name is too long, or the socket is in too many rooms.
    pub fn join(&mut self, _id: SocketId, _room: &str) -> Result<bool, JoinError> {
        unimplemented!()
    }

    /// Takes a socket out of a room: `false` if it was not in it. The room of its own id cannot be left.
    pub fn leave(&mut self, _id: SocketId, _room: &str) -> bool {
        unimplemented!()
    }

    /// Replaces a socket's data, a JSON text that the broker does not read.
    ///
    /// # Errors
    /// If there is no such socket, or the text is too long.
    pub fn set_data(&mut self, _id: SocketId, _data: ByteString) -> Result<(), DataError> {
        unimplemented!()
    }

    /// Visits each socket of a target once; says how many there were. Allocates nothing.
    pub fn select(&mut self, _target: &Target, _each: impl FnMut(SocketId, &P)) -> usize {
        unimplemented!()
    }

    /// The same as [`Namespace::select`], with the sockets' rooms and data.
    pub fn select_members(&mut self, _target: &Target, _each: impl FnMut(Member<'_, P>)) -> usize {
        unimplemented!()
    }

    /// Puts each socket of a target into a room.
    ///
    /// # Errors
    /// If the room's name is too long; then nobody joined.
    pub fn join_selected(&mut self, _target: &Target, _room: &str) -> Result<Joined, JoinError> {
        unimplemented!()
    }

    /// Takes each socket of a target out of a room; says how many were in it.
    pub fn leave_selected(&mut self, _target: &Target, _room: &str) -> usize {
        unimplemented!()
    }

    /// Expects an answer from each socket of a target until `deadline`, and numbers the request. Send it to those that
    /// [`Namespace::select_expected`] then visits. With nobody to answer it is done at once.
    ///
    /// # Errors
    /// If too many requests are pending.
    pub fn open_request(&mut self, _target: &Target, _deadline: Instant) -> Result<RequestId, RequestError> {
        unimplemented!()
    }

    /// Expects an answer from one socket alone, not also from whoever joined the room of its id.
    ///
    /// # Errors
    /// If there is no such socket, it owes too many answers, or too many requests are pending.
    pub fn open_request_to(&mut self, _id: SocketId, _deadline: Instant) -> Result<RequestId, RequestError> {
        unimplemented!()
    }

    /// Visits each socket that still has to answer a request; says how many there were.
    pub fn select_expected(&self, _request: RequestId, _each: impl FnMut(SocketId, &P)) -> usize {
        unimplemented!()
    }

    /// Takes a socket's answer: `false`, and nothing changes, if the request is unknown or done, or this socket was not
    /// asked or has answered.
    pub fn answer(&mut self, _from: SocketId, _request: RequestId, _answer: Body) -> bool {
        unimplemented!()
    }

    /// Says that a request could not be sent to a socket: `false` if no answer was expected from it.
    pub fn refuse(&mut self, _request: RequestId, _socket: SocketId) -> bool {
        unimplemented!()
    }

    /// Forgets a request, without an event: `false` if it is unknown or done.
    pub fn cancel(&mut self, _request: RequestId) -> bool {
        unimplemented!()
    }

    /// Ends the requests whose deadline is now or past; a spurious call changes nothing.
    pub fn handle_timeout(&mut self, _now: Instant) {
        unimplemented!()
    }

    /// When [`Namespace::handle_timeout`] has something to do: the first deadline of a pending request. May change with
    /// each call that opens or ends a request.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        unimplemented!()
    }

    /// What happened, in its order. May have something new after [`Namespace::open_request`], `answer`, `refuse`,
    /// `remove` and `handle_timeout`.
    pub fn poll_event(&mut self) -> Option<Event> {
        unimplemented!()
    }

    /// What it has done so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        unimplemented!()
    }

    /// Counts a message that was sent to a target, and to how many sockets it was handed.
    pub fn count_broadcast(&mut self, _deliveries: u64) {
        unimplemented!()
    }

    /// Counts volatile messages dropped.
    pub fn count_volatile_dropped(&mut self, _messages: u64) {
        unimplemented!()
    }

    /// Counts messages that a full queue refused; those of [`Namespace::refuse`] are counted there.
    pub fn count_refused(&mut self, _messages: u64) {
        unimplemented!()
    }
}

impl<'a, P> Member<'a, P> {
    /// Its id.
    #[must_use]
    pub fn id(&self) -> SocketId {
        unimplemented!()
    }

    /// How it is reached.
    #[must_use]
    pub fn peer(&self) -> &'a P {
        unimplemented!()
    }

    /// The rooms that it is in: the room of its own id, then those that it joined.
    pub fn rooms(&self) -> impl Iterator<Item = &'a str> + use<'a, P> {
        [].into_iter()
    }

    /// Its data, a JSON text; `None` until it is set.
    #[must_use]
    pub fn data(&self) -> Option<&'a ByteString> {
        unimplemented!()
    }
}
