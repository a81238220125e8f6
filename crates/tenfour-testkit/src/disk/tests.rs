use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    io,
    sync::Arc,
};

use tenfour_log::vfs::{File, Open, Vfs};

use super::*;

const SEEDS: u64 = 200;

/// A disk with a synced file of this name and these contents, open.
fn with_file(seed: u64, name: &str, contents: &[u8]) -> (FaultyDisk, Arc<dyn Vfs>, Arc<dyn File>) {
    let disk = FaultyDisk::new(seed);
    disk.put(name, contents);
    let vfs = disk.vfs();
    let file = vfs.open(name, Open::Existing).expect("it is there");
    (disk, vfs, file)
}

fn kind<T>(result: io::Result<T>) -> Option<io::ErrorKind> {
    result.err().map(|error| error.kind())
}

fn hash(disk: &FaultyDisk) -> u64 {
    let mut hasher = DefaultHasher::new();
    disk.hash(&mut hasher);
    hasher.finish()
}

#[test]
fn contents_survive_by_a_sync_of_the_file() -> io::Result<()> {
    for (synced, unsynced, expected) in
        [(true, Unsynced::Lost, "new"), (false, Unsynced::Lost, "old"), (false, Unsynced::Kept, "new")]
    {
        let (disk, vfs, file) = with_file(0, "a", b"old");
        file.write_at(b"new", 0)?;
        if synced {
            file.sync_data()?;
        }
        disk.cut_power(unsynced);
        assert_eq!(disk.contents("a").as_deref(), Some(expected.as_bytes()));
        assert!(file.read_at(&mut [0], 0).is_err() && vfs.list().is_err(), "the process has ended");
    }
    Ok(())
}

#[test]
fn names_survive_by_a_sync_of_the_directory_and_by_nothing_else() -> io::Result<()> {
    let (disk, vfs, _) = with_file(0, "removed", b"1");
    disk.put("before", b"2");
    vfs.open("made", Open::Create)?.sync_data()?;
    vfs.unlink("removed")?;
    vfs.rename("before", "after")?;
    let synced = disk.clone();
    synced.vfs().sync_dir()?;
    for disk in [&disk, &synced] {
        assert_eq!(disk.names(), ["after", "made"]);
        disk.cut_power(Unsynced::Lost);
    }
    assert_eq!(disk.names(), ["before", "removed"]);
    assert_eq!(synced.names(), ["after", "made"]);
    Ok(())
}

#[test]
fn a_kill_takes_nothing_and_saves_nothing() -> io::Result<()> {
    let (disk, _, file) = with_file(0, "a", b"old");
    file.write_at(b"new", 0)?;
    disk.kill();
    assert!(file.sync_data().is_err());
    assert_eq!(disk.contents("a").as_deref(), Some(&b"new"[..]));
    let saved = disk.clone();
    saved.vfs().open("a", Open::Existing)?.sync_data()?;
    for (disk, left) in [(disk, b"old"), (saved, b"new")] {
        disk.cut_power(Unsynced::Lost);
        assert_eq!(disk.contents("a").as_deref(), Some(&left[..]));
    }
    Ok(())
}

/// A sector is old or new, whatever its neighbours are; over some seeds everything happens.
#[test]
fn a_torn_write_is_torn_where_sectors_begin() -> io::Result<()> {
    let mut seen = [0; 8];
    for seed in 0..SEEDS {
        let (disk, _, file) = with_file(seed, "a", &[1; 4 * SECTOR]);
        file.write_at(&[2; 2 * SECTOR], SECTOR as u64 / 2)?;
        disk.cut_power(Unsynced::Torn);
        let left = disk.contents("a").expect("its name was synced");
        assert_eq!(left.len(), 4 * SECTOR);
        let places = [SECTOR / 2..SECTOR, SECTOR..2 * SECTOR, 2 * SECTOR..5 * SECTOR / 2];
        let mut outcome = 0;
        for (place, range) in places.into_iter().enumerate() {
            let first = left[range.start];
            assert!(left[range].iter().all(|byte| *byte == first));
            outcome |= usize::from(first == 2) << place;
        }
        assert!(left[..SECTOR / 2].iter().chain(&left[5 * SECTOR / 2..]).all(|byte| *byte == 1));
        seen[outcome] += 1;
    }
    assert!(seen.iter().all(|times| *times > 0), "{seen:?}");
    Ok(())
}

