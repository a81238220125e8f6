//! Worlds with a planted bug: how soon and as what the judge sees it. `cargo xtask mutants` runs it for each.
//!
//! ```text
//! RUSTFLAGS="--cfg tenfour_mutants" cargo run --release --example planted -- CursorRegresses 1000
//! ```
//!
//! Prints how many worlds there were, fewer than asked for once 40 of them were broken, and of each invariant that was broken its name, the first seed and how many worlds broke
//! it, the earliest first. `--list` prints the names of all bugs; `none` plants none.

use std::{collections::BTreeMap, env, process::ExitCode};

use tenfour_testkit::sim::{Options, run};

/// So many broken worlds show what a bug does.
const ENOUGH: u32 = 40;

fn main() -> ExitCode {
    let mut arguments = env::args().skip(1);
    let (name, seeds) = (arguments.next().unwrap_or_default(), arguments.next());
    if name == "--list" {
        planting::names().for_each(|name| println!("{name}"));
        return ExitCode::SUCCESS;
    }
    let Some(seeds) = seeds.and_then(|seeds| seeds.parse::<u64>().ok()) else {
        eprintln!("error: expected the name of a bug and a number of seeds");
        return ExitCode::FAILURE;
    };
    if name != "none" && !planting::plant(&name) {
        eprintln!("error: {name} is no bug that can be planted; is this built with `--cfg tenfour_mutants`?");
        return ExitCode::FAILURE;
    }
    let (options, mut broken) = (Options::default(), BTreeMap::new());
    let (mut worlds, mut left) = (0, ENOUGH);
    while worlds < seeds && left > 0 {
        if let Some(violation) = run(worlds, &options).violation {
            broken.entry(violation.broken.invariant).or_insert((worlds, 0_u64)).1 += 1;
            left -= 1;
        }
        worlds += 1;
    }
    println!("seeds {worlds}");
    let mut broken: Vec<_> = broken.into_iter().collect();
    broken.sort_by_key(|(_, (first, _))| *first);
    for (invariant, (first, count)) in broken {
        println!("{invariant} {first} {count}");
    }
    ExitCode::SUCCESS
}

#[cfg(tenfour_mutants)]
mod planting {
    use tenfour_delivery::mutant::{Mutant, choose};

    pub(super) fn names() -> impl Iterator<Item = &'static str> {
        Mutant::ALL.iter().map(|mutant| mutant.name())
    }

    pub(super) fn plant(name: &str) -> bool {
        let mutant = Mutant::from_name(name);
        choose(mutant);
        mutant.is_some()
    }
}

#[cfg(not(tenfour_mutants))]
mod planting {
    pub(super) fn names() -> impl Iterator<Item = &'static str> {
        core::iter::empty()
    }

    pub(super) fn plant(_: &str) -> bool {
        false
    }
}
