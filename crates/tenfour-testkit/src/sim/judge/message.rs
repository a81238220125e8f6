//! What became of each publication.

use core::time::Duration;

use tenfour_delivery::time::Instant;

use super::{
    Verdict,
    log::{Channel, Logs},
};
use crate::sim::{ChannelId, ClientId, Committed, Invariant, MessageId};

/// All publications, by number.
#[derive(Clone, Debug, Default, Hash)]
pub(crate) struct Messages(Vec<Option<Publication>>);

#[derive(Clone, Debug, Hash)]
struct Publication {
    by: ClientId,
    channel: ChannelId,
    ttl: Option<Duration>,
    offered: Instant,
    state: State,
    /// Where it was committed last: in which epoch, and where.
    place: Option<(u64, u64)>,
    /// In which life of its producer.
    life: Option<u32>,
    /// Whether its number belongs to another message.
    conflicts: bool,
    /// Whether a server began that could not know of it any more.
    is_unknown: bool,
    /// Whether it has a key under which its answer is kept, and the epoch of the log that has that.
    is_keyed: bool,
    answered: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum State {
    Open,
    Acked,
    Rejected,
    Forgotten,
}

impl Messages {
    pub(super) fn offer(
        &mut self,
        message: MessageId,
        by: ClientId,
        channel: ChannelId,
        ttl: Option<Duration>,
        offered: Instant,
    ) {
        let place = message as usize;
        if self.0.len() <= place {
            self.0.resize_with(place + 1, || None);
        }
        let state = State::Open;
        self.0[place] = Some(Publication {
            by,
            channel,
            ttl,
            offered,
            state,
            place: None,
            life: None,
            conflicts: false,
            is_unknown: false,
            is_keyed: false,
            answered: None,
        });
    }

    pub(super) fn forget(&mut self, message: MessageId) {
        if let Some(publication) = self.get_mut(message) {
            publication.state = State::Forgotten;
        }
    }

    /// A message is committed at most once in an epoch, in its channel, and only if it was ever published.
    pub(super) fn commit(&mut self, entry: &Committed) -> Verdict {
        let Some(publication) = self.get_mut(entry.message) else {
            return Invariant::S9.broken(format_args!("message {} was never published", entry.message));
        };
        if publication.channel != entry.channel {
            return Invariant::S9.broken(format_args!(
                "message {} is in channel {}, and was published on {}",
                entry.message, entry.channel, publication.channel
            ));
        }
        // A new life of a producer does not know what an old one, which nobody has fenced yet, still has on its way.
        let life = entry.producer.map(|producer| producer.epoch);
        if let Some((epoch, offset)) = publication.place
            && epoch == entry.epoch
            && life == publication.life
            && !publication.is_unknown
        {
            return Invariant::S2.broken(format_args!(
                "message {} is in the log at {offset} and again at {}",
                entry.message, entry.offset
            ));
        }
        publication.place = Some((entry.epoch, entry.offset));
        publication.life = life;
        publication.is_unknown = false;
        Ok(())
    }

    /// A server that begins on the log of before knows what that still has. What it has let go of may be published again.
    pub(super) fn go_on(&mut self, logs: &Logs) {
        for publication in self.0.iter_mut().flatten() {
            let trimmed = |epoch| logs.channel(epoch, publication.channel).map_or(0, Channel::trimmed);
            publication.is_unknown |=
                publication.place.is_some_and(|(epoch, offset)| offset <= trimmed(epoch));
        }
    }

    /// What is in the log is not refused, and no number belongs to two.
    pub(super) fn reject(
        &mut self,
        by: ClientId,
        message: MessageId,
        conflict: bool,
        epoch: Option<u64>,
    ) -> Verdict {
        if let Some(place) = epoch.and_then(|epoch| self.place_in(message, epoch)) {
            return Invariant::S21
                .broken(format_args!("message {message} is in the log at {place}, and refused"));
        }
        if conflict && !self.conflicts(message) {
            return Invariant::S22
                .broken(format_args!("message {message} is refused as if its number were another one's"));
        }
        match self.get_mut(message).filter(|publication| publication.by == by) {
            Some(publication) => publication.state = State::Rejected,
            None => {
                return Invariant::S9.broken(format_args!("client {by} never published message {message}"));
            }
        }
        Ok(())
    }

