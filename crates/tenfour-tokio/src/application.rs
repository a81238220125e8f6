//! What runs on a server, seen from below.

use crate::{
    Socket, Space,
    native::{Identity, NativeSession, Rejection},
};
use bytes::Bytes;
use bytestring::ByteString;
use http::request::Parts;
use std::{fmt, pin::Pin};
use tenfour_broker::{
    Body, Message,
    idempotency::{Key, KeyError},
};
use tenfour_delivery::log::AppendError;
use tenfour_session::{
    engineio::{CloseReason, Refusal},
    socketio::ConnectError,
};
use tenfour_wire::native::CloseCode;
use thiserror::Error;

/// A future on the heap.
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What a server asks of the application, in the order of a socket's life: [`connect`](Self::connect),
/// [`connected`](Self::connected), a [`message`](Self::message) for each that comes, [`disconnected`](Self::disconnected).
///
/// The calls of one socket come one after the other, each when the one before is done; those of different sockets
/// come at the same time. A call that panics costs its socket nothing but its answer.
pub trait Application: Send + Sync + 'static {
    /// Whether a request may open a session at all.
    ///
    /// # Errors
    /// What to refuse it with.
    fn admit(&self, request: &Parts) -> Result<(), Refusal> {
        let _ = request;
        Ok(())
    }

    /// Whether a socket may join its namespace. It cannot be sent to yet.
    fn connect(&self, socket: Socket) -> BoxFuture<Result<(), ConnectError>>;

    /// The socket has joined. Its client may have gone by now, which [`disconnected`](Self::disconnected) tells after the messages
    /// that it left behind.
    fn connected(&self, socket: Socket) -> BoxFuture<()>;

    /// A message came.
    fn message(&self, socket: Socket, message: Message) -> BoxFuture<Reply>;

    /// The key by which a repetition of this message is known, so that it is handled once; `None` if it is none that is.
    ///
    /// By default, no message has one.
    fn key(&self, socket: &Socket, message: &Message) -> Option<Result<Key, KeyError>> {
        let _ = (socket, message);
        None
    }

    /// What is answered to a message with a key that is not handled.
    fn refused(&self, refusal: &KeyRefusal) -> Body {
        Body::Text(refusal.to_string().into())
    }

    /// The socket has left. It is not called for one that never joined.
    fn disconnected(&self, socket: Socket, reason: DisconnectReason) -> BoxFuture<()>;

    /// What is answered to a message on which [`message`](Self::message) panicked.
    fn panicked(&self) -> Body;

    /// Who a client of the native protocol is that wants to join a namespace, or to go on with its session there.
    ///
    /// By default, nobody is let in.
    ///
    /// # Errors
    /// What to refuse it with.
    fn authenticate(&self, credentials: Bytes, namespace: &Space) -> BoxFuture<Result<Identity, Rejection>> {
        let _ = (credentials, namespace);
        let reason = ByteString::from_static("this server lets nobody in");
        let rejection = Rejection { code: CloseCode::Unauthorized, retry_after: None, reason };
        Box::pin(async { Err(rejection) })
    }

    /// A client of the native protocol asks. The calls come at the same time, also those of one client.
    ///
    /// By default, nothing is answered.
    ///
    /// # Errors
    /// What the client is told instead of an answer.
    fn native_request(
        &self,
        session: NativeSession,
        message: Message,
    ) -> BoxFuture<Result<Message, ByteString>> {
        let _ = (session, message);
        Box::pin(async { Err(ByteString::from_static("this server answers no requests")) })
    }

    /// How many messages of each socket of a namespace may be under way at once; 1 keeps their order.
    fn concurrency(&self, namespace: &Space) -> usize {
        let _ = namespace;
        1
    }
}

/// What became of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// It was handled, and this is the answer for a client that awaits one; `None` for no answer.
    Done(Option<Body>),
    /// It was not, and the client is told this. A message with a [key](Application::key) is handled when it comes again.
    Failed(Body),
}

/// Why a message with a key is not handled.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KeyRefusal {
    /// What is to be the key can't be one.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The key was another message's.
    #[error("the key was used for another message; give each message its own")]
    Conflict,
    /// Too many messages with keys are being handled or remembered.
    #[error("too many messages are being handled; send the same again later")]
    Full,
    /// It was handled, and the log did not take the answer, so that this cannot be proved when it comes again.
    #[error("the answer could not be kept: {0}; send the same again later")]
    NotKept(AppendError),
}

/// Why a socket left its namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DisconnectReason {
    /// The client left the namespace.
    ClientDisconnect,
    /// The server took it out of the namespace.
    ServerDisconnect,
    /// Its client came back on another connection, and goes on there with its session: as another socket, which has the same id. That
    /// one may have joined before this is told, so whoever keeps an account of clients by their ids keeps this one.
    TakenOver,
    /// Its connection ended.
    Connection(CloseReason),
}

impl fmt::Display for DisconnectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ClientDisconnect => f.write_str("client namespace disconnect"),
            Self::ServerDisconnect => f.write_str("server namespace disconnect"),
            Self::TakenOver => f.write_str("taken over"),
            Self::Connection(reason) => reason.fmt(f),
        }
    }
}
