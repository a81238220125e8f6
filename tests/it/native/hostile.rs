//! What a peer may do that a client does not: each attack ends with the documented code, and a server that still serves.

use super::{NativeServer, next_message, text};
use crate::server::{soon, until};
use bytes::{Bytes, BytesMut};
use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};
use tenfour::{
    Server, ServerBuilder,
    client::{ConnectionState, Start, StartAt, SubscribeOptions},
    session::native::Config,
    wire::native::{
        Ack, AckRange, Body, CloseCode, Credit, Decoder, Frame, GoAway, Hello, Limits, Message, Outcome,
        Publish, Reliable, Resume, Start as WireStart, Subscribe, Token, VERSION, Welcome, encode,
    },
};
use tenfour_testkit::proxy::{Direction, Proxy};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// A peer that says whatever the test wants.
struct Raw {
    stream: TcpStream,
    decoder: Decoder,
}

/// How a connection ended.
#[derive(Debug, PartialEq, Eq)]
enum End {
    Told(CloseCode),
    /// Without a word.
    Silent,
}

impl Raw {
    async fn open(addr: SocketAddr) -> Self {
        Self::over(TcpStream::connect(addr).await.unwrap())
    }

    fn over(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        Self { stream, decoder: Decoder::new(Limits::default()) }
    }

    /// A peer that has been let in.
    async fn welcomed(addr: SocketAddr) -> (Self, Welcome) {
        let mut raw = Self::open(addr).await;
        raw.send(&Frame::Hello(hello())).await;
        let welcome = raw.welcome().await;
        (raw, welcome)
    }

    async fn welcome(&mut self) -> Welcome {
        match self.next().await {
            Some(Frame::Welcome(welcome)) => welcome,
            other => panic!("no welcome: {other:?}"),
        }
    }

    async fn send(&mut self, frame: &Frame) {
        let mut bytes = BytesMut::new();
        encode(frame, &mut bytes);
        self.send_bytes(&bytes).await;
    }

    async fn send_bytes(&mut self, bytes: &[u8]) {
        // The server may have seen enough by now.
        let _ = self.stream.write_all(bytes).await;
    }

    async fn next(&mut self) -> Option<Frame> {
        soon("a frame, or the end", async {
            loop {
                if let Some(frame) = self.decoder.next().expect("the server speaks the protocol") {
                    return Some(frame);
                }
                let mut chunk = BytesMut::with_capacity(4096);
                match self.stream.read_buf(&mut chunk).await {
                    Ok(0) | Err(_) => return None,
                    Ok(_) => self.decoder.push(chunk.freeze()),
                }
            }
        })
        .await
    }

    /// Publishes, under this number of the session, and waits for the answer.
    async fn publishes(&mut self, sequence: u64) {
        self.send(&Frame::Reliable { sequence: Some(sequence), body: publish("news", "hi") }).await;
        loop {
            match self.next().await.expect("the connection goes on") {
                Frame::Reliable { body: Reliable::Published(published), .. }
                    if published.publish == sequence =>
                {
                    return;
                }
                Frame::Close(close) => panic!("{close:?}"),
                _ => {}
            }
        }
    }

    /// Passes over everything until the connection's end.
    async fn end(mut self) -> End {
        let mut end = End::Silent;
        while let Some(frame) = self.next().await {
            match frame {
                Frame::Close(close) => end = End::Told(close.code),
                Frame::Reject(reject) => end = End::Told(reject.code),
                _ => {}
            }
        }
        end
    }
}

fn hello() -> Hello {
    Hello {
        min_version: VERSION,
        max_version: VERSION,
        features: 0,
        max_frame_bytes: 1 << 20,
        namespace: "/".into(),
        credentials: Bytes::new(),
        credit: Credit { messages: 256, bytes: 1 << 20 },
        resume: None,
        fields: Vec::new(),
    }
}

fn publish(channel: &str, body: &str) -> Reliable {
    let message = Message { name: None, body: Body::Text(body.into()) };
    Reliable::Publish(Publish { channel: channel.into(), producer: None, ttl_ms: None, message })
}

/// Everyone is let in, and nobody is waited for long.
fn impatient() -> ServerBuilder {
    let mut config = Config::default();
    config.hello_timeout = Duration::from_millis(300);
    config.heartbeat = Duration::from_millis(200);
    config.idle_timeout = Duration::from_millis(600);
    Server::builder().open_to_all().native_session(config)
}

