//! The chat on namespace `/`: the room's decisions, told to its people by way of the log.

use std::{
    future::ready,
    path::Path,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use futures_util::future::poll_immediate;
use serde::{Deserialize, Serialize};
use tenfour::{
    Auth, Broadcast, BuildError, Durability, HandlerError, HandlerResult, HistoryError, Key, Namespace,
    Recovery, Server, Socket, SocketId, State,
    client::CloseCode,
    delivery::resume::Position,
    native::{Grants, Identity, Rejection},
};
use tokio::sync::{Mutex, Notify};

use crate::room::{self, Line, Refusal, Room};

const NAMESPACE: &str = "/";
/// The room of those who chat, and the event of a line in it: what is published there is the chat.
const CHAT: &str = "chat";
const LINE: &str = "line";
/// However often people come, go and rename themselves, everyone is told at most this often.
const PEOPLE_INTERVAL: Duration = Duration::from_millis(50);
/// Events that are read from the log at a time.
const PAGE: usize = 1_000;
/// When a line that the log did not take may be sent again.
const LATER: Duration = Duration::from_secs(1);

/// What keeps the chat from starting.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    #[error(transparent)]
    Build(#[from] BuildError),
    #[error("what was said before cannot be read: {0}")]
    History(#[from] HistoryError),
}

/// Starts the chat, on a server that also lets in clients of tenfour's own protocol: those that show this token, or everyone if
/// there is none. What is said is kept in the folder, or in memory.
pub(crate) async fn start(
    token: Option<&str>,
    data: Option<&Path>,
    durability: Durability,
) -> Result<Server, StartError> {
    let chat = Arc::new(Chat::new());
    let namespace = Namespace::new(NAMESPACE)
        .recovery(Recovery::default())
        .durability(durability)
        .idempotency(Key::argument(0).only(["say"]))
        .state(Arc::clone(&chat))
        .middleware(admit)
        .on_connect(join)
        .on("say", say)
        .on("history", history)
        .on("rename", rename)
        .on_disconnect(leave);
    let builder = Server::builder().namespace(namespace);
    let builder = match data {
        Some(folder) => builder.data(folder),
        None => builder,
    };
    let server = match token.map(str::to_owned) {
        Some(token) => builder.authenticate(move |shown, _| ready(who(&token, &shown))),
        None => builder.open_to_all(),
    };
    let server = server.build()?;
    let people = server.handle().namespace(NAMESPACE).expect("declared above").to(CHAT);
    chat.floor.lock().await.catch_up(&people).await?;
    tokio::spawn(tell_people(chat, people));
    Ok(server)
}

/// Whoever shows the token may do everything. How long the comparison takes tells nothing of the token but its length.
fn who(token: &str, shown: &[u8]) -> Result<Identity, Rejection> {
    let differ = token.bytes().zip(shown).fold(0, |differ, (own, shown)| differ | (own ^ shown));
    if differ == 0 && token.len() == shown.len() {
        return Ok(Identity::new("bearer of the token", Grants::all()));
    }
    let reason = "the token is another one".into();
    Err(Rejection { code: CloseCode::Unauthorized, retry_after: None, reason })
}

struct Chat {
    floor: Mutex<Floor>,
    people_changed: Notify,
}

/// The room, as far as the log was read.
struct Floor {
    room: Room<SocketId>,
    read: Option<Position>,
}

impl Chat {
    fn new() -> Self {
        Self { floor: Mutex::new(Floor { room: Room::new(), read: None }), people_changed: Notify::new() }
    }
}

impl Floor {
    /// Reads the lines that were committed since it was here last.
    async fn catch_up(&mut self, chat: &Broadcast) -> Result<(), HistoryError> {
        loop {
            let page = chat.history(self.read, PAGE).await?;
            // Whoever may publish to the room may say anything there.
            let lines = page.events.iter().filter(|event| event.event == LINE);
            lines.filter_map(|event| event.args.deserialize(0).ok()).for_each(|line| self.room.keep(line));
            self.read = Some(page.position);
            if !page.more {
                return Ok(());
            }
        }
    }
}

/// What a client says of itself when it connects.
#[derive(Deserialize)]
struct Newcomer {
    name: String,
    /// Whoever shows the same is the same person.
    me: Option<String>,
}

#[derive(Serialize)]
struct Said {
    number: u64,
}

#[derive(Serialize)]
struct Renamed {
    you: String,
}

/// Refuses while the client can still be told why; who is admitted may yet find the room full in [`join`].
async fn admit(State(chat): State<Arc<Chat>>, Auth(newcomer): Auth<Newcomer>) -> Result<(), Refusal> {
    chat.floor.lock().await.room.admit(newcomer.me.as_deref(), &newcomer.name)
}

/// Who comes back is in the room already, for the log; here they may have a new name.
async fn join(
    socket: Socket,
    State(chat): State<Arc<Chat>>,
    Auth(newcomer): Auth<Newcomer>,
) -> HandlerResult {
    let mut floor = chat.floor.lock().await;
    let welcome = floor.room.join(socket.id(), newcomer.me.as_deref(), &newcomer.name, Instant::now())?;
    drop(floor);
    chat.people_changed.notify_one();
    socket.try_emit("welcome", &welcome)?;
    if !socket.recovered() {
        socket.join(CHAT).await?;
    }
    Ok(())
}

/// Answered when the line is committed, and told to everyone by the log. A line that comes too fast waits: its author's next
/// one is not taken before it.
async fn say(
    socket: Socket,
    State(chat): State<Arc<Chat>>,
    key: String,
    text: String,
) -> HandlerResult<Said> {
    let everyone = socket.everyone().to(CHAT);
    let (floor, line) = loop {
        let mut floor = chat.floor.lock().await;
        floor.catch_up(&everyone).await.map_err(later)?;
        match floor.room.say(&socket.id(), &key, &text, since_1970(), Instant::now()) {
            Ok(room::Said::New(line)) => break (floor, line),
            Ok(room::Said::Before(number)) => return Ok(Said { number }),
            Err(Refusal::Pace) => drop(floor),
            Err(refusal) => return Err(refusal.into()),
        }
        tokio::time::sleep(room::PACE).await;
    };
    let mut publishing = pin!(everyone.publish(LINE, &line));
    // It enters the log with its number, and is waited for without the room.
    let entered = poll_immediate(publishing.as_mut()).await;
    drop(floor);
    let receipt = match entered {
        Some(receipt) => receipt,
        None => publishing.await,
    };
    receipt.map_err(later)?;
    Ok(Said { number: line.number })
}

/// The last lines behind a number.
async fn history(socket: Socket, State(chat): State<Arc<Chat>>, after: u64) -> HandlerResult<Vec<Line>> {
    let mut floor = chat.floor.lock().await;
    floor.catch_up(&socket.everyone().to(CHAT)).await.map_err(later)?;
    Ok(floor.room.after(after).into_iter().cloned().collect())
}

/// The log's trouble may pass: a disk that is full is cleared.
fn later(error: impl std::error::Error) -> HandlerError {
    HandlerError::from(error).retry_after(LATER)
}

async fn rename(socket: Socket, State(chat): State<Arc<Chat>>, name: String) -> HandlerResult<Renamed> {
    let you = chat.floor.lock().await.room.rename(&socket.id(), &name, Instant::now())?;
    chat.people_changed.notify_one();
    Ok(Renamed { you })
}

async fn leave(State(chat): State<Arc<Chat>>, socket: Socket) {
    chat.floor.lock().await.room.leave(&socket.id());
    chat.people_changed.notify_one();
}

/// One teller for all changes: many changes at once are one message, and an older list never follows a newer one.
async fn tell_people(chat: Arc<Chat>, people: Broadcast) {
    loop {
        chat.people_changed.notified().await;
        let names = chat.floor.lock().await.room.names();
        if let Err(error) = people.emit("people", &names) {
            tracing::error!(%error, "nobody hears who is here");
        }
        tokio::time::sleep(PEOPLE_INTERVAL).await;
    }
}

fn since_1970() -> u64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
}
