//! What a handler's parameters are made of.

use crate::{Socket, reply::to_args};
use bytes::Bytes;
use bytestring::ByteString;
use http::{Extensions, HeaderMap, HeaderName, HeaderValue};
use serde::de::{Deserialize, DeserializeOwned};
use std::{
    any::type_name,
    fmt,
    ops::{Deref, DerefMut},
    sync::Arc,
};
use tenfour_tokio::{
    DisconnectReason,
    broker::{Body, Message},
    wire::{json, socketio::Args},
};
use thiserror::Error;

/// A parameter of any handler: what there is without an event.
pub trait FromConnect: Sized {
    /// Takes the parameter out of what is known of the socket.
    ///
    /// # Errors
    /// What is wrong with it, as the client is told.
    fn from_connect(incoming: &Incoming) -> Result<Self, ExtractError>;
}

/// A parameter of an event's handler. Parameters are taken from left to right, and each that stands for an argument takes
/// the next one: [`Data`], `String`, `bool`, numbers, [`Bytes`].
pub trait FromEvent: Sized {
    /// Takes the parameter out of an event.
    ///
    /// # Errors
    /// What is wrong with it, as the client is told.
    fn from_event(incoming: &mut Incoming) -> Result<Self, ExtractError>;
}

impl<T: FromConnect> FromEvent for T {
    fn from_event(incoming: &mut Incoming) -> Result<Self, ExtractError> {
        T::from_connect(incoming)
    }
}

/// Why a handler could not be called.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ExtractError {
    /// An argument is missing, or of another type.
    #[error("argument {}: {source}", .index + 1)]
    Argument {
        /// The argument's place, from 0.
        index: usize,
        /// What is wrong with it.
        source: json::Error,
    },
    /// The `auth` of the handshake is of another type.
    #[error("auth: {0}")]
    Auth(json::Error),
    /// The query of the handshake is of another type.
    #[error("query: {0}")]
    Query(serde_urlencoded::de::Error),
    /// The handler asks for a state that nobody gave: call `state` on the namespace or the server's builder.
    #[error("Internal error")]
    NoState(&'static str),
    /// The handler asks why the socket has left, and it has not: only `on_disconnect` knows.
    #[error("Internal error")]
    NotLeft,
}

/// An event on its way into a handler, or a socket that joins.
#[derive(Debug)]
pub struct Incoming {
    socket: Socket,
    state: Arc<Extensions>,
    name: ByteString,
    body: Body,
    args: Args,
    next: usize,
    left: Option<DisconnectReason>,
}

impl Incoming {
    pub(crate) fn connecting(socket: Socket, state: Arc<Extensions>) -> Self {
        Self {
            socket,
            state,
            name: ByteString::new(),
            body: Body::json(""),
            args: Args::empty(),
            next: 0,
            left: None,
        }
    }

    pub(crate) fn disconnected(socket: Socket, state: Arc<Extensions>, reason: DisconnectReason) -> Self {
        Self { left: Some(reason), ..Self::connecting(socket, state) }
    }

    pub(crate) fn event(socket: Socket, state: Arc<Extensions>, message: Message) -> Self {
        let Message { name, body } = message;
        let name = name.unwrap_or(NAMELESS);
        Self { socket, state, name, args: to_args(body.clone()), body, next: 0, left: None }
    }

    /// The socket that the event came from.
    #[must_use]
    pub fn socket(&self) -> &Socket {
        &self.socket
    }

    /// The event's name: `message` for a message without one, empty for a socket that joins.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The event's arguments.
    #[must_use]
    pub fn args(&self) -> &Args {
        &self.args
    }

    /// Takes the next argument.
    ///
    /// # Errors
    /// If it is missing, or of another type.
    pub fn argument<'de, T: Deserialize<'de>>(&'de mut self) -> Result<T, ExtractError> {
        let index = self.next;
        self.next = index.saturating_add(1);
        self.args.deserialize(index).map_err(|source| ExtractError::Argument { index, source })
    }

    /// Takes all further arguments, as they came.
    #[must_use]
    pub fn rest(&mut self) -> Args {
        let first = std::mem::replace(&mut self.next, usize::MAX);
        let json = self.args.json();
        let Some(start) =
            self.args.iter().nth(first).map(|argument| argument.as_ptr().addr() - json.as_ptr().addr())
        else {
            return Args::empty();
        };
        Args::from_validated(json.slice_ref(&json[start..]), self.args.attachments().to_vec())
    }

    /// Another handler of the same event begins with the first argument again.
    pub(crate) fn rewind(&mut self) {
        self.next = 0;
    }
}

/// As Socket.IO calls a message that was sent without a name.
pub(crate) const NAMELESS: ByteString = ByteString::from_static("message");

