//! Runs against a model, with restarts; and the rules by name.

extern crate std;

use alloc::{collections::BTreeSet, format};

use proptest::prelude::*;
use std::hash::BuildHasher;
use tenfour_delivery::number::Epoch;
use tenfour_log::{Log, Memory, Retention};

use super::*;

const KEYS: [&str; 4] = ["a", "b", "c", "d"];

#[derive(Clone, Copy, Debug)]
enum Step {
    Begin { key: usize, other: bool },
    Finish { key: usize, silent: bool },
    Abandon(usize),
    Append { fails: bool },
    Wait(u64),
    Restart,
}

fn steps() -> impl Strategy<Value = Step> {
    let key = || 0..KEYS.len();
    prop_oneof![
        8 => (key(), prop::bool::weighted(0.2)).prop_map(|(key, other)| Step::Begin { key, other }),
        5 => (key(), prop::bool::weighted(0.2)).prop_map(|(key, silent)| Step::Finish { key, silent }),
        1 => key().prop_map(Step::Abandon),
        6 => prop::bool::weighted(0.2).prop_map(|fails| Step::Append { fails }),
        2 => (0..90_000_u64).prop_map(Step::Wait),
        1 => Just(Step::Restart),
    ]
}

/// What a key is in the model.
#[derive(Clone, Debug)]
enum State {
    Running { event: Fingerprint, waiters: Vec<Waiter> },
    Finished { event: Fingerprint, waiters: Vec<Waiter>, answer: Option<Body> },
}

struct World {
    config: Config,
    idempotency: Idempotency,
    log: Memory,
    now: Now,
    open: BTreeMap<Key, State>,
    /// What was answered, last by which entry, and when.
    answers: BTreeMap<Key, (Fingerprint, Option<Body>, WallTime)>,
    waiters: u64,
    answered: BTreeSet<Waiter>,
    runs: u64,
}

impl World {
    fn new(config: Config) -> Self {
        Self {
            idempotency: Idempotency::new(config.clone()),
            config,
            log: Memory::new(Epoch::new(1), Retention::default()),
            now: Now::default(),
            open: BTreeMap::new(),
            answers: BTreeMap::new(),
            waiters: 0,
            answered: BTreeSet::new(),
            runs: 0,
        }
    }

    fn step(&mut self, step: Step) {
        let key = |place: usize| Key::new(KEYS[place]).expect("it is one");
        match step {
            Step::Begin { key: place, other } => self.begin(&key(place), other),
            Step::Finish { key: place, silent } => self.finish(&key(place), silent),
            Step::Abandon(place) => {
                let told = Some(Body::json("false"));
                self.idempotency.abandon(&key(place), told.clone());
                if let Some(State::Running { waiters, .. }) = self.open.get(&key(place)).cloned() {
                    self.open.remove(&key(place));
                    self.expect(waiters, Ok(told));
                }
            }
            Step::Append { fails } => self.append(fails),
            Step::Wait(millis) => {
                let wall = self.now.wall.as_unix_millis() + millis;
                self.now.wall = WallTime::from_unix_millis(wall);
            }
            Step::Restart => self.restart(),
        }
        assert_eq!(self.idempotency.poll_event(), None, "nobody is answered for no reason");
    }

