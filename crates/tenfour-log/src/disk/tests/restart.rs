//! What a log is after it was closed, or its process killed, at any moment.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const CHANNELS: [&str; 4] = ["a", "b", "c", "\0notes"];

/// What is done to the log.
#[derive(Clone, Debug)]
enum Step {
    /// Appends of so many records, for the channels whose bit is set, and with a payload of so many bytes.
    Append(Vec<(u8, usize)>),
    Commit,
    Trim {
        wait: u64,
    },
    Release {
        through: u64,
    },
    /// It is closed and opened again.
    Reopen,
    /// Its process is killed: what was handed over and not committed is gone.
    Kill,
    /// The power fails: so is what was not synced.
    PowerFailure,
}

fn steps() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => prop::collection::vec((1..16_u8, 0..400_usize), 1..4).prop_map(Step::Append),
        4 => Just(Step::Commit),
        2 => (0..3_000_u64).prop_map(|wait| Step::Trim { wait }),
        2 => (0..60_u64).prop_map(|through| Step::Release { through }),
        1 => Just(Step::Reopen),
        1 => Just(Step::Kill),
        2 => Just(Step::PowerFailure),
    ]
}

fn retentions() -> impl Strategy<Value = Retention> {
    let bound = || prop_oneof![Just(usize::MAX), 1..12_usize];
    let age = prop::option::of((500..4_000_u64).prop_map(Duration::from_millis));
    (age, bound(), bound(), prop_oneof![Just(1_000), 2..5_usize]).prop_map(
        |(age, channel, total, channels)| {
            let bound = |messages| Bound { messages, bytes: usize::MAX };
            let mut retention = Retention::default();
            (retention.age, retention.channel, retention.total, retention.channels) =
                (age, bound(channel), bound(total), channels);
            retention
        },
    )
}

proptest! {
    /// Everything that was answered and not trimmed is there, as it was; nothing has another offset; and what a channel's
    /// history says of what is gone is true.
    #[test]
    fn what_was_answered_is_there_again(
        retention in retentions(),
        commit in prop_oneof![3 => Just(Commit::Manual), 1 => Just(Commit::Thread)],
        steps in prop::collection::vec(steps(), 1..50),
    ) {
        let config = Config { commit, ..small(EPOCH, retention) };
        let store = Store::default();
        let mut run = Run { log: Some(open(&store, config.clone()).0), store, config, entries: Vec::new(), now: 10_000, number: 0 };
        for step in steps {
            run.step(step)?;
        }
        run.reopen()?;
    }
}

struct Run {
    log: Option<Disk>,
    store: Store,
    config: Config,
    /// All that was answered.
    entries: Vec<Entry>,
    now: u64,
    number: u64,
}

impl Run {
    fn step(&mut self, step: Step) -> Result<(), TestCaseError> {
        let log = self.log.as_mut().expect("it is open");
        match step {
            Step::Append(records) => {
                let record = |(channels, length): (u8, usize)| {
                    let named = CHANNELS.iter().enumerate().filter(|(place, _)| channels >> place & 1 == 1);
                    let names: Vec<_> = named.map(|(_, name)| *name).collect();
                    self.number += 1;
                    let mut record = record(&names, &format!("{:0>length$}", self.number));
                    record.ingested = WallTime::from_unix_millis(self.now);
                    record
                };
                let records = records.into_iter().map(record).collect();
                log.append(Ticket(self.number), records);
            }
            Step::Commit => self.settle(),
            Step::Trim { wait } => {
                self.now += wait;
                log.trim(WallTime::from_unix_millis(self.now));
            }
            Step::Release { through } => log.release("\0notes", Offset::new(through)),
            Step::Reopen => self.reopen()?,
            Step::Kill | Step::PowerFailure => {
                // What the threads have committed by now nobody knows.
                if self.config.commit == Commit::Thread {
                    self.settle();
                }
                self.store = match step {
                    Step::Kill => self.store.copy(),
                    _ => self.store.after_power_failure(),
                };
                self.open_again()?;
            }
        }
        self.check()
    }

    fn settle(&mut self) {
        let log = self.log.as_mut().expect("it is open");
        log.wait();
        while let Some(completion) = log.poll() {
            self.entries.extend(completion.result.expect("there is room"));
        }
    }

    fn reopen(&mut self) -> Result<(), TestCaseError> {
        self.settle();
        self.open_again()
    }

    fn open_again(&mut self) -> Result<(), TestCaseError> {
        let before: BTreeMap<_, _> = self.histories();
        drop(self.log.take());
        let (log, found) = open(&self.store, self.config.clone());
        prop_assert_eq!((found.epoch, found.ended, &found.cut), (EPOCH, None, &None));
        let head = self.entries.last().map_or(Offset::START, |entry| entry.offset);
        prop_assert_eq!(log.head(), head);
        self.log = Some(log);
        if self.config.retention.channels > CHANNELS.len() {
            for (name, after) in self.histories() {
                let before = before[name];
                prop_assert_eq!(before.head, after.head, "{} has its head", name);
                prop_assert!(after.trimmed <= before.trimmed, "{} keeps what it kept", name);
            }
        }
        self.check()
    }

    fn histories(&self) -> BTreeMap<&'static str, History> {
        let log = self.log.as_ref().expect("it is open");
        CHANNELS.into_iter().map(|name| (name, log.history(name))).collect()
    }

    fn check(&self) -> Result<(), TestCaseError> {
        let log = self.log.as_ref().expect("it is open");
        for (name, history) in self.histories() {
            let is_held = |entry: &&Entry| {
                entry.record.channels.iter().any(|own| *own == name) && entry.offset > history.trimmed
            };
            let held: Vec<_> = self.entries.iter().filter(is_held).map(|entry| entry.offset.get()).collect();
            prop_assert_eq!(of(log, name), held, "{:?}", name);
        }
        for entry in all(log) {
            prop_assert!(self.entries.contains(&entry), "{:?} was answered", entry);
        }
        Ok(())
    }
}
