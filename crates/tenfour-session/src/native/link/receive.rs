//! What comes in, as far as both sides take it alike.

use super::{
    super::{Closed, Transport, acks::Urgency, outgoing::charge, state::State, translate::credit_from_wire},
    Link,
};
use alloc::{boxed::Box, vec::Vec};
use core::time::Duration;
use tenfour_delivery::{
    ack,
    dedup::bitmap::{Bitmap, Seen},
    number::Sequence,
    receive::Accepted,
    time::Instant,
};
use tenfour_wire::{
    Bytes,
    native::{
        Ack, ChannelOffset, CloseCode, Emit, Frame, Ping, Producer, ProducerRef, Reliable, decode_datagram,
    },
};

/// The side of a connection that the link belongs to.
pub(in super::super) trait Side {
    fn link(&mut self) -> &mut Link;

    /// HELLO, WELCOME, REJECT, in any state; EMIT and GOAWAY once frames flow.
    fn handle_frame(&mut self, now: Instant, frame: Frame) -> Result<(), CloseCode>;

    /// A numbered frame in its turn. Those that the application need not be done with are consumed by the event's being taken.
    fn handle_numbered(&mut self, now: Instant, sequence: Sequence, body: Reliable) -> Result<(), CloseCode>;

    /// What the peer's application has processed.
    fn handle_processed(&mut self, processed: Vec<ChannelOffset>) -> Result<(), CloseCode>;

    /// Heads of channels, which came with a ping.
    fn handle_heads(&mut self, heads: Vec<ChannelOffset>);
}

/// Takes a piece of a stream, or a datagram. What is wrong with it ends the session.
pub(in super::super) fn take_bytes(side: &mut impl Side, now: Instant, bytes: Bytes) {
    let result = match side.link().transport {
        Transport::Stream => take_stream(side, now, bytes),
        Transport::Datagram { .. } => take_datagram(side, now, bytes),
    };
    if let Err(code) = result {
        side.link().close(now, Closed::Fault(code));
    }
}

fn take_stream(side: &mut impl Side, now: Instant, bytes: Bytes) -> Result<(), CloseCode> {
    if side.link().state.is_over() {
        return Ok(());
    }
    side.link().decoder.push(bytes);
    while !side.link().state.is_over() {
        match side.link().decoder.next() {
            Ok(None) => break,
            Ok(Some(frame)) => take_frame(side, now, frame)?,
            Err(error) => return Err(error.kind().into()),
        }
    }
    Ok(())
}

fn take_datagram(side: &mut impl Side, now: Instant, bytes: Bytes) -> Result<(), CloseCode> {
    side.link().heard = None;
    let limits = *side.link().decoder.limits();
    for frame in decode_datagram(bytes, &limits) {
        if side.link().state.is_over() {
            break;
        }
        take_frame(side, now, frame.map_err(|error| CloseCode::from(error.kind()))?)?;
    }
    Ok(())
}

fn take_frame(side: &mut impl Side, now: Instant, frame: Frame) -> Result<(), CloseCode> {
    let link = side.link();
    match (link.state, frame) {
        (_, Frame::Close(close)) => link.cut(Closed::Peer(close.code)),
        (_, frame @ (Frame::Hello(_) | Frame::Welcome(_) | Frame::Reject(_))) => {
            return side.handle_frame(now, frame);
        }
        (State::Open, frame) => {
            link.is_answered = true;
            link.liveness.heard(now);
            return take_open_frame(side, now, frame);
        }
        // It overtook the first frame, and comes again if it has to.
        _ if link.transport != Transport::Stream => {}
        _ => return Err(CloseCode::ProtocolError),
    }
    Ok(())
}

