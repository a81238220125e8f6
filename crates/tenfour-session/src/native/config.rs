use core::time::Duration;
use tenfour_delivery::{at_most_once, receive, window};
use tenfour_wire::native::Limits;

/// How a session behaves, on either side. Every bound is finite.
///
/// ```
/// use core::time::Duration;
///
/// let mut config = tenfour_session::native::Config::default();
/// config.heartbeat = Duration::from_secs(5);
/// config.window.messages = 64;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Config {
    /// How much may be sent that the peer has not acknowledged: 256 messages, 1 MiB. The peer's credit may allow less.
    pub window: window::Config,
    /// How much the peer may send that the application has not [consumed](super::ServerSession::consumed): 256 messages,
    /// 1 MiB. A message that is larger never gets through.
    pub receive: receive::Config,
    /// An acknowledgement goes out at the latest with so many messages: 32.
    pub ack_every: u32,
    /// And at the latest so long after a message: 25 ms.
    pub ack_delay: Duration,
    /// A peer that was silent for so long is pinged: 10 s. The server's holds for both sides.
    pub heartbeat: Duration,
    /// A peer that was silent for so long is gone: 30 s.
    pub idle_timeout: Duration,
    /// How long HELLO, the decision on it, and WELCOME may take: 10 s each.
    pub hello_timeout: Duration,
    /// How long a goodbye may wait for a transport that is blocked: 5 s.
    pub close_timeout: Duration,
    /// What may wait of messages that are sent at most once.
    pub emit: at_most_once::Config,
    /// How many of the client's publications and, apart from them, of either side's requests may wait for an answer: 1024.
    pub unanswered: usize,
    /// How many bytes of answers may wait for the window or for credit: 8 MiB. An answer beyond that goes out as an error, and
    /// whoever gave it is told: [`SendError::TooMuchWaits`](super::SendError::TooMuchWaits).
    pub waiting_bytes: usize,
    /// How many channels a client may subscribe to: 1024.
    pub subscriptions: usize,
    /// About how many bytes of small frames are gathered into one piece of a stream: 16 KiB. A message of a kilobyte and more
    /// is a piece of its own, shared and not copied.
    pub gather: usize,
    /// What a peer may send at all. Before a client is let in its frames have no more than
    /// [`hello_bytes`](Limits::hello_bytes).
    pub limits: Limits,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            window: window::Config::default(),
            receive: receive::Config::default(),
            ack_every: 32,
            ack_delay: Duration::from_millis(25),
            heartbeat: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(30),
            hello_timeout: Duration::from_secs(10),
            close_timeout: Duration::from_secs(5),
            emit: at_most_once::Config::default(),
            unanswered: 1024,
            waiting_bytes: 8 << 20,
            subscriptions: 1024,
            gather: 16 << 10,
            limits: Limits::default(),
        }
    }
}
