//! What is said to many, asked of many, and done to many.

use crate::{
    server::{TestServer, Told, echo, fill, quiet, told},
    stream::Peer,
};
use std::{collections::BTreeSet, time::Duration};
use tenfour::{
    Answers, Broadcast, HandlerResult, NoAnswer, RemoteSocket, RequestError, Socket, SocketId, broker::Why,
    node::Overflow,
};
use tenfour_testkit::client::Client;

/// A server whose namespace `/` tells of each socket, and whose clients may join rooms.
async fn start() -> (TestServer, Told<Socket>) {
    let (tell, sockets) = told();
    let namespace = echo("/")
        .on_connect(move |socket: Socket| {
            let _ = tell.send(socket);
            std::future::ready(())
        })
        .on("to", async |socket: Socket, room: String| -> HandlerResult<usize> {
            Ok(socket.to(&room).emit("said", &room)?.queued)
        });
    (TestServer::start(quiet().namespace(namespace)).await, sockets)
}

async fn join<const N: usize>(server: &TestServer, sockets: &mut Told<Socket>) -> [(Client, Socket); N] {
    let mut joined = Vec::new();
    for _ in 0..N {
        joined.push((server.joined().await, sockets.next().await));
    }
    joined.try_into().expect("so many")
}

fn everyone(server: &TestServer) -> Broadcast {
    server.handle.namespace("/").unwrap()
}

fn ids(sockets: &[RemoteSocket]) -> BTreeSet<String> {
    sockets.iter().map(|socket| socket.id().to_string()).collect()
}

