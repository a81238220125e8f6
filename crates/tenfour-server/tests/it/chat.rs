//! The chat's contract with clients of others' making.

use serde_json::{Value, json};
use tenfour::wire::socketio::{EventName, Packet};
use tenfour_testkit::client::{Client, Error, Options};

use crate::server::{ANY_PORT, Server, tenfour};

/// Somebody in the chat.
pub(crate) struct Person {
    pub(crate) client: Client,
    welcome: Value,
    requests: u64,
}

impl Person {
    /// Joins; the first event is the welcome.
    pub(crate) async fn enter(server: &Server, name: &str) -> Self {
        Self::enter_as(server, &json!({ "name": name })).await
    }

    async fn enter_as(server: &Server, auth: &Value) -> Self {
        let auth = auth.to_string();
        let mut client = connect(server, &auth).await.expect("admitted");
        let (event, welcome) = next_event(&mut client).await;
        assert_eq!(event, "welcome", "nothing comes before it");
        Self { client, welcome, requests: 0 }
    }

    /// What the server answers to an event with these arguments, written as JSON without their brackets.
    async fn ask(&mut self, event: &str, arguments: &str) -> Value {
        self.requests += 1;
        let args = self.client.request("/", self.requests, event, arguments).await.expect("an answer");
        args.deserialize_all::<(Value,)>().expect("one value").0
    }

    /// The next event of this name; others are passed over.
    async fn next(&mut self, name: &str) -> Value {
        loop {
            let (event, value) = next_event(&mut self.client).await;
            if event == name {
                return value;
            }
        }
    }

    /// Waits until the list of who is here is this one.
    pub(crate) async fn sees(&mut self, people: &[&str]) {
        while self.next("people").await != json!(people) {}
    }
}

async fn connect(server: &Server, auth: &str) -> Result<Client, Error> {
    let mut client = Client::open(server.address, Options::default()).await?;
    client.connect("/", Some(auth)).await?;
    Ok(client)
}

async fn next_event(client: &mut Client) -> (String, Value) {
    let Packet::Event { name: EventName::Text(name), args, .. } = client.receive().await.expect("an event")
    else {
        panic!("no event with a name");
    };
    (name.to_string(), args.deserialize(0).expect("a value"))
}

