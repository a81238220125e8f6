//! How long a log on a disk takes to open, and what its index takes in memory.
//!
//! ```sh
//! cargo run --release -p tenfour-benches --bin log_open -- --messages 1000000 --channels 1000 --payload 200
//! ```
//!
//! The log is written to a new directory under `--directory` (by default that of temporary files), opened three times as a
//! restarted process would find it, in the page cache, and removed.

use std::{error::Error, path::PathBuf, time::Instant};

use bytes::Bytes;
use tenfour_counting_alloc::held;
use tenfour_delivery::{
    number::{Epoch, Offset},
    time::WallTime,
};
use tenfour_log::{
    Bound, Disk, Log as _, Query, Record, Ticket,
    disk::{Commit, Config},
};

struct Options {
    messages: usize,
    channels: usize,
    payload: usize,
    directory: PathBuf,
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = options()?;
    let directory = tempfile::tempdir_in(&options.directory)?;
    let begin = Instant::now();
    write(directory.path().into(), &options)?;
    println!("written in {:.2} s", begin.elapsed().as_secs_f64());
    for _ in 0..3 {
        let (begin, cpu) = (Instant::now(), cpu_seconds()?);
        let (log, found) = Disk::open(directory.path(), config(Commit::Thread))?;
        let (elapsed, cpu) = (begin.elapsed().as_secs_f64(), cpu_seconds()? - cpu);
        println!("opened in {elapsed:.3} s with {cpu:.2} s of CPU time: {found}");
        let begin = Instant::now();
        let query = Query { messages: 1_000, ..Query::of(name(0), Offset::START) };
        let page = log.read(&query)?;
        println!(
            "{} of one channel read in {:.2} ms",
            page.entries.len(),
            begin.elapsed().as_secs_f64() * 1e3
        );
    }
    // What is counted is what this thread allocates, so it has to do all of it.
    let before = held();
    let log = Disk::open(directory.path(), config(Commit::Manual))?;
    let index = held() - before;
    println!("the index takes {index} bytes, {} for an entry", index as usize / options.messages.max(1));
    drop(log);
    Ok(())
}

/// What this process has used of all processors; 0 where `/proc` does not say.
fn cpu_seconds() -> Result<f64, Box<dyn Error>> {
    let Ok(stat) = std::fs::read_to_string("/proc/self/stat") else { return Ok(0.0) };
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    // The 14th and 15th field of proc(5), in hundredths of a second; the second one ended at the bracket.
    let ticks = fields.skip(11).take(2).map(str::parse::<u64>).sum::<Result<u64, _>>()?;
    Ok(ticks as f64 / 100.0)
}

fn options() -> Result<Options, Box<dyn Error>> {
    let mut options =
        Options { messages: 1_000_000, channels: 1_000, payload: 200, directory: std::env::temp_dir() };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let value = arguments.next().ok_or("an option has no value")?;
        match &*argument {
            "--messages" => options.messages = value.parse()?,
            "--channels" => options.channels = value.parse()?,
            "--payload" => options.payload = value.parse()?,
            "--directory" => options.directory = value.into(),
            _ => return Err(format!("{argument}: no such option").into()),
        }
    }
    Ok(options)
}

fn config(commit: Commit) -> Config {
    let mut config = Config::new(Epoch::new(1));
    config.commit = commit;
    let all = Bound { messages: usize::MAX, bytes: usize::MAX };
    (config.retention.channel, config.retention.total) = (all, all);
    config
}

fn name(channel: usize) -> bytestring::ByteString {
    format!("channel {channel}").into()
}

fn write(directory: PathBuf, options: &Options) -> Result<(), Box<dyn Error>> {
    let (mut log, _) = Disk::open(directory, config(Commit::Thread))?;
    let names: Vec<_> = (0..options.channels.max(1)).map(name).collect();
    let payload = Bytes::from(vec![b'x'; options.payload]);
    for number in 0..options.messages {
        let record = Record {
            channels: vec![names[number % names.len()].clone()],
            producer: None,
            ingested: WallTime::from_unix_millis(number as u64),
            expires: None,
            payload: payload.clone(),
        };
        log.append(Ticket(number as u64), vec![record]);
        if number % 1_000 == 999 {
            log.wait();
            while let Some(completion) = log.poll() {
                completion.result?;
            }
        }
    }
    log.wait();
    Ok(())
}
