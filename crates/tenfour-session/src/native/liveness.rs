//! Whether the peer is still there.

use core::time::Duration;
use tenfour_delivery::time::Instant;

/// ```text
/// Heard ──silent for a heartbeat──▶ Pinged ──silent for the idle timeout──▶ dead
///   ▲                                 │
///   └──────────anything came──────────┘
/// ```
///
/// Either side pings; whoever is first spares the other its own. Hearing a frame costs no timer: the deadline is
/// computed from the instant at which one came last.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Liveness {
    heartbeat: Duration,
    idle_timeout: Duration,
    heard: Instant,
    pinged: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beat {
    Ping,
    Dead,
}

impl Liveness {
    pub(super) fn new(heartbeat: Duration, idle_timeout: Duration, now: Instant) -> Self {
        Self { heartbeat: heartbeat.max(SHORTEST), idle_timeout, heard: now, pinged: None }
    }

    /// The server's choice, from its WELCOME.
    pub(super) fn set_heartbeat(&mut self, heartbeat: Duration) {
        self.heartbeat = heartbeat.max(SHORTEST);
    }

    pub(super) fn heard(&mut self, now: Instant) {
        self.heard = self.heard.max(now);
        self.pinged = None;
    }

    pub(super) fn poll_timeout(&self) -> Instant {
        let dead = self.heard + self.idle_timeout;
        dead.min(self.pinged.unwrap_or(self.heard) + self.heartbeat)
    }

    /// A datagram may be lost, so the ping is repeated with each further heartbeat of silence.
    pub(super) fn handle_timeout(&mut self, now: Instant) -> Option<Beat> {
        if !now.has_reached(self.poll_timeout()) {
            return None;
        }
        if now.has_reached(self.heard + self.idle_timeout) {
            return Some(Beat::Dead);
        }
        self.pinged = Some(now);
        Some(Beat::Ping)
    }
}

/// However often a peer wants to be pinged.
const SHORTEST: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_silent_peer_is_pinged_with_each_heartbeat_and_then_given_up() {
        let mut liveness = Liveness::new(SECOND, SECOND * 3, Instant::ZERO);
        for second in [1, 2] {
            let due = Instant::ZERO + SECOND * second;
            assert_eq!(liveness.poll_timeout(), due);
            assert_eq!(liveness.handle_timeout(due), Some(Beat::Ping));
            assert_eq!(liveness.handle_timeout(due), None, "a spurious call");
        }
        assert_eq!(liveness.handle_timeout(Instant::ZERO + SECOND * 3), Some(Beat::Dead));
    }

    #[test]
    fn whatever_comes_puts_it_off() {
        let mut liveness = Liveness::new(SECOND, SECOND * 3, Instant::ZERO);
        liveness.handle_timeout(Instant::ZERO + SECOND);
        liveness.heard(Instant::ZERO + SECOND * 2);
        assert_eq!(liveness.poll_timeout(), Instant::ZERO + SECOND * 3);
        assert_eq!(liveness.handle_timeout(Instant::ZERO + SECOND * 3), Some(Beat::Ping));
    }
}
