//! What each subscriber has seen of each channel.

use core::ops::RangeInclusive;

use tenfour_delivery::loss::{Count, Reason};

use super::{
    Verdict,
    log::{Channel, Entry, Logs},
};
use crate::sim::{ChannelId, ClientId, Delivered, Invariant, Lost, Start};

/// The readers of all clients, by client and channel.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Readers(Vec<Vec<Reader>>);

/// One client's view of one channel.
#[derive(Clone, Debug, Default, Hash)]
struct Reader {
    subscribed: bool,
    /// Up to where everything was delivered or accounted for; `None` before the first subscription.
    at: Option<Position>,
    /// Offsets of this epoch that took effect, in order.
    applied: Vec<u64>,
    /// What is known of the end of the epoch before.
    reset: Reset,
    disk: Disk,
    /// Up to where its session said last that it has processed.
    processed: Option<Position>,
}

/// Whether a reader knows that a log began anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
enum Reset {
    #[default]
    None,
    /// It was told, and has not moved to the new epoch yet.
    Told,
    /// It has moved, and must be told of so many entries before anything else.
    Owed(usize),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Position {
    epoch: u64,
    offset: u64,
}

/// What is saved of a reader, and what is being saved.
#[derive(Clone, Copy, Debug, Default, Hash)]
struct Disk {
    saved: Option<Position>,
    saving: Option<Position>,
}

impl Readers {
    pub(super) fn new(clients: u8, channels: u8) -> Self {
        Self(vec![vec![Reader::default(); usize::from(channels)]; usize::from(clients)])
    }

    pub(super) fn subscribe(
        &mut self,
        by: ClientId,
        channel: ChannelId,
        start: Start,
        (epoch, after): (u64, u64),
        logs: &Logs,
    ) -> Verdict {
        let reader = self.reader(by, channel);
        reader.subscribed = true;
        let answered = Position { epoch, offset: after };
        if let (Start::After { epoch, offset }, Some(at)) = (start, reader.at) {
            s12_claim_is_the_cursor(Position { epoch, offset }, at, reader.disk.saved)?;
        }
        match (reader.at, logs.channel(epoch, channel)) {
            (_, None) => {
                Invariant::S9.broken(format_args!("a subscription in epoch {epoch}, which never was"))
            }
            (Some(at), _) if at.epoch == epoch => Ok(()),
            (Some(at), Some(known)) => {
                let missing =
                    logs.channel(at.epoch, channel).map_or(0, |old| old.between(at.offset, u64::MAX).len());
                let told = reader.reset == Reset::Told || missing == 0;
                reader.move_to(answered);
                reader.reset = if told { Reset::None } else { Reset::Owed(missing) };
                reader.s7_begins_with_the_epoch(known)
            }
            (None, Some(known)) => {
                reader.move_to(answered);
                match start {
                    Start::Earliest => reader.s7_begins_with_the_epoch(known),
                    _ => Ok(()),
                }
            }
        }
    }

    pub(super) fn unsubscribe(&mut self, by: ClientId, channel: ChannelId) {
        let reader = self.reader(by, channel);
        *reader = Reader { disk: Disk::default(), ..Reader::default() };
    }

    pub(super) fn deliver(&mut self, delivered: &Delivered, logs: &Logs) -> Verdict {
        let reader = self.reader(delivered.to, delivered.channel);
        let Some(known) = logs.channel(delivered.epoch, delivered.channel) else {
            return Invariant::S9.broken(format_args!("{delivered:?} is of an epoch that never was"));
        };
        reader.s7_the_end_of_an_epoch_is_told()?;
        s9_agrees_with_the_log(delivered, known)?;
        reader.s6_no_duplicate_effect(delivered)?;
        reader.s4_in_the_order_of_the_log(delivered)?;
        reader.s7_no_silent_gap(delivered, known)?;
        reader.applied.push(delivered.offset);
        reader.at = Some(Position { epoch: delivered.epoch, offset: delivered.offset });
        Ok(())
    }

    pub(super) fn lose(
        &mut self,
        lost: &Lost,
        logs: &Logs,
        is_contested: bool,
        expired: impl Fn(&Entry) -> bool,
    ) -> Verdict {
        let reader = self.reader(lost.to, lost.channel);
        let Some(at) = reader.at else { return Ok(()) };
        if lost.reason == Reason::EpochReset {
            return reader.s8_reset_is_true(lost, logs);
        }
        let Some(known) = logs.channel(at.epoch, lost.channel) else { return Ok(()) };
        if !is_contested {
            reader.s8_was_not_delivered(lost)?;
        }
        s8_loss_is_true(at.offset, lost, known, expired)?;
        reader.at = Some(Position { offset: at.offset.max(lost.through), ..at });
        Ok(())
    }

