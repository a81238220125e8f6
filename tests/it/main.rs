//! Tests that cross crates. One binary: linking is what makes suites slow.

mod architecture;
mod hostile;
mod no_std;
mod server;
mod workspace;
