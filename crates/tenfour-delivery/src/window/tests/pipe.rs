//! A window and a receiver at the ends of a pipe that loses, repeats and reorders, or that breaks.

extern crate std;

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::{
    probe::{self, Probe},
    receive::{self, Receiver},
};

/// What is on its way to the receiver: a number, its cost and what it says.
type Packet = (Sequence, usize, Said);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Said {
    Message(u32),
    Skip(u32),
}

#[derive(Clone, Copy, Debug)]
enum Op {
    Send {
        bytes: usize,
        in_log: bool,
        expires: bool,
    },
    Transmit,
    /// Lets the packet at this place arrive, and keeps it on its way if it is to be repeated.
    Arrive {
        place: usize,
        repeat: bool,
    },
    Lose {
        place: usize,
    },
    SendAck,
    AckArrives {
        place: usize,
        repeat: bool,
    },
    LoseAck {
        place: usize,
    },
    Consume,
    Wait {
        millis: u64,
    },
    /// The pipe breaks with all that is in it, and the ends find each other again.
    Cut,
}

fn op() -> impl Strategy<Value = Op> {
    let place = || 0_usize..8;
    prop_oneof![
        8 => (1_usize..30, any::<bool>(), proptest::bool::weighted(0.2))
            .prop_map(|(bytes, in_log, expires)| Op::Send { bytes, in_log, expires }),
        8 => Just(Op::Transmit),
        8 => (place(), proptest::bool::weighted(0.2)).prop_map(|(place, repeat)| Op::Arrive { place, repeat }),
        3 => place().prop_map(|place| Op::Lose { place }),
        4 => Just(Op::SendAck),
        4 => (place(), proptest::bool::weighted(0.2)).prop_map(|(place, repeat)| Op::AckArrives { place, repeat }),
        1 => place().prop_map(|place| Op::LoseAck { place }),
        4 => Just(Op::Consume),
        2 => (0_u64..300).prop_map(|millis| Op::Wait { millis }),
        1 => Just(Op::Cut),
    ]
}

struct Pipe {
    window: Window<u32>,
    receiver: Receiver<(Said, usize)>,
    probe: Probe,
    now: Instant,
    sent: u32,
    /// What each entry of the log says.
    log: BTreeMap<u64, u32>,
    packets: Vec<Packet>,
    acks: Vec<(Ack, Credit)>,
    /// Bytes of what the application has and is not done with.
    unconsumed: Vec<usize>,
    received: Vec<Said>,
}

impl Pipe {
    fn new() -> Self {
        let receiver = Receiver::new(receive::Config { messages: 10, bytes: 120 });
        let mut window = Window::new(Config { messages: 14, bytes: 200 });
        window.grant(receiver.credit());
        Self {
            window,
            receiver,
            probe: Probe::new(probe::Config::default()),
            now: NOW,
            sent: 0,
            log: BTreeMap::new(),
            packets: Vec::new(),
            acks: Vec::new(),
            unconsumed: Vec::new(),
            received: Vec::new(),
        }
    }

    fn apply(&mut self, op: Op) {
        match op {
            Op::Send { bytes, in_log, expires } => self.send(bytes, in_log, expires),
            Op::Transmit => self.transmit(),
            Op::Arrive { place, repeat } => {
                if let Some(packet) = pick(&mut self.packets, place, repeat) {
                    self.arrive(packet);
                }
            }
            Op::Lose { place } => drop(pick(&mut self.packets, place, false)),
            Op::SendAck => self.acks.push((self.receiver.ack(), self.receiver.credit())),
            Op::AckArrives { place, repeat } => {
                if let Some(ack) = pick(&mut self.acks, place, repeat) {
                    self.ack_arrives(&ack);
                }
            }
            Op::LoseAck { place } => drop(pick(&mut self.acks, place, false)),
            Op::Consume => {
                if let Some(bytes) = self.unconsumed.pop() {
                    self.receiver.consumed(bytes);
                }
            }
            Op::Wait { millis } => self.wait(millis),
            Op::Cut => self.cut(),
        }
    }

