//! Runs of everything at once, judged by a plain account of it; and the rules by name.

extern crate std;

use alloc::{format, vec, vec::Vec};

use proptest::prelude::*;
use tenfour_log::{Bound, Retention};

use self::world::{CHANNELS, Known, SUBSCRIBERS, World, producer, small};
use super::*;

mod rules;
mod table;
mod world;

/// What may happen next.
#[derive(Clone, Debug)]
enum Step {
    Publish { channels: u8, ttl: Option<u64> },
    PublishNumbered { id: u128, epoch: u32, sequence: u64, other: bool },
    PublishKeyed { key: u8, other: bool },
    PublishDerived { count: u64, elsewhere: bool },
    TakeEffect,
    Append { fails: bool },
    Read(usize),
    HandIn { which: usize, fails: bool },
    Subscribe { id: u64, channel: usize, start: StartAt, away: Away },
    Leave(u64),
    Unsubscribe { id: u64, channel: usize },
    Remove(u64),
    Room { id: u64, items: usize },
    Acknowledge { id: u64, channel: usize, processed: u64 },
    Trim { wait: u64 },
    Emit(usize),
}

/// [`Start`], by how far it is.
#[derive(Clone, Debug)]
enum StartAt {
    Live,
    Earliest,
    /// A position in a channel, so much before its head or after it.
    After {
        epoch: u64,
        back: i64,
    },
}

fn steps() -> impl Strategy<Value = Step> {
    let (id, channel) = (|| 0..SUBSCRIBERS, || 0..CHANNELS.len());
    let start = prop_oneof![
        2 => Just(StartAt::Live),
        2 => Just(StartAt::Earliest),
        3 => (prop_oneof![5 => Just(3_u64), 1 => Just(2)], -1..12_i64)
            .prop_map(|(epoch, back)| StartAt::After { epoch, back }),
    ];
    let others = prop::sample::select(vec![Away::Latest, Away::LatestPerKey, Away::Nothing]);
    let away = prop_oneof![2 => Just(Away::Everything), 3 => others];
    let rarely = || prop::bool::weighted(0.2);
    prop_oneof![
        8 => (1..8_u8, prop::option::weighted(0.3, 0..300_u64))
            .prop_map(|(channels, ttl)| Step::Publish { channels, ttl }),
        3 => (0..2_u128, 0..2_u32, 0..6_u64, rarely())
            .prop_map(|(id, epoch, sequence, other)| Step::PublishNumbered { id, epoch, sequence, other }),
        3 => (0..4_u8, rarely()).prop_map(|(key, other)| Step::PublishKeyed { key, other }),
        1 => (0..3_u64, rarely()).prop_map(|(count, elsewhere)| Step::PublishDerived { count, elsewhere }),
        10 => Just(Step::TakeEffect),
        6 => rarely().prop_map(|fails| Step::Append { fails }),
        6 => any::<usize>().prop_map(Step::Read),
        6 => (any::<usize>(), prop::bool::weighted(0.1)).prop_map(|(which, fails)| Step::HandIn { which, fails }),
        4 => (id(), channel(), start, away)
            .prop_map(|(id, channel, start, away)| Step::Subscribe { id, channel, start, away }),
        2 => id().prop_map(Step::Leave),
        1 => (id(), channel()).prop_map(|(id, channel)| Step::Unsubscribe { id, channel }),
        1 => id().prop_map(Step::Remove),
        4 => (id(), 0..6_usize).prop_map(|(id, items)| Step::Room { id, items }),
        2 => (id(), channel(), 0..40_u64)
            .prop_map(|(id, channel, processed)| Step::Acknowledge { id, channel, processed }),
        2 => (0..200_u64).prop_map(|wait| Step::Trim { wait }),
        1 => channel().prop_map(Step::Emit),
    ]
}

fn retentions() -> impl Strategy<Value = Retention> {
    let messages = || prop_oneof![Just(usize::MAX), 1..10_usize];
    let age = prop::option::of(50..600_u64);
    (age, messages(), messages()).prop_map(|(age, channel, total)| {
        let mut retention = Retention::default();
        retention.age = age.map(core::time::Duration::from_millis);
        retention.channel = Bound { messages: channel, bytes: usize::MAX };
        retention.total = Bound { messages: total, bytes: usize::MAX };
        retention
    })
}

