//! What a client subscribes to and reads, as far as its cursors.

use tenfour_delivery::{
    loss::{self, Reason},
    number::Offset,
    resume::Position,
    time::Instant,
};
use tenfour_session::native::{
    ClientEvent, Decision, Delivered as Message, Start as SessionStart, Subscription,
};
use tenfour_wire::native::RefusalReason;

use super::{Client, channel_id, channel_name};
use crate::sim::{
    ChannelId, ConnectionId, Delivered, Fact, Left, Lost, MessageId, Start, letter::Letter, link::Kind,
};

impl Client {
    /// In a session of its own, the application asks for its channels.
    pub(super) fn begin(&mut self, now: Instant) {
        let Some(connected) = &mut self.connected else { return };
        for (channel, wish) in self.wishes.iter().enumerate() {
            let Some(wish) = wish else { continue };
            let start = match self.memory.cursors[channel] {
                Some(position) => SessionStart::After(position),
                None if *wish == Start::Live => SessionStart::Live,
                None => SessionStart::Earliest,
            };
            // Nothing was sent on this session yet, so there is room.
            _ = connected.session.subscribe(now, &channel_name(channel as ChannelId), start);
        }
    }

    /// Leaves a channel that it reads, or subscribes to one that it does not.
    pub(crate) fn change_subscription(&mut self, now: Instant, channel: ChannelId, facts: &mut Vec<Fact>) {
        let Some(connected) = self.connected.as_mut().filter(|connected| connected.is_welcome) else {
            return;
        };
        let (place, name) = (usize::from(channel), channel_name(channel));
        if self.wishes[place].is_none() && self.leaving & (1 << channel) == 0 {
            self.wishes[place] = Some(Start::Earliest);
            // There are fewer channels than a session may subscribe to, and their names are short.
            _ = connected.session.subscribe(now, &name, SessionStart::Earliest);
        } else if self.memory.cursors[place].take().is_some() {
            connected.session.unsubscribe(now, &name);
            self.leaving |= 1 << channel;
            self.wishes[place] = None;
            self.dirty = true;
            facts.push(Fact::Unsubscribed { by: self.id, channel });
        }
    }

    pub(crate) fn is_reading(&self) -> bool {
        self.connected.is_some() && !self.reading.is_empty()
    }

    /// The application is done with the oldest of what it is reading. Without a connection there is nobody to tell.
    pub(crate) fn read_on(&mut self, now: Instant) {
        let Some(connected) = &mut self.connected else { return };
        if let Some(cost) = self.reading.pop_front() {
            connected.session.consumed(now, cost);
        }
    }

    pub(super) fn read(
        &mut self,
        connection: ConnectionId,
        event: ClientEvent,
        left: Option<Left>,
        facts: &mut Vec<Fact>,
    ) {
        match event {
            ClientEvent::Message(message) => self.deliver(connection, &message, left, facts),
            ClientEvent::Subscribed { channel, subscription } => {
                self.subscribed(&channel, subscription, facts)
            }
            ClientEvent::Unsubscribed { channel, refusal } => {
                let channel = channel_id(&channel);
                let was_leaving = self.leaving & (1 << channel) != 0;
                self.leaving &= !(1 << channel);
                if refusal.is_none() && was_leaving {
                    return;
                }
                if refusal.is_some_and(|refusal| refusal.reason != RefusalReason::Forbidden) {
                    facts.push(Fact::SubscriptionRefused { by: self.id, channel });
                }
                self.wishes[usize::from(channel)] = None;
                self.memory.cursors[usize::from(channel)] = None;
                facts.push(Fact::Unsubscribed { by: self.id, channel });
            }
            ClientEvent::Lost { channel, lost, .. } => self.lose(channel_id(&channel), lost, facts),
            ClientEvent::Skip { channel, skip } => {
                let channel = channel_id(&channel);
                let (after, through) = (skip.range.after.get(), skip.range.through.get());
                facts.push(Fact::Skipped { to: self.id, channel, after, through });
                self.advance(channel, skip.range.through);
            }
            ClientEvent::Emitted { message, .. } => {
                if let Some(Letter::Emit(message)) = Letter::read(&message) {
                    facts.push(Fact::Heard { by: self.id, message });
                }
            }
            ClientEvent::Reply { result: Ok(message), .. } => {
                if let Some(Letter::Request(number)) = Letter::read(&message) {
                    facts.push(Fact::Answered { to: self.id, number });
                }
            }
            _ => {}
        }
    }

    fn deliver(
        &mut self,
        connection: ConnectionId,
        delivered: &Message,
        left: Option<Left>,
        facts: &mut Vec<Fact>,
    ) {
        let message = match Letter::read(&delivered.message) {
            Some(Letter::Publication(message)) => message,
            // No message has this number, so the judge sees that it is none.
            _ => MessageId::MAX,
        };
        let channel = channel_id(&delivered.channel);
        facts.push(Fact::Delivered(Delivered {
            to: self.id,
            connection,
            channel,
            epoch: delivered.epoch.get(),
            offset: delivered.offset.get(),
            message,
            // What was held for an earlier datagram left before the one that let it go.
            left: left.filter(|_| self.kind == Kind::Stream),
        }));
        self.advance(channel, delivered.offset);
    }

    fn subscribed(&mut self, channel: &str, subscription: Subscription, facts: &mut Vec<Fact>) {
        let channel = channel_id(channel);
        let place = usize::from(channel);
        let start = match (self.memory.cursors[place], self.wishes[place]) {
            (Some(position), _) => {
                Start::After { epoch: position.epoch.get(), offset: position.offset.get() }
            }
            (None, wish) => wish.unwrap_or(Start::Live),
        };
        if let Decision::Gap(lost) | Decision::Reset(lost) = subscription.decision {
            self.lose(channel, lost, facts);
        }
        let (epoch, after) = (subscription.epoch, subscription.after);
        facts.push(Fact::Subscribed { by: self.id, channel, start, epoch: epoch.get(), after: after.get() });
        self.memory.cursors[place] = Some(Position { epoch, offset: after });
        self.dirty = true;
    }

    fn lose(&mut self, channel: ChannelId, lost: loss::Lost, facts: &mut Vec<Fact>) {
        facts.push(Fact::Lost(Lost {
            to: self.id,
            channel,
            after: lost.range.after.get(),
            through: lost.range.through.get(),
            count: lost.count,
            reason: lost.reason,
        }));
        if lost.reason != Reason::EpochReset {
            self.advance(channel, lost.range.through);
        }
    }

    fn advance(&mut self, channel: ChannelId, offset: Offset) {
        if let Some(cursor) = &mut self.memory.cursors[usize::from(channel)] {
            cursor.offset = cursor.offset.max(offset);
            self.dirty = true;
        }
    }
}
