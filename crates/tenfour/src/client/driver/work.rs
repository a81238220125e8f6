//! What is done on disks, next to the driver.

use super::{Driver, Progress};
use crate::client::store::Flush;
use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};
use tokio::task::JoinHandle;

/// Work on a disk, one piece at a time.
#[derive(Debug, Default)]
pub(super) struct Work(Option<JoinHandle<io::Result<()>>>);

impl Work {
    fn start(&mut self, flush: Flush) {
        self.0 = Some(tokio::task::spawn_blocking(move || flush.run()));
    }

    pub(super) fn is_running(&self) -> bool {
        self.0.is_some()
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Option<io::Result<()>> {
        let Poll::Ready(done) = Pin::new(self.0.as_mut()?).poll(cx) else { return None };
        self.0 = None;
        Some(done.unwrap_or_else(|panicked| Err(io::Error::other(panicked))))
    }
}

impl Driver {
    pub(super) fn start_work(&mut self) {
        let now = self.clock.now();
        if !self.outbox_work.is_running()
            && let Some(flush) = self.publisher.start_flush()
        {
            self.outbox_work.start(flush);
        }
        let due = self.cursors_due.is_some_and(|due| now.has_reached(due) || self.is_ending());
        if due && !self.cursor_work.is_running() {
            self.cursors_due = None;
            if let Some(flush) = self.cursors.flush() {
                self.cursor_work.start(flush);
            }
        }
    }

    /// Takes in what was done on disks.
    pub(super) fn poll_work(&mut self, cx: &mut Context<'_>) -> Progress {
        let outbox = self.outbox_work.poll(cx).map(|result| self.publisher.flushed(result));
        let cursors = self.cursor_work.poll(cx).map(|result| {
            if let Err(error) = result {
                tracing::error!(%error, "cursors cannot be saved: what was processed will be delivered again after a restart");
            }
        });
        if outbox.is_some() || cursors.is_some() { Progress::Made } else { Progress::None }
    }
}
