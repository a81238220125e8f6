//! The window against a map from number to message: simple enough to be obviously right.

extern crate std;

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::{slot::Slot, *};

#[derive(Clone, Copy, Debug)]
enum Op {
    Push {
        bytes: usize,
        expires_in: Option<u64>,
    },
    PushLog {
        log: u32,
        hole: bool,
    },
    Grant {
        messages: u64,
        bytes: u64,
    },
    Transmit,
    TransmitAll,
    /// Bits choose which numbers from the first that is held on are acknowledged, as far as these were transmitted.
    Ack {
        below: u64,
        bits: u64,
    },
    Rewind {
        ahead: u64,
    },
    Probe,
    MarkLost,
    Wait {
        millis: u64,
    },
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (0_usize..40, proptest::option::of(0_u64..20))
            .prop_map(|(bytes, expires_in)| Op::Push { bytes, expires_in }),
        6 => (0_u32..2, proptest::bool::weighted(0.1)).prop_map(|(log, hole)| Op::PushLog { log, hole }),
        3 => (0_u64..60, 0_u64..900).prop_map(|(messages, bytes)| Op::Grant { messages, bytes }),
        4 => Just(Op::Transmit),
        2 => Just(Op::TransmitAll),
        5 => (0_u64..6, any::<u64>()).prop_map(|(below, bits)| Op::Ack { below, bits }),
        1 => (0_u64..6).prop_map(|ahead| Op::Rewind { ahead }),
        1 => Just(Op::Probe),
        2 => Just(Op::MarkLost),
        1 => (0_u64..10).prop_map(|millis| Op::Wait { millis }),
    ]
}

const CONFIG: Config = Config { messages: 12, bytes: 100 };

#[derive(Clone, Copy, Debug, PartialEq)]
enum What {
    Message { payload: u32, deadline: Option<Instant>, expired: bool },
    Entry { log: u32, offset: u64 },
}

#[derive(Clone, Copy, Debug)]
struct Message {
    what: What,
    bytes: usize,
    pending: bool,
    acknowledged: bool,
}

struct Model {
    window: Window<u32>,
    messages: BTreeMap<u64, Message>,
    /// The offsets of each log, in order.
    logs: [Vec<u64>; 2],
    granted: Credit,
    charged: Credit,
    transmitted: u64,
    now: Instant,
}

impl Model {
    fn new() -> Self {
        let granted = Credit { messages: 8, bytes: 100 };
        let mut window = Window::new(CONFIG);
        window.grant(granted);
        Self {
            window,
            messages: BTreeMap::new(),
            logs: Default::default(),
            granted,
            charged: Credit::default(),
            transmitted: 0,
            now: NOW,
        }
    }

    fn apply(&mut self, op: Op) {
        match op {
            Op::Push { bytes, expires_in } => self.push(bytes, expires_in),
            Op::PushLog { log, hole } => self.push_log(log, hole),
            Op::Grant { messages, bytes } => {
                self.window.grant(Credit { messages, bytes });
                self.granted.messages = self.granted.messages.max(messages);
                self.granted.bytes = self.granted.bytes.max(bytes);
            }
            Op::Transmit => drop(self.transmit()),
            Op::TransmitAll => self.transmit_all(&BTreeSet::new()),
            Op::Ack { below, bits } => self.acknowledge(below, bits),
            Op::Rewind { ahead } => self.rewind(ahead),
            Op::Probe => self.probe(),
            Op::MarkLost => self.mark_lost(),
            Op::Wait { millis } => self.now = self.now + Duration::from_millis(millis),
        }
        self.check();
    }

    fn first_held(&self) -> u64 {
        let held = self.messages.iter().find(|(_, message)| !message.acknowledged);
        held.map_or(self.messages.len() as u64, |(&number, _)| number)
    }

    fn held_bytes(&self) -> usize {
        let held = self.messages.values().filter(|message| !message.acknowledged);
        held.filter(|message| matches!(message.what, What::Message { .. })).map(|message| message.bytes).sum()
    }

    /// What to wait for before a message that is held with `held` bytes, and charged with `charge`.
    fn refusal(&self, held: usize, charge: usize) -> Option<Cause> {
        let next = self.messages.len() as u64;
        let room =
            next - self.first_held() < CONFIG.messages as u64 && self.held_bytes() + held <= CONFIG.bytes;
        let credit = next < self.granted.messages && self.charged.bytes + charge as u64 <= self.granted.bytes;
        match (room, credit) {
            (false, _) => Some(Cause::Window),
            (true, false) => Some(Cause::Credit),
            (true, true) => None,
        }
    }

