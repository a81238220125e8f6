//! Handlers that are slow, wait for their own client, run at once, or panic.

use crate::server::{TestServer, Told, echo, quiet, soon, told, until};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tenfour::{
    ConnectError, HandlerResult, Namespace, RequestError, Server, Socket,
    broker::{Limits, Why},
};
use tenfour_testkit::client::{Client, Options, Pongs};
use tokio::sync::Semaphore;

/// A namespace with a handler `wait` that waits for a permit and then tells its argument.
fn waiting(namespace: Namespace) -> (Namespace, Arc<Semaphore>, Told<u64>) {
    let (tell, told) = told();
    let gate = Arc::new(Semaphore::new(0));
    let namespace = namespace.on("wait", {
        let gate = gate.clone();
        move |number: u64| {
            let (gate, tell) = (gate.clone(), tell.clone());
            async move {
                gate.acquire().await.expect("it is never closed").forget();
                let _ = tell.send(number);
            }
        }
    });
    (namespace, gate, told)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_handler_holds_back_its_own_socket_alone() {
    let (namespace, gate, mut told) = waiting(echo("/"));
    let (interval, timeout) = (Duration::from_millis(60), Duration::from_millis(500));
    let builder = Server::builder().ping_interval(interval).ping_timeout(timeout);
    let server = TestServer::start(builder.namespace(namespace).namespace(echo("/other"))).await;
    let mut client = server.joined().await;
    client.connect("/other", None).await.unwrap();
    client.send_texts(["42[\"wait\",1]", "42[\"wait\",2]", "421[\"echo\",3]"]).await.unwrap();

    // Pings are answered, and answers of both sides pass, for longer than the heartbeat's patience.
    let everyone = server.handle.namespace("/").unwrap();
    let start = Instant::now();
    let mut id = 0;
    while start.elapsed() < 3 * (interval + timeout) {
        let ask = everyone.emit_with_ack::<u64>("question", &());
        let answer = async {
            client.expect_text(&format!("42{id}[\"question\"]")).await.unwrap();
            client.send_text(&format!("43{id}[5]")).await.unwrap();
            client.send_text("42/other,7[\"echo\"]").await.unwrap();
            client.expect_text("43/other,7[]").await.unwrap();
        };
        let (asked, ()) = tokio::join!(ask, answer);
        assert_eq!(asked.unwrap().answers[0].1, 5);
        id += 1;
    }
    assert!(told.now().is_none(), "the handler still waits");
    gate.add_permits(2);
    client.expect_text("431[3]").await.unwrap();
    assert_eq!([told.next().await, told.next().await], [1, 2], "in their order, and before the echo");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_may_await_an_answer_of_its_own_client() {
    let namespace = Namespace::new("/")
        .on_connect(async |socket: Socket| -> HandlerResult<()> {
            let name: String = socket.emit_with_ack("who", &()).await?;
            Ok(socket.set_data(&name).await?)
        })
        .on("ask", async |socket: Socket| -> HandlerResult<(String, u64)> {
            let name: Option<String> = socket.data()?;
            Ok((name.unwrap_or_default(), socket.emit_with_ack("question", &("a", 1)).await?))
        });
    let server = TestServer::start(quiet().namespace(namespace)).await;
    let mut client = server.open().await;
    client.send_texts(["40", "421[\"ask\"]", "422[\"ask\"]"]).await.unwrap();
    assert!(client.receive_text().await.unwrap().starts_with("40{"));
    client.expect_text("420[\"who\"]").await.unwrap();
    client.send_text("430[\"me\"]").await.unwrap();
    for (question, answer) in [(1, 1), (2, 2)] {
        client.expect_text(&format!("42{question}[\"question\",\"a\",1]")).await.unwrap();
        client.send_text(&format!("43{question}[7]")).await.unwrap();
        client.expect_text(&format!("43{answer}[\"me\",7]")).await.unwrap();
    }
}

/// The client's further events fill the queue, so that its answer would never be read.
#[tokio::test(flavor = "multi_thread")]
async fn a_handler_that_awaits_what_cannot_be_read_is_told_so() {
    let (tell, mut told) = told();
    let namespace = echo("/").on("ask", move |socket: Socket| {
        let tell = tell.clone();
        async move {
            let answer = socket.emit_with_ack::<u64>("question", &()).await;
            let _ = tell.send(answer);
        }
    });
    let server = TestServer::start(quiet().event_queue(1000).namespace(namespace)).await;
    let mut client = server.joined().await;
    let mut events = vec!["42[\"ask\"]"];
    events.extend(["42[\"unheard\"]"; 100]);
    events.push("421[\"echo\",1]");
    client.send_texts(events).await.unwrap();
    let error = told.next().await.unwrap_err();
    assert!(matches!(error, RequestError::NoAnswer(tenfour::NoAnswer::Congested)), "{error}");
    client.expect_text("420[\"question\"]").await.unwrap();
    client.expect_text("431[1]").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn so_many_handlers_run_at_once_and_no_more() {
    const AT_ONCE: usize = 3;
    const EVENTS: usize = 20;
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let gate = Arc::new(Semaphore::new(0));
    let namespace = Namespace::new("/").concurrent(AT_ONCE).on("work", {
        let (running, most, gate) = (running.clone(), most.clone(), gate.clone());
        move || {
            let (running, most, gate) = (running.clone(), most.clone(), gate.clone());
            async move {
                most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                gate.acquire().await.expect("it is never closed").forget();
                running.fetch_sub(1, Ordering::SeqCst);
            }
        }
    });
    let server = TestServer::start(quiet().namespace(namespace).namespace(echo("/other"))).await;
    let mut client = server.joined().await;
    client.connect("/other", None).await.unwrap();
    // One by one, so that the queue is empty between them although handlers run.
    for id in 0..EVENTS {
        client.send_text(&format!("42{id}[\"work\"]")).await.unwrap();
        client.request("/other", 1, "echo", "1").await.unwrap();
        let wanted = (id + 1).min(AT_ONCE);
        until("so many handlers", || running.load(Ordering::SeqCst) == wanted).await;
    }
    gate.add_permits(EVENTS);
    for _ in 0..EVENTS {
        client.receive_text().await.unwrap();
    }
    assert_eq!(most.load(Ordering::SeqCst), AT_ONCE);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_waits_for_handlers_that_run_at_once() {
    let (namespace, gate, mut told) = waiting(Namespace::new("/").concurrent(8));
    let (tell, mut ends) = crate::server::told();
    let namespace = namespace.on_disconnect(move |_: Socket| {
        let _ = tell.send(());
        std::future::ready(())
    });
    let server = TestServer::start(quiet().namespace(namespace)).await;
    let mut client = server.joined().await;
    client.send_texts(["42[\"wait\",1]", "42[\"wait\",1]"]).await.unwrap();
    client.send_texts(["42[\"wait\",1]", "41"]).await.unwrap();
    client.close().await.unwrap();
    server.connections(0).await;
    assert!(ends.now().is_none());
    gate.add_permits(3);
    for _ in 0..3 {
        told.next().await;
    }
    ends.next().await;
}

async fn panic_at_once() {
    panic!("planned");
}

async fn panic_later() {
    tokio::task::yield_now().await;
    panic!("planned");
}

fn panic_without_a_future() -> std::future::Ready<()> {
    panic!("planned");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_that_panics_answers_an_error_and_its_socket_goes_on() {
    for concurrent in [1, 4] {
        let namespace = echo("/")
            .concurrent(concurrent)
            .on("at once", panic_at_once)
            .on("later", panic_later)
            .on("without a future", panic_without_a_future);
        let server = TestServer::start(quiet().event_queue(1000).namespace(namespace)).await;
        let mut client = server.joined().await;
        for round in 0..20 {
            for event in ["at once", "later", "without a future"] {
                client.send_texts([&*format!("421[\"{event}\"]"), "42[\"message\",1]"]).await.unwrap();
                let mut answers =
                    [client.receive_text().await.unwrap(), client.receive_text().await.unwrap()];
                answers.sort();
                let expected = ["42[\"message-back\",1]", "431[{\"error\":\"Internal error\"}]"];
                assert_eq!(answers, expected, "{event}, round {round}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_on_the_way_in_or_out_costs_nothing_else() {
    let (tell, mut ends) = told();
    let refuses = echo("/refuses").middleware(|| -> std::future::Ready<Result<(), ConnectError>> {
        panic!("planned");
    });
    let namespace = echo("/").on_connect(panic_without_a_future).on_disconnect(move |_: Socket| {
        let _ = tell.send(());
        panic_without_a_future()
    });
    let server = TestServer::start(quiet().namespace(namespace).namespace(refuses)).await;
    let mut client = server.joined().await;
    client.request("/", 1, "echo", "1").await.unwrap();
    client.send_text("40/refuses,").await.unwrap();
    client.expect_text("44/refuses,{\"message\":\"Internal error\"}").await.unwrap();
    client.send_texts(["41", "40"]).await.unwrap();
    ends.next().await;
    assert!(client.receive_text().await.unwrap().starts_with("40{"));
    client.request("/", 1, "echo", "1").await.unwrap();
    client.close().await.unwrap();
    ends.next().await;
    server.connections(0).await;
}

/// Whoever leaves takes the others along, each of whom does the same: no handler runs within another one.
#[tokio::test(flavor = "multi_thread")]
async fn a_chain_of_disconnections_needs_no_deeper_stack() {
    const CLIENTS: usize = 500;
    let (tell, mut ends) = told();
    let namespace = echo("/").on_disconnect(move |socket: Socket| {
        let _ = tell.send(socket.id());
        socket.everyone().disconnect_sockets();
        std::future::ready(())
    });
    let server = TestServer::start(quiet().namespace(namespace)).await;
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        clients.push(server.joined().await);
    }
    clients[0].send_text("41").await.unwrap();
    for _ in 0..CLIENTS {
        ends.next().await;
    }
    assert!(server.handle.namespace("/").unwrap().fetch_sockets().is_empty());
    assert!(ends.now().is_none(), "each once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_without_an_answer_says_why() {
    let (tell, mut sockets) = told();
    let namespace = echo("/").on_connect(move |socket: Socket| {
        let _ = tell.send(socket);
        std::future::ready(())
    });
    let server = TestServer::start(quiet().namespace(namespace)).await;
    let options = Options { pongs: Pongs::Withheld, ..Options::default() };
    let mut client = Client::open(server.addr, options).await.unwrap();
    client.connect("/", None).await.unwrap();
    let socket = sockets.next().await;

    let hasty = socket.clone().timeout(Duration::from_millis(20));
    let error = hasty.emit_with_ack::<u64>("question", &()).await.unwrap_err();
    assert!(matches!(error, RequestError::NoAnswer(tenfour::NoAnswer::TimedOut)), "{error}");
    client.expect_text("420[\"question\"]").await.unwrap();
    // Late, and to be ignored.
    client.send_text("430[1]").await.unwrap();

    let (answer, ()) = tokio::join!(socket.emit_with_ack::<u64>("question", &()), async {
        client.expect_text("421[\"question\"]").await.unwrap();
        client.send_text("431[\"no number\"]").await.unwrap();
    });
    assert!(matches!(answer, Err(RequestError::Answer(_))), "{answer:?}");

    let everyone = server.handle.namespace("/").unwrap();
    let (answer, all, ()) = tokio::join!(
        socket.emit_with_ack::<u64>("question", &()),
        everyone.emit_with_ack::<u64>("question", &()),
        async {
            client.receive_text().await.unwrap();
            client.receive_text().await.unwrap();
            client.connection().shutdown().await.unwrap();
        }
    );
    let error = answer.unwrap_err();
    assert!(matches!(error, RequestError::NoAnswer(tenfour::NoAnswer::Disconnected)), "{error}");
    assert_eq!(all.unwrap().missing, [(socket.id(), Why::Disconnected)]);
    let error = soon("a refusal", socket.emit_with_ack::<u64>("question", &())).await.unwrap_err();
    assert!(matches!(error, RequestError::NoAnswer(tenfour::NoAnswer::Disconnected)), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_nobody_awaits_any_more_is_forgotten() {
    let (tell, mut sockets) = told();
    let namespace = echo("/").on_connect(move |socket: Socket| {
        let _ = tell.send(socket);
        std::future::ready(())
    });
    let mut limits = Limits::default();
    limits.pending_requests_per_socket = 1;
    let server = TestServer::start(quiet().namespace_limits(limits).namespace(namespace)).await;
    let mut client = server.joined().await;
    let socket = sockets.next().await;
    for question in 0..10 {
        let request = socket.emit_with_ack::<u64>("question", &());
        assert!(tokio::time::timeout(Duration::from_millis(5), request).await.is_err());
        client.expect_text(&format!("42{question}[\"question\"]")).await.unwrap();
    }
    let (answer, ()) = tokio::join!(socket.emit_with_ack::<u64>("question", &()), async {
        client.expect_text("4210[\"question\"]").await.unwrap();
        client.send_text("4310[1]").await.unwrap();
    });
    assert_eq!(answer.unwrap(), 1);
}

/// What a client answers to another one's question is no answer.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_answers_for_another() {
    let (tell, mut sockets) = told();
    let namespace = echo("/").on_connect(move |socket: Socket| {
        let _ = tell.send(socket);
        std::future::ready(())
    });
    let server = TestServer::start(quiet().namespace(namespace)).await;
    let mut asked = server.joined().await;
    let socket = sockets.next().await;
    let mut other = server.joined().await;
    let (answer, ()) = tokio::join!(socket.emit_with_ack::<String>("question", &()), async {
        asked.expect_text("420[\"question\"]").await.unwrap();
        other.send_texts(["430[\"forged\"]", "421[\"echo\"]"]).await.unwrap();
        other.expect_text("431[]").await.unwrap();
        asked.send_text("430[\"mine\"]").await.unwrap();
    });
    assert_eq!(answer.unwrap(), "mine");
}
