//! Whose a session is, and what is in it.

use super::*;
use crate::server::{quiet, told, until};
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};
use tenfour::{ConnectError, DisconnectReason};

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_got_nothing_yet_is_owed_everything_since_it_came() {
    let server = TestServer::start(quiet().namespace(news())).await;
    publish(&server, 1..=1).await;
    let (mut client, first) = Returning::connected(&server).await;
    client.expect_silence().await;
    client.cut();
    server.connections(0).await;
    publish(&server, 2..=3).await;
    assert_eq!(client.offset, None);
    let again = client.connect(&server).await.unwrap();
    assert_eq!(again, Welcome { recovered: true, ..first });
    client.expect_events(numbers(2..=3)).await;
    client.expect_silence().await;
    publish(&server, 4..=4).await;
    client.expect_events(numbers(4..=4)).await;
}

/// The offset is a position, so it is good for as long as the log has what came after it.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_goes_on_again_and_again() {
    let server = TestServer::start(quiet().namespace(news())).await;
    let (mut client, first) = Returning::connected(&server).await;
    client.expect_silence().await;
    for round in 0..5 {
        let begin = round * 10 + 1;
        publish(&server, begin..=begin + 4).await;
        client.expect_events(numbers(begin..=begin + 4)).await;
        client.cut();
        server.connections(0).await;
        publish(&server, begin + 5..=begin + 9).await;
        assert_eq!(client.connect(&server).await.unwrap(), Welcome { recovered: true, ..first.clone() });
        client.expect_events(numbers(begin + 5..=begin + 9)).await;
    }
    client.expect_silence().await;
}

