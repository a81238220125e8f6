use crate::engineio;
use alloc::sync::Arc;
use core::time::Duration;

/// How a Socket.IO server behaves on one connection.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// The Engine.IO session below.
    pub engine: Arc<engineio::Config>,
    /// How packets are written. Client and server must agree on it beforehand: [`Encoding::Json`].
    pub encoding: Encoding,
    /// How long a client may take to join its first namespace: 45 s.
    pub connect_timeout: Duration,
    /// How long the attachments of a packet may take: 20 s from its text.
    pub attachment_timeout: Duration,
    /// How many namespaces a client may be in at once: 64.
    pub namespaces: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            engine: Arc::default(),
            encoding: Encoding::Json,
            connect_timeout: Duration::from_secs(45),
            attachment_timeout: Duration::from_secs(20),
            namespaces: 64,
        }
    }
}

/// How Socket.IO packets are written into Engine.IO messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// JSON text, with binary values as attachments: the default parser of the stock clients.
    Json,
    /// One MessagePack value a packet: `socket.io-msgpack-parser`.
    MessagePack,
}
