//! A log as a hub uses it.

use std::task::Waker;
use tenfour_broker::channel::{Entry, Page, Query, Record};
use tenfour_delivery::{
    log::{AppendError, ReadError, Ticket},
    number::{Epoch, Offset},
    time::WallTime,
};
use tenfour_log::Log;
use tenfour_node::hub::LogPort;

/// The log of a namespace, and how many appends it has not answered.
pub(super) struct Port {
    log: Box<dyn Log>,
    unanswered: usize,
    /// Said once: everything that comes after it fails in the same way.
    has_failed: bool,
}

impl Port {
    pub(super) fn new(mut log: Box<dyn Log>, waker: Waker) -> Self {
        log.wake_when_answered(waker);
        Self { log, unanswered: 0, has_failed: false }
    }

    /// Whether all that was appended is committed, or refused.
    pub(super) fn is_flushed(&self) -> bool {
        self.unanswered == 0
    }

    pub(super) fn trim(&mut self, now: WallTime) {
        self.log.trim(now);
    }

    fn note(&mut self, result: &Result<Vec<Entry>, AppendError>) {
        match result {
            Err(error @ AppendError::Failed { .. }) if !self.has_failed => {
                self.has_failed = true;
                tracing::error!(%error, "nothing more is committed here until the server is started again");
            }
            Err(error @ AppendError::Refused { .. }) => tracing::warn!(%error, "not committed"),
            _ => {}
        }
    }
}

impl LogPort for Port {
    fn epoch(&self) -> Epoch {
        self.log.epoch()
    }

    fn head(&self) -> Offset {
        self.log.head()
    }

    fn append(&mut self, ticket: Ticket, records: Vec<Record>) {
        self.unanswered += 1;
        self.log.append(ticket, records);
    }

    fn poll(&mut self) -> Option<(Ticket, Result<Vec<Entry>, AppendError>)> {
        let completion = self.log.poll()?;
        self.unanswered -= 1;
        self.note(&completion.result);
        Some((completion.ticket, completion.result))
    }

    fn read(&self, query: &Query) -> Result<Page, ReadError> {
        let page = self.log.read(query);
        page.inspect_err(|error| tracing::error!(%error, "who is to be read for waits"))
    }

    fn release(&mut self, channel: &str, through: Offset) {
        self.log.release(channel, through);
    }

    fn wants_checkpoint(&self) -> bool {
        self.log.wants_checkpoint()
    }
}
