//! What recovery costs, and how fast it is, all in one run and against one server on the same disk:
//!
//! - the server's CPU time for each delivery of a broadcast to 1,000 sockets: at most once, from a log in memory, from one on
//!   disk. So many a second that each delivery is a write of its own: what has to wait shares writes, and costs less;
//! - how long a line takes until its sender has it back, committed on disk, beside what one write and sync take there;
//! - how long 1,000 clients that were away take to be sent 1,000 messages each, and what memory that takes.
//!
//! ```text
//! cargo build --release --example bench-server
//! cargo build --release -p tenfour-benches --bin recovery
//! taskset -c 1 target/release/recovery "taskset -c 0 target/release/examples/bench-server --threads 1" target
//! ```
//!
//! The arguments are the server's command and a folder on the disk that is measured.

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use tenfour_benches::load::{Case, Client, MEASURED, Result, Server, measure};
use tokio::task::LocalSet;

const ROUNDS: usize = 3;
const SOCKETS: usize = 1_000;
/// Broadcasts a second.
const RATE: u32 = 40;
const AWAY: usize = 1_000;

fn main() -> Result<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [command, folder] = &arguments[..] else { return Err("usage: recovery COMMAND FOLDER".into()) };
    let data = Data(Path::new(folder).join(format!("recovery-bench-{}", std::process::id())));
    fs::create_dir_all(&data.0)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async {
        deliveries(command, &data).await?;
        line(command, &data).await?;
        for kind in [Kind::Memory, Kind::Disk] {
            resumptions(command, &data, kind).await?;
        }
        Ok(())
    })
}

/// A folder for this run alone.
struct Data(PathBuf);

