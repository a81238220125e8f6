//! A server, as it is put together.

use crate::{
    Cors, Endpoint, EndpointLayer, Handle, Namespace,
    app::{Admit, App},
    native::{Answer, Authenticate, log::Retention},
    storage::Storage,
};
use axum::Router;
use bytestring::ByteString;
use http::{Extensions, request::Parts};
use std::{collections::HashSet, net::IpAddr, path::PathBuf, sync::Arc, time::Duration};
use tenfour_tokio::{
    Config, Cookie, Declaration, NamespaceError, Server as Inner,
    broker::{Limits, idempotency, registry::Rule},
    node::{self, Dialect, Overflow},
    session::{
        engineio::{self, Transports, Upgrade},
        socketio::{self, Encoding},
    },
    wire,
};
use thiserror::Error;

/// A server, ready to be served: by axum ([`into_router`](Self::into_router)), as a tower service
/// ([`endpoint`](Self::endpoint)) or layer ([`layer`](Self::layer)).
#[derive(Clone, Debug)]
pub struct Server {
    endpoint: Endpoint,
    timeout: Duration,
}

impl Server {
    /// Begins a server with the defaults of the stock ones, and every limit finite.
    #[must_use]
    pub fn builder() -> ServerBuilder {
        ServerBuilder::default()
    }

    /// The server from anywhere in the application.
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle { server: self.endpoint.server.clone(), timeout: self.timeout }
    }

    /// A router with the server's paths alone, to be merged with an application's own.
    ///
    /// Serve it with `into_make_service_with_connect_info::<SocketAddr>()` for
    /// [`Handshake::address`](crate::Handshake::address) to know whence clients connect.
    pub fn into_router(self) -> Router {
        let config = self.endpoint.server.config();
        let below = format!("{}{{*rest}}", config.path);
        let native = config.native.path.clone();
        let router = Router::new()
            .route_service(&config.path, self.endpoint.clone())
            .route_service(&below, self.endpoint.clone());
        match native {
            Some(native) => router.route_service(&native, self.endpoint),
            None => router,
        }
    }

    /// A tower service that answers requests below the server's path.
    #[must_use]
    pub fn endpoint(&self) -> Endpoint {
        self.endpoint.clone()
    }

    /// A tower layer that answers requests below the server's path, and passes on all others.
    #[must_use]
    pub fn layer(&self) -> EndpointLayer {
        EndpointLayer { endpoint: self.endpoint.clone() }
    }

    /// The server below the application's interface: it serves a WebSocket whose handshake was answered elsewhere
    /// ([`serve_websocket`](tenfour_tokio::Server::serve_websocket)).
    #[must_use]
    pub fn inner(&self) -> &tenfour_tokio::Server {
        &self.endpoint.server
    }
}

/// A server that is being put together.
#[derive(Default)]
pub struct ServerBuilder {
    namespaces: Vec<Namespace>,
    state: Extensions,
    pub(crate) config: Config,
    engine: engineio::Config,
    session: socketio::Config,
    node: node::Config,
    cors: Option<Cors>,
    admit: Option<Admit>,
    timeout: Option<Duration>,
    pub(crate) authenticate: Option<Authenticate>,
    pub(crate) answer: Option<Answer>,
    pub(crate) storage: Storage,
}

/// Why a server cannot be built.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BuildError {
    /// A namespace may not be called so.
    #[error(transparent)]
    Namespace(#[from] NamespaceError),
    /// A namespace is declared twice.
    #[error("the namespace {0:?} is declared twice; put all its handlers into one declaration")]
    DuplicateNamespace(ByteString),
    /// An event's name is reserved, or has two handlers.
    #[error("the event {0:?} is reserved by Socket.IO or has a handler already; choose another name")]
    Event(ByteString),
    /// The path does not begin and end with a slash, or holds what a path may not.
    #[error("the path {0:?} must begin and end with '/', and may not hold '{{', '}}', '?', '#' or spaces")]
    Path(String),
    /// Two protocols have one path.
    #[error("the native protocol's path is below {0:?}, which is Socket.IO's; give it another one")]
    SamePath(String),
    /// A namespace is to be on the disk, and the server has no place there.
    #[error("the namespace {0:?} is to be kept on the disk; name a folder for it with `ServerBuilder::data`")]
    NoData(String),
    /// The heartbeat would never rest.
    #[error("ping interval and ping timeout must be longer than zero")]
    Heartbeat,
}

impl ServerBuilder {
    /// Adds a namespace. At a CONNECT, one of that name goes before patterns and functions, which are asked in their order.
    #[must_use]
    pub fn namespace(mut self, namespace: Namespace) -> Self {
        self.namespaces.push(namespace);
        self
    }

