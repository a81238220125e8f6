//! What a client publishes, from its outbox until it is answered.

use core::time::Duration;

use tenfour_delivery::{
    entry, mutant,
    number::{ProducerEpoch, ProducerId, ProducerSequence, Sequence},
    time::Instant,
};
use tenfour_session::native::{Publication, Receipt};
use tenfour_wire::native::{Refusal, RefusalReason};

use super::{Client, channel_name};
use crate::sim::{ChannelId, ClientId, Fact, MessageId, letter::Letter};

/// A publication without an answer.
#[derive(Clone, Copy, Debug, Hash)]
pub(super) struct Outgoing {
    pub(super) message: MessageId,
    channel: ChannelId,
    pub(super) sequence: u64,
    ttl: Option<Duration>,
    /// Under which number of the session it was sent.
    sent: Option<Sequence>,
    pub(super) doubt: Doubt,
}

/// What is known of a publication's place in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Doubt {
    /// It is not there.
    Absent,
    /// It was sent, perhaps by an earlier process, and may be there: only under its number can that be found out.
    Open,
    /// The server cannot say.
    Forever,
}

/// How long an application waits before it publishes again what was refused.
pub(super) const RETRY_AFTER: Duration = Duration::from_millis(50);
/// At most, however often it was refused.
const RETRY_MOST: Duration = Duration::from_secs(5);
/// What a producer's identity has besides the client's number.
const PRODUCERS: u128 = 0x10_4000;

impl Client {
    pub(crate) fn unanswered(&self) -> usize {
        self.memory.outbox.len()
    }

    /// The application has something to publish. It goes to the outbox, from there to the disk, and only then out.
    pub(crate) fn publish(
        &mut self,
        now: Instant,
        message: MessageId,
        channel: ChannelId,
        ttl: Option<Duration>,
        facts: &mut Vec<Fact>,
    ) {
        facts.push(Fact::Offered { by: self.id, message, channel, ttl });
        let sequence = self.memory.next_sequence;
        self.memory.next_sequence += 1;
        self.memory.outbox.push_back(Outgoing {
            message,
            channel,
            sequence,
            ttl,
            sent: None,
            doubt: Doubt::Absent,
        });
        self.dirty = true;
        if mutant!(OutboxForgetsLastWrite) {
            self.saved = self.memory.outbox.len();
            self.send(now);
        }
    }

    /// Publishes under a number that it has used before; `false` where it has used none, or cannot send.
    pub(crate) fn publish_conflicting(
        &mut self,
        now: Instant,
        message: MessageId,
        channel: ChannelId,
        epoch: u64,
        facts: &mut Vec<Fact>,
    ) -> bool {
        // A log that began anew does not know whose the number was.
        if self.acked_in != epoch {
            return false;
        }
        let first_open = self.memory.outbox.front().map_or(self.memory.next_sequence, |first| first.sequence);
        let Some(sequence) = first_open.checked_sub(1) else { return false };
        let publication = publication(self.id, self.memory.producer, message, channel, sequence, None);
        let Some(connected) = self.connected.as_mut().filter(|connected| connected.is_welcome) else {
            return false;
        };
        match connected.session.publish(now, publication) {
            Ok(sent) => {
                facts.push(Fact::Offered { by: self.id, message, channel, ttl: None });
                facts.push(Fact::Conflicting { message });
                self.forged.push((message, sent));
                true
            }
            Err(_) => false,
        }
    }

    /// What is left of an earlier life of its producer publishes; `false` where there was none, or it cannot.
    pub(crate) fn publish_from_the_past(
        &mut self,
        now: Instant,
        message: MessageId,
        channel: ChannelId,
        facts: &mut Vec<Fact>,
    ) -> bool {
        let Some(life) = self.memory.producer.checked_sub(1) else { return false };
        let Some(connected) = self.connected.as_mut().filter(|connected| connected.is_welcome) else {
            return false;
        };
        let publication = publication(self.id, life, message, channel, self.memory.past_sequence, None);
        let sent = connected.session.publish(now, publication);
        if let Ok(sent) = sent {
            facts.push(Fact::Offered { by: self.id, message, channel, ttl: None });
            self.forged.push((message, sent));
        }
        sent.is_ok()
    }

