//! A connection, shared by the task that drives it and all who send to it.

use crate::{
    Handshake, Socket,
    application::DisconnectReason,
    drivers::{Driver, Drivers},
    queue::{self, Item},
    server::Shared,
};
use bytestring::ByteString;
use parking_lot::Mutex;
use smallvec::SmallVec;
use std::{
    future::poll_fn,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    task::Poll,
    time::Duration,
};
use tenfour_broker::Body;
use tenfour_delivery::{id::Id, time::Instant};
use tenfour_node::{Connection, Delivery, Dialect, Event, Incoming, REPLAY_BYTES, ReplyId, Urgency};
use tenfour_session::{
    Frame, Input, RequestId, Response, Transmit, WebSocketId,
    engineio::{CloseReason, Opening, SendError, TransportKind},
    socketio::{Admission, ConnectError, Encoded},
};
use tokio::sync::{Notify, oneshot};

/// A connection. Its lock is a leaf: whoever holds it takes no other.
///
/// What its events lead to happens under no lock of the connection, yet in their order: see `order`.
pub(crate) struct Link {
    pub(crate) server: Arc<Shared>,
    pub(crate) handshake: Handshake,
    sid: Id,
    dialect: Dialect,
    connection: Mutex<Connection>,
    /// Held from before the connection's events are drained until all of them are dispatched, so that those of two threads
    /// don't overtake each other. It is taken before any other lock, and never by a namespace.
    order: Mutex<()>,
    /// The sockets in their namespaces, also those that are not let in yet.
    sockets: Mutex<SmallVec<[Socket; 1]>>,
    requests: Mutex<Vec<(RequestId, oneshot::Sender<Response>)>>,
    /// The tasks that carry frames and answers out.
    drivers: Drivers,
    /// Something happened for which a sender or a reader may wait: room in the queue, room for input, the end.
    changed: Notify,
    next_request: AtomicU64,
    next_socket: AtomicU32,
    /// Whether a socket was refused an entry of the log for want of room, and reads on when there is some. Set under the
    /// connection's lock.
    behind: AtomicBool,
}

/// What one pass over a socket's frames needs to know of the session.
pub(crate) struct Status {
    pub(crate) serves: bool,
    pub(crate) accepts_input: bool,
    pub(crate) deadline: Option<Instant>,
}

impl Link {
    /// A connection that begins with a poll, and the answer to that poll.
    pub(crate) fn with_poll(server: Arc<Shared>, handshake: Handshake, sid: Id) -> (Arc<Self>, Answer) {
        let request = RequestId(0);
        let link = Arc::new(Self::new(server, handshake, sid, Opening::Polling(request)));
        let answer = link.expect(request);
        link.flush();
        (link, answer)
    }

    /// A connection that begins with a WebSocket.
    pub(crate) fn with_websocket(
        server: Arc<Shared>,
        handshake: Handshake,
        sid: Id,
    ) -> (Arc<Self>, WebSocketId) {
        let socket = WebSocketId(0);
        (Arc::new(Self::new(server, handshake, sid, Opening::WebSocket(socket))), socket)
    }

    fn new(server: Arc<Shared>, handshake: Handshake, sid: Id, opening: Opening) -> Self {
        let config = server.config.node.clone();
        Self {
            dialect: config.dialect,
            connection: Mutex::new(Connection::new(config, sid, opening, server.clock.now())),
            order: Mutex::default(),
            server,
            handshake,
            sid,
            sockets: Mutex::default(),
            requests: Mutex::default(),
            drivers: Drivers::default(),
            changed: Notify::new(),
            next_request: AtomicU64::new(1),
            next_socket: AtomicU32::new(1),
            behind: AtomicBool::new(false),
        }
    }

    pub(crate) fn sid(&self) -> Id {
        self.sid
    }

    pub(crate) fn dialect(&self) -> Dialect {
        self.dialect
    }

    pub(crate) fn transport(&self) -> TransportKind {
        self.connection.lock().transport()
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.connection.lock().is_finished()
    }

    /// A request of this session, and its answer once the session has one.
    pub(crate) fn request(&self) -> (RequestId, Answer) {
        let request = RequestId(self.next_request.fetch_add(1, Ordering::Relaxed));
        (request, self.expect(request))
    }

    fn expect(&self, request: RequestId) -> Answer {
        let (sender, receiver) = oneshot::channel();
        self.requests.lock().push((request, sender));
        receiver
    }

    /// A further WebSocket for this session, wanted or not.
    pub(crate) fn open_socket(self: &Arc<Self>) -> WebSocketId {
        let socket = WebSocketId(self.next_socket.fetch_add(1, Ordering::Relaxed));
        self.handle([Input::SocketOpened { socket }]);
        socket
    }

