//! A client of the native protocol, which publishes, subscribes and asks, over whatever number of connections it takes.
//!
//! ```no_run
//! use tenfour::client::{Client, Event};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::builder("tcp://127.0.0.1:7410").connect()?;
//! let mut news = client.subscribe("news").await?;
//! // It returns when the server has committed it: the offset is the proof.
//! let receipt = client.publish("news", "all is well").await?;
//! println!("at {}", receipt.offset);
//! while let Some(event) = news.next().await {
//!     match event {
//!         Event::Message(delivery) => println!("{}: {:?}", delivery.offset, delivery.message.body),
//!         Event::Lost(lost) => println!("{} messages will not come", lost.count),
//!         Event::Reset { epoch, .. } => println!("the log begins anew, in epoch {epoch}"),
//!         Event::Emitted(message) => println!("by the way: {:?}", message.body),
//!         Event::CaughtUp { offset } => println!("what follows {offset} is live"),
//!         Event::Ended(error) => return Err(error.into()),
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! | verb | guarantee |
//! |---|---|
//! | [`publish`](Client::publish) | committed when it returns; sent again, under the same number, until it is |
//! | [`emit`](Client::emit) | at most once: nothing waits for it, and nothing is told |
//! | [`request`](Client::request) | answered, or an error says whether the server may have got it |
//! | [`subscribe`](Client::subscribe) | every message once and in order, or an [`Event::Lost`] at its place |
//!
//! A connection that breaks is opened again, with waits that grow and are spread at random, and the session goes on where it was.
//! A process that ends takes with it what is only in its memory: a [`FileOutbox`] keeps what was accepted and not committed,
//! [`FileCursors`] how far a channel was processed.

mod driver;
mod error;
mod message;
mod publisher;
mod store;
mod subscription;
mod transport;
mod url;

pub use error::{ClientError, PublishError, RequestError, SubscribeError};
pub use message::{IntoMessage, event};
pub use publisher::Doubt;
pub use store::{
    CursorStore, FileCursors, FileOutbox, Flush, MemoryCursors, MemoryOutbox, Outbox, OutboxFull, Pending,
    StoreError,
};
pub use subscription::{Acknowledge, Delivery, Event, StartAt, SubscribeOptions, Subscription};
pub use tenfour_tokio::{
    delivery::{
        backoff::Config as Backoff,
        loss::{Count, Lost, Reason},
        resume::Position,
    },
    session::native::{Receipt, Start},
    wire::native::{Body, CloseCode, Message, RefusalReason},
};
pub use url::{DEFAULT_PATH, DEFAULT_PORT, Url, UrlError};

use bytes::Bytes;
use bytestring::ByteString;
use driver::{Answerer, Command, Commands, Driver, Settings, Wish};
use message::Stored;
use publisher::{Publisher, Waiter};
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tenfour_tokio::{Clock, delivery::backoff, session::native::Config as SessionConfig};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, pki_types::CertificateDer};
use transport::Transport;

/// A client: a handle, whose clones are the same client. Once all of them and its subscriptions are dropped, it closes.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

struct Shared {
    commands: Commands,
    state: watch::Receiver<ConnectionState>,
    url: Url,
    /// Room for publications that are not accepted yet, or not committed.
    room: Arc<Semaphore>,
    /// Room for messages that are sent at most once and that the driver has not seen.
    emits: Arc<Semaphore>,
    next_id: AtomicU64,
    request_timeout: Duration,
    clock: Clock,
}

/// Messages that are sent at most once, on their way to the driver. More are lost.
const EMITS: usize = 1024;

/// Where a client is on its way to the server.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectionState {
    /// On its way.
    Connecting {
        /// Why the last attempt failed, or the last connection ended.
        problem: Option<String>,
    },
    /// There.
    Connected,
    /// It will not connect again.
    Over(ClientError),
}

/// How to publish.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PublishOptions {
    /// How long the message is worth delivering, from now; for ever, if not said.
    pub ttl: Option<Duration>,
}

/// A publication that was accepted.
#[derive(Debug)]
pub struct Accepted {
    committed: oneshot::Receiver<Result<Receipt, PublishError>>,
    shared: Arc<Shared>,
    _room: tokio::sync::OwnedSemaphorePermit,
}

impl Client {
    /// A client of the server at this [`Url`].
    #[must_use]
    pub fn builder(url: impl Into<String>) -> ClientBuilder {
        ClientBuilder::new(url.into())
    }

