extern crate std;

use alloc::{collections::BTreeMap, vec::Vec};

use proptest::prelude::*;

use super::*;

fn seq(number: u64) -> Sequence {
    Sequence::new(number)
}

#[test]
fn what_was_not_granted_is_refused_and_changes_nothing() {
    let mut receiver = Receiver::new(Config { messages: 3, bytes: 10 });
    assert_eq!(receiver.accept(seq(2), 'c', 4), Ok(Accepted::Held));
    let before = receiver.clone();
    assert_eq!(receiver.accept(seq(3), 'd', 1), Err(Refused::Messages { sequence: seq(3), granted: seq(3) }));
    assert_eq!(
        receiver.accept(seq(u64::MAX), 'x', 1),
        Err(Refused::Messages { sequence: seq(u64::MAX), granted: seq(3) })
    );
    assert_eq!(receiver.accept(seq(0), 'a', 7), Err(Refused::Bytes { received: 11, granted: 10 }));
    assert_eq!(
        receiver.accept(seq(0), 'a', usize::MAX),
        Err(Refused::Bytes { received: u64::MAX, granted: 10 })
    );
    assert_eq!(receiver, before);

    assert_eq!(receiver.accept(seq(0), 'a', 6), Ok(Accepted::InOrder));
    assert_eq!(receiver.accept(seq(1), 'b', 1), Err(Refused::Bytes { received: 11, granted: 10 }));
    assert_eq!(receiver.pop(), Some((seq(0), 'a')));
    receiver.consumed(6);
    assert_eq!(receiver.credit(), Credit { messages: 4, bytes: 16 });
    assert_eq!(receiver.accept(seq(1), 'b', 1), Ok(Accepted::InOrder));
    assert_eq!(
        (receiver.pop(), receiver.pop(), receiver.pop()),
        (Some((seq(1), 'b')), Some((seq(2), 'c')), None)
    );
}

#[test]
fn an_application_is_not_done_with_more_than_it_has_had() {
    let mut receiver = Receiver::new(Config { messages: 3, bytes: 10 });
    receiver.consumed(5);
    assert_eq!(receiver.credit(), Credit { messages: 3, bytes: 10 });
    receiver.accept(seq(0), 'a', 4).expect("granted");
    receiver.consumed(5);
    assert_eq!(receiver.credit().messages, 3, "it waits to be popped");
    receiver.pop().expect("in order");
    receiver.consumed(5);
    assert_eq!(receiver.credit(), Credit { messages: 4, bytes: 14 });
}

#[test]
fn of_many_ranges_the_lowest_are_told() {
    let mut receiver = Receiver::new(Config::default());
    for number in 0..100 {
        receiver.accept(seq(2 * number + 1), (), 0).expect("granted");
    }
    let ack = receiver.ack();
    assert_eq!(ack.ranges().len(), Ack::MAX_RANGES);
    assert_eq!((ack.next(), ack.end()), (seq(0), seq(2 * 32)));
    receiver.accept(seq(0), (), 0).expect("granted");
    assert_eq!((receiver.ack().next(), receiver.ack().end()), (seq(2), seq(2 * 33)));
}

#[derive(Clone, Copy, Debug)]
enum Op {
    Accept { ahead: u64, bytes: usize },
    Repeat { behind: u64 },
    Pop,
    Consume,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (0..14_u64, 0..30_usize).prop_map(|(ahead, bytes)| Op::Accept { ahead, bytes }),
        1 => (1..5_u64).prop_map(|behind| Op::Repeat { behind }),
        5 => Just(Op::Pop),
        3 => Just(Op::Consume),
    ]
}

const CONFIG: Config = Config { messages: 10, bytes: 120 };

/// Everything that ever arrived, by number, and how far the application is.
#[derive(Default)]
struct Model {
    arrived: BTreeMap<u64, usize>,
    popped: u64,
    consumed: u64,
}

impl Model {
    fn next(&self) -> u64 {
        (0..).find(|number| !self.arrived.contains_key(number)).expect("there are more numbers than messages")
    }

    fn bytes_below(&self, end: u64) -> u64 {
        self.arrived.range(..end).map(|(_, &bytes)| bytes as u64).sum()
    }

    fn expect(&self, number: u64, bytes: usize) -> Result<Accepted, Refused> {
        let credit = self.credit();
        let received = self.bytes_below(u64::MAX) + bytes as u64;
        if self.arrived.contains_key(&number) {
            Ok(Accepted::Duplicate)
        } else if number >= credit.messages {
            Err(Refused::Messages { sequence: seq(number), granted: seq(credit.messages) })
        } else if received > credit.bytes {
            Err(Refused::Bytes { received, granted: credit.bytes })
        } else {
            Ok(if number == self.next() { Accepted::InOrder } else { Accepted::Held })
        }
    }

    fn credit(&self) -> Credit {
        Credit { messages: self.consumed + 10, bytes: self.bytes_below(self.consumed) + 120 }
    }

    fn check(&self, receiver: &Receiver<u64>) {
        let next = self.next();
        assert_eq!((receiver.next(), receiver.credit()), (seq(next), self.credit()));
        assert_eq!(receiver.len() as u64, self.arrived.len() as u64 - self.popped);
        assert_eq!(receiver.is_empty(), self.arrived.len() as u64 == self.popped);
        assert_eq!(receiver.has_gap(), self.arrived.len() as u64 > next);
        let ack = receiver.ack();
        for number in 0..next + 20 {
            assert_eq!(ack.contains(seq(number)), self.arrived.contains_key(&number), "{number} in {ack:?}");
        }
        assert!(receiver.items.len() <= CONFIG.messages);
    }
}

proptest! {
    #[test]
    fn a_receiver_is_a_map_from_number_to_message(ops in proptest::collection::vec(op(), 1..100)) {
        let (mut receiver, mut model) = (Receiver::new(CONFIG), Model::default());
        for op in ops {
            match op {
                Op::Accept { ahead, bytes } => {
                    let number = model.next() + ahead;
                    let expected = model.expect(number, bytes);
                    prop_assert_eq!(receiver.accept(seq(number), number, bytes), expected);
                    if expected.is_ok_and(|accepted| accepted != Accepted::Duplicate) {
                        model.arrived.insert(number, bytes);
                    }
                }
                Op::Repeat { behind } => {
                    if let Some(number) = model.next().checked_sub(behind) {
                        prop_assert_eq!(receiver.accept(seq(number), 99, 1_000), Ok(Accepted::Duplicate));
                    }
                }
                Op::Pop => {
                    let expected = (model.popped < model.next()).then_some((seq(model.popped), model.popped));
                    prop_assert_eq!(receiver.pop(), expected);
                    model.popped += u64::from(expected.is_some());
                }
                Op::Consume => {
                    if model.consumed < model.popped {
                        receiver.consumed(model.arrived[&model.consumed]);
                        model.consumed += 1;
                    }
                }
            }
            model.check(&receiver);
        }
        let rest: Vec<_> = core::iter::from_fn(|| receiver.pop()).map(|(_, item)| item).collect();
        prop_assert_eq!(rest, (model.popped..model.next()).collect::<Vec<_>>());
    }
}