#[tokio::test]
async fn a_line_reaches_everyone_under_the_number_that_is_acknowledged() {
    let server = Server::start(&ANY_PORT);
    let mut ada = Person::enter(&server, "Ada").await;
    let mut grace = Person::enter(&server, " Ada ").await;
    assert_eq!(ada.welcome, json!({ "number": 0, "you": "Ada" }));
    assert_eq!(grace.welcome, json!({ "number": 0, "you": "Ada 2" }));
    assert_eq!(grace.ask("rename", r#""Grace""#).await, json!({ "you": "Grace" }));

    for number in 1..=3 {
        let line = format!(r#""key {number}","line {number}""#);
        assert_eq!(grace.ask("say", &line).await, json!({ "number": number }));
        for person in [&mut ada, &mut grace] {
            let line = person.next("line").await;
            let at = line["at"].as_u64().expect("milliseconds since 1970");
            let (id, text) = (format!("key {number}"), format!("line {number}"));
            assert_eq!(line, json!({ "number": number, "id": id, "from": "Grace", "text": text, "at": at }));
        }
    }
}

#[tokio::test]
async fn a_line_whose_key_comes_again_is_told_once_and_answered_alike() {
    let server = Server::start(&ANY_PORT);
    let mut ada = Person::enter(&server, "Ada").await;
    let mut grace = Person::enter(&server, "Grace").await;
    for _ in 0..3 {
        assert_eq!(ada.ask("say", r#""one","hi""#).await, json!({ "number": 1 }));
        assert_eq!(grace.ask("say", r#""one","hi""#).await, json!({ "number": 1 }), "whoever comes with it");
    }
    assert_eq!(ada.ask("say", r#""two","hi""#).await, json!({ "number": 2 }));
    for number in 1..=2 {
        assert_eq!(grace.next("line").await["number"], number);
    }
}

#[tokio::test]
async fn the_last_lines_are_told_to_who_asks() {
    let server = Server::start(&ANY_PORT);
    let mut ada = Person::enter(&server, "Ada").await;
    assert_eq!(ada.ask("history", "0").await, json!([]));
    for number in 1..=3 {
        ada.ask("say", &format!(r#""key {number}","line {number}""#)).await;
    }
    let mut grace = Person::enter(&server, "Grace").await;
    assert_eq!(grace.welcome["number"], 3);
    for after in 0..=3 {
        let lines = grace.ask("history", &after.to_string()).await;
        let numbers: Vec<_> =
            lines.as_array().expect("a list").iter().map(|line| line["number"].clone()).collect();
        assert_eq!(json!(numbers), json!((after + 1..=3).collect::<Vec<_>>()));
    }
}

#[tokio::test]
async fn who_shows_the_same_secret_is_the_same_person() {
    let server = Server::start(&ANY_PORT);
    let mut ada = Person::enter_as(&server, &json!({ "name": "Ada", "me": "secret" })).await;
    let mut tab = Person::enter_as(&server, &json!({ "name": "Ada", "me": "secret" })).await;
    assert_eq!(tab.welcome["you"], "Ada");
    ada.sees(&["Ada"]).await;
    tab.ask("rename", r#""Grace""#).await;
    ada.sees(&["Grace"]).await;
    tab.client.close().await.expect("closed");
    ada.ask("say", r#""one","hi""#).await;
    assert_eq!(ada.next("line").await["from"], "Grace");
}

#[tokio::test]
async fn everyone_knows_who_is_here() {
    let server = Server::start(&ANY_PORT);
    let mut ada = Person::enter(&server, "Ada").await;
    ada.sees(&["Ada"]).await;
    let grace = Person::enter(&server, "Grace").await;
    ada.sees(&["Ada", "Grace"]).await;
    let mut mary = Person::enter(&server, "Mary").await;
    mary.sees(&["Ada", "Grace", "Mary"]).await;
    grace.client.close().await.expect("closed");
    ada.sees(&["Ada", "Mary"]).await;
    mary.ask("rename", r#""Grace""#).await;
    ada.sees(&["Ada", "Grace"]).await;
    mary.client.send_text("41").await.expect("left, and stays connected");
    ada.sees(&["Ada"]).await;
}

#[tokio::test]
async fn who_has_no_valid_name_is_refused_and_told_why() {
    let server = Server::start(&ANY_PORT);
    for (auth, why) in [
        (r#"{"name":""}"#, "a name has 1 to 32 characters"),
        (r#"{"name":"a\u0000b"}"#, "a name has 1 to 32 characters"),
        (&json!({ "name": "é".repeat(33) }).to_string(), "a name has 1 to 32 characters"),
        (r#"{"name":7}"#, "auth: "),
        ("{}", "auth: "),
    ] {
        let Err(Error::Unexpected { got, .. }) = connect(&server, auth).await else {
            panic!("{auth} is admitted");
        };
        assert!(got.contains("ConnectError") && got.contains(why), "{auth}: {got}");
    }
    let mut ada = Person::enter(&server, "Ada").await;
    ada.sees(&["Ada"]).await;
}

#[tokio::test]
async fn what_is_refused_says_why_and_takes_no_number() {
    let server = Server::start(&ANY_PORT);
    let mut ada = Person::enter(&server, "Ada").await;
    let long = format!(r#""key","{}""#, "x".repeat(2_001));
    for (event, arguments, why) in [
        ("say", r#""key","  ""#, "1 to 2000 characters"),
        ("say", &long, "1 to 2000 characters"),
        ("say", "7", "argument 1"),
        ("say", r#""key""#, "argument 2"),
        ("say", r#""key",7"#, "argument 2"),
        ("say", r#""","hi""#, "key"),
        ("history", r#""all""#, "argument 1"),
        ("rename", r#""""#, "1 to 32 characters"),
        ("rename", r#"{"name":"Ada"}"#, "argument 1"),
        ("shout", r#""hi""#, "no handler"),
    ] {
        let answer = ada.ask(event, arguments).await;
        let error = answer["error"].as_str().unwrap_or_else(|| panic!("{event}({arguments}): {answer}"));
        assert!(error.contains(why), "{event}({arguments}): {error}");
    }
    assert_eq!(ada.ask("say", r#""key","hi""#).await, json!({ "number": 1 }));
    assert_eq!(ada.next("line").await["text"], "hi", "nothing of it was told");
}

/// Killed at any moment, what was acknowledged is there, and the count and the keys go on.
#[cfg(unix)]
#[tokio::test]
async fn what_was_said_survives_a_kill_where_there_is_a_folder_for_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().to_str().expect("text");
    let arguments = [&ANY_PORT[..], &["--data", data]].concat();
    let mut server = Server::start(&arguments);
    let mut ada = Person::enter(&server, "Ada").await;
    for number in 1..=3 {
        let line = format!(r#""key {number}","line {number}""#);
        assert_eq!(ada.ask("say", &line).await, json!({ "number": number }));
    }
    let told = ada.ask("history", "0").await;
    server.signal("-KILL");
    server.wait();

    let server = Server::start(&arguments);
    let mut grace = Person::enter(&server, "Grace").await;
    assert_eq!(grace.welcome["number"], 3);
    assert_eq!(grace.ask("history", "0").await, told, "as it was, to the letter");
    assert_eq!(grace.ask("say", r#""key 2","line 2""#).await, json!({ "number": 2 }), "its key is known");
    assert_eq!(grace.ask("say", r#""key 4","line 4""#).await, json!({ "number": 4 }));
    let other = grace.ask("say", r#""key 1","another line""#).await;
    assert!(other["error"].as_str().expect("refused").contains("another message"), "{other}");
    assert_eq!(grace.ask("history", "3").await.as_array().map(Vec::len), Some(1), "nothing is there twice");

    // In memory, all of it is gone.
    let server = Server::start(&ANY_PORT);
    assert_eq!(Person::enter(&server, "Mary").await.welcome["number"], 0);
}

#[test]
fn a_disk_without_a_folder_is_a_clear_error() {
    let output = tenfour(&[&ANY_PORT[..], &["--durability", "disk"]].concat()).output().expect("it runs");
    assert_eq!(output.status.code(), Some(1));
    let message = String::from_utf8(output.stderr).expect("text");
    assert!(message.contains("data"), "{message}");
}

/// Whoever comes in while others talk hears each line behind the number of their welcome, and none before it.
#[tokio::test]
async fn a_newcomer_misses_no_line_behind_their_welcome() {
    const LINES: u64 = 90;
    let server = Server::start(&ANY_PORT);
    let mut ada = Person::enter(&server, "Ada").await;
    let talk = async {
        for number in 1..=LINES {
            let line = format!(r#""key {number}","hi""#);
            assert_eq!(ada.ask("say", &line).await, json!({ "number": number }));
        }
    };
    let arrivals = async {
        let mut newcomers = Vec::new();
        while newcomers.len() < 30 {
            newcomers.push(Person::enter(&server, "Newcomer").await);
        }
        newcomers
    };
    let ((), newcomers) = tokio::join!(talk, arrivals);
    let mut heard = 0;
    for mut newcomer in newcomers {
        let welcomed = newcomer.welcome["number"].as_u64().expect("a number");
        for number in welcomed + 1..=LINES {
            assert_eq!(newcomer.next("line").await["number"], number, "welcomed at {welcomed}");
            heard += 1;
        }
    }
    assert!(heard > 0, "all came when everything had been said");
}
