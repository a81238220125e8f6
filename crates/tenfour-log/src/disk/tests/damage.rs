//! What a log makes of files that are not as it left them.

use proptest::prelude::*;

use super::{
    format::{HEADER, RECORD, VERSION},
    *,
};

/// A log of several segments, and what is in it.
fn written() -> (Store, Vec<Entry>) {
    let store = Store::default();
    let (mut log, _) = open(&store, manual());
    let entries = commit_many(&mut log, "a", 40);
    (store, entries)
}

/// Where the records of a segment end, and the mark behind them begins.
fn end_of(store: &Store, name: &str) -> usize {
    let bytes = &store.files()[name];
    let end = bytes.iter().rposition(|byte| *byte != 0).expect("it is not empty");
    let mark = bytes[..=end].windows(8).rposition(|window| window[..4] == 17_u32.to_le_bytes());
    mark.expect("a log ends with a mark")
}

fn last(store: &Store) -> String {
    let used = |(_, bytes): &(String, Vec<u8>)| bytes[0] != 0;
    store.files().into_iter().rfind(used).expect("there is a segment").0
}

/// A group that the power failure cut in two, wherever it did: none of it had been answered.
#[test]
pub(super) fn a_torn_group_is_cut_off_and_nothing_else() {
    let (store, entries) = written();
    let (before, name) = (store.copy(), last(&store));
    let (mut log, _) = open(&store, manual());
    log.append(Ticket(0), vec![record(&["a"], "one"), record(&["b"], "of two")]);
    log.append(Ticket(0), vec![record(&["a"], "more")]);
    log.wait();
    drop(log);
    assert_eq!(last(&store), name, "it has to be in that segment");
    let (from, to) = (end_of(&before, &name), end_of(&store, &name));
    let (old, new) = (before.files()[&name].clone(), store.files()[&name].clone());
    for cut in from..to {
        // What was written before the cut is there, or what was written behind it.
        for is_front in [true, false] {
            let (front, back) = if is_front { (&new, &old) } else { (&old, &new) };
            let store = before.copy();
            let mut bytes = front[..cut].to_vec();
            bytes.extend_from_slice(&back[cut..]);
            bytes.truncate(to);
            bytes.resize(new.len(), 0);
            store.put(&name, bytes);
            let (mut log, found) = open(&store, manual());
            let held = all(&log);
            assert_eq!(held[..40], entries, "cut at {cut}");
            assert!([40, 42, 43].contains(&held.len()), "{} entries when cut at {cut}", held.len());
            assert_eq!((found.epoch, found.ended), (EPOCH, None), "nothing that was answered is lost");
            // What comes next stands alone, whatever lies behind it.
            let next = commit(&mut log, vec![record(&["c"], "one")]).remove(0).expect("there is room");
            drop(log);
            let (log, found) = open(&store, manual());
            assert_eq!((all(&log), found.cut), ([held, next].concat(), None), "cut at {cut}");
        }
    }
}

/// A bit that is not as it was written is found wherever it is, unless it is where nothing is.
#[test]
pub(super) fn no_damage_is_passed_over() {
    let (store, entries) = written();
    let last = last(&store);
    for (name, bytes) in store.files() {
        for at in (0..bytes.len()).step_by(3) {
            let damaged = store.copy();
            let mut bytes = bytes.clone();
            bytes[at] ^= 0x10;
            damaged.put(&name, bytes);
            match Disk::open_on(Arc::new(damaged.clone()), manual()) {
                Err(
                    OpenError::Damaged { .. } | OpenError::Missing { .. } | OpenError::NewerFormat { .. },
                ) => {}
                Err(other) => panic!("{other} at {at} of {name}"),
                Ok((log, found)) => {
                    let held = all(&log);
                    assert_eq!(held, entries[..held.len()], "byte {at} of {name}");
                    let is_whole = held.len() == entries.len();
                    assert!(is_whole || name == last, "byte {at} of {name} is damaged and not told");
                    assert!(is_whole || found.cut.is_some(), "byte {at} of {name}");
                    // A mark proves that what is lost was committed.
                    assert_eq!(is_whole, found.ended.is_none(), "byte {at} of {name}: {found}");
                }
            }
        }
    }
}

