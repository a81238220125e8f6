//! A client of Socket.IO as it is shipped, and the application on it.
//!
//! What it remembers of a session is what the shipped one does: the pid of its last admission, and the last element of any event's array
//! that it handled, if that is a string. It shows both when it comes back, calls itself recovered if it is told the same pid, and keeps
//! events that come before it is let in until it is. Told to go, or refused, it does not come back by itself.

use std::collections::{BTreeMap, VecDeque};

use bytes::{Bytes, BytesMut};
use bytestring::ByteString;
use tenfour_delivery::loss::{Count, Reason};
use tenfour_wire::{
    Limits, json,
    socketio::{AckId, Args, Decoder, EventName, Packet, encode_event},
};

use super::{ChannelId, ConnectionId, MessageId, client::channel_name, letter::Letter};

/// The events that a client sends, and the server's handlers answer.
pub(crate) const PUBLISH: &str = "publish";
pub(crate) const PUBLISH_ONCE: &str = "publish once";
pub(crate) const EMIT: &str = "emit";
pub(crate) const JOIN: &str = "join";
pub(crate) const LEAVE: &str = "leave";
/// The event that tells of a loss.
const LOST: &str = "tenfour:lost";

/// How many publications with a key wait at most.
const PATIENCE: usize = 20;

/// A client's process. It has no disk.
#[derive(Debug)]
pub(crate) struct Stock {
    connected: Option<Connected>,
    memory: Memory,
    next_ack: u64,
    unanswered: BTreeMap<u64, Waiting>,
    /// What is published with a key, one after the other: the first is on its way.
    outbox: VecDeque<(MessageId, ChannelId)>,
    outgoing: VecDeque<Bytes>,
}

/// What it knows of its session.
#[derive(Clone, Debug, Default)]
struct Memory {
    pid: Option<ByteString>,
    offset: Option<ByteString>,
}

#[derive(Debug)]
struct Connected {
    connection: ConnectionId,
    decoder: Decoder,
    is_in: bool,
    /// What came before it was let in.
    early: Vec<(ByteString, ByteString)>,
}

/// What is to be answered.
#[derive(Clone, Copy, Debug)]
enum Waiting {
    Publication(MessageId),
    Keyed(MessageId),
    Room,
}

/// What a stock client learns.
#[derive(Clone, Debug)]
pub(crate) enum Told {
    /// It asks to be let in, with what it knows.
    Asks {
        pid: Option<ByteString>,
        offset: Option<ByteString>,
    },
    In {
        pid: Option<ByteString>,
        recovered: bool,
    },
    /// It is not let in, and had got so many entries by then, or is sent away.
    Stopped {
        early: usize,
    },
    Entry {
        message: MessageId,
        /// The text that the event ends in.
        cursor: Option<ByteString>,
    },
    Lost {
        after: u64,
        through: u64,
        count: Count,
        reason: Reason,
    },
    Heard(MessageId),
    Acked(MessageId, u64, u64),
    Rejected(MessageId),
    /// Nobody will ever say what became of it.
    Forgotten(MessageId),
}

impl Stock {
    pub(crate) fn new() -> Self {
        Self {
            connected: None,
            memory: Memory::default(),
            next_ack: 0,
            unanswered: BTreeMap::new(),
            outbox: VecDeque::new(),
            outgoing: VecDeque::new(),
        }
    }

    /// Another tab, which knows what this one knows of its session.
    pub(crate) fn copy(&self) -> Self {
        Self { memory: self.memory.clone(), ..Self::new() }
    }

    pub(crate) fn is_of_the_session_of(&self, other: &Self) -> bool {
        self.memory.pid == other.memory.pid
    }

    pub(crate) fn connection(&self) -> Option<ConnectionId> {
        self.connected.as_ref().map(|connected| connected.connection)
    }

    pub(crate) fn is_in(&self) -> bool {
        self.connected.as_ref().is_some_and(|connected| connected.is_in)
    }

    pub(crate) fn is_settled(&self) -> bool {
        self.is_in() && self.unanswered.is_empty() && self.outbox.is_empty()
    }

    pub(crate) fn connect(&mut self, connection: ConnectionId) {
        let decoder = Decoder::new(Limits::default());
        self.connected = Some(Connected { connection, decoder, is_in: false, early: Vec::new() });
    }

    /// What was asked on a connection is not answered on another one. What has a key is asked again.
    pub(crate) fn disconnect(&mut self) -> Vec<Told> {
        self.connected = None;
        self.outgoing.clear();
        let unanswered = core::mem::take(&mut self.unanswered).into_values();
        unanswered
            .filter_map(|waiting| match waiting {
                Waiting::Publication(message) => Some(Told::Forgotten(message)),
                Waiting::Keyed(_) | Waiting::Room => None,
            })
            .collect()
    }