    fn send(&mut self, bytes: usize, in_log: bool, expires: bool) {
        let taken = if in_log {
            let offset = u64::from(self.sent) + 1;
            let previous = self.log.last_key_value().map_or(0, |(&last, _)| last);
            let taken = self.window.push_log(0, Offset::new(previous), Offset::new(offset), 1).is_ok();
            if taken {
                self.log.insert(offset, self.sent);
            }
            taken
        } else {
            let deadline = expires.then(|| self.now + Duration::from_millis(100));
            self.window.push(self.sent, bytes, deadline).is_ok()
        };
        self.sent += u32::from(taken);
    }

    fn transmit(&mut self) {
        let Some(transmit) = self.window.next_transmit(self.now) else { return };
        let Transmit { sequence, bytes, content } = transmit;
        match content {
            Content::Payload(&payload) => self.packets.push((sequence, bytes, Said::Message(payload))),
            Content::Skip(&payload) => self.packets.push((sequence, bytes, Said::Skip(payload))),
            Content::Run(run) => {
                let entries = self.log.range(run.after.get() + 1..=run.through.get());
                let entries = entries.skip(run.skip as usize).take(run.count as usize);
                for (number, (_, &payload)) in (sequence.get()..).zip(entries) {
                    self.packets.push((seq(number), 1, Said::Message(payload)));
                }
            }
        }
    }

    fn arrive(&mut self, (sequence, bytes, said): Packet) {
        self.receiver.accept(sequence, (said, bytes), bytes).expect("the sender keeps within its credit");
        while let Some((sequence, (said, bytes))) = self.receiver.pop() {
            assert_eq!(sequence.get(), self.received.len() as u64);
            self.received.push(said);
            self.unconsumed.push(bytes);
        }
    }

    fn ack_arrives(&mut self, (ack, credit): &(Ack, Credit)) {
        self.window.grant(*credit);
        let done = self.window.acknowledge(ack, self.now).expect("only what arrived is acknowledged");
        if done.messages > 0 {
            self.probe.acknowledged(done.round_trip, Duration::ZERO);
        }
        self.window.mark_lost();
    }

    fn wait(&mut self, millis: u64) {
        self.now = self.now + Duration::from_millis(millis);
        if self.window.last_transmit().is_some_and(|sent| self.now >= self.probe.deadline(sent)) {
            self.window.probe();
            self.probe.timed_out();
        }
    }

    fn cut(&mut self) {
        self.packets.clear();
        self.acks.clear();
        self.window.rewind(self.receiver.next()).expect("held, and transmitted");
        self.window.grant(self.receiver.credit());
    }

    /// No more faults: everything arrives, within as many rounds as there are messages.
    fn heal(&mut self) {
        for _ in 0..=2 * self.sent + 2 {
            while self.window.has_pending() {
                self.transmit();
            }
            while let Some(packet) = pick(&mut self.packets, 0, false) {
                self.arrive(packet);
            }
            while !self.unconsumed.is_empty() {
                self.apply(Op::Consume);
            }
            self.now = self.now + Duration::from_millis(10);
            self.ack_arrives(&(self.receiver.ack(), self.receiver.credit()));
            if let Some(sent) = self.window.last_transmit() {
                self.wait((self.probe.deadline(sent) - self.now).as_millis() as u64 + 1);
            }
        }
        assert!(self.window.is_empty(), "{:?}", self.window);
        let said: Vec<_> =
            self.received.iter().map(|&(Said::Message(said) | Said::Skip(said))| said).collect();
        assert_eq!(said, (0..self.sent).collect::<Vec<_>>());
        let (granted, charged) = self.window.credit();
        assert_eq!(
            (granted.messages - charged.messages, granted.bytes - charged.bytes),
            (10, 120),
            "no credit leaks"
        );
    }
}

fn pick<T: Clone>(from: &mut Vec<T>, place: usize, keep: bool) -> Option<T> {
    let place = place.checked_rem(from.len())?;
    if keep { from.get(place).cloned() } else { Some(from.remove(place)) }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn everything_arrives_once_and_in_order(ops in proptest::collection::vec(op(), 1..200)) {
        let mut pipe = Pipe::new();
        for op in ops {
            pipe.apply(op);
        }
        pipe.heal();
    }
}
