//! Against a model that keeps the whole log, and by name for the cases that a rule is about.

extern crate std;

use std::{
    collections::{BTreeSet, VecDeque, hash_map::DefaultHasher},
    vec::Vec,
};

use proptest::prelude::*;

use super::*;
use crate::number::ProducerId;

fn at(position: u64, millis: u64) -> Committed {
    Committed { position: Offset::new(position), ingested: WallTime::from_unix_millis(millis) }
}

fn producer(id: u128, epoch: u32, sequence: u64) -> Producer {
    Producer {
        id: ProducerId::new(id),
        epoch: ProducerEpoch::new(epoch),
        sequence: ProducerSequence::new(sequence),
    }
}

const ANY: Fingerprint = Fingerprint::new(9);
const NOW: WallTime = WallTime::from_unix_millis(0);

fn state_hash(state: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    state.hash(&mut hasher);
    hasher.finish()
}

/// Appends and commits the next position for this message.
fn publish(state: &mut Contiguous<u64>, message: Producer, place: Committed) {
    let claim = state.begin(message, ANY, place.ingested).expect("the message is new");
    state.commit(claim, place, place.position.get()).expect("it is the only one in flight");
}

#[test]
fn an_aborted_message_may_come_again_and_what_followed_it_is_a_gap_until_then() {
    let mut state = Contiguous::<u64>::new(Config::default());
    let claims: Vec<_> =
        (0..3).map(|n| state.begin(producer(1, 0, n), ANY, NOW).expect("pipelined in order")).collect();
    assert_eq!(state.abort(claims[1]), 2);
    assert_eq!(state.abort(claims[2]), 0, "withdrawn with the one before");
    let gap = Check::Gap { expected: ProducerSequence::new(1) };
    assert_eq!(state.check(&producer(1, 0, 2), ANY, NOW), gap);
    assert_eq!(state.commit(claims[0], at(1, 0), 1), Ok(()));
    assert_eq!(state.commit(claims[2], at(2, 0), 2), Err(NotDue(claims[2])));
    let again = state.begin(producer(1, 0, 1), ANY, NOW).expect("it may come again");
    assert_eq!(state.commit(claims[1], at(2, 0), 2), Err(NotDue(claims[1])), "another attempt");
    assert_eq!(state.commit(again, at(2, 0), 2), Ok(()));
}

#[test]
fn an_aborted_first_message_leaves_nothing() {
    let mut state = Contiguous::<u64>::new(Config::default());
    let untouched = state_hash(&state);
    let claim = state.begin(producer(1, 0, 0), ANY, NOW).expect("new");
    assert_ne!(state_hash(&state), untouched);
    assert_eq!(state.abort(claim), 1);
    assert_eq!((state_hash(&state), state.producers()), (untouched, 0));
}

#[test]
fn a_later_life_fences_an_earlier_one_and_begins_at_the_first_number() {
    let mut state = Contiguous::<u64>::new(Config::default());
    publish(&mut state, producer(1, 3, 0), at(1, 0));
    assert_eq!(state.check(&producer(1, 4, 1), ANY, NOW), Check::Gap { expected: ProducerSequence::FIRST });
    // What the earlier life has in flight stands before the later life in the log.
    let earlier = state.begin(producer(1, 3, 1), ANY, NOW).expect("the earlier life goes on");
    let later = state.begin(producer(1, 4, 0), ANY, NOW).expect("the later life begins");
    let fenced = Check::Fenced { epoch: ProducerEpoch::new(4) };
    assert_eq!(state.check(&producer(1, 3, 2), ANY, NOW), fenced);
    assert_eq!(state.commit(later, at(3, 0), 3), Err(NotDue(later)));
    assert_eq!(state.commit(earlier, at(2, 0), 2), Ok(()));
    assert_eq!(state.commit(later, at(3, 0), 3), Ok(()));
    assert_eq!(state.check(&producer(1, 3, 1), ANY, NOW), fenced);
    assert_eq!(state.check(&producer(1, 4, 0), ANY, NOW), Check::Duplicate(3));
}

