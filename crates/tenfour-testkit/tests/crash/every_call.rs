//! One script, and a failure at every single call that it leads to.

use std::io;

use tenfour_log::{
    Bound, Disk, Retention,
    disk::{Commit, Sync},
};
use tenfour_testkit::disk::Unsynced;

use crate::{
    judge::{Fault, Verdict, ensure},
    script::{Setup, Step},
    world::World,
};

/// Small segments and few entries of a channel, so that some steps roll, trim and drop segments.
pub(crate) fn setup() -> Setup {
    let mut retention = Retention::default();
    retention.channel = Bound { messages: 4, bytes: usize::MAX };
    Setup { retention, segment_bytes: 1_024, tail_bytes: 400, commit: Commit::Manual }
}

pub(crate) fn script() -> Vec<Step> {
    let append = |channels, length| Step::Append(vec![(channels, length)]);
    let mut steps = vec![append(1, 20), append(8, 700), Step::Commit, Step::Append(vec![(3, 100), (9, 600)])];
    for round in 0..6 {
        steps.extend([append(1 + round, 300), append(12, 40), Step::Commit]);
    }
    steps.extend([
        Step::Release(1),
        append(2, 900),
        Step::Commit,
        Step::Trim(10),
        append(1, 10),
        Step::Commit,
    ]);
    steps
}

/// What a power failure leaves, in some ways: the seed is the disk's.
const OUTCOMES: [(u64, Unsynced); 6] = [
    (0, Unsynced::Lost),
    (0, Unsynced::Kept),
    (1, Unsynced::Torn),
    (2, Unsynced::Torn),
    (3, Unsynced::Torn),
    (4, Unsynced::Torn),
];

/// Runs the script, and answers how many calls it takes.
fn undisturbed() -> Result<u64, Fault> {
    let mut world = World::<Disk>::new(0, &setup(), Sync::Always)?;
    let before = world.disk.calls();
    world.run(&script())?;
    let calls = world.disk.calls() - before;
    assert!(world.disk.names().len() > 1, "some segments are there");
    world.finish()?;
    Ok(calls)
}

fn expect(verdict: Verdict, what: impl FnOnce() -> String) {
    if let Err(fault) = verdict {
        panic!("{}: {fault:?}", what());
    }
}

#[test]
fn the_power_may_fail_at_every_call() {
    let calls = undisturbed().expect("nothing fails");
    assert!(calls > 50, "{calls} calls");
    for (seed, unsynced) in OUTCOMES {
        for call in 1..=calls {
            expect(cut_at(seed, unsynced, &[call]), || format!("seed {seed}, {unsynced:?} at call {call}"));
        }
    }
}

/// While the log is opened after a failure it fails again, at every call of that.
#[test]
fn the_power_may_fail_at_every_call_of_a_recovery() {
    let calls = undisturbed().expect("nothing fails");
    for (seed, unsynced) in [(1, Unsynced::Torn), (2, Unsynced::Torn)] {
        for call in (seed..=calls).step_by(7) {
            for second in (1 + call % 2..=30).step_by(2) {
                let verdict = cut_at(seed, unsynced, &[call, second]);
                expect(verdict, || {
                    format!("seed {seed}, {unsynced:?} at call {call} and the {second}. after it")
                });
            }
        }
    }
}

/// Cuts the power at a call, and at others counted from there; then the script runs to its end.
fn cut_at(seed: u64, unsynced: Unsynced, calls: &[u64]) -> Verdict {
    let mut world = World::<Disk>::new(seed, &setup(), Sync::Always)?;
    world.cut_power_at(calls, unsynced);
    world.run(&script())?;
    world.finish()
}

#[test]
fn every_call_may_fail() {
    let calls = undisturbed().expect("nothing fails");
    for error in [io::ErrorKind::Other, io::ErrorKind::StorageFull] {
        for seed in 0..3 {
            for call in 1..=calls {
                expect(fail_at(seed, error, call), || format!("seed {seed}, {error:?} at call {call}"));
            }
        }
    }
}

/// A call fails; when the log says that it has failed it is opened again, by a process that may be new, on a disk that
/// may lose its power after that.
fn fail_at(seed: u64, error: io::ErrorKind, call: u64) -> Verdict {
    let mut world = World::<Disk>::new(seed, &setup(), Sync::Always)?;
    world.step(&Step::FailIn(call, error))?;
    for step in script() {
        world.step(&step)?;
        if world.has_failed() {
            world.step(&if call.is_multiple_of(2) { Step::Kill } else { Step::Reopen })?;
            world.step(&Step::CutPower(Unsynced::Lost))?;
        }
    }
    world.finish()
}

/// However little space there is, what is acknowledged stays, and when there is space the log goes on.
#[test]
fn the_disk_may_be_full_at_every_sector() {
    let mut world = World::<Disk>::new(0, &setup(), Sync::Always).expect("nothing fails");
    world.run(&script()).expect("nothing fails");
    let most = world.disk.used();
    for free in (0..=most).step_by(512) {
        expect(fill(free), || format!("{free} bytes are free"));
    }
}

fn fill(free: u64) -> Verdict {
    let mut world = World::<Disk>::new(0, &setup(), Sync::Always)?;
    world.step(&Step::Fill(free))?;
    let script = script();
    let (first, second) = script.split_at(script.len() / 2);
    world.run(first)?;
    ensure!(!world.has_failed(), "a full disk is no failure");
    world.step(&Step::Heal)?;
    world.run(second)?;
    ensure!(!world.has_failed(), "there is space again");
    world.finish()
}