fn take_open_frame(side: &mut impl Side, now: Instant, frame: Frame) -> Result<(), CloseCode> {
    let link = side.link();
    match frame {
        Frame::Ack(ack) => {
            let processed = link.take_ack(now, ack)?;
            side.handle_processed(processed)?;
        }
        Frame::Credit(credit) => link.duplex.window.grant(credit_from_wire(credit)),
        Frame::Ping(ping) => {
            link.take_ping(&ping)?;
            side.handle_heads(ping.heads);
        }
        Frame::Reliable { sequence, body } => {
            link.take_numbered(now, sequence, body)?;
            while let Some((sequence, body)) = side.link().duplex.receiver.pop() {
                side.handle_numbered(now, sequence, body)?;
            }
        }
        Frame::Pong(_) | Frame::Unknown { .. } => {}
        Frame::Emit(emit) if !link.is_new_emit(&emit)? => {}
        frame => return side.handle_frame(now, frame),
    }
    Ok(())
}

impl Link {
    fn take_ack(&mut self, now: Instant, ack: Ack) -> Result<Vec<ChannelOffset>, CloseCode> {
        let gaps = ack.ranges.iter().map(|range| (range.gap, range.len));
        let received =
            ack::Ack::from_gaps(Sequence::new(ack.next), gaps).map_err(|_| CloseCode::Malformed)?;
        let done = self.duplex.window.acknowledge(&received, now).map_err(|_| CloseCode::FutureAck)?;
        if self.transport != Transport::Stream {
            if done.messages > 0 {
                self.probe.acknowledged(done.round_trip, Duration::ZERO);
            }
            self.duplex.window.mark_lost();
        }
        Ok(ack.processed)
    }

    /// A ping that names a number beyond what has come tells of a loss, which a stream does not have.
    fn take_ping(&mut self, ping: &Ping) -> Result<(), CloseCode> {
        if ping.next > self.duplex.receiver.next().get() {
            match self.transport {
                Transport::Stream => return Err(CloseCode::SequenceGap),
                Transport::Datagram { .. } => self.acks.hurry(),
            }
        }
        self.to_send.pong = Some(ping.nonce);
        // Whoever is silent for longer pings, and so may keep this side from ever doing so.
        self.to_send.ping |= !self.to_send.heads.is_empty();
        Ok(())
    }

    /// Whether a message that is sent at most once comes for the first time.
    fn is_new_emit(&mut self, emit: &Emit) -> Result<bool, CloseCode> {
        if self.transport == Transport::Stream {
            return Ok(true);
        }
        let number = emit.number.ok_or(CloseCode::ProtocolError)?;
        let heard = self.emits_heard.get_or_insert_with(|| Box::new(Bitmap::new()));
        Ok(heard.accept(number) == Seen::New)
    }

    fn take_numbered(
        &mut self,
        now: Instant,
        sequence: Option<u64>,
        body: Reliable,
    ) -> Result<(), CloseCode> {
        let sequence = match sequence {
            Some(sequence) => Sequence::new(sequence),
            None => self.heard.ok_or(CloseCode::ProtocolError)?.next(),
        };
        self.heard = Some(sequence);
        let (bytes, had_gap) = (charge(&body), self.duplex.receiver.has_gap());
        let is_new = sequence >= self.heard_before;
        let accepted = self.duplex.accept(sequence, body, bytes).map_err(|_| CloseCode::FlowControl)?;
        let is_stream = self.transport == Transport::Stream;
        let urgency = match accepted {
            Accepted::Held if is_stream => return Err(CloseCode::SequenceGap),
            Accepted::Duplicate if is_stream && is_new => return Err(CloseCode::SequenceGap),
            Accepted::InOrder if is_stream || !had_gap => Urgency::Delayed,
            Accepted::Duplicate if is_stream => Urgency::Delayed,
            _ => Urgency::Now,
        };
        self.acks.note(&self.config, now, urgency);
        Ok(())
    }

    /// The producer's number of a PUBLISH in its turn.
    pub(in super::super) fn resolve_producer(
        &mut self,
        producer: Option<ProducerRef>,
    ) -> Result<Option<Producer>, CloseCode> {
        let Some(producer) = producer else { return Ok(None) };
        self.heard_producer.resolve(producer).map(Some).ok_or(CloseCode::ProtocolError)
    }
}
