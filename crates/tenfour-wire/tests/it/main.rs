//! The codec from outside: beside the vectors of the JavaScript parsers, beside `serde_json`, and under property tests.

mod engineio;
mod json;
mod msgpack;
mod packets;
mod rejections;
mod vectors;
