//! The suite on a log that never syncs, which it has to find out.

use tenfour_log::{Disk, disk::Sync};
use tenfour_testkit::disk::{Syncs, Unsynced};

use crate::{
    every_call::{script, setup},
    judge::{Fault, Verdict},
    script::Step,
    subject::Subject,
    world::World,
};

const ROUNDS: u64 = 25;

/// Runs the script but for so many steps, ends it with this one, and opens the log again.
fn ended_by(end: &Step, without: usize, sync: Sync) -> Verdict {
    let mut world = World::<Disk>::new(without as u64, &setup(), sync)?;
    let script = script();
    world.run(&script[..script.len() - without])?;
    world.step(end)
}

fn losses(end: &Step, sync: Sync) -> usize {
    let verdicts = (0..ROUNDS as usize).map(|without| ended_by(end, without, sync));
    verdicts.filter(|verdict| matches!(verdict, Err(Fault::Broken(_)))).count()
}

#[test]
fn a_log_without_syncs_is_found_out() {
    for unsynced in [Unsynced::Lost, Unsynced::Torn] {
        let lost = losses(&Step::CutPower(unsynced), Sync::Never);
        assert!(lost > 20, "{unsynced:?}: {lost} of {ROUNDS} runs lost something");
        assert_eq!(losses(&Step::CutPower(unsynced), Sync::Always), 0);
    }
}

/// What a process wrote is there when it is killed: killing it says nothing about syncs.
#[test]
fn killing_its_process_does_not_find_it_out() {
    assert_eq!(losses(&Step::Kill, Sync::Never), 0);
}

/// Nor can a log keep what a drive says to have saved and has not: it opens with less, or says what is missing.
#[test]
fn a_drive_that_lies_is_found_out() {
    let mut lost = 0;
    for seed in 0..ROUNDS {
        let mut world = World::<Disk>::new(seed, &setup(), Sync::Always).expect("nothing fails");
        world.disk.set_syncs(Syncs::Lie);
        world.run(&script()).expect("nothing fails yet");
        world.disk.heal();
        world.disk.cut_power(Unsynced::Torn);
        let opened = <Disk as Subject>::open(world.disk.vfs(), &setup(), Sync::Always);
        lost += usize::from(opened.map_or(true, |log| world.judge.reopened(&log).is_err()));
    }
    assert!(lost > 20, "{lost} of {ROUNDS} runs lost something");
}
