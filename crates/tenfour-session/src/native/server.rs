//! The server's side of a connection.

mod event;
mod revoke;

pub use event::{ResumeClaim, ServerEvent};

use super::{
    Closed, Config, Cost, Input, Publication, Receipt, Rejection, RequestId, SendError, Subscription,
    Transmit, Transport,
    calls::calls,
    link::{Duplex, Link, Side, take_bytes},
    outgoing::{self, Outgoing},
    requests::Requests,
    state::State,
    translate::{
        credit_to_wire, loss_to_wire, millis, millis_u32, producer_from_wire, receipt_to_wire,
        rejection_to_wire, start_from_wire, subscription_to_wire,
    },
};
use crate::events::EventQueue;
use alloc::{boxed::Box, sync::Arc, vec::Vec};
use bytestring::ByteString;
use core::time::Duration;
use tenfour_delivery::{
    loss::{Lost, Skip},
    number::{Epoch, Generation, Offset, Sequence},
    resume::{Claim, Session},
    time::Instant,
};
use tenfour_wire::native::{
    self as wire, ChannelOffset, CloseCode, Frame, GoAway, Hello, Message, Outcome, Refusal, Reliable,
    SharedMessage, Target, Token, Welcome,
};

/// The server's side of one connection.
///
/// Drive it like this: pass what happens to [`handle_input`](Self::handle_input), and time to
/// [`handle_timeout`](Self::handle_timeout) no later than [`poll_timeout`](Self::poll_timeout) says. After any call empty
/// [`poll_event`](Self::poll_event), and then [`poll_transmit`](Self::poll_transmit). What belongs to the session
/// and not to the connection is taken out with [`take_journal`](Self::take_journal) and given to the next connection with
/// [`resume`](Self::resume).
#[derive(Clone, Debug, Hash)]
pub struct ServerSession {
    pub(super) link: Link,
    events: EventQueue<ServerEvent>,
    /// What the client said, until it is answered; on a pipe that may lose the answer, for longer.
    hello: Option<Box<Hello>>,
    session: Option<Standing>,
    requests: Requests,
}

/// What every connection of a session is told alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Standing {
    epoch: Epoch,
    dedup_window: Option<Duration>,
}

/// What survives a connection on the server's side: what the client has not acknowledged, what has come of it, and the
/// credit of both.
#[derive(Clone, Debug, Hash)]
pub struct ServerJournal(Box<Kept>);

#[derive(Clone, Debug, Hash)]
struct Kept {
    duplex: Duplex,
    standing: Standing,
    requests: Requests,
}

/// How a client is let in with a new session.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Welcomed {
    /// What the client resumes with next time.
    pub token: Token,
    /// Which connection of the session this is.
    pub generation: Generation,
    /// The epoch of the namespace's log.
    pub epoch: Epoch,
    /// How long a repeated publication is recognised; `None` for no promise.
    pub dedup_window: Option<Duration>,
    /// Whether the client had a session.
    pub beginning: Beginning,
}

/// Why a session begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Beginning {
    /// The client had none.
    Fresh,
    /// The one that it had is gone.
    Rebased,
}

/// A session cannot go on exactly: [`welcome`](ServerSession::welcome) the client as [`Beginning::Rebased`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum ResumeError {
    /// The client does not wait for a decision, or has not asked for a session to go on.
    #[error("the client has not asked for this; welcome it, or drop the journal")]
    NotAsked,
    /// One side no longer holds what the other needs.
    #[error("one side no longer holds what the other needs; welcome the client as rebased")]
    Gap,
    /// What is held has no room in the frames of this connection: the client takes smaller ones than it did, or its datagrams
    /// are smaller.
    #[error("what is held has no room in the new connection's frames; welcome the client as rebased")]
    TooNarrow,
    /// The client claims to have received what was never sent.
    #[error("the client claims to have received what was never sent; reject it or welcome it as rebased")]
    FromFuture,
}

/// A message of a channel, for one subscriber.
#[derive(Clone, Copy, Debug)]
pub struct Delivery<'a> {
    /// The channel's number, as [`Subscription::channel`] told it.
    pub channel: u32,
    /// The channel's entry before this one.
    pub previous: Offset,
    /// The entry's place; behind `previous`.
    pub offset: Offset,
    /// From when on it must not be delivered: then its loss is told in its place.
    pub expires: Option<Instant>,
    /// What it says, encoded once for all subscribers.
    pub message: &'a SharedMessage,
}

calls!(ServerSession, ServerEvent);

impl ServerSession {
    /// The server's side of a connection that has just been opened.
    #[must_use]
    pub fn new(config: Arc<Config>, transport: Transport, now: Instant) -> Self {
        let mut link = Link::new(config, transport, now);
        link.expect_hello();
        Self { link, events: EventQueue::new(), hello: None, session: None, requests: Requests::default() }
    }

