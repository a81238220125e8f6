//! What a broker's message looks like in each dialect.

use alloc::{format, string::String, vec, vec::Vec};
use bytes::{BufMut, BytesMut};
use bytestring::ByteString;
use tenfour_broker::{Body, Message, RequestId};
use tenfour_session::{
    Frame,
    socketio::{Encoded, Encoding},
};
use tenfour_wire::{
    json,
    socketio::{AckId, Args, EventName},
};

/// What a connection speaks.
///
/// | message | Socket.IO | Engine.IO |
/// |---|---|---|
/// | named, JSON | the event with its arguments | a text, `["name",…]`, then a binary message for each attachment |
/// | named, text or binary | the event with one argument | a text, `["name","text"]`; for binary as above |
/// | nameless, JSON | the event `message` | a text, `[…]`, then the attachments |
/// | nameless, text or binary | the event `message` with one argument | the text or the bytes |
/// | named as Socket.IO names what happens to a connection, such as `disconnect` | as if it were nameless | as any other |
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Dialect {
    /// Socket.IO v5: namespaces, named events, acknowledgements.
    SocketIo(Encoding),
    /// Engine.IO v4 alone: texts and bytes, in one namespace `/`, without acknowledgements.
    EngineIo,
}

/// Writes a message for a dialect; with `request`, one that asks for an answer. A dialect without answers sends the
/// message alone, and the request runs into its deadline.
///
/// ```
/// use tenfour_node::{Dialect, broker::{Body, Message}, render_message, session::{Frame, socketio::Encoding}};
///
/// let message = Message::new("chat", Body::json(r#"{"text":"hello"}"#));
/// let packet = render_message(Dialect::SocketIo(Encoding::Json), "/lobby", &message, None);
/// assert_eq!(packet.frames(), [Frame::Text(r#"42/lobby,["chat",{"text":"hello"}]"#.into())]);
/// let packet = render_message(Dialect::EngineIo, "/", &message, None);
/// assert_eq!(packet.frames(), [Frame::Text(r#"4["chat",{"text":"hello"}]"#.into())]);
/// ```
#[must_use]
pub fn render_message(
    dialect: Dialect,
    namespace: &str,
    message: &Message,
    request: Option<RequestId>,
) -> Encoded {
    match dialect {
        Dialect::SocketIo(encoding) => {
            // A stock client takes an event with such a name for what happens to its connection.
            let name = message.name.clone().filter(|name| !EventName::is_reserved(name)).unwrap_or(NAMELESS);
            let id = request.map(|request| AckId::new(request.get()));
            Encoded::event(encoding, namespace, id, &EventName::Text(name), &to_args(&message.body))
        }
        Dialect::EngineIo => render_plain(message),
    }
}

/// Writes an answer for a dialect; `None` for one that has no answers.
#[must_use]
pub fn render_reply(dialect: Dialect, namespace: &str, to: AckId, body: &Body) -> Option<Encoded> {
    match dialect {
        Dialect::SocketIo(encoding) => Some(Encoded::ack(encoding, namespace, to, &to_args(body))),
        Dialect::EngineIo => None,
    }
}

/// What Socket.IO calls a message that was sent without a name.
const NAMELESS: ByteString = ByteString::from_static("message");

fn to_args(body: &Body) -> Args {
    match body {
        Body::Text(text) => Args::from_validated(json_string(text).into(), Vec::new()),
        Body::Binary(data) => Args::from_validated(PLACEHOLDER, vec![data.clone()]),
        Body::Json { args, attachments } => Args::from_validated(args.clone(), attachments.clone()),
    }
}

const PLACEHOLDER: ByteString = ByteString::from_static(r#"{"_placeholder":true,"num":0}"#);

fn render_plain(message: &Message) -> Encoded {
    let frames = match (&message.name, &message.body) {
        (None, Body::Text(text)) => vec![text_frame(text)],
        (None, Body::Binary(data)) => vec![Frame::Binary(data.clone())],
        (name, body) => {
            let args = to_args(body);
            let elements = match name {
                Some(name) if args.is_empty() => json_string(name),
                Some(name) => format!("{},{}", json_string(name), args.json()),
                None => String::from(&**args.json()),
            };
            let text = text_frame(&format!("[{elements}]"));
            core::iter::once(text).chain(args.attachments().iter().cloned().map(Frame::Binary)).collect()
        }
    };
    Encoded::from(frames)
}

/// A text frame is an Engine.IO message packet: the digit `4`, then the text.
fn text_frame(text: &str) -> Frame {
    let mut packet = BytesMut::with_capacity(text.len() + 1);
    packet.put_u8(b'4');
    packet.put_slice(text.as_bytes());
    Frame::Text(packet.freeze())
}

fn json_string(text: &str) -> String {
    let mut json = BytesMut::with_capacity(text.len() + 2);
    json::encode_string(text, &mut json);
    String::from_utf8(json.into()).expect("made of a text")
}

/// The body of an event's or an acknowledgement's arguments.
pub(crate) fn from_args(args: Args) -> Body {
    let (args, attachments) = args.into_parts();
    Body::Json { args, attachments }
}

/// The name of an event as the broker knows it.
pub(crate) fn from_name(name: EventName) -> ByteString {
    match name {
        EventName::Text(text) | EventName::Number(text) => text,
    }
}
