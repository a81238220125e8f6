//! What is published, what is read of it later, and events that carry a key.

use crate::server::{TestServer, Told, echo, quiet, told};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tenfour::{
    Broadcast, HandlerError, HandlerResult, HistoryError, Key, Namespace, PublishError, Receipt, Socket,
    broker::channel,
    delivery::{
        loss::Reason,
        number::{Epoch, Offset},
        resume::Position,
    },
    native::log::{Log, Memory, Retention},
};
use tenfour_testkit::client::Client;
use tokio::sync::Semaphore;

/// A server whose clients enter a room, and whose namespace tells of each socket.
async fn start() -> (TestServer, Told<Socket>) {
    let (tell, sockets) = told();
    let namespace = echo("/").on_connect(move |socket: Socket| {
        let tell = tell.clone();
        async move {
            let _ = socket.join("lobby").await;
            let _ = tell.send(socket);
        }
    });
    (TestServer::start(quiet().namespace(namespace)).await, sockets)
}

fn lobby(server: &TestServer) -> Broadcast {
    server.handle.namespace("/").unwrap().to("lobby")
}

async fn hears(client: &mut Client, text: &str) {
    client.expect_text(text).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_published_reaches_whom_it_is_for() {
    let (server, mut sockets) = start().await;
    let (mut one, a) = (server.joined().await, sockets.next().await);
    let (mut two, b) = (server.joined().await, sockets.next().await);

    let first = lobby(&server).publish("said", "all").await.unwrap();
    let second = a.to("lobby").publish("said", "others").await.unwrap();
    let third = server.handle.namespace("/").unwrap().publish("said", "everyone").await.unwrap();
    let fourth = b.publish("said", "b alone").await.unwrap();
    assert!(first.offset < second.offset && second.offset < third.offset && third.offset < fourth.offset);

    for text in ["all", "everyone"] {
        hears(&mut one, &format!(r#"42["said","{text}"]"#)).await;
    }
    for text in ["all", "others", "everyone", "b alone"] {
        hears(&mut two, &format!(r#"42["said","{text}"]"#)).await;
    }
    one.send_text("420[\"echo\"]").await.unwrap();
    hears(&mut one, "430[]").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_published_once() {
    let (server, mut sockets) = start().await;
    let (mut client, _) = (server.joined().await, sockets.next().await);

    let keyed = lobby(&server).key("k");
    let Receipt { epoch, offset, duplicate } = keyed.publish("said", &1).await.unwrap();
    assert!(!duplicate);
    assert_eq!(keyed.publish("said", &1).await.unwrap(), Receipt { epoch, offset, duplicate: true });
    let conflict = keyed.publish("said", &2).await;
    assert!(matches!(conflict, Err(PublishError::Refused(channel::PublishError::KeyConflict))));
    assert!(matches!(lobby(&server).key("").publish("said", &2).await, Err(PublishError::Key(_))));
    let reserved = server.handle.namespace("/").unwrap().to("\0s").publish("said", &2).await;
    assert!(matches!(reserved, Err(PublishError::Refused(channel::PublishError::Reserved))));
    lobby(&server).publish("said", &3).await.unwrap();

    hears(&mut client, r#"42["said",1]"#).await;
    hears(&mut client, r#"42["said",3]"#).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn history_is_read_by_range() {
    let (server, _sockets) = start().await;
    for number in 0..5 {
        lobby(&server).publish("said", &number).await.unwrap();
        server.handle.namespace("/").unwrap().to("elsewhere").publish("said", "else").await.unwrap();
    }
    lobby(&server).ttl(Duration::ZERO).publish("said", "expired").await.unwrap();

    let (mut position, mut heard, mut expired) = (None, Vec::new(), 0);
    loop {
        let page = lobby(&server).history(position, 2).await.unwrap();
        assert!(page.events.len() <= 2 && page.lost.is_none());
        heard.extend(page.events.iter().map(|event| event.args.deserialize::<u32>(0).unwrap()));
        assert!(page.events.iter().all(|event| event.event == "said"));
        expired += page.expired;
        position = Some(page.position);
        if !page.more {
            break;
        }
    }
    assert_eq!((heard, expired), (vec![0, 1, 2, 3, 4], 1));

    let end = position.unwrap();
    let ahead = Position { offset: Offset::new(end.offset.get() + 100), ..end };
    assert!(matches!(lobby(&server).history(Some(ahead), 2).await, Err(HistoryError::Ahead { .. })));
    let elsewhere = Position { epoch: Epoch::new(1), ..end };
    let page = lobby(&server).history(Some(elsewhere), 2).await.unwrap();
    assert_eq!(page.lost.map(|lost| lost.reason), Some(Reason::EpochReset));
    assert_eq!(page.events.len(), 2, "from the beginning");
}

/// A namespace whose handler `say` publishes twice, and then waits for a permit and answers how often it ran.
struct Say {
    runs: Arc<AtomicUsize>,
    gate: Arc<Semaphore>,
    fails: Arc<AtomicUsize>,
}

impl Say {
    fn new(permits: usize) -> Self {
        Self { runs: Arc::default(), gate: Arc::new(Semaphore::new(permits)), fails: Arc::default() }
    }

    fn namespace(&self, key: Key) -> Namespace {
        let Self { runs, gate, fails } = self;
        let (runs, gate, fails) = (runs.clone(), gate.clone(), fails.clone());
        let handler = move |socket: Socket, key: String, text: String| {
            let (runs, gate, fails) = (runs.clone(), gate.clone(), fails.clone());
            async move {
                let run = runs.fetch_add(1, Ordering::SeqCst) + 1;
                let clone = socket.clone();
                // What it says is not the same in each run, as the time would not be.
                socket.to("lobby").publish("said", &(&text, run)).await?;
                clone.everyone().publish("heard", &(&key, run)).await?;
                gate.acquire().await?.forget();
                let left = fails.load(Ordering::SeqCst);
                fails.store(left.saturating_sub(1), Ordering::SeqCst);
                match left {
                    0 => HandlerResult::Ok(run),
                    1 => Err(HandlerError::new("not now")),
                    _ => panic!("on purpose"),
                }
            }
        };
        let namespace =
            echo("/").idempotency(key).on_connect(async |socket: Socket| drop(socket.join("lobby").await));
        namespace.on("say", handler)
    }

    fn runs(&self) -> usize {
        self.runs.load(Ordering::SeqCst)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_with_a_key_is_handled_once_and_answered_alike() {
    let say = Say::new(10);
    let server = TestServer::start(quiet().namespace(say.namespace(Key::argument(0)))).await;
    let mut client = server.joined().await;
    client.send_text(r#"420["say","k","tea"]"#).await.unwrap();
    hears(&mut client, r#"42["heard","k",1]"#).await;
    hears(&mut client, "430[1]").await;
    // A retry has another number, and nothing else tells it from a second event.
    client.send_text(r#"421["say","k","tea"]"#).await.unwrap();
    hears(&mut client, "431[1]").await;
    let mut other = server.joined().await;
    other.send_text(r#"420["say","k","tea"]"#).await.unwrap();
    hears(&mut other, "430[1]").await;
    other.send_text(r#"421["say","k","coffee"]"#).await.unwrap();
    hears(&mut other, r#"431[{"error":"the key was used for another message; give each message its own"}]"#)
        .await;
    assert_eq!(say.runs(), 1);
    other.send_text(r#"422["say","l","coffee"]"#).await.unwrap();
    hears(&mut client, r#"42["said","coffee",2]"#).await;
    hears(&mut other, r#"42["heard","l",2]"#).await;
    hears(&mut other, "432[2]").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_joins_the_handler_that_runs() {
    let say = Say::new(0);
    let server = TestServer::start(quiet().namespace(say.namespace(Key::argument(0)))).await;
    let mut lost = server.joined().await;
    lost.send_text(r#"420["say","k","tea"]"#).await.unwrap();
    hears(&mut lost, r#"42["heard","k",1]"#).await;
    drop(lost);
    let mut back = server.joined().await;
    back.send_texts([r#"420["say","k","tea"]"#, r#"421["say","k","tea"]"#]).await.unwrap();
    say.gate.add_permits(1);
    hears(&mut back, "430[1]").await;
    hears(&mut back, "431[1]").await;
    assert_eq!(say.runs(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_that_failed_runs_again_and_publishes_nothing_twice() {
    let say = Say::new(10);
    say.fails.store(2, Ordering::SeqCst);
    let server = TestServer::start(quiet().namespace(say.namespace(Key::argument(0)))).await;
    let mut client = server.joined().await;
    let mut listener = server.joined().await;
    for answer in [r#"430[{"error":"Internal error"}]"#, r#"430[{"error":"not now"}]"#, "430[3]", "430[3]"] {
        client.send_text(r#"420["say","k","tea"]"#).await.unwrap();
        while client.receive_text().await.unwrap() != answer {}
    }
    assert_eq!(say.runs(), 3);
    hears(&mut listener, r#"42["said","tea",1]"#).await;
    hears(&mut listener, r#"42["heard","k",1]"#).await;
    server.handle.namespace("/").unwrap().publish("end", &()).await.unwrap();
    hears(&mut listener, r#"42["end"]"#).await;
}

/// One log for two lives of a server, as a disk would be.
#[derive(Clone, Debug)]
struct Kept(Arc<std::sync::Mutex<Memory>>);

impl Log for Kept {
    fn epoch(&self) -> Epoch {
        self.0.lock().unwrap().epoch()
    }

    fn head(&self) -> Offset {
        self.0.lock().unwrap().head()
    }

    fn history(&self, channel: &str) -> tenfour::delivery::resume::History {
        self.0.lock().unwrap().history(channel)
    }

    fn append(&mut self, ticket: tenfour::delivery::log::Ticket, records: Vec<channel::Record>) {
        self.0.lock().unwrap().append(ticket, records);
    }

    fn poll(&mut self) -> Option<tenfour::native::log::Completion> {
        self.0.lock().unwrap().poll()
    }

    fn read(&self, query: &channel::Query) -> Result<channel::Page, tenfour::delivery::log::ReadError> {
        self.0.lock().unwrap().read(query)
    }

    fn trim(&mut self, now: tenfour::delivery::time::WallTime) {
        self.0.lock().unwrap().trim(now);
    }

    fn release(&mut self, channel: &str, through: Offset) {
        self.0.lock().unwrap().release(channel, through);
    }
}

fn kept() -> Kept {
    Kept(Arc::new(std::sync::Mutex::new(Memory::new(Epoch::new(7), Retention::default()))))
}

/// The server stops between what a handler publishes and its answer.
#[tokio::test(flavor = "multi_thread")]
async fn a_handler_that_was_interrupted_runs_again_and_publishes_nothing_twice() {
    let kept = kept();
    let builder = || {
        let log = kept.clone();
        quiet().log(move |_| Box::new(log.clone()))
    };
    let say = Say::new(0);
    let server = TestServer::start(builder().namespace(say.namespace(Key::argument(0)))).await;
    let mut client = server.joined().await;
    client.send_text(r#"420["say","k","tea"]"#).await.unwrap();
    hears(&mut client, r#"42["heard","k",1]"#).await;
    drop(server);

    let again = Say::new(1);
    again.runs.store(10, Ordering::SeqCst);
    let server = TestServer::start(builder().namespace(again.namespace(Key::argument(0)))).await;
    let mut client = server.joined().await;
    client.send_text(r#"420["say","k","tea"]"#).await.unwrap();
    hears(&mut client, "430[11]").await;
    let said = lobby(&server).history(None, 10).await.unwrap();
    let said: Vec<_> = said.events.iter().map(|event| event.args.json().to_string()).collect();
    assert_eq!(said, [r#""tea",1"#], "by the first run, and not by the second");
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_and_keys_outlive_the_server() {
    let kept = kept();
    let builder = || {
        let log = kept.clone();
        quiet().log(move |_| Box::new(log.clone()))
    };
    let say = Say::new(10);
    let server = TestServer::start(builder().namespace(say.namespace(Key::argument(0)))).await;
    let mut client = server.joined().await;
    client.send_text(r#"420["say","k","tea"]"#).await.unwrap();
    hears(&mut client, r#"42["heard","k",1]"#).await;
    hears(&mut client, "430[1]").await;
    let receipt = lobby(&server).key("own").publish("said", &1).await.unwrap();
    drop(server);

    let say = Say::new(10);
    let server = TestServer::start(builder().namespace(say.namespace(Key::argument(0)))).await;
    let mut client = server.joined().await;
    client.send_text(r#"420["say","k","tea"]"#).await.unwrap();
    hears(&mut client, "430[1]").await;
    assert_eq!(say.runs(), 0);
    let again = lobby(&server).key("own").publish("said", &1).await.unwrap();
    assert_eq!(again, Receipt { duplicate: true, ..receipt });
}
