//! What both sides of a connection do alike: numbers, acknowledgements, credit, pings, and their way to the transport.

mod backlog;
mod duplex;
mod receive;
mod send;

pub(super) use {
    duplex::Duplex,
    receive::{Side, take_bytes},
};

use super::{
    Closed, Config, Cost, RequestId, SendError, Transport,
    acks::Acks,
    liveness::{Beat, Liveness},
    outgoing::{HEAD_BYTES, LastProducer, Outgoing},
    state::State,
    translate::credit_from_wire,
    writer::Writer,
};
use alloc::{boxed::Box, collections::BTreeMap, format, sync::Arc, vec::Vec};
use bytestring::ByteString;
use core::time::Duration;
use tenfour_delivery::{
    at_most_once::{Pushed, Queue},
    dedup::bitmap::Bitmap,
    mutant,
    number::{Offset, Sequence},
    probe::{self, Probe},
    time::{Instant, earliest},
    window::Cause,
};
use tenfour_wire::native::{
    ChannelOffset, Close, CloseCode, Credit, Decoder, Frame, GoAway, Limits, Message, Reliable, Reply,
    SharedMessage, Target,
};

/// One connection of a session, but for what only one side says.
#[derive(Clone, Debug, Hash)]
pub(super) struct Link {
    pub(super) config: Arc<Config>,
    pub(super) transport: Transport,
    pub(super) state: State,
    pub(super) duplex: Duplex,
    acks: Acks,
    liveness: Liveness,
    probe: Probe,
    /// Since when nothing is in flight and something waits for credit, on a pipe that may have lost the grant.
    starved: Option<Instant>,
    decoder: Decoder,
    writer: Writer,
    flow: Flow,
    emits: Queue<(Target, SharedMessage)>,
    /// How many were dropped before they were queued.
    unqueued: u64,
    /// Which messages have come that are sent at most once, on a pipe that may repeat them.
    emits_heard: Option<Box<Bitmap>>,
    to_send: ToSend,
    /// The first frame of this side, and when to repeat it.
    greeting: Option<Greeting>,
    /// Whether the peer has said anything since frames flow.
    pub(super) is_answered: bool,
    /// The largest frame that the peer takes, once it has said so.
    frame_bytes: Option<usize>,
    /// The number of the last numbered frame on the stream, or in the datagram.
    heard: Option<Sequence>,
    /// What was not received on an earlier connection: on a stream it does not come twice.
    heard_before: Sequence,
    /// On a stream: the last producer's number that was sent.
    shortening: Option<LastProducer>,
    /// The last producer's number that came.
    heard_producer: LastProducer,
    pings: u64,
    /// The end of the session, until it is reported.
    ended: Option<Closed>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Flow {
    Open,
    Blocked,
}

/// Unnumbered frames to be sent: one of each kind at most, so that no peer can make them pile up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct ToSend {
    ping: bool,
    pong: Option<u64>,
    go_away: Option<GoAway>,
    close: Option<Close>,
    hang_up: bool,
    /// Positions to go with the next acknowledgement.
    processed: BTreeMap<u32, Offset>,
    /// Heads of channels to go with the next ping.
    heads: BTreeMap<u32, Offset>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Greeting {
    frame: Box<Frame>,
    due: bool,
    repeat: Option<Instant>,
}

/// What the head of a numbered frame usually takes.
const FRAME_HEAD_BYTES: u64 = 8;

impl Link {
    pub(super) fn new(config: Arc<Config>, transport: Transport, now: Instant) -> Self {
        Self {
            transport,
            state: State::Greeting { until: now + config.hello_timeout },
            duplex: Duplex::new(&config),
            acks: Acks::default(),
            liveness: Liveness::new(config.heartbeat, config.idle_timeout, now),
            probe: Probe::new(probe::Config { ack_delay: config.ack_delay, ..probe::Config::default() }),
            starved: None,
            decoder: Decoder::new(config.limits),
            writer: Writer::new(transport),
            flow: Flow::Open,
            emits: Queue::new(config.emit),
            unqueued: 0,
            emits_heard: None,
            to_send: ToSend::default(),
            greeting: None,
            is_answered: false,
            frame_bytes: None,
            heard: None,
            heard_before: Sequence::FIRST,
            shortening: (transport == Transport::Stream).then(LastProducer::default),
            heard_producer: LastProducer::default(),
            pings: 0,
            ended: None,
            config,
        }
    }

    /// Takes little of a peer that has not shown who it is, until frames flow.
    pub(super) fn expect_hello(&mut self) {
        let limits = self.config.limits;
        self.decoder.set_limits(Limits { frame_bytes: limits.hello_bytes(), ..limits });
    }

