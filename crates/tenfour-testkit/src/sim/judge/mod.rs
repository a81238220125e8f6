//! What is true of a list of facts, and what is not.

mod emit;
mod log;
mod member;
mod message;
mod reader;
mod session;
#[cfg(test)]
mod tests;

use core::{fmt, time::Duration};

use tenfour_delivery::time::{Instant, WallTime};

use self::{emit::Emits, log::Logs, member::Members, message::Messages, reader::Readers, session::Sessions};
use super::{Fact, Happening, Invariant};

/// Hears of everything that happens, keeps what must be known to judge it (a reference model: what was offered, committed,
/// acknowledged, delivered and told as lost), and says which invariant is broken, if one is.
///
/// Each invariant is a function named after it. None of them asks the code under test.
///
/// ```
/// use tenfour_delivery::time::Instant;
/// use tenfour_testkit::sim::{Fact, Happening, Invariant, Judge, Rules};
///
/// let mut judge = Judge::new(Rules::new(1, 1));
/// let at = Instant::ZERO;
/// judge.observe(Happening { at, fact: Fact::Started { epoch: 1 } })?;
/// judge.observe(Happening { at, fact: Fact::Offered { by: 0, message: 0, channel: 0, ttl: None } })?;
/// // Acknowledged, and not in the log:
/// let acked = Fact::Acked { by: 0, message: 0, epoch: 1, offset: 1 };
/// let broken = judge.observe(Happening { at, fact: acked }).unwrap_err();
/// assert_eq!(broken.invariant, Invariant::S1);
/// # Ok::<(), tenfour_testkit::sim::Broken>(())
/// ```
#[derive(Clone, Debug, Hash)]
pub struct Judge {
    rules: Rules,
    logs: Logs,
    messages: Messages,
    readers: Readers,
    sessions: Sessions,
    members: Members,
    emits: Emits,
    /// The latest that the server's calendar ever said.
    latest: WallTime,
    /// When it jumped.
    jumps: Vec<Instant>,
}

/// What a world's code promises beside the invariants: bounds that they are judged with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Rules {
    /// How many clients there are.
    pub clients: u8,
    /// How many channels there are.
    pub channels: u8,
    /// How late an expiry may be noticed: 100 ms.
    pub ttl_tick: Duration,
    /// How long a session is kept for a client that is away: forever.
    pub parking: Duration,
    /// How long a session that is a member of rooms is kept for a client that is away: forever.
    pub away: Duration,
    /// How many entries of a channel the log keeps: all.
    pub history: usize,
}

impl Rules {
    /// Those of a world of this size.
    #[must_use]
    pub const fn new(clients: u8, channels: u8) -> Self {
        Self {
            clients,
            channels,
            ttl_tick: Duration::from_millis(100),
            parking: Duration::MAX,
            away: Duration::MAX,
            history: usize::MAX,
        }
    }
}

/// An invariant that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{invariant} at {at}: {found}")]
pub struct Broken {
    /// Which one.
    pub invariant: Invariant,
    /// When it was found.
    pub at: Instant,
    /// What was expected and what was found.
    pub found: String,
}

/// What an oracle answers.
pub(crate) type Verdict = Result<(), Found>;

/// A broken invariant, before it is known when that was.
pub(crate) struct Found {
    invariant: Invariant,
    found: String,
}

impl Invariant {
    /// The answer of an oracle that found it broken.
    pub(crate) fn broken<T>(self, found: impl fmt::Display) -> Result<T, Found> {
        Err(Found { invariant: self, found: found.to_string() })
    }
}

impl Found {
    /// A number that is in the log twice is S22 where the second content is another one.
    fn or_s22(self, conflicts: bool) -> Self {
        let is_number = matches!(self.invariant, Invariant::S2 | Invariant::S3);
        Self { invariant: if conflicts && is_number { Invariant::S22 } else { self.invariant }, ..self }
    }

    pub(crate) fn at(self, at: Instant) -> Broken {
        Broken { invariant: self.invariant, at, found: self.found }
    }
}

