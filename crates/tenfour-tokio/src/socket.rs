//! A socket: one client in one namespace.

use crate::{
    Handshake, Space,
    application::DisconnectReason,
    link::Link,
    queue::{Concurrency, Item, Queue},
    scope::Scope,
    server::Shared,
    space::Pending,
};
use bytestring::ByteString;
use futures_util::future::{Either, select};
use parking_lot::{Mutex, MutexGuard};
use std::{
    fmt,
    pin::pin,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tenfour_broker::{
    self as broker, Body, DataError, JoinError, Message, SocketId, Why,
    recovery::{self, Away},
};
use tenfour_node::{Claim, Delivery, Dialect, Peer, Urgency, render_message};
use tenfour_session::{engineio::SendError, socketio::Encoded};
use thiserror::Error;

mod visiting;

pub(crate) use self::visiting::Admitted;
use self::visiting::Visiting;

/// A client in a namespace. It is a handle: clones are the same socket, and it may be kept after the client has left.
#[derive(Clone)]
pub struct Socket {
    inner: Arc<Inner>,
    origin: Origin,
    /// In a handler of a message with a key: what it publishes.
    scope: Option<Arc<Scope>>,
}

struct Inner {
    /// Written while the application lets it in, if it cannot go on with the session that it claims.
    id: Mutex<SocketId>,
    link: Arc<Link>,
    space: Arc<Space>,
    auth: Option<ByteString>,
    state: Mutex<State>,
    queue: Mutex<Queue>,
    concurrency: Concurrency,
    /// What it has where clients are recovered.
    visiting: Option<Box<Visiting>>,
}

/// Written only while the namespace is locked.
#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// The application has not let it in yet. What it is to be known by is kept until then, apart, as most have nothing.
    Joining { data: Option<Box<ByteString>> },
    /// It is a member of the namespace.
    Joined,
    /// It was one, or was let in when its client had gone.
    Left,
    /// Its client has gone, or was refused, before it was let in.
    Gone,
}

/// Where a handle is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// In a handler of this socket's messages: while it waits, the messages behind its own wait too.
    Handler,
    Elsewhere,
}

/// Why a message was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EmitError {
    /// The client has left, or has not joined yet.
    #[error("the socket is not connected; drop the message")]
    Disconnected,
}

/// Why a message was not queued at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TryEmitError {
    /// The client has left, or has not joined yet.
    #[error("the socket is not connected; drop the message")]
    Disconnected,
    /// The client doesn't keep up with what it is sent.
    #[error("the client's send queue is full; await the sending verb, or drop the message")]
    Full,
}

/// Why a request has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RequestError {
    /// No answer came in time. The client may have got the request.
    #[error("the client did not answer in time; it may have received the request")]
    TimedOut,
    /// The client left before it answered. It may have got the request.
    #[error("the client left before it answered; it may have received the request")]
    Disconnected,
    /// The request was not sent: the client's queue is full.
    #[error("the request was not sent, since the client's send queue is full; try again later")]
    Refused,
    /// A handler of the socket waits for the socket's own client, while so many of that client's events wait for the handler
    /// that its connection is not read any more: the answer could never come.
    #[error(
        "the client's unhandled events fill its queue, so that its answer cannot be read; return from the handler first"
    )]
    Congested,
    /// Too many requests are pending in the namespace, or for this socket.
    #[error(transparent)]
    TooMany(broker::RequestError),
}

