//! What the suite asks of a log.

use std::{fmt::Display, sync::Arc};

use tenfour_log::{Log, vfs::Vfs};

use crate::script::Setup;

/// A log that keeps what it holds in a directory, and works only when it is called.
pub(crate) trait Subject: Log + Sized {
    /// In what way it is made worse, if it is.
    type Flaw: Copy;

    type Error: Display;

    fn open(vfs: Arc<dyn Vfs>, setup: &Setup, flaw: Self::Flaw) -> Result<Self, Self::Error>;

    /// Commits or refuses everything that was appended.
    fn commit(&mut self);
}