    /// Takes in what happened, and starts what it leads to.
    pub(crate) fn handle(self: &Arc<Self>, inputs: impl IntoIterator<Item = Input>) {
        let awake = self.act(|connection, now| {
            inputs.into_iter().for_each(|input| connection.handle_input(now, input));
        });
        awake.into_iter().for_each(queue::start);
    }

    /// Starts what a sender's doing has led to.
    pub(crate) fn settle(self: &Arc<Self>) {
        self.handle([]);
    }

    /// Lets time pass.
    pub(crate) fn handle_timeout(self: &Arc<Self>) {
        self.act(Connection::handle_timeout).into_iter().for_each(queue::start);
    }

    /// Does something to the connection, and what its events lead to before anyone else does. The result are the sockets
    /// whose queue must now be started.
    fn act(self: &Arc<Self>, act: impl FnOnce(&mut Connection, Instant)) -> SmallVec<[Socket; 1]> {
        let _order = self.order.lock();
        let now = self.server.clock.now();
        let (events, open) = {
            let mut connection = self.connection.lock();
            act(&mut connection, now);
            (drain(&mut connection), connection.accepts_input())
        };
        if !open {
            self.changed.notify_waiters();
        }
        self.dispatch(events)
    }

    /// Events of one socket go through its queue; what the server itself acts on is done at once. The result are the sockets
    /// whose queue must now be started.
    fn dispatch(self: &Arc<Self>, events: SmallVec<[Incoming; 4]>) -> SmallVec<[Socket; 1]> {
        let mut awake: SmallVec<[Socket; 1]> = SmallVec::new();
        for Incoming { event, cost } in events {
            let socket = match event {
                Event::Connect { namespace, auth } => self.connect(&namespace, auth, cost),
                Event::Message { namespace, message, reply } => match self.socket(&namespace) {
                    Some(socket) => socket.enqueue(Item::Message { message, reply, cost }),
                    None => self.pass_over(cost),
                },
                Event::Answer { namespace, request, answer } => {
                    if let Some(socket) = self.socket(&namespace) {
                        socket.space().lock().answer(socket.id(), request, answer);
                    }
                    None
                }
                Event::Leave { namespace } => match self.remove(|socket| *socket.namespace() == namespace) {
                    Some(socket) => socket.depart(DisconnectReason::ClientDisconnect, cost),
                    None => self.pass_over(cost),
                },
                Event::Closed(reason) => {
                    awake.extend(self.end(reason));
                    None
                }
                _ => None,
            };
            awake.extend(socket);
        }
        awake
    }

    fn connect(
        self: &Arc<Self>,
        namespace: &ByteString,
        auth: Option<ByteString>,
        cost: usize,
    ) -> Option<Socket> {
        match self.server.spaces.connect(namespace, auth.as_deref()) {
            Ok(space) => {
                let socket = Socket::new(self.clone(), space, auth);
                self.sockets.lock().push(socket.clone());
                socket.enqueue(Item::Connect { cost })
            }
            Err(refusal) => {
                self.refuse(namespace, &refusal.to_error());
                self.pass_over(cost)
            }
        }
    }

    /// An event that is for no socket: the client need not wait until it is let in, or told that it is not.
    fn pass_over(&self, cost: usize) -> Option<Socket> {
        self.consumed(cost);
        None
    }

    fn remove(&self, is_it: impl Fn(&Socket) -> bool) -> Option<Socket> {
        let mut sockets = self.sockets.lock();
        let place = sockets.iter().position(is_it)?;
        Some(sockets.swap_remove(place))
    }

    fn end(&self, reason: CloseReason) -> impl Iterator<Item = Socket> + use<> {
        tracing::debug!(sid = ?self.sid, %reason, "connection over");
        self.changed.notify_waiters();
        let sockets = std::mem::take(&mut *self.sockets.lock());
        sockets.into_iter().filter_map(move |socket| socket.depart(DisconnectReason::Connection(reason), 0))
    }

    fn socket(&self, namespace: &str) -> Option<Socket> {
        self.sockets.lock().iter().find(|socket| socket.namespace() == namespace).cloned()
    }

    /// Lets a socket in: its client is told, before anything that is sent to it. `false` where it has gone.
    pub(crate) fn accept(&self, socket: &Socket, admission: Admission<'_>) -> bool {
        let accepted = self.connection.lock().accept(socket.namespace(), admission);
        self.drivers.wake();
        accepted
    }

    fn refuse(&self, namespace: &str, error: &ConnectError) {
        let now = self.server.clock.now();
        self.connection.lock().refuse(now, namespace, error);
        self.drivers.wake();
    }

