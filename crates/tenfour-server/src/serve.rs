//! `tenfour serve`: the page, the chat and the native protocol, until it is told to stop.

use std::{
    convert::Infallible,
    fmt::Display,
    future::IntoFuture,
    io::{self, ErrorKind, Write},
    net::SocketAddr,
    path::{Path, PathBuf},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use clap::{Args, ValueEnum};
use tenfour::{
    Durability, Server,
    rustls::{
        self, ServerConfig,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
};
use tokio::{net::TcpListener, sync::oneshot, time::timeout};
use tracing::{info, warn};

use crate::{chat, page, signals::Signals};

/// How long connections may take to end in order.
const GRACE: Duration = Duration::from_secs(5);

/// Where to serve, and whom.
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Host and port to listen on; port 0 takes any free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:3000")]
    listen: String,
    /// Host and port to listen on for tenfour's own protocol; `none` for none
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7410")]
    tcp: String,
    /// A certificate and those that vouch for it, in PEM: then tenfour's own protocol is served with TLS
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The certificate's private key, in PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// A folder for what is published, and for the sessions of clients: then both survive the end of the server
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,
    /// Where to keep what is published: `disk` survives the loss of power, `memory` is gone with the process; by default the
    /// disk if there is a folder for it
    #[arg(long, value_name = "PLACE")]
    durability: Option<Place>,
    /// What clients of tenfour's own protocol have to show; without it, everyone is let in
    #[arg(long, value_name = "TOKEN", env = "TENFOUR_TOKEN", hide_env_values = true)]
    token: Option<String>,
}

/// Where messages are kept.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Place {
    Disk,
    Memory,
}

/// What keeps it from serving, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServeError {
    #[error("cannot listen on {address}: {source}. {}", advice(.source.kind(), .option))]
    Listen { address: String, option: &'static str, source: io::Error },
    #[error("cannot use {path:?} for TLS: {problem}")]
    Tls { path: PathBuf, problem: String },
    #[error("cannot hear signals: {0}. Check the limit of open files (ulimit -n)")]
    Signals(io::Error),
    #[error("cannot set up the chat: {0}")]
    Chat(#[from] chat::StartError),
    #[error("serving failed: {0}")]
    Serve(io::Error),
}

/// Serves until Ctrl-C or SIGTERM.
pub(crate) async fn serve(args: &ServeArgs) -> Result<(), ServeError> {
    let (listener, local) = listen(&args.listen, "--listen").await?;
    let native = match &*args.tcp {
        "none" => None,
        address => Some(listen(address, "--tcp").await?),
    };
    let tls = match (&args.tls_cert, &args.tls_key) {
        (Some(certificates), Some(key)) => Some(Arc::new(tls(certificates, key)?)),
        _ => None,
    };
    let mut signals = Signals::new().map_err(ServeError::Signals)?;
    let durability = match (args.durability, &args.data) {
        (Some(Place::Disk), _) | (None, Some(_)) => Durability::Disk,
        (Some(Place::Memory), _) | (None, None) => Durability::Memory,
    };
    let server = chat::start(args.token.as_deref(), args.data.as_deref(), durability).await?;
    let sockets = server.handle();
    let mut lines = vec![format!("listening on http://{local}")];
    if let Some((listener, local)) = native {
        let scheme = if tls.is_some() { "tls" } else { "tcp" };
        lines.push(format!("listening on {scheme}://{local}"));
        tokio::spawn(serve_native(server.clone(), listener, tls));
    }

    let (stop, stopped) = oneshot::channel::<()>();
    let service =
        page::router().merge(server.into_router()).into_make_service_with_connect_info::<SocketAddr>();
    let serving = axum::serve(listener, service).with_graceful_shutdown(async {
        let _ = stopped.await;
    });
    let mut serving = pin!(serving.into_future());
    announce(&lines);
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

async fn listen(address: &str, option: &'static str) -> Result<(TcpListener, SocketAddr), ServeError> {
    let cannot_listen = |source| ServeError::Listen { address: address.to_owned(), option, source };
    let listener = TcpListener::bind(address).await.map_err(cannot_listen)?;
    let local = listener.local_addr().map_err(cannot_listen)?;
    Ok((listener, local))
}

async fn serve_native(server: Server, listener: TcpListener, tls: Option<Arc<ServerConfig>>) -> Infallible {
    match tls {
        Some(tls) => server.serve_native_tls(listener, tls).await,
        None => server.serve_native(listener).await,
    }
}

fn tls(certificates: &Path, key: &Path) -> Result<ServerConfig, ServeError> {
    fn fails(path: &Path) -> impl Fn(&dyn Display) -> ServeError {
        move |problem| ServeError::Tls { path: path.to_owned(), problem: problem.to_string() }
    }
    let (bad_certificates, bad_key) = (fails(certificates), fails(key));
    let chain = CertificateDer::pem_file_iter(certificates)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| bad_certificates(&error))?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(|error| bad_key(&error))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|config| config.with_no_client_auth().with_single_cert(chain, key))
        .map_err(|error| bad_certificates(&error))
}

/// The lines that say it is ready, and where: whoever started it may wait for the first.
fn announce(lines: &[String]) {
    for line in lines {
        if let Err(error) = writeln!(io::stdout(), "{line}") {
            warn!(%error, "nobody reads standard output; {line}");
        }
    }
}

fn advice(kind: ErrorKind, option: &str) -> String {
    match kind {
        ErrorKind::AddrInUse => {
            format!(
                "Stop the program that uses it, or choose another port with {option}; port 0 takes any free one"
            )
        }
        ErrorKind::AddrNotAvailable => {
            format!(
                "This machine has no such address: choose one of its own with {option}, or 0.0.0.0 for all"
            )
        }
        ErrorKind::PermissionDenied => format!("Choose a port from 1024 on with {option}"),
        ErrorKind::InvalidInput => "An address is a host and a port, such as 127.0.0.1:3000".to_owned(),
        _ => format!("Choose another address with {option}"),
    }
}
