//! Sockets whose clients are away and expected back, and those that have not taken everything yet.

use super::{InsertError, JoinError, Key, Namespace, SocketId, Target};
use crate::channel::Taken;

impl<P> Namespace<P> {
    /// Adds a socket whose client is away: it has an id, rooms and data, and nothing is sent to it.
    ///
    /// # Errors
    /// If the id is taken or the namespace is full.
    pub fn insert_away(&mut self, id: SocketId) -> Result<(), InsertError> {
        self.insert_slot(id, None)
    }

    /// The client of a socket is gone, and may come back: the socket stays in its rooms, and still owes its answers.
    /// How it was reached; `None` if there is no such socket, or it is away.
    pub fn park(&mut self, id: SocketId) -> Option<P> {
        let socket = self.members.find(id)?;
        self.members.set_behind(socket, false);
        self.members.set_peer(socket, None)
    }

    /// The client of a socket that is away is back, and reached so.
    ///
    /// # Errors
    /// If there is no such socket, or it is not away: what was passed comes back.
    pub fn attach(&mut self, id: SocketId, peer: P) -> Result<(), P> {
        match self.members.find(id).filter(|socket| self.members.slot(*socket).peer.is_none()) {
            Some(socket) => {
                self.members.set_peer(socket, Some(peer));
                Ok(())
            }
            None => Err(peer),
        }
    }

    /// Whether there is a socket of this id whose client is away.
    #[must_use]
    pub fn is_away(&self, id: SocketId) -> bool {
        self.members.find(id).is_some_and(|socket| self.members.slot(socket).peer.is_none())
    }

    /// How many sockets are away.
    #[must_use]
    pub fn away(&self) -> usize {
        self.members.away()
    }

    /// As [`Namespace::remove`], of a socket that is away: `false` if there is none.
    pub fn remove_away(&mut self, id: SocketId) -> bool {
        let away = self.members.find(id).filter(|socket| self.members.slot(*socket).peer.is_none());
        away.map(|socket| self.remove_slot(socket)).is_some()
    }

    /// Visits each socket of a target, also those that are away.
    pub fn select_with_away(&mut self, target: &Target, mut each: impl FnMut(SocketId, Option<&P>)) -> usize {
        let Self { members, marks, .. } = self;
        let mut count = 0;
        members.walk(target, marks, |_, slot| {
            count += 1;
            each(slot.id, slot.peer.as_ref());
        });
        count
    }

    /// How a socket is reached, if it is not away.
    #[must_use]
    pub fn peer(&self, id: SocketId) -> Option<&P> {
        self.members.slot(self.members.find(id)?).peer.as_ref()
    }

    /// Sets whether what is committed is read for a socket later. `false` if there is no such socket.
    pub(crate) fn set_behind(&mut self, id: SocketId, is_behind: bool) -> bool {
        let socket = self.members.find(id);
        if let Some(socket) = socket {
            self.members.set_behind(socket, is_behind);
        }
        socket.is_some()
    }

    /// Hands a commit to each socket of a target that has everything before it. One that does not take it is behind from
    /// then on, and named in `full`. Answers how many took it.
    pub(crate) fn hand_out(
        &mut self,
        target: &Target,
        full: &mut alloc::vec::Vec<SocketId>,
        mut deliver: impl FnMut(SocketId, &P) -> Taken,
    ) -> u64 {
        let mut taken = 0;
        let Self { members, marks, selected, .. } = self;
        selected.clear();
        members.walk(target, marks, |key, slot| {
            let Some(peer) = slot.peer.as_ref().filter(|_| !slot.is_behind) else { return };
            match deliver(slot.id, peer) {
                Taken::Yes => taken += 1,
                Taken::Full => {
                    selected.push(key);
                    full.push(slot.id);
                }
            }
        });
        for key in selected.drain(..) {
            members.set_behind(key, true);
        }
        taken
    }

    /// Whether somebody may join a room of this name.
    pub(crate) fn check_room(&self, room: &str) -> Result<(), JoinError> {
        self.check_name(room)?;
        let limit = self.limits.rooms;
        let is_one_too_many = self.members.room_count() >= limit && self.members.find_room(room).is_none();
        if is_one_too_many { Err(JoinError::Full { limit }) } else { Ok(()) }
    }

    /// Puts a socket into a room, and keeps no bound but those of the name: whoever calls it has decided before.
    pub(crate) fn admit(&mut self, id: SocketId, room: &str) {
        let Some(socket) = self.members.find(id).filter(|_| id.as_str() != room) else { return };
        let room: Key = self.members.find_room(room).unwrap_or_else(|| self.members.add_room(room));
        if !self.members.is_in(socket, room) {
            self.members.link(socket, room);
        }
    }
}
