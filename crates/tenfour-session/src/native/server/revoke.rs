//! The end of a subscription whose messages must not be read any more.

use super::{ServerJournal, ServerSession};
use crate::native::{link::Duplex, outgoing::Outgoing};
use tenfour_delivery::time::Instant;
use tenfour_wire::native::{LossReason, Refusal, Reliable};

impl ServerSession {
    /// Ends a subscription with a reason, and takes back what the client has not received of the channel: none of it is
    /// sent, or sent again. Each message that is taken back becomes a loss in its place. To be called right after
    /// [`resume`](Self::resume), before anything is transmitted, where the client may not read the channel any more.
    pub fn revoke(&mut self, now: Instant, channel: u32, refusal: Refusal) {
        withdraw(&mut self.link.duplex, channel);
        self.unsubscribed(now, channel, Some(refusal));
    }
}

impl ServerJournal {
    /// About how many bytes it holds: what waits for the client, and what came ahead of its turn.
    #[must_use]
    pub fn byte_len(&self) -> usize {
        size_of::<super::Kept>() + self.0.duplex.byte_len()
    }
}

/// Puts a loss in the place of each message that is held of a channel. What follows it, and may have been received before
/// it, goes on where it ends.
fn withdraw(duplex: &mut Duplex, channel: u32) {
    for frame in duplex.held_mut() {
        let Outgoing::Deliver(delivery) = frame else { continue };
        if delivery.channel == channel {
            let lost = delivery.lost(LossReason::Unsubscribed);
            *frame = Outgoing::frame(Reliable::Lost(lost));
        }
    }
}
