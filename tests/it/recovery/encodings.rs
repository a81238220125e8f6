//! Recovery in MessagePack, and of binary events.

use super::*;
use crate::server::quiet;
use bytes::{Bytes, BytesMut};
use tenfour::{
    socketio::Encoding,
    wire::{
        Limits,
        socketio::{Args, msgpack},
        websocket::Message,
    },
};

async fn say(client: &mut Client, packet: &Packet) {
    let mut out = BytesMut::new();
    msgpack::encode(packet, &mut out);
    client.connection().send(&Message::Binary(out.freeze())).await.unwrap();
}

async fn hear(client: &mut Client) -> Packet {
    match soon("a packet", client.connection().receive()).await.unwrap() {
        Message::Binary(data) => msgpack::decode(data, &Limits::default()).unwrap(),
        other => panic!("{other:?}"),
    }
}

async fn join(client: &mut Client, auth: Option<String>) -> String {
    say(client, &Packet::Connect { namespace: "/".into(), data: auth.map(Into::into) }).await;
    match hear(client).await {
        Packet::Connect { data, .. } => data.expect("a welcome").to_string(),
        other => panic!("{other:?}"),
    }
}

fn args(packet: Packet) -> Args {
    match packet {
        Packet::Event { args, .. } => args,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn messagepack_clients_go_on_as_others_do() {
    let server = TestServer::start(quiet().encoding(Encoding::MessagePack).namespace(news())).await;
    let everyone = server.handle.namespace("/").unwrap();
    let mut client = server.open().await;
    let welcome = join(&mut client, None).await;
    let pid = welcome.split('"').nth(7).unwrap();
    say(
        &mut client,
        &Packet::Event {
            namespace: "/".into(),
            id: Some(tenfour::wire::socketio::AckId::new(1)),
            name: "ping".into(),
            args: Args::empty(),
        },
    )
    .await;
    hear(&mut client).await;

    server.handle.publish("/", "news", "bytes", &Bytes::from_static(b"\x00\xff")).await.unwrap();
    let event = args(hear(&mut client).await);
    assert_eq!(event.deserialize::<Bytes>(0).unwrap(), b"\x00\xff"[..]);
    let offset: String = event.deserialize(1).unwrap();
    everyone.emit("text", "text").unwrap();
    assert_eq!(args(hear(&mut client).await).json(), "\"text\",null");
    drop(client);
    server.connections(0).await;
    server.handle.publish("/", "news", "number", &2).await.unwrap();

    let mut client = server.open().await;
    let auth = format!(r#"{{"pid":"{pid}","offset":"{offset}"}}"#);
    assert_eq!(join(&mut client, Some(auth)).await, welcome);
    assert_eq!(args(hear(&mut client).await).get(0), Some("2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_binary_event_ends_in_its_offset_too() {
    let server = TestServer::start(quiet().namespace(news())).await;
    let (mut client, _) = Returning::connected(&server).await;
    client.expect_silence().await;
    client.cut();
    server.connections(0).await;
    for bytes in [&b"first"[..], b"second"] {
        let bytes = Bytes::copy_from_slice(bytes);
        server.handle.publish("/", "news", "bytes", &("a", bytes)).await.unwrap();
    }
    for expected in ["first", "second"] {
        assert!(client.connect(&server).await.unwrap().recovered);
        let packet = client.client.as_mut().unwrap().receive().await.unwrap();
        let Packet::Event { args, .. } = packet else { panic!("{packet:?}") };
        assert_eq!(args.deserialize::<Bytes>(1).unwrap(), expected.as_bytes());
        client.offset = Some(args.deserialize(2).unwrap());
        client.cut();
        server.connections(0).await;
    }
    assert!(client.connect(&server).await.unwrap().recovered);
    client.expect_silence().await;
}
