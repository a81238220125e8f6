//! `tenfour simulate`: worlds that try to break the delivery core.

use std::{
    io::{self, Write},
    num::NonZeroU64,
    ops::RangeInclusive,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use clap::Args;
use serde::{Deserialize, Serialize};
use tenfour_testkit::sim::{self, Explored, Options, Report, Summary};

/// What to simulate.
#[derive(Clone, Debug, Args)]
pub(crate) struct SimulateArgs {
    /// How many worlds, from the first seed on
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    seeds: u64,
    /// The first seed
    #[arg(long, value_name = "S", default_value_t = 0)]
    from: u64,
    /// One world alone, with everything that happens in it
    #[arg(long, value_name = "S", conflicts_with_all = ["seeds", "from", "seconds", "exhaustive"])]
    seed: Option<u64>,
    /// As many worlds as are over in this time, instead of a number of them
    #[arg(long, value_name = "T", conflicts_with = "seeds")]
    seconds: Option<NonZeroU64>,
    /// How many worlds at a time; as many as there are processors if not given
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// A file in JSON with what worlds are drawn from
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The report in JSON
    #[arg(long)]
    json: bool,
    /// Every interleaving of a very small world, instead of many worlds
    #[arg(long)]
    exhaustive: bool,
    /// How many messages that world has
    #[arg(long, value_name = "N", default_value_t = 2, requires = "exhaustive")]
    messages: u8,
    /// How many times one of its connections is cut, at most; with two cuts and a restart the search takes very long
    #[arg(long, value_name = "N", default_value_t = 1, requires = "exhaustive")]
    cuts: u8,
    /// How many times its server restarts, at most
    #[arg(long, value_name = "N", default_value_t = 0, requires = "exhaustive")]
    restarts: u8,
}

/// Why nothing was simulated, or not reported.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SimulateError {
    /// The file cannot be read.
    #[error("{path} cannot be read: {source}")]
    Read { path: PathBuf, source: io::Error },
    /// The file is not what it should be.
    #[error("{path} is no configuration of a simulation: {source}")]
    Config { path: PathBuf, source: serde_json::Error },
    /// The report cannot be written.
    #[error("the report cannot be written: {0}")]
    Write(#[from] io::Error),
}

/// Whether everything held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Held,
    Broken,
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Held => Self::SUCCESS,
            Outcome::Broken => Self::FAILURE,
        }
    }
}

/// Runs what is asked for and prints what came of it.
pub(crate) fn simulate(args: &SimulateArgs) -> Result<Outcome, SimulateError> {
    let options = options(args.config.as_deref())?;
    let out = &mut io::stdout().lock();
    if let Some(seed) = args.seed {
        return trace(out, seed, &options);
    }
    if args.exhaustive {
        return exhaust(out, args);
    }
    let began = Instant::now();
    let summary = run(args, &options);
    let result = Results::of(&summary, began.elapsed());
    match args.json {
        true => writeln!(out, "{}", serde_json::to_string_pretty(&result).map_err(io::Error::from)?)?,
        false => result.print(out)?,
    }
    Ok(if summary.violations.is_empty() { Outcome::Held } else { Outcome::Broken })
}

/// A world's life, line by line, and its end.
fn trace(out: &mut impl Write, seed: u64, options: &Options) -> Result<Outcome, SimulateError> {
    let mut written = Ok(());
    let report = sim::trace(seed, options, |step| {
        if written.is_ok() {
            written = writeln!(out, "{} {:?}", step.at, step.fact);
        }
    });
    written?;
    let Report { events, faults, lived, trace, .. } = report;
    let total = faults.total();
    writeln!(out, "{events} events, {total} faults, {lived:?} of virtual time, trace {trace:016x}")?;
    match report.violation {
        None => Ok(Outcome::Held),
        Some(violation) => {
            writeln!(out, "{violation}")?;
            Ok(Outcome::Broken)
        }
    }
}

fn exhaust(out: &mut impl Write, args: &SimulateArgs) -> Result<Outcome, SimulateError> {
    let mut smallest = sim::Smallest::default();
    (smallest.messages, smallest.cuts, smallest.restarts) = (args.messages, args.cuts, args.restarts);
    let began = Instant::now();
    let Explored { states, transitions, ends, ref broken, .. } = sim::explore(&smallest);
    let seconds = began.elapsed().as_secs_f64();
    if args.json {
        let broken = broken.as_ref().map(ToString::to_string);
        let result = serde_json::json!({
            "states": states, "transitions": transitions, "ends": ends, "seconds": seconds, "violation": broken,
        });
        writeln!(out, "{result:#}")?;
    } else {
        writeln!(out, "{states} states, {transitions} transitions, {ends} ends, in {seconds:.1} s")?;
        if let Some(broken) = broken {
            writeln!(out, "{broken}")?;
        }
    }
    Ok(if broken.is_none() { Outcome::Held } else { Outcome::Broken })
}

