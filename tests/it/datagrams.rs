//! The UDP example of `tenfour-session`, through a network that loses, repeats and reorders.

use std::{
    io::{BufRead, BufReader, Read},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use serde_json::Value;
use tenfour_testkit::datagram::{DatagramProxy, Weather};

use crate::workspace::{cargo, root};

/// How many messages go each way. A debug build takes about ten times as long for each.
const MESSAGES: u64 = if cfg!(debug_assertions) { 5_000 } else { 100_000 };

#[tokio::test]
async fn every_message_arrives_once_and_in_order_through_a_storm() {
    let example = built();
    let mut server = Server::start(&example);
    let upstream = server.address.parse().expect("the address that it listens on");
    let proxy = DatagramProxy::start(upstream, Weather::STORM, 10).await.expect("a free port");
    let mut client = Command::new(&example);
    client.args(["client", "--messages", &MESSAGES.to_string(), "--connect", &proxy.addr().to_string()]);
    let client =
        tokio::task::spawn_blocking(move || client.output().expect("the client runs")).await.unwrap();

    let said = String::from_utf8_lossy(&client.stdout).into_owned();
    assert!(client.status.success(), "{said}{}", String::from_utf8_lossy(&client.stderr));
    assert!(said.contains(&format!("client: {MESSAGES} received in order, {MESSAGES} published")), "{said}");
    let said = server.rest();
    assert!(said.contains(&format!("server: {MESSAGES} received in order, {MESSAGES} sent")), "{said}");

    let counters = proxy.counters();
    println!("{MESSAGES} messages each way: {counters:?}");
    let of = |share: u64| counters.arrived * share / 1000;
    assert!((of(180)..of(220)).contains(&counters.lost), "{counters:?}");
    assert!(counters.repeated > of(25) && counters.delayed > of(50), "{counters:?}");
}

/// The example, in the profile of this test.
fn built() -> PathBuf {
    let mut build = cargo();
    build.args(["build", "--package", "tenfour-session", "--example", "udp"]);
    build.args(["--message-format", "json-render-diagnostics"]).current_dir(root());
    if !cfg!(debug_assertions) {
        build.arg("--release");
    }
    let output = build.stderr(Stdio::inherit()).output().expect("cargo can be run");
    assert!(output.status.success(), "the example does not build");
    let messages = String::from_utf8(output.stdout).expect("JSON");
    let artifacts = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut executables = artifacts.filter_map(|artifact| artifact["executable"].as_str().map(PathBuf::from));
    executables.next().expect("cargo names what it built")
}

struct Server {
    process: Child,
    lines: BufReader<std::process::ChildStdout>,
    address: String,
}

impl Server {
    fn start(example: &PathBuf) -> Self {
        let mut server = Command::new(example);
        server.args(["server", "--listen", "127.0.0.1:0", "--messages", &MESSAGES.to_string()]);
        let mut process = server.stdout(Stdio::piped()).spawn().expect("the server runs");
        let mut lines = BufReader::new(process.stdout.take().expect("piped"));
        let mut line = String::new();
        lines.read_line(&mut line).expect("a line");
        let address = line.trim().strip_prefix("listening on ").expect(&line).to_owned();
        Self { process, lines, address }
    }

    /// What it says until its end.
    fn rest(&mut self) -> String {
        let mut said = String::new();
        self.lines.read_to_string(&mut said).expect("text");
        said
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
