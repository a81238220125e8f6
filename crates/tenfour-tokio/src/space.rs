//! A namespace behind its lock, and the registry of all of them.

use crate::{
    ChangeError, Socket,
    clock::Clock,
    native::{Context, Hub, LogError, LogFactory},
};
use bytestring::ByteString;
use parking_lot::{Mutex, MutexGuard};
use std::{
    collections::{HashMap, VecDeque},
    fmt,
    ops::{Deref, DerefMut},
    sync::{Arc, Weak},
    time::Duration,
};
use tenfour_broker::{
    Event, Joined, Limits, Message, Outcome, RequestError, RequestId, Target,
    channel::{Page, Publication, PublishError, Query, Receipt},
    recovery,
    registry::{Connect, Registry, RegistryLimits, Rule, RuleIndex, WhenEmpty},
};
use tenfour_delivery::{log::ReadError, time::WallTime};
use tenfour_node::{Kind, Namespace, Reach, Urgency};
use tenfour_session::socketio::ConnectError;
use thiserror::Error;
use tokio::sync::oneshot;

/// A namespace that there is, shared by all who use it.
pub struct Space {
    name: ByteString,
    rule: RuleIndex,
    clock: Clock,
    hub: Hub,
    /// What the keys of lasting requests begin with: another one in each process.
    instance: ByteString,
    state: Mutex<State>,
}

struct State {
    namespace: Namespace<Socket>,
    waiting: HashMap<RequestId, oneshot::Sender<Outcome>>,
}

impl fmt::Debug for Space {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Space").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Space {
    fn new(
        name: ByteString,
        rule: RuleIndex,
        limits: Limits,
        native: Arc<Context>,
        terms: Arc<Terms>,
    ) -> Self {
        let seed = getrandom::u64().expect("the system has randomness");
        let namespace = Namespace::new(name.clone(), limits, seed);
        let namespace = if terms.recovery.is_some() { namespace.recoverable() } else { namespace };
        let state = Mutex::new(State { namespace, waiting: HashMap::new() });
        let instance = format!("{:016x}", getrandom::u64().expect("the system has randomness")).into();
        Self { name, rule, clock: native.clock, hub: Hub::new(native, terms), instance, state }
    }

    /// The namespace's name.
    #[must_use]
    pub fn name(&self) -> &ByteString {
        &self.name
    }

    /// The rule by which it came to be.
    #[must_use]
    pub fn rule(&self) -> RuleIndex {
        self.rule
    }

    /// Whether sessions of its clients outlive their connections.
    #[must_use]
    pub fn is_recoverable(&self) -> bool {
        self.hub.terms().recovery.is_some()
    }

