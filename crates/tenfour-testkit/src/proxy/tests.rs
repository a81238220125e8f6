//! Each fault, seen from both sides of a plain echo server.

use std::{io, net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, Interest},
    net::{TcpListener, TcpSocket, TcpStream},
    time::{Instant, timeout},
};

use super::{Direction, Fault, Proxy, Scope};
use crate::wait::within;

/// Long enough to believe that nothing comes.
const QUIET: Duration = Duration::from_millis(60);

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    (listener, addr)
}

/// A server that sends back what it gets.
async fn echo() -> SocketAddr {
    let (listener, addr) = listen().await;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = stream.split();
                tokio::io::copy(&mut from, &mut to).await.ok();
                to.shutdown().await.ok();
            });
        }
    });
    addr
}

/// Both ends of one connection through a proxy.
async fn connected() -> (Proxy, TcpStream, TcpStream) {
    let (listener, addr) = listen().await;
    let proxy = Proxy::start(addr).await.unwrap();
    let client = TcpStream::connect(proxy.addr()).await.unwrap();
    let (server, _) = within("the proxy's connection", listener.accept()).await.unwrap().unwrap();
    (proxy, client, server)
}

async fn receive(stream: &mut TcpStream, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    within(format_args!("{len} bytes"), stream.read_exact(&mut bytes)).await.unwrap().unwrap();
    bytes
}

async fn exchange(stream: &mut TcpStream, bytes: &[u8]) {
    stream.write_all(bytes).await.unwrap();
    assert_eq!(receive(stream, bytes.len()).await, bytes);
}

async fn read(stream: &mut TcpStream) -> io::Result<usize> {
    within("an end", stream.read(&mut [0; 64])).await.unwrap()
}

#[track_caller]
fn assert_reset(result: io::Result<usize>) {
    assert_eq!(result.map_err(|error| error.kind()), Err(io::ErrorKind::ConnectionReset));
}

async fn assert_quiet(stream: &mut TcpStream) {
    let read = timeout(QUIET, stream.read(&mut [0; 64])).await;
    assert!(read.is_err(), "{read:?}");
}

/// No reset comes after the end.
async fn assert_quiet_end(stream: &mut TcpStream) {
    let error = timeout(QUIET, async {
        loop {
            stream.ready(Interest::ERROR).await.unwrap();
            if let Some(error) = stream.take_error().unwrap() {
                return error;
            }
        }
    });
    assert!(error.await.is_err(), "the stream was reset");
}

/// Writes until no more is taken, and answers how much was.
async fn fill(stream: &mut TcpStream) -> usize {
    let mut filled = 0;
    let block = [7; 16 * 1024];
    while let Ok(written) = timeout(QUIET, stream.write(&block)).await {
        filled += written.unwrap();
        assert!(filled < 64 << 20, "no backpressure");
    }
    filled
}

#[tokio::test]
async fn without_a_fault_bytes_and_ends_pass() {
    let proxy = Proxy::start(echo().await).await.unwrap();
    let mut client = TcpStream::connect(proxy.addr()).await.unwrap();
    exchange(&mut client, b"hello").await;
    let large: Vec<u8> = (0..2_000_000_u32).map(|index| index as u8).collect();
    let (mut from, mut to) = client.split();
    let send = async {
        to.write_all(&large).await.unwrap();
        to.shutdown().await.unwrap();
    };
    let mut returned = Vec::new();
    let (_, received) = tokio::join!(send, within("the end", from.read_to_end(&mut returned)));
    received.unwrap().unwrap();
    assert!(returned == large);
    let counters = proxy.wait_until("the connection's end", |counters| counters.open == 0).await.unwrap();
    assert_eq!((counters.accepted, counters.unreachable), (1, 0));
    assert_eq!((counters.client_to_server_bytes, counters.server_to_client_bytes), (2_000_005, 2_000_005));
}

#[tokio::test]
async fn a_reset_passes() {
    let (proxy, client, mut server) = connected().await;
    client.set_zero_linger().unwrap();
    drop(client);
    assert_reset(read(&mut server).await);
    proxy.wait_until("the connection's end", |counters| counters.open == 0).await.unwrap();
}

