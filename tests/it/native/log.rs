//! A log that commits elsewhere, and answers when it has.

use super::NativeServer;
use crate::server::soon;
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::Waker,
    thread,
    time::{Duration, Instant},
};
use tenfour::{
    Server,
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
