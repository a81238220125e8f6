//! Clients that are recovered: the application of the stock clients' tests through cuts, restarts and faults
//! (`tests/stock/README.md` says what it does). Started as
//!
//! ```text
//! cargo run --release --example recovery -- --listen 127.0.0.1:3100 --data /tmp/recovery
//! ```

use axum::{
    Json, Router,
    extract::State as Shared,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use clap::{Parser, ValueEnum};
use serde::{Deserialize, Serialize, Serializer, ser::SerializeTuple};
use serde_json::json;
use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
    io::Write,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};
use tenfour::{
    Auth, Broadcast, ConnectError, Data, Handle, HandlerResult, Key, Namespace, PublishError, Recovery,
    Server, Socket, State, Value,
    broker::channel::PublishError as Refusal,
    native::log::Retention,
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
    #[arg(long, default_value_t = 10_000)]
    ping_interval: u64,
    /// Milliseconds that a pong may take.
    #[arg(long, default_value_t = 10_000)]
    ping_timeout: u64,
    /// The folder of the log; without one it is in memory.
    #[arg(long)]
    data: Option<PathBuf>,
    /// Milliseconds that a session waits for its client.
    #[arg(long, default_value_t = 120_000)]
    away: u64,
    /// How many entries of a room the log keeps.
    #[arg(long)]
    retention: Option<usize>,
    /// For how many milliseconds the log keeps an entry.
    #[arg(long)]
    retention_ms: Option<u64>,
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
    let known = Known::default();
    let server = server(&options, &known)?;
    let handle = server.handle();
    let control = Control { handle: handle.clone(), known };
    let router = server.into_router().merge(control.into_router());

    let listener = TcpListener::bind(&options.listen).await?;
    writeln!(std::io::stdout(), "listening on http://{}", listener.local_addr()?)?;
    let mut stop = signal(SignalKind::terminate())?;
    axum::serve(listener, router)
        .with_graceful_shutdown(async move {
            stop.recv().await;
            handle.shutdown(Duration::from_secs(2)).await;
        })
        .await?;
    Ok(())
}

fn server(options: &Options, known: &Known) -> Result<Server, Box<dyn Error>> {
    let recovered = |name: &'static str| {
        let recovery = Recovery::default().away(Duration::from_millis(options.away));
        application(Namespace::new(name).recovery(recovery).state(known.clone()))
    };
    let builder = Server::builder()
        .retention(retention(options))
        .ping_interval(Duration::from_millis(options.ping_interval))
        .ping_timeout(Duration::from_millis(options.ping_timeout))
        .encoding(match options.parser {
            PacketParser::Json => Encoding::Json,
            PacketParser::Msgpack => Encoding::MessagePack,
        })
        .namespace(recovered("/"))
        .namespace(recovered("/keyed").idempotency(Key::argument(0)));
    let builder = match &options.data {
        Some(folder) => builder.data(folder),
        None => builder,
    };
    Ok(builder.build()?)
}

fn retention(options: &Options) -> Retention {
    let mut retention = Retention::default();
    if let Some(entries) = options.retention {
        retention.channel.messages = entries;
    }
    retention.age = options.retention_ms.map(Duration::from_millis);
    retention
}

/// What the application knows besides what the server keeps for it.
#[derive(Clone, Default)]
struct Known {
    revoked: Arc<Mutex<BTreeSet<String>>>,
    /// How often `work` ran, by value.
    ran: Arc<Mutex<BTreeMap<String, u64>>>,
    /// What clients answered to `POST /ask`, by value.
    answered: Arc<Mutex<BTreeMap<String, Answered>>>,
}

#[derive(Clone, Serialize)]
#[serde(rename_all = "lowercase")]
enum Answered {
    Answer(Value),
    Error(String),
}

#[derive(Deserialize)]
struct Greeting {
    #[serde(default)]
    rooms: Vec<String>,
    user: Option<String>,
    #[serde(default)]
    slow: u64,
}

