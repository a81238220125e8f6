//! The HTTP side of a WebSocket: its handshake (RFC 6455 §4.2).

use super::{Body, check_origin, handshake, into_http, plain, route, upgraded::Stream};
use crate::{
    link::Link,
    native::{Connection, Seat, WebSocketStream},
    server::Shared,
};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header, request::Parts};
use hyper::upgrade::OnUpgrade;
use std::sync::Arc;
use tenfour_session::{
    WebSocketId,
    engineio::{Admission, Intent, Refusal},
};
use tenfour_wire::websocket::{Role, accept_key};

/// What a request wants to become.
pub(super) fn intent(parts: &Parts) -> Intent {
    if has_token(&parts.headers, &header::UPGRADE, "websocket") {
        Intent::WebSocket
    } else {
        Intent::Exchange
    }
}

/// Answers the handshake, and leaves the socket to a task.
pub(super) fn upgrade(
    server: &Arc<Shared>,
    parts: &mut Parts,
    admission: Admission<'_>,
) -> Result<Response<Body>, Refusal> {
    let Some(accept) = accept(parts)? else { return Ok(another_version()) };
    let upgrade = take_upgrade(parts)?;
    let (link, socket) = attach(server, parts, admission)?;
    server.drive_websocket(async move { upgrade.await.ok().map(Stream::new) }, link, socket);
    Ok(switching_protocols(accept))
}

/// Answers the handshake of a WebSocket for the native protocol, and leaves it to a task.
pub(super) fn upgrade_native(server: &Arc<Shared>, parts: &mut Parts) -> Result<Response<Body>, Refusal> {
    check_origin(&server.config, parts)?;
    if intent(parts) != Intent::WebSocket {
        return Err(Refusal::BadRequest);
    }
    let Some(accept) = accept(parts)? else { return Ok(another_version()) };
    let upgrade = take_upgrade(parts)?;
    let seat = Seat::take(server).ok_or(Refusal::ServerFull)?;
    server.spaces.context().spawn(async move {
        if let Ok(stream) = upgrade.await {
            let stream = WebSocketStream::new(Stream::new(stream), Role::Server, Bytes::new());
            Connection::new(stream, seat).await;
        }
    });
    Ok(switching_protocols(accept))
}

/// The answer to the handshake's key; `None` of another version of the protocol.
fn accept(parts: &Parts) -> Result<Option<HeaderValue>, Refusal> {
    if parts.headers.get(header::SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        return Ok(None);
    }
    let key = parts.headers.get(header::SEC_WEBSOCKET_KEY).ok_or(Refusal::BadRequest)?;
    if !has_token(&parts.headers, &header::CONNECTION, "upgrade") {
        return Err(Refusal::BadRequest);
    }
    let accept = HeaderValue::from_bytes(&accept_key(key.as_bytes()));
    Ok(Some(accept.expect("base64 is a valid header value")))
}

/// Without it, whoever serves HTTP here cannot hand the connection over.
fn take_upgrade(parts: &mut Parts) -> Result<OnUpgrade, Refusal> {
    parts.extensions.remove::<OnUpgrade>().ok_or(Refusal::BadRequest)
}

fn another_version() -> Response<Body> {
    let mut response = plain(StatusCode::UPGRADE_REQUIRED);
    response.headers_mut().insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    response
}

fn switching_protocols(accept: HeaderValue) -> Response<Body> {
    let mut response = into_http(tenfour_session::Response::switching_protocols());
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    response
}

/// The session of a WebSocket whose handshake is answered elsewhere.
pub(crate) fn open(server: &Arc<Shared>, parts: &Parts) -> Result<(Arc<Link>, WebSocketId), Refusal> {
    check_origin(&server.config, parts)?;
    let query = parts.uri.query().unwrap_or_default();
    let admission = route(server, parts, query, Intent::WebSocket)?;
    attach(server, parts, admission)
}

fn attach(
    server: &Arc<Shared>,
    parts: &Parts,
    admission: Admission<'_>,
) -> Result<(Arc<Link>, WebSocketId), Refusal> {
    match admission {
        Admission::Session(sid) => {
            let link = server.link(sid).ok_or(Refusal::UnknownSession)?;
            let socket = link.open_socket();
            Ok((link, socket))
        }
        Admission::Open(_) => server.admit(handshake(&server.config, parts)?, Link::with_websocket),
    }
}

/// Whether a header's comma-separated list has a token.
fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    let values = headers.get_all(name);
    values
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|item| item.trim().eq_ignore_ascii_case(token))
}
