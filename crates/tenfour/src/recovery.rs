//! Clients that come back, and where what they missed is kept.

use std::time::Duration;
use tenfour_tokio::broker::recovery::Config;

/// How the clients of a namespace are recovered: one that comes back with the `pid` and the offset that it was given goes on
/// where it was, with its id, its rooms and its data, and is sent what was [published](crate::Broadcast::publish) meanwhile.
/// The stock client does so by itself.
///
/// ```
/// use std::time::Duration;
/// use tenfour::{Namespace, Recovery};
///
/// let lobby = Namespace::new("/").recovery(Recovery::default().away(Duration::from_secs(600)));
/// # drop(lobby);
/// ```
///
/// The middleware runs again, before anything is sent, and sees the socket's id and data: a client that it refuses gets nothing,
/// and its session waits on. Of two connections that show the same `pid` the newer one has the session; the other is told by a
/// DISCONNECT packet, on which a stock client does not come back by itself.
///
/// A socket that comes back is a new [`Socket`](crate::Socket) with the id of the one before, whose
/// [`on_disconnect`](crate::Namespace::on_disconnect) may still be running when the new one's `on_connect` is called.
///
/// Where the replay cannot be exact, [`Socket::recovered`](crate::Socket::recovered) is false, the client has a new id, and is
/// told by the event `tenfour:lost` what it missed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery(pub(crate) Config);

impl Recovery {
    /// How long a session waits for its client: 2 minutes. After a restart of the server it begins anew.
    #[must_use]
    pub fn away(mut self, away: Duration) -> Self {
        self.0.away = away;
        self
    }

    /// Sessions of one namespace, those that wait among them: 1,000,000. For a new one, the one that waits the longest ends.
    #[must_use]
    pub fn max_sessions(mut self, sessions: usize) -> Self {
        self.0.sessions = sessions;
        self
    }

    /// Bytes of the rooms' names and the data of sessions that wait: 256 MiB. Over it, the one that waits the longest ends.
    #[must_use]
    pub fn max_parked_bytes(mut self, bytes: usize) -> Self {
        self.0.parked_bytes = bytes;
        self
    }

    /// All settings, as the broker knows them.
    #[must_use]
    pub fn config(mut self, config: Config) -> Self {
        self.0 = config;
        self
    }
}

/// Where a namespace keeps what is published in it, and the sessions of its clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Durability {
    /// In memory: it is gone when the server ends.
    Memory,
    /// On the disk, in the server's [data folder](crate::ServerBuilder::data): what was acknowledged survives the end of the
    /// server, and the loss of power.
    Disk,
}
