//! What the application sends arrives, or the application is told that it does not.

use crate::{
    server::{TestServer, Told, echo, fill, quiet, soon, told, until},
    stream::Peer,
};
use std::time::Duration;
use tenfour::{
    Broadcast, DisconnectReason, EmitError, HandlerResult, Namespace, ServerBuilder, Socket,
    node::Overflow,
    session::engineio::CloseReason,
    wire::{engineio::Packet, websocket::Message},
};
use tenfour_testkit::client::{Polling, websocket::Connection};

const KILOBYTE: usize = 1 << 10;

/// A server whose namespace `/` tells of each socket that joins.
async fn start(builder: ServerBuilder) -> (TestServer, Told<Socket>) {
    let (tell, sockets) = told();
    let namespace = echo("/").on_connect(move |socket: Socket| {
        let _ = tell.send(socket);
        std::future::ready(())
    });
    (TestServer::start(builder.namespace(namespace)).await, sockets)
}

fn everyone(server: &TestServer) -> Broadcast {
    server.handle.namespace("/").unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_arrives_whole_and_in_order() {
    let (server, mut sockets) = start(quiet()).await;
    let mut client = server.joined().await;
    let socket = sockets.next().await;
    let emits = tokio::spawn(async move {
        for number in 0..1000 {
            socket.emit("burst", &number).await?;
        }
        Ok::<_, EmitError>(())
    });
    for number in 0..1000 {
        client.expect_text(&format!("42[\"burst\",{number}]")).await.unwrap();
    }
    emits.await.unwrap().unwrap();
    for number in 0..1000 {
        assert_eq!(everyone(&server).emit("all", &number).unwrap().queued, 1);
    }
    for number in 0..1000 {
        client.expect_text(&format!("42[\"all\",{number}]")).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_arrives_whole_and_in_order_over_polling() {
    let (server, mut sockets) = start(quiet()).await;
    let polling = Polling::open(server.addr).await.unwrap();
    polling.post(b"40").await.unwrap();
    polling.receive().await.unwrap();
    let socket = sockets.next().await;
    for number in 0..1000 {
        socket.emit("burst", &number).await.unwrap();
    }
    let mut next = 0;
    while next < 1000 {
        for packet in polling.receive().await.unwrap() {
            assert_eq!(packet, Packet::Text(format!("2[\"burst\",{next}]").into()));
            next += 1;
        }
    }
}

/// Twelve events of 40 kB, of which one poll takes some, and the WebSocket the rest.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_queued_survives_the_upgrade_in_order() {
    for payload in [1_000_000, 100_000, 45_000] {
        let (server, mut sockets) = start(quiet().max_payload(payload)).await;
        let polling = Polling::open(server.addr).await.unwrap();
        polling.post(b"40").await.unwrap();
        polling.receive().await.unwrap();
        let socket = sockets.next().await;
        let text = "x".repeat(40_000);
        let mut expected = (0..12).map(|number| format!("2[\"big\",{number},\"{text}\"]"));
        for number in 0..12 {
            socket.emit("big", &(number, &text)).await.unwrap();
        }
        for packet in polling.receive().await.unwrap() {
            assert_eq!(packet, Packet::Text(expected.next().unwrap().into()));
        }
        let mut websocket = Connection::open(server.addr, &polling.upgrade_target(), &[]).await.unwrap();
        websocket.send_text("2probe").await.unwrap();
        assert_eq!(websocket.receive().await.unwrap(), Message::Text("3probe".into()));
        websocket.send_text("5").await.unwrap();
        socket.emit("last", &()).await.unwrap();
        for text in expected {
            assert_eq!(websocket.receive().await.unwrap(), Message::Text(format!("4{text}").into()));
        }
        assert_eq!(websocket.receive().await.unwrap(), Message::Text("42[\"last\"]".into()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_consumer_is_disconnected_and_counted() {
    let (tell, mut reasons) = told();
    let namespace = echo("/").on_disconnect(move |_: Socket, reason: DisconnectReason| {
        let _ = tell.send(reason);
        std::future::ready(())
    });
    let server = TestServer::start(quiet().namespace(namespace)).await;
    let _stalled = server.joined().await;
    let everyone = everyone(&server);
    let queued = fill(&everyone).await;
    assert_eq!(reasons.next().await, DisconnectReason::Connection(CloseReason::SlowConsumer));
    assert_eq!(everyone.counters().refused, 1);
    assert_eq!(everyone.counters().deliveries, queued as u64);
    server.connections(0).await;
    assert_eq!(everyone.emit("nobody", &()).unwrap(), tenfour::Reach::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_consumer_is_refused_what_is_over_its_bound_and_gets_the_rest() {
    let server = quiet().overflow(Overflow::Refuse).namespace(echo("/")).build().unwrap();
    let mut stalled = Peer::joined(&server).await;
    let everyone = server.handle().namespace("/").unwrap();
    let queued = fill(&everyone).await;
    assert_eq!(everyone.emit("refused", &()).unwrap().refused, 1);
    for _ in 0..queued {
        let fill = stalled.receive().await;
        assert!(matches!(&fill, Message::Text(text) if text.starts_with("42[\"fill\"")), "{fill:?}");
    }
    assert_eq!(everyone.emit("later", &()).unwrap().queued, 1);
    assert_eq!(stalled.receive().await, Message::Text("42[\"later\"]".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emit_waits_for_a_client_that_does_not_read() {
    const EVENTS: usize = 200;
    let (server, mut sockets) = start(quiet()).await;
    let mut client = server.joined().await;
    let socket = sockets.next().await;
    let text = "x".repeat(64 * KILOBYTE);
    let emits = tokio::spawn(async move {
        for number in 0..EVENTS {
            socket.emit("big", &(number, &text)).await?;
        }
        Ok::<_, EmitError>(())
    });
    // Once its queue is full there is no room for a volatile event either.
    until("a full queue", || everyone(&server).volatile().emit("v", &()).unwrap().dropped == 1).await;
    assert!(!emits.is_finished());
    let mut next = 0;
    while next < EVENTS {
        let text = client.receive_text().await.unwrap();
        if !text.starts_with("42[\"v\"") {
            assert!(text.starts_with(&format!("42[\"big\",{next},")), "{}", &text[..30]);
            next += 1;
        }
    }
    emits.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emit_that_waits_ends_with_its_socket() {
    for end in ["the client goes", "disconnect", "close"] {
        let (tell, mut sockets) = told();
        let namespace = Namespace::new("/").on_connect(move |socket: Socket| {
            let _ = tell.send(socket);
            std::future::ready(())
        });
        let server = quiet().send_queue(16 * KILOBYTE).namespace(namespace).build().unwrap();
        let (mut client, _serving) = Peer::open(&server, KILOBYTE);
        client.send("40").await;
        let socket = sockets.next().await;
        let text = "x".repeat(KILOBYTE);
        until("a full queue", || matches!(socket.try_emit("x", &text), Err(EmitError::Full))).await;
        let mut emit = Box::pin(socket.emit("never", &text));
        // Some of what is queued may be on its way to the pipe.
        while tokio::time::timeout(Duration::from_millis(20), &mut emit).await.is_ok() {
            emit = Box::pin(socket.emit("never", &text));
        }
        match end {
            "the client goes" => drop(client),
            "disconnect" => socket.disconnect(),
            _ => socket.close(),
        }
        let error = soon(format_args!("the end of an emit: {end}"), emit).await.unwrap_err();
        assert!(matches!(error, EmitError::Disconnected), "{end}: {error}");
        assert!(matches!(socket.try_emit("gone", &()), Err(EmitError::Disconnected)), "{end}");
        assert!(!socket.emit_volatile("gone", &()).unwrap(), "{end}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volatile_event_is_for_those_who_can_take_it_at_once() {
    let server = quiet().overflow(Overflow::Refuse).namespace(echo("/")).build().unwrap();
    let mut client = Peer::joined(&server).await;
    let everyone = server.handle().namespace("/").unwrap();
    assert_eq!(everyone.clone().volatile().emit("tick", &1).unwrap().queued, 1);
    assert_eq!(client.receive().await, Message::Text("42[\"tick\",1]".into()));
    let mut queued = fill(&everyone).await;
    let dropped = everyone.counters().volatile_dropped;
    let reach = everyone.clone().volatile().emit("tick", &2).unwrap();
    assert_eq!((reach.queued, reach.dropped, reach.refused), (0, 1, 0));
    assert_eq!(everyone.counters().volatile_dropped, dropped + 1);
    while queued > 0 {
        client.receive().await;
        queued -= 1;
    }
    until("its turn", || everyone.clone().volatile().emit("tick", &3).unwrap().queued == 1).await;
    assert_eq!(client.receive().await, Message::Text("42[\"tick\",3]".into()));
}

/// Volatile events never wait in the queue of a client that does not read: there is room in it for those that matter.
#[tokio::test(flavor = "multi_thread")]
async fn volatile_events_do_not_fill_a_queue() {
    let (server, mut sockets) = start(quiet()).await;
    let _stalled = server.joined().await;
    let socket = sockets.next().await;
    let text = "x".repeat(64 * KILOBYTE);
    until("the kernel to be full", || !socket.emit_volatile("tick", &text).unwrap()).await;
    for _ in 0..8 {
        socket.try_emit("matters", &text).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_said_is_an_error_of_the_call() {
    let (server, mut sockets) = start(quiet()).await;
    let _client = server.joined().await;
    let socket = sockets.next().await;
    for name in ["connect", "disconnect", "connect_error", "disconnecting", "newListener", "removeListener"] {
        assert!(matches!(socket.emit(name, &()).await, Err(EmitError::Reserved(_))), "{name}");
        assert!(matches!(everyone(&server).emit(name, &()), Err(EmitError::Reserved(_))), "{name}");
    }
    let no_json = std::collections::BTreeMap::from([((1, 2), 3)]);
    assert!(matches!(socket.emit("x", &(no_json,)).await, Err(EmitError::Data(_))));
}

/// Text and bytes that would trip a parser are quoted.
#[tokio::test(flavor = "multi_thread")]
async fn what_an_application_emits_is_read_as_it_was_meant() {
    let namespace = Namespace::new("/").on("go", async |socket: Socket| -> HandlerResult {
        socket.emit("\"],\u{1e}\n", &("\u{1e}\u{2028}\0\\", "é\u{1F600}")).await?;
        Ok(())
    });
    let server = TestServer::start(quiet().namespace(namespace)).await;
    let polling = Polling::open(server.addr).await.unwrap();
    polling.post(b"40").await.unwrap();
    polling.receive().await.unwrap();
    polling.post(b"42[\"go\"]").await.unwrap();
    let packets = polling.receive().await.unwrap();
    let [Packet::Text(text)] = &packets[..] else { panic!("{packets:?}") };
    let values: Vec<String> = serde_json::from_str(&text[1..]).unwrap();
    assert_eq!(values, ["\"],\u{1e}\n", "\u{1e}\u{2028}\0\\", "é\u{1F600}"]);
}
