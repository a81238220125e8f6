//! A UDP proxy on loopback with the weather of a bad network: it loses, repeats and reorders datagrams.
//!
//! What it does to a datagram is drawn from a seed, one draw after the other in the order of arrival; so with the same
//! seed and the same arrivals it does the same.
//!
//! ```
//! use std::net::UdpSocket;
//! use tenfour_testkit::datagram::{DatagramProxy, Weather};
//!
//! # fn main() -> std::io::Result<()> {
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
//! # runtime.block_on(async {
//! let server = tokio::net::UdpSocket::bind("127.0.0.1:0").await?;
//! let proxy = DatagramProxy::start(server.local_addr()?, Weather::default(), 7).await?;
//! let client = tokio::net::UdpSocket::bind("127.0.0.1:0").await?;
//! client.send_to(b"ping", proxy.addr()).await?;
//!
//! let mut buffer = [0; 16];
//! let (length, from) = server.recv_from(&mut buffer).await?;
//! assert_eq!(&buffer[..length], b"ping");
//! server.send_to(b"pong", from).await?;
//! assert_eq!(client.recv(&mut buffer).await?, 4);
//! # Ok(()) })
//! # }
//! ```

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{
    net::UdpSocket,
    select,
    sync::mpsc,
    task::{JoinHandle, JoinSet},
    time::{Instant, sleep_until},
};

/// The largest datagram that there is.
const LARGEST: usize = 65_535;
/// Datagrams that are held back at once in one direction; what comes beyond is lost, and counted as such.
const HELD: usize = 4096;
/// Clients that are known at once; a datagram of a further one is lost.
const CLIENTS: usize = 1024;

/// What happens to datagrams, in each direction: chances of a thousand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Weather {
    /// Datagrams of a thousand that are lost: none.
    pub lost: u16,
    /// Datagrams of a thousand that arrive twice: none.
    pub repeated: u16,
    /// Datagrams of a thousand that are held back for up to `delay`, so that later ones overtake them: none.
    pub delayed: u16,
    /// How long one is held back at most: not at all.
    pub delay: Duration,
}

impl Weather {
    /// Loses one datagram in five, repeats one in twenty, and holds one in ten back for up to 5 ms.
    pub const STORM: Self = Self { lost: 200, repeated: 50, delayed: 100, delay: Duration::from_millis(5) };
}

/// What a proxy did so far, in both directions together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Datagrams that arrived at the proxy.
    pub arrived: u64,
    /// Those that it lost.
    pub lost: u64,
    /// Those that it sent twice.
    pub repeated: u64,
    /// Those that it held back.
    pub delayed: u64,
}

/// A UDP proxy on a free port of 127.0.0.1, for any number of clients and one server. Dropping it ends it.
#[derive(Debug)]
pub struct DatagramProxy {
    addr: SocketAddr,
    counts: Arc<Counts>,
    task: JoinHandle<()>,
}

impl DatagramProxy {
    /// Listens on a free port, for datagrams to `upstream`. To be called within a tokio runtime.
    ///
    /// # Errors
    ///
    /// Where no port can be had.
    pub async fn start(upstream: SocketAddr, weather: Weather, seed: u64) -> io::Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let addr = socket.local_addr()?;
        let counts = Arc::new(Counts::default());
        let hub = Hub { socket: Arc::new(socket), upstream, weather, seed, counts: counts.clone() };
        Ok(Self { addr, counts, task: tokio::spawn(hub.run()) })
    }

    /// Where clients send to.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// What it did so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        let Counts { arrived, lost, repeated, delayed } = &*self.counts;
        let [arrived, lost, repeated, delayed] =
            [arrived, lost, repeated, delayed].map(|count| count.load(Relaxed));
        Counters { arrived, lost, repeated, delayed }
    }
}

impl Drop for DatagramProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Debug, Default)]
struct Counts {
    arrived: AtomicU64,
    lost: AtomicU64,
    repeated: AtomicU64,
    delayed: AtomicU64,
}

