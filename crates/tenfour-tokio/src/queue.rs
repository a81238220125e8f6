//! A socket's events, in order, on their way to the application.

use crate::{Socket, application::DisconnectReason, server::Shared};
use futures_util::FutureExt;
use std::{
    collections::VecDeque,
    panic::AssertUnwindSafe,
    sync::Arc,
    task::{Context, Waker},
};
use tenfour_broker::Message;
use tenfour_node::ReplyId;
use tenfour_session::socketio::ConnectError;
use tokio::sync::Semaphore;

/// What waits for the application. It is bounded by its connection, which stops reading before it grows too large.
#[derive(Default)]
pub(crate) struct Queue {
    items: VecDeque<Item>,
    drain: Drain,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Drain {
    #[default]
    Idle,
    Running,
}

/// Something for the application; `cost` is what it holds of its connection's bound.
pub(crate) enum Item {
    Connect { cost: usize },
    Message { message: Message, reply: Option<ReplyId>, cost: usize },
    Disconnect { reason: DisconnectReason, cost: usize },
}

impl Queue {
    /// Whether the queue must now be [started](start).
    pub(crate) fn push(&mut self, item: Item) -> bool {
        self.items.push_back(item);
        std::mem::replace(&mut self.drain, Drain::Running) == Drain::Idle
    }

    fn pop(&mut self) -> Option<Item> {
        let item = self.items.pop_front();
        if item.is_none() {
            self.drain = Drain::Idle;
            self.items.shrink_to(4);
        }
        item
    }
}

/// Hands a socket's events to the application until there are none. As long as the application doesn't wait this runs
/// here, so that a burst is answered in one go; from the first wait on it has a task of its own, and holds up nobody.
pub(crate) fn start(socket: Socket) {
    let server = socket.server().clone();
    let mut drain = Box::pin(drain(socket));
    if drain.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {
        server.spawn(drain);
    }
}

/// [`start`] from within a handler: not here, where a handler would run within another one.
pub(crate) fn start_elsewhere(socket: Socket) {
    let server = socket.server().clone();
    server.spawn(drain(socket));
}

async fn drain(socket: Socket) {
    let concurrency = socket.concurrency().clone();
    loop {
        let item = socket.queue().pop();
        let Some(item) = item else { break };
        match item {
            Item::Connect { cost } => {
                concurrency.settle().await;
                connect(&socket).await;
                socket.link().consumed(cost);
            }
            Item::Message { message, reply, cost } if socket.has_joined() => {
                let handler = handle(socket.clone(), message, reply, cost);
                concurrency.run(socket.server(), handler).await;
            }
            Item::Message { cost, .. } => socket.link().consumed(cost),
            Item::Disconnect { reason, cost } => {
                concurrency.settle().await;
                if socket.has_joined() {
                    let application = &socket.server().application;
                    guarded(&socket, || application.disconnected(socket.clone(), reason)).await;
                }
                socket.link().consumed(cost);
            }
        }
    }
}

/// How many of a socket's messages may be under way at once.
#[derive(Clone)]
pub(crate) enum Concurrency {
    InOrder,
    UpTo { permits: Arc<Semaphore>, most: u32 },
}

impl Concurrency {
    pub(crate) fn new(most: usize) -> Self {
        match u32::try_from(most).unwrap_or(u32::MAX) {
            0 | 1 => Self::InOrder,
            most => Self::UpTo { permits: Arc::new(Semaphore::new(most as usize)), most },
        }
    }

    async fn run(&self, server: &Shared, handler: impl Future<Output = ()> + Send + 'static) {
        match self {
            Self::InOrder => handler.await,
            Self::UpTo { permits, .. } => {
                let permit = permits.clone().acquire_owned().await;
                server.spawn(async move {
                    handler.await;
                    drop(permit);
                });
            }
        }
    }

    /// Waits for what is under way.
    async fn settle(&self) {
        if let Self::UpTo { permits, most } = self {
            // Never closed, so this cannot fail.
            let _ = permits.acquire_many(*most).await;
        }
    }
}

async fn connect(socket: &Socket) {
    let application = &socket.server().application;
    let admitted = guarded(socket, || application.connect(socket.clone())).await;
    match admitted.unwrap_or_else(|| Err(ConnectError::new("Internal error"))) {
        Ok(()) => match socket.join_namespace() {
            Ok(()) => {
                guarded(socket, || application.connected(socket.clone().in_handler())).await;
            }
            Err(error) => socket.link().turn_away(socket, &error),
        },
        Err(error) => socket.link().turn_away(socket, &error),
    }
}

async fn handle(socket: Socket, message: Message, reply: Option<ReplyId>, cost: usize) {
    let application = &socket.server().application;
    let answer = guarded(&socket, || application.message(socket.clone().in_handler(), message)).await;
    let answer = answer.unwrap_or_else(|| Some(application.panicked()));
    if let (Some(to), Some(body)) = (reply, answer) {
        socket.link().reply(&socket, to, &body).await;
    }
    socket.link().consumed(cost);
}

/// `None` where the application panicked, be it before it had a future to give.
async fn guarded<T, F: Future<Output = T>>(socket: &Socket, call: impl FnOnce() -> F) -> Option<T> {
    let outcome = AssertUnwindSafe(async { call().await }).catch_unwind().await;
    if outcome.is_err() {
        tracing::error!(socket = %socket.id(), namespace = %socket.namespace(), "a handler panicked");
    }
    outcome.ok()
}
