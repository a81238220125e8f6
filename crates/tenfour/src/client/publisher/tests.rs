//! Arbitrary histories against a model of a server, with every answer lost that can be.

use super::*;
use crate::client::store::{MemoryOutbox, OutboxFull, Pending};
use parking_lot::Mutex;
use proptest::{collection::vec, prelude::*};
use std::{collections::VecDeque, sync::Arc};
use tenfour_tokio::delivery::number::{Offset, ProducerEpoch, ProducerId};

/// An outbox whose disk outlives its process.
#[derive(Clone, Default)]
struct Disk(Arc<Mutex<(MemoryOutbox, MemoryOutbox)>>);

impl Disk {
    /// The process ends: what was not flushed is gone.
    fn crash(&self) {
        let mut both = self.0.lock();
        both.0 = both.1.clone();
    }

    fn new() -> Self {
        let outbox = MemoryOutbox::new();
        Self(Arc::new(Mutex::new((outbox.clone(), outbox))))
    }
}

impl Outbox for Disk {
    fn producer(&self) -> (ProducerId, ProducerEpoch) {
        self.0.lock().0.producer()
    }

    fn next(&self) -> ProducerSequence {
        self.0.lock().0.next()
    }

    fn pending(&self) -> Vec<Pending> {
        self.0.lock().0.pending()
    }

    fn push(&mut self, publication: Bytes) -> Result<ProducerSequence, OutboxFull> {
        self.0.lock().0.push(publication)
    }

    fn settle(&mut self, sequence: ProducerSequence) {
        self.0.lock().0.settle(sequence);
    }

    fn renew(&mut self) {
        self.0.lock().0.renew();
    }

    fn flush(&mut self) -> Option<Flush> {
        let disk = Arc::clone(&self.0);
        let content = disk.lock().0.clone();
        Some(Flush::new(move || {
            disk.lock().1 = content;
            Ok(())
        }))
    }
}

/// A server that commits exactly the next number of a producer's latest life, once.
struct Server {
    log: Vec<u16>,
    epoch: Epoch,
    producer: Option<(ProducerEpoch, u64)>,
    committed: HashMap<(ProducerEpoch, u64), Offset>,
    /// Whether there is anything that it never takes.
    is_picky: bool,
}

impl Server {
    fn take(&mut self, producer: Producer, publication: &Bytes, mood: u8) -> Result<Receipt, Refusal> {
        let refuse = |reason, retry_after_ms| Err(Refusal { reason, retry_after_ms });
        let number = producer.sequence.get();
        let due = match self.producer {
            Some((epoch, due)) if epoch == producer.epoch => due,
            Some((epoch, _)) if epoch > producer.epoch => {
                return refuse(RefusalReason::Fenced { epoch: epoch.get() }, None);
            }
            _ if number == 0 => 0,
            Some(_) => return refuse(RefusalReason::Gap { expected: 0 }, None),
            None => return refuse(RefusalReason::Indeterminate, None),
        };
        if let Some(&offset) = self.committed.get(&(producer.epoch, number)) {
            return Ok(Receipt { epoch: self.epoch, offset, duplicate: true });
        }
        if number != due {
            return refuse(RefusalReason::Gap { expected: due }, None);
        }
        let id = u16::from_le_bytes([publication[0], publication[1]]);
        if self.is_picky && is_bad(id) {
            return refuse(RefusalReason::Forbidden, None);
        }
        match mood % 16 {
            0 => return refuse(RefusalReason::Overloaded, None),
            1 => return refuse(RefusalReason::RateLimited, Some(10)),
            _ => {}
        }
        self.log.push(id);
        let offset = Offset::new(self.log.len() as u64);
        self.producer = Some((producer.epoch, due + 1));
        self.committed.insert((producer.epoch, number), offset);
        Ok(Receipt { epoch: self.epoch, offset, duplicate: false })
    }

    fn forget(&mut self) {
        self.producer = None;
        self.committed.clear();
    }
}

/// Longer than any history takes that does not say otherwise.
const WINDOW: Duration = Duration::from_secs(1000);

/// Publications that the server never takes.
fn is_bad(id: u16) -> bool {
    id % 7 == 3
}

#[derive(Clone, Debug)]
enum Act {
    Accept,
    StartFlush,
    EndFlush,
    Send(u8),
    /// The server takes so many of what was sent, in this mood.
    Take(u8, u8),
    Answer(u8),
    /// The session is lost: what is on its way to the server or back is gone.
    Lose,
    Wait,
    Crash,
    /// The server forgets its producers, as it does after a long time.
    Forget,
    /// The server loses its log.
    Restart,
}

fn acts(harm: impl Strategy<Value = Act> + 'static) -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        8 => Just(Act::Accept),
        4 => Just(Act::StartFlush),
        4 => Just(Act::EndFlush),
        8 => any::<u8>().prop_map(|count| Act::Send(count % 8)),
        8 => (any::<u8>(), any::<u8>()).prop_map(|(count, mood)| Act::Take(count % 8, mood)),
        8 => any::<u8>().prop_map(|count| Act::Answer(count % 8)),
        1 => Just(Act::Lose),
        2 => Just(Act::Wait),
        1 => harm,
    ];
    vec(act, 0..200)
}

