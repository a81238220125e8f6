//! One namespace: the broker's decisions, carried to the peers that they concern.

use crate::{Dialect, Kind, dialect::with_text, render_message};
use bytestring::ByteString;
use core::ops::{Deref, DerefMut};
use tenfour_broker::{self as broker, Limits, Message, RequestError, RequestId, SocketId, Target};
use tenfour_delivery::time::Instant;
use tenfour_session::socketio::Encoded;

/// How a namespace reaches a member's connection.
pub trait Peer {
    /// What the connection speaks.
    fn dialect(&self) -> Dialect;

    /// Hands a packet over, without waiting.
    fn deliver(&self, packet: &Encoded, urgency: Urgency) -> Delivery;
}

/// What becomes of a message for a receiver that could not send it on at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// It is queued. A receiver whose queue is full is [over](crate::Overflow).
    Queued,
    /// It is dropped: something newer will follow.
    Volatile,
    /// It is queued, or else refused: the receiver reads it from the log once it has room.
    Committed,
    /// As [`Committed`](Self::Committed), and refused already if [`REPLAY_BYTES`] are queued: what is read from the log can be
    /// read again, so a page of it need not wait in memory.
    Replayed,
}

/// So many bytes of the log may wait in the queue of a connection that is behind: 64 KiB.
pub const REPLAY_BYTES: usize = 64 * 1024;

/// What became of a packet for one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// It is queued, or on its way.
    Queued,
    /// It was volatile, and the connection not writable.
    Dropped,
    /// The queue is full, or the connection is over.
    Refused,
}

/// How many connections a message reached. What is neither queued nor dropped was refused, so that nothing is lost
/// in silence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// Connections in whose queue it is.
    pub queued: usize,
    /// Connections that were not writable for a volatile message.
    pub dropped: usize,
    /// Connections whose queue was full, or that were over.
    pub refused: usize,
}

/// A namespace whose members are reached through `P`.
///
/// It is the [broker's](broker::Namespace), whose methods it lends, and carries messages to whom they concern. A message
/// is written once for each dialect that it meets, and shared by all who speak it.
#[derive(Debug)]
pub struct Namespace<P> {
    broker: broker::Namespace<P>,
    /// As what is sent that is not committed.
    emitted: Kind<'static>,
}

impl<P> Deref for Namespace<P> {
    type Target = broker::Namespace<P>;

    fn deref(&self) -> &Self::Target {
        &self.broker
    }
}

impl<P> DerefMut for Namespace<P> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.broker
    }
}

impl<P: Peer> Namespace<P> {
    /// As [`broker::Namespace::new`].
    #[must_use]
    pub fn new(name: ByteString, limits: Limits, seed: u64) -> Self {
        Self { broker: broker::Namespace::new(name, limits, seed), emitted: Kind::Plain }
    }

    /// The same namespace, whose members are recovered by what the last event that they got ends in: what is not committed must
    /// not be taken for it.
    #[must_use]
    pub fn recoverable(self) -> Self {
        Self { emitted: Kind::Uncommitted, ..self }
    }