    /// As what a message is written here that is sent at most once.
    pub(crate) fn emitted(&self) -> Kind<'static> {
        if self.is_recoverable() { Kind::Uncommitted } else { Kind::Plain }
    }

    /// The namespace, for as long as the guard lives: hold it only to decide, and call nothing of a socket's
    /// connection meanwhile but what the namespace itself calls.
    #[must_use]
    pub fn lock(&self) -> Guard<'_> {
        Guard { state: self.state.lock() }
    }

    /// Sends a message to all whom `target` selects, and waits for none of them.
    pub fn emit(&self, target: &Target, message: &Message, urgency: Urgency) -> Reach {
        self.lock().emit(target, message, urgency)
    }

    /// Sends a message to all whom `target` selects, and collects their answers for as long as `timeout`.
    ///
    /// # Errors
    /// If too many requests are pending.
    pub async fn request(
        &self,
        target: &Target,
        message: &Message,
        timeout: Duration,
    ) -> Result<Outcome, RequestError> {
        let pending =
            self.open(timeout, |namespace, deadline| namespace.request(target, message, deadline))?;
        Ok(pending.outcome().await)
    }

    /// Puts each socket of a target into a room. Where clients are recovered, those who are away are among them, and it is done
    /// when it is committed.
    ///
    /// # Errors
    /// If the room's name is too long, there are too many rooms, or it was not committed.
    pub async fn join_selected(self: &Arc<Self>, target: &Target, room: &str) -> Result<Joined, ChangeError> {
        if !self.is_recoverable() {
            return Ok(self.lock().join_selected(target, room)?);
        }
        let (joined, changing) = self.hub.join_selected(self, target, room)?;
        changing.made().await?;
        Ok(joined)
    }

    /// Takes each socket of a target out of a room, as [`join_selected`](Self::join_selected); says how many were in it.
    ///
    /// # Errors
    /// If it was not committed.
    pub async fn leave_selected(self: &Arc<Self>, target: &Target, room: &str) -> Result<usize, ChangeError> {
        if !self.is_recoverable() {
            return Ok(self.lock().leave_selected(target, room));
        }
        let (left, changing) = self.hub.leave_selected(self, target, room)?;
        changing.made().await?;
        Ok(left)
    }

    /// Ends the sessions of a target whose clients are away, and calls `dismiss` for each socket that is there, which is to leave.
    /// Says how many they were together.
    pub fn dismiss_selected(self: &Arc<Self>, target: &Target, dismiss: impl FnMut(Socket)) -> usize {
        let (count, present) = if self.is_recoverable() {
            self.hub.dismiss_selected(self, target)
        } else {
            let mut present = Vec::new();
            (self.lock().select(target, |_, socket| present.push(socket.clone())), present)
        };
        present.into_iter().for_each(dismiss);
        count
    }

    /// [`request`](Self::request), also of sockets whose clients are away, and again of each that comes back before it has answered,
    /// with a key behind the message's arguments by which its client sees that: see
    /// [`lasting_request`](Namespace::lasting_request).
    ///
    /// # Errors
    /// If too many requests are pending, or have too many bytes.
    pub async fn lasting_request(
        &self,
        target: &Target,
        message: &Message,
        timeout: Duration,
    ) -> Result<Outcome, RequestError> {
        let pending = self.open(timeout, |namespace, deadline| {
            namespace.lasting_request(target, message, &self.instance, deadline)
        })?;
        Ok(pending.outcome().await)
    }

    pub(crate) fn instance(&self) -> &str {
        &self.instance
    }

    /// Publishes a message to channels, and is done when it is committed. Those who subscribe to one of them get it in the order
    /// of the log, now or when they are back; those who are in a room of such a name get it if they are there.
    ///
    /// # Errors
    /// If it was not committed.
    pub async fn publish(self: &Arc<Self>, publication: Publication) -> Result<Receipt, PublishError> {
        let published = self.hub.publish(self, publication)?;
        published.await.expect("the namespace is here, and with it who answers")
    }

    /// Opens the log, if it is one that may fail: from then on it is there.
    fn open_log(self: &Arc<Self>) -> Result<(), LogError> {
        if self.hub.terms().is_eager() { self.hub.open(self).map(drop) } else { Ok(()) }
    }

    /// Reads what was published in channels: a page of it, which says whether there is more.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub fn history(self: &Arc<Self>, query: &Query) -> Result<Page, ReadError> {
        self.hub.read(self, query)
    }

    /// The calendar time by which this namespace decides what has expired.
    #[must_use]
    pub fn wall(&self) -> WallTime {
        self.clock.wall()
    }

    pub(crate) fn hub(&self) -> &Hub {
        &self.hub
    }

    pub(crate) fn open(
        &self,
        timeout: Duration,
        ask: impl FnOnce(
            &mut Namespace<Socket>,
            tenfour_delivery::time::Instant,
        ) -> Result<RequestId, RequestError>,
    ) -> Result<Pending<'_>, RequestError> {
        let deadline = self.clock.now() + timeout;
        let (sender, outcome) = oneshot::channel();
        let mut guard = self.lock();
        let request = ask(&mut guard, deadline)?;
        guard.state.waiting.insert(request, sender);
        drop(guard);
        Ok(Pending { space: self, request, outcome, deadline: self.clock.moment(deadline) })
    }
}

/// A request whose answers are awaited; forgotten when it is dropped.
pub(crate) struct Pending<'a> {
    space: &'a Space,
    request: RequestId,
    outcome: oneshot::Receiver<Outcome>,
    deadline: tokio::time::Instant,
}

impl Pending<'_> {
    pub(crate) async fn outcome(mut self) -> Outcome {
        if let Ok(Ok(outcome)) = tokio::time::timeout_at(self.deadline, &mut self.outcome).await {
            return outcome;
        }
        self.space.lock().handle_timeout(self.space.clock.now());
        self.outcome.try_recv().unwrap_or_default()
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        let mut guard = self.space.lock();
        if guard.state.waiting.remove(&self.request).is_some() {
            guard.cancel(self.request);
        }
    }
}