    /// Publishes to a channel. It is done when the server has committed the message.
    ///
    /// What is awaited one after the other is committed in that order. Dropping the future takes nothing back.
    ///
    /// # Errors
    /// If it is not known to be committed: the error says what is known.
    pub async fn publish(&self, channel: &str, message: impl IntoMessage) -> Result<Receipt, PublishError> {
        self.publish_with(channel, message, PublishOptions::default()).await
    }

    /// [`publish`](Self::publish) with options.
    ///
    /// # Errors
    /// Those of [`publish`](Self::publish).
    pub async fn publish_with(
        &self,
        channel: &str,
        message: impl IntoMessage,
        options: PublishOptions,
    ) -> Result<Receipt, PublishError> {
        self.hand_over(channel, message.into_message(), options, None).await?.committed().await
    }

    /// Hands a message over to the outbox. It is done when the outbox has it, for good if it is a durable one; the commit can be
    /// awaited with what is returned.
    ///
    /// Many at a time are accepted, made durable and sent together; as many as the builder's
    /// [`in_flight`](ClientBuilder::in_flight) says, then it waits.
    ///
    /// # Errors
    /// If the outbox has not taken it.
    pub async fn enqueue(
        &self,
        channel: &str,
        message: impl IntoMessage,
        options: PublishOptions,
    ) -> Result<Accepted, PublishError> {
        let (accepted, was_accepted) = oneshot::channel();
        let handed = self.hand_over(channel, message.into_message(), options, Some(accepted)).await?;
        match was_accepted.await {
            Ok(accepted) => accepted.map(|()| handed),
            Err(_) => Err(PublishError::Client(self.shared.ended())),
        }
    }

    async fn hand_over(
        &self,
        channel: &str,
        message: Message,
        options: PublishOptions,
        accepted: Option<oneshot::Sender<Result<(), PublishError>>>,
    ) -> Result<Accepted, PublishError> {
        let expires = options.ttl.map(|ttl| {
            let ttl = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
            let now = self.shared.clock.wall().as_unix_millis();
            tenfour_tokio::delivery::time::WallTime::from_unix_millis(now.saturating_add(ttl))
        });
        let publication = Stored { channel: channel.into(), expires, message }.encode();
        if publication.len() > message::MAX_BYTES {
            return Err(PublishError::TooLarge { bytes: publication.len(), limit: message::MAX_BYTES });
        }
        let room = Arc::clone(&self.shared.room).acquire_owned().await;
        let room = room.map_err(|_| PublishError::Client(self.shared.ended()))?;
        let (committed, result) = oneshot::channel();
        let waiter = Waiter { accepted, committed: Some(committed) };
        self.shared.commands.send(Command::Publish { publication, waiter });
        Ok(Accepted { committed: result, shared: Arc::clone(&self.shared), _room: room })
    }

    /// Sends a message to those who subscribe to a channel now, at most once: without a connection, or without room, it is lost.
    pub fn emit(&self, channel: &str, message: impl IntoMessage) {
        // The permit is the place of one message on the way to the driver.
        if let Ok(room) = Arc::clone(&self.shared.emits).try_acquire_owned() {
            let message = message.into_message();
            self.shared.commands.send(Command::Emit { channel: channel.into(), message, _room: room });
        }
    }

    /// Subscribes to a channel: behind the position that the client's cursors have of it, or else with what is committed from
    /// now on. It is done when the subscription has begun.
    ///
    /// # Errors
    /// If there is one already, or the server refuses it.
    pub async fn subscribe(&self, channel: &str) -> Result<Subscription, SubscribeError> {
        self.subscribe_with(channel, SubscribeOptions::default()).await
    }

    /// [`subscribe`](Self::subscribe) with options.
    ///
    /// # Errors
    /// Those of [`subscribe`](Self::subscribe).
    pub async fn subscribe_with(
        &self,
        channel: &str,
        options: SubscribeOptions,
    ) -> Result<Subscription, SubscribeError> {
        let shared = &self.shared;
        // What comes is bounded by the session's credit, which is given back as items are taken, and emits by a count of their own.
        let (sender, items) = mpsc::unbounded_channel();
        let (begun, has_begun) = oneshot::channel();
        let emitted = Arc::default();
        let id = shared.next_id.fetch_add(1, Ordering::Relaxed);
        let channel = ByteString::from(channel);
        let wish = Wish {
            channel: channel.clone(),
            id,
            from: options.from,
            items: sender,
            emitted: Arc::clone(&emitted),
            begun,
        };
        shared.commands.send(Command::Subscribe(wish));
        let commands = shared.commands.clone();
        // Made before it has begun: dropped while it is awaited, it ends what was asked for.
        let subscription = Subscription::new(id, channel, options.acknowledge, items, emitted, commands);
        match has_begun.await {
            Ok(begun) => begun.map(|()| subscription),
            Err(_) => Err(SubscribeError::Client(shared.ended())),
        }
    }

