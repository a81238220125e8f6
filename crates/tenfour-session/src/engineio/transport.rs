//! Where a session's packets travel, and the change from polling to WebSocket.

use crate::io::{Frame, RequestId, WebSocketId};
use bytes::Bytes;
use tenfour_delivery::time::Instant;
use tenfour_wire::{engineio::Packet, websocket};

/// ```text
/// Polling ──socket──▶ Polling + Probe::Opened ──2probe──▶ Polling + Probe::Answered ──5──▶ WebSocket
///    ▲                        │                                   │
///    └────── any other packet, the socket's end, the upgrade timeout
/// ```
#[derive(Debug)]
pub(super) enum Transport {
    Polling(Polling),
    WebSocket(WebSocket),
}

#[derive(Debug, Default)]
pub(super) struct Polling {
    /// The GET that waits for packets.
    pub(super) get: Option<RequestId>,
    /// The POST whose body is on the way.
    pub(super) post: Option<RequestId>,
    pub(super) probe: Option<Probe>,
}

#[derive(Debug)]
pub(super) struct Probe {
    pub(super) socket: WebSocketId,
    pub(super) deadline: Instant,
    state: ProbeState,
    answer: Option<Frame>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ProbeState {
    Opened,
    Answered,
}

/// What a message on a probing socket leads to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Probed {
    /// The probe goes on.
    Continues,
    /// The session travels on this socket from now on.
    Upgraded,
    /// The socket is not wanted any more; polling goes on.
    Failed,
}

impl Probe {
    pub(super) fn new(socket: WebSocketId, deadline: Instant) -> Self {
        Self { socket, deadline, state: ProbeState::Opened, answer: None }
    }

    /// Whether the client was told to pause its polling, so that a GET must not be kept waiting.
    pub(super) fn frees_polls(&self) -> bool {
        self.state == ProbeState::Answered
    }

    pub(super) fn handle_message(&mut self, message: websocket::Message) -> Probed {
        let text = match message {
            websocket::Message::Text(text) => text,
            websocket::Message::Ping(data) => {
                self.answer = Some(Frame::Pong(data));
                return Probed::Continues;
            }
            websocket::Message::Pong(_) => return Probed::Continues,
            _ => return Probed::Failed,
        };
        match (self.state, Packet::decode(text)) {
            (ProbeState::Opened, Ok(Packet::Ping(data))) if data == "probe" => {
                self.state = ProbeState::Answered;
                self.answer = Some(Frame::Text(Bytes::from_static(b"3probe")));
                Probed::Continues
            }
            (ProbeState::Answered, Ok(Packet::Upgrade)) => Probed::Upgraded,
            _ => Probed::Failed,
        }
    }

    pub(super) fn poll_frame(&mut self) -> Option<Frame> {
        self.answer.take()
    }
}

#[derive(Debug)]
pub(super) struct WebSocket {
    pub(super) socket: WebSocketId,
    pub(super) write: Write,
    /// The answer to the last WebSocket ping; a client that sends many gets the last one answered.
    pub(super) pong: Option<Bytes>,
}

impl WebSocket {
    pub(super) fn new(socket: WebSocketId) -> Self {
        Self { socket, write: Write::Ready, pong: None }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Write {
    Ready,
    Blocked,
}
