//! Clients for adversarial tests: they say exactly what a test has them say, right or wrong, and show what came back.
//!
//! [`Client`] speaks Socket.IO over WebSocket; below it are [`websocket`] frames and [`http`] requests, of which
//! [`Polling`] makes an Engine.IO session over long polling. Every wait ends within [`crate::TIMEOUT`], with an
//! [`Error`] that says what was waited for. The messages come out of the codec of `tenfour-wire`, whose limits hold.
//!
//! ```no_run
//! use tenfour_testkit::client::{Client, Options};
//!
//! # async fn test(addr: std::net::SocketAddr) -> Result<(), tenfour_testkit::client::Error> {
//! let mut client = Client::open(addr, Options::default()).await?;
//! client.connect("/", None).await?;
//! client.emit("/", "message", "1,\"two\"").await?;
//! client.expect_text("42[\"message-back\",1,\"two\"]").await?;
//! # Ok(()) }
//! ```

mod error;
pub mod http;
mod polling;
mod socketio;
#[cfg(test)]
mod tests;
pub mod websocket;

pub use self::{
    error::Error,
    polling::Polling,
    socketio::{Client, Options, Pongs},
};

/// The path that a Socket.IO server has unless it is told otherwise.
const DEFAULT_PATH: &str = "/socket.io/";