fn application(namespace: Namespace) -> Namespace {
    namespace
        .middleware(async |State(known): State<Known>, Auth(greeting): Auth<Greeting>| {
            tokio::time::sleep(Duration::from_millis(greeting.slow)).await;
            let revoked = known.revoked.lock().await;
            match greeting.user {
                Some(user) if revoked.contains(&user) => Err(ConnectError::new("revoked")),
                _ => Ok(()),
            }
        })
        .on_connect(async |socket: Socket, Auth(greeting): Auth<Greeting>| -> HandlerResult {
            if socket.recovered() {
                return Ok(()); // it is in its rooms, and has its data
            }
            for room in &greeting.rooms {
                socket.join(room).await?;
            }
            if let Some(user) = greeting.user {
                socket.set_data(&json!({ "user": user })).await?;
            }
            Ok(())
        })
        .on("join", async |socket: Socket, room: String| -> HandlerResult {
            socket.join(&room).await?;
            Ok(())
        })
        .on("leave", async |socket: Socket, room: String| -> HandlerResult {
            socket.leave(&room).await?;
            Ok(())
        })
        .on("set-data", async |socket: Socket, Data(data): Data<Value>| -> HandlerResult {
            socket.set_data(&data).await?;
            Ok(())
        })
        .on("me", me)
        .on("say", async |socket: Socket, room: String, Data(text): Data<Value>| -> HandlerResult {
            socket.to(&room).publish("said", &text).await?;
            Ok(())
        })
        .on("work", work)
        .on("leave-me", async |socket: Socket| socket.disconnect())
}

#[derive(Serialize)]
struct Me {
    id: String,
    recovered: bool,
    rooms: Vec<String>,
    data: Option<Value>,
}

async fn me(socket: Socket) -> HandlerResult<Me> {
    let id = socket.id().to_string();
    let mut rooms = socket.rooms();
    rooms.retain(|room| *room != id);
    rooms.sort();
    Ok(Me { id, recovered: socket.recovered(), rooms, data: socket.data()? })
}

#[derive(Serialize)]
struct Work {
    value: String,
    runs: u64,
}

/// The key is for the namespace, which lets this run once under it where it is told to.
async fn work(State(known): State<Known>, _key: String, value: String, ms: u64) -> HandlerResult<Work> {
    let runs = {
        let mut ran = known.ran.lock().await;
        let runs = ran.entry(value.clone()).or_default();
        *runs += 1;
        *runs
    };
    tokio::time::sleep(Duration::from_millis(ms)).await;
    Ok(Work { value, runs })
}

/// What is asked of the application over HTTP.
#[derive(Clone)]
struct Control {
    handle: Handle,
    known: Known,
}

impl Control {
    fn into_router(self) -> Router {
        Router::new()
            .route("/publish", post(publish))
            .route("/emit", post(emit))
            .route("/ask", post(ask))
            .route("/revoke", post(revoke))
            .route("/allow", post(allow))
            .route("/sockets", get(sockets))
            .route("/ran", get(ran))
            .route("/answered", get(answered))
            .with_state(self)
    }

    /// All sockets of `/`.
    fn everyone(&self) -> Broadcast {
        self.handle.namespace("/").expect("the namespace is declared")
    }
}

/// An event, and to whom it goes.
#[derive(Deserialize)]
struct Sending {
    #[serde(default)]
    to: Vec<String>,
    #[serde(default)]
    except: Vec<String>,
    event: String,
    args: Vec<Value>,
    key: Option<String>,
    /// Milliseconds after which nobody wants it any more.
    ttl: Option<u64>,
    #[serde(default)]
    volatile: bool,
}

impl Sending {
    fn target(&self, everyone: Broadcast) -> Broadcast {
        let target = self.to.iter().fold(everyone, |target, room| target.to(room));
        self.except.iter().fold(target, |target, room| target.except(room))
    }

    fn arguments(&mut self) -> Result<Args, Failure> {
        let args = std::mem::take(&mut self.args).into_iter().map(revived).collect();
        Args::serialize(&Each(args)).map_err(|error| Failure(StatusCode::BAD_REQUEST, error.to_string()))
    }
}

/// Values that are an argument each: a tuple.
struct Each(Vec<Value>);

impl Serialize for Each {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut tuple = serializer.serialize_tuple(self.0.len())?;
        for value in &self.0 {
            tuple.serialize_element(value)?;
        }
        tuple.end()
    }
}

/// JSON has no bytes: `{"base64": …}` stands for them.
fn revived(value: Value) -> Value {
    match &value {
        Value::Object(fields) => match fields.get("base64") {
            Some(Value::String(text)) => Value::Binary(base64(text).into()),
            _ => value,
        },
        _ => value,
    }
}

