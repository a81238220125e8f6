//! The end of a run: everything heals, and then nothing may be owed.

use core::time::Duration;

use super::{
    Phase, Task, World,
    links::{End, Side},
    players::Who,
};
use crate::sim::{ClientId, Fact, Invariant, judge::Verdict, link::Weather, setup, stock::Stock};

/// From one look to the next.
const EVERY: Duration = Duration::from_millis(100);

impl World<'_> {
    /// Nothing goes wrong from here on. Connections that are broken are known to be, and every other one of those that
    /// are not is broken once more: what is resumed then has to be resumed at once.
    pub(super) fn heal(&mut self) {
        self.phase = Phase::Healing(self.now);
        self.plan.weather = Weather::fair(self.plan.weather.latency);
        self.log.failures = 0;
        self.log.slow_until = self.now;
        self.banned = 0;
        if let Some(disk) = &self.disk {
            disk.heal();
        }
        let copies = self.copies.iter().filter_map(Stock::connection);
        for ghost in self.ghosts.iter().map(|ghost| ghost.connection).chain(copies).collect::<Vec<_>>() {
            self.end_ghost(ghost);
        }
        for player in &mut self.players {
            player.slow_until = self.now;
        }
        for place in 0..self.links.len() {
            let again = self.chance.troubles.happens(500_000);
            let link = &mut self.links[place];
            link.up.stall(self.now);
            link.down.stall(self.now);
            if link.is_dead || again {
                link.kill();
                if link.client_end == End::Open {
                    self.will_notice(place, Side::Client);
                }
                self.will_notice(place, Side::Server);
            }
        }
        self.healed_from = Some(self.connections);
        self.enter(EVERY, Task::Check);
    }

    /// Whether everything has come to its end.
    pub(super) fn check_convergence(&mut self) -> Verdict {
        self.nudge_stock_clients();
        if !self.is_settled() {
            self.enter(EVERY, Task::Check);
            return Ok(());
        }
        self.expire_for_stock_clients();
        if self.judge.converged(self.now).is_err() {
            self.enter(EVERY, Task::Check);
            return Ok(());
        }
        self.check_what_is_kept()?;
        self.phase = Phase::Leaving;
        for place in 0..self.links.len() {
            self.links[place].kill();
            self.will_notice(place, Side::Client);
            self.will_notice(place, Side::Server);
        }
        self.enter(setup::PARKING * 2, Task::Gone);
        Ok(())
    }

    /// Long after everybody has left.
    pub(super) fn check_nothing_is_left(&mut self) -> Verdict {
        self.phase = Phase::Over;
        self.process.b6_nothing_is_left()
    }

    /// It took too long: what is still owed is what is broken.
    pub(super) fn give_up(&mut self) {
        let unsettled = self.players.iter().position(|player| !is_settled(&player.who));
        let verdict = match self.judge.converged(self.now) {
            Err(broken) => return self.broken = Some(broken),
            Ok(()) => Invariant::L3.broken(format_args!(
                "everything is well, and client {unsettled:?} still waits for something"
            )),
        };
        self.check(verdict);
    }

    /// What expired at the end of a channel, no later message shows to a client that is told of no losses.
    fn expire_for_stock_clients(&mut self) {
        for client in 0..self.players.len() {
            for channel in 0..self.plan.channels {
                let last = self.judge.last_that_expired(client as ClientId, channel, self.now);
                if let (Who::Stock(_), Some(through), false) =
                    (&self.players[client].who, last, self.plan.recovers)
                {
                    self.hear(Fact::Skipped { to: client as ClientId, channel, after: 0, through });
                }
            }
        }
    }

    fn is_settled(&self) -> bool {
        self.players.iter().all(|player| is_settled(&player.who))
    }
}

fn is_settled(who: &Who) -> bool {
    match who {
        Who::Native(native) => native.is_settled(),
        Who::Stock(stock) => stock.is_settled(),
    }
}