#[test]
fn a_torn_directory_has_some_of_its_changes() -> io::Result<()> {
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..SEEDS {
        let (disk, vfs, _) = with_file(seed, "old", b"1");
        vfs.open("made", Open::Create)?;
        vfs.rename("old", "new")?;
        disk.cut_power(Unsynced::Torn);
        let names = disk.names();
        assert_ne!(
            names.iter().any(|name| name == "old"),
            names.iter().any(|name| name == "new"),
            "one step"
        );
        seen.insert(names);
    }
    assert_eq!(seen.len(), 4, "{seen:?}");
    Ok(())
}

/// Length without content: zeros, or what was removed; never more than was asked for.
#[test]
fn a_torn_growth_shows_zeros_or_what_lay_there_before() -> io::Result<()> {
    let (mut zeros, mut stale) = (false, false);
    for seed in 0..SEEDS {
        let (disk, vfs, _) = with_file(seed, "removed", &[9; 2 * SECTOR]);
        disk.put("grows", &[]);
        vfs.unlink("removed")?;
        vfs.sync_dir()?;
        vfs.open("grows", Open::Existing)?.write_at(&[1; SECTOR], SECTOR as u64)?;
        disk.cut_power(Unsynced::Torn);
        let left = disk.contents("grows").expect("its name was synced");
        assert!(left.len() <= 2 * SECTOR && left.iter().all(|byte| [0, 1, 9].contains(byte)));
        zeros |= left.ends_with(&[0]);
        stale |= left.ends_with(&[9]);
    }
    assert!(zeros && stale);
    Ok(())
}

#[test]
fn the_power_fails_in_the_middle_of_a_call() -> io::Result<()> {
    let (disk, vfs, file) = with_file(0, "a", b"old");
    disk.cut_power_in(2);
    file.write_at(b"one", 0)?;
    assert!(file.write_at(b"two", 0).is_err());
    assert!(!disk.is_powered() && file.sync_data().is_err() && vfs.list().is_err() && vfs.lock().is_err());
    assert_eq!(disk.contents("a").as_deref(), Some(&b"two"[..]), "done, but not synced");
    disk.cut_power(Unsynced::Lost);
    assert_eq!(disk.contents("a").as_deref(), Some(&b"old"[..]));
    assert!(disk.is_powered() && disk.vfs().list().is_ok());
    Ok(())
}

#[test]
fn a_sync_that_the_power_interrupts_saves_nothing_for_sure() -> io::Result<()> {
    let (disk, _, file) = with_file(0, "a", b"old");
    file.write_at(b"new", 0)?;
    disk.cut_power_in(1);
    assert!(file.sync_data().is_err());
    disk.cut_power(Unsynced::Lost);
    assert_eq!(disk.contents("a").as_deref(), Some(&b"old"[..]));
    Ok(())
}

#[test]
fn a_call_fails_once_with_the_error_that_was_ordered() -> io::Result<()> {
    let (disk, vfs, file) = with_file(0, "a", b"old");
    disk.fail_in(2, io::ErrorKind::TimedOut);
    assert_eq!(file.len()?, 3);
    assert_eq!(kind(vfs.unlink("a")), Some(io::ErrorKind::TimedOut));
    assert_eq!(disk.names(), ["a"], "nothing was done");
    disk.fail_next(Call::SyncDir, io::ErrorKind::Other);
    file.set_len(1)?;
    assert_eq!(kind(vfs.sync_dir()), Some(io::ErrorKind::Other));
    vfs.sync_dir()
}

/// What a failed sync did not save, no later one does.
#[test]
fn a_failed_sync_is_final() -> io::Result<()> {
    let (mut lost, mut saved, mut seen, mut unseen) = (0, 0, 0, 0);
    for seed in 0..SEEDS {
        let (disk, _, file) = with_file(seed, "a", b"old");
        file.write_at(b"new", 0)?;
        disk.fail_next(Call::SyncData, io::ErrorKind::Other);
        assert!(file.sync_data().is_err());
        let shown = disk.contents("a");
        file.sync_data()?;
        disk.cut_power(Unsynced::Kept);
        match disk.contents("a").as_deref() {
            Some(b"new") => saved += 1,
            left => {
                assert_eq!(left, Some(&b"old"[..]));
                lost += 1;
                if shown.as_deref() == left { unseen += 1 } else { seen += 1 }
            }
        }
    }
    assert!([lost, saved, seen, unseen].iter().all(|times| *times > 0));
    Ok(())
}

