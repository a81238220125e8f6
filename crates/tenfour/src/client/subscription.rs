//! What comes of a channel.

use super::{
    driver::{Charge, Command, Commands},
    error::SubscribeError,
};
use bytestring::ByteString;
use futures_util::Stream;
use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};
use tenfour_tokio::{
    delivery::{
        loss::Lost,
        number::{Epoch, Offset},
        resume::Position,
    },
    session::native::{Cost, Start},
    wire::native::Message,
};
use tokio::sync::mpsc;

/// Where a subscription begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StartAt {
    /// Here.
    Place(Start),
    /// Behind the position that the client's cursors have of the channel.
    Saved {
        /// Here, where they have none.
        or: Start,
    },
}

/// When a message counts as processed, so that it is not delivered again after a restart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Acknowledge {
    /// When the next one is asked for.
    #[default]
    OnNext,
    /// When [`Delivery::processed`] is called.
    Manually,
}

/// How to subscribe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SubscribeOptions {
    /// Where to begin: behind the saved position, else with what is committed from now on.
    pub from: StartAt,
    /// When a message counts as processed: when the next one is asked for.
    pub acknowledge: Acknowledge,
}

impl Default for SubscribeOptions {
    fn default() -> Self {
        Self { from: StartAt::Saved { or: Start::Live }, acknowledge: Acknowledge::OnNext }
    }
}

/// What comes of a channel, in its order. It is exhaustive: who matches on it decides what a loss means.
#[derive(Debug)]
pub enum Event {
    /// A message.
    Message(Delivery),
    /// A message that was sent at most once, and has no place in the order.
    Emitted(Message),
    /// Messages at this place of the order that will not come.
    Lost(Lost),
    /// The log has begun anew, without what it had: what follows stands in another order than what came before.
    Reset {
        /// The log's new life.
        epoch: Epoch,
        /// What was lost with the old one.
        lost: Lost,
    },
    /// What follows comes as it is committed.
    CaughtUp {
        /// The last entry so far.
        offset: Offset,
    },
    /// The subscription is over, and not by the application's wish. Nothing follows.
    Ended(SubscribeError),
}

/// A message of a channel.
#[derive(Debug)]
pub struct Delivery {
    /// The channel.
    pub channel: ByteString,
    /// The life of the log.
    pub epoch: Epoch,
    /// The message's place in it.
    pub offset: Offset,
    /// What it says.
    pub message: Message,
    commands: Commands,
}

impl Delivery {
    /// Its place in the channel. To subscribe [after](Start::After) it goes on behind it, so that whoever keeps it together with
    /// the message's effect applies each message once.
    #[must_use]
    pub fn position(&self) -> Position {
        Position { epoch: self.epoch, offset: self.offset }
    }

    /// The application is done with this message, and with all before it.
    pub fn processed(&self) {
        let processed = Some(self.position());
        let charge = Charge::default();
        self.commands.send(Command::Taken { channel: self.channel.clone(), charge, processed });
    }
}

/// What the driver passes on to a subscription.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) content: Content,
    pub(super) charge: Charge,
}

#[derive(Debug)]
pub(super) enum Content {
    Message {
        position: Position,
        message: Message,
    },
    Emitted(Message),
    Lost {
        position: Position,
        lost: Lost,
    },
    Reset {
        position: Position,
        lost: Lost,
    },
    /// Nothing for the application, but for its cursor.
    Passed(Position),
    CaughtUp(Offset),
    Ended(SubscribeError),
}

/// Messages sent at most once that may wait in a subscription. More are dropped.
pub(super) const EMITTED: usize = 64;

/// What comes of a channel. Dropping it ends it.
///
/// It is a [`Stream`] too.
#[derive(Debug)]
pub struct Subscription {
    channel: ByteString,
    acknowledge: Acknowledge,
    items: mpsc::UnboundedReceiver<Item>,
    emitted: Arc<AtomicUsize>,
    commands: Commands,
    id: u64,
    /// The position of what was given out last.
    current: Option<Position>,
    /// What the driver is not told yet.
    taken: Charge,
    processed: Option<Position>,
}

