//! A log on a disk that fails.

use std::sync::Arc;

use tenfour_delivery::{
    log::{ReadError, Ticket},
    number::{Epoch, Offset},
    resume::History,
    time::WallTime,
};
use tenfour_log::{
    Completion, Disk, Log, Page, Query, Record, Retention,
    disk::{Commit, Config, OpenError},
};

use super::ledger::{Group, Store};
use crate::disk::FaultyDisk;

/// The log, and the disk that outlives it.
#[derive(Debug)]
pub(crate) struct OnDisk {
    log: Disk,
    disk: Arc<FaultyDisk>,
}

/// So short that a world has many of them.
const SEGMENT: u64 = 16 * 1024;
/// Less than a history, so that some is read from the disk.
const TAIL: usize = 8 * 1024;

impl OnDisk {
    pub(crate) fn open(disk: &Arc<FaultyDisk>, epoch: u64, retention: Retention) -> Result<Self, OpenError> {
        let mut config = Config::new(Epoch::new(epoch));
        config.retention = retention;
        config.segment_bytes = SEGMENT;
        config.tail_bytes = TAIL;
        config.commit = Commit::Manual;
        let (log, _) = Disk::open_on(disk.vfs(), config)?;
        Ok(Self { log, disk: disk.clone() })
    }
}

impl Store for OnDisk {
    fn group(&self) -> Group {
        Group::All
    }

    fn commit(&mut self) {
        self.log.commit_now();
    }

    fn is_powered(&self) -> bool {
        self.disk.is_powered()
    }
}

impl Log for OnDisk {
    fn epoch(&self) -> Epoch {
        self.log.epoch()
    }

    fn head(&self) -> Offset {
        self.log.head()
    }

    fn append(&mut self, ticket: Ticket, records: Vec<Record>) {
        self.log.append(ticket, records);
    }

    fn poll(&mut self) -> Option<Completion> {
        self.log.poll()
    }

    fn read(&self, query: &Query) -> Result<Page, ReadError> {
        self.log.read(query)
    }

    fn history(&self, channel: &str) -> History {
        self.log.history(channel)
    }

    fn trim(&mut self, now: WallTime) {
        self.log.trim(now);
    }

    fn release(&mut self, channel: &str, through: Offset) {
        self.log.release(channel, through);
    }

    fn wants_checkpoint(&self) -> bool {
        self.log.wants_checkpoint()
    }
}
