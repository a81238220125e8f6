//! The task that drives a client: connects, again and again, and carries between the session and the application.

mod command;
mod credit;
mod link;
mod session;
mod subscriber;
mod work;

pub(super) use command::{Command, Commands, Wish};
pub(super) use credit::Charge;

use super::{
    ConnectionState,
    error::{ClientError, PublishError, RequestError, SubscribeError},
    publisher::Publisher,
    store::CursorStore,
    transport::Transport,
};
use bytes::Bytes;
use bytestring::ByteString;
use link::Link;
use std::{
    collections::{BTreeMap, HashMap},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use subscriber::Subscriber;
use tenfour_tokio::{
    BoxFuture, Clock,
    delivery::{
        backoff::Backoff,
        time::{Instant, earliest},
    },
    session::native::{ClientJournal, Config, Cost, RequestId},
    wire::native::Message,
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::Sleep,
};
use work::Work;

pub(super) struct Driver {
    settings: Settings,
    commands: mpsc::UnboundedReceiver<Command>,
    /// For the tasks that answer requests; they don't keep the client alive.
    own: mpsc::WeakUnboundedSender<Command>,
    clock: Clock,
    timer: Pin<Box<Sleep>>,
    link: Link,
    journal: Option<ClientJournal>,
    /// Channels that the session is to be told of that they are not wanted any more.
    left: Vec<ByteString>,
    backoff: Backoff,
    publisher: Publisher,
    outbox_work: Work,
    cursors: Box<dyn CursorStore>,
    cursor_work: Work,
    /// When cursors are flushed next, if any has moved.
    cursors_due: Option<Instant>,
    subscribers: BTreeMap<ByteString, Subscriber>,
    requests: HashMap<RequestId, oneshot::Sender<Result<Message, RequestError>>>,
    flushes: Vec<oneshot::Sender<()>>,
    stage: Stage,
    /// How many sessions there were before this one.
    session: u64,
    /// What the application took, and answered, while there was no connection.
    owed: Cost,
    replies: Vec<(RequestId, Result<Message, ByteString>)>,
    /// The last to be dropped: whoever sees its end may open the files again.
    state: watch::Sender<ConnectionState>,
}

/// How a client behaves.
pub(super) struct Settings {
    pub(super) transport: Transport,
    pub(super) namespace: ByteString,
    pub(super) token: Bytes,
    pub(super) connect_timeout: Duration,
    pub(super) session: Arc<Config>,
    pub(super) answerer: Option<Answerer>,
}

/// How applications answer a server's requests.
pub(super) type Answerer = Arc<dyn Fn(Message) -> BoxFuture<Result<Message, String>> + Send + Sync>;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Stage {
    Running,
    /// The goodbye is on its way.
    Closing,
    Over(ClientError),
}

/// Whether there may be more to do at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    Made,
    None,
}

/// How often one poll of the task goes round before others have their turn.
const ROUNDS: usize = 8;

impl Driver {
    pub(super) fn new(
        settings: Settings,
        commands: (mpsc::WeakUnboundedSender<Command>, mpsc::UnboundedReceiver<Command>),
        state: watch::Sender<ConnectionState>,
        publisher: Publisher,
        cursors: Box<dyn CursorStore>,
        backoff: Backoff,
    ) -> Self {
        let clock = Clock::start();
        Self {
            settings,
            own: commands.0,
            commands: commands.1,
            timer: Box::pin(tokio::time::sleep(Duration::ZERO)),
            link: Link::Waiting { until: clock.now() },
            clock,
            journal: None,
            left: Vec::new(),
            backoff,
            state,
            publisher,
            outbox_work: Work::default(),
            cursors,
            cursor_work: Work::default(),
            cursors_due: None,
            subscribers: BTreeMap::new(),
            requests: HashMap::new(),
            flushes: Vec::new(),
            stage: Stage::Running,
            session: 0,
            owed: Cost::default(),
            replies: Vec::new(),
        }
    }
}

impl Future for Driver {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let driver = self.get_mut();
        for _ in 0..ROUNDS {
            let round = driver.round(cx);
            if driver.is_done() {
                if let Stage::Over(error) = &driver.stage {
                    driver.state.send_replace(ConnectionState::Over(error.clone()));
                }
                return Poll::Ready(());
            }
            if round.is_pending() {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Driver {
    fn round(&mut self, cx: &mut Context<'_>) -> Poll<Progress> {
        let commands = self.take_commands(cx);
        self.start_work();
        // Also what was started just now: it wakes only whoever has asked for it.
        let work = self.poll_work(cx);
        let link = self.poll_link(cx);
        let mut last = Progress::None;
        if self.is_ending() {
            // What was settled last.
            self.start_work();
            last = self.poll_work(cx);
        }
        if self.publisher.pending() == 0 {
            for flushed in self.flushes.drain(..) {
                let _ = flushed.send(());
            }
        }
        if [commands, work, link, last].contains(&Progress::Made) {
            return Poll::Ready(Progress::Made);
        }
        match self.poll_timeout() {
            Some(deadline) => {
                let moment = self.clock.moment(deadline);
                if self.timer.deadline() != moment || self.timer.is_elapsed() {
                    self.timer.as_mut().reset(moment);
                }
                self.timer.as_mut().poll(cx).map(|()| Progress::Made)
            }
            None => Poll::Pending,
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let subscribers = self.subscribers.values().filter_map(|subscriber| subscriber.due).min();
        let publisher = self.publisher.poll_timeout();
        let (subscribers, publisher) =
            if self.link.is_open() { (subscribers, publisher) } else { (None, None) };
        let cursors = self.cursors_due.filter(|_| !self.cursor_work.is_running());
        earliest([self.link.poll_timeout(), subscribers, publisher, cursors])
    }

    fn close(&mut self) {
        if self.stage == Stage::Running {
            self.stage = Stage::Closing;
            self.cursors_due = self.cursors_due.map(|_| self.clock.now());
            self.link.close(self.clock.now());
        }
    }

    /// The connection has ended, and the client with it.
    fn end(&mut self, error: ClientError) {
        self.publisher.fail(&PublishError::Client(error.clone()));
        for (_, answer) in self.requests.drain() {
            let _ = answer.send(Err(RequestError::Client(error.clone())));
        }
        for subscriber in std::mem::take(&mut self.subscribers).into_values() {
            subscriber.end(SubscribeError::Client(error.clone()));
        }
        self.flushes.clear();
        self.stage = Stage::Over(error);
    }

    fn is_ending(&self) -> bool {
        self.stage != Stage::Running
    }

    /// The link is over, and so is the work on disks.
    fn is_done(&self) -> bool {
        matches!(self.stage, Stage::Over(_))
            && !self.outbox_work.is_running()
            && !self.cursor_work.is_running()
            && self.cursors_due.is_none()
    }
}
