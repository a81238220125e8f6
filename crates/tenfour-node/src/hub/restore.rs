//! A hub is made of what its log holds.

use super::{Config, Hub, LogPort};
use crate::{Namespace, native::Server};
use alloc::{collections::VecDeque, vec, vec::Vec};
use bytestring::ByteString;
use tenfour_broker::{
    channel::{Channels, NOTES, Query, StoredError},
    idempotency::Idempotency,
    recovery::Recovery,
};
use tenfour_delivery::{
    dedup::contiguous::Disordered,
    log::ReadError,
    number::Offset,
    time::{Now, WallTime},
};

/// Why a log does not make a hub.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The log cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A note is of a later version, or damaged.
    #[error("the note at {offset} cannot be read ({error}); open the log with the version that wrote it")]
    Note {
        /// Where it is.
        offset: Offset,
        /// What is wrong with it.
        error: StoredError,
    },
    /// A producer's messages stand in the wrong order.
    #[error(transparent)]
    Disordered(#[from] Disordered),
}

/// Entries and bytes of one page of what is restored.
const PAGE: (usize, usize) = (4_096, 4 * 1024 * 1024);

impl Hub {
    /// A hub on a log, empty or not. All that was noted is read: sessions wait for their clients from now on, and answers and
    /// published messages are recognised again. `seed` is random.
    ///
    /// # Errors
    /// If the log cannot be read or understood. Then the members may hold some of its sessions: begin with new ones.
    pub fn open<P: crate::Peer>(
        config: &Config,
        name: ByteString,
        seed: u64,
        now: Now,
        log: &impl LogPort,
        members: &mut Namespace<P>,
    ) -> Result<Self, OpenError> {
        let channels = restore_channels(config, seed, now, log)?;
        let mut hub = Self {
            native: Server::with_channels(config.native.clone(), name, channels),
            recovery: config.recovery.clone().map(|recovery| Recovery::new(recovery, log.epoch())),
            idempotency: config.idempotency.clone().map(Idempotency::new),
            releasable: if config.recovery.is_some() { Offset::START } else { Offset::END },
            released: Offset::START,
            events: VecDeque::new(),
        };
        hub.restore_notes(log)?;
        if let Some(recovery) = &mut hub.recovery {
            recovery.restored(now, log.head(), members);
        }
        Ok(hub)
    }

    fn restore_notes(&mut self, log: &impl LogPort) -> Result<(), OpenError> {
        if self.recovery.is_none() && self.idempotency.is_none() {
            return Ok(());
        }
        let Self { recovery, idempotency, .. } = self;
        for_each(log, vec![NOTES], Offset::START, |entry| {
            let restored = recovery.as_mut().map_or(Ok(()), |recovery| recovery.restore(entry));
            let restored = restored
                .and_then(|()| idempotency.as_mut().map_or(Ok(()), |idempotency| idempotency.restore(entry)));
            restored.map_err(|error| OpenError::Note { offset: entry.offset, error })
        })
    }
}

/// What producers and keys are known by stands in the entries themselves: in the last of them, by number and by time.
fn restore_channels(config: &Config, seed: u64, now: Now, log: &impl LogPort) -> Result<Channels, OpenError> {
    let bounds = config.native.channels.clone();
    if log.head() == Offset::START {
        return Ok(Channels::new(bounds, log.epoch(), seed));
    }
    let span = bounds.dedup.span.max(bounds.keys.span);
    let by_number = Offset::new(log.head().get().saturating_sub(span));
    let window = bounds.dedup.idle.max(bounds.keys.window);
    let millis = u64::try_from(window.as_millis()).unwrap_or(u64::MAX);
    let since = WallTime::from_unix_millis(now.wall.as_unix_millis().saturating_sub(millis));
    let after = first_since(log, since, by_number)?;
    let mut channels = Channels::of_log(bounds, log.epoch(), seed);
    for_each(log, Vec::new(), after, |entry| channels.restore(entry).map_err(OpenError::from))?;
    Ok(channels)
}

/// After which offset the entries are that came since then, at most `before`. They came in the order of the log, or nearly.
pub(super) fn first_since(log: &impl LogPort, since: WallTime, before: Offset) -> Result<Offset, ReadError> {
    let query = |after| Query { messages: 1, ..Query::all(after) };
    let trimmed = log.read(&Query { messages: 0, ..query(Offset::START) })?.history.trimmed;
    let (mut low, mut high) = (trimmed.min(before), before);
    while low < high {
        let middle = Offset::new(low.get() + (high.get() - low.get()) / 2);
        let page = log.read(&query(middle))?;
        match page.entries.first() {
            Some(entry) if entry.record.ingested < since => low = entry.offset.min(high).max(next(middle)),
            _ => high = middle,
        }
    }
    Ok(low)
}

fn next(offset: Offset) -> Offset {
    Offset::new(offset.get() + 1)
}

/// Visits the entries of some channels, or of all, after an offset, page by page.
fn for_each(
    log: &impl LogPort,
    channels: Vec<ByteString>,
    after: Offset,
    mut each: impl FnMut(&tenfour_broker::channel::Entry) -> Result<(), OpenError>,
) -> Result<(), OpenError> {
    let mut query = Query { messages: PAGE.0, bytes: PAGE.1, ..Query::of_any(channels, after) };
    loop {
        let page = log.read(&query)?;
        page.entries.iter().try_for_each(&mut each)?;
        match page.entries.last() {
            Some(last) if page.more => query.after = last.offset,
            _ => return Ok(()),
        }
    }
}
