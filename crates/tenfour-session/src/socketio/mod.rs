//! Socket.IO v5 on an Engine.IO session: namespaces, events, acknowledgements.

mod config;
mod encoded;
mod session;
#[cfg(test)]
mod tests;

pub use config::{Config, Encoding};
pub use encoded::Encoded;
pub use session::{ConnectError, Event, ServerSession};
