//! What `tenfour publish` and `tenfour subscribe` have in common: the way to a server.

use std::{fs, io, path::PathBuf, time::Duration};

use clap::Args;
use tenfour::{
    client::{
        BuildError, Client, ClientBuilder, ClientError, ConnectionState, PublishError, StoreError,
        SubscribeError,
    },
    rustls::pki_types::{CertificateDer, pem::PemObject},
};
use tokio::time::timeout;

/// Where the server is, and what to show it.
#[derive(Debug, Args)]
pub(crate) struct ConnectArgs {
    /// The server: tcp://HOST[:PORT], tls://HOST[:PORT], unix:PATH, ws://HOST[:PORT][/PATH] or wss://…
    #[arg(long, value_name = "URL", default_value = "tcp://127.0.0.1:7410")]
    url: String,
    /// What the server knows the client by
    #[arg(long, value_name = "TOKEN", env = "TENFOUR_TOKEN", hide_env_values = true, default_value = "")]
    token: String,
    /// The namespace to join
    #[arg(long, value_name = "NAME", default_value = "/")]
    namespace: String,
    /// Certificates to trust for TLS, in PEM, in place of those that this machine trusts
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// How many seconds the first connection may take
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    timeout: u64,
}

/// What ends a client's command before its time, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommandError {
    #[error("{0}")]
    Client(#[from] BuildError),
    #[error("{error}. {}", advice(error))]
    Connection {
        #[from]
        error: ClientError,
    },
    #[error("cannot read certificates from {path:?}: {problem}. Give a file in PEM with --ca")]
    Certificates { path: PathBuf, problem: String },
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Publish(#[from] PublishError),
    #[error("cannot subscribe to {channel:?}: {source}")]
    Subscribe { channel: String, source: SubscribeError },
    #[error("the message is no JSON: {0}. Quote it for the shell, or leave out --json")]
    Json(#[from] serde_json::Error),
    #[error("the message cannot be written: {0}")]
    Message(#[from] tenfour::wire::json::Error),
    #[error(
        "cannot read standard input: {0}. Each line is one message, in UTF-8; the lines before were handed over"
    )]
    Input(#[source] io::Error),
    #[error("cannot write to standard output: {0}")]
    Output(#[source] io::Error),
    #[error("cannot hear signals: {0}. Check the limit of open files (ulimit -n)")]
    Signals(#[source] io::Error),
}

impl ConnectArgs {
    pub(crate) fn builder(&self) -> Result<ClientBuilder, CommandError> {
        let builder = Client::builder(&*self.url).token(self.token.clone()).namespace(self.namespace.clone());
        let Some(path) = &self.ca else { return Ok(builder) };
        let fails = |problem: String| CommandError::Certificates { path: path.clone(), problem };
        let pem = fs::read(path).map_err(|error| fails(error.to_string()))?;
        let certificates: Vec<_> = CertificateDer::pem_slice_iter(&pem)
            .collect::<Result<_, _>>()
            .map_err(|error| fails(error.to_string()))?;
        if certificates.is_empty() {
            return Err(fails("there are none".to_owned()));
        }
        builder.trusted_certificates(certificates).map_err(|error| fails(error.to_string()))
    }

    /// Waits for the first connection.
    pub(crate) async fn connected(&self, client: &Client) -> Result<(), CommandError> {
        match timeout(Duration::from_secs(self.timeout), client.connected()).await {
            Ok(connected) => Ok(connected?),
            Err(_) => {
                let problem = match client.state() {
                    ConnectionState::Connecting { problem: Some(problem) } => problem,
                    _ => format!("no answer within {} s", self.timeout),
                };
                Err(ClientError::Unreachable { url: client.url().to_string(), problem }.into())
            }
        }
    }
}

fn advice(error: &ClientError) -> &'static str {
    match error {
        ClientError::Unreachable { .. } => {
            "Start a server with `tenfour serve`, or say with --url where one is"
        }
        ClientError::Ended { code, .. } => match code {
            tenfour::client::CloseCode::Unauthorized => "Show it the right --token",
            tenfour::client::CloseCode::UnknownNamespace => "Join one that it has with --namespace",
            tenfour::client::CloseCode::Malformed => {
                "Say with --url where it serves tenfour's own protocol: a port for HTTP does so after ws://"
            }
            _ => "Its log may say more",
        },
        _ => "Run the command again",
    }
}
