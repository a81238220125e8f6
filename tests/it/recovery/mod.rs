//! Clients that come back, over real sockets: what they were owed, once and in order.

mod catch_up;
mod encodings;
mod requests;
mod restart;
mod sessions;

use crate::server::{TestServer, soon};
use tenfour::{
    HandlerResult, Namespace, Recovery, Socket,
    wire::{json, socketio::Packet},
};
use tenfour_testkit::client::{Client, Error};

/// A client that behaves as the stock one does: it keeps the pid that it was told and the last string that an event ended in, and
/// shows both when it comes back.
#[derive(Default)]
struct Returning {
    pid: Option<String>,
    offset: Option<String>,
    /// Members of `auth` beside these two, each with a comma behind it.
    auth: String,
    client: Option<Client>,
}

/// What a client is told when it is let in.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Welcome {
    sid: String,
    pid: String,
    /// As the stock client finds it out.
    recovered: bool,
}

impl Returning {
    async fn connected(server: &TestServer) -> (Self, Welcome) {
        let mut client = Self::default();
        let welcome = client.connect(server).await.unwrap();
        (client, welcome)
    }

    /// Connects, over a new connection, to the namespace `/`.
    async fn connect(&mut self, server: &TestServer) -> Result<Welcome, Error> {
        let member = |name: &str, value: &Option<String>| {
            value.as_ref().map(|value| format!("\"{name}\":\"{value}\",")).unwrap_or_default()
        };
        let auth = format!(
            "{{{}}}",
            format!("{}{}{}", self.auth, member("pid", &self.pid), member("offset", &self.offset))
                .trim_end_matches(',')
        );
        let mut client = server.open().await;
        let welcome = client.connect("/", Some(&auth)).await?;
        self.client = Some(client);
        let told = |name: &str| {
            let member = json::members(&welcome).unwrap().find(|member| member.name == format!("\"{name}\""));
            member.map(|member| member.value.trim_matches('"').to_owned())
        };
        let welcome = Welcome {
            sid: told("sid").expect("an id"),
            pid: told("pid").expect("a pid"),
            recovered: told("pid") == self.pid,
        };
        self.pid = Some(welcome.pid.clone());
        Ok(welcome)
    }

    /// The connection is gone, without a word.
    fn cut(&mut self) {
        self.client = None;
    }

    /// The next event: its name, and its arguments without the last one, if that is a string and so taken for the offset.
    async fn event(&mut self) -> String {
        let packet = soon("an event", self.client.as_mut().expect("connected").receive()).await.unwrap();
        let Packet::Event { name, args, .. } = packet else { panic!("no event: {packet:?}") };
        let mut elements: Vec<String> = args.iter().map(str::to_owned).collect();
        if let Some(last) = elements.pop_if(|last| last.starts_with('"')) {
            self.offset = Some(last.trim_matches('"').to_owned());
        }
        format!("{} {}", name.as_str(), elements.join(","))
    }

    async fn expect_events(&mut self, expected: impl IntoIterator<Item = String>) {
        for expected in expected {
            assert_eq!(self.event().await, expected);
        }
    }

    /// Asserts that nothing is on the way: what the server answers to a packet of the client comes next.
    async fn expect_silence(&mut self) {
        let client = self.client.as_mut().expect("connected");
        client.send_text("420[\"ping\"]").await.unwrap();
        client.expect_text("430[]").await.unwrap();
    }
}

/// The numbers of these events.
fn numbers(range: std::ops::RangeInclusive<u32>) -> impl Iterator<Item = String> {
    range.map(|number| format!("number {number}"))
}

/// Publishes numbered events to the room `news`.
async fn publish(server: &TestServer, range: std::ops::RangeInclusive<u32>) {
    for number in range {
        let publish = server.handle.publish("/", "news", "number", &number);
        soon("a commit", publish).await.unwrap();
    }
}

/// A namespace whose clients are recovered, and are all in the room `news`.
fn news() -> Namespace {
    Namespace::new("/")
        .recovery(Recovery::default())
        .on_connect(async |socket: Socket| -> HandlerResult {
            if !socket.recovered() {
                socket.join("news").await?;
            }
            Ok(())
        })
        .on("ping", async || {})
}