    /// Asks the server's application, and waits for the answer as long as the builder's
    /// [`request_timeout`](ClientBuilder::request_timeout) says.
    ///
    /// # Errors
    /// If there is no answer: the error says whether the server may have got the request.
    pub async fn request(&self, message: impl IntoMessage) -> Result<Message, RequestError> {
        let (answer, answered) = oneshot::channel();
        self.shared.commands.send(Command::Request { message: message.into_message(), answer });
        match tokio::time::timeout(self.shared.request_timeout, answered).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(RequestError::Client(self.shared.ended())),
            Err(_) => Err(RequestError::TimedOut),
        }
    }

    /// Where the client is on its way to the server.
    #[must_use]
    pub fn state(&self) -> ConnectionState {
        self.shared.state.borrow().clone()
    }

    /// Waits until the client is connected.
    ///
    /// # Errors
    /// If it is over. It tries for ever otherwise; put a timeout around it, and ask [`state`](Self::state) for the problem.
    pub async fn connected(&self) -> Result<(), ClientError> {
        let mut state = self.shared.state.clone();
        let reached = state.wait_for(|state| !matches!(state, ConnectionState::Connecting { .. })).await;
        match reached.as_deref() {
            Ok(ConnectionState::Over(error)) => Err(error.clone()),
            Ok(_) => Ok(()),
            Err(_) => Err(self.shared.ended()),
        }
    }

    /// Waits until no publication waits for its commit, those among them that an earlier process left in the outbox.
    ///
    /// # Errors
    /// If the client is over before.
    pub async fn flush(&self) -> Result<(), ClientError> {
        let (flushed, is_flushed) = oneshot::channel();
        self.shared.commands.send(Command::Flush(flushed));
        is_flushed.await.map_err(|_| self.shared.ended())
    }

    /// How many publications the outbox has accepted in the present life of its producer: each restart goes on counting, until the
    /// server forgets the producer or refuses a publication.
    ///
    /// # Errors
    /// If the client is over.
    pub async fn accepted(&self) -> Result<u64, ClientError> {
        let (tell, told) = oneshot::channel();
        self.shared.commands.send(Command::Accepted(tell));
        told.await.map_err(|_| self.shared.ended())
    }

    /// Closes the client: the session ends, subscriptions too, and what was processed is saved. Publications that are not
    /// committed stay in the outbox; [`flush`](Self::flush) first, to wait for them.
    pub async fn close(&self) {
        self.shared.commands.send(Command::Close);
        let mut state = self.shared.state.clone();
        // Until the driver is gone, and with it whatever it held.
        while state.changed().await.is_ok() {}
    }

    /// Where the server is.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.shared.url
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("url", &self.shared.url.to_string())
            .field("state", &self.state())
            .finish()
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Shared {
    /// Why nobody answers any more.
    fn ended(&self) -> ClientError {
        match &*self.state.borrow() {
            ConnectionState::Over(error) => error.clone(),
            _ => ClientError::Closed,
        }
    }
}

impl Accepted {
    /// Waits until the server has committed it.
    ///
    /// # Errors
    /// If it is not known to be committed.
    pub async fn committed(self) -> Result<Receipt, PublishError> {
        match self.committed.await {
            Ok(result) => result,
            Err(_) => Err(PublishError::Client(self.shared.ended())),
        }
    }
}

/// A client that is being put together.
pub struct ClientBuilder {
    url: String,
    namespace: ByteString,
    token: Bytes,
    tls: Option<Arc<ClientConfig>>,
    outbox: Box<dyn Outbox>,
    doubt: Doubt,
    cursors: Box<dyn CursorStore>,
    backoff: Backoff,
    connect_timeout: Duration,
    request_timeout: Duration,
    in_flight: usize,
    session: SessionConfig,
    answerer: Option<Answerer>,
}

/// Why there is no client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The URL is none.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// There is no tokio runtime to run it on.
    #[error("a client needs a tokio runtime: connect within one")]
    NoRuntime,
}

impl ClientBuilder {
    fn new(url: String) -> Self {
        Self {
            url,
            namespace: ByteString::from_static("/"),
            token: Bytes::new(),
            tls: None,
            outbox: Box::new(MemoryOutbox::new()),
            doubt: Doubt::default(),
            cursors: Box::new(MemoryCursors::new()),
            backoff: Backoff::default(),
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(20),
            in_flight: 1024,
            session: SessionConfig::default(),
            answerer: None,
        }
    }