    pub(super) fn skip(
        &mut self,
        to: ClientId,
        channel: ChannelId,
        range: RangeInclusive<u64>,
        logs: &Logs,
        expired: impl Fn(&Entry) -> bool,
    ) -> Verdict {
        let reader = self.reader(to, channel);
        let Some(at) = reader.at else { return Ok(()) };
        let Some(known) = logs.channel(at.epoch, channel) else { return Ok(()) };
        let owed = known.between(at.offset, *range.end()).iter().find(|entry| !expired(entry));
        if let Some(entry) = owed {
            return Invariant::S7.broken(format_args!(
                "client {to} was told that nothing is owed from {} to {}, where message {} is",
                range.start(),
                range.end(),
                entry.message
            ));
        }
        reader.at = Some(Position { offset: at.offset.max(*range.end()), ..at });
        Ok(())
    }

    pub(super) fn begin_save(&mut self, by: ClientId) {
        for reader in &mut self.0[usize::from(by)] {
            reader.disk.saving = reader.at;
        }
    }

    /// What is written is never before what was written.
    pub(super) fn s12_cursor_is_monotone(&mut self, by: ClientId) -> Verdict {
        for reader in &mut self.0[usize::from(by)] {
            if reader.disk.saving < reader.disk.saved {
                return Invariant::S12.broken(format_args!(
                    "client {by} saved {:?} after {:?}",
                    reader.disk.saving, reader.disk.saved
                ));
            }
            reader.disk.saved = reader.disk.saving;
        }
        Ok(())
    }

    /// Nor does what a session says of its application go back.
    pub(super) fn s12_positions_are_monotone(
        &mut self,
        by: ClientId,
        channel: ChannelId,
        epoch: u64,
        offset: u64,
    ) -> Verdict {
        let now = Position { epoch, offset };
        match self.reader(by, channel).processed.replace(now) {
            Some(before) if before > now => {
                Invariant::S12.broken(format_args!("client {by} had processed {before:?}, and then {now:?}"))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn crash(&mut self, client: ClientId) {
        for reader in &mut self.0[usize::from(client)] {
            let saved = reader.disk.saved;
            match (saved, reader.at) {
                (Some(saved), Some(at)) if saved.epoch == at.epoch => {
                    reader.at = Some(saved);
                    reader.applied.truncate(reader.applied.partition_point(|offset| *offset <= saved.offset));
                }
                // What took effect in an older epoch, and was saved then, is not looked up again: a log that is gone
                // delivers nothing.
                _ => *reader = Reader { at: saved, disk: reader.disk, ..Reader::default() },
            }
            reader.subscribed &= saved.is_some();
            reader.reset = Reset::None;
            reader.processed = None;
            reader.disk.saving = None;
        }
    }

    /// Who is subscribed has everything, or was told what is missing.
    pub(super) fn l2_everything_arrived(&self, logs: &Logs) -> Verdict {
        let Some(epoch) = logs.epoch() else { return Ok(()) };
        for (client, readers) in self.0.iter().enumerate() {
            for (channel, reader) in readers.iter().enumerate().filter(|(_, reader)| reader.subscribed) {
                reader.s7_the_end_of_an_epoch_is_told()?;
                let missing = reader.missing(channel as ChannelId, epoch, logs);
                if let Some(first) = missing.first() {
                    return Invariant::L2.broken(format_args!(
                        "client {client} lacks {} entries of channel {channel} after {:?}, message {} the first",
                        missing.len(),
                        reader.at,
                        first.message
                    ));
                }
            }
        }
        Ok(())
    }

    /// What a reader has not got of the present epoch.
    pub(super) fn missing<'a>(&self, of: ClientId, channel: ChannelId, logs: &'a Logs) -> &'a [Entry] {
        let reader = &self.0[usize::from(of)][usize::from(channel)];
        logs.epoch().map_or(&[], |epoch| reader.missing(channel, epoch, logs))
    }

    fn reader(&mut self, client: ClientId, channel: ChannelId) -> &mut Reader {
        &mut self.0[usize::from(client)][usize::from(channel)]
    }
}

impl Reader {
    fn missing<'a>(&self, channel: ChannelId, epoch: u64, logs: &'a Logs) -> &'a [Entry] {
        let Some(at) = self.at.filter(|_| self.subscribed) else { return &[] };
        let after = if at.epoch == epoch { at.offset } else { 0 };
        logs.channel(epoch, channel).map_or(&[], |known| known.between(after, u64::MAX))
    }

    fn move_to(&mut self, position: Position) {
        self.at = Some(position);
        self.applied.clear();
    }

    /// Who is told that a log began anew is not told of more than it missed of the old one and what is gone of the new one.
    fn s8_reset_is_true(&mut self, lost: &Lost, logs: &Logs) -> Verdict {
        let at = self.at.unwrap_or_default();
        // What came meanwhile may be of any life of the log since.
        let trimmed = logs.most_trimmed_since(at.epoch, lost.channel);
        let missed = match self.reset {
            Reset::Owed(missing) => missing,
            _ => logs.channel(at.epoch, lost.channel).map_or(0, |old| old.between(at.offset, u64::MAX).len()),
        };
        self.reset = if matches!(self.reset, Reset::Owed(_)) { Reset::None } else { Reset::Told };
        match lost.count.at_least() > (missed + trimmed) as u64 {
            true => Invariant::S8.broken(format_args!("{lost:?}, where {missed} and {trimmed} were missed")),
            false => Ok(()),
        }
    }

