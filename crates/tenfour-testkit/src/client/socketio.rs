use std::{collections::VecDeque, net::SocketAddr};

use bytes::{Bytes, BytesMut};
use bytestring::ByteString;
use tenfour_wire::{
    Limits,
    engineio::{self, ReceivedHandshake},
    socketio::{AckId, Args, Decoder, EventName, Packet},
    websocket::Message,
};

use super::{DEFAULT_PATH, Error, websocket::Connection};

/// How a [`Client`] connects and behaves.
#[derive(Clone, Debug)]
pub struct Options {
    /// The server's path: `/socket.io/`.
    pub path: String,
    /// What follows `EIO=4&transport=websocket` in the query, such as `&token=abc`: nothing.
    pub query: String,
    /// Headers beside those of the upgrade: none.
    pub headers: Vec<(String, String)>,
    /// Whether pings are answered: [`Pongs::Automatic`].
    pub pongs: Pongs,
}

impl Default for Options {
    fn default() -> Self {
        Self { path: DEFAULT_PATH.into(), query: String::new(), headers: Vec::new(), pongs: Pongs::Automatic }
    }
}

/// What a [`Client`] does about the server's pings. It sees them only while it receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pongs {
    /// Answers them, unseen by the test.
    Automatic,
    /// Hands them to the test, which may answer them or not.
    Withheld,
}

/// A Socket.IO client on WebSocket, without polling first.
///
/// Texts are what is in a WebSocket text message, so with the Engine.IO type before the Socket.IO packet: `42["hello"]`.
#[derive(Debug)]
pub struct Client {
    connection: Connection,
    handshake: ReceivedHandshake,
    decoder: Decoder,
    pongs: Pongs,
    /// Packets that came while [`Client::connect`] waited for its answer.
    early: VecDeque<Packet>,
}

impl Client {
    /// Connects, and reads the Engine.IO handshake; no namespace is joined.
    ///
    /// # Errors
    ///
    /// [`Error::Status`] where the server refuses.
    pub async fn open(addr: SocketAddr, options: Options) -> Result<Self, Error> {
        let target = format!("{}?EIO=4&transport=websocket{}", options.path, options.query);
        let headers: Vec<_> = options.headers.iter().map(|(name, value)| (&**name, &**value)).collect();
        let mut connection = Connection::open(addr, &target, &headers).await?;
        let open = match connection.receive_for("an open packet").await? {
            Message::Text(text) => engineio::Packet::decode(text)?,
            other => return Err(Error::unexpected("an open packet", other)),
        };
        let engineio::Packet::Open(data) = open else {
            return Err(Error::unexpected("an open packet", open));
        };
        Ok(Self {
            connection,
            handshake: ReceivedHandshake::decode(&data)?,
            decoder: Decoder::new(Limits::default()),
            pongs: options.pongs,
            early: VecDeque::new(),
        })
    }

    /// What the server said when the session was opened.
    #[must_use]
    pub const fn handshake(&self) -> &ReceivedHandshake {
        &self.handshake
    }

    /// The WebSocket below.
    pub const fn connection(&mut self) -> &mut Connection {
        &mut self.connection
    }

    /// Joins a namespace, with the JSON object `auth`, and answers what the server sent with its consent: `{"sid":…}`.
    /// Packets that come before the answer are kept for [`Client::receive`].
    ///
    /// # Errors
    ///
    /// [`Error::Unexpected`] with the CONNECT_ERROR packet where the server refuses.
    pub async fn connect(&mut self, namespace: &str, auth: Option<&str>) -> Result<ByteString, Error> {
        let expected = format!("a CONNECT packet of {namespace}");
        let request = Packet::Connect { namespace: namespace.into(), data: auth.map(ByteString::from) };
        self.send(&request).await?;
        loop {
            match self.next_packet(&expected).await? {
                Packet::Connect { namespace: joined, data } if joined == namespace => {
                    return Ok(data.unwrap_or_default());
                }
                Packet::ConnectError { namespace: refused, data } if refused == namespace => {
                    return Err(Error::unexpected(
                        expected,
                        Packet::ConnectError { namespace: refused, data },
                    ));
                }
                other => self.early.push_back(other),
            }
        }
    }

    /// Emits an event. `args` is the inside of a JSON array, such as `1,"two"`, and may be empty.
    ///
    /// # Errors
    ///
    /// [`Error::Packet`] where `args` is not so, and where the server takes no more.
    pub async fn emit(&mut self, namespace: &str, name: &str, args: &str) -> Result<(), Error> {
        self.send(&event(namespace, None, name, args)?).await
    }

