//! Links that break, servers that restart, clients that crash.

use super::{NativeServer, client, next_event, next_message, text};
use crate::server::soon;
use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};
use tenfour::client::{
    Accepted, Acknowledge, Client, Event, FileCursors, FileOutbox, Outbox, PublishOptions, Reason, Start,
    StartAt, SubscribeOptions, Subscription,
};
use tenfour_testkit::proxy::Proxy;
use tokio::task::JoinHandle;

/// How many messages go each way over a link that is cut all the time. Debug builds are some ten times slower.
const MESSAGES: u64 = if cfg!(debug_assertions) { 10_000 } else { 100_000 };

/// From one cut to the next.
const CUT_EVERY: Duration = Duration::from_millis(200);

/// How long both ways may take together.
const PATIENCE: Duration = Duration::from_secs(120);

/// Publications that one client has under way.
const IN_FLIGHT: usize = 512;

fn cutting(proxy: Arc<Proxy>) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut cuts = tokio::time::interval(CUT_EVERY);
        loop {
            cuts.tick().await;
            proxy.cut();
        }
    })
}

/// Publishes the numbers from 0 in their order, many at a time.
async fn publish_all(client: Client, channel: &'static str) {
    let mut waiting = VecDeque::new();
    for number in 0..MESSAGES {
        if waiting.len() == IN_FLIGHT {
            let accepted: Accepted = waiting.pop_front().unwrap();
            accepted.committed().await.unwrap();
        }
        let accepted = client.enqueue(channel, number.to_string(), PublishOptions::default()).await.unwrap();
        waiting.push_back(accepted);
    }
    for accepted in waiting {
        accepted.committed().await.unwrap();
    }
}

/// Receives the numbers from 0, in their order, each once.
async fn receive_all(mut subscription: Subscription) {
    for number in 0..MESSAGES {
        let delivery = loop {
            match subscription.next().await.expect("it goes on") {
                Event::Message(delivery) => break delivery,
                Event::CaughtUp { .. } => {}
                other => panic!("{other:?} instead of {number}"),
            }
        };
        assert_eq!(text(&delivery.message.body), number.to_string());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn over_a_link_that_is_cut_all_the_time_everything_arrives_once_and_in_order_both_ways() {
    let server = NativeServer::open().await;
    let proxy = Proxy::start(server.addr).await.unwrap();
    let near = client(proxy.addr()).connect().unwrap();
    let far = server.client();
    let to_far = soon("a subscription", far.subscribe("there")).await.unwrap();
    let to_near = soon("a subscription", near.subscribe("back")).await.unwrap();
    let proxy = Arc::new(proxy);
    let begin = Instant::now();
    let cutting = cutting(Arc::clone(&proxy));
    let both = async {
        tokio::join!(
            tokio::spawn(publish_all(near.clone(), "there")),
            tokio::spawn(receive_all(to_far)),
            tokio::spawn(publish_all(far.clone(), "back")),
            tokio::spawn(receive_all(to_near)),
        )
    };
    let (there, at_far, back, at_near) = tokio::time::timeout(PATIENCE, both).await.expect("in time");
    cutting.abort();
    [there, at_far, back, at_near].into_iter().for_each(|done| done.unwrap());
    let (took, connections) = (begin.elapsed(), proxy.counters().accepted);
    println!("{MESSAGES} messages each way in {took:?}, over {connections} connections");
    let cuts = took.as_millis() / CUT_EVERY.as_millis();
    assert!(u128::from(connections) > cuts / 2, "{connections} connections for {cuts} cuts");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_has_lost_its_log_is_told_as_lost_and_goes_on() {
    let first = NativeServer::open().await;
    let proxy = Proxy::start(first.addr).await.unwrap();
    let client = client(proxy.addr()).connect().unwrap();
    let mut news = soon("a subscription", client.subscribe("news")).await.unwrap();
    for number in 0..5 {
        client.publish("news", number.to_string()).await.unwrap();
        next_message(&mut news).await;
    }
    let second = NativeServer::open().await;
    proxy.set_upstream(second.addr);
    drop(first);
    proxy.cut();
    match next_event(&mut news).await {
        Event::Reset { lost, .. } => assert_eq!(lost.reason, Reason::EpochReset),
        other => panic!("{other:?}"),
    }
    let receipt = soon("a commit", client.publish("news", "anew")).await.unwrap();
    let delivery = next_message(&mut news).await;
    assert_eq!((delivery.epoch, delivery.offset), (receipt.epoch, receipt.offset));
    assert_eq!(text(&delivery.message.body), "anew");
}

#[tokio::test(flavor = "multi_thread")]
async fn cursors_and_the_outbox_outlive_the_client() {
    let folder = tempfile::tempdir().unwrap();
    let (cursors, outbox) = (folder.path().join("cursors"), folder.path().join("outbox"));
    let server = NativeServer::open().await;
    let start = || {
        client(server.addr)
            .cursors(FileCursors::open(&cursors).unwrap())
            .outbox(FileOutbox::open(&outbox).unwrap())
            .connect()
            .unwrap()
    };
    let earliest =
        SubscribeOptions { from: StartAt::Saved { or: Start::Earliest }, acknowledge: Acknowledge::OnNext };

    let first = start();
    for number in 0..10 {
        first.publish("news", number.to_string()).await.unwrap();
    }
    let mut news = soon("a subscription", first.subscribe_with("news", earliest)).await.unwrap();
    for number in 0..5 {
        assert_eq!(text(&next_message(&mut news).await.message.body), number.to_string());
    }
    // The last one was given out, and nobody said that it was processed.
    drop(news);
    first.close().await;
    assert!(FileOutbox::open(&outbox).unwrap().pending().is_empty(), "what is committed is not kept");

    let second = start();
    let mut news = soon("a subscription", second.subscribe_with("news", earliest)).await.unwrap();
    for number in 4..10 {
        assert_eq!(text(&next_message(&mut news).await.message.body), number.to_string());
    }
    let receipt = second.publish("news", "10").await.unwrap();
    assert!(!receipt.duplicate);
    assert_eq!(second.accepted().await, Ok(11), "the producer's numbers go on");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_committed_last_is_not_kept_for_the_next_run() {
    let folder = tempfile::tempdir().unwrap();
    let outbox = folder.path().join("outbox");
    let server = NativeServer::open().await;
    for _ in 0..20 {
        let client = client(server.addr).outbox(FileOutbox::open(&outbox).unwrap()).connect().unwrap();
        let receipt = soon("a commit", client.publish("news", "once")).await.unwrap();
        assert!(!receipt.duplicate);
        client.close().await;
        assert!(FileOutbox::open(&outbox).unwrap().pending().is_empty());
    }
}

/// Clients of a server that goes are told, and go on with the next one.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_goes_sends_its_clients_away_in_order() {
    let first = NativeServer::open().await;
    let proxy = Proxy::start(first.addr).await.unwrap();
    let clients: Vec<_> = (0..20).map(|_| client(proxy.addr()).connect().unwrap()).collect();
    for client in &clients {
        soon("a connection", client.connected()).await.unwrap();
    }
    let second = NativeServer::open().await;
    proxy.set_upstream(second.addr);
    let begin = Instant::now();
    assert_eq!(first.handle.shutdown(Duration::from_secs(8)).await, 0);
    assert!(begin.elapsed() < Duration::from_secs(5), "nobody held it up");
    for client in &clients {
        soon("a commit by the next server", client.publish("news", "here")).await.unwrap();
    }
    assert_eq!(second.handle.connections(), clients.len());
}
