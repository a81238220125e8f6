//! Packets that mean something else than their sender is entitled to.

use super::still_serves;
use crate::server::{NEVER, TestServer, Told, echo, quiet, soon, told};
use std::time::Duration;
use tenfour::{DisconnectReason, Socket, socketio::Encoding, wire::websocket::Message};
use tenfour_testkit::client::Polling;

/// An echo that tells why each of its sockets left.
async fn telling_server() -> (TestServer, Told<DisconnectReason>) {
    let (tell, reasons) = told();
    let namespace = echo("/").on_disconnect(move |_: Socket, reason: DisconnectReason| {
        let _ = tell.send(reason);
        std::future::ready(())
    });
    (TestServer::start(quiet().namespace(namespace).namespace(echo("/other"))).await, reasons)
}

/// What no stock client sends, once it is in a namespace.
const BAD: &[&str] = &[
    "",
    "x",
    "4",
    "4abc",
    "4é",
    "40",
    "40{}",
    "42{}",
    "42[]",
    "42[null]",
    "42[true]",
    "42abc[\"x\"]",
    "42-1[\"x\"]",
    "42[\"x\"",
    "42[\"x\"]y",
    "42[\"x\",]",
    "42[\"x\",01]",
    "42[\"x\",NaN]",
    "42['x']",
    "431{}",
    "43[1]",
    "41{}",
    "44{\"message\":\"no\"}",
    "47[\"x\"]",
    "42/other,[\"x\"]",
    "43/other,1[]",
    "41/other,",
    "4299999999999999999999999[\"x\"]",
    // Names that are the protocol's own.
    "42[\"connect\"]",
    "42[\"connect_error\"]",
    "42[\"disconnect\"]",
    "42[\"disconnecting\"]",
    "42[\"newListener\"]",
    "42[\"removeListener\"]",
    // CVE-2023-32695: a name that is no name.
    "42[{\"toString\":\"foo\"}]",
    "42[[\"x\"]]",
    // CVE-2022-2421: a placeholder that names a method, or no attachment.
    "451-[\"message\",{\"_placeholder\":true,\"num\":\"splice\"}]",
    "451-[\"message\",{\"_placeholder\":true,\"num\":1}]",
    "451-[\"message\",{\"_placeholder\":true,\"num\":-1}]",
    "451-[\"message\",{\"_placeholder\":true,\"num\":0.5}]",
    "451-[\"message\",{\"_placeholder\":true}]",
    // CVE-2026-33151: more attachments than anybody needs.
    "4511-[\"message\"]",
    "45999999999999999999-[\"message\"]",
    "4518446744073709551617-[\"message\"]",
    "45-1-[\"message\"]",
    "451e1-[\"message\"]",
    "45 1-[\"message\"]",
    "451[\"message\"]",
    "450-[\"message\"]",
    // Lone surrogates.
    "42[\"message\",\"\\ud800\"]",
    "42[\"message\",\"\\udc00\\ud800\"]",
    "42[\"\\udfff\"]",
    "42[\"message\",{\"\\ud800\":1}]",
    // The wrong direction.
    "2",
    "2probe",
];

