//! Publishing, subscribing and asking over each transport.

use super::{NativeServer, client, next_event, next_message, text};
use crate::server::{serve, soon};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tenfour::{
    Namespace, Server, Socket,
    client::{
        Body, Client, ClientError, CloseCode, Event, IntoMessage, Message, PublishError, RefusalReason,
        RequestError, SubscribeError, event,
    },
    native::{Grants, Identity, Rejection},
};
use tenfour_testkit::client::Options;

/// A client publishes, another one gets it, and the server answers a request.
async fn speaks(publisher: Client, subscriber: Client) {
    let mut news = soon("a subscription", subscriber.subscribe("news")).await.unwrap();
    for number in 0..10 {
        let receipt = soon("a commit", publisher.publish("news", format!("line {number}"))).await.unwrap();
        let delivery = next_message(&mut news).await;
        assert_eq!(delivery.offset, receipt.offset);
        assert_eq!(text(&delivery.message.body), format!("line {number}"));
    }
    let bytes = vec![7_u8; 300_000];
    soon("a commit", publisher.publish("news", bytes.clone())).await.unwrap();
    assert_eq!(next_message(&mut news).await.message.body, Body::Binary(bytes.into()));
    let answer = soon("an answer", publisher.request("ping")).await.unwrap();
    assert_eq!(text(&answer.body), "pong to ping");
    publisher.close().await;
    let error = publisher.publish("news", "too late").await.unwrap_err();
    assert_eq!(error, PublishError::Client(ClientError::Closed));
    subscriber.close().await;
    assert!(news.next().await.is_none());
}

