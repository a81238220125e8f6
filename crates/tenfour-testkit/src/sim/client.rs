//! An application on the native protocol, with its disk.

use core::time::Duration;
use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;
use bytestring::ByteString;
use tenfour_delivery::{
    entry,
    loss::Reason,
    mutant,
    number::{Offset, ProducerEpoch, ProducerId, ProducerSequence, Sequence},
    resume::Position,
    time::Instant,
};
use tenfour_session::native::{
    ClientEvent, ClientJournal, ClientSession, Closed, Config, Cost, Decision, Delivered as Message, Hello,
    Input, Publication, Receipt, Resumption, Start as SessionStart, Subscription, Transmit, Transport,
};
use tenfour_wire::native::{CloseCode, Refusal, RefusalReason, SharedMessage, Target};

use super::{
    ChannelId, ClientId, ConnectionId, Delivered, Fact, Left, Lost, MessageId, ProtocolFault, Start,
    letter::Letter, link::Kind,
};

/// A client's process, and the disk that outlives it.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Client {
    pub(crate) id: ClientId,
    pub(crate) kind: Kind,
    /// Which of its processes this is: what was meant for an earlier one does not concern it.
    pub(crate) life: u32,
    /// Where it begins in each channel that it has no cursor of; `None` where it does not subscribe.
    wishes: Vec<Option<Start>>,
    disk: Disk,
    /// What is being written, and was not on the disk before.
    writing: Option<Disk>,
    memory: Disk,
    /// Whether anything was changed since the last write began.
    dirty: bool,
    /// How many of the outbox are on the disk, or on their way there and back.
    saved: usize,
    /// What was handed over, and the application is not done with.
    reading: VecDeque<Cost>,
    /// When what was refused is published again.
    pub(crate) retry_at: Option<Instant>,
    /// The server does not know any more what this producer has published: it begins a new life, once of everything else it is
    /// known whether it is in the log.
    begins_anew: bool,
    forged: Vec<(MessageId, Sequence)>,
    connected: Option<Connected>,
    /// The connection on which it learned the token that it has.
    knows: Option<ConnectionId>,
    /// How long it waits next time.
    patience: Duration,
    /// In which epoch of the log its last publication was acknowledged.
    acked_in: u64,
    /// Channels that it has left, and was not told so yet.
    leaving: u64,
    /// What is left of the last connection's session.
    journal: Option<ClientJournal>,
    next_request: u32,
}

/// What a client keeps over its crashes, or would keep. It is written as a whole: cursors and effects are one.
#[derive(Clone, Debug, Default, Hash)]
struct Disk {
    outbox: VecDeque<Outgoing>,
    cursors: Vec<Option<Position>>,
    next_sequence: u64,
    /// The producer's life.
    producer: u32,
    /// The number that comes next in the life before.
    past_sequence: u64,
}

/// A publication without an answer.
#[derive(Clone, Copy, Debug, Hash)]
struct Outgoing {
    message: MessageId,
    channel: ChannelId,
    sequence: u64,
    ttl: Option<Duration>,
    /// Under which number of the session it was sent.
    sent: Option<Sequence>,
    doubt: Doubt,
}

/// What is known of a publication's place in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Doubt {
    /// It is not there.
    Absent,
    /// It was sent, perhaps by an earlier process, and may be there: only under its number can that be found out.
    Open,
    /// The server cannot say.
    Forever,
}

#[derive(Clone, Debug, Hash)]
struct Connected {
    connection: ConnectionId,
    session: Box<ClientSession>,
    is_welcome: bool,
}

/// How long an application waits before it publishes again what was refused.
const RETRY_AFTER: Duration = Duration::from_millis(50);
/// At most, however often it was refused.
const RETRY_MOST: Duration = Duration::from_secs(5);
/// What a producer's identity has besides the client's number.
const PRODUCERS: u128 = 0x10_4000;

