//! What the channels have for the sessions, carried to their connections.

use super::{
    Committed, Event, PeerId, Peers, SessionId,
    convert::{subscribe_refusal, to_subscription, to_wire},
    sessions::Sessions,
};
use alloc::collections::{BTreeSet, VecDeque};
use core::time::Duration;
use tenfour_broker::{
    Message,
    channel::{ChannelNumber, Entry, Envelope, Item, Sink, SubscribeError, Subscribed, SubscriberId, Taken},
};
use tenfour_delivery::{
    loss::{Count, Lost, OffsetRange, Reason},
    mutant,
    number::Offset,
    time::{Instant, Now, WallTime},
};
use tenfour_session::native::{self as session, SendError, ServerSession};
use tenfour_wire::native::{SharedMessage, Target};

/// Hands the channels' items to the sessions that are live. One that is parked is as one without room: its
/// subscriptions stand still, and go on when it is back.
///
/// A message is written once, however many sessions it goes to.
pub(super) struct Delivery<'a, P> {
    pub(super) now: Now,
    pub(super) sessions: &'a mut Sessions,
    pub(super) unread: &'a mut BTreeSet<SessionId>,
    pub(super) reread_at: &'a mut Option<Instant>,
    pub(super) reread: Duration,
    pub(super) touched: &'a mut BTreeSet<PeerId>,
    pub(super) events: &'a mut VecDeque<Event>,
    pub(super) peers: &'a mut P,
    pub(super) written: Written,
}

impl<P: Peers> Sink for Delivery<'_, P> {
    fn deliver(&mut self, to: SubscriberId, item: Item<'_>) -> Taken {
        let id = SessionId::from(to);
        let Some(peer) = self.sessions.get(id).and_then(|session| session.peer()) else { return Taken::Full };
        match item {
            Item::Subscribed { channel, outcome, .. } => self.subscribed(id, peer, channel, outcome),
            Item::Message { channel, previous, entry, message } => {
                self.message(peer, channel, previous, entry, message)
            }
            Item::Lost { channel, lost } => {
                self.send(peer, |now, connection| connection.lost(now, channel.get(), &lost))
            }
            Item::Skip { channel, skip } => {
                self.send(peer, |now, connection| connection.skip(now, channel.get(), skip))
            }
            Item::CaughtUp { channel, offset } => {
                self.send(peer, |now, connection| connection.caught_up(now, channel.get(), offset))
            }
            Item::Emitted { channel, message } => {
                let message = self.written.emitted(message);
                self.send(peer, |_, connection| {
                    match connection.emit(Target::Number(channel.get()), &message) {
                        true => Ok(()),
                        false => Err(SendError::Full),
                    }
                })
            }
            Item::Unreadable { .. } => {
                self.unread.insert(id);
                self.reread_at.get_or_insert(self.now.mono + self.reread);
                Taken::Full
            }
            _ => Taken::Yes,
        }
    }

    fn committed(&mut self, entry: &Entry, envelope: Option<&Envelope>) {
        let committed = Committed { entry: entry.clone(), envelope: envelope.cloned() };
        self.events.push_back(Event::Committed(committed));
    }
}

impl<P: Peers> Delivery<'_, P> {
    fn subscribed(
        &mut self,
        id: SessionId,
        peer: PeerId,
        channel: ChannelNumber,
        outcome: Result<Subscribed, SubscribeError>,
    ) -> Taken {
        let Some(session) = self.sessions.get(id) else { return Taken::Full };
        let Some(subscribing) = session.subscriptions.get(&channel) else { return Taken::Full };
        let (request, is_over) = (subscribing.request, outcome.is_err());
        let outcome = outcome
            .map(|subscribed| to_subscription(channel, subscribed))
            .map_err(|error| subscribe_refusal(&error));
        let taken = self.send(peer, |now, connection| {
            // What a connection that is over is told goes nowhere.
            if !connection.is_open() {
                return Err(SendError::Closed);
            }
            connection.subscribed(now, request, outcome);
            Ok(())
        });
        if is_over
            && taken == Taken::Yes
            && let Some(session) = self.sessions.get_mut(id)
        {
            session.subscriptions.remove(&channel);
        }
        taken
    }

    /// A message that the client's connection takes in no case is lost to it, and it is told so. One for which there is no
    /// room now is known to the client with the next ping: it sees that it is behind, though all that was sent has come.
    fn message(
        &mut self,
        peer: PeerId,
        channel: ChannelNumber,
        previous: Offset,
        entry: &Entry,
        message: &Message,
    ) -> Taken {
        let shared = self.written.committed(entry.offset, message);
        let delivery = session::Delivery {
            channel: channel.get(),
            previous,
            offset: entry.offset,
            expires: entry
                .record
                .expires
                .filter(|_| !mutant!(ExpiredDelivered))
                .map(|expires| self.deadline(expires)),
            message: &shared,
        };
        self.send(peer, |now, connection| match connection.deliver(now, delivery) {
            Err(SendError::Full) => {
                connection.heads(&[(channel.get(), entry.offset)]);
                Err(SendError::Full)
            }
            Err(SendError::TooLarge { .. }) => {
                let range = OffsetRange { after: previous, through: entry.offset };
                let lost = Lost { range, count: Count::Exact(1), reason: Reason::SlowConsumer };
                connection.lost(now, channel.get(), &lost)
            }
            taken => taken,
        })
    }

    /// When a calendar time comes, as far as the calendar is right now.
    fn deadline(&self, expires: WallTime) -> Instant {
        let left = expires.as_unix_millis().saturating_sub(self.now.wall.as_unix_millis());
        self.now.mono + Duration::from_millis(left)
    }

    fn send(
        &mut self,
        peer: PeerId,
        act: impl FnOnce(Instant, &mut ServerSession) -> Result<(), SendError>,
    ) -> Taken {
        let now = self.now.mono;
        self.touched.insert(peer);
        match self.peers.with(peer, |connection| act(now, connection)) {
            Some(Ok(())) => Taken::Yes,
            Some(Err(_)) | None => Taken::Full,
        }
    }
}

/// The last message that was written, in the form that all sessions share.
#[derive(Default)]
pub(super) struct Written {
    committed: Option<(Offset, SharedMessage)>,
    emitted: Option<SharedMessage>,
}

impl Written {
    fn committed(&mut self, offset: Offset, message: &Message) -> SharedMessage {
        match &self.committed {
            Some((written, shared)) if *written == offset => shared.clone(),
            _ => {
                let shared = SharedMessage::new(&to_wire(message));
                self.committed = Some((offset, shared.clone()));
                shared
            }
        }
    }

    /// One call emits one message.
    fn emitted(&mut self, message: &Message) -> SharedMessage {
        self.emitted.get_or_insert_with(|| SharedMessage::new(&to_wire(message))).clone()
    }
}