/// After so many messages, or bytes, the driver is told although more wait.
const BATCH: Cost = Cost { messages: 32, bytes: 64 << 10 };

impl Subscription {
    pub(super) fn new(
        id: u64,
        channel: ByteString,
        acknowledge: Acknowledge,
        items: mpsc::UnboundedReceiver<Item>,
        emitted: Arc<AtomicUsize>,
        commands: Commands,
    ) -> Self {
        Self {
            channel,
            acknowledge,
            items,
            emitted,
            commands,
            id,
            current: None,
            taken: Charge::default(),
            processed: None,
        }
    }

    /// The channel's name.
    #[must_use]
    pub fn channel(&self) -> &str {
        &self.channel
    }

    /// The next event; `None` once the client was closed, or after [`Event::Ended`]. It may be dropped and called again.
    ///
    /// Unless acknowledgement is [manual](Acknowledge::Manually), the event before counts as processed now.
    pub async fn next(&mut self) -> Option<Event> {
        std::future::poll_fn(|cx| self.poll_event(cx)).await
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        self.processed = self.current.take().or(self.processed);
        loop {
            let item = match self.items.poll_recv(cx) {
                Poll::Ready(Some(item)) => item,
                Poll::Ready(None) => {
                    self.tell();
                    return Poll::Ready(None);
                }
                Poll::Pending => {
                    self.tell();
                    return Poll::Pending;
                }
            };
            self.take(item.charge);
            if let Some(event) = self.event(item.content) {
                return Poll::Ready(Some(event));
            }
        }
    }

    fn event(&mut self, content: Content) -> Option<Event> {
        Some(match content {
            Content::Message { position, message } => {
                if self.acknowledge == Acknowledge::OnNext {
                    self.current = Some(position);
                }
                Event::Message(Delivery {
                    channel: self.channel.clone(),
                    epoch: position.epoch,
                    offset: position.offset,
                    message,
                    commands: self.commands.clone(),
                })
            }
            Content::Emitted(message) => {
                self.emitted.fetch_sub(1, Ordering::Relaxed);
                Event::Emitted(message)
            }
            Content::Lost { position, lost } => {
                self.told(position);
                Event::Lost(lost)
            }
            Content::Reset { position, lost } => {
                self.told(position);
                Event::Reset { epoch: position.epoch, lost }
            }
            Content::Passed(position) => {
                // Whoever asks for what comes behind it is done with what came before it.
                if self.acknowledge == Acknowledge::OnNext {
                    self.processed = Some(position);
                }
                return None;
            }
            Content::CaughtUp(offset) => Event::CaughtUp { offset },
            Content::Ended(error) => Event::Ended(error),
        })
    }

    /// What is no message is processed with the messages before it: with manual acknowledgement, the next one tells.
    fn told(&mut self, position: Position) {
        if self.acknowledge == Acknowledge::OnNext {
            self.current = Some(position);
        }
    }

    fn take(&mut self, charge: Charge) {
        if charge.session != self.taken.session {
            self.tell();
            self.taken.session = charge.session;
        }
        self.taken.cost = self.taken.cost + charge.cost;
        if self.taken.cost.messages >= BATCH.messages || self.taken.cost.bytes >= BATCH.bytes {
            self.tell();
        }
    }

    fn tell(&mut self) {
        let session = self.taken.session;
        let charge = std::mem::replace(&mut self.taken, Charge { session, cost: Cost::default() });
        let processed = self.processed.take();
        if charge.cost != Cost::default() || processed.is_some() {
            self.commands.send(Command::Taken { channel: self.channel.clone(), charge, processed });
        }
    }
}

impl Stream for Subscription {
    type Item = Event;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        self.get_mut().poll_event(cx)
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        // What the application did not take is not owed to it any more.
        self.items.close();
        while let Ok(item) = self.items.try_recv() {
            self.take(item.charge);
        }
        self.tell();
        self.commands.send(Command::Unsubscribe { channel: self.channel.clone(), id: self.id });
    }
}
