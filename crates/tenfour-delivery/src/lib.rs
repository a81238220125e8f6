#![doc = include_str!("../README.md")]
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod dedup;
pub mod entry;
pub mod id;
#[doc(hidden)]
pub mod mutant;
pub mod number;
pub mod time;
