//! The client's side of a connection.

mod event;
mod subscriptions;

pub use event::{ClientEvent, Delivered, Resumption, Unanswered, Welcome};

use super::{
    Closed, Config, Cost, Input, Publication, RequestId, SendError, Start, SubscribeError, Transmit,
    Transport,
    calls::calls,
    link::{Duplex, Link, Side, take_bytes},
    outgoing::Outgoing,
    requests::Requests,
    state::State,
    translate::{
        credit_to_wire, loss_from_wire, publication_to_wire, range, receipt_from_wire, rejection_from_wire,
        start_to_wire, subscription_from_wire,
    },
};
use crate::events::EventQueue;
use alloc::{boxed::Box, collections::BTreeSet, sync::Arc, vec::Vec};
use bytes::Bytes;
use bytestring::ByteString;
use core::time::Duration;
use subscriptions::{Left, Subscriptions};
use tenfour_delivery::{
    loss::Skip,
    mutant,
    number::{Epoch, Generation, Offset, Sequence},
    resume::{Claim, Position, Session},
    time::Instant,
};
use tenfour_wire::native::{
    self as wire, ChannelOffset, CloseCode, Frame, GoAway, Message, Outcome, Reject, Reliable, SharedMessage,
    Target, Token,
};

/// The client's side of one connection.
///
/// Drive it as the server's side is driven: see [`ServerSession`](super::ServerSession). Subscriptions, publications and
/// requests may be made at once; they go out when the server has let the client in. What belongs to the session and not
/// to the connection is taken out with [`take_journal`](Self::take_journal) and given to the next connection by
/// [`new`](Self::new).
///
/// A message that does not follow the one before it in its channel is never passed on: the session closes with
/// [`CloseCode::BrokenChain`], and its journal then begins a new session, which subscribes from what was received.
#[derive(Clone, Debug, Hash)]
pub struct ClientSession {
    pub(super) link: Link,
    events: EventQueue<ClientEvent>,
    kept: Box<Kept>,
    /// Whether the journal is still here.
    owned: bool,
}

/// What survives a connection on the client's side: what the server has not acknowledged, what has come of it, the
/// subscriptions with their positions, and the session's token.
#[derive(Clone, Debug, Hash)]
pub struct ClientJournal {
    duplex: Duplex,
    kept: Box<Kept>,
}

#[derive(Clone, Debug, Default, Hash)]
struct Kept {
    /// `None` before the first WELCOME, and where the session cannot go on.
    session: Option<SessionName>,
    subscriptions: Subscriptions,
    /// Publications that have no answer, by their number.
    publications: BTreeSet<Sequence>,
    requests: Requests,
    /// Whether there has been a session: then a new one is not [`Resumption::Fresh`].
    begun: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct SessionName {
    token: Token,
    generation: Generation,
}

impl ClientJournal {
    /// Whether there is a session to go on with. Without one the next connection begins a new session, with the
    /// subscriptions where they were.
    #[must_use]
    pub fn is_resumable(&self) -> bool {
        self.kept.session.is_some()
    }
}

/// What a client says first.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Hello {
    /// What it joins: `/` is the default.
    pub namespace: ByteString,
    /// The application's own token; opaque here.
    pub credentials: Bytes,
}

impl Default for Hello {
    fn default() -> Self {
        Self { namespace: ByteString::from_static("/"), credentials: Bytes::new() }
    }
}

calls!(ClientSession, ClientEvent);

