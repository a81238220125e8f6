//! Scripts that chance would take long to find.

use std::{io, time::Duration};

use tenfour_log::{
    AppendError, Completion, Disk, Log as _, Record, Retention, Ticket, WallTime,
    disk::{CutReason, OpenError, Sync},
};
use tenfour_testkit::disk::{Call, FaultyDisk, Unsynced};

use crate::{
    disk::{EPOCH, config},
    every_call::setup,
    judge::Verdict,
    script::{Setup, Step},
    subject::Subject,
    world::World,
};

pub(crate) const SEEDS: u64 = 200;

/// The power fails while a group of equally long appends is written: the first may be torn and the second whole. Then one
/// of that length takes the place of the first.
pub(crate) fn torn_group<S: Subject>(seed: u64, flaw: S::Flaw) -> Verdict {
    let append = || Step::Append(vec![(1, 500)]);
    let setup = Setup { segment_bytes: 16_384, ..setup() };
    let mut world = World::<S>::new(seed, &setup, flaw)?;
    world.run(&[
        append(),
        Step::Commit,
        append(),
        append(),
        append(),
        Step::CutPowerIn(1, Unsynced::Torn),
    ])?;
    world.run(&[Step::Commit, append(), Step::Commit, Step::Kill])
}

#[test]
fn what_was_cut_off_does_not_come_back() {
    for seed in 0..SEEDS {
        torn_group::<Disk>(seed, Sync::Always).unwrap_or_else(|fault| panic!("seed {seed}: {fault}"));
    }
}

/// What was on its way when it was trimmed around has the last word on its channel.
#[test]
fn a_channel_s_head_is_that_of_what_was_on_its_way() -> Verdict {
    let mut retention = Retention::default();
    retention.age = Some(Duration::from_millis(100));
    let mut world = World::<Disk>::new(0, &Setup { retention, ..setup() }, Sync::Always)?;
    let append = |channels, length| Step::Append(vec![(channels, length)]);
    world.run(&[append(4, 10), append(1, 900), append(1, 900), append(1, 900), Step::Commit])?;
    world.run(&[append(4, 10), Step::Trim(101), Step::Commit])?;
    assert!(world.disk.names().len() < 3, "segments were dropped");
    world.finish()
}

fn record(length: usize) -> Record {
    Record {
        channels: vec!["a".into()],
        producer: None,
        ingested: WallTime::from_unix_millis(1),
        expires: None,
        payload: vec![7; length].into(),
    }
}

fn open(disk: &FaultyDisk) -> Result<(Disk, tenfour_log::disk::Recovery), OpenError> {
    Disk::open_on(disk.vfs(), config(&setup()))
}

fn append(log: &mut Disk, length: usize) -> Completion {
    log.append(Ticket(1), vec![record(length)]);
    log.commit_now();
    log.poll().expect("it is answered")
}

#[test]
fn a_failed_sync_is_final_and_said() {
    let disk = FaultyDisk::new(0);
    let (mut log, _) = open(&disk).expect("nothing fails");
    let first = append(&mut log, 10).result.expect("nothing fails");
    disk.fail_next(Call::SyncData, io::ErrorKind::Other);
    for _ in 0..3 {
        let Err(AppendError::Failed { reason }) = append(&mut log, 10).result else {
            panic!("the log goes on");
        };
        assert!(reason.contains("sync"), "{reason}");
    }
    let page = log.read(&tenfour_log::Query::all(tenfour_log::Offset::START));
    assert_eq!(page.map(|page| page.entries), Ok(first), "what was committed can be read");
    drop(log);
    let (mut log, _) = open(&disk).expect("it is opened again");
    append(&mut log, 10).result.expect("it goes on");
}

#[test]
fn a_full_disk_is_said_and_is_no_failure() {
    let disk = FaultyDisk::new(0);
    let (mut log, _) = open(&disk).expect("nothing fails");
    disk.set_capacity(Some(disk.used()));
    let refused = (0..9).find_map(|_| append(&mut log, 300).result.err());
    let Some(AppendError::Refused { reason }) = refused else { panic!("{refused:?}") };
    assert!(reason.contains("room"), "{reason}");
    disk.heal();
    append(&mut log, 300).result.expect("there is space");
}

#[test]
fn what_is_cut_off_is_told() {
    for seed in 0..SEEDS {
        let disk = FaultyDisk::new(seed);
        let (mut log, _) = open(&disk).expect("nothing fails");
        append(&mut log, 10).result.expect("nothing fails");
        disk.cut_power_in(1);
        append(&mut log, 700).result.expect_err("the power fails");
        disk.cut_power(Unsynced::Torn);
        drop(log);
        let (log, found) = open(&disk).expect("there is power");
        assert_eq!((log.epoch(), found.ended), (EPOCH, None));
        // The other time nothing was written, or all of it.
        if let Some(cut) = &found.cut {
            assert_eq!((found.entries, cut.reason), (1, CutReason::Torn));
            assert!(cut.bytes > 0 && found.to_string().contains(&cut.bytes.to_string()), "{found}");
            drop(log);
            let (_, found) = open(&disk).expect("it was mended");
            assert_eq!(found.cut, None);
            return;
        }
    }
    panic!("no seed leaves a part");
}

#[test]
fn a_second_process_is_refused_until_the_first_has_ended() {
    let disk = FaultyDisk::new(0);
    let (log, _) = open(&disk).expect("nothing fails");
    assert!(matches!(open(&disk), Err(OpenError::Locked)));
    disk.kill();
    let (_second, _) = open(&disk).expect("the first was killed");
    drop(log);
    assert!(matches!(open(&disk), Err(OpenError::Locked)), "that the first is dropped changes nothing");
}
