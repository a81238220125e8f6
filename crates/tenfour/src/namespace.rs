//! A namespace, as it is declared.

use crate::{
    ConnectMiddleware, Durability, EventMiddleware, Handler, Key, Recovery, SocketHandler,
    handler::{AnyConnectMiddleware, AnyEventMiddleware, AnyHandler, AnySocketHandler},
};
use bytestring::ByteString;
use http::Extensions;
use std::{
    collections::HashMap,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};
use tenfour_tokio::{
    broker::registry::{Pattern, PatternError, Rule},
    wire::socketio::EventName,
};

/// What is to happen in a namespace, or in a family of them. It is declared whole before there is traffic, so that no event
/// finds a handler missing.
///
/// ```
/// use tenfour::{Auth, ConnectError, Data, HandlerResult, Namespace, Socket};
///
/// #[derive(serde::Deserialize)]
/// struct Credentials {
///     token: String,
/// }
///
/// let rooms = Namespace::new("/rooms")
///     .middleware(async |Auth(credentials): Auth<Credentials>| {
///         if credentials.token == "letmein" { Ok(()) } else { Err(ConnectError::new("not authorised")) }
///     })
///     .on("enter", async |socket: Socket, room: String| -> HandlerResult<bool> { Ok(socket.join(&room).await?) })
///     .on("say", async |socket: Socket, room: String, Data(text): Data<String>| -> HandlerResult {
///         socket.to(&room).emit("said", &text)?;
///         Ok(())
///     });
/// # drop(rooms);
/// ```
pub struct Namespace {
    pub(crate) rule: Rule,
    pub(crate) recovery: Option<Recovery>,
    pub(crate) durability: Option<Durability>,
    pub(crate) routes: Routes,
}

/// What is declared of a namespace besides its name.
#[derive(Default)]
pub(crate) struct Routes {
    pub(crate) connect_middleware: Vec<AnyConnectMiddleware>,
    pub(crate) event_middleware: Vec<AnyEventMiddleware>,
    pub(crate) connect: Option<AnySocketHandler>,
    pub(crate) disconnect: Option<AnySocketHandler>,
    pub(crate) any: Option<AnyHandler>,
    pub(crate) events: HashMap<ByteString, AnyHandler>,
    pub(crate) state: Arc<Extensions>,
    pub(crate) concurrency: usize,
    pub(crate) key: Option<Key>,
    /// Names that were declared and may not be.
    pub(crate) rejected: Vec<ByteString>,
}

impl fmt::Debug for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Namespace").field("events", &self.routes.events.keys()).finish_non_exhaustive()
    }
}

impl Namespace {
    /// The namespace of this name, which begins with a slash; `/` is the one that clients join if they name none.
    pub fn new(name: impl Into<ByteString>) -> Self {
        Self::with_rule(Rule::Exact(name.into()))
    }

    /// A namespace for each name that the pattern matches, made when somebody joins and removed when the last one leaves:
    /// `{name}` stands for one or more characters other than `/`, as in `/tenant-{id}`.
    ///
    /// # Errors
    /// If the pattern cannot be read.
    pub fn matching(pattern: &str) -> Result<Self, PatternError> {
        Ok(Self::with_rule(Rule::Pattern(Pattern::parse(pattern)?)))
    }

    /// A namespace for each name that the function accepts, made when somebody joins and removed when the last one leaves.
    /// It is given the name and the JSON text of the first client's `auth`, and says whether the namespace may exist; who
    /// may join is for a [`middleware`](Self::middleware). It is called while the server holds its list of namespaces: it
    /// must decide at once, and may not call the server.
    ///
    /// The server's list of namespaces is locked meanwhile: decide at once, from what is given or known already, and don't ask
    /// a [`Handle`](crate::Handle) for a namespace, which would wait for itself.
    pub fn accepting(accepts: impl Fn(&str, Option<&str>) -> bool + Send + Sync + 'static) -> Self {
        Self::with_rule(Rule::function(move |name, auth| {
            let decided = catch_unwind(AssertUnwindSafe(|| accepts(name, auth)));
            decided.unwrap_or_else(|_| {
                tracing::error!(%name, "the function that accepts namespaces panicked");
                false
            })
        }))
    }

    fn with_rule(rule: Rule) -> Self {
        let routes = Routes { concurrency: 1, ..Routes::default() };
        Self { rule, recovery: None, durability: None, routes }
    }

    /// Lets clients that come back go on where they were. Without it, each connection is a new client.
    #[must_use]
    pub fn recovery(mut self, recovery: Recovery) -> Self {
        self.recovery = Some(recovery);
        self
    }

