//! Sessions are cut, claimed, taken over, restarted and trimmed under, and each client has its own account of what it got.

mod account;
mod decisions;
mod durability;
mod model;
#[cfg(tenfour_mutants)]
mod planted;
mod policies;
mod world;
