//! Faults planted on purpose, to prove that the tests would catch them.
//!
//! Each [`Mutant`] is a mistake that a real system has shipped. The code that would make it asks
//! [`mutant!`](crate::mutant!) at the place where it would be made. In every ordinary build the answer is the constant
//! `false` and the branch is gone; built with `--cfg tenfour_mutants`, one mutant at a time is chosen for the whole
//! process with `choose`, and a simulation that does not fail then has a hole.
//!
//! ```
//! use tenfour_delivery::mutant;
//!
//! /// The cursor that a subscriber keeps: it only ever moves forward.
//! fn advance(cursor: u64, processed: u64) -> u64 {
//!     if mutant!(CursorRegresses) { processed } else { cursor.max(processed) }
//! }
//! assert_eq!(advance(7, 3), 7);
//! ```

/// Whether the named [`Mutant`] is planted: `false` unless built with `--cfg tenfour_mutants`.
#[cfg(not(tenfour_mutants))]
#[macro_export]
macro_rules! mutant {
    ($name:ident) => {{
        // A name that is not in the list is an error in every build.
        const _: $crate::mutant::Mutant = $crate::mutant::Mutant::$name;
        false
    }};
}

/// Whether the named [`Mutant`] is the one that [`choose`](crate::mutant::choose) has planted.
#[cfg(tenfour_mutants)]
#[macro_export]
macro_rules! mutant {
    ($name:ident) => {
        $crate::mutant::is_planted($crate::mutant::Mutant::$name)
    };
}