    /// The process dies, and another one begins that knows nothing.
    pub(crate) fn crash(&mut self) -> Vec<Told> {
        let mut told = self.disconnect();
        told.extend(self.outbox.iter().map(|(message, _)| Told::Forgotten(*message)));
        let next_ack = self.next_ack;
        *self = Self { next_ack, ..Self::new() };
        told
    }

    /// Publishes: once, if it is in, or with a key until it is answered. `false` where it does not.
    pub(crate) fn say(&mut self, message: MessageId, channel: ChannelId, is_keyed: bool) -> bool {
        match is_keyed {
            true if self.outbox.len() < PATIENCE => {
                self.outbox.push_back((message, channel));
                self.send();
                true
            }
            false if self.is_in() => {
                let letter = Letter::Publication(message).args();
                let args = format!("\"{}\",{letter}", channel_name(channel));
                self.ask(PUBLISH, Waiting::Publication(message), &args);
                true
            }
            _ => false,
        }
    }

    pub(crate) fn emit(&mut self, message: MessageId, channel: ChannelId) -> bool {
        self.is_in() && {
            let args = format!("\"{}\",{}", channel_name(channel), Letter::Emit(message).args());
            self.event(EMIT, None, &args);
            true
        }
    }

    /// Asks to be in a room, or not to be, one change at a time.
    pub(crate) fn change_room(&mut self, verb: &'static str, channel: ChannelId) {
        let is_waiting = self.unanswered.values().any(|waiting| matches!(waiting, Waiting::Room));
        if self.is_in() && !is_waiting {
            self.ask(verb, Waiting::Room, &format!("\"{}\"", channel_name(channel)));
        }
    }

    /// Leaves the namespace for good, as `socket.disconnect()` does.
    pub(crate) fn leave(&mut self) {
        self.outgoing.push_back(Bytes::from_static(b"41"));
    }

    pub(crate) fn poll_transmit(&mut self) -> Option<Bytes> {
        self.outgoing.pop_front()
    }

    pub(crate) fn receive(&mut self, text: Bytes) -> Vec<Told> {
        let (Ok(text), Some(connected)) = (ByteString::try_from(text), self.connected.as_mut()) else {
            return Vec::new();
        };
        match text.as_bytes().first() {
            Some(b'0') => return vec![self.ask_in()],
            Some(b'2') => self.outgoing.push_back(Bytes::from_static(b"3")),
            Some(b'4') => {
                if let Ok(Some(packet)) = connected.decoder.decode_text(text.slice_ref(&text[1..])) {
                    return self.packet(packet);
                }
            }
            _ => {}
        }
        Vec::new()
    }

