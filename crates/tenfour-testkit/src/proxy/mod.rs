//! A TCP proxy on loopback that does to connections what networks do to them.
//!
//! A [`Fault`] is applied to the connections of a [`Scope`], while they run. [`Proxy::heal`] ends what can be ended.
//!
//! | fault | the client sees | the server sees |
//! |---|---|---|
//! | [`Cut`](Fault::Cut) | an orderly end (FIN) | an orderly end (FIN) |
//! | [`Reset`](Fault::Reset) | a reset (RST) | a reset (RST) |
//! | [`Stall`](Fault::Stall) | nothing; in the end, full buffers | nothing; in the end, full buffers |
//! | [`HalfOpen`](Fault::HalfOpen) | a reset | nothing: the connection stays open, silent, and takes no bytes |
//! | [`Delay`](Fault::Delay) | everything later, in order | everything later, in order |
//!
//! What one side of a connection ends or resets, the proxy ends or resets on the other.

mod link;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    net::{TcpSocket, TcpStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
    time::sleep,
};

use crate::wait::{TimedOut, within};

use self::link::{Conditions, End};

/// What the proxy's sockets ask the kernel to hold of what was received: small, so that a stall is soon felt.
const RECEIVE_BUFFER: u32 = 64 * 1024;
const BACKLOG: u32 = 1024;
/// How long the proxy rests after it could not accept a connection.
const ACCEPT_AGAIN: Duration = Duration::from_millis(10);

/// A TCP proxy on a free port of 127.0.0.1. Dropping it ends all its connections.
#[derive(Debug)]
pub struct Proxy {
    addr: SocketAddr,
    shared: Arc<Shared>,
    acceptor: JoinHandle<()>,
}

/// What happens to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Both sides get a FIN; what the proxy held is lost. Cannot be healed.
    Cut,
    /// Both sides get an RST. Cannot be healed.
    Reset,
    /// Nothing more is read or written in a direction, so that its sender's buffers fill up.
    Stall(Direction),
    /// The client's side is reset while the server's stays open and silent, as if the client's machine had lost its
    /// power. Healing resets the server's side, as that machine would once it is back.
    HalfOpen,
    /// Each byte, and each end, arrives so much later. The proxy holds at most 256 KiB in a direction.
    Delay(Duration),
}

/// One way through the proxy, or both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// What the client sends.
    ClientToServer,
    /// What the server sends.
    ServerToClient,
    /// What either sends.
    Both,
}

/// Which connections a fault is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Those that are open now.
    Current,
    /// Those that are still to come, until [`Proxy::heal`].
    New,
    /// Both.
    All,
}

/// What went through a proxy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Connections that clients opened.
    pub accepted: u64,
    /// Those of them that are not over. A connection that was cut is over when both sides have closed it.
    pub open: u64,
    /// Those of them that were reset since the upstream could not be reached.
    pub unreachable: u64,
    /// Bytes passed on to the server.
    pub client_to_server_bytes: u64,
    /// Bytes passed on to the client.
    pub server_to_client_bytes: u64,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    counters: watch::Sender<Counters>,
}

#[derive(Debug)]
struct State {
    upstream: SocketAddr,
    for_new: Conditions,
    links: BTreeMap<u64, watch::Sender<Conditions>>,
}

