//! A client in a namespace.

use crate::{
    Broadcast, PublishError,
    reply::{from_args, to_args},
};
use bytestring::ByteString;
use serde::{Serialize, de::DeserializeOwned};
use std::{fmt, sync::Arc, time::Duration};
use tenfour_tokio::{
    self as tokio_adapter, ChangeError, Handshake, Space, TryEmitError,
    broker::{Body, Message, SocketId, channel::Receipt, recovery::Away},
    node::Delivery,
    wire::{
        json,
        socketio::{Args, EventName},
    },
};
use thiserror::Error;

/// A client in a namespace: who it is, and what can be told to it. It is a handle that may be cloned, kept and used after
/// the client has left; what is then sent fails with an error.
#[derive(Clone, PartialEq, Eq)]
pub struct Socket {
    raw: tokio_adapter::Socket,
    timeout: Duration,
}

/// Why an event was not sent.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EmitError {
    /// The client has left, or has not joined yet.
    #[error("the socket is not connected; drop the event")]
    Disconnected,
    /// The client doesn't keep up with what it is sent, and the verb does not wait.
    #[error("the client's send queue is full; use the verb that waits, or drop the event")]
    Full,
    /// The event's name is one of those that Socket.IO keeps for itself.
    #[error("the event name {0:?} is reserved; choose another one")]
    Reserved(ByteString),
    /// The event has more binary values than a client accepts: the stock ones close the connection.
    #[error(
        "the event has {count} binary values, and clients accept {MAX_ATTACHMENTS}; put some of them into one"
    )]
    TooManyAttachments {
        /// How many it has.
        count: usize,
    },
    /// The event's data has no JSON form.
    #[error("the event's data cannot be written: {0}")]
    Data(#[from] json::Error),
}

