//! A whole world in virtual time: applications, clients, links, a server and its log, all drawn from one number.
//!
//! [`run`] makes the world that a seed stands for, lets it live through its faults, heals it, and lets it converge. Everything that
//! happens is a [`Fact`], and a [`Judge`] hears of each: one oracle for each [`Invariant`], judging by what was offered, committed,
//! acknowledged and delivered, never by what the code under test holds for true.
//!
//! # What an event is
//!
//! One step of the scheduler that gives something to the code under test, or lets an application act: a chunk or a datagram arrives, a
//! timer is due, the log answers, an application publishes, reads on or saves. Time that passes is none, nor is a fault.

mod client;
mod drive;
mod explore;
mod fact;
mod fault;
mod forgery;
mod invariant;
mod judge;
mod ledger;
mod letter;
mod link;
mod options;
mod report;
mod server;
mod setup;
mod sockets;
mod stock;
#[cfg(test)]
mod tests;
mod world;

use self::world::World;
pub use crate::rng::Rng;
pub use explore::{Counterexample, Explored, Smallest, explore};
pub use fact::{
    ChannelId, ClientId, Committed, ConnectionId, Cursor, Delivered, Fact, Forgery, Happening, Left, Lost,
    MessageId, Place, Producer, ProtocolFault, Received, SessionNumber, Start, Told,
};
pub use fault::{Fault, Faults};
pub use invariant::Invariant;
pub use judge::{Broken, Judge, Rules};
pub use options::Options;
pub use report::{Report, Summary, Violation};

/// Lets the world of a seed live, and says what came of it.
#[must_use]
pub fn run(seed: u64, options: &Options) -> Report {
    World::new(seed, options, None).run(options)
}

/// [`run`], and tells of everything that happens.
pub fn trace(seed: u64, options: &Options, mut observer: impl FnMut(&Happening)) -> Report {
    World::new(seed, options, Some(&mut observer)).run(options)
}
