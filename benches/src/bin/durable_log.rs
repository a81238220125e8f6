//! Durable appends at the log on a disk, beside a publisher that writes and syncs each record by itself.
//!
//! ```text
//! cargo run --release -p tenfour-benches --bin durable_log [-- DIRECTORY [SECONDS]]
//! ```
//!
//! The directory (`target/durable_log` unless told) must be on a real disk: one in memory syncs for nothing. All cases
//! take turns for so many seconds (40 unless told), in rounds of a quarter of a second, and what is printed are medians
//! over the rounds: another program that keeps the disk busy disturbs all of them alike.
//!
//! A record has 200 bytes and goes to one of 1,000 channels. N publishers are N appends in flight: as one is answered,
//! the next is handed over, by the one thread that drives the log.

use std::{
    collections::VecDeque,
    error::Error,
    fs::{self, File},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    task::{Wake, Waker},
    thread::{self, Thread},
    time::{Duration, Instant},
};

use bytes::Bytes;
use bytestring::ByteString;
use tenfour_log::{Disk, Epoch, Log as _, Record, Ticket, WallTime, disk::Config};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const ROUND: Duration = Duration::from_millis(250);
const RECORD: usize = 200;
const CHANNELS: u64 = 1_000;
/// What is zero-filled for the publisher that overwrites: more than it can use.
const FILLED: usize = 256 * 1024 * 1024;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let directory = PathBuf::from(arguments.next().unwrap_or_else(|| "target/durable_log".into()));
    let seconds: u64 = arguments.next().map_or(Ok(40), |seconds| seconds.parse())?;
    fs::create_dir_all(&directory)?;
    let directory = tempfile::tempdir_in(directory)?;

    let mut cases = cases(directory.path())?;
    let rounds = (seconds * 1_000 / ROUND.as_millis() as u64 / cases.len() as u64).max(3);
    for _ in 0..rounds {
        for case in &mut cases {
            case.samples.push(measure(&mut *case.publisher)?);
        }
    }
    print(&cases);
    Ok(())
}

fn measure(publisher: &mut dyn Publisher) -> Result<Sample> {
    let (start, cpu) = (Instant::now(), cpu()?);
    let mut latencies = publisher.run(ROUND)?;
    let (elapsed, cpu) = (start.elapsed(), self::cpu()? - cpu);
    let records = latencies.len().max(1) as u32;
    let per_second = f64::from(records) / elapsed.as_secs_f64();
    Ok(Sample { per_second, latency: median(&mut latencies), cpu: cpu / records })
}

/// What this process has used of all CPUs, in ticks of 10 ms.
fn cpu() -> Result<Duration> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    // The name, in brackets, may hold anything; user and system time are the 12th and 13th numbers behind it.
    let numbers = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: u64 = numbers.skip(11).take(2).map(|ticks| ticks.parse().unwrap_or(0)).sum();
    Ok(Duration::from_millis(10 * ticks))
}

struct Case {
    name: &'static str,
    publisher: Box<dyn Publisher>,
    samples: Vec<Sample>,
}

fn cases(directory: &Path) -> Result<Vec<Case>> {
    let case = |name, publisher: Box<dyn Publisher>| Case { name, publisher, samples: Vec::new() };
    Ok(vec![
        case("a file that grows, one fdatasync each", Box::new(Naive::growing(&directory.join("growing"))?)),
        case("a zero-filled file, one fdatasync each", Box::new(Naive::filled(&directory.join("filled"))?)),
        case("the log, 1 publisher", Box::new(Grouped::new(&directory.join("1"), 1)?)),
        case("the log, 64 publishers", Box::new(Grouped::new(&directory.join("64"), 64)?)),
        case("the log, 1,024 publishers", Box::new(Grouped::new(&directory.join("1024"), 1_024)?)),
    ])
}

/// What one round gave.
#[derive(Clone, Copy)]
struct Sample {
    per_second: f64,
    /// The median of its records.
    latency: Duration,
    /// Of this process, all its threads with it, for each record.
    cpu: Duration,
}

trait Publisher {
    /// Publishes for so long, and answers how long each record took.
    fn run(&mut self, time: Duration) -> Result<Vec<Duration>>;
}

