//! What a session gets, and who carries it there.

use tenfour_delivery::{loss::Lost, resume::Position};

use crate::{
    Message, SocketId,
    channel::{Entry, Taken},
};

/// Where deliveries go: the sockets' connections, as their driver has them.
pub trait Outbox<P> {
    /// Hands an item to a socket. One that is [`Taken::Full`] is read for later, from this item on, when its driver says
    /// that there is room: [`Recovery::resume_reading`](super::Recovery::resume_reading).
    fn deliver(&mut self, to: SocketId, peer: &P, item: Item<'_>) -> Taken;
}

impl<P, F: FnMut(SocketId, &P, Item<'_>) -> Taken> Outbox<P> for F {
    fn deliver(&mut self, to: SocketId, peer: &P, item: Item<'_>) -> Taken {
        self(to, peer, item)
    }
}

/// What a socket gets of its namespace's log, in the log's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Item<'a> {
    /// A message that was committed now. Who has it is at its [`Entry::offset`](tenfour_delivery::entry::Entry::offset).
    Committed {
        /// The entry, with the message in its storage form.
        entry: &'a Entry,
        /// The message.
        message: &'a Message,
    },
    /// A message that was committed before, and read for this socket.
    Replayed {
        /// The entry, with the message in its storage form.
        entry: &'a Entry,
        /// The message.
        message: &'a Message,
    },
    /// Messages that were owed and will not come.
    Lost {
        /// Which, how many, and why. Where some rooms have lost what others have not, messages that are within the range
        /// may follow; they are not counted.
        lost: Lost,
        /// Where a socket is that knows of it.
        at: Position,
    },
}
