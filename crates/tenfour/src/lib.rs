#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod app;
mod broadcast;
pub mod client;
mod connect_error;
mod cors;
mod extract;
mod handle;
mod handler;
mod key;
mod namespace;
pub mod native;
mod publish;
mod recovery;
mod reply;
mod server;
mod service;
mod socket;
mod storage;
mod value;

pub use broadcast::{Answers, Broadcast, RemoteSocket};
pub use connect_error::ConnectError;
pub use cors::Cors;
pub use extract::{
    Auth, Data, Event, ExtractError, FromConnect, FromEvent, Headers, Incoming, Query, Rest, State,
};
pub use handle::{Handle, UnknownNamespace};
pub use handler::{ConnectMiddleware, EventMiddleware, Handler, SocketHandler};
pub use key::Key;
pub use namespace::Namespace;
pub use publish::{HistoryError, Page, PublishError, Published};
pub use recovery::{Durability, Recovery};
pub use reply::{Ack, HandlerError, HandlerResult, IntoReply, NoReply};
pub use server::{BuildError, Server, ServerBuilder};
pub use service::{Endpoint, EndpointLayer};
pub use socket::{EmitError, RequestError, SetDataError, Socket};
pub use value::Value;

pub use tenfour_tokio::{
    ChangeError, Cookie, DisconnectReason, Handshake, Origins, PeerAddress, Reply, RequestError as NoAnswer,
    SameSite, TryEmitError,
    broker::{self, JoinError, SocketId, channel::Receipt, recovery::Away},
    delivery,
    native::rustls,
    node::{self, Reach},
    session, wire,
};

/// What belongs to Socket.IO alone.
pub mod socketio {
    pub use crate::Namespace;
    pub use tenfour_tokio::session::socketio::Encoding;
    pub use tenfour_tokio::wire::socketio::Args;
}

/// The example on the repository's first page compiles.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
