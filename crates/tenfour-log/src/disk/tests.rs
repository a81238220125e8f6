//! What the log on a disk promises beyond every log.

use core::time::Duration;

use bytes::Bytes;
use tenfour_delivery::loss::Count;

use super::*;
use crate::{Bound, Retention};

mod damage;
#[cfg(tenfour_mutants)]
mod planted;
mod restart;
mod store;

use store::Store;

const EPOCH: Epoch = Epoch::new(7);

/// Segments so small that every few entries there is a new one.
fn small(epoch: Epoch, retention: Retention) -> Config {
    Config { retention, segment_bytes: 2_048, tail_bytes: 500, ..Config::new(epoch) }
}

fn manual() -> Config {
    Config { commit: Commit::Manual, ..small(EPOCH, Retention::default()) }
}

fn open(store: &Store, config: Config) -> (Disk, Recovery) {
    Disk::open_on(Arc::new(store.clone()), config).expect("the log is sound")
}

fn refused(store: &Store, config: Config) -> OpenError {
    Disk::open_on(Arc::new(store.clone()), config).expect_err("the log is not opened")
}

fn record(channels: &[&str], text: &str) -> Record {
    Record {
        channels: channels.iter().map(|name| (*name).into()).collect(),
        producer: None,
        ingested: WallTime::from_unix_millis(1_000),
        expires: None,
        payload: Bytes::copy_from_slice(text.as_bytes()),
    }
}

/// Appends one record each, commits them together and answers the results.
fn commit(log: &mut Disk, records: Vec<Record>) -> Vec<Result<Vec<Entry>, AppendError>> {
    for record in records {
        log.append(Ticket(0), vec![record]);
    }
    log.wait();
    std::iter::from_fn(|| log.poll()).map(|completion| completion.result).collect()
}

/// So many entries of 100 bytes, each in a commit of its own.
fn commit_many(log: &mut Disk, channel: &str, count: usize) -> Vec<Entry> {
    let mut entries = Vec::new();
    for number in 0..count {
        let text = format!("{number:0>100}");
        for result in commit(log, vec![record(&[channel], &text)]) {
            entries.extend(result.expect("there is room"));
        }
    }
    entries
}

fn all(log: &Disk) -> Vec<Entry> {
    let query = Query { messages: usize::MAX, bytes: usize::MAX, ..Query::all(Offset::START) };
    log.read(&query).expect("it can be read").entries
}

fn of(log: &Disk, channel: &str) -> Vec<u64> {
    let query = Query { messages: usize::MAX, bytes: usize::MAX, ..Query::of(channel.into(), Offset::START) };
    log.read(&query).expect("it can be read").entries.iter().map(|entry| entry.offset.get()).collect()
}

#[test]
fn it_is_a_log() {
    let open = |epoch, retention| {
        let config = Config { commit: Commit::Manual, ..small(epoch, retention) };
        open(&Store::default(), config).0
    };
    crate::conformance::check(open, Disk::wait);
}

#[test]
fn it_is_a_log_with_its_threads() {
    crate::conformance::check(
        |epoch, retention| open(&Store::default(), small(epoch, retention)).0,
        Disk::wait,
    );
}

/// What is answered is what was asked for, in order, whether it comes from the tail, from one read or from many.
#[test]
fn a_page_goes_on_where_the_last_one_ended() {
    let (mut log, _) = open(&Store::default(), manual());
    let entries = commit_many(&mut log, "a", 60);
    for messages in [1, 7, 59, 60, 61] {
        let (mut read, mut query) = (Vec::new(), Query { messages, ..Query::of("a".into(), Offset::START) });
        loop {
            let page = log.read(&query).expect("it can be read");
            read.extend(page.entries);
            query.after = read.last().map_or(Offset::START, |entry| entry.offset);
            if !page.more {
                break;
            }
        }
        assert_eq!(read, entries, "by {messages}");
    }
}

#[test]
fn the_first_process_alone_has_the_log() {
    let store = Store::default();
    let (log, _) = open(&store, manual());
    assert!(matches!(refused(&store, manual()), OpenError::Locked));
    drop(log);
    open(&store, manual());
}

#[cfg(unix)]
#[test]
fn a_directory_is_locked_for_others() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("deeper/log");
    let log = Disk::open(&path, manual()).expect("it is made");
    assert!(matches!(Disk::open(&path, manual()), Err(OpenError::Locked)));
    drop(log);
    Disk::open(&path, manual()).expect("it is free");
}

