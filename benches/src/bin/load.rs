//! Load on a server: acknowledged events (`echo`), or a broadcast that everyone gets (`broadcast`).
//!
//! ```text
//! cargo build --release --example bench-server
//! cargo run --release -p tenfour-benches --bin load -- echo target/release/examples/bench-server 64 16
//! cargo run --release -p tenfour-benches --bin load -- broadcast target/release/examples/bench-server 100 16
//! ```
//!
//! The arguments are the case, the server's command, connections, and events in flight: of each connection for `echo`, in
//! all for `broadcast`. The server is started with `--listen 127.0.0.1:0`, and says `listening on http://ADDRESS` in its
//! first line. Put server and load on cores of their own (`taskset`) where that matters.

use std::{
    collections::VecDeque,
    error::Error,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use tenfour_wire::{
    BytesMut,
    websocket::{Decoder, Message, Opcode, Role, encode_masked},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::LocalSet,
};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const WARM_UP: Duration = Duration::from_secs(1);
const MEASURED: Duration = Duration::from_secs(5);

fn main() -> Result<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [case, command, connections, in_flight] = &arguments[..] else {
        return Err("usage: load echo|broadcast COMMAND CONNECTIONS IN_FLIGHT".into());
    };
    let (connections, in_flight) = (connections.parse()?, in_flight.parse()?);
    let (mut server, address) = start(command)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut latencies, cpu) = LocalSet::new().block_on(&runtime, async {
        match case.as_str() {
            "echo" => measure(&address, connections, in_flight, Case::Echo, server.id()).await,
            "broadcast" => measure(&address, connections, in_flight, Case::Broadcast, server.id()).await,
            other => Err(format!("no case {other:?}").into()),
        }
    })?;
    latencies.sort_unstable();
    let rate = latencies.len() as f64 / MEASURED.as_secs_f64();
    let at =
        |share: f64| latencies.get((latencies.len() as f64 * share) as usize).copied().unwrap_or_default();
    let each = cpu * 1e6 / latencies.len() as f64;
    println!(
        "{case} {connections} x {in_flight}: {rate:.0}/s, p50 {:?}, p99 {:?}, {each:.2} µs of the server's CPU each",
        at(0.5),
        at(0.99)
    );
    server.kill()?;
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Case {
    Echo,
    Broadcast,
}

fn start(command: &str) -> Result<(Child, String)> {
    let mut words = command.split_whitespace();
    let program = words.next().ok_or("the command is empty")?;
    let mut process =
        Command::new(program).args(words).args(["--listen", "127.0.0.1:0"]).stdout(Stdio::piped()).spawn()?;
    let mut line = String::new();
    BufReader::new(process.stdout.take().ok_or("no output")?).read_line(&mut line)?;
    let address = line.trim().strip_prefix("listening on http://").ok_or("it did not say its address")?;
    Ok((process, address.to_owned()))
}

/// The latencies of what was measured, and the seconds of CPU time that the server took meanwhile: those tell more than a
/// rate does on a machine that has other things to do.
async fn measure(
    address: &str,
    connections: usize,
    in_flight: usize,
    case: Case,
    server: u32,
) -> Result<(Vec<Duration>, f64)> {
    let mut clients = Vec::new();
    for _ in 0..connections {
        clients.push(Client::connect(address).await?);
    }
    let begin = Instant::now() + WARM_UP;
    let mut tasks = Vec::new();
    for (index, mut client) in clients.into_iter().enumerate() {
        // A broadcast has one sender; its text tells everyone when it left.
        let window = if case == Case::Echo || index == 0 { in_flight } else { 0 };
        tasks.push(tokio::task::spawn_local(async move {
            let run = client.run(case, window, begin);
            run.await.map_err(|error| error.to_string())
        }));
    }
    tokio::time::sleep_until(begin.into()).await;
    let before = cpu_seconds(server)?;
    let mut latencies = Vec::new();
    for task in tasks {
        latencies.extend(task.await??);
    }
    Ok((latencies, cpu_seconds(server)? - before))
}

