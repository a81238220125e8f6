//! A client's session, as the application sees it.

use crate::Space;
use bytestring::ByteString;
use std::{fmt, sync::Arc, time::Duration};
use tenfour_broker::Message;
use tenfour_node::native::{self as node, RequestId, SessionId};
use thiserror::Error;
use tokio::sync::oneshot;

/// A client of the native protocol, over as many connections as it takes. It is a handle, and may be kept after the session has
/// ended.
#[derive(Clone)]
pub struct NativeSession {
    space: Arc<Space>,
    id: SessionId,
}

/// Why a client has not answered.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RequestError {
    /// It was not asked.
    #[error("the request was not sent: {0}")]
    NotSent(node::RequestError),
    /// No answer came in time. It may have got the request.
    #[error("the client did not answer in time; it may have received the request")]
    TimedOut,
    /// Its session ended before it answered. It may have got the request.
    #[error("the client's session ended before it answered; it may have received the request")]
    Left,
    /// It answered that there is no answer.
    #[error("the client refuses: {0}")]
    Refused(ByteString),
}

impl NativeSession {
    pub(super) fn new(space: &Arc<Space>, id: SessionId) -> Self {
        Self { space: Arc::clone(space), id }
    }

    /// Which session of the namespace it is.
    #[must_use]
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// The namespace.
    #[must_use]
    pub fn space(&self) -> &Arc<Space> {
        &self.space
    }

    /// Asks the client, and waits for its answer, also over a reconnection.
    ///
    /// # Errors
    /// If there is no answer: the error says whether the client may have got the request.
    pub async fn request(&self, message: &Message, timeout: Duration) -> Result<Message, RequestError> {
        let hub = self.space.hub();
        let (request, answer) = hub.request(&self.space, self.id, message).map_err(RequestError::NotSent)?;
        let asked = Asked { session: self, request };
        let answer: Result<Result<Result<_, ByteString>, oneshot::error::RecvError>, _> =
            tokio::time::timeout(timeout, answer).await;
        drop(asked);
        match answer {
            Ok(Ok(result)) => result.map_err(RequestError::Refused),
            Ok(Err(_)) => Err(RequestError::Left),
            Err(_) => Err(RequestError::TimedOut),
        }
    }
}

impl fmt::Debug for NativeSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NativeSession").field("id", &self.id).field("namespace", self.space.name()).finish()
    }
}

/// A request whose answer is awaited; forgotten when it is dropped.
struct Asked<'a> {
    session: &'a NativeSession,
    request: RequestId,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        let NativeSession { space, id } = self.session;
        space.hub().forget(space, *id, self.request);
    }
}
