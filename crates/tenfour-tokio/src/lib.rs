#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod application;
mod clock;
mod config;
mod drivers;
mod handshake;
mod http;
mod link;
pub mod native;
mod queue;
mod scope;
mod server;
mod socket;
mod space;
mod websocket;

pub use application::{Application, BoxFuture, DisconnectReason, KeyRefusal, Reply};
pub use clock::Clock;
pub use config::{Config, Cookie, Origins, SameSite};
pub use handshake::{Handshake, PeerAddress};
pub use http::Body as ResponseBody;
pub use scope::Scope;
pub use server::Server;
pub use socket::{ChangeError, EmitError, RequestError, Socket, TryEmitError};
pub use space::{ConnectRefusal, Declaration, NamespaceError, Space};
pub use tenfour_broker as broker;
pub use tenfour_delivery as delivery;
pub use tenfour_node as node;
pub use tenfour_session as session;
pub use tenfour_wire as wire;
