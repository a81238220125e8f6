//! A log on a disk that fails, and the judge beside it.

use std::collections::VecDeque;

use bytes::Bytes;
use bytestring::ByteString;
use tenfour_log::{AppendError, Completion, Record, Ticket, WallTime, disk::Commit};
use tenfour_testkit::disk::{FaultyDisk, Unsynced};

use crate::{
    judge::{Fault, Judge, Verdict, ensure},
    script::{CHANNELS, PINNED, Setup, Step},
    subject::Subject,
};

pub(crate) struct World<S: Subject> {
    pub(crate) disk: FaultyDisk,
    setup: Setup,
    flaw: S::Flaw,
    log: Option<S>,
    pub(crate) judge: Judge,
    /// Whether calls were ordered to fail.
    is_troubled: bool,
    /// Whether they were since the log was opened.
    was_troubled: bool,
    /// Whether the log said that it has failed.
    has_failed: bool,
    /// What becomes of what is not synced when the power fails as ordered.
    unsynced: Unsynced,
    /// When it fails again, counted from when it is back.
    next_cuts: VecDeque<u64>,
    now: u64,
    asked: u64,
    records: u64,
}

impl<S: Subject> World<S> {
    /// An empty disk with an open log.
    pub(crate) fn new(seed: u64, setup: &Setup, flaw: S::Flaw) -> Result<Self, Fault> {
        let mut world = Self {
            disk: FaultyDisk::new(seed),
            setup: setup.clone(),
            flaw,
            log: None,
            judge: Judge::new(setup.retention.clone()),
            is_troubled: false,
            was_troubled: false,
            has_failed: false,
            unsynced: Unsynced::Torn,
            next_cuts: VecDeque::new(),
            now: 10_000,
            asked: 0,
            records: 0,
        };
        world.open()?;
        Ok(world)
    }

    pub(crate) fn run(&mut self, steps: &[Step]) -> Verdict {
        steps.iter().try_for_each(|step| self.step(step))
    }

    pub(crate) fn step(&mut self, step: &Step) -> Verdict {
        match step {
            Step::Append(records) => self.append(records),
            Step::Commit => self.commit()?,
            Step::Trim(wait) => {
                self.now += wait;
                let now = WallTime::from_unix_millis(self.now);
                self.judge.trimmed(now);
                self.log().trim(now);
            }
            Step::Release(kept) => {
                if let Some(through) = self.judge.newest(PINNED, *kept) {
                    self.judge.released(PINNED, through);
                    self.log().release(PINNED, through);
                }
            }
            Step::Check => self.check()?,
            Step::Reopen => {
                self.log = None;
                self.open()?;
            }
            Step::Kill => {
                self.disk.kill();
                self.open()?;
            }
            Step::CutPower(unsynced) => {
                self.disk.cut_power(*unsynced);
                self.open()?;
            }
            Step::CutPowerIn(calls, unsynced) => {
                self.unsynced = *unsynced;
                self.disk.cut_power_in(*calls);
            }
            Step::FailIn(calls, error) => {
                self.trouble();
                self.disk.fail_in(*calls, *error);
            }
            Step::FailNext(call, error) => {
                self.trouble();
                self.disk.fail_next(*call, *error);
            }
            Step::Fill(free) => {
                self.trouble();
                self.disk.set_capacity(Some(self.disk.used() + free));
            }
            Step::Heal => self.heal(),
        }
        match self.disk.is_powered() {
            true => Ok(()),
            false => {
                self.power_returns();
                self.open()
            }
        }
    }

    /// Lets the power fail at a call from now on, at one after it is back, and so on.
    pub(crate) fn cut_power_at(&mut self, calls: &[u64], unsynced: Unsynced) {
        self.unsynced = unsynced;
        self.next_cuts = calls.iter().copied().collect();
        self.order_cut();
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.has_failed
    }

