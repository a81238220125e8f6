//! The application of the conformance suites, and of the stock clients' tests beyond them (`tests/stock/README.md` says
//! what it does). Started as
//!
//! ```text
//! cargo run --release --example conformance -- --listen 127.0.0.1:3100
//! ```

use clap::{Parser, ValueEnum};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::{collections::BTreeMap, error::Error, io::Write, sync::Arc, time::Duration};
use tenfour::{
    Ack, Auth, ConnectError, Cors, Data, HandlerError, HandlerResult, Headers, Namespace, NoReply, Query,
    Rest, Server, Socket, State, Value,
    broker::Body,
    socketio::{Args, Encoding},
};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::Mutex,
};

#[derive(Parser)]
struct Options {
    /// Where to listen; port 0 takes any free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: String,
    /// How Socket.IO packets are written.
    #[arg(long, value_enum, default_value = "json")]
    parser: PacketParser,
    /// Milliseconds from one pong to the next ping.
    #[arg(long, default_value_t = 300)]
    ping_interval: u64,
    /// Milliseconds that a pong may take.
    #[arg(long, default_value_t = 200)]
    ping_timeout: u64,
}

#[derive(Clone, Copy, ValueEnum)]
enum PacketParser {
    Json,
    Msgpack,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    let options = Options::parse();
    let encoding = match options.parser {
        PacketParser::Json => Encoding::Json,
        PacketParser::Msgpack => Encoding::MessagePack,
    };
    let builder = || {
        Server::builder()
            .ping_interval(Duration::from_millis(options.ping_interval))
            .ping_timeout(Duration::from_millis(options.ping_timeout))
            .connect_timeout(Duration::from_secs(1))
            .cors(Cors::any())
    };
    let socket_io = builder()
        .encoding(encoding)
        .namespace(echo("/"))
        .namespace(echo("/custom"))
        .namespace(lab())
        .namespace(guarded())
        .namespace(tenants())
        .build()?;
    let engine_io = builder().engine_io().path("/engine.io/").namespace(raw_echo()).build()?;
    let handles = [socket_io.handle(), engine_io.handle()];
    let router = socket_io.into_router().merge(engine_io.into_router());

    let listener = TcpListener::bind(&options.listen).await?;
    writeln!(std::io::stdout(), "listening on http://{}", listener.local_addr()?)?;
    let mut stop = signal(SignalKind::terminate())?;
    axum::serve(listener, router)
        .with_graceful_shutdown(async move {
            stop.recv().await;
            for handle in handles {
                handle.shutdown(Duration::from_secs(2)).await;
            }
        })
        .await?;
    Ok(())
}

/// What both conformance suites ask of a namespace.
fn echo(name: &'static str) -> Namespace {
    Namespace::new(name)
        .on_connect(async |socket: Socket, Auth(auth): Auth<Value>| socket.emit("auth", &auth).await)
        .on("message", async |socket: Socket, args: Args| -> HandlerResult {
            Ok(socket.emit_args("message-back", args).await?)
        })
        .on("message-with-ack", async |args: Args| args)
}

fn raw_echo() -> Namespace {
    Namespace::new("/").on_message(async |socket: Socket, body: Body| {
        // A client that is gone needs no echo.
        let _ = socket.send(body).await;
        NoReply
    })
}

#[derive(Deserialize)]
struct Token {
    token: Option<String>,
}

fn guarded() -> Namespace {
    Namespace::new("/guarded").middleware(async |Auth(Token { token }): Auth<Token>| match token.as_deref() {
        Some("letmein") => Ok(()),
        _ => Err(ConnectError::new("not authorised").with_data(&json!({ "code": "E_TOKEN" }))),
    })
}

fn tenants() -> Namespace {
    let tenant = Namespace::accepting(|name, _| {
        let id = name.strip_prefix("/tenant-").unwrap_or_default();
        !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric())
    });
    tenant.on("whoami", async |socket: Socket| Ack(socket.namespace().to_string()))
}

/// Numbers that the namespace received with `tell`, from all sockets.
type Told = Arc<Mutex<Vec<u64>>>;

fn lab() -> Namespace {
    let lab = Namespace::new("/lab").state(Told::default());
    data(order(requests(rooms(lab))))
        .on("echo", async |args: Args| args)
        .on("slow", async |ms: u64, Rest(value): Rest| {
            tokio::time::sleep(Duration::from_millis(ms)).await;
            value
        })
        .on("fail", async || HandlerResult::<()>::Err(HandlerError::new("boom")))
        .on("leave-me", async |socket: Socket| socket.disconnect())
        .on("kick", async |socket: Socket| socket.close())
}

