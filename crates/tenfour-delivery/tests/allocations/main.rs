//! What the state machines allocate once their tables have grown: nothing. In a binary of its own, since the counter
//! is the process's allocator.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    time::Duration,
};

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

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

/// The system's allocator, which counts the calls of each thread.
struct Counting;

#[expect(unsafe_code, reason = "an allocator is unsafe to implement; each call is handed on as it came")]
// SAFETY: each call is handed to the system's allocator as it came; counting touches no memory that it gives out.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's promises are those of `System`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are those of `System`.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's promises are those of `System`.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// How often `step` allocates in its second thousand of calls.
fn allocations_when_warm(mut step: impl FnMut(u64)) -> usize {
    (0..1_000).for_each(&mut step);
    let before = ALLOCATIONS.get();
    (1_000..2_000).for_each(&mut step);
    ALLOCATIONS.get() - before
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
