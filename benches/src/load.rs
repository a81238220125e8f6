//! Load on a server from one thread: clients that say what the stock ones say, and the server's process.

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
};

/// What a measurement may fail with.
pub type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// How long a load runs before it is measured.
pub const WARM_UP: Duration = Duration::from_secs(1);
/// How long it is measured.
pub const MEASURED: Duration = Duration::from_secs(5);

/// What the clients do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    /// Each sends events that are acknowledged.
    Echo,
    /// One sends events of this name, which come back to everyone.
    Broadcast(&'static str),
    /// The same, so many a second whatever comes back, so that each delivery is a write of its own.
    Paced(&'static str, u32),
}

/// What was measured.
#[derive(Clone, Debug)]
pub struct Measured {
    /// How long each event took, from the shortest on.
    pub latencies: Vec<Duration>,
    /// Seconds of the server's CPU time meanwhile.
    pub cpu: f64,
}

impl Measured {
    /// The latency that this share of the events did not exceed.
    pub fn at(&self, share: f64) -> Duration {
        self.latencies.get((self.latencies.len() as f64 * share) as usize).copied().unwrap_or_default()
    }

    /// Events a second.
    pub fn rate(&self) -> f64 {
        self.latencies.len() as f64 / MEASURED.as_secs_f64()
    }

    /// Microseconds of the server's CPU time for each event. On a machine that has other things to do it tells more than the rate.
    pub fn cpu_micros(&self) -> f64 {
        self.cpu * 1e6 / self.latencies.len() as f64
    }
}

/// A server's process, killed when it is dropped.
#[derive(Debug)]
pub struct Server {
    process: Child,
    /// Where it listens.
    pub address: String,
}

impl Server {
    /// Starts a command with `--listen 127.0.0.1:0`, which says `listening on http://ADDRESS` in its first line.
    ///
    /// # Errors
    /// If it does not start, or says something else.
    pub fn start(command: &str) -> Result<Self> {
        let mut words = command.split_whitespace();
        let program = words.next().ok_or("the command is empty")?;
        let mut process = Command::new(program)
            .args(words)
            .args(["--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        BufReader::new(process.stdout.take().ok_or("no output")?).read_line(&mut line)?;
        let address = line.trim().strip_prefix("listening on http://").ok_or("it did not say its address")?;
        Ok(Self { process, address: address.to_owned() })
    }

    /// User and system time, in seconds; the kernel counts in steps of 10 ms.
    ///
    /// # Errors
    /// If the process is gone.
    pub fn cpu_seconds(&self) -> Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id()))?;
        let (_, fields) = stat.rsplit_once(')').ok_or("no stat")?;
        let ticks = fields
            .split_whitespace()
            .skip(11)
            .take(2)
            .map(str::parse::<f64>)
            .sum::<std::result::Result<f64, _>>()?;
        Ok(ticks / 100.0)
    }

    /// Bytes that are resident now.
    ///
    /// # Errors
    /// If the process is gone.
    pub fn resident(&self) -> Result<u64> {
        self.status("VmRSS:")
    }

    /// The most bytes that were resident since [`forget_peak`](Self::forget_peak).
    ///
    /// # Errors
    /// If the process is gone.
    pub fn peak(&self) -> Result<u64> {
        self.status("VmHWM:")
    }

    /// Begins the count of [`peak`](Self::peak) anew.
    ///
    /// # Errors
    /// If the kernel does not allow it.
    pub fn forget_peak(&self) -> Result<()> {
        Ok(std::fs::write(format!("/proc/{}/clear_refs", self.process.id()), "5")?)
    }

    fn status(&self, field: &str) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix(field)).ok_or("no such field")?;
        let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kibibytes * 1024)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Runs a case on so many connections, with so many events in flight: of each for an echo, in all for a broadcast. It is called on
/// a [`LocalSet`](tokio::task::LocalSet).
///
/// # Errors
/// If the server fails.
pub async fn measure(server: &Server, connections: usize, in_flight: usize, case: Case) -> Result<Measured> {
    let mut clients = Vec::new();
    for _ in 0..connections {
        clients.push(Client::connect(&server.address, "40").await?);
    }
    let begin = Instant::now() + WARM_UP;
    let mut tasks = Vec::new();
    for (index, mut client) in clients.into_iter().enumerate() {
        // A broadcast has one sender; its number tells everyone when it left.
        let window = if case == Case::Echo || index == 0 { in_flight } else { 0 };
        tasks.push(tokio::task::spawn_local(async move {
            let run = client.run(case, window, begin);
            run.await.map_err(|error| error.to_string())
        }));
    }
    tokio::time::sleep_until(begin.into()).await;
    let before = server.cpu_seconds()?;
    let mut latencies = Vec::new();
    for task in tasks {
        latencies.extend(task.await??);
    }
    latencies.sort_unstable();
    Ok(Measured { latencies, cpu: server.cpu_seconds()? - before })
}

