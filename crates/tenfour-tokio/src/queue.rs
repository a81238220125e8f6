//! A socket's events, in order, on their way to the application.

use crate::{
    Socket,
    application::{DisconnectReason, KeyRefusal, Reply},
    native::Begun,
    scope::Scope,
    server::Shared,
};
use futures_util::FutureExt;
use std::{
    collections::VecDeque,
    panic::AssertUnwindSafe,
    sync::Arc,
    task::{Context, Waker},
};
use tenfour_broker::{
    Body, Message,
    idempotency::{Key, KeyError, fingerprint},
};
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
    socket.recall();
    let application = &socket.server().application;
    let admitted = guarded(socket, || application.connect(socket.clone())).await;
    match admitted.unwrap_or_else(|| Err(ConnectError::new("Internal error"))) {
        Ok(()) => match socket.join_namespace().await {
            Ok(()) => {
                guarded(socket, || application.connected(socket.clone().in_handler())).await;
                socket.ready();
            }
            Err(error) => socket.link().turn_away(socket, &error),
        },
        Err(error) => socket.link().turn_away(socket, &error),
    }
}

async fn handle(socket: Socket, message: Message, reply: Option<ReplyId>, cost: usize) {
    let answer = match socket.server().application.key(&socket, &message) {
        None => match run(socket.clone().in_handler(), message).await {
            Reply::Done(answer) => answer,
            Reply::Failed(answer) => Some(answer),
        },
        Some(key) => once(&socket, key, message).await,
    };
    if let (Some(to), Some(body)) = (reply, answer) {
        socket.link().reply(&socket, to, &body).await;
    }
    socket.link().consumed(cost);
}

async fn run(socket: Socket, message: Message) -> Reply {
    let application = socket.server().application.clone();
    let reply = guarded(&socket, || application.message(socket.clone(), message)).await;
    reply.unwrap_or_else(|| Reply::Failed(application.panicked()))
}

/// Handles a message with a key, if it was not handled before. The answer is the same each time.
async fn once(socket: &Socket, key: Result<Key, KeyError>, message: Message) -> Option<Body> {
    let refused = |refusal| Some(socket.server().application.refused(&refusal));
    let key = match key {
        Ok(key) => key,
        Err(error) => return refused(error.into()),
    };
    let told = match socket.space().hub().begin(socket.space(), &key, fingerprint(&message)) {
        Begun::Answered(answer) => return answer,
        Begun::Conflict => return refused(KeyRefusal::Conflict),
        Begun::Full => return refused(KeyRefusal::Full),
        Begun::Joined(told) => told,
        Begun::Run(told) => {
            run_once(socket, key, message).await;
            told
        }
    };
    match told.await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => refused(KeyRefusal::NotKept(error)),
        Err(_) => None,
    }
}

async fn run_once(socket: &Socket, key: Key, message: Message) {
    let scope = Arc::new(Scope::new(key.clone()));
    let mut attempt = Attempt { socket, key, is_decided: false };
    let reply = run(socket.clone().in_handler().in_scope(Arc::clone(&scope)), message).await;
    scope.end();
    attempt.decide(reply);
}

/// A handler that runs under a key. If it is dropped before its end, the key is free for another attempt.
struct Attempt<'a> {
    socket: &'a Socket,
    key: Key,
    is_decided: bool,
}

impl Attempt<'_> {
    fn decide(&mut self, reply: Reply) {
        self.is_decided = true;
        let space = self.socket.space();
        match reply {
            Reply::Done(answer) => space.hub().finish(space, &self.key, answer),
            Reply::Failed(answer) => space.hub().abandon(space, &self.key, Some(answer)),
        }
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if !self.is_decided {
            let space = self.socket.space();
            space.hub().abandon(space, &self.key, None);
        }
    }
}

/// `None` where the application panicked, be it before it had a future to give.
async fn guarded<T, F: Future<Output = T>>(socket: &Socket, call: impl FnOnce() -> F) -> Option<T> {
    let outcome = AssertUnwindSafe(async { call().await }).catch_unwind().await;
    if outcome.is_err() {
        tracing::error!(socket = %socket.id(), namespace = %socket.namespace(), "a handler panicked");
    }
    outcome.ok()
}
