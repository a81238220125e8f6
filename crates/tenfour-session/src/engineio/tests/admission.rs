use super::*;
use Admission::{Open, Session as Known};
use Intent::{Exchange, WebSocket};
use Method::{Get, Other, Post};

/// Sessions are named after their transports.
fn ask<'a>(
    config: &Config,
    method: Method,
    intent: Intent,
    query: &'a str,
) -> Result<Admission<'a>, Refusal> {
    let request = Request { method, intent, query: Query::parse(query) };
    admit(config, &request, TransportKind::parse)
}

fn rows(config: &Config, rows: &[(Method, Intent, &'static str, Result<Admission<'static>, Refusal>)]) {
    for (method, intent, query, expected) in rows {
        assert_eq!(ask(config, *method, *intent, query), *expected, "{method:?} {intent:?} ?{query}");
    }
}

#[test]
fn handshakes_open_a_session() {
    rows(
        &Config::default(),
        &[
            (Get, Exchange, "EIO=4&transport=polling", Ok(Open(TransportKind::Polling))),
            (Get, Exchange, "t=abc&transport=polling&EIO=4", Ok(Open(TransportKind::Polling))),
            (Get, WebSocket, "EIO=4&transport=websocket", Ok(Open(TransportKind::WebSocket))),
        ],
    );
}

#[test]
fn an_unknown_transport_is_refused_before_all_else() {
    rows(
        &Config::default(),
        &[
            (Get, Exchange, "", Err(Refusal::UnknownTransport)),
            (Get, Exchange, "EIO=4", Err(Refusal::UnknownTransport)),
            (Get, Exchange, "EIO=4&transport=", Err(Refusal::UnknownTransport)),
            (Get, Exchange, "EIO=4&transport=abc", Err(Refusal::UnknownTransport)),
            (Get, Exchange, "EIO=4&transport=Polling", Err(Refusal::UnknownTransport)),
            (Get, Exchange, "EIO=4&transport=webtransport", Err(Refusal::UnknownTransport)),
            (Get, Exchange, "EIO=4&transport=__proto__", Err(Refusal::UnknownTransport)),
            (Get, WebSocket, "EIO=4&transport=__proto__", Err(Refusal::UnknownTransport)),
            (Post, Exchange, "EIO=abc&transport=abc&sid=nobody", Err(Refusal::UnknownTransport)),
        ],
    );
}

#[test]
fn a_disabled_transport_is_an_unknown_one() {
    let polling = Config { transports: Transports::Only(TransportKind::Polling), ..Config::default() };
    let websocket = Config { transports: Transports::Only(TransportKind::WebSocket), ..Config::default() };
    rows(
        &polling,
        &[
            (Get, Exchange, "EIO=4&transport=polling", Ok(Open(TransportKind::Polling))),
            (Get, WebSocket, "EIO=4&transport=websocket", Err(Refusal::UnknownTransport)),
            (Get, WebSocket, "EIO=4&transport=websocket&sid=polling", Err(Refusal::UnknownTransport)),
        ],
    );
    rows(
        &websocket,
        &[
            (Get, WebSocket, "EIO=4&transport=websocket", Ok(Open(TransportKind::WebSocket))),
            (Get, Exchange, "EIO=4&transport=polling", Err(Refusal::UnknownTransport)),
        ],
    );
}

#[test]
fn a_handshake_is_judged_by_method_then_intent_then_version() {
    rows(
        &Config::default(),
        &[
            (Post, Exchange, "EIO=4&transport=polling", Err(Refusal::BadHandshakeMethod)),
            (Other, Exchange, "EIO=4&transport=polling", Err(Refusal::BadHandshakeMethod)),
            (Post, Exchange, "EIO=3&transport=websocket", Err(Refusal::BadHandshakeMethod)),
            (Get, Exchange, "EIO=4&transport=websocket", Err(Refusal::BadRequest)),
            (Get, Exchange, "EIO=3&transport=websocket", Err(Refusal::BadRequest)),
            (Get, WebSocket, "EIO=4&transport=polling", Err(Refusal::BadRequest)),
            (Get, Exchange, "transport=polling", Err(Refusal::UnsupportedVersion)),
            (Get, Exchange, "EIO=3&transport=polling", Err(Refusal::UnsupportedVersion)),
            (Get, Exchange, "EIO=abc&transport=polling", Err(Refusal::UnsupportedVersion)),
            (Get, Exchange, "EIO=04&transport=polling", Err(Refusal::UnsupportedVersion)),
            (Get, WebSocket, "EIO=5&transport=websocket", Err(Refusal::UnsupportedVersion)),
        ],
    );
}

