//! An application on the native protocol, with its disk.

mod disk;
mod producer;
mod subscriber;

use core::time::Duration;
use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;
use bytestring::ByteString;
use tenfour_delivery::{number::Sequence, time::Instant};
use tenfour_session::native::{
    ClientEvent, ClientJournal, ClientSession, Closed, Config, Cost, Hello, Input, Resumption, Transmit,
    Transport,
};
use tenfour_wire::native::{CloseCode, SharedMessage, Target};

pub(crate) use self::disk::{LastWrite, NextLife};
use self::{disk::Disk, producer::RETRY_AFTER};
use super::{
    ChannelId, ClientId, ConnectionId, Fact, Left, MessageId, ProtocolFault, Start, letter::Letter,
    link::Kind,
};

/// A client's process, and the disk that outlives it.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Client {
    pub(crate) id: ClientId,
    pub(crate) kind: Kind,
    /// Which of its processes this is: what was meant for an earlier one does not concern it.
    pub(crate) life: u32,
    /// Where it begins in each channel that it has no cursor of; `None` where it does not subscribe.
    wishes: Vec<Option<Start>>,
    disk: Disk,
    /// What is being written, and was not on the disk before.
    writing: Option<Disk>,
    memory: Disk,
    /// Whether anything was changed since the last write began.
    dirty: bool,
    /// How many of the outbox are on the disk, or on their way there and back.
    saved: usize,
    /// What was handed over, and the application is not done with.
    reading: VecDeque<Cost>,
    /// When what was refused is published again.
    pub(crate) retry_at: Option<Instant>,
    /// The server does not know any more what this producer has published: it begins a new life, once of everything else it is
    /// known whether it is in the log.
    begins_anew: bool,
    forged: Vec<(MessageId, Sequence)>,
    connected: Option<Connected>,
    /// The connection on which it learned the token that it has.
    knows: Option<ConnectionId>,
    /// How long it waits next time.
    patience: Duration,
    /// In which epoch of the log its last publication was acknowledged.
    acked_in: u64,
    /// Channels that it has left, and was not told so yet.
    leaving: u64,
    /// What is left of the last connection's session.
    journal: Option<ClientJournal>,
    next_request: u32,
}

#[derive(Clone, Debug, Hash)]
struct Connected {
    connection: ConnectionId,
    session: Box<ClientSession>,
    is_welcome: bool,
}

impl Client {
    pub(crate) fn new(id: ClientId, kind: Kind, wishes: Vec<Option<Start>>) -> Self {
        let cursors = vec![None; wishes.len()];
        Self {
            id,
            kind,
            life: 0,
            wishes,
            disk: Disk { cursors: cursors.clone(), ..Disk::default() },
            writing: None,
            memory: Disk { cursors, ..Disk::default() },
            dirty: false,
            saved: 0,
            reading: VecDeque::new(),
            retry_at: None,
            begins_anew: false,
            forged: Vec::new(),
            connected: None,
            knows: None,
            patience: RETRY_AFTER,
            acked_in: 0,
            leaving: 0,
            journal: None,
            next_request: 0,
        }
    }

    pub(crate) fn connection(&self) -> Option<ConnectionId> {
        self.connected.as_ref().map(|connected| connected.connection)
    }

    pub(crate) fn is_welcome(&self) -> bool {
        self.connected.as_ref().is_some_and(|connected| connected.is_welcome)
    }

    /// Whether it has a session that it may go on with.
    pub(crate) fn claims(&self) -> bool {
        self.journal.as_ref().is_some_and(ClientJournal::is_resumable)
    }

    pub(crate) fn knows(&self) -> Option<ConnectionId> {
        self.knows.filter(|_| self.claims())
    }

    /// Whether it waits for nothing.
    pub(crate) fn is_settled(&self) -> bool {
        self.memory.outbox.is_empty()
            && self.forged.is_empty()
            && self.is_welcome()
            && self.reading.is_empty()
    }

    /// Begins a connection, with the session of the one before if there is one to go on with.
    pub(crate) fn connect(&mut self, now: Instant, connection: ConnectionId, config: &Arc<Config>) {
        let transport = transport(self.kind);
        let hello = hello(self.id);
        let session =
            Box::new(ClientSession::new(config.clone(), transport, hello, self.journal.take(), now));
        self.connected = Some(Connected { connection, session, is_welcome: false });
    }

    /// Lets go of a connection that may be well, to begin another one.
    pub(crate) fn drop_connection(&mut self) {
        if let Some(mut connected) = self.connected.take() {
            self.journal = connected.session.take_journal();
        }
    }