    /// Sends this side's first frame. A client's is repeated on a pipe that may lose it, a server's whenever the client
    /// repeats its own.
    pub(super) fn greet(&mut self, frame: Frame, repeat: Option<Instant>) {
        let repeat = repeat.filter(|_| self.transport != Transport::Stream);
        self.greeting = Some(Greeting { frame: Box::new(frame), due: true, repeat });
    }

    pub(super) fn greet_again(&mut self) {
        if let Some(greeting) = &mut self.greeting {
            greeting.due = true;
        }
    }

    /// When to repeat a HELLO that has no answer: every second or so, so that it gets through where much is lost.
    pub(super) fn greeting_deadline(&self, now: Instant) -> Instant {
        self.probe.deadline(now)
    }

    /// Both sides have decided: frames flow.
    pub(super) fn open(&mut self, now: Instant, peer_frame_bytes: u64, credit: Credit) {
        self.state = State::Open;
        self.decoder.set_limits(self.config.limits);
        self.frame_bytes = Some(usize::try_from(peer_frame_bytes).unwrap_or(usize::MAX));
        self.duplex.window.grant(credit_from_wire(credit));
        self.duplex.drain_backlog();
        self.liveness.heard(now);
    }

    /// Says something at once, so that the peer knows that frames flow.
    pub(super) fn confirm(&mut self) {
        self.acks.hurry();
    }

    pub(super) fn set_heartbeat(&mut self, heartbeat: Duration) {
        self.liveness.set_heartbeat(heartbeat);
    }

    /// The greeting was answered: it is not needed any more.
    pub(super) fn forget_greeting(&mut self) {
        self.greeting = None;
    }

    /// Numbers a frame for the peer.
    pub(super) fn push(&mut self, frame: Outgoing, expires: Option<Instant>) -> Result<Sequence, SendError> {
        self.check_size(&frame)?;
        let bytes = frame.charge();
        self.duplex.push(frame, expires).map_err(|cause| match cause {
            Cause::TooLarge => SendError::TooLarge { bytes, limit: self.config.window.bytes },
            _ => SendError::Full,
        })
    }

    /// Numbers a frame for the peer as soon as there is room.
    pub(super) fn enqueue(&mut self, frame: Outgoing) -> Result<(), SendError> {
        self.check_size(&frame)?;
        self.duplex.enqueue(frame);
        Ok(())
    }

    /// Answers a request of the peer's, with an error if the answer is too large or has no room to wait in.
    pub(super) fn reply(
        &mut self,
        request: RequestId,
        result: Result<Message, ByteString>,
    ) -> Result<(), SendError> {
        let reply = |result| Outgoing::frame(Reliable::Reply(Reply { request: request.0, result }));
        let longest = self.config.limits.text_bytes;
        let frame = reply(result.map_err(|text| shortened(text, longest)));
        let Err(error) = self.check_size(&frame).and_then(|()| self.check_wait(&frame)) else {
            self.duplex.enqueue(frame);
            return Ok(());
        };
        let why = match error {
            SendError::Closed => return Err(error),
            // It takes no memory, however many there are.
            SendError::TooMuchWaits { .. } => {
                ByteString::from_static("too many answers wait for you; take some, and ask again")
            }
            _ => ByteString::from(format!("the answer does not fit: {error}")),
        };
        self.duplex.enqueue(reply(Err(why)));
        Err(error)
    }

    /// Whether an answer has room in the window, or to wait for that.
    fn check_wait(&self, frame: &Outgoing) -> Result<(), SendError> {
        let (charge, window) = (frame.charge(), self.config.window.bytes);
        if charge > window {
            return Err(SendError::TooLarge { bytes: charge, limit: window });
        }
        let waiting = self.duplex.waiting_bytes().saturating_add(frame.body_len());
        let limit = self.config.waiting_bytes;
        if waiting > limit && !self.duplex.has_capacity(charge) {
            return Err(SendError::TooMuchWaits { limit });
        }
        Ok(())
    }

    pub(super) fn has_capacity(&self) -> bool {
        self.state == State::Open && self.duplex.has_capacity(0)
    }

    /// Whether the peer has been silent for so long that it is pinged.
    pub(super) fn is_silent(&self) -> bool {
        self.to_send.ping
    }

    pub(super) fn is_open(&self) -> bool {
        self.state == State::Open
    }

    /// Goes on with both directions of an earlier connection, from what the peer has.
    pub(super) fn resume(&mut self, duplex: Duplex, retransmit_from: Sequence) {
        self.duplex = duplex;
        self.rewind(retransmit_from);
    }