    /// As what a message is to be written that is sent at most once.
    #[must_use]
    pub fn emitted(&self) -> Kind<'static> {
        self.emitted
    }

    /// Sends a message to all whom `target` selects.
    pub fn emit(&mut self, target: &Target, message: &Message, urgency: Urgency) -> Reach {
        let name = self.broker.name().clone();
        let mut written = Written::new(&name, message, self.emitted);
        let mut reach = Reach::default();
        self.broker.select(target, |_, peer| {
            reach.count(peer.deliver(written.for_dialect(peer.dialect()), urgency));
        });
        self.broker.count_broadcast(reach.queued as u64);
        self.broker.count_volatile_dropped(reach.dropped as u64);
        self.broker.count_refused(reach.refused as u64);
        reach
    }

    /// Sends a message that each of `target` is to answer until `deadline`. What comes of it is the broker's
    /// [`RequestDone`](broker::Event::RequestDone).
    ///
    /// # Errors
    /// If too many requests are pending.
    pub fn request(
        &mut self,
        target: &Target,
        message: &Message,
        deadline: Instant,
    ) -> Result<RequestId, RequestError> {
        let request = self.broker.open_request(target, deadline)?;
        self.ask(request, message);
        Ok(request)
    }

    /// [`request`](Self::request) of one socket alone.
    ///
    /// # Errors
    /// If there is no such socket, it owes too many answers, or too many requests are pending.
    pub fn request_from(
        &mut self,
        socket: SocketId,
        message: &Message,
        deadline: Instant,
    ) -> Result<RequestId, RequestError> {
        let request = self.broker.open_request_to(socket, deadline)?;
        self.ask(request, message);
        Ok(request)
    }

    /// [`request`](Self::request), also of those of the target who are away, and again of each who has been away in between, when it is
    /// back: [`ask_again`](Self::ask_again). Who is asked may have been asked before, so behind its arguments the message has a key by
    /// which that is seen, a text: `instance`, a point, and the request's number. Numbers begin anew with the namespace, so each
    /// has another instance: random characters.
    ///
    /// # Errors
    /// If too many requests are pending, or have too many bytes.
    pub fn lasting_request(
        &mut self,
        target: &Target,
        message: &Message,
        instance: &str,
        deadline: Instant,
    ) -> Result<RequestId, RequestError> {
        let request = self.broker.open_lasting_request(target, deadline)?;
        self.ask_lasting(request, message, instance)
    }

    /// [`lasting_request`](Self::lasting_request) of one socket alone.
    ///
    /// # Errors
    /// If there is no such socket, it owes too many answers, or too many requests are pending, or have too many bytes.
    pub fn lasting_request_from(
        &mut self,
        socket: SocketId,
        message: &Message,
        instance: &str,
        deadline: Instant,
    ) -> Result<RequestId, RequestError> {
        let request = self.broker.open_lasting_request_to(socket, deadline)?;
        self.ask_lasting(request, message, instance)
    }

    fn ask_lasting(
        &mut self,
        request: RequestId,
        message: &Message,
        instance: &str,
    ) -> Result<RequestId, RequestError> {
        let message = with_text(message, &alloc::format!("{instance}.{request}"));
        self.broker.keep_request(request, message.clone())?;
        self.ask(request, &message);
        Ok(request)
    }

    /// A socket is back, or reached in another way: what it still owes an answer to, and is to last, is asked again. It says how
    /// much that was.
    pub fn ask_again(&mut self, socket: SocketId) -> usize {
        let Some(peer) = self.broker.peer(socket) else { return 0 };
        let name = self.broker.name();
        let mut refused = alloc::vec::Vec::new();
        let asked = self.broker.select_owed(socket, |request, message| {
            let packet = render_message(peer.dialect(), name, message, Kind::Request(request));
            if peer.deliver(&packet, Urgency::Queued) == Delivery::Refused {
                refused.push(request);
            }
        });
        for request in &refused {
            self.broker.refuse(*request, socket);
        }
        asked - refused.len()
    }

    fn ask(&mut self, request: RequestId, message: &Message) {
        let name = self.broker.name().clone();
        let mut written = Written::new(&name, message, Kind::Request(request));
        let mut refused = alloc::vec::Vec::new();
        let asked = self.broker.select_expected(request, |socket, peer| {
            if peer.deliver(written.for_dialect(peer.dialect()), Urgency::Queued) == Delivery::Refused {
                refused.push(socket);
            }
        });
        self.broker.count_broadcast((asked - refused.len()) as u64);
        for socket in refused {
            self.broker.refuse(request, socket);
        }
    }
}

impl Reach {
    fn count(&mut self, delivery: Delivery) {
        match delivery {
            Delivery::Queued => self.queued += 1,
            Delivery::Dropped => self.dropped += 1,
            Delivery::Refused => self.refused += 1,
        }
    }
}

/// A message in the form of each dialect that was asked for so far. Nearly always there is one.
pub(crate) struct Written<'a> {
    namespace: &'a str,
    message: &'a Message,
    kind: Kind<'a>,
    forms: smallvec::SmallVec<[(Dialect, Encoded); 1]>,
}

impl<'a> Written<'a> {
    pub(crate) fn new(namespace: &'a str, message: &'a Message, kind: Kind<'a>) -> Self {
        Self { namespace, message, kind, forms: smallvec::SmallVec::new() }
    }

    pub(crate) fn for_dialect(&mut self, dialect: Dialect) -> &Encoded {
        let place = self.forms.iter().position(|(known, _)| *known == dialect).unwrap_or_else(|| {
            let form = render_message(dialect, self.namespace, self.message, self.kind);
            self.forms.push((dialect, form));
            self.forms.len() - 1
        });
        &self.forms[place].1
    }
}
