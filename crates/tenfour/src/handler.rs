//! Functions that are handlers.

use crate::{
    ConnectError, HandlerError, Incoming, IntoReply, Socket,
    extract::{FromConnect, FromEvent},
};
use std::sync::Arc;
use tenfour_tokio::{BoxFuture, DisconnectReason, broker::Body};

/// A handler of an event: an async function of up to eight parameters that are [`FromEvent`], which returns what is
/// [`IntoReply`]. `P` is its parameters, which are inferred.
pub trait Handler<P>: Send + Sync + 'static {
    #[doc(hidden)]
    fn call(&self, incoming: &mut Incoming) -> BoxFuture<Option<Body>>;
}

/// A middleware of events: an async function of up to eight parameters that are [`FromEvent`], which returns
/// `Result<(), HandlerError>`. An error is answered, and the event goes no further.
pub trait EventMiddleware<P>: Send + Sync + 'static {
    #[doc(hidden)]
    fn call(&self, incoming: &mut Incoming) -> BoxFuture<Result<(), HandlerError>>;
}

/// A middleware of joining: an async function of up to eight parameters that are [`FromConnect`], which returns
/// `Result<(), ConnectError>`. An error refuses the client.
pub trait ConnectMiddleware<P>: Send + Sync + 'static {
    #[doc(hidden)]
    fn call(&self, incoming: &Incoming) -> BoxFuture<Result<(), ConnectError>>;
}

/// What is called when a socket has joined: an async function of up to eight parameters that are [`FromConnect`]. Its
/// result is `()`, or a [`HandlerResult`](crate::HandlerResult) whose error disconnects the socket.
pub trait ConnectHandler<P>: Send + Sync + 'static {
    #[doc(hidden)]
    fn call(&self, incoming: &Incoming) -> BoxFuture<Result<(), HandlerError>>;
}

/// What is called when a socket has left: an async function of the socket and the reason.
pub trait DisconnectHandler: Send + Sync + 'static {
    #[doc(hidden)]
    fn call(&self, socket: Socket, reason: DisconnectReason) -> BoxFuture<()>;
}

impl<F, Fut> DisconnectHandler for F
where
    F: Fn(Socket, DisconnectReason) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    fn call(&self, socket: Socket, reason: DisconnectReason) -> BoxFuture<()> {
        Box::pin(self(socket, reason))
    }
}

/// What a connect handler may return.
pub trait IntoOutcome {
    #[doc(hidden)]
    fn into_outcome(self) -> Result<(), HandlerError>;
}

impl IntoOutcome for () {
    fn into_outcome(self) -> Result<(), HandlerError> {
        Ok(())
    }
}

/// What is good about the outcome nobody asks for.
impl<T, E: Into<HandlerError>> IntoOutcome for Result<T, E> {
    fn into_outcome(self) -> Result<(), HandlerError> {
        self.map(drop).map_err(Into::into)
    }
}

macro_rules! handlers {
    ($($parameter:ident)*) => {
        #[allow(non_snake_case, unused_variables, reason = "one body for every number of parameters")]
        impl<F, Fut, $($parameter,)*> Handler<($($parameter,)*)> for F
        where
            F: Fn($($parameter),*) -> Fut + Send + Sync + 'static,
            Fut: Future + Send + 'static,
            Fut::Output: IntoReply,
            $($parameter: FromEvent,)*
        {
            fn call(&self, incoming: &mut Incoming) -> BoxFuture<Option<Body>> {
                $(let $parameter = match $parameter::from_event(incoming) {
                    Ok(parameter) => parameter,
                    Err(error) => return Box::pin(std::future::ready(Some(HandlerError::from(error).to_body()))),
                };)*
                let handler = self($($parameter),*);
                Box::pin(async move { handler.await.into_reply() })
            }
        }

        #[allow(non_snake_case, unused_variables, reason = "one body for every number of parameters")]
        impl<F, Fut, E, $($parameter,)*> EventMiddleware<($($parameter,)*)> for F
        where
            F: Fn($($parameter),*) -> Fut + Send + Sync + 'static,
            Fut: Future<Output = Result<(), E>> + Send + 'static,
            E: Into<HandlerError>,
            $($parameter: FromEvent,)*
        {
            fn call(&self, incoming: &mut Incoming) -> BoxFuture<Result<(), HandlerError>> {
                $(let $parameter = match $parameter::from_event(incoming) {
                    Ok(parameter) => parameter,
                    Err(error) => return Box::pin(std::future::ready(Err(error.into()))),
                };)*
                let middleware = self($($parameter),*);
                Box::pin(async move { middleware.await.map_err(Into::into) })
            }
        }

        #[allow(non_snake_case, unused_variables, reason = "one body for every number of parameters")]
        impl<F, Fut, E, $($parameter,)*> ConnectMiddleware<($($parameter,)*)> for F
        where
            F: Fn($($parameter),*) -> Fut + Send + Sync + 'static,
            Fut: Future<Output = Result<(), E>> + Send + 'static,
            E: Into<ConnectError>,
            $($parameter: FromConnect,)*
        {
            fn call(&self, incoming: &Incoming) -> BoxFuture<Result<(), ConnectError>> {
                $(let $parameter = match $parameter::from_connect(incoming) {
                    Ok(parameter) => parameter,
                    Err(error) => return Box::pin(std::future::ready(Err(error.into()))),
                };)*
                let middleware = self($($parameter),*);
                Box::pin(async move { middleware.await.map_err(Into::into) })
            }
        }

        #[allow(non_snake_case, unused_variables, reason = "one body for every number of parameters")]
        impl<F, Fut, $($parameter,)*> ConnectHandler<($($parameter,)*)> for F
        where
            F: Fn($($parameter),*) -> Fut + Send + Sync + 'static,
            Fut: Future + Send + 'static,
            Fut::Output: IntoOutcome,
            $($parameter: FromConnect,)*
        {
            fn call(&self, incoming: &Incoming) -> BoxFuture<Result<(), HandlerError>> {
                $(let $parameter = match $parameter::from_connect(incoming) {
                    Ok(parameter) => parameter,
                    Err(error) => return Box::pin(std::future::ready(Err(error.into()))),
                };)*
                let handler = self($($parameter),*);
                Box::pin(async move { handler.await.into_outcome() })
            }
        }
    };
}

handlers!();
handlers!(A);
handlers!(A B);
handlers!(A B C);
handlers!(A B C D);
handlers!(A B C D G);
handlers!(A B C D G H);
handlers!(A B C D G H I);
handlers!(A B C D G H I J);

/// Handlers whose parameters are forgotten.
pub(crate) type AnyHandler = Arc<dyn Fn(&mut Incoming) -> BoxFuture<Option<Body>> + Send + Sync>;
pub(crate) type AnyEventMiddleware =
    Arc<dyn Fn(&mut Incoming) -> BoxFuture<Result<(), HandlerError>> + Send + Sync>;
pub(crate) type AnyConnectMiddleware =
    Arc<dyn Fn(&Incoming) -> BoxFuture<Result<(), ConnectError>> + Send + Sync>;
pub(crate) type AnyConnectHandler =
    Arc<dyn Fn(&Incoming) -> BoxFuture<Result<(), HandlerError>> + Send + Sync>;
