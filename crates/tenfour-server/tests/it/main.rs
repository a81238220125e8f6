//! The binary `tenfour`, as its users meet it.

mod binary;
mod chat;
mod native;
mod server;
#[cfg(unix)]
mod shutdown;
