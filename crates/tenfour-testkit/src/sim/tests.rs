//! A few worlds, and what must be true of all.

use super::{Options, Smallest, Summary, explore, run, trace};

/// As many as take a few seconds without optimisation. `tenfour simulate` runs more.
const SEEDS: u64 = 60;

#[test]
fn nothing_breaks_and_everything_goes_wrong() {
    let mut summary = Summary::default();
    (0..SEEDS).for_each(|seed| summary.add(run(seed, &Options::default())));
    for violation in &summary.violations {
        eprintln!("{violation}");
    }
    assert!(summary.violations.is_empty());
    for (fault, count) in summary.faults.iter() {
        assert!(count > 0, "{fault} never happened");
    }
}

#[test]
fn the_same_seed_is_the_same_world() {
    for seed in [3, 14, 15] {
        let mut facts = 0;
        let (once, again) =
            (run(seed, &Options::default()), trace(seed, &Options::default(), |_| facts += 1));
        assert_eq!((once.trace, once.events, once.lived), (again.trace, again.events, again.lived));
        assert_ne!(once.trace, run(seed + 1, &Options::default()).trace);
        assert!(facts > 100);
    }
}

#[test]
fn every_interleaving_of_a_message_with_a_cut_and_of_one_with_a_restart() {
    for (messages, cuts, restarts) in [(1, 1, 0), (1, 0, 1), (2, 0, 0)] {
        let explored = explore(&Smallest { messages, cuts, restarts });
        assert!(explored.broken.is_none(), "{}", explored.broken.unwrap());
        assert!(explored.states > 100 && explored.ends > 0, "{explored:?}");
    }
}
