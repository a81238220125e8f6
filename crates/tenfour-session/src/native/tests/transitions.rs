//! Every state with every input, as a table whose lines are what comes out and the state that follows.

use super::{
    super::*,
    support::{NOW, message, names, reliable, subscription, to_bytes, token, welcome_frame, welcomed},
};
use alloc::{format, string::String, vec::Vec};
use core::time::Duration;
use tenfour_delivery::{number::Generation, time::Instant};
use tenfour_wire::native::{self as wire, CloseCode, Frame, Outcome, Reliable, Target};

const TRANSPORTS: [Transport; 2] = [Transport::Stream, Transport::Datagram { mtu: 1200 }];

fn hello(versions: (u32, u32), resume: Option<wire::Resume>) -> Frame {
    Frame::Hello(wire::Hello {
        min_version: versions.0,
        max_version: versions.1,
        features: 0,
        max_frame_bytes: 1 << 20,
        namespace: "/".into(),
        credentials: Default::default(),
        credit: wire::Credit { messages: 256, bytes: 1 << 20 },
        resume,
        fields: Vec::new(),
    })
}

/// What a peer may say, with a name for the table.
fn frames() -> Vec<(&'static str, Frame)> {
    let resume = wire::Resume { token: token(), generation: 0, next: 0, first_held: 0 };
    let exact = Outcome::Exact { next: 0, first_held: 0 };
    let close = wire::Close { code: CloseCode::Conflict, reason: "".into() };
    let reject = wire::Reject { code: CloseCode::Unauthorized, retry_after_ms: None, reason: "".into() };
    let ack = |next| Frame::Ack(wire::Ack { next, ranges: Vec::new(), processed: Vec::new() });
    let emit = wire::Emit { number: Some(0), target: Target::Peer, message: message("e") };
    let ping = |next| Frame::Ping(wire::Ping { nonce: 1, next, heads: Vec::new() });
    let request = || Reliable::Request(wire::Request { request: 0, message: message("?") });
    Vec::from([
        ("HELLO", hello((1, 1), None)),
        ("HELLO, resuming", hello((1, 1), Some(resume))),
        ("HELLO of later versions", hello((2, 3), None)),
        ("WELCOME fresh", welcome_frame(Outcome::Fresh)),
        ("WELCOME exact", welcome_frame(exact)),
        ("REJECT", Frame::Reject(reject)),
        ("CLOSE", Frame::Close(close)),
        ("GOAWAY", Frame::GoAway(wire::GoAway { drain_ms: 1, jitter_ms: 1 })),
        ("PING", ping(0)),
        ("PING beyond what came", ping(9)),
        ("PONG", Frame::Pong(wire::Pong { nonce: 1 })),
        ("ACK", ack(0)),
        ("ACK from the future", ack(9)),
        ("CREDIT", Frame::Credit(wire::Credit { messages: 9, bytes: 9 })),
        ("EMIT", Frame::Emit(emit)),
        ("EXTENSION", Frame::Unknown { kind: 2, body: Default::default() }),
        ("REQUEST 0", reliable(0, request())),
        ("REQUEST 1", reliable(1, request())),
        ("REQUEST 999", reliable(999, request())),
        ("REQUEST without a number", Frame::Reliable { sequence: None, body: request() }),
        (
            "SUBSCRIBE",
            reliable(
                0,
                Reliable::Subscribe(wire::Subscribe {
                    request: 0,
                    channel: "c".into(),
                    start: wire::Start::Live,
                }),
            ),
        ),
        (
            "SUBSCRIBED",
            reliable(
                0,
                Reliable::Subscribed(wire::Subscribed {
                    request: 0,
                    outcome: Ok(translate::subscription_to_wire(subscription())),
                }),
            ),
        ),
        ("VOID", reliable(0, Reliable::Void { charge: 0 })),
    ])
}

/// What is not a frame: inputs of the transport, time, and calls of the application.
const OTHERS: [&str; 8] =
    ["garbage", "blocked", "transport ends", "deadline", "close", "take_journal", "send", "emit"];

/// A side of a connection, with what the table looks at.
trait Subject: Clone {
    fn input(&mut self, input: Input);
    fn other(&mut self, other: &str, now: Instant);
    fn out(&mut self, now: Instant) -> (Vec<String>, Vec<String>);
    fn state(&self) -> String;
    fn deadline(&self) -> Option<Instant>;
}

macro_rules! subject {
    ($session:ty) => {
        fn input(&mut self, input: Input) {
            self.handle_input(NOW, input);
        }

        fn out(&mut self, now: Instant) -> (Vec<String>, Vec<String>) {
            let name =
                |event| String::from(format!("{event:?}").split([' ', '{']).next().unwrap_or_default());
            let events = core::iter::from_fn(|| self.poll_event()).map(name).collect();
            (names(core::iter::from_fn(|| self.poll_transmit(now))), events)
        }

        fn state(&self) -> String {
            let state = format!("{:?}", self.link.state);
            let name = String::from(state.split(' ').next().unwrap_or_default());
            if self.is_finished() { name + ", finished" } else { name }
        }

        fn deadline(&self) -> Option<Instant> {
            self.poll_timeout()
        }
    };
}