/// Why a request has no answer.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The event could not be sent.
    #[error(transparent)]
    Emit(#[from] EmitError),
    /// There is no answer.
    #[error(transparent)]
    NoAnswer(#[from] tokio_adapter::RequestError),
    /// The answer is of another type.
    #[error("the answer is of another type: {0}")]
    Answer(json::Error),
}

/// Why data cannot be kept with a socket.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SetDataError {
    /// The data has no JSON form, or holds bytes.
    #[error("the data cannot be written as JSON: {0}")]
    Json(json::Error),
    /// The data holds bytes, for which JSON has no form.
    #[error("the data holds bytes; keep them elsewhere, and their key here")]
    Binary,
    /// The socket does not take it.
    #[error(transparent)]
    Refused(#[from] ChangeError),
}

impl Socket {
    pub(crate) fn new(raw: tokio_adapter::Socket, timeout: Duration) -> Self {
        Self { raw, timeout }
    }

    pub(crate) fn raw(&self) -> &tokio_adapter::Socket {
        &self.raw
    }

    /// The socket's public id. It is no secret; it also is the name of a room in which the socket is alone at first.
    #[must_use]
    pub fn id(&self) -> SocketId {
        self.raw.id()
    }

    /// The name of its namespace.
    #[must_use]
    pub fn namespace(&self) -> &ByteString {
        self.raw.namespace()
    }

    /// The request that opened its connection: URL, headers, address, time.
    #[must_use]
    pub fn handshake(&self) -> &Handshake {
        self.raw.handshake()
    }

    /// Whether its client goes on with a session that it had, where clients are [recovered](crate::Recovery): it has been sent, or
    /// is being sent, all that it missed, and its id, its rooms and its data are what they were. A middleware of joining is
    /// asked before that is known: there it is false.
    #[must_use]
    pub fn recovered(&self) -> bool {
        self.raw.recovered()
    }

    /// Whether it is in its namespace now. The socket of a session that waits for its client is not: what is
    /// [emitted](Self::emit) to it fails, and what is published to it waits too.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.raw.is_connected()
    }

    /// The same socket, whose requests wait this long for their answer in place of the server's default.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sends an event, at most once: it is lost if the connection is lost. A tuple is an event with several arguments.
    ///
    /// It waits while the client's queue is full, so events that are awaited one after the other arrive in that order.
    ///
    /// # Errors
    /// If the socket is not connected, the name is reserved, or the data cannot be written.
    pub async fn emit<T: Serialize + ?Sized>(&self, event: &str, data: &T) -> Result<(), EmitError> {
        Ok(self.raw.emit(&message(event, data)?).await?)
    }

    /// [`emit`](Self::emit) with arguments as another client sent them, bytes and all.
    ///
    /// # Errors
    /// If the socket is not connected, or the name is reserved.
    pub async fn emit_args(&self, event: &str, args: Args) -> Result<(), EmitError> {
        Ok(self.raw.emit(&message_of(event, args)?).await?)
    }

    /// Sends an event if the client's queue has room.
    ///
    /// # Errors
    /// Those of [`emit`](Self::emit), and [`EmitError::Full`].
    pub fn try_emit<T: Serialize + ?Sized>(&self, event: &str, data: &T) -> Result<(), EmitError> {
        Ok(self.raw.try_emit(&message(event, data)?)?)
    }

    /// Sends an event if the client can take it at once, for what is outdated soon. It says whether it was sent.
    ///
    /// # Errors
    /// If the name is reserved, or the data cannot be written.
    pub fn emit_volatile<T: Serialize + ?Sized>(&self, event: &str, data: &T) -> Result<bool, EmitError> {
        Ok(self.raw.emit_volatile(&message(event, data)?) == Delivery::Queued)
    }

    /// Sends a message without a name, which Engine.IO's own clients get as it is, and those of Socket.IO as `message`.
    ///
    /// # Errors
    /// If the socket is not connected.
    pub async fn send(&self, body: Body) -> Result<(), EmitError> {
        Ok(self.raw.emit(&Message { name: None, body }).await?)
    }

    /// Sends an event that the client is to acknowledge, and waits for its answer: a value, or for an acknowledgement with
    /// several values a tuple; `()` for none. The answer is awaited for as long as [`timeout`](Self::timeout) says.
    ///
    /// # Errors
    /// If the event could not be sent, or has no answer. The error tells whether the client may have got it.
    pub async fn emit_with_ack<R: DeserializeOwned>(
        &self,
        event: &str,
        data: &(impl Serialize + ?Sized),
    ) -> Result<R, RequestError> {
        let answer = self.raw.request(&message(event, data)?, self.timeout).await?;
        read_answer(answer).map_err(RequestError::Answer)
    }

    /// Asks the client, at least once: where clients are [recovered](crate::Recovery), one that is away, or goes before it has
    /// answered, is asked again when it is back, until [`timeout`](Self::timeout) is over or the server stops.
    ///
    /// So that the client sees when it is asked again, the event has one argument more, behind the others: a key, a text of its
    /// own for each request. An [`emit_with_ack`](Self::emit_with_ack) has none, and is made once.
    ///
    /// # Errors
    /// Those of [`emit_with_ack`](Self::emit_with_ack).
    pub async fn request<R: DeserializeOwned>(
        &self,
        event: &str,
        data: &(impl Serialize + ?Sized),
    ) -> Result<R, RequestError> {
        let answer = self.raw.lasting_request(&message(event, data)?, self.timeout).await?;
        read_answer(answer).map_err(RequestError::Answer)
    }

    /// Joins a room: `false` if it was in it before. Where clients are [recovered](crate::Recovery), it is in the room from the
    /// time that this is done, in the order of what is published; in a handler of joining at once.
    ///
    /// # Errors
    /// If it has left the namespace, the room's name is too long, there are too many rooms, or it was not committed.
    pub async fn join(&self, room: &str) -> Result<bool, ChangeError> {
        self.raw.join(room).await
    }

    /// [`join`](Self::join), and says what of the room its client gets that it missed while it was away, where clients are
    /// [recovered](crate::Recovery): everything by default.
    ///
    /// # Errors
    /// Those of [`join`](Self::join).
    pub async fn join_with(&self, room: &str, away: Away) -> Result<bool, ChangeError> {
        self.raw.join_with(room, away).await
    }

    /// Leaves a room: `false` if it was not in it.
    ///
    /// # Errors
    /// If it was not committed.
    pub async fn leave(&self, room: &str) -> Result<bool, ChangeError> {
        self.raw.leave(room).await
    }

    /// The rooms that it is in, the room of its own id first; none after it has left.
    #[must_use]
    pub fn rooms(&self) -> Vec<String> {
        self.raw.rooms()
    }

    /// The data that was set on it.
    ///
    /// # Errors
    /// If it is of another type.
    pub fn data<T: DeserializeOwned>(&self) -> Result<Option<T>, json::Error> {
        self.raw.data().map(|data| json::from_str(&data, &[])).transpose()
    }

    /// Keeps data with the socket, in place of what was kept before. Other sockets' handlers find it in
    /// [`Broadcast::fetch_sockets`].
    ///
    /// # Errors
    /// If it cannot be written as JSON, is too large, was not committed, or the socket has left.
    pub async fn set_data<T: Serialize + ?Sized>(&self, data: &T) -> Result<(), SetDataError> {
        let (text, attachments) = json::to_string(data).map_err(SetDataError::Json)?;
        if !attachments.is_empty() {
            return Err(SetDataError::Binary);
        }
        Ok(self.raw.set_data(text.into()).await?)
    }

    /// Everyone else in a room.
    pub fn to(&self, room: &str) -> Broadcast {
        self.broadcast().to(room)
    }

    /// Everyone else, but those in a room.
    pub fn except(&self, room: &str) -> Broadcast {
        self.broadcast().except(room)
    }

    /// Everyone else in the namespace.
    pub fn broadcast(&self) -> Broadcast {
        self.everyone().except_socket(self.id())
    }

    /// Everyone in the namespace, this socket among them.
    pub fn everyone(&self) -> Broadcast {
        Broadcast::new(self.space().clone(), self.timeout).in_scope(self.raw.scope().cloned())
    }

    /// This socket alone, and whoever joined the room of its id.
    pub fn only(&self) -> Broadcast {
        self.everyone().only_socket(self.id())
    }

    /// Publishes an event to this socket, at least once, and is done when it is committed: see [`Broadcast::publish`]. With a
    /// time to live or a key, publish it to [`only`](Self::only) it.
    ///
    /// # Errors
    /// If it was not committed.
    pub async fn publish<T: Serialize + ?Sized>(
        &self,
        event: &str,
        data: &T,
    ) -> Result<Receipt, PublishError> {
        self.only().publish(event, data).await
    }

    /// Takes the socket out of the namespace. The client's connection stays; it does not come back by itself.
    pub fn disconnect(&self) {
        self.raw.disconnect();
    }

    /// Takes the socket out of the namespace, and closes its connection, with whatever other sockets are on it.
    pub fn close(&self) {
        self.raw.close();
    }

    fn space(&self) -> &Arc<Space> {
        self.raw.space()
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.raw.fmt(f)
    }
}

