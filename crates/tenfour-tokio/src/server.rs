//! A server: its connections, its namespaces, and the application on it.

use crate::{
    Application, Config, Declaration, NamespaceError, ResponseBody, Space, clock::Clock,
    handshake::Handshake, http, link::Link, native, space::Spaces, websocket::SocketTask,
};
use ::http::{Request, Response, request::Parts};
use bytes::Bytes;
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    error::Error,
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tenfour_broker::registry::Rule;
use tenfour_delivery::id::Id;
use tenfour_session::{
    WebSocketId,
    engineio::{CloseReason, Refusal, TransportKind},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    runtime::Handle,
    sync::Notify,
};

/// How long a server that shuts down waits for its logs at least.
const FLUSH: Duration = Duration::from_secs(5);

/// A server. It is a handle: clones are the same server.
#[derive(Clone)]
pub struct Server {
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) application: Arc<dyn Application>,
    pub(crate) spaces: Spaces,
    pub(crate) clock: Clock,
    links: Mutex<HashMap<Id, Arc<Link>>>,
    /// Connections of the native protocol.
    natives: AtomicUsize,
    closing: AtomicBool,
    /// A link was forgotten.
    forgotten: Notify,
    runtime: OnceLock<Handle>,
}

impl Server {
    /// A server for an application. The namespaces are known to the application by the place of their declaration.
    ///
    /// # Errors
    /// If a namespace may not be called so, or its log cannot be opened.
    pub fn new(
        config: Config,
        declarations: impl IntoIterator<Item: Into<Declaration>>,
        application: Arc<dyn Application>,
    ) -> Result<Self, NamespaceError> {
        let clock = Clock::start();
        let native = native::Context {
            config: config.native.clone(),
            application: application.clone(),
            clock,
            runtime: OnceLock::new(),
        };
        let declarations = declarations.into_iter().map(Into::into);
        let (limits, registry) = (config.namespace.clone(), config.namespaces.clone());
        let spaces = Spaces::new(limits, registry, Arc::new(native), declarations)?;
        let shared = Shared {
            config,
            application,
            spaces,
            clock,
            links: Mutex::default(),
            natives: AtomicUsize::new(0),
            closing: AtomicBool::new(false),
            forgotten: Notify::new(),
            runtime: OnceLock::new(),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// The settings.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.shared.config
    }

    /// A namespace that there is.
    #[must_use]
    pub fn namespace(&self, name: &str) -> Option<Arc<Space>> {
        self.shared.spaces.get(name)
    }

    /// The namespaces that there are by the rules that `of` accepts.
    #[must_use]
    pub fn namespaces_where(&self, of: impl Fn(&Rule) -> bool) -> Vec<Arc<Space>> {
        self.shared.spaces.find(of)
    }

    /// How many connections there are, whatever they speak.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.links.lock().len() + self.shared.natives.load(Ordering::SeqCst)
    }

