//! What is published: its receipt, and what is read of it later.

use crate::{UnknownNamespace, extract::NAMELESS, reply::to_args, socket::EmitError};
use bytestring::ByteString;
use std::sync::Arc;
use tenfour_tokio::{
    Space,
    broker::channel::{self, Entry, Envelope, KeyError},
    delivery::{
        log::ReadError,
        loss::{Count, Lost, OffsetRange, Reason},
        number::{Epoch, Offset},
        resume::{Decision, Position, decide_stream},
        time::WallTime,
    },
    wire::socketio::Args,
};
use thiserror::Error;

/// Why an event was not published.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PublishError {
    /// There is no such namespace.
    #[error(transparent)]
    Namespace(#[from] UnknownNamespace),
    /// The event cannot be written.
    #[error(transparent)]
    Event(#[from] EmitError),
    /// Its key can't be one.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// It was not committed.
    #[error(transparent)]
    Refused(#[from] channel::PublishError),
}

/// Why what was published cannot be read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum HistoryError {
    /// The position is beyond the last event: it is not of this log.
    #[error("the position is beyond {head}, the last event; it is not of this log, so begin without one")]
    Ahead {
        /// The last event.
        head: Offset,
    },
    /// The log cannot be read.
    #[error(transparent)]
    Log(#[from] ReadError),
}

/// An event that was published.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Published {
    /// Where it is in the log.
    pub offset: Offset,
    /// When the server took it.
    pub at: WallTime,
    /// The event's name; `message` for a message without one.
    pub event: ByteString,
    /// Its arguments.
    pub args: Args,
}

/// Events that were published, in the order of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Page {
    /// The events.
    pub events: Vec<Published>,
    /// After which a further page goes on.
    pub position: Position,
    /// Whether there is one by now.
    pub more: bool,
    /// What was before these events, and is gone: trimmed by the log's retention, or in an earlier life of the log.
    pub lost: Option<Lost>,
    /// How many events of this range are left out, since their time to live has ended.
    pub expired: u64,
}

/// Reads a page of what went to these channels.
pub(crate) fn read(
    space: &Arc<Space>,
    channels: Vec<ByteString>,
    after: Option<Position>,
    limit: usize,
) -> Result<Page, HistoryError> {
    let begin = channel::Query { messages: limit.max(1), ..channel::Query::of_any(channels, Offset::START) };
    let Some(position) = after else {
        return Ok(Page { lost: None, ..page(space, begin.after, space.history(&begin)?) });
    };
    let query = channel::Query { after: position.offset, ..begin };
    let read = space.history(&query)?;
    match decide_stream(position, &read.history) {
        Decision::Ahead { head } => Err(HistoryError::Ahead { head }),
        Decision::Reset { .. } => {
            let range = OffsetRange { after: position.offset, through: position.offset };
            let lost = Lost { range, count: Count::AtLeast(0), reason: Reason::EpochReset };
            let begin = channel::Query { after: Offset::START, ..query };
            Ok(Page { lost: Some(lost), ..page(space, begin.after, space.history(&begin)?) })
        }
        Decision::Continue { .. } | Decision::Gap { .. } => Ok(page(space, query.after, read)),
    }
}

fn page(space: &Space, after: Offset, page: channel::Page) -> Page {
    let channel::Page { entries, more, lost, history } = page;
    let now = space.wall();
    let through = lost.map_or(after, |lost| lost.range.through);
    let through = entries.last().map_or(through, |entry| entry.offset);
    let expired = entries.iter().filter(|entry| entry.record.is_expired(now)).count() as u64;
    let events = entries.iter().filter(|entry| !entry.record.is_expired(now)).filter_map(published).collect();
    Page { events, position: at(history.epoch, through), more, lost, expired }
}

const fn at(epoch: Epoch, offset: Offset) -> Position {
    Position { epoch, offset }
}

/// `None` for what a later version wrote.
fn published(entry: &Entry) -> Option<Published> {
    let Envelope { message, .. } = Envelope::from_stored(&entry.record.payload).ok()?;
    Some(Published {
        offset: entry.offset,
        at: entry.record.ingested,
        event: message.name.unwrap_or(NAMELESS),
        args: to_args(message.body),
    })
}
