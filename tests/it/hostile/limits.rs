//! What a client may hold: no namespace at all, many of them, rooms, probes.

use super::still_serves;
use crate::server::{NEVER, TestServer, echo, quiet, soon, told, until};
use std::{sync::Arc, time::Duration};
use tenfour::{HandlerResult, Namespace, Server, Socket, broker::Limits};
use tenfour_testkit::client::{Client, Polling, websocket::Connection};
use tokio::sync::Semaphore;

/// Asks to join, and answers what the server says.
async fn join(client: &mut Client, name: &str) -> String {
    client.send_text(&format!("40{name},")).await.unwrap();
    client.receive_text().await.unwrap().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_joins_no_namespace_is_closed() {
    let builder = quiet().connect_timeout(Duration::from_millis(150)).namespace(echo("/"));
    let server = TestServer::start(builder).await;
    let polling = Polling::open(server.addr).await.unwrap();
    let mut idle = server.open().await;
    let mut refused = server.open().await;
    assert_eq!(join(&mut refused, "/nope").await, "44/nope,{\"message\":\"Invalid namespace\"}");
    let mut joined = server.joined().await;

    assert_eq!(idle.connection().expect_close().await.unwrap(), None);
    assert_eq!(refused.connection().expect_close().await.unwrap(), None);
    let text = polling.get().await.unwrap().text();
    assert_eq!(text, "1");
    joined.request("/", 1, "echo", "1").await.unwrap();
    drop((idle, refused));
    server.connections(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_connection_is_in_so_many_namespaces() {
    let family = Namespace::matching("/n{x}").unwrap();
    let builder = quiet().max_namespaces_per_connection(3).namespace(echo("/")).namespace(family);
    let server = TestServer::start(builder).await;
    let mut client = server.open().await;
    for name in ["/n1", "/n2", "/n3"] {
        assert!(join(&mut client, name).await.starts_with(&format!("40{name},")));
    }
    for _ in 0..1000 {
        assert!(join(&mut client, "/n4").await.starts_with("44/n4,"));
    }
    client.send_text("41/n2,").await.unwrap();
    assert!(join(&mut client, "/n4").await.starts_with("40/n4,"), "one was left");
    still_serves(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dynamic_namespaces_have_a_quota_and_go_with_their_last_client() {
    let family = Namespace::matching("/room-{id}").unwrap().on("x", async || {});
    let accepted = Namespace::accepting(|name, _| name.starts_with("/any"));
    let builder =
        quiet().max_dynamic_namespaces(5).namespace(echo("/")).namespace(family).namespace(accepted);
    let server = TestServer::start(builder).await;
    let mut client = server.open().await;
    for name in ["/room-1", "/room-2", "/room-3", "/any1", "/any2"] {
        assert!(join(&mut client, name).await.starts_with("40"), "{name}");
    }
    assert_eq!(join(&mut client, "/room-6").await, "44/room-6,{\"message\":\"Too many namespaces\"}");
    assert!(join(&mut server.open().await, "/room-1").await.starts_with("40"), "one that there is");
    assert_eq!(server.handle.matching("/room-{id}").len(), 3);

    client.send_text("41/room-2,").await.unwrap();
    until("its end", || server.handle.namespace("/room-2").is_err()).await;
    assert!(join(&mut client, "/room-6").await.starts_with("40"));
    client.close().await.unwrap();
    until("the end of all", || server.handle.matching("/room-{id}").is_empty()).await;
    until("the end of all", || server.handle.namespace("/any1").is_err()).await;
    assert!(server.handle.namespace("/").is_ok(), "one that was declared stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_no_namespace_has_are_refused_whatever_they_are() {
    let family = Namespace::matching("/room-{id}").unwrap();
    let server = TestServer::start(quiet().namespace(echo("/")).namespace(family)).await;
    let mut client = server.joined().await;
    let long = format!("/room-{}", "x".repeat(300));
    for name in ["/__proto__", "/constructor", "/room-", "/room-1/2", "/room-1?x=/", "/../", &long] {
        let answer = join(&mut client, name).await;
        assert_eq!(answer, format!("44{name},{{\"message\":\"Invalid namespace\"}}"));
    }
    assert_eq!(server.handle.matching("/room-{id}").len(), 0);
}

/// A client need not wait for the answer to its CONNECT. What it sends to a namespace that there is not must not count as
/// waiting for a handler for ever, or the connection would never be read again, and never time out.
#[tokio::test(flavor = "multi_thread")]
async fn events_for_a_namespace_that_there_is_not_leave_no_trace() {
    let server = TestServer::start(quiet().event_queue(4096).namespace(echo("/"))).await;
    let mut client = server.joined().await;
    let event = format!("42/nope,[\"x\",\"{}\"]", "x".repeat(500));
    for _ in 0..20 {
        client.send_texts(["40/nope,", &event, &event, "40/gone,", "41/gone,"]).await.unwrap();
        let answer = client.receive_text().await.unwrap();
        assert_eq!(answer, "44/nope,{\"message\":\"Invalid namespace\"}");
        client.request("/", 1, "echo", "1").await.unwrap();
    }
}

/// On one thread, so that the middleware that was let go on is through before the client's next message is read.
#[tokio::test]
async fn a_client_that_leaves_before_it_is_let_in_may_come_again() {
    let (entered, mut entries) = told();
    let gate = Arc::new(Semaphore::new(0));
    let namespace = echo("/").middleware({
        let gate = gate.clone();
        move || {
            let _ = entered.send(());
            let gate = gate.clone();
            async move {
                gate.acquire().await?.forget();
                Ok::<_, tenfour::ConnectError>(())
            }
        }
    });
    let server = TestServer::start(quiet().namespace(namespace).namespace(echo("/other"))).await;
    let mut client = server.open().await;
    client.connect("/other", None).await.unwrap();
    for _ in 0..3 {
        client.send_texts(["40", "41"]).await.unwrap();
        entries.next().await;
        gate.add_permits(1);
        client.request("/other", 1, "echo", "1").await.unwrap();
        assert!(server.handle.namespace("/").unwrap().fetch_sockets().is_empty());
    }
    client.send_text("40").await.unwrap();
    entries.next().await;
    gate.add_permits(1);
    assert!(client.receive_text().await.unwrap().starts_with("40{"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_is_in_so_many_rooms() {
    let mut limits = Limits::default();
    limits.rooms_per_socket = 4;
    limits.rooms = 6;
    limits.room_name_bytes = 8;
    let rooms = echo("/").on("join", async |socket: Socket, room: String| -> HandlerResult<bool> {
        Ok(socket.join(&room).await?)
    });
    let server = TestServer::start(quiet().namespace_limits(limits).namespace(rooms)).await;
    let (mut first, mut second) = (server.joined().await, server.joined().await);
    let join = async |client: &mut Client, room: &str| {
        client.request("/", 1, "join", &format!("\"{room}\"")).await.unwrap().json().to_string()
    };
    for room in ["a", "b", "c", "d"] {
        assert_eq!(join(&mut first, room).await, "true");
    }
    assert!(join(&mut first, "e").await.contains("the socket is in 4 rooms"));
    assert_eq!(join(&mut second, "a").await, "true");
    assert_eq!(join(&mut second, "x").await, "true");
    assert_eq!(join(&mut second, "y").await, "true");
    assert!(join(&mut second, "z").await.contains("the namespace has 6 rooms"));
    assert!(join(&mut second, "too long a name").await.contains("over 8"));
    first.close().await.unwrap();
    server.connections(1).await;
    assert_eq!(join(&mut second, "z").await, "true", "rooms go with their last member");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_has_one_probe_at_a_time() {
    let server = TestServer::start(quiet().upgrade_timeout(NEVER).namespace(echo("/"))).await;
    let polling = Polling::open(server.addr).await.unwrap();
    let target = polling.upgrade_target();
    let mut probe = Connection::open(server.addr, &target, &[]).await.unwrap();
    for _ in 0..20 {
        let mut further = Connection::open(server.addr, &target, &[]).await.unwrap();
        further.expect_end().await.unwrap();
    }
    probe.send_text("2probe").await.unwrap();
    probe.expect_text("3probe").await;
    probe.send_text("5").await.unwrap();
    probe.send_text("40").await.unwrap();
    probe.expect_prefix("40").await;
    let mut late = Connection::open(server.addr, &target, &[]).await.unwrap();
    late.expect_end().await.unwrap();

    // The socket that was not wanted takes nothing from the one that is.
    let everyone = server.handle.namespace("/").unwrap();
    everyone.emit("still", &1).unwrap();
    probe.expect_text("42[\"still\",1]").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_that_says_something_else_is_closed_and_polling_goes_on() {
    let server = TestServer::start(quiet().namespace(echo("/"))).await;
    let polling = Polling::open(server.addr).await.unwrap();
    for wrong in ["2", "2prob", "3probe", "5", "40", "x", ""] {
        let mut probe = Connection::open(server.addr, &polling.upgrade_target(), &[]).await.unwrap();
        probe.send_text(wrong).await.unwrap();
        soon(format_args!("the end after {wrong:?}"), probe.expect_end()).await.unwrap();
    }
    assert_eq!(polling.post(b"40").await.unwrap().text(), "ok");
    assert!(polling.get().await.unwrap().text().starts_with("40"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_that_says_nothing_is_closed_and_polling_goes_on() {
    let builder = quiet().upgrade_timeout(Duration::from_millis(100)).namespace(echo("/"));
    let server = TestServer::start(builder).await;
    let polling = Polling::open(server.addr).await.unwrap();
    let mut probe = Connection::open(server.addr, &polling.upgrade_target(), &[]).await.unwrap();
    probe.expect_end().await.unwrap();
    let mut half = Connection::open(server.addr, &polling.upgrade_target(), &[]).await.unwrap();
    half.send_text("2probe").await.unwrap();
    half.expect_text("3probe").await;
    half.expect_end().await.unwrap();
    assert_eq!(polling.post(b"40").await.unwrap().text(), "ok");
    assert!(polling.get().await.unwrap().text().starts_with("40"));
}

/// What is emitted after an upgrade is sent at once, also when the time comes for which a polling session would have woken.
#[tokio::test(flavor = "multi_thread")]
async fn an_upgraded_connection_is_driven_by_its_websocket() {
    let timeout = Duration::from_millis(100);
    let builder = quiet().upgrade_timeout(timeout).namespace(echo("/"));
    let server = TestServer::start(builder).await;
    let polling = Polling::open(server.addr).await.unwrap();
    let mut probe = Connection::open(server.addr, &polling.upgrade_target(), &[]).await.unwrap();
    probe.send_text("2probe").await.unwrap();
    probe.expect_text("3probe").await;
    // This wakes the polling task, which then knows of the probe's deadline.
    assert_eq!(polling.post(b"40").await.unwrap().text(), "ok");
    assert!(polling.get().await.unwrap().text().starts_with("40"));
    probe.send_text("5").await.unwrap();
    probe.send_text("420[\"echo\"]").await.unwrap();
    probe.expect_text("430[]").await;
    let everyone = server.handle.namespace("/").unwrap();
    let end = tokio::time::Instant::now() + 3 * timeout;
    while tokio::time::Instant::now() < end {
        everyone.emit("tick", &1).unwrap();
        probe.expect_text("42[\"tick\",1]").await;
    }
}

/// Timeouts beyond all clocks are waited for, and overflow nothing.
#[tokio::test(flavor = "multi_thread")]
async fn timeouts_may_be_endless() {
    let builder = Server::builder()
        .ping_interval(Duration::MAX)
        .ping_timeout(Duration::MAX)
        .connect_timeout(Duration::MAX)
        .attachment_timeout(Duration::MAX)
        .upgrade_timeout(Duration::MAX)
        .body_timeout(NEVER)
        .request_timeout(Duration::MAX)
        .namespace(echo("/").on("ask", async |socket: Socket| -> HandlerResult<u64> {
            Ok(socket.emit_with_ack("question", &()).await?)
        }));
    let server = TestServer::start(builder).await;
    let mut client = server.joined().await;
    client.send_text("421[\"ask\"]").await.unwrap();
    client.expect_text("420[\"question\"]").await.unwrap();
    client.send_text("430[5]").await.unwrap();
    client.expect_text("431[5]").await.unwrap();
}

trait Expect {
    async fn expect_text(&mut self, expected: &str);
    async fn expect_prefix(&mut self, expected: &str);
}

impl Expect for Connection {
    async fn expect_text(&mut self, expected: &str) {
        let message = self.receive().await.unwrap();
        assert_eq!(message, tenfour::wire::websocket::Message::Text(expected.into()));
    }

    async fn expect_prefix(&mut self, expected: &str) {
        let message = self.receive().await.unwrap();
        let tenfour::wire::websocket::Message::Text(text) = &message else { panic!("{message:?}") };
        assert!(text.starts_with(expected), "{text}");
    }
}
