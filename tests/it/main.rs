//! Tests that cross crates. One binary: linking is what makes suites slow.

mod architecture;
mod datagrams;
mod flow;
mod guarantees;
mod hostile;
mod http;
mod native;
mod no_std;
mod recovery;
mod server;
mod stream;
mod workspace;
