//! The data of the open packet.

use alloc::{string::String, vec::Vec};
use core::{fmt, time::Duration};

use bytes::{BufMut, BytesMut};
use bytestring::ByteString;
use serde::de::{Deserializer as _, Error as _, IgnoredAny, MapAccess, Visitor};

use crate::{
    DecodeError, DecodeErrorKind,
    json::{Deserializer, number, string},
};

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
        number::encode_integer(millis(self.ping_interval), out);
        out.put_slice(b",\"pingTimeout\":");
        number::encode_integer(millis(self.ping_timeout), out);
        out.put_slice(b",\"maxPayload\":");
        number::encode_integer(self.max_payload as u64, out);
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
    /// [`Handshake`](DecodeErrorKind::Handshake) where a key is missing or its value has another type; what
    /// [`json::validate`](crate::json::validate) says where the data is not JSON.
    ///
    /// ```
    /// use core::time::Duration;
    /// use tenfour_wire::engineio::ReceivedHandshake;
    ///
    /// let data = r#"{"sid":"x","upgrades":[],"pingInterval":300,"pingTimeout":200,"maxPayload":1000000}"#;
    /// assert_eq!(ReceivedHandshake::decode(data)?.ping_timeout, Duration::from_millis(200));
    /// # Ok::<(), tenfour_wire::DecodeError>(())
    /// ```
    pub fn decode(data: &str) -> Result<Self, DecodeError> {
        let mut deserializer = Deserializer::new(data, &[]);
        let read = deserializer.deserialize_map(HandshakeVisitor);
        read.and_then(|handshake| deserializer.end().map(|()| handshake)).map_err(|error| {
            let kind = error.malformed().unwrap_or(DecodeErrorKind::Handshake);
            DecodeError::new(kind, error.offset().unwrap_or_default())
        })
    }
}

struct HandshakeVisitor;

impl<'de> Visitor<'de> for HandshakeVisitor {
    type Value = ReceivedHandshake;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an Engine.IO handshake")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ReceivedHandshake, A::Error> {
        let (mut sid, mut upgrades, mut interval, mut timeout, mut max_payload) =
            (None, None, None, None, None);
        while let Some(key) = map.next_key::<String>()? {
            match &*key {
                "sid" => sid = Some(map.next_value::<String>()?),
                "upgrades" => upgrades = Some(map.next_value::<Vec<String>>()?),
                "pingInterval" => interval = Some(map.next_value()?),
                "pingTimeout" => timeout = Some(map.next_value()?),
                "maxPayload" => max_payload = Some(map.next_value()?),
                _ => _ = map.next_value::<IgnoredAny>()?,
            }
        }
        Ok(ReceivedHandshake {
            sid: sid.ok_or_else(|| A::Error::missing_field("sid"))?.into(),
            upgrades: upgrades
                .ok_or_else(|| A::Error::missing_field("upgrades"))?
                .into_iter()
                .map(ByteString::from)
                .collect(),
            ping_interval: Duration::from_millis(
                interval.ok_or_else(|| A::Error::missing_field("pingInterval"))?,
            ),
            ping_timeout: Duration::from_millis(
                timeout.ok_or_else(|| A::Error::missing_field("pingTimeout"))?,
            ),
            max_payload: max_payload.ok_or_else(|| A::Error::missing_field("maxPayload"))?,
        })
    }
}
