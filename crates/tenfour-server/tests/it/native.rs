//! `tenfour publish` and `tenfour subscribe`, as a shell runs them.

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead, BufReader, Read, Write},
    path::Path,
    process::{Child, Command, Output, Stdio},
    thread,
    time::Duration,
};

use serde_json::{Value, json};

use crate::server::{ANY_PORT, Server, tenfour};

/// A client's command against a server.
fn command(server: &Server, arguments: &[&str]) -> Command {
    let mut command = tenfour(arguments);
    command.args(["--url", &server.native]);
    command
}

fn run(server: &Server, arguments: &[&str], input: impl AsRef<[u8]>) -> Output {
    let mut child = command(server, arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    child.stdin.take().expect("piped").write_all(input.as_ref()).expect("it reads");
    child.wait_with_output().expect("it ends")
}

fn succeeded(output: &Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{errors}");
    String::from_utf8(output.stdout.clone()).expect("text")
}

fn lines(server: &Server, arguments: &[&str]) -> Vec<String> {
    succeeded(&run(server, arguments, "")).lines().map(str::to_owned).collect()
}

#[test]
fn lines_are_published_in_order_and_printed_by_whoever_subscribes() {
    let server = Server::start(&ANY_PORT);
    let input: String = (0..500).map(|number| format!("line {number}\n")).collect();
    let receipts = succeeded(&run(&server, &["publish", "news", "--receipts"], &input));
    let offsets: Vec<u64> = receipts
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON")["offset"].as_u64().expect("an offset"))
        .collect();
    assert!(offsets.len() == 500 && offsets.is_sorted_by(|a, b| a < b), "{offsets:?}");
    succeeded(&run(&server, &["publish", "news", "the last one"], ""));

    let printed = lines(&server, &["subscribe", "news", "--from", "earliest", "--count", "501"]);
    assert_eq!(printed[499..], ["line 499", "the last one"]);
    assert!(printed[..500].iter().enumerate().all(|(number, line)| *line == format!("line {number}")));
}

#[test]
fn a_subscriber_with_a_cursor_file_goes_on_where_it_was() {
    let server = Server::start(&ANY_PORT);
    let folder = tempfile::tempdir().expect("a folder");
    let cursors = folder.path().join("cursors");
    let cursors = cursors.to_str().expect("text");
    succeeded(&run(&server, &["publish", "news"], "a\nb\nc\nd\ne\n"));
    let subscribe = |count| {
        lines(&server, &["subscribe", "news", "--from", "cursor", "--cursor-file", cursors, "--count", count])
    };
    assert_eq!(subscribe("2"), ["a", "b"]);
    assert_eq!(subscribe("1"), ["c"]);
    assert_eq!(subscribe("2"), ["d", "e"]);
}

#[test]
fn events_in_json_are_printed_in_json() {
    let server = Server::start(&ANY_PORT);
    succeeded(&run(&server, &["publish", "news", r#"{"a":[1,"two"]}"#, "--json", "--event", "said"], ""));
    succeeded(&run(&server, &["publish", "news", "plain"], ""));
    let printed = lines(&server, &["subscribe", "news", "--from", "earliest", "--json", "--count", "2"]);
    let printed: Vec<Value> = printed.iter().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(printed[0]["name"], "said");
    assert_eq!(printed[0]["json"], json!([{ "a": [1, "two"] }]));
    assert_eq!((&printed[1]["event"], &printed[1]["text"]), (&json!("message"), &json!("plain")));
}

#[test]
fn errors_say_what_to_do() {
    let server = Server::start(&[&ANY_PORT[..], &["--token", "secret"]].concat());
    let fails = |arguments: &[&str], code: i32, words: &[&str]| {
        let output = run(&server, arguments, "");
        let errors = String::from_utf8(output.stderr).expect("text");
        assert_eq!(output.status.code(), Some(code), "{errors}");
        for word in words {
            assert!(errors.contains(word), "no {word:?} in {errors}");
        }
        assert!(!errors.contains("panicked"), "{errors}");
    };
    fails(&["publish", "news", "hi"], 1, &["Unauthorized", "--token"]);
    fails(&["publish", "news", "hi", "--token", "secreT"], 1, &["Unauthorized"]);
    fails(&["publish", "news", "hi", "--token", "secret", "--namespace", "/nope"], 1, &["--namespace"]);
    fails(&["publish", "news", "{", "--json", "--token", "secret"], 1, &["JSON"]);
    fails(&["subscribe"], 2, &["<CHANNELS>"]);
    let channel = "x".repeat(300);
    fails(&["subscribe", &channel, "--token", "secret"], 1, &["1 to 255 bytes"]);

    let nobody = tenfour(&["publish", "news", "hi", "--url", "tcp://127.0.0.1:9", "--timeout", "1"]).output();
    let errors = String::from_utf8(nobody.expect("it runs").stderr).expect("text");
    assert!(errors.contains("tcp://127.0.0.1:9") && errors.contains("tenfour serve"), "{errors}");
    let no_url = tenfour(&["publish", "news", "hi", "--url", "http://localhost"]).output().expect("it runs");
    assert!(String::from_utf8_lossy(&no_url.stderr).contains("tcp://"));
    let http = format!("tcp://{}", server.address);
    let other = tenfour(&["publish", "news", "hi", "--url", &http]).output().expect("it runs");
    assert!(String::from_utf8_lossy(&other.stderr).contains("ws://"));
}

#[test]
fn a_line_that_is_no_text_is_told_and_nothing_before_it_is_lost() {
    let server = Server::start(&ANY_PORT);
    let output = run(&server, &["publish", "news"], b"one\n\xff\nthree\n");
    let errors = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.contains("UTF-8"), "{errors}");
    assert_eq!(lines(&server, &["subscribe", "news", "--from", "earliest", "--count", "1"]), ["one"]);
}

#[test]
fn with_a_certificate_it_speaks_tls() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, content: &str| {
        let path = folder.path().join(name);
        fs::write(&path, content).expect("written");
        path.to_str().expect("text").to_owned()
    };
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let (certificate, key) = (file("cert", &own.cert.pem()), file("key", &own.signing_key.serialize_pem()));
    let server = Server::start(&[&ANY_PORT[..], &["--tls-cert", &certificate, "--tls-key", &key]].concat());
    let url = server.native.replace("127.0.0.1", "localhost");
    assert!(url.starts_with("tls://"), "{url}");
    let output = tenfour(&["publish", "news", "hi", "--url", &url, "--ca", &certificate]).output();
    succeeded(&output.expect("it runs"));
}

/// How many lines the one who crashes is to publish. It is a counted few thousand per second in debug builds.
const LINES: usize = 3_000;

/// A process that publishes the lines that its outbox has not accepted yet, and how many that had accepted before.
fn publisher(server: &Server, outbox: &Path) -> (Child, usize) {
    let mut child = command(server, &["publish", "news", "--outbox", outbox.to_str().expect("text")])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let mut errors = BufReader::new(child.stderr.take().expect("piped"));
    let mut line = String::new();
    errors.read_line(&mut line).expect("a line");
    let accepted = line.strip_prefix("outbox: ").and_then(|line| line.split(' ').next()).expect("a count");
    let accepted = accepted.parse().unwrap_or_else(|_| panic!("{line}"));
    thread::spawn(move || errors.read_to_string(&mut String::new()));
    let mut stdin = child.stdin.take().expect("piped");
    thread::spawn(move || {
        for number in accepted..LINES {
            // It is killed sooner or later.
            if writeln!(stdin, "{number}").is_err() {
                return;
            }
        }
    });
    (child, accepted)
}

/// Whoever crashes goes on behind the last line that its outbox has: each line is published once, and in order.
#[test]
fn a_publisher_with_an_outbox_may_be_killed_at_any_time() {
    let server = Server::start(&ANY_PORT);
    let folder = tempfile::tempdir().expect("a folder");
    let outbox = folder.path().join("outbox");
    let mut seen = BTreeSet::new();
    for kill in 0..8_u64 {
        let (mut child, accepted) = publisher(&server, &outbox);
        seen.insert(accepted);
        // Later each time, so that some are killed on the way and some while they commit.
        thread::sleep(Duration::from_millis(20 + 30 * kill));
        child.kill().expect("killed");
        child.wait().expect("it ends");
    }
    assert!(seen.len() > 3, "they were all killed before they published anything: {seen:?}");
    let (mut child, _) = publisher(&server, &outbox);
    assert_eq!(child.wait().expect("it ends").code(), Some(0));

    let count = LINES.to_string();
    let printed = lines(&server, &["subscribe", "news", "--from", "earliest", "--count", &count]);
    for (number, line) in printed.iter().enumerate() {
        assert_eq!(*line, number.to_string());
    }
}
