//! Who is in which room.

use alloc::{boxed::Box, collections::VecDeque, vec::Vec};

use bytestring::ByteString;
use slab::Slab;

use crate::{
    RequestId, SocketId, Target,
    index::{Index, Key},
    target::RoomName,
};

/// The sockets and rooms of a namespace. A membership is known to both its sides, and each side knows the place at
/// the other, so that it ends without a search there.
///
/// The room of a socket's own id is nowhere stored: [`Members::in_room`] finds the socket by its id.
pub(crate) struct Members<P> {
    slots: Slab<Slot<P>>,
    by_id: Index,
    rooms: Slab<Room>,
    by_name: Index,
    /// How many of the slots are of sockets that are away.
    away: usize,
}

/// A socket. What most sockets do not have is kept apart, so that those stay small.
pub(crate) struct Slot<P> {
    pub(crate) id: SocketId,
    /// `None` while it is away.
    pub(crate) peer: Option<P>,
    /// Whether what is committed is read for it later, since it has not taken everything before.
    pub(crate) is_behind: bool,
    affairs: Option<Box<Affairs>>,
}

#[derive(Default)]
struct Affairs {
    memberships: Vec<Membership>,
    data: Option<ByteString>,
    /// In the order of the requests' numbers.
    owed: VecDeque<Owed>,
}

/// A room that a socket is in, and the socket's place among the room's occupants.
#[derive(Clone, Copy)]
struct Membership {
    room: Key,
    place: Key,
}

struct Room {
    name: ByteString,
    occupants: Vec<Occupant>,
}

/// A socket that is in a room, and the room's place among the socket's memberships.
#[derive(Clone, Copy)]
struct Occupant {
    socket: Key,
    place: Key,
}

/// An answer that a socket owes, and its place among those that the request expects.
#[derive(Clone, Copy)]
pub(crate) struct Owed {
    pub(crate) request: RequestId,
    pub(crate) place: Key,
}

/// What was a socket's.
pub(crate) struct Removed<P> {
    pub(crate) peer: Option<P>,
    pub(crate) rooms: Vec<ByteString>,
    pub(crate) data: Option<ByteString>,
    pub(crate) owed: VecDeque<Owed>,
}