    /// Publishes what is on the disk and not on its way, in order.
    pub(super) fn send(&mut self, now: Instant) {
        if self.retry_at.is_some() {
            return;
        }
        self.begin_anew();
        let Some(connected) = self.connected.as_mut().filter(|connected| connected.is_welcome) else {
            return;
        };
        let (producer, begins_anew) = (self.memory.producer, self.begins_anew);
        for outgoing in self.memory.outbox.iter_mut().take(self.saved) {
            let &mut Outgoing { message, channel, sequence, ttl, sent, doubt } = outgoing;
            let waits = doubt == Doubt::Forever || (begins_anew && doubt == Doubt::Absent);
            if waits || sent.is_some() {
                continue;
            }
            let publication = publication(self.id, producer, message, channel, sequence, ttl);
            match connected.session.publish(now, publication) {
                Ok(sent) => (outgoing.sent, outgoing.doubt) = (Some(sent), Doubt::Open),
                Err(_) => return,
            }
        }
    }

    fn begin_anew(&mut self) {
        let in_doubt = self.memory.outbox.iter().any(|outgoing| outgoing.doubt == Doubt::Open);
        if !self.begins_anew || in_doubt {
            return;
        }
        self.begins_anew = false;
        self.memory.producer += 1;
        self.memory.past_sequence = self.memory.next_sequence;
        for (sequence, outgoing) in (0..).zip(&mut self.memory.outbox) {
            (outgoing.sequence, outgoing.doubt) = (sequence, Doubt::Absent);
        }
        self.memory.next_sequence = self.memory.outbox.len() as u64;
        self.saved = 0;
        self.dirty = true;
    }

    pub(super) fn published(
        &mut self,
        now: Instant,
        publish: Sequence,
        result: Result<Receipt, Refusal>,
        facts: &mut Vec<Fact>,
    ) {
        let by = self.id;
        let answer = |message, result: &Result<Receipt, Refusal>| match result {
            Ok(receipt) => {
                Fact::Acked { by, message, epoch: receipt.epoch.get(), offset: receipt.offset.get() }
            }
            Err(refusal) => {
                let conflict = refusal.reason == RefusalReason::Conflict;
                Fact::Rejected { by, message, conflict }
            }
        };
        if let Some(forged) = self.forged.iter().position(|(_, sent)| *sent == publish) {
            let (message, _) = self.forged.swap_remove(forged);
            return facts.push(answer(message, &result));
        }
        let Some(place) = self.memory.outbox.iter().position(|outgoing| outgoing.sent == Some(publish))
        else {
            return;
        };
        if let Err(refusal) = &result
            && (refusal.reason == RefusalReason::Indeterminate || may_pass(refusal))
        {
            let is_unknown = refusal.reason == RefusalReason::Indeterminate;
            // Where what is acknowledged is missing, the log has begun anew, and this number is never due there.
            let first = self.memory.outbox.front().map_or(0, |first| first.sequence);
            let is_behind = matches!(refusal.reason, RefusalReason::Gap { expected } if expected < first);
            let outgoing = &mut self.memory.outbox[place];
            outgoing.sent = None;
            outgoing.doubt = if is_unknown { Doubt::Forever } else { Doubt::Absent };
            self.begins_anew |= is_unknown || is_behind;
            if self.retry_at.is_none() {
                self.retry_at = Some(now + self.patience);
                self.patience = (self.patience * 2).min(RETRY_MOST);
            }
            return;
        }
        if let Ok(receipt) = &result {
            self.acked_in = receipt.epoch.get();
            self.patience = RETRY_AFTER;
        }
        facts.push(answer(self.memory.outbox[place].message, &result));
        self.memory.outbox.remove(place);
        self.saved -= usize::from(place < self.saved);
        self.dirty = true;
    }

    pub(super) fn unsend(&mut self) {
        for outgoing in &mut self.memory.outbox {
            outgoing.sent = None;
        }
    }
}

fn publication(
    by: ClientId,
    life: u32,
    message: MessageId,
    channel: ChannelId,
    sequence: u64,
    ttl: Option<Duration>,
) -> Publication {
    let producer = entry::Producer {
        id: ProducerId::new(PRODUCERS + u128::from(by)),
        epoch: ProducerEpoch::new(life),
        sequence: ProducerSequence::new(sequence),
    };
    let message = Letter::Publication(message).write();
    Publication { channel: channel_name(channel), producer: Some(producer), ttl, message }
}

/// Whether what was refused may be accepted later.
fn may_pass(refusal: &Refusal) -> bool {
    refusal.retry_after_ms.is_some()
        || matches!(
            refusal.reason,
            RefusalReason::Gap { .. }
                | RefusalReason::Unavailable
                | RefusalReason::Overloaded
                | RefusalReason::RateLimited
                | RefusalReason::Internal
        )
}
