//! What outlives a client's process, and the crash that it is there for.

use std::collections::VecDeque;

use tenfour_delivery::{number::Offset, resume::Position, time::Instant};

use super::{
    Client, channel_name,
    producer::{Doubt, Outgoing},
};
use crate::sim::{ChannelId, Fact};

/// What a client keeps over its crashes, or would keep. It is written as a whole: cursors and effects are one.
#[derive(Clone, Debug, Default, Hash)]
pub(super) struct Disk {
    pub(super) outbox: VecDeque<Outgoing>,
    pub(super) cursors: Vec<Option<Position>>,
    pub(super) next_sequence: u64,
    /// The producer's life.
    pub(super) producer: u32,
    /// The number that comes next in the life before.
    pub(super) past_sequence: u64,
}

/// Whether a disk has what was written last when its process dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LastWrite {
    Kept,
    Lost,
}

/// Whether the process that comes after one that died is a new life of its producer, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NextLife {
    OfTheProcess,
    OfTheProducerToo,
}

impl Client {
    pub(crate) fn wants_to_write(&self) -> bool {
        self.dirty && self.writing.is_none()
    }

    /// Begins to write what changed.
    pub(crate) fn begin_write(&mut self, facts: &mut Vec<Fact>) {
        if self.wants_to_write() {
            self.dirty = false;
            self.writing = Some(self.memory.clone());
            facts.push(Fact::Saving { by: self.id });
        }
    }

    /// The disk has it: what depended on that can go on.
    pub(crate) fn written(&mut self, now: Instant, facts: &mut Vec<Fact>) {
        let Some(written) = self.writing.take() else { return };
        let newest = if written.producer == self.memory.producer { written.next_sequence } else { 0 };
        self.saved = self.memory.outbox.partition_point(|outgoing| outgoing.sequence < newest);
        let progress = self.advanced(&written);
        self.disk = written;
        facts.push(Fact::Saved { by: self.id });
        if let Some(connected) = self.connected.as_mut().filter(|connected| connected.is_welcome) {
            let leaving = self.leaving;
            for (channel, before, offset) in progress {
                if leaving & (1 << channel) != 0 {
                    continue;
                }
                let name = channel_name(channel);
                // Two handlers of an application that end out of order say so out of order.
                for processed in [offset, before] {
                    connected.session.processed(now, &name, processed);
                    facts.extend(connected.session.position(&name).map(|position| Fact::Positioned {
                        by: self.id,
                        channel,
                        epoch: position.epoch.get(),
                        offset: position.offset.get(),
                    }));
                }
            }
        }
        self.send(now);
    }

    /// The channels that have moved: from where, and to where.
    fn advanced(&self, written: &Disk) -> Vec<(ChannelId, Offset, Offset)> {
        let pairs = (0..).zip(written.cursors.iter().zip(&self.disk.cursors));
        let moved = pairs.filter_map(|(channel, (new, old))| {
            let new = new.filter(|new| Some(*new) != *old)?;
            let same_epoch = old.filter(|old| old.epoch == new.epoch);
            Some((channel, same_epoch.map_or(new.offset, |old| old.offset), new.offset))
        });
        moved.collect()
    }

    /// The process dies. What was being written is on the disk afterwards, or not.
    pub(crate) fn crash(&mut self, write: LastWrite, next: NextLife, facts: &mut Vec<Fact>) {
        if let Some(writing) = self.writing.take()
            && write == LastWrite::Kept
        {
            self.disk = writing;
            facts.push(Fact::Saved { by: self.id });
        }
        let is_lost = |of: &&Outgoing| !self.disk.outbox.iter().any(|kept| kept.message == of.message);
        let lost = self.memory.outbox.iter().filter(is_lost);
        facts.extend(lost.map(|outgoing| Fact::Forgotten { message: outgoing.message }));
        self.begins_anew = next == NextLife::OfTheProducerToo && self.disk.outbox.is_empty();
        facts.extend(self.forged.drain(..).map(|(message, _)| Fact::Forgotten { message }));
        facts.push(Fact::Crashed { client: self.id });
        self.life += 1;
        self.memory.clone_from(&self.disk);
        for outgoing in &mut self.memory.outbox {
            outgoing.doubt = Doubt::Open;
        }
        self.unsend();
        self.saved = self.memory.outbox.len();
        self.dirty = false;
        self.reading.clear();
        self.retry_at = None;
        self.connected = None;
        self.journal = None;
        self.knows = None;
        self.leaving = 0;
    }
}