    /// Emits an event that asks for an acknowledgement, and waits for it. Packets that come before it are kept for
    /// [`Client::receive`].
    ///
    /// # Errors
    ///
    /// As [`Client::emit`], and [`Error::TimedOut`].
    pub async fn request(&mut self, namespace: &str, id: u64, name: &str, args: &str) -> Result<Args, Error> {
        self.send(&event(namespace, Some(AckId::new(id)), name, args)?).await?;
        let expected = format!("the acknowledgement {id} of {name}");
        loop {
            match self.next_packet(&expected).await? {
                Packet::Ack { namespace: from, id: acked, args }
                    if from == namespace && acked.get() == id =>
                {
                    return Ok(args);
                }
                other => self.early.push_back(other),
            }
        }
    }

    /// Sends a packet, with its attachments, in one write.
    ///
    /// # Errors
    ///
    /// When the server takes no more.
    pub async fn send(&mut self, packet: &Packet) -> Result<(), Error> {
        let mut text = BytesMut::from(&b"4"[..]);
        packet.encode(&mut text);
        let text = ByteString::try_from(text).map_err(|text| Error::unexpected("a packet of UTF-8", text))?;
        let attachments = packet.attachments().iter().map(Bytes::clone).map(Message::Binary);
        let messages: Vec<_> = [Message::Text(text)].into_iter().chain(attachments).collect();
        self.connection.send_all(&messages).await
    }

    /// Sends a text as it is.
    ///
    /// # Errors
    ///
    /// When the server takes no more.
    pub async fn send_text(&mut self, text: &str) -> Result<(), Error> {
        self.connection.send_text(text).await
    }

    /// Sends many texts in one write, so that the server may find them in one read.
    ///
    /// # Errors
    ///
    /// When the server takes no more.
    pub async fn send_texts<'a>(&mut self, texts: impl IntoIterator<Item = &'a str>) -> Result<(), Error> {
        let messages: Vec<_> = texts.into_iter().map(|text| Message::Text(text.into())).collect();
        self.connection.send_all(&messages).await
    }

    /// The next Socket.IO packet, whole.
    ///
    /// # Errors
    ///
    /// When the connection ends, or what comes is none.
    pub async fn receive(&mut self) -> Result<Packet, Error> {
        match self.early.pop_front() {
            Some(packet) => Ok(packet),
            None => self.next_packet("a Socket.IO packet").await,
        }
    }

    /// The next text, as it is; where pongs are automatic, pings are answered and passed over.
    ///
    /// # Errors
    ///
    /// When the connection ends, or a binary message comes.
    pub async fn receive_text(&mut self) -> Result<ByteString, Error> {
        self.next_text("a text").await
    }

    /// The next text, which is to be this one.
    ///
    /// # Errors
    ///
    /// [`Error::Unexpected`] where it is another.
    pub async fn expect_text(&mut self, expected: &str) -> Result<(), Error> {
        let text = self.next_text(expected).await?;
        match text == expected {
            true => Ok(()),
            false => Err(Error::unexpected(expected, text)),
        }
    }

    /// Closes the WebSocket by a close frame, and waits until the connection is over.
    ///
    /// # Errors
    ///
    /// Where the server does not end it.
    pub async fn close(mut self) -> Result<(), Error> {
        self.connection.send(&Message::Close(None)).await?;
        self.connection.expect_end().await
    }

    async fn next_packet(&mut self, waited_for: &str) -> Result<Packet, Error> {
        loop {
            let packet = match self.next_message(waited_for).await? {
                Message::Text(text) => match engineio::Packet::decode(text)? {
                    engineio::Packet::Text(text) => self.decoder.decode_text(text)?,
                    engineio::Packet::Binary(data) => self.decoder.decode_binary(data)?,
                    other => return Err(Error::unexpected(waited_for, other)),
                },
                Message::Binary(data) => self.decoder.decode_binary(data)?,
                other => return Err(Error::unexpected(waited_for, other)),
            };
            if let Some(packet) = packet {
                return Ok(packet);
            }
        }
    }

    async fn next_text(&mut self, waited_for: &str) -> Result<ByteString, Error> {
        match self.next_message(waited_for).await? {
            Message::Text(text) => Ok(text),
            other => Err(Error::unexpected(waited_for, other)),
        }
    }

    /// The next message that is not a ping which is answered here.
    async fn next_message(&mut self, waited_for: &str) -> Result<Message, Error> {
        loop {
            match self.connection.receive_for(waited_for).await? {
                Message::Text(text) if text == "2" && self.pongs == Pongs::Automatic => {
                    self.connection.send_text("3").await?;
                }
                message => return Ok(message),
            }
        }
    }
}

fn event(namespace: &str, id: Option<AckId>, name: &str, args: &str) -> Result<Packet, Error> {
    let args = Args::from_parts(args.into(), Vec::new(), &Limits::default())?;
    Ok(Packet::Event { namespace: namespace.into(), id, name: EventName::Text(name.into()), args })
}
