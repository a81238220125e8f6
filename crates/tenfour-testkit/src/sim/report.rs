//! What came of a run, and of many.

use core::{fmt, time::Duration};

use tenfour_delivery::time::Instant;

use super::{Broken, Faults};

/// What came of the world of one seed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Report {
    /// Which world it was.
    pub seed: u64,
    /// Steps that gave something to the code under test.
    pub events: u64,
    /// What went wrong on purpose.
    pub faults: Faults,
    /// How long the world lived, on its own clock.
    pub lived: Duration,
    /// A hash of everything that happened: the same for the same seed.
    pub trace: u64,
    /// What was broken. The run ends there.
    pub violation: Option<Violation>,
}

/// A broken invariant, with what it takes to see it again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The world's seed.
    pub seed: u64,
    /// What was found, and when.
    pub broken: Broken,
}

impl Violation {
    /// The command that shows it happen, step by step.
    #[must_use]
    pub fn replay(&self) -> String {
        format!("tenfour simulate --seed {}", self.seed)
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seed {}: {}\n  again: {}", self.seed, self.broken, self.replay())
    }
}

/// What came of many worlds.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Summary {
    /// How many there were.
    pub seeds: u64,
    /// Their events.
    pub events: u64,
    /// Their faults.
    pub faults: Faults,
    /// Their lives, one after the other.
    pub lived: Duration,
    /// What was broken, in the order in which it was found.
    pub violations: Vec<Violation>,
}

impl Summary {
    /// Adds one world's.
    pub fn add(&mut self, report: Report) {
        self.seeds += 1;
        self.events += report.events;
        self.faults += report.faults;
        self.lived += report.lived;
        self.violations.extend(report.violation);
    }

    /// Adds those of another thread.
    pub fn merge(&mut self, other: Self) {
        self.seeds += other.seeds;
        self.events += other.events;
        self.faults += other.faults;
        self.lived += other.lived;
        self.violations.extend(other.violations);
    }
}

/// A hash of facts that is the same on every platform: FNV-1a over what `Hash` feeds it, integers in little-endian order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TraceHash(u64);

impl Default for TraceHash {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl TraceHash {
    pub(crate) fn fact(&mut self, at: Instant, fact: &super::Fact) {
        core::hash::Hash::hash(&at, self);
        core::hash::Hash::hash(fact, self);
    }
}

impl core::hash::Hasher for TraceHash {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn write_u64(&mut self, number: u64) {
        // A word at once: every fact of every run goes through here.
        self.0 = (self.0 ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(number.into());
    }

    fn write_u8(&mut self, number: u8) {
        self.write_u64(number.into());
    }

    fn write_isize(&mut self, number: isize) {
        self.write_u64(number as u64);
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }
}