fn answering() -> tenfour::ServerBuilder {
    Server::builder().open_to_all().on_request(|_, message| async move {
        match message.body {
            Body::Text(text) => Ok(format!("pong to {text}").into_message()),
            _ => Err("a text, please".to_owned()),
        }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tcp() {
    let server = NativeServer::start(answering()).await;
    speaks(server.client(), server.client()).await;
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn over_a_unix_socket() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let server = answering().namespace(Namespace::new("/")).build().unwrap();
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let listening = tokio::spawn(async move { server.serve_native(listener).await });
    let connect = || Client::builder(format!("unix:{}", path.display())).connect().unwrap();
    speaks(connect(), connect()).await;
    listening.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tls_with_a_certificate_that_is_trusted_and_with_no_other() {
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = tenfour::rustls::pki_types::PrivateKeyDer::try_from(own.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(tenfour::rustls::crypto::ring::default_provider());
    let tls = tenfour::rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![own.cert.der().clone()], key)
        .unwrap();
    let server = answering().namespace(Namespace::new("/")).build().unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let listening = tokio::spawn(async move { server.serve_native_tls(listener, Arc::new(tls)).await });
    let connect = |certificate| {
        let builder = Client::builder(format!("tls://localhost:{port}"));
        builder.trusted_certificates([certificate]).unwrap().connect().unwrap()
    };
    let trusted = own.cert.der().clone();
    speaks(connect(trusted.clone()), connect(trusted)).await;

    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let stranger = connect(other.cert.der().clone());
    crate::server::until("a refused certificate", || {
        matches!(stranger.state(), tenfour::client::ConnectionState::Connecting { problem: Some(problem) } if problem.contains("certificate"))
    })
    .await;
    listening.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn over_a_websocket() {
    let server = answering().namespace(Namespace::new("/")).build().unwrap();
    let (addr, serving) = serve(server.into_router());
    let connect = || Client::builder(format!("ws://{addr}")).connect().unwrap();
    speaks(connect(), connect()).await;
    serving.abort();
}

/// A channel is the room of its name: what is published reaches those of both protocols, in one order.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_published_reaches_the_room_of_the_channels_name() {
    let lobby = Namespace::new("/").on_connect(async |socket: Socket| {
        socket.join("lobby").await.unwrap();
        socket.emit("in", &()).await.unwrap();
    });
    let server = Server::builder().open_to_all().namespace(lobby).build().unwrap();
    let handle = server.handle();
    let (addr, serving) = serve(server.into_router());
    let mut stock = tenfour_testkit::client::Client::open(addr, Options::default()).await.unwrap();
    stock.connect("/", None).await.unwrap();
    stock.receive().await.unwrap();
    let native = Client::builder(format!("ws://{addr}")).connect().unwrap();
    let mut subscription = soon("a subscription", native.subscribe("lobby")).await.unwrap();

    for number in 0..20 {
        if number % 2 == 0 {
            native.publish("lobby", event("said", &number).unwrap()).await.unwrap();
        } else {
            handle.publish("/", "lobby", "said", &number).await.unwrap();
        }
    }
    for number in 0..20 {
        let packet = stock.receive().await.unwrap();
        assert!(format!("{packet:?}").contains("said"), "{packet:?}");
        let delivery = next_message(&mut subscription).await;
        assert_eq!(delivery.message, event("said", &number).unwrap());
    }
    serving.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_do_what_is_decided_by_the_application() {
    let builder = Server::builder().authenticate(|credentials, namespace| async move {
        assert_eq!(namespace, "/");
        match &*credentials {
            b"ada" => Ok(Identity::new("ada", Grants::new().subscribe("news").publish("rooms/*"))),
            _ => {
                let code = CloseCode::Unauthorized;
                Err(Rejection { code, retry_after: None, reason: "who are you?".into() })
            }
        }
    });
    let server = NativeServer::start(builder).await;
    let stranger = server.client();
    let refused = ClientError::Ended { code: CloseCode::Unauthorized, reason: "who are you?".to_owned() };
    assert_eq!(soon("a rejection", stranger.connected()).await, Err(refused.clone()));
    assert_eq!(stranger.publish("rooms/1", "hi").await, Err(PublishError::Client(refused)));

    let ada = client(server.addr).token("ada").connect().unwrap();
    let forbidden = PublishError::Refused(RefusalReason::Forbidden);
    assert_eq!(soon("a refusal", ada.publish("news", "hi")).await, Err(forbidden.clone()));
    // What comes behind a refused publication is committed all the same.
    let (first, second, third) =
        tokio::join!(ada.publish("rooms/1", "a"), ada.publish("news", "b"), ada.publish("rooms/2", "c"));
    assert_eq!((first.is_ok(), second, third.is_ok()), (true, Err(forbidden), true));
    let error = soon("a refusal", ada.subscribe("rooms/1")).await.unwrap_err();
    assert_eq!(error, SubscribeError::Refused(RefusalReason::Forbidden));
    soon("a subscription", ada.subscribe("news")).await.unwrap();
    let unanswered = soon("a refusal", ada.request("anyone?")).await.unwrap_err();
    assert!(matches!(unanswered, RequestError::Refused(why) if why.contains("on_request")));
}

#[tokio::test(flavor = "multi_thread")]
async fn by_default_nobody_is_let_in() {
    let server = NativeServer::start(Server::builder()).await;
    let error = soon("a rejection", server.client().connected()).await.unwrap_err();
    assert!(matches!(error, ClientError::Ended { code: CloseCode::Unauthorized, .. }), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_sent_at_most_once_reaches_who_is_there() {
    let server = NativeServer::open().await;
    let (here, sender) = (server.client(), server.client());
    let mut news = soon("a subscription", here.subscribe("news")).await.unwrap();
    soon("a connection", sender.connected()).await.unwrap();
    sender.emit("news", "by the way");
    match next_event(&mut news).await {
        Event::Emitted(message) => assert_eq!(text(&message.body), "by the way"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_asks_its_clients_too() {
    use tenfour::{broker, native::NativeSession};

    async fn ask(session: NativeSession) -> Result<String, String> {
        let question = broker::Message { name: None, body: broker::Body::Text("your name?".into()) };
        let answer =
            session.request(&question, Duration::from_secs(5)).await.map_err(|error| error.to_string())?;
        match answer.body {
            broker::Body::Text(name) => Ok(format!("hello {name}")),
            other => Err(format!("{other:?}")),
        }
    }
    let builder = Server::builder()
        .open_to_all()
        .on_request(|session, _| async { Ok(ask(session).await?.into_message()) });
    let server = NativeServer::start(builder).await;
    let ada = client(server.addr)
        .on_request(|question| async move {
            assert_eq!(text(&question.body), "your name?");
            Ok("ada".into_message())
        })
        .connect()
        .unwrap();
    soon("a connection", ada.connected()).await.unwrap();
    assert_eq!(text(&soon("an answer", ada.request("hello")).await.unwrap().body), "hello ada");
    let mute = server.client();
    soon("a connection", mute.connected()).await.unwrap();
    let refused = soon("a refusal", mute.request("hello")).await.unwrap_err();
    assert!(matches!(refused, RequestError::Refused(why) if why.contains("answers no requests")));
}

/// Nothing moves on either connection before: whoever is sent something is woken for it.
#[tokio::test(flavor = "multi_thread")]
async fn who_waits_in_silence_is_told_at_once() {
    let server = NativeServer::open().await;
    let (publisher, subscriber) = (server.client(), server.client());
    let mut news = soon("a subscription", subscriber.subscribe("news")).await.unwrap();
    soon("a connection", publisher.connected()).await.unwrap();
    for _ in 0..3 {
        let publish = async {
            // Longer than any acknowledgement is put off, and far shorter than a heartbeat.
            tokio::time::sleep(Duration::from_millis(200)).await;
            publisher.publish("news", "now").await.unwrap();
            Instant::now()
        };
        let (published, told) = tokio::join!(publish, next_message(&mut news));
        assert_eq!(text(&told.message.body), "now");
        assert!(published.elapsed() < Duration::from_secs(2), "it came {:?} late", published.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_in_an_answer_is_the_end_of_that_request_alone() {
    use tenfour::{broker, native::NativeSession};

    async fn ask(session: NativeSession, question: Message) -> Result<String, String> {
        let question = broker::Message { name: None, body: broker::Body::Text(text(&question.body).into()) };
        let answer = session.request(&question, Duration::from_secs(5)).await;
        Ok(answer.map_or_else(|error| error.to_string(), |_| "answered".to_owned()))
    }
    let builder = Server::builder().open_to_all().on_request(|session, question| async move {
        assert_ne!(text(&question.body), "panic at the server");
        Ok(ask(session, question).await?.into_message())
    });
    let server = NativeServer::start(builder).await;
    let answer = |question: Message| {
        assert_ne!(text(&question.body), "panic at once");
        async move {
            assert_ne!(text(&question.body), "panic later");
            Ok("fine".into_message())
        }
    };
    let client = client(server.addr).on_request(answer).connect().unwrap();
    soon("a connection", client.connected()).await.unwrap();
    for question in ["panic at once", "panic later"] {
        let told = soon("what became of it", client.request(question)).await.unwrap();
        assert!(text(&told.body).contains("internal error"), "{told:?}");
    }
    let refused = soon("a refusal", client.request("panic at the server")).await.unwrap_err();
    assert!(matches!(refused, RequestError::Refused(why) if why.contains("internal error")));
    assert_eq!(text(&soon("an answer", client.request("are you there?")).await.unwrap().body), "answered");
}