impl<P> Members<P> {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            slots: Slab::new(),
            by_id: Index::new(seed),
            rooms: Slab::new(),
            by_name: Index::new(seed),
            away: 0,
        }
    }

    /// All sockets, also those that are away.
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(crate) fn away(&self) -> usize {
        self.away
    }

    pub(crate) fn room_count(&self) -> usize {
        self.rooms.len()
    }

    pub(crate) fn find(&self, id: SocketId) -> Option<Key> {
        self.by_id.find(&id, |key| &self.slots[key.get()].id)
    }

    /// As [`Members::find`], of a socket that is not away.
    pub(crate) fn find_present(&self, id: SocketId) -> Option<Key> {
        self.find(id).filter(|key| self.slot(*key).peer.is_some())
    }

    pub(crate) fn slot(&self, key: Key) -> &Slot<P> {
        &self.slots[key.get()]
    }

    /// `id` is new.
    pub(crate) fn insert(&mut self, id: SocketId, peer: Option<P>) -> Key {
        self.away += usize::from(peer.is_none());
        let key = Key::new(self.slots.insert(Slot { id, peer, is_behind: false, affairs: None }));
        self.by_id.insert(&id, key, |key| &self.slots[key.get()].id);
        key
    }

    /// Replaces how a socket is reached, and answers how it was.
    pub(crate) fn set_peer(&mut self, key: Key, peer: Option<P>) -> Option<P> {
        self.away += usize::from(peer.is_none());
        let before = core::mem::replace(&mut self.slots[key.get()].peer, peer);
        self.away -= usize::from(before.is_none());
        before
    }

    pub(crate) fn set_behind(&mut self, key: Key, is_behind: bool) {
        self.slots[key.get()].is_behind = is_behind;
    }

    pub(crate) fn remove(&mut self, key: Key) -> Removed<P> {
        let mut rooms = Vec::with_capacity(self.slot(key).memberships().len());
        while let Some(&Membership { room, .. }) = self.slot(key).memberships().last() {
            rooms.push(self.rooms[room.get()].name.clone());
            self.unlink(key, self.slot(key).memberships().len() - 1);
        }
        let Slot { id, peer, affairs, .. } = self.slots.remove(key.get());
        self.away -= usize::from(peer.is_none());
        self.by_id.remove(&id, key);
        let Affairs { data, owed, .. } = affairs.map_or_else(Affairs::default, |affairs| *affairs);
        Removed { peer, rooms, data, owed }
    }

    pub(crate) fn set_data(&mut self, key: Key, data: ByteString) {
        self.affairs(key).data = Some(data);
    }

    pub(crate) fn rooms_of(&self, key: Key) -> impl ExactSizeIterator<Item = &ByteString> {
        self.slot(key).memberships().iter().map(|membership| &self.rooms[membership.room.get()].name)
    }

    /// The room that some sockets joined; the room of a socket's own id, only if another socket joined it.
    pub(crate) fn find_room(&self, name: &str) -> Option<Key> {
        self.by_name.find(name, |key| &*self.rooms[key.get()].name)
    }

    pub(crate) fn is_in(&self, socket: Key, room: Key) -> bool {
        self.slot(socket).membership(room).is_some()
    }

    /// A room without occupants, which is to be joined at once. `name` is copied, so that it keeps no larger buffer.
    pub(crate) fn add_room(&mut self, name: &str) -> Key {
        let room = Room { name: ByteString::from(name), occupants: Vec::new() };
        let key = Key::new(self.rooms.insert(room));
        self.by_name.insert(name, key, |key| &*self.rooms[key.get()].name);
        key
    }

    /// `socket` is not in `room`.
    pub(crate) fn link(&mut self, socket: Key, room: Key) {
        let place_in_room = Key::new(self.rooms[room.get()].occupants.len());
        let memberships = &mut self.affairs(socket).memberships;
        let place_in_socket = Key::new(memberships.len());
        memberships.push(Membership { room, place: place_in_room });
        self.rooms[room.get()].occupants.push(Occupant { socket, place: place_in_socket });
    }

    /// `false` if `socket` is not in `room`.
    pub(crate) fn leave(&mut self, socket: Key, room: Key) -> bool {
        let place = self.slot(socket).membership(room);
        if let Some(place) = place {
            self.unlink(socket, place);
        }
        place.is_some()
    }

    /// Ends the membership at `place` of `socket`, and the room with its last occupant. The last of each list takes
    /// the place that becomes free, and is told so at its other side.
    fn unlink(&mut self, socket: Key, place: usize) {
        let memberships = &mut self.affairs(socket).memberships;
        let left = memberships.swap_remove(place);
        if let Some(&moved) = memberships.get(place) {
            self.rooms[moved.room.get()].occupants[moved.place.get()].place = Key::new(place);
        }
        let occupants = &mut self.rooms[left.room.get()].occupants;
        occupants.swap_remove(left.place.get());
        if let Some(&moved) = occupants.get(left.place.get()) {
            self.affairs(moved.socket).memberships[moved.place.get()].place = left.place;
        } else if occupants.is_empty() {
            let room = self.rooms.remove(left.room.get());
            self.by_name.remove(&*room.name, left.room);
        }
    }

    /// The members of a room, a socket whose id is its name first.
    fn in_room(&self, room: &RoomName) -> impl Iterator<Item = Key> {
        let owner = match room {
            RoomName::Socket(id) => self.find(*id),
            RoomName::Named(_) => None,
        };
        let occupants = self.find_room(room.as_str()).map(|key| &*self.rooms[key.get()].occupants);
        owner.into_iter().chain(occupants.unwrap_or_default().iter().map(|occupant| occupant.socket))
    }

    /// Visits each socket of a target once, also those that are away.
    pub(crate) fn walk(&self, target: &Target, marks: &mut Marks, mut each: impl FnMut(Key, &Slot<P>)) {
        marks.begin(self.slots.capacity());
        for socket in target.except.iter().flat_map(|room| self.in_room(room)) {
            marks.mark(socket);
        }
        match &target.rooms {
            None => {
                for (key, slot) in &self.slots {
                    if marks.mark(Key::new(key)) {
                        each(Key::new(key), slot);
                    }
                }
            }
            Some(rooms) => {
                for socket in rooms.iter().flat_map(|room| self.in_room(room)) {
                    if marks.mark(socket) {
                        each(socket, self.slot(socket));
                    }
                }
            }
        }
    }

    /// Notes an answer that a socket owes to a request, the newest of all: `false` if it owes `limit` already.
    pub(crate) fn owe(&mut self, socket: Key, owed: Owed, limit: usize) -> bool {
        if self.slot(socket).owed() >= limit {
            return false;
        }
        self.affairs(socket).owed.push_back(owed);
        true
    }

    /// Takes back what [`Members::owe`] noted: the place among those that the request expects.
    pub(crate) fn settle(&mut self, socket: Key, request: RequestId) -> Option<Key> {
        let owed = &mut self.slots[socket.get()].affairs.as_deref_mut()?.owed;
        let at = owed.binary_search_by_key(&request, |owed| owed.request).ok()?;
        owed.remove(at).map(|owed| owed.place)
    }

    fn affairs(&mut self, socket: Key) -> &mut Affairs {
        self.slots[socket.get()].affairs.get_or_insert_default()
    }
}

