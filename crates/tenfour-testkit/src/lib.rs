#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

#[cfg(feature = "tokio")]
pub mod client;
pub mod clock;
#[cfg(feature = "tokio")]
pub mod datagram;
#[cfg(feature = "disk")]
pub mod disk;
#[cfg(feature = "tokio")]
pub mod proxy;
#[cfg(feature = "disk")]
mod rng;
#[cfg(feature = "sim")]
pub mod sim;
pub mod stock;
#[cfg(feature = "tokio")]
mod wait;

#[cfg(feature = "disk")]
pub use rng::Rng;
#[cfg(feature = "tokio")]
pub use wait::{TIMEOUT, TimedOut};