impl From<tokio_adapter::EmitError> for EmitError {
    fn from(_: tokio_adapter::EmitError) -> Self {
        Self::Disconnected
    }
}

impl From<TryEmitError> for EmitError {
    fn from(error: TryEmitError) -> Self {
        match error {
            TryEmitError::Full => Self::Full,
            _ => Self::Disconnected,
        }
    }
}

/// What the stock clients' parsers accept of one packet.
const MAX_ATTACHMENTS: usize = 10;

pub(crate) fn message<T: Serialize + ?Sized>(event: &str, data: &T) -> Result<Message, EmitError> {
    message_of(event, Args::serialize(data)?)
}

pub(crate) fn message_of(event: &str, args: Args) -> Result<Message, EmitError> {
    if EventName::is_reserved(event) {
        return Err(EmitError::Reserved(event.into()));
    }
    Ok(Message::new(event, from_args(acceptable(args)?)))
}

/// What a stock client takes without closing the connection.
pub(crate) fn acceptable(args: Args) -> Result<Args, EmitError> {
    match args.attachments().len() {
        0..=MAX_ATTACHMENTS => Ok(args),
        count => Err(EmitError::TooManyAttachments { count }),
    }
}

/// One value is read as itself, several as a tuple, none as `()`.
pub(crate) fn read_answer<R: DeserializeOwned>(answer: Body) -> Result<R, json::Error> {
    let args = to_args(answer);
    if args.len() > 1 { args.deserialize_all() } else { args.deserialize(0) }
}
