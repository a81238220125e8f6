//! The credit that a session gives, and what it is owed.

use super::Driver;
use tenfour_tokio::session::native::Cost;

/// What was taken of the credit of a session, to be given back to that one and to no other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::client) struct Charge {
    /// Which of the client's sessions.
    pub(in crate::client) session: u64,
    pub(in crate::client) cost: Cost,
}

impl Driver {
    pub(super) fn charge(&self, cost: Cost) -> Charge {
        Charge { session: self.session, cost }
    }

    pub(super) fn consumed(&mut self, cost: Cost) {
        self.give_back(self.charge(cost));
    }

    /// Between two connections of a session it is kept for the next one.
    pub(super) fn give_back(&mut self, charge: Charge) {
        if charge.session != self.session {
            return;
        }
        let now = self.clock.now();
        match self.link.session().filter(|session| session.is_open()) {
            Some(session) => session.consumed(now, charge.cost),
            None => self.owed = self.owed + charge.cost,
        }
    }
}
