//! Native frames beside postcard: what serde, a length of four bytes and LEB128 numbers cost. Ours validates JSON and
//! counts against its limits; postcard does neither.

use std::hint::black_box;

use bytes::BytesMut;
use criterion::Criterion;
use tenfour_benches::native::{FanOut, cases, decoder};

pub(crate) fn native(criterion: &mut Criterion) {
    for case in cases() {
        let (mut out, mut plain) = (BytesMut::with_capacity(4096), Vec::with_capacity(4096));
        let mut group = criterion.benchmark_group(format!("native encode/{}", case.name));
        group.bench_function("tenfour", |bench| bench.iter(|| black_box(&case).encode_ours(&mut out)));
        group.bench_function("postcard", |bench| bench.iter(|| black_box(&case).encode_theirs(&mut plain)));
        group.finish();
        let mut decoder = decoder();
        let mut group = criterion.benchmark_group(format!("native decode/{}", case.name));
        group.bench_function("tenfour", |bench| bench.iter(|| black_box(&case).decode_ours(&mut decoder)));
        group.bench_function("postcard, owned", |bench| bench.iter(|| black_box(&case).decode_owned()));
        group.bench_function("postcard, borrowed", |bench| bench.iter(|| black_box(&case).decode_borrowed()));
        group.finish();
    }
    let (fan_out, mut out) = (FanOut::new(), BytesMut::with_capacity(4096));
    criterion.bench_function("native encode/deliver, one receiver more/tenfour", |bench| {
        bench.iter(|| black_box(&fan_out).encode_next(&mut out));
    });
}