impl ClientSession {
    /// The client's side of a connection that has just been opened, with the journal of the one before.
    #[must_use]
    pub fn new(
        config: Arc<Config>,
        transport: Transport,
        hello: Hello,
        journal: Option<ClientJournal>,
        now: Instant,
    ) -> Self {
        let mut link = Link::new(config, transport, now);
        let kept = match journal {
            Some(ClientJournal { duplex, mut kept }) => {
                // What its datagrams have no room for is not sent again: then the session cannot go on.
                kept.session.take_if(|_| !link.can_carry(&duplex, u64::MAX));
                link.duplex = duplex;
                kept
            }
            None => Box::default(),
        };
        let Claim { next, first_held } = link.duplex.claim();
        let resume = kept.session.map(|session| wire::Resume {
            token: session.token,
            generation: session.generation.get(),
            next: next.get(),
            first_held: first_held.get(),
        });
        if resume.is_none() {
            link.duplex = Duplex::new(&link.config);
        }
        let frame = wire::Hello {
            min_version: wire::VERSION,
            max_version: wire::VERSION,
            features: 0,
            max_frame_bytes: link.config.limits.frame_bytes as u64,
            namespace: hello.namespace,
            credentials: hello.credentials,
            credit: credit_to_wire(link.duplex.grant()),
            resume,
            fields: Vec::new(),
        };
        let repeat = link.greeting_deadline(now);
        link.greet(Frame::Hello(frame), Some(repeat));
        Self { link, events: EventQueue::new(), kept, owned: true }
    }

    /// Subscribes to a channel, now or when the client is let in. One that it is subscribed to goes on as it is.
    ///
    /// # Errors
    /// [`SubscribeError`]; nothing changes then.
    pub fn subscribe(&mut self, now: Instant, channel: &str, start: Start) -> Result<(), SubscribeError> {
        let subscriptions = &mut self.kept.subscriptions;
        let limit = self.link.config.limits.channel_bytes.min(self.link.name_limit());
        if channel.is_empty() || channel.len() > limit {
            return Err(SubscribeError::Name { limit });
        }
        if subscriptions.len() >= self.link.config.subscriptions && !subscriptions.contains(channel) {
            return Err(SubscribeError::TooMany);
        }
        subscriptions.want(channel.into(), start);
        self.settle(now);
        Ok(())
    }

    /// Ends a subscription: no message of the channel comes from here on. [`ClientEvent::Unsubscribed`] follows once the
    /// server knows; nothing does if it never knew of it.
    pub fn unsubscribe(&mut self, now: Instant, channel: &str) {
        if let Left::Ask(number) = self.kept.subscriptions.leave(channel) {
            self.ask_to_leave(number);
        }
        self.settle(now);
    }

    /// Publishes a message. The number that is returned names it in [`ClientEvent::Published`].
    ///
    /// # Errors
    /// [`SendError::Full`], until [`ClientEvent::Writable`]; [`SendError::TooManyUnanswered`]; [`SendError::TooLarge`].
    pub fn publish(&mut self, now: Instant, publication: Publication) -> Result<Sequence, SendError> {
        if self.kept.publications.len() >= self.link.config.unanswered {
            return Err(SendError::TooManyUnanswered);
        }
        let body = Reliable::Publish(publication_to_wire(publication));
        let publish = self.link.push(Outgoing::frame(body), None)?;
        self.kept.publications.insert(publish);
        self.settle(now);
        Ok(publish)
    }

    /// Asks the server's application.
    ///
    /// # Errors
    /// As of [`publish`](Self::publish).
    pub fn request(&mut self, now: Instant, message: Message) -> Result<RequestId, SendError> {
        let request = self.kept.requests.ask(&mut self.link, message)?;
        self.settle(now);
        Ok(request)
    }

    /// Answers [`ClientEvent::Request`]. A text that says why there is no answer is cut to
    /// [`Limits::text_bytes`](wire::Limits::text_bytes).
    ///
    /// # Errors
    /// [`SendError::TooLarge`] and [`SendError::TooMuchWaits`]: the server then gets an error that says so, as the one answer to
    /// its request. [`SendError::Closed`].
    pub fn reply(
        &mut self,
        now: Instant,
        request: RequestId,
        result: Result<Message, ByteString>,
    ) -> Result<(), SendError> {
        let replied = self.link.reply(request, result);
        self.settle(now);
        replied
    }

    /// Sends a message at most once. Says whether it was queued; what is dropped is counted.
    pub fn emit(&mut self, target: Target, message: &SharedMessage) -> bool {
        self.link.emit(target, message)
    }

