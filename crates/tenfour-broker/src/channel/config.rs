//! What a namespace's channels hold at most.

use tenfour_delivery::{
    dedup::{contiguous, id_window},
    rate::Limit,
};

/// Bounds of one [`Channels`](super::Channels). Every one is finite; a call that would pass one fails with an error that
/// names it.
///
/// ```
/// let mut config = tenfour_broker::channel::Config::default();
/// config.page_messages = 16;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Config {
    /// Channels with subscribers; by default 1,000,000. Channels without are counted by the log.
    pub channels: usize,
    /// Bytes of a channel's name; by default 256.
    pub channel_name_bytes: usize,
    /// Subscribers with a subscription; by default 1,000,000.
    pub subscribers: usize,
    /// Subscriptions of one subscriber; by default 1,000.
    pub subscriptions_per_subscriber: usize,
    /// Channels that one message goes to; by default 16.
    pub channels_per_publication: usize,
    /// Rooms whose members one message leaves out; by default 16.
    pub excepts_per_publication: usize,
    /// Bytes of a message's storage form; by default 1,048,576 (1 MiB).
    pub message_bytes: usize,
    /// Publications that wait for their commit or to be polled; by default 65,536.
    pub in_flight: usize,
    /// Bytes of the messages that wait for their commit; by default 67,108,864 (64 MiB).
    pub in_flight_bytes: usize,
    /// Messages of one append; by default 4,096.
    pub append_messages: usize,
    /// Messages of one publisher, in [`Channels::publish_by`](super::Channels::publish_by) and
    /// [`Channels::emit_by`](super::Channels::emit_by) together; by default `None`: as many as the bounds allow. What the
    /// limit would delay is refused, with the time to wait.
    pub rate: Option<Limit>,
    /// What is remembered of producers, so that a repetition is recognised. By default 100,000 producers, each with its last 64
    /// results and up to 256 messages in flight, for 2 minutes after its last message and, while there is room, for 100,000
    /// entries. A repetition of an older message is known as one, and its place is not
    /// ([`PublishError::Applied`](super::PublishError::Applied)). A producer takes some 200 bytes, and 24 for each result: 174 MB
    /// if all are there, beside what is in flight, which [`in_flight`](Self::in_flight) bounds.
    pub dedup: contiguous::Config,
    /// What is remembered of messages' keys, so that a repetition is recognised. By default the last 1,048,576 keys, each for 2
    /// minutes and, while there is room, for 100,000 entries, and 65,536 in flight. A key takes 25 to 60 bytes.
    pub keys: id_window::Config,
    /// Messages of a page that is read for a subscriber; by default 64, at least 1.
    pub page_messages: usize,
    /// Bytes of the messages of a page; by default 262,144 (256 KiB). One message is always read, however large.
    pub page_bytes: usize,
    /// Pages that are being read at a time; by default 64, at least 1.
    pub reads: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            channels: 1_000_000,
            channel_name_bytes: 256,
            subscribers: 1_000_000,
            subscriptions_per_subscriber: 1_000,
            channels_per_publication: 16,
            excepts_per_publication: 16,
            message_bytes: 1024 * 1024,
            in_flight: 65_536,
            in_flight_bytes: 64 * 1024 * 1024,
            append_messages: 4_096,
            rate: None,
            dedup: contiguous::Config { producers: 100_000, results: 64, ..contiguous::Config::default() },
            keys: id_window::Config { pending: 65_536, ..id_window::Config::default() },
            page_messages: 64,
            page_bytes: 256 * 1024,
            reads: 64,
        }
    }
}