/// Why a socket's rooms or data were not changed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ChangeError {
    /// It cannot join the room.
    #[error(transparent)]
    Join(#[from] JoinError),
    /// Its data cannot be so.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The change was not committed.
    #[error(transparent)]
    Session(#[from] recovery::ChangeError),
}

impl Socket {
    pub(crate) fn new(link: Arc<Link>, space: Arc<Space>, auth: Option<ByteString>) -> Self {
        let concurrency = Concurrency::new(link.server.application.concurrency(&space));
        let (visiting, auth) = if space.is_recoverable() {
            let (claim, auth) = Claim::take(auth);
            (Some(Box::new(Visiting::new(claim))), auth)
        } else {
            (None, auth)
        };
        let inner = Inner {
            id: Mutex::new(SocketId::from_bytes(random())),
            link,
            space,
            auth,
            state: Mutex::new(State::Joining { data: None }),
            queue: Mutex::default(),
            concurrency,
            visiting,
        };
        Self { inner: Arc::new(inner), origin: Origin::Elsewhere, scope: None }
    }

    /// The socket's public id, by which it also is a room of its own.
    ///
    /// Before it is let in, a socket whose client claims a session has that session's id. It is another one afterwards if the
    /// session cannot go on.
    #[must_use]
    pub fn id(&self) -> SocketId {
        *self.inner.id.lock()
    }

    /// Whether its client goes on with a session that it had, and is sent all that it missed. Before the socket is let in, nobody
    /// knows: `false`.
    #[must_use]
    pub fn recovered(&self) -> bool {
        self.inner.visiting.as_ref().is_some_and(|visiting| visiting.recovered.load(Ordering::Relaxed))
    }

    /// The namespace that it is in.
    #[must_use]
    pub fn space(&self) -> &Arc<Space> {
        &self.inner.space
    }

    /// The name of the namespace that it is in.
    #[must_use]
    pub fn namespace(&self) -> &ByteString {
        self.inner.space.name()
    }

    /// The request that opened its connection.
    #[must_use]
    pub fn handshake(&self) -> &Handshake {
        &self.inner.link.handshake
    }

    /// The JSON text of the `auth` object with which it joined.
    #[must_use]
    pub fn auth(&self) -> Option<&ByteString> {
        self.inner.auth.as_ref()
    }

    /// Whether it is in its namespace now.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        *self.inner.state.lock() == State::Joined
    }

    /// Queues a message for the client behind those before it, and waits for room where there is none.
    ///
    /// # Errors
    /// If the socket is not connected, or leaves before there is room.
    pub async fn emit(&self, message: &Message) -> Result<(), EmitError> {
        if !self.is_connected() || !self.inner.link.send(self, &self.render(message)).await {
            return Err(EmitError::Disconnected);
        }
        Ok(())
    }

    /// Queues a message for the client behind those before it.
    ///
    /// # Errors
    /// If the socket is not connected, or its queue is full.
    pub fn try_emit(&self, message: &Message) -> Result<(), TryEmitError> {
        if !self.is_connected() {
            return Err(TryEmitError::Disconnected);
        }
        self.inner.link.try_send(&self.render(message)).map_err(|error| match error {
            SendError::Full => TryEmitError::Full,
            _ => TryEmitError::Disconnected,
        })
    }

    /// Sends a message if the client can take it at once, and drops it otherwise.
    pub fn emit_volatile(&self, message: &Message) -> Delivery {
        if self.is_connected() {
            self.inner.link.offer(&self.render(message), Urgency::Volatile)
        } else {
            Delivery::Refused
        }
    }

    /// Sends a message that the client is to answer, and waits for the answer.
    ///
    /// # Errors
    /// If there is no answer; the error tells whether the client may have got the message.
    pub async fn request(&self, message: &Message, timeout: Duration) -> Result<Body, RequestError> {
        let space = &self.inner.space;
        if !self.has_joined() {
            return Err(RequestError::Disconnected);
        }
        self.answered(
            space.open(timeout, |namespace, deadline| namespace.request_from(self.id(), message, deadline)),
        )
        .await
    }

    /// [`request`](Self::request) that is made again when the client comes back before it has answered, with a key behind the
    /// message's arguments by which it sees that; also if it is away now.
    ///
    /// # Errors
    /// Those of [`request`](Self::request).
    pub async fn lasting_request(&self, message: &Message, timeout: Duration) -> Result<Body, RequestError> {
        let space = &self.inner.space;
        if !self.has_joined() {
            return Err(RequestError::Disconnected);
        }
        self.answered(space.open(timeout, |namespace, deadline| {
            namespace.lasting_request_from(self.id(), message, space.instance(), deadline)
        }))
        .await
    }

    async fn answered(
        &self,
        pending: Result<Pending<'_>, broker::RequestError>,
    ) -> Result<Body, RequestError> {
        let pending = pending.map_err(|error| match error {
            broker::RequestError::Unknown { .. } => RequestError::Disconnected,
            other => RequestError::TooMany(other),
        })?;
        let answer = pin!(pending.outcome());
        let outcome = match self.origin {
            Origin::Elsewhere => answer.await,
            Origin::Handler => match select(answer, pin!(self.inner.link.refuses_input())).await {
                Either::Left((outcome, _)) => outcome,
                Either::Right(_) => return Err(RequestError::Congested),
            },
        };
        match (outcome.answers.into_iter().next(), outcome.missing.first()) {
            (Some((_, answer)), _) => Ok(answer),
            (None, Some((_, Why::Disconnected))) => Err(RequestError::Disconnected),
            (None, Some((_, Why::Refused))) => Err(RequestError::Refused),
            (None, _) => Err(RequestError::TimedOut),
        }
    }

    /// Joins a room: `false` if it was in it before. Where clients are recovered, it is in the room when that is committed.
    ///
    /// # Errors
    /// If it is not in the namespace yet or has left it, the name is too long, there are too many rooms, or it was not committed.
    pub async fn join(&self, room: &str) -> Result<bool, ChangeError> {
        self.join_with(room, Away::Everything).await
    }

    /// [`join`](Self::join), and says what of the room its client gets that it missed. Where nobody is recovered, that is nothing.
    ///
    /// # Errors
    /// Those of [`join`](Self::join).
    pub async fn join_with(&self, room: &str, away: Away) -> Result<bool, ChangeError> {
        let space = self.space();
        if !space.is_recoverable() {
            return Ok(space.lock().join(self.id(), room)?);
        }
        self.check_is_in()?;
        space.hub().join_room(space, self.id(), room, away)?.made().await
    }

    /// Leaves a room: `false` if it was not in it.
    ///
    /// # Errors
    /// If it was not committed; where clients are recovered, also if it is not in the namespace yet or its session is over.
    pub async fn leave(&self, room: &str) -> Result<bool, ChangeError> {
        let space = self.space();
        if !space.is_recoverable() {
            return Ok(space.lock().leave(self.id(), room));
        }
        self.check_is_in()?;
        space.hub().leave_room(space, self.id(), room)?.made().await
    }

    /// Before it is let in, it may have the id of a session that is not its own yet.
    fn check_is_in(&self) -> Result<(), JoinError> {
        if self.has_joined() { Ok(()) } else { Err(JoinError::Unknown { id: self.id() }) }
    }

    /// The rooms that it is in, the room of its own id first; none after it has left.
    #[must_use]
    pub fn rooms(&self) -> Vec<String> {
        let guard = self.inner.space.lock();
        guard.get(self.id()).map(|member| member.rooms().map(str::to_owned).collect()).unwrap_or_default()
    }

    /// Its data, a JSON text; `None` until it is set, and after it has left.
    #[must_use]
    pub fn data(&self) -> Option<ByteString> {
        let guard = self.inner.space.lock();
        match &*self.inner.state.lock() {
            State::Joining { data } => {
                data.as_deref().cloned().or_else(|| self.inner.visiting.as_ref()?.restored.get()?.clone())
            }
            _ => guard.get(self.id())?.data().cloned(),
        }
    }

    /// Replaces its data, a JSON text. It may be set before the socket has joined.
    ///
    /// # Errors
    /// If the socket has left, the text is too long, or it was not committed.
    pub async fn set_data(&self, data: ByteString) -> Result<(), ChangeError> {
        let space = self.space();
        if self.keep_early(&data)? {
            return Ok(());
        }
        if !space.is_recoverable() {
            return Ok(space.lock().set_data(self.id(), data)?);
        }
        space.hub().set_data(space, self.id(), data)?.made().await?;
        Ok(())
    }

    /// Keeps data of a socket that has not joined yet: `false` if it has.
    fn keep_early(&self, data: &ByteString) -> Result<bool, DataError> {
        let guard = self.inner.space.lock();
        let State::Joining { data: early } = &mut *self.inner.state.lock() else { return Ok(false) };
        let (length, limit) = (data.len(), guard.limits().data_bytes);
        if length > limit {
            return Err(DataError::TooLong { length, limit });
        }
        *early = Some(Box::new(data.clone()));
        Ok(true)
    }

    /// Takes the socket out of its namespace; its connection stays. Its client does not come back by itself.
    pub fn disconnect(&self) {
        self.inner.link.disconnect(self, DisconnectReason::ServerDisconnect);
    }

    /// Closes the connection, with all sockets on it, once what is queued has been sent.
    pub fn close(&self) {
        self.inner.link.disconnect_all();
    }

    fn render(&self, message: &Message) -> Encoded {
        render_message(self.inner.link.dialect(), self.namespace(), message, self.inner.space.emitted())
    }

    pub(crate) fn link(&self) -> &Arc<Link> {
        &self.inner.link
    }

    pub(crate) fn server(&self) -> &Arc<Shared> {
        &self.inner.link.server
    }

    pub(crate) fn queue(&self) -> MutexGuard<'_, Queue> {
        self.inner.queue.lock()
    }

    pub(crate) fn concurrency(&self) -> &Concurrency {
        &self.inner.concurrency
    }

    /// The same socket, for a handler of its messages.
    pub(crate) fn in_scope(mut self, scope: Arc<Scope>) -> Self {
        self.scope = Some(scope);
        self
    }

    /// What the handler publishes that this handle was given to, if its message has a key.
    #[must_use]
    pub fn scope(&self) -> Option<&Arc<Scope>> {
        self.scope.as_ref()
    }

    pub(crate) fn in_handler(mut self) -> Self {
        self.origin = Origin::Handler;
        self
    }

    /// Whether its messages are the application's concern: those that came before it left are.
    pub(crate) fn has_joined(&self) -> bool {
        matches!(*self.inner.state.lock(), State::Joined | State::Left)
    }

    /// The socket, if its queue must now be started.
    pub(crate) fn enqueue(&self, item: Item) -> Option<Self> {
        self.queue().push(item).then(|| self.clone())
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { id, space, .. } = &*self.inner;
        f.debug_struct("Socket").field("id", id).field("namespace", space.name()).finish_non_exhaustive()
    }
}

/// Equal are the handles of one socket.
impl PartialEq for Socket {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }
}

impl Eq for Socket {}

impl Peer for Socket {
    fn dialect(&self) -> Dialect {
        self.inner.link.dialect()
    }

    fn deliver(&self, packet: &Encoded, urgency: Urgency) -> Delivery {
        match (urgency, &self.inner.visiting) {
            (Urgency::Committed | Urgency::Replayed, Some(visiting)) => {
                self.inner.link.offer_entry(packet, urgency, &visiting.behind)
            }
            _ => self.inner.link.offer(packet, urgency),
        }
    }
}

/// Random bytes that nobody can guess.
pub(crate) fn random() -> [u8; 15] {
    let mut bytes = [0; 15];
    getrandom::fill(&mut bytes).expect("the system has randomness");
    bytes
}
