//! CVE-2017-16031 (ids that can be guessed), and ids that are secret.

use std::collections::HashSet;

use crate::server::{TestServer, echo, quiet};
use serde_json::Value;
use tenfour_testkit::client::http;

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
