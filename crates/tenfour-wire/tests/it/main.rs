//! The codec from outside: beside the vectors of the JavaScript parsers, beside `serde_json`, and under property tests.

mod vectors;
