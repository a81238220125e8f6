//! The project's chores. `cargo xtask --help` lists them.

mod fuzz;
mod mutants;
mod stock;
mod summary;
mod tools;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::{
    summary::Summary,
    tools::{cargo, check},
};

/// The package that cargo-fuzz builds: it links libFuzzer, and is nothing for `cargo test`.
const FUZZ_PACKAGE: &str = "tenfour-fuzz";
/// Seconds that `check` gives each fuzz target.
const SHORT_FUZZ: u32 = 15;
/// Worlds that `check` simulates, and in how many each planted bug has to be seen.
const SHORT_SIMULATION: &str = "5000";
const MUTANT_SEEDS: u64 = 1_000;

#[derive(Parser)]
#[command(about = "The project's chores", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Every test: Rust's, both conformance suites, and the stock clients in Node and Chromium
    Test,
    /// The conformance suites and the stock clients' tests
    Stock {
        /// Part of a file's path (`node/rooms`), else of a test's name
        #[arg(conflicts_with = "only_faults")]
        filter: Option<String>,
        /// Only the run that counts what faults and kills do to events; fails if a published one is lost, repeated or
        /// reordered
        #[arg(long = "faults", id = "only_faults")]
        only_faults: bool,
        #[command(flatten)]
        faults: stock::Faults,
    },
    /// Each fuzz target for some time
    Fuzz {
        /// Time for each target
        #[arg(long, value_name = "N", default_value_t = 60)]
        seconds: u32,
    },
    /// The benchmarks
    Bench {
        /// Arguments of `cargo bench`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// The planted bugs, each of which the simulator has to see
    Mutants {
        /// One of them alone
        name: Option<String>,
        /// In how many worlds each of them lives at most
        #[arg(long, value_name = "N", default_value_t = MUTANT_SEEDS)]
        seeds: u64,
    },
    /// What has to hold beside the tests: formatting, clippy, docs, simulated worlds, planted bugs, and a short fuzz
    Check,
    /// What has to hold before a change goes in: test and check
    Ci,
}

fn main() -> ExitCode {
    let summary = match Arguments::parse().chore {
        Chore::Test => test(),
        Chore::Stock { only_faults: true, faults, .. } => run_faults(&faults),
        Chore::Stock { filter, .. } => run_stock(Summary::default(), filter.as_deref()),
        Chore::Fuzz { seconds } => run_fuzz(Summary::default(), seconds),
        Chore::Bench { arguments } => Summary::default().step("bench", || bench(&arguments)),
        Chore::Mutants { name, seeds } => {
            Summary::default().step("mutants", || mutants::run(name.as_deref(), seeds))
        }
        Chore::Check => run_checks(Summary::default()),
        Chore::Ci => run_checks(test()),
    };
    summary.print()
}

fn test() -> Summary {
    let summary = Summary::default().step("cargo test", || {
        check(cargo().args(["test", "--workspace", "--no-fail-fast", "--exclude", FUZZ_PACKAGE]))
    });
    run_stock(summary, None)
}

fn run_checks(summary: Summary) -> Summary {
    let summary = summary
        .step("formatting", || check(cargo().args(["fmt", "--all", "--check"])))
        .step("clippy", || {
            let deny = ["--", "-D", "warnings"];
            check(cargo().args(["clippy", "--workspace", "--all-targets"]).args(deny))
        })
        .step("docs", || {
            let mut docs = cargo();
            docs.args(["doc", "--workspace", "--no-deps", "--exclude", FUZZ_PACKAGE]);
            check(docs.env("RUSTDOCFLAGS", "-D warnings"))
        })
        .step("simulation", || simulate(&["--seeds", SHORT_SIMULATION]))
        .step("simulation: every interleaving with a cut", || simulate(&["--exhaustive"]))
        .step("simulation: every interleaving with a restart", || {
            simulate(&["--exhaustive", "--cuts", "0", "--restarts", "1"])
        })
        .step("mutants", || mutants::run(None, MUTANT_SEEDS));
    run_fuzz(summary, SHORT_FUZZ)
}

/// Each stage needs the one before it; their names are the summary's lines.
fn run_stock(summary: Summary, filter: Option<&str>) -> Summary {
    let (summary, stock) = install_stock(summary);
    let Some(stock) = stock else { return summary };
    let (summary, servers) = build_servers(summary);
    let Some(servers) = servers else { return summary };
    summary.step("stock: tests", || stock.test(&servers, filter))
}

fn run_faults(faults: &stock::Faults) -> Summary {
    let (summary, stock) = install_stock(Summary::default());
    let Some(stock) = stock else { return summary };
    if faults.reference {
        return summary.step("stock: faults, reference", || stock.faults(None, faults));
    }
    let (summary, servers) = build_servers(summary);
    let Some(servers) = servers else { return summary };
    summary.step("stock: faults", || stock.faults(Some(&servers), faults))
}

fn install_stock(summary: Summary) -> (Summary, Option<stock::Installed>) {
    let mut installed = None;
    let summary =
        summary.step("stock: tools and packages", || stock::install().map(|stock| installed = Some(stock)));
    (summary, installed)
}

fn build_servers(summary: Summary) -> (Summary, Option<stock::Servers>) {
    let mut servers = None;
    let summary =
        summary.step("stock: build the servers", || stock::build().map(|built| servers = Some(built)));
    (summary, servers)
}

fn run_fuzz(mut summary: Summary, seconds: u32) -> Summary {
    let mut fuzz = None;
    summary = summary.step("fuzz: tools", || fuzz::Fuzz::prepare().map(|prepared| fuzz = Some(prepared)));
    let Some(fuzz) = fuzz else { return summary };
    for target in fuzz.targets() {
        summary = summary.step(&format!("fuzz: {target}"), || fuzz.run(target, seconds));
    }
    summary
}

fn simulate(arguments: &[&str]) -> Result<()> {
    check(cargo().args(["run", "--release", "--package", "tenfour-server", "--", "simulate"]).args(arguments))
}

fn bench(arguments: &[String]) -> Result<()> {
    check(cargo().args(["bench", "--package", "tenfour-benches"]).args(arguments))
}