    fn ask_in(&mut self) -> Told {
        let Memory { pid, offset } = self.memory.clone();
        let auth = match (&pid, &offset) {
            (Some(pid), Some(offset)) => format!(r#"{{"pid":"{pid}","offset":"{offset}"}}"#),
            (Some(pid), None) => format!(r#"{{"pid":"{pid}"}}"#),
            _ => String::new(),
        };
        self.outgoing.push_back(Bytes::from(format!("40{auth}")));
        Told::Asks { pid, offset }
    }

    fn packet(&mut self, packet: Packet) -> Vec<Told> {
        match packet {
            Packet::Connect { data, .. } => self.let_in(data.as_deref().unwrap_or_default()),
            Packet::Event { id: None, name, args, .. } => {
                let (name, args) = (name.as_str().into(), args.json().clone());
                match self.connected.as_mut() {
                    Some(connected) if !connected.is_in => connected.early.push((name, args)),
                    _ => return self.handle(&name, &args).into_iter().collect(),
                }
                Vec::new()
            }
            Packet::Ack { id, args, .. } => self.answered(id, args.json()).into_iter().collect(),
            Packet::Disconnect { .. } | Packet::ConnectError { .. } => {
                let early = self.connected.as_ref().map_or(0, |connected| connected.early.len());
                vec![Told::Stopped { early }]
            }
            _ => Vec::new(),
        }
    }

    fn let_in(&mut self, data: &str) -> Vec<Told> {
        let Some(connected) = &mut self.connected else { return Vec::new() };
        connected.is_in = true;
        let early = core::mem::take(&mut connected.early);
        let pid = member(data, "pid").and_then(text);
        let recovered = pid.is_some() && pid == self.memory.pid;
        self.memory.pid.clone_from(&pid);
        let mut told = vec![Told::In { pid, recovered }];
        told.extend(early.iter().filter_map(|(name, args)| self.handle(name, args)));
        self.send();
        told
    }

    /// The application's handler, and then what the shipped client takes for its offset.
    fn handle(&mut self, name: &str, args: &str) -> Option<Told> {
        let last = last_element(args);
        let told = match name {
            LOST => lost(args),
            _ => {
                let args = last.as_ref().map_or(args, |(before, _)| before);
                match Letter::read_parts(name, args) {
                    Some(Letter::Publication(message)) => {
                        let cursor = last.as_ref().and_then(|(_, offset)| offset.clone());
                        Some(Told::Entry { message, cursor })
                    }
                    Some(Letter::Emit(message)) => Some(Told::Heard(message)),
                    // No message has this number, so the judge sees that it is none.
                    _ => Some(Told::Entry { message: MessageId::MAX, cursor: None }),
                }
            }
        };
        let offset = match last {
            Some((_, offset)) => offset,
            None => args.rsplit_once(',').and_then(|(_, last)| text(last)),
        };
        if self.memory.pid.is_some() && offset.is_some() {
            self.memory.offset = offset;
        }
        told
    }

    fn answered(&mut self, id: AckId, args: &str) -> Option<Told> {
        let place = args.split_once(',');
        let place = place.and_then(|(epoch, offset)| Some((epoch.parse().ok()?, offset.parse().ok()?)));
        match (self.unanswered.remove(&id.get())?, place) {
            (Waiting::Publication(message), Some((epoch, offset))) => {
                Some(Told::Acked(message, epoch, offset))
            }
            (Waiting::Publication(message), None) => Some(Told::Rejected(message)),
            (Waiting::Keyed(message), Some((epoch, offset))) => {
                self.outbox.retain(|(other, _)| *other != message);
                self.send();
                Some(Told::Acked(message, epoch, offset))
            }
            // It was not taken, and is asked again by whoever next has a reason to.
            (Waiting::Keyed(_) | Waiting::Room, _) => None,
        }
    }

    /// Sends the first of the outbox, if it is not on its way.
    pub(crate) fn send(&mut self) {
        let is_waiting = self.unanswered.values().any(|waiting| matches!(waiting, Waiting::Keyed(_)));
        let Some(&(message, channel)) = self.outbox.front().filter(|_| self.is_in() && !is_waiting) else {
            return;
        };
        let letter = Letter::Publication(message).args();
        let args = format!("\"k{message}\",\"{}\",{letter}", channel_name(channel));
        self.ask(PUBLISH_ONCE, Waiting::Keyed(message), &args);
    }

    fn ask(&mut self, name: &'static str, waiting: Waiting, args: &str) {
        self.next_ack += 1;
        self.unanswered.insert(self.next_ack, waiting);
        self.event(name, Some(AckId::new(self.next_ack)), args);
    }

    fn event(&mut self, name: &'static str, ack: Option<AckId>, args: &str) {
        let args = Args::from_validated(args.into(), Vec::new());
        let mut packet = BytesMut::from(&b"4"[..]);
        encode_event(&mut packet, "/", ack, &EventName::Text(ByteString::from_static(name)), &args);
        self.outgoing.push_back(packet.freeze());
    }
}

/// What a letter's arguments end in beyond the letter: `null`, or a text. `None` where nothing follows.
fn last_element(args: &str) -> Option<(&str, Option<ByteString>)> {
    let (before, last) = args.rsplit_once(',')?;
    // A letter has two elements; what tells of a loss has one, an object.
    let follows = before.contains(',') && !last.ends_with('}');
    follows.then(|| (before, text(last)))
}

fn lost(args: &str) -> Option<Told> {
    let through = member(args, "through").and_then(|through| through.parse().ok());
    let count = member(args, "count")?.parse().ok()?;
    let reason = match member(args, "reason").and_then(text)?.as_ref() {
        "retention" => Reason::Retention,
        "ttl" => Reason::Ttl,
        "slow_consumer" => Reason::SlowConsumer,
        "conflated" => Reason::Conflated,
        "epoch_reset" => Reason::EpochReset,
        _ => Reason::Unknown,
    };
    Some(Told::Lost {
        after: member(args, "after")?.parse().ok()?,
        through: through.unwrap_or(u64::MAX),
        count: if member(args, "exact")? == "true" { Count::Exact(count) } else { Count::AtLeast(count) },
        reason,
    })
}

/// The JSON text of a member of the object that a text begins with.
fn member<'a>(object: &'a str, name: &str) -> Option<&'a str> {
    let found = json::members(object)?.find(|member| member.name.trim_matches('"') == name);
    found.map(|member| member.value)
}

/// What a JSON string says that needs no escapes.
fn text(json: &str) -> Option<ByteString> {
    json.strip_prefix('"')?.strip_suffix('"').map(ByteString::from)
}
