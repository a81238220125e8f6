//! Clients that do not read, and what becomes of those beside them.

use super::still_serves;
use crate::server::{NEVER, TestServer, echo, fill, soon, told};
use std::time::Duration;
use tenfour::{DisconnectReason, HandlerResult, Namespace, Server, Socket, session::engineio::CloseReason};
use tenfour_testkit::client::{Client, Options, Polling, Pongs};

/// Far more than the kernel holds of what a client does not read.
const KILOBYTES: usize = 64;

fn telling(namespace: Namespace) -> (Namespace, crate::server::Told<DisconnectReason>) {
    let (tell, reasons) = told();
    let namespace = namespace.on_disconnect(move |_: Socket, reason: DisconnectReason| {
        let _ = tell.send(reason);
        std::future::ready(())
    });
    (namespace, reasons)
}

/// Heartbeats that are short, with a queue that refuses what is over its bound.
fn impatient() -> tenfour::ServerBuilder {
    Server::builder()
        .ping_interval(Duration::from_millis(200))
        .ping_timeout(Duration::from_millis(200))
        .overflow(tenfour::node::Overflow::Refuse)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_is_disconnected_although_writes_block() {
    let (namespace, mut reasons) = telling(echo("/"));
    let server = TestServer::start(impatient().namespace(namespace)).await;
    let _stalled = server.joined().await;
    fill(&server.handle.namespace("/").unwrap()).await;
    assert_eq!(reasons.next().await, DisconnectReason::Connection(CloseReason::PingTimeout));
    server.connections(0).await;
    still_serves(&server).await;
}

/// It proves that it lives, and yet it reads nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_sends_pongs_and_does_not_read_holds_no_more_than_its_queue() {
    let (namespace, _reasons) = telling(echo("/"));
    let server = TestServer::start(impatient().ping_timeout(NEVER).namespace(namespace)).await;
    let mut stalled = server.joined().await;
    let everyone = server.handle.namespace("/").unwrap();
    fill(&everyone).await;
    let text = "x".repeat(KILOBYTES << 10);
    let mut refused = 0;
    for _ in 0..200 {
        stalled.send_text("3").await.unwrap();
        refused += everyone.emit("more", &text).unwrap().refused;
    }
    // The kernel may have taken some yet.
    assert!(refused > 150, "{refused}");
}

/// The echo waits until its client reads, while the client's further events wait for the echo: neither side moves, and no pong
/// is read. Only the clock can end this.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_floods_an_echo_and_does_not_read_is_disconnected() {
    let (namespace, mut reasons) = telling(echo("/"));
    let builder = impatient().send_queue(64 << 10).event_queue(64 << 10).namespace(namespace);
    let server = TestServer::start(builder).await;
    let mut stalled = server.joined().await;
    let event = format!("42[\"message\",\"{}\"]", "x".repeat(KILOBYTES << 10));
    let flood = async { while stalled.send_text(&event).await.is_ok() {} };
    tokio::select! {
        () = flood => {}
        reason = reasons.next() => {
            assert_eq!(reason, DisconnectReason::Connection(CloseReason::PingTimeout));
        }
    }
    server.connections(0).await;
    still_serves(&server).await;
}

/// What the protocol itself has to say, refusals and acknowledgements, does not pile up either.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_provokes_answers_and_does_not_read_is_disconnected() {
    for provocation in ["40/nope,", "421[\"echo\"]", "421[\"nobody hears it\"]"] {
        let (namespace, mut reasons) = telling(echo("/"));
        let builder = impatient().send_queue(64 << 10).event_queue(64 << 10).namespace(namespace);
        let server = TestServer::start(builder).await;
        let mut stalled = server.joined().await;
        let some = [provocation; 1000];
        let flood = async { while stalled.send_texts(some).await.is_ok() {} };
        tokio::select! {
            () = flood => {}
            _ = reasons.next() => {}
        }
        server.connections(0).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_posts_to_an_echo_and_never_polls_is_disconnected() {
    let (namespace, _reasons) = telling(echo("/"));
    let builder = impatient().send_queue(64 << 10).event_queue(64 << 10).namespace(namespace);
    let server = TestServer::start(builder).await;
    let polling = Polling::open(server.addr).await.unwrap();
    polling.post(b"40").await.unwrap();
    let event = format!("42[\"message\",\"{}\"]", "x".repeat(KILOBYTES << 10));
    soon("the end of the session", async {
        while polling.post(event.as_bytes()).await.is_ok_and(|response| response.status == 200) {}
    })
    .await;
    server.connections(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_answers_no_ping_is_disconnected_whatever_else_it_sends() {
    let (namespace, mut reasons) = telling(echo("/"));
    let server = TestServer::start(impatient().namespace(namespace)).await;
    let options = Options { pongs: Pongs::Withheld, ..Options::default() };
    let mut client = Client::open(server.addr, options).await.unwrap();
    client.connect("/", None).await.unwrap();
    let events = async {
        // It is heard all the time, which earns it one more timeout and no third.
        while client.send_text("42[\"ignored\"]").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::select! {
        () = events => {}
        reason = reasons.next() => {
            assert_eq!(reason, DisconnectReason::Connection(CloseReason::PingTimeout));
        }
    }
    server.connections(0).await;
}

/// One client does its worst, and another one beside it is served in time.
#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_client_does_not_disturb_its_neighbour() {
    let slow = echo("/").on("slow", async || -> HandlerResult {
        std::future::pending::<()>().await;
        Ok(())
    });
    let server =
        TestServer::start(Server::builder().overflow(tenfour::node::Overflow::Refuse).namespace(slow)).await;
    let mut neighbour = server.joined().await;
    let mut attackers = Vec::new();
    for attack in ["42[\"slow\"]", "42[\"message\",\"x\"]", "421[\"nobody listens\"]", "40", "3", "42[", "2"]
    {
        let addr = server.addr;
        attackers.push(tokio::spawn(async move {
            let flood = vec![attack; 1000];
            while let Ok(mut client) = Client::open(addr, Options::default()).await {
                let _ = client.connect("/", None).await;
                for _ in 0..20 {
                    if client.send_texts(flood.iter().copied()).await.is_err() {
                        break;
                    }
                }
            }
        }));
    }
    for number in 0..60 {
        let answer = neighbour.request("/", number, "echo", &number.to_string()).await.unwrap();
        assert_eq!(&**answer.json(), number.to_string());
    }
    attackers.into_iter().for_each(|attacker| attacker.abort());
}
