//! What the logs have, from their own completions.

use std::collections::BTreeMap;

use tenfour_delivery::time::{Instant, WallTime};

use super::{Found, Verdict};
use crate::sim::{ChannelId, Committed, Invariant, MessageId};

/// The logs of all lives of the server, the present one last.
#[derive(Clone, Debug, Default, Hash)]
pub(crate) struct Logs(Vec<Log>);

#[derive(Clone, Debug, Hash)]
struct Log {
    epoch: u64,
    head: u64,
    channels: Vec<Channel>,
    /// The last that each producer has in the log.
    producers: BTreeMap<u128, Last>,
}

#[derive(Clone, Copy, Debug, Hash)]
struct Last {
    life: u32,
    sequence: u64,
    channel: ChannelId,
    offset: u64,
}

#[derive(Clone, Debug, Default, Hash)]
pub(crate) struct Channel {
    entries: Vec<Entry>,
    trimmed: u64,
    /// The most that it has ever said to have let go of: what was on its way then is told of that.
    let_go: u64,
}

#[derive(Clone, Copy, Debug, Hash)]
pub(crate) struct Entry {
    pub(crate) offset: u64,
    pub(crate) message: MessageId,
    pub(crate) expires: Option<WallTime>,
    pub(crate) committed: Instant,
}

impl Channel {
    /// The entries in a range that begins after `after`.
    pub(crate) fn between(&self, after: u64, through: u64) -> &[Entry] {
        let from = self.entries.partition_point(|entry| entry.offset <= after);
        let rest = &self.entries[from..];
        &rest[..rest.partition_point(|entry| entry.offset <= through)]
    }

    pub(super) fn let_go(&self) -> u64 {
        self.let_go
    }

    pub(crate) fn trimmed(&self) -> u64 {
        self.trimmed
    }
}

impl Logs {
    pub(super) fn start(&mut self, epoch: u64, channels: u8) {
        let channels = vec![Channel::default(); usize::from(channels)];
        self.0.push(Log { epoch, head: 0, channels, producers: BTreeMap::new() });
    }

    pub(super) fn epoch(&self) -> Option<u64> {
        self.0.last().map(|log| log.epoch)
    }

    pub(super) fn head(&self) -> u64 {
        self.0.last().map_or(0, |log| log.head)
    }

    pub(crate) fn channel(&self, epoch: u64, channel: ChannelId) -> Option<&Channel> {
        self.log(epoch)?.channels.get(usize::from(channel))
    }

    pub(super) fn entry(&self, epoch: u64, channel: ChannelId, offset: u64) -> Option<&Entry> {
        self.channel(epoch, channel)?.between(offset.checked_sub(1)?, offset).first()
    }

    /// The most entries of a channel that any life of the log from this one on has let go of.
    pub(super) fn most_trimmed_since(&self, epoch: u64, channel: ChannelId) -> usize {
        let lives = self.0.iter().filter(|log| log.epoch >= epoch);
        let channels = lives.filter_map(|log| log.channels.get(usize::from(channel)));
        channels.map(|known| known.between(0, known.trimmed).len()).max().unwrap_or(0)
    }

