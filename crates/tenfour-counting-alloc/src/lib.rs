//! The system's allocator, which counts what each thread asks of it.
//!
//! It is the allocator of whatever links this crate: a test or a benchmark in a binary of its own. Counts are of the
//! calling thread alone, so tests that run beside each other do not disturb one another.
//!
//! ```
//! use tenfour_counting_alloc::{allocations, held};
//!
//! let (calls, bytes) = (allocations(), held());
//! let kept = vec![0_u8; 1_000];
//! assert_eq!((allocations() - calls, held() - bytes), (1, 1_000));
//! drop(kept);
//! assert_eq!((allocations() - calls, held() - bytes), (1, 0));
//! ```

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

/// How often this thread has asked for memory, or for more of it.
#[must_use]
pub fn allocations() -> usize {
    ALLOCATIONS.get()
}

/// How many bytes this thread has asked for in all.
#[must_use]
pub fn requested() -> usize {
    REQUESTED.get()
}

/// How many bytes this thread has asked for and not given back: below zero where it freed what another one took.
#[must_use]
pub fn held() -> i64 {
    HELD.get()
}

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
    static REQUESTED: Cell<usize> = const { Cell::new(0) };
    static HELD: Cell<i64> = const { Cell::new(0) };
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

struct Counting;

#[expect(unsafe_code, reason = "an allocator is unsafe to implement; each call is handed on as it came")]
// SAFETY: each call is handed to the system's allocator as it came. Counting allocates nothing: the counters are
// initialised in a constant and have no destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(0, layout.size());
        // SAFETY: the caller's promises are those of `System`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(0, layout.size());
        // SAFETY: the caller's promises are those of `System`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.set(HELD.get() - layout.size() as i64);
        // SAFETY: the caller's promises are those of `System`.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(layout.size(), size);
        // SAFETY: the caller's promises are those of `System`.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

fn count(before: usize, size: usize) {
    ALLOCATIONS.set(ALLOCATIONS.get() + 1);
    REQUESTED.set(REQUESTED.get() + size);
    HELD.set(HELD.get() + size as i64 - before as i64);
}