    /// Lets the client in with a new session. It does nothing unless the client waits for a decision.
    pub fn welcome(&mut self, now: Instant, welcomed: &Welcomed) {
        if !self.is_deciding() {
            return;
        }
        let outcome = match welcomed.beginning {
            Beginning::Fresh => Outcome::Fresh,
            Beginning::Rebased => Outcome::Rebased,
        };
        let standing = Standing { epoch: welcomed.epoch, dedup_window: welcomed.dedup_window };
        self.open(now, standing, welcomed.token, welcomed.generation, outcome);
    }

    /// Lets the client in with the session that it had: all that it has not received is sent again.
    ///
    /// # Errors
    /// The journal comes back if the session cannot go on exactly.
    pub fn resume(
        &mut self,
        now: Instant,
        journal: ServerJournal,
        token: Token,
        generation: Generation,
    ) -> Result<(), (ServerJournal, ResumeError)> {
        let asked = self.hello.as_ref().filter(|_| self.is_deciding());
        let asked = asked.and_then(|hello| Some((hello.max_frame_bytes, claim_of(hello.resume.as_ref()?))));
        let Some((frame_bytes, claim)) = asked else { return Err((journal, ResumeError::NotAsked)) };
        let Claim { next, first_held } = journal.0.duplex.claim();
        match journal.0.duplex.decide(&claim) {
            Session::Exact { .. } if !self.link.can_carry(&journal.0.duplex, frame_bytes) => {
                Err((journal, ResumeError::TooNarrow))
            }
            Session::Exact { retransmit_from } => {
                let Kept { duplex, standing, requests } = *journal.0;
                self.link.resume(duplex, retransmit_from);
                self.requests = requests;
                let outcome = Outcome::Exact { next: next.get(), first_held: first_held.get() };
                self.open(now, standing, token, generation, outcome);
                Ok(())
            }
            Session::Gap { .. } => Err((journal, ResumeError::Gap)),
            Session::FromFuture { .. } => Err((journal, ResumeError::FromFuture)),
        }
    }

    /// Does not let the client in. It does nothing unless the client waits for a decision.
    pub fn reject(&mut self, now: Instant, rejection: Rejection) {
        if self.is_deciding() {
            let code = rejection.code;
            self.link.greet(Frame::Reject(rejection_to_wire(rejection)), None);
            self.link.close_greeted(now, Closed::Local(code));
            self.settle(now);
        }
    }

    /// Whether the client has shown that it was let in: it has the token that it was given, and needs no older one.
    #[must_use]
    pub fn is_confirmed(&self) -> bool {
        self.link.is_answered
    }

    fn is_deciding(&self) -> bool {
        matches!(self.link.state, State::Deciding { .. })
    }

    fn open(
        &mut self,
        now: Instant,
        standing: Standing,
        token: Token,
        generation: Generation,
        outcome: Outcome,
    ) {
        let Some(hello) = &self.hello else { return };
        let is_rebased = hello.resume.is_some() && !matches!(outcome, Outcome::Exact { .. });
        // The credit in a HELLO with a claim is of the session that is claimed.
        let credit = if is_rebased { wire::Credit::default() } else { hello.credit };
        let frame_bytes = hello.max_frame_bytes;
        let config = &self.link.config;
        let welcome = Welcome {
            version: wire::VERSION,
            features: 0,
            max_frame_bytes: config.limits.frame_bytes as u64,
            token,
            generation: generation.get(),
            epoch: standing.epoch.get(),
            outcome,
            credit: credit_to_wire(self.link.duplex.grant()),
            heartbeat_ms: millis_u32(config.heartbeat),
            dedup_window_ms: standing.dedup_window.map_or(0, millis),
            fields: Vec::new(),
        };
        self.link.greet(Frame::Welcome(welcome), None);
        self.link.open(now, frame_bytes, credit);
        if self.link.transport == Transport::Stream {
            self.hello = None;
        }
        self.session = Some(standing);
        self.settle(now);
    }

    /// Answers [`ServerEvent::Subscribe`]. Where the window is full, the answer waits, and nothing new goes before it.
    pub fn subscribed(&mut self, now: Instant, request: RequestId, outcome: Result<Subscription, Refusal>) {
        if let Ok(subscription) = &outcome {
            self.link.duplex.set_end(subscription.channel, subscription.after);
        }
        let outcome = outcome.map(subscription_to_wire);
        self.answer(now, Reliable::Subscribed(wire::Subscribed { request: request.0, outcome }));
    }

