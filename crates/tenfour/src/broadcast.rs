//! What is said to many.

use crate::{
    publish::{self, HistoryError, Page, PublishError},
    socket::{EmitError, RequestError, message, message_of, read_answer},
};
use bytestring::ByteString;
use serde::{Serialize, de::DeserializeOwned};
use std::{fmt, sync::Arc, time::Duration};
use tenfour_tokio::{
    ChangeError, Handshake, Scope, Socket, Space,
    broker::{
        Joined, Message, Outcome, SocketId, Target, Why,
        channel::{MessageKey, Publication, Receipt},
    },
    delivery::resume::Position,
    node::{Reach, Urgency},
    wire::{json, socketio::Args},
};

/// Sockets of a namespace, chosen by rooms: who is in any of those that [`to`](Self::to) names, or everyone if it names
/// none, without those in a room that [`except`](Self::except) names. Each is chosen once.
///
/// ```no_run
/// # async fn example(handle: tenfour::Handle) -> Result<(), Box<dyn std::error::Error>> {
/// let lobby = handle.namespace("/")?.to("lobby").except("muted");
/// let reach = lobby.emit("news", "all is well")?;
/// println!("{} sockets have it in their queue, {} could not take it", reach.queued, reach.refused);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "nothing is sent until a verb is called"]
pub struct Broadcast {
    space: Arc<Space>,
    target: Target,
    urgency: Urgency,
    timeout: Duration,
    terms: Terms,
    scope: Option<Arc<Scope>>,
}

/// How a message is published.
#[derive(Clone, Debug, Default)]
struct Terms {
    ttl: Option<Duration>,
    key: Option<ByteString>,
    conflate: Option<ByteString>,
}

/// A socket that was chosen by a [`Broadcast`].
#[derive(Clone, Debug)]
pub struct RemoteSocket {
    socket: Socket,
    rooms: Vec<String>,
    data: Option<ByteString>,
}

/// What many have answered. Each who was asked is in one of the lists.
#[derive(Debug)]
pub struct Answers<R> {
    /// Who answered what, in the order in which the answers came.
    pub answers: Vec<(SocketId, R)>,
    /// Who did not answer, and why.
    pub missing: Vec<(SocketId, Why)>,
    /// Who answered with another type than the one asked for.
    pub unreadable: Vec<(SocketId, json::Error)>,
}

impl Broadcast {
    pub(crate) fn new(space: Arc<Space>, timeout: Duration) -> Self {
        let (target, urgency) = (Target::all(), Urgency::Queued);
        Self { space, target, urgency, timeout, terms: Terms::default(), scope: None }
    }

    /// What is published is a handler's, which has a key.
    pub(crate) fn in_scope(mut self, scope: Option<Arc<Scope>>) -> Self {
        self.scope = scope;
        self
    }

    pub(crate) fn only_socket(mut self, socket: SocketId) -> Self {
        self.target = Target::socket(socket);
        self
    }

    /// Also who is in this room; with the first room, only who is in it.
    pub fn to(mut self, room: &str) -> Self {
        self.target = self.target.to(room);
        self
    }

    /// But for who is in this room.
    pub fn except(mut self, room: &str) -> Self {
        self.target = self.target.except(room);
        self
    }

    pub(crate) fn except_socket(mut self, socket: SocketId) -> Self {
        self.target = self.target.except_socket(socket);
        self
    }

    /// Only who can take the message at once gets it.
    pub fn volatile(mut self) -> Self {
        self.urgency = Urgency::Volatile;
        self
    }

    /// Only sockets of this server. A server has no others yet, so this says what is meant, for the day when it has.
    pub fn local(self) -> Self {
        self
    }