macro_rules! mutants {
    ($($(#[$doc:meta])+ $name:ident,)+) => {
        /// A mistake that can be planted.
        ///
        /// Each says what it does, who shipped it, and which invariant is broken by it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        #[non_exhaustive]
        pub enum Mutant {
            $($(#[$doc])+ $name,)+
        }

        impl Mutant {
            /// All of them, in the order of the list.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The name as it stands in the list, for a report and a command line.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)+
                }
            }

            /// The mutant of this name.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|mutant| mutant.name() == name)
            }
        }
    };
}

mutants! {
    // Committing and publishing.

    /// The publisher is answered before the log has committed. Redis, which answers before it syncs. Breaks S1.
    AckBeforeCommit,
    /// A delivery leaves before its commit, so that a restart takes it back. Socket.IO over Redis Streams
    /// delivers to its own clients at the write. Breaks S9.
    DeliverBeforeCommit,
    /// The answer to a publication is thrown away with its connection, and the retry is not recognised. SignalR's
    /// `send`, Socket.IO's emit with acknowledgement. Breaks L1.
    PublishedAnswerLost,
    /// A failed append is reported as a success. Socket.IO's cluster adapter delivers to its own clients and to nobody
    /// else when publishing fails. Breaks S1.
    AppendFailureSwallowed,

    // Deduplication.

    /// The duplicate's entry is made when the message arrives, not when it is durable: after a failed append the retry
    /// is taken for a duplicate. Centrifuge's memory broker. Breaks S1.
    DedupBeforeDurable,
    /// A retry that meets its first attempt still in flight is appended again. Breaks S2.
    DuplicateAppendInFlight,
    /// A duplicate is answered with the log's head, not with where it was first committed. Breaks S21.
    DuplicateAnswersNewOffset,
    /// A duplicate is answered with a failure. Azure Web PubSub answers `success: false`. Breaks S21, L1.
    DuplicateAnswersError,
    /// A number of a producer that skips one is accepted; what was skipped is then taken for a duplicate. Breaks S1,
    /// S3.
    PseqGapAccepted,
    /// A number used again with another payload is answered as a duplicate. NATS JetStream, by message id. Breaks S22.
    IdConflictAccepted,
    /// An earlier life of a producer still publishes after a later one. Breaks S11.
    OldProducerEpochAccepted,
    /// What has fallen out of the window of duplicates is taken for new. NATS JetStream, Amazon SQS. Breaks S2.
    ForgottenTakenForNew,
    /// What producers have published is not rebuilt after a restart. Breaks S2, S23.
    DedupNotRebuilt,

    // Acknowledging and windows.

    /// An acknowledgement of what was never sent is believed, and drops what is. SignalR, both peers. Breaks S10, S1.
    AckFromFutureAccepted,
    /// All that is unacknowledged is sent again on a timer though the pipe is ordered and reliable. MQTT 3.1.1 allows
    /// it, MQTT 5 forbids it. Breaks S5 where the receiver has no memory, and the bound on traffic.
    RetransmitOnFifo,
    /// A message that expires after it has its number leaves a hole. Breaks L3: the receiver waits for it for ever.
    SkipNotNumbered,
    /// Credit that a message took is not given back when it is skipped. Breaks L3.
    CreditLeaks,
    /// The receiver hands out what came out of order. Breaks S5.
    OutOfOrderDelivered,
    /// The receiver forgets what it has had when its connection ends, so that the retransmission is delivered again.
    /// SignalR's clients on a new negotiation. Breaks S6.
    JournalForgetsReceiveState,
    /// An at-most-once message is kept and sent again on the next connection. Socket.IO's Redis Streams adapter replays
    /// volatile events. Breaks S20.
    EmitRetransmitted,
    /// What was written last is dropped from the outbox before it is acknowledged. SignalR's `send` followed by
    /// `stop`. Breaks L1.
    OutboxForgetsLastWrite,

    // Resuming.

    /// A session that has received nothing yet cannot be resumed. Socket.IO: a client without an offset is not
    /// recovered. Breaks S7, L4.
    RecoveryBeforeFirstEventLost,
    /// A connection that comes back waits until the old one has timed out. Socket.IO, up to 45 seconds. Breaks S14, L4.
    TakeoverWaitsForTimeout,
    /// The old connection keeps receiving after the new one has taken over. Socket.IO's in-memory recovery leaves a
    /// zombie. Breaks S14.
    OldConnectionKeptAlive,
    /// What an older connection of a session says is still believed. Breaks S11.
    OldGenerationAccepted,
    /// A resume token is honoured after it was replaced and the new one used. Breaks S11.
    TokenHonouredForever,
    /// A token is replaced at once, so that a resume whose answer was lost cannot be repeated. Socket.IO with Redis
    /// consumes the session on reading. Breaks S13.
    TokenRotatedTooEarly,
    /// What a subscriber may read is not checked again at a resume. Socket.IO's `skipMiddlewares`. Breaks S19.
    GrantNotRechecked,
    /// A replay starts at what the server sent, not at what the client has. Breaks S7.
    ResumeFromStaleBase,
    /// A subscriber's cursor goes back. The MCP SDK's event store, for a stream that delivered nothing; Socket.IO over
    /// Redis with two nodes. Breaks S12.
    CursorRegresses,
    /// A message that never had a place in the log moves the cursor. Socket.IO takes any trailing string for an
    /// offset. Breaks S12, S7.
    EmitMovesCursor,

    // Replay and live.

    /// Buffered live messages are joined to a replay with a check between neighbours only. Centrifuge's client merge.
    /// Breaks S7.
    MergeUncheckedAgainstBase,
    /// What is replayed also comes live. Socket.IO over Redis Streams: `XRANGE` while the node's `XREAD` lags. Breaks
    /// S6.
    ReplayOverlapsLive,
    /// What commits between the end of the replay and the start of live delivery reaches neither. Socket.IO with an
    /// asynchronous middleware. Breaks S7, L2.
    LiveStartsAfterSeam,
    /// A replay ends at its first page. Centrifugo's recovery limit; Socket.IO's 100 calls. Breaks L2.
    ReplayStopsAtPage,
    /// A channel whose beginning was trimmed is replayed from where it begins now, without a word. Socket.IO over
    /// Redis Streams, trimmed by count. Breaks S7, S8.
    TrimmedSilently,
    /// A log that began anew is read as if it were the old one. Breaks S7, S9.
    ResetSilently,
    /// A subscriber too slow for its queue loses what does not fit, without a word. Ably drops without a count. Breaks S7, S8.
    LagDropsSilently,
    /// The last messages before a silence are missing and no heartbeat tells. Redis pub/sub. Breaks L2.
    TailLossUnnoticed,
    /// What has expired is delivered from a replay. Breaks S15.
    ExpiredDelivered,
    /// A message that is filtered out or expired counts as delivered. Breaks S8.
    LostMiscounted,
    /// An unsubscribed channel still delivers. Breaks S19.
    UnsubscribeLeavesSubscriber,
    /// A session that is forgotten leaves its subscriptions behind. Breaks B6.
    RemovedSessionLeaks,

    // Sessions that outlive their connections.

    /// A message that is sent at most once may end in a string, which a client takes for its position. Socket.IO's volatile
    /// events. Breaks S12.
    UncommittedEndsInString,
    /// Whose session nobody knows any more begins anew without a word. Socket.IO. Breaks S7, L2.
    StrangerNotTold,
    /// After a restart a session is in its rooms from then on, not since it joined them. Breaks S7, S23.
    MembershipRestoredFromEnd,
    /// The rooms that a session has left are not written down anew. Breaks S7, S23.
    CheckpointForgetsLeftRooms,
    /// The keys of what was published are not rebuilt after a restart. Breaks S2.
    KeysNotRebuilt,
    /// What an event was answered is told before the log has it. Breaks S1, S21.
    AnswerBeforeCommit,
    /// What events were answered is not rebuilt after a restart. Breaks S21.
    AnswersNotRebuilt,

    /// A session is written to the log when its client is lost, not before. Socket.IO, which forgets everybody at a `kill -9`.
    /// Breaks S23, L4.
    SessionWrittenAtDisconnect,
    /// The end of a session is not written, so that a restart revives it. Breaks S23, S19.
    SessionEndNotWritten,
    /// A change of a session is made when it is asked for, not when it is committed. Breaks S4, S23.
    JoinBeforeCommit,
    /// A change that the log refused is made all the same. Breaks S23.
    RefusedChangeMade,
    /// A replay goes by the rooms that a session is in now. Socket.IO goes by those at the disconnection. Breaks S7, S19.
    ReplayByRoomsNow,
    /// A replay gives a message also to the members of the rooms that it excepts. Breaks S19.
    ExceptForgottenInReplay,
    /// The same pid is answered though the log has lost something since. Socket.IO over Redis Streams, trimmed by count. Breaks
    /// S7.
    RecoveredThoughTrimmed,
    /// What was read for a claim goes to the next claimant. Breaks S6, S11.
    FencedReadGoesOn,
    /// Old notes are let go before the last session is written down anew. Breaks S23.
    CheckpointReleasesTooMuch,
    /// Whoever is sent away while its client is away is not. Breaks S19.
    AwayNotSentAway,
    /// A parked session is kept for ever. Socket.IO emits nothing when one expires, and sweeps once a minute. Breaks B6.
    ParkedNeverExpires,

    // The disk.

    /// A group is answered when it is written, not when it is synced. Redis, and NATS JetStream as it is configured by
    /// default. Breaks S1 at a power failure.
    AckBeforeSync,
    /// A sync that failed is taken for one that succeeded: the system has dropped what it could not write, and says so only
    /// once. PostgreSQL before version 12. Breaks S1.
    FailedSyncIgnored,
    /// A new segment's name is not synced, so that a power failure takes the file. LevelDB, and many others. Breaks S1.
    NoDirSync,
    /// A record is believed without a look at its checksum. Breaks S9, M2.
    TornTailAccepted,
    /// What was torn stays behind the end, and is read again once what is written before it has the right length. Breaks
    /// S9.
    TornTailKept,
    /// Committed entries are cut off, and others take their offsets in the same epoch. Kafka before its leader epochs.
    /// Breaks S9.
    OffsetReusedAfterCut,
    /// Segments are unlinked before it is durable that they may be. Breaks S1, M2.
    UnlinkBeforeTrimRecord,
    /// An append for which there is no room is acknowledged. Breaks S1.
    FullDiskAcks,
}

#[cfg(tenfour_mutants)]
mod planted {
    use super::Mutant;
    use core::sync::atomic::{AtomicU8, Ordering};

    /// No mutant has this number: the list is shorter.
    const NONE: u8 = u8::MAX;
    const _: () = assert!(Mutant::ALL.len() < NONE as usize);

    static PLANTED: AtomicU8 = AtomicU8::new(NONE);

    /// Plants this mutant, or none, in the whole process.
    pub fn choose(mutant: Option<Mutant>) {
        PLANTED.store(mutant.map_or(NONE, |mutant| mutant as u8), Ordering::Relaxed);
    }

    /// What [`mutant!`](crate::mutant!) asks.
    #[must_use]
    pub fn is_planted(mutant: Mutant) -> bool {
        PLANTED.load(Ordering::Relaxed) == mutant as u8
    }
}

#[cfg(tenfour_mutants)]
pub use planted::{choose, is_planted};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_back_to_its_mutant() {
        for &mutant in Mutant::ALL {
            assert_eq!(Mutant::from_name(mutant.name()), Some(mutant));
        }
        assert_eq!(Mutant::from_name("NoSuchMutant"), None);
    }

    #[cfg(not(tenfour_mutants))]
    #[test]
    fn an_ordinary_build_has_none() {
        assert!(!mutant!(CursorRegresses));
    }

    #[cfg(tenfour_mutants)]
    #[test]
    fn one_at_a_time_is_planted() {
        choose(Some(Mutant::CursorRegresses));
        assert!(mutant!(CursorRegresses) && !mutant!(AckBeforeCommit));
        choose(Some(Mutant::AckBeforeCommit));
        assert!(!mutant!(CursorRegresses) && mutant!(AckBeforeCommit));
        choose(None);
        assert!(!mutant!(CursorRegresses) && !mutant!(AckBeforeCommit));
    }
}
