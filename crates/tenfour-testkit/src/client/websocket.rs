//! A WebSocket, frame by frame.

use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use tenfour_wire::websocket::{
    CloseFrame, Decoder, Message, Opcode, Role, accept_key, encode_close, encode_masked,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{Error, http};
use crate::wait::within;

/// The largest message that is received.
pub const MAX_MESSAGE_BYTES: usize = 64 << 20;

/// Any will do for a test: this is RFC 6455's own example.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

const READ_BYTES: usize = 16 * 1024;

/// The client's end of a WebSocket.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    decoder: Decoder,
    /// Received and not decoded yet.
    received: Bytes,
    masks: Masks,
}

impl Connection {
    /// Connects, and asks for an upgrade with `headers` beside those that it takes.
    ///
    /// # Errors
    ///
    /// [`Error::Status`] with the server's answer if that is not 101.
    pub async fn open(addr: SocketAddr, target: &str, headers: &[(&str, &str)]) -> Result<Self, Error> {
        let upgrade = [
            ("connection", "Upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", KEY),
        ];
        let mut connection = http::Connection::open(addr).await?;
        let response = connection.request("GET", target, &[&upgrade, headers].concat(), b"").await?;
        let response = response.expect_status(101)?;
        let expected = accept_key(KEY.as_bytes());
        let accept = response.header("sec-websocket-accept").unwrap_or_default();
        if accept.as_bytes() != expected {
            return Err(Error::unexpected("the accept header that answers the key", accept));
        }
        let (stream, received) = connection.into_parts();
        let decoder = Decoder::new(Role::Client, MAX_MESSAGE_BYTES);
        Ok(Self { stream, decoder, received, masks: Masks(1) })
    }

    /// Sends one message.
    ///
    /// # Errors
    ///
    /// When the server takes no more.
    pub async fn send(&mut self, message: &Message) -> Result<(), Error> {
        self.send_all(std::slice::from_ref(message)).await
    }

    /// Sends messages in one write, so that the server may find them in one read.
    ///
    /// # Errors
    ///
    /// When the server takes no more.
    pub async fn send_all(&mut self, messages: &[Message]) -> Result<(), Error> {
        let mut bytes = BytesMut::new();
        for message in messages {
            self.encode(message, &mut bytes);
        }
        self.send_bytes(&bytes).await
    }

    /// Sends a text message.
    ///
    /// # Errors
    ///
    /// When the server takes no more.
    pub async fn send_text(&mut self, text: &str) -> Result<(), Error> {
        self.send(&Message::Text(text.into())).await
    }

    /// Sends bytes as they are: broken frames, halves of frames, something else.
    ///
    /// # Errors
    ///
    /// When the server takes no more.
    pub async fn send_bytes(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let what = format!("the server to take {} bytes", bytes.len());
        within(&what, self.stream.write_all(bytes)).await?.map_err(Error::io(what))
    }

    /// The next message, of whatever kind; nothing is answered.
    ///
    /// # Errors
    ///
    /// [`Error::Ended`] when the server ends the connection.
    pub async fn receive(&mut self) -> Result<Message, Error> {
        self.receive_for("a WebSocket message").await
    }

    pub(super) async fn receive_for(&mut self, waited_for: &str) -> Result<Message, Error> {
        within(waited_for, self.read_message(waited_for)).await?
    }

    /// Passes over messages until the server's close frame, and answers it; `None` has no status code.
    ///
    /// # Errors
    ///
    /// When the connection ends without one.
    pub async fn expect_close(&mut self) -> Result<Option<CloseFrame>, Error> {
        const WHAT: &str = "a close frame";
        let close = async {
            loop {
                if let Message::Close(close) = self.read_message(WHAT).await? {
                    return Ok(close);
                }
            }
        };
        within(WHAT, close).await?
    }

    /// Passes over messages until the connection is over, in whatever way. A close frame is answered, since a server may
    /// wait for that.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`], and [`Error::Frame`] where what came was broken.
    pub async fn expect_end(&mut self) -> Result<(), Error> {
        const WHAT: &str = "the connection's end";
        let end = async {
            loop {
                match self.read_message(WHAT).await {
                    // The server may be gone already, which is what is waited for.
                    Ok(close @ Message::Close(_)) => drop(self.send(&close).await),
                    Ok(_) => {}
                    Err(error) if error.is_end() => return Ok(()),
                    Err(error) => return Err(error),
                }
            }
        };
        within(WHAT, end).await?
    }

    /// Says that nothing more will be sent, by a FIN and no close frame.
    ///
    /// # Errors
    ///
    /// When the connection is over.
    pub async fn shutdown(&mut self) -> Result<(), Error> {
        self.stream.shutdown().await.map_err(Error::io("a FIN"))
    }

    /// Breaks the connection by an RST.
    pub fn reset(self) {
        // It fails only where there is no connection any more.
        let _ = self.stream.set_zero_linger();
    }

    async fn read_message(&mut self, waited_for: &str) -> Result<Message, Error> {
        loop {
            let mut input = &self.received[..];
            let message = self.decoder.decode(&mut input)?;
            let consumed = self.received.len() - input.len();
            self.received = self.received.split_off(consumed);
            if let Some(message) = message {
                return Ok(message);
            }
            let mut read = BytesMut::with_capacity(READ_BYTES);
            match self.stream.read_buf(&mut read).await {
                Ok(0) => return Err(Error::Ended { waited_for: waited_for.into() }),
                Ok(_) => self.received = read.freeze(),
                Err(source) => return Err(Error::Io { doing: waited_for.into(), source }),
            }
        }
    }

    fn encode(&mut self, message: &Message, out: &mut BytesMut) {
        let (opcode, payload) = match message {
            Message::Text(text) => (Opcode::Text, text.as_bytes()),
            Message::Binary(bytes) => (Opcode::Binary, bytes),
            Message::Ping(bytes) => (Opcode::Ping, bytes),
            Message::Pong(bytes) => (Opcode::Pong, bytes),
            Message::Close(close) => return encode_close(close.as_ref(), Some(self.masks.next()), out),
        };
        encode_masked(opcode, payload, self.masks.next(), out);
    }
}

/// Masks that differ, the same ones in each run: a xorshift generator's.
#[derive(Debug)]
struct Masks(u32);

impl Masks {
    const fn next(&mut self) -> [u8; 4] {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0.to_be_bytes()
    }
}
