//! What of a namespace lives by its log, the log, and the native connections, behind one lock.

use super::{
    Config, LogError, NativeSession,
    answers::{Answers, Begun},
    connection::Peer,
    port::Port,
    sessions::Sessions,
};
use crate::{Clock, Space, application::Application, space::Terms};
use bytes::Bytes;
use bytestring::ByteString;
use futures_util::FutureExt;
use parking_lot::{Mutex, MutexGuard};
use std::{
    collections::HashMap,
    fmt,
    future::pending,
    panic::AssertUnwindSafe,
    pin::pin,
    sync::{Arc, OnceLock, Weak},
    task::Wake,
    time::Duration,
};
use tenfour_broker::{
    Body, Message, Target,
    channel::{Page, Publication, PublishError, PublishId, Query, Receipt},
    idempotency::Key,
};
use tenfour_delivery::{
    dedup::Fingerprint,
    log::ReadError,
    time::{Instant, Now},
};
use tenfour_node::{
    Urgency,
    hub::{self, LogPort as _},
    native::{Event, PeerId, Peers, RequestError, RequestId, SessionId},
};
use tenfour_session::native::{ServerEvent, ServerSession};
use tokio::{
    runtime::Handle,
    sync::{Notify, oneshot},
    time::MissedTickBehavior,
};

/// What of a namespace lives by its log, made when it is first needed, or with the namespace if that can fail.
///
/// Its lock is taken before the namespace's, to which it passes on what is committed, and before the connections', which are
/// leaves.
pub(crate) struct Hub {
    context: Arc<Context>,
    terms: Arc<Terms>,
    state: OnceLock<Mutex<State>>,
    /// Held while the log is opened, which happens once.
    opening: Mutex<()>,
    /// Set once the keeper runs. It needs a runtime, and a log may be opened before there is one.
    keeper: OnceLock<()>,
    /// The next deadline is an earlier one, or the log has answered.
    changed: Arc<Changed>,
    /// All that was appended is answered.
    flushed: Notify,
}

/// Wakes the keeper of a hub.
#[derive(Default)]
struct Changed(Notify);

impl Wake for Changed {
    fn wake(self: Arc<Self>) {
        self.0.notify_one();
    }
}

/// What all hubs of a server have in common.
pub(crate) struct Context {
    pub(crate) config: Config,
    pub(crate) application: Arc<dyn Application>,
    pub(crate) clock: Clock,
    pub(crate) runtime: OnceLock<Handle>,
}

pub(crate) struct State {
    pub(super) hub: hub::Hub,
    log: Port,
    peers: PeerMap,
    pub(super) sessions: Sessions,
    answers: Answers,
    publishing: HashMap<PublishId, oneshot::Sender<Result<Receipt, PublishError>>>,
    asked: HashMap<(SessionId, RequestId), oneshot::Sender<Result<Message, ByteString>>>,
    /// What the keeper waits for.
    scheduled: Option<Instant>,
}

/// The connections by their names.
#[derive(Default)]
struct PeerMap(HashMap<PeerId, Arc<Peer>>);

impl Peers for PeerMap {
    fn with<R>(&mut self, peer: PeerId, act: impl FnOnce(&mut ServerSession) -> R) -> Option<R> {
        self.0.get(&peer).map(|peer| act(&mut peer.session()))
    }
}

/// A locked hub. What its doing has led to is done when the lock is released.
pub(super) struct Guard<'a> {
    pub(super) space: &'a Arc<Space>,
    pub(super) state: MutexGuard<'a, State>,
    pub(super) now: Now,
    /// Whoever drives this connection looks at it again anyway.
    driving: Option<PeerId>,
}

/// How often a log drops what is older than it keeps.
const TRIM: Duration = Duration::from_secs(1);

impl Hub {
    pub(crate) fn new(context: Arc<Context>, terms: Arc<Terms>) -> Self {
        Self {
            context,
            terms,
            state: OnceLock::new(),
            opening: Mutex::default(),
            keeper: OnceLock::new(),
            changed: Arc::default(),
            flushed: Notify::new(),
        }
    }

