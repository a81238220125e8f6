//! The machine around a disk: its power, its processes, and which call fails.

use std::{collections::BTreeMap, io};

use super::{Call, Syncs, Unsynced, image::Image};

/// A disk, and who uses it.
#[derive(Debug)]
pub(super) struct Machine {
    pub(super) image: Image,
    calls: u64,
    boot: Boot,
    power: Power,
    /// Whether a process of this boot has the directory's lock.
    locked: bool,
    /// Failures to come, by the number of the call.
    failures: BTreeMap<u64, io::ErrorKind>,
    /// Failures to come, by what is called.
    next_failures: BTreeMap<Call, io::ErrorKind>,
}

/// Which processes may use the disk: those that were started since the last end of all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Boot(u64);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Power {
    On,
    /// On up to the call of this number.
    Until(u64),
    Off,
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Succeeds,
    /// The device refuses.
    Fails(io::ErrorKind),
    /// The power fails while it is being done.
    Interrupted,
}

impl Machine {
    pub(super) fn new(image: Image) -> Self {
        Self {
            image,
            calls: 0,
            boot: Boot(0),
            power: Power::On,
            locked: false,
            failures: BTreeMap::new(),
            next_failures: BTreeMap::new(),
        }
    }

    pub(super) fn boot(&self) -> Boot {
        self.boot
    }

    pub(super) fn calls(&self) -> u64 {
        self.calls
    }

    pub(super) fn is_powered(&self) -> bool {
        self.power != Power::Off
    }

    pub(super) fn end_processes(&mut self) {
        self.boot.0 += 1;
        self.locked = false;
        self.image.drop_unnamed();
    }

    pub(super) fn cut_power(&mut self, unsynced: Unsynced) {
        self.end_processes();
        self.image.lose_power(unsynced);
        self.power = Power::On;
        self.forget_failures();
    }

    pub(super) fn heal(&mut self) {
        if self.is_powered() {
            self.power = Power::On;
        }
        self.forget_failures();
        self.image.set_capacity(None);
        self.image.set_syncs(Syncs::Honest);
    }

    fn forget_failures(&mut self) {
        self.failures.clear();
        self.next_failures.clear();
    }

    pub(super) fn cut_power_in(&mut self, calls: u64) {
        self.power = Power::Until(self.calls + calls.max(1));
    }

    pub(super) fn fail_in(&mut self, calls: u64, error: io::ErrorKind) {
        self.failures.insert(self.calls + calls.max(1), error);
    }

    pub(super) fn fail_next(&mut self, call: Call, error: io::ErrorKind) {
        self.next_failures.insert(call, error);
    }

    /// Decides what becomes of a call by a process of this boot.
    ///
    /// # Errors
    /// If the process has ended or there is no power: then nothing is done.
    pub(super) fn begin(&mut self, boot: Boot, call: Call) -> io::Result<Fate> {
        self.check(boot)?;
        self.calls += 1;
        if self.power == Power::Until(self.calls) {
            self.power = Power::Off;
            return Ok(Fate::Interrupted);
        }
        let failure = self.failures.remove(&self.calls).or_else(|| self.next_failures.remove(&call));
        Ok(failure.map_or(Fate::Succeeds, Fate::Fails))
    }

    pub(super) fn lock(&mut self, boot: Boot) -> io::Result<()> {
        self.check(boot)?;
        match std::mem::replace(&mut self.locked, true) {
            true => Err(io::Error::new(io::ErrorKind::WouldBlock, "another process has the directory")),
            false => Ok(()),
        }
    }

    pub(super) fn unlock(&mut self, boot: Boot) {
        if boot == self.boot {
            self.locked = false;
        }
    }

    fn check(&self, boot: Boot) -> io::Result<()> {
        if boot != self.boot {
            return Err(io::Error::other("the process has ended"));
        }
        match self.power {
            Power::Off => Err(no_power()),
            Power::On | Power::Until(_) => Ok(()),
        }
    }
}

impl Fate {
    /// What the caller is told.
    pub(super) fn answer(self) -> io::Result<()> {
        match self {
            Self::Succeeds => Ok(()),
            Self::Fails(error) => Err(error.into()),
            Self::Interrupted => Err(no_power()),
        }
    }
}

fn no_power() -> io::Error {
    io::Error::other("the power has failed")
}