#[test]
fn an_old_duplicate_is_known_without_its_result_and_one_before_the_base_is_not_known() {
    let mut state = Contiguous::<u64>::new(Config { results: 2, ..Config::default() });
    for n in 5..9 {
        publish(&mut state, producer(1, 0, n), at(n, 0));
    }
    assert_eq!(state.check(&producer(1, 0, 8), ANY, NOW), Check::Duplicate(8));
    assert_eq!(state.check(&producer(1, 0, 7), ANY, NOW), Check::Duplicate(7));
    assert_eq!(state.check(&producer(1, 0, 6), ANY, NOW), Check::Applied);
    assert_eq!(state.check(&producer(1, 0, 5), ANY, NOW), Check::Applied);
    assert_eq!(state.check(&producer(1, 0, 4), ANY, NOW), Check::Indeterminate);
}

#[test]
fn what_is_missing_in_a_trimmed_log_is_indeterminate() {
    let mut state = Contiguous::<u64>::from_tail(Config::default());
    assert_eq!(state.check(&producer(1, 0, 1), ANY, NOW), Check::Indeterminate);
    for n in [4, 7, 8] {
        state.restore(producer(1, 0, n), ANY, at(n, 0), n).expect("ascending");
    }
    assert_eq!(state.check(&producer(1, 0, 4), ANY, NOW), Check::Duplicate(4));
    assert_eq!(state.check(&producer(1, 0, 5), ANY, NOW), Check::Indeterminate);
    assert_eq!(state.check(&producer(1, 0, 9), ANY, NOW), Check::New);
    let back = state.restore(producer(1, 0, 8), ANY, at(9, 0), 9).expect_err("the log goes back");
    assert_eq!((back.last, back.found), (ProducerSequence::new(8), producer(1, 0, 8)));
}

#[test]
fn neither_a_clock_that_jumps_nor_a_busy_log_alone_forgets_a_producer() {
    let config = Config { idle: Duration::from_secs(1), span: 10, ..Config::default() };
    let mut state = Contiguous::<u64>::new(config);
    publish(&mut state, producer(1, 0, 0), at(1, 0));
    publish(&mut state, producer(2, 0, 0), at(2, 1_000_000));
    assert_eq!(state.check(&producer(1, 0, 0), ANY, NOW), Check::Duplicate(1));
    publish(&mut state, producer(3, 0, 0), at(12, 1_000));
    assert_eq!(state.check(&producer(1, 0, 0), ANY, NOW), Check::Duplicate(1));
    publish(&mut state, producer(3, 0, 1), at(13, 1_001));
    assert_eq!(state.check(&producer(1, 0, 1), ANY, NOW), Check::Indeterminate);
}

#[test]
fn a_full_table_refuses_newcomers_until_someone_may_be_forgotten() {
    let config = Config { producers: 2, idle: Duration::from_secs(1), span: 10, ..Config::default() };
    let mut state = Contiguous::<u64>::new(config);
    publish(&mut state, producer(1, 0, 0), at(1, 0));
    publish(&mut state, producer(2, 0, 0), at(2, 500));
    publish(&mut state, producer(2, 0, 1), at(50, 500));
    let third = producer(3, 0, 0);
    assert_eq!(state.check(&third, ANY, WallTime::from_unix_millis(1_000)), Check::Busy);
    let later = WallTime::from_unix_millis(1_001);
    let claim = state.begin(third, ANY, later).expect("the first may go");
    assert_eq!(state.check(&producer(4, 0, 0), ANY, later), Check::Busy, "its place is taken");
    assert_eq!(state.commit(claim, at(51, 1_001), 51), Ok(()));
    assert_eq!(state.producers(), 2);
    assert_eq!(state.check(&producer(1, 0, 1), ANY, later), Check::Indeterminate);
    assert_eq!(state.check(&producer(2, 0, 0), ANY, later), Check::Duplicate(2));
}

