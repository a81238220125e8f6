//! The names of what must hold.

use core::fmt;

macro_rules! invariants {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// What a run is judged by. `docs/INVARIANTS.md` has all of the project's rules, also those that other tests check.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Invariant { $($(#[$doc])* $name,)* }

        impl Invariant {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// Its name, such as `S7`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name)),* }
            }
        }
    };
}

invariants! {
    /// What a publisher was told to be committed is in the log, as long as the log keeps its entries.
    S1,
    /// A producer's number is at most once in the log.
    S2,
    /// A producer's numbers increase along the log.
    S3,
    /// Every subscriber sees a channel's entries in the log's order.
    S4,
    /// What one side of a session sent arrives in the order in which it was sent.
    S5,
    /// An entry takes effect at most once where cursor and effect are saved together.
    S6,
    /// No entry between two that were delivered is missing without a word.
    S7,
    /// What is said of a loss is true: range, count and reason.
    S8,
    /// What is delivered at an offset is what the log has there.
    S9,
    /// Nobody can acknowledge what was not sent.
    S10,
    /// What has been replaced by something newer has no effect any more.
    S11,
    /// A cursor never goes back.
    S12,
    /// To ask again for a resumption whose answer got lost is the same as to ask once.
    S13,
    /// At most one connection of a session is live.
    S14,
    /// Nothing leaves the server after its time to live.
    S15,
    /// Nothing is delivered that its reader may not read now.
    S19,
    /// What is sent at most once arrives at most once.
    S20,
    /// A repeated publication is answered with the first one's result.
    S21,
    /// A producer's number with another content is refused.
    S22,
    /// What is read back from the log is what lived.
    S23,
    /// A channel's history holds no more than its retention allows.
    B2,
    /// A page of a replay is no larger than what its reader has room for.
    B4,
    /// Nothing is left of connections and sessions that are gone.
    B6,
    /// Everything that was accepted is in the end acknowledged or rejected.
    L1,
    /// Everything committed reaches in the end every subscriber, or is told as lost.
    L2,
    /// Credit, acknowledgements and messages never wait for each other.
    L3,
    /// A resumption is over within two round trips.
    L4,
    /// Claimants of one session come to an end.
    L6,
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
