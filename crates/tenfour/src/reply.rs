//! What a handler answers.

use crate::socket::acceptable;
use serde::Serialize;
use std::{fmt, time::Duration};
use tenfour_tokio::{Reply, broker::Body, wire::socketio::Args};

/// What a handler returns: the acknowledgement, or an error that is answered in its place.
pub type HandlerResult<T = ()> = Result<T, HandlerError>;

/// Why a handler has no acknowledgement to give.
///
/// The client is answered an object with this message, `{"error":"…"}`, so it knows that the event was not handled. Every
/// error converts into one with `?`, and its message is then **told to the client**: map an error that must stay inside.
///
/// One that is over after a while says when to send the event again, in milliseconds: `{"error":"…","retry_after":1000}`. The
/// companion script `tenfour.js` does so; any other answer with an `error` it takes for final.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandlerError {
    message: String,
    retry_after: Option<Duration>,
}

impl HandlerError {
    /// An error that the client is told.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), retry_after: None }
    }

    /// The event may be sent again after this time, and then be handled.
    #[must_use]
    pub const fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
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
            #[serde(skip_serializing_if = "Option::is_none")]
            retry_after: Option<u128>,
        }
        let retry_after = self.retry_after.map(|after| after.as_millis());
        // A text and a number always have a JSON form.
        from_args(Args::serialize(&Told { error: &self.message, retry_after }).unwrap_or_default())
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

    #[test]
    fn an_error_that_passes_says_when_to_come_again() {
        let told = |error: HandlerError| {
            let Reply::Failed(Body::Json { args, .. }) = HandlerResult::<()>::Err(error).into_reply() else {
                panic!()
            };
            args.to_string()
        };
        let error = HandlerError::new("the disk is full");
        assert_eq!(told(error.clone()), r#"{"error":"the disk is full"}"#);
        let passes = error.retry_after(Duration::from_millis(1_500));
        assert_eq!(told(passes), r#"{"error":"the disk is full","retry_after":1500}"#);
    }
}