    pub(super) fn kept(&self, epoch: u64, channel: ChannelId) -> impl Iterator<Item = (u64, MessageId)> + '_ {
        let kept =
            self.channel(epoch, channel).map_or(&[][..], |known| known.between(known.trimmed, u64::MAX));
        kept.iter().map(|entry| (entry.offset, entry.message))
    }

    pub(super) fn trim(&mut self, channel: ChannelId, through: u64) {
        let channel = self.0.last_mut().and_then(|log| log.channels.get_mut(usize::from(channel)));
        if let Some(channel) = channel {
            channel.trimmed = channel.trimmed.max(through);
            channel.let_go = channel.let_go.max(through);
        }
    }

    /// A server that begins on this log knows of its producers what the log still has.
    pub(super) fn go_on(&mut self) {
        let Some(log) = self.0.last_mut() else { return };
        let trimmed: Vec<_> = log.channels.iter().map(|channel| channel.trimmed).collect();
        log.producers.retain(|_, last| last.offset > trimmed[usize::from(last.channel)]);
        // What it had let go of may be there again, where that was not on the disk. It says what is not.
        log.channels.iter_mut().for_each(|channel| channel.trimmed = 0);
    }

    /// What the log says to have trimmed leaves no more than it may keep. An entry is committed before the oldest one goes, so
    /// it is asked before the next one is committed.
    pub(super) fn b2_bounded_history(&self, channel: ChannelId, bound: usize) -> Verdict {
        let kept = self.epoch().map_or(0, |epoch| self.kept(epoch, channel).count());
        match kept > bound {
            true => {
                Invariant::B2.broken(format_args!("{kept} entries of channel {channel}, and {bound} allowed"))
            }
            false => Ok(()),
        }
    }

    pub(super) fn commit(&mut self, entry: &Committed, at: Instant) -> Verdict {
        let Some(log) = self.0.last_mut().filter(|log| log.epoch == entry.epoch) else {
            return Invariant::S9.broken(format_args!("an entry of epoch {}, which is over", entry.epoch));
        };
        log.s2_no_duplicate(entry)?;
        log.s3_producer_fifo(entry)?;
        log.s4_offsets_increase(entry)?;
        if let Some(producer) = entry.producer {
            let (life, sequence) = (producer.epoch, producer.sequence);
            let last = Last { life, sequence, channel: entry.channel, offset: entry.offset };
            log.producers.insert(producer.id, last);
        }
        log.head = log.head.max(entry.offset);
        let Some(channel) = log.channels.get_mut(usize::from(entry.channel)) else { return Ok(()) };
        let (offset, message, expires) = (entry.offset, entry.message, entry.expires);
        channel.entries.push(Entry { offset, message, expires, committed: at });
        Ok(())
    }

    fn log(&self, epoch: u64) -> Option<&Log> {
        self.0.iter().rev().find(|log| log.epoch == epoch)
    }
}

impl Log {
    /// The same number of the same life of a producer a second time.
    fn s2_no_duplicate(&self, entry: &Committed) -> Verdict {
        self.last_of(entry, |(epoch, sequence), last| match (epoch, sequence) == last {
            true => Invariant::S2.broken(format_args!("{:?} is in the log twice", entry.producer)),
            false => Ok(()),
        })
    }

    /// Numbers increase; that an older life of a producer writes after a newer one is S11.
    fn s3_producer_fifo(&self, entry: &Committed) -> Verdict {
        self.last_of(entry, |(epoch, sequence), last| {
            if epoch < last.0 {
                return Invariant::S11
                    .broken(format_args!("life {epoch} of a producer was fenced by life {}", last.0));
            }
            match epoch == last.0 && sequence < last.1 {
                true => Invariant::S3
                    .broken(format_args!("{:?} comes after its number {}", entry.producer, last.1)),
                false => Ok(()),
            }
        })
    }

    fn last_of(
        &self,
        entry: &Committed,
        judge: impl FnOnce((u32, u64), (u32, u64)) -> Verdict,
    ) -> Result<(), Found> {
        match entry.producer.and_then(|producer| Some((producer, *self.producers.get(&producer.id)?))) {
            Some((producer, last)) => judge((producer.epoch, producer.sequence), (last.life, last.sequence)),
            None => Ok(()),
        }
    }

    /// Offsets increase along the log, and an entry names the one before it in its channel.
    fn s4_offsets_increase(&self, entry: &Committed) -> Verdict {
        let before = self.channels.get(usize::from(entry.channel)).and_then(|channel| channel.entries.last());
        let before = before.map_or(0, |before| before.offset);
        // One batch may name an offset for several channels, so only the channel's own must be new.
        if entry.offset <= before || entry.offset < self.head {
            return Invariant::S4.broken(format_args!(
                "an entry at {} after one at {}",
                entry.offset,
                before.max(self.head)
            ));
        }
        match entry.previous == before {
            true => Ok(()),
            false => Invariant::S7.broken(format_args!(
                "the entry at {} names {} as the one before it, which is {before}",
                entry.offset, entry.previous
            )),
        }
    }
}
