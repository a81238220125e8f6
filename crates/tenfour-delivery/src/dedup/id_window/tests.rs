//! Against a model that keeps the whole log.

extern crate std;

use std::{
    collections::{VecDeque, hash_map::DefaultHasher},
    vec::Vec,
};

use proptest::prelude::*;

use super::*;
use crate::ttl::Deadline;

fn at(position: u64, millis: u64) -> Committed {
    Committed { position: Offset::new(position), ingested: WallTime::from_unix_millis(millis) }
}

const ANY: Fingerprint = Fingerprint::new(9);

fn state_hash(state: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    state.hash(&mut hasher);
    hasher.finish()
}

fn publish(state: &mut IdWindow<u64>, tag: u64, place: Committed) {
    let claim = state.begin(Tag::new(tag), ANY, place.ingested).expect("the message is new");
    state.commit(claim, place, place.position.get()).expect("it is in flight");
}

#[test]
fn an_aborted_message_may_come_again() {
    let mut state = IdWindow::<u64>::new(Config::default());
    let now = WallTime::default();
    let first = state.begin(Tag::new(1), ANY, now).expect("new");
    assert_eq!(state.abort(first), Ok(()));
    let second = state.begin(Tag::new(1), ANY, now).expect("it may come again");
    assert_eq!(state.commit(first, at(1, 0), 1), Err(NotPending(first)), "another attempt");
    assert_eq!(state.commit(second, at(1, 0), 1), Ok(()));
    assert_eq!(state.abort(second), Err(NotPending(second)), "what is done is done");
}

#[test]
fn neither_a_clock_that_jumps_nor_a_busy_log_alone_forgets() {
    let config = Config { window: Duration::from_secs(1), span: 10, ..Config::default() };
    let mut state = IdWindow::<u64>::new(config);
    let now = WallTime::default();
    publish(&mut state, 1, at(1, 0));
    publish(&mut state, 2, at(2, 1_000_000));
    assert_eq!(state.check(Tag::new(1), ANY, now), Check::Duplicate(1));
    publish(&mut state, 3, at(12, 1_000));
    assert_eq!(state.check(Tag::new(1), ANY, now), Check::Duplicate(1));
    publish(&mut state, 4, at(13, 1_001));
    assert_eq!(state.check(Tag::new(1), ANY, now), Check::New);
    assert_eq!(state.check(Tag::new(2), ANY, now), Check::Duplicate(2));
}

#[test]
fn a_generation_is_as_old_as_its_newest() {
    let config = Config { window: Duration::from_millis(800), span: 0, ..Config::default() };
    let mut state = IdWindow::<u64>::new(config);
    publish(&mut state, 1, at(1, 0));
    publish(&mut state, 2, at(2, 90));
    publish(&mut state, 3, at(3, 810));
    assert_eq!(state.check(Tag::new(2), ANY, WallTime::default()), Check::Duplicate(2));
    publish(&mut state, 4, at(4, 891));
    assert_eq!(state.check(Tag::new(2), ANY, WallTime::default()), Check::New);
}

#[test]
fn a_full_window_refuses_rather_than_forget_what_it_promised() {
    let config = Config { ids: 16, pending: 4, window: Duration::from_secs(1), span: 2 };
    let mut state = IdWindow::<u64>::new(config);
    for tag in 0..16 {
        publish(&mut state, tag, at(tag, 100));
    }
    assert_eq!(state.check(Tag::new(16), ANY, WallTime::from_unix_millis(1_100)), Check::Busy);
    assert_eq!(state.check(Tag::new(0), ANY, WallTime::from_unix_millis(1_100)), Check::Duplicate(0));
    publish(&mut state, 16, at(16, 1_101));
    assert!(state.len() <= 16);
}

