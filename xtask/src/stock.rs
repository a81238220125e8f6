//! The stock clients' tests in `tests/stock`, and what they need.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::{Value, json};
use tenfour_testkit::stock::{self, Error, Stock};

use crate::tools::{cargo, check, find, read, root, succeeds};

/// Folders of the tests. The conformance suites come first: with them, the others make sense.
const SUITES: [&str; 6] = ["conformance", "node", "recovery", "faults", "companion", "browser"];
/// Names the command of the application that is to be recovered; without it the tests take the reference server's.
const RECOVERY_COMMAND: &str = "TENFOUR_RECOVERY_COMMAND";
/// Milliseconds that Node's runner gives a file.
const FILE_TIMEOUT: u32 = 300_000;

/// Node with the packages of the lock file, and a browser.
pub(crate) struct Installed {
    stock: Stock,
    chromium: PathBuf,
}

/// The servers under test.
pub(crate) struct Servers {
    conformance: PathBuf,
    recovery: PathBuf,
    tenfour: PathBuf,
}

/// Stock clients' events through faults and kills, counted.
#[derive(Args)]
pub(crate) struct Faults {
    /// Seconds of faults
    #[arg(long, value_name = "N", default_value_t = 60, requires = "only_faults")]
    seconds: u32,
    /// Stock clients, over WebSocket, polling and with an upgrade in turn
    #[arg(long, value_name = "N", default_value_t = 50, requires = "only_faults")]
    clients: u32,
    /// How often the server is killed and started again
    #[arg(long, value_name = "N", default_value_t = 5, requires = "only_faults")]
    kills: u32,
    /// Counts the same for the JavaScript server with connection state recovery, and judges nothing
    #[arg(long, requires = "only_faults")]
    pub(crate) reference: bool,
    /// Prints one line of JSON in place of the table
    #[arg(long, requires = "only_faults")]
    json: bool,
}

/// Finds the tools and installs what can be: the packages, and as root Debian's Chromium.
pub(crate) fn install() -> Result<Installed> {
    let stock = Stock::find(folder())?;
    stock.prepare()?;
    let chromium = match stock::chromium() {
        Err(Error::Missing { .. }) if can_install() => {
            check(Command::new("apt-get").arg("update"))?;
            let packages = ["chromium", "fonts-dejavu-core"];
            check(
                Command::new("apt-get").args(["install", "--yes", "--no-install-recommends"]).args(packages),
            )?;
            stock::chromium()?
        }
        found => found?,
    };
    Ok(Installed { stock, chromium })
}

/// Builds the examples `conformance` and `recovery` and the binary `tenfour`, as they are released.
pub(crate) fn build() -> Result<Servers> {
    Ok(Servers {
        conformance: executable(&["--package", "tenfour", "--example", "conformance"])?,
        recovery: executable(&["--package", "tenfour", "--example", "recovery"])?,
        tenfour: executable(&["--package", "tenfour-server", "--bin", "tenfour"])?,
    })
}

impl Installed {
    /// Runs the tests: of all files whose path has `filter` in it, or else all tests whose name has.
    pub(crate) fn test(&self, servers: &Servers, filter: Option<&str>) -> Result<()> {
        let files = test_files()?;
        let (chosen, names): (Vec<_>, _) = match filter {
            None => (files, None),
            Some(part) => {
                match files.iter().filter(|file| file.contains(part)).cloned().collect::<Vec<_>>() {
                    none if none.is_empty() => (files, Some(format!("--test-name-pattern={part}"))),
                    some => (some, None),
                }
            }
        };
        let variables = [
            ("TENFOUR_COMMAND", json!([servers.conformance]).to_string()),
            (RECOVERY_COMMAND, json!([servers.recovery]).to_string()),
            ("TENFOUR_CHAT_COMMAND", json!([servers.tenfour, "serve", "--tcp", "none"]).to_string()),
            ("TENFOUR_CHROMIUM", self.chromium.display().to_string()),
        ];
        let mut node = self.stock.node(variables);
        node.args(["--test", "--test-reporter=spec"]).arg(format!("--test-timeout={FILE_TIMEOUT}"));
        check(node.args(names).args(chosen))
    }

    /// Counts what becomes of events that go through faults to the application of `servers`, or else of the reference.
    pub(crate) fn faults(&self, servers: Option<&Servers>, faults: &Faults) -> Result<()> {
        let command = servers.map(|servers| (RECOVERY_COMMAND, json!([servers.recovery]).to_string()));
        let mut node = self.stock.node(command);
        node.arg("faults/run.mjs")
            .arg(format!("--seconds={}", faults.seconds))
            .arg(format!("--clients={}", faults.clients))
            .arg(format!("--kills={}", faults.kills))
            .args(faults.json.then_some("--json"));
        check(&mut node)
    }
}

fn folder() -> PathBuf {
    root().join("tests/stock")
}

/// The tests' files, relative to their folder.
fn test_files() -> Result<Vec<String>> {
    let mut files = Vec::new();
    for suite in SUITES {
        let mut of_suite = Vec::new();
        for entry in fs::read_dir(folder().join(suite)).with_context(|| format!("tests/stock/{suite}"))? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if name.ends_with(".test.mjs") {
                of_suite.push(format!("{suite}/{name}"));
            }
        }
        of_suite.sort();
        files.append(&mut of_suite);
    }
    Ok(files)
}

/// Builds what `selection` names, and answers where Cargo put it.
fn executable(selection: &[&str]) -> Result<PathBuf> {
    let messages = read(
        cargo().args(["build", "--release", "--message-format=json-render-diagnostics"]).args(selection),
    )?;
    let built = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter_map(|message| message["executable"].as_str().map(|path| Path::new(path).to_owned()))
        .next_back();
    match built {
        Some(path) => Ok(path),
        None => bail!("cargo built no executable of `{}`", selection.join(" ")),
    }
}

fn can_install() -> bool {
    let is_root = succeeds(Command::new("sh").args(["-c", "test \"$(id -u)\" = 0"]));
    is_root && find("apt-get").is_some()
}