impl Judge {
    /// One that has heard nothing.
    #[must_use]
    pub fn new(rules: Rules) -> Self {
        Self {
            rules,
            logs: Logs::default(),
            messages: Messages::default(),
            readers: Readers::new(rules.clients, rules.channels),
            sessions: Sessions::new(rules.clients),
            members: Members::new(rules.clients),
            emits: Emits::default(),
            latest: WallTime::default(),
            jumps: Vec::new(),
        }
    }

    /// Hears of a fact.
    ///
    /// # Errors
    /// If it breaks an invariant.
    pub fn observe(&mut self, happening: Happening) -> Result<(), Broken> {
        self.judge(happening).map_err(|found| found.at(happening.at))
    }

    /// Looks at what is open when everything has healed and nothing moves any more.
    ///
    /// # Errors
    /// If something is still owed: L1, L2, and the end of a connection that claimed too much: S10.
    pub fn converged(&self, at: Instant) -> Result<(), Broken> {
        let expiry = Expiry { messages: &self.messages, latest: self.latest, at };
        self.messages
            .l1_everything_is_answered()
            .and_then(|()| self.readers.l2_everything_arrived(&self.logs))
            .and_then(|()| self.sessions.s10_overclaimers_are_gone())
            .and_then(|()| self.members.s23_the_log_knows_the_sessions())
            .and_then(|()| self.members.l2_everything_arrived(&self.logs, |entry| expiry.may_be_over(entry)))
            .map_err(|found| found.at(at))
    }

    /// Where the log has a message, in its present epoch.
    #[must_use]
    pub fn place_of(&self, message: super::MessageId) -> Option<u64> {
        self.messages.place_in(message, self.logs.epoch()?)
    }

    /// The end of what a reader lacks, if it all may have expired.
    #[must_use]
    pub fn last_that_expired(
        &self,
        of: super::ClientId,
        channel: super::ChannelId,
        at: Instant,
    ) -> Option<u64> {
        let missing = self.readers.missing(of, channel, &self.logs);
        let expiry = Expiry { messages: &self.messages, latest: self.latest, at };
        missing.iter().all(|entry| expiry.may_be_over(entry)).then_some(missing.last()?.offset)
    }

    /// The epoch of the present log; `None` before the first began.
    #[must_use]
    pub fn epoch(&self) -> Option<u64> {
        self.logs.epoch()
    }

    /// The last offset that the present log is known to have committed.
    #[must_use]
    pub fn head(&self) -> u64 {
        self.logs.head()
    }

    /// Up to where the present log has let go of a channel.
    #[must_use]
    pub fn trimmed(&self, channel: super::ChannelId) -> u64 {
        self.epoch().and_then(|epoch| self.logs.channel(epoch, channel)).map_or(0, log::Channel::trimmed)
    }

