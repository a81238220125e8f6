//! Tests that cross crates. One binary: linking is what makes suites slow.

mod architecture;
mod no_std;
mod workspace;