    /// The application has processed everything of a channel through `offset`. The server learns of it with the next
    /// acknowledgement. What was not received cannot have been processed, and changes nothing.
    pub fn processed(&mut self, now: Instant, channel: &str, offset: Offset) {
        let Some((number, channel)) = self.kept.subscriptions.active(channel) else { return };
        let before = channel.cursor.position();
        if channel.cursor.processed(offset).is_ok() && channel.cursor.position() != before {
            self.link.processed(now, number, offset);
        }
    }

    /// What the application has processed of a channel: to be stored, and to subscribe [from](Start::After) in a new process.
    #[must_use]
    pub fn position(&self, channel: &str) -> Option<Position> {
        self.kept.subscriptions.position(channel)
    }

    /// Leaves the session at the next connection, and begins a new one: every channel is then subscribed to anew, from what
    /// was received, whatever the server believes it has sent.
    pub fn forget_session(&mut self) {
        self.kept.session = None;
    }

    /// Takes out what the next connection goes on with; `None` if it was taken before. The session is over then: what comes
    /// is ignored, and nothing goes out but the goodbye if one waits. Take the events that wait: they do not come again.
    pub fn take_journal(&mut self) -> Option<ClientJournal> {
        if !core::mem::take(&mut self.owned) {
            return None;
        }
        let kept = core::mem::take(&mut self.kept);
        Some(ClientJournal { duplex: self.link.fence(), kept })
    }

    fn settle(&mut self, now: Instant) {
        if self.link.is_open() {
            for (request, channel, start) in self.kept.subscriptions.ask() {
                let start = start_to_wire(start);
                let subscribe = Reliable::Subscribe(wire::Subscribe { request, channel, start });
                // Its size was looked at when it was asked for.
                _ = self.link.enqueue(Outgoing::frame(subscribe));
            }
        }
        if self.link.settle(now) {
            self.events.push(ClientEvent::Writable);
        }
        if let Some(closed) = self.link.take_ended() {
            if closed == Closed::Fault(CloseCode::BrokenChain) {
                self.kept.session = None;
            }
            self.events.push(ClientEvent::Closed(closed));
        }
    }

    fn ask_to_leave(&mut self, channel: u32) {
        let unsubscribe = Reliable::Unsubscribe(wire::Unsubscribe { channel });
        _ = self.link.enqueue(Outgoing::frame(unsubscribe));
    }

    fn handle_welcome(&mut self, now: Instant, welcome: &wire::Welcome) -> Result<(), CloseCode> {
        match self.link.state {
            State::Greeting { .. } => {}
            // It was repeated on the way, or because a repeated HELLO had crossed it.
            _ if self.link.transport != Transport::Stream => return Ok(()),
            _ => return Err(CloseCode::ProtocolError),
        }
        if welcome.version != wire::VERSION {
            return Err(CloseCode::UnsupportedVersion);
        }
        let resumption = self.take_outcome(welcome.outcome)?;
        if resumption == Resumption::Exact && !self.link.can_carry(&self.link.duplex, welcome.max_frame_bytes)
        {
            // The server takes less than it did, and what is held is more: the next connection begins a new session.
            return Err(CloseCode::BrokenChain);
        }
        let generation = Generation::new(welcome.generation);
        self.kept.session = Some(SessionName { token: welcome.token, generation });
        self.kept.begun = true;
        self.link.forget_greeting();
        self.link.set_heartbeat(Duration::from_millis(welcome.heartbeat_ms.into()));
        self.events.push(ClientEvent::Welcomed(Welcome {
            resumption,
            generation,
            epoch: Epoch::new(welcome.epoch),
            dedup_window: (welcome.dedup_window_ms > 0)
                .then(|| Duration::from_millis(welcome.dedup_window_ms)),
        }));
        if resumption == Resumption::Rebased {
            self.rebase();
        }
        self.link.open(now, welcome.max_frame_bytes, welcome.credit);
        self.link.confirm();
        Ok(())
    }

