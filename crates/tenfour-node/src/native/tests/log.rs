//! A log in memory that commits when it is told to.

use super::*;
use tenfour_broker::channel::{Effect, Entry, Envelope, Page, Query, Record};
use tenfour_delivery::{
    log::{ReadError, Ticket},
    loss::{Count, Lost, OffsetRange, Reason},
    number::Epoch,
    resume::History,
};

#[derive(Debug)]
pub(super) struct Log {
    pub(super) epoch: Epoch,
    entries: Vec<Entry>,
    trimmed: Offset,
    /// Appends that wait, while commits are held back.
    pub(super) appends: VecDeque<(Ticket, Vec<Record>)>,
    pub(super) is_held: bool,
    pub(super) is_unreadable: bool,
}

impl Log {
    pub(super) fn new(epoch: u64) -> Self {
        Self {
            epoch: Epoch::new(epoch),
            entries: Vec::new(),
            trimmed: Offset::START,
            appends: VecDeque::new(),
            is_held: false,
            is_unreadable: false,
        }
    }

    /// Does one thing that the server asks for, or lets one append be committed; false if there is nothing.
    pub(super) fn work(&mut self, now: Now, server: &mut Server, peers: &mut impl Peers) -> bool {
        match server.poll_effect() {
            Some(Effect::Append { ticket, records }) => self.appends.push_back((ticket, records)),
            Some(Effect::Read { ticket, query }) => server.page(now, ticket, self.read(&query), peers),
            None if self.is_held => return false,
            None => return self.commit(now, server, peers),
        }
        true
    }

    pub(super) fn commit(&mut self, now: Now, server: &mut Server, peers: &mut impl Peers) -> bool {
        let Some((ticket, records)) = self.appends.pop_front() else { return false };
        let entries = records.into_iter().map(|record| self.append(record)).collect();
        server.committed(now, ticket, Ok(entries), peers);
        true
    }

    /// Offsets have holes: each is two or three beyond the last.
    fn append(&mut self, record: Record) -> Entry {
        let last = self.entries.last().map_or(0, |entry| entry.offset.get());
        let previous = record.channels.iter().map(|channel| self.head(channel)).collect();
        let entry = Entry { offset: Offset::new(last + 2 + last % 2), previous, record };
        self.entries.push(entry.clone());
        entry
    }

    pub(super) fn of<'a>(&'a self, channel: &'a str) -> impl DoubleEndedIterator<Item = &'a Entry> {
        self.entries.iter().filter(move |entry| entry.record.channels.iter().any(|own| own == channel))
    }

    pub(super) fn texts<'a>(
        &'a self,
        channel: &'a str,
    ) -> impl Iterator<Item = (Offset, std::string::String)> {
        self.of(channel).map(|entry| {
            let Envelope { message, .. } = Envelope::from_stored(&entry.record.payload).unwrap();
            let Body::Text(text) = message.body else { panic!("texts are published") };
            (entry.offset, (&*text).into())
        })
    }

    pub(super) fn head(&self, channel: &str) -> Offset {
        self.of(channel).next_back().map_or(Offset::START, |entry| entry.offset)
    }

    /// Forgets everything through an offset, but the heads.
    pub(super) fn trim(&mut self, through: Offset) {
        self.trimmed = through;
    }

    fn read(&self, query: &Query) -> Result<Page, ReadError> {
        if self.is_unreadable {
            return Err(ReadError::Failed { reason: "no medium".into() });
        }
        let [channel] = &query.channels[..] else { panic!("channels are read one by one") };
        let trimmed = self.of(channel).rfind(|entry| entry.offset <= self.trimmed);
        let trimmed = trimmed.map_or(Offset::START, |entry| entry.offset);
        let after = query.after.max(trimmed);
        let missed =
            self.of(channel).filter(|entry| entry.offset > query.after && entry.offset <= trimmed).count();
        let lost = (missed > 0).then_some(Lost {
            range: OffsetRange { after: query.after, through: trimmed },
            count: Count::Exact(missed as u64),
            reason: Reason::Retention,
        });
        let mut rest = self.of(channel).filter(|entry| entry.offset > after);
        let entries = rest.by_ref().take(query.messages).cloned().collect();
        let history = History { epoch: self.epoch, trimmed, head: self.head(channel) };
        Ok(Page { entries, more: rest.next().is_some(), lost, history })
    }
}
