//! What each operation of the native codec takes and allocates, and how many bytes its frames have, beside postcard.
//!
//! The times are the shortest of 3,000 rounds of 100, in which all take turns: what a busy machine adds falls on other
//! rounds. criterion's medians of the same are in the bench `codec`.
//!
//! `cargo run --release -p tenfour-benches --bin native_codec`

use std::{
    fmt,
    hint::black_box,
    time::{Duration, Instant},
};

use bytes::BytesMut;
use tenfour_benches::native::{FanOut, cases, decoder};
use tenfour_counting_alloc::allocations;

/// What is measured of one operation.
#[derive(Clone, Copy)]
struct Cost {
    nanoseconds: f64,
    allocations: usize,
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.0} ns, {}", self.nanoseconds, self.allocations)
    }
}

const ROUNDS: usize = 3000;
const REPEATS: u32 = 100;

/// Measures operations in turn.
fn measure(operations: &mut [&mut dyn FnMut()]) -> Vec<Cost> {
    let mut shortest = vec![Duration::MAX; operations.len()];
    for _ in 0..ROUNDS {
        for (operation, shortest) in operations.iter_mut().zip(&mut shortest) {
            let start = Instant::now();
            for _ in 0..REPEATS {
                operation();
            }
            *shortest = start.elapsed().min(*shortest);
        }
    }
    let cost = |(operation, shortest): (&mut &mut dyn FnMut(), Duration)| {
        let before = allocations();
        operation();
        let nanoseconds = shortest.as_nanos() as f64 / f64::from(REPEATS);
        Cost { nanoseconds, allocations: allocations() - before }
    };
    operations.iter_mut().zip(shortest).map(cost).collect()
}

fn main() {
    let (mut out, mut plain) = (BytesMut::with_capacity(4096), Vec::with_capacity(4096));
    let mut decoder = decoder();
    println!(
        "| frame | bytes | encode | decode | postcard: bytes | encode | decode, owned | decode, borrowed |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for case in cases() {
        let costs = measure(&mut [
            &mut || black_box(&case).encode_ours(&mut out),
            &mut || _ = black_box(black_box(&case).decode_ours(&mut decoder)),
            &mut || black_box(&case).encode_theirs(&mut plain),
            &mut || _ = black_box(black_box(&case).decode_owned()),
            &mut || _ = black_box(black_box(&case).decode_borrowed()),
        ]);
        let (ours, theirs) = case.sizes();
        let [encode, decode, plain @ ..] = &costs[..] else { continue };
        let plain: Vec<String> = plain.iter().map(Cost::to_string).collect();
        println!("| {} | {ours} | {encode} | {decode} | {theirs} | {} |", case.name, plain.join(" | "));
    }
    let fan_out = FanOut::new();
    let cost = measure(&mut [&mut || black_box(&fan_out).encode_next(&mut out)])[0];
    println!("| deliver, one receiver more | {} | {cost} | | | | | |", out.len());
}