impl Subject for ClientSession {
    subject!(ClientSession);

    fn other(&mut self, other: &str, now: Instant) {
        match other {
            "deadline" => self.handle_timeout(now),
            "close" => self.close(NOW, CloseCode::Normal),
            "take_journal" => _ = self.take_journal(),
            "send" => _ = self.request(NOW, message("?")),
            "emit" => _ = self.emit(Target::Peer, &support::shared("e")),
            other => self.input(support::input(other)),
        }
    }
}

impl Subject for ServerSession {
    subject!(ServerSession);

    fn other(&mut self, other: &str, now: Instant) {
        match other {
            "deadline" => self.handle_timeout(now),
            "close" => self.close(NOW, CloseCode::GoingAway),
            "take_journal" => _ = self.take_journal(),
            "send" => _ = self.request(NOW, message("?")),
            "emit" => _ = self.emit(Target::Peer, &support::shared("e")),
            "welcome()" => self.welcome(NOW, &welcomed(Beginning::Fresh)),
            "resume()" => {
                let journal = support::journal();
                _ = self.resume(NOW, journal, token(), Generation::new(1));
            }
            "reject()" => self.reject(NOW, support::rejection()),
            other => self.input(support::input(other)),
        }
    }
}

use super::support;

/// A line for each input in each state.
fn table<S: Subject>(states: &[S], more: &[&str]) -> String {
    let mut table = String::new();
    for (number, state) in states.iter().enumerate() {
        table += &format!("{number}: {}\n", state.state());
        for (name, frame) in frames() {
            let mut subject = state.clone();
            subject.input(Input::Bytes(to_bytes(&frame)));
            table += &line(name, &mut subject, NOW);
        }
        for other in OTHERS.iter().chain(more) {
            let mut subject = state.clone();
            let now = if *other == "deadline" { subject.deadline().unwrap_or(NOW) } else { NOW };
            subject.other(other, now);
            table += &line(other, &mut subject, now);
        }
    }
    table
}

fn line(name: &str, subject: &mut impl Subject, now: Instant) -> String {
    let (sent, events) = subject.out(now);
    let sent = if sent.is_empty() { String::from("-") } else { sent.join(" ") };
    let events = if events.is_empty() { String::from("-") } else { events.join(" ") };
    format!("  {name:26} {sent:28} {events:28} {}\n", subject.state())
}

/// The states of a session that nothing is left to do for, but for what its state says.
fn drained<S: Subject>(mut subject: S) -> S {
    subject.out(NOW);
    subject
}

fn client_states(transport: Transport) -> Vec<ClientSession> {
    let greeting = support::client(transport);
    let mut open = greeting.clone();
    open.input(Input::Bytes(to_bytes(&welcome_frame(Outcome::Fresh))));
    let mut closing = open.clone();
    closing.out(NOW);
    closing.input(Input::WriteBlocked);
    closing.close(NOW, CloseCode::Normal);
    let mut closed = open.clone();
    closed.input(Input::Closed);
    Vec::from([greeting, open, closing, closed].map(drained))
}

fn server_states(transport: Transport) -> Vec<ServerSession> {
    let greeting = support::server(transport);
    let mut deciding = greeting.clone();
    deciding.input(Input::Bytes(to_bytes(&frames()[0].1)));
    let mut claimed = greeting.clone();
    claimed.input(Input::Bytes(to_bytes(&frames()[1].1)));
    let mut open = deciding.clone();
    open.welcome(NOW, &welcomed(Beginning::Fresh));
    let mut closing = open.clone();
    closing.out(NOW);
    closing.input(Input::WriteBlocked);
    closing.close(NOW, CloseCode::GoingAway);
    let mut closed = open.clone();
    closed.input(Input::Closed);
    Vec::from([greeting, deciding, claimed, open, closing, closed].map(drained))
}

#[test]
fn of_a_client() {
    for (name, transport) in ["stream", "datagram"].into_iter().zip(TRANSPORTS) {
        insta::assert_snapshot!(format!("client_{name}"), table(&client_states(transport), &[]));
    }
}

#[test]
fn of_a_server() {
    let calls = ["welcome()", "resume()", "reject()"];
    for (name, transport) in ["stream", "datagram"].into_iter().zip(TRANSPORTS) {
        insta::assert_snapshot!(format!("server_{name}"), table(&server_states(transport), &calls));
    }
}

#[test]
fn a_deadline_that_is_met_changes_the_state_or_the_deadline() {
    for transport in TRANSPORTS {
        for state in client_states(transport) {
            is_met(state);
        }
        for state in server_states(transport) {
            is_met(state);
        }
    }
}

fn is_met<S: Subject>(mut subject: S) {
    let mut now = NOW;
    for _ in 0..20 {
        let Some(deadline) = subject.deadline() else { return };
        assert!(deadline > now, "the deadline {deadline} is met at {now} already");
        let early = Instant::from_micros(deadline.as_micros() - 1);
        subject.other("deadline", early);
        assert_eq!(subject.deadline(), Some(deadline), "a call before the deadline does nothing");
        now = deadline;
        subject.other("deadline", now);
        subject.out(now);
    }
    assert!(now - NOW >= Duration::from_secs(1), "twenty deadlines within a second");
}
