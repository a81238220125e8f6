//! Engine.IO sessions under a driver that keeps their contract to the letter.

extern crate std;

mod admission;
mod arbitrary;
mod close;
mod heartbeat;
mod polling;
mod queue;
mod upgrade;
mod websocket;

use super::*;
use crate::{Input, PostContent, Response, driver::*};
use alloc::{format, string::String, vec, vec::Vec};
use core::time::Duration;
use tenfour_delivery::time::Instant;

type Session = Driver<ServerSession>;

const GONE: &str = r#"{"code":1,"message":"Session ID unknown"}"#;
const BAD: &str = r#"{"code":3,"message":"Bad request"}"#;

fn ok() -> (u16, String) {
    (200, "ok".into())
}

fn answer(status: u16, body: &str) -> (u16, String) {
    (status, body.into())
}

/// The texts of the messages that came, and nothing else may have.
fn texts(session: &mut Session) -> Vec<String> {
    let texts = session.events().into_iter().map(|event| match event {
        Event::Message(Message::Text(text)) => String::from(&*text),
        other => panic!("{other:?}"),
    });
    texts.collect()
}

fn closed(reason: CloseReason) -> Vec<Event> {
    vec![Event::Closed(reason)]
}

fn said(text: &str) -> Event {
    Event::Message(Message::Text(text.into()))
}

/// The session is gone for polls and posts.
fn assert_gone(session: &mut Session) {
    assert_eq!(session.poll(), answer(400, GONE));
    assert_eq!(session.post("4late"), answer(400, GONE));
    assert!(session.session.is_finished());
}

/// The session still takes messages in either direction by polling.
fn assert_polling_lives(session: &mut Session) {
    session.events();
    session.send("down").unwrap();
    assert_eq!(session.poll(), answer(200, "4down"));
    assert_eq!(session.post("4up"), ok());
    assert_eq!(texts(session), ["up"]);
    assert_eq!(session.session.transport(), TransportKind::Polling);
}

fn assert_websocket_lives(session: &mut Session, socket: crate::WebSocketId) {
    session.events();
    session.heard(socket);
    session.send("down").unwrap();
    assert_eq!(session.heard(socket), ["4down"]);
    session.text(socket, "4up");
    assert_eq!(texts(session), ["up"]);
    assert_eq!(session.session.transport(), TransportKind::WebSocket);
}

const SECOND: Duration = Duration::from_secs(1);
const MICROSECOND: Duration = Duration::from_micros(1);
