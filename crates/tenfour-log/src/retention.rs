//! How much a log keeps.

use core::time::Duration;

use tenfour_delivery::time::WallTime;

use crate::{Entry, Record};

/// Bytes that an entry counts besides its payload and its channels: what it takes in memory, as measured.
pub(crate) const ENTRY_OVERHEAD: usize = 224;

/// Bytes that each of its channels counts besides its name: what the name's handle, the entry before it and the place in
/// the channel's index take, as measured.
pub(crate) const CHANNEL_OVERHEAD: usize = 64;

/// How much a log keeps: of each channel, and in all. What is over a bound leaves from the old end.
///
/// Bytes of an entry are, for [`Memory`](crate::Memory), those of its payload and 224 for the rest, and for each of its channels
/// those of its name and 64: about what it takes in memory. For [`Disk`](crate::Disk) they are what it takes on the disk.
/// Entries that only [pinned](crate::is_pinned) channels have count nowhere.
///
/// ```
/// use core::time::Duration;
/// use tenfour_log::{Bound, Retention};
///
/// // An hour of each channel, but no more than 1,000 entries of it.
/// let mut retention = Retention::default();
/// retention.age = Some(Duration::from_secs(3_600));
/// retention.channel = Bound { messages: 1_000, ..Bound::default() };
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Retention {
    /// How long an entry is kept after it was ingested, as of the last [`Log::trim`](crate::Log::trim); without end if
    /// `None`, the default.
    pub age: Option<Duration>,
    /// Of one channel; by default 100,000 entries and 64 MiB. An entry of several channels counts in each.
    pub channel: Bound,
    /// Of all channels together; by default 1,000,000 entries and 256 MiB.
    pub total: Bound,
    /// How many channels are remembered; by default 1,000,000, at least 1. One more makes the log forget the one that
    /// was written to the longest ago, with its entries; the channels of one record stay together.
    pub channels: usize,
}

/// A bound in number and in bytes. The newest entry is kept whatever the bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Bound {
    /// Entries.
    pub messages: usize,
    /// Bytes.
    pub bytes: usize,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            age: None,
            channel: Bound::default(),
            total: Bound { messages: 1_000_000, bytes: 256 * 1024 * 1024 },
            channels: 1_000_000,
        }
    }
}

/// What a channel keeps by default: 100,000 entries and 64 MiB.
impl Default for Bound {
    fn default() -> Self {
        Self { messages: 100_000, bytes: 64 * 1024 * 1024 }
    }
}

impl Bound {
    /// Whether so much is over it.
    pub(crate) fn is_passed(self, messages: usize, bytes: usize) -> bool {
        messages > self.messages || bytes > self.bytes
    }
}

/// What a record counts towards a bound in bytes.
pub(crate) fn cost(record: &Record) -> usize {
    let channels: usize = record.channels.iter().map(|channel| channel.len() + CHANNEL_OVERHEAD).sum();
    record.payload.len() + channels + ENTRY_OVERHEAD
}

/// The same for what it became.
pub(crate) fn cost_of(entry: &Entry) -> usize {
    cost(&entry.record)
}

/// Whether something that came in at `ingested` is older than `age`.
pub(crate) fn is_older(ingested: WallTime, age: Duration, now: WallTime) -> bool {
    let ingested = Duration::from_millis(ingested.as_unix_millis());
    Duration::from_millis(now.as_unix_millis()).saturating_sub(ingested) > age
}