impl Client {
    pub(crate) fn new(id: ClientId, kind: Kind, wishes: Vec<Option<Start>>) -> Self {
        let cursors = vec![None; wishes.len()];
        Self {
            id,
            kind,
            life: 0,
            wishes,
            disk: Disk { cursors: cursors.clone(), ..Disk::default() },
            writing: None,
            memory: Disk { cursors, ..Disk::default() },
            dirty: false,
            saved: 0,
            reading: VecDeque::new(),
            retry_at: None,
            begins_anew: false,
            forged: Vec::new(),
            connected: None,
            knows: None,
            patience: RETRY_AFTER,
            acked_in: 0,
            leaving: 0,
            journal: None,
            next_request: 0,
        }
    }

    pub(crate) fn connection(&self) -> Option<ConnectionId> {
        self.connected.as_ref().map(|connected| connected.connection)
    }

    pub(crate) fn is_welcome(&self) -> bool {
        self.connected.as_ref().is_some_and(|connected| connected.is_welcome)
    }

    /// Whether it has a session that it may go on with.
    pub(crate) fn claims(&self) -> bool {
        self.journal.as_ref().is_some_and(ClientJournal::is_resumable)
    }

    pub(crate) fn knows(&self) -> Option<ConnectionId> {
        self.knows.filter(|_| self.claims())
    }

    /// Whether it waits for nothing.
    pub(crate) fn is_settled(&self) -> bool {
        self.memory.outbox.is_empty()
            && self.forged.is_empty()
            && self.is_welcome()
            && self.reading.is_empty()
    }

    pub(crate) fn is_reading(&self) -> bool {
        self.connected.is_some() && !self.reading.is_empty()
    }

    pub(crate) fn wants_to_write(&self) -> bool {
        self.dirty && self.writing.is_none()
    }

    pub(crate) fn unanswered(&self) -> usize {
        self.memory.outbox.len()
    }

    /// Begins a connection, with the session of the one before if there is one to go on with.
    pub(crate) fn connect(&mut self, now: Instant, connection: ConnectionId, config: &Arc<Config>) {
        let transport = transport(self.kind);
        let hello = hello(self.id);
        let session =
            Box::new(ClientSession::new(config.clone(), transport, hello, self.journal.take(), now));
        self.connected = Some(Connected { connection, session, is_welcome: false });
    }

    /// Lets go of a connection that may be well, to begin another one.
    pub(crate) fn drop_connection(&mut self) {
        if let Some(mut connected) = self.connected.take() {
            self.journal = connected.session.take_journal();
        }
    }

    pub(crate) fn handle_input(
        &mut self,
        now: Instant,
        input: Input,
        left: Option<Left>,
        facts: &mut Vec<Fact>,
    ) {
        if let Some(connected) = &mut self.connected {
            connected.session.handle_input(now, input);
            self.drive(now, left, facts);
        }
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant, facts: &mut Vec<Fact>) {
        if let Some(connected) = &mut self.connected {
            connected.session.handle_timeout(now);
            self.drive(now, None, facts);
        }
        if self.retry_at.is_some_and(|at| now.has_reached(at)) {
            self.retry_at = None;
            self.send(now);
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let session = self.connected.as_ref().and_then(|connected| connected.session.poll_timeout());
        match (session, self.retry_at) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        }
    }

