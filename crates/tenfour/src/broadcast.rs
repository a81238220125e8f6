//! What is said to many.

use crate::socket::{EmitError, RequestError, message, message_of, read_answer};
use bytestring::ByteString;
use serde::{Serialize, de::DeserializeOwned};
use std::{fmt, sync::Arc, time::Duration};
use tenfour_tokio::{
    Handshake, Socket, Space,
    broker::{JoinError, Joined, Outcome, SocketId, Target, Why},
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
        Self { space, target: Target::all(), urgency: Urgency::Queued, timeout }
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
        let Outcome { answers, missing } = self
            .space
            .request(&self.target, &message, self.timeout)
            .await
            .map_err(tenfour_tokio::RequestError::TooMany)?;
        let mut read_answers =
            Answers { answers: Vec::with_capacity(answers.len()), missing, unreadable: Vec::new() };
        for (socket, answer) in answers {
            match read_answer(answer) {
                Ok(answer) => read_answers.answers.push((socket, answer)),
                Err(error) => read_answers.unreadable.push((socket, error)),
            }
        }
        Ok(read_answers)
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

    /// Puts all of them into a room, and says how many joined.
    ///
    /// # Errors
    /// If the room's name is too long, or the namespace has too many rooms; then nobody joined.
    pub fn sockets_join(&self, room: &str) -> Result<Joined, JoinError> {
        self.space.lock().join_selected(&self.target, room)
    }

    /// Takes all of them out of a room, and says how many were in it.
    pub fn sockets_leave(&self, room: &str) -> usize {
        self.space.lock().leave_selected(&self.target, room)
    }

    /// Takes all of them out of the namespace; their connections stay. It says how many they were.
    pub fn disconnect_sockets(&self) -> usize {
        let sockets = self.fetch_sockets();
        sockets.iter().for_each(|socket| socket.socket.disconnect());
        sockets.len()
    }

    /// Takes all of them out of the namespace, and closes their connections. It says how many they were.
    pub fn close_sockets(&self) -> usize {
        let sockets = self.fetch_sockets();
        sockets.iter().for_each(|socket| socket.socket.close());
        sockets.len()
    }

    /// What the namespace has done so far.
    #[must_use]
    pub fn counters(&self) -> tenfour_tokio::broker::Counters {
        self.space.lock().counters()
    }
}

impl fmt::Debug for Broadcast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { space, target, urgency, timeout } = self;
        f.debug_struct("Broadcast")
            .field("namespace", space.name())
            .field("target", target)
            .field("urgency", urgency)
            .field("timeout", timeout)
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
        let target = Target::socket(self.id());
        Broadcast { target, ..Broadcast::new(self.socket.space().clone(), timeout) }
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
