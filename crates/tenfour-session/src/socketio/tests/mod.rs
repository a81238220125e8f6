//! Socket.IO connections under a driver that keeps their contract to the letter.

extern crate std;

mod arbitrary;
mod end;
mod inbound;
mod invalid;
mod msgpack;
mod namespaces;
mod timeouts;

use super::*;
use crate::{
    Input,
    driver::*,
    engineio::{self, CloseReason, SendError},
};
use alloc::{format, string::String, vec, vec::Vec};
use core::time::Duration;
use tenfour_delivery::time::Instant;
use tenfour_wire::{
    Limits,
    socketio::{AckId, Args, EventName},
};

type Session = Driver<ServerSession>;

fn session_with(config: Config) -> Session {
    let mut session = Session::socketio(config);
    session.heard(FIRST);
    session
}

/// A connection that is in no namespace yet.
fn session() -> Session {
    session_with(Config::default())
}

/// A connection that is in the main namespace.
fn joined_with(config: Config) -> Session {
    let mut session = session_with(config);
    session.text(FIRST, "40");
    session.admit("/");
    assert_eq!(session.heard(FIRST), [r#"40{"sid":"id"}"#]);
    session
}

fn joined() -> Session {
    joined_with(Config::default())
}

fn config(engine: impl FnOnce(&mut engineio::Config)) -> Config {
    let mut config = engineio::Config::default();
    engine(&mut config);
    Config { engine: config.into(), ..Config::default() }
}

fn args(json: &str, attachments: &[&[u8]]) -> Args {
    let attachments = attachments.iter().map(|data| data.to_vec().into()).collect();
    Args::from_parts(json.into(), attachments, &Limits::default()).unwrap()
}

fn event_in(namespace: &str, name: &str, json: &str) -> Event {
    let name = EventName::Text(name.into());
    Event::Event { namespace: namespace.into(), id: None, name, args: args(json, &[]) }
}

fn event(name: &str, json: &str) -> Event {
    event_in("/", name, json)
}

fn ack(id: u64, json: &str) -> Event {
    Event::Ack { namespace: "/".into(), id: AckId::new(id), args: args(json, &[]) }
}

fn connect(namespace: &str) -> Event {
    Event::Connect { namespace: namespace.into(), auth: None }
}

fn disconnect(namespace: &str) -> Event {
    Event::Disconnect { namespace: namespace.into() }
}

/// An event on its way to the client.
fn outgoing(name: &str, json: &str) -> Encoded {
    Encoded::event(Encoding::Json, "/", None, &EventName::Text(name.into()), &args(json, &[]))
}

fn assert_lives(session: &mut Session) {
    session.events();
    session.heard(FIRST);
    session.text(FIRST, r#"42["up"]"#);
    assert_eq!(session.events(), [event("up", "")]);
    session.call(|session, _| session.send(&outgoing("down", ""))).unwrap();
    assert_eq!(session.heard(FIRST), [r#"42["down"]"#]);
}

/// The last thing that came was a fault of the client.
fn assert_faulted(session: &mut Session, what: &str) {
    assert_eq!(session.events(), [Event::Closed(CloseReason::ParseError)], "{what}");
    assert_eq!(session.heard(FIRST), ["<close>"], "{what}");
    assert!(session.session.is_finished(), "{what}");
}

const SECOND: Duration = Duration::from_secs(1);
const MICROSECOND: Duration = Duration::from_micros(1);

/// One idle connection is little more than this: whoever makes it larger should know.
#[test]
fn an_idle_session_is_small() {
    assert!(size_of::<engineio::ServerSession>() <= 240, "{}", size_of::<engineio::ServerSession>());
    assert!(size_of::<ServerSession>() <= 392, "{}", size_of::<ServerSession>());
}
