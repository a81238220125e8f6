//! WebSockets: the one that carries the session, and those that probe.

use super::{NOOP, ServerSession, State};
use crate::{
    engineio::{
        CloseReason, Refusal, TransportKind,
        transport::{Polling, Probe, Probed, Transport, Write},
    },
    io::WebSocketId,
};
use alloc::boxed::Box;
use bytestring::ByteString;
use tenfour_delivery::time::Instant;
use tenfour_wire::{engineio::Packet, websocket};

impl ServerSession {
    /// A socket that is not wanted is one that the session doesn't serve.
    pub(super) fn handle_socket(&mut self, now: Instant, socket: WebSocketId) {
        let offered = !self.config.upgrades_from(TransportKind::Polling).is_empty();
        if let Transport::Polling(polling @ Polling { probe: None, .. }) = &mut self.transport
            && self.state == State::Open
            && offered
        {
            polling.probe = Some(Box::new(Probe::new(socket, now + self.config.upgrade_timeout)));
        }
    }

    pub(super) fn handle_message(&mut self, now: Instant, socket: WebSocketId, message: websocket::Message) {
        match &mut self.transport {
            Transport::Polling(polling) => {
                let Some(probe) = polling.probe_on(socket) else { return };
                match probe.handle_message(message) {
                    Probed::Continues => {}
                    Probed::Failed => polling.probe = None,
                    Probed::Upgraded => self.upgrade(),
                }
            }
            Transport::WebSocket(websocket) if websocket.socket == socket => match (self.state, message) {
                (State::Open | State::Closing { .. }, websocket::Message::Close(_)) => {
                    self.fail(now, CloseReason::TransportClose, None);
                }
                (State::Closing { .. } | State::Closed, _) => {}
                (State::Open, websocket::Message::Text(text)) => self.handle_text(now, text),
                (State::Open, websocket::Message::Binary(data)) => {
                    self.handle_packet(now, Packet::Binary(data));
                }
                (State::Open, websocket::Message::Ping(data)) => websocket.pong = Some(data),
                (State::Open, websocket::Message::Pong(_)) => {}
            },
            Transport::WebSocket(_) => {}
        }
    }

    fn handle_text(&mut self, now: Instant, text: ByteString) {
        match Packet::decode(text) {
            Ok(packet) => self.handle_packet(now, packet),
            Err(_) => self.fail(now, CloseReason::ParseError, None),
        }
    }

    /// What is queued goes on to the socket that probed. Whatever polling has pending is answered: the client has paused
    /// it.
    fn upgrade(&mut self) {
        let Transport::Polling(polling) = &mut self.transport else { return };
        let Polling { get, post, probe: Some(probe) } = core::mem::take(polling) else { return };
        self.transport = Transport::WebSocket(probe.websocket);
        self.free(get, NOOP);
        self.turn_away(post, Refusal::BadRequest);
    }

    pub(super) fn handle_socket_failure(&mut self, now: Instant, socket: WebSocketId, code: u16) {
        match &mut self.transport {
            Transport::Polling(polling) => polling.drop_probe_on(socket),
            Transport::WebSocket(websocket) if websocket.socket == socket => {
                self.fail(now, CloseReason::TransportError, Some(code));
            }
            Transport::WebSocket(_) => {}
        }
    }

    pub(super) fn handle_socket_end(&mut self, socket: WebSocketId) {
        match &mut self.transport {
            Transport::Polling(polling) => polling.drop_probe_on(socket),
            Transport::WebSocket(websocket) if websocket.socket == socket => {
                self.abort(CloseReason::TransportClose);
            }
            Transport::WebSocket(_) => {}
        }
    }

    pub(super) fn set_write(&mut self, socket: WebSocketId, write: Write) {
        if let Some(websocket) = self.transport.websocket_mut(socket) {
            websocket.write = write;
        }
    }
}