    pub(crate) fn terms(&self) -> &Terms {
        &self.terms
    }

    /// Makes its log, and what the log remembers, if there is none yet.
    pub(crate) fn open(&self, space: &Arc<Space>) -> Result<&Mutex<State>, LogError> {
        if let Some(state) = self.state.get() {
            return Ok(state);
        }
        let _opening = self.opening.lock();
        if let Some(state) = self.state.get() {
            return Ok(state);
        }
        let log = Port::new(self.terms.log.make(space.name())?, Arc::clone(&self.changed).into());
        let mut config = hub::Config::default();
        config.native = self.context.config.node.clone();
        config.recovery.clone_from(&self.terms.recovery);
        config.idempotency = Some(self.context.config.idempotency.clone());
        let seed = getrandom::u64().expect("the system has randomness");
        let now = self.context.clock.both();
        let opened = hub::Hub::open(&config, space.name().clone(), seed, now, &log, &mut space.lock());
        let hub = opened
            .map_err(|error| LogError { namespace: space.name().to_string(), problem: error.to_string() })?;
        Ok(self.state.get_or_init(|| {
            Mutex::new(State {
                hub,
                log,
                peers: PeerMap::default(),
                sessions: Sessions::default(),
                answers: Answers::default(),
                publishing: HashMap::new(),
                asked: HashMap::new(),
                scheduled: None,
            })
        }))
    }

    fn state(&self, space: &Arc<Space>) -> &Mutex<State> {
        let state = self.open(space).expect("a log that may fail was opened before its namespace was used");
        self.keeper.get_or_init(|| {
            self.context.spawn(keep(Arc::downgrade(space), Arc::clone(&self.changed), self.context.clock));
        });
        state
    }

    pub(super) fn lock<'a>(&'a self, space: &'a Arc<Space>, driving: Option<PeerId>) -> Guard<'a> {
        Guard { space, state: self.state(space).lock(), now: self.context.clock.both(), driving }
    }

    /// A connection has said hello to this namespace.
    pub(super) fn join(&self, space: &Arc<Space>, peer: &Arc<Peer>, hello: ServerEvent) {
        let mut guard = self.lock(space, Some(peer.id()));
        guard.state.peers.0.insert(peer.id(), Arc::clone(peer));
        let State { hub, peers, .. } = &mut *guard.state;
        hub.native_mut().handle(guard.now, peer.id(), hello, peers);
    }

    /// Something came of a connection, or its time has come.
    pub(super) fn drive(&self, space: &Arc<Space>, peer: PeerId) {
        let mut guard = self.lock(space, Some(peer));
        let State { hub, peers, .. } = &mut *guard.state;
        hub.native_mut().drive(guard.now, peer, peers);
    }

    /// A connection is gone.
    pub(super) fn leave(&self, space: &Arc<Space>, peer: PeerId) {
        let mut guard = self.lock(space, Some(peer));
        let State { hub, peers, .. } = &mut *guard.state;
        hub.native_mut().closed(guard.now, peer, peers);
        peers.0.remove(&peer);
    }

    /// Publishes; the answer comes when it is committed.
    pub(crate) fn publish(
        &self,
        space: &Arc<Space>,
        publication: Publication,
    ) -> Result<oneshot::Receiver<Result<Receipt, PublishError>>, PublishError> {
        let (sender, published) = oneshot::channel();
        let mut guard = self.lock(space, None);
        let State { hub, peers, publishing, .. } = &mut *guard.state;
        let publish = hub.publish(guard.now, publication, peers)?;
        publishing.insert(publish, sender);
        Ok(published)
    }

    /// An event with a key has come.
    pub(crate) fn begin(&self, space: &Arc<Space>, key: &Key, event: Fingerprint) -> Begun {
        let mut guard = self.lock(space, None);
        let now = guard.now;
        let State { hub, answers, .. } = &mut *guard.state;
        answers.begin(now, key, event, hub)
    }

