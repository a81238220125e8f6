//! The server's machine: its log before and after a process, and what becomes of it when the power goes.

use super::{World, links::End};
use crate::sim::{
    Fact, Fault, Invariant,
    judge::Verdict,
    options::{Dialect, Medium},
};

impl World<'_> {
    /// The server's process dies, and another one begins with what there is.
    pub(super) fn restart(&mut self) -> Verdict {
        self.faults.count(Fault::Restart);
        for place in 0..self.links.len() {
            let link = &self.links[place];
            // What a stock client without a cursor gets names no epoch, so nothing of the old one may come to it later.
            if link.server_end == End::Open || link.dialect == Dialect::SocketIo {
                self.lose_server_end(place);
            }
        }
        self.sockets.restart();
        match self.plan.medium {
            Medium::Volatile => {
                let epoch = self.process.epoch() + 1;
                self.process.restart(self.process.empty(epoch));
                self.facts.push(Fact::Started { epoch });
                Ok(())
            }
            Medium::Kept => {
                let under_way = self.chance.troubles.up_to(2) as usize;
                self.process.commit_unheard(under_way);
                let kept = self.process.restart(self.process.empty(0));
                self.process.restart_on(kept);
                self.go_on()
            }
        }
    }

    /// A process on the log of the one before: what that one had committed is there, and what is there beyond was committed,
    /// too, though nobody heard of it.
    fn go_on(&mut self) -> Verdict {
        let (epoch, known) = (self.process.epoch(), self.judge.epoch());
        if known.is_some_and(|known| known != epoch) {
            return Invariant::S1
                .broken(format_args!("a log of epoch {known:?} was kept, and is of epoch {epoch} now"));
        }
        self.facts.push(Fact::Started { epoch });
        let head = self.judge.head();
        self.process.note_unheard(head, &mut self.facts);
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
