//! The server's machine: its log before and after a process, and what becomes of it when the power goes.

use core::{ops::RangeInclusive, time::Duration};

use tenfour_broker::recovery::Snapshot;

use super::{Task, World, links::End};
use crate::{
    disk::{Call, Unsynced},
    sim::{
        Fact, Fault, Invariant,
        drive::OnDisk,
        judge::Verdict,
        ledger::Store,
        options::{Dialect, Medium},
    },
};

/// How often in a row the power fails while a log is opened.
const MOST_ATTEMPTS: u32 = 4;
/// How long a disk is full.
const FULL: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(3);
/// How long it takes until somebody sees that a log has failed.
const ATTENTION: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(1);

impl World<'_> {
    /// The server's process dies, and another one begins with what there is.
    pub(super) fn restart(&mut self) -> Verdict {
        self.faults.count(Fault::Restart);
        self.reopening = false;
        for place in 0..self.links.len() {
            let link = &self.links[place];
            // What a stock client without a cursor gets names no epoch, so nothing of the old one may come to it later.
            if link.server_end == End::Open || link.dialect == Dialect::SocketIo {
                self.lose_server_end(place);
            }
        }
        self.sockets.restart();
        let lived = (self.process.heard(), self.process.written());
        self.begin_anew()?;
        self.s23_what_is_read_is_what_lived(lived)
    }

    fn begin_anew(&mut self) -> Verdict {
        match self.plan.medium {
            Medium::Volatile => {
                let epoch = self.process.epoch() + 1;
                self.begin_on(self.process.empty(epoch))?;
                self.facts.push(Fact::Started { epoch });
                Ok(())
            }
            Medium::Disk => {
                if self.process.is_powered() {
                    let under_way = self.chance.troubles.up_to(2) as usize;
                    self.process.commit_unheard(under_way);
                }
                let nothing = self.process.empty(0);
                drop(self.process.end(nothing));
                self.reopen()?;
                self.go_on()
            }
            Medium::Kept => {
                let under_way = self.chance.troubles.up_to(2) as usize;
                self.process.commit_unheard(under_way);
                let nothing = self.process.empty(0);
                let kept = self.process.end(nothing);
                self.begin_on(kept)?;
                self.go_on()
            }
        }
    }

    /// Opens the log again, however often the power fails while it is read.
    fn reopen(&mut self) -> Verdict {
        let Some(disk) = self.disk.clone() else { return Ok(()) };
        let epoch = self.judge.epoch().unwrap_or_default();
        for attempt in 0.. {
            match disk.is_powered() {
                true => disk.kill(),
                false => {
                    self.faults.count(Fault::PowerCut);
                    let unsynced = [Unsynced::Lost, Unsynced::Kept, Unsynced::Torn, Unsynced::Torn];
                    disk.cut_power(*self.chance.troubles.pick(&unsynced));
                }
            }
            if attempt < MOST_ATTEMPTS && !self.is_healing() && self.chance.troubles.happens(300_000) {
                disk.cut_power_in(self.chance.troubles.within(1..=40));
            }
            // Should it begin anew, the judge sees that by its epoch.
            let opened = OnDisk::open(&disk, epoch + 1_000, self.process.retention());
            let begun = match opened {
                Ok(log) => self.begin_on(Box::new(log)),
                Err(error) => Invariant::S23.broken(format_args!("the log cannot be opened: {error}")),
            };
            match begun {
                // Whoever operates it tries again.
                Err(_) if !disk.is_powered() || attempt < MOST_ATTEMPTS => self.sockets.restart(),
                begun => return begun,
            }
        }
        Ok(())
    }

    /// The power will fail soon, in the middle of what the disk is doing then.
    pub(super) fn cut_power(&mut self) {
        if let Some(disk) = &self.disk {
            disk.cut_power_in(self.chance.troubles.within(1..=30));
        }
    }

    /// There is no room for a while.
    pub(super) fn fill_disk(&mut self) {
        let Some(disk) = &self.disk else { return };
        self.faults.count(Fault::DiskFull);
        disk.set_capacity(Some(disk.used() + self.chance.troubles.within(0..=4_096)));
        let after = self.chance.troubles.duration(&FULL);
        self.enter(after, Task::Freed);
    }

    pub(super) fn free_disk(&mut self) {
        if let Some(disk) = &self.disk {
            disk.set_capacity(None);
        }
    }

    /// The disk says once that it could not sync.
    pub(super) fn fail_sync(&mut self) {
        let Some(disk) = &self.disk else { return };
        self.faults.count(Fault::SyncFailure);
        disk.fail_next(Call::SyncData, std::io::ErrorKind::Other);
    }

    /// A log that has failed is opened again by whoever sees that.
    pub(super) fn watch_over_log(&mut self) {
        if self.process.has_failed() && !core::mem::replace(&mut self.reopening, true) {
            let after = self.chance.troubles.duration(&ATTENTION);
            self.enter(after, Task::Reopen);
        }
    }

    /// Sessions are what they were, where the process had heard of all that the log has.
    fn s23_what_is_read_is_what_lived(&mut self, (heard, written): (Option<u64>, Vec<Snapshot>)) -> Verdict {
        let is_same_log = self.plan.medium != Medium::Volatile;
        if !is_same_log || heard != Some(self.process.place().offset) {
            return Ok(());
        }
        let read = self.process.written();
        let differs = |lived: &&Snapshot| !read.contains(lived);
        match written.iter().find(differs) {
            None => Ok(()),
            Some(lived) => {
                let read = read.iter().find(|read| read.id == lived.id);
                Invariant::S23.broken(format_args!("{lived:?} lived, and {read:?} is read back"))
            }
        }
    }

    fn begin_on(&mut self, store: Box<dyn Store>) -> Verdict {
        let now = self.clock();
        match self.process.restart(now, store, &mut self.sockets.members) {
            Ok(()) => Ok(()),
            Err(error) => Invariant::S23.broken(format_args!("what the log holds makes no server: {error}")),
        }
    }

    /// A process on the log of the one before: what that one had committed is there, and what is there beyond was committed,
    /// too, though nobody heard of it.
    fn go_on(&mut self) -> Verdict {
        if let Some(disk) = &self.disk {
            if !disk.is_powered() {
                return self.restart();
            }
            // Whoever looks on has a disk that does not fail.
            disk.heal();
        }
        let (epoch, known) = (self.process.epoch(), self.judge.epoch());
        if known.is_some_and(|known| known != epoch) {
            return Invariant::S1
                .broken(format_args!("a log of epoch {known:?} was kept, and is of epoch {epoch} now"));
        }
        self.hear_all();
        let mut found = Vec::new();
        self.process.note_unheard(self.judge.head(), &mut found);
        // The server was made of what the log still had: whatever opening it let go of is unknown to it.
        self.facts.extend(found.iter().filter(|fact| matches!(fact, Fact::Trimmed { .. })).copied());
        self.facts.push(Fact::Started { epoch });
        self.facts.extend(found);
        self.hear_all();
        self.check_what_is_kept()
    }

    /// The log has what it committed, and nothing else.
    pub(super) fn check_what_is_kept(&mut self) -> Verdict {
        for channel in 0..self.plan.channels {
            let trimmed = self.judge.trimmed(channel);
            let kept = self.judge.kept(self.process.epoch(), channel);
            self.process.s1_the_log_keeps(channel, trimmed, kept)?;
        }
        Ok(())
    }
}
