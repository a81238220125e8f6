//! The clients beside a server that plays a script.

use std::{net::SocketAddr, time::Duration};

use tenfour_wire::{
    engineio::Packet as EnginePacket,
    socketio::Packet,
    websocket::{CloseFrame, Message, Opcode, accept_key, header},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::{Client, Error, Options, Polling, Pongs, http, websocket::Connection};

const OPEN: &str = r#"0{"sid":"abc","upgrades":[],"pingInterval":300,"pingTimeout":200,"maxPayload":1000}"#;

/// The server's end of a connection that was accepted.
struct Peer(TcpStream);

impl Peer {
    /// What comes up to `end`, and that.
    async fn read_until(&mut self, end: &[u8]) -> String {
        let mut read = Vec::new();
        while !read.ends_with(end) {
            read.push(self.0.read_u8().await.expect("more to read"));
        }
        String::from_utf8(read).expect("UTF-8")
    }

    /// Keeps the connection open until the client ends it.
    async fn until_end(mut self) {
        self.0.read_to_end(&mut Vec::new()).await.ok();
    }

    async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).await.expect("a client that reads");
    }

    async fn upgrade(&mut self) -> String {
        let request = self.read_until(b"\r\n\r\n").await;
        let accept = accept_key(b"dGhlIHNhbXBsZSBub25jZQ==");
        self.write(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nSec-WebSocket-Accept: ").await;
        // The first frame comes in the same segment as the head, as it may.
        let open = [&header(Opcode::Text, OPEN.len())[..], OPEN.as_bytes()].concat();
        self.write([&accept[..], b"\r\n\r\n", &open].concat()).await;
        request
    }

    async fn text(&mut self, text: &str) {
        self.write([&header(Opcode::Text, text.len())[..], text.as_bytes()].concat()).await;
    }

    async fn expect_text(&mut self, expected: &str) {
        let mut head = [0; 6];
        self.0.read_exact(&mut head).await.expect("a frame");
        assert_eq!((head[0], usize::from(head[1])), (0x81, 0x80 | expected.len()), "a masked text");
        let mut payload = vec![0; expected.len()];
        self.0.read_exact(&mut payload).await.expect("its payload");
        let unmasked = payload.iter().zip(head[2..].iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
        assert_eq!(String::from_utf8(unmasked).expect("UTF-8"), expected);
    }
}

/// A server that plays `script` with each client.
async fn serve<S: Future<Output = ()> + Send + 'static>(
    script: impl Fn(Peer) -> S + Send + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let addr = listener.local_addr().expect("its address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(script(Peer(stream)));
        }
    });
    addr
}

