//! The subscriptions that the application holds, over all connections.

use super::{Charge, Driver};
use crate::client::{
    driver::Wish,
    error::{ClientError, SubscribeError},
    subscription::{Content, EMITTED, Item, StartAt},
};
use bytestring::ByteString;
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tenfour_tokio::{
    delivery::{
        number::{Epoch, Offset},
        resume::Position,
        time::Instant,
    },
    session::native::{self, Cost, Decision, Start},
    wire::native::{Message, Refusal},
};
use tokio::sync::{mpsc, oneshot};

#[derive(Debug)]
pub(super) struct Subscriber {
    id: u64,
    pub(super) start: Start,
    items: mpsc::UnboundedSender<Item>,
    emitted: Arc<AtomicUsize>,
    begun: Option<oneshot::Sender<Result<(), SubscribeError>>>,
    /// When the session is to be asked for it; `None` once it was.
    pub(super) due: Option<Instant>,
    epoch: Option<Epoch>,
}

impl Subscriber {
    pub(super) fn end(self, error: SubscribeError) {
        match self.begun {
            Some(begun) => drop(begun.send(Err(error))),
            // The application knows what it has closed.
            None if error == SubscribeError::Client(ClientError::Closed) => {}
            None => drop(self.items.send(Item { content: Content::Ended(error), charge: Charge::default() })),
        }
    }
}

/// How long cursors that have moved wait to be written together.
const CURSOR_DELAY: Duration = Duration::from_millis(100);

impl Driver {
    pub(super) fn subscribe(&mut self, now: Instant, wish: Wish) {
        if self.subscribers.contains_key(&wish.channel) {
            let _ = wish.begun.send(Err(SubscribeError::Subscribed(wish.channel.to_string())));
            return;
        }
        let start = match wish.from {
            StartAt::Place(start) => start,
            StartAt::Saved { or } => match self.cursors.load(&wish.channel) {
                Some((epoch, offset)) => Start::After(Position { epoch, offset }),
                None => or,
            },
        };
        let subscriber = Subscriber {
            id: wish.id,
            start,
            items: wish.items,
            emitted: wish.emitted,
            begun: Some(wish.begun),
            due: Some(now),
            epoch: None,
        };
        self.subscribers.insert(wish.channel, subscriber);
    }

    /// Ends a subscription that the application has let go of.
    pub(super) fn unsubscribe(&mut self, channel: &ByteString, id: u64) {
        if self.subscribers.get(channel).is_none_or(|subscriber| subscriber.id != id) {
            return;
        }
        let now = self.clock.now();
        let asked = self.subscribers.remove(channel).is_some_and(|subscriber| subscriber.due.is_none());
        if let Some(session) = self.link.session().filter(|_| asked) {
            session.unsubscribe(now, channel);
        } else if asked {
            self.left.push(channel.clone());
        }
    }

    pub(super) fn processed(&mut self, now: Instant, channel: &ByteString, position: Position) {
        self.cursors.save(channel, position.epoch, position.offset);
        self.cursors_due.get_or_insert(now + CURSOR_DELAY);
        if let Some(session) = self.link.session() {
            session.processed(now, channel, position.offset);
        }
    }

    pub(super) fn begun(&mut self, channel: &ByteString, subscription: &native::Subscription, cost: Cost) {
        let position = Position { epoch: subscription.epoch, offset: subscription.after };
        if let Some(subscriber) = self.subscribers.get_mut(channel) {
            subscriber.epoch = Some(position.epoch);
            if let Some(begun) = subscriber.begun.take() {
                let _ = begun.send(Ok(()));
            }
        }
        let content = match subscription.decision {
            Decision::Continue => Content::Passed(position),
            Decision::Gap(lost) => Content::Lost { position, lost },
            Decision::Reset(lost) => Content::Reset { position, lost },
        };
        self.pass(channel, content, cost);
    }

    pub(super) fn unsubscribed(&mut self, now: Instant, channel: &ByteString, refusal: Option<Refusal>) {
        let Some(refusal) = refusal else { return };
        let Some(subscriber) = self.subscribers.get_mut(channel) else { return };
        if let Some(retry_after) = refusal.retry_after_ms {
            subscriber.due = Some(now + Duration::from_millis(retry_after.into()));
            return;
        }
        self.end_subscription(channel, SubscribeError::Refused(refusal.reason));
    }

    pub(super) fn end_subscription(&mut self, channel: &ByteString, error: SubscribeError) {
        if let Some(subscriber) = self.subscribers.remove(channel) {
            subscriber.end(error);
        }
    }

    pub(super) fn skipped(&mut self, channel: &ByteString, through: Offset, cost: Cost) {
        match self.subscribers.get(channel).and_then(|subscriber| subscriber.epoch) {
            Some(epoch) => {
                let position = Position { epoch, offset: through };
                self.pass(channel, Content::Passed(position), cost);
            }
            None => self.consumed(cost),
        }
    }

    /// Passes something on to a subscription, which says when it was taken.
    pub(super) fn pass(&mut self, channel: &ByteString, content: Content, cost: Cost) {
        let passed = match self.subscribers.get(channel) {
            Some(subscriber) => {
                let item = Item { content, charge: self.charge(cost) };
                subscriber.items.send(item).is_ok()
            }
            None => false,
        };
        if !passed {
            self.consumed(cost);
        }
    }

    pub(super) fn emitted(&mut self, channel: &ByteString, message: Message) {
        let Some(subscriber) = self.subscribers.get(channel) else { return };
        if subscriber.emitted.fetch_add(1, Ordering::Relaxed) < EMITTED {
            let item = Item { content: Content::Emitted(message), charge: self.charge(Cost::default()) };
            let _ = subscriber.items.send(item);
        } else {
            subscriber.emitted.fetch_sub(1, Ordering::Relaxed);
        }
    }
}