fn set(sockets: &[&Socket]) -> BTreeSet<String> {
    sockets.iter().map(|socket| socket.id().to_string()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broadcast_names_each_who_did_not_answer() {
    let (server, mut sockets) = start().await;
    let [(mut good, a), (mut silent, b), (mut gone, c), (mut wrong, d)] =
        join::<4>(&server, &mut sockets).await;
    let question = everyone(&server).timeout(Duration::from_millis(300));
    let asked = question.emit_with_ack::<u64>("question", &());
    let (asked, ()) = tokio::join!(asked, async {
        for client in [&mut good, &mut silent, &mut gone, &mut wrong] {
            client.expect_text("420[\"question\"]").await.unwrap();
        }
        good.send_texts(["430[5]", "430[6]"]).await.unwrap();
        wrong.send_text("430[\"five\"]").await.unwrap();
        gone.send_text("41").await.unwrap();
    });
    let Answers { answers, mut missing, unreadable } = asked.unwrap();
    assert_eq!(answers, [(a.id(), 5)]);
    missing.sort_by_key(|(id, _)| *id != b.id());
    assert_eq!(missing, [(b.id(), Why::TimedOut), (c.id(), Why::Disconnected)]);
    assert_eq!(unreadable.iter().map(|(id, _)| *id).collect::<Vec<SocketId>>(), [d.id()]);

    // Nobody to ask is nobody to wait for.
    let nobody = everyone(&server).to("nowhere").emit_with_ack::<u64>("question", &()).await.unwrap();
    assert!(nobody.answers.is_empty() && nobody.missing.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn rooms_choose_each_socket_once() {
    let (server, mut sockets) = start().await;
    let [(_x, a), (_y, b), (_z, c)] = join::<3>(&server, &mut sockets).await;
    for (socket, rooms) in [(&a, &["1", "2"][..]), (&b, &["2", "3"]), (&c, &["3"])] {
        for room in rooms {
            assert!(socket.join(room).await.unwrap());
            assert!(!socket.join(room).await.unwrap(), "it is in it already");
        }
    }
    let all = || everyone(&server);
    for (chosen, expected) in [
        (all(), set(&[&a, &b, &c])),
        (all().to("1"), set(&[&a])),
        (all().to("1").to("2"), set(&[&a, &b])),
        (all().to("2").except("1"), set(&[&b])),
        (all().except("3"), set(&[&a])),
        (all().to(a.id().as_str()), set(&[&a])),
        (all().to("2").except(a.id().as_str()), set(&[&b])),
        (a.broadcast(), set(&[&b, &c])),
        (a.to("2"), set(&[&b])),
        (a.everyone().to("2"), set(&[&a, &b])),
        (all().to("nowhere"), set(&[])),
    ] {
        assert_eq!(ids(&chosen.fetch_sockets()), expected, "{chosen:?}");
        assert_eq!(chosen.emit("x", &()).unwrap().queued, expected.len(), "{chosen:?}");
    }
    assert!(a.leave("1").await.unwrap());
    assert!(!a.leave("1").await.unwrap());
    assert_eq!(a.rooms(), [a.id().to_string(), "2".to_owned()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_hears_what_is_said_to_it_and_nobody_else_does() {
    let (server, mut sockets) = start().await;
    let [(mut speaker, a), (mut inside, b), (mut outside, _c)] = join::<3>(&server, &mut sockets).await;
    a.join("r").await.unwrap();
    b.join("r").await.unwrap();
    let reached = speaker.request("/", 1, "to", "\"r\"").await.unwrap();
    assert_eq!(&**reached.json(), "1", "the speaker is not told");
    inside.expect_text("42[\"said\",\"r\"]").await.unwrap();
    for client in [&mut outside, &mut speaker] {
        client.send_text("422[\"echo\"]").await.unwrap();
        client.expect_text("432[]").await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sockets_are_fetched_with_their_rooms_and_data() {
    let (server, mut sockets) = start().await;
    let [(_x, a), (_y, b)] = join::<2>(&server, &mut sockets).await;
    a.join("r").await.unwrap();
    a.set_data(&("name", 5)).await.unwrap();
    let fetched = everyone(&server).to("r").fetch_sockets();
    assert_eq!(ids(&fetched), set(&[&a]));
    assert_eq!(fetched[0].rooms(), [a.id().to_string(), "r".to_owned()]);
    assert_eq!(fetched[0].data::<(String, u64)>().unwrap(), Some(("name".to_owned(), 5)));
    assert!(fetched[0].data::<bool>().is_err());
    assert!(fetched[0].handshake().url().starts_with("/socket.io/?EIO=4"));
    assert_eq!(b.data::<bool>().unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_join_leave_and_are_disconnected_together() {
    let (server, mut sockets) = start().await;
    let [(mut first, a), (mut second, b), (mut third, c)] = join::<3>(&server, &mut sockets).await;
    assert_eq!(a.broadcast().sockets_join("r").await.unwrap().joined, 2);
    assert_eq!(ids(&everyone(&server).to("r").fetch_sockets()), set(&[&b, &c]));
    assert_eq!(everyone(&server).sockets_join("r").await.unwrap().joined, 1);
    assert_eq!(everyone(&server).to(b.id().as_str()).sockets_leave("r").await.unwrap(), 1);
    assert_eq!(everyone(&server).to("r").disconnect_sockets(), 2);
    for client in [&mut first, &mut third] {
        client.expect_text("41").await.unwrap();
        // Its connection stays, and it may come back.
        client.connect("/", None).await.unwrap();
    }
    assert!(!a.is_connected() && b.is_connected() && !c.is_connected());
    assert_eq!(everyone(&server).fetch_sockets().len(), 3);
    assert!(everyone(&server).to("r").fetch_sockets().is_empty(), "whoever comes back is a new one");

    assert_eq!(everyone(&server).to(b.id().as_str()).close_sockets(), 1);
    second.expect_text("41").await.unwrap();
    second.connection().expect_end().await.unwrap();
    server.connections(2).await;
}

/// A request to a client whose queue is full was not sent, and the answer says so at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_broadcast_names_each_who_was_not_asked() {
    let (tell, mut sockets) = told();
    let namespace = echo("/").on_connect(move |socket: Socket| {
        let _ = tell.send(socket);
        std::future::ready(())
    });
    let server = quiet().overflow(Overflow::Refuse).namespace(namespace).build().unwrap();
    let _stalled = Peer::joined(&server).await;
    let socket = sockets.next().await;
    let everyone = server.handle().namespace("/").unwrap();
    fill(&everyone).await;
    let asked = everyone.emit_with_ack::<u64>("question", &()).await.unwrap();
    assert_eq!(asked.missing, [(socket.id(), Why::Refused)]);
    let error = socket.emit_with_ack::<u64>("question", &()).await.unwrap_err();
    assert!(matches!(error, RequestError::NoAnswer(NoAnswer::Refused)), "{error}");
}