    /// How long answers are awaited, in place of the server's default.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How long the event may be delivered after it is [published](Self::publish): without end. Who has been away for longer
    /// does not get it.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.terms.ttl = Some(ttl);
        self
    }

    /// By what the event is known among all that are [published](Self::publish) in the namespace: 1 to 128 bytes, a UUID, say.
    /// Published again under its key, within the [window](crate::broker::channel::Config::keys), it is not in the log twice:
    /// the receipt says where it is, and that it is a [`duplicate`](Receipt::duplicate). Another event under the key is an
    /// error.
    ///
    /// Without a key, an event that is published again, since it is not known whether it was committed, may be there twice.
    pub fn key(mut self, key: impl Into<ByteString>) -> Self {
        self.terms.key = Some(key.into());
        self
    }

    /// What the event is the latest state of: who subscribes to the latest of each does not get earlier ones after it was
    /// away.
    pub fn conflate(mut self, of: impl Into<ByteString>) -> Self {
        self.terms.conflate = Some(of.into());
        self
    }

    /// Publishes an event to all of them, at least once, and is done when the namespace's log has committed it: nobody sees it
    /// before. The receipt says where it is in the log.
    ///
    /// In a namespace with [recovery](crate::Namespace), who is away gets it when it is back, in the order of the log, or is told
    /// of its loss; who is connected and slow gets it later. Elsewhere, those that are connected get it as if it were emitted.
    /// Either way those of the native protocol that subscribe to a channel of a room's name get it, unless it goes to everyone.
    ///
    /// In the handler of an event with a [key](crate::Namespace::idempotency), what is published through that handler's socket is
    /// known by the event's key, unless it has [one of its own](Self::key).
    ///
    /// ```no_run
    /// # async fn example(handle: tenfour::Handle) -> Result<(), Box<dyn std::error::Error>> {
    /// let lobby = handle.namespace("/")?.to("lobby");
    /// let receipt = lobby.key("match-7-over").publish("over", &(3, 1)).await?;
    /// println!("at {}, for good", receipt.offset);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If it was not committed. After [`AppendError::Failed`](tenfour_tokio::delivery::log::AppendError::Failed), and if the
    /// future is dropped, it is not known whether it was: publish it again under its key.
    pub async fn publish<T: Serialize + ?Sized>(
        &self,
        event: &str,
        data: &T,
    ) -> Result<Receipt, PublishError> {
        self.publish_message(message(event, data)?).await
    }

    /// [`publish`](Self::publish) with arguments as a client sent them, bytes and all.
    ///
    /// # Errors
    /// Those of [`publish`](Self::publish).
    pub async fn publish_args(&self, event: &str, args: Args) -> Result<Receipt, PublishError> {
        self.publish_message(message_of(event, args)?).await
    }

    pub(crate) async fn publish_message(&self, message: Message) -> Result<Receipt, PublishError> {
        let Terms { ttl, key, conflate } = self.terms.clone();
        let key = key.map(MessageKey::new).transpose()?;
        let to = self.target.destination();
        let publication = Publication { ttl, key, conflate, ..Publication::new(to, message) };
        let published = match &self.scope {
            Some(scope) => scope.publish(&self.space, publication).await,
            None => self.space.publish(publication).await,
        };
        Ok(published?)
    }

    /// What was published to these rooms, or to everyone where none is named: up to `limit` events, at least 1 and at most some 1 MiB of them, after a position, or from
    /// the oldest that the log has. It is what went to a room, whoever was in it, and whom it excepted.
    ///
    /// ```no_run
    /// # async fn example(handle: tenfour::Handle) -> Result<(), Box<dyn std::error::Error>> {
    /// let lobby = handle.namespace("/")?.to("lobby");
    /// let mut position = None;
    /// loop {
    ///     let page = lobby.history(position, 100).await?;
    ///     for event in &page.events {
    ///         println!("{} {} {}", event.offset, event.event, event.args.json());
    ///     }
    ///     if !page.more {
    ///         break;
    ///     }
    ///     position = Some(page.position);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If the position is beyond the log's end, or the log cannot be read.
    #[expect(clippy::unused_async, reason = "a log on another node will have to be waited for")]
    pub async fn history(&self, after: Option<Position>, limit: usize) -> Result<Page, HistoryError> {
        publish::read(&self.space, self.target.destination().channels, after, limit)
    }

    /// Sends an event to all of them, at most once. It is written once, and shared.
    ///
    /// It waits for nobody: a socket that has not taken what it was sent before is disconnected as a slow consumer, or
    /// refuses the message, as [`overflow`](crate::ServerBuilder::overflow) says. Either way the result counts it.
    ///
    /// # Errors
    /// If the name is reserved, or the data cannot be written.
    pub fn emit<T: Serialize + ?Sized>(&self, event: &str, data: &T) -> Result<Reach, EmitError> {
        let message = message(event, data)?;
        Ok(self.space.emit(&self.target, &message, self.urgency))
    }

    /// [`emit`](Self::emit) with arguments as a client sent them, bytes and all.
    ///
    /// # Errors
    /// If the name is reserved.
    pub fn emit_args(&self, event: &str, args: Args) -> Result<Reach, EmitError> {
        Ok(self.space.emit(&self.target, &message_of(event, args)?, self.urgency))
    }

    /// Sends an event that each of them is to acknowledge, and waits until all have, or until
    /// [`timeout`](Self::timeout). Who did not answer is named in the result.
    ///
    /// # Errors
    /// If the event could not be sent.
    pub async fn emit_with_ack<R: DeserializeOwned>(
        &self,
        event: &str,
        data: &(impl Serialize + ?Sized),
    ) -> Result<Answers<R>, RequestError> {
        let message = message(event, data)?;
        let outcome = self.space.request(&self.target, &message, self.timeout).await;
        Ok(Answers::read(outcome.map_err(tenfour_tokio::RequestError::TooMany)?))
    }

    /// Asks each of them, at least once, and waits until all have answered, or until [`timeout`](Self::timeout): where clients are
    /// [recovered](crate::Recovery), also those that are away, and those that go before they have answered are asked again when
    /// they are back. The event carries a key: see [`Socket::request`](crate::Socket::request).
    ///
    /// # Errors
    /// If the event could not be sent.
    pub async fn request<R: DeserializeOwned>(
        &self,
        event: &str,
        data: &(impl Serialize + ?Sized),
    ) -> Result<Answers<R>, RequestError> {
        let message = message(event, data)?;
        let outcome = self.space.lasting_request(&self.target, &message, self.timeout).await;
        Ok(Answers::read(outcome.map_err(tenfour_tokio::RequestError::TooMany)?))
    }

    /// The sockets themselves, with their rooms and data as of now.
    #[must_use]
    pub fn fetch_sockets(&self) -> Vec<RemoteSocket> {
        let mut sockets = Vec::new();
        self.space.lock().select_members(&self.target, |member| {
            sockets.push(RemoteSocket {
                socket: member.peer().clone(),
                rooms: member.rooms().map(str::to_owned).collect(),
                data: member.data().cloned(),
            });
        });
        sockets
    }

    /// Puts all of them into a room, and says how many joined. Where clients are [recovered](crate::Recovery), those who are away
    /// are among them.
    ///
    /// # Errors
    /// If the room's name is too long, the namespace has too many rooms, or it was not committed.
    pub async fn sockets_join(&self, room: &str) -> Result<Joined, ChangeError> {
        self.space.join_selected(&self.target, room).await
    }

    /// Takes all of them out of a room, those who are away among them, and says how many were in it.
    ///
    /// # Errors
    /// If it was not committed.
    pub async fn sockets_leave(&self, room: &str) -> Result<usize, ChangeError> {
        self.space.leave_selected(&self.target, room).await
    }

    /// Takes all of them out of the namespace; their connections stay. Who is away does not find its session again. It says how
    /// many they were.
    pub fn disconnect_sockets(&self) -> usize {
        self.space.dismiss_selected(&self.target, |socket| socket.disconnect())
    }

    /// [`disconnect_sockets`](Self::disconnect_sockets), which also closes their connections.
    pub fn close_sockets(&self) -> usize {
        self.space.dismiss_selected(&self.target, |socket| socket.close())
    }

    /// What the namespace has done so far.
    #[must_use]
    pub fn counters(&self) -> tenfour_tokio::broker::Counters {
        self.space.lock().counters()
    }
}

