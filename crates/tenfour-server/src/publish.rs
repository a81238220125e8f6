//! `tenfour publish`: messages to a channel, each committed, or its failure told.

use std::{
    io::{self, BufRead, Write},
    path::PathBuf,
    pin::pin,
    process::ExitCode,
    time::Duration,
};

use clap::Args;
use serde::Serialize;
use tenfour::client::{
    Accepted, Client, Doubt, FileOutbox, IntoMessage, Message, Outbox, PublishError, PublishOptions, Receipt,
    event,
};
use tokio::sync::mpsc;

use crate::connect::{CommandError, ConnectArgs};

/// What to publish, and how.
#[derive(Debug, Args)]
pub(crate) struct PublishArgs {
    /// The channel
    channel: String,
    /// The message; without one, each line of standard input is one
    message: Option<String>,
    #[command(flatten)]
    connect: ConnectArgs,
    /// The messages' name, by which Socket.IO clients know the event
    #[arg(long, value_name = "NAME")]
    event: Option<String>,
    /// Each message is a JSON text
    #[arg(long)]
    json: bool,
    /// For how many seconds the messages are worth delivering; for ever, if not said
    #[arg(long, value_name = "SECONDS")]
    ttl: Option<u64>,
    /// Keeps what is not committed in this file, and publishes first what an earlier run has left there
    #[arg(long, value_name = "FILE")]
    outbox: Option<PathBuf>,
    /// Prints receipts as JSON, one a line
    #[arg(long)]
    receipts: bool,
}

/// Messages that are read ahead of the client.
const READ_AHEAD: usize = 256;

/// Publishes until the messages end. It fails if one of them was not committed.
pub(crate) async fn publish(args: PublishArgs) -> Result<ExitCode, CommandError> {
    let mut builder = args.connect.builder()?;
    if let Some(path) = &args.outbox {
        let outbox = FileOutbox::open(path)?;
        let (accepted, pending) = (outbox.next(), outbox.pending().len());
        eprintln!("outbox: {accepted} accepted so far, {pending} of them not committed");
        // Whoever keeps an outbox would rather have a message twice than not at all.
        builder = builder.outbox(outbox).in_doubt(Doubt::Repeat);
    }
    let client = builder.connect()?;
    let unreachable = async {
        match args.connect.connected(&client).await {
            Ok(()) => std::future::pending().await,
            Err(error) => error,
        }
    };
    tokio::select! {
        error = unreachable => Err(error),
        published = publish_all(&client, &args) => {
            let published = published?;
            client.close().await;
            Ok(published)
        }
    }
}

async fn publish_all(client: &Client, args: &PublishArgs) -> Result<ExitCode, CommandError> {
    let options = PublishOptions { ttl: args.ttl.map(Duration::from_secs) };
    // Each one that is accepted holds its place among the client's publications, of which there are so many.
    let (sender, accepted) = mpsc::unbounded_channel();
    let accept = async move {
        let mut texts = texts(args.message.clone());
        while let Some(text) = texts.recv().await {
            let message = message(text.map_err(CommandError::Input)?, args)?;
            let accepted = client.enqueue(&args.channel, message, options).await;
            // It is gone where output has failed, which is an error of its own.
            let _ = sender.send(accepted);
        }
        Ok::<_, CommandError>(())
    };
    let report = report(accepted, args.receipts);
    let (accepted, failures) = tokio::join!(accept, report);
    accepted?;
    // What an earlier run left in the outbox, too.
    client.flush().await?;
    Ok(if failures? == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The message of the command line, or else the lines of standard input. They are read on a thread of their own, which nobody waits
/// for: it may read for ever.
fn texts(message: Option<String>) -> mpsc::Receiver<io::Result<String>> {
    let (sender, receiver) = mpsc::channel(READ_AHEAD);
    std::thread::spawn(move || match message {
        Some(message) => drop(sender.blocking_send(Ok(message))),
        None => {
            for line in io::stdin().lock().lines() {
                let is_last = line.is_err();
                if sender.blocking_send(line).is_err() || is_last {
                    return;
                }
            }
        }
    });
    receiver
}

fn message(text: String, args: &PublishArgs) -> Result<Message, CommandError> {
    let name = args.event.as_deref();
    if args.json || name.is_some() {
        let value = if args.json { serde_json::from_str(&text)? } else { tenfour::Value::String(text) };
        let mut message = event(name.unwrap_or_default(), &value)?;
        message.name = name.map(Into::into);
        return Ok(message);
    }
    Ok(text.into_message())
}

/// A receipt, as a line of JSON.
#[derive(Serialize)]
struct Line {
    epoch: u64,
    offset: u64,
    duplicate: bool,
}

/// Says of each message, in order, what became of it. The result is how many were not committed.
async fn report(
    mut accepted: mpsc::UnboundedReceiver<Result<Accepted, PublishError>>,
    receipts: bool,
) -> Result<usize, CommandError> {
    let mut failures = 0;
    while let Some(accepted) = accepted.recv().await {
        let result = match accepted {
            Ok(accepted) => pin!(accepted.committed()).await,
            Err(error) => Err(error),
        };
        match result {
            Ok(receipt) if receipts => print(&receipt).map_err(CommandError::Output)?,
            Ok(_) => {}
            Err(error @ (PublishError::Client(_) | PublishError::Outbox(_) | PublishError::Fenced)) => {
                return Err(error.into());
            }
            Err(error) => {
                eprintln!("error: {error}");
                failures += 1;
            }
        }
    }
    Ok(failures)
}

fn print(receipt: &Receipt) -> io::Result<()> {
    let line =
        Line { epoch: receipt.epoch.get(), offset: receipt.offset.get(), duplicate: receipt.duplicate };
    let line = serde_json::to_string(&line).map_err(io::Error::other)?;
    writeln!(io::stdout(), "{line}")
}
