//! Faults that are planted, and what finds them.

extern crate std;

use alloc::{boxed::Box, vec::Vec};
use std::panic;

use tenfour_delivery::mutant::{Mutant, choose};

use super::{decisions, model};

fn worlds() {
    model::run_worlds(400);
}

/// Each fault of sessions that can be planted is found by a test of this crate, and none is found where none is. One at a time is
/// planted in the whole process, so nothing else runs in such a build:
/// `RUSTFLAGS="--cfg tenfour_mutants" cargo test -p tenfour-broker --lib recovery::tests::planted`.
#[test]
fn every_planted_fault_is_found() {
    let planted: &[(Mutant, fn())] = &[
        (Mutant::SessionWrittenAtDisconnect, worlds),
        (Mutant::SessionEndNotWritten, worlds),
        (Mutant::JoinBeforeCommit, worlds),
        (Mutant::RefusedChangeMade, worlds),
        (Mutant::ReplayByRoomsNow, worlds),
        (Mutant::ExceptForgottenInReplay, worlds),
        (Mutant::RecoveredThoughTrimmed, decisions::what_was_trimmed_after_the_position_is_told),
        (Mutant::FencedReadGoesOn, worlds),
        (Mutant::CheckpointReleasesTooMuch, worlds),
        (Mutant::AwayNotSentAway, decisions::whoever_is_away_is_sent_away_as_well),
        (
            Mutant::ParkedNeverExpires,
            decisions::a_session_that_is_gone_is_a_loss_if_anything_was_published_since,
        ),
        (Mutant::RecoveryBeforeFirstEventLost, decisions::who_got_nothing_yet_goes_on_from_the_start),
        (
            Mutant::TakeoverWaitsForTimeout,
            decisions::the_same_claim_may_be_made_again_and_the_newest_claimant_has_the_session,
        ),
        (Mutant::OldConnectionKeptAlive, worlds),
        (Mutant::ReplayOverlapsLive, worlds),
        (Mutant::LiveStartsAfterSeam, worlds),
        (Mutant::ReplayStopsAtPage, worlds),
        (Mutant::TrimmedSilently, worlds),
        (Mutant::LagDropsSilently, worlds),
        (Mutant::ExpiredDelivered, worlds),
        (Mutant::LostMiscounted, worlds),
        (Mutant::RemovedSessionLeaks, worlds),
    ];
    panic::set_hook(Box::new(|_| {}));
    let mut wrong = Vec::new();
    for (mutant, test) in [(None, &(worlds as fn()))]
        .into_iter()
        .chain(planted.iter().map(|(mutant, test)| (Some(*mutant), test)))
    {
        choose(mutant);
        if panic::catch_unwind(test).is_err() != mutant.is_some() {
            wrong.push(mutant);
        }
    }
    choose(None);
    drop(panic::take_hook());
    assert!(wrong.is_empty(), "{wrong:?}");
}
