//! The passes over JSON alone, beside `serde_json`.

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use serde_json::value::RawValue;
use tenfour_benches::{Record, records};
use tenfour_wire::{Limits, json as ours};

pub(crate) fn json(criterion: &mut Criterion) {
    let records = serde_json::to_string(&records(64 * 1024)).expect("records are JSON");
    let string = serde_json::to_string(&"x".repeat(64 * 1024)).expect("a string is JSON");
    let limits = Limits { payload_bytes: usize::MAX, ..Limits::default() };
    for (name, text) in [("records", &records), ("long string", &string)] {
        let mut group = criterion.benchmark_group(format!("validate/{name}"));
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function("tenfour", |bench| {
            bench.iter(|| ours::validate(black_box(text), &limits).expect("the text is valid"));
        });
        group.bench_function("serde_json RawValue", |bench| {
            bench.iter(|| serde_json::from_str::<&RawValue>(black_box(text)).expect("the text is valid"));
        });
        group.finish();
    }
    let mut group = criterion.benchmark_group("read/records");
    group.throughput(Throughput::Bytes(records.len() as u64));
    group.bench_function("tenfour", |bench| {
        bench.iter(|| ours::from_str::<Vec<Record>>(black_box(&records), &[]).expect("the text is records"));
    });
    group.bench_function("serde_json", |bench| {
        bench.iter(|| serde_json::from_str::<Vec<Record>>(black_box(&records)).expect("the text is records"));
    });
    group.finish();
    let values: Vec<Record> = serde_json::from_str(&records).expect("the text is records");
    let mut group = criterion.benchmark_group("write/records");
    group.throughput(Throughput::Bytes(records.len() as u64));
    group.bench_function("tenfour", |bench| {
        bench.iter(|| ours::to_string(black_box(&values)).expect("records are JSON"));
    });
    group.bench_function("serde_json", |bench| {
        bench.iter(|| serde_json::to_string(black_box(&values)).expect("records are JSON"));
    });
    group.finish();
}