    pub(super) fn rewind(&mut self, retransmit_from: Sequence) {
        let stale = mutant!(ResumeFromStaleBase).then(|| self.duplex.window.transmitted());
        // It was decided that this is possible.
        _ = self.duplex.window.rewind(stale.unwrap_or(retransmit_from));
        self.heard_before = self.duplex.receiver.ack().end();
        #[cfg(tenfour_mutants)]
        self.duplex.emitted.drain(..).for_each(|emit| _ = self.emits.push(emit, 0));
    }

    /// Begins a new session in place of the one that was claimed. The credit in HELLO was the old one's.
    pub(super) fn rebase(&mut self) {
        self.duplex = Duplex::new(&self.config);
        self.acks.hurry();
    }

    /// The longest name that has room in a frame.
    pub(super) fn name_limit(&self) -> usize {
        self.frame_limit().saturating_sub(HEAD_BYTES)
    }

    fn check_size(&self, frame: &Outgoing) -> Result<(), SendError> {
        if self.state.is_over() {
            return Err(SendError::Closed);
        }
        let (bytes, limit) = (frame.frame_len(), self.frame_limit());
        if bytes > limit { Err(SendError::TooLarge { bytes, limit }) } else { Ok(()) }
    }

    fn frame_limit(&self) -> usize {
        self.fitting(self.frame_bytes.unwrap_or(self.config.limits.frame_bytes))
    }

    /// The largest frame that has room in a datagram, if the peer takes so much.
    fn fitting(&self, peer_frame_bytes: usize) -> usize {
        self.transport.mtu().map_or(peer_frame_bytes, |mtu| mtu.min(peer_frame_bytes))
    }

    /// Whether everything that an earlier connection held can be sent on this one, to a peer that takes frames of so many
    /// bytes.
    pub(super) fn can_carry(&self, duplex: &Duplex, peer_frame_bytes: u64) -> bool {
        duplex.fits(self.fitting(usize::try_from(peer_frame_bytes).unwrap_or(usize::MAX)))
    }

    /// Queues a message that is sent at most once. It is dropped, and counted, if the transport takes nothing now.
    pub(super) fn emit(&mut self, target: Target, message: &SharedMessage) -> bool {
        let name = if let Target::Name(name) = &target { name.len() } else { 0 };
        let bytes = message.len() + name;
        if self.state != State::Open || self.flow == Flow::Blocked || bytes + HEAD_BYTES > self.frame_limit()
        {
            self.unqueued += 1;
            return false;
        }
        !matches!(self.emits.push((target, message.clone()), bytes), Pushed::Dropped(_))
    }

    /// How many messages that are sent at most once were dropped on this connection.
    pub(super) fn emits_dropped(&self) -> u64 {
        self.emits.dropped() + self.unqueued
    }

    /// The application is done with what it got.
    pub(super) fn consume(&mut self, now: Instant, cost: Cost) {
        self.duplex.consume(cost);
        self.offer_grant(now);
    }

    /// The peer is to be told of what it may send: by what the application is done with, or the answers that went out.
    fn offer_grant(&mut self, now: Instant) {
        if self.duplex.is_grant_due() {
            self.acks.hurry();
        } else if self.duplex.has_grant() {
            self.acks.remind(&self.config, now);
        }
    }

    /// The peer is to be told of a position, with the next acknowledgement.
    pub(super) fn processed(&mut self, now: Instant, channel: u32, offset: Offset) {
        self.to_send.processed.insert(channel, offset);
        self.acks.remind(&self.config, now);
    }

    /// The peer is to be told of a channel's head, with the next ping.
    pub(super) fn head(&mut self, channel: u32, offset: Offset) {
        if self.duplex.end(channel).is_some() {
            self.to_send.heads.insert(channel, offset);
        }
    }

    pub(super) fn go_away(&mut self, go_away: GoAway) {
        self.to_send.go_away = Some(go_away);
    }

    pub(super) fn set_blocked(&mut self) {
        self.flow = Flow::Blocked;
        self.emits.clear();
    }

    pub(super) fn set_ready(&mut self) {
        self.flow = Flow::Open;
    }

    /// Ends the session with a goodbye.
    pub(super) fn close(&mut self, now: Instant, closed: Closed) {
        if self.state.is_over() {
            return;
        }
        if let Some(code) = closed.code() {
            self.to_send.close = Some(Close { code, reason: Default::default() });
        }
        self.end(closed, State::Closing { until: now + self.config.close_timeout });
    }

    /// Ends the session with a first frame that is a goodbye.
    pub(super) fn close_greeted(&mut self, now: Instant, closed: Closed) {
        self.end(closed, State::Closing { until: now + self.config.close_timeout });
    }

    /// Ends the session without a goodbye: the peer has said it, or can't hear it.
    pub(super) fn cut(&mut self, closed: Closed) {
        if self.state == State::Closed {
            return;
        }
        self.to_send.hang_up = true;
        self.writer.clear();
        if self.state.is_over() {
            self.state = State::Closed;
        } else {
            self.end(closed, State::Closed);
        }
    }

