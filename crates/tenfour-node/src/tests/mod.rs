//! Connections and namespaces together, as a driver would hold them.

extern crate std;

mod connection;
mod dialect;
mod model;
mod namespace;

use crate::*;
use alloc::{format, string::String, sync::Arc, vec, vec::Vec};
use core::{cell::RefCell, time::Duration};
use std::rc::Rc;
use tenfour_broker::{Body, Limits, Message, RequestId, SocketId, Target};
use tenfour_delivery::{id::Id, time::Instant};
use tenfour_session::{
    Frame, Input, WebSocketId,
    engineio::{self, CloseReason, Opening, SendError},
    socketio::{self, ConnectError, Encoded, Encoding},
};
use tenfour_wire::websocket;

const JSON: Dialect = Dialect::SocketIo(Encoding::Json);
const MSGPACK: Dialect = Dialect::SocketIo(Encoding::MessagePack);
const SOCKET: WebSocketId = WebSocketId(0);
const START: Instant = Instant::ZERO;
const SECOND: Duration = Duration::from_secs(1);

fn id(number: u8) -> SocketId {
    SocketId::from_bytes([number; 15])
}

fn body(args: &str, attachments: &[&[u8]]) -> Body {
    let attachments = attachments.iter().map(|data| data.to_vec().into()).collect();
    Body::Json { args: args.into(), attachments }
}

fn nameless(body: Body) -> Message {
    Message { name: None, body }
}

/// A text as it is, bytes in angle brackets.
pub(crate) fn show(frame: &Frame) -> String {
    match frame {
        Frame::Text(text) => String::from_utf8(text.to_vec()).unwrap(),
        Frame::Binary(data) => format!("<{}>", data.escape_ascii()),
        Frame::Pong(_) => "<pong>".into(),
        Frame::Close(_) => "<close>".into(),
        _ => unreachable!(),
    }
}

fn frames(packet: &Encoded) -> Vec<String> {
    packet.frames().iter().map(show).collect()
}

/// A connection on a WebSocket, its handshake taken.
fn connection_with(config: Config) -> Connection {
    let opening = Opening::WebSocket(SOCKET);
    let mut connection = Connection::new(Arc::new(config), Id::from_random([7; 15]), opening, START);
    heard(&mut connection);
    connection
}

fn connection(dialect: Dialect) -> Connection {
    connection_with(Config { dialect, ..Config::default() })
}

/// With a queue that is full once it holds anything.
fn narrow(dialect: Dialect, overflow: Overflow) -> Config {
    let engine = engineio_config(|engine| engine.send_queue_bytes = 1);
    Config { dialect, overflow, session: engine }
}

fn engineio_config(change: impl FnOnce(&mut engineio::Config)) -> Arc<socketio::Config> {
    let mut engine = engineio::Config::default();
    change(&mut engine);
    let mut session = socketio::Config::default();
    session.engine = engine.into();
    session.into()
}

fn say(connection: &mut Connection, text: &str) {
    let message = websocket::Message::Text(text.into());
    connection.handle_input(START, Input::SocketMessage { socket: SOCKET, message });
}

fn heard(connection: &mut Connection) -> Vec<String> {
    core::iter::from_fn(|| connection.poll_frame(SOCKET)).map(|frame| show(&frame)).collect()
}

fn events(connection: &mut Connection) -> Vec<Event> {
    core::iter::from_fn(|| connection.poll_event()).map(|incoming| incoming.event).collect()
}

fn connect(namespace: &str) -> Event {
    Event::Connect { namespace: namespace.into(), auth: None }
}

/// A Socket.IO connection that is in the main namespace.
fn joined_with(config: Config) -> Connection {
    let mut connection = connection_with(config);
    say(&mut connection, "40");
    assert_eq!(events(&mut connection), [connect("/")]);
    assert!(connection.accept("/", "id"));
    assert_eq!(heard(&mut connection), [r#"40{"sid":"id"}"#]);
    connection
}
