//! The task that drives a client: connects, again and again, and carries between the session and the application.

mod link;

use super::{
    ConnectionState,
    error::{ClientError, PublishError, RequestError, SubscribeError},
    message::Stored,
    publisher::{Publisher, Waiter},
    store::{CursorStore, Flush},
    subscription::{Content, EMITTED, Item, StartAt},
    transport::Transport,
};
use bytes::Bytes;
use bytestring::ByteString;
use futures_util::FutureExt;
use link::Link;
use std::{
    collections::{BTreeMap, HashMap},
    fmt, io,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};
use tenfour_tokio::{
    BoxFuture, Clock,
    delivery::{
        backoff::Backoff,
        number::Epoch,
        resume::Position,
        time::{Instant, earliest},
    },
    session::native::{
        self, ClientEvent, ClientJournal, Config, Cost, Decision, RequestId, Resumption, Start, Unanswered,
        Welcome,
    },
    wire::native::{Message, Refusal, SharedMessage, Target},
};
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc, oneshot, watch},
    task::JoinHandle,
    time::Sleep,
};

/// How applications answer a server's requests.
pub(super) type Answerer = Arc<dyn Fn(Message) -> BoxFuture<Result<Message, String>> + Send + Sync>;

/// What the application asks of the driver.
#[derive(Debug)]
pub(super) enum Command {
    Publish {
        publication: Bytes,
        waiter: Waiter,
    },
    Emit {
        channel: ByteString,
        message: Message,
        _room: OwnedSemaphorePermit,
    },
    Subscribe(Wish),
    Unsubscribe {
        channel: ByteString,
        id: u64,
    },
    /// The application took so much of a channel, and is done with it up to there.
    Taken {
        channel: ByteString,
        charge: Charge,
        processed: Option<Position>,
    },
    Request {
        message: Message,
        answer: oneshot::Sender<Result<Message, RequestError>>,
    },
    Reply {
        request: RequestId,
        result: Result<Message, String>,
        charge: Charge,
    },
    /// To be answered when no publication waits for its commit.
    Flush(oneshot::Sender<()>),
    Accepted(oneshot::Sender<u64>),
    Close,
}

/// What was taken of the credit of a session, to be given back to that one and to no other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Charge {
    /// Which of the client's sessions.
    pub(super) session: u64,
    pub(super) cost: Cost,
}

/// A subscription that is to be.
#[derive(Debug)]
pub(super) struct Wish {
    pub(super) channel: ByteString,
    pub(super) id: u64,
    pub(super) from: StartAt,
    pub(super) items: mpsc::UnboundedSender<Item>,
    pub(super) emitted: Arc<AtomicUsize>,
    pub(super) begun: oneshot::Sender<Result<(), SubscribeError>>,
}

/// The way to the driver.
#[derive(Clone)]
pub(super) struct Commands(pub(super) mpsc::UnboundedSender<Command>);

impl Commands {
    /// Whoever waits for an answer learns that the driver is gone by the end of the channel for it.
    pub(super) fn send(&self, command: Command) {
        let _ = self.0.send(command);
    }
}

/// What waits in the channel is nothing that whoever prints a delivery wants to see.
impl fmt::Debug for Commands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Commands")
    }
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