impl Drop for Data {
    fn drop(&mut self) {
        // What is left of a measurement disturbs nobody.
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    AtMostOnce,
    Memory,
    Disk,
}

/// A server with a fresh log.
fn start(command: &str, data: &Data, kind: Kind) -> Result<Server> {
    let log = data.0.join("log");
    match fs::remove_dir_all(&log) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    match kind {
        Kind::AtMostOnce => Server::start(command),
        Kind::Memory => Server::start(&format!("{command} --recovery")),
        Kind::Disk => Server::start(&format!("{command} --recovery --data {}", log.display())),
    }
}

async fn deliveries(command: &str, data: &Data) -> Result<()> {
    let cases = [(Kind::AtMostOnce, "broadcast"), (Kind::Memory, "publish"), (Kind::Disk, "publish")];
    let mut costs: [Vec<f64>; 3] = Default::default();
    for _ in 0..ROUNDS {
        for ((kind, event), costs) in cases.into_iter().zip(&mut costs) {
            let server = start(command, data, kind)?;
            let measured = measure(&server, SOCKETS, 1, Case::Paced(event, RATE)).await?;
            println!(
                "{kind:?}, {RATE} broadcasts a second to {SOCKETS}: {:.0} deliveries/s, {:.3} µs of CPU each",
                measured.rate(),
                measured.cpu_micros()
            );
            costs.push(measured.cpu_micros());
        }
    }
    let [plain, memory, disk] = costs.map(median);
    println!(
        "CPU for each delivery, medians: {plain:.3} µs; from memory {:.2} times that; from disk {:.2} times",
        memory / plain,
        disk / plain
    );
    Ok(())
}

/// A line from its sender to its sender, one at a time.
async fn line(command: &str, data: &Data) -> Result<()> {
    let mut syncs = sync_times(&data.0)?;
    let server = start(command, data, Kind::Disk)?;
    let mut client = Client::connect(&server.address, "40").await?;
    let mut times = Vec::new();
    let end = Instant::now() + MEASURED;
    while Instant::now() < end {
        let sent = Instant::now();
        client.queue(&format!(r#"42{}["publish","a line of some length, as one says it"]"#, times.len()));
        client.flush().await?;
        let (mut delivered, mut acknowledged) = (false, false);
        while !(delivered && acknowledged) {
            for text in client.receive().await? {
                delivered |= text.starts_with("42");
                acknowledged |= text.starts_with("43");
            }
        }
        times.push(sent.elapsed());
    }
    drop(server);
    syncs.extend(sync_times(&data.0)?);
    syncs.sort_unstable();
    times.sort_unstable();
    let (at, sync) = (|share| quantile(&times, share), quantile(&syncs, 0.5));
    println!(
        "a line, committed, delivered and acknowledged: p50 {:?}, p99 {:?}; one write and sync: p50 {sync:?}, p99 {:?}; a line takes {:.1} syncs at its p99 and theirs",
        at(0.5),
        at(0.99),
        quantile(&syncs, 0.99),
        at(0.99).as_secs_f64() / quantile(&syncs, 0.99).as_secs_f64()
    );
    Ok(())
}

/// How long it takes to write some bytes into a file that has its length already, and sync it.
fn sync_times(folder: &Path) -> Result<Vec<Duration>> {
    let path = folder.join("sync");
    let mut file = File::create(&path)?;
    file.write_all(&vec![0; 1 << 20])?;
    file.sync_all()?;
    let mut times = Vec::new();
    for place in 0..1_000_u64 {
        let begin = Instant::now();
        std::os::unix::fs::FileExt::write_all_at(&file, &[7; 200], place * 200)?;
        file.sync_data()?;
        times.push(begin.elapsed());
    }
    fs::remove_file(&path)?;
    Ok(times)
}

async fn resumptions(command: &str, data: &Data, kind: Kind) -> Result<()> {
    let server = start(command, data, kind)?;
    let mut claims = Vec::new();
    let mut clients = Vec::new();
    for _ in 0..SOCKETS {
        let client = Client::connect(&server.address, "40").await?;
        claims.push(claim(&client)?);
        clients.push(client);
    }
    drop(clients);
    let mut publisher = Client::connect(&server.address, "40").await?;
    publisher.queue(&format!(r#"421["fill",{AWAY}]"#));
    publisher.flush().await?;
    while !publisher.receive().await?.iter().any(|text| text.starts_with("43")) {}

    let before = server.resident()?;
    server.forget_peak()?;
    let begin = Instant::now();
    let tasks: Vec<_> = claims
        .into_iter()
        .map(|claim| {
            let address = server.address.clone();
            tokio::task::spawn_local(async move {
                catch_up(&address, &claim).await.map_err(|error| error.to_string())
            })
        })
        .collect();
    for task in tasks {
        task.await??;
    }
    let (took, peak) = (begin.elapsed(), server.peak()?.saturating_sub(before));
    println!(
        "{kind:?}: {SOCKETS} clients were each sent {AWAY} messages that they had missed in {took:?}; the server took up to {:.1} MB more",
        peak as f64 / 1e6
    );
    Ok(())
}

/// The CONNECT packet of a client that comes back before it got an event.
fn claim(client: &Client) -> Result<String> {
    let greeting = client.greeting.iter().find_map(|text| text.strip_prefix("40")).ok_or("no greeting")?;
    let greeting: serde_json::Value = serde_json::from_str(greeting)?;
    let pid = greeting.get("pid").and_then(serde_json::Value::as_str).ok_or("no pid")?;
    Ok(format!("40{}", serde_json::json!({ "pid": pid })))
}

async fn catch_up(address: &str, claim: &str) -> Result<()> {
    let mut client = Client::connect(address, claim).await?;
    let mut next = 0;
    let mut texts = std::mem::take(&mut client.greeting);
    loop {
        for event in texts.iter().filter(|text| text.starts_with("42")) {
            if !event.starts_with(&format!(r#"42["filled",{next},"#)) {
                return Err(format!("{event} came where {next} was to come").into());
            }
            next += 1;
        }
        if next == AWAY {
            return Ok(());
        }
        texts = client.receive().await?;
    }
}

fn median(mut of: Vec<f64>) -> f64 {
    of.sort_by(f64::total_cmp);
    of[of.len() / 2]
}

fn quantile(sorted: &[Duration], share: f64) -> Duration {
    sorted.get((sorted.len() as f64 * share) as usize).copied().unwrap_or_default()
}