/// Writes a record, syncs, and goes on.
struct Naive {
    file: File,
    at: u64,
}

impl Naive {
    fn growing(path: &Path) -> Result<Self> {
        Ok(Self { file: File::create(path)?, at: 0 })
    }

    fn filled(path: &Path) -> Result<Self> {
        fs::write(path, vec![0; FILLED])?;
        let file = File::options().write(true).open(path)?;
        file.sync_all()?;
        Ok(Self { file, at: 0 })
    }
}

impl Publisher for Naive {
    fn run(&mut self, time: Duration) -> Result<Vec<Duration>> {
        let record = [7; RECORD];
        let mut latencies = Vec::new();
        let start = Instant::now();
        while start.elapsed() < time {
            let begun = Instant::now();
            self.file.write_all_at(&record, self.at)?;
            self.file.sync_data()?;
            self.at += RECORD as u64;
            latencies.push(begun.elapsed());
        }
        Ok(latencies)
    }
}

/// So many appends in flight at a log.
struct Grouped {
    log: Disk,
    publishers: usize,
    channels: Vec<ByteString>,
    payload: Bytes,
    next: u64,
}

impl Grouped {
    fn new(path: &Path, publishers: usize) -> Result<Self> {
        let (log, _) = Disk::open(path, Config::new(Epoch::new(1)))?;
        let channels = (0..CHANNELS).map(|number| format!("channel-{number}").into()).collect();
        Ok(Self { log, publishers, channels, payload: vec![7; RECORD].into(), next: 0 })
    }

    fn append(&mut self, begun: &mut VecDeque<Instant>) {
        self.next += 1;
        let record = Record {
            channels: vec![self.channels[(self.next.wrapping_mul(0x9e37_79b9) % CHANNELS) as usize].clone()],
            producer: None,
            ingested: WallTime::from_unix_millis(self.next),
            expires: None,
            payload: self.payload.clone(),
        };
        begun.push_back(Instant::now());
        self.log.append(Ticket(self.next), vec![record]);
    }
}

impl Publisher for Grouped {
    fn run(&mut self, time: Duration) -> Result<Vec<Duration>> {
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        // Answers come in the order of the appends.
        let mut begun = VecDeque::new();
        let mut latencies = Vec::new();
        let start = Instant::now();
        for _ in 0..self.publishers {
            self.append(&mut begun);
        }
        while !begun.is_empty() {
            self.log.wake_when_answered(waker.clone());
            let goes_on = start.elapsed() < time;
            let mut answered = 0;
            while let Some(completion) = self.log.poll() {
                completion.result?;
                latencies.extend(begun.pop_front().map(|begun: Instant| begun.elapsed()));
                answered += 1;
                if goes_on {
                    self.append(&mut begun);
                }
            }
            if answered == 0 {
                thread::park();
            }
        }
        Ok(latencies)
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn median<T: Copy + PartialOrd + Default>(values: &mut [T]) -> T {
    values.sort_unstable_by(|one, other| one.partial_cmp(other).unwrap_or(std::cmp::Ordering::Equal));
    values.get(values.len() / 2).copied().unwrap_or_default()
}

fn print(cases: &[Case]) {
    let of = |case: &Case| {
        let median_of =
            |value: fn(&Sample) -> Duration| median(&mut case.samples.iter().map(value).collect::<Vec<_>>());
        let rate = median(&mut case.samples.iter().map(|sample| sample.per_second).collect::<Vec<_>>());
        (rate, median_of(|sample| sample.latency), median_of(|sample| sample.cpu))
    };
    let [growing, filled] = [of(&cases[0]).0, of(&cases[1]).0];
    println!("| | records/s | p50 | CPU each | of the growing file's | of the zero-filled one's |");
    println!("|---|---|---|---|---|---|");
    for case in cases {
        let (rate, latency, cpu) = of(case);
        let (growing, filled) = (rate / growing, rate / filled);
        println!(
            "| {} | {rate:.0} | {latency:.1?} | {cpu:.2?} | {growing:.1} x | {filled:.1} x |",
            case.name
        );
    }
}
