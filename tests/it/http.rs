//! The server within an HTTP application: beside other routes, in front of them, behind proxies, on streams of its own.

use std::{net::SocketAddr, time::Duration};

use crate::{
    server::{TestServer, echo, quiet, serve, told, until},
    stream::{Peer, opened_by},
};
use axum::{Router, routing::get};
use tenfour::{
    Cookie, DisconnectReason, Namespace, SameSite, Socket,
    session::engineio::{Refusal, TransportKind, Transports, Upgrade},
    wire::websocket::Message,
};
use tenfour_testkit::client::{Client, Error, Options, Polling, http::request};

const POLLING: &str = "?EIO=4&transport=polling";

async fn status(addr: SocketAddr, target: &str) -> u16 {
    request(addr, "GET", target, &[], b"").await.unwrap().status
}

/// A client at `path` is served.
async fn is_served(addr: SocketAddr, path: &str) {
    let mut client = Client::open(addr, Options { path: path.into(), ..Options::default() }).await.unwrap();
    client.connect("/", None).await.unwrap();
    client.request("/", 1, "echo", "1").await.unwrap();
    Polling::open_at(addr, path).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn it_stands_beside_other_routes() {
    let chat = quiet().path("/chat/").namespace(echo("/")).build().unwrap();
    let news = quiet().namespace(echo("/")).build().unwrap();
    let router = Router::new()
        .route("/hello", get(async || "hello"))
        .merge(chat.clone().into_router())
        .merge(news.clone().into_router());
    let (addr, _serving) = serve(router);
    is_served(addr, "/chat/").await;
    is_served(addr, "/socket.io/").await;
    assert_eq!(request(addr, "GET", "/hello", &[], b"").await.unwrap().text(), "hello");
    assert_eq!((chat.handle().connections() > 0, news.handle().connections() > 0), (true, true));
    assert_eq!(status(addr, &format!("/socket.io/below{POLLING}")).await, 200);
    for elsewhere in ["/", "/socket.io", "/socket.io-evil/", "/Socket.IO/", "/chat"] {
        assert_eq!(status(addr, &format!("{elsewhere}{POLLING}")).await, 404, "{elsewhere}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn as_a_layer_it_stands_before_another_service() {
    let server = quiet().namespace(echo("/")).build().unwrap();
    let router = Router::new().fallback(async || "fallback").layer(server.layer());
    let (addr, _serving) = serve(router);
    is_served(addr, "/socket.io/").await;
    assert_eq!(request(addr, "GET", "/anything", &[], b"").await.unwrap().text(), "fallback");
}

#[tokio::test(flavor = "multi_thread")]
async fn as_a_service_it_answers_below_its_path() {
    let server = quiet().namespace(echo("/")).build().unwrap();
    let router = Router::new().fallback_service(server.endpoint());
    let (addr, _serving) = serve(router);
    is_served(addr, "/socket.io/").await;
    assert_eq!(status(addr, "/hello").await, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cookie_is_set_where_it_is_asked_for() {
    let plain = TestServer::start(quiet().namespace(echo("/"))).await;
    let mut cookie = Cookie::default();
    cookie.name = "sticky".into();
    cookie.same_site = SameSite::Strict;
    let sticky = TestServer::start(quiet().cookie(cookie).namespace(echo("/"))).await;
    let target = format!("/socket.io/{POLLING}");
    let response = request(plain.addr, "GET", &target, &[], b"").await.unwrap();
    assert_eq!(response.header("set-cookie"), None);
    let response = request(sticky.addr, "GET", &target, &[], b"").await.unwrap();
    let value = response.header("set-cookie").unwrap();
    let sid = value.strip_prefix("sticky=").unwrap().split(';').next().unwrap();
    assert!(response.text().contains(sid), "{value}");
    assert!(value.ends_with("; Path=/; HttpOnly; SameSite=Strict"), "{value}");
    assert_eq!(response.header("cache-control"), Some("no-store"));
}

#[tokio::test(flavor = "multi_thread")]
async fn forwarded_addresses_are_believed_from_named_proxies_alone() {
    let forwarded = vec![("x-forwarded-for".to_owned(), "6.6.6.6, 9.9.9.9".to_owned())];
    for (proxies, address) in [(vec![], None), (vec!["127.0.0.1"], Some("9.9.9.9:0"))] {
        let (tell, mut addresses) = told();
        let namespace = Namespace::new("/").on_connect(move |socket: Socket| {
            let _ = tell.send(socket.handshake().address());
            std::future::ready(())
        });
        let proxies: Vec<_> = proxies.into_iter().map(|proxy: &str| proxy.parse().unwrap()).collect();
        let server = TestServer::start(quiet().trusted_proxies(proxies).namespace(namespace)).await;
        let options = Options { headers: forwarded.clone(), ..Options::default() };
        let mut client = Client::open(server.addr, options).await.unwrap();
        client.connect("/", None).await.unwrap();
        let told = addresses.next().await.unwrap();
        match address {
            Some(address) => assert_eq!(told, address.parse().unwrap()),
            None => assert!(told.ip().is_loopback() && told.port() > 0, "{told}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn transports_and_upgrades_can_be_left_out() {
    let only = |kind| quiet().transports(Transports::Only(kind)).namespace(echo("/"));
    let polling = TestServer::start(only(TransportKind::Polling)).await;
    assert!(Polling::open(polling.addr).await.unwrap().handshake().upgrades.is_empty());
    let refused = Client::open(polling.addr, Options::default()).await.unwrap_err();
    assert!(matches!(refused, Error::Status { response, .. } if response.text() == "Transport unknown"
        || response.text().contains("Transport unknown")));

    let websocket = TestServer::start(only(TransportKind::WebSocket)).await;
    websocket.joined().await;
    assert_eq!(status(websocket.addr, &format!("/socket.io/{POLLING}")).await, 400);

    let without = TestServer::start(quiet().upgrade(Upgrade::Withheld).namespace(echo("/"))).await;
    assert!(Polling::open(without.addr).await.unwrap().handshake().upgrades.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_whose_handshake_was_answered_elsewhere_is_served() {
    let server = quiet().namespace(echo("/")).build().unwrap();
    // A pipe of few bytes, so that each frame takes many writes.
    let (mut peer, serving) = Peer::open(&server, 7);
    assert!(matches!(peer.receive().await, Message::Text(text) if text.starts_with("0{\"sid\"")));
    peer.send("40").await;
    assert!(matches!(peer.receive().await, Message::Text(text) if text.starts_with("40{\"sid\"")));
    peer.send("427[\"echo\",\"a text of some length\"]").await;
    assert_eq!(peer.receive().await, Message::Text("437[\"a text of some length\"]".into()));
    assert_eq!(server.handle().connections(), 1);
    drop(peer);
    serving.await.unwrap();
    assert_eq!(server.handle().connections(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_with_the_future_that_serves_it() {
    let (tell, mut ends) = told();
    let namespace = echo("/").on_disconnect(move |_: Socket, reason: DisconnectReason| {
        let _ = tell.send(reason);
        std::future::ready(())
    });
    let server = quiet().namespace(namespace).build().unwrap();
    let (mut peer, serving) = Peer::open(&server, 1024);
    peer.receive().await;
    peer.send("40").await;
    peer.receive().await;
    serving.abort();
    ends.next().await;
    until("no connections", || server.handle().connections() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_may_not_be_served_is_refused() {
    let server = quiet().namespace(echo("/")).build().unwrap();
    for (target, origin, refusal) in [
        ("/socket.io/?EIO=4&transport=polling", None, Refusal::BadRequest),
        ("/socket.io/?EIO=3&transport=websocket", None, Refusal::UnsupportedVersion),
        ("/socket.io/?transport=__proto__", None, Refusal::UnknownTransport),
        ("/socket.io/?EIO=4&transport=websocket&sid=x", None, Refusal::UnknownSession),
        ("/socket.io/?EIO=4&transport=websocket", Some("https://evil.example"), Refusal::Forbidden),
    ] {
        let mut request = opened_by(target);
        if let Some(origin) = origin {
            request.headers.insert("origin", origin.parse().unwrap());
        }
        let (_stream, served) = tokio::io::duplex(16);
        assert_eq!(server.inner().serve_websocket(served, &request).err(), Some(refusal), "{target}");
    }
    server.handle().shutdown(Duration::ZERO).await;
    let (_stream, served) = tokio::io::duplex(16);
    let request = opened_by("/socket.io/?EIO=4&transport=websocket");
    assert_eq!(server.inner().serve_websocket(served, &request).err(), Some(Refusal::ServerFull));
}
