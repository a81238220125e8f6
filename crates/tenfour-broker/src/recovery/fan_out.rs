//! What is committed goes to those who have everything before it.

use alloc::vec::Vec;

use tenfour_delivery::mutant;

use super::{Item, Outbox, Recovery, reader::Reader};
use crate::{
    Namespace, Target,
    channel::{EVERYONE, Entry, Envelope, Taken},
};

impl Recovery {
    /// A message is committed, in the log's order: it is handed to the members of its rooms that have everything before it, and
    /// read for the others later. Without an envelope, for one that has expired by then or cannot be read, all of them are
    /// read for, which is where losses are told. Answers to how many it was handed.
    pub fn fan_out<P>(
        &mut self,
        entry: &Entry,
        envelope: Option<&Envelope>,
        members: &mut Namespace<P>,
        outbox: &mut impl Outbox<P>,
    ) -> u64 {
        let mut full = Vec::new();
        let except = envelope.map_or(&[][..], |envelope| &envelope.except);
        let target = target(&entry.record.channels, except);
        let taken = members.hand_out(&target, &mut full, |id, peer| match envelope {
            Some(Envelope { message, .. }) => outbox.deliver(id, peer, Item::Committed { entry, message }),
            None => Taken::Full,
        });
        members.count_broadcast(taken);
        let cursor = self.head;
        self.head = self.head.max(entry.offset);
        for id in full {
            if mutant!(LagDropsSilently) {
                members.set_behind(id, false);
            } else if let Some(session) = self.session_mut(id) {
                // One for whom the message is unreadable has room for what is told instead.
                session.reader = Some(Reader { has_room: envelope.is_none(), ..Reader::at(cursor) }.into());
            }
            self.queue_read(id);
        }
        taken
    }
}

/// The members of the channels' rooms, without those of some.
fn target(channels: &[bytestring::ByteString], except: &[bytestring::ByteString]) -> Target {
    let all = channels.contains(&EVERYONE);
    let target = if all { Target::all() } else { Target::rooms(channels.iter().cloned()) };
    except.iter().cloned().fold(target, Target::except)
}
