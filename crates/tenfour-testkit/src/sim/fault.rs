//! What goes wrong, and how often it did.

use core::{
    fmt,
    ops::{AddAssign, Index},
};

macro_rules! faults {
    ($($(#[$doc:meta])* $name:ident = $text:literal),* $(,)?) => {
        /// A kind of fault.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Fault { $($(#[$doc])* $name,)* }

        impl Fault {
            /// All of them, in the order in which reports name them.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// Its name in a report.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text),* }
            }
        }
    };
}

faults! {
    /// A datagram never arrives.
    Loss = "loss",
    /// A datagram arrives twice.
    Duplication = "duplication",
    /// A datagram is overtaken by one that was sent after it.
    Reordering = "reordering",
    /// What was sent arrives much later than usual.
    Delay = "delay",
    /// A write to a byte stream is read in pieces.
    Split = "split",
    /// A connection breaks with what was under way, and both sides notice.
    Cut = "cut",
    /// A connection breaks, and one side does not notice.
    HalfOpen = "half-open",
    /// A client is back before the server has noticed that it was gone.
    EarlyReturn = "early-return",
    /// A client's process dies, with everything that is on its disk kept.
    Crash = "crash",
    /// A client's process dies, and its outbox and cursors are as before the last write.
    CrashLosingWrite = "crash-losing-write",
    /// The server's process dies, and with it a log that is kept in its memory.
    Restart = "restart",
    /// The server's machine loses its power in the middle of a call on its disk: what was not synced is lost, kept or torn.
    PowerCut = "power-cut",
    /// The disk is full for a while.
    DiskFull = "disk-full",
    /// The disk says that it could not sync.
    SyncFailure = "sync-failure",
    /// The server's calendar jumps.
    ClockJump = "clock-jump",
    /// An application takes its time over a message.
    SlowReader = "slow-reader",
    /// A side stops reading its connection for a while.
    StalledReader = "stalled-reader",
    /// A second connection claims a session whose first one is well.
    DoubleClaim = "double-claim",
    /// An entry's time to live ran out before it had reached everybody.
    Expiry = "expiry",
    /// The log let go of entries.
    Trim = "trim",
    /// The log refuses a batch.
    AppendFailure = "append-failure",
    /// The log takes much longer than usual to commit.
    SlowCommit = "slow-commit",
    /// A client may from now on not read a channel that it read before.
    Revocation = "revocation",
    /// A peer claims what it may not: an acknowledgement from the future, a forged token, a number used twice.
    Forgery = "forgery",
}

/// How often each kind of fault happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Faults([u64; Fault::ALL.len()]);

impl Default for Faults {
    fn default() -> Self {
        Self([0; Fault::ALL.len()])
    }
}

impl Faults {
    /// Counts one.
    pub fn count(&mut self, fault: Fault) {
        self.0[fault as usize] += 1;
    }

    /// How many there were of all kinds together.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Each kind with its count.
    pub fn iter(&self) -> impl Iterator<Item = (Fault, u64)> + '_ {
        Fault::ALL.iter().map(|fault| (*fault, self[*fault]))
    }
}

impl Index<Fault> for Faults {
    type Output = u64;

    fn index(&self, fault: Fault) -> &u64 {
        &self.0[fault as usize]
    }
}

impl AddAssign for Faults {
    fn add_assign(&mut self, other: Self) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine += theirs;
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