/// A log that gave up committed entries says so, and never takes a cursor of before for one of now.
#[test]
pub(super) fn a_cut_of_committed_entries_ends_the_epoch() {
    let (store, entries) = written();
    let name = last(&store);
    let mut bytes = store.files()[&name].clone();
    bytes[HEADER + 30] ^= 1;
    store.put(&name, bytes);
    let config = Config { epoch: Epoch::new(8), ..manual() };
    let (mut log, found) = open(&store, config.clone());
    assert_eq!((found.epoch, found.ended), (Epoch::new(8), Some(EPOCH)));
    assert_eq!(found.cut.as_ref().map(|cut| (cut.reason, &cut.segment)), Some((CutReason::Damaged, &name)));
    let kept = all(&log);
    assert!(kept.len() < entries.len() && kept == entries[..kept.len()]);
    let next = commit_many(&mut log, "a", 1);
    assert_eq!(next[0].previous, [kept.last().expect("some are left").offset]);
    drop(log);
    let (log, found) = open(&store, Config { epoch: Epoch::new(9), ..config });
    assert_eq!((all(&log), found.epoch, found.ended), ([kept, next].concat(), Epoch::new(8), None));
}

#[test]
fn damage_in_the_middle_is_given_up_only_if_that_is_wanted() {
    let (store, entries) = written();
    let name = segment::name(2);
    let mut bytes = store.files()[&name].clone();
    bytes[HEADER + 30] ^= 1;
    store.put(&name, bytes);
    let files = store.files();
    let error = refused(&store, manual());
    let OpenError::Damaged { segment, at, .. } = &error else { panic!("{error}") };
    assert_eq!((segment, *at), (&name, HEADER as u64), "{error}");
    assert_eq!(store.files(), files, "nothing was touched");

    let config = Config { on_damage: OnDamage::Cut, epoch: Epoch::new(8), ..manual() };
    let (mut log, found) = open(&store, config);
    let kept = all(&log);
    assert!(!kept.is_empty() && kept.len() < entries.len() / 2 && kept == entries[..kept.len()]);
    assert_eq!((found.ended, log.epoch()), (Some(EPOCH), Epoch::new(8)));
    let next = commit_many(&mut log, "a", 30);
    drop(log);
    let (log, found) = open(&store, manual());
    assert_eq!((all(&log), found.epoch, found.cut), ([kept, next].concat(), Epoch::new(8), None));
}

/// A log that wrote on before the damage would have it behind its end for ever.
#[test]
fn damage_behind_a_torn_tail_is_given_up_with_it() {
    let (store, entries) = written();
    let name = last(&store);
    let torn = segment::name(store.files().len() as u64 - 1);
    store.put(&name, vec![7; HEADER + 5]);
    let mut bytes = store.files()[&torn].clone();
    bytes.extend([1; 100]);
    store.put(&torn, bytes);

    let config = Config { on_damage: OnDamage::Cut, epoch: Epoch::new(8), ..manual() };
    let (mut log, found) = open(&store, config);
    let kept = all(&log);
    assert!(!kept.is_empty() && kept == entries[..kept.len()]);
    assert_eq!(found.ended, Some(EPOCH));
    let next = commit_many(&mut log, "a", 1);
    drop(log);
    let (log, found) = open(&store, manual());
    assert_eq!((all(&log), found.epoch, found.cut), ([kept, next].concat(), Epoch::new(8), None));
}

#[test]
fn a_segment_that_is_missing_is_missed() {
    let (store, _) = written();
    let names: Vec<_> = store.files().into_keys().collect();
    for name in &names[..names.len() - 1] {
        let store = store.copy();
        store.remove(name);
        let error = refused(&store, manual());
        assert!(matches!(&error, OpenError::Missing { segment } if segment == name), "{error}");
    }
}

/// What says that the beginning was removed can be lost with the end; then the end is what is told.
#[test]
fn a_log_whose_trim_record_is_lost_is_no_log_without_a_beginning() {
    let store = Store::default();
    let (mut log, _) = open(&store, manual());
    commit_many(&mut log, "a", 40);
    log.release("a", log.head());
    log.wait();
    log.poll();
    let next = commit_many(&mut log, "a", 2);
    drop(log);
    let name = last(&store);
    let mut bytes = store.files()[&name].clone();
    let trim = bytes.windows(RECORD).position(|window| window[..4] == 33_u32.to_le_bytes());
    bytes[trim.expect("it is written down") + 30] ^= 1;
    store.put(&name, bytes);
    let (log, found) = open(&store, Config { epoch: Epoch::new(8), ..manual() });
    assert_eq!((found.ended, found.cut.map(|cut| cut.reason)), (Some(EPOCH), Some(CutReason::Damaged)));
    assert!(log.head() < next[0].offset);
}

