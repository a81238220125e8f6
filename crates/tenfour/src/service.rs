//! The server as a tower service.

use axum::extract::ConnectInfo;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt;
use std::{
    convert::Infallible,
    error::Error,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
};
use tenfour_tokio::{PeerAddress, ResponseBody, Server};
use tower::{Layer, Service, ServiceExt};
use tower_http::cors::CorsLayer;

/// The server as a tower service: it answers requests below its path, and 404 to others. For the client's address it takes
/// axum's [`ConnectInfo`] or a [`PeerAddress`] from the request's extensions.
#[derive(Clone, Debug)]
pub struct Endpoint {
    pub(crate) server: Server,
    pub(crate) cors: Option<CorsLayer>,
}

impl<B> Service<Request<B>> for Endpoint
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        if let Some(&ConnectInfo(address)) = request.extensions().get::<ConnectInfo<SocketAddr>>() {
            request.extensions_mut().insert(PeerAddress(address));
        }
        let server = self.server.clone();
        let service = tower::service_fn(move |request| {
            let server = server.clone();
            async move { Ok(server.respond(request).await) }
        });
        match &self.cors {
            None => Box::pin(service.oneshot(request)),
            Some(cors) => Box::pin(cors.layer(service).oneshot(request)),
        }
    }
}

/// A layer that answers requests below the server's paths, and passes on all others. What it stands before must have a response
/// body that can be made of bytes, as axum's can.
#[derive(Clone, Debug)]
pub struct EndpointLayer {
    pub(crate) endpoint: Endpoint,
}

impl<S> Layer<S> for EndpointLayer {
    type Service = Below<S>;

    fn layer(&self, inner: S) -> Below<S> {
        Below { endpoint: self.endpoint.clone(), inner }
    }
}

/// An [`Endpoint`] in front of another service.
#[derive(Clone, Debug)]
pub struct Below<S> {
    endpoint: Endpoint,
    inner: S,
}

impl<S, B, R> Service<Request<B>> for Below<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Future: Send + 'static,
    R: From<Bytes>,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let config = self.endpoint.server.config();
        let path = request.uri().path();
        if !path.starts_with(&config.path) && config.native.path.as_deref() != Some(path) {
            return Box::pin(self.inner.call(request));
        }
        let answer = self.endpoint.call(request);
        Box::pin(async move {
            let Ok(response) = answer.await;
            let (parts, body) = response.into_parts();
            let Ok(body) = body.collect().await;
            Ok(Response::from_parts(parts, R::from(body.to_bytes())))
        })
    }
}
