//! Where the namespaces of a server keep their logs.

use crate::{BuildError, Durability, native::LogFactory};
use std::path::PathBuf;
use tenfour_tokio::native::log::Retention;

/// What a server knows of its logs, besides where a namespace wants its own.
#[derive(Default)]
pub(crate) struct Storage {
    pub(crate) data: Option<PathBuf>,
    pub(crate) retention: Retention,
    /// Logs of the application's own.
    pub(crate) own: Option<LogFactory>,
}

impl Storage {
    /// The logs of a namespace, or of a family of them.
    pub(crate) fn log(&self, durability: Option<Durability>, name: &str) -> Result<LogFactory, BuildError> {
        let memory = || LogFactory::memory(self.retention.clone());
        match (durability, &self.own, &self.data) {
            (Some(Durability::Memory), ..) => Ok(memory()),
            (None, Some(own), _) => Ok(own.clone()),
            (None, None, None) => Ok(memory()),
            (_, _, Some(data)) => Ok(LogFactory::disk(data.clone(), self.retention.clone())),
            (Some(Durability::Disk), _, None) => Err(BuildError::NoData(name.to_owned())),
        }
    }
}
