//! Ends of sockets, connections and servers.

use crate::server::{TestServer, Told, echo, quiet, soon, told};
use std::time::Duration;
use tenfour::{
    DisconnectReason, EmitError, Server, Socket,
    node::Overflow,
    session::engineio::CloseReason,
    wire::{engineio::Packet, websocket::Message},
};
use tenfour_testkit::client::{Client, Error, Options, Polling, Pongs, http};

/// Tells of each socket, and of why it left.
async fn start(builder: tenfour::ServerBuilder) -> (TestServer, Told<Socket>, Told<DisconnectReason>) {
    let (tell, sockets) = told();
    let (tell_end, ends) = told();
    let namespace = echo("/")
        .on_connect(move |socket: Socket| {
            let _ = tell.send(socket);
            std::future::ready(())
        })
        .on_disconnect(move |socket: Socket, reason: DisconnectReason| {
            assert!(!socket.is_connected());
            let _ = tell_end.send(reason);
            std::future::ready(())
        });
    (TestServer::start(builder.namespace(namespace)).await, sockets, ends)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_end_has_its_reason() {
    use DisconnectReason::{ClientDisconnect, Connection, ServerDisconnect};
    let (server, mut sockets, mut ends) = start(quiet()).await;
    for (end, reason) in [
        ("leaves", ClientDisconnect),
        ("is disconnected", ServerDisconnect),
        ("is closed", ServerDisconnect),
        ("closes", Connection(CloseReason::TransportClose)),
        ("says 1", Connection(CloseReason::TransportClose)),
        ("hangs up", Connection(CloseReason::TransportClose)),
        ("resets", Connection(CloseReason::TransportClose)),
        ("says garbage", Connection(CloseReason::ParseError)),
        ("pings", Connection(CloseReason::TransportError)),
        ("breaks a frame", Connection(CloseReason::TransportError)),
    ] {
        let mut client = server.joined().await;
        let socket = sockets.next().await;
        match end {
            "leaves" => client.send_text("41").await.unwrap(),
            "is disconnected" => socket.disconnect(),
            "is closed" => socket.close(),
            "closes" => client.connection().send(&Message::Close(None)).await.unwrap(),
            "says 1" => client.send_text("1").await.unwrap(),
            "hangs up" => client.connection().shutdown().await.unwrap(),
            "resets" => drop(client),
            "says garbage" => client.send_text("4garbage").await.unwrap(),
            "pings" => client.send_text("2").await.unwrap(),
            _ => client.connection().send_bytes(b"\xff\xff").await.unwrap(),
        }
        assert_eq!(soon(format_args!("{end}"), ends.next()).await, reason, "{end}");
        assert!(ends.now().is_none(), "{end}");
        assert!(socket.rooms().is_empty());
        assert!(matches!(socket.emit("x", &()).await, Err(EmitError::Disconnected)), "{end}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_end_over_polling_has_its_reason() {
    use DisconnectReason::{ClientDisconnect, Connection, ServerDisconnect};
    let (server, mut sockets, mut ends) = start(quiet()).await;
    for (end, reason) in [
        ("41", ClientDisconnect),
        ("is disconnected", ServerDisconnect),
        ("1", Connection(CloseReason::TransportClose)),
        ("4garbage", Connection(CloseReason::ParseError)),
        ("2", Connection(CloseReason::TransportError)),
    ] {
        let polling = Polling::open(server.addr).await.unwrap();
        polling.post(b"40").await.unwrap();
        let socket = sockets.next().await;
        match end {
            "is disconnected" => socket.disconnect(),
            text => drop(polling.post(text.as_bytes()).await.unwrap()),
        }
        assert_eq!(ends.next().await, reason, "{end}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_without_pongs_times_out_on_both_transports() {
    let builder =
        Server::builder().ping_interval(Duration::from_millis(50)).ping_timeout(Duration::from_millis(50));
    let (server, _sockets, mut ends) = start(builder).await;
    let options = Options { pongs: Pongs::Withheld, ..Options::default() };
    let mut client = Client::open(server.addr, options).await.unwrap();
    client.connect("/", None).await.unwrap();
    assert_eq!(ends.next().await, DisconnectReason::Connection(CloseReason::PingTimeout));
    client.connection().expect_end().await.unwrap();

    let polling = Polling::open(server.addr).await.unwrap();
    polling.post(b"40").await.unwrap();
    assert_eq!(ends.next().await, DisconnectReason::Connection(CloseReason::PingTimeout));
    server.connections(0).await;
    assert_eq!(polling.get().await.unwrap().status, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_answers_pings_stays() {
    let (interval, timeout) = (Duration::from_millis(60), Duration::from_millis(500));
    let (server, _sockets, mut ends) =
        start(Server::builder().ping_interval(interval).ping_timeout(timeout)).await;
    let mut client = server.joined().await;
    let polling = Polling::open(server.addr).await.unwrap();
    polling.post(b"40").await.unwrap();
    let start = std::time::Instant::now();
    while start.elapsed() < 3 * (interval + timeout) {
        client.request("/", 1, "echo", "1").await.unwrap();
        for packet in polling.receive().await.unwrap() {
            if let Packet::Ping(data) = packet {
                polling.send(&[Packet::Pong(data)]).await.unwrap();
            }
        }
    }
    assert!(ends.now().is_none());
}

/// The handle of a socket that has left is not that of the socket that came after it on the same connection.
#[tokio::test(flavor = "multi_thread")]
async fn a_handle_does_nothing_in_the_name_of_a_successor() {
    let (server, mut sockets, mut ends) = start(quiet()).await;
    let mut client = server.joined().await;
    let old = sockets.next().await;
    client.send_texts(["41", "40"]).await.unwrap();
    ends.next().await;
    let new = sockets.next().await;
    assert!(client.receive_text().await.unwrap().starts_with("40{"));
    assert_ne!(old.id(), new.id());
    assert!(old != new);

    old.disconnect();
    assert!(matches!(old.emit("x", &()).await, Err(EmitError::Disconnected)));
    assert!(matches!(old.try_emit("x", &()), Err(EmitError::Disconnected)));
    assert!(old.join("r").await.is_err());
    assert!(old.set_data(&1).await.is_err());
    assert!(new.is_connected());
    client.send_text("421[\"echo\",1]").await.unwrap();
    client.expect_text("431[1]").await.unwrap();
    assert!(ends.now().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_sends_what_is_queued_and_takes_nobody_else() {
    let (server, mut sockets, mut ends) = start(quiet()).await;
    let mut client = server.joined().await;
    let socket = sockets.next().await;
    let polling = Polling::open(server.addr).await.unwrap();
    polling.post(b"40").await.unwrap();
    polling.receive().await.unwrap();
    let socket_of_polling = sockets.next().await;
    let text = "x".repeat(500_000);
    socket.emit("last", &text).await.unwrap();
    socket_of_polling.emit("last", &text).await.unwrap();

    let shutdown = server.handle.shutdown(Duration::from_secs(10));
    let (left, ()) = tokio::join!(shutdown, async {
        for _ in 0..2 {
            assert_eq!(ends.next().await, DisconnectReason::Connection(CloseReason::Shutdown));
        }
        let refused = Client::open(server.addr, Options::default()).await.unwrap_err();
        assert!(matches!(refused, Error::Status { response, .. } if response.status == 503));
        assert_eq!(client.receive_text().await.unwrap().len(), "42[\"last\",\"\"]".len() + text.len());
        assert_eq!(client.connection().expect_close().await.unwrap(), None);
        client.connection().expect_end().await.unwrap();
        let packets = polling.receive().await.unwrap();
        assert!(matches!(&packets[..], [Packet::Text(last)] if last.len() > text.len()), "{}", packets.len());
        assert_eq!(polling.receive().await.unwrap(), [Packet::Close]);
    });
    assert_eq!(left, 0);
    assert!(socket.emit("late", &()).await.is_err());
    let refused = http::request(server.addr, "GET", polling.target(), &[], b"").await.unwrap();
    assert_eq!(refused.status, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_waits_no_longer_than_it_is_told() {
    let builder = quiet().overflow(Overflow::Refuse).close_timeout(Duration::from_millis(400));
    let (server, _sockets, _ends) = start(builder).await;
    let _stalled = server.joined().await;
    let everyone = server.handle.namespace("/").unwrap();
    let text = "x".repeat(64 << 10);
    while everyone.emit("fill", &text).unwrap().refused == 0 {}
    assert_eq!(server.handle.shutdown(Duration::from_millis(10)).await, 1);
    // The connection itself ends when the time for its close is up.
    server.connections(0).await;
    assert_eq!(server.handle.shutdown(Duration::ZERO).await, 0);
}

/// A poll that waits when its session ends is answered.
#[tokio::test(flavor = "multi_thread")]
async fn a_poll_that_waits_is_told_of_the_end() {
    let (server, mut sockets, _ends) = start(quiet()).await;
    let polling = Polling::open(server.addr).await.unwrap();
    polling.post(b"40").await.unwrap();
    polling.receive().await.unwrap();
    let socket = sockets.next().await;
    let (packets, ()) = tokio::join!(polling.receive(), async {
        crate::server::until("a poll", || socket.emit_volatile("x", &()).unwrap()).await;
        socket.close();
    });
    let mut packets = packets.unwrap();
    while packets.last() != Some(&Packet::Close) {
        packets = polling.receive().await.unwrap();
    }
    server.connections(0).await;
}
