//! Every state of a client in a namespace with every input, as a table whose lines are what comes out and the state that
//! follows.

extern crate std;

use super::*;
use crate::{driver::*, socketio::Encoding};
use alloc::{string::String, vec::Vec};
use core::time::Duration;
use tenfour_wire::socketio::DEFAULT_NAMESPACE;

type Session = Driver<ServerSession>;

fn joined() -> Session {
    let mut session = connecting();
    session.call(|session, _| session.accept("/", "id"));
    session
}

fn fresh() -> Session {
    let ping_interval = Duration::from_secs(1000);
    let engine = engineio::Config { ping_interval, ..engineio::Config::default() }.into();
    Session::socketio(Config { engine, ..Config::default() })
}

fn connecting() -> Session {
    let mut session = fresh();
    session.text(FIRST, "40");
    session
}

fn after(mut session: Session, text: &str) -> Session {
    session.text(FIRST, text);
    session
}

fn calling(mut session: Session, call: impl FnOnce(&mut ServerSession, Instant)) -> Session {
    session.call(call);
    session
}

fn starts() -> Vec<Session> {
    Vec::from([
        fresh(),
        connecting(),
        after(connecting(), "41"),
        joined(),
        after(joined(), "41"),
        after(joined(), r#"451-["x",{"_placeholder":true,"num":0}]"#),
        calling(joined(), |session, _| _ = session.disconnect("/")),
        calling(connecting(), |session, _| session.refuse("/", &ConnectError::new("no"))),
        calling(joined(), |session, now| session.close(now, CloseReason::ServerClose)),
    ])
}

const INPUTS: [&str; 18] = [
    "40",
    "41",
    r#"42["x"]"#,
    r#"427["x"]"#,
    "42",
    "437[]",
    "44",
    r#"451-["x",{"_placeholder":true,"num":0}]"#,
    "binary",
    "4",
    "socket lost",
    "timeout",
    "accept",
    "refuse",
    "disconnect",
    "send",
    "close",
    "abort",
];

fn enter(session: &mut Session, input: &str) {
    match input {
        "binary" => session.binary(FIRST, &[1]),
        "socket lost" => session.input(Input::SocketClosed { socket: FIRST }),
        "timeout" => {
            let due = session.session.poll_timeout().map_or(Duration::ZERO, |due| due - session.now);
            session.pass(due);
        }
        "accept" => _ = session.call(|session, _| session.accept("/", "id")),
        "refuse" => session.call(|session, _| session.refuse("/", &ConnectError::new("no"))),
        "disconnect" => _ = session.call(|session, _| session.disconnect("/")),
        "send" => {
            let name = EventName::Text("down".into());
            let packet = Encoded::event(Encoding::Json, "/", None, &name, &Args::empty());
            _ = session.call(|session, _| session.send(&packet));
        }
        "close" => session.call(|session, now| session.close(now, CloseReason::Shutdown)),
        "abort" => session.call(|session, _| session.abort(CloseReason::SlowConsumer)),
        text => session.text(FIRST, text),
    }
}

fn outcome(session: &mut Session) -> String {
    let mut out = session.heard(FIRST);
    out.extend(session.events().into_iter().map(|event| match event {
        Event::Connect { .. } => "event Connect".into(),
        Event::Event { id: None, .. } => "event Event".into(),
        Event::Event { id: Some(id), .. } => format!("event Event {id}"),
        Event::Ack { id, .. } => format!("event Ack {id}"),
        Event::Disconnect { .. } => "event Disconnect".into(),
        Event::Closed(reason) => format!("event {reason}"),
    }));
    out.join("; ")
}

fn state(session: &ServerSession) -> String {
    let member = session.namespaces.iter().find(|member| member.namespace == DEFAULT_NAMESPACE);
    let member = member.map_or("(absent)".into(), |member| format!("{:?}", member.state));
    let pending = if session.decoder.is_pending() { " + attachments due" } else { "" };
    let due = if session.connect_by.is_some() { " + first join due" } else { "" };
    match session.engine.is_open() {
        true => format!("{member}{pending}{due}"),
        false => "(over)".into(),
    }
}

#[test]
fn every_state_with_every_input() {
    let mut table = String::new();
    for place in 0..starts().len() {
        let mut ignored = Vec::new();
        table += &format!("{}\n", state(&starts()[place].session));
        for input in INPUTS {
            let mut session = starts().swap_remove(place);
            outcome(&mut session);
            let before = format!("{:?}", session.session);
            enter(&mut session, input);
            let (out, after) = (outcome(&mut session), state(&session.session));
            if out.is_empty() && format!("{:?}", session.session) == before {
                ignored.push(input);
            } else {
                table += format!("  {input:40} {out:36} → {after}").trim_end();
                table += "\n";
            }
        }
        table += &format!("  ignored: {}\n\n", ignored.join(", "));
    }
    insta::assert_snapshot!(table);
}
