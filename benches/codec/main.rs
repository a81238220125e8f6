//! Socket.IO's text codec beside `socketioxide-parser-common`, on the same packets.
//!
//! Decoding is measured from a frame to the event's name and the extracted, typed argument; encoding from the typed argument
//! to the frame. The frame is shared memory in both (`Bytes`), as it comes from a transport. What differs: ours
//! validates the whole body first, so that it may be relayed; the other crate does not.
//!
//! `cargo bench -p tenfour-benches --bench codec`

mod json;
mod native;

use std::{hint::black_box, time::Duration};

use bytes::{Bytes, BytesMut};
use criterion::{Criterion, criterion_group, criterion_main};
use serde::{Serialize, de::DeserializeOwned};
use socketioxide_core::{
    Str, Value,
    packet::{Packet as OtherPacket, PacketData},
    parser::{Parse, ParseConfig, ParseError, ParserState},
};
use socketioxide_parser_common::CommonParser;
use tenfour_benches::{records, small, upload};
use tenfour_wire::{
    ByteString, Limits,
    socketio::{AckId, Args, Decoder, EventName, Packet, encode_event},
};

/// One packet in every form that the measurements need.
struct Case<T> {
    namespace: &'static str,
    id: Option<u64>,
    argument: T,
    text: ByteString,
    attachments: Vec<Bytes>,
}

impl<T: Serialize> Case<T> {
    fn new(namespace: &'static str, id: Option<u64>, argument: T) -> Self {
        let args = Args::serialize(&(&argument,)).expect("the argument is JSON");
        let mut text = BytesMut::new();
        encode_event(&mut text, namespace, id.map(AckId::new), &EventName::from("message"), &args);
        let text = ByteString::try_from(text.freeze()).expect("the text is UTF-8");
        Self { namespace, id, argument, text, attachments: args.attachments().to_vec() }
    }
}

fn decode_ours<T: DeserializeOwned>(case: &Case<T>) -> (EventName, T) {
    let mut decoder = Decoder::new(Limits::default());
    let mut packet = decoder.decode_text(case.text.clone()).expect("the text is a packet");
    for attachment in &case.attachments {
        packet = decoder.decode_binary(attachment.clone()).expect("an attachment is due");
    }
    let Some(Packet::Event { name, args, .. }) = packet else { panic!("the packet is an event") };
    (name, args.deserialize(0).expect("the argument has its type"))
}

fn decode_theirs<T: DeserializeOwned>(case: &Case<T>, text: &Str, config: &ParseConfig) -> (Bytes, T) {
    let state = ParserState::default();
    let mut packet = CommonParser.decode_str(config, &state, text.clone());
    for attachment in &case.attachments {
        assert!(matches!(packet, Err(ParseError::NeedsMoreBinaryData)));
        packet = CommonParser.decode_bin(config, &state, attachment.clone());
    }
    let mut packet = packet.expect("the text is a packet");
    let (PacketData::Event(value, _) | PacketData::BinaryEvent(value, _)) = &mut packet.inner else {
        panic!("the packet is an event")
    };
    let name = match (CommonParser.read_event(value).expect("the event has a name"), &*value) {
        (name, Value::Str(text, _)) => Bytes::from(text.clone()).slice_ref(name.as_bytes()),
        _ => panic!("the value is text"),
    };
    (name, CommonParser.decode_value(value, true).expect("the argument has its type"))
}

fn encode_ours<T: Serialize>(case: &Case<T>) -> (Bytes, Vec<Bytes>) {
    let args = Args::serialize(&(&case.argument,)).expect("the argument is JSON");
    let mut out = BytesMut::with_capacity(args.json().len() + 64);
    encode_event(&mut out, case.namespace, case.id.map(AckId::new), &EventName::from("message"), &args);
    (out.freeze(), args.into_parts().1)
}

fn encode_theirs<T: Serialize>(case: &Case<T>) -> Value {
    let value = CommonParser.encode_value(&(&case.argument,), Some("message")).expect("the argument is JSON");
    let mut packet = OtherPacket::event(case.namespace, value);
    if let Some(id) = case.id {
        packet.inner.set_ack_id(id as i64);
    }
    CommonParser.encode(packet)
}

fn measure<T: Serialize + DeserializeOwned>(criterion: &mut Criterion, name: &str, case: &Case<T>) {
    let config = ParseConfig::default();
    let theirs = Str::from(case.text.to_string());
    let mut group = criterion.benchmark_group(format!("decode/{name}"));
    group.bench_function("tenfour", |bench| bench.iter(|| decode_ours(black_box(case))));
    group.bench_function("socketioxide", |bench| {
        bench.iter(|| decode_theirs(black_box(case), &theirs, &config));
    });
    group.finish();
    let mut group = criterion.benchmark_group(format!("encode/{name}"));
    group.bench_function("tenfour", |bench| bench.iter(|| encode_ours(black_box(case))));
    group.bench_function("socketioxide", |bench| bench.iter(|| encode_theirs(black_box(case))));
    group.finish();
}

fn codec(criterion: &mut Criterion) {
    measure(criterion, "small", &Case::new("/", None, small()));
    measure(criterion, "ack and namespace", &Case::new("/admin", Some(4711), small()));
    measure(criterion, "1 KiB", &Case::new("/", None, records(1024)));
    measure(criterion, "64 KiB", &Case::new("/", None, records(64 * 1024)));
    measure(criterion, "two attachments", &Case::new("/", None, upload()));
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    targets = codec, json::json, native::native
}
criterion_main!(benches);