#[test]
fn what_is_in_flight_is_bounded() {
    let mut state = IdWindow::<u64>::new(Config { pending: 1, ..Config::default() });
    state.begin(Tag::new(1), ANY, WallTime::default()).expect("new");
    assert_eq!(state.begin(Tag::new(2), ANY, WallTime::default()), Err(Check::Busy));
}

#[derive(Clone, Debug)]
enum Step {
    Publish { tag: u64, payload: u64 },
    Commit { gap: u64, wait: u64 },
    Fail,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0..30_u64, 0..2_u64).prop_map(|(tag, payload)| Step::Publish { tag, payload }),
        5 => (1..4_u64, 0..400_u64).prop_map(|(gap, wait)| Step::Commit { gap, wait }),
        1 => Just(Step::Fail),
    ];
    prop::collection::vec(step, 1..200)
}

/// Mostly full, or hardly ever with many to a generation.
fn configs() -> impl Strategy<Value = Config> {
    let small = Config { ids: 12, pending: 3, window: Duration::from_secs(2), span: 12 };
    prop_oneof![Just(small.clone()), Just(Config { ids: 1_000, window: Duration::from_secs(4), ..small })]
}

proptest! {
    #[test]
    fn what_it_says_is_true_and_the_log_gives_the_same_state(config in configs(), steps in steps()) {
        let mut state = IdWindow::new(config.clone());
        let mut log: Vec<(Tag, Fingerprint, Committed)> = Vec::new();
        let mut appends: VecDeque<(Claim, Fingerprint)> = VecDeque::new();
        let (mut position, mut millis) = (0, 0);
        for step in steps {
            match step {
                Step::Publish { tag, payload } => {
                    let (tag, payload) = (Tag::new(tag), Fingerprint::new(payload));
                    let done = log.iter().rev().find(|entry| entry.0 == tag);
                    let in_flight = appends.iter().find(|append| append.0.tag == tag);
                    match state.begin(tag, payload, WallTime::from_unix_millis(millis)) {
                        Ok(claim) => {
                            prop_assert!(in_flight.is_none(), "what is in flight is not appended again");
                            let outside = |place: Committed| {
                                WallTime::from_unix_millis(millis) > Deadline::after(place.ingested, config.window).time()
                            };
                            prop_assert!(done.is_none_or(|done| outside(done.2)), "it is in the window");
                            appends.push_back((claim, payload));
                        }
                        Err(Check::Duplicate(result)) => {
                            let done = done.expect("a duplicate is in the log");
                            prop_assert_eq!((done.1, done.2.position.get()), (payload, result));
                        }
                        Err(Check::Pending(claim)) => prop_assert_eq!(in_flight, Some(&(claim, payload))),
                        Err(Check::Conflict) => {
                            let known = in_flight.map(|append| append.1).or(done.map(|done| done.1));
                            prop_assert!(known.is_some_and(|known| known != payload));
                        }
                        Err(Check::Busy) => prop_assert!(appends.len() == 3 || log.len() + appends.len() >= config.ids),
                        Err(Check::New) => prop_assert!(false, "new is not an error"),
                    }
                }
                Step::Commit { gap, wait } => {
                    (position, millis) = (position + gap, millis + wait);
                    let Some((claim, payload)) = appends.pop_front() else { continue };
                    let place = at(position, millis);
                    prop_assert_eq!(state.commit(claim, place, position), Ok(()));
                    log.push((claim.tag, payload, place));
                }
                Step::Fail => {
                    let Some((claim, _)) = appends.pop_front() else { continue };
                    prop_assert_eq!(state.abort(claim), Ok(()));
                }
            }
            prop_assert!(state.len() <= config.ids + config.pending + 1);
        }
        for (claim, _) in appends {
            prop_assert_eq!(state.abort(claim), Ok(()));
        }
        let mut restored = IdWindow::new(config);
        for &(tag, payload, place) in &log {
            restored.restore(tag, payload, place, place.position.get());
        }
        prop_assert_eq!(state_hash(&state), state_hash(&restored));
    }
}