fn rooms(lab: Namespace) -> Namespace {
    lab.on("join", async |socket: Socket, room: String| -> HandlerResult {
        socket.join(&room).await?;
        Ok(())
    })
    .on("leave", async |socket: Socket, room: String| -> HandlerResult {
        socket.leave(&room).await?;
        Ok(())
    })
    .on("rooms", async |socket: Socket| Ack((socket.rooms(),)))
    .on("to", async |socket: Socket, room: String, event: String, Rest(args): Rest| -> HandlerResult {
        socket.to(&room).emit_args(&event, args)?;
        Ok(())
    })
    .on("in", async |socket: Socket, room: String, event: String, Rest(args): Rest| -> HandlerResult {
        socket.everyone().to(&room).emit_args(&event, args)?;
        Ok(())
    })
    .on("except", async |socket: Socket, room: String, event: String, Rest(args): Rest| -> HandlerResult {
        socket.everyone().except(&room).emit_args(&event, args)?;
        Ok(())
    })
    .on("broadcast", async |socket: Socket, event: String, Rest(args): Rest| -> HandlerResult {
        socket.broadcast().emit_args(&event, args)?;
        Ok(())
    })
    .on("sockets", async |socket: Socket| {
        let sockets = socket.everyone().fetch_sockets();
        Ack((sockets.iter().map(|socket| socket.id().to_string()).collect::<Vec<_>>(),))
    })
}

fn requests(lab: Namespace) -> Namespace {
    lab.on("burst", async |socket: Socket, count: u64| -> HandlerResult<u64> {
        for number in 1..=count {
            socket.emit("burst", &number).await?;
        }
        Ok(count)
    })
    .on("volatile", async |socket: Socket, count: u64| -> HandlerResult<u64> {
        for number in 1..=count {
            socket.emit_volatile("tick", &number)?;
        }
        Ok(count)
    })
    .on("ask", async |socket: Socket, Data(value): Data<Value>| -> HandlerResult<(Value,)> {
        let socket = socket.timeout(Duration::from_secs(2));
        Ok((socket.emit_with_ack("question", &(value,)).await?,))
    })
    .on(
        "ask-all",
        async |socket: Socket, room: String, Data(value): Data<Value>, ms: u64| -> HandlerResult<Asked> {
            let all = socket.everyone().to(&room).timeout(Duration::from_millis(ms));
            let asked = all.emit_with_ack("question", &(value,)).await?;
            let answers = asked.answers.into_iter().map(|(_, answer)| answer).collect();
            Ok(Asked { answers, missing: asked.missing.len() })
        },
    )
}

#[derive(Serialize)]
struct Asked {
    answers: Vec<Value>,
    missing: usize,
}

/// How one socket's `order` events came in.
#[derive(Clone, Copy, Default, Serialize, Deserialize)]
struct Order {
    next: u64,
    inversions: u64,
    count: u64,
}

fn order(lab: Namespace) -> Namespace {
    lab.on("order", async |socket: Socket, number: u64| -> HandlerResult<Order> {
        let mut order: Order = socket.data()?.unwrap_or_default();
        order.inversions += u64::from(number != order.next);
        order.next = number.wrapping_add(1);
        order.count += 1;
        socket.set_data(&order).await?;
        Ok(order)
    })
    .on("tell", async |State(told): State<Told>, number: u64| told.lock().await.push(number))
    .on("log", async |State(told): State<Told>| Ack((told.lock().await.clone(),)))
}

fn data(lab: Namespace) -> Namespace {
    lab.on("set-data", async |socket: Socket, Data(data): Data<Value>| -> HandlerResult {
        socket.set_data(&data).await?;
        Ok(())
    })
    .on("get-data", async |socket: Socket| -> HandlerResult<Value> { Ok(socket.data()?.unwrap_or_default()) })
    .on(
        "handshake",
        async |Auth(auth): Auth<Value>,
               Query(query): Query<BTreeMap<String, String>>,
               Headers(headers): Headers| {
            let custom: BTreeMap<_, _> = headers
                .iter()
                .filter(|(name, _)| name.as_str().starts_with("x-"))
                .filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)))
                .collect();
            Ack(json!({ "auth": auth, "query": query, "headers": custom }))
        },
    )
}
