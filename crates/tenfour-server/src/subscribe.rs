//! `tenfour subscribe`: what comes of channels, a line each.

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use clap::{Args, ValueEnum};
use futures_util::{StreamExt, stream::select_all};
use serde::Serialize;
use tenfour::client::{
    Body, Client, Count, Event, FileCursors, Lost, Message, Start, StartAt, SubscribeOptions,
};

use crate::{
    connect::{CommandError, ConnectArgs},
    signals::Signals,
};

/// What to subscribe to, and how.
#[derive(Debug, Args)]
pub(crate) struct SubscribeArgs {
    /// The channels
    #[arg(required = true)]
    channels: Vec<String>,
    #[command(flatten)]
    connect: ConnectArgs,
    /// Where to begin; by default behind the cursor where there is a file of cursors, and else live
    #[arg(long, value_name = "PLACE")]
    from: Option<Place>,
    /// Keeps in this file how far each channel was printed, to go on from there the next time
    #[arg(long, value_name = "FILE")]
    cursor_file: Option<PathBuf>,
    /// Prints all that happens as JSON, one a line
    #[arg(long)]
    json: bool,
    /// Ends after so many messages
    #[arg(long, value_name = "NUMBER")]
    count: Option<u64>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Place {
    /// With what is published from now on
    Live,
    /// With the oldest message that the server has
    Earliest,
    /// Behind the last message that was printed; with the oldest where none was
    Cursor,
}

/// Prints what comes until it is told to stop, or has printed enough.
pub(crate) async fn subscribe(args: SubscribeArgs) -> Result<ExitCode, CommandError> {
    let mut signals = Signals::new().map_err(CommandError::Signals)?;
    let mut builder = args.connect.builder()?;
    if let Some(path) = &args.cursor_file {
        builder = builder.cursors(FileCursors::open(path)?);
    }
    let client = builder.connect()?;
    args.connect.connected(&client).await?;
    let ended = tokio::select! {
        ended = print_all(&client, &args) => ended,
        () = signals.next() => Ok(()),
    };
    client.close().await;
    ended.map(|()| ExitCode::SUCCESS)
}

async fn print_all(client: &Client, args: &SubscribeArgs) -> Result<(), CommandError> {
    let from = match args.from {
        Some(Place::Live) => StartAt::Place(Start::Live),
        Some(Place::Earliest) => StartAt::Place(Start::Earliest),
        Some(Place::Cursor) => StartAt::Saved { or: Start::Earliest },
        None => StartAt::Saved { or: Start::Live },
    };
    let options = SubscribeOptions { from, ..SubscribeOptions::default() };
    let mut subscriptions = Vec::new();
    for channel in &args.channels {
        let subscription = client.subscribe_with(channel, options).await;
        let subscription =
            subscription.map_err(|source| CommandError::Subscribe { channel: channel.clone(), source })?;
        subscriptions.push(subscription.map(move |event| (channel, event)));
    }
    let mut events = select_all(subscriptions);
    let mut left = args.count.unwrap_or(u64::MAX);
    while left > 0 {
        let Some((channel, event)) = events.next().await else { break };
        if let Event::Ended(source) = event {
            return Err(CommandError::Subscribe { channel: channel.clone(), source });
        }
        let print = if args.json { print_json } else { print_plain };
        print(channel, &event).map_err(CommandError::Output)?;
        if let Event::Message(delivery) = &event {
            left -= 1;
            // Asking for the next one would say so, but the last one has none.
            delivery.processed();
        }
    }
    Ok(())
}

/// Messages go to standard output, what there is to know about them to standard error.
fn print_plain(channel: &str, event: &Event) -> io::Result<()> {
    match event {
        Event::Message(delivery) => writeln!(io::stdout(), "{}", plain(&delivery.message)),
        Event::Emitted(message) => writeln!(io::stdout(), "{}", plain(message)),
        Event::Lost(lost) => {
            eprintln!("lost: {} messages of {channel:?} ({:?})", lost.count, lost.reason);
            Ok(())
        }
        Event::Reset { epoch, lost } => {
            eprintln!("reset: {channel:?} begins anew, in epoch {epoch}; lost: {} messages", lost.count);
            Ok(())
        }
        Event::CaughtUp { .. } | Event::Ended(_) => Ok(()),
    }
}

fn plain(message: &Message) -> String {
    let body = match &message.body {
        Body::Text(text) => text.to_string(),
        Body::Json { args, .. } => args.to_string(),
        Body::Binary(bytes) => format!("({} bytes)", bytes.len()),
    };
    match &message.name {
        Some(name) => format!("{name} {body}"),
        None => body,
    }
}

/// What happened, as a line of JSON.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
enum Line<'a> {
    Message {
        channel: &'a str,
        epoch: u64,
        offset: u64,
        #[serde(flatten)]
        content: Content<'a>,
    },
    Emitted {
        channel: &'a str,
        #[serde(flatten)]
        content: Content<'a>,
    },
    Lost {
        channel: &'a str,
        #[serde(flatten)]
        loss: Loss,
    },
    Reset {
        channel: &'a str,
        epoch: u64,
        #[serde(flatten)]
        loss: Loss,
    },
    CaughtUp {
        channel: &'a str,
        offset: u64,
    },
}

#[derive(Serialize)]
struct Content<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(flatten)]
    body: Printed<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Printed<'a> {
    Text(&'a str),
    /// The arguments of an event.
    Json(Vec<serde_json::Value>),
    /// In hexadecimal digits.
    Binary(String),
}

#[derive(Serialize)]
struct Loss {
    after: u64,
    through: u64,
    count: u64,
    exact: bool,
    reason: String,
}

fn print_json(channel: &str, event: &Event) -> io::Result<()> {
    let line = match event {
        Event::Message(delivery) => Line::Message {
            channel,
            epoch: delivery.epoch.get(),
            offset: delivery.offset.get(),
            content: content(&delivery.message)?,
        },
        Event::Emitted(message) => Line::Emitted { channel, content: content(message)? },
        Event::Lost(lost) => Line::Lost { channel, loss: loss(lost) },
        Event::Reset { epoch, lost } => Line::Reset { channel, epoch: epoch.get(), loss: loss(lost) },
        Event::CaughtUp { offset } => Line::CaughtUp { channel, offset: offset.get() },
        Event::Ended(_) => return Ok(()),
    };
    let line = serde_json::to_string(&line).map_err(io::Error::other)?;
    writeln!(io::stdout(), "{line}")
}

fn content(message: &Message) -> io::Result<Content<'_>> {
    let body = match &message.body {
        Body::Text(text) => Printed::Text(text),
        Body::Json { args, .. } => {
            Printed::Json(serde_json::from_str(&format!("[{args}]")).map_err(io::Error::other)?)
        }
        Body::Binary(bytes) => Printed::Binary(bytes.iter().map(|byte| format!("{byte:02x}")).collect()),
    };
    Ok(Content { name: message.name.as_deref(), body })
}

fn loss(lost: &Lost) -> Loss {
    Loss {
        after: lost.range.after.get(),
        through: lost.range.through.get(),
        count: lost.count.at_least(),
        exact: matches!(lost.count, Count::Exact(_)),
        reason: format!("{:?}", lost.reason),
    }
}