    /// Answers a request. One that is not for [`Config::path`] is answered 404.
    pub async fn respond<B>(&self, request: Request<B>) -> Response<ResponseBody>
    where
        B: http_body::Body<Data = Bytes> + Send,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        http::respond(&self.shared, request).await
    }

    /// Serves a WebSocket whose handshake has been answered elsewhere; `request` is what opened it. The future ends
    /// with the connection, and ends the connection when it is dropped.
    ///
    /// # Errors
    /// If the request may not open a WebSocket here: close the stream.
    pub fn serve_websocket<S>(
        &self,
        stream: S,
        request: &Parts,
    ) -> Result<impl Future<Output = ()> + Send + use<S>, Refusal>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (link, socket) = http::open_websocket(&self.shared, request)?;
        Ok(SocketTask::new(stream, link, socket))
    }

    /// Closes every connection in order, and takes no more of them. Done when all are closed, or after `patience`; says
    /// how many were left then.
    pub async fn shutdown(&self, patience: Duration) -> usize {
        self.shared.closing.store(true, Ordering::SeqCst);
        let links: Vec<_> = self.shared.links.lock().values().cloned().collect();
        tracing::info!(connections = links.len(), "shutting down");
        for link in links {
            link.close(CloseReason::Shutdown);
        }
        for space in self.shared.spaces.find(|_| true) {
            space.hub().shutdown(&space, patience / 4);
        }
        let emptied = async {
            loop {
                let mut forgotten = std::pin::pin!(self.shared.forgotten.notified());
                forgotten.as_mut().enable();
                if self.connections() == 0 {
                    return;
                }
                forgotten.await;
            }
        };
        let begun = tokio::time::Instant::now();
        // Who is left is counted below.
        let _ = tokio::time::timeout(patience, emptied).await;
        let flushed = async {
            for space in self.shared.spaces.find(|_| true) {
                space.hub().flush(&space).await;
            }
        };
        if tokio::time::timeout_at(begun + patience.max(FLUSH), flushed).await.is_err() {
            tracing::warn!("the log has not answered what was appended last");
        }
        self.connections()
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("connections", &self.connections()).finish_non_exhaustive()
    }
}

impl Shared {
    pub(crate) fn transport_of(&self, sid: &str) -> Option<TransportKind> {
        self.link(sid).map(|link| link.transport())
    }

    pub(crate) fn link(&self, sid: &str) -> Option<Arc<Link>> {
        self.links.lock().get(&sid.parse().ok()?).cloned()
    }

    /// Makes a connection known, if there is room for it.
    pub(crate) fn admit<T>(
        self: &Arc<Self>,
        handshake: Handshake,
        open: impl FnOnce(Arc<Self>, Handshake, Id) -> (Arc<Link>, T),
    ) -> Result<(Arc<Link>, T), Refusal> {
        self.runtime.get_or_init(Handle::current);
        let sid = Id::from_random(crate::socket::random());
        let mut links = self.links.lock();
        if self.closing.load(Ordering::SeqCst) || links.len() >= self.config.connections {
            return Err(Refusal::ServerFull);
        }
        let (link, opened) = open(self.clone(), handshake, sid);
        links.insert(sid, link.clone());
        drop(links);
        tracing::debug!(?sid, address = ?link.handshake.address(), "connection opened");
        link.settle();
        Ok((link, opened))
    }

    pub(crate) fn forget_if_finished(&self, link: &Link) {
        if link.is_finished() && self.links.lock().remove(&link.sid()).is_some() {
            self.forgotten.notify_waiters();
        }
    }

    /// A place for a connection of the native protocol, if there is one.
    pub(crate) fn seat_native(&self) -> bool {
        let limit = self.config.native.connections;
        let seat = |seated| (seated < limit).then_some(seated + 1);
        !self.closing.load(Ordering::SeqCst)
            && self.natives.fetch_update(Ordering::SeqCst, Ordering::SeqCst, seat).is_ok()
    }

    pub(crate) fn unseat_native(&self) {
        self.natives.fetch_sub(1, Ordering::SeqCst);
        self.forgotten.notify_waiters();
    }

    /// Runs a task on the runtime of the connections, also while that is shutting down.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        if let Some(runtime) = self.runtime.get() {
            runtime.spawn(task);
        }
    }

    /// Drives a connection as long as it travels by polling.
    pub(crate) fn drive_polling(self: &Arc<Self>, link: Arc<Link>) {
        let server = self.clone();
        self.spawn(async move {
            link.drive_polling().await;
            server.forget_if_finished(&link);
        });
    }

    pub(crate) fn drive_websocket<S>(
        self: &Arc<Self>,
        upgraded: impl Future<Output = Option<S>> + Send + 'static,
        link: Arc<Link>,
        socket: WebSocketId,
    ) where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        self.spawn(async move {
            match upgraded.await {
                Some(stream) => SocketTask::new(stream, link, socket).await,
                None => SocketTask::new(tokio::io::empty(), link, socket).await,
            }
        });
    }
}
