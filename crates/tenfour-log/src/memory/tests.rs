//! What the log in memory promises beyond every log. The rest is in `conformance`.

use core::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use tenfour_delivery::loss::Lost;

use super::*;
use crate::Bound;

const NONE: Bound = Bound { messages: usize::MAX, bytes: usize::MAX };

fn record(channels: &[&str], ingested: u64, length: usize) -> Record {
    Record {
        channels: channels.iter().map(|name| (*name).into()).collect(),
        producer: None,
        ingested: WallTime::from_unix_millis(ingested),
        expires: None,
        payload: Bytes::from(vec![0; length]),
    }
}

fn log(set: impl FnOnce(&mut Retention)) -> Memory {
    let mut retention = Retention::default();
    set(&mut retention);
    Memory::new(Epoch::new(1), retention)
}

fn append(log: &mut Memory, records: Vec<Record>) -> Vec<Entry> {
    log.append(Ticket(0), records);
    log.poll().expect("memory answers at once").result.expect("the records are sound")
}

fn offsets(log: &Memory, channel: Option<&str>) -> Vec<u64> {
    let query = Query::of_any(channel.map(Into::into).into_iter().collect(), Offset::START);
    log.read(&query).expect("memory can be read").entries.iter().map(|entry| entry.offset.get()).collect()
}

fn lost(log: &Memory, channel: &str, after: u64) -> Option<Lost> {
    log.read(&Query::of(channel.into(), Offset::new(after))).expect("memory can be read").lost
}

#[test]
fn it_is_a_log() {
    let open = |epoch, retention| -> Box<dyn Log> { Box::new(Memory::new(epoch, retention)) };
    crate::conformance::check(open, |_| {});
}

#[test]
fn an_entry_lives_as_long_as_one_of_its_channels_holds_it() {
    let mut log = log(|retention| retention.channel = Bound { messages: 1, ..NONE });
    append(&mut log, vec![record(&["a", "b"], 0, 5), record(&["a"], 0, 5)]);
    assert_eq!(offsets(&log, Some("a")), [2]);
    assert_eq!(offsets(&log, Some("b")), [1]);
    assert_eq!(offsets(&log, None), [1, 2]);
    append(&mut log, vec![record(&["b"], 0, 5)]);
    assert_eq!(offsets(&log, None), [2, 3]);
    assert_eq!(log.bytes(), 2 * (5 + 1 + 64 + 224));
}

#[test]
fn a_recent_loss_is_counted() {
    let mut log = log(|retention| retention.channel = Bound { messages: 1, ..NONE });
    append(&mut log, (0..8).map(|place| record(&[["a", "b"][place % 2]], 0, 0)).collect());
    let counts = [0, 1, 2, 3, 4, 5, 6].map(|after| lost(&log, "a", after).map(|lost| lost.count));
    let exact = |count| Some(Count::Exact(count));
    assert_eq!(counts, [exact(3), exact(2), exact(2), exact(1), exact(1), None, None]);
}

#[test]
fn age_is_measured_when_it_is_asked_for_and_leaves_nothing_older() {
    let mut log = log(|retention| retention.age = Some(Duration::from_secs(1)));
    append(&mut log, vec![record(&["a"], 1_000, 0), record(&["b"], 1_500, 0), record(&["a"], 2_001, 0)]);
    log.trim(WallTime::from_unix_millis(2_000));
    assert_eq!(log.len(), 3, "a second is not over a second");
    log.trim(WallTime::from_unix_millis(2_001));
    assert_eq!(offsets(&log, None), [2, 3]);
    log.trim(WallTime::from_unix_millis(0));
    assert_eq!(log.len(), 2, "a clock that goes back removes nothing");
    log.trim(WallTime::from_unix_millis(60_000));
    assert!(log.is_empty() && log.bytes() == 0);
    let history = log.history("a");
    assert_eq!((history.trimmed.get(), history.head.get()), (3, 3), "an empty channel is remembered");
    let next = append(&mut log, vec![record(&["a"], 0, 0)]);
    assert_eq!(next[0].previous, [Offset::new(3)]);
}

#[test]
fn of_too_many_channels_the_one_that_was_silent_the_longest_is_forgotten() {
    let mut log = log(|retention| retention.channels = 2);
    append(&mut log, vec![record(&["a"], 0, 0), record(&["b"], 0, 0), record(&["a"], 0, 0)]);
    append(&mut log, vec![record(&["c"], 0, 0)]);
    assert_eq!((log.channels(), offsets(&log, None)), (2, vec![1, 3, 4]));
    // Nobody can tell any more whether `b` had something after 1, so it is said that it may have.
    assert_eq!(
        lost(&log, "b", 1).map(|lost| (lost.range.through.get(), lost.count)),
        Some((2, Count::AtLeast(0)))
    );
    // What was there in time has missed nothing, and a channel that comes back goes on from there.
    assert_eq!(lost(&log, "b", 2), None);
    assert_eq!(
        append(&mut log, vec![record(&["b"], 0, 0)])[0].previous,
        [Offset::new(3)],
        "`a` is forgotten now"
    );
}

#[test]
fn channels_of_one_record_are_never_forgotten_for_one_another() {
    let mut log = log(|retention| retention.channels = 1);
    let entries = append(&mut log, vec![record(&["a", "b"], 0, 0), record(&["c"], 0, 0)]);
    assert_eq!(entries[0].previous, [Offset::START, Offset::START]);
    assert_eq!(entries[1].previous, [Offset::new(1)]);
    assert_eq!((log.channels(), log.len()), (1, 1));
}

#[test]
fn nothing_is_seen_before_its_answer_is_polled() {
    let mut log = log(|_| {});
    log.append(Ticket(4), vec![record(&["a"], 0, 0)]);
    assert_eq!((log.head(), log.history("a").head), (Offset::START, Offset::START));
    assert!(offsets(&log, None).is_empty());
    assert_eq!(log.poll().map(|completion| completion.ticket), Some(Ticket(4)));
    assert_eq!((log.poll(), offsets(&log, None)), (None, vec![1]));
}

proptest! {
    #[test]
    fn it_keeps_no_more_than_its_bounds_and_the_newest(
        records in prop::collection::vec((0..5_usize, 0..5_usize, 0..300_usize), 1..60),
        channel in (1..6_usize, 100..2_000_usize),
        total in (1..9_usize, 100..3_000_usize),
        channels in 1..6_usize,
    ) {
        let bound = |(messages, bytes)| Bound { messages, bytes };
        let mut log = log(|retention| {
            (retention.channel, retention.total, retention.channels) = (bound(channel), bound(total), channels);
        });
        for (first, second, length) in records {
            let names = [first.to_string(), second.to_string()];
            let names: Vec<_> = names.iter().take(1 + usize::from(first != second)).map(String::as_str).collect();
            let entry = append(&mut log, vec![record(&names, 0, length)]).remove(0);
            prop_assert!(!bound(total).is_passed(log.len(), log.bytes()) || log.len() == 1);
            prop_assert!(log.channels() <= channels.max(2));
            let query = Query::all(Offset::START);
            let held = log.read(&query).expect("memory can be read").entries;
            prop_assert_eq!(held.last(), Some(&entry));
            prop_assert_eq!((held.len(), held.iter().map(cost_of).sum::<usize>()), (log.len(), log.bytes()));
            for name in 0..5_usize {
                let page = log.read(&Query::of(name.to_string().into(), Offset::START)).expect("memory can be read");
                let bytes = page.entries.iter().map(cost_of).sum();
                prop_assert!(!bound(channel).is_passed(page.entries.len(), bytes) || page.entries.len() == 1);
            }
        }
    }
}
