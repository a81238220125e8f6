//! What each operation of the native codec allocates, and how many bytes its frames have: counted, not timed.
//!
//! `cargo run --release -p tenfour-benches --bin allocations`

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

use bytes::BytesMut;
use tenfour_benches::native::{FanOut, cases, decoder};

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

/// What `run` allocates once it has been run before.
fn count<T>(mut run: impl FnMut() -> T) -> usize {
    drop(run());
    let before = ALLOCATIONS.get();
    drop(run());
    ALLOCATIONS.get() - before
}

fn main() {
    println!(
        "| frame | bytes | encode | decode | postcard: bytes | encode | decode, owned | decode, borrowed |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    let (mut out, mut plain) = (BytesMut::with_capacity(4096), Vec::with_capacity(4096));
    let mut decoder = decoder();
    for case in cases() {
        let (ours, theirs) = case.sizes();
        println!(
            "| {} | {ours} | {} | {} | {theirs} | {} | {} | {} |",
            case.name,
            count(|| case.encode_ours(&mut out)),
            count(|| case.decode_ours(&mut decoder)),
            count(|| case.encode_theirs(&mut plain)),
            count(|| case.decode_owned()),
            count(|| case.decode_borrowed()),
        );
    }
    let fan_out = FanOut::new();
    println!("| deliver, one receiver more | | {} | | | | | |", count(|| fan_out.encode_next(&mut out)));
}
