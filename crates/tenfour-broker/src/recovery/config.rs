//! What sessions are allowed, and what they are owed.

use core::time::Duration;

/// Bounds of one [`Recovery`](super::Recovery). Every one is finite; a call that would pass one fails with an error that
/// names it. The rooms and the data of one session are bounded by its namespace's [`Limits`](crate::Limits).
///
/// ```
/// let mut config = tenfour_broker::recovery::Config::default();
/// config.away = core::time::Duration::from_secs(600);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Config {
    /// How long a session waits for its client; by default 2 minutes. After a restart it begins anew.
    pub away: Duration,
    /// Sessions, live and parked; by default 1,000,000. For a new one the session that is parked the longest ends.
    pub sessions: usize,
    /// Bytes of the rooms' names and the data of parked sessions; by default 268,435,456 (256 MiB). Over it the session
    /// that is parked the longest ends.
    pub parked_bytes: usize,
    /// Rooms that one session has left and that are remembered, since a client may be back from before; by default 64.
    /// Over it the oldest is forgotten, and whoever is back from before that is told of a loss.
    pub left_rooms: usize,
    /// Notes that wait for their commit; by default 65,536.
    pub pending_notes: usize,
    /// Notes of one append; by default 1,024, at least 1.
    pub append_notes: usize,
    /// After how many notes the sessions are written down anew, so that the old notes can go: so many, and twice as many
    /// as there are sessions; by default 4,096.
    pub checkpoint_notes: usize,
    /// Messages of a page that is read for a session; by default 64, at least 1.
    pub page_messages: usize,
    /// Bytes of the messages of a page; by default 65,536 (64 KiB). One message is always read, however large.
    pub page_bytes: usize,
    /// Pages that are being read at a time; by default 64, at least 1.
    pub reads: usize,
    /// How many messages of one room a session gets that is owed the [latest per key](Away::LatestPerKey) at most; by
    /// default 1,024. Over it the oldest are told as lost.
    pub latest_keys: usize,
    /// After how long a log that failed is asked again; by default 1 second.
    pub retry: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            away: Duration::from_secs(120),
            sessions: 1_000_000,
            parked_bytes: 256 * 1024 * 1024,
            left_rooms: 64,
            pending_notes: 65_536,
            append_notes: 1_024,
            checkpoint_notes: 4_096,
            page_messages: 64,
            page_bytes: 64 * 1024,
            reads: 64,
            latest_keys: 1_024,
            retry: Duration::from_secs(1),
        }
    }
}

/// What a client that was away gets of what was published meanwhile.
///
/// It concerns the time away alone: whoever is there and slow gets everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Away {
    /// Every message, in its order.
    #[default]
    Everything,
    /// The last one.
    Latest,
    /// The last one of each conflation key; those without a key count as one.
    LatestPerKey,
    /// None.
    Nothing,
}