    /// What is acknowledged is in the log, where the acknowledgement says.
    pub(super) fn s1_no_loss(
        &mut self,
        by: ClientId,
        message: MessageId,
        epoch: u64,
        offset: u64,
        logs: &Logs,
    ) -> Verdict {
        let Some(publication) = self.get_mut(message).filter(|publication| publication.by == by) else {
            return Invariant::S1
                .broken(format_args!("client {by} has an answer to message {message}, not its own"));
        };
        publication.state = State::Acked;
        if offset == 0 {
            // "It is there, and where is forgotten."
            return match publication.place.is_some_and(|(placed, _)| placed == epoch) {
                true => Ok(()),
                false => Invariant::S1
                    .broken(format_args!("message {message} is said to be in the log, and is not")),
            };
        }
        match logs.entry(epoch, publication.channel, offset) {
            Some(entry) if entry.message == message => Ok(()),
            Some(entry) => Invariant::S1.broken(format_args!(
                "message {message} was acknowledged at {offset} of epoch {epoch}, where the log has message {}",
                entry.message
            )),
            None => Invariant::S1.broken(format_args!(
                "message {message} was acknowledged at {offset} of epoch {epoch}, where the log has nothing"
            )),
        }
    }

    /// However often it is published, the answer is where it was committed first.
    pub(super) fn s21_the_original_result(&self, message: MessageId, epoch: u64, offset: u64) -> Verdict {
        match self.place_in(message, epoch) {
            Some(original) if original != offset && offset != 0 => Invariant::S21.broken(format_args!(
                "message {message} was acknowledged at {offset} of epoch {epoch}, and is at {original}"
            )),
            _ => Ok(()),
        }
    }

    pub(super) fn conflict(&mut self, message: MessageId) {
        if let Some(publication) = self.get_mut(message) {
            publication.conflicts = true;
        }
    }

    /// What was answered is not handled again.
    pub(super) fn s21_handled_once(&mut self, message: MessageId, epoch: Option<u64>) -> Verdict {
        let Some(publication) = self.get_mut(message) else { return Ok(()) };
        publication.is_keyed = true;
        match publication.answered.is_some() && publication.answered == epoch {
            true => {
                Invariant::S21.broken(format_args!("message {message} has its answer, and is handled again"))
            }
            false => Ok(()),
        }
    }

    pub(super) fn keep_answer(&mut self, message: MessageId, epoch: Option<u64>) {
        if let Some(publication) = self.get_mut(message) {
            publication.answered = epoch;
        }
    }

    /// Nobody is told an answer that is not in the log.
    pub(super) fn s1_the_answer_is_kept(&self, message: MessageId, epoch: u64) -> Verdict {
        let is_kept = |known: &Publication| !known.is_keyed || known.answered == Some(epoch);
        match self.get(message).is_none_or(is_kept) {
            true => Ok(()),
            false => {
                Invariant::S1.broken(format_args!("message {message} has an answer that the log has not"))
            }
        }
    }

    /// A number that belongs to another message is refused. A log that began anew does not know whose it was.
    pub(super) fn s22_no_second_content(&self, message: MessageId, epoch: u64) -> Verdict {
        let Some(publication) = self.get(message) else { return Ok(()) };
        match publication.conflicts && self.place_in(message, epoch).is_none() {
            true => Invariant::S22
                .broken(format_args!("message {message} has another one's number, and was accepted")),
            false => Ok(()),
        }
    }

    pub(super) fn conflicts(&self, message: MessageId) -> bool {
        self.get(message).is_some_and(|publication| publication.conflicts)
    }

    /// Every publication that its application did not forget has an answer.
    pub(super) fn l1_everything_is_answered(&self) -> Verdict {
        let open = |publication: &&Publication| publication.state == State::Open;
        let waiting = self.0.iter().flatten().filter(open).count();
        let first = self.0.iter().position(|publication| publication.as_ref().filter(open).is_some());
        match first {
            Some(message) => Invariant::L1.broken(format_args!(
                "{waiting} publications have no answer, message {message} the first of them"
            )),
            None => Ok(()),
        }
    }

    pub(super) fn ttl(&self, message: MessageId) -> Option<Duration> {
        self.get(message)?.ttl
    }

    pub(super) fn offered_at(&self, message: MessageId) -> Instant {
        self.get(message).map_or(Instant::ZERO, |publication| publication.offered)
    }

    pub(super) fn place_in(&self, message: MessageId, epoch: u64) -> Option<u64> {
        self.get(message)?.place.filter(|place| place.0 == epoch).map(|place| place.1)
    }

    pub(super) fn channel_of(&self, message: MessageId) -> Option<ChannelId> {
        Some(self.get(message)?.channel)
    }

    fn get(&self, message: MessageId) -> Option<&Publication> {
        self.0.get(message as usize)?.as_ref()
    }

    fn get_mut(&mut self, message: MessageId) -> Option<&mut Publication> {
        self.0.get_mut(message as usize)?.as_mut()
    }
}