    fn begin(&mut self, key: &Key, other: bool) {
        let event = Fingerprint::new(u64::from(other));
        self.waiters += 1;
        let waiter = Waiter(self.waiters);
        let begin = self.idempotency.begin(self.now, key, event, waiter);
        match (self.open.get_mut(key), begin) {
            (
                Some(State::Running { event: known, .. } | State::Finished { event: known, .. }),
                Begin::Conflict,
            ) => {
                assert_ne!(*known, event);
            }
            (
                Some(
                    State::Running { event: known, waiters } | State::Finished { event: known, waiters, .. },
                ),
                Begin::Joined,
            ) => {
                assert_eq!(*known, event);
                waiters.push(waiter);
            }
            (None, Begin::Run) => {
                assert!(!self.must_know(key), "S2: what was answered is not handled again within the window");
                let state = State::Running { event, waiters: vec![waiter] };
                self.open.insert(key.clone(), state);
                self.runs += 1;
            }
            // S21: the answer is the original's.
            (None, Begin::Answered(answer)) => {
                let (known, original, _) = &self.answers[key];
                assert_eq!((known, original), (&event, &answer));
            }
            // S22: no success for another event.
            (None, Begin::Conflict) => assert_ne!(self.answers[key].0, event),
            (None, Begin::Full) => {
                let within =
                    || self.answers.iter().filter(|(_, (_, _, at))| self.age(*at) <= self.config.window);
                let bytes: usize = within()
                    .map(|(key, (_, answer, _))| {
                        key.as_str().len() + answer.as_ref().map_or(0, Body::byte_len)
                    })
                    .sum();
                let is_full =
                    self.open.len() + within().count() >= self.config.keys || bytes >= self.config.bytes;
                assert!(is_full, "there is room");
            }
            (state, begin) => panic!("{begin:?} for {state:?}"),
        }
    }

    fn finish(&mut self, key: &Key, silent: bool) {
        let answer = (!silent).then(|| Body::json(format!("{}", self.runs)));
        self.idempotency.finish(self.now, key, answer.clone());
        if let Some(State::Running { event, waiters }) = self.open.get(key).cloned() {
            self.open.insert(key.clone(), State::Finished { event, waiters, answer });
        }
    }

    fn append(&mut self, fails: bool) {
        let Some(Effect::Append { ticket, records }) = self.idempotency.poll_effect() else {
            assert!(self.open.values().all(|state| matches!(state, State::Running { .. })));
            return;
        };
        assert_eq!(ticket.0 >> 62, 1);
        assert_eq!(self.idempotency.poll_effect(), None, "one append at a time");
        let notes: Vec<_> = records
            .iter()
            .map(|record| {
                assert_eq!(record.channels, [NOTES]);
                let Ok(Note::Answer { key, fingerprint, answer }) = Note::from_stored(&record.payload) else {
                    panic!("{record:?}")
                };
                (Key(key), Fingerprint::new(fingerprint), answer, record.ingested)
            })
            .collect();
        let result = if fails {
            Err(AppendError::Refused { reason: "no".into() })
        } else {
            self.log.append(ticket, records);
            self.log.poll().expect("memory answers at once").result
        };
        assert!(self.idempotency.committed(ticket, &result));
        assert!(!self.idempotency.committed(ticket, &result), "once");
        for (key, fingerprint, told, ingested) in notes {
            let Some(State::Finished { event, waiters, answer }) = self.open.remove(&key) else {
                panic!("{key} is not finished")
            };
            assert_eq!((fingerprint, &told), (event, &answer));
            self.expect(waiters, result.clone().map(|_| answer.clone()));
            if result.is_ok() {
                self.answers.insert(key, (event, answer, ingested));
            }
        }
    }

    /// What is remembered is what the log says.
    fn restart(&mut self) {
        let restored = self.restored();
        assert_eq!(restored.answered.len(), self.idempotency.answered.len());
        for (one, other) in restored.order.iter().zip(&self.idempotency.order) {
            assert_eq!(one, other);
        }
        let hasher = std::hash::RandomState::new();
        let [one, other] = [&restored, &self.idempotency]
            .map(|it| hasher.hash_one((&it.answered, &it.order, it.bytes, it.latest)));
        assert_eq!(one, other, "S23");
        self.idempotency = restored;
        self.open.clear();
    }

    fn restored(&self) -> Idempotency {
        let mut restored = Idempotency::new(self.config.clone());
        let query = crate::channel::Query {
            messages: usize::MAX,
            bytes: usize::MAX,
            ..crate::channel::Query::of(NOTES, Offset::START)
        };
        for entry in self.log.read(&query).expect("memory can be read").entries {
            restored.restore(&entry).expect("it was written here");
        }
        restored
    }

