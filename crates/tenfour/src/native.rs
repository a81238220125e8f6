//! The server's side of the native protocol: who may join, what is answered, and publishing.

use crate::{
    Handle, PublishError, Receipt, Server, ServerBuilder,
    client::{IntoMessage, Message},
};
use bytes::Bytes;
use bytestring::ByteString;
use serde::Serialize;
use std::{convert::Infallible, sync::Arc};
use tenfour_tokio::{
    BoxFuture,
    native::{log::Log, rustls::ServerConfig},
    session::native as session,
};

pub use tenfour_tokio::{
    native::{
        Config, Grants, Identity, Listener, LogError, LogFactory, NativeSession, Rejection, RequestError,
        SessionId, log,
    },
    node::native as node,
};

pub(crate) type Authenticate =
    Arc<dyn Fn(Bytes, ByteString) -> BoxFuture<Result<Identity, Rejection>> + Send + Sync>;
pub(crate) type Answer =
    Arc<dyn Fn(NativeSession, Message) -> BoxFuture<Result<Message, String>> + Send + Sync>;

/// How the native protocol is served. It is served by [`Server::serve_native`] and its like, and over WebSocket at
/// [`native_path`](Self::native_path).
impl ServerBuilder {
    /// Who a client is that shows these credentials for this namespace, and what it may do there. It is asked at each connection, so
    /// what it says counts from then on.
    ///
    /// Without it, nobody is let in.
    #[must_use]
    pub fn authenticate<F, A>(mut self, authenticate: F) -> Self
    where
        F: Fn(Bytes, ByteString) -> A + Send + Sync + 'static,
        A: Future<Output = Result<Identity, Rejection>> + Send + 'static,
    {
        self.authenticate =
            Some(Arc::new(move |credentials, namespace| Box::pin(authenticate(credentials, namespace))));
        self
    }

    /// Lets everyone in, with whatever credentials, to subscribe to and publish on every channel.
    #[must_use]
    pub fn open_to_all(self) -> Self {
        let everything = Arc::new(Grants::all());
        self.authenticate(move |_, _| {
            let anyone = Identity::new("anyone", Arc::clone(&everything));
            std::future::ready(Ok(anyone))
        })
    }

    /// Answers clients' requests, several at a time. An error is told to the client as text. Without it, requests are refused.
    #[must_use]
    pub fn on_request<F, A>(mut self, answer: F) -> Self
    where
        F: Fn(NativeSession, Message) -> A + Send + Sync + 'static,
        A: Future<Output = Result<Message, String>> + Send + 'static,
    {
        self.answer = Some(Arc::new(move |session, message| Box::pin(answer(session, message))));
        self
    }

    /// Logs of your own, for namespaces that don't say [otherwise](crate::Namespace::durability); `make` is given the namespace's
    /// name. What a log holds already is taken up: messages, sessions, and by what repetitions are recognised.
    #[must_use]
    pub fn log(mut self, make: impl Fn(&str) -> Box<dyn Log> + Send + Sync + 'static) -> Self {
        self.storage.own = Some(LogFactory::new(make));
        self
    }

    /// [`log`](Self::log) for logs that it may be impossible to open: each is opened before its namespace is used. The one of a
    /// namespace with a name of its own is opened by [`build`](Self::build), which fails with what `open` says; a dynamic
    /// namespace's when the first client comes, who is turned away then.
    #[must_use]
    pub fn try_log<E: std::fmt::Display>(
        mut self,
        open: impl Fn(&str) -> Result<Box<dyn Log>, E> + Send + Sync + 'static,
    ) -> Self {
        self.storage.own = Some(LogFactory::fallible(open));
        self
    }

    /// How each connection's session behaves: windows, credit, heartbeat, how long a hello may take, limits.
    #[must_use]
    pub fn native_session(mut self, config: session::Config) -> Self {
        self.config.native.session = Arc::new(config);
        self
    }

    /// What a namespace holds of sessions and channels, and for how long.
    #[must_use]
    pub fn native_limits(mut self, config: node::Config) -> Self {
        self.config.native.node = Arc::new(config);
        self
    }

    /// Connections at once: 100,000.
    #[must_use]
    pub fn max_native_connections(mut self, connections: usize) -> Self {
        self.config.native.connections = connections;
        self
    }

    /// The path at which it is served over WebSocket, if [anybody](Self::authenticate) is let in: `/tenfour/`.
    #[must_use]
    pub fn native_path(mut self, path: impl Into<String>) -> Self {
        self.config.native.path = Some(path.into());
        self
    }
}

impl Server {
    /// Serves the native protocol to whoever connects, until the future is dropped; the connections then go on. Over WebSocket,
    /// [`into_router`](Self::into_router) and its like serve it too.
    ///
    /// ```no_run
    /// use tenfour::{Namespace, Server};
    /// use tokio::net::TcpListener;
    ///
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let server = Server::builder().namespace(Namespace::new("/")).open_to_all().build()?;
    /// let native = TcpListener::bind("127.0.0.1:7410").await?;
    /// tokio::spawn({
    ///     let server = server.clone();
    ///     async move { server.serve_native(native).await }
    /// });
    /// let http = TcpListener::bind("127.0.0.1:3000").await?;
    /// axum::serve(http, server.into_router()).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn serve_native<L: Listener>(&self, listener: L) -> Infallible {
        self.inner().serve_native(listener).await
    }

    /// [`serve_native`](Self::serve_native) with TLS.
    pub async fn serve_native_tls<L: Listener>(&self, listener: L, tls: Arc<ServerConfig>) -> Infallible {
        self.inner().serve_native_tls(listener, tls).await
    }
}

impl Handle {
    /// Publishes an event to a channel of a namespace, and is done when it is committed: as
    /// `self.namespace(namespace)?.to(channel).publish(event, data)`, see [`Broadcast::publish`](crate::Broadcast::publish).
    /// Those who subscribe to the channel get it in its order, now or when they are back, and so do those in the room of its
    /// name where the namespace has recovery; elsewhere these get it if they are there.
    ///
    /// # Errors
    /// If it was not committed.
    pub async fn publish<T: Serialize + ?Sized>(
        &self,
        namespace: &str,
        channel: &str,
        event: &str,
        data: &T,
    ) -> Result<Receipt, PublishError> {
        self.namespace(namespace)?.to(channel).publish(event, data).await
    }

    /// [`publish`](Self::publish) with a message as clients of the native protocol write it, which need not have a name.
    ///
    /// # Errors
    /// If it was not committed.
    pub async fn publish_native(
        &self,
        namespace: &str,
        channel: &str,
        message: impl IntoMessage,
    ) -> Result<Receipt, PublishError> {
        self.namespace(namespace)?.to(channel).publish_message(node::from_wire(message.into_message())).await
    }
}