/// A Socket.IO client over WebSocket.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    decoder: Decoder,
    buffer: Vec<u8>,
    out: BytesMut,
    sent: VecDeque<Instant>,
    next: u64,
    /// The answer to its CONNECT packet, and what came in one piece with it.
    pub greeting: Vec<String>,
}

impl Client {
    /// Connects to the main namespace with this CONNECT packet: `40`, or with an `auth` object behind it.
    ///
    /// # Errors
    /// If the server does not let it in.
    pub async fn connect(address: &str, connect: &str) -> Result<Self> {
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
        let mut client = Self {
            stream,
            decoder: Decoder::new(Role::Client, 1 << 20),
            buffer: vec![0; 16 << 10],
            out: BytesMut::new(),
            sent: VecDeque::new(),
            next: 0,
            greeting: Vec::new(),
        };
        client.queue(connect);
        client.flush().await?;
        while !client.greeting.iter().any(|text| text.starts_with("40")) {
            let texts = client.receive().await?;
            client.greeting.extend(texts.into_iter().filter(|text| text.starts_with('4')));
        }
        Ok(client)
    }

    /// Latencies of what came between `begin` and the end.
    async fn run(&mut self, case: Case, window: usize, begin: Instant) -> Result<Vec<Duration>> {
        let end = begin + MEASURED;
        let mut latencies = Vec::new();
        (0..window).for_each(|_| self.send(case, begin));
        self.flush().await?;
        let pace = match case {
            Case::Paced(_, rate) if window > 0 => Duration::from_secs(1) / rate,
            _ => end - begin + WARM_UP,
        };
        let mut due = Instant::now() + pace;
        while Instant::now() < end {
            let Ok(texts) = tokio::time::timeout_at(due.min(end).into(), self.receive()).await else {
                if due < end {
                    due += pace;
                    self.send(case, begin);
                    self.flush().await?;
                }
                continue;
            };
            let now = Instant::now();
            for text in texts? {
                let latency = match case {
                    Case::Echo if text.starts_with("43") => self.sent.pop_front().map(|sent| now - sent),
                    Case::Broadcast(_) | Case::Paced(..) if text.starts_with("42") => {
                        Some(since(&text, begin, now))
                    }
                    _ => None,
                };
                let Some(latency) = latency else { continue };
                if now >= begin {
                    latencies.push(latency);
                }
                if window > 0 && !matches!(case, Case::Paced(..)) {
                    self.send(case, begin);
                }
            }
            self.flush().await?;
        }
        Ok(latencies)
    }

    fn send(&mut self, case: Case, begin: Instant) {
        let now = Instant::now();
        match case {
            Case::Echo => {
                self.sent.push_back(now);
                self.next += 1;
                self.queue(&format!(r#"42{}["message","hello, world"]"#, self.next));
            }
            Case::Broadcast(name) | Case::Paced(name, _) => {
                self.queue(&format!(r#"42["{name}",{}]"#, (now + WARM_UP - begin).as_micros()));
            }
        }
    }

    /// Queues a text message; [`flush`](Self::flush) sends it.
    pub fn queue(&mut self, text: &str) {
        encode_masked(Opcode::Text, text.as_bytes(), [1, 2, 3, 4], &mut self.out);
    }

    /// Sends what is queued.
    ///
    /// # Errors
    /// If the connection is lost.
    pub async fn flush(&mut self) -> Result<()> {
        self.stream.write_all(&self.out).await?;
        self.out.clear();
        Ok(())
    }

    /// The text messages that come next, pings aside, which it answers with the next [`flush`](Self::flush).
    ///
    /// # Errors
    /// If the connection is lost.
    pub async fn receive(&mut self) -> Result<Vec<String>> {
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

/// How long ago a broadcast was sent, by the number in its text; an offset may follow it.
fn since(text: &str, begin: Instant, now: Instant) -> Duration {
    let digits = text.chars().skip(2).skip_while(|c| !c.is_ascii_digit()).take_while(char::is_ascii_digit);
    let sent = Duration::from_micros(digits.collect::<String>().parse().unwrap_or_default());
    (now + WARM_UP - begin).saturating_sub(sent)
}
