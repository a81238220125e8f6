//! Servers that end, and begin again on the same folder.

use super::*;
use crate::server::quiet;
use std::{path::Path, time::Duration};
use tenfour::{BuildError, Durability, Server};

fn on_disk(folder: &Path) -> tenfour::ServerBuilder {
    quiet().namespace(news()).data(folder)
}

/// All that is of a server is gone when this is done, its log's lock among it.
async fn end(server: TestServer, folder: &Path) {
    let handle = server.handle.clone();
    drop(server);
    soon("the end", handle.shutdown(Duration::from_secs(5))).await;
    drop(handle);
    crate::server::until("the folder to be free", || on_disk(folder).build().is_ok()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_and_what_they_are_owed_survive_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let server = TestServer::start(on_disk(folder.path())).await;
    let (mut client, first) = Returning::connected(&server).await;
    let (mut away, other) = Returning::connected(&server).await;
    away.expect_silence().await;
    away.cut();
    server.connections(1).await;
    publish(&server, 1..=3).await;
    client.expect_events(numbers(1..=2)).await;
    client.cut();
    end(server, folder.path()).await;

    let server = TestServer::start(on_disk(folder.path())).await;
    publish(&server, 4..=5).await;
    assert_eq!(client.connect(&server).await.unwrap(), Welcome { recovered: true, ..first.clone() });
    client.expect_events(numbers(3..=5)).await;
    assert_eq!(away.connect(&server).await.unwrap(), Welcome { recovered: true, ..other });
    away.expect_events(numbers(1..=5)).await;
    publish(&server, 6..=6).await;
    for client in [&mut client, &mut away] {
        client.expect_events(numbers(6..=6)).await;
        client.expect_silence().await;
        client.cut();
    }
    end(server, folder.path()).await;

    // Once more, with nothing published meanwhile.
    let server = TestServer::start(on_disk(folder.path())).await;
    assert_eq!(client.connect(&server).await.unwrap(), Welcome { recovered: true, ..first });
    client.expect_silence().await;
}

/// In memory nothing survives: the client is told, and goes on as a new one.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_disk_the_client_is_told_that_nobody_knows() {
    let server = TestServer::start(quiet().namespace(news())).await;
    let (mut client, first) = Returning::connected(&server).await;
    publish(&server, 1..=1).await;
    client.expect_events(numbers(1..=1)).await;
    let server = TestServer::start(quiet().namespace(news())).await;
    let again = client.connect(&server).await.unwrap();
    assert!(!again.recovered && again.sid != first.sid);
    let lost = client.event().await;
    assert!(lost.starts_with("tenfour:lost {") && lost.ends_with("\"reason\":\"epoch_reset\"}"), "{lost}");
    publish(&server, 2..=2).await;
    client.expect_events(numbers(2..=2)).await;
    client.expect_silence().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_is_one_servers_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let _first = on_disk(folder.path()).build().unwrap();
    let error = on_disk(folder.path()).build().unwrap_err();
    assert!(matches!(error, BuildError::Namespace(_)), "{error:?}");
    assert!(error.to_string().starts_with("the log of the namespace \"/\" cannot be opened: "), "{error}");
    assert!(on_disk(&folder.path().join("other")).build().is_ok());
}

#[test]
fn durability_needs_a_folder() {
    let disk = || Server::builder().namespace(Namespace::new("/a").durability(Durability::Disk));
    assert_eq!(disk().build().unwrap_err(), BuildError::NoData("/a".into()));
    let folder = tempfile::tempdir().unwrap();
    disk()
        .namespace(Namespace::new("/b").durability(Durability::Memory))
        .data(folder.path())
        .build()
        .unwrap();
    let names: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["_2fa"], "what is to be in memory leaves nothing on the disk");
}

/// A family of namespaces, each with its log.
#[tokio::test(flavor = "multi_thread")]
async fn a_dynamic_namespace_waits_for_its_clients() {
    let folder = tempfile::tempdir().unwrap();
    let builder = || {
        let rooms = Namespace::matching("/{name}").unwrap().recovery(Recovery::default());
        let rooms = rooms.on_connect(async |socket: Socket| socket.join("news").await.map(drop));
        quiet().namespace(rooms).data(folder.path())
    };
    let server = TestServer::start(builder()).await;
    let mut client = server.open().await;
    let welcome = client.connect("/room", None).await.unwrap();
    client.send_text("42/room,7[\"nothing\"]").await.unwrap();
    client.receive().await.unwrap();
    drop(client);
    server.connections(0).await;
    server.handle.publish("/room", "news", "number", &1).await.expect("it is there, since a session waits");
    let handle = server.handle.clone();
    drop(server);
    handle.shutdown(Duration::from_secs(5)).await;
    drop(handle);
    let pid = welcome.split('"').nth(7).unwrap();
    let auth = format!(r#"{{"pid":"{pid}"}}"#);
    let server = TestServer::start(builder()).await;
    let mut client = server.open().await;
    assert_eq!(client.connect("/room", Some(&auth)).await.unwrap(), welcome);
    let text = client.receive_text().await.unwrap();
    assert!(text.starts_with("42/room,[\"number\",1,\""), "{text}");
}