    /// These, and in this order, are answered next.
    fn expect(&mut self, waiters: Vec<Waiter>, result: Result<Option<Body>, AppendError>) {
        for waiter in &waiters {
            assert!(self.answered.insert(*waiter), "an answer comes once");
        }
        assert_eq!(self.idempotency.poll_event(), Some(Event::Answered { waiters, result }));
    }

    fn age(&self, at: WallTime) -> Duration {
        Duration::from_millis(self.now.wall.as_unix_millis() - at.as_unix_millis())
    }

    fn must_know(&self, key: &Key) -> bool {
        self.answers.get(key).is_some_and(|(_, _, at)| self.age(*at) <= self.config.window)
    }
}

fn small(keys: usize, bytes: usize, span: u64) -> Config {
    Config { keys, bytes, span, append_answers: 2, ..Config::default() }
}

proptest! {
    /// S2, S21, S22, S23, B3.
    #[test]
    fn an_event_is_answered_once_and_alike(
        keys in 2..6_usize,
        bytes in 1..12_usize,
        span in 0..4_u64,
        steps in prop::collection::vec(steps(), 1..200),
    ) {
        let mut world = World::new(small(keys, bytes, span));
        for step in steps {
            world.step(step);
            let known = world.idempotency.len() + world.idempotency.open.len();
            prop_assert!(known <= 2 * keys && world.idempotency.open.len() <= keys, "B3: {known}");
            prop_assert!(world.idempotency.len() <= keys, "B3");
        }
        world.restart();
    }
}

fn begin(idempotency: &mut Idempotency, key: &str, waiter: u64) -> Begin {
    let key = Key::new(key).expect("it is one");
    idempotency.begin(Now::default(), &key, Fingerprint::new(1), Waiter(waiter))
}

#[test]
fn what_waits_for_one_answer_is_bounded() {
    let mut idempotency = Idempotency::new(Config { waiters: 2, ..Config::default() });
    let begins = [1, 2, 3].map(|waiter| begin(&mut idempotency, "a", waiter));
    assert_eq!(begins, [Begin::Run, Begin::Joined, Begin::Full]);
}

#[test]
fn the_bytes_of_answers_are_bounded() {
    let mut idempotency = Idempotency::new(Config { bytes: 10, ..Config::default() });
    let mut log = Memory::new(Epoch::new(1), Retention::default());
    for key in ["a", "b"] {
        assert_eq!(begin(&mut idempotency, key, 1), Begin::Run);
        idempotency.finish(Now::default(), &Key::new(key).expect("it is one"), Some(Body::json("12345")));
        let Some(Effect::Append { ticket, records }) = idempotency.poll_effect() else { panic!() };
        log.append(ticket, records);
        let done = log.poll().expect("memory answers at once");
        assert!(idempotency.committed(done.ticket, &done.result));
    }
    assert_eq!(begin(&mut idempotency, "c", 1), Begin::Full);
    assert_eq!(idempotency.oldest(), Some(Offset::new(1)));
}

#[test]
fn a_key_has_bounds() {
    assert_eq!(Key::new(""), Err(KeyError { length: 0 }));
    let longest = Key::new("k".repeat(Key::MOST)).expect("it is one");
    assert!(longest.publication(u64::MAX).as_str().len() <= MessageKey::MOST);
    assert!(Key::new("k".repeat(Key::MOST + 1)).is_err());
}

#[test]
fn what_an_event_says_is_told_apart_by_its_parts() {
    let json = |name: &str, args: &str, attachments: &[&'static str]| {
        let attachments = attachments.iter().map(|bytes| Bytes::from_static(bytes.as_bytes())).collect();
        fingerprint(&Message::new(name, Body::Json { args: args.into(), attachments }))
    };
    let all =
        [json("a", "bc", &[]), json("ab", "c", &[]), json("a", "b", &["c"]), json("a", "b", &["", "c"])];
    let different: BTreeSet<_> = all.iter().copied().collect();
    assert_eq!(different.len(), all.len());
    assert_eq!(json("a", "b", &["c"]), all[2]);
}
