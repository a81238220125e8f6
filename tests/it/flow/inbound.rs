//! What clients send arrives: all of it, once, in order.

use crate::server::{TestServer, echo, quiet, soon, told};
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tenfour::{Namespace, Server, Socket, wire::websocket::Message};
use tenfour_testkit::client::{Client, Options, Polling};
use tokio::{sync::Semaphore, task::JoinSet};

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_clients_need_not_wait_for_the_answer_to_their_connect() {
    const CLIENTS: u64 = 1000;
    let (tell, mut told) = told();
    let namespace = Namespace::new("/")
        .middleware(async || {
            tokio::task::yield_now().await;
            Ok::<_, tenfour::ConnectError>(())
        })
        .on_connect(async |socket: Socket| socket.join("all").await.map(drop))
        .on("hello", move |socket: Socket, number: u64| {
            let _ = tell.send((number, socket.rooms().contains(&"all".to_owned())));
            async {}
        });
    let server = TestServer::start(quiet().namespace(namespace)).await;
    let mut clients = JoinSet::new();
    for number in 0..CLIENTS {
        let addr = server.addr;
        clients.spawn(async move {
            let mut client = Client::open(addr, Options::default()).await.unwrap();
            client.send_texts(["40", &format!("42[\"hello\",{number}]")]).await.unwrap();
            client
        });
    }
    let mut heard = BTreeSet::new();
    for _ in 0..CLIENTS {
        let (number, joined) = told.next().await;
        assert!(joined, "its connect handler came first");
        assert!(heard.insert(number), "{number} came twice");
    }
    assert_eq!(heard.len() as u64, CLIENTS);
    clients.join_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_thousand_events_keep_their_order() {
    const EVENTS: u64 = 50_000;
    let (tell, mut told) = told();
    let namespace = Namespace::new("/").on("n", move |number: u64| {
        let tell = tell.clone();
        async move {
            // Some of them wait, so that the queue is drained by a task of its own, and by the reader again.
            if number.is_multiple_of(97) {
                tokio::task::yield_now().await;
            }
            let _ = tell.send(number);
        }
    });
    let server = TestServer::start(quiet().namespace(namespace)).await;
    let mut client = server.joined().await;
    let events: Vec<_> = (0..EVENTS).map(|number| format!("42[\"n\",{number}]")).collect();
    for some in events.chunks(700) {
        client.send_texts(some.iter().map(String::as_str)).await.unwrap();
    }
    for number in 0..EVENTS {
        assert_eq!(told.next().await, number);
    }
}

/// Server that tells of each event `last`, and then of the socket's end.
async fn telling_server() -> (TestServer, crate::server::Told<String>) {
    let (tell, told) = told();
    let told_last = tell.clone();
    let namespace = Namespace::new("/")
        .on("last", move |number: u64| {
            let tell = told_last.clone();
            async move {
                tokio::task::yield_now().await;
                let _ = tell.send(format!("last {number}"));
            }
        })
        .on_disconnect(move |_: Socket| {
            let _ = tell.send("end".to_owned());
            std::future::ready(())
        });
    (TestServer::start(quiet().namespace(namespace)).await, told)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_directly_before_the_end_is_heard_before_it() {
    let (server, mut told) = telling_server().await;
    for number in 0..50 {
        let event = format!("42[\"last\",{number}]");
        let mut leaves = server.joined().await;
        leaves.send_texts([&*event, "41"]).await.unwrap();
        assert_eq!([told.next().await, told.next().await], [format!("last {number}"), "end".into()]);

        let mut closes = server.joined().await;
        let messages = [Message::Text(event.into()), Message::Close(None)];
        closes.connection().send_all(&messages).await.unwrap();
        assert_eq!([told.next().await, told.next().await], [format!("last {number}"), "end".into()]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_directly_before_the_end_is_heard_before_it_over_polling() {
    let (server, mut told) = telling_server().await;
    for number in 0..50 {
        for end in ["41", "1", "40", "garbage"] {
            let polling = Polling::open(server.addr).await.unwrap();
            polling.post(b"40").await.unwrap();
            polling.receive().await.unwrap();
            polling.post(format!("42[\"last\",{number}]\u{1e}{end}").as_bytes()).await.unwrap();
            assert_eq!(
                [told.next().await, told.next().await],
                [format!("last {number}"), "end".into()],
                "{end}"
            );
        }
    }
}

/// Neither does it wait for an answer, nor for anything else: it has said what it had to say.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_joins_speaks_and_goes_in_one_breath_is_heard() {
    let (server, mut told) = telling_server().await;
    for number in 0..50 {
        let event = format!("42[\"last\",{number}]");
        for end in [Message::Text("41".into()), Message::Text("1".into()), Message::Close(None)] {
            let mut client = server.open().await;
            let messages = [Message::Text("40".into()), Message::Text((&*event).into()), end];
            client.connection().send_all(&messages).await.unwrap();
            assert_eq!([told.next().await, told.next().await], [format!("last {number}"), "end".into()]);
        }
        let polling = Polling::open(server.addr).await.unwrap();
        polling.post(format!("40\u{1e}{event}\u{1e}1").as_bytes()).await.unwrap();
        assert_eq!([told.next().await, told.next().await], [format!("last {number}"), "end".into()]);
    }
    server.connections(50).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_is_not_let_in_is_not_heard() {
    let (tell, mut told) = told();
    let namespace = Namespace::new("/")
        .middleware(async || {
            tokio::task::yield_now().await;
            Err::<(), _>(tenfour::ConnectError::new("no"))
        })
        .on("last", move || {
            let _ = tell.send(());
            std::future::ready(())
        });
    let server = TestServer::start(quiet().namespace(namespace)).await;
    for _ in 0..20 {
        let mut client = server.open().await;
        client.send_texts(["40", "42[\"last\"]", "41", "1"]).await.unwrap();
        client.connection().expect_end().await.unwrap();
    }
    server.connections(0).await;
    assert!(told.now().is_none());
}

/// The handlers are behind, so that nothing is read and no pong is seen, for longer than a ping and its pong may take.
#[tokio::test(flavor = "multi_thread")]
async fn at_the_bound_reading_rests_and_time_rests_with_it() {
    const EVENTS: u64 = 2000;
    let gate = Arc::new(Semaphore::new(0));
    let (tell, mut told) = told();
    let namespace = echo("/").on("n", {
        let gate = gate.clone();
        move |number: u64| {
            let (gate, tell) = (gate.clone(), tell.clone());
            async move {
                gate.acquire().await.expect("it is never closed").forget();
                let _ = tell.send(number);
            }
        }
    });
    let (interval, timeout) = (Duration::from_millis(60), Duration::from_millis(500));
    let builder = Server::builder().ping_interval(interval).ping_timeout(timeout).event_queue(2000);
    let server = TestServer::start(builder.namespace(namespace)).await;
    let mut client = server.joined().await;
    let events: Vec<_> = (0..EVENTS).map(|number| format!("42[\"n\",{number}]")).collect();
    client.send_texts(events.iter().map(String::as_str)).await.unwrap();
    // This is the time that must not count.
    tokio::time::sleep(3 * (interval + timeout)).await;
    assert_eq!(server.handle.connections(), 1);
    assert!(told.now().is_none());

    gate.add_permits(EVENTS as usize);
    client.send_text("421[\"echo\",1]").await.unwrap();
    soon("the end of the queue", client.expect_text("431[1]")).await.unwrap();
    for number in 0..EVENTS {
        assert_eq!(told.next().await, number);
    }
}

/// The client feels that nothing is read: it cannot make the server hold more than the bound and what the kernel holds.
#[tokio::test(flavor = "multi_thread")]
async fn at_the_bound_the_client_is_held_up() {
    let (namespace, gate) = gated();
    let server = TestServer::start(quiet().namespace(namespace)).await;
    let mut client = server.joined().await;
    let event = format!("42[\"n\",0,\"{}\"]", "x".repeat(500_000));
    let many = [&*event; 100];
    let sent = tokio::time::timeout(Duration::from_millis(500), client.send_texts(many)).await;
    assert!(sent.is_err(), "50 MB were taken");
    gate.close();
}

/// A handler `n` that waits until the gate lets it through, or is closed.
fn gated() -> (Namespace, Arc<Semaphore>) {
    let gate = Arc::new(Semaphore::new(0));
    let namespace = Namespace::new("/").on("n", {
        let gate = gate.clone();
        move || {
            let gate = gate.clone();
            async move {
                let _ = gate.acquire().await.map(tokio::sync::SemaphorePermit::forget);
            }
        }
    });
    (namespace, gate)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_post_waits_until_the_handlers_have_caught_up() {
    let gate = Arc::new(Semaphore::new(0));
    let (tell, mut told) = told();
    let namespace = Namespace::new("/").on("n", {
        let gate = gate.clone();
        move |number: u64| {
            let (gate, tell) = (gate.clone(), tell.clone());
            async move {
                gate.acquire().await.expect("it is never closed").forget();
                let _ = tell.send(number);
            }
        }
    });
    let server = TestServer::start(quiet().event_queue(1000).namespace(namespace)).await;
    let polling = Polling::open(server.addr).await.unwrap();
    let events: Vec<_> = (0..100).map(|number| format!("42[\"n\",{number}]")).collect();
    let first = format!("40\u{1e}{}", events.join("\u{1e}"));
    assert_eq!(polling.post(first.as_bytes()).await.unwrap().text(), "ok");
    let mut second = tokio::spawn({
        let polling = polling.clone();
        async move { polling.post(b"42[\"n\",100]").await }
    });
    let early = tokio::time::timeout(Duration::from_millis(100), &mut second).await;
    assert!(early.is_err(), "it waits: {early:?}");
    gate.add_permits(100);
    for number in 0..100 {
        assert_eq!(told.next().await, number);
    }
    assert_eq!(second.await.unwrap().unwrap().text(), "ok");
    gate.add_permits(1);
    assert_eq!(told.next().await, 100);
}