/// The bytes that a text of base64 is. What does not belong there is passed over.
fn base64(text: &str) -> Vec<u8> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let sextets = text.bytes().filter_map(|byte| ALPHABET.iter().position(|&other| other == byte));
    let sextets: Vec<_> = sextets.collect();
    let mut bytes = Vec::with_capacity(sextets.len() * 3 / 4);
    for quartet in sextets.chunks(4) {
        let bits = quartet.iter().enumerate().fold(0, |bits, (i, sextet)| bits | sextet << (18 - 6 * i));
        bytes.extend(
            (0..quartet.len() - 1).map(|i| u8::try_from(bits >> (16 - 8 * i) & 0xff).expect("a byte")),
        );
    }
    bytes
}

/// Why a request failed: its status, and what it says.
struct Failure(StatusCode, String);

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (self.0, Json(json!({ "error": self.1 }))).into_response()
    }
}

async fn publish(
    Shared(control): Shared<Control>,
    Json(mut sending): Json<Sending>,
) -> Result<impl IntoResponse, Failure> {
    let args = sending.arguments()?;
    let mut target = sending.target(control.everyone());
    if let Some(key) = sending.key.take() {
        target = target.key(key);
    }
    if let Some(ttl) = sending.ttl {
        target = target.ttl(Duration::from_millis(ttl));
    }
    let receipt = target.publish_args(&sending.event, args).await.map_err(|error| refused(&error))?;
    Ok(Json(json!({ "offset": receipt.offset.get(), "duplicate": receipt.duplicate })))
}

fn refused(error: &PublishError) -> Failure {
    let status = match error {
        PublishError::Refused(Refusal::KeyConflict) => StatusCode::CONFLICT,
        PublishError::Refused(Refusal::Log(_) | Refusal::Full { .. } | Refusal::Busy) => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        _ => StatusCode::BAD_REQUEST,
    };
    Failure(status, error.to_string())
}

async fn emit(
    Shared(control): Shared<Control>,
    Json(mut sending): Json<Sending>,
) -> Result<impl IntoResponse, Failure> {
    let args = sending.arguments()?;
    let target = sending.target(control.everyone());
    let target = if sending.volatile { target.volatile() } else { target };
    match target.emit_args(&sending.event, args) {
        Ok(_) => Ok(Json(json!({}))),
        Err(error) => Err(Failure(StatusCode::BAD_REQUEST, error.to_string())),
    }
}

#[derive(Deserialize)]
struct Question {
    to: String,
    value: String,
    timeout: u64,
}

async fn ask(Shared(control): Shared<Control>, Json(question): Json<Question>) -> impl IntoResponse {
    let asked = control.everyone().to(&question.to).timeout(Duration::from_millis(question.timeout));
    tokio::spawn(async move {
        let answers = asked.request::<Value>("question", &(&question.value,)).await;
        let answered = match answers.map(|answers| answers.answers.into_iter().next()) {
            Ok(Some((_, answer))) => Answered::Answer(answer),
            Ok(None) => Answered::Error("no answer".to_owned()),
            Err(error) => Answered::Error(error.to_string()),
        };
        control.known.answered.lock().await.insert(question.value, answered);
    });
    Json(json!({}))
}

#[derive(Deserialize)]
struct User {
    user: String,
}

async fn revoke(Shared(control): Shared<Control>, Json(User { user }): Json<User>) -> impl IntoResponse {
    control.known.revoked.lock().await.insert(user);
    Json(json!({}))
}

async fn allow(Shared(control): Shared<Control>, Json(User { user }): Json<User>) -> impl IntoResponse {
    control.known.revoked.lock().await.remove(&user);
    Json(json!({}))
}

async fn sockets(Shared(control): Shared<Control>) -> impl IntoResponse {
    let sockets = control.everyone().fetch_sockets();
    Json(sockets.iter().map(|socket| socket.id().to_string()).collect::<Vec<_>>())
}

async fn ran(Shared(control): Shared<Control>) -> impl IntoResponse {
    Json(control.known.ran.lock().await.clone())
}

async fn answered(Shared(control): Shared<Control>) -> impl IntoResponse {
    Json(control.known.answered.lock().await.clone())
}