    pub(crate) fn handle_input(
        &mut self,
        now: Instant,
        input: Input,
        left: Option<Left>,
        facts: &mut Vec<Fact>,
    ) {
        if let Some(connected) = &mut self.connected {
            connected.session.handle_input(now, input);
            self.drive(now, left, facts);
        }
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant, facts: &mut Vec<Fact>) {
        if let Some(connected) = &mut self.connected {
            connected.session.handle_timeout(now);
            self.drive(now, None, facts);
        }
        if self.retry_at.is_some_and(|at| now.has_reached(at)) {
            self.retry_at = None;
            self.send(now);
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let session = self.connected.as_ref().and_then(|connected| connected.session.poll_timeout());
        match (session, self.retry_at) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        }
    }

    pub(crate) fn poll_transmit(&mut self, now: Instant) -> Option<Transmit> {
        self.connected.as_mut()?.session.poll_transmit(now)
    }

    /// Sends something at most once; `false` where it cannot.
    pub(crate) fn emit(&mut self, message: MessageId, channel: ChannelId) -> bool {
        let Some(connected) = self.connected.as_mut().filter(|connected| connected.is_welcome) else {
            return false;
        };
        connected
            .session
            .emit(Target::Name(channel_name(channel)), &SharedMessage::new(&Letter::Emit(message).write()))
    }

    /// Asks the server's application.
    pub(crate) fn request(&mut self, now: Instant) {
        let Some(connected) = self.connected.as_mut().filter(|connected| connected.is_welcome) else {
            return;
        };
        let letter = Letter::Request(self.next_request);
        if connected.session.request(now, letter.write()).is_ok() {
            self.next_request += 1;
        }
    }

    fn drive(&mut self, now: Instant, left: Option<Left>, facts: &mut Vec<Fact>) {
        while let Some(connected) = &mut self.connected {
            let Some(event) = connected.session.poll_event() else { return };
            let connection = connected.connection;
            self.reading.extend(Some(event.cost()).filter(|cost| *cost != Cost::default()));
            match event {
                ClientEvent::Welcomed(welcome) => {
                    connected.is_welcome = true;
                    self.knows = Some(connection);
                    let resumed = welcome.resumption == Resumption::Exact;
                    facts.push(Fact::Welcomed { connection, resumed, within: None });
                    if !resumed {
                        self.forget_session(facts);
                    }
                    if welcome.resumption == Resumption::Fresh {
                        self.begin(now);
                    }
                    self.send(now);
                }
                ClientEvent::Rejected(_) => facts.push(Fact::Refused { connection }),
                ClientEvent::Published { publish, result } => self.published(now, publish, result, facts),
                ClientEvent::Writable => self.send(now),
                ClientEvent::Closed(closed) => self.closed(closed, facts),
                other => self.read(connection, other, left, facts),
            }
        }
    }

    /// What was sent and not answered will not be, and what was read is not counted any more. Numbers begin anew, so this
    /// comes before anything is sent.
    fn forget_session(&mut self, facts: &mut Vec<Fact>) {
        self.unsend();
        self.reading.clear();
        facts.extend(self.forged.drain(..).map(|(message, _)| Fact::Forgotten { message }));
    }

    /// A session that is gone for good is not asked for again.
    fn closed(&mut self, closed: Closed, facts: &mut Vec<Fact>) {
        let Some(mut connected) = self.connected.take() else { return };
        let connection = connected.connection;
        let fault = match closed {
            Closed::Fault(CloseCode::BrokenChain) => Some(ProtocolFault::BrokenChain),
            Closed::Fault(CloseCode::SequenceGap) => Some(ProtocolFault::SequenceGap),
            Closed::Fault(code) if code.is_final() => Some(ProtocolFault::Other),
            _ => None,
        };
        facts.extend(fault.map(|fault| Fact::Faulted { connection, fault }));
        self.journal = connected.session.take_journal().filter(|_| !closed.is_final());
    }
}

/// Who a client says that it is. The world's server believes it.
pub(crate) fn hello(client: ClientId) -> Hello {
    Hello { namespace: ByteString::from_static("/"), credentials: Bytes::copy_from_slice(&[client]) }
}

pub(crate) const fn transport(kind: Kind) -> Transport {
    match kind {
        Kind::Datagram => Transport::Datagram { mtu: 1_200 },
        Kind::Stream | Kind::Messages => Transport::Stream,
    }
}

const CHANNELS: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];

pub(crate) fn channel_name(channel: ChannelId) -> ByteString {
    ByteString::from_static(CHANNELS[usize::from(channel)])
}

pub(crate) fn channel_id(name: &str) -> ChannelId {
    name.bytes().next().map_or(0, |first| first.wrapping_sub(b'a'))
}
