//! One connection through the proxy.

use std::{io, time::Duration};

use bytes::{Buf, Bytes, BytesMut};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    sync::{mpsc, watch},
    time::{Instant, sleep_until},
};

use super::{Counters, Direction, Fault};

/// What is read at once.
const CHUNK: usize = 16 * 1024;
/// How many chunks are held in a direction, while they are delayed or their receiver is slow.
const QUEUE: usize = 16;

/// How a connection fares at the moment.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Conditions {
    client_to_server_stalled: bool,
    server_to_client_stalled: bool,
    delay: Duration,
    pub(super) end: Option<End>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Cut,
    Reset,
    HalfOpen,
}

impl Conditions {
    pub(super) fn add(&mut self, fault: Fault) {
        match fault {
            Fault::Cut => self.end = Some(End::Cut),
            Fault::Reset => self.end = Some(End::Reset),
            Fault::HalfOpen => self.end = Some(End::HalfOpen),
            Fault::Delay(delay) => self.delay = delay,
            Fault::Stall(direction) => {
                self.client_to_server_stalled |= direction != Direction::ServerToClient;
                self.server_to_client_stalled |= direction != Direction::ClientToServer;
            }
        }
    }

    /// What has ended stays so, and what was kept half-open ends now.
    pub(super) fn heal(&mut self) {
        let end = self.end.map(|end| if end == End::HalfOpen { End::Reset } else { end });
        *self = Self { end, ..Self::default() };
    }
}

/// Passes bytes both ways until both sides have ended, or a fault ends it.
pub(super) async fn run(
    mut client: TcpStream,
    mut server: TcpStream,
    mut conditions: watch::Receiver<Conditions>,
    counters: &watch::Sender<Counters>,
) {
    let end = {
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        let up = Pump { way: Way::Up, conditions: conditions.clone(), counters };
        let down = Pump { way: Way::Down, conditions: conditions.clone(), counters };
        tokio::select! {
            biased;
            end = ended(conditions.clone()) => Some(end),
            passed = async { tokio::try_join!(up.pass(from_client, to_server), down.pass(from_server, to_client)) } => {
                passed.err().map(|_| End::Reset)
            }
        }
    };
    match end {
        None => {}
        Some(End::Cut) => {
            tokio::join!(finish(client), finish(server));
        }
        Some(End::Reset) => {
            reset(client);
            reset(server);
        }
        Some(End::HalfOpen) => {
            reset(client);
            // An error means that the proxy is gone.
            let _ = conditions.wait_for(|conditions| conditions.end != Some(End::HalfOpen)).await;
            reset(server);
        }
    }
}

/// Ends a connection that has no upstream yet.
pub(super) async fn refuse(client: TcpStream, conditions: watch::Receiver<Conditions>) {
    match ended(conditions).await {
        End::Cut => finish(client).await,
        End::Reset | End::HalfOpen => reset(client),
    }
}

/// Has the kernel send an RST rather than a FIN.
pub(super) fn reset(stream: TcpStream) {
    // It fails only where there is no connection any more.
    let _ = stream.set_zero_linger();
    drop(stream);
}

/// Sends a FIN, and takes what still comes until the peer's: closed with bytes unread, the kernel would send an RST.
async fn finish(mut stream: TcpStream) {
    let mut dropped = [0; 4096];
    if stream.shutdown().await.is_ok() {
        while let Ok(1..) = stream.read(&mut dropped).await {}
    }
}

async fn ended(mut conditions: watch::Receiver<Conditions>) -> End {
    match conditions.wait_for(|conditions| conditions.end.is_some()).await {
        Ok(conditions) => conditions.end.unwrap_or(End::Reset),
        Err(_) => End::Reset,
    }
}

#[derive(Clone, Copy, Debug)]
enum Way {
    Up,
    Down,
}

/// One way of one connection.
#[derive(Clone)]
struct Pump<'a> {
    way: Way,
    conditions: watch::Receiver<Conditions>,
    counters: &'a watch::Sender<Counters>,
}

/// What was read, and when. No bytes are the end.
type Chunk = (Instant, Bytes);

impl Pump<'_> {
    async fn pass(self, from: ReadHalf<'_>, to: WriteHalf<'_>) -> io::Result<()> {
        let (queue, queued) = mpsc::channel(QUEUE);
        tokio::try_join!(self.clone().read(from, queue), self.write(queued, to))?;
        Ok(())
    }

    async fn read(mut self, mut from: ReadHalf<'_>, queue: mpsc::Sender<Chunk>) -> io::Result<()> {
        loop {
            self.until_flowing().await?;
            let mut chunk = BytesMut::with_capacity(CHUNK);
            tokio::select! {
                biased;
                changed = self.conditions.changed() => changed.map_err(proxy_is_gone)?,
                read = from.read_buf(&mut chunk) => {
                    let is_end = read? == 0;
                    queue.send((Instant::now(), chunk.freeze())).await.map_err(proxy_is_gone)?;
                    if is_end {
                        return Ok(());
                    }
                }
            }
        }
    }

    async fn write(mut self, mut queued: mpsc::Receiver<Chunk>, mut to: WriteHalf<'_>) -> io::Result<()> {
        while let Some((since, mut chunk)) = queued.recv().await {
            self.until_due(since).await?;
            if chunk.is_empty() {
                return to.shutdown().await;
            }
            while chunk.has_remaining() {
                self.until_flowing().await?;
                tokio::select! {
                    biased;
                    changed = self.conditions.changed() => changed.map_err(proxy_is_gone)?,
                    written = to.write_buf(&mut chunk) => self.count(written?),
                }
            }
        }
        Ok(())
    }

    async fn until_flowing(&mut self) -> io::Result<()> {
        let way = self.way;
        self.conditions.wait_for(|conditions| !way.is_stalled(conditions)).await.map_err(proxy_is_gone)?;
        Ok(())
    }

    /// Waits until what came at `since` has been delayed as long as is asked for now, and nothing is stalled.
    async fn until_due(&mut self, since: Instant) -> io::Result<()> {
        loop {
            self.until_flowing().await?;
            let due = since + self.conditions.borrow_and_update().delay;
            tokio::select! {
                biased;
                changed = self.conditions.changed() => changed.map_err(proxy_is_gone)?,
                () = sleep_until(due) => return Ok(()),
            }
        }
    }

    fn count(&self, bytes: usize) {
        self.counters.send_modify(|counters| match self.way {
            Way::Up => counters.client_to_server_bytes += bytes as u64,
            Way::Down => counters.server_to_client_bytes += bytes as u64,
        });
    }
}

impl Way {
    const fn is_stalled(self, conditions: &Conditions) -> bool {
        match self {
            Self::Up => conditions.client_to_server_stalled,
            Self::Down => conditions.server_to_client_stalled,
        }
    }
}

fn proxy_is_gone<E>(_: E) -> io::Error {
    io::ErrorKind::BrokenPipe.into()
}