impl<R: DeserializeOwned> Answers<R> {
    fn read(Outcome { answers, missing }: Outcome) -> Self {
        let mut read = Self { answers: Vec::with_capacity(answers.len()), missing, unreadable: Vec::new() };
        for (socket, answer) in answers {
            match read_answer(answer) {
                Ok(answer) => read.answers.push((socket, answer)),
                Err(error) => read.unreadable.push((socket, error)),
            }
        }
        read
    }
}

impl fmt::Debug for Broadcast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { space, target, urgency, timeout, terms, scope: _ } = self;
        f.debug_struct("Broadcast")
            .field("namespace", space.name())
            .field("target", target)
            .field("urgency", urgency)
            .field("timeout", timeout)
            .field("terms", terms)
            .finish()
    }
}

impl RemoteSocket {
    /// Its public id.
    #[must_use]
    pub fn id(&self) -> SocketId {
        self.socket.id()
    }

    /// The request that opened its connection.
    #[must_use]
    pub fn handshake(&self) -> &Handshake {
        self.socket.handshake()
    }

    /// It alone, to be sent to, put into rooms or disconnected; requests wait for as long as `timeout`.
    pub fn only(&self, timeout: Duration) -> Broadcast {
        Broadcast::new(self.socket.space().clone(), timeout).only_socket(self.id())
    }

    /// The rooms that it was in, the room of its own id first.
    #[must_use]
    pub fn rooms(&self) -> &[String] {
        &self.rooms
    }

    /// The data that was set on it.
    ///
    /// # Errors
    /// If it is of another type.
    pub fn data<T: DeserializeOwned>(&self) -> Result<Option<T>, json::Error> {
        self.data.as_ref().map(|data| json::from_str(data, &[])).transpose()
    }
}
