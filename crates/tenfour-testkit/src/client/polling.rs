use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use bytestring::ByteString;
use tenfour_wire::{
    Limits,
    engineio::{Packet, PayloadEncoder, ReceivedHandshake, decode_payload},
};

use super::{
    DEFAULT_PATH, Error,
    http::{Response, request},
};

/// An Engine.IO session over long polling: it answers nothing by itself, so several of its requests may be under way.
#[derive(Clone, Debug)]
pub struct Polling {
    addr: SocketAddr,
    target: String,
    handshake: ReceivedHandshake,
}

impl Polling {
    /// Opens a session at `/socket.io/`.
    ///
    /// # Errors
    ///
    /// [`Error::Status`] where the server refuses.
    pub async fn open(addr: SocketAddr) -> Result<Self, Error> {
        Self::open_at(addr, DEFAULT_PATH).await
    }

    /// Opens a session at another path, such as `/engine.io/`.
    ///
    /// # Errors
    ///
    /// [`Error::Status`] where the server refuses.
    pub async fn open_at(addr: SocketAddr, path: &str) -> Result<Self, Error> {
        let target = format!("{path}?EIO=4&transport=polling");
        let response = request(addr, "GET", &target, &[], b"").await?.expect_status(200)?;
        let packets = parse(&response)?;
        let [Packet::Open(data)] = &packets[..] else {
            return Err(Error::unexpected("an open packet", packets));
        };
        let handshake = ReceivedHandshake::decode(data)?;
        let target = format!("{target}&sid={}", handshake.sid);
        Ok(Self { addr, target, handshake })
    }

    /// What the server said when the session was opened.
    #[must_use]
    pub const fn handshake(&self) -> &ReceivedHandshake {
        &self.handshake
    }

    /// Path and query of the session's requests.
    #[must_use]
    pub fn target(&self) -> &str {
        &self.target
    }

    /// Path and query of the session's upgrade to WebSocket.
    #[must_use]
    pub fn upgrade_target(&self) -> String {
        self.target.replace("transport=polling", "transport=websocket")
    }

    /// Waits for packets: one `GET`.
    ///
    /// # Errors
    ///
    /// [`Error::Status`] where the answer is not 200, and [`Error::Packet`] where it is no payload.
    pub async fn receive(&self) -> Result<Vec<Packet>, Error> {
        parse(&self.get().await?.expect_status(200)?)
    }

    /// Waits for a response, of whatever status: one `GET`.
    ///
    /// # Errors
    ///
    /// Where the connection breaks.
    pub async fn get(&self) -> Result<Response, Error> {
        request(self.addr, "GET", &self.target, &[], b"").await
    }

    /// Sends packets in one payload: one `POST`.
    ///
    /// # Errors
    ///
    /// [`Error::Status`] where the answer is not 200.
    pub async fn send(&self, packets: &[Packet]) -> Result<(), Error> {
        let mut body = BytesMut::new();
        let mut payload = PayloadEncoder::new(&mut body);
        for packet in packets {
            payload.push(packet);
        }
        self.post(&body).await?.expect_status(200).map(drop)
    }

    /// Sends a body as it is, and answers the response, of whatever status: one `POST`.
    ///
    /// # Errors
    ///
    /// Where the connection breaks.
    pub async fn post(&self, body: &[u8]) -> Result<Response, Error> {
        request(self.addr, "POST", &self.target, &[("content-type", "text/plain;charset=UTF-8")], body).await
    }
}

fn parse(response: &Response) -> Result<Vec<Packet>, Error> {
    let body = ByteString::try_from(Bytes::clone(&response.body))
        .map_err(|_| Error::unexpected("a payload of UTF-8", &response.body))?;
    Ok(decode_payload(body, &Limits::default())?.collect::<Result<_, _>>()?)
}