    /// The folder in which namespaces are kept that are to be [on the disk](Namespace::durability): all that don't say otherwise.
    /// None by default. Each has a folder of its own in it, which one server alone may use at a time.
    ///
    /// The logs are opened by [`build`](Self::build), which says what is wrong with them; those of dynamic namespaces when the
    /// first client comes, who is turned away where that fails. That is before the middleware is asked, and the folder stays when
    /// the last client has left: so the pattern or the function of a dynamic namespace on the disk should accept no names but
    /// those that there are to be, since a client could fill the disk with others.
    #[must_use]
    pub fn data(mut self, folder: impl Into<PathBuf>) -> Self {
        self.storage.data = Some(folder.into());
        self
    }

    /// How much of what is published each namespace keeps: see [`Retention`] for the defaults. It does not count for a
    /// [log of your own](Self::log).
    #[must_use]
    pub fn retention(mut self, retention: Retention) -> Self {
        self.storage.retention = retention;
        self
    }

    /// Gives the handlers of all namespaces a value to ask for as [`State<T>`](crate::State).
    #[must_use]
    pub fn state<T: Clone + Send + Sync + 'static>(mut self, state: T) -> Self {
        self.state.insert(state);
        self
    }

    /// The path of the endpoint: `/socket.io/`.
    #[must_use]
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.config.path = path.into();
        self
    }

    /// Lets foreign web pages connect: none may by default.
    #[must_use]
    pub fn cors(mut self, cors: Cors) -> Self {
        self.cors = Some(cors);
        self
    }

    /// Sets a cookie with the session's id, for load balancers: none by default.
    #[must_use]
    pub fn cookie(mut self, cookie: Cookie) -> Self {
        self.config.cookie = Some(cookie);
        self
    }

    /// Believes what these proxies say of the client's address (`X-Forwarded-For`): none by default.
    #[must_use]
    pub fn trusted_proxies(mut self, proxies: impl IntoIterator<Item = IpAddr>) -> Self {
        self.config.trusted_proxies = proxies.into_iter().map(|proxy| proxy.to_canonical()).collect();
        self
    }

    /// Looks at each request that would open a connection, and refuses it with status 403 where this says `false`.
    #[must_use]
    pub fn admit(mut self, admit: impl Fn(&Parts) -> bool + Send + Sync + 'static) -> Self {
        self.admit = Some(Arc::new(admit));
        self
    }

    /// From one pong to the next ping: 25 s.
    #[must_use]
    pub fn ping_interval(mut self, interval: Duration) -> Self {
        self.engine.ping_interval = interval;
        self
    }

    /// How long a pong may take: 20 s.
    #[must_use]
    pub fn ping_timeout(mut self, timeout: Duration) -> Self {
        self.engine.ping_timeout = timeout;
        self
    }

    /// How long a WebSocket may probe a polling session: 10 s.
    #[must_use]
    pub fn upgrade_timeout(mut self, timeout: Duration) -> Self {
        self.engine.upgrade_timeout = timeout;
        self
    }

    /// How long a client may take to join its first namespace: 45 s.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.session.connect_timeout = timeout;
        self
    }

    /// How long the attachments of a packet may take: 20 s from its text.
    #[must_use]
    pub fn attachment_timeout(mut self, timeout: Duration) -> Self {
        self.session.attachment_timeout = timeout;
        self
    }

    /// How long the body of a POST may take: 30 s. Then it is answered 408, and the connection is closed.
    #[must_use]
    pub fn body_timeout(mut self, timeout: Duration) -> Self {
        self.config.body_timeout = timeout;
        self
    }

    /// How long a connection that the server closes waits for its client to take what is queued: 30 s.
    #[must_use]
    pub fn close_timeout(mut self, timeout: Duration) -> Self {
        self.engine.close_timeout = timeout;
        self
    }

    /// How long an answer is awaited where a call doesn't say: 20 s.
    #[must_use]
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Bytes of one message, frame or polling payload from a client: 1,000,000.
    #[must_use]
    pub fn max_payload(mut self, bytes: usize) -> Self {
        self.engine.limits.payload_bytes = bytes;
        self
    }

    /// Bytes of a handshake's URL and headers, which are kept as long as the connection lives: 16 KiB.
    #[must_use]
    pub fn handshake_bytes(mut self, bytes: usize) -> Self {
        self.config.handshake_bytes = bytes;
        self
    }

    /// What else a client may send: attachments of a packet, JSON depth, packets of a polling payload. Its `payload_bytes`
    /// are those of [`max_payload`](Self::max_payload).
    #[must_use]
    pub fn packet_limits(mut self, limits: wire::Limits) -> Self {
        self.engine.limits = limits;
        self
    }

    /// Which transports there are: both.
    #[must_use]
    pub fn transports(mut self, transports: Transports) -> Self {
        self.engine.transports = transports;
        self
    }

    /// Whether polling sessions are offered a WebSocket: they are.
    #[must_use]
    pub fn upgrade(mut self, upgrade: Upgrade) -> Self {
        self.engine.upgrade = upgrade;
        self
    }

    /// How packets are written: JSON with binary attachments. The clients must be set up alike.
    #[must_use]
    pub fn encoding(mut self, encoding: Encoding) -> Self {
        self.node.dialect = Dialect::SocketIo(encoding);
        self.session.encoding = encoding;
        self
    }

    /// Serves the clients of Engine.IO itself, without Socket.IO above it: one namespace `/`, messages without names, no
    /// acknowledgements.
    #[must_use]
    pub fn engine_io(mut self) -> Self {
        self.node.dialect = Dialect::EngineIo;
        self
    }

    /// Bytes that may wait to be sent to one connection: 1 MiB.
    #[must_use]
    pub fn send_queue(mut self, bytes: usize) -> Self {
        self.engine.send_queue_bytes = bytes;
        self
    }

    /// Bytes of one connection's events that may wait for their handlers: 1 MiB. At this bound the connection is not read
    /// until they are handled.
    #[must_use]
    pub fn event_queue(mut self, bytes: usize) -> Self {
        self.engine.inbound_bytes = bytes;
        self
    }

    /// What becomes of a connection whose send queue is full when a broadcast comes: it is disconnected.
    #[must_use]
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.node.overflow = overflow;
        self
    }

    /// Connections at once: 100,000.
    #[must_use]
    pub fn max_connections(mut self, connections: usize) -> Self {
        self.config.connections = connections;
        self
    }

    /// Namespaces at once that patterns and functions brought about: 1,000.
    #[must_use]
    pub fn max_dynamic_namespaces(mut self, namespaces: usize) -> Self {
        self.config.namespaces.dynamic_namespaces = namespaces;
        self
    }

    /// Namespaces that one connection may be in at once: 64.
    #[must_use]
    pub fn max_namespaces_per_connection(mut self, namespaces: usize) -> Self {
        self.session.namespaces = namespaces;
        self
    }

    /// Bounds of each namespace: sockets, rooms, requests, data.
    #[must_use]
    pub fn namespace_limits(mut self, limits: Limits) -> Self {
        self.config.namespace = limits;
        self
    }

    /// How many answers to events with [keys](Namespace::idempotency) a namespace remembers, and for how long.
    #[must_use]
    pub fn idempotency_limits(mut self, limits: idempotency::Config) -> Self {
        self.config.native.idempotency = limits;
        self
    }

    /// Puts the server together.
    ///
    /// # Errors
    /// If the declarations contradict each other.
    pub fn build(mut self) -> Result<Server, BuildError> {
        if self.authenticate.is_none() {
            self.config.native.path = None;
        }
        self.check()?;
        if let Some(cors) = &self.cors {
            self.config.origins = cors.origins.clone();
        }
        self.session.engine = Arc::new(self.engine);
        self.node.session = Arc::new(self.session);
        self.config.node = Arc::new(self.node);
        let timeout = self.timeout.unwrap_or(REQUEST_TIMEOUT);
        let Self { namespaces, state, admit, authenticate, answer, storage, .. } = self;
        let (declarations, namespaces): (Vec<_>, _) = namespaces
            .into_iter()
            .map(|Namespace { rule, recovery, durability, mut routes }| {
                let mut state = state.clone();
                state.extend(Arc::unwrap_or_clone(routes.state));
                routes.state = Arc::new(state);
                let mut declaration = Declaration::from(rule);
                declaration.recovery = recovery.map(|recovery| recovery.0);
                let name = name_of(&declaration.rule);
                declaration.log = Some(storage.log(durability, &name)?);
                Ok((declaration, Arc::new(routes)))
            })
            .collect::<Result<Vec<_>, BuildError>>()?
            .into_iter()
            .unzip();
        let app = App { namespaces, admit, timeout, authenticate, answer };
        let server = Inner::new(self.config, declarations, Arc::new(app))?;
        let cors = self.cors.as_ref().map(Cors::layer);
        Ok(Server { endpoint: Endpoint { server, cors }, timeout })
    }

    fn check(&self) -> Result<(), BuildError> {
        let native = self.config.native.path.as_ref();
        for path in [&self.config.path].into_iter().chain(native) {
            let plain = !path.contains(['{', '}', '?', '#', ' ']);
            if !(path.starts_with('/') && path.ends_with('/') && plain) {
                return Err(BuildError::Path(path.clone()));
            }
        }
        if native.is_some_and(|native| native.starts_with(&self.config.path)) {
            return Err(BuildError::SamePath(self.config.path.clone()));
        }
        if self.engine.ping_interval.is_zero() || self.engine.ping_timeout.is_zero() {
            return Err(BuildError::Heartbeat);
        }
        let mut names = HashSet::new();
        for namespace in &self.namespaces {
            if let Rule::Exact(name) = &namespace.rule
                && !names.insert(name)
            {
                return Err(BuildError::DuplicateNamespace(name.clone()));
            }
            if let Some(event) = namespace.routes.rejected.first() {
                return Err(BuildError::Event(event.clone()));
            }
        }
        Ok(())
    }
}

/// What a declaration is called in an error.
fn name_of(rule: &Rule) -> String {
    match rule {
        Rule::Exact(name) => name.to_string(),
        Rule::Pattern(pattern) => pattern.as_str().to_owned(),
        _ => "(by a function)".to_owned(),
    }
}

const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);
