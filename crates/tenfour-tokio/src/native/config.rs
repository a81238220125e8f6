use std::{fmt, sync::Arc, time::Duration};
use tenfour_delivery::number::Epoch;
use tenfour_log::{Log, Memory, Retention};
use tenfour_node::native as node;
use tenfour_session::native as session;

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
            path: Some("/tenfour/".to_owned()),
            connections: 100_000,
            tls_timeout: Duration::from_secs(10),
            close_timeout: Duration::from_secs(5),
        }
    }
}

/// What makes the log of a namespace when it is first needed.
#[derive(Clone)]
pub struct LogFactory(Arc<Make>);

type Make = dyn Fn(&str) -> Box<dyn Log> + Send + Sync;

impl LogFactory {
    /// Logs of your own; `make` is given the namespace's name.
    pub fn new(make: impl Fn(&str) -> Box<dyn Log> + Send + Sync + 'static) -> Self {
        Self(Arc::new(make))
    }

    /// Logs in memory, which last as long as the server: after a restart, clients are told what is lost.
    #[must_use]
    pub fn memory(retention: Retention) -> Self {
        Self::new(move |_| Box::new(Memory::new(new_epoch(), retention.clone())))
    }

    pub(super) fn make(&self, namespace: &str) -> Box<dyn Log> {
        (self.0)(namespace)
    }
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
