//! CVE-2017-16031 (ids that can be guessed), and ids that are secret.

use std::{
    collections::HashSet,
    io,
    sync::{Arc, Mutex},
};

use crate::server::{TestServer, echo, quiet};
use serde_json::Value;
use tenfour_testkit::client::{Client, Options, Polling, http};

fn sid(connected: &str) -> String {
    let data: Value = serde_json::from_str(connected).unwrap();
    data["sid"].as_str().expect("a sid").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_are_random_in_each_character_and_never_the_same() {
    const CLIENTS: usize = 60;
    let server = TestServer::start(quiet().namespace(echo("/")).namespace(echo("/other"))).await;
    let mut ids = HashSet::new();
    for _ in 0..CLIENTS {
        let mut client = server.open().await;
        ids.insert(client.handshake().sid.to_string());
        ids.insert(sid(&client.connect("/", None).await.unwrap()));
        ids.insert(sid(&client.connect("/other", None).await.unwrap()));
    }
    assert_eq!(ids.len(), 3 * CLIENTS, "an id came twice");
    for place in 0..16 {
        let letters: HashSet<_> = ids.iter().map(|id| id.as_bytes()[place]).collect();
        assert!(letters.len() > 32, "character {place} of {} ids is one of {}", ids.len(), letters.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_public_id_opens_no_session() {
    let server = TestServer::start(quiet().namespace(echo("/"))).await;
    let mut client = server.open().await;
    let public = sid(&client.connect("/", None).await.unwrap());
    for transport in ["polling", "websocket"] {
        let target = format!("/socket.io/?EIO=4&transport={transport}&sid={public}");
        let response = http::request(server.addr, "GET", &target, &[], b"").await.unwrap();
        assert_eq!(response.status, 400);
        assert_eq!(response.text(), r#"{"code":1,"message":"Session ID unknown"}"#);
    }
}

/// What is logged, of whatever level.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// On one thread, whose log is read.
#[tokio::test]
async fn no_secret_is_logged() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    // As long as there is one dispatcher alone, tracing asks the other tests' threads, which have none, what is of interest.
    let _second = tracing::Dispatch::new(tracing_subscriber::registry());
    let _guard = tracing::subscriber::set_default(subscriber);

    let server = TestServer::start(quiet().namespace(echo("/"))).await;
    let secrets = Options {
        query: "&token=q-secret".into(),
        headers: vec![("authorization".into(), "h-secret".into()), ("cookie".into(), "c-secret".into())],
        ..Options::default()
    };
    let mut client = Client::open(server.addr, secrets).await.unwrap();
    client.connect("/", Some("{\"token\":\"a-secret\"}")).await.unwrap();
    client.send_text("4garbage").await.unwrap();
    client.connection().expect_end().await.unwrap();
    let polling = Polling::open(server.addr).await.unwrap();
    polling.post(b"garbage").await.unwrap();
    polling.get().await.unwrap();
    server.connections(0).await;

    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("connection opened") && log.contains("request refused"), "{log}");
    let sids = [&*client.handshake().sid, &*polling.handshake().sid];
    for secret in ["q-secret", "h-secret", "c-secret", "a-secret"].into_iter().chain(sids) {
        assert!(!log.contains(secret), "{secret} is in the log: {log}");
    }
}