/// An append that is too large for what is left of a segment, or for any segment, is whole all the same.
#[test]
fn an_append_of_any_size_is_in_one_piece() {
    let store = Store::default();
    let (mut log, _) = open(&store, manual());
    let texts = [10, 1_500, 3_000, 40, 100_000, 5].map(|length| "x".repeat(length));
    let results = commit(&mut log, texts.iter().map(|text| record(&["a"], text)).collect());
    assert!(results.iter().all(Result::is_ok));
    log.append(Ticket(1), texts.iter().map(|text| record(&["a"], text)).collect());
    log.wait();
    assert!(log.poll().is_some_and(|completion| completion.result.is_ok()));
    let entries = all(&log);
    drop(log);
    let (log, found) = open(&store, manual());
    assert_eq!((all(&log), found.cut), (entries, None));
}

#[test]
fn what_cannot_be_taken_is_refused_in_its_turn() {
    let (mut log, _) = open(&Store::default(), Config { queue_bytes: 500, ..manual() });
    let long = "n".repeat(MAX_NAME + 1);
    let records = [
        record(&["a"], "first"),
        record(&["a", "a"], ""),
        record(&[&long], ""),
        record(&["a"], &"x".repeat(600)),
    ];
    let results = commit(&mut log, records.into());
    let is_ok: Vec<_> = results.iter().map(Result::is_ok).collect();
    assert_eq!(is_ok, [true, false, false, false]);
    assert!(results[1..].iter().all(|result| matches!(result, Err(AppendError::Refused { .. }))));
    let next = commit(&mut log, vec![record(&["a"], &"x".repeat(600))]).remove(0).expect("nothing waits");
    assert_eq!((next[0].offset, &next[0].previous[..]), (Offset::new(2), &[Offset::new(1)][..]));
}

/// What was handed over behind what is refused is refused with it, and what comes later has the offsets.
#[test]
fn a_full_disk_loses_nothing_and_recovers() {
    let store = Store::default();
    let (mut log, _) = open(&store, manual());
    let mut kept = commit_many(&mut log, "a", 4);
    store.set_full(true);
    let results = commit(&mut log, (0..20).map(|_| record(&["a", "b"], &"x".repeat(200))).collect());
    let full = results.iter().position(Result::is_err).expect("the disk is full");
    kept.extend(results[..full].iter().flatten().flatten().cloned());
    let Err(AppendError::Refused { reason }) = &results[full] else { panic!("{:?}", results[full]) };
    assert!(reason.contains("no room"), "{reason}");
    assert!(results[full..].iter().all(Result::is_err), "what is behind it goes with it");
    assert_eq!(all(&log), kept);
    store.set_full(false);
    kept.extend(commit_many(&mut log, "b", 4));
    assert_eq!(all(&log), kept);
    assert!(kept.iter().map(|entry| entry.offset.get()).eq(1..=kept.len() as u64), "no offset is left out");
    drop(log);
    assert_eq!(all(&open(&store, manual()).0), kept);
}

/// On a full disk room is made by removing segments, which has to be written down on that disk.
#[test]
fn a_full_disk_can_be_trimmed() {
    let store = Store::default();
    let mut config = manual();
    config.retention.age = Some(Duration::from_secs(1));
    let (mut log, _) = open(&store, config.clone());
    let before = commit_many(&mut log, "a", 40);
    store.set_full(true);
    // Down to the last byte that an entry can have.
    for length in [200, 100, 50, 20, 10, 5, 2, 1, 0] {
        let results = commit(&mut log, (0..20).map(|_| record(&["b"], &"x".repeat(length))).collect());
        assert!(results.iter().any(Result::is_err), "the disk is full");
    }
    let segments = store.files().len();
    for _ in 0..3 {
        log.trim(WallTime::from_unix_millis(60_000));
        log.wait();
        assert_eq!(log.poll(), None);
    }
    assert!(store.files().len() < segments / 2, "{} of {segments} files", store.files().len());
    let last = before.last().expect("there were entries").offset;
    assert!(log.history("a").trimmed >= last);
    store.set_full(false);
    let next = commit_many(&mut log, "a", 1);
    drop(log);
    let (log, _) = open(&store, config);
    assert_eq!(all(&log), next);
    assert!(log.history("a").trimmed >= last, "{:?}", log.history("a"));
}

