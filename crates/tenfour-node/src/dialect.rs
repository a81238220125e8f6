//! What a broker's message looks like in each dialect.

use alloc::{
    format,
    string::{String, ToString},
    vec,
    vec::Vec,
};
use bytes::{BufMut, BytesMut};
use bytestring::ByteString;
use tenfour_broker::{Body, Message, RequestId};
use tenfour_delivery::{
    loss::{Count, Lost, Reason},
    mutant,
    number::Offset,
};
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

/// What a message is sent as, which shows at its end: a stock Socket.IO client takes the last element of an event's array for
/// its position in the log if it is a string, be it the event's name, and shows it when it comes back.
///
/// Engine.IO has no positions and no answers: there, each of them is the message alone, and a request runs into its deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind<'a> {
    /// At most once, where nobody is recovered: the message as it is.
    Plain,
    /// At most once, where clients are recovered: one that would end in a string ends in `null`.
    Uncommitted,
    /// An entry of the log: it ends in this [cursor](crate::cursor).
    Committed(&'a str),
    /// It asks for an answer; what a stock client takes for its last element is then the function that answers.
    Request(RequestId),
}

/// Writes a message for a dialect.
///
/// ```
/// use tenfour_node::{Dialect, Kind, broker::{Body, Message}, render_message, session::{Frame, socketio::Encoding}};
///
/// let message = Message::new("chat", Body::json(r#"{"text":"hello"}"#));
/// let packet = render_message(Dialect::SocketIo(Encoding::Json), "/lobby", &message, Kind::Plain);
/// assert_eq!(packet.frames(), [Frame::Text(r#"42/lobby,["chat",{"text":"hello"}]"#.into())]);
/// let packet = render_message(Dialect::SocketIo(Encoding::Json), "/", &message, Kind::Committed("AAAAAAE"));
/// assert_eq!(packet.frames(), [Frame::Text(r#"42["chat",{"text":"hello"},"AAAAAAE"]"#.into())]);
/// let packet = render_message(Dialect::EngineIo, "/", &message, Kind::Plain);
/// assert_eq!(packet.frames(), [Frame::Text(r#"4["chat",{"text":"hello"}]"#.into())]);
/// ```
#[must_use]
pub fn render_message(dialect: Dialect, namespace: &str, message: &Message, kind: Kind<'_>) -> Encoded {
    match dialect {
        Dialect::SocketIo(encoding) => {
            // A stock client takes an event with such a name for what happens to its connection.
            let name = message.name.clone().filter(|name| !EventName::is_reserved(name)).unwrap_or(NAMELESS);
            let (id, args) = match kind {
                Kind::Plain => (None, to_args(&message.body)),
                Kind::Uncommitted => (None, not_ending_in_a_string(to_args(&message.body))),
                Kind::Committed(cursor) => (None, with_last(to_args(&message.body), &json_string(cursor))),
                Kind::Request(request) => (Some(AckId::new(request.get())), to_args(&message.body)),
            };
            Encoded::event(encoding, namespace, id, &EventName::Text(name), &args)
        }
        Dialect::EngineIo => render_plain(message),
    }
}

/// The name of the event that tells a client what it will not get.
pub const LOST: ByteString = ByteString::from_static("tenfour:lost");

/// What tells a client of a loss, at the loss's place in the order: an event [`LOST`] whose argument is an object,
///
/// | member | |
/// |---|---|
/// | `after`, `through` | the range of offsets in which messages were lost, `after` not among them; `through` is `null` where nobody knows the end |
/// | `count` | how many were lost |
/// | `exact` | whether it is exactly so many, or at least |
/// | `reason` | `retention`, `ttl`, `slow_consumer`, `rate_limit`, `conflated`, `epoch_reset`, `unsubscribed` or `unknown` |
///
/// ```
/// use tenfour_delivery::{loss::{Count, Lost, OffsetRange, Reason}, number::Offset};
/// use tenfour_node::{LOST, broker::Body, lost_message};
///
/// let range = OffsetRange { after: Offset::new(3), through: Offset::new(9) };
/// let message = lost_message(&Lost { range, count: Count::AtLeast(2), reason: Reason::Ttl });
/// assert_eq!(message.name, Some(LOST));
/// let told = r#"{"after":3,"through":9,"count":2,"exact":false,"reason":"ttl"}"#;
/// assert_eq!(message.body, Body::json(told));
/// ```
#[must_use]
pub fn lost_message(lost: &Lost) -> Message {
    let Lost { range, count, reason } = lost;
    let through = Some(range.through).filter(|through| *through != Offset::END);
    let through = through.map_or_else(|| "null".into(), |through| through.to_string());
    let exact = matches!(count, Count::Exact(_));
    let told = format!(
        r#"{{"after":{},"through":{through},"count":{},"exact":{exact},"reason":"{}"}}"#,
        range.after,
        count.at_least(),
        reason_name(*reason),
    );
    Message::new(LOST, Body::json(told))
}

/// What a reason is called on the wire. One that only a later version has is unknown to this one.
fn reason_name(reason: Reason) -> &'static str {
    match reason {
        Reason::Retention => "retention",
        Reason::Ttl => "ttl",
        Reason::SlowConsumer => "slow_consumer",
        Reason::RateLimit => "rate_limit",
        Reason::Conflated => "conflated",
        Reason::EpochReset => "epoch_reset",
        Reason::Unsubscribed => "unsubscribed",
        _ => "unknown",
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

/// The message with one more argument, a text.
pub(crate) fn with_text(message: &Message, text: &str) -> Message {
    let body = from_args(with_last(to_args(&message.body), &json_string(text)));
    Message { name: message.name.clone(), body }
}

/// Without arguments, what the event ends in is its name.
fn not_ending_in_a_string(args: Args) -> Args {
    let last = args.json().trim_end().bytes().next_back();
    let needs_more = last.is_none_or(|last| last == b'"') && !mutant!(UncommittedEndsInString);
    if needs_more { with_last(args, "null") } else { args }
}

/// The arguments, and behind them one more, a JSON text.
fn with_last(args: Args, last: &str) -> Args {
    let (json, attachments) = args.into_parts();
    let json = match &*json {
        "" => last.into(),
        json => [json, ",", last].concat().into(),
    };
    Args::from_validated(json, attachments)
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
