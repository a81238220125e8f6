//! Crash tests of the log on a disk, which lose, tear and refuse whatever a disk may, and kill at every call.
//!
//! A judge stands beside the log: what was acknowledged is there with equal bytes; what was not is there as a whole or
//! not at all, and then for good; no offset is given twice; what a history says to be gone was allowed to go.

mod control;
mod disk;
mod every_call;
mod judge;
mod named;
mod properties;
mod reference;
mod script;
mod subject;
mod world;