struct World {
    disk: Disk,
    publisher: Publisher,
    flush: Option<Flush>,
    server: Server,
    now: Instant,
    next_id: u16,
    next_sequence: Sequence,
    to_server: VecDeque<(Sequence, Producer, Bytes)>,
    to_client: VecDeque<(Sequence, Result<Receipt, Refusal>)>,
    accepted: Vec<(u16, oneshot::Receiver<Result<(), PublishError>>)>,
    results: Vec<(u16, oneshot::Receiver<Result<Receipt, PublishError>>)>,
}

impl World {
    fn new() -> Self {
        let disk = Disk::new();
        let mut world = Self {
            publisher: Publisher::new(Box::new(disk.clone()), Doubt::Report),
            disk,
            flush: None,
            server: Server {
                log: Vec::new(),
                epoch: Epoch::new(1),
                producer: None,
                committed: HashMap::new(),
                is_picky: true,
            },
            now: Instant::ZERO,
            next_id: 0,
            next_sequence: Sequence::FIRST,
            to_server: VecDeque::new(),
            to_client: VecDeque::new(),
            accepted: Vec::new(),
            results: Vec::new(),
        };
        world.publisher.joined(world.server.epoch, WINDOW);
        world
    }

    #[expect(clippy::too_many_lines, reason = "a list of acts, each as short as it can be")]
    fn act(&mut self, act: &Act) {
        match *act {
            Act::Accept => {
                let (accepted, was_accepted) = oneshot::channel();
                let (committed, result) = oneshot::channel();
                let waiter = Waiter { accepted: Some(accepted), committed: Some(committed) };
                self.publisher.accept(Bytes::copy_from_slice(&self.next_id.to_le_bytes()), waiter);
                self.accepted.push((self.next_id, was_accepted));
                self.results.push((self.next_id, result));
                self.next_id += 1;
            }
            Act::StartFlush => {
                if let Some(flush) = self.publisher.start_flush() {
                    self.flush = Some(flush);
                }
            }
            Act::EndFlush => {
                if let Some(flush) = self.flush.take() {
                    let result = flush.run();
                    self.publisher.flushed(result);
                }
            }
            Act::Send(count) => {
                for _ in 0..count {
                    let Some((producer, publication)) = self.publisher.next(self.now) else { break };
                    self.publisher.sent(producer, self.next_sequence);
                    self.to_server.push_back((self.next_sequence, producer, publication));
                    self.next_sequence = self.next_sequence.next();
                }
            }
            Act::Take(count, mood) => {
                for turn in 0..count {
                    let Some((sequence, producer, publication)) = self.to_server.pop_front() else { break };
                    let answer = self.server.take(producer, &publication, mood.wrapping_add(turn));
                    self.to_client.push_back((sequence, answer));
                }
            }
            Act::Answer(count) => {
                for _ in 0..count {
                    let Some((sequence, answer)) = self.to_client.pop_front() else { break };
                    self.publisher.answered(self.now, sequence, answer);
                }
            }
            Act::Lose => self.lose(),
            Act::Wait => self.now = self.now + Duration::from_millis(20),
            Act::Crash => {
                self.flush = None;
                self.disk.crash();
                self.to_server.clear();
                self.to_client.clear();
                self.publisher = Publisher::new(Box::new(self.disk.clone()), Doubt::Report);
                self.publisher.joined(self.server.epoch, WINDOW);
            }
            Act::Forget => {
                // No session lasts so long in silence.
                self.lose();
                self.now = self.now + WINDOW;
                self.server.forget();
            }
            Act::Restart => {
                self.server.forget();
                self.server.log.clear();
                self.server.epoch = Epoch::new(self.server.epoch.get() + 1);
                self.lose();
            }
        }
    }

    fn lose(&mut self) {
        self.to_server.clear();
        self.to_client.clear();
        self.publisher.session_lost();
        self.publisher.joined(self.server.epoch, WINDOW);
    }

    /// From here on nothing goes wrong any more: what is accepted is committed or refused.
    fn heal(&mut self) {
        for _ in 0..10_000 {
            if self.publisher.pending() == 0 {
                return;
            }
            for act in
                [Act::StartFlush, Act::EndFlush, Act::Send(8), Act::Take(8, 2), Act::Answer(8), Act::Wait]
            {
                self.act(&act);
            }
        }
        panic!("{} publications are never committed", self.publisher.pending());
    }

