//! The log on a disk, as the suite sees it.

use std::sync::Arc;

use tenfour_log::{
    Disk, Epoch,
    disk::{Config, OpenError, Sync},
    vfs::Vfs,
};

use crate::{script::Setup, subject::Subject};

/// The epoch that its first life has.
pub(crate) const EPOCH: Epoch = Epoch::new(7);

pub(crate) fn config(setup: &Setup) -> Config {
    let mut config = Config::new(EPOCH);
    config.retention = setup.retention.clone();
    config.segment_bytes = setup.segment_bytes;
    config.tail_bytes = setup.tail_bytes;
    config.commit = setup.commit;
    config
}

impl Subject for Disk {
    type Flaw = Sync;
    type Error = OpenError;

    fn open(vfs: Arc<dyn Vfs>, setup: &Setup, sync: Sync) -> Result<Self, OpenError> {
        let mut config = config(setup);
        config.sync = sync;
        Self::open_on(vfs, config).map(|(log, _)| log)
    }

    fn commit(&mut self) {
        self.wait();
    }
}