macro_rules! wrapper {
    ($name:ident) => {
        impl<T> Deref for $name<T> {
            type Target = T;

            fn deref(&self) -> &T {
                &self.0
            }
        }

        impl<T> DerefMut for $name<T> {
            fn deref_mut(&mut self) -> &mut T {
                &mut self.0
            }
        }
    };
}

/// The event's next argument, as any type that serde can read. Bytes within it are of a type that reads bytes, such as
/// [`Bytes`]; an argument that was not sent is `None` to an `Option`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Data<T>(pub T);

/// The `auth` object with which the client joined; `{}` where it sent none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Auth<T>(pub T);

/// The query of the URL that opened the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Query<T>(pub T);

/// A clone of the value that was given to `state` on the namespace or, failing that, on the server's builder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State<T>(pub T);

/// The headers of the request that opened the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Headers(pub HeaderMap);

/// An event as it came: its name and all its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The name; `message` for a message without one.
    pub name: ByteString,
    /// The arguments.
    pub args: Args,
}

/// All arguments that the parameters before it have not taken, as they came: to be [relayed](Socket::emit_args) unread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rest(pub Args);

wrapper!(Data);
wrapper!(Auth);
wrapper!(Query);
wrapper!(State);

impl FromConnect for Socket {
    fn from_connect(incoming: &Incoming) -> Result<Self, ExtractError> {
        Ok(incoming.socket.clone())
    }
}

/// Why the socket has left, for the handler of [`on_disconnect`](crate::Namespace::on_disconnect).
impl FromConnect for DisconnectReason {
    fn from_connect(incoming: &Incoming) -> Result<Self, ExtractError> {
        incoming.left.ok_or(ExtractError::NotLeft)
    }
}

impl<T: DeserializeOwned> FromConnect for Auth<T> {
    fn from_connect(incoming: &Incoming) -> Result<Self, ExtractError> {
        let auth = incoming.socket.raw().auth().map_or("{}", |auth| auth);
        json::from_str(auth, &[]).map(Self).map_err(ExtractError::Auth)
    }
}

impl<T: DeserializeOwned> FromConnect for Query<T> {
    fn from_connect(incoming: &Incoming) -> Result<Self, ExtractError> {
        let query = incoming.socket.handshake().query();
        serde_urlencoded::from_str(query).map(Self).map_err(ExtractError::Query)
    }
}

impl<T: Clone + Send + Sync + 'static> FromConnect for State<T> {
    fn from_connect(incoming: &Incoming) -> Result<Self, ExtractError> {
        incoming.state.get().cloned().map(Self).ok_or_else(|| {
            tracing::error!("no state of type {} was given to the namespace or the server", type_name::<T>());
            ExtractError::NoState(type_name::<T>())
        })
    }
}

impl FromConnect for Headers {
    fn from_connect(incoming: &Incoming) -> Result<Self, ExtractError> {
        let headers = incoming.socket.handshake().headers().filter_map(|(name, value)| {
            Some((HeaderName::try_from(name).ok()?, HeaderValue::from_bytes(value).ok()?))
        });
        let mut map = HeaderMap::new();
        headers.for_each(|(name, value)| {
            map.append(name, value);
        });
        Ok(Self(map))
    }
}

impl<T: DeserializeOwned> FromEvent for Data<T> {
    fn from_event(incoming: &mut Incoming) -> Result<Self, ExtractError> {
        incoming.argument().map(Self)
    }
}

impl FromEvent for Event {
    fn from_event(incoming: &mut Incoming) -> Result<Self, ExtractError> {
        Ok(Self { name: incoming.name.clone(), args: incoming.args.clone() })
    }
}

/// The body as the dialect carried it: a text or bytes from Engine.IO alone, JSON from Socket.IO.
impl FromEvent for Body {
    fn from_event(incoming: &mut Incoming) -> Result<Self, ExtractError> {
        Ok(incoming.body.clone())
    }
}

impl FromEvent for Rest {
    fn from_event(incoming: &mut Incoming) -> Result<Self, ExtractError> {
        Ok(Self(incoming.rest()))
    }
}

impl FromEvent for Args {
    fn from_event(incoming: &mut Incoming) -> Result<Self, ExtractError> {
        Ok(incoming.args.clone())
    }
}

macro_rules! argument {
    ($($type:ty),*) => {$(
        impl FromEvent for $type {
            fn from_event(incoming: &mut Incoming) -> Result<Self, ExtractError> {
                incoming.argument()
            }
        }

        /// `None` for an argument that was not sent, and for `null`.
        impl FromEvent for Option<$type> {
            fn from_event(incoming: &mut Incoming) -> Result<Self, ExtractError> {
                incoming.argument()
            }
        }
    )*};
}

argument!(String, bool, u8, u16, u32, u64, usize, i8, i16, i32, i64, isize, f32, f64, Bytes);

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({})", self.name, self.args.json())
    }
}