    /// Its handler is done; its answer is told when it is committed.
    pub(crate) fn finish(&self, space: &Arc<Space>, key: &Key, answer: Option<Body>) {
        let mut guard = self.lock(space, None);
        let now = guard.now;
        if let Some(idempotency) = guard.state.hub.idempotency_mut() {
            idempotency.finish(now, key, answer);
        }
    }

    /// Its handler has failed, and is to run again when the event comes again.
    pub(crate) fn abandon(&self, space: &Arc<Space>, key: &Key, answer: Option<Body>) {
        let mut guard = self.lock(space, None);
        if let Some(idempotency) = guard.state.hub.idempotency_mut() {
            idempotency.abandon(key, answer);
        }
    }

    /// Reads the log.
    pub(crate) fn read(&self, space: &Arc<Space>, query: &Query) -> Result<Page, ReadError> {
        self.lock(space, None).state.log.read(query)
    }

    pub(super) fn request(
        &self,
        space: &Arc<Space>,
        session: SessionId,
        message: &Message,
    ) -> Result<(RequestId, oneshot::Receiver<Result<Message, ByteString>>), RequestError> {
        let (sender, answer) = oneshot::channel();
        let mut guard = self.lock(space, None);
        let State { hub, peers, asked, .. } = &mut *guard.state;
        let request = hub.native_mut().request(guard.now, session, message, peers)?;
        asked.insert((session, request), sender);
        Ok((request, answer))
    }

    /// Nobody waits for this answer any more.
    pub(super) fn forget(&self, space: &Arc<Space>, session: SessionId, request: RequestId) {
        self.lock(space, None).state.asked.remove(&(session, request));
    }

    /// Tells every client to come back later, and closes the connections over so long a time.
    pub(crate) fn shutdown(&self, space: &Arc<Space>, drain: Duration) {
        if self.state.get().is_some() {
            let mut guard = self.lock(space, None);
            let State { hub, peers, .. } = &mut *guard.state;
            hub.native_mut().shutdown(guard.now, drain, drain, peers);
        }
    }

    /// Waits until all that was appended is committed, or refused.
    pub(crate) async fn flush(&self, space: &Arc<Space>) {
        loop {
            let mut flushed = pin!(self.flushed.notified());
            flushed.as_mut().enable();
            if self.state.get().is_none() || self.lock(space, None).state.log.is_flushed() {
                return;
            }
            flushed.await;
        }
    }

    async fn authenticate(&self, space: &Arc<Space>, peer: PeerId, credentials: Bytes) {
        let application = &self.context.application;
        // A panic is no answer, so the connection ends when its hello has taken too long.
        let identity = async { application.authenticate(credentials, space).await };
        let Ok(identity) = AssertUnwindSafe(identity).catch_unwind().await else { return };
        let mut random = [0; 30];
        getrandom::fill(&mut random).expect("the system has randomness");
        let mut guard = self.lock(space, None);
        let State { hub, peers, .. } = &mut *guard.state;
        hub.native_mut().authenticated(guard.now, peer, identity, random, peers);
    }

    async fn answer(&self, space: &Arc<Space>, session: SessionId, request: RequestId, message: Message) {
        let application = &self.context.application;
        let asker = NativeSession::new(space, session);
        let answer = async { application.native_request(asker, message).await };
        let answer = AssertUnwindSafe(answer).catch_unwind().await;
        let result = answer.unwrap_or_else(|_| Err(ByteString::from_static("internal error")));
        self.reply(space, session, request, result);
    }

    fn reply(
        &self,
        space: &Arc<Space>,
        session: SessionId,
        request: RequestId,
        result: Result<Message, ByteString>,
    ) {
        let mut guard = self.lock(space, None);
        let State { hub, peers, .. } = &mut *guard.state;
        // If it has no room, the client is told so in its place.
        _ = hub.native_mut().reply(guard.now, session, request, result, peers);
    }

    /// What the keeper is to wait for from here on.
    fn schedule(&self, space: &Arc<Space>) -> Option<Instant> {
        let mut state = self.state(space).lock();
        state.scheduled = state.hub.poll_timeout();
        state.scheduled
    }

