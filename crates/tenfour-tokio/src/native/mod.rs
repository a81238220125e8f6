//! The native protocol over byte streams: TCP, TLS, Unix sockets, and WebSockets whose binary messages are one.
//!
//! A namespace has its half of it when the first client joins it, or something is published in it: a server of sessions and
//! channels, a [`Log`](tenfour_log::Log), and a task that keeps their time. What is committed to a channel goes to the members of
//! the room of its name too, whatever protocol they speak.

mod answers;
mod config;
mod connection;
mod hub;
mod pipe;
mod port;
mod serve;
mod session;
mod sessions;
mod websocket;

pub(crate) use answers::Begun;
pub(crate) use connection::{Connection, Seat};
pub(crate) use hub::{Context, Hub};

pub use config::{Config, LogError, LogFactory, folder_of};
pub use pipe::Pipe;
pub use serve::Listener;
pub use session::{NativeSession, RequestError};
pub use tenfour_log as log;
pub use tenfour_node::native::{Grants, Identity, Rejection, SessionId};
pub use tokio_rustls::rustls;
pub use websocket::WebSocketStream;