    /// When nothing fails any more, the log takes what it is given, and has it after all.
    pub(crate) fn finish(&mut self) -> Verdict {
        self.heal();
        self.run(&[Step::Commit, Step::Reopen, Step::Append(vec![(15, 10)]), Step::Commit, Step::Check])?;
        self.run(&[Step::CutPower(Unsynced::Lost), Step::Check])
    }

    fn trouble(&mut self) {
        (self.is_troubled, self.was_troubled) = (true, true);
        self.judge.troubled();
    }

    fn heal(&mut self) {
        self.is_troubled = false;
        self.disk.heal();
    }

    fn power_returns(&mut self) {
        self.disk.cut_power(self.unsynced);
        self.order_cut();
    }

    fn order_cut(&mut self) {
        if let Some(calls) = self.next_cuts.pop_front() {
            self.disk.cut_power_in(calls);
        }
    }

    fn log(&mut self) -> &mut S {
        self.log.as_mut().expect("a log is open after every step")
    }

    /// Ends the log and opens it again, which may take some tries while the disk fails.
    fn open(&mut self) -> Verdict {
        self.log = None;
        self.judge.ended();
        self.has_failed = false;
        self.was_troubled = self.is_troubled;
        loop {
            let opened = S::open(self.disk.vfs(), &self.setup, self.flaw);
            let error = match opened {
                Err(error) => Fault::Broken(format!("the log does not open: {error}")),
                Ok(log) => match self.judge.reopened(&log) {
                    Err(error @ Fault::Unreadable(_)) => error,
                    verdict => {
                        self.log = Some(log);
                        return verdict;
                    }
                },
            };
            if !self.disk.is_powered() {
                self.power_returns();
            } else if self.is_troubled {
                self.heal();
            } else {
                return Err(error);
            }
        }
    }

    fn append(&mut self, records: &[(u8, usize)]) {
        let records: Vec<Record> =
            records.iter().map(|(channels, length)| self.record(*channels, *length)).collect();
        self.asked += 1;
        let ticket = Ticket(self.asked);
        self.judge.asked(ticket, records.clone());
        self.log().append(ticket, records);
    }

    /// A record that differs from every other.
    fn record(&mut self, channels: u8, length: usize) -> Record {
        self.records += 1;
        let mut payload = self.records.to_be_bytes().to_vec();
        payload.resize(8 + length, self.records as u8);
        let named = CHANNELS.iter().enumerate().filter(|(place, _)| channels >> place & 1 == 1);
        Record {
            channels: named.map(|(_, name)| ByteString::from_static(name)).collect(),
            producer: None,
            ingested: WallTime::from_unix_millis(self.now),
            expires: self.records.is_multiple_of(3).then(|| WallTime::from_unix_millis(self.now + 50)),
            payload: Bytes::from(payload),
        }
    }

    fn commit(&mut self) -> Verdict {
        self.log().commit();
        while let Some(completion) = self.log().poll() {
            self.answered(completion)?;
        }
        ensure!(!self.judge.is_waiting(), "an append is not answered");
        self.check()
    }

    /// A log that has failed goes on to say so, and it neither fails nor refuses without a reason.
    fn answered(&mut self, completion: Completion) -> Verdict {
        match &completion.result {
            Ok(entries) => ensure!(!self.has_failed, "{entries:?} were committed by a log that has failed"),
            Err(error) => {
                let is_failure = matches!(error, AppendError::Failed { .. });
                // A thread may have met the reason, and answered it, before it was mended.
                let is_late = is_failure || self.setup.commit == Commit::Thread;
                let has_reason = self.is_troubled || is_late && self.was_troubled;
                ensure!(has_reason || !self.disk.is_powered(), "there is no reason for {error}");
                self.has_failed |= is_failure;
            }
        }
        self.judge.answered(completion)
    }

    fn check(&mut self) -> Verdict {
        let log = self.log.as_ref().expect("a log is open after every step");
        match self.judge.check(log) {
            Err(Fault::Unreadable(_)) if self.is_troubled || !self.disk.is_powered() => Ok(()),
            verdict => verdict,
        }
    }
}