#[test]
fn a_session_takes_what_fits_its_transport() {
    rows(
        &Config::default(),
        &[
            (Get, Exchange, "EIO=4&transport=polling&sid=polling", Ok(Known("polling"))),
            (Post, Exchange, "EIO=4&transport=polling&sid=polling", Ok(Known("polling"))),
            // An upgrade; of a session that travels by WebSocket already, the session closes the second one.
            (Get, WebSocket, "EIO=4&transport=websocket&sid=polling", Ok(Known("polling"))),
            (Get, WebSocket, "EIO=4&transport=websocket&sid=websocket", Ok(Known("websocket"))),
            (Get, Exchange, "EIO=4&transport=polling&sid=websocket", Err(Refusal::BadRequest)),
            (Post, Exchange, "EIO=4&transport=polling&sid=websocket", Err(Refusal::BadRequest)),
            (Get, Exchange, "EIO=4&transport=websocket&sid=polling", Err(Refusal::BadRequest)),
            (Get, Exchange, "EIO=4&transport=websocket&sid=websocket", Err(Refusal::BadRequest)),
            (Post, Exchange, "EIO=4&transport=websocket&sid=websocket", Err(Refusal::BadRequest)),
            (Get, WebSocket, "EIO=4&transport=polling&sid=polling", Err(Refusal::BadRequest)),
            (Get, Exchange, "EIO=3&transport=polling&sid=polling", Err(Refusal::BadRequest)),
            (Get, Exchange, "transport=polling&sid=polling", Err(Refusal::BadRequest)),
            (Other, Exchange, "EIO=4&transport=polling&sid=polling", Err(Refusal::BadMethod)),
            (Post, WebSocket, "EIO=4&transport=websocket&sid=polling", Err(Refusal::BadMethod)),
        ],
    );
}

#[test]
fn an_unknown_session_is_unknown_whatever_else_is_wrong() {
    rows(
        &Config::default(),
        &[
            (Get, Exchange, "EIO=4&transport=polling&sid=nobody", Err(Refusal::UnknownSession)),
            (Get, Exchange, "EIO=4&transport=polling&sid=", Err(Refusal::UnknownSession)),
            (Get, Exchange, "EIO=4&transport=polling&sid=__proto__", Err(Refusal::UnknownSession)),
            (Other, Exchange, "EIO=3&transport=polling&sid=nobody", Err(Refusal::UnknownSession)),
            (Get, WebSocket, "EIO=4&transport=websocket&sid=nobody", Err(Refusal::UnknownSession)),
        ],
    );
}

#[test]
fn the_first_parameter_of_a_name_counts() {
    let query = Query::parse("sid=a&transport=polling&sid=b&EIO=4&EIO=3&transport=websocket&&=&x");
    assert_eq!(query, Query { transport: Some("polling"), sid: Some("a"), version: Some("4") });
    assert_eq!(Query::parse(""), Query::default());
    assert_eq!(Query::parse("sid"), Query { sid: Some(""), ..Query::default() });
    assert_eq!(Query::parse("sid=a=b").sid, Some("a=b"));
}

#[test]
fn every_refusal_has_its_answer() {
    let rows = [
        (Refusal::UnknownTransport, 400, r#"{"code":0,"message":"Transport unknown"}"#, "Transport unknown"),
        (Refusal::UnknownSession, 400, GONE, "Session ID unknown"),
        (
            Refusal::BadHandshakeMethod,
            400,
            r#"{"code":2,"message":"Bad handshake method"}"#,
            "Bad handshake method",
        ),
        (Refusal::BadRequest, 400, BAD, "Bad request"),
        (Refusal::Forbidden, 403, r#"{"code":4,"message":"Forbidden"}"#, "Forbidden"),
        (
            Refusal::UnsupportedVersion,
            400,
            r#"{"code":5,"message":"Unsupported protocol version"}"#,
            "Unsupported protocol version",
        ),
        (Refusal::BadMethod, 500, "", ""),
        (Refusal::ServerFull, 503, "", ""),
    ];
    let response = |status, kind: &'static str, body: &'static str| Response {
        status,
        content_type: (!body.is_empty()).then_some(kind),
        body: bytes::Bytes::from_static(body.as_bytes()),
    };
    for (refusal, status, exchange, websocket) in rows {
        assert_eq!(refusal.response(Exchange), response(status, "application/json", exchange), "{refusal:?}");
        assert_eq!(refusal.response(WebSocket), response(status, "text/html", websocket), "{refusal:?}");
    }
}