    /// The namespace to join: `/`.
    #[must_use]
    pub fn namespace(mut self, namespace: impl Into<ByteString>) -> Self {
        self.namespace = namespace.into();
        self
    }

    /// What the server's application recognises the client by: nothing.
    #[must_use]
    pub fn token(mut self, token: impl Into<Bytes>) -> Self {
        self.token = token.into();
        self
    }

    /// TLS as you have configured it. By default the certificates are trusted that the machine trusts.
    #[must_use]
    pub fn tls(mut self, config: Arc<ClientConfig>) -> Self {
        self.tls = Some(config);
        self
    }

    /// Trusts these certificates for TLS, and no others.
    ///
    /// # Errors
    /// If one is no certificate.
    pub fn trusted_certificates(
        self,
        certificates: impl IntoIterator<Item = CertificateDer<'static>>,
    ) -> Result<Self, tokio_rustls::rustls::Error> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates {
            roots.add(certificate)?;
        }
        Ok(self.tls(Arc::new(transport::client_config(roots)?)))
    }

    /// Where publications are kept until they are committed: in memory.
    #[must_use]
    pub fn outbox(mut self, outbox: impl Outbox) -> Self {
        self.outbox = Box::new(outbox);
        self
    }

    /// What becomes of a publication of which nobody knows any more whether it was committed: it is reported.
    #[must_use]
    pub fn in_doubt(mut self, doubt: Doubt) -> Self {
        self.doubt = doubt;
        self
    }

    /// Where it is kept how far each channel was processed: in memory.
    #[must_use]
    pub fn cursors(mut self, cursors: impl CursorStore) -> Self {
        self.cursors = Box::new(cursors);
        self
    }

    /// How long to wait before connecting again: up to 500 ms at first, up to 30 s in the end.
    #[must_use]
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// How long opening a connection may take: 10 s.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How long an answer to a request is awaited: 20 s.
    #[must_use]
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.request_timeout = timeout;
        self
    }

    /// How many publications may be on their way at once: 1024. More wait where they are made.
    #[must_use]
    pub fn in_flight(mut self, publications: usize) -> Self {
        self.in_flight = publications.clamp(1, Semaphore::MAX_PERMITS);
        self
    }

    /// How each connection's session behaves: windows, credit, heartbeat, limits.
    #[must_use]
    pub fn session(mut self, config: SessionConfig) -> Self {
        self.session = config;
        self
    }

    /// Answers the server's requests; each in a task of its own. An error is told to the server as text. By default they are
    /// refused.
    #[must_use]
    pub fn on_request<F, A>(mut self, answer: F) -> Self
    where
        F: Fn(Message) -> A + Send + Sync + 'static,
        A: Future<Output = Result<Message, String>> + Send + 'static,
    {
        self.answerer = Some(Arc::new(move |message| Box::pin(answer(message))));
        self
    }

    /// Starts the client on this runtime. It connects by itself, as often as it takes; [`Client::connected`] waits for it.
    ///
    /// # Errors
    /// If the URL is none, or there is no runtime.
    pub fn connect(self) -> Result<Client, BuildError> {
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| BuildError::NoRuntime)?;
        let url: Url = self.url.parse()?;
        // Publications and emits hold a permit each; whoever else asks waits for the answer, or gives back what was taken.
        let (sender, receiver) = mpsc::unbounded_channel();
        let (state, watched) = watch::channel(ConnectionState::Connecting { problem: None });
        let settings = Settings {
            transport: Transport { url: url.clone(), tls: self.tls },
            namespace: self.namespace,
            token: self.token,
            connect_timeout: self.connect_timeout,
            session: Arc::new(self.session),
            answerer: self.answerer,
        };
        let driver = Driver::new(
            settings,
            (sender.downgrade(), receiver),
            state,
            Publisher::new(self.outbox, self.doubt),
            self.cursors,
            backoff::Backoff::new(self.backoff),
        );
        runtime.spawn(driver);
        let shared = Shared {
            commands: Commands(sender),
            state: watched,
            url,
            room: Arc::new(Semaphore::new(self.in_flight)),
            emits: Arc::new(Semaphore::new(EMITS)),
            next_id: AtomicU64::new(0),
            request_timeout: self.request_timeout,
            clock: Clock::start(),
        };
        Ok(Client { shared: Arc::new(shared) })
    }
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder")
            .field("url", &self.url)
            .field("namespace", &self.namespace)
            .finish_non_exhaustive()
    }
}
