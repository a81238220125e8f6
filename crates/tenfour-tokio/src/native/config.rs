use std::{fmt, path::PathBuf, sync::Arc, time::Duration};
use tenfour_broker::idempotency;
use tenfour_delivery::number::Epoch;
use tenfour_log::{Disk, Log, Memory, Retention, disk};
use tenfour_node::native as node;
use tenfour_session::native as session;
use thiserror::Error;

/// How the native protocol is served. Every limit is finite.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The connections' settings: windows, credit, heartbeat, how long a hello may take.
    pub session: Arc<session::Config>,
    /// The sessions' and the channels' settings, for each namespace.
    pub node: Arc<node::Config>,
    /// Where a namespace's log comes from: memory.
    pub log: LogFactory,
    /// How long, and how many, answers to events with keys are remembered in each namespace.
    pub idempotency: idempotency::Config,
    /// The path at which it is served over WebSocket, with a slash at both ends: `/tenfour/`. `None` serves it there nowhere.
    pub path: Option<String>,
    /// Connections at once, those that shake hands among them: 100,000. Further ones are told to come back later.
    pub connections: usize,
    /// How long a TLS handshake may take: 10 s.
    pub tls_timeout: Duration,
    /// How long a connection that is over waits for its client to take what was written last: 5 s.
    pub close_timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            session: Arc::default(),
            node: Arc::default(),
            log: LogFactory::memory(Retention::default()),
            idempotency: idempotency::Config::default(),
            path: Some("/tenfour/".to_owned()),
            connections: 100_000,
            tls_timeout: Duration::from_secs(10),
            close_timeout: Duration::from_secs(5),
        }
    }
}

/// What makes the log of a namespace.
#[derive(Clone)]
pub struct LogFactory {
    make: Arc<Make>,
    /// Whether a log is made before its namespace is used, so that whoever uses it finds it made.
    pub(crate) is_eager: bool,
}

type Make = dyn Fn(&str) -> Result<Box<dyn Log>, LogError> + Send + Sync;

/// The log of a namespace cannot be opened, so that there is no such namespace.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the log of the namespace {namespace:?} cannot be opened: {problem}")]
pub struct LogError {
    /// The namespace.
    pub namespace: String,
    /// What is wrong, and what to do about it.
    pub problem: String,
}

impl LogFactory {
    /// Logs of your own, each made with its namespace; `make` is given the namespace's name.
    pub fn new(make: impl Fn(&str) -> Box<dyn Log> + Send + Sync + 'static) -> Self {
        Self { make: Arc::new(move |namespace| Ok(make(namespace))), is_eager: true }
    }

    /// Logs of your own that it may be impossible to open: each is opened before its namespace is used, and without it there
    /// is no such namespace. `open` says what is wrong.
    pub fn fallible<E: fmt::Display>(
        open: impl Fn(&str) -> Result<Box<dyn Log>, E> + Send + Sync + 'static,
    ) -> Self {
        let make = move |namespace: &str| {
            open(namespace)
                .map_err(|error| LogError { namespace: namespace.to_owned(), problem: error.to_string() })
        };
        Self { make: Arc::new(make), is_eager: true }
    }

    /// Logs in memory, each made when it is first needed, which last as long as the server: after a restart, clients are told what is lost.
    #[must_use]
    pub fn memory(retention: Retention) -> Self {
        let make = move |_: &str| Ok(Box::new(Memory::new(new_epoch(), retention.clone())) as Box<dyn Log>);
        Self { make: Arc::new(make), is_eager: false }
    }

    /// Logs on the disk, each in a folder of its own in this one, [named](folder_of) after its namespace.
    #[must_use]
    pub fn disk(folder: PathBuf, retention: Retention) -> Self {
        Self::fallible(move |namespace| {
            let mut config = disk::Config::new(new_epoch());
            config.retention = retention.clone();
            let (log, found) = Disk::open(folder.join(folder_of(namespace)), config)?;
            match &found.cut {
                Some(cut) => tracing::warn!(namespace, ?cut, "the end of the log was damaged and is cut off"),
                None => tracing::debug!(namespace, ?found, "the log is open"),
            }
            Ok::<_, disk::OpenError>(Box::new(log) as Box<dyn Log>)
        })
    }

    pub(super) fn make(&self, namespace: &str) -> Result<Box<dyn Log>, LogError> {
        (self.make)(namespace)
    }
}

/// What the folder of a namespace's log is called. Two namespaces never share one, on no file system: what is not a small letter, a
/// digit or `-` is written as `_` and two digits for each of its bytes.
///
/// ```
/// use tenfour_tokio::native::folder_of;
///
/// assert_eq!(folder_of("/"), "_2f");
/// assert_eq!(folder_of("/tenant-7"), "_2ftenant-7");
/// assert_ne!(folder_of("/Lobby"), folder_of("/lobby"));
/// ```
#[must_use]
pub fn folder_of(namespace: &str) -> String {
    let mut folder = String::with_capacity(namespace.len() + 8);
    for byte in namespace.bytes() {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'-' => folder.push(char::from(byte)),
            _ => {
                use fmt::Write as _;
                write!(folder, "_{byte:02x}").expect("a text takes everything");
            }
        }
    }
    folder
}

impl fmt::Debug for LogFactory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LogFactory")
    }
}

/// An epoch that no log had before: the seconds in its upper bits, so that it increases, and 20 random lower ones, so that not
/// even two servers that start in one second share it. It fits into 53 bits until the year 2242, so that it is a number
/// in JSON as well.
fn new_epoch() -> Epoch {
    let seconds = crate::Clock::start().wall().as_unix_millis() / 1000;
    let random = getrandom::u32().expect("the system has randomness") & 0xf_ffff;
    Epoch::new(((seconds << 20) | u64::from(random)) & JSON_INTEGER)
}

/// Integers up to here are exact in every JSON reader.
const JSON_INTEGER: u64 = (1 << 53) - 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_is_an_exact_number_in_json() {
        let epoch = new_epoch().get();
        assert_eq!(epoch as f64 as u64, epoch);
        assert!(epoch < JSON_INTEGER / 2, "the seconds fill it");
    }
}