fn run(args: &SimulateArgs, options: &Options) -> Summary {
    let deadline = args.seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds.get()));
    let threads = args.threads.unwrap_or_else(|| thread::available_parallelism().map_or(1, usize::from));
    let next = AtomicU64::new(args.from);
    let end = args.from.saturating_add(args.seeds);
    let goes_on = |seed| deadline.map_or(seed < end, |deadline| Instant::now() < deadline);
    let work = || {
        let mut summary = Summary::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if !goes_on(seed) {
                return summary;
            }
            summary.add(sim::run(seed, options));
        }
    };
    let mut summary = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(work)).collect();
        workers.into_iter().fold(Summary::default(), |mut all, worker| {
            all.merge(worker.join().expect("a world that panics is a bug of the code in it, shown above"));
            all
        })
    });
    summary.violations.sort_by_key(|violation| violation.seed);
    summary
}

/// What is read from a configuration's file: what is not in it stays as it is.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct File {
    clients: Option<(u8, u8)>,
    channels: Option<(u8, u8)>,
    faults_for_ms: Option<u64>,
    converge_within_ms: Option<u64>,
    publish_every_ms: Option<(u64, u64)>,
    link_faults_per_million: Option<u32>,
    fault_every_ms: Option<(u64, u64)>,
}

fn options(path: Option<&Path>) -> Result<Options, SimulateError> {
    let mut options = Options::default();
    let Some(path) = path else { return Ok(options) };
    let text = std::fs::read(path).map_err(|source| SimulateError::Read { path: path.into(), source })?;
    let file: File = serde_json::from_slice(&text)
        .map_err(|source| SimulateError::Config { path: path.into(), source })?;
    set(&mut options.clients, file.clients.map(range));
    set(&mut options.channels, file.channels.map(range));
    set(&mut options.faults_for, file.faults_for_ms.map(Duration::from_millis));
    set(&mut options.converge_within, file.converge_within_ms.map(Duration::from_millis));
    set(&mut options.publish_every, file.publish_every_ms.map(millis));
    set(&mut options.link_faults, file.link_faults_per_million);
    set(&mut options.fault_every, file.fault_every_ms.map(millis));
    Ok(options)
}

fn set<T>(field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *field = value;
    }
}

/// Whichever of the two is less comes first.
fn range<T: Ord + Copy>((one, other): (T, T)) -> RangeInclusive<T> {
    one.min(other)..=one.max(other)
}

fn millis(pair: (u64, u64)) -> RangeInclusive<Duration> {
    range((Duration::from_millis(pair.0), Duration::from_millis(pair.1)))
}

#[derive(Debug, Serialize)]
struct Results {
    seeds: u64,
    events: u64,
    faults: u64,
    faults_by_kind: Vec<(&'static str, u64)>,
    virtual_seconds: u64,
    seconds: f64,
    events_per_second: f64,
    violations: Vec<Broken>,
}

#[derive(Debug, Serialize)]
struct Broken {
    seed: u64,
    invariant: &'static str,
    at_us: u64,
    found: String,
    replay: String,
}

impl Results {
    fn of(summary: &Summary, took: Duration) -> Self {
        let seconds = took.as_secs_f64();
        let violations = summary.violations.iter().map(|violation| Broken {
            seed: violation.seed,
            invariant: violation.broken.invariant.name(),
            at_us: violation.broken.at.as_micros(),
            found: violation.broken.found.clone(),
            replay: violation.replay(),
        });
        Self {
            seeds: summary.seeds,
            events: summary.events,
            faults: summary.faults.total(),
            faults_by_kind: summary.faults.iter().map(|(fault, count)| (fault.name(), count)).collect(),
            virtual_seconds: summary.lived.as_secs(),
            seconds,
            events_per_second: summary.events as f64 / seconds.max(f64::EPSILON),
            violations: violations.collect(),
        }
    }

    fn print(&self, out: &mut impl Write) -> io::Result<()> {
        let mut row = |name: &str, value: String| writeln!(out, "{name:<20} {value:>16}");
        row("seeds", self.seeds.to_string())?;
        row("events", self.events.to_string())?;
        row("events per second", format!("{:.0}", self.events_per_second))?;
        row("virtual time", format!("{} s", self.virtual_seconds))?;
        row("time", format!("{:.1} s", self.seconds))?;
        row("faults", self.faults.to_string())?;
        for (fault, count) in &self.faults_by_kind {
            row(&format!("  {fault}"), count.to_string())?;
        }
        row("violations", self.violations.len().to_string())?;
        for Broken { seed, invariant, at_us, found, replay } in &self.violations {
            writeln!(out, "\nseed {seed}: {invariant} at {at_us} µs: {found}\n  again: {replay}")?;
        }
        Ok(())
    }
}
