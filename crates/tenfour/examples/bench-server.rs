//! A server for load generators. In `/`,
//!
//! - `message` is acknowledged with its arguments;
//! - `broadcast` is emitted to all sockets, the sender among them;
//! - `publish` is published to all sockets, the sender among them, and acknowledged with its place in the log;
//! - `fill` (n) publishes `filled` with 0…n-1 and some padding to all sockets, and is acknowledged when they are committed;
//! - `tick-start` (n, rate, all) emits `tick` with 1…n at `rate` a second, to all sockets or to this one alone.
//!
//! ```text
//! cargo run --release --example bench-server -- --listen 127.0.0.1:3200
//! ```

use clap::Parser;
use futures_util::future::try_join_all;
use std::{error::Error, io::Write, path::PathBuf, time::Duration};
use tenfour::{HandlerResult, Namespace, NoReply, Recovery, Server, Socket, socketio::Args};
use tokio::{
    net::TcpListener,
    time::{Instant, MissedTickBehavior, interval_at},
};

#[derive(Parser)]
struct Options {
    /// Where to listen; port 0 takes any free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: String,
    /// Threads that serve; by default one for each core.
    #[arg(long)]
    threads: Option<usize>,
    /// Lets clients that come back go on where they were.
    #[arg(long)]
    recovery: bool,
    /// Where what is published is kept; in memory if it isn't said.
    #[arg(long)]
    data: Option<PathBuf>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    if let Some(threads) = options.threads {
        runtime.worker_threads(threads);
    }
    // With more busy connections than a worker's own queue holds, the rest wait in the shared one: look there often.
    runtime.global_queue_interval(4).enable_all().build()?.block_on(serve(options))
}

async fn serve(options: Options) -> Result<(), Box<dyn Error>> {
    let mut namespace = Namespace::new("/")
        .on("message", async |args: Args| args)
        .on("broadcast", async |socket: Socket, args: Args| {
            // Whom it reaches is for the load generator to count.
            let _ = socket.everyone().emit_args("broadcast", args);
            NoReply
        })
        .on("publish", async |socket: Socket, args: Args| -> HandlerResult<u64> {
            Ok(socket.everyone().publish_args("publish", args).await?.offset.get())
        })
        .on("fill", fill)
        .on("tick-start", async |socket: Socket, count: u64, rate: f64, all: Option<bool>| {
            tokio::spawn(tick(socket, count, rate, all.unwrap_or_default()));
        });
    if options.recovery {
        namespace = namespace.recovery(Recovery::default());
    }
    let mut server = Server::builder();
    if let Some(folder) = options.data {
        server = server.data(folder);
    }
    let server = server.namespace(namespace).build()?;
    let listener = TcpListener::bind(&options.listen).await?;
    writeln!(std::io::stdout(), "listening on http://{}", listener.local_addr()?)?;
    axum::serve(listener, server.into_router()).await?;
    Ok(())
}

async fn fill(socket: Socket, count: u64) -> HandlerResult<u64> {
    let everyone = &socket.everyone();
    let padding = &*"x".repeat(80);
    let published =
        (0..count).map(|number| async move { everyone.publish("filled", &(number, padding)).await });
    Ok(try_join_all(published).await?.len() as u64)
}

/// Ticks that are late are made up for, so that the rate holds.
async fn tick(socket: Socket, count: u64, rate: f64, all: bool) {
    let period = Duration::try_from_secs_f64(1.0 / rate)
        .unwrap_or(Duration::from_secs(1))
        .max(Duration::from_nanos(1));
    let mut clock = interval_at(Instant::now(), period);
    clock.set_missed_tick_behavior(MissedTickBehavior::Burst);
    for number in 1..=count {
        clock.tick().await;
        let sent = if all {
            socket.everyone().emit("tick", &number).map(drop)
        } else {
            socket.emit("tick", &number).await
        };
        if sent.is_err() {
            return;
        }
    }
}
