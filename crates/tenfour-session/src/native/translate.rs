//! Between the wire's plain numbers and the core's.

use super::{Decision, Publication, Receipt, Rejection, Start, Subscription};
use core::time::Duration;
use tenfour_delivery::{
    entry::Producer,
    loss::{Count, Lost, OffsetRange, Reason},
    number::{Epoch, Offset, ProducerEpoch, ProducerId, ProducerSequence},
    resume::Position,
    window::Credit,
};
use tenfour_wire::native as wire;

pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

pub(super) fn millis_u32(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}

pub(super) fn credit_to_wire(credit: Credit) -> wire::Credit {
    wire::Credit { messages: credit.messages, bytes: credit.bytes }
}

pub(super) fn credit_from_wire(credit: wire::Credit) -> Credit {
    Credit { messages: credit.messages, bytes: credit.bytes }
}

pub(super) fn start_to_wire(start: Start) -> wire::Start {
    match start {
        Start::Live => wire::Start::Live,
        Start::Earliest => wire::Start::Earliest,
        Start::After(position) => {
            wire::Start::After { epoch: position.epoch.get(), offset: position.offset.get() }
        }
    }
}

pub(super) fn start_from_wire(start: wire::Start) -> Start {
    match start {
        wire::Start::Live => Start::Live,
        wire::Start::Earliest => Start::Earliest,
        wire::Start::After { epoch, offset } => {
            Start::After(Position { epoch: Epoch::new(epoch), offset: Offset::new(offset) })
        }
    }
}

pub(super) fn producer_to_wire(producer: Producer) -> wire::Producer {
    wire::Producer { id: producer.id.get(), epoch: producer.epoch.get(), sequence: producer.sequence.get() }
}

pub(super) fn producer_from_wire(producer: wire::Producer) -> Producer {
    Producer {
        id: ProducerId::new(producer.id),
        epoch: ProducerEpoch::new(producer.epoch),
        sequence: ProducerSequence::new(producer.sequence),
    }
}

pub(super) fn publication_to_wire(publication: Publication) -> wire::Publish {
    wire::Publish {
        channel: publication.channel,
        producer: publication.producer.map(|own| wire::ProducerRef::Explicit(producer_to_wire(own))),
        ttl_ms: publication.ttl.map(millis),
        message: publication.message,
    }
}

pub(super) fn receipt_to_wire(receipt: Receipt) -> wire::Receipt {
    wire::Receipt { epoch: receipt.epoch.get(), offset: receipt.offset.get(), duplicate: receipt.duplicate }
}

pub(super) fn receipt_from_wire(receipt: wire::Receipt) -> Receipt {
    Receipt {
        epoch: Epoch::new(receipt.epoch),
        offset: Offset::new(receipt.offset),
        duplicate: receipt.duplicate,
    }
}

pub(super) fn subscription_to_wire(subscription: Subscription) -> wire::Subscription {
    wire::Subscription {
        channel: subscription.channel,
        epoch: subscription.epoch.get(),
        decision: match subscription.decision {
            Decision::Continue => wire::Decision::Continue,
            Decision::Gap(lost) => wire::Decision::Gap(loss_to_wire(lost)),
            Decision::Reset(lost) => wire::Decision::Reset(loss_to_wire(lost)),
        },
        after: subscription.after.get(),
        head: subscription.head.get(),
    }
}

pub(super) fn subscription_from_wire(subscription: wire::Subscription) -> Subscription {
    Subscription {
        channel: subscription.channel,
        epoch: Epoch::new(subscription.epoch),
        decision: match subscription.decision {
            wire::Decision::Continue => Decision::Continue,
            wire::Decision::Gap(loss) => Decision::Gap(loss_from_wire(loss)),
            wire::Decision::Reset(loss) => Decision::Reset(loss_from_wire(loss)),
        },
        after: Offset::new(subscription.after),
        head: Offset::new(subscription.head),
    }
}

pub(super) fn range(after: u64, through: u64) -> OffsetRange {
    OffsetRange { after: Offset::new(after), through: Offset::new(through) }
}

pub(super) fn loss_to_wire(lost: Lost) -> wire::Loss {
    wire::Loss {
        after: lost.range.after.get(),
        through: lost.range.through.get(),
        count: match lost.count {
            Count::Exact(count) => wire::Count::Exact(count),
            Count::AtLeast(count) => wire::Count::AtLeast(count),
        },
        reason: reason_to_wire(lost.reason),
    }
}

pub(super) fn loss_from_wire(loss: wire::Loss) -> Lost {
    Lost {
        range: range(loss.after, loss.through),
        count: match loss.count {
            wire::Count::Exact(count) => Count::Exact(count),
            wire::Count::AtLeast(count) => Count::AtLeast(count),
        },
        reason: reason_from_wire(loss.reason),
    }
}

fn reason_to_wire(reason: Reason) -> wire::LossReason {
    match reason {
        Reason::Retention => wire::LossReason::Retention,
        Reason::Ttl => wire::LossReason::Ttl,
        Reason::SlowConsumer => wire::LossReason::SlowConsumer,
        Reason::RateLimit => wire::LossReason::RateLimit,
        Reason::Conflated => wire::LossReason::Conflated,
        Reason::EpochReset => wire::LossReason::EpochReset,
        Reason::Unsubscribed => wire::LossReason::Unsubscribed,
        _ => wire::LossReason::Unknown,
    }
}

/// A reason that came with a later version is one that nobody here knows.
fn reason_from_wire(reason: wire::LossReason) -> Reason {
    match reason {
        wire::LossReason::Retention => Reason::Retention,
        wire::LossReason::Ttl => Reason::Ttl,
        wire::LossReason::SlowConsumer => Reason::SlowConsumer,
        wire::LossReason::RateLimit => Reason::RateLimit,
        wire::LossReason::Conflated => Reason::Conflated,
        wire::LossReason::EpochReset => Reason::EpochReset,
        wire::LossReason::Unsubscribed => Reason::Unsubscribed,
        _ => Reason::Unknown,
    }
}

pub(super) fn rejection_to_wire(rejection: Rejection) -> wire::Reject {
    wire::Reject {
        code: rejection.code,
        retry_after_ms: rejection.retry_after.map(millis_u32),
        reason: rejection.reason,
    }
}

pub(super) fn rejection_from_wire(reject: wire::Reject) -> Rejection {
    Rejection {
        code: reject.code,
        retry_after: reject.retry_after_ms.map(|millis| Duration::from_millis(millis.into())),
        reason: reject.reason,
    }
}
