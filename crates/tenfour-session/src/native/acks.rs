//! When to tell the peer what has come.

use super::Config;
use tenfour_delivery::time::Instant;

/// One acknowledgement for 32 messages, or 25 ms after the first that has none; at once where the peer may be about
/// to send again what came already.
///
/// ```text
/// Told ──something came──▶ Delayed ──the 32nd, or 25 ms──▶ Due
///  ▲ └──out of turn───────────────────────────────────────▶┘│
///  └──an acknowledgement went out, by itself or with another frame──┘
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Acks {
    untold: u32,
    state: State,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
enum State {
    #[default]
    Told,
    Delayed(Instant),
    Due,
}

/// How soon the peer should know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Urgency {
    /// A message in its turn.
    Delayed,
    /// A datagram that came twice, or before another: what is missing may be lost, and so may an acknowledgement.
    Now,
}

impl Acks {
    /// Something came, or was processed, that the peer is to be told of.
    pub(super) fn note(&mut self, config: &Config, now: Instant, urgency: Urgency) {
        self.untold += 1;
        if urgency == Urgency::Now || self.untold >= config.ack_every {
            self.hurry();
        } else {
            self.remind(config, now);
        }
    }

    /// There is something to tell, by and by.
    pub(super) fn remind(&mut self, config: &Config, now: Instant) {
        if self.state == State::Told {
            self.state = State::Delayed(now + config.ack_delay);
        }
    }

    /// There is something to tell at once.
    pub(super) fn hurry(&mut self) {
        self.state = State::Due;
    }

    /// Whether anything is untold, so that a frame that goes out anyway takes it along.
    pub(super) fn is_pending(&self) -> bool {
        self.state != State::Told
    }

    pub(super) fn is_due(&self) -> bool {
        self.state == State::Due
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Delayed(until) => Some(until),
            State::Told | State::Due => None,
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if self.poll_timeout().is_some_and(|until| now.has_reached(until)) {
            self.state = State::Due;
        }
    }

    /// All is told.
    pub(super) fn told(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_32nd_message_or_25_ms_after_the_first() {
        let (config, mut acks) = (Config::default(), Acks::default());
        acks.note(&config, Instant::ZERO, Urgency::Delayed);
        acks.note(&config, Instant::from_micros(20_000), Urgency::Delayed);
        acks.handle_timeout(Instant::from_micros(24_999));
        assert!(!acks.is_due() && acks.is_pending());
        let mut timed = acks.clone();
        timed.handle_timeout(Instant::from_micros(25_000));
        assert!(timed.is_due() && timed.poll_timeout().is_none());

        for _ in 2..31 {
            acks.note(&config, Instant::from_micros(20_000), Urgency::Delayed);
        }
        assert!(!acks.is_due());
        acks.note(&config, Instant::from_micros(20_000), Urgency::Delayed);
        assert!(acks.is_due());
        acks.told();
        assert!(!acks.is_pending() && acks.poll_timeout().is_none());
    }

    #[test]
    fn at_once_for_what_came_out_of_turn() {
        let (config, mut acks) = (Config::default(), Acks::default());
        acks.note(&config, Instant::ZERO, Urgency::Now);
        assert!(acks.is_due());
    }
}
