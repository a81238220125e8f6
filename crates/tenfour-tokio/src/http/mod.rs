//! Requests: which session they are for, and what they tell it.

mod upgraded;
mod websocket;

use crate::{
    Config, Handshake, Origins,
    handshake::client_address,
    link::{Answer, Link},
    server::Shared,
};
use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header, request::Parts};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use std::{error::Error, sync::Arc};
use tenfour_session::{
    Input, PostContent, RequestId, Response as Answered,
    engineio::{self, Admission, Intent, Method, Query, Refusal, TransportKind, admit},
};

pub(crate) use websocket::open as open_websocket;

/// The body of an answer: whole, and known.
pub type Body = Full<Bytes>;

pub(crate) async fn respond<B>(server: &Arc<Shared>, request: Request<B>) -> Response<Body>
where
    B: http_body::Body<Data = Bytes> + Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let (mut parts, body) = request.into_parts();
    let intent = websocket::intent(&parts);
    if server.config.native.path.as_deref() == Some(parts.uri.path()) {
        return match websocket::upgrade_native(server, &mut parts) {
            Ok(response) => response,
            Err(refusal) => into_http(refusal.response(intent)),
        };
    }
    if !parts.uri.path().starts_with(&server.config.path) {
        return plain(StatusCode::NOT_FOUND);
    }
    match serve(server, &mut parts, body, intent).await {
        Ok(response) => response,
        Err(refusal) => {
            tracing::debug!(%refusal, uri = %parts.uri.path(), "request refused");
            into_http(refusal.response(intent))
        }
    }
}

async fn serve<B>(
    server: &Arc<Shared>,
    parts: &mut Parts,
    body: B,
    intent: Intent,
) -> Result<Response<Body>, Refusal>
where
    B: http_body::Body<Data = Bytes> + Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    check_origin(&server.config, parts)?;
    let query = parts.uri.query().unwrap_or_default().to_owned();
    let admission = route(server, parts, &query, intent)?;
    match (admission, intent) {
        (Admission::Open(TransportKind::Polling), _) => open_polling(server, parts).await,
        (Admission::Open(TransportKind::WebSocket), _) | (Admission::Session(_), Intent::WebSocket) => {
            websocket::upgrade(server, parts, admission)
        }
        (Admission::Session(sid), Intent::Exchange) => {
            let link = server.link(sid).ok_or(Refusal::UnknownSession)?;
            match parts.method {
                http::Method::GET => Ok(poll(&link).await),
                _ => Ok(post(&link, parts, body).await),
            }
        }
    }
}

/// Which session a request is for.
fn route<'q>(
    server: &Shared,
    parts: &Parts,
    query: &'q str,
    intent: Intent,
) -> Result<Admission<'q>, Refusal> {
    let method = match parts.method {
        http::Method::GET => Method::Get,
        http::Method::POST => Method::Post,
        _ => Method::Other,
    };
    let request = engineio::Request { method, intent, query: Query::parse(query) };
    let admission = admit(&server.config.node.session.engine, &request, |sid| server.transport_of(sid))?;
    if let Admission::Open(_) = admission {
        server.application.admit(parts)?;
    }
    Ok(admission)
}

fn check_origin(config: &Config, parts: &Parts) -> Result<(), Refusal> {
    let Some(origin) = parts.headers.get(header::ORIGIN) else { return Ok(()) };
    let origin = origin.to_str().map_err(|_| Refusal::BadRequest)?;
    if config.origins.allow(origin, Origins::host_of(parts)) { Ok(()) } else { Err(Refusal::Forbidden) }
}

fn handshake(config: &Config, parts: &Parts) -> Result<Handshake, Refusal> {
    let address = client_address(parts, &config.trusted_proxies);
    Handshake::new(parts, address, config.handshake_bytes).ok_or(Refusal::HandshakeTooLarge)
}

async fn open_polling(server: &Arc<Shared>, parts: &Parts) -> Result<Response<Body>, Refusal> {
    let handshake = handshake(&server.config, parts)?;
    let (link, answer) = server.admit(handshake, Link::with_poll)?;
    server.drive_polling(link.clone());
    let mut response = wait(&link, RequestId(0), answer).await;
    if let Some(cookie) = &server.config.cookie
        && let Ok(cookie) = HeaderValue::from_str(&cookie.header(link.sid().as_str()))
    {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    Ok(response)
}

async fn poll(link: &Arc<Link>) -> Response<Body> {
    let (request, answer) = link.request();
    link.handle([Input::Poll { request }]);
    wait(link, request, answer).await
}

async fn post<B>(link: &Arc<Link>, parts: &Parts, body: B) -> Response<Body>
where
    B: http_body::Body<Data = Bytes> + Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let (request, answer) = link.request();
    let octets = |value: &HeaderValue| value.as_bytes().starts_with(b"application/octet-stream");
    let content = match parts.headers.get(header::CONTENT_TYPE) {
        Some(value) if octets(value) => PostContent::OctetStream,
        _ => PostContent::Text,
    };
    let guard = AbortOnDrop { link, request };
    link.handle([Input::PostOpened { request, content }]);
    link.flush();
    let limit = link.server.config.node.session.engine.limits.payload_bytes;
    let collected = Limited::new(body, limit).collect();
    match tokio::time::timeout(link.server.config.body_timeout, collected).await {
        Ok(Ok(body)) => {
            link.accepts_input().await;
            link.handle([Input::PostBody { request, body: body.to_bytes() }]);
        }
        Ok(Err(error)) if error.is::<LengthLimitError>() => link.handle([Input::PostTooLarge { request }]),
        Ok(Err(_)) => return plain(StatusCode::BAD_REQUEST),
        Err(_) => return plain(StatusCode::REQUEST_TIMEOUT),
    }
    link.flush();
    link.drivers().wake();
    let response = wait(link, request, answer).await;
    drop(guard);
    response
}

/// The session's answer. If the client goes away before, the session is told.
async fn wait(link: &Arc<Link>, request: RequestId, answer: Answer) -> Response<Body> {
    let guard = AbortOnDrop { link, request };
    link.flush();
    let response = match answer.await {
        Ok(answered) => into_http(answered),
        Err(_) => into_http(Refusal::UnknownSession.response(Intent::Exchange)),
    };
    drop(guard);
    response
}

struct AbortOnDrop<'a> {
    link: &'a Arc<Link>,
    request: RequestId,
}

impl Drop for AbortOnDrop<'_> {
    fn drop(&mut self) {
        self.link.abort(self.request);
    }
}

fn into_http(answered: Answered) -> Response<Body> {
    let mut response = Response::new(Body::new(answered.body));
    *response.status_mut() =
        StatusCode::from_u16(answered.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    if let Some(content_type) = answered.content_type {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn plain(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::default());
    *response.status_mut() = status;
    response
}
