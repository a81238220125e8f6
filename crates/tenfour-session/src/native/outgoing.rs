//! What a session sends under a number.

use super::Cost;
use alloc::boxed::Box;
use tenfour_wire::native::{
    self as wire, Count, Loss, LossReason, Message, Place, Producer, ProducerRef, Publish, Reliable, Reply,
    SharedMessage,
};

/// More room than the head of any numbered frame takes, names left out.
pub(super) const HEAD_BYTES: usize = 64;

/// A numbered frame, as it is held until it is acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Outgoing {
    /// A message of a channel.
    Deliver(Delivery),
    /// Anything else. Boxed, so that the window's slots stay small.
    Frame(Box<Reliable>),
}

/// A message of a channel; its bytes are shared with every other session that sends it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Delivery {
    pub(super) channel: u32,
    /// Whether the entry before it is where the frame before left the channel, so that it need not be written.
    pub(super) chained: bool,
    pub(super) previous: u64,
    pub(super) advance: u64,
    pub(super) message: SharedMessage,
}

impl Delivery {
    pub(super) fn place(&self) -> Place {
        let previous = (!self.chained).then_some(self.previous);
        Place { channel: self.channel, previous, advance: self.advance }
    }

    /// What takes the place of a message that will not come: it counts for the same, since its number is the same.
    pub(super) fn lost(&self, reason: LossReason) -> wire::Lost {
        let through = self.previous.saturating_add(self.advance);
        let loss = Loss { after: self.previous, through, count: Count::Exact(1), reason };
        wire::Lost { channel: self.channel, charge: self.message.len() as u64, loss }
    }
}

impl Outgoing {
    pub(super) fn frame(body: Reliable) -> Self {
        Self::Frame(Box::new(body))
    }

    /// What takes the place of a frame that has expired: it counts for the same, since its number is the same.
    pub(super) fn expired(&self) -> Reliable {
        match self {
            Self::Deliver(delivery) => Reliable::Lost(delivery.lost(LossReason::Ttl)),
            Self::Frame(body) => match &**body {
                // It took the place of a message that was taken back before it expired.
                Reliable::Lost(lost) => Reliable::Lost(*lost),
                _ => Reliable::Void { charge: self.charge() as u64 },
            },
        }
    }

    /// The bytes that it counts for against credit.
    pub(super) fn charge(&self) -> usize {
        match self {
            Self::Deliver(delivery) => delivery.message.len(),
            Self::Frame(body) => charge(body),
        }
    }

    /// No less than its frame has.
    pub(super) fn frame_len(&self) -> usize {
        self.body_len() + HEAD_BYTES
    }

    /// What it takes of memory, besides itself.
    pub(super) fn heap_len(&self) -> usize {
        match self {
            Self::Deliver(_) => self.body_len(),
            Self::Frame(_) => size_of::<Reliable>() + self.body_len(),
        }
    }

    /// The bytes of its message, its names and its text. What took a message's place has none, whatever it counts for.
    pub(super) fn body_len(&self) -> usize {
        let Self::Frame(body) = self else { return self.charge() };
        match &**body {
            Reliable::Subscribe(subscribe) => subscribe.channel.len(),
            Reliable::Publish(publish) => publish.channel.len() + charge(body),
            Reliable::Reply(Reply { result: Err(text), .. }) => text.len(),
            Reliable::Lost(_) | Reliable::Void { .. } => 0,
            body => charge(body),
        }
    }
}

/// The producer's number of the last PUBLISH on a connection: the next one need not be written out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct LastProducer(Option<Producer>);

impl LastProducer {
    /// The frame without its producer's number, if that follows.
    pub(super) fn shorten(&mut self, body: &Reliable) -> Option<Reliable> {
        let Reliable::Publish(publish) = body else { return None };
        let Some(ProducerRef::Explicit(producer)) = publish.producer else { return None };
        let follows = self.0.replace(producer).and_then(following) == Some(producer);
        follows.then(|| Reliable::Publish(Publish { producer: Some(ProducerRef::Next), ..publish.clone() }))
    }

    /// The producer's number that a frame stands for; `None` if it follows nothing.
    pub(super) fn resolve(&mut self, producer: ProducerRef) -> Option<Producer> {
        let producer = match producer {
            ProducerRef::Explicit(producer) => producer,
            ProducerRef::Next => following(self.0?)?,
        };
        self.0 = Some(producer);
        Some(producer)
    }
}

fn following(last: Producer) -> Option<Producer> {
    Some(Producer { sequence: last.sequence.checked_add(1)?, ..last })
}

/// The bytes that a numbered frame counts for against credit: those of its message as it is encoded, on either side.
pub(super) fn charge(body: &Reliable) -> usize {
    match body {
        Reliable::Deliver(deliver) => deliver.message.encoded_len(),
        Reliable::Publish(publish) => publish.message.encoded_len(),
        Reliable::Request(request) => request.message.encoded_len(),
        Reliable::Reply(Reply { result: Ok(message), .. }) => message.encoded_len(),
        Reliable::Lost(wire::Lost { charge, .. }) | Reliable::Void { charge } => {
            usize::try_from(*charge).unwrap_or(usize::MAX)
        }
        _ => 0,
    }
}

pub(super) fn message_cost(message: &Message) -> Cost {
    Cost { messages: 1, bytes: message.encoded_len() as u64 }
}