/// A client is back before the server has noticed that it was gone.
#[tokio::test(flavor = "multi_thread")]
async fn the_newest_claimant_has_the_session_and_the_other_is_told_at_once() {
    let (tell, mut reasons) = told();
    let namespace = news().on_disconnect(move |socket: Socket, reason: DisconnectReason| {
        let _ = tell.send((socket.id().to_string(), reason));
        std::future::ready(())
    });
    let server = TestServer::start(quiet().namespace(namespace)).await;
    let (mut client, first) = Returning::connected(&server).await;
    publish(&server, 1..=2).await;
    client.expect_events(numbers(1..=2)).await;
    let mut half_open = client.client.take().unwrap();
    assert_eq!(client.connect(&server).await.unwrap(), Welcome { recovered: true, ..first.clone() });
    half_open.expect_text("41").await.unwrap();
    assert_eq!(reasons.next().await, (first.sid.clone(), DisconnectReason::TakenOver));
    publish(&server, 3..=4).await;
    client.expect_events(numbers(3..=4)).await;
    client.expect_silence().await;
    assert_eq!(server.handle.namespace("/").unwrap().fetch_sockets().len(), 1);
    // The fenced one's connection lives, and may do something else; nothing of the session is for it.
    half_open.send_text("40").await.unwrap();
    let text = half_open.receive_text().await.unwrap();
    assert!(text.starts_with("40{") && !text.contains(&first.sid) && !text.contains(&first.pid), "{text}");
    assert!(reasons.now().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_refused_gets_nothing_and_the_session_waits_on() {
    let revoked = Arc::new(AtomicBool::new(false));
    let seen = revoked.clone();
    let (tell, mut asked) = told();
    let namespace = news().middleware(move |socket: Socket| {
        let _ = tell.send((socket.id().to_string(), socket.data::<String>().unwrap()));
        let refused = seen.load(Ordering::SeqCst);
        std::future::ready(if refused { Err(ConnectError::new("revoked")) } else { Ok(()) })
    });
    let namespace = namespace.on("call-me", async |socket: Socket, name: String| -> HandlerResult {
        Ok(socket.set_data(&name).await?)
    });
    let server = TestServer::start(quiet().namespace(namespace)).await;
    let (mut client, first) = Returning::connected(&server).await;
    assert_eq!(asked.next().await, (first.sid.clone(), None));
    client.client.as_mut().unwrap().request("/", 7, "call-me", "\"Ada\"").await.unwrap();
    client.cut();
    server.connections(0).await;
    publish(&server, 1..=2).await;
    revoked.store(true, Ordering::SeqCst);
    for _ in 0..2 {
        let error = client.connect(&server).await.unwrap_err().to_string();
        assert!(error.contains("revoked"), "{error}");
        let restored = Some("Ada".to_owned());
        assert_eq!(asked.next().await, (first.sid.clone(), restored), "it is known who asks");
    }
    revoked.store(false, Ordering::SeqCst);
    assert_eq!(client.connect(&server).await.unwrap(), Welcome { recovered: true, ..first });
    client.expect_events(numbers(1..=2)).await;
    client.expect_silence().await;
}

/// It has the id of the session that it claims while it is asked for who it is; the session is not its own yet.
#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_let_in_yet_changes_nothing_of_the_session() {
    let (tell, mut asked) = told();
    let namespace = news().middleware(move |socket: Socket| {
        let tell = tell.clone();
        async move {
            let _ = tell.send([socket.join("staff").await.is_ok(), socket.leave("news").await.is_ok()]);
            Ok::<(), ConnectError>(())
        }
    });
    let server = TestServer::start(quiet().namespace(namespace)).await;
    let (mut client, first) = Returning::connected(&server).await;
    assert_eq!(asked.next().await, [false; 2]);
    client.expect_silence().await;
    client.cut();
    server.connections(0).await;
    publish(&server, 1..=1).await;
    assert_eq!(client.connect(&server).await.unwrap(), Welcome { recovered: true, ..first });
    assert_eq!(asked.next().await, [false; 2]);
    client.expect_events(numbers(1..=1)).await;
    publish(&server, 2..=2).await;
    client.expect_events(numbers(2..=2)).await;
    let handle = server.handle.namespace("/").unwrap();
    assert_eq!(handle.to("staff").fetch_sockets().len(), 0);
}

/// A revoked client that shows the pid of one that is there does not disturb it.
#[tokio::test(flavor = "multi_thread")]
async fn who_is_refused_takes_nothing_over() {
    let namespace = news().middleware(|tenfour::Auth(auth): tenfour::Auth<serde_json::Value>| {
        let revoked = auth.get("revoked").is_some();
        std::future::ready(if revoked { Err(ConnectError::new("revoked")) } else { Ok(()) })
    });
    let server = TestServer::start(quiet().namespace(namespace)).await;
    let (mut client, _) = Returning::connected(&server).await;
    let mut thief =
        Returning { pid: client.pid.clone(), auth: "\"revoked\":1,".into(), ..Returning::default() };
    thief.connect(&server).await.unwrap_err();
    publish(&server, 1..=1).await;
    client.expect_events(numbers(1..=1)).await;
    client.expect_silence().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rooms_and_data_are_as_they_were() {
    let (tell, mut connected) = told();
    let namespace = Namespace::new("/")
        .recovery(Recovery::default())
        .on_connect(move |socket: Socket| {
            let tell = tell.clone();
            async move {
                let _ = tell.send((socket.recovered(), socket.rooms().len(), socket.data::<u32>().unwrap()));
            }
        })
        .on("move", async |socket: Socket, to: String, from: String| -> HandlerResult {
            socket.join(&to).await?;
            socket.leave(&from).await?;
            Ok(socket.set_data(&7).await?)
        })
        .on("ping", async || {});
    let server = TestServer::start(quiet().namespace(namespace)).await;
    let (mut client, _) = Returning::connected(&server).await;
    assert_eq!(connected.next().await, (false, 1, None));
    for (id, args) in [(1, r#""old","nowhere""#), (2, r#""news","old""#)] {
        client.client.as_mut().unwrap().request("/", id, "move", args).await.unwrap();
    }
    client.cut();
    server.connections(0).await;
    for (room, number) in [("old", 1), ("news", 2), ("never", 3)] {
        server.handle.publish("/", room, "number", &number).await.unwrap();
    }
    assert!(client.connect(&server).await.unwrap().recovered);
    assert_eq!(connected.next().await, (true, 2, Some(7)));
    client.expect_events(numbers(2..=2)).await;
    client.expect_silence().await;
}

/// What is done to a room is done to those who are away as well.
#[tokio::test(flavor = "multi_thread")]
async fn who_is_away_is_moved_and_sent_away_with_the_others() {
    let server = TestServer::start(quiet().namespace(news())).await;
    let everyone = server.handle.namespace("/").unwrap();
    let (mut away, first) = Returning::connected(&server).await;
    away.expect_silence().await;
    away.cut();
    server.connections(0).await;
    let (mut here, _) = Returning::connected(&server).await;
    here.expect_silence().await;
    assert_eq!(everyone.sockets_join("more").await.unwrap().joined, 2);
    assert_eq!(everyone.to("more").sockets_leave("news").await.unwrap(), 2);
    server.handle.publish("/", "more", "number", &1).await.unwrap();
    publish(&server, 2..=2).await;
    here.expect_events(numbers(1..=1)).await;
    here.expect_silence().await;
    assert_eq!(away.connect(&server).await.unwrap(), Welcome { recovered: true, ..first.clone() });
    away.expect_events(numbers(1..=1)).await;
    away.expect_silence().await;
    away.cut();
    server.connections(1).await;
    let everyone = server.handle.namespace("/").unwrap();
    assert_eq!(everyone.disconnect_sockets(), 2);
    here.client.as_mut().unwrap().expect_text("41").await.unwrap();
    assert!(!away.connect(&server).await.unwrap().recovered);
}

/// An older connection whose authorisation takes longer is not the newest claimant, also if it is done last.
#[tokio::test(flavor = "multi_thread")]
async fn the_newest_connection_wins_and_not_the_slowest_middleware() {
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let held = gate.clone();
    let (tell, mut asked) = told();
    let namespace = news().middleware(move |tenfour::Auth(auth): tenfour::Auth<serde_json::Value>| {
        let (gate, tell) = (held.clone(), tell.clone());
        async move {
            if auth.get("slow").is_some() {
                let _ = tell.send(());
                gate.acquire().await.unwrap().forget();
            }
            Ok::<_, ConnectError>(())
        }
    });
    let server = TestServer::start(quiet().namespace(namespace)).await;
    let (mut client, first) = Returning::connected(&server).await;
    client.expect_silence().await;
    client.cut();
    server.connections(0).await;
    let mut slow = Returning { pid: client.pid.clone(), auth: "\"slow\":1,".into(), ..Returning::default() };
    let mut older = Box::pin(slow.connect(&server));
    tokio::select! {
        answer = &mut older => panic!("{answer:?}"),
        () = asked.next() => {}
    }
    assert_eq!(client.connect(&server).await.unwrap(), Welcome { recovered: true, ..first });
    gate.add_permits(1);
    let error = soon("an answer", older).await.unwrap_err().to_string();
    assert!(error.contains("Session taken over"), "{error}");
    publish(&server, 1..=1).await;
    client.expect_events(numbers(1..=1)).await;
    client.expect_silence().await;
}

/// What the application knows of a client now goes before what it knew when the client was here last.
#[tokio::test(flavor = "multi_thread")]
async fn data_that_a_middleware_sets_again_is_the_sessions() {
    let namespace = news()
        .middleware(|socket: Socket, tenfour::Auth(auth): tenfour::Auth<serde_json::Value>| async move {
            let before: Option<u64> = socket.data().unwrap();
            if let Some(data) = auth.get("data").and_then(serde_json::Value::as_u64) {
                socket.set_data(&(data + before.unwrap_or_default())).await.unwrap();
            }
            Ok::<_, ConnectError>(())
        })
        .on("data", async |socket: Socket| -> HandlerResult<Option<u64>> { Ok(socket.data()?) });
    let folder = tempfile::tempdir().unwrap();
    let server = TestServer::start(quiet().namespace(namespace).data(folder.path())).await;
    let mut client = Returning { auth: "\"data\":1,".into(), ..Returning::default() };
    for (auth, expected) in [("\"data\":1,", "1"), ("\"data\":5,", "6"), ("", "6")] {
        client.auth = auth.into();
        client.connect(&server).await.unwrap();
        let connection = client.client.as_mut().unwrap();
        // Replaced when that is committed.
        soon("its data", async {
            while connection.request("/", 1, "data", "").await.unwrap().json() != expected {}
        })
        .await;
        client.cut();
        server.connections(0).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_left_for_good_is_not_waited_for() {
    for goodbye in ["41", "42[\"bye\"]", "4nonsense"] {
        let namespace = news().on("bye", async |socket: Socket| socket.disconnect());
        let server = TestServer::start(quiet().namespace(namespace)).await;
        let (mut client, first) = Returning::connected(&server).await;
        client.expect_silence().await;
        client.client.as_mut().unwrap().send_text(goodbye).await.unwrap();
        let everyone = server.handle.namespace("/").unwrap();
        until("it to be gone", || everyone.fetch_sockets().is_empty()).await;
        let again = client.connect(&server).await.unwrap();
        assert!(!again.recovered && again.sid != first.sid, "{goodbye}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pid_that_nobody_was_told_opens_nothing() {
    let server = TestServer::start(quiet().namespace(news())).await;
    // It has the form of one, so it may be that of a session that is over: nobody knows what that was owed.
    for (pid, is_form) in [("AAAAAAAAAAAAAAAAAAAA", true), ("short", false), ("", false)] {
        let mut client = Returning { pid: Some(pid.into()), ..Returning::default() };
        assert!(!client.connect(&server).await.unwrap().recovered, "{pid:?}");
        if is_form {
            let lost = client.event().await;
            assert!(lost.starts_with("tenfour:lost ") && lost.contains(r#""reason":"unknown""#), "{lost}");
        }
        client.expect_silence().await;
    }
    let mut client = server.open().await;
    for auth in [r#"{"pid":7,"offset":[]}"#, r#"{"offset":"AAAAAAE"}"#, "{}"] {
        assert!(client.connect("/", Some(auth)).await.unwrap().contains("\"pid\""));
        client.send_text("41").await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_recovery_a_client_is_told_its_id_alone() {
    let server = TestServer::start(quiet().namespace(Namespace::new("/"))).await;
    let mut client = server.open().await;
    let welcome =
        client.connect("/", Some(r#"{"pid":"AAAAAAAAAAAAAAAAAAAA","offset":"AAAAAAE"}"#)).await.unwrap();
    assert!(welcome.starts_with(r#"{"sid":""#) && welcome.len() == r#"{"sid":"AAAAAAAAAAAAAAAAAAAA"}"#.len());
    server.handle.namespace("/").unwrap().emit("event", "text").unwrap();
    client.expect_text(r#"42["event","text"]"#).await.unwrap();
}

/// What is not committed must not look like a position.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_emitted_is_no_position() {
    let server =
        TestServer::start(quiet().namespace(news().on("direct", async |socket: Socket| -> HandlerResult {
            Ok(socket.emit("direct", "text").await?)
        })))
        .await;
    let (mut client, _) = Returning::connected(&server).await;
    publish(&server, 1..=1).await;
    client.expect_events(numbers(1..=1)).await;
    let at = client.offset.clone();
    let everyone = server.handle.namespace("/").unwrap();
    everyone.emit("text", "text").unwrap();
    everyone.clone().volatile().emit("nothing", &()).unwrap();
    everyone.emit("number", &5).unwrap();
    client.expect_events(["text \"text\",null", "nothing null", "number 5"].map(String::from)).await;
    client.client.as_mut().unwrap().send_text("42[\"direct\"]").await.unwrap();
    client.expect_events(["direct \"text\",null".to_owned()]).await;
    assert_eq!(client.offset, at);
    client.cut();
    server.connections(0).await;
    everyone.emit("lost", "text").unwrap();
    publish(&server, 2..=2).await;
    assert!(client.connect(&server).await.unwrap().recovered);
    client.expect_events(numbers(2..=2)).await;
    client.expect_silence().await;
}
