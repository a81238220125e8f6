//! What is done to a log and to the disk under it.

use std::{io, time::Duration};

use proptest::prelude::*;
use tenfour_log::{Bound, Retention, disk::Commit};
use tenfour_testkit::disk::{Call, Unsynced};

/// The last one is pinned.
pub(crate) const CHANNELS: [&str; 4] = ["a", "b", "c", PINNED];
pub(crate) const PINNED: &str = "\0pinned";

/// How a log is opened.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) retention: Retention,
    pub(crate) segment_bytes: u64,
    /// Bytes of the newest entries that are kept in memory.
    pub(crate) tail_bytes: usize,
    pub(crate) commit: Commit,
}

#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Hands over records, each for the channels whose bit is set, with a payload of so many bytes.
    Append(Vec<(u8, usize)>),
    Commit,
    /// Lets time pass, and trims.
    Trim(u64),
    /// Releases the pinned channel but for its newest entries.
    Release(usize),
    Check,
    /// Closes the log and opens it.
    Reopen,
    Kill,
    CutPower(Unsynced),
    /// The power fails in the middle of a later call, be it while the log is opened.
    CutPowerIn(u64, Unsynced),
    FailIn(u64, io::ErrorKind),
    FailNext(Call, io::ErrorKind),
    /// Leaves so many bytes free.
    Fill(u64),
    /// Nothing fails any more, and there is space.
    Heal,
}

pub(crate) fn steps() -> impl Strategy<Value = Vec<Step>> {
    // Some are equally long, so that one can stand exactly where another one was.
    let length = prop_oneof![3 => 0..60_usize, 4 => Just(500), 2 => 0..600_usize, 1 => 0..3_000_usize];
    let record = (1..16_u8, length);
    let error = || prop_oneof![Just(io::ErrorKind::Other), Just(io::ErrorKind::StorageFull)];
    let call = prop::sample::select(vec![
        Call::Create,
        Call::Rename,
        Call::Unlink,
        Call::SyncDir,
        Call::Read,
        Call::Write,
        Call::SetLen,
        Call::SyncData,
    ]);
    let calls = || prop_oneof![1..6_u64, 1..40_u64];
    let step = prop_oneof![
        12 => prop_oneof![prop::collection::vec(record.clone(), 1), prop::collection::vec(record, 1..4)].prop_map(Step::Append),
        12 => Just(Step::Commit),
        2 => (0..900_u64).prop_map(Step::Trim),
        2 => (0..4_usize).prop_map(Step::Release),
        1 => Just(Step::Check),
        2 => Just(Step::Reopen),
        2 => Just(Step::Kill),
        2 => unsynced().prop_map(Step::CutPower),
        4 => (calls(), unsynced()).prop_map(|(calls, unsynced)| Step::CutPowerIn(calls, unsynced)),
        1 => (calls(), error()).prop_map(|(calls, error)| Step::FailIn(calls, error)),
        1 => (call, error()).prop_map(|(call, error)| Step::FailNext(call, error)),
        1 => (0..6_000_u64).prop_map(Step::Fill),
        2 => Just(Step::Heal),
    ];
    prop::collection::vec(step, 1..80)
}

pub(crate) fn unsynced() -> impl Strategy<Value = Unsynced> {
    prop_oneof![1 => Just(Unsynced::Lost), 1 => Just(Unsynced::Kept), 4 => Just(Unsynced::Torn)]
}

pub(crate) fn setups(commit: Commit) -> impl Strategy<Value = Setup> {
    let messages = || prop_oneof![2 => Just(usize::MAX), 1 => 2..12_usize];
    let bytes = || prop_oneof![2 => Just(usize::MAX), 1 => 500..6_000_usize];
    let bound = || (messages(), bytes()).prop_map(|(messages, bytes)| Bound { messages, bytes });
    let age = prop::option::of((100..2_000_u64).prop_map(Duration::from_millis));
    let channels = prop_oneof![3 => Just(1_000), 1 => 1..5_usize];
    let retention = (age, bound(), bound(), channels).prop_map(|(age, channel, total, channels)| {
        let mut retention = Retention::default();
        (retention.age, retention.channel, retention.total, retention.channels) =
            (age, channel, total, channels);
        retention
    });
    let segment_bytes = prop::sample::select(vec![1_024, 4_096, 16_384]);
    let tail_bytes = prop::sample::select(vec![0, 1_000, 1_000_000]);
    (retention, segment_bytes, tail_bytes).prop_map(move |(retention, segment_bytes, tail_bytes)| Setup {
        retention,
        segment_bytes,
        tail_bytes,
        commit,
    })
}