#[tokio::test]
async fn a_cut_ends_both_sides_in_good_order() {
    let (proxy, mut client, mut server) = connected().await;
    proxy.cut();
    assert_eq!(read(&mut client).await.unwrap(), 0);
    assert_eq!(read(&mut server).await.unwrap(), 0);
    // What is sent into the cut is not answered by a reset.
    client.write_all(b"into the void").await.unwrap();
    client.shutdown().await.unwrap();
    server.shutdown().await.unwrap();
    proxy.wait_until("both sides' ends", |counters| counters.open == 0).await.unwrap();
    assert_eq!(read(&mut client).await.unwrap(), 0);
    assert_eq!(proxy.counters().client_to_server_bytes, 0);
}

#[tokio::test]
async fn a_cut_is_no_reset_though_bytes_are_unread() {
    let (proxy, mut client, mut server) = connected().await;
    proxy.stall(Direction::Both);
    client.write_all(b"unread").await.unwrap();
    server.write_all(b"unread").await.unwrap();
    proxy.cut();
    for side in [&mut client, &mut server] {
        assert_eq!(read(side).await.unwrap(), 0);
        side.write_all(b"into the void").await.unwrap();
        assert_quiet_end(side).await;
    }
}

#[tokio::test]
async fn a_reset_resets_both_sides() {
    let (proxy, mut client, mut server) = connected().await;
    proxy.reset();
    assert_reset(read(&mut client).await);
    assert_reset(read(&mut server).await);
}

#[tokio::test]
async fn cuts_and_resets_are_for_current_connections() {
    let proxy = Proxy::start(echo().await).await.unwrap();
    for end in [Proxy::cut, Proxy::reset] {
        let mut client = TcpStream::connect(proxy.addr()).await.unwrap();
        exchange(&mut client, b"up").await;
        end(&proxy);
        let _ = read(&mut client).await;
        let mut next = TcpStream::connect(proxy.addr()).await.unwrap();
        exchange(&mut next, b"and up again").await;
    }
}

#[tokio::test]
async fn new_connections_alone_can_be_refused() {
    let proxy = Proxy::start(echo().await).await.unwrap();
    let mut current = TcpStream::connect(proxy.addr()).await.unwrap();
    exchange(&mut current, b"before").await;

    proxy.apply(Fault::Cut, Scope::New);
    let mut cut = TcpStream::connect(proxy.addr()).await.unwrap();
    assert_eq!(read(&mut cut).await.unwrap(), 0);
    proxy.apply(Fault::Reset, Scope::New);
    let mut reset = TcpStream::connect(proxy.addr()).await.unwrap();
    assert_reset(read(&mut reset).await);
    exchange(&mut current, b"still").await;

    proxy.heal();
    let mut healed = TcpStream::connect(proxy.addr()).await.unwrap();
    exchange(&mut healed, b"after").await;
}

#[tokio::test]
async fn a_stalled_direction_passes_nothing_and_the_other_all() {
    let (proxy, mut client, mut server) = connected().await;
    for direction in [Direction::ClientToServer, Direction::ServerToClient] {
        proxy.stall(direction);
        client.write_all(b"up").await.unwrap();
        server.write_all(b"down").await.unwrap();
        if direction == Direction::ClientToServer {
            assert_eq!(receive(&mut client, 4).await, b"down");
            assert_quiet(&mut server).await;
            proxy.heal();
            assert_eq!(receive(&mut server, 2).await, b"up");
        } else {
            assert_eq!(receive(&mut server, 2).await, b"up");
            assert_quiet(&mut client).await;
            proxy.heal();
            assert_eq!(receive(&mut client, 4).await, b"down");
        }
    }
    proxy.stall(Direction::Both);
    client.write_all(b"up").await.unwrap();
    server.write_all(b"down").await.unwrap();
    assert_quiet(&mut server).await;
    assert_quiet(&mut client).await;
    proxy.heal();
    assert_eq!(receive(&mut client, 4).await, b"down");
    assert_eq!(receive(&mut server, 2).await, b"up");
}

#[tokio::test]
async fn a_stall_holds_back_an_end_too() {
    let (proxy, mut client, mut server) = connected().await;
    proxy.stall(Direction::ClientToServer);
    client.shutdown().await.unwrap();
    assert_quiet(&mut server).await;
    proxy.heal();
    assert_eq!(read(&mut server).await.unwrap(), 0);
}

#[tokio::test]
async fn a_stall_holds_back_a_reset_too() {
    let (proxy, mut client, mut server) = connected().await;
    client.write_all(b"so that the proxy waits for more").await.unwrap();
    receive(&mut server, 32).await;
    proxy.stall(Direction::ClientToServer);
    client.set_zero_linger().unwrap();
    drop(client);
    assert_quiet(&mut server).await;
    proxy.heal();
    assert_reset(read(&mut server).await);
}