/// The clients' side: one socket for all of them, and one towards the server for each.
struct Hub {
    socket: Arc<UdpSocket>,
    upstream: SocketAddr,
    weather: Weather,
    seed: u64,
    counts: Arc<Counts>,
}

impl Hub {
    async fn run(self) {
        let mut clients = BTreeMap::new();
        let mut tasks = JoinSet::new();
        let mut buffer = vec![0; LARGEST];
        loop {
            // A client that is gone makes the kernel report an error here, which concerns no other client.
            let Ok((length, client)) = self.socket.recv_from(&mut buffer).await else { continue };
            if !clients.contains_key(&client) && clients.len() < CLIENTS {
                let Ok(sender) = self.open(client, &mut tasks).await else { continue };
                clients.insert(client, sender);
            }
            let passed =
                clients.get(&client).is_some_and(|sky| sky.try_send(buffer[..length].to_vec()).is_ok());
            if !passed {
                self.counts.lost.fetch_add(1, Relaxed);
            }
        }
    }

    async fn open(&self, client: SocketAddr, tasks: &mut JoinSet<()>) -> io::Result<mpsc::Sender<Vec<u8>>> {
        let socket = Arc::new(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?);
        let sky = |way: u64, exit| Sky {
            weather: self.weather,
            draw: Draw(self.seed ^ (tasks.len() as u64) << 1 ^ way),
            counts: self.counts.clone(),
            held: BinaryHeap::new(),
            exit,
        };
        let to_server = sky(0, Exit { socket: socket.clone(), to: self.upstream });
        let to_client = sky(1, Exit { socket: self.socket.clone(), to: client });

        let (there, arrivals) = mpsc::channel(HELD);
        tasks.spawn(to_server.blow(arrivals));
        let (back, arrivals) = mpsc::channel(HELD);
        tasks.spawn(to_client.blow(arrivals));
        tasks.spawn(async move {
            let mut buffer = vec![0; LARGEST];
            loop {
                // An error says that the server is not there now; it may come back.
                let Ok((length, _)) = socket.recv_from(&mut buffer).await else { continue };
                // A full channel is a loss as good as any.
                let _ = back.try_send(buffer[..length].to_vec());
            }
        });
        Ok(there)
    }
}

/// One direction of one client.
struct Sky {
    weather: Weather,
    draw: Draw,
    counts: Arc<Counts>,
    held: BinaryHeap<Reverse<(Instant, u64, Vec<u8>)>>,
    exit: Exit,
}

/// Where a direction ends.
struct Exit {
    socket: Arc<UdpSocket>,
    to: SocketAddr,
}

impl Exit {
    async fn pass(&self, datagram: &[u8]) -> io::Result<usize> {
        self.socket.send_to(datagram, self.to).await
    }
}

