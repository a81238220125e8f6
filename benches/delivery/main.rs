//! What the state machines of `tenfour-delivery` cost in their steady state: nanoseconds and allocations for each
//! operation, as a table.
//!
//! An operation is what one message takes. Each case is run until its tables have grown, and then in rounds; the time is
//! the median of the rounds, the allocations are all that were made in them.
//!
//! `cargo bench -p tenfour-benches --bench delivery`; as a test, without `--bench`, each operation runs a few times only.

mod cases;

use std::{
    env,
    sync::LazyLock,
    time::{Duration, Instant},
};

use tenfour_counting_alloc::allocations;

const ROUNDS: usize = 201;
/// Short, so that most rounds run without being interrupted.
const ROUND: Duration = Duration::from_micros(500);

/// How many operations come before the measurement, and how many rounds are measured.
static EFFORT: LazyLock<(u64, usize)> = LazyLock::new(|| {
    let is_bench = env::args().any(|argument| argument == "--bench");
    if is_bench { (cases::WARM_UP, ROUNDS) } else { (1_000, 1) }
});

fn main() {
    println!("| operation | ns | allocations |\n|---|---|---|");
    cases::run_all();
    println!("\n{}", cases::memory());
}

/// Runs the operation, which is told its number, and prints what it costs.
fn measure(name: &str, mut operation: impl FnMut(u64)) {
    let mut number = 0;
    let mut round = |count: u64| {
        let (allocated, started) = (allocations(), Instant::now());
        for number in number..number + count {
            operation(number);
        }
        let elapsed = started.elapsed();
        number += count;
        (elapsed.as_nanos() as f64 / count as f64, allocations() - allocated)
    };
    let (warm_up, rounds) = *EFFORT;
    let nanos = round(warm_up).0.max(0.1);
    let count = (ROUND.as_nanos() as f64 / nanos).max(1.0) as u64;
    let rounds: Vec<_> = (0..rounds).map(|_| round(count)).collect();
    let mut times: Vec<_> = rounds.iter().map(|round| round.0).collect();
    times.sort_by(f64::total_cmp);
    let allocated: usize = rounds.iter().map(|round| round.1).sum();
    let each = allocated as f64 / (count * rounds.len() as u64) as f64;
    println!("| {name} | {:.1} | {each:.3} |", times[rounds.len() / 2]);
}
