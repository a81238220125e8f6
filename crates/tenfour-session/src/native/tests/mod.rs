//! Two sides against each other, over a pipe of their own and in a time of their own.

extern crate std;

mod delivery;
mod exchange;
mod expiry;
mod faults;
mod flow;
mod narrow;
mod pipe;
mod support;
mod transitions;
mod world;