    /// Those that the application was told are accepted, that the server takes, and that it was not told are in doubt.
    fn good(&mut self) -> Vec<u16> {
        let doubted =
            |result: &mut oneshot::Receiver<_>| result.try_recv() == Ok(Err(PublishError::Indeterminate));
        let told = self.accepted.iter_mut().zip(&mut self.results).filter(|((id, _), _)| !is_bad(*id));
        let told = told.filter_map(|((id, accepted), (_, result))| {
            (accepted.try_recv() == Ok(Ok(())) && !doubted(result)).then_some(*id)
        });
        told.collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Whatever is lost on the way, and however often the process dies: what was accepted is committed once, in order,
    /// unless the application is told that nobody knows.
    #[test]
    fn what_is_accepted_is_committed_once_and_in_order(acts in acts(Just(Act::Crash))) {
        let mut world = World::new();
        acts.iter().for_each(|act| world.act(act));
        world.heal();
        let log = &world.server.log;
        prop_assert!(log.is_sorted_by(|a, b| a < b), "{log:?}");
        let log = log.clone();
        for id in world.good() {
            prop_assert!(log.contains(&id), "{id} is lost: {log:?}");
        }
    }

    /// A server that forgets makes nothing be committed twice; what may be lost then is told.
    #[test]
    fn what_a_server_forgot_is_told_and_never_repeated(acts in acts(Just(Act::Forget))) {
        let mut world = World::new();
        acts.iter().for_each(|act| world.act(act));
        world.heal();
        let log = world.server.log.clone();
        prop_assert!(log.is_sorted_by(|a, b| a < b), "{log:?}");
        for (id, result) in &mut world.results {
            match result.try_recv().expect("everything has a result") {
                Ok(_) => prop_assert!(log.contains(id)),
                Err(PublishError::Refused(_)) => prop_assert!(is_bad(*id)),
                Err(error) => prop_assert_eq!(error, PublishError::Indeterminate),
            }
        }
    }

    /// A server that lost its log gets what was not answered, once, and nothing is in doubt: what it had is gone.
    #[test]
    fn after_the_loss_of_the_log_what_was_not_answered_is_in_the_new_one(acts in acts(Just(Act::Restart))) {
        let mut world = World::new();
        world.server.is_picky = false;
        acts.iter().for_each(|act| world.act(act));
        world.heal();
        let (epoch, log) = (world.server.epoch, world.server.log.clone());
        prop_assert!(log.is_sorted_by(|a, b| a < b), "{log:?}");
        for (id, result) in &mut world.results {
            let receipt = result.try_recv().expect("everything has a result");
            let receipt = receipt.map_err(|error| TestCaseError::fail(error.to_string()))?;
            prop_assert!(receipt.epoch != epoch || log.contains(id));
        }
    }
}

/// In a new life the server would not recognise it, so it is asked in the old one first.
#[test]
fn what_may_be_committed_is_asked_for_before_a_new_life_begins() {
    let mut world = World::new();
    let act = |world: &mut World, acts: &[Act]| acts.iter().for_each(|act| world.act(act));
    let (accept, lose) = (Act::Accept, Act::Lose);
    act(&mut world, &[accept.clone(), accept, Act::StartFlush, Act::EndFlush, Act::Send(2)]);
    // The server has no room for the first one, and all else is lost for so long that the second one is in doubt.
    act(&mut world, &[Act::Take(2, 0), Act::Answer(1), lose.clone()]);
    world.now = world.now + WINDOW;
    act(&mut world, &[Act::Send(2), Act::Take(1, 2), lose]);
    assert_eq!(world.server.log, [0]);
    world.heal();
    assert_eq!(world.server.log, [0], "it is not committed again");
    let results: Vec<_> = world.results.iter_mut().map(|(_, result)| result.try_recv().unwrap()).collect();
    assert!(results[0].as_ref().is_ok_and(|receipt| receipt.duplicate));
    assert_eq!(results[1], Err(PublishError::Indeterminate));
}

#[test]
fn nothing_is_sent_before_it_is_durable() {
    let mut publisher = Publisher::new(Box::new(Disk::new()), Doubt::Report);
    publisher.accept("a".into(), Waiter::default());
    assert!(publisher.next(Instant::ZERO).is_none());
    let flush = publisher.start_flush().unwrap();
    publisher.accept("b".into(), Waiter::default());
    publisher.flushed(flush.run());
    let (producer, publication) = publisher.next(Instant::ZERO).unwrap();
    assert_eq!(publication, "a");
    publisher.sent(producer, Sequence::FIRST);
    assert!(publisher.next(Instant::ZERO).is_none(), "b came after the flush had begun");
}

#[test]
fn an_outbox_that_fails_ends_publishing_and_tells_everyone() {
    let mut publisher = Publisher::new(Box::new(Disk::new()), Doubt::Report);
    let (committed, mut result) = oneshot::channel();
    publisher.accept("a".into(), Waiter { accepted: None, committed: Some(committed) });
    let _flush = publisher.start_flush();
    publisher.flushed(Err(io::Error::other("disk full")));
    assert_eq!(result.try_recv().unwrap(), Err(PublishError::Outbox("disk full".to_owned())));
    let (accepted, mut refused) = oneshot::channel();
    publisher.accept("b".into(), Waiter { accepted: Some(accepted), committed: None });
    assert!(matches!(refused.try_recv().unwrap(), Err(PublishError::Outbox(_))));
    assert!(publisher.next(Instant::ZERO).is_none() && publisher.start_flush().is_none());
}
