//! Clients that are behind: they get what they were owed, or are told what is gone.

use super::*;
use crate::server::quiet;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tenfour::native::log::{
    Completion, Epoch, History, Log, Memory, Offset, Page, Query, ReadError, Record, Retention, Ticket,
    WallTime,
};

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

/// A log in memory that can be made unreadable.
struct Unreadable {
    memory: Memory,
    is_broken: Arc<AtomicBool>,
}

impl Log for Unreadable {
    fn append(&mut self, ticket: Ticket, records: Vec<Record>) {
        self.memory.append(ticket, records);
    }

    fn poll(&mut self) -> Option<Completion> {
        self.memory.poll()
    }

    fn epoch(&self) -> Epoch {
        self.memory.epoch()
    }

    fn head(&self) -> Offset {
        self.memory.head()
    }

    fn read(&self, query: &Query) -> Result<Page, ReadError> {
        if self.is_broken.load(Ordering::SeqCst) {
            return Err(ReadError::Failed { reason: "a bad sector".to_owned() });
        }
        self.memory.read(query)
    }

    fn history(&self, channel: &str) -> History {
        self.memory.history(channel)
    }

    fn trim(&mut self, now: WallTime) {
        self.memory.trim(now);
    }

    fn release(&mut self, channel: &str, through: Offset) {
        self.memory.release(channel, through);
    }
}

/// Nobody can say whether the replay would be exact; the session is there when somebody can.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_outlives_that_its_log_cannot_be_read() {
    let is_broken = Arc::new(AtomicBool::new(false));
    let breaks = Arc::clone(&is_broken);
    let builder = quiet().namespace(news()).log(move |_| {
        let memory = Memory::new(Epoch::new(1), Retention::default());
        Box::new(Unreadable { memory, is_broken: Arc::clone(&breaks) })
    });
    let server = TestServer::start(builder).await;
    let (mut client, first) = Returning::connected(&server).await;
    client.expect_silence().await;
    client.cut();
    server.connections(0).await;
    publish(&server, 1..=3).await;
    is_broken.store(true, Ordering::SeqCst);
    let impatient = tokio::time::timeout(Duration::from_millis(300), client.connect(&server)).await;
    impatient.expect_err("it waits for the log");
    server.connections(0).await;
    let error = client.connect(&server).await.unwrap_err().to_string();
    assert!(error.contains("not available"), "{error}");
    is_broken.store(false, Ordering::SeqCst);
    assert_eq!(client.connect(&server).await.unwrap(), Welcome { recovered: true, ..first });
    client.expect_events(numbers(1..=3)).await;
    client.expect_silence().await;
}