    fn handle_timeout(&self, space: &Arc<Space>) {
        let mut guard = self.lock(space, None);
        let State { hub, peers, .. } = &mut *guard.state;
        hub.handle_timeout(guard.now, peers, &mut space.lock());
    }

    /// Takes what the log has answered.
    fn catch_up(&self, space: &Arc<Space>) {
        drop(self.lock(space, None));
    }

    fn trim(&self, space: &Arc<Space>) {
        let mut guard = self.lock(space, None);
        let wall = guard.now.wall;
        guard.state.log.trim(wall);
    }
}

impl Guard<'_> {
    pub(super) fn context(&self) -> &Context {
        &self.space.hub().context
    }

    /// Does with the log what is to be done, and tells what came of it, until nothing is left.
    fn settle(&mut self) {
        loop {
            let State { hub, log, peers, .. } = &mut *self.state;
            hub.settle(self.now, log, peers, &mut self.space.lock());
            let Some(event) = hub.poll_event() else { break };
            self.dispatch(event);
            while let Some(event) = self.state.hub.poll_event() {
                self.dispatch(event);
            }
        }
    }

    fn dispatch(&mut self, event: hub::Event) {
        match event {
            hub::Event::Native(event) => self.dispatch_native(event),
            hub::Event::Recovery(event) => self.dispatch_session(event),
            hub::Event::Idempotency(event) => self.state.answers.tell(event),
            _ => {}
        }
    }

    fn dispatch_native(&mut self, event: Event) {
        match event {
            Event::Authenticate { peer, credentials, .. } => {
                let space = Arc::clone(self.space);
                self.context()
                    .spawn(async move { space.hub().authenticate(&space, peer, credentials).await });
            }
            Event::Request { session, request, message } => {
                let space = Arc::clone(self.space);
                self.context()
                    .spawn(async move { space.hub().answer(&space, session, request, message).await });
            }
            Event::Reply { session, request, result } => {
                if let Some(asker) = self.state.asked.remove(&(session, request)) {
                    let _ = asker.send(result);
                }
            }
            Event::Published { publish, result } => {
                if let Some(publisher) = self.state.publishing.remove(&publish) {
                    let _ = publisher.send(result);
                }
            }
            Event::Emitted { channel, message } => {
                self.space.lock().emit(&Target::rooms([channel]), &message, Urgency::Queued);
            }
            Event::Left { session, reason } => {
                tracing::debug!(?session, ?reason, "a native session has ended");
                self.state.asked.retain(|(asked, _), _| *asked != session);
            }
            _ => {}
        }
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        self.settle();
        self.release_kept();
        let State { hub, peers, log, .. } = &mut *self.state;
        if log.is_flushed() {
            self.space.hub().flushed.notify_waiters();
        }
        while let Some(touched) = hub.native_mut().poll_touched() {
            if Some(touched) != self.driving
                && let Some(peer) = peers.0.get(&touched)
            {
                peer.wake();
            }
        }
        let deadline = self.state.hub.poll_timeout();
        if deadline.is_some_and(|deadline| self.state.scheduled.is_none_or(|known| deadline < known)) {
            self.space.hub().changed.0.notify_one();
        }
    }
}

impl Context {
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.runtime.get_or_init(Handle::current).spawn(task);
    }
}

/// Keeps a hub's time as long as its namespace is there.
async fn keep(space: Weak<Space>, changed: Arc<Changed>, clock: Clock) {
    let mut trim = tokio::time::interval(TRIM);
    trim.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let Some(deadline) = space.upgrade().map(|space| space.hub().schedule(&space)) else { return };
        let due = async {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(clock.moment(deadline)).await,
                None => pending().await,
            }
        };
        let act = tokio::select! {
            () = due => Hub::handle_timeout,
            _ = trim.tick() => Hub::trim,
            () = changed.0.notified() => Hub::catch_up,
        };
        let Some(space) = space.upgrade() else { return };
        act(space.hub(), &space);
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").finish_non_exhaustive()
    }
}
