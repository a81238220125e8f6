//! What carries bytes from one side of a connection to the other.

use core::time::Duration;
use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use tenfour_delivery::time::Instant;

use super::{Fault, Faults, Left, Rng};

/// One direction of a connection: what is on its way.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Pipe {
    kind: Kind,
    /// In the order of arrival.
    parcels: VecDeque<Parcel>,
    bytes: usize,
    /// When the receiver reads on; `None` if it reads.
    stalled_until: Option<Instant>,
}

/// What a pipe may do to what it carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// Bytes in order, cut into pieces anywhere.
    Stream,
    /// Whole datagrams, or none, or twice, in any order.
    Datagram,
    /// Whole messages in order.
    Messages,
}

/// Something on its way.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Parcel {
    pub(crate) at: Instant,
    pub(crate) left: Left,
    pub(crate) what: Cargo,
}

/// What goes through a pipe.
#[derive(Clone, Debug, Hash)]
pub(crate) enum Cargo {
    Bytes(Bytes),
    /// A message of text, for protocols that tell the two apart.
    Text(Bytes),
    /// The sender's end of the connection: nothing follows.
    End,
}

/// How well a link does: chances in a million.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Weather {
    /// From one end to the other, at best.
    pub(crate) latency: Duration,
    /// What it may take beyond that.
    pub(crate) jitter: Duration,
    pub(crate) loss: u32,
    pub(crate) duplication: u32,
    pub(crate) reordering: u32,
    pub(crate) delay: u32,
    pub(crate) split: u32,
}

impl Weather {
    /// Nothing goes wrong, and everything takes `latency`.
    pub(crate) const fn fair(latency: Duration) -> Self {
        let jitter = Duration::ZERO;
        Self { latency, jitter, loss: 0, duplication: 0, reordering: 0, delay: 0, split: 0 }
    }
}

/// Bytes on the way from which a sender is told to wait.
const CAPACITY: usize = 16 * 1024;
/// How much longer than usual something late is.
const LATE: core::ops::RangeInclusive<Duration> = Duration::from_millis(300)..=Duration::from_secs(4);
/// How many of the later ones overtake one that is reordered, in latencies.
const OVERTAKEN: u32 = 3;

impl Pipe {
    pub(crate) fn new(kind: Kind) -> Self {
        Self { kind, parcels: VecDeque::new(), bytes: 0, stalled_until: None }
    }

    /// When something is next to be taken out.
    pub(crate) fn next(&self) -> Option<Instant> {
        let first = self.parcels.front()?.at;
        Some(self.stalled_until.map_or(first, |until| until.max(first)))
    }

    pub(crate) fn is_full(&self) -> bool {
        self.kind != Kind::Datagram && self.bytes >= CAPACITY
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.parcels.is_empty()
    }

    /// The receiver does not read until then.
    pub(crate) fn stall(&mut self, until: Instant) {
        self.stalled_until = Some(until);
    }

    /// Everything on its way is gone.
    pub(crate) fn clear(&mut self) {
        self.parcels.clear();
        self.bytes = 0;
    }

    /// Sends something on its way.
    pub(crate) fn send(
        &mut self,
        cargo: Cargo,
        now: Instant,
        left: Left,
        weather: &Weather,
        rng: &mut Rng,
        faults: &mut Faults,
    ) {
        match self.kind {
            Kind::Datagram => self.send_datagram(cargo, now, left, weather, rng, faults),
            Kind::Stream => self.send_chunk(cargo, now, left, weather, rng, faults),
            Kind::Messages => {
                let at = self.arrival(now, weather, rng, faults);
                self.insert(Parcel { at, left, what: cargo });
            }
        }
    }

    /// The next that has arrived.
    pub(crate) fn take(&mut self, now: Instant) -> Option<Parcel> {
        self.next().filter(|next| now.has_reached(*next))?;
        self.stalled_until = None;
        let parcel = self.parcels.pop_front()?;
        self.bytes -= parcel.what.len();
        Some(parcel)
    }

    /// The next chunk of a stream, with what has arrived right behind it: one read may bring what took many writes. It left
    /// no earlier than its first part.
    pub(crate) fn take_coalesced(&mut self, now: Instant) -> Option<Parcel> {
        let mut first = self.take(now)?;
        while let (Cargo::Bytes(head), Some(Parcel { at, what: Cargo::Bytes(_), .. })) =
            (&first.what, self.parcels.front())
            && now.has_reached(*at)
        {
            let mut whole = BytesMut::from(&head[..]);
            let Some(next) = self.take(now) else { break };
            if let Cargo::Bytes(more) = &next.what {
                whole.extend_from_slice(more);
            }
            first.what = Cargo::Bytes(whole.freeze());
        }
        Some(first)
    }

    fn send_datagram(
        &mut self,
        cargo: Cargo,
        now: Instant,
        left: Left,
        weather: &Weather,
        rng: &mut Rng,
        faults: &mut Faults,
    ) {
        if rng.happens(weather.loss) {
            return faults.count(Fault::Loss);
        }
        let mut at = now + weather.latency + jitter(weather, rng);
        if rng.happens(weather.delay) {
            faults.count(Fault::Delay);
            at = at + rng.duration(&LATE);
        }
        if rng.happens(weather.reordering) {
            faults.count(Fault::Reordering);
            at = at + weather.latency * rng.within(1..=u64::from(OVERTAKEN)) as u32;
        }
        if rng.happens(weather.duplication) {
            faults.count(Fault::Duplication);
            let again = at + jitter(weather, rng) + weather.latency;
            self.insert(Parcel { at: again, left, what: cargo.clone() });
        }
        self.insert(Parcel { at, left, what: cargo });
    }

