//! The front door: which session a request is for, or why it is refused.

use super::{Config, TransportKind};
use crate::io::Response;
use alloc::format;
use bytes::Bytes;
use thiserror::Error;

/// What admission looks at in an HTTP request.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The method.
    pub method: Method,
    /// Whether it asks to become a WebSocket.
    pub intent: Intent,
    /// The query.
    pub query: Query<'a>,
}

/// An HTTP method, as far as it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// GET: a handshake or a poll.
    Get,
    /// POST: packets.
    Post,
    /// Anything else.
    Other,
}

/// What a request wants to become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intent {
    /// A plain HTTP exchange.
    Exchange,
    /// A WebSocket.
    WebSocket,
}

/// The parameters of an Engine.IO URL; the first of each name counts, others are ignored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Query<'a> {
    /// `transport`.
    pub transport: Option<&'a str>,
    /// `sid`.
    pub sid: Option<&'a str>,
    /// `EIO`, the protocol's version.
    pub version: Option<&'a str>,
}

impl<'a> Query<'a> {
    /// Reads a query string (without its `?`) in one pass. None of the values needs percent-decoding: an escaped one
    /// is no value that a client has.
    #[must_use]
    pub fn parse(query: &'a str) -> Self {
        let mut parsed = Self::default();
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let field = match name {
                "transport" => &mut parsed.transport,
                "sid" => &mut parsed.sid,
                "EIO" => &mut parsed.version,
                _ => continue,
            };
            field.get_or_insert(value);
        }
        parsed
    }
}

/// Where an admitted request goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission<'a> {
    /// To a new session, beginning with this transport.
    Open(TransportKind),
    /// To the session of this id.
    Session(&'a str),
}

/// Decides on a request, in the order in which stock servers do: the transport, the session, the method, the version.
/// `transport_of` tells how the session of an id travels now, `None` for an unknown one.
///
/// # Errors
/// The reason to refuse; [`Refusal::response`] is what the client is told.
///
/// ```
/// use tenfour_session::engineio::{
///     Admission, Config, Intent, Method, Query, Refusal, Request, TransportKind, admit,
/// };
///
/// let ask = |query| {
///     let request = Request { method: Method::Get, intent: Intent::Exchange, query: Query::parse(query) };
///     admit(&Config::default(), &request, |sid| (sid == "known").then_some(TransportKind::Polling))
/// };
/// assert_eq!(ask("EIO=4&transport=polling"), Ok(Admission::Open(TransportKind::Polling)));
/// assert_eq!(ask("EIO=4&transport=polling&sid=known"), Ok(Admission::Session("known")));
/// assert_eq!(ask("EIO=4&transport=polling&sid=gone"), Err(Refusal::UnknownSession));
/// assert_eq!(
///     Refusal::UnknownSession.response(Intent::Exchange).body,
///     r#"{"code":1,"message":"Session ID unknown"}"#
/// );
/// ```
pub fn admit<'a>(
    config: &Config,
    request: &Request<'a>,
    transport_of: impl FnOnce(&str) -> Option<TransportKind>,
) -> Result<Admission<'a>, Refusal> {
    let query = &request.query;
    let asked = query
        .transport
        .and_then(TransportKind::parse)
        .filter(|&kind| config.transports.has(kind))
        .ok_or(Refusal::UnknownTransport)?;
    let websocket = request.intent == Intent::WebSocket;
    let Some(sid) = query.sid else {
        return match (request.method, asked) {
            (Method::Post | Method::Other, _) => Err(Refusal::BadHandshakeMethod),
            (Method::Get, _) if websocket != (asked == TransportKind::WebSocket) => Err(Refusal::BadRequest),
            (Method::Get, _) if query.version != Some("4") => Err(Refusal::UnsupportedVersion),
            (Method::Get, kind) => Ok(Admission::Open(kind)),
        };
    };
    let current = transport_of(sid).ok_or(Refusal::UnknownSession)?;
    let fits = match request.intent {
        Intent::WebSocket => asked == TransportKind::WebSocket,
        Intent::Exchange => asked == TransportKind::Polling && current == TransportKind::Polling,
    };
    if !fits || query.version != Some("4") {
        return Err(Refusal::BadRequest);
    }
    match request.method {
        Method::Get => Ok(Admission::Session(sid)),
        Method::Post if !websocket => Ok(Admission::Session(sid)),
        Method::Post | Method::Other => Err(Refusal::BadMethod),
    }
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The transport is missing, unknown or disabled.
    #[error("Transport unknown")]
    UnknownTransport,
    /// No session has this id: it ended, or was never here.
    #[error("Session ID unknown")]
    UnknownSession,
    /// A session begins with GET.
    #[error("Bad handshake method")]
    BadHandshakeMethod,
    /// The request does not fit the session, its transport or the protocol's version.
    #[error("Bad request")]
    BadRequest,
    /// The application refused the request, or its origin is not allowed.
    #[error("Forbidden")]
    Forbidden,
    /// The client speaks another version of Engine.IO than 4.
    #[error("Unsupported protocol version")]
    UnsupportedVersion,
    /// A session takes GET and POST only.
    #[error("Method not supported")]
    BadMethod,
    /// The server has as many sessions as it may.
    #[error("Server is full, try again later")]
    ServerFull,
    /// The URL and the headers are more than the server keeps of a handshake.
    #[error("Handshake too large")]
    HandshakeTooLarge,
}

impl Refusal {
    /// The number in the answer's body, where it has one.
    #[must_use]
    pub const fn code(self) -> Option<u8> {
        match self {
            Self::UnknownTransport => Some(0),
            Self::UnknownSession => Some(1),
            Self::BadHandshakeMethod => Some(2),
            Self::BadRequest => Some(3),
            Self::Forbidden => Some(4),
            Self::UnsupportedVersion => Some(5),
            Self::BadMethod | Self::ServerFull | Self::HandshakeTooLarge => None,
        }
    }

    /// The HTTP status.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::Forbidden => 403,
            Self::BadMethod => 500,
            Self::HandshakeTooLarge => 431,
            Self::ServerFull => 503,
            _ => 400,
        }
    }

    /// The whole answer: `{"code":…,"message":…}` to an exchange, the message alone to a WebSocket handshake.
    #[must_use]
    pub fn response(self, intent: Intent) -> Response {
        match (self.code(), intent) {
            (None, _) => Response::empty(self.status()),
            (Some(code), Intent::Exchange) => Response::new(
                self.status(),
                "application/json",
                Bytes::from(format!(r#"{{"code":{code},"message":"{self}"}}"#)),
            ),
            (Some(_), Intent::WebSocket) => {
                Response::new(self.status(), "text/html", Bytes::from(format!("{self}")))
            }
        }
    }
}
