//! HTTP long polling: payloads too large, too many, too slow, at once.

use super::still_serves;
use crate::server::{TestServer, echo, quiet, soon};
use std::time::Duration;
use tenfour::ServerBuilder;
use tenfour_testkit::client::{Polling, http};

const LIMIT: usize = 1_000_000;

async fn server() -> TestServer {
    start(quiet()).await
}

async fn start(builder: ServerBuilder) -> TestServer {
    TestServer::start(builder.namespace(echo("/"))).await
}

/// A session over polling in the namespace `/`.
async fn joined(server: &TestServer) -> Polling {
    let polling = Polling::open(server.addr).await.unwrap();
    assert_eq!(polling.post(b"40").await.unwrap().text(), "ok");
    polling.receive().await.unwrap();
    polling
}

async fn echoes(polling: &Polling) {
    assert_eq!(polling.post(b"429[\"echo\",1]").await.unwrap().text(), "ok");
    assert_eq!(polling.get().await.unwrap().text(), "439[1]");
}

fn event_of(bytes: usize) -> String {
    let shell = "421[\"echo\",\"\"]";
    shell.replace("\"\"", &format!("\"{}\"", "x".repeat(bytes - shell.len())))
}

/// CVE-2020-36048: 100 MB were read before anybody looked.
#[tokio::test(flavor = "multi_thread")]
async fn a_body_over_the_limit_is_refused_and_the_session_lives() {
    let server = server().await;
    let polling = joined(&server).await;
    for bytes in [LIMIT + 1, 8 * LIMIT] {
        let response = polling.post(event_of(bytes).as_bytes()).await;
        // More than the server reads may break the connection before the answer is read.
        if let Ok(response) = response {
            assert_eq!((response.status, &*response.text()), (413, ""));
        } else {
            assert!(bytes > 2 * LIMIT);
        }
        echoes(&polling).await;
    }
    assert_eq!(polling.post(event_of(LIMIT).as_bytes()).await.unwrap().status, 200);
    assert_eq!(polling.get().await.unwrap().body.len(), LIMIT - "[\"echo\",".len() + "[".len());
    echoes(&polling).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_chunks_has_the_same_limit() {
    let server = server().await;
    let polling = joined(&server).await;
    let mut connection = http::Connection::open(server.addr).await.unwrap();
    let head = format!("POST {} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n", polling.target());
    let chunk = format!("{:x}\r\n{}\r\n", LIMIT / 2, "x".repeat(LIMIT / 2));
    connection.send([&head, &chunk, &chunk, "1\r\nx\r\n"].concat().as_bytes()).await.unwrap();
    assert_eq!(connection.response("POST").await.unwrap().status, 413);
    echoes(&polling).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payload_of_countless_packets_is_refused() {
    let server = server().await;
    let polling = joined(&server).await;
    let body = vec!["6"; 400_000].join("\u{1e}");
    assert_eq!(polling.post(body.as_bytes()).await.unwrap().status, 400);
    server.connections(0).await;
    still_serves(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn as_many_packets_as_are_allowed_are_taken() {
    let server = server().await;
    let polling = joined(&server).await;
    let mut packets = vec!["6"; 131_071];
    packets.push("421[\"echo\",1]");
    assert_eq!(polling.post(packets.join("\u{1e}").as_bytes()).await.unwrap().status, 200);
    assert_eq!(polling.get().await.unwrap().text(), "431[1]");
}

#[tokio::test(flavor = "multi_thread")]
async fn polls_that_overlap_end_the_session_at_once() {
    let server = server().await;
    let polling = joined(&server).await;
    let (first, second) = tokio::join!(polling.get(), polling.get());
    let mut answers =
        [first, second].map(|answer| answer.unwrap()).map(|answer| (answer.status, answer.text()));
    answers.sort();
    assert_eq!(answers, [(200, "1".to_owned()), (400, String::new())]);
    server.connections(0).await;
    assert_eq!(polling.get().await.unwrap().text(), r#"{"code":1,"message":"Session ID unknown"}"#);
}

/// The head of a POST whose body is to come.
async fn post_without_body(server: &TestServer, polling: &Polling, length: usize) -> http::Connection {
    let mut connection = http::Connection::open(server.addr).await.unwrap();
    let head = format!("POST {} HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n", polling.target());
    connection.send(head.as_bytes()).await.unwrap();
    connection
}

#[tokio::test(flavor = "multi_thread")]
async fn posts_that_overlap_end_the_session_at_once() {
    let server = server().await;
    let polling = joined(&server).await;
    let mut slow = post_without_body(&server, &polling, 2).await;
    // The head of the first one may not have been read yet.
    soon("a refusal", async { while polling.post(b"6").await.unwrap().status == 200 {} }).await;
    server.connections(0).await;
    slow.send(b"40").await.unwrap();
    assert_eq!(slow.response("POST").await.unwrap().status, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_does_not_come_ends_the_session() {
    let server = start(quiet().body_timeout(Duration::from_millis(150))).await;
    let polling = joined(&server).await;
    let mut slow = post_without_body(&server, &polling, 100).await;
    let trickle = async {
        loop {
            // The server may have hung up.
            if slow.send(b"6").await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
            if server.handle.connections() == 0 {
                break;
            }
        }
        slow.response("POST").await
    };
    let response = soon("the end of a body that trickles", trickle).await.unwrap();
    assert_eq!(response.status, 408);
    server.connections(0).await;
    still_serves(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_breaks_off_ends_the_session() {
    let server = server().await;
    let polling = joined(&server).await;
    let half = post_without_body(&server, &polling, 100).await;
    // Once this is refused, the server has seen the head.
    drop(half);
    server.connections(0).await;
    assert_eq!(polling.get().await.unwrap().status, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poll_that_is_given_up_ends_the_session() {
    let server = server().await;
    let polling = joined(&server).await;
    let get = tokio::spawn({
        let polling = polling.clone();
        async move { polling.get().await }
    });
    // Volatile events are dropped until a poll waits for them, so the first that is not tells that one does.
    let broadcast = server.handle.namespace("/").unwrap();
    crate::server::until("a poll", || broadcast.clone().volatile().emit("x", &1).unwrap().queued == 1).await;
    get.await.unwrap().unwrap();
    let waiting = tokio::time::timeout(Duration::from_millis(50), polling.get()).await;
    assert!(waiting.is_err(), "{waiting:?}");
    server.connections(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_of_another_kind_are_refused() {
    let server = server().await;
    let polling = joined(&server).await;
    for method in ["PUT", "DELETE", "PATCH"] {
        let response = http::request(server.addr, method, polling.target(), &[], b"x").await.unwrap();
        assert_eq!(response.status, 500, "{method}");
        echoes(&polling).await;
    }
    let octets = [("content-type", "application/octet-stream")];
    let response = http::request(server.addr, "POST", polling.target(), &octets, b"4x").await.unwrap();
    assert_eq!((response.status, &*response.text()), (400, ""));
    server.connections(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payload_that_is_none_ends_the_session() {
    let server = server().await;
    for payload in
        [&b""[..], b"4a\x1e", b"\x1e4a", b"4a\x1e\x1e4b", b"abc", b"b!!!!", b"4\xff", b"2", b"2probe"]
    {
        let polling = joined(&server).await;
        let response = polling.post(payload).await.unwrap();
        assert!([200, 400].contains(&response.status), "{payload:?}");
        server.connections(0).await;
        assert_eq!(polling.get().await.unwrap().status, 400, "{payload:?}");
    }
    still_serves(&server).await;
}

/// A close packet leaves what is behind it unread.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_read_behind_the_end() {
    let server = server().await;
    let polling = joined(&server).await;
    let (get, post) = tokio::join!(polling.get(), async {
        let broadcast = server.handle.namespace("/").unwrap();
        crate::server::until("a poll", || broadcast.clone().volatile().emit("x", &1).unwrap().queued == 1)
            .await;
        polling.post(b"1\x1e421[\"echo\",1]").await
    });
    assert_eq!(post.unwrap().status, 200);
    assert_eq!(get.unwrap().text(), "42[\"x\",1]");
    server.connections(0).await;
}