/// A locked namespace. What it has decided on requests is told to those who wait when the lock is released.
pub struct Guard<'a> {
    state: MutexGuard<'a, State>,
}

impl fmt::Debug for Guard<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.state.namespace.fmt(f)
    }
}

impl Deref for Guard<'_> {
    type Target = Namespace<Socket>;

    fn deref(&self) -> &Namespace<Socket> {
        &self.state.namespace
    }
}

impl DerefMut for Guard<'_> {
    fn deref_mut(&mut self) -> &mut Namespace<Socket> {
        &mut self.state.namespace
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        let State { namespace, waiting } = &mut *self.state;
        while let Some(event) = namespace.poll_event() {
            if let Event::RequestDone { request, outcome } = event
                && let Some(waiter) = waiting.remove(&request)
            {
                // Whoever waited may have given up.
                let _ = waiter.send(outcome);
            }
        }
    }
}

/// A namespace, or a family of them, as it is declared: by which names there is one, and what holds there.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Declaration {
    /// The names.
    pub rule: Rule,
    /// Where the logs come from: [`native::Config::log`](crate::native::Config::log).
    pub log: Option<LogFactory>,
    /// How the sessions of clients outlive their connections: `None`, they do not.
    pub recovery: Option<recovery::Config>,
}

impl From<Rule> for Declaration {
    fn from(rule: Rule) -> Self {
        Self { rule, log: None, recovery: None }
    }
}

/// What holds in the namespaces of a rule.
pub(crate) struct Terms {
    pub(crate) log: LogFactory,
    pub(crate) recovery: Option<recovery::Config>,
}

impl Terms {
    /// Whether the log is opened before the namespace is used.
    fn is_eager(&self) -> bool {
        self.log.is_eager || self.recovery.is_some()
    }
}

/// The namespaces of a server.
pub(crate) struct Spaces {
    registry: Mutex<Registry<Arc<Space>>>,
    /// By the place of their rule.
    terms: Vec<Arc<Terms>>,
    abandoned: Mutex<Abandoned>,
    limits: Limits,
    native: Arc<Context>,
}

/// Dynamic namespaces that nobody is in any more. Whoever still holds one holds its log, which can't be opened twice: so that is
/// the one of its name when somebody comes back.
#[derive(Default)]
struct Abandoned {
    by_name: HashMap<ByteString, Weak<Space>>,
    /// The latest ones whose logs are on a disk, or the like: the next client may come while such a log is still being closed.
    kept: VecDeque<Arc<Space>>,
}

impl Abandoned {
    /// So many logs at a time are kept open for clients that may come back.
    const KEPT: usize = 64;

    /// Answers the one that is no longer kept.
    fn insert(&mut self, space: &Arc<Space>) -> Option<Arc<Space>> {
        self.by_name.retain(|_, space| space.strong_count() > 0);
        self.by_name.insert(space.name.clone(), Arc::downgrade(space));
        if space.hub.terms().log.is_eager {
            self.kept.push_back(Arc::clone(space));
        }
        if self.kept.len() > Self::KEPT { self.kept.pop_front() } else { None }
    }

    fn take(&mut self, name: &ByteString) -> Option<Arc<Space>> {
        let space = self.by_name.remove(name)?.upgrade();
        self.kept.retain(|space| space.name != *name);
        space
    }
}

/// A namespace that may not be declared.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NamespaceError {
    /// A namespace's name begins with a slash.
    #[error("the namespace name {0:?} does not begin with '/'")]
    Name(String),
    /// Its log cannot be opened.
    #[error(transparent)]
    Log(#[from] LogError),
}

/// Why a client cannot be in a namespace.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ConnectRefusal {
    /// There is no such namespace.
    #[error("there is no such namespace")]
    Unknown,
    /// There are too many that came to be when someone connected.
    #[error("there are too many namespaces; come back later")]
    TooMany,
    /// Its log cannot be opened.
    #[error(transparent)]
    Log(#[from] LogError),
}

impl ConnectRefusal {
    /// What a client is told, which learns nothing of the server's disks.
    pub(crate) fn to_error(&self) -> ConnectError {
        match self {
            Self::Unknown => ConnectError::invalid_namespace(),
            Self::TooMany => ConnectError::new("Too many namespaces"),
            Self::Log(_) => ConnectError::new("Namespace is not available"),
        }
    }
}

