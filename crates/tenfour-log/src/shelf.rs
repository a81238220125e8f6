//! What every log answers alike, from which channels it knows.

use tenfour_delivery::{
    loss::{Count, Lost, OffsetRange, Reason},
    number::{Epoch, Offset},
    resume::History,
};

use crate::{Query, channel::Channel};
use bytestring::ByteString;

/// The channels of a log.
pub(crate) trait Shelf {
    fn life(&self) -> Epoch;

    fn channel(&self, name: &str) -> Option<&Channel>;

    /// The last head of a channel that was forgotten. A channel that is not known may be that one.
    fn forgotten(&self) -> Offset;

    fn state_of(&self, name: &str) -> History {
        let (trimmed, head) = match self.channel(name) {
            Some(channel) => (channel.trimmed(), channel.head()),
            None => (self.forgotten(), self.forgotten()),
        };
        History { epoch: self.life(), trimmed, head }
    }

    /// What is held of several channels together.
    fn state_of_all(&self, names: &[ByteString]) -> History {
        let start = History { epoch: self.life(), trimmed: Offset::START, head: Offset::START };
        names.iter().map(|name| self.state_of(name)).fold(start, |all, one| History {
            trimmed: all.trimmed.max(one.trimmed),
            head: all.head.max(one.head),
            ..all
        })
    }

    /// The offsets of what any of the channels has after an offset, each once, in their order.
    fn offsets_of(&self, names: &[ByteString], after: Offset) -> impl Iterator<Item = Offset> {
        let channels = names.iter().filter_map(|name| self.channel(name));
        merge(channels.map(move |channel| channel.after(after)))
    }

    /// What a reader of these channels missed that is behind what they lost.
    fn loss_of(&self, query: &Query, history: History) -> Option<Lost> {
        loss(query, history, |range| self.count_gone(&query.channels, range))
    }

    /// How many entries these channels lost in a range. What one of them lost another may still hold, and what two of
    /// them lost may be one entry: then it is a bound.
    fn count_gone(&self, names: &[ByteString], range: OffsetRange) -> Count {
        let of = |name: &ByteString| {
            let trimmed = self.state_of(name).trimmed;
            let own = OffsetRange { after: range.after, through: range.through.min(trimmed) };
            if own.is_empty() {
                return None;
            }
            let gone = self.channel(name).map_or(Count::AtLeast(0), |channel| channel.count_gone(own));
            let others = names.iter().filter(|other| *other != name);
            let held = others.filter_map(|other| self.channel(other)).map(|other| other.held_in(own));
            let held: usize = held.sum();
            Some((gone, held as u64)).filter(|_| gone != Count::Exact(0))
        };
        let mut losses: Vec<_> = names.iter().filter_map(of).collect();
        match (losses.pop(), &losses[..]) {
            (None, _) => Count::Exact(0),
            (Some((gone, 0)), []) => gone,
            (last, _) => {
                let bounds = losses.iter().chain(&last);
                let least = bounds.map(|(gone, held)| gone.at_least().saturating_sub(*held)).max();
                Count::AtLeast(least.unwrap_or(0))
            }
        }
    }
}

/// The loss of a reader that is behind what is trimmed.
pub(crate) fn loss(
    query: &Query,
    history: History,
    count: impl FnOnce(OffsetRange) -> Count,
) -> Option<Lost> {
    let through = query.through.map_or(history.trimmed, |through| history.trimmed.min(through));
    let range = OffsetRange { after: query.after, through };
    (!range.is_empty()).then(|| Lost { range, count: count(range), reason: Reason::Retention })
}

/// Rising numbers out of several such, each once.
pub(crate) fn merge(
    sources: impl Iterator<Item = impl Iterator<Item = Offset>>,
) -> impl Iterator<Item = Offset> {
    let mut sources: Vec<_> = sources.map(Iterator::peekable).collect();
    std::iter::from_fn(move || {
        let next = sources.iter_mut().filter_map(|source| source.peek().copied()).min()?;
        for source in &mut sources {
            source.next_if_eq(&next);
        }
        Some(next)
    })
}
