//! `tenfour serve`: one listener, the page and the chat on it, until it is told to stop.

use std::{
    future::IntoFuture,
    io::{self, ErrorKind, Write},
    net::SocketAddr,
    pin::pin,
    time::Duration,
};

use tokio::{net::TcpListener, sync::oneshot, time::timeout};
use tracing::{info, warn};

use crate::{chat, page, signals::Signals};

/// How long connections may take to end in order.
const GRACE: Duration = Duration::from_secs(5);

/// What keeps it from serving, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServeError {
    #[error("cannot listen on {address}: {source}. {}", advice(.source.kind()))]
    Listen { address: String, source: io::Error },
    #[error("cannot hear signals: {0}. Check the limit of open files (ulimit -n)")]
    Signals(io::Error),
    #[error("cannot set up the chat: {0}")]
    Chat(#[from] tenfour::BuildError),
    #[error("serving failed: {0}")]
    Serve(io::Error),
}

/// Serves on `address`, a host and a port, until Ctrl-C or SIGTERM.
pub(crate) async fn serve(address: &str) -> Result<(), ServeError> {
    let cannot_listen = |source| ServeError::Listen { address: address.to_owned(), source };
    let listener = TcpListener::bind(address).await.map_err(cannot_listen)?;
    let local = listener.local_addr().map_err(cannot_listen)?;
    let mut signals = Signals::new().map_err(ServeError::Signals)?;
    let (chat, sockets) = chat::start()?;

    let (stop, stopped) = oneshot::channel::<()>();
    let service = page::router().merge(chat).into_make_service_with_connect_info::<SocketAddr>();
    let serving = axum::serve(listener, service).with_graceful_shutdown(async {
        let _ = stopped.await;
    });
    let mut serving = pin!(serving.into_future());
    announce(local);
    tokio::select! {
        ended = &mut serving => return ended.map_err(ServeError::Serve),
        () = signals.next() => info!("stopping: no new sessions, {GRACE:?} for those there are"),
    }

    let ending = async {
        sockets.shutdown(GRACE).await;
        // Not before: a client that polls comes back for its goodbye.
        drop(stop);
    };
    let ended = tokio::select! {
        ended = timeout(GRACE, async { tokio::join!(serving, ending).0 }) => ended.unwrap_or(Ok(())),
        () = signals.next() => Ok(()),
    };
    match sockets.connections() {
        0 => info!("stopped"),
        left => warn!(left, "stopped, though some connections had not ended"),
    }
    ended.map_err(ServeError::Serve)
}

/// The one line that says it is ready, and where: whoever started it may wait for it.
fn announce(local: SocketAddr) {
    if let Err(error) = writeln!(io::stdout(), "listening on http://{local}") {
        warn!(%error, "nobody reads standard output; listening on http://{local}");
    }
}

fn advice(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::AddrInUse => {
            "Stop the program that uses it, or choose another port with --listen; port 0 takes any free one"
        }
        ErrorKind::AddrNotAvailable => {
            "This machine has no such address: choose one of its own with --listen, or 0.0.0.0 for all"
        }
        ErrorKind::PermissionDenied => "Choose a port from 1024 on with --listen",
        ErrorKind::InvalidInput => "An address is a host and a port, such as 127.0.0.1:3000",
        _ => "Choose another address with --listen",
    }
}
