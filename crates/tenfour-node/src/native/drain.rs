//! How a server goes without all its clients coming back in the same moment.

use super::{Event, PeerId, Peers, Server, server::Stage};
use alloc::collections::VecDeque;
use core::time::Duration;
use tenfour_delivery::time::{Instant, Now};
use tenfour_session::native::ServerSession;
use tenfour_wire::native::CloseCode;

/// The connections that are still to be closed, each at its time.
#[derive(Clone, Debug, Hash)]
pub(super) struct Drain {
    closes: VecDeque<(Instant, PeerId)>,
    is_over: bool,
}

impl Server {
    /// Tells every client to come back elsewhere, or later, and lets nobody in from here on.
    ///
    /// A client that is told goes by itself, at a moment that it draws from `jitter`. Whoever is left is closed as
    /// [`GoingAway`](CloseCode::GoingAway), one after the other, spread evenly over `drain`. Sessions stay resumable, and
    /// publications are answered, for as long as the server runs. [`Event::Drained`] says that all are gone.
    pub fn shutdown(&mut self, now: Now, drain: Duration, jitter: Duration, peers: &mut impl Peers) {
        if self.drain.is_some() {
            return;
        }
        let connected: VecDeque<PeerId> = self.stages.keys().copied().collect();
        let count = u32::try_from(connected.len()).unwrap_or(u32::MAX).max(1);
        let closes = (1..).zip(connected).map(|(turn, peer)| {
            self.reach(peer, peers, |connection| connection.go_away(drain, jitter));
            // In this order no product is beyond `drain`, be that the longest there is.
            (now.mono + drain / count * turn, peer)
        });
        let closes = closes.collect();
        self.drain = Some(Drain { closes, is_over: false });
        self.drain_due(now, peers);
    }

    /// Closes the connections whose time has come.
    pub(super) fn drain_due(&mut self, now: Now, peers: &mut impl Peers) {
        while let Some(peer) = self.drain.as_mut().and_then(|drain| drain.next(now.mono)) {
            self.drive(now, peer, peers);
            self.reach(peer, peers, |connection| connection.close(now.mono, CloseCode::GoingAway));
            if let Some(Stage::Joined(id)) = self.detach(peer) {
                let journal = self.reach(peer, peers, ServerSession::take_journal).flatten();
                self.park(now, id, journal);
            }
        }
        self.note_drained();
    }

    /// Says that all connections are gone, once.
    pub(super) fn note_drained(&mut self) {
        if self.stages.is_empty()
            && let Some(drain) = &mut self.drain
            && !core::mem::replace(&mut drain.is_over, true)
        {
            drain.closes.clear();
            self.events.push_back(Event::Drained);
        }
    }
}

impl Drain {
    fn next(&mut self, now: Instant) -> Option<PeerId> {
        if !now.has_reached(self.poll_timeout()?) {
            return None;
        }
        self.closes.pop_front().map(|(_, peer)| peer)
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.closes.front().map(|(due, _)| *due)
    }
}
