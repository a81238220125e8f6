//! One direction of a connection, in virtual time.

use super::super::Transport;
use alloc::vec::Vec;
use bytes::{Bytes, BytesMut};
use core::time::Duration;
use tenfour_delivery::time::Instant;

/// A generator that is good enough to shuffle with, and the same everywhere.
#[derive(Clone, Debug)]
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        // splitmix64
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.0;
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ (value >> 31)
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub(super) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// How a pipe of datagrams treats them, in percent; a stream only cuts and joins.
#[derive(Clone, Copy, Debug)]
pub(super) struct Faults {
    pub(super) loss: u64,
    pub(super) repetition: u64,
    pub(super) reordering: u64,
}

impl Faults {
    pub(super) const NONE: Self = Self { loss: 0, repetition: 0, reordering: 0 };
}

#[derive(Debug)]
pub(super) struct Pipe {
    transport: Transport,
    pub(super) faults: Faults,
    under_way: Vec<(Instant, Bytes)>,
    last: Instant,
}

const LATENCY: Duration = Duration::from_millis(20);

impl Pipe {
    pub(super) fn new(transport: Transport, faults: Faults) -> Self {
        Self { transport, faults, under_way: Vec::new(), last: Instant::ZERO }
    }

    pub(super) fn send(&mut self, random: &mut Random, now: Instant, bytes: Bytes) {
        let due = now + LATENCY;
        if let Some(mtu) = self.transport.mtu() {
            assert!(bytes.len() <= mtu, "a datagram of {} bytes, of which {mtu} fit", bytes.len());
            let copies = 1 + u64::from(random.chance(self.faults.repetition));
            for _ in 0..copies {
                let late = Duration::from_millis(
                    random.below(60) * u64::from(random.chance(self.faults.reordering)),
                );
                if !random.chance(self.faults.loss) {
                    self.under_way.push((due + late, bytes.clone()));
                }
            }
            return;
        }
        // Order is kept, boundaries are not.
        self.last = self.last.max(due);
        match self.under_way.last_mut() {
            Some((when, before)) if *when == self.last && random.chance(30) => {
                let mut joined = BytesMut::from(&before[..]);
                joined.extend_from_slice(&bytes);
                *before = joined.freeze();
            }
            _ => {
                let cut = random.below(bytes.len() as u64 + 1) as usize;
                let parts = [bytes.slice(..cut), bytes.slice(cut..)];
                let parts = parts.into_iter().filter(|part| !part.is_empty());
                self.under_way.extend(parts.map(|part| (self.last, part)));
            }
        }
    }

    pub(super) fn due(&self) -> Option<Instant> {
        self.under_way.iter().map(|(due, _)| *due).min()
    }

    /// What has arrived first, of what has arrived.
    pub(super) fn arrived(&mut self, now: Instant) -> Option<Bytes> {
        let due = self.due().filter(|&due| now.has_reached(due))?;
        let place = self.under_way.iter().position(|(when, _)| *when == due)?;
        Some(self.under_way.remove(place).1)
    }
}