#[tokio::test]
async fn a_stall_is_felt_by_the_sender_and_loses_nothing() {
    let (proxy, mut client, mut server) = connected().await;
    proxy.stall(Direction::ClientToServer);
    let filled = fill(&mut client).await;
    assert_eq!(proxy.counters().client_to_server_bytes, 0);
    proxy.heal();
    let received = receive(&mut server, filled).await;
    assert!(received.iter().all(|&byte| byte == 7));
    client.write_all(b"z").await.unwrap();
    assert_eq!(receive(&mut server, 1).await, b"z");
}

#[tokio::test]
async fn a_receiver_that_does_not_read_is_felt_by_the_sender() {
    let (proxy, mut client, mut server) = connected().await;
    let filled = fill(&mut client).await;
    let held = filled as u64 - proxy.counters().client_to_server_bytes;
    assert!(held < 8 << 20, "{held}");
    receive(&mut server, filled).await;
}

#[tokio::test]
async fn new_connections_are_stalled_until_healed() {
    let proxy = Proxy::start(echo().await).await.unwrap();
    proxy.stall(Direction::Both);
    let mut client = TcpStream::connect(proxy.addr()).await.unwrap();
    client.write_all(b"hello").await.unwrap();
    assert_quiet(&mut client).await;
    proxy.heal();
    assert_eq!(receive(&mut client, 5).await, b"hello");
}

#[tokio::test]
async fn half_open_loses_the_client_unknown_to_the_server() {
    let (proxy, mut client, mut server) = connected().await;
    proxy.half_open();
    assert_reset(read(&mut client).await);
    assert_quiet(&mut server).await;
    // The server may send, until its buffers are full, and nobody takes it.
    fill(&mut server).await;
    assert_eq!((proxy.counters().open, proxy.counters().server_to_client_bytes), (1, 0));
    proxy.heal();
    assert_reset(read(&mut server).await);
    proxy.wait_until("the connection's end", |counters| counters.open == 0).await.unwrap();
}

#[tokio::test]
async fn a_delay_is_for_bytes_and_ends_and_keeps_their_order() {
    const DELAY: Duration = Duration::from_millis(40);
    let (proxy, mut client, mut server) = connected().await;
    proxy.delay(DELAY);
    let start = Instant::now();
    client.write_all(b"one").await.unwrap();
    assert_eq!(receive(&mut server, 3).await, b"one");
    assert!(start.elapsed() >= DELAY);
    let start = Instant::now();
    server.write_all(b"two").await.unwrap();
    server.shutdown().await.unwrap();
    assert_eq!(receive(&mut client, 3).await, b"two");
    assert_eq!(read(&mut client).await.unwrap(), 0);
    assert!(start.elapsed() >= DELAY);

    proxy.delay(Duration::from_secs(3600));
    client.write_all(b"three").await.unwrap();
    assert_quiet(&mut server).await;
    proxy.heal();
    assert_eq!(receive(&mut server, 5).await, b"three");
}

#[tokio::test]
async fn a_server_may_come_back_on_another_port() {
    // Bound, so that no one else has the port, and not listening.
    let gone = TcpSocket::new_v4().unwrap();
    gone.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let proxy = Proxy::start(gone.local_addr().unwrap()).await.unwrap();
    let mut client = TcpStream::connect(proxy.addr()).await.unwrap();
    assert_reset(read(&mut client).await);
    assert_eq!(proxy.counters().unreachable, 1);

    proxy.set_upstream(echo().await);
    let mut client = TcpStream::connect(proxy.addr()).await.unwrap();
    exchange(&mut client, b"back").await;
}

#[tokio::test]
async fn a_proxy_that_is_dropped_ends_its_connections() {
    let (proxy, mut client, mut server) = connected().await;
    drop(proxy);
    assert!(matches!(read(&mut client).await, Ok(0) | Err(_)));
    assert!(matches!(read(&mut server).await, Ok(0) | Err(_)));
}

#[tokio::test]
async fn what_does_not_happen_is_named() {
    tokio::time::pause();
    let proxy = Proxy::start(([127, 0, 0, 1], 1).into()).await.unwrap();
    let error = proxy.wait_until("a second client", |counters| counters.accepted == 2).await.unwrap_err();
    assert_eq!(error.to_string(), "waited 10s in vain for a second client");
}
