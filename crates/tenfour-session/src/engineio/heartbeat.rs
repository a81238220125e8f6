//! The server's pings, and the patience with which it waits for their pongs.

use super::{Config, queue::FrameNumber};
use alloc::boxed::Box;
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
    /// Boxed, since it is rare.
    hold: Option<Box<Hold>>,
}

/// The driver does not read, since the layer above is behind: a pong may lie unread, so time does not count. But the layer
/// above may be behind because it waits for room in the send queue. A client that takes nothing of what is queued for
/// as long as a ping and its pong may take is therefore given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Hold {
    since: Instant,
    look_at: Instant,
    /// What was next to be taken at the last look.
    front: Option<FrameNumber>,
}

impl Hold {
    fn look(&mut self, config: &Config, now: Instant, front: Option<FrameNumber>) -> Option<Beat> {
        if front.is_some() && front == self.front {
            return Some(Beat::Expired);
        }
        *self = Self { since: self.since, ..Self::new(config, now, front) };
        None
    }

    fn new(config: &Config, now: Instant, front: Option<FrameNumber>) -> Self {
        Self { since: now, look_at: now + config.ping_interval + config.ping_timeout, front }
    }
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
        Self { phase: Phase::Resting { ping_at: now + config.ping_interval }, hold: None }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        match (&self.hold, self.phase) {
            (Some(hold), _) => Some(hold.look_at),
            (None, Phase::Resting { ping_at: at } | Phase::Waiting { until: at, .. }) => Some(at),
        }
    }

    /// `front` is what the client takes next of what is queued for it.
    pub(super) fn handle_timeout(
        &mut self,
        config: &Config,
        now: Instant,
        front: Option<FrameNumber>,
    ) -> Option<Beat> {
        if !now.has_reached(self.poll_timeout()?) {
            return None;
        }
        if let Some(hold) = &mut self.hold {
            return hold.look(config, now, front);
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

    /// The driver has stopped reading.
    pub(super) fn hold(&mut self, config: &Config, now: Instant, front: Option<FrameNumber>) {
        self.hold.get_or_insert_with(|| Box::new(Hold::new(config, now, front)));
    }

    /// The driver reads again. Says how long it had stopped.
    pub(super) fn release(&mut self, now: Instant) -> Option<Duration> {
        let held = now - self.hold.take()?.since;
        let (Phase::Resting { ping_at: at } | Phase::Waiting { until: at, .. }) = &mut self.phase;
        *at = *at + held;
        Some(held)
    }

    pub(super) fn is_held(&self) -> bool {
        self.hold.is_some()
    }
}