#[test]
fn a_later_format_is_refused_politely() {
    let (store, _) = written();
    let name = last(&store);
    let mut bytes = store.files()[&name].clone();
    bytes[8..10].copy_from_slice(&(VERSION + 1).to_le_bytes());
    store.put(&name, bytes);
    let error = refused(&store, manual());
    assert!(matches!(error, OpenError::NewerFormat { found, .. } if found == VERSION + 1));
    assert!(error.to_string().contains("open it with the version that wrote it"), "{error}");
}

/// A segment that was being made when the power failed.
#[test]
fn what_was_made_ahead_is_nothing() {
    let (store, entries) = written();
    for length in [0, 10, 64, 2_048] {
        store.put(&segment::name(90), vec![0; length]);
        let (mut log, found) = open(&store, manual());
        assert_eq!(
            (all(&log), found.cut, store.files().get(&segment::name(90))),
            (entries.clone(), None, None)
        );
        log.wait();
    }
    let store = Store::default();
    store.put(&segment::name(1), vec![0; 2_048]);
    assert_eq!(open(&store, manual()).1.entries, 0, "not even the first one");
}

/// Segments are removed in any order when the power fails, but what says that they are is older.
#[test]
fn what_was_to_be_removed_is_not_read() {
    let store = Store::default();
    let mut config = manual();
    config.retention.channel = Bound { messages: 5, ..config.retention.channel };
    let (mut log, _) = open(&store, config.clone());
    commit_many(&mut log, "idle", 1);
    let mut files = store.files();
    for _ in 0..60 {
        commit_many(&mut log, "a", 1);
        log.wait();
        log.poll();
        files.append(&mut store.files());
    }
    let (idle, busy) = (log.history("idle"), log.history("a"));
    log.release("idle", idle.head);
    commit_many(&mut log, "a", 1);
    log.wait();
    drop(log);
    let left = store.files();
    assert!(!left.contains_key(&segment::name(1)));
    for id in [1, 2, 3] {
        let store = store.copy();
        store.put(&segment::name(id), files[&segment::name(id)].clone());
        let (log, _) = open(&store, config.clone());
        assert_eq!(log.history("idle"), History { trimmed: idle.head, ..idle });
        assert!(log.history("a").trimmed > busy.trimmed);
        assert_eq!(store.files().keys().next(), left.keys().next(), "it is removed now");
    }
}

proptest! {
    /// Whatever a file holds, the log is opened up to where it makes sense, or not at all.
    #[test]
    fn bytes_of_any_kind_are_no_danger(
        bytes in prop::collection::vec(any::<u8>(), 0..400),
        at in 0..2_048_usize,
        id in 1..12_u64,
        on_damage in prop_oneof![Just(OnDamage::Refuse), Just(OnDamage::Cut)],
    ) {
        let (store, entries) = written();
        let name = segment::name(id);
        let mut file = store.files().get(&name).cloned().unwrap_or_default();
        file.resize(file.len().max(at + bytes.len()), 0);
        file[at..at + bytes.len()].copy_from_slice(&bytes);
        store.put(&name, file);
        let config = Config { on_damage, epoch: Epoch::new(8), ..manual() };
        if let Ok((log, found)) = Disk::open_on(Arc::new(store.clone()), config.clone()) {
            let held = all(&log);
            // Its beginning may be given up, or its end.
            let gone = held.first().map_or(0, |entry| entry.offset.get() - 1) as usize;
            prop_assert_eq!(&held[..], &entries[gone..gone + held.len()]);
            prop_assert!(gone == 0 || found.ended == Some(EPOCH));
            prop_assert!(held.len() == entries.len() || found.ended == Some(EPOCH) || found.cut.is_some());
            drop(log);
            let (log, found) = open(&store, config);
            prop_assert_eq!((all(&log), found.cut), (held, None), "once mended, it is sound");
        }
    }
}