fn run(world: &mut World, step: &Step) {
    match *step {
        Step::Publish { channels, ttl } => {
            let named = CHANNELS.iter().enumerate().filter(|(place, _)| channels >> place & 1 == 1);
            let to: Vec<_> = named.map(|(_, name)| *name).collect();
            world.publish(&to, ttl, Known::Not, None).expect("within the bounds");
        }
        Step::PublishNumbered { id, epoch, sequence, other } => {
            let text = format!("{id} {epoch} {sequence} {other}");
            let known = Known::Number(producer(id, epoch, sequence));
            let _ = world.publish(&["a"], None, known, Some(&text));
        }
        Step::PublishKeyed { key, other } => {
            let (key, text) =
                (MessageKey::new(format!("{key}")).expect("it is one"), format!("{key} {other}"));
            let _ = world.publish(&["a"], None, Known::Key(key), Some(&text));
        }
        Step::PublishDerived { count, elsewhere } => {
            let key = MessageKey::derived("0", count).expect("it is one");
            let to = if elsewhere { "b" } else { "a" };
            let _ = world.publish(&[to], None, Known::Key(key), None);
        }
        Step::TakeEffect => drop(world.take_effect()),
        Step::Append { fails } => drop(world.append(fails)),
        Step::Read(which) => drop(world.read(which)),
        Step::HandIn { which, fails } => drop(world.hand_in(which, fails)),
        Step::Leave(id) => world.leave(id),
        Step::Subscribe { id, channel, ref start, away } => {
            let start = match *start {
                StartAt::Live => Start::Live,
                StartAt::Earliest => Start::Earliest,
                StartAt::After { epoch, back } => {
                    let offset = world.account.head(CHANNELS[channel]).get().saturating_add_signed(-back);
                    Start::After(Position { epoch: Epoch::new(epoch), offset: Offset::new(offset) })
                }
            };
            let _ = world.subscribe(id, CHANNELS[channel], start, away);
        }
        Step::Unsubscribe { id, channel } => world.unsubscribe(id, CHANNELS[channel]),
        Step::Remove(id) => world.remove(id),
        Step::Room { id, items } => world.make_room(id, items),
        Step::Acknowledge { id, channel, processed } => world.acknowledge(id, CHANNELS[channel], processed),
        Step::Trim { wait } => world.trim(wait),
        Step::Emit(channel) => world.emit(CHANNELS[channel]),
    }
}

/// A run, then everything heals, and the log is read again.
fn judge_run(retention: Retention, steps: &[Step]) {
    let mut world = World::new(small(), retention);
    for step in steps {
        run(&mut world, step);
    }
    world.heal();
    world.account.check_producers();
    world.account.check_keys();
    world.check_restored();
}

#[cfg(not(tenfour_mutants))]
proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// S1 to S4, S7 to S10, S12, S15, S20, S21, S23, L2: each item is judged where it arrives.
    #[test]
    fn each_subscriber_gets_the_chain_or_is_told_what_it_lost(
        retention in retentions(),
        steps in prop::collection::vec(steps(), 1..160),
    ) {
        judge_run(retention, &steps);
    }

}

#[cfg(not(tenfour_mutants))]
proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn the_same_calls_give_the_same_state(steps in prop::collection::vec(steps(), 1..80)) {
        use core::hash::BuildHasher;

        let hasher = std::hash::RandomState::new();
        let mut worlds = [(); 2].map(|()| World::new(small(), Retention::default()));
        for step in &steps {
            for world in &mut worlds {
                run(world, step);
            }
            let [one, other] = worlds.each_ref().map(|world| hasher.hash_one(&world.channels));
            prop_assert_eq!(one, other);
        }
        let copy = worlds[0].channels.clone();
        prop_assert_eq!(hasher.hash_one(&copy), hasher.hash_one(&worlds[0].channels));
    }
}

/// Each fault that can be planted here is found. One at a time is planted in the whole process, so nothing else runs
/// in such a build: `RUSTFLAGS="--cfg tenfour_mutants" cargo test -p tenfour-broker --lib`.
#[cfg(tenfour_mutants)]
#[test]
fn every_planted_fault_is_found() {
    use proptest::test_runner::{TestError, TestRunner};
    use std::{panic, println};
    use tenfour_delivery::mutant::{Mutant, choose};

    const PLANTED: &[Mutant] = &[
        Mutant::AckBeforeCommit,
        Mutant::AppendFailureSwallowed,
        Mutant::DeliverBeforeCommit,
        Mutant::DedupBeforeDurable,
        Mutant::DuplicateAppendInFlight,
        Mutant::DuplicateAnswersNewOffset,
        Mutant::DuplicateAnswersError,
        Mutant::DedupNotRebuilt,
        Mutant::CursorRegresses,
        Mutant::MergeUncheckedAgainstBase,
        Mutant::ReplayOverlapsLive,
        Mutant::LiveStartsAfterSeam,
        Mutant::ReplayStopsAtPage,
        Mutant::TrimmedSilently,
        Mutant::ResetSilently,
        Mutant::LagDropsSilently,
        Mutant::ExpiredDelivered,
        Mutant::LostMiscounted,
        Mutant::UnsubscribeLeavesSubscriber,
        Mutant::RemovedSessionLeaks,
    ];
    panic::set_hook(std::boxed::Box::new(|_| {}));
    let mut survived = Vec::new();
    for &mutant in PLANTED {
        choose(Some(mutant));
        let config = ProptestConfig {
            cases: 3_000,
            max_shrink_iters: 0,
            failure_persistence: None,
            ..ProptestConfig::default()
        };
        let mut runs = 0_u32;
        let counted = core::cell::Cell::new(0_u32);
        let found = TestRunner::new(config).run(
            &(retentions(), prop::collection::vec(steps(), 1..160)),
            |(retention, steps)| {
                counted.set(counted.get() + 1);
                judge_run(retention, &steps);
                Ok(())
            },
        );
        runs += counted.get();
        match found {
            Err(TestError::Fail(reason, _)) => println!("{mutant:?}: run {runs}: {reason}"),
            _ => survived.push(mutant),
        }
    }
    choose(None);
    let _ = panic::take_hook();
    assert!(survived.is_empty(), "not found: {survived:?}");
}