impl Proxy {
    /// Listens on a free port, for connections to `upstream`. To be called within a tokio runtime.
    ///
    /// # Errors
    ///
    /// Where no port can be had.
    pub async fn start(upstream: SocketAddr) -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
        socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
        let listener = socket.listen(BACKLOG)?;
        let addr = listener.local_addr()?;
        let state = State { upstream, for_new: Conditions::default(), links: BTreeMap::new() };
        let shared =
            Arc::new(Shared { state: Mutex::new(state), counters: watch::Sender::new(Counters::default()) });
        let acceptor = tokio::spawn({
            let shared = Arc::clone(&shared);
            async move {
                let mut links = JoinSet::new();
                loop {
                    tokio::select! {
                        accepted = listener.accept() => match accepted {
                            Ok((client, _)) => drop(links.spawn(shared.clone().admit(client))),
                            // Out of file descriptors, most likely: others may close theirs.
                            Err(_) => sleep(ACCEPT_AGAIN).await,
                        },
                        Some(_) = links.join_next() => {}
                    }
                }
            }
        });
        Ok(Self { addr, shared, acceptor })
    }

    /// Where clients connect to.
    #[must_use]
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Sends connections that are still to come elsewhere: to a server that was restarted on another port.
    pub fn set_upstream(&self, upstream: SocketAddr) {
        self.shared.state().upstream = upstream;
    }

    /// Ends the current connections in good order: [`Fault::Cut`].
    pub fn cut(&self) {
        self.apply(Fault::Cut, Scope::Current);
    }

    /// Ends the current connections abruptly: [`Fault::Reset`].
    pub fn reset(&self) {
        self.apply(Fault::Reset, Scope::Current);
    }

    /// Holds up all connections, current and new: [`Fault::Stall`]. Bytes that are sent after this call do not arrive.
    pub fn stall(&self, direction: Direction) {
        self.apply(Fault::Stall(direction), Scope::All);
    }

    /// Loses the clients of the current connections, unknown to the server: [`Fault::HalfOpen`].
    pub fn half_open(&self) {
        self.apply(Fault::HalfOpen, Scope::Current);
    }

    /// Slows down all connections, current and new: [`Fault::Delay`].
    pub fn delay(&self, delay: Duration) {
        self.apply(Fault::Delay(delay), Scope::All);
    }

    /// Does `fault` to the connections of `scope`.
    pub fn apply(&self, fault: Fault, scope: Scope) {
        let mut state = self.shared.state();
        if scope != Scope::Current {
            state.for_new.add(fault);
        }
        if scope != Scope::New {
            for link in state.links.values() {
                link.send_modify(|conditions| conditions.add(fault));
            }
        }
    }

    /// Ends all stalls and delays and what was said for new connections, and resets the servers' sides of half-open ones.
    pub fn heal(&self) {
        let mut state = self.shared.state();
        state.for_new = Conditions::default();
        for link in state.links.values() {
            link.send_modify(Conditions::heal);
        }
    }

    /// What went through so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        *self.shared.counters.borrow()
    }

    /// Waits until the counters are as `wanted`, and answers them. `what` says in words what is waited for.
    ///
    /// # Errors
    ///
    /// When they are not so within [`crate::TIMEOUT`].
    pub async fn wait_until(
        &self,
        what: &str,
        mut wanted: impl FnMut(&Counters) -> bool,
    ) -> Result<Counters, TimedOut> {
        let mut counters = self.shared.counters.subscribe();
        let reached = within(what, counters.wait_for(|counters| wanted(counters))).await?;
        Ok(*reached.expect("the proxy holds the sender"))
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.acceptor.abort();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn admit(self: Arc<Self>, client: TcpStream) {
        let (registered, conditions, upstream) = Registered::new(Arc::clone(&self));
        let refused = matches!(conditions.borrow().end, Some(End::Cut | End::Reset));
        if refused {
            return link::refuse(client, conditions).await;
        }
        match connect(upstream).await {
            Ok(server) => link::run(client, server, conditions, &registered.shared.counters).await,
            Err(_) => {
                self.counters.send_modify(|counters| counters.unreachable += 1);
                link::reset(client);
            }
        }
    }
}

async fn connect(upstream: SocketAddr) -> io::Result<TcpStream> {
    let socket = if upstream.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    socket.connect(upstream).await
}

/// A connection's place among the links and in the counters, for as long as it lasts.
struct Registered {
    shared: Arc<Shared>,
    id: u64,
}

impl Registered {
    fn new(shared: Arc<Shared>) -> (Self, watch::Receiver<Conditions>, SocketAddr) {
        let mut state = shared.state();
        let mut id = 0;
        shared.counters.send_modify(|counters| {
            id = counters.accepted;
            counters.accepted += 1;
            counters.open += 1;
        });
        let (sender, conditions) = watch::channel(state.for_new);
        state.links.insert(id, sender);
        let upstream = state.upstream;
        drop(state);
        (Self { shared, id }, conditions, upstream)
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.shared.state().links.remove(&self.id);
        self.shared.counters.send_modify(|counters| counters.open -= 1);
    }
}
