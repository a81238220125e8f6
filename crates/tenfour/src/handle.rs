use crate::Broadcast;
use std::time::Duration;
use tenfour_tokio::{Server, broker::registry::Rule};
use thiserror::Error;

/// A server, from anywhere in the application: it may be cloned and kept.
#[derive(Clone, Debug)]
pub struct Handle {
    pub(crate) server: Server,
    pub(crate) timeout: Duration,
}

/// There is no such namespace: it was not declared, or is a dynamic one that nobody is in.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("there is no namespace {0:?}; declare it, or drop what was meant for it")]
pub struct UnknownNamespace(pub String);

impl Handle {
    /// Everyone in a namespace. Ask again each time for a dynamic one: once the last client has left it, it is gone, and what is
    /// meant for it reaches nobody, also when another one of its name is there.
    ///
    /// # Errors
    /// If there is no such namespace.
    pub fn namespace(&self, name: &str) -> Result<Broadcast, UnknownNamespace> {
        let space = self.server.namespace(name).ok_or_else(|| UnknownNamespace(name.to_owned()))?;
        Ok(Broadcast::new(space, self.timeout))
    }

    /// Every namespace that there is now by a pattern, written as it was declared.
    #[must_use]
    pub fn matching(&self, pattern: &str) -> Vec<Broadcast> {
        let spaces = self
            .server
            .namespaces_where(|rule| matches!(rule, Rule::Pattern(known) if known.as_str() == pattern));
        spaces.into_iter().map(|space| Broadcast::new(space, self.timeout)).collect()
    }

    /// How many connections there are.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.server.connections()
    }

    /// Closes every connection in order and accepts no more: what is queued is sent first. It is done when all are closed,
    /// or after `patience`; the result is how many were left then.
    ///
    /// Call it while requests are still served, and end the listener after it: a client that polls fetches its goodbye
    /// with a further request. The future of axum's `with_graceful_shutdown` is the place for it.
    pub async fn shutdown(&self, patience: Duration) -> usize {
        self.server.shutdown(patience).await
    }
}