    /// Does not let a socket in. Its queue is running, since it asked for this.
    pub(crate) fn turn_away(&self, socket: &Socket, error: &ConnectError) {
        let _order = self.order.lock();
        self.refuse(socket.namespace(), error);
        if let Some(socket) = self.remove(|known| known == socket) {
            socket.depart(DisconnectReason::ServerDisconnect, 0);
        }
    }

    /// Takes a socket out of its namespace, from the server's side. One that has left is not its successor.
    pub(crate) fn disconnect(self: &Arc<Self>, socket: &Socket, reason: DisconnectReason) {
        let left = {
            let _order = self.order.lock();
            let is_here = self.sockets.lock().contains(socket);
            let now = self.server.clock.now();
            let left = is_here && self.connection.lock().disconnect(now, socket.namespace());
            let left = left.then(|| self.remove(|known| known == socket)).flatten();
            left.and_then(|socket| socket.depart(reason, 0))
        };
        let ended = self.act(|_, _| ());
        left.into_iter().chain(ended).for_each(queue::start_elsewhere);
        self.drivers.wake();
    }

    /// Takes every socket out of its namespace, from the server's side, and ends the connection in order.
    pub(crate) fn disconnect_all(self: &Arc<Self>) {
        let sockets = self.sockets.lock().clone();
        sockets.iter().for_each(|socket| self.disconnect(socket, DisconnectReason::ServerDisconnect));
        self.close(CloseReason::ServerClose);
    }

    /// Ends the connection in order.
    pub(crate) fn close(self: &Arc<Self>, reason: CloseReason) {
        let ended = self.act(|connection, now| connection.close(now, reason));
        ended.into_iter().for_each(queue::start_elsewhere);
        self.drivers.wake();
    }

    /// The application is done with an event.
    pub(crate) fn consumed(&self, cost: usize) {
        let now = self.server.clock.now();
        let reopened = {
            let mut connection = self.connection.lock();
            let held = !connection.accepts_input();
            connection.consumed(now, cost);
            held && connection.accepts_input()
        };
        if reopened {
            self.drivers.wake();
            self.changed.notify_waiters();
        }
    }

    /// Hands a packet over without waiting.
    pub(crate) fn offer(self: &Arc<Self>, packet: &Encoded, urgency: Urgency) -> Delivery {
        let delivery = self.connection.lock().offer(packet, urgency);
        if delivery != Delivery::Dropped {
            self.drivers.wake();
        }
        delivery
    }

    /// Hands an entry of the log over without waiting. One that is refused is read again when there is room, which
    /// `refused` notes of its socket.
    pub(crate) fn offer_entry(
        self: &Arc<Self>,
        packet: &Encoded,
        urgency: Urgency,
        refused: &AtomicBool,
    ) -> Delivery {
        let mut connection = self.connection.lock();
        let delivery = connection.offer(packet, urgency);
        if delivery == Delivery::Queued {
            drop(connection);
            self.drivers.wake();
        } else {
            refused.store(true, Ordering::Relaxed);
            self.behind.store(true, Ordering::Relaxed);
        }
        delivery
    }

    pub(crate) fn try_send(&self, packet: &Encoded) -> Result<(), SendError> {
        self.connection.lock().send(packet)?;
        self.drivers.wake();
        Ok(())
    }

    /// Queues a packet of a socket once there is room. `false` where the socket leaves before.
    pub(crate) async fn send(&self, from: &Socket, packet: &Encoded) -> bool {
        self.when_room(from, |connection| connection.send(packet)).await
    }

    /// Queues a socket's answer once there is room. `false` where the socket leaves before.
    pub(crate) async fn reply(&self, from: &Socket, to: ReplyId, body: &Body) -> bool {
        self.when_room(from, |connection| connection.reply(from.namespace(), to, body)).await
    }

    async fn when_room(
        &self,
        from: &Socket,
        mut send: impl FnMut(&mut Connection) -> Result<(), SendError>,
    ) -> bool {
        let mut attempt = || {
            if !from.is_connected() {
                return Err(SendError::Closed);
            }
            send(&mut self.connection.lock())?;
            self.drivers.wake();
            Ok(())
        };
        loop {
            // There nearly always is room, and then nothing needs to be listened for.
            let mut sent = attempt();
            if sent == Err(SendError::Full) {
                let mut changed = pin!(self.changed.notified());
                changed.as_mut().enable();
                sent = attempt();
                if sent == Err(SendError::Full) {
                    changed.await;
                    continue;
                }
            }
            return sent.is_ok();
        }
    }

    /// Those who wait for room on behalf of a socket see that it has left.
    pub(crate) fn notify_departure(&self) {
        self.changed.notify_waiters();
    }

    /// Waits until the session accepts input.
    pub(crate) async fn accepts_input(&self) {
        self.when_input_is(true).await;
    }