    fn end(&mut self, closed: Closed, state: State) {
        self.state = state;
        self.ended = Some(closed);
        self.emits.clear();
    }

    /// The session's state is taken out of this connection, which says no more than the goodbye that waits.
    pub(super) fn fence(&mut self) -> Duplex {
        if !self.state.is_over() {
            self.state = State::Closed;
            self.to_send.hang_up = true;
        }
        self.acks.told();
        self.emits.clear();
        self.to_send.pong = None;
        self.duplex.shrink();
        if mutant!(JournalForgetsReceiveState) {
            self.duplex.forget_received();
        }
        core::mem::replace(&mut self.duplex, Duplex::new(&self.config))
    }

    pub(super) fn take_ended(&mut self) -> Option<Closed> {
        self.ended.take()
    }

    pub(super) fn is_finished(&self) -> bool {
        self.state == State::Closed && !self.to_send.hang_up && self.ended.is_none()
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let repeat = self.greeting.as_ref().and_then(|greeting| greeting.repeat);
        match self.state {
            State::Greeting { until } | State::Deciding { until } => earliest([Some(until), repeat]),
            State::Open => earliest([
                self.acks.poll_timeout(),
                Some(self.liveness.poll_timeout()),
                self.probe_deadline(),
            ]),
            State::Closing { until } => Some(until),
            State::Closed => None,
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        match self.state {
            State::Greeting { until } | State::Deciding { until } if now.has_reached(until) => {
                self.close(now, Closed::Fault(CloseCode::HelloTimeout));
            }
            State::Greeting { .. } => self.repeat_greeting(now),
            State::Open => self.handle_open_timeout(now),
            State::Closing { until } if now.has_reached(until) => self.cut(Closed::Transport),
            _ => {}
        }
    }

    fn repeat_greeting(&mut self, now: Instant) {
        let Some(greeting) = &mut self.greeting else { return };
        if greeting.repeat.is_some_and(|repeat| now.has_reached(repeat)) {
            greeting.due = true;
            greeting.repeat = Some(self.probe.deadline(now));
        }
    }

    fn handle_open_timeout(&mut self, now: Instant) {
        self.acks.handle_timeout(now);
        if self.probe_deadline().is_some_and(|deadline| now.has_reached(deadline)) {
            self.probe.timed_out();
            if !self.probe_window() {
                self.starved = Some(now);
                self.to_send.ping = true;
            }
        }
        match self.liveness.handle_timeout(now) {
            None => {}
            Some(Beat::Ping) => {
                self.to_send.ping = true;
                self.writer.shrink();
                self.duplex.shrink();
            }
            Some(Beat::Dead) => self.close(now, Closed::Fault(CloseCode::IdleTimeout)),
        }
    }

    /// Sends the oldest that is in flight again, about a datagram of it. False if nothing is.
    fn probe_window(&mut self) -> bool {
        let window = &mut self.duplex.window;
        let average = window.bytes() as u64 / window.len().max(1) + FRAME_HEAD_BYTES;
        let fitting = self.transport.mtu().map_or(1, |mtu| mtu as u64 / average).max(1);
        (0..fitting).map_while(|_| window.probe()).count() > 0
    }

    /// On a pipe that loses: when to send again what has no acknowledgement, or to ask for a grant that may be lost.
    fn probe_deadline(&self) -> Option<Instant> {
        let never_loses = self.transport == Transport::Stream && !mutant!(RetransmitOnFifo);
        if never_loses || self.flow == Flow::Blocked {
            return None;
        }
        Some(self.probe.deadline(self.duplex.window.last_transmit().or(self.starved)?))
    }

    /// After every call: what waited goes out where there is room, and timers follow. Whether the application is to be told
    /// that there is room again.
    pub(super) fn settle(&mut self, now: Instant) -> bool {
        if self.state != State::Open {
            return false;
        }
        self.duplex.drain_backlog();
        self.offer_grant(now);
        let writable = self.duplex.take_writable();
        let starved = self.duplex.is_stalled() && self.duplex.window.is_empty();
        self.starved = starved.then(|| self.starved.unwrap_or(now));
        writable
    }
}

/// A text for people, in at most so many bytes.
fn shortened(text: ByteString, longest: usize) -> ByteString {
    match text.len() <= longest {
        true => text,
        false => ByteString::from(&text[..text.floor_char_boundary(longest)]),
    }
}

fn channel_offsets(places: &BTreeMap<u32, Offset>, limit: usize) -> Vec<ChannelOffset> {
    let places = places.iter().take(limit);
    places.map(|(&channel, offset)| ChannelOffset { channel, offset: offset.get() }).collect()
}
