//! What is refused before there is a session: origins, transports, heads that are too large, half-made upgrades.

use super::still_serves;
use crate::server::{TestServer, echo, quiet};
use tenfour::Cors;
use tenfour_testkit::client::{
    Client, Error, Options, Polling,
    http::{self, Response},
    websocket::Connection,
};
use tokio::{io::AsyncWriteExt, net::TcpStream};

const POLLING: &str = "/socket.io/?EIO=4&transport=polling";
const WEBSOCKET: &str = "/socket.io/?EIO=4&transport=websocket";

async fn get(server: &TestServer, target: &str, headers: &[(&str, &str)]) -> Response {
    http::request(server.addr, "GET", target, headers, b"").await.unwrap()
}

/// The status that a WebSocket handshake is answered.
async fn upgrade(server: &TestServer, target: &str, headers: &[(&str, &str)]) -> u16 {
    match Connection::open(server.addr, target, headers).await {
        Ok(_) => 101,
        Err(Error::Status { response, .. }) => response.status,
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_page_is_refused_on_both_transports() {
    let server = TestServer::start(quiet().namespace(echo("/"))).await;
    let own = format!("http://{}", server.addr);
    for foreign in ["https://evil.example", "null", &format!("http://{}.evil.example", server.addr)] {
        let response = get(&server, POLLING, &[("origin", foreign)]).await;
        assert_eq!((response.status, &*response.text()), (403, r#"{"code":4,"message":"Forbidden"}"#));
        assert_eq!(response.header("access-control-allow-origin"), None);
        assert_eq!(upgrade(&server, WEBSOCKET, &[("origin", foreign)]).await, 403);
    }
    assert_eq!(server.handle.connections(), 0);
    let response = get(&server, POLLING, &[("origin", &own)]).await;
    assert_eq!(response.status, 200);
    assert_eq!(response.header("access-control-allow-origin"), None, "CORS is off");
    assert_eq!(upgrade(&server, WEBSOCKET, &[("origin", &own)]).await, 101);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_page_cannot_use_a_session_whose_id_it_knows() {
    let server = TestServer::start(quiet().namespace(echo("/"))).await;
    let polling = Polling::open(server.addr).await.unwrap();
    let foreign = [("origin", "https://evil.example")];
    for method in ["GET", "POST"] {
        let response = http::request(server.addr, method, polling.target(), &foreign, b"").await.unwrap();
        assert_eq!(response.status, 403, "{method}");
    }
    assert_eq!(upgrade(&server, &polling.upgrade_target(), &foreign).await, 403);
    assert_eq!(polling.post(b"40").await.unwrap().text(), "ok", "the session is untouched");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_listed_origins_pass() {
    let cors = Cors::origins(["https://chat.example"]).with_credentials();
    let server = TestServer::start(quiet().cors(cors).namespace(echo("/"))).await;
    for (origin, polls, upgrades) in [
        ("https://chat.example", 200, 101),
        ("http://chat.example", 403, 403),
        ("https://chat.example.evil", 403, 403),
        ("https://evil.example", 403, 403),
    ] {
        let response = get(&server, POLLING, &[("origin", origin)]).await;
        assert_eq!(response.status, polls, "{origin}");
        let allowed = (polls == 200).then_some(origin);
        assert_eq!(response.header("access-control-allow-origin"), allowed, "{origin}");
        assert_eq!(upgrade(&server, WEBSOCKET, &[("origin", origin)]).await, upgrades, "{origin}");
    }
    let asked = [("origin", "https://chat.example"), ("access-control-request-method", "POST")];
    let preflight = http::request(server.addr, "OPTIONS", POLLING, &asked, b"").await.unwrap();
    assert_eq!(preflight.header("access-control-allow-origin"), Some("https://chat.example"));
    assert_eq!(preflight.header("access-control-allow-credentials"), Some("true"));
    assert!(preflight.header("access-control-allow-methods").unwrap().contains("POST"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_origin_that_is_no_text_is_a_bad_request() {
    let server = TestServer::start(quiet().cors(Cors::any()).namespace(echo("/"))).await;
    let response = get(&server, POLLING, &[("origin", "http://\u{1F4A9}")]).await;
    assert_eq!((response.status, &*response.text()), (400, r#"{"code":3,"message":"Bad request"}"#));
}

/// CVE-2023-31125, and its likes.
#[tokio::test(flavor = "multi_thread")]
async fn names_that_mean_something_to_javascript_are_no_transports_and_no_sessions() {
    let server = TestServer::start(quiet().namespace(echo("/"))).await;
    let polling = Polling::open(server.addr).await.unwrap();
    for name in ["__proto__", "constructor", "toString", "hasOwnProperty", "", "webtransport", "polling%00"] {
        let target = format!("/socket.io/?EIO=4&transport={name}");
        let response = get(&server, &target, &[]).await;
        assert_eq!(
            (response.status, &*response.text()),
            (400, r#"{"code":0,"message":"Transport unknown"}"#)
        );
        assert_eq!(upgrade(&server, &target, &[]).await, 400, "{name}");
        let on_session = format!("{target}&sid={}", polling.handshake().sid);
        assert_eq!(upgrade(&server, &on_session, &[]).await, 400, "{name}");
    }
    for sid in ["__proto__", "constructor", "", "%00", "../../etc/passwd", &"A".repeat(20), &"A".repeat(4000)]
    {
        let response = get(&server, &format!("{POLLING}&sid={sid}"), &[]).await;
        assert_eq!(
            (response.status, &*response.text()),
            (400, r#"{"code":1,"message":"Session ID unknown"}"#)
        );
        assert_eq!(upgrade(&server, &format!("{WEBSOCKET}&sid={sid}"), &[]).await, 400, "{sid}");
    }
    assert_eq!(polling.post(b"40").await.unwrap().text(), "ok");
    still_serves(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_overlong_url_is_refused() {
    let server = TestServer::start(quiet().namespace(echo("/"))).await;
    let long = format!("&x={}", "a/".repeat(10_000));
    assert_eq!(get(&server, &format!("{POLLING}{long}"), &[]).await.status, 431);
    assert_eq!(upgrade(&server, &format!("{WEBSOCKET}{long}"), &[]).await, 431);
    let longer = "a".repeat(300_000);
    let response = get(&server, &format!("{POLLING}&x={longer}"), &[]).await;
    assert!([414, 431].contains(&response.status), "{}", response.status);
    assert_eq!(server.handle.connections(), 0);
    still_serves(&server).await;
}

/// ws's CVE-2024-37890: more headers than the server cares to read.
#[tokio::test(flavor = "multi_thread")]
async fn too_many_or_too_large_headers_are_refused() {
    let server = TestServer::start(quiet().namespace(echo("/"))).await;
    let names: Vec<_> = (0..2000).map(|number| format!("x-{number}")).collect();
    let many: Vec<_> = names.iter().map(|name| (&**name, "v")).collect();
    let large = [("x-large", &*"v".repeat(20_000))];
    for headers in [&many[..], &large] {
        assert_eq!(get(&server, POLLING, headers).await.status, 431);
        assert_eq!(upgrade(&server, WEBSOCKET, headers).await, 431);
    }
    assert_eq!(server.handle.connections(), 0);
    assert_eq!(get(&server, POLLING, &many[..50]).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_server_says_so_until_somebody_leaves() {
    let server = TestServer::start(quiet().max_connections(2).namespace(echo("/"))).await;
    let first = server.joined().await;
    let _second = server.joined().await;
    assert_eq!(get(&server, POLLING, &[]).await.status, 503);
    assert_eq!(upgrade(&server, WEBSOCKET, &[]).await, 503);
    first.close().await.unwrap();
    server.connections(1).await;
    still_serves(&server).await;
}

fn head(target: &str, server: &TestServer) -> String {
    let key = "dGhlIHNhbXBsZSBub25jZQ==";
    format!(
        "GET {target} HTTP/1.1\r\nhost: {}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: {key}\r\n\r\n",
        server.addr
    )
}

/// CVE-2022-21676: what follows the head is read before anybody listens to it.
#[tokio::test(flavor = "multi_thread")]
async fn garbage_behind_the_head_of_an_upgrade_ends_that_socket_alone() {
    const GARBAGE: &[u8] = b"\xf7\xff\xff\xff\xff\xff\xff\xff\xff\xff garbage \0\0\0\0";
    let server = TestServer::start(quiet().namespace(echo("/"))).await;
    let polling = Polling::open(server.addr).await.unwrap();
    for target in [WEBSOCKET, &polling.upgrade_target()] {
        let mut connection = http::Connection::open(server.addr).await.unwrap();
        connection.send(&[head(target, &server).as_bytes(), GARBAGE].concat()).await.unwrap();
        assert_eq!(connection.response("GET").await.unwrap().status, 101);
        // Whatever the server says yet, it hangs up.
        let rest = connection.response("GET").await.unwrap_err();
        assert!(rest.is_end() || matches!(rest, Error::Http(_)), "{rest}");
    }
    server.connections(1).await;
    assert_eq!(polling.post(b"40").await.unwrap().text(), "ok", "polling goes on after a failed probe");
    still_serves(&server).await;
}

/// No compression is agreed on, so there is no bomb to be unpacked.
#[tokio::test(flavor = "multi_thread")]
async fn no_extension_is_negotiated() {
    let server = TestServer::start(quiet().namespace(echo("/"))).await;
    let mut connection = http::Connection::open(server.addr).await.unwrap();
    let offer = "sec-websocket-extensions: permessage-deflate; client_max_window_bits\r\n\r\n";
    let head = head(WEBSOCKET, &server).replace("\r\n\r\n", &format!("\r\n{offer}"));
    connection.send(head.as_bytes()).await.unwrap();
    let response = connection.response("GET").await.unwrap();
    assert_eq!((response.status, response.header("sec-websocket-extensions")), (101, None));
}

/// A client that does not wait for the answer to its handshake with its first messages is served.
#[tokio::test(flavor = "multi_thread")]
async fn messages_behind_the_head_of_an_upgrade_are_not_lost() {
    let server = TestServer::start(quiet().namespace(echo("/"))).await;
    let mut stream = TcpStream::connect(server.addr).await.unwrap();
    let mut masked = bytes::BytesMut::new();
    let texts = ["40", "42[\"message\",1]"];
    for text in texts {
        let text = text.as_bytes();
        tenfour::wire::websocket::encode_masked(
            tenfour::wire::websocket::Opcode::Text,
            text,
            [1, 2, 3, 4],
            &mut masked,
        );
    }
    stream.write_all(&[head(WEBSOCKET, &server).as_bytes(), &masked].concat()).await.unwrap();
    let mut received = Vec::new();
    crate::server::soon("the echo", async {
        while !received.windows(12).any(|bytes| bytes == b"message-back") {
            assert_ne!(tokio::io::AsyncReadExt::read_buf(&mut stream, &mut received).await.unwrap(), 0);
        }
    })
    .await;
}

/// CVE-2022-41940: the connection breaks while its upgrade is refused, or granted.
#[tokio::test(flavor = "multi_thread")]
async fn a_reset_during_an_upgrade_is_nothing_special() {
    let server = TestServer::start(quiet().namespace(echo("/"))).await;
    let refused = WEBSOCKET.replace("EIO=4", "EIO=3");
    for target in [&*refused, WEBSOCKET, "/socket.io/?EIO=4&transport=websocket&sid=none"] {
        for _ in 0..30 {
            let mut stream = TcpStream::connect(server.addr).await.unwrap();
            stream.write_all(head(target, &server).as_bytes()).await.unwrap();
            stream.set_zero_linger().unwrap();
        }
    }
    server.connections(0).await;
    still_serves(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_may_refuse_a_request() {
    let builder = quiet().admit(|request| request.headers.contains_key("x-token")).namespace(echo("/"));
    let server = TestServer::start(builder).await;
    assert_eq!(get(&server, POLLING, &[]).await.status, 403);
    assert_eq!(upgrade(&server, WEBSOCKET, &[]).await, 403);
    let headers = vec![("x-token".to_owned(), "1".to_owned())];
    Client::open(server.addr, Options { headers, ..Options::default() }).await.unwrap();
}