    fn number(&mut self, what: What, bytes: usize) {
        let message = Message { what, bytes, pending: true, acknowledged: false };
        self.messages.insert(self.messages.len() as u64, message);
        self.charged.messages += 1;
        self.charged.bytes += bytes as u64;
    }

    fn push(&mut self, bytes: usize, expires_in: Option<u64>) {
        let payload = self.messages.len() as u32;
        let deadline = expires_in.map(|millis| self.now + Duration::from_millis(millis));
        assert_eq!(self.window.has_capacity(bytes), self.refusal(bytes, bytes).is_none());
        match (self.window.push(payload, bytes, deadline), self.refusal(bytes, bytes)) {
            (Ok(sequence), None) => {
                assert_eq!(sequence.get(), self.messages.len() as u64);
                self.number(What::Message { payload, deadline, expired: false }, bytes);
            }
            (Err(full), Some(cause)) => assert_eq!(full, Full { payload, cause }),
            (window, model) => panic!("{window:?} where the model says {model:?}"),
        }
    }

    fn push_log(&mut self, log: u32, hole: bool) {
        let bytes = 9;
        let offsets = &mut self.logs[log as usize];
        let end = offsets.last().map_or(0, |last| last + 2);
        if hole {
            offsets.push(end); // an entry that is not for this subscriber breaks the run
        }
        let previous = offsets.last().copied().unwrap_or(0);
        let offset = previous + 2;
        match (
            self.window.push_log(log, Offset::new(previous), Offset::new(offset), bytes),
            self.refusal(0, bytes),
        ) {
            (Ok(sequence), None) => {
                assert_eq!(sequence.get(), self.messages.len() as u64);
                self.logs[log as usize].push(offset);
                self.number(What::Entry { log, offset }, bytes);
            }
            (Err(full), Some(cause)) => assert_eq!(full.cause, cause),
            (window, model) => panic!("{window:?} where the model says {model:?}"),
        }
    }

    /// The numbers of one transmission, whose content is checked.
    fn transmit(&mut self) -> Option<Vec<u64>> {
        let Some(transmit) = self.window.next_transmit(self.now) else {
            assert!(self.pending().is_empty(), "{:?} are left out", self.pending());
            return None;
        };
        let first = transmit.sequence.get();
        let numbers: Vec<u64> = match transmit.content {
            Content::Payload(&payload) | Content::Skip(&payload) => {
                let message = self.messages.get_mut(&first).expect("numbered");
                let What::Message { payload: expected, deadline, expired } = &mut message.what else {
                    panic!("{first} is an entry of a log")
                };
                *expired |= deadline.is_some_and(|deadline| self.now >= deadline);
                assert_eq!(matches!(transmit.content, Content::Skip(_)), *expired);
                assert_eq!((payload, transmit.bytes), (*expected, message.bytes));
                [first].into()
            }
            Content::Run(run) => {
                // What a reader of the log makes of the reference.
                let log = &self.logs[run.log as usize];
                let entries = log.iter().filter(|&&at| at > run.after.get() && at <= run.through.get());
                let entries: Vec<_> = entries.skip(run.skip as usize).take(run.count as usize).collect();
                assert_eq!(entries.len(), run.count as usize, "{run:?} of {log:?}");
                for (number, &&offset) in (first..).zip(&entries) {
                    assert_eq!(self.messages[&number].what, What::Entry { log: run.log, offset }, "{run:?}");
                }
                (first..).take(entries.len()).collect()
            }
        };
        for number in &numbers {
            let message = self.messages.get_mut(number).expect("numbered");
            assert!(!message.acknowledged, "{number} has arrived");
            message.pending = false;
        }
        self.transmitted = self.transmitted.max(first + numbers.len() as u64);
        Some(numbers)
    }

    /// Transmits all that is pending, in order, and nothing else but what `may` be.
    fn transmit_all(&mut self, may: &BTreeSet<u64>) {
        let must = self.pending();
        let mut all = Vec::new();
        while let Some(numbers) = self.transmit() {
            all.extend(numbers);
        }
        assert!(all.is_sorted_by(|earlier, later| earlier < later), "{all:?}");
        let all: BTreeSet<_> = all.into_iter().collect();
        assert!(all.is_superset(&must), "{must:?} were pending and {all:?} transmitted");
        assert!(all.is_subset(&must.union(may).copied().collect()), "{all:?}");
        assert!(!self.window.has_pending());
    }

