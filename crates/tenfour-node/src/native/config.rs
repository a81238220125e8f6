//! What a server holds at most, and for how long.

use core::time::Duration;
use tenfour_broker::channel;

/// A server's settings. Every bound is finite.
///
/// ```
/// use core::time::Duration;
///
/// let mut config = tenfour_node::native::Config::default();
/// config.parking = Duration::from_secs(600);
/// config.limits.sessions_per_identity = 16;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Config {
    /// The channels': deduplication, pages, bounds.
    pub channels: channel::Config,
    /// How long to wait before the log is asked again after it could not be read; by default 1 second.
    pub reread: Duration,
    /// How long a session without a connection can be resumed; by default 2 minutes.
    pub parking: Duration,
    /// The bounds of the sessions.
    pub limits: Limits,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            channels: channel::Config::default(),
            reread: Duration::from_secs(1),
            parking: Duration::from_secs(120),
            limits: Limits::default(),
        }
    }
}

/// Bounds of the sessions of one [`Server`](super::Server).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Limits {
    /// Sessions, live and parked; by default 1,000,000. At the bound the longest parked goes; if none is parked, who
    /// comes is refused.
    pub sessions: usize,
    /// Sessions of one identity, live and parked; by default 1,000. At the bound as for all sessions.
    pub sessions_per_identity: usize,
    /// Connections that wait for their authentication; by default 100,000.
    pub authenticating: usize,
    /// Parked sessions; by default 100,000. The longest parked goes first.
    pub parked: usize,
    /// Bytes that parked sessions hold, all together; by default 268,435,456 (256 MiB). The longest parked goes first.
    pub parked_bytes: usize,
    /// Subscriptions of one session; by default 1,000.
    pub subscriptions_per_session: usize,
    /// Publications of one session that are not committed yet; by default 1,024.
    pub publishes_per_session: usize,
    /// Requests of one session that are not answered yet; by default 256.
    pub requests_per_session: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            sessions: 1_000_000,
            sessions_per_identity: 1_000,
            authenticating: 100_000,
            parked: 100_000,
            parked_bytes: 256 * 1024 * 1024,
            subscriptions_per_session: 1_000,
            publishes_per_session: 1_024,
            requests_per_session: 256,
        }
    }
}
