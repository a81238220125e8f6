//! Where a session's packets travel, and the change from polling to WebSocket.

use crate::io::{Frame, RequestId, WebSocketId};
use alloc::boxed::Box;
use bytes::Bytes;
use tenfour_delivery::time::Instant;
use tenfour_wire::{engineio::Packet, websocket};

/// ```text
/// Polling ──socket──▶ Polling + Probe ──2probe──▶ Answering ──3probe leaves──▶ Answered ──5──▶ WebSocket
///    ▲                   │                            │                           │
///    └───────────────────┴── any other packet, the socket's end, the upgrade timeout
/// ```
#[derive(Debug)]
pub(super) enum Transport {
    Polling(Polling),
    WebSocket(WebSocket),
}

impl Transport {
    /// The socket of this name, if it carries the session or probes.
    pub(super) fn websocket(&self, socket: WebSocketId) -> Option<&WebSocket> {
        let websocket = match self {
            Self::Polling(polling) => &polling.probe.as_ref()?.websocket,
            Self::WebSocket(websocket) => websocket,
        };
        (websocket.socket == socket).then_some(websocket)
    }

    pub(super) fn websocket_mut(&mut self, socket: WebSocketId) -> Option<&mut WebSocket> {
        let websocket = match self {
            Self::Polling(polling) => &mut polling.probe.as_mut()?.websocket,
            Self::WebSocket(websocket) => websocket,
        };
        (websocket.socket == socket).then_some(websocket)
    }
}

#[derive(Debug, Default)]
pub(super) struct Polling {
    /// The GET that waits for packets.
    pub(super) get: Option<RequestId>,
    /// The POST whose body is on the way.
    pub(super) post: Option<RequestId>,
    /// Boxed, since nearly every session is without.
    pub(super) probe: Option<Box<Probe>>,
}

impl Polling {
    pub(super) fn probe_on(&mut self, socket: WebSocketId) -> Option<&mut Probe> {
        self.probe.as_deref_mut().filter(|probe| probe.websocket.socket == socket)
    }

    pub(super) fn drop_probe_on(&mut self, socket: WebSocketId) {
        self.probe.take_if(|probe| probe.websocket.socket == socket);
    }

    /// Whether the client was told to pause its polling, so that a GET must not be kept waiting.
    pub(super) fn frees_polls(&self) -> bool {
        self.probe.as_ref().is_some_and(|probe| probe.state != ProbeState::Opened)
    }
}

#[derive(Debug)]
pub(super) struct Probe {
    pub(super) websocket: WebSocket,
    pub(super) deadline: Instant,
    state: ProbeState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ProbeState {
    Opened,
    /// `3probe` waits for the socket's room.
    Answering,
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
        Self { websocket: WebSocket::new(socket), deadline, state: ProbeState::Opened }
    }

    pub(super) fn handle_message(&mut self, message: websocket::Message) -> Probed {
        let text = match message {
            websocket::Message::Text(text) => text,
            websocket::Message::Ping(data) => {
                self.websocket.pong = Some(data);
                return Probed::Continues;
            }
            websocket::Message::Pong(_) => return Probed::Continues,
            _ => return Probed::Failed,
        };
        match (self.state, Packet::decode(text)) {
            (ProbeState::Opened, Ok(Packet::Ping(data))) if data == "probe" => {
                self.state = ProbeState::Answering;
                Probed::Continues
            }
            (ProbeState::Answered, Ok(Packet::Upgrade)) => Probed::Upgraded,
            _ => Probed::Failed,
        }
    }

    #[cfg(test)]
    pub(super) fn state_name(&self) -> alloc::string::String {
        alloc::format!("{:?}", self.state)
    }

    pub(super) fn poll_frame(&mut self) -> Option<Frame> {
        if let Some(pong) = self.websocket.poll_pong() {
            return Some(pong);
        }
        if self.state != ProbeState::Answering {
            return None;
        }
        self.state = ProbeState::Answered;
        Some(Frame::Text(Bytes::from_static(b"3probe")))
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

    pub(super) fn poll_pong(&mut self) -> Option<Frame> {
        self.pong.take().map(Frame::Pong)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Write {
    Ready,
    Blocked,
}