    /// Waits until the session accepts no input.
    pub(crate) async fn refuses_input(&self) {
        self.when_input_is(false).await;
    }

    async fn when_input_is(&self, accepted: bool) {
        loop {
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            if self.connection.lock().accepts_input() == accepted {
                return;
            }
            changed.await;
        }
    }

    pub(crate) fn drivers(&self) -> &Drivers {
        &self.drivers
    }

    pub(crate) fn status(&self, socket: WebSocketId) -> Status {
        let connection = self.connection.lock();
        Status {
            serves: connection.serves(socket),
            accepts_input: connection.accepts_input(),
            deadline: connection.poll_timeout(),
        }
    }

    /// Takes frames for a WebSocket for as long as `wants_more`.
    pub(crate) fn take_frames(&self, socket: WebSocketId, mut wants_more: impl FnMut(Frame) -> bool) {
        let (was_full, has_room, may_read) = {
            let mut connection = self.connection.lock();
            let was_full = !connection.has_capacity();
            while let Some(frame) = connection.poll_frame(socket) {
                if !wants_more(frame) {
                    break;
                }
            }
            (was_full, connection.has_capacity(), self.takes_more_of_the_log(&connection))
        };
        if was_full && has_room {
            self.changed.notify_waiters();
        }
        if may_read {
            self.read_on();
        }
    }

    /// Whether sockets were refused entries of the log, and there is room for more.
    fn takes_more_of_the_log(&self, connection: &Connection) -> bool {
        self.behind.load(Ordering::Relaxed)
            && connection.has_capacity()
            && connection.queued_bytes() <= REPLAY_BYTES / 2
            && self.behind.swap(false, Ordering::Relaxed)
    }

    fn read_on(&self) {
        let sockets = self.sockets.lock().clone();
        sockets.iter().for_each(Socket::read_on);
    }

    /// Answers the requests that the session has answers for.
    pub(crate) fn flush(&self) {
        let (answers, was_full, has_room, may_read, is_finished) = {
            let mut connection = self.connection.lock();
            let was_full = !connection.has_capacity();
            let mut answers: SmallVec<[_; 2]> = SmallVec::new();
            while let Some(transmit) = connection.poll_transmit() {
                if let Transmit::Respond { request, response } = transmit {
                    answers.push((request, response));
                }
            }
            let may_read = self.takes_more_of_the_log(&connection);
            (answers, was_full, connection.has_capacity(), may_read, connection.is_finished())
        };
        if was_full && has_room {
            self.changed.notify_waiters();
        }
        if may_read {
            self.read_on();
        }
        if is_finished {
            // The last answer was fetched by a request; who keeps the time of the connection is to let go of it.
            self.drivers.wake();
        }
        let mut requests = self.requests.lock();
        for (request, response) in answers {
            if let Some(place) = requests.iter().position(|(known, _)| *known == request) {
                // A client that has gone away meanwhile needs no answer.
                let _ = requests.swap_remove(place).1.send(response);
            }
        }
    }

    /// Keeps the time of a connection that travels by polling, and answers its polls: a burst of messages with one answer,
    /// since this task wakes up once for all of them.
    pub(crate) async fn drive_polling(self: &Arc<Self>) {
        let mut timer = pin!(tokio::time::sleep(Duration::ZERO));
        poll_fn(|cx| {
            loop {
                self.drivers.look(Driver::Polling, cx.waker());
                self.settle();
                self.flush();
                if self.is_finished() || self.transport() == TransportKind::WebSocket {
                    return Poll::Ready(());
                }
                let deadline = self.connection.lock().poll_timeout();
                let is_due = deadline.is_some_and(|deadline| {
                    let moment = self.server.clock.moment(deadline);
                    if timer.deadline() != moment {
                        timer.as_mut().reset(moment);
                    }
                    timer.as_mut().poll(cx).is_ready()
                });
                if is_due {
                    self.handle_timeout();
                } else if self.drivers.rest(Driver::Polling) {
                    return Poll::Pending;
                }
            }
        })
        .await;
        self.drivers.forget(Driver::Polling);
    }

    /// Nobody waits for the answer to a request any more.
    pub(crate) fn abort(self: &Arc<Self>, request: RequestId) {
        let mut requests = self.requests.lock();
        let Some(place) = requests.iter().position(|(known, _)| *known == request) else { return };
        requests.swap_remove(place);
        drop(requests);
        self.handle([Input::RequestAborted { request }]);
        self.flush();
        self.drivers.wake();
    }
}

/// The answer to a request, once the session has one.
pub(crate) type Answer = oneshot::Receiver<Response>;

fn drain(connection: &mut Connection) -> SmallVec<[Incoming; 4]> {
    std::iter::from_fn(|| connection.poll_event()).collect()
}

#[cfg(test)]
mod tests;