    /// What the server's decision comes to; for a session that goes on, from where.
    fn take_outcome(&mut self, outcome: Outcome) -> Result<Resumption, CloseCode> {
        let Outcome::Exact { next, first_held } = outcome else {
            return Ok(if self.kept.begun { Resumption::Rebased } else { Resumption::Fresh });
        };
        if self.kept.session.is_none() {
            return Err(CloseCode::ProtocolError);
        }
        let claim = Claim { next: Sequence::new(next), first_held: Sequence::new(first_held) };
        match self.link.duplex.decide(&claim) {
            Session::Exact { retransmit_from } => {
                self.link.rewind(retransmit_from);
                Ok(Resumption::Exact)
            }
            Session::FromFuture { .. } => Err(CloseCode::FutureAck),
            Session::Gap { .. } => Err(CloseCode::SequenceGap),
        }
    }

    /// The session is gone, and this is a new one.
    fn rebase(&mut self) {
        self.link.rebase();
        self.kept.subscriptions.rebase();
        let publications = core::mem::take(&mut self.kept.publications);
        let requests = self.kept.requests.abandon();
        let publications = publications.into_iter().map(Unanswered::Publication);
        let unanswered = publications.chain(requests.into_iter().map(Unanswered::Request));
        unanswered.for_each(|unanswered| self.events.push(ClientEvent::Unanswered(unanswered)));
    }

    fn handle_reject(&mut self, reject: Reject) -> Result<(), CloseCode> {
        let State::Greeting { .. } = self.link.state else { return Err(CloseCode::ProtocolError) };
        let closed = Closed::Peer(reject.code);
        self.events.push(ClientEvent::Rejected(rejection_from_wire(reject)));
        self.link.cut(closed);
        Ok(())
    }

    fn handle_subscribed(&mut self, subscribed: wire::Subscribed) -> Result<Option<ClientEvent>, CloseCode> {
        let subscription = match subscribed.outcome {
            Ok(subscription) => subscription_from_wire(subscription),
            Err(refusal) => {
                let channel = self.kept.subscriptions.refused(subscribed.request);
                return Ok(
                    channel.map(|channel| ClientEvent::Unsubscribed { channel, refusal: Some(refusal) })
                );
            }
        };
        let begun = self.kept.subscriptions.begun(subscribed.request, &subscription);
        match begun.map_err(|_| CloseCode::BrokenChain)? {
            None => Ok(None),
            Some((_, true)) => {
                self.ask_to_leave(subscription.channel);
                Ok(None)
            }
            Some((channel, false)) => Ok(Some(ClientEvent::Subscribed { channel, subscription })),
        }
    }

    /// An entry, a loss or a skip, if its channel is wanted.
    fn handle_entry(&mut self, body: Reliable) -> Result<Option<ClientEvent>, CloseCode> {
        let number = match &body {
            Reliable::Deliver(deliver) => deliver.place.channel,
            Reliable::Lost(lost) => lost.channel,
            Reliable::Skip(skip) => skip.channel,
            Reliable::CaughtUp(caught_up) => caught_up.channel,
            _ => return Err(CloseCode::ProtocolError),
        };
        let Some(entry) = self.kept.subscriptions.heard(number) else { return Ok(None) };
        let (channel, cursor) = (entry.name.clone(), &mut entry.cursor);
        let Position { epoch, offset: base } = cursor.received();
        let event = match body {
            Reliable::Deliver(deliver) => {
                let previous = deliver.place.previous.map_or(base, Offset::new);
                let offset = previous.get().checked_add(deliver.place.advance).ok_or(CloseCode::Malformed)?;
                let offset = Offset::new(offset);
                cursor.follow(previous, offset).map_err(|_| CloseCode::BrokenChain)?;
                let message = deliver.message;
                ClientEvent::Message(Delivered { channel, epoch, previous, offset, message })
            }
            Reliable::Lost(wire::Lost { charge, loss, .. }) => {
                let lost = loss_from_wire(loss);
                cursor.lost(&lost).map_err(|_| CloseCode::BrokenChain)?;
                ClientEvent::Lost { channel, epoch, lost, charge }
            }
            Reliable::Skip(wire::Skip { after, through, .. }) => {
                let skip = Skip { range: range(after, through) };
                cursor.skip(skip).map_err(|_| CloseCode::BrokenChain)?;
                ClientEvent::Skip { channel, skip }
            }
            Reliable::CaughtUp(caught_up) => {
                ClientEvent::CaughtUp { channel, offset: Offset::new(caught_up.offset) }
            }
            _ => return Err(CloseCode::ProtocolError),
        };
        Ok(Some(event))
    }
}

