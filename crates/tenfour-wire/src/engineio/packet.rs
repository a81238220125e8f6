//! One packet: a type digit, then its data.

use bytes::{BufMut, Bytes, BytesMut};
use bytestring::ByteString;

use crate::{DecodeError, DecodeErrorKind, base64};

/// An Engine.IO v4 packet.
///
/// A binary message has no type digit: it is a WebSocket binary frame as it stands, or `b` and base64 where only text
/// can travel.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Packet {
    /// `0`, server to client: the session exists; the data is a [`Handshake`](super::Handshake).
    Open(ByteString),
    /// `1`: the session is over. Data, if any, is dropped.
    Close,
    /// `2`: asks for a pong with the same data. `probe` on a transport that is being tried.
    Ping(ByteString),
    /// `3`: answers a ping.
    Pong(ByteString),
    /// `4`: a text message.
    Text(ByteString),
    /// A binary message.
    Binary(Bytes),
    /// `5`, client to server: this transport replaces the other. Data, if any, is dropped.
    Upgrade,
    /// `6`: nothing; it ends a waiting poll. Data, if any, is dropped.
    Noop,
}

impl Packet {
    /// Reads one WebSocket text frame, or one packet of a polling payload.
    ///
    /// The data shares the frame's memory; only base64 is decoded into memory of its own. The length is not
    /// limited here, since the frame is already in memory.
    ///
    /// # Errors
    /// [`Empty`](DecodeErrorKind::Empty), [`PacketType`](DecodeErrorKind::PacketType),
    /// [`Base64`](DecodeErrorKind::Base64).
    ///
    /// ```
    /// use tenfour_wire::engineio::Packet;
    ///
    /// assert_eq!(Packet::decode("2probe".into())?, Packet::Ping("probe".into()));
    /// assert_eq!(Packet::decode("bAQID".into())?, Packet::Binary(vec![1, 2, 3].into()));
    /// # Ok::<(), tenfour_wire::DecodeError>(())
    /// ```
    pub fn decode(frame: ByteString) -> Result<Self, DecodeError> {
        let Some(&first) = frame.as_bytes().first() else {
            return Err(DecodeError::new(DecodeErrorKind::Empty, 0));
        };
        match first {
            b'0' => Ok(Self::Open(data(&frame))),
            b'1' => Ok(Self::Close),
            b'2' => Ok(Self::Ping(data(&frame))),
            b'3' => Ok(Self::Pong(data(&frame))),
            b'4' => Ok(Self::Text(data(&frame))),
            b'5' => Ok(Self::Upgrade),
            b'6' => Ok(Self::Noop),
            b'b' => match base64::decode(&frame.as_bytes()[1..]) {
                Ok(bytes) => Ok(Self::Binary(bytes.into())),
                Err(offset) => Err(DecodeError::new(DecodeErrorKind::Base64, offset + 1)),
            },
            _ => Err(DecodeError::new(DecodeErrorKind::PacketType, 0)),
        }
    }

    /// Appends the packet as text: the type digit and the data; for binary, `b` and base64.
    ///
    /// ```
    /// use tenfour_wire::{BytesMut, engineio::Packet};
    ///
    /// let mut out = BytesMut::new();
    /// Packet::Pong("probe".into()).encode(&mut out);
    /// assert_eq!(out, "3probe");
    /// ```
    pub fn encode(&self, out: &mut BytesMut) {
        let (digit, data) = match self {
            Self::Open(data) => (b'0', &**data),
            Self::Close => (b'1', ""),
            Self::Ping(data) => (b'2', &**data),
            Self::Pong(data) => (b'3', &**data),
            Self::Text(data) => (b'4', &**data),
            Self::Binary(data) => {
                out.put_u8(b'b');
                return base64::encode(data, out);
            }
            Self::Upgrade => (b'5', ""),
            Self::Noop => (b'6', ""),
        };
        out.reserve(1 + data.len());
        out.put_u8(digit);
        out.put_slice(data.as_bytes());
    }

    /// How many bytes [`encode`](Self::encode) appends.
    pub fn encoded_len(&self) -> usize {
        1 + match self {
            Self::Open(data) | Self::Ping(data) | Self::Pong(data) | Self::Text(data) => data.len(),
            Self::Binary(data) => base64::encoded_len(data.len()),
            Self::Close | Self::Upgrade | Self::Noop => 0,
        }
    }
}

/// What follows the type digit; no reference is counted where nothing does.
fn data(frame: &ByteString) -> ByteString {
    if frame.len() == 1 { ByteString::new() } else { frame.slice_ref(&frame[1..]) }
}