    fn send_chunk(
        &mut self,
        cargo: Cargo,
        now: Instant,
        left: Left,
        weather: &Weather,
        rng: &mut Rng,
        faults: &mut Faults,
    ) {
        let mut at = self.arrival(now, weather, rng, faults);
        let mut what = cargo;
        if let Cargo::Bytes(bytes) = &mut what
            && bytes.len() > 1
            && rng.happens(weather.split)
        {
            faults.count(Fault::Split);
            let first = bytes.split_to(rng.within(1..=bytes.len() as u64 - 1) as usize);
            self.insert(Parcel { at, left, what: Cargo::Bytes(first) });
            at = at + jitter(weather, rng);
        }
        self.insert(Parcel { at, left, what });
    }

    /// When something that leaves now arrives where nothing overtakes.
    fn arrival(&self, left: Instant, weather: &Weather, rng: &mut Rng, faults: &mut Faults) -> Instant {
        let mut at = left + weather.latency + jitter(weather, rng);
        if rng.happens(weather.delay) {
            faults.count(Fault::Delay);
            at = at + rng.duration(&LATE);
        }
        self.parcels.back().map_or(at, |last| at.max(last.at))
    }

    fn insert(&mut self, parcel: Parcel) {
        self.bytes += parcel.what.len();
        let later = self.parcels.iter().rev().take_while(|other| other.at > parcel.at).count();
        self.parcels.insert(self.parcels.len() - later, parcel);
    }
}

impl Cargo {
    fn len(&self) -> usize {
        match self {
            Self::Bytes(bytes) | Self::Text(bytes) => bytes.len(),
            Self::End => 0,
        }
    }
}

fn jitter(weather: &Weather, rng: &mut Rng) -> Duration {
    match weather.jitter {
        Duration::ZERO => Duration::ZERO,
        most => rng.duration(&(Duration::ZERO..=most)),
    }
}

#[cfg(test)]
mod tests {
    use tenfour_delivery::time::WallTime;

    use super::*;

    const FAIR: Weather = Weather::fair(Duration::from_millis(5));

    fn send(pipe: &mut Pipe, at: u64, bytes: &'static [u8], weather: &Weather, rng: &mut Rng) -> Faults {
        let left = Left { at: Instant::from_micros(at), wall: WallTime::default() };
        let mut faults = Faults::default();
        pipe.send(Cargo::Bytes(Bytes::from_static(bytes)), left.at, left, weather, rng, &mut faults);
        faults
    }

    fn everything(pipe: &mut Pipe) -> Vec<u8> {
        core::iter::from_fn(|| {
            let next = pipe.next()?;
            match pipe.take_coalesced(next)?.what {
                Cargo::Bytes(bytes) => Some(bytes),
                _ => None,
            }
        })
        .flatten()
        .collect()
    }

    #[test]
    fn a_stream_keeps_its_order_whatever_the_weather() {
        let weather =
            Weather { split: 500_000, delay: 300_000, jitter: Duration::from_millis(50), ..FAIR.clone() };
        for seed in 0..200 {
            let (mut pipe, mut rng) = (Pipe::new(Kind::Stream), Rng::new(seed));
            for (at, chunk) in [&b"one,"[..], b"two,", b"three,", b"four"].into_iter().enumerate() {
                send(&mut pipe, at as u64 * 1_000, chunk, &weather, &mut rng);
            }
            assert_eq!(everything(&mut pipe), b"one,two,three,four", "seed {seed}");
            assert_eq!(pipe.bytes, 0);
        }
    }

    #[test]
    fn datagrams_get_lost_repeated_and_overtaken() {
        let weather = Weather { loss: 200_000, duplication: 200_000, reordering: 200_000, ..FAIR.clone() };
        let (mut pipe, mut rng) = (Pipe::new(Kind::Datagram), Rng::new(3));
        let mut faults = Faults::default();
        for at in 0..100 {
            faults += send(&mut pipe, at * 1_000, b"x", &weather, &mut rng);
        }
        assert!([Fault::Loss, Fault::Duplication, Fault::Reordering].iter().all(|kind| faults[*kind] > 5));
        let arrived = everything(&mut pipe).len() as u64;
        assert_eq!(arrived, 100 - faults[Fault::Loss] + faults[Fault::Duplication]);
    }

    #[test]
    fn a_reader_that_stalls_gets_everything_later() {
        let (mut pipe, mut rng) = (Pipe::new(Kind::Stream), Rng::new(0));
        send(&mut pipe, 0, b"late", &FAIR, &mut rng);
        let until = Instant::from_micros(1_000_000);
        pipe.stall(until);
        assert_eq!(pipe.next(), Some(until));
        assert!(pipe.take(Instant::from_micros(999_999)).is_none());
        assert_eq!(everything(&mut pipe), b"late");
    }
}