#[tokio::test]
async fn a_client_joins_emits_and_is_acknowledged() {
    let addr = serve(async |mut peer: Peer| {
        let request = peer.upgrade().await;
        assert!(request.starts_with("GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\n"), "{request}");
        peer.expect_text(r#"40/admin,{"token":1}"#).await;
        peer.text(r#"42["early"]"#).await;
        peer.text(r#"40/admin,{"sid":"s"}"#).await;
        peer.expect_text(r#"42/admin,7["ask",1,"two"]"#).await;
        peer.text(r#"43/admin,6["not this"]"#).await;
        peer.text(r#"43/admin,7["yes"]"#).await;
        peer.expect_text("2probe").await;
    })
    .await;
    let mut client = Client::open(addr, Options::default()).await.unwrap();
    assert_eq!(client.handshake().ping_interval, Duration::from_millis(300));
    assert_eq!(client.connect("/admin", Some(r#"{"token":1}"#)).await.unwrap(), r#"{"sid":"s"}"#);
    let answer = client.request("/admin", 7, "ask", r#"1,"two""#).await.unwrap();
    assert_eq!(answer.json(), r#""yes""#);
    assert!(
        matches!(client.receive().await.unwrap(), Packet::Event { name, .. } if name.as_str() == "early")
    );
    assert!(matches!(client.receive().await.unwrap(), Packet::Ack { id, .. } if id.get() == 6));
    client.send_text("2probe").await.unwrap();
    assert!(matches!(client.receive().await, Err(Error::Ended { .. })));
}

#[tokio::test]
async fn a_refusal_is_an_error_that_shows_it() {
    let addr = serve(async |mut peer: Peer| {
        peer.upgrade().await;
        peer.text(r#"44{"message":"no"}"#).await;
        peer.until_end().await;
    })
    .await;
    let mut client = Client::open(addr, Options::default()).await.unwrap();
    let error = client.connect("/", None).await.unwrap_err();
    assert!(error.to_string().starts_with("expected a CONNECT packet of /, but got ConnectError"), "{error}");
}

#[tokio::test]
async fn pings_are_answered_or_handed_over() {
    let addr = serve(async |mut peer: Peer| {
        peer.upgrade().await;
        peer.text("2").await;
        peer.expect_text("3").await;
        peer.text("42[1]").await;
        peer.until_end().await;
    })
    .await;
    let mut automatic = Client::open(addr, Options::default()).await.unwrap();
    automatic.expect_text("42[1]").await.unwrap();
    let withheld = Options { pongs: Pongs::Withheld, ..Options::default() };
    let mut withheld = Client::open(addr, withheld).await.unwrap();
    withheld.expect_text("2").await.unwrap();
    withheld.send_text("3").await.unwrap();
    let error = withheld.expect_text("42[2]").await.unwrap_err();
    assert!(matches!(error, Error::Unexpected { .. }), "{error}");
}

#[tokio::test]
async fn attachments_are_joined_to_their_packet() {
    let addr = serve(async |mut peer: Peer| {
        peer.upgrade().await;
        peer.text(r#"451-["file",{"_placeholder":true,"num":0}]"#).await;
        peer.write(b"\x82\x02hi").await;
        peer.expect_text(r#"451-["file",{"_placeholder":true,"num":0}]"#).await;
        let mut frame = [0; 8];
        peer.0.read_exact(&mut frame).await.unwrap();
        assert_eq!(frame[..2], [0x82, 0x82]);
        peer.text("42[2]").await;
    })
    .await;
    let mut client = Client::open(addr, Options::default()).await.unwrap();
    let packet = client.receive().await.unwrap();
    assert_eq!(packet.attachments(), ["hi"]);
    client.send(&packet).await.unwrap();
    client.expect_text("42[2]").await.unwrap();
}

#[tokio::test]
async fn options_are_in_the_request() {
    let addr = serve(async |mut peer: Peer| {
        let request = peer.upgrade().await;
        peer.text(&request).await;
        peer.until_end().await;
    })
    .await;
    let options = Options {
        path: "/engine.io/".into(),
        query: "&token=a%20b".into(),
        headers: vec![("x-test".into(), "yes".into())],
        ..Options::default()
    };
    let mut client = Client::open(addr, options).await.unwrap();
    let request = client.receive_text().await.unwrap();
    assert!(
        request.starts_with("GET /engine.io/?EIO=4&transport=websocket&token=a%20b HTTP/1.1\r\n"),
        "{request}"
    );
    assert!(request.contains("\r\nx-test: yes\r\n"), "{request}");
}

#[tokio::test]
async fn a_websocket_that_is_refused_shows_the_response() {
    let addr = serve(async |mut peer: Peer| {
        peer.read_until(b"\r\n\r\n").await;
        peer.write("HTTP/1.1 400 Bad Request\r\nContent-type: text/html\r\n\r\nTransport unknown").await;
    })
    .await;
    let error = Connection::open(addr, "/socket.io/", &[]).await.unwrap_err();
    assert_eq!(error.to_string(), "the server answered 400 instead of 101: Transport unknown");
}

#[tokio::test]
async fn a_close_is_shown_with_its_code() {
    let addr = serve(async |mut peer: Peer| {
        peer.upgrade().await;
        peer.text("passed over").await;
        peer.write(b"\x88\x05\x03\xf1big").await;
    })
    .await;
    let mut connection = Connection::open(addr, "/", &[]).await.unwrap();
    assert!(matches!(connection.receive().await.unwrap(), Message::Text(open) if open == OPEN));
    let close = connection.expect_close().await.unwrap();
    assert_eq!(close, Some(CloseFrame { code: 1009, reason: "big".into() }));
    connection.expect_end().await.unwrap();
}

#[tokio::test]
async fn a_server_that_waits_for_the_answer_to_its_close_gets_it() {
    let addr = serve(async |mut peer: Peer| {
        peer.upgrade().await;
        peer.write(b"\x88\x02\x03\xe8").await;
        let mut answer = [0; 8];
        peer.0.read_exact(&mut answer).await.expect("a close frame");
        assert_eq!(answer[..2], [0x88, 0x82]);
    })
    .await;
    Connection::open(addr, "/", &[]).await.unwrap().expect_end().await.unwrap();
}

#[tokio::test]
async fn what_is_waited_for_in_vain_is_named() {
    let addr = serve(async |mut peer: Peer| {
        peer.upgrade().await;
        peer.until_end().await;
    })
    .await;
    let mut client = Client::open(addr, Options::default()).await.unwrap();
    tokio::time::pause();
    let error = client.expect_text("42[1]").await.unwrap_err();
    assert_eq!(error.to_string(), "waited 10s in vain for 42[1]");
}

#[tokio::test]
async fn pipelined_texts_come_in_order() {
    let addr = serve(async |mut peer: Peer| {
        peer.upgrade().await;
        for number in 0..100 {
            peer.expect_text(&format!("42[{number}]")).await;
        }
        peer.text("done").await;
    })
    .await;
    let mut client = Client::open(addr, Options::default()).await.unwrap();
    let texts: Vec<_> = (0..100).map(|number| format!("42[{number}]")).collect();
    client.send_texts(texts.iter().map(String::as_str)).await.unwrap();
    client.expect_text("done").await.unwrap();
}

#[tokio::test]
async fn polling_opens_receives_and_sends() {
    let addr = serve(async |mut peer: Peer| {
        let request = peer.read_until(b"\r\n\r\n").await;
        let answer = match request.split("\r\n").next().unwrap_or_default() {
            "GET /socket.io/?EIO=4&transport=polling HTTP/1.1" => OPEN,
            "GET /socket.io/?EIO=4&transport=polling&sid=abc HTTP/1.1" => "2\u{1e}4hello\u{1e}bAQIDBA==",
            "POST /socket.io/?EIO=4&transport=polling&sid=abc HTTP/1.1" => {
                assert!(request.contains("content-length: 11\r\n"), "{request}");
                assert_eq!(peer.read_until(b"=").await, "3\u{1e}4hi\u{1e}bAQI=");
                "ok"
            }
            other => panic!("{other}"),
        };
        peer.write(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{answer}", answer.len())).await;
        peer.until_end().await;
    })
    .await;
    let polling = Polling::open(addr).await.unwrap();
    assert_eq!(polling.handshake().sid, "abc");
    assert_eq!(polling.upgrade_target(), "/socket.io/?EIO=4&transport=websocket&sid=abc");
    let packets = polling.receive().await.unwrap();
    let binary = |bytes: &'static [u8]| EnginePacket::Binary(bytes.into());
    assert_eq!(packets[..2], [EnginePacket::Ping("".into()), EnginePacket::Text("hello".into())]);
    assert_eq!(packets[2..], [binary(&[1, 2, 3, 4])]);
    polling
        .send(&[EnginePacket::Pong("".into()), EnginePacket::Text("hi".into()), binary(&[1, 2])])
        .await
        .unwrap();
}

#[tokio::test]
async fn bodies_end_by_length_by_chunks_or_with_the_connection() {
    let addr = serve(async |mut peer: Peer| {
        loop {
            let request = peer.read_until(b"\r\n\r\n").await;
            match request.split(' ').nth(1).unwrap_or_default() {
                "/length" => peer.write("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").await,
                "/chunks" => {
                    peer.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nhel\r\n2\r")
                        .await;
                    peer.write("\nlo\r\n0\r\ntrailer: 1\r\n\r\n").await;
                }
                "/none" => peer.write("HTTP/1.1 204 No Content\r\n\r\n").await,
                "/end" => return peer.write("HTTP/1.1 200 OK\r\n\r\nhello").await,
                _ => return peer.write("SSH-2.0-x\r\n\r\n").await,
            }
        }
    })
    .await;
    let mut connection = http::Connection::open(addr).await.unwrap();
    for (target, status, body) in [
        ("/length", 200, "hello"),
        ("/chunks", 200, "hello"),
        ("/none", 204, ""),
        ("/length", 200, "hello"),
        ("/end", 200, "hello"),
    ] {
        let response = connection.request("GET", target, &[], b"").await.unwrap();
        assert_eq!((response.status, &*response.text()), (status, body), "{target}");
    }
    let error = http::request(addr, "GET", "/other", &[], b"").await.unwrap_err();
    assert!(matches!(error, Error::Http(_)), "{error}");
}