    /// Answers [`ServerEvent::Unsubscribe`], or ends a subscription with a reason.
    pub fn unsubscribed(&mut self, now: Instant, channel: u32, refusal: Option<Refusal>) {
        self.link.duplex.forget_end(channel);
        self.answer(now, Reliable::Unsubscribed(wire::Unsubscribed { channel, refusal }));
    }

    /// Answers [`ServerEvent::Publish`].
    pub fn published(&mut self, now: Instant, publish: Sequence, result: Result<Receipt, Refusal>) {
        let result = result.map(receipt_to_wire);
        self.answer(now, Reliable::Published(wire::Published { publish: publish.get(), result }));
    }

    /// Answers [`ServerEvent::Request`]. A text that says why there is no answer is cut to
    /// [`Limits::text_bytes`](wire::Limits::text_bytes).
    ///
    /// # Errors
    /// [`SendError::TooLarge`] and [`SendError::TooMuchWaits`]: the client then gets an error that says so, as the one answer to
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

    fn answer(&mut self, now: Instant, body: Reliable) {
        // It has room in every frame; a session that is over needs no answers.
        _ = self.link.enqueue(Outgoing::frame(body));
        self.settle(now);
    }

    /// Sends a message of a channel. The entry before it need not have been sent: it is named, so that the client sees a gap.
    ///
    /// # Errors
    /// [`SendError::Full`], until [`ServerEvent::Writable`]; [`SendError::TooLarge`].
    pub fn deliver(&mut self, now: Instant, delivery: Delivery<'_>) -> Result<(), SendError> {
        let Delivery { channel, previous, offset, expires, message } = delivery;
        let frame = outgoing::Delivery {
            channel,
            chained: self.link.duplex.end(channel) == Some(previous),
            previous: previous.get(),
            advance: offset.get().saturating_sub(previous.get()),
            message: message.clone(),
        };
        self.link.push(Outgoing::Deliver(frame), expires)?;
        self.link.duplex.set_end(channel, offset);
        self.settle(now);
        Ok(())
    }

    /// Tells of a loss, in its place.
    ///
    /// # Errors
    /// As of [`deliver`](Self::deliver).
    pub fn lost(&mut self, now: Instant, channel: u32, lost: &Lost) -> Result<(), SendError> {
        let loss = loss_to_wire(*lost);
        self.push(now, Reliable::Lost(wire::Lost { channel, charge: 0, loss }))?;
        self.link.duplex.set_end(channel, lost.range.through);
        Ok(())
    }

    /// Tells of a range in which nothing was owed, in its place.
    ///
    /// # Errors
    /// As of [`deliver`](Self::deliver).
    pub fn skip(&mut self, now: Instant, channel: u32, skip: Skip) -> Result<(), SendError> {
        let (after, through) = (skip.range.after.get(), skip.range.through.get());
        self.push(now, Reliable::Skip(wire::Skip { channel, after, through }))?;
        self.link.duplex.set_end(channel, skip.range.through);
        Ok(())
    }

    /// Tells that what follows in a channel is live.
    ///
    /// # Errors
    /// As of [`deliver`](Self::deliver).
    pub fn caught_up(&mut self, now: Instant, channel: u32, offset: Offset) -> Result<(), SendError> {
        self.push(now, Reliable::CaughtUp(wire::CaughtUp { channel, offset: offset.get() }))
    }

    /// Asks the client's application. [`ServerEvent::Reply`] brings its answer, once.
    ///
    /// # Errors
    /// As of [`deliver`](Self::deliver), and [`SendError::TooManyUnanswered`].
    pub fn request(&mut self, now: Instant, message: Message) -> Result<RequestId, SendError> {
        let request = self.requests.ask(&mut self.link, message)?;
        self.settle(now);
        Ok(request)
    }

    fn push(&mut self, now: Instant, body: Reliable) -> Result<(), SendError> {
        self.link.push(Outgoing::frame(body), None)?;
        self.settle(now);
        Ok(())
    }

    /// Sends a message at most once. Says whether it was queued; what is dropped is counted.
    pub fn emit(&mut self, target: Target, message: &SharedMessage) -> bool {
        self.link.emit(target, message)
    }

    /// Where channels end now, to go with the next ping: a client that has not got there is told so.
    pub fn heads(&mut self, heads: &[(u32, Offset)]) {
        heads.iter().for_each(|&(channel, head)| self.link.head(channel, head));
    }

    /// Asks the client to connect anew within `drain`, at a moment of its own within `jitter`.
    pub fn go_away(&mut self, drain: Duration, jitter: Duration) {
        self.link.go_away(GoAway { drain_ms: millis_u32(drain), jitter_ms: millis_u32(jitter) });
    }

