//! A log's directory with damage in it: arbitrary bytes as a segment, or segments of which bytes were changed, cut off or put
//! in another place. The log opens, or says why not; what it then holds is what was committed, and no other; opened again it
//! is the same, and it takes more.
#![no_main]

use std::{collections::BTreeMap, sync::OnceLock};

use libfuzzer_sys::fuzz_target;
use tenfour_log::{
    Disk, Epoch, Log as _, Offset, Query, Record, Ticket, WallTime,
    disk::{Commit, Config, OnDamage},
};
use tenfour_testkit::disk::FaultyDisk;

type Entries = BTreeMap<Offset, tenfour_log::Entry>;

fn config(epoch: u64, on_damage: OnDamage) -> Config {
    let mut config = Config::new(Epoch::new(epoch));
    config.segment_bytes = 2_048;
    config.commit = Commit::Manual;
    config.on_damage = on_damage;
    config
}

/// A directory of some segments, and what its log holds.
fn sound() -> &'static (BTreeMap<String, Vec<u8>>, Epoch, Entries) {
    static SOUND: OnceLock<(BTreeMap<String, Vec<u8>>, Epoch, Entries)> = OnceLock::new();
    SOUND.get_or_init(|| {
        let disk = FaultyDisk::new(0);
        let (mut log, _) =
            Disk::open_on(disk.vfs(), config(1, OnDamage::Refuse)).expect("an empty directory is opened");
        for number in 0..24 {
            append(&mut log, number, 40 + number as usize * 17 % 300);
        }
        let (epoch, entries) = (log.epoch(), read(&log));
        drop(log);
        let files =
            disk.names().into_iter().map(|name| (name.clone(), disk.contents(&name).unwrap_or_default()));
        (files.collect(), epoch, entries)
    })
}

fn append(log: &mut Disk, number: u64, len: usize) {
    let record = Record {
        channels: vec![["a", "b", "\0c"][number as usize % 3].into(), "all".into()],
        producer: None,
        ingested: WallTime::from_unix_millis(number),
        expires: None,
        payload: vec![number as u8; len].into(),
    };
    log.append(Ticket(number), vec![record]);
    log.commit_now();
    let completion = log.poll().expect("it is answered");
    completion.result.expect("the disk has no fault");
}

/// All that the log holds. What is damaged may be unreadable, and then says so.
fn read(log: &Disk) -> Entries {
    let mut entries = Entries::new();
    let mut query = Query::all(Offset::START);
    while let Ok(page) = log.read(&query) {
        let last = page.entries.last().map_or(query.after, |entry| entry.offset);
        assert!(!page.more || last > query.after);
        query.after = last;
        entries.extend(page.entries.into_iter().map(|entry| (entry.offset, entry)));
        if !page.more {
            break;
        }
    }
    entries
}

fuzz_target!(|input: (bool, bool, &[u8])| {
    let (is_raw, cuts, bytes) = input;
    let on_damage = if cuts { OnDamage::Cut } else { OnDamage::Refuse };
    let (sound, epoch, committed) = sound();
    let mut files = sound.clone();
    match is_raw {
        true => _ = files.insert(files.keys().next().expect("a segment").clone(), bytes.to_vec()),
        false => damage(&mut files, bytes),
    }
    let disk = FaultyDisk::new(0);
    for (name, contents) in &files {
        disk.put(name, contents);
    }

    let Ok((mut log, _)) = Disk::open_on(disk.vfs(), config(2, on_damage)) else { return };
    let held = read(&log);
    if !is_raw {
        // In an epoch that has begun anew nothing else was appended yet, either.
        for (offset, entry) in &held {
            assert_eq!(Some(entry), committed.get(offset), "what is there was committed");
        }
        assert!([*epoch, Epoch::new(2)].contains(&log.epoch()));
    }
    let before = log.head();
    append(&mut log, 99, 10);
    assert!(log.head() > before);
    let (epoch, head, held) = (log.epoch(), log.head(), read(&log));
    drop(log);

    let (again, _) =
        Disk::open_on(disk.vfs(), config(3, OnDamage::Refuse)).expect("what was opened is opened again");
    assert_eq!((again.epoch(), again.head()), (epoch, head));
    assert_eq!(read(&again), held);
});

/// Five bytes are an order: which file, what to do, where.
fn damage(files: &mut BTreeMap<String, Vec<u8>>, orders: &[u8]) {
    for order in orders.chunks_exact(5) {
        let [file, what, high, low, value] = *order else { continue };
        let place = usize::from(u16::from_be_bytes([high, low]));
        let names: Vec<String> = files.keys().cloned().collect();
        let Some(name) = names.get(usize::from(file) % names.len().max(1)) else { return };
        let contents = files.entry(name.clone()).or_default();
        match what % 4 {
            0 => {
                if let Some(byte) = contents.get_mut(place) {
                    *byte ^= value;
                }
            }
            1 => contents.truncate(place),
            2 => contents.resize(contents.len() + place % 4_096, value),
            _ => {
                if let Some(other) = names.get(usize::from(value) % names.len()) {
                    let copy = contents.clone();
                    files.insert(other.clone(), copy);
                }
            }
        }
    }
}
