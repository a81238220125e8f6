//! What the namespace takes from the allocator, counted per thread.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

use tenfour_broker::{Body, Limits, Namespace, SocketId, Target};
use tenfour_delivery::time::Instant;

const MEMBERS: u32 = 100_000;

#[test]
fn an_idle_member_costs_less_than_a_hundred_bytes() {
    let before = BYTES.get();
    let mut namespace = Namespace::new("/".into(), Limits::default(), 1);
    fill(&mut namespace, MEMBERS);
    namespace.select(&Target::all().except_socket(id(0)), |_, ()| {});
    let each = (BYTES.get() - before) / i64::from(MEMBERS);
    println!("{each} bytes for each of {MEMBERS} idle members");
    assert!(each < 100, "{each} bytes");
}

#[test]
fn a_selection_allocates_nothing_in_steady_state() {
    let mut namespace = Namespace::new("/".into(), Limits::default(), 1);
    fill(&mut namespace, 1_000);
    for number in 0..1_000 {
        namespace.join(id(number), if number % 2 == 0 { "even" } else { "odd" }).expect("within the limits");
        namespace
            .join(id(number), if number % 3 == 0 { "three" } else { "rest" })
            .expect("within the limits");
    }
    let targets = [
        Target::all(),
        Target::all().except_socket(id(7)),
        Target::room("even").to("three").except("nobody").except_socket(id(6)),
        Target::socket(id(9)),
    ];
    let select =
        |namespace: &mut Namespace<()>| targets.each_ref().map(|to| namespace.select(to, |_, ()| {}));
    select(&mut namespace);
    let before = ALLOCATIONS.get();
    let counts = select(&mut namespace);
    assert_eq!(ALLOCATIONS.get(), before);
    assert_eq!(counts, [1_000, 999, 500 + 167 - 1, 1]);
}

#[test]
fn churn_leaves_nothing_but_bounded_capacity() {
    let before = BYTES.get();
    let mut namespace = Namespace::new("/".into(), Limits::default(), 1);
    let mut after_first = 0;
    for round in 0..200 {
        fill(&mut namespace, 100);
        for number in 0..100 {
            for room in 0..4 {
                let room = format!("room {round} {room} {}", number % 7);
                namespace.join(id(number), &room).expect("within the limits");
            }
        }
        let request = namespace.open_request(&Target::all(), Instant::ZERO).expect("within the limits");
        namespace.answer(id(0), request, Body::json("1"));
        for number in 0..100 {
            namespace.remove(id(number)).expect("it is there");
        }
        assert!(namespace.poll_event().is_some());
        if round == 0 {
            after_first = BYTES.get() - before;
        }
    }
    // The tables may have been rebuilt with another capacity since, but not with a growing one.
    assert!(BYTES.get() - before <= 2 * after_first, "{} after {after_first}", BYTES.get() - before);
}

fn fill(namespace: &mut Namespace<()>, members: u32) {
    for number in 0..members {
        namespace.insert(id(number), ()).expect("within the limits");
    }
}

fn id(number: u32) -> SocketId {
    let mut bytes = [0; 15];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    SocketId::from_bytes(bytes)
}

thread_local! {
    static BYTES: Cell<i64> = const { Cell::new(0) };
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: every call goes to the system's allocator with its arguments unchanged; counting allocates nothing, since
// the counters are initialised in a constant.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        BYTES.set(BYTES.get() + layout.size() as i64);
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller keeps the allocator's contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        BYTES.set(BYTES.get() - layout.size() as i64);
        // SAFETY: the caller keeps the allocator's contract.
        unsafe { System.dealloc(pointer, layout) }
    }
}