#[test]
fn a_full_disk_takes_what_fits_and_says_so() -> io::Result<()> {
    let (disk, vfs, file) = with_file(0, "a", &[1; SECTOR]);
    disk.set_capacity(Some(2 * SECTOR as u64));
    assert_eq!(kind(file.write_at(&[2; 3 * SECTOR], 0)), Some(io::ErrorKind::StorageFull));
    assert_eq!(disk.contents("a"), Some(vec![2; 2 * SECTOR]));
    file.write_at(&[3; 2 * SECTOR], 0)?;
    file.set_len(100 * SECTOR as u64)?;
    assert_eq!(disk.used(), 2 * SECTOR as u64, "a hole takes no space");
    assert_eq!(kind(file.write_at(&[3], 50 * SECTOR as u64)), Some(io::ErrorKind::StorageFull));
    vfs.unlink("a")?;
    vfs.open("b", Open::Create)?.write_at(&[4; 2 * SECTOR], 0)
}

#[test]
fn a_lying_sync_saves_nothing() -> io::Result<()> {
    let (disk, vfs, file) = with_file(0, "a", b"old");
    disk.set_syncs(Syncs::Lie);
    file.write_at(b"new", 0)?;
    vfs.open("b", Open::Create)?;
    file.sync_data()?;
    vfs.sync_dir()?;
    disk.cut_power(Unsynced::Lost);
    assert_eq!((disk.names(), disk.contents("a")), (vec!["a".into()], Some(b"old".to_vec())));
    Ok(())
}

#[test]
fn the_lock_is_one_process_s_until_it_ends() -> io::Result<()> {
    let disk = FaultyDisk::new(0);
    let held = disk.vfs().lock()?;
    assert_eq!(kind(disk.vfs().lock()), Some(io::ErrorKind::WouldBlock));
    drop(held);
    let old = disk.vfs().lock()?;
    disk.kill();
    let _new = disk.vfs().lock()?;
    drop(old);
    assert_eq!(
        kind(disk.vfs().lock()),
        Some(io::ErrorKind::WouldBlock),
        "the dead one's is not the new one's"
    );
    assert!(disk.clone().vfs().lock().is_ok(), "another disk");
    Ok(())
}

#[test]
fn a_file_is_read_and_written_as_files_are() -> io::Result<()> {
    let disk = FaultyDisk::new(0);
    let vfs = disk.vfs();
    assert_eq!(kind(vfs.open("a", Open::Existing)), Some(io::ErrorKind::NotFound));
    assert_eq!(kind(vfs.open("../a", Open::Create)), Some(io::ErrorKind::InvalidInput));
    let file = vfs.open("a", Open::Create)?;
    assert_eq!(kind(vfs.open("a", Open::Create)), Some(io::ErrorKind::AlreadyExists));
    assert!(file.is_empty()?);
    file.write_at(b"xyz", 1_000)?;
    let mut buf = [7; 10];
    assert_eq!(file.read_at(&mut buf, 998)?, 5);
    assert_eq!(&buf, b"\0\0xyz\x07\x07\x07\x07\x07");
    assert_eq!(file.read_at(&mut buf, 2_000)?, 0);
    file.set_len(1_001)?;
    file.set_len(1_003)?;
    assert_eq!(file.read_at(&mut buf, 1_000)?, 3);
    assert_eq!(&buf[..3], b"x\0\0");
    vfs.unlink("a")?;
    assert_eq!(file.len()?, 1_003, "whoever has it open goes on");
    Ok(())
}

#[test]
fn the_same_calls_have_the_same_outcome() -> io::Result<()> {
    let (disk, _, file) = with_file(3, "a", &[1; 8 * SECTOR]);
    file.write_at(&[2; 8 * SECTOR], 0)?;
    let twin = disk.clone();
    assert_eq!(hash(&disk), hash(&twin));
    disk.cut_power(Unsynced::Torn);
    assert_ne!(hash(&disk), hash(&twin));
    twin.cut_power(Unsynced::Torn);
    assert_eq!(hash(&disk), hash(&twin));
    assert_eq!(disk.contents("a"), twin.contents("a"));
    Ok(())
}

#[test]
fn healed_it_does_what_it_should() -> io::Result<()> {
    let (disk, _, file) = with_file(0, "a", b"old");
    disk.cut_power_in(1);
    disk.fail_in(1, io::ErrorKind::Other);
    disk.fail_next(Call::Write, io::ErrorKind::Other);
    disk.set_capacity(Some(0));
    disk.set_syncs(Syncs::Lie);
    disk.heal();
    file.write_at(&[1; SECTOR], 0)?;
    file.sync_data()?;
    disk.cut_power(Unsynced::Lost);
    assert_eq!(disk.contents("a"), Some(vec![1; SECTOR]));
    Ok(())
}