impl Sky {
    async fn blow(mut self, mut arrivals: mpsc::Receiver<Vec<u8>>) {
        let mut order = 0;
        loop {
            let due = self.held.peek().map(|Reverse((due, ..))| *due);
            let datagram = select! {
                arrived = arrivals.recv() => match arrived {
                    Some(datagram) => self.meet(datagram, &mut order),
                    None => return,
                },
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    self.held.pop().map(|Reverse((.., datagram))| (datagram, Copies::One))
                }
            };
            let Some((datagram, copies)) = datagram else { continue };
            if copies == Copies::Two {
                // A send that fails is a loss, which is this proxy's trade.
                let _ = self.exit.pass(&datagram).await;
            }
            let _ = self.exit.pass(&datagram).await;
        }
    }

    /// What becomes of a datagram now: nothing where it is lost or held back.
    fn meet(&mut self, datagram: Vec<u8>, order: &mut u64) -> Option<(Vec<u8>, Copies)> {
        let Weather { lost, repeated, delayed, delay } = self.weather;
        self.counts.arrived.fetch_add(1, Relaxed);
        if self.draw.happens(lost) {
            self.counts.lost.fetch_add(1, Relaxed);
            return None;
        }
        if self.draw.happens(delayed) && self.held.len() < HELD {
            self.counts.delayed.fetch_add(1, Relaxed);
            let micros = self.draw.below(u64::try_from(delay.as_micros()).unwrap_or(u64::MAX).max(1));
            *order += 1;
            self.held.push(Reverse((Instant::now() + Duration::from_micros(micros), *order, datagram)));
            return None;
        }
        if self.draw.happens(repeated) {
            self.counts.repeated.fetch_add(1, Relaxed);
            return Some((datagram, Copies::Two));
        }
        Some((datagram, Copies::One))
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Copies {
    One,
    Two,
}

/// SplitMix64 (Steele, Lea and Flood, 2014).
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn happens(&mut self, of_a_thousand: u16) -> bool {
        self.below(1000) < u64::from(of_a_thousand)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn sent_through(weather: Weather, datagrams: u32) -> (Vec<u32>, Counters) {
        let server = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
        let proxy =
            DatagramProxy::start(server.local_addr().expect("bound"), weather, 7).await.expect("a port");
        let client = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
        let mut seen = Vec::new();
        let mut buffer = [0; 16];
        for number in 0..datagrams {
            client.send_to(&number.to_be_bytes(), proxy.addr()).await.expect("sent");
            // The next one goes when the proxy has had this one, so that no kernel buffer overflows.
            while proxy.counters().arrived <= u64::from(number) {
                tokio::task::yield_now().await;
            }
            while let Ok(length) = server.try_recv(&mut buffer) {
                seen.push(u32::from_be_bytes(buffer[..length].try_into().expect("four bytes")));
            }
        }
        let Counters { arrived, lost, repeated, .. } = proxy.counters();
        while (seen.len() as u64) < arrived - lost + repeated {
            let length = server.recv(&mut buffer).await.expect("received");
            seen.push(u32::from_be_bytes(buffer[..length].try_into().expect("four bytes")));
        }
        (seen, proxy.counters())
    }

    #[tokio::test]
    async fn fair_weather_changes_nothing() {
        let (seen, counters) = sent_through(Weather::default(), 200).await;
        assert_eq!(seen, (0..200).collect::<Vec<_>>());
        assert_eq!(counters, Counters { arrived: 200, ..Counters::default() });
    }

    #[tokio::test]
    async fn a_storm_loses_repeats_and_reorders() {
        let (seen, counters) = sent_through(Weather::STORM, 2000).await;
        assert!((300..500).contains(&counters.lost), "{counters:?}");
        assert!((40..120).contains(&counters.repeated), "{counters:?}");
        assert!((100..260).contains(&counters.delayed), "{counters:?}");
        assert!(!seen.is_sorted(), "nothing was overtaken");
    }

    #[tokio::test]
    async fn the_server_answers_each_client_through_it() {
        let server = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
        let upstream = server.local_addr().expect("bound");
        let proxy = DatagramProxy::start(upstream, Weather::default(), 7).await.expect("a port");
        let clients = [
            UdpSocket::bind("127.0.0.1:0").await.expect("a port"),
            UdpSocket::bind("127.0.0.1:0").await.expect("a port"),
        ];
        let mut buffer = [0; 16];
        for (name, client) in (b"ab").iter().zip(&clients) {
            client.send_to(&[*name], proxy.addr()).await.expect("sent");
            let (length, from) = server.recv_from(&mut buffer).await.expect("received");
            server.send_to(&buffer[..length], from).await.expect("sent");
        }
        for (name, client) in (b"ab").iter().zip(&clients) {
            let (length, from) = client.recv_from(&mut buffer).await.expect("received");
            assert_eq!((&buffer[..length], from), (&[*name][..], proxy.addr()));
        }
    }
}
