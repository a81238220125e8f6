//! What a handler answers.

use crate::socket::acceptable;
use serde::Serialize;
use std::fmt;
use tenfour_tokio::{Reply, broker::Body, wire::socketio::Args};

/// What a handler returns: the acknowledgement, or an error that is answered in its place.
pub type HandlerResult<T = ()> = Result<T, HandlerError>;

/// Why a handler has no acknowledgement to give.
///
/// The client is answered an object with this message, `{"error":"…"}`, so it knows that the event was not handled. Every
/// error converts into one with `?`, and its message is then **told to the client**: map an error that must stay inside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandlerError {
    message: String,
}

impl HandlerError {
    /// An error that the client is told.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }

    /// What the client is told.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    pub(crate) fn to_reply(&self) -> Reply {
        Reply::Failed(self.to_body())
    }

    pub(crate) fn to_body(&self) -> Body {
        #[derive(Serialize)]
        struct Told<'a> {
            error: &'a str,
        }
        // A text always has a JSON form.
        from_args(Args::serialize(&Told { error: &self.message }).unwrap_or_default())
    }
}

impl fmt::Display for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl<E: std::error::Error> From<E> for HandlerError {
    fn from(error: E) -> Self {
        Self::new(error.to_string())
    }
}

/// What a handler of an event may return: `()` (acknowledged without a value), [`Ack`], [`Args`], [`NoReply`], or a
/// [`HandlerResult`] of any value that serde can write. A tuple is an acknowledgement with several values.
pub trait IntoReply {
    /// The acknowledgement, or the error in its place.
    fn into_reply(self) -> Reply;
}

/// An acknowledgement with this value, from a handler that cannot fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ack<T>(pub T);

/// No acknowledgement: a client that awaits one will time out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoReply;

impl IntoReply for () {
    fn into_reply(self) -> Reply {
        Reply::Done(Some(Body::json("")))
    }
}

impl IntoReply for NoReply {
    fn into_reply(self) -> Reply {
        Reply::Done(None)
    }
}

/// The values as a client sent them.
impl IntoReply for Args {
    fn into_reply(self) -> Reply {
        Reply::Done(Some(from_args(self)))
    }
}

impl<T: Serialize> IntoReply for Ack<T> {
    fn into_reply(self) -> Reply {
        HandlerResult::Ok(self.0).into_reply()
    }
}

impl<T: Serialize> IntoReply for HandlerResult<T> {
    fn into_reply(self) -> Reply {
        match self.and_then(|value| Ok(from_args(acceptable(Args::serialize(&value)?)?))) {
            Ok(body) => Reply::Done(Some(body)),
            Err(error) => error.to_reply(),
        }
    }
}

pub(crate) fn from_args(args: Args) -> Body {
    let (args, attachments) = args.into_parts();
    Body::Json { args, attachments }
}

pub(crate) fn to_args(body: Body) -> Args {
    match body {
        Body::Json { args, attachments } => Args::from_validated(args, attachments),
        Body::Text(text) => Args::serialize(&*text).unwrap_or_default(),
        Body::Binary(data) => Args::serialize(&data).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    /// The stock clients' parsers close the connection over more.
    #[test]
    fn an_answer_with_more_bytes_than_a_client_takes_is_an_error() {
        let answer = |count| HandlerResult::Ok(vec![Bytes::from_static(b"x"); count]).into_reply();
        let Reply::Done(Some(Body::Json { attachments, .. })) = answer(10) else { panic!() };
        assert_eq!(attachments.len(), 10);
        let Reply::Failed(Body::Json { args, attachments }) = answer(11) else { panic!() };
        assert!(args.starts_with(r#"{"error":"the event has 11 binary values"#), "{args}");
        assert!(attachments.is_empty());
    }
}