    fn pending(&self) -> BTreeSet<u64> {
        self.choose(|message| message.pending)
    }

    fn choose(&self, choice: impl Fn(&Message) -> bool) -> BTreeSet<u64> {
        let unacknowledged = self.messages.iter().filter(|(_, message)| !message.acknowledged);
        unacknowledged.filter(|(_, message)| choice(message)).map(|(&number, _)| number).collect()
    }

    fn acknowledge(&mut self, below: u64, bits: u64) {
        let next = (self.first_held().saturating_sub(3) + below).min(self.transmitted);
        let mut ack = Ack::new(seq(next));
        let chosen: Vec<u64> =
            (next + 1..self.transmitted).filter(|number| bits >> (number - next) & 1 == 1).take(60).collect();
        for range in chosen.chunk_by(|one, other| one + 1 == *other) {
            if ack.push(seq(range[0]), seq(range[range.len() - 1])).is_err() {
                break;
            }
        }
        let (mut messages, mut bytes) = (0, 0);
        for (&number, message) in &mut self.messages {
            if ack.contains(seq(number)) && !message.acknowledged {
                message.acknowledged = true;
                messages += 1;
                bytes += if matches!(message.what, What::Message { .. }) { message.bytes } else { 0 };
            }
        }
        let done = self.window.acknowledge(&ack, self.now).expect("transmitted");
        assert_eq!((done.messages, done.bytes), (messages, bytes), "{ack:?}");
    }

    fn rewind(&mut self, ahead: u64) {
        let next = (self.first_held() + ahead).min(self.transmitted);
        self.window.rewind(seq(next)).expect("held and transmitted");
        for (&number, message) in &mut self.messages {
            message.acknowledged |= number < next;
            message.pending = true;
        }
    }

    /// The oldest in flight goes again, and as a run is one, perhaps those behind it.
    fn probe(&mut self) {
        let flying = self.choose(|message| !message.pending);
        let probed = self.window.probe().map(Sequence::get);
        assert_eq!(probed, flying.first().copied());
        if let Some(probed) = probed {
            self.messages.get_mut(&probed).expect("numbered").pending = true;
            let is_entry = |message: &Message| matches!(message.what, What::Entry { .. });
            let may = self.choose(|message| !message.pending && is_entry(message));
            self.transmit_all(&may);
        }
    }

    /// Whatever was overtaken, wherever it is.
    fn mark_lost(&mut self) {
        let overtaken = self.window.arrived.and_then(|arrived| arrived.checked_sub(3));
        let is_lost =
            |slot: &&Slot<u32>| slot.flight().is_some_and(|flight| Some(flight.transmission) <= overtaken);
        let lost = self.window.slots.iter().filter(is_lost);
        let lost: Vec<u64> = lost.flat_map(|slot| slot.first.get()..slot.end().get()).collect();
        assert_eq!(self.window.mark_lost(), lost.len() as u64, "{lost:?}");
        for number in lost {
            self.messages.get_mut(&number).expect("numbered").pending = true;
        }
    }

    fn check(&self) {
        let window = &self.window;
        let next = self.messages.len() as u64;
        assert_eq!(window.first_held().get(), self.first_held());
        assert_eq!((window.next().get(), window.transmitted().get()), (next, self.transmitted));
        assert_eq!((window.len(), window.bytes()), (next - self.first_held(), self.held_bytes()));
        assert_eq!(window.is_empty(), self.choose(|_| true).is_empty());
        assert_eq!(window.credit(), (self.granted, self.charged));
        assert_eq!(window.has_pending(), !self.pending().is_empty());
        assert!(window.slots.len() <= CONFIG.messages && window.slots.capacity() <= 2 * CONFIG.messages);
        assert_eq!(window.flying, window.slots.iter().filter(|slot| slot.flight().is_some()).count());
        let held: BTreeSet<_> =
            window.clone().into_unacknowledged().map(|(number, _)| number.get()).collect();
        assert!(held.is_subset(&self.choose(|_| true)), "{held:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_window_is_a_map_from_number_to_message(ops in proptest::collection::vec(op(), 1..80)) {
        let mut model = Model::new();
        for op in ops {
            model.apply(op);
        }
        model.transmit_all(&BTreeSet::new());
    }
}
