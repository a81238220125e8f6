//! What the state machines allocate once their tables have grown: nothing. In a binary of its own, since the counter
//! is the process's allocator.

use std::time::Duration;

use tenfour_counting_alloc::allocations;
use tenfour_delivery::{
    conflate::Conflate,
    dedup::{
        Bitmap, Committed, Contiguous, Fingerprint, IdWindow, Tag, Watermark, bitmap::Seen, contiguous,
        id_window,
    },
    entry::Producer,
    number::{Offset, ProducerEpoch, ProducerId, ProducerSequence},
    rate::{Limit, Shaped, Shaper},
    time::{Instant, WallTime},
    ttl::Expiry,
};

mod at_least_once;

/// How often `step` allocates in its second thousand of calls.
fn allocations_when_warm(mut step: impl FnMut(u64)) -> usize {
    (0..1_000).for_each(&mut step);
    let before = allocations();
    (1_000..2_000).for_each(&mut step);
    allocations() - before
}

fn at(number: u64) -> Committed {
    Committed { position: Offset::new(number), ingested: WallTime::from_unix_millis(number) }
}

const ANY: Fingerprint = Fingerprint::new(9);

#[test]
fn the_counter_counts() {
    assert_eq!(allocations_when_warm(|number| drop(std::hint::black_box(Box::new(number)))), 1_000);
}

#[test]
fn contiguous() {
    let mut state = Contiguous::new(contiguous::Config::default());
    let count = allocations_when_warm(|step| {
        let producer = Producer {
            id: ProducerId::new(u128::from(step % 3)),
            epoch: ProducerEpoch::new(0),
            sequence: ProducerSequence::new(step / 3),
        };
        let now = at(step).ingested;
        let claim = state.begin(producer, ANY, now).expect("it is the next");
        assert_eq!(state.check(&producer, ANY, now), contiguous::Check::Pending(claim));
        state.commit(claim, at(step), step).expect("it is in flight");
        assert_eq!(state.check(&producer, ANY, now), contiguous::Check::Duplicate(step));
    });
    assert_eq!(count, 0);
}

#[test]
fn watermark() {
    let mut state = Watermark::new(16);
    let count = allocations_when_warm(|step| {
        state.begin(step, ANY).expect("it is higher");
        state.commit(step, step).expect("it was begun");
    });
    assert_eq!(count, 0);
}

#[test]
fn bitmap() {
    let mut state = Bitmap::new();
    assert_eq!(allocations_when_warm(|step| assert_ne!(state.accept(step ^ 5), Seen::TooOld)), 0);
}

/// Only once the generations have grown: a window's worth, here 200 identifiers.
#[test]
fn id_window() {
    let window = Duration::from_millis(200);
    let mut state = IdWindow::new(id_window::Config { span: 0, window, ..id_window::Config::default() });
    let count = allocations_when_warm(|step| {
        let tag = Tag::new(step.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let claim = state.begin(tag, ANY, at(step).ingested).expect("it is new");
        state.commit(claim, at(step), step).expect("it is in flight");
    });
    assert_eq!(count, 0);
}

#[test]
fn a_shaper_an_expiry_queue_and_conflation() {
    let limit = Limit::new(1_000, Duration::from_secs(1), 1).with_patience(Duration::from_secs(1));
    let mut shaper = Shaper::new(limit, 100);
    let mut expiry = Expiry::new(Duration::from_millis(10), 1_000);
    let mut values = Conflate::new(10);
    let count = allocations_when_warm(|step| {
        let now = Instant::from_micros(step * 1_000);
        assert_ne!(shaper.push(now, 1, step), Ok(Shaped::Pass(step + 1)));
        while shaper.poll(now).is_some() {}
        expiry.insert(now + Duration::from_millis(50), step).expect("there is room");
        while expiry.poll(now).is_some() {}
        values.push(step % 10, step).expect("there is room");
    });
    assert_eq!(count, 0);
}
