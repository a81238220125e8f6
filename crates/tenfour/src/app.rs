//! The declared namespaces, as the server calls them.

use crate::{HandlerError, Incoming, Socket, handler::AnyHandler, namespace::Routes, native};
use bytes::Bytes;
use bytestring::ByteString;
use http::{Extensions, request::Parts};
use std::{sync::Arc, time::Duration};
use tenfour_tokio::{
    self as tokio_adapter, Application, BoxFuture, DisconnectReason, KeyRefusal, Reply, Space,
    broker::{
        Body, Message,
        idempotency::{self, KeyError},
    },
    native::{Identity, NativeSession, Rejection},
    session::{engineio::Refusal, socketio::ConnectError},
    wire::native::CloseCode,
};

/// When an event that the server cannot take now may be sent again.
const LATER: Duration = Duration::from_secs(1);

pub(crate) type Admit = Arc<dyn Fn(&Parts) -> bool + Send + Sync>;

pub(crate) struct App {
    /// By the place of their rule.
    pub(crate) namespaces: Vec<Arc<Routes>>,
    pub(crate) admit: Option<Admit>,
    pub(crate) timeout: Duration,
    pub(crate) authenticate: Option<native::Authenticate>,
    pub(crate) answer: Option<native::Answer>,
}

impl App {
    fn routes(&self, socket: &tokio_adapter::Socket) -> Arc<Routes> {
        self.namespaces[socket.space().rule().get()].clone()
    }

    fn connecting(&self, socket: tokio_adapter::Socket, state: &Arc<Extensions>) -> Incoming {
        Incoming::connecting(Socket::new(socket, self.timeout), state.clone())
    }
}

impl Application for App {
    fn admit(&self, request: &Parts) -> Result<(), Refusal> {
        match &self.admit {
            Some(admit) if !admit(request) => Err(Refusal::Forbidden),
            _ => Ok(()),
        }
    }

    fn connect(&self, socket: tokio_adapter::Socket) -> BoxFuture<Result<(), ConnectError>> {
        let routes = self.routes(&socket);
        let incoming = self.connecting(socket, &routes.state);
        Box::pin(async move {
            for middleware in &routes.connect_middleware {
                middleware(&incoming).await.map_err(|error| error.0)?;
            }
            Ok(())
        })
    }

    fn connected(&self, socket: tokio_adapter::Socket) -> BoxFuture<()> {
        let routes = self.routes(&socket);
        let incoming = self.connecting(socket, &routes.state);
        Box::pin(async move {
            let Some(handler) = &routes.connect else { return };
            if let Err(error) = handler(&incoming).await {
                tracing::warn!(socket = %incoming.socket().id(), %error, "disconnected by its connect handler");
                incoming.socket().disconnect();
            }
        })
    }

    fn message(&self, socket: tokio_adapter::Socket, message: Message) -> BoxFuture<Reply> {
        let routes = self.routes(&socket);
        let socket = Socket::new(socket, self.timeout);
        let mut incoming = Incoming::event(socket, routes.state.clone(), message);
        if routes.event_middleware.is_empty() && routes.any.is_none() {
            return match routes.events.get(incoming.name()) {
                Some(handler) => handler(&mut incoming),
                None => Box::pin(std::future::ready(unhandled(&incoming))),
            };
        }
        Box::pin(async move { handle(&routes, &mut incoming).await })
    }

    fn key(
        &self,
        socket: &tokio_adapter::Socket,
        message: &Message,
    ) -> Option<Result<idempotency::Key, KeyError>> {
        let routes = &self.namespaces[socket.space().rule().get()];
        routes.key.as_ref()?.of(message)
    }

    fn refused(&self, refusal: &KeyRefusal) -> Body {
        let error = HandlerError::new(refusal.to_string());
        match refusal {
            KeyRefusal::Full | KeyRefusal::NotKept(_) => error.retry_after(LATER),
            _ => error,
        }
        .to_body()
    }

    fn disconnected(&self, socket: tokio_adapter::Socket, reason: DisconnectReason) -> BoxFuture<()> {
        let routes = self.routes(&socket);
        let socket = Socket::new(socket, self.timeout);
        let incoming = Incoming::disconnected(socket, routes.state.clone(), reason);
        Box::pin(async move {
            let Some(handler) = &routes.disconnect else { return };
            if let Err(error) = handler(&incoming).await {
                tracing::warn!(socket = %incoming.socket().id(), %error, "its disconnect handler failed");
            }
        })
    }

    fn panicked(&self) -> Body {
        HandlerError::new("Internal error").to_body()
    }

    fn authenticate(&self, credentials: Bytes, namespace: &Space) -> BoxFuture<Result<Identity, Rejection>> {
        match &self.authenticate {
            Some(authenticate) => authenticate(credentials, namespace.name().clone()),
            None => {
                let reason = "this server lets nobody in: it was built without `authenticate`".into();
                let rejection = Rejection { code: CloseCode::Unauthorized, retry_after: None, reason };
                Box::pin(std::future::ready(Err(rejection)))
            }
        }
    }

    fn native_request(
        &self,
        session: NativeSession,
        message: Message,
    ) -> BoxFuture<Result<Message, ByteString>> {
        let Some(answer) = &self.answer else {
            let refusal = "this server answers no requests: it was built without `on_request`";
            return Box::pin(std::future::ready(Err(refusal.into())));
        };
        let answer = answer(session, native::node::to_wire(&message));
        Box::pin(async move { answer.await.map(native::node::from_wire).map_err(ByteString::from) })
    }

    fn concurrency(&self, namespace: &Space) -> usize {
        self.namespaces[namespace.rule().get()].concurrency
    }
}

async fn handle(routes: &Routes, incoming: &mut Incoming) -> Reply {
    for middleware in &routes.event_middleware {
        let passed = middleware(incoming).await;
        incoming.rewind();
        if let Err(error) = passed {
            return error.to_reply();
        }
    }
    let handler: Option<&AnyHandler> = routes.events.get(incoming.name());
    let Some(any) = &routes.any else { return call(handler, incoming).await };
    let caught = any(incoming).await;
    incoming.rewind();
    match handler {
        Some(_) => call(handler, incoming).await,
        None => caught,
    }
}

async fn call(handler: Option<&AnyHandler>, incoming: &mut Incoming) -> Reply {
    match handler {
        Some(handler) => handler(incoming).await,
        None => unhandled(incoming),
    }
}

/// A client that awaits an acknowledgement is told that there will be none.
fn unhandled(incoming: &Incoming) -> Reply {
    HandlerError::new(format!("no handler for the event {:?}", incoming.name())).to_reply()
}
