#![doc = include_str!("../README.md")]
#![no_std]
#![forbid(unsafe_code)]

pub mod id;
#[doc(hidden)]
pub mod mutant;
pub mod number;
pub mod time;
