//! Functions that are handlers.

use crate::{
    ConnectError, ExtractError, HandlerError, Incoming, IntoReply,
    extract::{FromConnect, FromEvent},
};
use std::{future::ready, sync::Arc};
use tenfour_tokio::{BoxFuture, Reply};

/// A handler of an event: an async function of up to eight parameters that are [`FromEvent`], which returns what is
/// [`IntoReply`]. `P` is its parameters, which are inferred.
pub trait Handler<P>: Send + Sync + 'static {
    #[doc(hidden)]
    fn call(&self, incoming: &mut Incoming) -> BoxFuture<Reply>;
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

/// What is called when a socket has joined, or has left: an async function of up to eight parameters that are
/// [`FromConnect`]. Its result is `()`, or a [`HandlerResult`](crate::HandlerResult): an error is logged, and disconnects a
/// socket that has just joined.
pub trait SocketHandler<P>: Send + Sync + 'static {
    #[doc(hidden)]
    fn call(&self, incoming: &Incoming) -> BoxFuture<Result<(), HandlerError>>;
}

/// What a [`SocketHandler`] may return.
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

impl<F, P> Handler<P> for F
where
    F: Function<P> + Send + Sync + 'static,
    F::Future: Future<Output: IntoReply> + Send + 'static,
    P: EventParameters,
{
    fn call(&self, incoming: &mut Incoming) -> BoxFuture<Reply> {
        match P::from_event(incoming) {
            Ok(parameters) => {
                let handling = self.apply(parameters);
                Box::pin(async move { handling.await.into_reply() })
            }
            Err(error) => Box::pin(ready(HandlerError::from(error).to_reply())),
        }
    }
}

impl<F, P, E> EventMiddleware<P> for F
where
    F: Function<P> + Send + Sync + 'static,
    F::Future: Future<Output = Result<(), E>> + Send + 'static,
    E: Into<HandlerError>,
    P: EventParameters,
{
    fn call(&self, incoming: &mut Incoming) -> BoxFuture<Result<(), HandlerError>> {
        match P::from_event(incoming) {
            Ok(parameters) => {
                let deciding = self.apply(parameters);
                Box::pin(async move { deciding.await.map_err(Into::into) })
            }
            Err(error) => Box::pin(ready(Err(error.into()))),
        }
    }
}

impl<F, P, E> ConnectMiddleware<P> for F
where
    F: Function<P> + Send + Sync + 'static,
    F::Future: Future<Output = Result<(), E>> + Send + 'static,
    E: Into<ConnectError>,
    P: ConnectParameters,
{
    fn call(&self, incoming: &Incoming) -> BoxFuture<Result<(), ConnectError>> {
        match P::from_connect(incoming) {
            Ok(parameters) => {
                let deciding = self.apply(parameters);
                Box::pin(async move { deciding.await.map_err(Into::into) })
            }
            Err(error) => Box::pin(ready(Err(error.into()))),
        }
    }
}

impl<F, P> SocketHandler<P> for F
where
    F: Function<P> + Send + Sync + 'static,
    F::Future: Future<Output: IntoOutcome> + Send + 'static,
    P: ConnectParameters,
{
    fn call(&self, incoming: &Incoming) -> BoxFuture<Result<(), HandlerError>> {
        match P::from_connect(incoming) {
            Ok(parameters) => {
                let handling = self.apply(parameters);
                Box::pin(async move { handling.await.into_outcome() })
            }
            Err(error) => Box::pin(ready(Err(error.into()))),
        }
    }
}

/// An async function whose parameters are the elements of the tuple `P`.
pub trait Function<P> {
    #[doc(hidden)]
    type Future;

    #[doc(hidden)]
    fn apply(&self, parameters: P) -> Self::Future;
}

/// A tuple of parameters that are there without an event.
pub trait ConnectParameters: Sized {
    #[doc(hidden)]
    fn from_connect(incoming: &Incoming) -> Result<Self, ExtractError>;
}

/// A tuple of parameters of an event.
pub trait EventParameters: Sized {
    #[doc(hidden)]
    fn from_event(incoming: &mut Incoming) -> Result<Self, ExtractError>;
}

macro_rules! parameters {
    ($($type:ident $name:ident)*) => {
        impl<$($type: FromConnect,)*> ConnectParameters for ($($type,)*) {
            fn from_connect(_incoming: &Incoming) -> Result<Self, ExtractError> {
                Ok(($($type::from_connect(_incoming)?,)*))
            }
        }

        impl<$($type: FromEvent,)*> EventParameters for ($($type,)*) {
            fn from_event(_incoming: &mut Incoming) -> Result<Self, ExtractError> {
                Ok(($($type::from_event(_incoming)?,)*))
            }
        }

        impl<F, Fut, $($type,)*> Function<($($type,)*)> for F
        where
            F: Fn($($type),*) -> Fut,
        {
            type Future = Fut;

            fn apply(&self, ($($name,)*): ($($type,)*)) -> Fut {
                self($($name),*)
            }
        }
    };
}

parameters!();
parameters!(A a);
parameters!(A a B b);
parameters!(A a B b C c);
parameters!(A a B b C c D d);
parameters!(A a B b C c D d G g);
parameters!(A a B b C c D d G g H h);
parameters!(A a B b C c D d G g H h I i);
parameters!(A a B b C c D d G g H h I i J j);

/// Handlers whose parameters are forgotten.
pub(crate) type AnyHandler = Arc<dyn Fn(&mut Incoming) -> BoxFuture<Reply> + Send + Sync>;
pub(crate) type AnyEventMiddleware =
    Arc<dyn Fn(&mut Incoming) -> BoxFuture<Result<(), HandlerError>> + Send + Sync>;
pub(crate) type AnyConnectMiddleware =
    Arc<dyn Fn(&Incoming) -> BoxFuture<Result<(), ConnectError>> + Send + Sync>;
pub(crate) type AnySocketHandler =
    Arc<dyn Fn(&Incoming) -> BoxFuture<Result<(), HandlerError>> + Send + Sync>;
