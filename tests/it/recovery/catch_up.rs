//! Clients that are behind: they get what they were owed, or are told what is gone.

use super::*;
use crate::server::quiet;
use tenfour::native::log::Retention;

/// Keeps so many entries of each room.
fn of_each_room(messages: usize) -> Retention {
    let mut retention = Retention::default();
    retention.channel.messages = messages;
    retention
}

/// It is one of many: the others are served meanwhile, and what waits for it is in the log and not in its queue.
#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_read_catches_up_from_the_log() {
    let server = TestServer::start(quiet().namespace(news())).await;
    let (mut slow, _) = Returning::connected(&server).await;
    let (mut quick, _) = Returning::connected(&server).await;
    slow.expect_silence().await;
    quick.expect_silence().await;
    let padding = "x".repeat(8_000);
    for number in 1..=500 {
        let data = (number, &padding);
        soon("a commit", server.handle.publish("/", "news", "number", &data)).await.unwrap();
        assert_eq!(quick.event().await, format!("number {number},\"{padding}\""));
    }
    for number in 1..=500 {
        assert_eq!(slow.event().await, format!("number {number},\"{padding}\""));
    }
    publish(&server, 501..=501).await;
    for client in [&mut slow, &mut quick] {
        client.expect_events(numbers(501..=501)).await;
        client.expect_silence().await;
    }
}

/// A long replay, while more is published: one order, nothing twice.
#[tokio::test(flavor = "multi_thread")]
async fn a_replay_goes_over_into_what_is_live() {
    let server = TestServer::start(quiet().namespace(news())).await;
    let (mut client, _) = Returning::connected(&server).await;
    client.expect_silence().await;
    client.cut();
    server.connections(0).await;
    publish(&server, 1..=1_000).await;
    assert!(client.connect(&server).await.unwrap().recovered);
    let live = publish(&server, 1_001..=2_000);
    let heard = client.expect_events(numbers(1..=2_000));
    tokio::join!(live, heard);
    client.expect_silence().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_cannot_go_on_exactly_is_told_what_is_gone() {
    let retention = of_each_room(10);
    let server = TestServer::start(quiet().namespace(news()).retention(retention)).await;
    let (mut client, first) = Returning::connected(&server).await;
    publish(&server, 1..=1).await;
    client.expect_events(numbers(1..=1)).await;
    client.cut();
    server.connections(0).await;
    publish(&server, 2..=30).await;
    let again = client.connect(&server).await.unwrap();
    assert!(!again.recovered && again.sid != first.sid && again.pid != first.pid, "{again:?}");
    let lost = client.event().await;
    assert!(lost.starts_with("tenfour:lost {\"after\":"), "{lost}");
    assert!(lost.ends_with("\"reason\":\"retention\"}"), "{lost}");
    client.expect_silence().await;
    // The loss was told with a position, from which the new session goes on.
    client.cut();
    server.connections(0).await;
    publish(&server, 31..=32).await;
    assert_eq!(client.connect(&server).await.unwrap(), Welcome { recovered: true, ..again });
    client.expect_events(numbers(31..=32)).await;
    client.expect_silence().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_room_forgets_nobody() {
    let retention = of_each_room(10);
    let server = TestServer::start(quiet().namespace(news()).retention(retention)).await;
    let (mut client, first) = Returning::connected(&server).await;
    publish(&server, 1..=1).await;
    client.expect_events(numbers(1..=1)).await;
    client.cut();
    server.connections(0).await;
    for number in 0..50 {
        server.handle.publish("/", "elsewhere", "number", &number).await.unwrap();
    }
    assert_eq!(client.connect(&server).await.unwrap(), Welcome { recovered: true, ..first });
    client.expect_silence().await;
}