impl Side for ClientSession {
    fn link(&mut self) -> &mut Link {
        &mut self.link
    }

    fn handle_frame(&mut self, now: Instant, frame: Frame) -> Result<(), CloseCode> {
        match frame {
            Frame::Welcome(welcome) => self.handle_welcome(now, &welcome),
            Frame::Reject(reject) => self.handle_reject(reject),
            Frame::GoAway(GoAway { drain_ms, jitter_ms }) => {
                let (drain, jitter) = (drain_ms.into(), jitter_ms.into());
                let (drain, jitter) = (Duration::from_millis(drain), Duration::from_millis(jitter));
                self.events.push(ClientEvent::GoAway { drain, jitter });
                Ok(())
            }
            Frame::Emit(emit) => {
                let channel = match emit.target {
                    Target::Peer => None,
                    Target::Name(name) => Some(name),
                    Target::Number(number) => match self.kept.subscriptions.heard(number) {
                        Some(channel) => {
                            if mutant!(EmitMovesCursor) {
                                let Position { offset, .. } = channel.cursor.received();
                                let skip = Skip { range: range(offset.get(), offset.get() + 1) };
                                _ = channel.cursor.skip(skip);
                            }
                            Some(channel.name.clone())
                        }
                        // It has overtaken the subscription, or come behind its end.
                        None => return Ok(()),
                    },
                };
                self.events.push(ClientEvent::Emitted { channel, message: emit.message });
                Ok(())
            }
            _ => Err(CloseCode::ProtocolError),
        }
    }

    fn handle_numbered(&mut self, now: Instant, _: Sequence, body: Reliable) -> Result<(), CloseCode> {
        let charge = super::outgoing::charge(&body);
        let event = match body {
            Reliable::Subscribed(subscribed) => self.handle_subscribed(subscribed)?,
            Reliable::Unsubscribed(wire::Unsubscribed { channel, refusal }) => {
                let channel = self.kept.subscriptions.ended(channel);
                channel.map(|channel| ClientEvent::Unsubscribed { channel, refusal })
            }
            Reliable::Published(wire::Published { publish, result }) => {
                let publish = Sequence::new(publish);
                let waits = self.kept.publications.remove(&publish);
                let result = result.map(receipt_from_wire);
                waits.then_some(ClientEvent::Published { publish, result })
            }
            Reliable::Request(wire::Request { request, message }) => {
                Some(ClientEvent::Request { request: RequestId(request), message })
            }
            Reliable::Reply(wire::Reply { request, result }) => {
                let request = RequestId(request);
                self.kept.requests.answered(request).then_some(ClientEvent::Reply { request, result })
            }
            Reliable::Void { .. } => None,
            body => self.handle_entry(body)?,
        };
        match event {
            Some(event) => self.events.push(event),
            None => self.link.consume(now, Cost { messages: 1, bytes: charge as u64 }),
        }
        Ok(())
    }

    /// Positions are the client's to tell.
    fn handle_processed(&mut self, _: Vec<ChannelOffset>) -> Result<(), CloseCode> {
        Ok(())
    }

    /// A head that the client has not reached may only be slow to come: what to do is the application's to say.
    fn handle_heads(&mut self, heads: Vec<ChannelOffset>) {
        for ChannelOffset { channel, offset } in heads {
            let Some(behind) = self.kept.subscriptions.heard(channel) else { continue };
            let (received, head) = (behind.cursor.received().offset, Offset::new(offset));
            if received < head {
                self.events.push(ClientEvent::Behind { channel: behind.name.clone(), received, head });
            }
        }
    }
}