#[test]
fn a_sync_that_fails_is_final() {
    let store = Store::default();
    let (mut log, _) = open(&store, manual());
    let kept = commit_many(&mut log, "a", 5);
    store.set_failing(true);
    let failed = commit(&mut log, vec![record(&["a"], "lost?")]).remove(0);
    let Err(AppendError::Failed { reason }) = failed else { panic!("{failed:?}") };
    assert!(reason.contains("the cable is out"), "{reason}");
    store.set_failing(false);
    let failed = commit(&mut log, vec![record(&["a"], "later")]).remove(0);
    assert!(matches!(failed, Err(AppendError::Failed { .. })), "nobody knows what is there: {failed:?}");
    assert_eq!(all(&log), kept, "what was committed can be read");
    drop(log);
    let (mut log, found) = open(&store, manual());
    let now = all(&log);
    assert_eq!((&now[..5], found.epoch), (&kept[..], EPOCH));
    assert!(now.len() <= 6, "what was not answered is there or not");
    commit_many(&mut log, "a", 1);
}

/// What the power leaves is what was synced: the name of a new segment with it.
#[test]
fn what_was_answered_survives_a_power_failure() {
    let store = Store::default();
    let (mut log, _) = open(&store, manual());
    let entries = commit_many(&mut log, "a", 40);
    let (log, found) = open(&store.after_power_failure(), manual());
    assert_eq!((all(&log), found.ended, found.cut), (entries, None, None));
}

/// Where it cannot be written down that segments go, they stay.
#[test]
fn segments_go_only_once_it_is_durable_that_they_may() {
    let store = Store::default();
    let (mut log, _) = open(&store, manual());
    commit_many(&mut log, "a", 40);
    let files: Vec<_> = store.files().into_keys().collect();
    store.set_failing(true);
    log.release("a", log.head());
    log.wait();
    assert_eq!(log.poll(), None);
    assert!(store.files().into_keys().eq(files));
}

/// Whoever waits for an answer gets one, whatever becomes of the thread that would give it.
#[test]
fn a_committer_that_panics_fails_the_log() {
    let store = Store::default();
    let (mut log, _) = open(&store, Config { commit: Commit::Thread, ..manual() });
    let kept = commit_many(&mut log, "a", 3);
    store.set_panicking(true);
    for _ in 0..3 {
        let results = commit(&mut log, vec![record(&["a"], ""), record(&["b"], "")]);
        assert!(matches!(&results[..], [Err(AppendError::Failed { .. }), Err(AppendError::Failed { .. })]));
    }
    assert_eq!(all(&log), kept);
    store.set_panicking(false);
    drop(log);
    assert_eq!(all(&open(&store, manual()).0), kept);
}

#[test]
fn a_pinned_channel_is_trimmed_by_release_alone_and_holds_its_segments() {
    let store = Store::default();
    let mut config = manual();
    config.retention.total = Bound { messages: 5, ..config.retention.total };
    let (mut log, _) = open(&store, config.clone());
    commit(&mut log, vec![record(&["\0notes"], "first")]);
    commit_many(&mut log, "a", 60);
    commit(&mut log, vec![record(&["\0notes"], "second")]);
    assert_eq!((of(&log, "\0notes"), of(&log, "a").len()), (vec![1, 62], 5));
    assert!(log.wants_checkpoint(), "its first segment is there for the first note alone");
    let segments = store.files().len();
    log.release("\0notes", Offset::new(61));
    assert!(!log.wants_checkpoint());
    log.wait();
    assert!(store.files().len() < segments / 2, "{} of {segments} files", store.files().len());
    let history = log.history("\0notes");
    assert_eq!((history.trimmed, history.head), (Offset::new(1), Offset::new(62)));
    drop(log);
    let (log, _) = open(&store, config);
    assert_eq!((of(&log, "\0notes"), log.history("\0notes")), (vec![62], history));
}

#[test]
fn what_it_lost_is_counted() {
    let mut config = manual();
    config.retention.channel = Bound { messages: 3, ..config.retention.channel };
    let (mut log, _) = open(&Store::default(), config);
    commit_many(&mut log, "a", 30);
    let lost = log.read(&Query::of("a".into(), Offset::new(20))).expect("it can be read").lost;
    assert_eq!(lost.map(|lost| lost.count), Some(Count::Exact(7)));
}

/// After a sync that failed the system takes what it has in memory for written. What a reopened log shows of that has to be
/// written again to be there after a power failure.
#[test]
fn what_a_reopened_log_shows_is_on_the_disk() {
    let store = Store::default();
    let (mut log, _) = open(&store, manual());
    commit_many(&mut log, "a", 3);
    store.set_failing(true);
    commit(&mut log, vec![record(&["a"], "written, and not synced")]);
    drop(log);
    store.set_failing(false);
    store.forget_what_is_unsynced();
    let (mut log, _) = open(&store, manual());
    commit_many(&mut log, "a", 2);
    let shown = all(&log);
    let (log, found) = open(&store.after_power_failure(), manual());
    assert_eq!((all(&log), found.ended), (shown, None));
}
