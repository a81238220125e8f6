//! The public name of a socket.

use core::{fmt, str::FromStr};

use bytestring::ByteString;

const LENGTH: usize = 20;
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

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
pub struct SocketId([u8; LENGTH]);

impl SocketId {
    /// The id that writes these random bytes; the driver draws them, since the broker has no randomness of its own.
    #[must_use]
    pub fn from_bytes(random: [u8; 15]) -> Self {
        let mut text = [0; LENGTH];
        for (group, letters) in random.as_chunks::<3>().0.iter().zip(text.as_chunks_mut::<4>().0) {
            let bits = u32::from_be_bytes([0, group[0], group[1], group[2]]);
            *letters = [18, 12, 6, 0].map(|shift| ALPHABET[(bits >> shift & 63) as usize]);
        }
        Self(text)
    }

    /// Reads an id back from its text.
    ///
    /// # Errors
    /// If `text` is anything but 20 characters of the alphabet.
    pub fn parse(text: &str) -> Result<Self, InvalidSocketId> {
        let letters: [u8; LENGTH] = text.as_bytes().try_into().map_err(|_| InvalidSocketId)?;
        let is_letter = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if letters.iter().all(is_letter) { Ok(Self(letters)) } else { Err(InvalidSocketId) }
    }

    /// The 20 characters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Both constructors write letters of the alphabet alone, which are ASCII.
        core::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl FromStr for SocketId {
    type Err = InvalidSocketId;

    fn from_str(text: &str) -> Result<Self, InvalidSocketId> {
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

impl fmt::Debug for SocketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SocketId({self})")
    }
}

/// A text that is no socket id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a socket id has 20 characters of A-Z, a-z, 0-9, '-' and '_'; pass one that `SocketId::as_str` wrote"
)]
pub struct InvalidSocketId;
