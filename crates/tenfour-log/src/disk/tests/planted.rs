//! Faults that are planted, and what finds them.

use std::panic;

use tenfour_delivery::mutant::{Mutant, choose};

use super::{damage::*, *};

/// Each fault of the disk that can be planted is found by a test of this crate, and none is found where none is. One at a time is
/// planted in the whole process, so nothing else runs in such a build:
/// `RUSTFLAGS="--cfg tenfour_mutants" cargo test -p tenfour-log --lib planted`.
#[test]
fn every_planted_fault_is_found() {
    let planted: &[(Mutant, fn())] = &[
        (Mutant::AckBeforeSync, what_was_answered_survives_a_power_failure),
        (Mutant::FailedSyncIgnored, a_sync_that_fails_is_final),
        (Mutant::NoDirSync, what_was_answered_survives_a_power_failure),
        (Mutant::TornTailAccepted, no_damage_is_passed_over),
        (Mutant::TornTailKept, a_torn_group_is_cut_off_and_nothing_else),
        (Mutant::OffsetReusedAfterCut, a_cut_of_committed_entries_ends_the_epoch),
        (Mutant::UnlinkBeforeTrimRecord, segments_go_only_once_it_is_durable_that_they_may),
        (Mutant::FullDiskAcks, a_full_disk_loses_nothing_and_recovers),
    ];
    panic::set_hook(Box::new(|_| {}));
    let mut wrong = Vec::new();
    for (mutant, test) in planted {
        for mutant in [None, Some(*mutant)] {
            choose(mutant);
            if panic::catch_unwind(test).is_err() != mutant.is_some() {
                wrong.push(mutant);
            }
        }
    }
    choose(None);
    drop(panic::take_hook());
    assert!(wrong.is_empty(), "{wrong:?}");
}
