//! The server's pings, and the patience with which it waits for their pongs.

use super::Config;
use core::time::Duration;
use tenfour_delivery::time::Instant;

/// ```text
/// Resting ──interval──▶ Waiting ──pong──▶ Resting
///                          │ timeout, and something was heard meanwhile: once more
///                          └ timeout ──▶ expired
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Heartbeat {
    phase: Phase,
    held_since: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Resting { ping_at: Instant },
    Waiting { until: Instant, extension: Extension },
}

/// A client that uploads a lot answers late, since its pong stands behind the upload: hearing anything from it
/// earns one more timeout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extension {
    Available,
    Earned,
    Spent,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beat {
    Ping,
    Expired,
}

impl Heartbeat {
    pub(super) fn new(config: &Config, now: Instant) -> Self {
        Self { phase: Phase::Resting { ping_at: now + config.ping_interval }, held_since: None }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        match (self.held_since, self.phase) {
            (Some(_), _) => None,
            (None, Phase::Resting { ping_at: at } | Phase::Waiting { until: at, .. }) => Some(at),
        }
    }

    pub(super) fn handle_timeout(&mut self, config: &Config, now: Instant) -> Option<Beat> {
        if !now.has_reached(self.poll_timeout()?) {
            return None;
        }
        match self.phase {
            Phase::Resting { .. } => {
                let until = now + config.ping_timeout;
                self.phase = Phase::Waiting { until, extension: Extension::Available };
                Some(Beat::Ping)
            }
            Phase::Waiting { extension: Extension::Earned, .. } => {
                let until = now + config.ping_timeout;
                self.phase = Phase::Waiting { until, extension: Extension::Spent };
                None
            }
            Phase::Waiting { .. } => Some(Beat::Expired),
        }
    }

    /// A pong came. One that nobody asked for changes nothing.
    pub(super) fn pong(&mut self, config: &Config, now: Instant) {
        if let Phase::Waiting { .. } = self.phase {
            self.phase = Phase::Resting { ping_at: now + config.ping_interval };
        }
    }

    /// Something other than a pong came.
    pub(super) fn heard(&mut self) {
        if let Phase::Waiting { extension: extension @ Extension::Available, .. } = &mut self.phase {
            *extension = Extension::Earned;
        }
    }

    /// The driver has stopped reading: a pong may lie unread, so time does not count.
    pub(super) fn hold(&mut self, now: Instant) {
        self.held_since.get_or_insert(now);
    }

    /// The driver reads again. Says how long it had stopped.
    pub(super) fn release(&mut self, now: Instant) -> Option<Duration> {
        let held = now - self.held_since.take()?;
        let (Phase::Resting { ping_at: at } | Phase::Waiting { until: at, .. }) = &mut self.phase;
        *at = *at + held;
        Some(held)
    }

    pub(super) fn is_held(&self) -> bool {
        self.held_since.is_some()
    }
}
