//! The HTTP side of a WebSocket: its handshake (RFC 6455 §4.2).

use super::{Body, check_origin, handshake, into_http, plain, route};
use crate::{link::Link, server::Shared};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header, request::Parts};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use std::sync::Arc;
use tenfour_session::{
    WebSocketId,
    engineio::{Admission, Intent, Refusal},
};
use tenfour_wire::websocket::accept_key;

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
    let version_13 = parts.headers.get(header::SEC_WEBSOCKET_VERSION).is_some_and(|version| version == "13");
    if !version_13 {
        let mut response = plain(StatusCode::UPGRADE_REQUIRED);
        response.headers_mut().insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        return Ok(response);
    }
    let key = parts.headers.get(header::SEC_WEBSOCKET_KEY).ok_or(Refusal::BadRequest)?;
    let accept = accept_key(key.as_bytes());
    if !has_token(&parts.headers, &header::CONNECTION, "upgrade") {
        return Err(Refusal::BadRequest);
    }
    // Without it, whoever serves HTTP here cannot hand the connection over.
    let upgrade = parts.extensions.remove::<OnUpgrade>().ok_or(Refusal::BadRequest)?;
    let (link, socket) = attach(server, parts, admission)?;
    let mut response = into_http(tenfour_session::Response::switching_protocols());
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(
        header::SEC_WEBSOCKET_ACCEPT,
        HeaderValue::from_bytes(&accept).expect("base64 is a valid header value"),
    );
    server.drive_websocket(async move { upgrade.await.ok().map(TokioIo::new) }, link, socket);
    Ok(response)
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
