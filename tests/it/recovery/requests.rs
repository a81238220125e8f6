//! What a client is asked while it comes and goes.

use super::*;
use crate::server::{quiet, told};
use std::time::Duration;
use tenfour::{Answers, broker::Why};
use tenfour_testkit::TIMEOUT;

/// A question as its client gets it: the number to answer under, the arguments, and the key at their end.
async fn question(client: &mut Returning) -> (u64, String, String) {
    let packet = soon("a question", client.client.as_mut().expect("connected").receive()).await.unwrap();
    let Packet::Event { id: Some(id), args, .. } = packet else { panic!("no question: {packet:?}") };
    let mut elements: Vec<String> = args.iter().map(str::to_owned).collect();
    let key = elements.pop().expect("a key");
    assert!(key.starts_with('"') && key.len() > 4, "{key}");
    (id.get(), elements.join(","), key)
}

async fn answer(client: &mut Returning, id: u64, args: &str) {
    client.client.as_mut().expect("connected").send_text(&format!("43{id}[{args}]")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_away_is_asked_when_it_is_back_and_again_until_it_answers() {
    let server = TestServer::start(quiet().namespace(news())).await;
    let (mut client, first) = Returning::connected(&server).await;
    let (mut away, absent) = Returning::connected(&server).await;
    away.expect_silence().await;
    away.cut();
    server.connections(1).await;

    let everyone = server.handle.namespace("/").unwrap().timeout(TIMEOUT);
    let asking = tokio::spawn(async move { everyone.request::<u32>("question", "how many").await.unwrap() });
    let (_, args, key) = question(&mut client).await;
    assert_eq!(args, r#""how many""#);
    client.cut();
    server.connections(0).await;
    publish(&server, 1..=1).await;
    client.connect(&server).await.unwrap();
    // The stock client answers a question of its former connection, too, but this one never did.
    let (id, args, again) = question(&mut client).await;
    assert_eq!((&*args, &again), (r#""how many""#, &key));
    answer(&mut client, id, "7").await;
    client.expect_events(numbers(1..=1)).await;

    away.connect(&server).await.unwrap();
    let (id, _, theirs) = question(&mut away).await;
    assert_eq!(theirs, key);
    answer(&mut away, id, "8").await;
    let Answers { answers, missing, .. } = soon("the answers", asking).await.unwrap();
    let answers: Vec<_> = answers.into_iter().map(|(socket, answer)| (socket.to_string(), answer)).collect();
    assert_eq!((answers, missing), (vec![(first.sid, 7), (absent.sid, 8)], Vec::new()));

    // What is answered is not asked again.
    client.cut();
    server.connections(1).await;
    client.connect(&server).await.unwrap();
    client.expect_silence().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_is_asked_by_a_handle_of_a_connection_that_is_gone() {
    let (tell, mut sockets) = told();
    let namespace = news().on("me", move |socket: Socket| {
        let _ = tell.send(socket);
        std::future::ready(())
    });
    let server = TestServer::start(quiet().namespace(namespace)).await;
    let (mut client, _) = Returning::connected(&server).await;
    client.client.as_mut().unwrap().request("/", 1, "me", "").await.unwrap();
    let socket = sockets.next().await.timeout(TIMEOUT);
    client.cut();
    server.connections(0).await;
    let asking = tokio::spawn(async move { socket.request::<bool>("question", &()).await.unwrap() });
    client.connect(&server).await.unwrap();
    let (id, args, _) = question(&mut client).await;
    assert_eq!(args, "");
    answer(&mut client, id, "true").await;
    assert!(soon("the answer", asking).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_ends_what_is_asked_again() {
    let server = TestServer::start(quiet().namespace(news())).await;
    let (mut client, _) = Returning::connected(&server).await;
    let everyone = server.handle.namespace("/").unwrap().timeout(Duration::from_millis(200));
    let asked = everyone.request::<u32>("question", &()).await.unwrap();
    assert!(matches!(&asked.missing[..], [(_, Why::TimedOut)]));
    question(&mut client).await;
    client.cut();
    server.connections(0).await;
    client.connect(&server).await.unwrap();
    client.expect_silence().await;
}