#[test]
fn a_producer_has_a_bounded_number_in_flight() {
    let mut state = Contiguous::<u64>::new(Config { pending: 2, ..Config::default() });
    let first = state.begin(producer(1, 0, 0), ANY, NOW).expect("new");
    state.begin(producer(1, 0, 1), ANY, NOW).expect("the next");
    assert_eq!(state.begin(producer(1, 0, 2), ANY, NOW), Err(Check::Busy));
    assert_eq!(state.commit(first, at(1, 0), 1), Ok(()));
    state.begin(producer(1, 0, 2), ANY, NOW).expect("there is room again");
}

#[test]
fn the_last_number_is_a_duplicate_after_itself() {
    let mut state = Contiguous::<u64>::new(Config::default());
    publish(&mut state, producer(1, 0, u64::MAX), at(1, 0));
    assert_eq!(state.check(&producer(1, 0, u64::MAX), ANY, NOW), Check::Duplicate(1));
}

/// What a driver may do next.
#[derive(Clone, Debug)]
enum Step {
    Publish { message: Producer, payload: u64 },
    Commit { gap: u64, wait: u64 },
    FailAll,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let message = (0..5_u128, 0..3_u32, 0..6_u64).prop_map(|(id, epoch, n)| producer(id, epoch, n));
    let step = prop_oneof![
        6 => (message, 0..2_u64).prop_map(|(message, payload)| Step::Publish { message, payload }),
        4 => (1..4_u64, 0..800_u64).prop_map(|(gap, wait)| Step::Commit { gap, wait }),
        1 => Just(Step::FailAll),
    ];
    prop::collection::vec(step, 1..120)
}

/// An entry of the log: message, payload, place.
type LogEntry = (Producer, Fingerprint, Committed);

/// A log that appends in order, and fails everything behind a failure.
#[derive(Default)]
struct Model {
    log: Vec<LogEntry>,
    appends: VecDeque<(Claim, Fingerprint)>,
    clock: Clock,
}

/// Where the next entry goes.
#[derive(Default)]
struct Clock {
    position: u64,
    millis: u64,
}

impl Model {
    fn publish(&mut self, state: &mut Contiguous<u64>, message: Producer, payload: Fingerprint) {
        let now = WallTime::from_unix_millis(self.clock.millis);
        let before = state.check(&message, payload, now);
        let begun = state.begin(message, payload, now);
        self.judge(before, &message, payload);
        match begun {
            Ok(claim) => {
                assert_eq!(before, Check::New);
                self.appends.push_back((claim, payload));
            }
            Err(check) => assert_eq!(check, before),
        }
    }

    /// Whatever is said must be true of the log and of what is on its way there.
    fn judge(&self, said: Check<u64>, message: &Producer, payload: Fingerprint) {
        let done = self.log.iter().rev().find(|entry| entry.0 == *message);
        let in_flight = self.appends.iter().find(|append| append.0.producer() == *message);
        match said {
            Check::Duplicate(result) => {
                let &(_, known, place) = done.expect("a duplicate is in the log");
                assert_eq!((known, place.position.get()), (payload, result), "the original result");
            }
            Check::Applied => assert!(done.is_some(), "what is applied is in the log"),
            Check::Pending(claim) => {
                assert_eq!(in_flight, Some(&(claim, payload)), "what is pending is in flight");
            }
            Check::Conflict => {
                let known = in_flight.map(|append| append.1).or(done.map(|entry| entry.1));
                assert!(known.is_some_and(|known| known != payload), "a conflict is of two payloads");
            }
            Check::Fenced { epoch } => assert!(epoch > message.epoch, "only a later life fences"),
            Check::Gap { expected } => assert_ne!(expected, message.sequence),
            Check::New => {
                assert!(in_flight.is_none(), "what is in flight is not appended again");
                let outside = done.is_none_or(|&(_, _, place)| self.is_outside(place));
                assert!(outside, "what is in the log, and in the window, is not new");
            }
            Check::Indeterminate | Check::Busy => {}
        }
    }

