#![doc = include_str!("../README.md")]
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod ack;
pub mod at_most_once;
pub mod backoff;
pub mod conflate;
pub mod cursor;
pub mod dedup;
pub mod entry;
pub mod id;
pub mod log;
pub mod loss;
#[doc(hidden)]
pub mod mutant;
pub mod number;
mod order;
pub mod probe;
pub mod rate;
pub mod receive;
pub mod resume;
pub mod time;
pub mod ttl;
pub mod window;