#[tokio::test(flavor = "multi_thread")]
async fn each_bad_packet_ends_its_websocket_alone() {
    let (server, mut reasons) = telling_server().await;
    let mut neighbour = server.joined().await;
    for bad in BAD {
        let mut client = server.joined().await;
        client.send_text(bad).await.unwrap();
        soon(format_args!("the end after {bad:?}"), client.connection().expect_end()).await.unwrap();
        let reason = reasons.next().await.to_string();
        assert!(["parse error", "transport error"].contains(&&*reason), "{bad:?}: {reason}");
        neighbour.send_text("42[\"message\",1]").await.unwrap();
        neighbour.expect_text("42[\"message-back\",1]").await.unwrap();
    }
    server.connections(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_bad_packet_ends_its_polling_session_alone() {
    let (server, mut reasons) = telling_server().await;
    for bad in BAD {
        let polling = Polling::open(server.addr).await.unwrap();
        polling.post(b"40").await.unwrap();
        polling.receive().await.unwrap();
        let post = polling.post(bad.as_bytes()).await.unwrap();
        assert!([200, 400].contains(&post.status), "{bad:?}: {}", post.status);
        reasons.next().await;
        // What is queued may be fetched, up to the close packet; then there is no session.
        let mut get = polling.get().await.unwrap();
        while get.status == 200 {
            assert!(get.text().ends_with('1'), "{bad:?}: {}", get.text());
            get = polling.get().await.unwrap();
        }
        assert_eq!((get.status, &*get.text()), (400, r#"{"code":1,"message":"Session ID unknown"}"#));
    }
    server.connections(0).await;
    still_serves(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_not_joined_has_nothing_to_say() {
    let (server, mut reasons) = telling_server().await;
    for bad in ["42[\"message\"]", "41", "431[]", "40[]", "40\"s\"", "40null", "40{bad", "40{}x", "44"] {
        let mut client = server.open().await;
        client.send_text(bad).await.unwrap();
        soon(format_args!("the end after {bad:?}"), client.connection().expect_end()).await.unwrap();
    }
    server.connections(0).await;
    assert!(reasons.now().is_none(), "nobody was in the namespace");
}

#[tokio::test(flavor = "multi_thread")]
async fn attachments_come_when_announced_and_nothing_between_them() {
    let (server, _reasons) = telling_server().await;
    let announced = Message::Text("452-[\"message\",{\"_placeholder\":true,\"num\":0}]".into());
    let bytes = Message::Binary("x".into());
    for bad in [
        vec![bytes.clone()],
        vec![announced.clone(), announced.clone()],
        vec![announced.clone(), bytes.clone(), Message::Text("42[\"message\"]".into())],
        vec![announced.clone(), bytes.clone(), bytes.clone(), bytes.clone()],
    ] {
        let mut client = server.joined().await;
        client.connection().send_all(&bad).await.unwrap();
        soon(format_args!("the end after {bad:?}"), client.connection().expect_end()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn attachments_that_never_come_are_not_waited_for() {
    let builder = quiet().attachment_timeout(Duration::from_millis(150)).namespace(echo("/"));
    let server = TestServer::start(builder).await;
    let mut client = server.joined().await;
    client.send_text("4510-[\"message\"]").await.unwrap();
    client.connection().expect_end().await.unwrap();
    server.connections(0).await;

    let mut complete = server.joined().await;
    let text = Message::Text("451-[\"echo\",{\"_placeholder\":true,\"num\":0}]".into());
    complete.connection().send_all(&[text, Message::Binary("x".into())]).await.unwrap();
    let until = tokio::time::Instant::now() + Duration::from_millis(300);
    while tokio::time::Instant::now() < until {
        complete.request("/", 1, "echo", "1").await.unwrap();
    }
}

/// One that only heartbeats keep alive would wait for ever in JavaScript.
#[tokio::test(flavor = "multi_thread")]
async fn heartbeats_do_not_prolong_the_wait_for_attachments() {
    let builder = quiet()
        .ping_interval(Duration::from_millis(20))
        .ping_timeout(NEVER)
        .attachment_timeout(Duration::from_millis(150))
        .namespace(echo("/"));
    let server = TestServer::start(builder).await;
    let mut client = server.joined().await;
    client.send_text("4510-[\"message\"]").await.unwrap();
    let pongs = async {
        while client.receive_text().await.is_ok() {
            client.send_text("3").await.unwrap_or_default();
        }
    };
    soon("the end of a client that sends pongs alone", pongs).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn control_packets_that_mean_nothing_are_passed_over() {
    let (server, _reasons) = telling_server().await;
    let mut client = server.joined().await;
    client.send_texts(["0", "0{\"sid\":\"x\"}", "3", "3probe", "5", "6", "42[\"message\",1]"]).await.unwrap();
    client.expect_text("42[\"message-back\",1]").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledgement_ids_are_echoed_digit_for_digit() {
    let (server, _reasons) = telling_server().await;
    let mut client = server.joined().await;
    for id in ["0", "1", "9007199254740993", "18446744073709551615"] {
        client.send_text(&format!("42{id}[\"echo\",1]")).await.unwrap();
        client.expect_text(&format!("43{id}[1]")).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_acknowledgement_that_nobody_asked_for_changes_nothing() {
    let (server, _reasons) = telling_server().await;
    let mut client = server.joined().await;
    client.send_texts(["430[]", "4318446744073709551615[1]", "42[\"message\",1]"]).await.unwrap();
    client.expect_text("42[\"message-back\",1]").await.unwrap();
}

/// 10 kB of brackets, relayed, crash the parser of whoever gets them.
#[tokio::test(flavor = "multi_thread")]
async fn values_too_deep_are_never_relayed() {
    let (server, _reasons) = telling_server().await;
    let nested = |depth| format!("42[\"message\",{}{}]", "[".repeat(depth), "]".repeat(depth));
    let mut client = server.joined().await;
    client.send_text(&nested(127)).await.unwrap();
    client.expect_text(&nested(127).replace("message", "message-back")).await.unwrap();
    for depth in [128, 5000, 400_000] {
        let mut client = server.joined().await;
        client.send_text(&nested(depth)).await.unwrap();
        client.connection().expect_end().await.unwrap();
    }
    let mut objects = server.joined().await;
    objects
        .send_text(&format!("42[\"message\",{}1{}]", "{\"a\":".repeat(5000), "}".repeat(5000)))
        .await
        .unwrap();
    objects.connection().expect_end().await.unwrap();
    still_serves(&server).await;
}

/// Relayed as it stands, it would make a receiver wait for an attachment, or take another one's.
#[tokio::test(flavor = "multi_thread")]
async fn a_forged_placeholder_is_never_relayed() {
    let (server, _reasons) = telling_server().await;
    for forged in [
        "42[\"message\",{\"_placeholder\":true,\"num\":0}]",
        "42[\"message\",{\"num\":0,\"_placeholder\":true}]",
        "42[\"message\",{\"\\u005fplaceholder\":true,\"num\":0}]",
    ] {
        let mut client = server.joined().await;
        client.send_text(forged).await.unwrap();
        client.connection().expect_end().await.unwrap();
    }
    still_serves(&server).await;
}

/// CVE-2024-38355: an error that no listener takes.
#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_without_handlers_answers_all_the_same() {
    let server = TestServer::start(quiet().namespace(tenfour::Namespace::new("/"))).await;
    let mut client = server.joined().await;
    client.send_texts(["42[\"error\",{}]", "42[\"error\"]", "421[\"error\",1]"]).await.unwrap();
    client.expect_text("431[{\"error\":\"no handler for the event \\\"error\\\"\"}]").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn each_bad_packet_of_messagepack_ends_its_websocket_alone() {
    /// `{"type":0,"nsp":"/"}`
    const CONNECT: &[u8] = b"\x82\xa4type\x00\xa3nsp\xa1/";
    let server = TestServer::start(quiet().encoding(Encoding::MessagePack).namespace(echo("/"))).await;
    let deep =
        [b"\x83\xa4type\x02\xa3nsp\xa1/\xa4data\x92\xa7message", &*b"\x91".repeat(5000), b"\xc0"].concat();
    for bad in [
        &b""[..],
        b"\xc1",
        b"\x82\xa4type",
        b"\xdf\xff\xff\xff\xff",
        b"\x81\xa4type\x02",
        b"\x83\xa4type\x02\xa3nsp\xa1/\xa4data\x90",
        b"\x83\xa4type\x02\xa3nsp\xa1/\xa4data\xdd\xff\xff\xff\xff",
        b"\x83\xa4type\x02\xa3nsp\xa1/\xa4data\x91\xdb\xff\xff\xff\xff",
        b"\x83\xa4type\x02\xa3nsp\xa1/\xa4data\x91\xa7connect",
        b"\x83\xa4type\x05\xa3nsp\xa1/\xa4data\x91\xa1x",
        b"\x83\xa4type\x02\xa3nsp\xa1/\xa4data\x91\xa1\xff",
        CONNECT,
        &deep,
    ] {
        let mut client = server.open().await;
        let messages = [CONNECT, bad].map(|packet| Message::Binary(packet.to_vec().into()));
        client.connection().send_all(&messages).await.unwrap();
        soon(format_args!("the end after {bad:?}"), client.connection().expect_end()).await.unwrap();
    }
    let mut client = server.open().await;
    client.send_text("40").await.unwrap();
    client.connection().expect_end().await.unwrap();
    let mut client = server.open().await;
    client.connection().send(&Message::Binary(CONNECT.into())).await.unwrap();
    assert!(matches!(client.connection().receive().await.unwrap(), Message::Binary(_)), "it still serves");
}

/// CVE-2020-36049: a text whose parts are put together at a cost that grows with its square.
#[tokio::test(flavor = "multi_thread")]
async fn the_largest_packets_are_read_in_no_time() {
    let (server, _reasons) = telling_server().await;
    let mut client = server.joined().await;
    let zeros = "0,".repeat(499_000);
    let escapes = "\\u0041".repeat(160_000);
    let digits = "1".repeat(900_000);
    for argument in [zeros.trim_end_matches(','), &format!("\"{escapes}\""), &digits] {
        let answer = client.request("/", 1, "echo", argument).await.unwrap();
        assert_eq!(answer.json().len(), argument.len());
    }
    let names = "/".repeat(900_000);
    client.send_text(&format!("42{names},[\"x\"]")).await.unwrap();
    client.connection().expect_end().await.unwrap();
    still_serves(&server).await;
}
