//! The public name of a socket.

use core::{fmt, str::FromStr};

use bytestring::ByteString;
use tenfour_delivery::id::{Id, ParseIdError};

/// The public id of a socket in one namespace: 20 characters of the URL-safe base64 alphabet (RFC 4648 §5), which
/// write 15 random bytes.
///
/// It is told to other clients and names a room that the socket is always in, so it is **never a secret**: whoever
/// knows it may address the socket, and nothing more. 20 bytes, stored inline.
///
/// ```
/// use tenfour_broker::SocketId;
///
/// let id = SocketId::from_bytes([0xff; 15]);
/// assert_eq!(id.as_str(), "____________________");
/// assert_eq!(SocketId::parse(id.as_str()), Ok(id));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SocketId(Id);

impl SocketId {
    /// The id that writes these random bytes; the driver draws them, since the broker has no randomness of its own.
    #[must_use]
    pub fn from_bytes(random: [u8; 15]) -> Self {
        Self(Id::from_random(random))
    }

    /// Reads an id back from its text.
    ///
    /// # Errors
    /// If `text` is anything but 20 characters of the alphabet.
    pub fn parse(text: &str) -> Result<Self, ParseIdError> {
        text.parse().map(Self)
    }

    /// The 20 characters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl FromStr for SocketId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        Self::parse(text)
    }
}

impl From<SocketId> for ByteString {
    fn from(id: SocketId) -> Self {
        Self::from(id.as_str())
    }
}

impl fmt::Display for SocketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Prints the whole id, which is public.
impl fmt::Debug for SocketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SocketId({self})")
    }
}
