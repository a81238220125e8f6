//! What goes out, and in which order.

use super::{
    super::{
        Closed, Transmit, Transport, outgoing::Outgoing, state::State, translate::credit_to_wire,
        writer::TooLarge,
    },
    Flow, Link, channel_offsets,
};
use tenfour_delivery::{time::Instant, window::Content};
use tenfour_wire::native::{Ack, AckRange, CloseCode, Frame, Ping, Pong, Reliable};

impl Link {
    pub(in super::super) fn poll_transmit(&mut self, now: Instant) -> Option<Transmit> {
        if self.state != State::Closed && self.flow == Flow::Open {
            if self.writer.is_empty() && self.fill(now).is_err() {
                // What is held was looked at when it was taken, and again when the session went on.
                self.close(now, Closed::Fault(CloseCode::FrameTooLarge));
                _ = self.fill(now);
            }
            if let Some(bytes) = self.writer.pop() {
                return Some(Transmit::Bytes(bytes));
            }
            if let State::Closing { .. } = self.state {
                self.state = State::Closed;
                self.to_send.hang_up = true;
            }
        }
        core::mem::take(&mut self.to_send.hang_up).then_some(Transmit::Close)
    }

    /// Fills the writer with about a piece, or with a datagram and perhaps the beginning of the next.
    fn fill(&mut self, now: Instant) -> Result<(), TooLarge> {
        self.write_greeting()?;
        let welcomed = self.is_welcomed();
        if welcomed {
            if self.acks.is_due() {
                self.write_ack()?;
            }
            self.write_control()?;
            if self.state == State::Open || self.is_leaving() {
                self.write_numbered(now)?;
            }
            self.write_emits()?;
            if self.acks.is_pending() && (!self.writer.is_empty() || self.to_send.close.is_some()) {
                self.write_ack()?;
            }
        }
        let unsent = self.is_leaving() && welcomed && self.duplex.window.has_pending();
        if let Some(close) = self.to_send.close.take_if(|_| !unsent) {
            self.writer.control(&Frame::Close(close))?;
        }
        Ok(())
    }

    /// Whether the peer understands more than the first frame and a goodbye.
    fn is_welcomed(&self) -> bool {
        self.frame_bytes.is_some()
    }

    /// Whether the application has closed the session: what it sent before goes out before the goodbye.
    fn is_leaving(&self) -> bool {
        matches!(self.state, State::Closing { .. })
            && self.to_send.close.as_ref().is_some_and(|close| close.code == CloseCode::Normal)
    }

    fn write_greeting(&mut self) -> Result<(), TooLarge> {
        let Some(greeting) = self.greeting.as_mut().filter(|greeting| greeting.due) else { return Ok(()) };
        greeting.due = false;
        self.writer.control(&greeting.frame)?;
        if self.transport == Transport::Stream {
            self.greeting = None;
        }
        Ok(())
    }

    /// What has come, what is processed, and what may be sent if there is news of it.
    fn write_ack(&mut self) -> Result<(), TooLarge> {
        let received = self.duplex.receiver.ack();
        let limits = &self.config.limits;
        let ranges = received.gaps().take(self.ack_ranges());
        let processed = channel_offsets(&self.to_send.processed, limits.processed.min(self.ack_ranges()));
        for place in &processed {
            self.to_send.processed.remove(&place.channel);
        }
        let ack = Ack {
            next: received.next().get(),
            ranges: ranges.map(|(gap, len)| AckRange { gap, len }).collect(),
            processed,
        };
        self.writer.control(&Frame::Ack(ack))?;
        self.acks.told();
        if !self.to_send.processed.is_empty() {
            self.acks.hurry();
        }
        if self.duplex.has_grant() {
            self.write_credit()?;
        }
        Ok(())
    }

    /// How many ranges, and as many positions, have room in a frame.
    fn ack_ranges(&self) -> usize {
        let fitting = self.transport.mtu().map_or(usize::MAX, |mtu| mtu / 32);
        self.config.limits.ack_ranges.min(fitting)
    }

    fn write_credit(&mut self) -> Result<(), TooLarge> {
        let credit = credit_to_wire(self.duplex.grant());
        self.writer.control(&Frame::Credit(credit))
    }

    fn write_control(&mut self) -> Result<(), TooLarge> {
        if let Some(nonce) = self.to_send.pong.take() {
            self.writer.control(&Frame::Pong(Pong { nonce }))?;
            if self.transport != Transport::Stream {
                // Whoever pings may wait for one of these, which was lost.
                self.write_ack()?;
                self.write_credit()?;
            }
        }
        if core::mem::take(&mut self.to_send.ping) {
            self.pings += 1;
            let heads = channel_offsets(&self.to_send.heads, self.config.limits.heads.min(self.ack_ranges()));
            for head in &heads {
                self.to_send.heads.remove(&head.channel);
            }
            let window = &self.duplex.window;
            // What is still to be written, for the first time or again, is nothing that the peer could miss.
            let next = if window.has_pending() { window.first_held() } else { window.next() };
            let ping = Ping { nonce: self.pings, next: next.get(), heads };
            self.writer.control(&Frame::Ping(ping))?;
        }
        if let Some(go_away) = self.to_send.go_away.take() {
            self.writer.control(&Frame::GoAway(go_away))?;
        }
        Ok(())
    }

    fn write_numbered(&mut self, now: Instant) -> Result<(), TooLarge> {
        while !self.writer.is_full(self.config.gather) {
            let Some(transmit) = self.duplex.window.next_transmit(now) else { break };
            let sequence = transmit.sequence.get();
            match transmit.content {
                Content::Payload(Outgoing::Deliver(deliver)) => {
                    self.writer.deliver(sequence, &deliver.place(), &deliver.message)?;
                }
                Content::Payload(Outgoing::Frame(body)) => {
                    let shortened = self.shortening.as_mut().and_then(|last| last.shorten(body));
                    self.writer.reliable(sequence, shortened.as_ref().unwrap_or(body))?;
                }
                Content::Skip(frame) => self.writer.reliable(sequence, &frame.expired())?,
                // References to a log are for sessions that are kept without their messages; here each has its own.
                Content::Run(_) => {
                    self.writer.reliable(sequence, &Reliable::Void { charge: transmit.bytes as u64 })?
                }
            }
        }
        Ok(())
    }

    fn write_emits(&mut self) -> Result<(), TooLarge> {
        while !self.writer.is_full(self.config.gather)
            && let Some((target, message)) = self.emits.pop()
        {
            self.writer.emit(&target, &message)?;
            #[cfg(tenfour_mutants)]
            if tenfour_delivery::mutant!(EmitRetransmitted) {
                self.duplex.emitted.push((target, message));
            }
        }
        Ok(())
    }
}
