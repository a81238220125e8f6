//! How it ends while people are connected.

use std::time::{Duration, Instant};

use tenfour::wire::websocket::Message;
use tenfour_testkit::client::{Client, Options, Polling};

use crate::{
    chat::Person,
    server::{ANY_PORT, Server},
};

/// How long connections may take to end in order.
const GRACE: Duration = Duration::from_secs(5);

/// A client that is told to leave stays away; one whose transport is lost comes back, to whoever serves next.
#[tokio::test]
async fn clients_lose_their_transport_and_are_not_told_to_leave() {
    let mut server = Server::start(&ANY_PORT);
    let mut ada = Person::enter(&server, "Ada").await;
    let polling = Polling::open(server.address).await.expect("a session");
    polling.post(br#"40{"name":"Grace"}"#).await.expect("joined");
    ada.sees(&["Ada", "Grace"]).await;
    while !polling.get().await.expect("packets").text().contains("Grace") {}

    let begin = Instant::now();
    // If the signal overtakes the poll, it is answered all the same.
    let (poll, ()) = tokio::join!(polling.get(), async { server.signal("-TERM") });
    assert_eq!(poll.expect("an answer").text(), "1", "the transport is closed, by Engine.IO alone");
    let connection = ada.client.connection();
    let farewell = loop {
        match connection.receive().await.expect("a close frame before the end") {
            Message::Text(text) => assert_ne!(text, "41", "told to leave"),
            Message::Close(close) => break close,
            other => panic!("{other:?}"),
        }
    };
    connection.send(&Message::Close(farewell)).await.expect("answered");
    connection.expect_end().await.expect("the end");
    drop(ada);
    assert_eq!(server.wait().code(), Some(0));
    assert!(begin.elapsed() < GRACE, "nobody held it up");
}

#[tokio::test]
async fn who_does_not_answer_cannot_hold_it_up_for_long() {
    let mut server = Server::start(&ANY_PORT);
    let _silent = Person::enter(&server, "Silent").await;
    let begin = Instant::now();
    server.signal("-TERM");
    assert_eq!(server.wait().code(), Some(0));
    assert!(begin.elapsed() < 2 * GRACE);
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let mut server = Server::start(&ANY_PORT);
    let _poller = Polling::open(server.address).await.expect("a session that nobody polls");
    let begin = Instant::now();
    server.signal("-INT");
    // A refusal is how one knows that the first signal was heard.
    while Client::open(server.address, Options::default()).await.is_ok() {}
    server.signal("-INT");
    assert_eq!(server.wait().code(), Some(0));
    assert!(begin.elapsed() < GRACE, "it did not wait for the poller");
}
