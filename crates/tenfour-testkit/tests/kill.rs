//! `kill -9` under load: a process appends to a log in a real directory and says what was acknowledged, is killed, and the
//! log is opened again.
//!
//! It shows that the committer's thread, the real files and the lock work together. It does not show that anything is
//! synced, which a killed process needs not: the suite `crash` does.

use std::{
    collections::BTreeMap,
    error::Error,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, Command, ExitCode, Stdio},
    sync::Arc,
    task::{Wake, Waker},
    thread::{self, Thread},
};

use tenfour_log::{
    Disk, Entry, Epoch, Log as _, Offset, Query, Record, Ticket, WallTime,
    disk::{Config, OpenError},
};
use tenfour_testkit::Rng;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const ROUNDS: u32 = 6;
/// Appends that wait for their answers at one time.
const IN_FLIGHT: u64 = 64;
const NAME: &str = "what_was_acknowledged_survives_a_kill";
/// Says that this process is the one to be killed.
const WRITER: &str = "writer";

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let result = match &arguments[..] {
        [role, directory] if role == WRITER => write(Path::new(directory)),
        _ if arguments.iter().any(|argument| argument == "--list") => {
            println!("{NAME}: test");
            Ok(())
        }
        _ if !is_asked_for(&arguments) => Ok(()),
        _ => what_was_acknowledged_survives_a_kill(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether this is among the tests that `cargo test NAME` runs.
fn is_asked_for(arguments: &[String]) -> bool {
    let mut names = arguments.iter().filter(|argument| !argument.starts_with('-')).peekable();
    names.peek().is_none() || names.any(|name| NAME.contains(name.as_str()))
}

fn what_was_acknowledged_survives_a_kill() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let mut rng = Rng::new(std::process::id().into());
    let mut acknowledged = BTreeMap::new();
    for round in 0..ROUNDS {
        let before = acknowledged.len();
        let wanted = rng.within(100..=3_000) as usize;
        kill_after(wanted, directory.path(), &mut acknowledged)?;
        let held = judge(directory.path(), &acknowledged)?;
        println!("round {round}: {} acknowledged, {held} held in all", acknowledged.len() - before);
    }
    Ok(())
}

/// Lets a process append until it has said so many times that something was acknowledged, and kills it. What it said
/// after that, and was not read yet, counts as well.
fn kill_after(lines: usize, directory: &Path, acknowledged: &mut BTreeMap<u64, u64>) -> Result<()> {
    let mut writer =
        Command::new(std::env::current_exe()?).arg(WRITER).arg(directory).stdout(Stdio::piped()).spawn()?;
    let result = follow(&mut writer, lines, directory, acknowledged);
    writer.kill()?;
    writer.wait()?;
    result
}

fn follow(
    writer: &mut Child,
    lines: usize,
    directory: &Path,
    acknowledged: &mut BTreeMap<u64, u64>,
) -> Result<()> {
    let output = writer.stdout.take().ok_or("the writer has no output")?;
    for (place, line) in BufReader::new(output).lines().enumerate() {
        let line = line?;
        // The last line may be cut off: it ends in no dot.
        let Some((number, offset)) = line.strip_suffix('.').and_then(|line| line.split_once(' ')) else {
            continue;
        };
        acknowledged.insert(number.parse()?, offset.parse()?);
        if place == 0 && !matches!(Disk::open(directory, config()), Err(OpenError::Locked)) {
            return Err("two processes have the log".into());
        }
        if place == lines {
            writer.kill()?;
        }
    }
    match acknowledged.is_empty() {
        true => Err("the writer ended by itself".into()),
        false => Ok(()),
    }
}

/// What was acknowledged is at its offset, and the log holds each number once and in order, with none left out.
fn judge(directory: &Path, acknowledged: &BTreeMap<u64, u64>) -> Result<usize> {
    let (log, _) = Disk::open(directory, config())?;
    let mut held = BTreeMap::new();
    let mut query = Query::all(Offset::START);
    loop {
        let page = log.read(&query)?;
        for entry in &page.entries {
            let next = held.last_key_value().map_or(1, |(number, _)| number + 1);
            let number = number(entry)?;
            if number != next {
                return Err(format!("{number} stands where {next} should: {entry:?}").into());
            }
            held.insert(number, entry.offset.get());
        }
        query.after = page.entries.last().map_or(query.after, |entry| entry.offset);
        if !page.more {
            break;
        }
    }
    match acknowledged.iter().find(|(number, offset)| held.get(number) != Some(offset)) {
        None => Ok(held.len()),
        Some((number, offset)) => {
            Err(format!("{number} was acknowledged at {offset}, and is not there").into())
        }
    }
}

/// Appends numbers from the one after the last that the log holds, and writes down what is acknowledged, until the process
/// is killed.
fn write(directory: &Path) -> Result<()> {
    let (mut log, _) = Disk::open(directory, config())?;
    let last = Offset::new(log.head().get().saturating_sub(1));
    let page = log.read(&Query::all(last))?;
    let mut next = page.entries.last().map_or(Ok(1), |entry| number(entry).map(|number| number + 1))?;
    let until = next + IN_FLIGHT;
    while next < until {
        next = append(&mut log, next);
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut output = std::io::stdout().lock();
    loop {
        log.wake_when_answered(waker.clone());
        while let Some(completion) = log.poll() {
            for entry in completion.result? {
                writeln!(output, "{} {}.", number(&entry)?, entry.offset)?;
            }
            next = append(&mut log, next);
        }
        output.flush()?;
        thread::park();
    }
}

fn append(log: &mut Disk, number: u64) -> u64 {
    let payload = [&number.to_be_bytes()[..], &vec![7; number as usize % 700]].concat();
    let record = Record {
        channels: vec!["numbers".into()],
        producer: None,
        ingested: WallTime::from_unix_millis(1),
        expires: None,
        payload: payload.into(),
    };
    log.append(Ticket(number), vec![record]);
    number + 1
}

fn number(entry: &Entry) -> Result<u64> {
    let payload = &entry.record.payload;
    let number =
        payload.first_chunk().map(|number| u64::from_be_bytes(*number)).ok_or("a payload is short")?;
    match payload.len() == 8 + number as usize % 700 {
        true => Ok(number),
        false => Err(format!("{number} has {} bytes", payload.len()).into()),
    }
}

/// Small segments, so that some are begun in each round; nothing is trimmed.
fn config() -> Config {
    let mut config = Config::new(Epoch::new(1));
    config.segment_bytes = 256 * 1024;
    config.retention.channel.messages = usize::MAX;
    config.retention.channel.bytes = usize::MAX;
    config.retention.total.messages = usize::MAX;
    config.retention.total.bytes = usize::MAX;
    config
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
