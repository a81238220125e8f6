//! The end of a subscription whose messages must not be read any more.

use super::{ServerJournal, ServerSession};
use crate::native::{
    link::Duplex,
    outgoing::{Delivery, Outgoing},
};
use tenfour_delivery::time::Instant;
use tenfour_wire::native::{self as wire, Count, Loss, LossReason, Refusal, Reliable};

impl ServerSession {
    /// Ends a subscription with a reason, and takes back what the client has not received of the channel: none of it is
    /// sent, or sent again. What was taken back is told as one loss in its place. To be called right after
    /// [`resume`](Self::resume), before anything is transmitted, where the client may not read the channel any more.
    pub fn revoke(&mut self, now: Instant, channel: u32, refusal: Refusal) {
        if let Some(loss) = withdraw(&mut self.link.duplex, channel) {
            self.answer(now, Reliable::Lost(wire::Lost { channel, charge: 0, loss }));
        }
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

/// Makes void what is held of a channel, whose numbers stay. What that takes from the subscription that is in force is the
/// loss, from where the client is.
fn withdraw(duplex: &mut Duplex, channel: u32) -> Option<Loss> {
    let mut loss: Option<Loss> = None;
    for frame in duplex.held_mut() {
        if begins(frame, channel) {
            loss = None;
        }
        let Some(taken) = covered(frame, channel) else { continue };
        loss = Some(match loss {
            None => taken,
            Some(before) => Loss { through: taken.through, count: sum(before.count, taken.count), ..before },
        });
        *frame = Outgoing::frame(Reliable::Void { charge: frame.charge() as u64 });
    }
    loss.filter(|loss| loss.through > loss.after)
}

fn begins(frame: &Outgoing, channel: u32) -> bool {
    let Outgoing::Frame(body) = frame else { return false };
    matches!(&**body, Reliable::Subscribed(wire::Subscribed { outcome: Ok(begun), .. }) if begun.channel == channel)
}

/// What a frame says of a channel: the range, and how many messages of it were to be read.
fn covered(frame: &Outgoing, channel: u32) -> Option<Loss> {
    let reason = LossReason::Unsubscribed;
    let covered = match frame {
        Outgoing::Deliver(Delivery { channel, previous, advance, .. }) => {
            let through = previous.saturating_add(*advance);
            (*channel, Loss { after: *previous, through, count: Count::Exact(1), reason })
        }
        Outgoing::Frame(body) => match &**body {
            Reliable::Lost(lost) => (lost.channel, Loss { reason, ..lost.loss }),
            Reliable::Skip(wire::Skip { channel, after, through }) => {
                (*channel, Loss { after: *after, through: *through, count: Count::Exact(0), reason })
            }
            Reliable::CaughtUp(wire::CaughtUp { channel, offset }) => {
                (*channel, Loss { after: *offset, through: *offset, count: Count::Exact(0), reason })
            }
            _ => return None,
        },
    };
    (covered.0 == channel).then_some(covered.1)
}

fn sum(one: Count, other: Count) -> Count {
    match (one, other) {
        (Count::Exact(one), Count::Exact(other)) => Count::Exact(one.saturating_add(other)),
        (Count::Exact(one) | Count::AtLeast(one), Count::Exact(other) | Count::AtLeast(other)) => {
            Count::AtLeast(one.saturating_add(other))
        }
    }
}