impl<P> Slot<P> {
    pub(crate) fn data(&self) -> Option<&ByteString> {
        self.affairs.as_ref()?.data.as_ref()
    }

    /// The requests that it has not answered, in their order.
    pub(crate) fn owes(&self) -> impl Iterator<Item = RequestId> {
        self.affairs.iter().flat_map(|affairs| affairs.owed.iter().map(|owed| owed.request))
    }

    pub(crate) fn owed(&self) -> usize {
        self.affairs.as_ref().map_or(0, |affairs| affairs.owed.len())
    }

    fn memberships(&self) -> &[Membership] {
        self.affairs.as_ref().map_or(&[], |affairs| &affairs.memberships)
    }

    fn membership(&self, room: Key) -> Option<usize> {
        self.memberships().iter().position(|membership| membership.room == room)
    }
}

/// Which sockets a walk has met: those that carry the number of the round, so that no round has to clear them.
#[derive(Default)]
pub(crate) struct Marks {
    met_in: Vec<u32>,
    round: u32,
}

impl Marks {
    fn begin(&mut self, places: usize) {
        if self.met_in.len() < places {
            self.met_in.resize(places, 0);
        }
        self.round = self.round.checked_add(1).unwrap_or_else(|| {
            self.met_in.fill(0);
            1
        });
    }

    /// Whether the round meets `socket` for the first time.
    fn mark(&mut self, socket: Key) -> bool {
        core::mem::replace(&mut self.met_in[socket.get()], self.round) != self.round
    }
}

/// What tests look at.
#[cfg(test)]
impl<P> Members<P> {
    /// Each membership stands at both its sides, each name in its index, and no room is empty.
    pub(crate) fn check_links(&self) {
        for (key, slot) in &self.slots {
            assert_eq!(self.find(slot.id), Some(Key::new(key)));
            for (place, membership) in slot.memberships().iter().enumerate() {
                let occupant = self.rooms[membership.room.get()].occupants[membership.place.get()];
                assert_eq!((occupant.socket.get(), occupant.place.get()), (key, place));
            }
        }
        for (key, room) in &self.rooms {
            assert_eq!(self.find_room(&room.name), Some(Key::new(key)));
            assert!(!room.occupants.is_empty());
        }
        let memberships: usize = self.slots.iter().map(|(_, slot)| slot.memberships().len()).sum();
        assert_eq!(memberships, self.rooms.iter().map(|(_, room)| room.occupants.len()).sum::<usize>());
        assert_eq!((self.by_id.len(), self.by_name.len()), (self.slots.len(), self.rooms.len()));
    }

    pub(crate) fn is_clean(&self) -> bool {
        self.check_links();
        self.slots.is_empty() && self.rooms.is_empty()
    }

    pub(crate) fn capacity(&self) -> usize {
        self.slots.capacity()
    }
}

#[cfg(test)]
impl Marks {
    pub(crate) fn at_round(round: u32) -> Self {
        Self { met_in: Vec::new(), round }
    }
}
