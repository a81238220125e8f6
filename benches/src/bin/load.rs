//! Load on a server: acknowledged events (`echo`), or a broadcast that everyone gets (`broadcast`; `publish` from its log).
//!
//! ```text
//! cargo build --release --example bench-server
//! cargo run --release -p tenfour-benches --bin load -- echo target/release/examples/bench-server 64 16
//! cargo run --release -p tenfour-benches --bin load -- broadcast target/release/examples/bench-server 100 16
//! ```
//!
//! The arguments are the case, the server's command, connections, and events in flight: of each connection for `echo`, in
//! all for a broadcast. The server is started with `--listen 127.0.0.1:0`, and says `listening on http://ADDRESS` in its
//! first line. Put server and load on cores of their own (`taskset`) where that matters.

use tenfour_benches::load::{Case, Result, Server, measure};
use tokio::task::LocalSet;

fn main() -> Result<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [case, command, connections, in_flight] = &arguments[..] else {
        return Err("usage: load echo|broadcast|publish COMMAND CONNECTIONS IN_FLIGHT".into());
    };
    let (connections, in_flight) = (connections.parse()?, in_flight.parse()?);
    let kind = match case.as_str() {
        "echo" => Case::Echo,
        "broadcast" => Case::Broadcast("broadcast"),
        "publish" => Case::Broadcast("publish"),
        other => return Err(format!("no case {other:?}").into()),
    };
    let server = Server::start(command)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let measured = LocalSet::new().block_on(&runtime, measure(&server, connections, in_flight, kind))?;
    println!(
        "{case} {connections} x {in_flight}: {:.0}/s, p50 {:?}, p99 {:?}, {:.2} µs of the server's CPU each",
        measured.rate(),
        measured.at(0.5),
        measured.at(0.99),
        measured.cpu_micros()
    );
    Ok(())
}