    fn s8_was_not_delivered(&self, lost: &Lost) -> Verdict {
        let delivered = self.applied.partition_point(|offset| *offset <= lost.through)
            - self.applied.partition_point(|offset| *offset <= lost.after);
        match delivered {
            0 => Ok(()),
            _ => Invariant::S8.broken(format_args!("{lost:?}, of which {delivered} were delivered")),
        }
    }

    /// Who goes on in a new epoch was told what it did not get of the old one.
    fn s7_the_end_of_an_epoch_is_told(&self) -> Verdict {
        match self.reset {
            Reset::Owed(missing) => Invariant::S7.broken(format_args!(
                "{missing} entries of an epoch that is over are missing without a word"
            )),
            _ => Ok(()),
        }
    }

    /// Who begins with an epoch's start passes over nothing but what was trimmed.
    fn s7_begins_with_the_epoch(&self, known: &Channel) -> Verdict {
        let after = self.at.unwrap_or_default().offset;
        match known.between(known.trimmed(), after).first() {
            Some(entry) => Invariant::S7.broken(format_args!(
                "a subscription from the start begins after {after}, and message {} is before",
                entry.message
            )),
            None => Ok(()),
        }
    }

    fn s6_no_duplicate_effect(&self, delivered: &Delivered) -> Verdict {
        let same_epoch = self.at.is_some_and(|at| at.epoch == delivered.epoch);
        match same_epoch && self.applied.binary_search(&delivered.offset).is_ok() {
            true => Invariant::S6.broken(format_args!("{delivered:?} took effect before")),
            false => Ok(()),
        }
    }

    fn s4_in_the_order_of_the_log(&self, delivered: &Delivered) -> Verdict {
        match self.at {
            Some(at) if at.epoch == delivered.epoch && delivered.offset <= at.offset => {
                Invariant::S4.broken(format_args!("{delivered:?} comes after {}", at.offset))
            }
            _ => Ok(()),
        }
    }

    fn s7_no_silent_gap(&self, delivered: &Delivered, known: &Channel) -> Verdict {
        let Some(at) = self.at.filter(|at| at.epoch == delivered.epoch && self.subscribed) else {
            return Invariant::S7.broken(format_args!(
                "{delivered:?} comes to a reader whose subscription is {:?} of another epoch, or none",
                self.at
            ));
        };
        match known.between(at.offset, delivered.offset - 1).first() {
            Some(missing) => Invariant::S7.broken(format_args!(
                "{delivered:?} comes after {}; the entry at {}, message {}, is missing without a word",
                at.offset, missing.offset, missing.message
            )),
            None => Ok(()),
        }
    }
}

/// What a client claims is neither before what it saved nor after what it has.
fn s12_claim_is_the_cursor(claim: Position, at: Position, saved: Option<Position>) -> Verdict {
    let too_low = saved.is_some_and(|saved| claim.epoch == saved.epoch && claim.offset < saved.offset);
    let too_high = claim.epoch == at.epoch && claim.offset > at.offset;
    match too_low || too_high {
        true => Invariant::S12
            .broken(format_args!("a claim of {claim:?}, with {saved:?} saved and {at:?} reached")),
        false => Ok(()),
    }
}

fn s9_agrees_with_the_log(delivered: &Delivered, known: &Channel) -> Verdict {
    match known.between(delivered.offset - 1, delivered.offset).first() {
        Some(entry) if entry.message == delivered.message => Ok(()),
        found => Invariant::S9.broken(format_args!("{delivered:?}, where the log has {found:?}")),
    }
}

/// What is told as lost was as many, and got lost for that reason.
fn s8_loss_is_true(at: u64, lost: &Lost, known: &Channel, expired: impl Fn(&Entry) -> bool) -> Verdict {
    let range = known.between(lost.after, lost.through);
    let counted = match lost.count {
        Count::Exact(count) => count == range.len() as u64,
        Count::AtLeast(count) => count <= range.len() as u64,
    };
    if !counted {
        return Invariant::S8.broken(format_args!("{lost:?}, where the log had {} entries", range.len()));
    }
    if let Some(before) = known.between(at, lost.after).first() {
        return Invariant::S7
            .broken(format_args!("{lost:?} leaves out message {} at {}", before.message, before.offset));
    }
    let wrong = match lost.reason {
        Reason::Ttl => range.iter().find(|entry| !expired(entry)),
        Reason::Retention => range.iter().find(|entry| entry.offset > known.let_go()),
        _ => None,
    };
    match wrong {
        Some(entry) => Invariant::S8.broken(format_args!("{lost:?}, which is not why {entry:?} got lost")),
        None => Ok(()),
    }
}