    /// The channel's entries that the log of this epoch should still have: offset and message.
    pub fn kept(
        &self,
        epoch: u64,
        channel: super::ChannelId,
    ) -> impl Iterator<Item = (u64, super::MessageId)> + '_ {
        self.logs.kept(epoch, channel)
    }

    fn judge(&mut self, happening: Happening) -> Verdict {
        let Happening { at, fact } = happening;
        self.judge_log(fact, at)?;
        self.sessions.judge(fact, at, &self.rules)?;
        self.judge_members(fact, at)?;
        self.judge_reading(fact, at)
    }

    fn judge_log(&mut self, fact: Fact, at: Instant) -> Verdict {
        match fact {
            Fact::Started { epoch } => {
                self.start(epoch, at);
                Ok(())
            }
            Fact::Offered { message, by, channel, ttl } => {
                self.messages.offer(message, by, channel, ttl, at);
                Ok(())
            }
            Fact::Forgotten { message } => {
                self.messages.forget(message);
                Ok(())
            }
            Fact::Committed(entry) => {
                self.logs.b2_bounded_history(entry.channel, self.rules.history)?;
                let conflicts = self.messages.conflicts(entry.message);
                self.logs.commit(&entry, at).map_err(|found| found.or_s22(conflicts))?;
                self.messages.commit(&entry)
            }
            Fact::Trimmed { channel, through } => {
                self.logs.trim(channel, through);
                Ok(())
            }
            Fact::Acked { by, message, epoch, offset } => {
                self.messages.s1_the_answer_is_kept(message, epoch)?;
                self.messages.s22_no_second_content(message, epoch)?;
                self.messages.s21_the_original_result(message, epoch, offset)?;
                self.messages.s1_no_loss(by, message, epoch, offset, &self.logs)
            }
            Fact::Rejected { by, message, conflict } => {
                self.messages.reject(by, message, conflict, self.logs.epoch())
            }
            Fact::SubscriptionRefused { by, channel } => {
                Invariant::L2.broken(format_args!("client {by} may not subscribe to channel {channel}"))
            }
            Fact::Faulted { connection, fault } => broken_protocol(connection, fault),
            Fact::Conflicting { message } => {
                self.messages.conflict(message);
                Ok(())
            }
            Fact::Handled { message } => self.messages.s21_handled_once(message, self.logs.epoch()),
            Fact::AnswerKept { message } => {
                self.messages.keep_answer(message, self.logs.epoch());
                Ok(())
            }
            Fact::Emitted { message } => {
                self.emits.emit(message);
                Ok(())
            }
            Fact::Heard { by, message } => self.emits.s20_at_most_once(by, message),
            _ => Ok(()),
        }
    }

    /// A server begins, with an empty log or on the one of before.
    fn start(&mut self, epoch: u64, at: Instant) {
        let is_same_log = self.logs.epoch() == Some(epoch);
        if is_same_log {
            self.messages.go_on(&self.logs);
            self.logs.go_on();
        } else {
            self.logs.start(epoch, self.rules.channels);
        }
        self.sessions.server_started();
        self.members.server_started(at, is_same_log);
    }

    fn judge_reading(&mut self, fact: Fact, at: Instant) -> Verdict {
        match fact {
            Fact::Subscribed { by, channel, start, epoch, after } => {
                self.readers.subscribe(by, channel, start, (epoch, after), &self.logs)
            }
            Fact::Unsubscribed { by, channel } => {
                self.readers.unsubscribe(by, channel);
                Ok(())
            }
            Fact::Delivered(delivered) => {
                self.latest = self.latest.max(delivered.left.map_or(self.latest, |left| left.wall));
                self.sessions.s10_nothing_for_overclaimers(&delivered)?;
                if let Some(left) = delivered.left {
                    self.sessions.s14_one_live_connection(delivered.connection, left)?;
                }
                self.sessions.s19_only_what_may_be_read(&delivered)?;
                self.readers.deliver(&delivered, &self.logs)?;
                self.s15_in_time(&delivered, at)
            }
            Fact::Lost(lost) => {
                let expiry = Expiry { messages: &self.messages, latest: self.latest, at };
                let expired = |entry: &log::Entry| expiry.may_be_over(entry);
                self.readers.lose(&lost, &self.logs, self.sessions.is_contested(lost.to), expired)
            }
            Fact::Skipped { to, channel, after, through } => {
                let expiry = Expiry { messages: &self.messages, latest: self.latest, at };
                let expired = |entry: &log::Entry| expiry.may_be_over(entry);
                self.readers.skip(to, channel, after..=through, &self.logs, expired)
            }
            Fact::Positioned { by, channel, epoch, offset } => {
                self.readers.s12_positions_are_monotone(by, channel, epoch, offset)
            }
            Fact::Saving { by } => {
                self.readers.begin_save(by);
                Ok(())
            }
            Fact::Saved { by } => self.readers.s12_cursor_is_monotone(by),
            Fact::Crashed { client } => {
                self.readers.crash(client);
                self.sessions.crash(client);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn judge_members(&mut self, fact: Fact, at: Instant) -> Verdict {
        let expiry = Expiry { messages: &self.messages, latest: self.latest, at };
        let expired = |entry: &log::Entry| expiry.may_be_over(entry);
        match fact {
            Fact::SessionBegun { session, start } => self.members.begin(session, start),
            Fact::Entered { session, channel, after } => self.members.enter(session, channel, after),
            Fact::Exited { session, channel, through } => self.members.exit(session, channel, through),
            Fact::Recoverable { session } => self.members.can_be_recovered(session),
            Fact::Parked { session } => self.members.park(session, at),
            Fact::Ended { session } => self.members.end(session),
            Fact::Reborn { client } => self.members.forget(client),
            Fact::Closed { session } => self.members.close(session),
            Fact::RoomAnswered { session, channel, is_in } => {
                return self.members.s1_a_change_is_made(session, channel, is_in);
            }
            Fact::TurnedAway { connection, entries } => {
                return Members::s19_nothing_before_it_is_in(connection, entries);
            }
            Fact::Claimed { client, connection, session, cursor, contests } => {
                let claim =
                    member::Claim { connection, client, session, at: None, since: at, is_too_late: false };
                return self.members.claim(claim, cursor, contests, &self.logs, expired);
            }
            Fact::Seated { connection, session, resumed } => {
                return self.members.admit(connection, session, resumed, at, &self.logs, &self.rules);
            }
            Fact::Greeted { client, connection, session, recovered, within } => {
                let greeting = member::Greeting { client, connection, session, recovered, within, at };
                return self.members.greet(&greeting, &self.logs, expired);
            }
            Fact::Received(received) => {
                self.sessions.s14_one_live_connection(received.connection, received.left)?;
                let channel = self.messages.channel_of(received.message);
                return self.members.receive(&received, channel, &self.logs, expired);
            }
            Fact::Told(told) => return self.members.tell(&told, &self.logs, expired),
            _ => {}
        }
        Ok(())
    }

    /// An entry may leave until its time to live is over both by the calendar and by the clock: a calendar that jumps moves one
    /// of them. What is left of it is worked out on the way, so a jump on the way may move that, too.
    fn s15_in_time(&self, delivered: &super::Delivered, at: Instant) -> Verdict {
        let (Some(left), Some(entry)) =
            (delivered.left, self.logs.entry(delivered.epoch, delivered.channel, delivered.offset))
        else {
            return Ok(());
        };
        let (Some(expires), Some(ttl)) = (entry.expires, self.messages.ttl(entry.message)) else {
            return Ok(());
        };
        let tick = u64::try_from(self.rules.ttl_tick.as_millis()).unwrap_or(u64::MAX);
        let by_calendar = left.wall.as_unix_millis() > expires.as_unix_millis() + tick;
        let by_clock = left.at > entry.committed + ttl + self.rules.ttl_tick;
        let jumped = self.jumps.iter().any(|jump| (entry.committed..=at).contains(jump));
        match by_calendar && by_clock && !jumped {
            true => Invariant::S15.broken(format_args!(
                "message {} was to leave within {ttl:?} of its commit at {}, and left at {}",
                entry.message, entry.committed, left.at
            )),
            false => Ok(()),
        }
    }

    /// Hears that the server's calendar jumped, and what it says now.
    pub fn calendar_jumped(&mut self, at: Instant, wall: WallTime) {
        self.latest = self.latest.max(wall);
        self.jumps.push(at);
    }
}

/// A client that breaks off does so for what its server did.
fn broken_protocol(connection: super::ConnectionId, fault: super::ProtocolFault) -> Verdict {
    let invariant = match fault {
        super::ProtocolFault::BrokenChain => Invariant::S7,
        super::ProtocolFault::SequenceGap | super::ProtocolFault::Other => Invariant::S5,
    };
    invariant.broken(format_args!("the server broke the protocol on connection {connection}: {fault:?}"))
}

/// Whether a time to live may have run out, by the calendar or by the clock.
struct Expiry<'a> {
    messages: &'a Messages,
    latest: WallTime,
    at: Instant,
}

impl Expiry<'_> {
    fn may_be_over(&self, entry: &log::Entry) -> bool {
        let (Some(expires), Some(ttl)) = (entry.expires, self.messages.ttl(entry.message)) else {
            return false;
        };
        self.latest >= expires || self.at >= self.messages.offered_at(entry.message) + ttl
    }
}