    /// Takes out what the next connection goes on with; `None` if the client was never let in, or it was taken before. The
    /// session is over then: what comes is ignored, and nothing goes out but the goodbye if one waits. Take the events that
    /// wait: the client counts on their having been received.
    pub fn take_journal(&mut self) -> Option<ServerJournal> {
        let standing = self.session.take()?;
        let duplex = self.link.fence();
        Some(ServerJournal(Box::new(Kept {
            duplex,
            standing,
            requests: core::mem::take(&mut self.requests),
        })))
    }

    fn settle(&mut self, now: Instant) {
        if self.link.settle(now) {
            self.events.push(ServerEvent::Writable);
        }
        if let Some(closed) = self.link.take_ended() {
            self.events.push(ServerEvent::Closed(closed));
        }
    }

    fn handle_hello(&mut self, now: Instant, hello: Hello) -> Result<(), CloseCode> {
        match (&self.hello, self.link.state) {
            (_, State::Greeting { .. }) => {}
            _ if self.link.transport == Transport::Stream => return Err(CloseCode::ProtocolError),
            // The answer may be lost.
            (Some(first), _) if **first == hello => {
                self.link.greet_again();
                return Ok(());
            }
            // A client that begins anew at the same address: it repeats this until there is a connection for it.
            _ => {
                self.link.cut(Closed::Transport);
                return Ok(());
            }
        }
        let speaks = hello.min_version <= wire::VERSION && wire::VERSION <= hello.max_version;
        let event = ServerEvent::Hello {
            namespace: hello.namespace.clone(),
            credentials: hello.credentials.clone(),
            resume: hello.resume.as_ref().map(|resume| ResumeClaim {
                token: resume.token,
                generation: Generation::new(resume.generation),
                claim: claim_of(resume),
            }),
        };
        self.link.state = State::Deciding { until: now + self.link.config.hello_timeout };
        self.hello = Some(Box::new(hello));
        if speaks {
            self.events.push(event);
        } else {
            let (code, reason) = (CloseCode::UnsupportedVersion, ByteString::new());
            self.reject(now, Rejection { code, retry_after: None, reason });
        }
        Ok(())
    }
}

fn claim_of(resume: &wire::Resume) -> Claim {
    Claim { next: Sequence::new(resume.next), first_held: Sequence::new(resume.first_held) }
}

impl Side for ServerSession {
    fn link(&mut self) -> &mut Link {
        &mut self.link
    }

    fn handle_frame(&mut self, now: Instant, frame: Frame) -> Result<(), CloseCode> {
        match frame {
            Frame::Hello(hello) => self.handle_hello(now, hello),
            Frame::Emit(emit) => {
                self.events.push(ServerEvent::Emit { target: emit.target, message: emit.message });
                Ok(())
            }
            _ => Err(CloseCode::ProtocolError),
        }
    }

    fn handle_numbered(&mut self, now: Instant, sequence: Sequence, body: Reliable) -> Result<(), CloseCode> {
        let event = match body {
            Reliable::Subscribe(subscribe) => ServerEvent::Subscribe {
                request: RequestId(subscribe.request),
                channel: subscribe.channel,
                start: start_from_wire(subscribe.start),
            },
            Reliable::Unsubscribe(unsubscribe) => ServerEvent::Unsubscribe { channel: unsubscribe.channel },
            Reliable::Publish(publish) => ServerEvent::Publish {
                publish: sequence,
                publication: Publication {
                    producer: self.link.resolve_producer(publish.producer)?.map(producer_from_wire),
                    channel: publish.channel,
                    ttl: publish.ttl_ms.map(Duration::from_millis),
                    message: publish.message,
                },
            },
            Reliable::Request(request) => {
                ServerEvent::Request { request: RequestId(request.request), message: request.message }
            }
            Reliable::Reply(reply) => {
                let event = ServerEvent::Reply { request: RequestId(reply.request), result: reply.result };
                if !self.requests.answered(RequestId(reply.request)) {
                    self.link.consume(now, event.cost());
                    return Ok(());
                }
                event
            }
            Reliable::Void { charge } => {
                self.link.consume(now, Cost { messages: 1, bytes: charge });
                return Ok(());
            }
            _ => return Err(CloseCode::ProtocolError),
        };
        self.events.push(event);
        Ok(())
    }

    fn handle_processed(&mut self, processed: Vec<ChannelOffset>) -> Result<(), CloseCode> {
        for ChannelOffset { channel, offset } in processed {
            let offset = Offset::new(offset);
            match self.link.duplex.end(channel) {
                Some(end) if offset > end => return Err(CloseCode::FutureAck),
                Some(_) => self.events.push(ServerEvent::Processed { channel, offset }),
                // It has crossed the subscription's end.
                None => {}
            }
        }
        Ok(())
    }

    /// A client has no channels.
    fn handle_heads(&mut self, _: Vec<ChannelOffset>) {}
}
