use core::time::Duration;
use tenfour_wire::Limits;

/// How an Engine.IO server behaves. The defaults are those that stock clients know, and finite.
///
/// ```
/// use core::time::Duration;
///
/// let mut config = tenfour_session::engineio::Config::default();
/// config.ping_interval = Duration::from_secs(10);
/// config.limits.payload_bytes = 64 * 1024;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// From one pong to the next ping: 25 s.
    pub ping_interval: Duration,
    /// How long a pong may take: 20 s. It is extended once if anything else is heard meanwhile.
    pub ping_timeout: Duration,
    /// How long a WebSocket may probe a polling session before it is closed: 10 s.
    pub upgrade_timeout: Duration,
    /// How long a closing session waits for its last packets to be fetched: 30 s.
    pub close_timeout: Duration,
    /// What a client may send.
    pub limits: Limits,
    /// How many bytes may wait to be sent before [`super::SendError::Full`]: 1 MiB. What is sent below this bound is
    /// accepted whole, so that one message may go over it; packets of the protocols themselves (pings, answers to CONNECT)
    /// may go over it by 64 KiB, and then the client is a [slow consumer](super::CloseReason::SlowConsumer).
    pub send_queue_bytes: usize,
    /// How many bytes of messages may be with the layer above at once: 1 MiB. At this bound the session
    /// [no longer accepts input](super::ServerSession::accepts_input); what came with one input is handed out whole. Zero counts
    /// as one.
    pub inbound_bytes: usize,
    /// Which transports a session may begin with: both.
    pub transports: Transports,
    /// Whether a polling session may become a WebSocket: yes.
    pub upgrade: Upgrade,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            ping_interval: Duration::from_secs(25),
            ping_timeout: Duration::from_secs(20),
            upgrade_timeout: Duration::from_secs(10),
            close_timeout: Duration::from_secs(30),
            limits: Limits::default(),
            send_queue_bytes: 1 << 20,
            inbound_bytes: 1 << 20,
            transports: Transports::Both,
            upgrade: Upgrade::Offered,
        }
    }
}

/// How packets travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TransportKind {
    /// HTTP long polling.
    Polling,
    /// WebSocket.
    WebSocket,
}

impl TransportKind {
    /// The transport's name in a query.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Polling => "polling",
            Self::WebSocket => "websocket",
        }
    }

    pub(super) fn parse(name: &str) -> Option<Self> {
        [Self::Polling, Self::WebSocket].into_iter().find(|kind| kind.name() == name)
    }
}

/// Which transports are enabled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transports {
    /// Polling and WebSocket.
    Both,
    /// One of them alone.
    Only(TransportKind),
}

impl Transports {
    pub(super) fn has(self, kind: TransportKind) -> bool {
        match self {
            Self::Both => true,
            Self::Only(only) => only == kind,
        }
    }
}

/// Whether a polling session may become a WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upgrade {
    /// The handshake names `websocket`, where it is enabled.
    Offered,
    /// The handshake names nothing, and a WebSocket for a polling session is closed.
    Withheld,
}

impl Config {
    /// The transports that a session which began with `kind` may change to.
    pub(super) fn upgrades_from(&self, kind: TransportKind) -> &'static [&'static str] {
        let offered = self.upgrade == Upgrade::Offered && self.transports.has(TransportKind::WebSocket);
        if offered && kind == TransportKind::Polling { &["websocket"] } else { &[] }
    }
}
