//! What worlds are drawn from.

use core::{ops::RangeInclusive, time::Duration};

use super::{
    Rng,
    link::{Kind, Weather},
};

/// What a seed may draw. The defaults are what `tenfour simulate` runs.
///
/// ```
/// use core::time::Duration;
/// use tenfour_testkit::sim::{Options, run};
///
/// let mut options = Options::default();
/// options.faults_for = Duration::from_secs(5);
/// options.clients = 2..=2;
/// assert!(run(1, &options).violation.is_none());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// How many clients a world has: 2 to 5. At least one.
    pub clients: RangeInclusive<u8>,
    /// How many channels: 1 to 3. At most 8.
    pub channels: RangeInclusive<u8>,
    /// How long things go wrong, in virtual time: 20 s. Then everything heals.
    pub faults_for: Duration,
    /// How long it may take from then on until nothing is owed any more: 5 min of virtual time.
    pub converge_within: Duration,
    /// From one publication of a client to the next: 10 ms to 400 ms.
    pub publish_every: RangeInclusive<Duration>,
    /// How often links fail, in a million datagrams or writes: up to 100,000 (10 %). Each world draws its own.
    pub link_faults: u32,
    /// From one fault of a kind that concerns a whole connection or process to the next: 500 ms to 10 s. Each
    /// world draws its own for each kind, and leaves out some kinds altogether.
    pub fault_every: RangeInclusive<Duration>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            clients: 2..=5,
            channels: 1..=3,
            faults_for: Duration::from_secs(20),
            converge_within: Duration::from_secs(300),
            publish_every: Duration::from_millis(10)..=Duration::from_millis(400),
            link_faults: 100_000,
            fault_every: Duration::from_millis(500)..=Duration::from_secs(10),
        }
    }
}

/// What a seed drew.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Plan {
    pub(crate) clients: Vec<Dialect>,
    pub(crate) channels: u8,
    pub(crate) weather: Weather,
    pub(crate) publish_every: Duration,
    /// In a million publications, those with a time to live.
    pub(crate) expiring: u32,
    /// How long a commit takes.
    pub(crate) commit: Duration,
    /// How long a disk takes.
    pub(crate) disk: Duration,
    /// From one fault of each kind to the next; `None` where this world has none.
    pub(crate) every: Vec<(Trouble, Duration)>,
    pub(crate) tight: Tightness,
    pub(crate) medium: Medium,
    /// Whether clients of Socket.IO are recovered.
    pub(crate) recovers: bool,
    /// Whether what is published with a key is answered again what it was answered.
    pub(crate) remembers: bool,
    /// Whether the hub settles with its log by itself, as it does in production, or reads take their time.
    pub(crate) reads_at_once: bool,
    /// How long it takes to see whether a client of Socket.IO may come in, and then to set it up.
    pub(crate) middleware: Duration,
}

/// What becomes of the log when the server's process dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Medium {
    /// It is in the process's memory.
    Volatile,
    /// It is elsewhere, and stays as it is.
    Kept,
    /// It is on a disk, which fails as disks do.
    Disk,
}

/// What a client speaks, and over what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Dialect {
    Native(Kind),
    SocketIo,
}

/// How narrow the bounds are: a world with room never meets some of its branches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Tightness {
    Roomy,
    /// Windows of a few messages, pages of a few entries, little history.
    Tight,
}

/// A fault that comes from time to time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Trouble {
    Cut,
    HalfOpen,
    EarlyReturn,
    Crash,
    Restart,
    ClockJump,
    SlowReader,
    StalledReader,
    DoubleClaim,
    Trim,
    AppendFailure,
    SlowCommit,
    Revocation,
    Forgery,
    PowerCut,
    DiskFull,
    SyncFailure,
}

impl Trouble {
    const ALL: [Self; 17] = [
        Self::Cut,
        Self::HalfOpen,
        Self::EarlyReturn,
        Self::Crash,
        Self::Restart,
        Self::ClockJump,
        Self::SlowReader,
        Self::StalledReader,
        Self::DoubleClaim,
        Self::Trim,
        Self::AppendFailure,
        Self::SlowCommit,
        Self::Revocation,
        Self::Forgery,
        Self::PowerCut,
        Self::DiskFull,
        Self::SyncFailure,
    ];
}

/// In a million worlds, those that a kind of fault is left out of: bugs hide where everything goes wrong at once.
const LEFT_OUT: u32 = 300_000;

impl Plan {
    pub(crate) fn draw(rng: &mut Rng, options: &Options) -> Self {
        let count = |rng: &mut Rng, range: &RangeInclusive<u8>| {
            rng.within(u64::from(*range.start())..=u64::from(*range.end())) as u8
        };
        let clients = (0..count(rng, &options.clients)).map(|_| Dialect::draw(rng)).collect();
        let channels = count(rng, &options.channels).clamp(1, 8);
        let publish_every = rng.duration(&options.publish_every);
        let every = Trouble::ALL
            .into_iter()
            .filter_map(|trouble| {
                let every = rng.duration(&options.fault_every);
                (!rng.happens(LEFT_OUT)).then_some((trouble, every))
            })
            .collect();
        Self {
            clients,
            channels,
            weather: Weather::draw(rng, options.link_faults),
            publish_every,
            expiring: rng.up_to(1) * rng.up_to(500_000),
            commit: rng.duration(&(Duration::ZERO..=Duration::from_millis(30))),
            disk: rng.duration(&(Duration::ZERO..=Duration::from_millis(20))),
            every,
            tight: *rng.pick(&[Tightness::Roomy, Tightness::Tight]),
            medium: *rng.pick(&[Medium::Volatile, Medium::Volatile, Medium::Kept, Medium::Disk]),
            recovers: rng.happens(500_000),
            remembers: rng.happens(500_000),
            reads_at_once: rng.happens(300_000),
            middleware: rng.duration(&(Duration::ZERO..=Duration::from_millis(40))) * rng.up_to(1),
        }
    }
}

impl Dialect {
    fn draw(rng: &mut Rng) -> Self {
        *rng.pick(&[
            Self::Native(Kind::Stream),
            Self::Native(Kind::Stream),
            Self::Native(Kind::Datagram),
            Self::Native(Kind::Datagram),
            Self::SocketIo,
        ])
    }
}

impl Weather {
    fn draw(rng: &mut Rng, most: u32) -> Self {
        let mut chance = || rng.up_to(1) * rng.up_to(most);
        let (loss, duplication, reordering, delay, split) =
            (chance(), chance(), chance(), chance() / 8, chance() * 3);
        let latency = rng.duration(&(Duration::from_micros(100)..=Duration::from_millis(80)));
        let jitter = rng.duration(&(Duration::ZERO..=latency / 2));
        Self { latency, jitter, loss, duplication, reordering, delay, split }
    }
}