impl Spaces {
    /// The declared namespaces. Those that have one name are there from now on, and their logs, where they may fail, are open.
    pub(crate) fn new(
        limits: Limits,
        registry: RegistryLimits,
        native: Arc<Context>,
        declarations: impl IntoIterator<Item = Declaration>,
    ) -> Result<Self, NamespaceError> {
        let mut registry = Registry::new(registry, WhenEmpty::Remove);
        let mut terms = Vec::new();
        for Declaration { rule, log, recovery } in declarations {
            let log = log.unwrap_or_else(|| native.config.log.clone());
            let own = Arc::new(Terms { log, recovery });
            terms.push(Arc::clone(&own));
            let Rule::Exact(name) = &rule else {
                registry.declare(rule);
                continue;
            };
            let name = name.clone();
            if !name.starts_with('/') {
                return Err(NamespaceError::Name(name.to_string()));
            }
            let index = registry.declare(rule);
            let space = Space::new(name.clone(), index, limits.clone(), native.clone(), own);
            let space = Arc::new(space);
            space.open_log()?;
            // An exact rule has no quota.
            let _ = registry.create(&name, index, space);
        }
        Ok(Self { registry: Mutex::new(registry), terms, abandoned: Mutex::default(), limits, native })
    }

    /// What the native protocol has in common in all of them.
    pub(crate) fn context(&self) -> &Context {
        &self.native
    }

    /// The namespace that a client connects to, which counts it in until [`leave`](Self::leave).
    pub(crate) fn connect(
        &self,
        name: &ByteString,
        auth: Option<&str>,
    ) -> Result<Arc<Space>, ConnectRefusal> {
        let space = self.find_or_create(name, auth)?;
        // Not under the registry's lock: who connects to another namespace doesn't wait for this one's log.
        match space.open_log() {
            Ok(()) => Ok(space),
            Err(error) => {
                tracing::error!(namespace = %name, %error, "a client is turned away");
                self.leave(&space);
                Err(error.into())
            }
        }
    }

    fn find_or_create(&self, name: &ByteString, auth: Option<&str>) -> Result<Arc<Space>, ConnectRefusal> {
        let mut registry = self.registry.lock();
        let mut decision = registry.connect(name, auth);
        if let Connect::Create(rule) = decision {
            let abandoned = self.abandoned.lock().take(name);
            let space = abandoned.unwrap_or_else(|| {
                let terms = Arc::clone(&self.terms[rule.get()]);
                let owned = ByteString::from(&**name);
                Arc::new(Space::new(owned, rule, self.limits.clone(), self.native.clone(), terms))
            });
            // The lock is held since the decision, so there is still room for it.
            let _ = registry.create(name, rule, space);
            decision = registry.connect(name, auth);
        }
        match decision {
            Connect::Existing(space) => Ok(space),
            Connect::QuotaExceeded => Err(ConnectRefusal::TooMany),
            _ => Err(ConnectRefusal::Unknown),
        }
    }

    /// Counts in somebody for whom the namespace is to be there, also if the last one has just left it.
    pub(crate) fn stay(&self, space: &Arc<Space>) -> bool {
        let mut registry = self.registry.lock();
        if registry.get(&space.name).is_none() {
            let _ = self.abandoned.lock().take(&space.name);
            // Without room for it, it is not there.
            let _ = registry.create(&space.name, space.rule, Arc::clone(space));
        }
        matches!(registry.connect(&space.name, None), Connect::Existing(_))
    }

    pub(crate) fn leave(&self, space: &Space) {
        let mut registry = self.registry.lock();
        let gone = registry.leave(&space.name);
        let closed = gone.as_ref().and_then(|gone| self.abandoned.lock().insert(gone));
        drop(registry);
        // Either may be the last handle: with it ends the log, which is not to be waited for under the lock.
        drop((gone, closed));
    }

    pub(crate) fn get(&self, name: &str) -> Option<Arc<Space>> {
        self.registry.lock().get(name).cloned()
    }

    pub(crate) fn find(&self, of: impl Fn(&Rule) -> bool) -> Vec<Arc<Space>> {
        let registry = self.registry.lock();
        let spaces = registry.iter().map(|(_, space)| space);
        spaces.filter(|space| registry.rule(space.rule).is_some_and(&of)).cloned().collect()
    }
}
