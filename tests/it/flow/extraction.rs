//! From an event to a handler's parameters, and what the client is answered.

use crate::server::{TestServer, echo, quiet, told};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;
use tenfour::{
    Ack, Auth, ConnectError, Data, Event, HandlerError, HandlerResult, Headers, Namespace, NoReply, Query,
    Rest, Socket, State, socketio::Args,
};
use tenfour_testkit::client::{Client, Options};

#[derive(Deserialize)]
struct Point {
    x: i32,
    y: i32,
}

fn picky() -> Namespace {
    Namespace::new("/")
        .state("of the namespace")
        .on("number", async |number: u8| Ack(number))
        .on("point", async |Data(Point { x, y }): Data<Point>| Ack(x + y))
        .on("maybe", async |text: Option<String>| Ack((text,)))
        .on("bytes", async |bytes: Bytes| Ack(bytes.len()))
        .on("two", async |first: String, second: bool| Ack((second, first)))
        .on("rest", async |first: u8, Rest(rest): Rest, all: Args| Ack((first, rest.len(), all.len())))
        .on("state", async |State(own): State<&'static str>, State(shared): State<u64>| Ack((own, shared)))
        .on("no state", async |State(()): State<()>| Ack(1))
        .on("fails", async || HandlerResult::<u8>::Err(HandlerError::new("no \"such\" thing")))
        .on("converts", async || -> HandlerResult<u8> { Ok("x".parse()?) })
        .on("silent", async || NoReply)
        .on("nothing", async || {})
}

#[tokio::test(flavor = "multi_thread")]
async fn each_event_is_answered_and_each_error_said() {
    let server = TestServer::start(quiet().state(7_u64).state("shared").namespace(picky())).await;
    let mut client = server.joined().await;
    for (event, args, answer) in [
        ("number", "255", "255"),
        ("number", "255,\"more\"", "255"),
        ("point", "{\"x\":1,\"y\":2,\"z\":3}", "3"),
        ("maybe", "", "null"),
        ("maybe", "null", "null"),
        ("maybe", "\"x\"", "\"x\""),
        ("two", "\"a\",true", "true,\"a\""),
        ("rest", "1,[2],{\"3\":3}", "1,2,3"),
        ("state", "", "\"of the namespace\",7"),
        ("nothing", "", ""),
        ("no state", "", "{\"error\":\"Internal error\"}"),
        ("fails", "", "{\"error\":\"no \\\"such\\\" thing\"}"),
        ("converts", "", "{\"error\":\"invalid digit found in string\"}"),
        ("unknown", "", "{\"error\":\"no handler for the event \\\"unknown\\\"\"}"),
    ] {
        let got = client.request("/", 1, event, args).await.unwrap();
        assert_eq!(&**got.json(), answer, "{event}({args})");
    }
    for (event, args, place) in [
        ("number", "", 1),
        ("number", "256", 1),
        ("number", "-1", 1),
        ("number", "1.5", 1),
        ("number", "\"1\"", 1),
        ("point", "{\"x\":1}", 1),
        ("bytes", "5", 1),
        ("two", "\"a\"", 2),
        ("two", "\"a\",1", 2),
    ] {
        let got = client.request("/", 1, event, args).await.unwrap();
        assert!(got.json().starts_with(&format!("{{\"error\":\"argument {place}: ")), "{}", got.json());
    }
    client.send_texts(["421[\"silent\"]", "422[\"nothing\"]"]).await.unwrap();
    client.expect_text("432[]").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_can_be_asked_for() {
    #[derive(Deserialize)]
    struct Asked {
        token: String,
    }
    let namespace = Namespace::new("/").middleware(
        async |Query(query): Query<Asked>, Headers(headers): Headers, Auth(auth): Auth<Asked>| {
            let header = headers["x-token"].to_str()?;
            match (&*query.token, header, &*auth.token) {
                ("a b&c", "h", "secret") => Ok(()),
                other => Err(ConnectError::new(format!("{other:?}"))),
            }
        },
    );
    let server = TestServer::start(quiet().namespace(namespace)).await;
    let options = Options {
        query: "&token=a%20b%26c".into(),
        headers: vec![("X-Token".into(), "h".into())],
        ..Options::default()
    };
    let mut client = Client::open(server.addr, options.clone()).await.unwrap();
    client.connect("/", Some("{\"token\":\"secret\"}")).await.unwrap();
    for auth in ["{\"token\":\"other\"}", "{}", "{\"token\":1}", ""] {
        let mut client = Client::open(server.addr, options.clone()).await.unwrap();
        client.send_text(&format!("40{auth}")).await.unwrap();
        let answer = client.receive_text().await.unwrap();
        assert!(answer.starts_with("44{\"message\":\""), "{auth}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_reaches_the_client_whole_and_it_may_ask_again() {
    let namespace =
        echo("/").middleware(async |Auth(auth): Auth<serde_json::Value>| match auth["ok"] == true {
            true => Ok(()),
            false => Err(ConnectError::new("not authorised").with_data(&json!({ "code": [1, "é"] }))),
        });
    let server = TestServer::start(quiet().namespace(namespace)).await;
    let mut client = server.open().await;
    // What follows a refused question is ignored, and not held against the client.
    client.send_texts(["40", "42[\"message\",1]", "421[\"echo\"]"]).await.unwrap();
    client.expect_text("44{\"message\":\"not authorised\",\"data\":{\"code\":[1,\"é\"]}}").await.unwrap();
    client.connect("/", Some("{\"ok\":true}")).await.unwrap();
    client.request("/", 1, "echo", "1").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn middleware_stands_before_the_handlers_in_its_order() {
    let (tell, mut told) = told();
    let (first, second) = (tell.clone(), tell.clone());
    let namespace = Namespace::new("/")
        .event_middleware(move |Event { name, .. }: Event, count: Option<u64>| {
            let _ = first.send(format!("first {name} {count:?}"));
            std::future::ready(match &*name {
                "forbidden" => Err(HandlerError::new("forbidden")),
                _ => Ok(()),
            })
        })
        .event_middleware(move |count: Option<u64>| {
            let _ = second.send(format!("second {count:?}"));
            std::future::ready(Ok::<_, HandlerError>(()))
        })
        .on("x", move |count: u64| {
            let _ = tell.send(format!("handler {count}"));
            async {}
        })
        .on("forbidden", async || Ack("it is not reached"));
    let server = TestServer::start(quiet().namespace(namespace)).await;
    let mut client = server.joined().await;
    client.request("/", 1, "x", "5").await.unwrap();
    for expected in ["first x Some(5)", "second Some(5)", "handler 5"] {
        assert_eq!(told.next().await, expected);
    }
    let answer = client.request("/", 2, "forbidden", "").await.unwrap();
    assert_eq!(&**answer.json(), "{\"error\":\"forbidden\"}");
    assert_eq!(told.next().await, "first forbidden None");
    assert!(told.now().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_event_passes_the_one_that_wants_any() {
    let (tell, mut told) = told();
    let namespace = echo("/").on_any(move |event: Event| {
        let _ = tell.send(event.to_string());
        std::future::ready(Ack("any"))
    });
    let server = TestServer::start(quiet().namespace(namespace)).await;
    let mut client = server.joined().await;
    for (event, answer) in [("echo", "1"), ("something else", "\"any\"")] {
        let got = client.request("/", 1, event, "1").await.unwrap();
        assert_eq!(&**got.json(), answer);
        assert_eq!(told.next().await, format!("{event}(1)"));
    }
    // No arguments, no name, no listener: nothing to hear, nothing to hold against it.
    client.send_texts(["42", "421[\"echo\"]"]).await.unwrap();
    client.expect_text("431[]").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connect_handler_that_fails_disconnects() {
    let namespace = echo("/").on_connect(async |socket: Socket| -> HandlerResult {
        match socket.handshake().query().contains("fail") {
            true => Err(HandlerError::new("no room")),
            false => Ok(()),
        }
    });
    let server = TestServer::start(quiet().namespace(namespace)).await;
    let options = Options { query: "&fail=1".into(), ..Options::default() };
    let mut client = Client::open(server.addr, options).await.unwrap();
    client.connect("/", None).await.unwrap();
    client.expect_text("41").await.unwrap();
    server.joined().await.request("/", 1, "echo", "1").await.unwrap();
}
