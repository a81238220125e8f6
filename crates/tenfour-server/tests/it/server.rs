//! The binary as a process.

use std::{
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    process::{Child, ChildStdout, Command, ExitStatus, Stdio},
};

pub(crate) const ANY_PORT: [&str; 4] = ["--listen", "127.0.0.1:0", "--tcp", "127.0.0.1:0"];

/// A running server, ended with the test.
pub(crate) struct Server {
    child: Child,
    stdout: BufReader<ChildStdout>,
    pub(crate) address: SocketAddr,
    /// Where it speaks its own protocol, as a URL.
    pub(crate) native: String,
}

impl Server {
    /// Starts the binary, and waits for its word that it is ready.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut child = tenfour(arguments).stdout(Stdio::piped()).spawn().expect("the binary starts");
        let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
        let mut ready = || {
            let mut line = String::new();
            stdout.read_line(&mut line).expect("a line");
            line.trim_end().strip_prefix("listening on ").expect("a ready line").to_owned()
        };
        let (http, native) = (ready(), ready());
        let address = http.strip_prefix("http://").expect("HTTP comes first");
        let address = address.parse().expect("an address");
        Self { child, stdout, address, native }
    }

    /// Sends a signal, such as `-TERM`.
    #[cfg(unix)]
    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().expect("kill runs").success());
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.child.wait().expect("it ends")
    }

    /// What it printed behind the ready lines, once it has ended.
    pub(crate) fn rest_of_stdout(&mut self) -> String {
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).expect("text");
        rest
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already: that is what some tests are about.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The binary with these arguments, not started yet.
pub(crate) fn tenfour(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tenfour"));
    command.args(arguments).env("RUST_LOG", "warn");
    command
}
