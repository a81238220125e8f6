//! The operations that are measured.

use std::{hint::black_box, time::Duration};

use bytes::Bytes;
use tenfour_delivery::{
    ack::Ack,
    conflate::Conflate,
    dedup::{
        Bitmap, Committed, Contiguous, Fingerprint, IdWindow, Tag, Watermark, bitmap::Seen, contiguous,
        id_window,
    },
    entry::Producer,
    number::{Offset, ProducerEpoch, ProducerId, ProducerSequence, Sequence},
    rate::{Gcra, Limit, Outcome},
    receive::{self, Receiver},
    time::{Instant, WallTime},
    ttl::Expiry,
    window::{self, Credit, Window},
};

use crate::measure;

/// How many operations fill the tables: the results of 10,000 producers are the most.
pub(crate) const WARM_UP: u64 = 3_000_000;

pub(crate) fn run_all() {
    window(1);
    window(32);
    receiver();
    contiguous(1);
    contiguous(10_000);
    contiguous_duplicate();
    watermark();
    bitmap();
    id_window();
    gcra();
    expiry();
    conflate();
}

/// A message of 32 bytes is numbered, transmitted and acknowledged, with half of the window in flight.
fn window(ack_every: u64) {
    let payload = Bytes::from(vec![7; 32]);
    let mut window = Window::new(window::Config::default());
    window.grant(Credit { messages: u64::MAX, bytes: u64::MAX });
    measure(&format!("window: push, transmit; an ack of {ack_every}"), |number| {
        let now = Instant::from_micros(number);
        window.push(payload.clone(), payload.len(), None).expect("there is room");
        black_box(window.next_transmit(now)).expect("it was pushed");
        if number >= 128 && number % ack_every == 0 {
            window.acknowledge(&Ack::new(Sequence::new(number - 128)), now).expect("it was transmitted");
        }
    });
}

fn receiver() {
    let payload = Bytes::from(vec![7; 32]);
    let mut receiver = Receiver::new(receive::Config::default());
    measure("receiver: accept, pop, consumed; an ack of 32", |number| {
        receiver.accept(Sequence::new(number), payload.clone(), payload.len()).expect("there is credit");
        let (_, message) = receiver.pop().expect("it is in order");
        receiver.consumed(message.len());
        if number.is_multiple_of(32) {
            black_box(receiver.ack());
        }
    });
}

const PAYLOAD: Fingerprint = Fingerprint::new(9);

fn at(number: u64) -> Committed {
    Committed { position: Offset::new(number), ingested: WallTime::from_unix_millis(number / 8) }
}

fn producer(id: u64, sequence: u64) -> Producer {
    Producer {
        id: ProducerId::new(u128::from(scatter(id)) << 64),
        epoch: ProducerEpoch::new(0),
        sequence: ProducerSequence::new(sequence),
    }
}

/// A bijection whose values have no order.
const fn scatter(number: u64) -> u64 {
    number.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

fn contiguous(producers: u64) {
    let mut state = Contiguous::new(contiguous::Config::default());
    measure(&format!("contiguous: begin, commit; {producers} in turn"), |number| {
        let producer = producer(number % producers, number / producers);
        let claim = state.begin(producer, PAYLOAD, at(number).ingested).expect("it is the next");
        state.commit(claim, at(number), number).expect("it is in flight");
    });
}

fn contiguous_duplicate() {
    let mut state = Contiguous::new(contiguous::Config::default());
    for number in 0..10_000 {
        state.restore(producer(number, 0), PAYLOAD, at(number), number).expect("each is another one");
    }
    measure("contiguous: a duplicate of one of 10000", |number| {
        let check = state.check(&producer(number % 10_000, 0), PAYLOAD, WallTime::default());
        assert_eq!(check, contiguous::Check::Duplicate(number % 10_000));
    });
}

fn watermark() {
    let mut state = Watermark::new(64);
    measure("watermark: begin, commit", |number| {
        state.begin(number, PAYLOAD).expect("it is higher");
        state.commit(number, number).expect("it was begun");
    });
}

fn bitmap() {
    let mut state = Bitmap::new();
    measure("bitmap: in order", |number| {
        assert_eq!(state.accept(number), Seen::New);
    });
    let mut state = Bitmap::new();
    measure("bitmap: reversed in blocks of 512", |number| {
        assert_eq!(state.accept(number ^ 511), Seen::New);
    });
}

/// Eight identifiers a millisecond for twelve seconds: some 100,000 are remembered.
fn id_window() {
    let mut state = IdWindow::new(id_window_config());
    measure("id window: begin, commit; 100000 held", |number| {
        let claim = state.begin(Tag::new(scatter(number)), PAYLOAD, at(number).ingested).expect("it is new");
        state.commit(claim, at(number), number).expect("it is in flight");
    });
    let mut state = IdWindow::new(id_window_config());
    for number in 0..50_000 {
        state.restore(Tag::new(scatter(number)), PAYLOAD, at(number), number);
    }
    measure("id window: a duplicate of one of 50000", |number| {
        let number = scatter(number) % 50_000;
        let check = state.check(Tag::new(scatter(number)), PAYLOAD, WallTime::default());
        assert_eq!(check, id_window::Check::Duplicate(number));
    });
}

fn id_window_config() -> id_window::Config {
    id_window::Config { window: Duration::from_secs(12), span: 0, ..id_window::Config::default() }
}

fn gcra() {
    let limit = Limit::new(1_000_000, Duration::from_secs(1), 100);
    let mut state = Gcra::new();
    measure("gcra: accept", |number| {
        assert_eq!(state.check(&limit, 1, Instant::from_micros(number)), Outcome::Accept);
    });
    let limit = Limit::new(1, Duration::from_secs(1_000_000_000), 1);
    let mut state = Gcra::new();
    assert_eq!(state.check(&limit, 1, Instant::ZERO), Outcome::Accept);
    measure("gcra: reject", |number| {
        assert_ne!(state.check(&limit, 1, Instant::from_micros(number)), Outcome::Accept);
    });
}

fn expiry() {
    let mut state = Expiry::new(Duration::from_millis(10), 10_000);
    measure("expiry: insert, poll; 1000 wait", |number| {
        let now = Instant::from_micros(100 * number);
        state.insert(now + Duration::from_millis(100), number).expect("there is room");
        black_box(state.poll(now));
    });
}

fn conflate() {
    let mut state = Conflate::new(1_000);
    measure("conflate: push; 1000 keys", |number| {
        black_box(state.push(scatter(number % 1_000), number)).expect("there is room");
    });
}

/// What the tables take.
pub(crate) fn memory() -> String {
    let mut ids = IdWindow::new(id_window_config());
    for number in 0..200_000 {
        ids.restore(Tag::new(scatter(number)), PAYLOAD, at(number), number);
    }
    format!(
        "A bitmap takes {} bytes, the state of a limit {}; an id window {} for each of {} identifiers with a result of 8.",
        size_of::<Bitmap>(),
        size_of::<Gcra>(),
        ids.allocated() / ids.len(),
        ids.len(),
    )
}
