//! What sessions get, written for their connections.

use crate::{Delivery, Dialect, Kind, Peer, Urgency, cursor, lost_message, render_message};
use tenfour_broker::{
    Message, SocketId,
    channel::Taken,
    recovery::{Item, Outbox},
};
use tenfour_delivery::number::{Epoch, Offset};
use tenfour_session::socketio::Encoded;

/// Writes a message once for each dialect that it meets, however many get it one after the other.
pub(super) struct Outlet<'a> {
    namespace: &'a str,
    epoch: Epoch,
    /// The last entry, and its forms so far. Nearly always there is one.
    written: Option<Offset>,
    forms: smallvec::SmallVec<[(Dialect, Encoded); 1]>,
}

impl<'a> Outlet<'a> {
    pub(super) fn new(namespace: &'a str, epoch: Epoch) -> Self {
        Self { namespace, epoch, written: None, forms: smallvec::SmallVec::new() }
    }

    fn form(&mut self, offset: Offset, message: &Message, dialect: Dialect) -> &Encoded {
        if self.written != Some(offset) {
            self.written = Some(offset);
            self.forms.clear();
        }
        let place = self.forms.iter().position(|(known, _)| *known == dialect).unwrap_or_else(|| {
            self.forms.push((dialect, self.write(offset, message, dialect)));
            self.forms.len() - 1
        });
        &self.forms[place].1
    }

    fn write(&self, offset: Offset, message: &Message, dialect: Dialect) -> Encoded {
        let cursor = cursor::encode(self.epoch, offset);
        render_message(dialect, self.namespace, message, Kind::Committed(&cursor))
    }
}

impl<P: Peer> Outbox<P> for Outlet<'_> {
    fn deliver(&mut self, _: SocketId, peer: &P, item: Item<'_>) -> Taken {
        let dialect = peer.dialect();
        let delivery = match item {
            Item::Committed { entry, message } => {
                peer.deliver(self.form(entry.offset, message, dialect), Urgency::Committed)
            }
            Item::Replayed { entry, message } => {
                peer.deliver(self.form(entry.offset, message, dialect), Urgency::Replayed)
            }
            Item::Lost { lost, at } => {
                let told = self.write(at.offset, &lost_message(&lost), dialect);
                peer.deliver(&told, Urgency::Replayed)
            }
            _ => return Taken::Yes,
        };
        match delivery {
            Delivery::Queued | Delivery::Dropped => Taken::Yes,
            Delivery::Refused => Taken::Full,
        }
    }
}
