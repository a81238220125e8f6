//! Whom a message is for.

use bytestring::ByteString;
use smallvec::SmallVec;

use crate::{SocketId, channel::Destination};

/// The sockets that a call concerns: everyone, or the union of some rooms; in either case without the members of the
/// excepted rooms. A socket in several of the rooms is selected once.
///
/// A socket's id names a room that the socket is always in, so [`Target::socket`] is [`Target::room`] by that name.
///
/// ```
/// use tenfour_broker::{SocketId, Target};
///
/// let sender = SocketId::from_bytes([7; 15]);
/// let others = Target::room("lobby").to("garden").except("muted").except_socket(sender);
/// assert_eq!(others, Target::rooms(["lobby", "garden"]).except("muted").except(sender.as_str()));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// `None` for everyone.
    pub(crate) rooms: Option<Rooms>,
    pub(crate) except: Rooms,
}

pub(crate) type Rooms = SmallVec<[RoomName; 1]>;

/// A room's name, kept without an allocation where it is a socket's id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RoomName {
    /// Also the room that each text of this shape names, so that equal names are equal values.
    Socket(SocketId),
    Named(ByteString),
}

impl Target {
    /// Every socket of the namespace.
    #[must_use]
    pub fn all() -> Self {
        Self { rooms: None, except: Rooms::new() }
    }

    /// The members of a room.
    #[must_use]
    pub fn room(room: impl Into<ByteString>) -> Self {
        Self::rooms([room])
    }

    /// The members of any of these rooms. No rooms select **nobody**, so that a list that happens to be empty never
    /// becomes a broadcast to everyone.
    #[must_use]
    pub fn rooms(rooms: impl IntoIterator<Item = impl Into<ByteString>>) -> Self {
        let rooms = rooms.into_iter().map(|room| RoomName::new(room.into())).collect();
        Self { rooms: Some(rooms), except: Rooms::new() }
    }

    /// One socket, and whoever else joined the room of its id.
    #[must_use]
    pub fn socket(id: SocketId) -> Self {
        Self { rooms: Some(Rooms::from_buf([RoomName::Socket(id)])), except: Rooms::new() }
    }

    /// Adds a room; after [`Target::all`], narrows everyone to that room.
    #[must_use]
    pub fn to(mut self, room: impl Into<ByteString>) -> Self {
        self.rooms.get_or_insert_default().push(RoomName::new(room.into()));
        self
    }

    /// Leaves out the members of a room.
    #[must_use]
    pub fn except(mut self, room: impl Into<ByteString>) -> Self {
        self.except.push(RoomName::new(room.into()));
        self
    }

    /// Leaves out one socket, commonly the sender, and whoever else joined the room of its id.
    #[must_use]
    pub fn except_socket(mut self, id: SocketId) -> Self {
        self.except.push(RoomName::Socket(id));
        self
    }
}

impl Target {
    /// Where a message is to be published that is for these sockets, be they here now or not.
    ///
    /// ```
    /// use tenfour_broker::{Target, channel::Destination};
    ///
    /// let others = Target::room("lobby").except("muted");
    /// assert_eq!(others.destination(), Destination::to("lobby").except("muted"));
    /// assert_eq!(Target::all().destination(), Destination::everyone());
    /// ```
    #[must_use]
    pub fn destination(&self) -> Destination {
        let names = |rooms: &Rooms| rooms.iter().map(RoomName::to_bytestring).collect();
        let channels = self.rooms.as_ref().map_or_else(|| Destination::everyone().channels, names);
        Destination { channels, except: names(&self.except) }
    }
}

impl RoomName {
    pub(crate) fn new(name: ByteString) -> Self {
        SocketId::parse(&name).map_or(Self::Named(name), Self::Socket)
    }

    fn to_bytestring(&self) -> ByteString {
        match self {
            Self::Socket(id) => id.as_str().into(),
            Self::Named(name) => name.clone(),
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Socket(id) => id.as_str(),
            Self::Named(name) => name,
        }
    }
}
