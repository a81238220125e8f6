//! The planted bugs, each in as many worlds as it takes for the simulator to see it.

use std::{
    collections::VecDeque,
    fmt,
    path::{Path, PathBuf},
    process::Command,
    sync::Mutex,
    thread,
};

use anyhow::{Context, Result, ensure};

use crate::tools::{cargo, check, read, root};

/// The configuration in which bugs can be planted. What is built with it stays apart from everything else.
const CFG: &str = "--cfg tenfour_mutants";
const TARGET: &str = "target/mutants";
/// How many worlds run at a time.
const THREADS: usize = 2;
/// What no world shows, and what finds it instead.
const ELSEWHERE: &[(&str, &str)] = &[
    ("ForgottenTakenForNew", "no world lives as long as producers are remembered; tests of delivery"),
    ("ExceptForgottenInReplay", "no world excepts a room; tests of broker::recovery"),
    ("AwayNotSentAway", "no world sends a target away; tests of broker::recovery"),
    ("TornTailAccepted", "worlds damage nothing that was synced; tests of log::disk"),
    ("TornTailKept", "it takes a write of the same length after a crash; tests of log::disk"),
    ("OffsetReusedAfterCut", "worlds damage nothing that was synced; tests of log::disk"),
    ("UnlinkBeforeTrimRecord", "worlds write few segments; tests of log::disk"),
];
/// Plants nothing.
const CONTROL: &str = "none";

/// What became of one bug.
struct Caught {
    mutant: String,
    /// How many worlds had it.
    seeds: u64,
    /// What was broken: the invariant, the first seed, in how many worlds.
    broken: Vec<(String, u64, u64)>,
}

/// Runs every bug, or the one of this name, in so many worlds, and the same worlds without any.
pub(crate) fn run(only: Option<&str>, seeds: u64) -> Result<()> {
    let program = build()?;
    let names = read(Command::new(&program).arg("--list"))?;
    let is_elsewhere = |name: &&str| !ELSEWHERE.iter().any(|(elsewhere, _)| elsewhere == name);
    let names = names.lines().filter(is_elsewhere);
    let names = names.filter(|name| only.is_none_or(|only| only == *name)).map(str::to_owned);
    let names: VecDeque<_> = [CONTROL.to_owned()].into_iter().chain(names).collect();
    ensure!(names.len() > 1, "there is no planted bug of this name");
    let mut results = run_all(&program, names, seeds)?;
    results.sort_by(|one, other| one.mutant.cmp(&other.mutant));
    println!("{:<30} {:>6} {:>6} {:>6} {:>7}  also", "bug", "broken", "seed", "worlds", "of");
    results.iter().for_each(|result| println!("{result}"));
    ELSEWHERE.iter().for_each(|(name, why)| println!("{name:<30} not here: {why}"));
    let survivors = results.iter().filter(|result| result.mutant != CONTROL && result.broken.is_empty());
    let survivors: Vec<_> = survivors.map(|result| result.mutant.as_str()).collect();
    let control = results.iter().find(|result| result.mutant == CONTROL);
    ensure!(control.is_some_and(|control| control.broken.is_empty()), "worlds without a bug are broken");
    ensure!(survivors.is_empty(), "not caught within {seeds} seeds: {}", survivors.join(", "));
    Ok(())
}

fn build() -> Result<PathBuf> {
    let example = ["build", "--release", "--package", "tenfour-testkit", "--example", "planted"];
    let alone = ["--no-default-features", "--features", "sim", "--target-dir", TARGET];
    check(cargo().args(example).args(alone).env("RUSTFLAGS", CFG))?;
    Ok(root().join(TARGET).join("release/examples/planted"))
}

fn run_all(program: &Path, names: VecDeque<String>, seeds: u64) -> Result<Vec<Caught>> {
    let (todo, done) = (Mutex::new(names), Mutex::new(Vec::new()));
    let next = || todo.lock().ok()?.pop_front();
    let work = || -> Result<()> {
        while let Some(mutant) = next() {
            let caught = run_one(program, mutant, seeds)?;
            if let Ok(mut done) = done.lock() {
                done.push(caught);
            }
        }
        Ok(())
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..THREADS).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().expect("a worker returns its errors"))
    })?;
    done.into_inner().context("a worker failed")
}

fn run_one(program: &Path, mutant: String, seeds: u64) -> Result<Caught> {
    let output = read(Command::new(program).arg(&mutant).arg(seeds.to_string()))?;
    let mut lines = output.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let seeds = lines.next().and_then(|words| words.get(1)?.parse().ok());
    let broken = lines.map(|words| match &*words {
        [invariant, first, count] => Some((invariant.to_string(), first.parse().ok()?, count.parse().ok()?)),
        _ => None,
    });
    let broken: Option<_> = broken.collect();
    let unreadable = || format!("`planted {mutant}` printed something else:\n{output}");
    Ok(Caught { seeds: seeds.with_context(unreadable)?, broken: broken.with_context(unreadable)?, mutant })
}

impl fmt::Display for Caught {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { mutant, seeds, broken } = self;
        let worlds: u64 = broken.iter().map(|(.., count)| count).sum();
        match broken.split_first() {
            None => write!(f, "{mutant:<30} {:>6} {:>6} {worlds:>6} {seeds:>7}", "-", "-"),
            Some(((invariant, first, _), others)) => {
                let others: Vec<_> = others.iter().map(|(invariant, ..)| invariant.as_str()).collect();
                let others = others.join(" ");
                write!(f, "{mutant:<30} {invariant:>6} {first:>6} {worlds:>6} {seeds:>7}  {others}")
            }
        }
    }
}
