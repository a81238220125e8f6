//! Where a message goes.

use alloc::{vec, vec::Vec};

use bytestring::ByteString;

/// What the names begin with of channels that are the namespace's own.
pub const RESERVED: char = '\0';

/// The channel of what goes to everyone in the namespace, whatever rooms they are in; [`Destination::everyone`] names it, and
/// nobody can subscribe to it.
pub const EVERYONE: ByteString = ByteString::from_static("\0*");

/// The channel of the namespace's own notes, such as who is in which room: they stand in the log among the messages, in the
/// order in which they took effect, and are never delivered. A log keeps them until they are released, whatever its retention.
pub const NOTES: ByteString = ByteString::from_static("\0s");

/// Whether a channel, or a room, of this name is the namespace's own: it begins with [`RESERVED`].
#[must_use]
pub fn is_reserved(name: &str) -> bool {
    name.starts_with(RESERVED)
}

/// Where a message goes: the channels, which are the rooms of the same names, without the members of some rooms.
///
/// A socket is the room of its id. Subscribers of a channel that are no sockets are in no room, so they are never excepted.
///
/// ```
/// use tenfour_broker::channel::{Destination, EVERYONE};
///
/// let lobby = Destination::to("lobby").and("garden").except("muted");
/// assert_eq!(lobby.channels, ["lobby", "garden"]);
/// assert_eq!(Destination::everyone().channels, [EVERYONE]);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Destination {
    /// The channels; one that is named twice gets it once.
    pub channels: Vec<ByteString>,
    /// Rooms whose members do not get it.
    pub except: Vec<ByteString>,
}

impl Destination {
    /// A channel alone.
    #[must_use]
    pub fn to(channel: impl Into<ByteString>) -> Self {
        Self { channels: vec![channel.into()], except: Vec::new() }
    }

    /// Everyone in the namespace.
    #[must_use]
    pub fn everyone() -> Self {
        Self::to(EVERYONE)
    }

    /// Also this channel.
    #[must_use]
    pub fn and(mut self, channel: impl Into<ByteString>) -> Self {
        self.channels.push(channel.into());
        self
    }

    /// But for the members of this room.
    #[must_use]
    pub fn except(mut self, room: impl Into<ByteString>) -> Self {
        self.except.push(room.into());
        self
    }
}