#[derive(Debug)]
struct Subscriber {
    id: u64,
    start: Start,
    items: mpsc::UnboundedSender<Item>,
    emitted: Arc<AtomicUsize>,
    begun: Option<oneshot::Sender<Result<(), SubscribeError>>>,
    /// When the session is to be asked for it; `None` once it was.
    due: Option<Instant>,
    epoch: Option<Epoch>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Stage {
    Running,
    /// The goodbye is on its way.
    Closing,
    Over(ClientError),
}

/// How long cursors that have moved wait to be written together.
const CURSOR_DELAY: Duration = Duration::from_millis(100);

/// How often one poll of the task goes round before others have their turn.
const ROUNDS: usize = 8;

/// How many commands are taken before the connection has its turn.
const COMMANDS: usize = 256;

/// Whether there may be more to do at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    Made,
    None,
}

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

    fn take_commands(&mut self, cx: &mut Context<'_>) -> Progress {
        for _ in 0..COMMANDS {
            match self.commands.poll_recv(cx) {
                Poll::Ready(Some(command)) => self.take(command),
                // Nobody is left who could ask for anything.
                Poll::Ready(None) => {
                    self.close();
                    return Progress::None;
                }
                Poll::Pending => return Progress::None,
            }
        }
        Progress::Made
    }

    fn take(&mut self, command: Command) {
        let now = self.clock.now();
        match command {
            Command::Publish { publication, waiter } => self.publisher.accept(publication, waiter),
            Command::Emit { channel, message, .. } => {
                if let Some(session) = self.link.session() {
                    session.emit(Target::Name(channel), &SharedMessage::new(&message));
                }
            }
            Command::Subscribe(wish) => self.subscribe(now, wish),
            Command::Unsubscribe { channel, id } => {
                if self.subscribers.get(&channel).is_some_and(|subscriber| subscriber.id == id) {
                    self.forget(&channel);
                }
            }
            Command::Taken { channel, charge, processed } => {
                self.give_back(charge);
                if let Some(position) = processed {
                    self.processed(now, &channel, position);
                }
            }
            Command::Request { message, answer } => self.request(now, message, answer),
            Command::Reply { request, result, charge } => {
                if charge.session == self.session {
                    self.replies.push((request, result.map_err(ByteString::from)));
                }
                self.give_back(charge);
            }
            Command::Flush(flushed) => self.flushes.push(flushed),
            Command::Accepted(told) => drop(told.send(self.publisher.accepted().get())),
            Command::Close => self.close(),
        }
    }

    fn subscribe(&mut self, now: Instant, wish: Wish) {
        if self.subscribers.contains_key(&wish.channel) {
            let _ = wish.begun.send(Err(SubscribeError::Subscribed(wish.channel.to_string())));
            return;
        }
        let start = match wish.from {
            StartAt::Place(start) => start,
            StartAt::Saved { or } => match self.cursors.load(&wish.channel) {
                Some((epoch, offset)) => Start::After(Position { epoch, offset }),
                None => or,
            },
        };
        let subscriber = Subscriber {
            id: wish.id,
            start,
            items: wish.items,
            emitted: wish.emitted,
            begun: Some(wish.begun),
            due: Some(now),
            epoch: None,
        };
        self.subscribers.insert(wish.channel, subscriber);
    }

    /// Ends a subscription that the application has let go of.
    fn forget(&mut self, channel: &ByteString) {
        let now = self.clock.now();
        let asked = self.subscribers.remove(channel).is_some_and(|subscriber| subscriber.due.is_none());
        if let Some(session) = self.link.session().filter(|_| asked) {
            session.unsubscribe(now, channel);
        } else if asked {
            self.left.push(channel.clone());
        }
    }

    fn processed(&mut self, now: Instant, channel: &ByteString, position: Position) {
        self.cursors.save(channel, position.epoch, position.offset);
        self.cursors_due.get_or_insert(now + CURSOR_DELAY);
        if let Some(session) = self.link.session() {
            session.processed(now, channel, position.offset);
        }
    }

    fn request(
        &mut self,
        now: Instant,
        message: Message,
        answer: oneshot::Sender<Result<Message, RequestError>>,
    ) {
        let Some(session) = self.link.session() else {
            return drop(answer.send(Err(RequestError::NotConnected)));
        };
        match session.request(now, message) {
            Ok(request) => drop(self.requests.insert(request, answer)),
            Err(error) => drop(answer.send(Err(RequestError::Refused(error.to_string())))),
        }
    }

    /// Hands the session what waits for it, as far as it has room.
    fn feed(&mut self) {
        let now = self.clock.now();
        let Link::Open(connection) = &mut self.link else { return };
        let session = &mut connection.session;
        for channel in self.left.drain(..) {
            session.unsubscribe(now, &channel);
        }
        if !session.is_open() || self.stage != Stage::Running {
            return;
        }
        for (request, result) in self.replies.drain(..) {
            // If it has no room, the server is told so in its place.
            _ = session.reply(now, request, result);
        }
        let mut refused = Vec::new();
        for (channel, subscriber) in &mut self.subscribers {
            if subscriber.due.is_some_and(|due| now.has_reached(due)) {
                subscriber.due = None;
                if let Err(error) = session.subscribe(now, channel, subscriber.start) {
                    refused.push((channel.clone(), error));
                }
            }
        }
        while session.has_capacity() {
            let Some((producer, stored)) = self.publisher.next(now) else { break };
            let Some(stored) = Stored::decode(stored) else {
                self.publisher
                    .fail(&PublishError::Outbox("it holds what this version cannot read".to_owned()));
                break;
            };
            match session.publish(now, stored.publication(producer, self.clock.wall())) {
                Ok(sequence) => self.publisher.sent(producer, sequence),
                Err(_) => break,
            }
        }
        for (channel, error) in refused {
            self.end_subscription(&channel, SubscribeError::Impossible(error.to_string()));
        }
    }

    fn handle(&mut self, event: ClientEvent) {
        let now = self.clock.now();
        let cost = event.cost();
        match event {
            ClientEvent::Welcomed(welcome) => self.welcomed(now, &welcome),
            ClientEvent::Rejected(rejection) => {
                self.link.rejected(rejection);
            }
            ClientEvent::Subscribed { channel, subscription } => self.begun(&channel, &subscription, cost),
            ClientEvent::Unsubscribed { channel, refusal } => {
                self.unsubscribed(now, &channel, refusal);
                self.consumed(cost);
            }
            ClientEvent::Message(delivered) => {
                let position = Position { epoch: delivered.epoch, offset: delivered.offset };
                let content = Content::Message { position, message: delivered.message };
                self.pass(&delivered.channel, content, cost);
            }
            ClientEvent::Emitted { channel: Some(channel), message } => self.emitted(&channel, message),
            ClientEvent::Lost { channel, epoch, lost, .. } => {
                let position = Position { epoch, offset: lost.range.through };
                self.pass(&channel, Content::Lost { position, lost }, cost);
            }
            ClientEvent::Skip { channel, skip } => {
                let epoch = self.subscribers.get(&channel).and_then(|subscriber| subscriber.epoch);
                match epoch {
                    Some(epoch) => {
                        let position = Position { epoch, offset: skip.range.through };
                        self.pass(&channel, Content::Passed(position), cost);
                    }
                    None => self.consumed(cost),
                }
            }
            ClientEvent::CaughtUp { channel, offset } => self.pass(&channel, Content::CaughtUp(offset), cost),
            ClientEvent::Published { publish, result } => {
                self.publisher.answered(now, publish, result);
                self.consumed(cost);
            }
            ClientEvent::Unanswered(Unanswered::Request(request)) => {
                if let Some(answer) = self.requests.remove(&request) {
                    let _ = answer.send(Err(RequestError::SessionLost));
                }
            }
            ClientEvent::Request { request, message } => self.answer(request, message, cost),
            ClientEvent::Reply { request, result } => {
                if let Some(answer) = self.requests.remove(&request) {
                    let _ = answer.send(result.map_err(|error| RequestError::Refused(error.to_string())));
                }
                self.consumed(cost);
            }
            ClientEvent::GoAway { drain, jitter } => self.link.leave(now, drain, jitter),
            ClientEvent::Closed(closed) => self.link.closed(closed),
            // The publisher knows what was not answered, and looks for room each time.
            _ => {}
        }
    }

    fn welcomed(&mut self, now: Instant, welcome: &Welcome) {
        tracing::debug!(resumption = ?welcome.resumption, epoch = %welcome.epoch, "connected");
        self.backoff.connected(now);
        if welcome.resumption != Resumption::Exact {
            self.publisher.session_lost();
            self.session += 1;
            self.owed = Cost::default();
            self.replies.clear();
        }
        let owed = std::mem::take(&mut self.owed);
        self.consumed(owed);
        self.publisher.joined(welcome.epoch, welcome.dedup_window.unwrap_or_default());
        self.state.send_replace(ConnectionState::Connected);
    }

    fn begun(&mut self, channel: &ByteString, subscription: &native::Subscription, cost: Cost) {
        let position = Position { epoch: subscription.epoch, offset: subscription.after };
        if let Some(subscriber) = self.subscribers.get_mut(channel) {
            subscriber.epoch = Some(position.epoch);
            if let Some(begun) = subscriber.begun.take() {
                let _ = begun.send(Ok(()));
            }
        }
        let content = match subscription.decision {
            Decision::Continue => Content::Passed(position),
            Decision::Gap(lost) => Content::Lost { position, lost },
            Decision::Reset(lost) => Content::Reset { position, lost },
        };
        self.pass(channel, content, cost);
    }

    fn unsubscribed(&mut self, now: Instant, channel: &ByteString, refusal: Option<Refusal>) {
        let Some(refusal) = refusal else { return };
        let Some(subscriber) = self.subscribers.get_mut(channel) else { return };
        if let Some(retry_after) = refusal.retry_after_ms {
            subscriber.due = Some(now + Duration::from_millis(retry_after.into()));
            return;
        }
        self.end_subscription(channel, SubscribeError::Refused(refusal.reason));
    }

    fn end_subscription(&mut self, channel: &ByteString, error: SubscribeError) {
        if let Some(subscriber) = self.subscribers.remove(channel) {
            subscriber.end(error);
        }
    }

    /// Passes something on to a subscription, which says when it was taken.
    fn pass(&mut self, channel: &ByteString, content: Content, cost: Cost) {
        let passed = match self.subscribers.get(channel) {
            Some(subscriber) => {
                let item = Item { content, charge: self.charge(cost) };
                subscriber.items.send(item).is_ok()
            }
            None => false,
        };
        if !passed {
            self.consumed(cost);
        }
    }

    fn emitted(&mut self, channel: &ByteString, message: Message) {
        let Some(subscriber) = self.subscribers.get(channel) else { return };
        if subscriber.emitted.fetch_add(1, Ordering::Relaxed) < EMITTED {
            let item = Item { content: Content::Emitted(message), charge: self.charge(Cost::default()) };
            let _ = subscriber.items.send(item);
        } else {
            subscriber.emitted.fetch_sub(1, Ordering::Relaxed);
        }
    }

    fn charge(&self, cost: Cost) -> Charge {
        Charge { session: self.session, cost }
    }

    fn consumed(&mut self, cost: Cost) {
        self.give_back(self.charge(cost));
    }

    /// Between two connections of a session it is kept for the next one.
    fn give_back(&mut self, charge: Charge) {
        if charge.session != self.session {
            return;
        }
        let now = self.clock.now();
        match self.link.session().filter(|session| session.is_open()) {
            Some(session) => session.consumed(now, charge.cost),
            None => self.owed = self.owed + charge.cost,
        }
    }

    fn answer(&mut self, request: RequestId, message: Message, cost: Cost) {
        let charge = self.charge(cost);
        let own = self.own.clone();
        let reply = move |result| {
            if let Some(own) = own.upgrade() {
                let _ = own.send(Command::Reply { request, result, charge });
            }
        };
        match &self.settings.answerer {
            Some(answerer) => {
                let answerer = Arc::clone(answerer);
                // Called in the task too: wherever it panics, that is the one request's end, and not the client's.
                let answer = AssertUnwindSafe(async move { answerer(message).await }).catch_unwind();
                tokio::spawn(async move {
                    reply(answer.await.unwrap_or_else(|_| Err("internal error".to_owned())));
                });
            }
            None => reply(Err("this client answers no requests".to_owned())),
        }
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

    fn start_work(&mut self) {
        let now = self.clock.now();
        if !self.outbox_work.is_running()
            && let Some(flush) = self.publisher.start_flush()
        {
            self.outbox_work.start(flush);
        }
        let due = self.cursors_due.is_some_and(|due| now.has_reached(due) || self.is_ending());
        if due && !self.cursor_work.is_running() {
            self.cursors_due = None;
            if let Some(flush) = self.cursors.flush() {
                self.cursor_work.start(flush);
            }
        }
    }

    /// Takes in what was done on disks.
    fn poll_work(&mut self, cx: &mut Context<'_>) -> Progress {
        let outbox = self.outbox_work.poll(cx).map(|result| self.publisher.flushed(result));
        let cursors = self.cursor_work.poll(cx).map(|result| {
            if let Err(error) = result {
                tracing::error!(%error, "cursors cannot be saved: what was processed will be delivered again after a restart");
            }
        });
        if outbox.is_some() || cursors.is_some() { Progress::Made } else { Progress::None }
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

impl Subscriber {
    fn end(self, error: SubscribeError) {
        match self.begun {
            Some(begun) => drop(begun.send(Err(error))),
            // The application knows what it has closed.
            None if error == SubscribeError::Client(ClientError::Closed) => {}
            None => drop(self.items.send(Item { content: Content::Ended(error), charge: Charge::default() })),
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

/// Work on a disk, one piece at a time.
#[derive(Debug, Default)]
struct Work(Option<JoinHandle<io::Result<()>>>);

impl Work {
    fn start(&mut self, flush: Flush) {
        self.0 = Some(tokio::task::spawn_blocking(move || flush.run()));
    }

    fn is_running(&self) -> bool {
        self.0.is_some()
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Option<io::Result<()>> {
        let Poll::Ready(done) = Pin::new(self.0.as_mut()?).poll(cx) else { return None };
        self.0 = None;
        Some(done.unwrap_or_else(|panicked| Err(io::Error::other(panicked))))
    }
}
