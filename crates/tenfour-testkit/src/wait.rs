use std::{fmt::Display, time::Duration};

use thiserror::Error;
use tokio::time::timeout;

/// How long the proxy and the clients wait for anything: long enough for a busy machine, and short enough that a test
/// that hangs says where.
pub const TIMEOUT: Duration = Duration::from_secs(10);

/// Something did not happen within [`TIMEOUT`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("waited {TIMEOUT:?} in vain for {waited_for}")]
pub struct TimedOut {
    /// What was waited for.
    pub waited_for: String,
}

pub(crate) async fn within<F: Future>(waited_for: impl Display, future: F) -> Result<F::Output, TimedOut> {
    timeout(TIMEOUT, future).await.map_err(|_| TimedOut { waited_for: waited_for.to_string() })
}