    /// Whether a producer whose last message is here may have been forgotten.
    fn is_outside(&self, place: Committed) -> bool {
        self.clock.millis - place.ingested.as_unix_millis() > small().idle.as_millis() as u64
    }

    fn commit(&mut self, state: &mut Contiguous<u64>, gap: u64, wait: u64) {
        self.clock.position += gap;
        self.clock.millis += wait;
        let Some((claim, payload)) = self.appends.pop_front() else { return };
        let place = at(self.clock.position, self.clock.millis);
        state.commit(claim, place, place.position.get()).expect("claims commit in their order");
        self.log.push((claim.producer(), payload, place));
    }

    fn fail_all(&mut self, state: &mut Contiguous<u64>) {
        while let Some((claim, _)) = self.appends.pop_front() {
            state.abort(claim);
        }
    }
}

fn small() -> Config {
    Config { producers: 3, results: 2, pending: 3, idle: Duration::from_secs(2), span: 12 }
}

proptest! {
    #[test]
    fn what_it_says_is_true_and_the_log_gives_the_same_state(steps in steps()) {
        let (mut state, mut model) = (Contiguous::new(small()), Model::default());
        for step in steps {
            match step {
                Step::Publish { message, payload } => {
                    model.publish(&mut state, message, Fingerprint::new(payload));
                }
                Step::Commit { gap, wait } => model.commit(&mut state, gap, wait),
                Step::FailAll => model.fail_all(&mut state),
            }
            prop_assert!(state.producers() <= small().producers + OVERSHOOT);
        }
        model.fail_all(&mut state);
        let mut restored = Contiguous::new(small());
        for &(producer, payload, place) in &model.log {
            restored.restore(producer, payload, place, place.position.get()).expect("the log is in order");
        }
        prop_assert_eq!(state_hash(&state), state_hash(&restored));
    }

    #[test]
    fn nothing_is_twice_in_the_log_while_producers_are_remembered(steps in steps()) {
        let config = Config { results: 2, pending: 3, ..Config::default() };
        let (mut state, mut model) = (Contiguous::new(config), Model::default());
        for step in steps {
            match step {
                Step::Publish { message, payload } => {
                    model.publish(&mut state, message, Fingerprint::new(payload));
                }
                Step::Commit { gap, .. } => model.commit(&mut state, gap, 0),
                Step::FailAll => model.fail_all(&mut state),
            }
        }
        let once: BTreeSet<_> = model.log.iter().map(|entry| entry.0).collect();
        prop_assert_eq!(once.len(), model.log.len());
        for pair in model.log.windows(2) {
            let later = model.log.iter().rev().find(|entry| entry.0.id == pair[0].0.id).map(|entry| entry.0);
            prop_assert!(later >= Some(pair[0].0), "a producer's numbers ascend in the log");
        }
    }
}

/// Found by the simulator: a server that begins with an empty log is sent an outbox again, the first append fails, and
/// what was on its way behind it is not taken for the producer's first.
#[test]
fn nothing_goes_before_an_unknown_producers_first_message_that_failed() {
    let mut producers: Contiguous<u64> = Contiguous::new(Config::default());
    let now = WallTime::default();
    let message = |sequence| Producer {
        id: ProducerId::new(1),
        epoch: ProducerEpoch::new(0),
        sequence: ProducerSequence::new(sequence),
    };
    let payload = Fingerprint::new(1);
    let claim = producers.begin(message(57), payload, now).expect("an unknown producer begins anywhere");
    assert_eq!(producers.abort(claim), 1);
    assert_eq!(
        producers.check(&message(58), payload, now),
        Check::Gap { expected: ProducerSequence::new(57) }
    );
    let again = producers.begin(message(57), payload, now).expect("it comes again");
    let place = Committed { position: Offset::new(1), ingested: now };
    producers.commit(again, place, 1).expect("it was in flight");
    assert_eq!(producers.check(&message(58), payload, now), Check::New);
}