/// User and system time of a process, in the kernel's ticks of 10 ms.
fn cpu_seconds(process: u32) -> Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    let (_, fields) = stat.rsplit_once(')').ok_or("no stat")?;
    let ticks = fields
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(str::parse::<f64>)
        .sum::<std::result::Result<f64, _>>()?;
    Ok(ticks / 100.0)
}

struct Client {
    stream: TcpStream,
    decoder: Decoder,
    buffer: Vec<u8>,
    out: BytesMut,
    sent: VecDeque<Instant>,
    next: u64,
}

impl Client {
    async fn connect(address: &str) -> Result<Self> {
        let mut stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let request = format!(
            "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\n\
             Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await?);
        }
        let decoder = Decoder::new(Role::Client, 1 << 20);
        let buffer = vec![0; 16 << 10];
        let mut client =
            Self { stream, decoder, buffer, out: BytesMut::new(), sent: VecDeque::new(), next: 0 };
        encode_masked(Opcode::Text, b"40", [1, 2, 3, 4], &mut client.out);
        client.flush().await?;
        while !client.receive().await?.iter().any(|text| text.starts_with("40")) {}
        Ok(client)
    }

    /// Latencies of what came between `begin` and the end.
    async fn run(&mut self, case: Case, window: usize, begin: Instant) -> Result<Vec<Duration>> {
        let end = begin + MEASURED;
        let mut latencies = Vec::new();
        (0..window).for_each(|_| self.send(case, begin));
        self.flush().await?;
        while Instant::now() < end {
            let Ok(texts) = tokio::time::timeout_at(end.into(), self.receive()).await else { break };
            let now = Instant::now();
            for text in texts? {
                let latency = match case {
                    Case::Echo if text.starts_with("43") => self.sent.pop_front().map(|sent| now - sent),
                    Case::Broadcast if text.starts_with("42") => Some(since(&text, begin, now)),
                    _ => None,
                };
                let Some(latency) = latency else { continue };
                if now >= begin {
                    latencies.push(latency);
                }
                if window > 0 {
                    self.send(case, begin);
                }
            }
            self.flush().await?;
        }
        Ok(latencies)
    }

    fn send(&mut self, case: Case, begin: Instant) {
        let now = Instant::now();
        let text = match case {
            Case::Echo => {
                self.sent.push_back(now);
                self.next += 1;
                format!(r#"42{}["message","hello, world"]"#, self.next)
            }
            Case::Broadcast => format!(r#"42["broadcast",{}]"#, (now + WARM_UP - begin).as_micros()),
        };
        encode_masked(Opcode::Text, text.as_bytes(), [1, 2, 3, 4], &mut self.out);
    }

    async fn flush(&mut self) -> Result<()> {
        self.stream.write_all(&self.out).await?;
        self.out.clear();
        Ok(())
    }

    async fn receive(&mut self) -> Result<Vec<String>> {
        let count = self.stream.read(&mut self.buffer).await?;
        if count == 0 {
            return Err("the server closed the connection".into());
        }
        let (mut input, mut texts) = (&self.buffer[..count], Vec::new());
        while let Some(message) = self.decoder.decode(&mut input)? {
            match message {
                Message::Text(text) if text == "2" => {
                    encode_masked(Opcode::Text, b"3", [1, 2, 3, 4], &mut self.out);
                }
                Message::Text(text) => texts.push(text.to_string()),
                _ => {}
            }
        }
        Ok(texts)
    }
}

/// How long ago a broadcast was sent, by its text.
fn since(text: &str, begin: Instant, now: Instant) -> Duration {
    let digits: String = text.chars().skip(2).filter(char::is_ascii_digit).collect();
    let sent = Duration::from_micros(digits.parse().unwrap_or_default());
    (now + WARM_UP - begin).saturating_sub(sent)
}
