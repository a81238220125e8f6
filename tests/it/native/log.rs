//! A log that commits elsewhere, and answers when it has.

use super::NativeServer;
use crate::server::{TestServer, quiet, soon, until};
use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::Waker,
    thread,
    time::{Duration, Instant},
};
use tenfour::{
    BuildError, Namespace, Server,
    native::log::{
        Completion, Epoch, History, Log, Memory, Offset, Page, Query, ReadError, Record, Retention, Ticket,
        WallTime,
    },
};

/// A log in memory whose every append takes a thread of its own before it is answered.
struct Elsewhere {
    memory: Memory,
    answered: Arc<AtomicUsize>,
    waker: Option<Waker>,
}

impl Log for Elsewhere {
    fn append(&mut self, ticket: Ticket, records: Vec<Record>) {
        self.memory.append(ticket, records);
        let (answered, waker) = (Arc::clone(&self.answered), self.waker.clone());
        thread::spawn(move || {
            answered.fetch_add(1, Ordering::SeqCst);
            waker.expect("whoever drives it says whom to wake").wake();
        });
    }

    fn poll(&mut self) -> Option<Completion> {
        let taken =
            self.answered.try_update(Ordering::SeqCst, Ordering::SeqCst, |count| count.checked_sub(1));
        taken.ok().and_then(|_| self.memory.poll())
    }

    fn wake_when_answered(&mut self, waker: Waker) {
        self.waker = Some(waker);
    }

    fn epoch(&self) -> Epoch {
        self.memory.epoch()
    }

    fn head(&self) -> Offset {
        self.memory.head()
    }

    fn read(&self, query: &Query) -> Result<Page, ReadError> {
        self.memory.read(query)
    }

    fn history(&self, channel: &str) -> History {
        self.memory.history(channel)
    }

    fn trim(&mut self, now: WallTime) {
        self.memory.trim(now);
    }

    fn release(&mut self, channel: &str, through: Offset) {
        self.memory.release(channel, through);
    }
}

/// Nobody is connected, so that nothing but the log wakes the server: it would look at it again once a second.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_committed_elsewhere_is_answered_when_it_is() {
    let builder = Server::builder().open_to_all().log(|_| {
        let memory = Memory::new(Epoch::new(1), Retention::default());
        Box::new(Elsewhere { memory, answered: Arc::default(), waker: None })
    });
    let server = NativeServer::start(builder).await;
    let begin = Instant::now();
    for number in 1..=8 {
        let publish = server.handle.publish("/", "news", "number", &number);
        let receipt = soon("a commit", publish).await.unwrap();
        assert_eq!(receipt.offset, Offset::new(number));
    }
    assert!(begin.elapsed() < Duration::from_secs(4), "eight commits took {:?}", begin.elapsed());
}

/// Logs in memory; the second of each name, and those of namespaces whose name holds `broken`, cannot be opened.
fn some_cannot_be_opened() -> impl Fn(&str) -> Result<Box<dyn Log>, String> + Send + Sync {
    let opened = Mutex::new(HashSet::new());
    move |namespace| {
        if namespace.contains("broken") || !opened.lock().unwrap().insert(namespace.to_owned()) {
            return Err(format!("no room for {namespace}"));
        }
        Ok(Box::new(Memory::new(Epoch::new(1), Retention::default())))
    }
}

#[test]
fn a_server_whose_log_cannot_be_opened_is_not_built() {
    let builder = Server::builder().namespace(Namespace::new("/")).namespace(Namespace::new("/broken"));
    let error = builder.try_log(some_cannot_be_opened()).build().unwrap_err();
    assert!(matches!(error, BuildError::Namespace(_)), "{error:?}");
    let told = r#"the log of the namespace "/broken" cannot be opened: no room for /broken"#;
    assert_eq!(error.to_string(), told);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dynamic_namespace_without_its_log_turns_clients_away() {
    let server = TestServer::start(
        quiet()
            .namespace(Namespace::matching("/{name}").unwrap())
            .try_log(some_cannot_be_opened())
            .open_to_all(),
    )
    .await;
    let mut client = server.open().await;
    for _ in 0..2 {
        client.send_text("40/broken,").await.unwrap();
        client.expect_text(r#"44/broken,{"message":"Namespace is not available"}"#).await.unwrap();
        assert!(server.handle.namespace("/broken").is_err(), "there is no such namespace");
    }
    client.connect("/whole", None).await.unwrap();
    assert!(server.handle.publish("/whole", "news", "event", &1).await.is_ok());
}

/// A log can't be opened a second time while the first is there, which somebody may hold, or which is being closed.
#[tokio::test(flavor = "multi_thread")]
async fn a_dynamic_namespace_that_was_left_can_be_entered_again_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let namespace = Namespace::matching("/{name}").unwrap();
    let server = TestServer::start(quiet().namespace(namespace).data(folder.path())).await;
    let mut visits = tokio::task::JoinSet::new();
    for _ in 0..2 {
        let mut client = server.open().await;
        visits.spawn(async move {
            for _ in 0..300 {
                client.connect("/room", None).await.unwrap();
                client.send_text("41/room,").await.unwrap();
            }
        });
    }
    while let Some(visit) = visits.join_next().await {
        visit.unwrap();
    }
}

/// Its log can't be opened a second time while somebody holds the first.
#[tokio::test(flavor = "multi_thread")]
async fn a_dynamic_namespace_that_is_still_held_is_the_one_that_comes_back() {
    let namespace = Namespace::matching("/{name}").unwrap();
    let server = TestServer::start(quiet().namespace(namespace).try_log(some_cannot_be_opened())).await;
    let mut client = server.open().await;
    client.connect("/room", None).await.unwrap();
    let held = server.handle.namespace("/room").unwrap();
    client.send_text("41/room,").await.unwrap();
    until("nobody to be in it", || server.handle.namespace("/room").is_err()).await;
    client.connect("/room", None).await.unwrap();
    assert_eq!(held.fetch_sockets().len(), 1, "who held it has it");
}