    pub(crate) fn poll_transmit(&mut self, now: Instant) -> Option<Transmit> {
        self.connected.as_mut()?.session.poll_transmit(now)
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

    /// Sends something at most once; `false` where it cannot.
    pub(crate) fn emit(&mut self, message: MessageId, channel: ChannelId) -> bool {
        let Some(connected) = self.connected.as_mut().filter(|connected| connected.is_welcome) else {
            return false;
        };
        connected
            .session
            .emit(Target::Name(channel_name(channel)), &SharedMessage::new(&Letter::Emit(message).write()))
    }

    /// Asks the server's application.
    pub(crate) fn request(&mut self, now: Instant) {
        let Some(connected) = self.connected.as_mut().filter(|connected| connected.is_welcome) else {
            return;
        };
        let letter = Letter::Request(self.next_request);
        if connected.session.request(now, letter.write()).is_ok() {
            self.next_request += 1;
        }
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

    /// The application is done with the oldest of what it is reading. Without a connection there is nobody to tell.
    pub(crate) fn read_on(&mut self, now: Instant) {
        let Some(connected) = &mut self.connected else { return };
        if let Some(cost) = self.reading.pop_front() {
            connected.session.consumed(now, cost);
        }
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

    fn unsend(&mut self) {
        for outgoing in &mut self.memory.outbox {
            outgoing.sent = None;
        }
    }

    /// Publishes what is on the disk and not on its way, in order.
    fn send(&mut self, now: Instant) {
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

    fn drive(&mut self, now: Instant, left: Option<Left>, facts: &mut Vec<Fact>) {
        while let Some(connected) = &mut self.connected {
            let Some(event) = connected.session.poll_event() else { return };
            let connection = connected.connection;
            self.reading.extend(Some(event.cost()).filter(|cost| *cost != Cost::default()));
            match event {
                ClientEvent::Welcomed(welcome) => {
                    connected.is_welcome = true;
                    self.knows = Some(connection);
                    let resumed = welcome.resumption == Resumption::Exact;
                    facts.push(Fact::Welcomed { connection, resumed, within: None });
                    if !resumed {
                        self.forget_session(facts);
                    }
                    if welcome.resumption == Resumption::Fresh {
                        self.begin(now);
                    }
                    self.send(now);
                }
                ClientEvent::Rejected(_) => facts.push(Fact::Refused { connection }),
                ClientEvent::Published { publish, result } => self.published(now, publish, result, facts),
                ClientEvent::Writable => self.send(now),
                ClientEvent::Closed(closed) => self.closed(closed, facts),
                other => self.read(connection, other, left, facts),
            }
        }
    }

    /// In a session of its own, the application asks for its channels.
    fn begin(&mut self, now: Instant) {
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

    fn published(
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

    /// What was sent and not answered will not be, and what was read is not counted any more. Numbers begin anew, so this
    /// comes before anything is sent.
    fn forget_session(&mut self, facts: &mut Vec<Fact>) {
        self.unsend();
        self.reading.clear();
        facts.extend(self.forged.drain(..).map(|(message, _)| Fact::Forgotten { message }));
    }

    /// A session that is gone for good is not asked for again.
    fn closed(&mut self, closed: Closed, facts: &mut Vec<Fact>) {
        let Some(mut connected) = self.connected.take() else { return };
        let connection = connected.connection;
        let fault = match closed {
            Closed::Fault(CloseCode::BrokenChain) => Some(ProtocolFault::BrokenChain),
            Closed::Fault(CloseCode::SequenceGap) => Some(ProtocolFault::SequenceGap),
            Closed::Fault(code) if code.is_final() => Some(ProtocolFault::Other),
            _ => None,
        };
        facts.extend(fault.map(|fault| Fact::Faulted { connection, fault }));
        self.journal = connected.session.take_journal().filter(|_| !closed.is_final());
    }

    fn read(
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

    fn lose(&mut self, channel: ChannelId, lost: tenfour_delivery::loss::Lost, facts: &mut Vec<Fact>) {
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

/// Who a client says that it is. The world's server believes it.
pub(crate) fn hello(client: ClientId) -> Hello {
    Hello { namespace: ByteString::from_static("/"), credentials: Bytes::copy_from_slice(&[client]) }
}

pub(crate) const fn transport(kind: Kind) -> Transport {
    match kind {
        Kind::Datagram => Transport::Datagram { mtu: 1_200 },
        Kind::Stream | Kind::Messages => Transport::Stream,
    }
}

const CHANNELS: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];

pub(crate) fn channel_name(channel: ChannelId) -> ByteString {
    ByteString::from_static(CHANNELS[usize::from(channel)])
}

pub(crate) fn channel_id(name: &str) -> ChannelId {
    name.bytes().next().map_or(0, |first| first.wrapping_sub(b'a'))
}