    /// Where it keeps what is published, and the sessions of its clients: on the disk if the server has a
    /// [data folder](crate::ServerBuilder::data), and else in memory.
    ///
    /// Each dynamic namespace on the disk has a folder there, which stays when the last client has left: let only such names
    /// be made that you know.
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = Some(durability);
        self
    }

    /// Adds a middleware of joining, behind those before it.
    #[must_use]
    pub fn middleware<P: 'static>(mut self, middleware: impl ConnectMiddleware<P>) -> Self {
        self.routes.connect_middleware.push(Arc::new(move |incoming| middleware.call(incoming)));
        self
    }

    /// Adds a middleware of events, behind those before it.
    #[must_use]
    pub fn event_middleware<P: 'static>(mut self, middleware: impl EventMiddleware<P>) -> Self {
        self.routes.event_middleware.push(Arc::new(move |incoming| middleware.call(incoming)));
        self
    }

    /// What to do when a socket has joined, before its first event. A second one replaces the first.
    #[must_use]
    pub fn on_connect<P: 'static>(mut self, handler: impl SocketHandler<P>) -> Self {
        self.routes.connect = Some(Arc::new(move |incoming| handler.call(incoming)));
        self
    }

    /// What to do when a socket has left, behind its last event; a parameter of type
    /// [`DisconnectReason`](crate::DisconnectReason) says why. A second one replaces the first.
    #[must_use]
    pub fn on_disconnect<P: 'static>(mut self, handler: impl SocketHandler<P>) -> Self {
        self.routes.disconnect = Some(Arc::new(move |incoming| handler.call(incoming)));
        self
    }

    /// What to do when an event of this name comes; what the handler returns is the acknowledgement. A name has one handler.
    #[must_use]
    pub fn on<P: 'static>(mut self, event: impl Into<ByteString>, handler: impl Handler<P>) -> Self {
        let event = event.into();
        let handler: AnyHandler = Arc::new(move |incoming| handler.call(incoming));
        if EventName::is_reserved(&event) || self.routes.events.insert(event.clone(), handler).is_some() {
            self.routes.rejected.push(event);
        }
        self
    }

    /// What to do with every event, before its own handler. What it returns is the acknowledgement of an event that has no
    /// handler of its own. A second one replaces the first.
    #[must_use]
    pub fn on_any<P: 'static>(mut self, handler: impl Handler<P>) -> Self {
        self.routes.any = Some(Arc::new(move |incoming| handler.call(incoming)));
        self
    }

    /// What to do with messages that have no name, which Engine.IO's own clients send; in Socket.IO they are the event
    /// `message`.
    #[must_use]
    pub fn on_message<P: 'static>(self, handler: impl Handler<P>) -> Self {
        self.on("message", handler)
    }

    /// Gives handlers a value to ask for as [`State<T>`](crate::State). There is one for each type.
    #[must_use]
    pub fn state<T: Clone + Send + Sync + 'static>(mut self, state: T) -> Self {
        Arc::make_mut(&mut self.routes.state).insert(state);
        self
    }

    /// Where an event has the key by which a repetition of it is known, so that it is handled once.
    ///
    /// A client that does not know whether its event was handled sends it again: a stock one does so by itself where it is set up
    /// with `retries`. On the wire a retry looks like a second event that says the same, so **without a key every retry is
    /// handled again**: at least once is all that there can be. With one:
    ///
    /// - An event whose key was answered is answered the same again, and its handler does not run, nor a middleware of events.
    /// - One whose handler still runs joins it, also from another connection, and gets the same answer.
    /// - The answer goes out when it is committed to the namespace's log, so on a durable log this holds over restarts.
    /// - An event that says something else under a key that was used is answered an error.
    /// - What the handler [publishes](crate::Broadcast::publish) through the socket that it is given is known by the event's key
    ///   and its place: if the server stops between that and the answer, the event is handled again when it comes again, and
    ///   these messages are not published twice. Whatever else a handler does is then done twice: give it the key, too.
    /// - A handler that fails is no answer: its error is told, and the event is handled again when it comes again.
    ///
    /// This holds for clones of the socket in the handler as well, until the handler is done. A message is the same if it is the
    /// first, second, … that is published, and to the same rooms by the same name; what it says may differ, as the time would. So a
    /// handler that publishes in several tasks at once, or in another order when it runs again, gives its messages
    /// [keys](crate::Broadcast::key) of their own. What is published through a [`Handle`](crate::Handle) is not the handler's.
    ///
    /// Answers are remembered for two minutes, or as
    /// [`idempotency_limits`](crate::ServerBuilder::idempotency_limits) says: what comes later is handled as a new event, so a
    /// client must not retry for longer than that. Keys count for the whole namespace, whoever sends them: let clients draw
    /// UUIDs. An event without a key, be it missing or no text, is handled each time that it comes.
    ///
    /// ```
    /// use tenfour::{HandlerResult, Key, Namespace, Socket};
    ///
    /// // The client: socket.timeout(5000).emitWithAck("say", crypto.randomUUID(), "hello")
    /// let chat = Namespace::new("/chat")
    ///     .idempotency(Key::argument(0).only(["say"]))
    ///     .on("say", async |socket: Socket, _key: String, text: String| -> HandlerResult<u64> {
    ///         let receipt = socket.everyone().publish("said", &text).await?;
    ///         Ok(receipt.offset.get())
    ///     });
    /// # drop(chat);
    /// ```
    #[must_use]
    pub fn idempotency(mut self, key: Key) -> Self {
        self.routes.key = Some(key);
        self
    }

    /// Lets up to `most` handlers of one socket run at once, so that its events are no longer handled in their order.
    #[must_use]
    pub fn concurrent(mut self, most: usize) -> Self {
        self.routes.concurrency = most.max(1);
        self
    }
}