/// A client that publishes and subscribes is served as if nothing had happened.
async fn still_serves(server: &NativeServer) {
    let client = server.client();
    let mut news = soon("a subscription", client.subscribe("still")).await.unwrap();
    soon("a commit", client.publish("still", "here")).await.unwrap();
    assert_eq!(text(&next_message(&mut news).await.message.body), "here");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_frame_that_is_no_hello_is_answered_with_its_code() {
    let server = NativeServer::open().await;
    let version = |min_version, max_version| Hello { min_version, max_version, ..hello() };
    let frames = [
        (Frame::Hello(version(VERSION + 1, VERSION + 7)), CloseCode::UnsupportedVersion),
        (Frame::Hello(Hello { namespace: "/nowhere".into(), ..hello() }), CloseCode::UnknownNamespace),
        (Frame::Reliable { sequence: Some(0), body: publish("news", "hi") }, CloseCode::ProtocolError),
        (Frame::Ack(Ack::default()), CloseCode::ProtocolError),
    ];
    for (frame, code) in frames {
        let mut raw = Raw::open(server.addr).await;
        raw.send(&frame).await;
        assert_eq!(raw.end().await, End::Told(code), "{frame:?}");
    }
    still_serves(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_no_frames_are_answered_with_their_code() {
    let server = NativeServer::open().await;
    let mut truncated = BytesMut::new();
    encode(&Frame::Hello(hello()), &mut truncated);
    // Its length says less than it has: what is missing is missing within.
    truncated[0] -= 3;
    for (bytes, codes) in [
        (&b"\xff\xff\xff\xff\x7f"[..], &[CloseCode::FrameTooLarge][..]),
        (&b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"[..], &[CloseCode::Malformed, CloseCode::FrameTooLarge]),
        (&truncated[..], &[CloseCode::Malformed]),
        (&b"GET / HTTP/1.1\r\nHost: tenfour.example\r\nUser-Agent: a browser that is lost\r\nAccept: */*\r\n\r\n"[..],
            &[CloseCode::ProtocolError, CloseCode::Malformed]),
        (&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"[..],
            &[CloseCode::ProtocolError, CloseCode::Malformed]),
    ] {
        let mut raw = Raw::open(server.addr).await;
        raw.send_bytes(bytes).await;
        match raw.end().await {
            End::Told(code) => assert!(codes.contains(&code), "{code} for {bytes:?}"),
            End::Silent => panic!("nothing was told for {bytes:?}"),
        }
    }
    still_serves(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn breaches_of_the_protocol_are_answered_with_their_code() {
    let server = NativeServer::open().await;
    let reliable = |sequence, body| vec![Frame::Reliable { sequence, body }];
    let flood = (0..300)
        .map(|number| Frame::Reliable { sequence: Some(number), body: publish("flood", "hi") })
        .collect();
    let attacks: [(Vec<Frame>, CloseCode); 6] = [
        (vec![Frame::Ack(Ack { next: 1_000, ..Ack::default() })], CloseCode::FutureAck),
        (
            vec![Frame::Ack(Ack { ranges: vec![AckRange { gap: 7, len: 3 }], ..Ack::default() })],
            CloseCode::FutureAck,
        ),
        (reliable(Some(17), publish("news", "hi")), CloseCode::SequenceGap),
        (vec![Frame::Hello(hello())], CloseCode::ProtocolError),
        (reliable(None, publish("news", "hi")), CloseCode::ProtocolError),
        (flood, CloseCode::FlowControl),
    ];
    for (frames, code) in attacks {
        let (mut raw, _) = Raw::welcomed(server.addr).await;
        let mut bytes = BytesMut::new();
        frames.iter().for_each(|frame| encode(frame, &mut bytes));
        raw.send_bytes(&bytes).await;
        assert_eq!(raw.end().await, End::Told(code), "{:?}", frames[0]);
    }
    still_serves(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_says_hello_too_slowly_is_closed() {
    let server = NativeServer::start(impatient()).await;
    let silent = Raw::open(server.addr).await;
    let mut slow = Raw::open(server.addr).await;
    let mut bytes = BytesMut::new();
    encode(&Frame::Hello(hello()), &mut bytes);
    let drip = async {
        for byte in bytes.chunks(1) {
            slow.send_bytes(byte).await;
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        slow.end().await
    };
    let (slow, silent) = tokio::join!(drip, silent.end());
    assert_eq!((slow, silent), (End::Told(CloseCode::HelloTimeout), End::Told(CloseCode::HelloTimeout)));
    still_serves(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_falls_silent_is_closed_and_may_go_on_with_the_session() {
    let server = NativeServer::start(impatient()).await;
    let (raw, welcome) = Raw::welcomed(server.addr).await;
    assert_eq!(raw.end().await, End::Told(CloseCode::IdleTimeout));

    let mut again = Raw::open(server.addr).await;
    again.send(&Frame::Hello(resuming(welcome.token, welcome.generation))).await;
    assert!(matches!(again.welcome().await.outcome, Outcome::Exact { .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_to_a_session_is_checked() {
    let server = NativeServer::open().await;
    let (mut first, welcome) = Raw::welcomed(server.addr).await;
    let (token, generation) = (welcome.token, welcome.generation);

    let mut forged = token;
    forged.0[29] ^= 1;
    let mut raw = Raw::open(server.addr).await;
    raw.send(&Frame::Hello(resuming(forged, generation))).await;
    assert_eq!(raw.end().await, End::Told(CloseCode::Unauthorized));

    // What nobody knows begins anew, and is told so.
    let mut raw = Raw::open(server.addr).await;
    raw.send(&Frame::Hello(resuming(Token([7; 30]), 1))).await;
    assert_eq!(raw.welcome().await.outcome, Outcome::Rebased);

    // The forger has not disturbed the owner.
    first.publishes(0).await;

    // Whoever has the token takes the session over at once, and the older connection is told.
    let mut second = Raw::open(server.addr).await;
    second.send(&Frame::Hello(resuming(token, generation))).await;
    let taken_over = second.welcome().await;
    assert!(matches!(taken_over.outcome, Outcome::Exact { .. }), "{taken_over:?}");
    assert_eq!(first.end().await, End::Told(CloseCode::Conflict));

    // Its use makes the older token stale.
    second.publishes(1).await;
    let mut stale = Raw::open(server.addr).await;
    stale.send(&Frame::Hello(resuming(token, generation))).await;
    assert_eq!(stale.end().await, End::Told(CloseCode::Fenced));
    still_serves(&server).await;
}

fn resuming(token: Token, generation: u32) -> Hello {
    let resume = Resume { token, generation, next: 0, first_held: 0 };
    Hello { resume: Some(resume), ..hello() }
}

#[tokio::test(flavor = "multi_thread")]
async fn more_connections_than_there_is_room_for_are_told_to_come_back() {
    let server = NativeServer::start(Server::builder().open_to_all().max_native_connections(3)).await;
    let neighbour = server.client();
    let mut news = soon("a subscription", neighbour.subscribe("news")).await.unwrap();
    let mut held = Vec::new();
    for _ in 0..2 {
        held.push(Raw::welcomed(server.addr).await);
    }
    for _ in 0..200 {
        let mut raw = Raw::open(server.addr).await;
        match raw.next().await {
            Some(Frame::Reject(reject)) => {
                assert_eq!(reject.code, CloseCode::Overloaded);
                assert!(reject.retry_after_ms.is_some());
            }
            other => panic!("{other:?}"),
        }
    }
    soon("a commit", neighbour.publish("news", "undisturbed")).await.unwrap();
    assert_eq!(text(&next_message(&mut news).await.message.body), "undisturbed");
    drop(held);
    // There is room again, once the server has seen that they are gone.
    soon("a free place", async {
        loop {
            let mut raw = Raw::open(server.addr).await;
            raw.send(&Frame::Hello(hello())).await;
            if matches!(raw.next().await, Some(Frame::Welcome(_))) {
                return;
            }
        }
    })
    .await;
}

/// The server's side of a link stays open, and its client is gone.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_vanishes_is_noticed_and_its_session_waits_for_it() {
    let server = NativeServer::start(impatient()).await;
    let proxy = Proxy::start(server.addr).await.unwrap();
    let client = super::client(proxy.addr()).connect().unwrap();
    let mut news = soon("a subscription", client.subscribe("news")).await.unwrap();
    proxy.half_open();
    let other = server.client();
    for number in 0..100 {
        soon("a commit", other.publish("news", number.to_string())).await.unwrap();
    }
    for number in 0..100 {
        assert_eq!(text(&next_message(&mut news).await.message.body), number.to_string());
    }
    drop((client, other, news));
    proxy.heal();
    until("all connections to be gone", || server.handle.connections() == 0).await;
}

/// It takes nothing of what it subscribed to, while others publish far more than buffers hold.
#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_that_reads_nothing_holds_up_nobody_and_loses_nothing() {
    let server = NativeServer::open().await;
    let proxy = Proxy::start(server.addr).await.unwrap();
    let slow = super::client(proxy.addr()).connect().unwrap();
    let mut to_slow = soon("a subscription", slow.subscribe("news")).await.unwrap();
    proxy.stall(Direction::Both);
    let (publisher, reader) = (server.client(), server.client());
    let mut to_reader = soon("a subscription", reader.subscribe("news")).await.unwrap();
    let body = "x".repeat(16 << 10);
    for _ in 0..1_000 {
        soon("a commit", publisher.publish("news", body.clone())).await.unwrap();
        next_message(&mut to_reader).await;
    }
    assert_eq!(slow.state(), ConnectionState::Connected);
    proxy.heal();
    for _ in 0..1_000 {
        assert_eq!(next_message(&mut to_slow).await.message.body, Body::Text(body.as_str().into()));
    }
}

/// It asks for everything again and again, and goes away in the middle of it.
#[tokio::test(flavor = "multi_thread")]
async fn connections_that_come_and_go_leave_nothing_behind() {
    let server = NativeServer::start(impatient()).await;
    let publisher = server.client();
    for number in 0..300 {
        soon("a commit", publisher.publish("news", number.to_string())).await.unwrap();
    }
    for _ in 0..200 {
        let (mut raw, _) = Raw::welcomed(server.addr).await;
        let subscribe = Subscribe { request: 1, channel: "news".into(), start: WireStart::Earliest };
        raw.send(&Frame::Reliable { sequence: Some(0), body: Reliable::Subscribe(subscribe) }).await;
        raw.next().await;
    }
    publisher.close().await;
    until("all connections to be gone", || server.handle.connections() == 0).await;
    let client = server.client();
    let options = SubscribeOptions { from: StartAt::Place(Start::Earliest), ..SubscribeOptions::default() };
    let mut news = soon("a subscription", client.subscribe_with("news", options)).await.unwrap();
    for number in 0..300 {
        assert_eq!(text(&next_message(&mut news).await.message.body), number.to_string());
    }
}

/// Thousands of connections that say something of everything, all at once, beside a client that is served in time.
#[tokio::test(flavor = "multi_thread")]
async fn noise_does_not_disturb_a_neighbour() {
    let server = NativeServer::open().await;
    let neighbour = server.client();
    let mut news = soon("a subscription", neighbour.subscribe("news")).await.unwrap();
    let mut attackers = Vec::new();
    for seed in 1..=4_u64 {
        let addr = server.addr;
        attackers.push(tokio::spawn(async move {
            let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            loop {
                let noise: Vec<u8> = (0..200)
                    .map(|_| {
                        state ^= state << 13;
                        state ^= state >> 7;
                        state ^= state << 17;
                        state as u8
                    })
                    .collect();
                let mut raw = Raw::open(addr).await;
                let mut bytes = BytesMut::new();
                if state & 1 == 0 {
                    encode(&Frame::Hello(hello()), &mut bytes);
                }
                bytes.extend_from_slice(&noise);
                raw.send_bytes(&bytes).await;
            }
        }));
    }
    for number in 0..200 {
        soon("a commit", neighbour.publish("news", number.to_string())).await.unwrap();
        assert_eq!(text(&next_message(&mut news).await.message.body), number.to_string());
    }
    attackers.into_iter().for_each(|attacker| attacker.abort());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_sends_everyone_away_at_once_is_not_called_at_full_speed() {
    const CALLS: u32 = 40;

    let server = NativeServer::open().await;
    let (_raw, welcome) = Raw::welcomed(server.addr).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = super::client(listener.local_addr().unwrap()).connect().unwrap();
    let begun = Instant::now();
    for _ in 0..CALLS {
        let (stream, _) = soon("a call", listener.accept()).await.unwrap();
        let mut raw = Raw::over(stream);
        let Some(Frame::Hello(hello)) = raw.next().await else { panic!("no hello") };
        let outcome = if hello.resume.is_some() { Outcome::Rebased } else { Outcome::Fresh };
        raw.send(&Frame::Welcome(Welcome { outcome, ..welcome.clone() })).await;
        raw.send(&Frame::GoAway(GoAway { drain_ms: 0, jitter_ms: 0 })).await;
        while raw.next().await.is_some() {}
    }
    // The client waits 50 ms on average, once it has called a few times.
    assert!(begun.elapsed() > CALLS * Duration::from_millis(10), "{:?}", begun.elapsed());
    drop(client);
}
