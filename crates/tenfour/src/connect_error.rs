use bytestring::ByteString;
use serde::Serialize;
use std::fmt;
use tenfour_tokio::{session::socketio, wire::json};

/// Why a client may not join a namespace. It reaches the client's `connect_error` event as an error with this message and,
/// as its `data`, this data.
///
/// ```
/// use tenfour::ConnectError;
///
/// let refusal = ConnectError::new("not authorised").with_data(&[("code", "E_TOKEN")]);
/// assert_eq!(refusal.to_string(), "not authorised");
/// ```
#[derive(Clone, Debug)]
pub struct ConnectError(pub(crate) socketio::ConnectError);

impl ConnectError {
    /// A refusal that says why.
    pub fn new(message: impl Into<String>) -> Self {
        Self(socketio::ConnectError::new(message.into()))
    }

    /// Adds data for the client's program. What cannot be written as JSON is left out, and logged.
    #[must_use]
    pub fn with_data<T: Serialize + ?Sized>(mut self, data: &T) -> Self {
        match json::to_string(data) {
            Ok((text, attachments)) if attachments.is_empty() => self.0.data = Some(ByteString::from(text)),
            Ok(_) => tracing::error!("the data of a refusal holds bytes, which it cannot carry"),
            Err(error) => tracing::error!(%error, "the data of a refusal is no JSON"),
        }
        self
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

/// Any error refuses with its message.
impl<E: std::error::Error> From<E> for ConnectError {
    fn from(error: E) -> Self {
        Self::new(error.to_string())
    }
}
