#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

use std::{io::IsTerminal, process::ExitCode};

use clap::{Parser, Subcommand};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;

mod chat;
mod connect;
mod page;
mod publish;
mod room;
mod serve;
mod signals;
#[cfg(feature = "simulate")]
mod simulate;
mod subscribe;

/// A real-time server that stock Socket.IO clients connect to. Without a command, it serves.
#[derive(Debug, Parser)]
#[command(name = "tenfour", version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: serve::ServeArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serves Socket.IO clients, clients of tenfour's own protocol, and a chat page that shows it at work
    Serve(serve::ServeArgs),
    /// Publishes messages to a channel, and ends when they are committed
    Publish(publish::PublishArgs),
    /// Prints what is published to channels
    Subscribe(subscribe::SubscribeArgs),
    /// Runs worlds of clients, links, a server and its log in virtual time, and judges them; fails if anything breaks
    #[cfg(feature = "simulate")]
    Simulate(simulate::SimulateArgs),
}

/// A thread looks at the tasks that wait for any thread after so many of its own: by tokio's default, with a thousand answers due
/// at once, the slowest wait four times as long.
const GLOBAL_QUEUE_INTERVAL: u32 = 4;

fn main() -> ExitCode {
    let cli = Cli::parse();
    log_to_stderr();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .global_queue_interval(GLOBAL_QUEUE_INTERVAL)
        .build();
    match runtime {
        Ok(runtime) => runtime.block_on(run(cli)),
        Err(error) => {
            eprintln!(
                "error: cannot start threads: {error}. Check the limits of processes and open files (ulimit -a)"
            );
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli) -> ExitCode {
    match cli.command.unwrap_or(Command::Serve(cli.serve)) {
        Command::Serve(args) => exit(serve::serve(&args).await.map(|()| ExitCode::SUCCESS)),
        Command::Publish(args) => exit(publish::publish(args).await),
        Command::Subscribe(args) => exit(subscribe::subscribe(args).await),
        #[cfg(feature = "simulate")]
        Command::Simulate(args) => exit(simulate::simulate(&args).map(ExitCode::from)),
    }
}

fn exit<E: std::fmt::Display>(result: Result<ExitCode, E>) -> ExitCode {
    result.unwrap_or_else(|error| {
        eprintln!("error: {error}");
        ExitCode::FAILURE
    })
}

fn log_to_stderr() {
    let filter = EnvFilter::builder().with_default_directive(LevelFilter::INFO.into()).from_env_lossy();
    let stderr = std::io::stderr;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(stderr().is_terminal())
        .with_writer(stderr)
        .init();
}
