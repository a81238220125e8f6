//! The chat on namespace `/`: the room's decisions, told to its people.

use std::{
    future::ready,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};
use tenfour::{
    Ack, Auth, Broadcast, BuildError, HandlerResult, Namespace, Server, Socket, SocketId, State,
    client::CloseCode,
    native::{Grants, Identity, Rejection},
};
use tokio::sync::{Mutex, Notify};

use crate::room::{self, Line, Refusal, Room};

const NAMESPACE: &str = "/";
/// The sockets that were welcomed: nobody gets a line before their welcome.
const WELCOMED: &str = "welcomed";
/// However often people come, go and rename themselves, everyone is told at most this often.
const PEOPLE_INTERVAL: Duration = Duration::from_millis(50);

/// Starts the chat, on a server that also lets in clients of tenfour's own protocol: those that show this token, or everyone if
/// there is none.
pub(crate) fn start(token: Option<&str>) -> Result<Server, BuildError> {
    let chat = Arc::new(Chat::new());
    let namespace = Namespace::new(NAMESPACE)
        .state(Arc::clone(&chat))
        .middleware(admit)
        .on_connect(join)
        .on("say", say)
        .on("history", history)
        .on("rename", rename)
        .on_disconnect(leave);
    let builder = Server::builder().namespace(namespace);
    let server = match token.map(str::to_owned) {
        Some(token) => builder.authenticate(move |shown, _| ready(who(&token, &shown))),
        None => builder.open_to_all(),
    };
    let server = server.build()?;
    let everyone = server.handle().namespace(NAMESPACE).expect("declared above");
    tokio::spawn(tell_people(chat, everyone.to(WELCOMED)));
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
    /// Held while a decision is told, so that everyone hears of decisions in their order. Hence nothing is awaited under
    /// it that a client can delay.
    room: Mutex<Room<SocketId>>,
    people_changed: Notify,
}

impl Chat {
    fn new() -> Self {
        Self { room: Mutex::new(Room::new([])), people_changed: Notify::new() }
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
    chat.room.lock().await.admit(newcomer.me.as_deref(), &newcomer.name)
}

async fn join(
    socket: Socket,
    State(chat): State<Arc<Chat>>,
    Auth(newcomer): Auth<Newcomer>,
) -> HandlerResult {
    let mut room = chat.room.lock().await;
    let welcome = room.join(socket.id(), newcomer.me.as_deref(), &newcomer.name, Instant::now())?;
    chat.people_changed.notify_one();
    socket.try_emit("welcome", &welcome)?;
    socket.join(WELCOMED).await?;
    Ok(())
}

/// A line that comes too fast waits: its author's next one is not taken before it.
async fn say(
    socket: Socket,
    State(chat): State<Arc<Chat>>,
    key: String,
    text: String,
) -> HandlerResult<Said> {
    loop {
        let mut room = chat.room.lock().await;
        match room.say(&socket.id(), &key, &text, since_1970(), Instant::now()) {
            Ok(room::Said::New(line)) => {
                let number = line.number;
                socket.everyone().to(WELCOMED).emit("line", &line)?;
                room.keep(line);
                return Ok(Said { number });
            }
            Ok(room::Said::Before(number)) => return Ok(Said { number }),
            Err(Refusal::Pace) => drop(room),
            Err(refusal) => return Err(refusal.into()),
        }
        tokio::time::sleep(room::PACE).await;
    }
}

/// The last lines behind a number.
async fn history(State(chat): State<Arc<Chat>>, after: u64) -> Ack<Vec<Line>> {
    Ack(chat.room.lock().await.after(after).into_iter().cloned().collect())
}

async fn rename(socket: Socket, State(chat): State<Arc<Chat>>, name: String) -> HandlerResult<Renamed> {
    let you = chat.room.lock().await.rename(&socket.id(), &name, Instant::now())?;
    chat.people_changed.notify_one();
    Ok(Renamed { you })
}

async fn leave(State(chat): State<Arc<Chat>>, socket: Socket) {
    chat.room.lock().await.leave(&socket.id());
    chat.people_changed.notify_one();
}

/// One teller for all changes: many changes at once are one message, and an older list never follows a newer one.
async fn tell_people(chat: Arc<Chat>, welcomed: Broadcast) {
    loop {
        chat.people_changed.notified().await;
        let names = chat.room.lock().await.names();
        if let Err(error) = welcomed.emit("people", &names) {
            tracing::error!(%error, "nobody hears who is here");
        }
        tokio::time::sleep(PEOPLE_INTERVAL).await;
    }
}

fn since_1970() -> u64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
}
