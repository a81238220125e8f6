//! Long polling: the requests of a session, each answered once.

use super::{CLOSE, NOOP, ServerSession, State};
use crate::{
    engineio::{
        CloseReason, Refusal,
        admission::Intent,
        transport::{Polling, Transport},
    },
    io::{PostContent, RequestId, Response},
};
use bytes::Bytes;
use bytestring::ByteString;
use tenfour_delivery::time::Instant;
use tenfour_wire::engineio::{Packet, decode_payload};

impl ServerSession {
    pub(super) fn handle_poll(&mut self, now: Instant, request: RequestId) {
        match &mut self.transport {
            _ if self.state == State::Closed => self.turn_away(Some(request), Refusal::UnknownSession),
            Transport::WebSocket(_) => self.turn_away(Some(request), Refusal::BadRequest),
            Transport::Polling(Polling { get: Some(_), .. }) => self.break_off(now, request),
            Transport::Polling(polling) => polling.get = Some(request),
        }
    }

    pub(super) fn handle_post(&mut self, now: Instant, request: RequestId, content: PostContent) {
        match &mut self.transport {
            _ if self.state == State::Closed => self.turn_away(Some(request), Refusal::UnknownSession),
            Transport::WebSocket(_) => self.turn_away(Some(request), Refusal::BadRequest),
            Transport::Polling(polling) if polling.post.is_some() || content == PostContent::OctetStream => {
                self.break_off(now, request);
            }
            Transport::Polling(polling) => polling.post = Some(request),
        }
    }

    /// A request that breaks the rules of polling ends the session.
    fn break_off(&mut self, now: Instant, request: RequestId) {
        self.respond(request, Response::empty(400));
        self.fail(now, CloseReason::TransportError, None);
    }

    pub(super) fn handle_body(&mut self, now: Instant, request: RequestId, body: Bytes) {
        if !self.take_post(request) {
            return;
        }
        match self.handle_payload(now, body) {
            Ok(()) => self.respond(request, taken()),
            Err(Malformed) => {
                self.turn_away(Some(request), Refusal::BadRequest);
                self.fail(now, CloseReason::ParseError, None);
            }
        }
    }

    /// What comes once the session is ending is not looked at: the client can't know yet.
    fn handle_payload(&mut self, now: Instant, body: Bytes) -> Result<(), Malformed> {
        if self.state != State::Open {
            return Ok(());
        }
        let whole = body.len();
        let body = ByteString::try_from(body).map_err(|_| Malformed)?;
        for packet in decode_payload(body, &self.config.limits).map_err(|_| Malformed)? {
            self.handle_packet(now, detach(packet.map_err(|_| Malformed)?, whole));
            if self.state != State::Open {
                break;
            }
        }
        Ok(())
    }

    pub(super) fn handle_oversized_post(&mut self, request: RequestId) {
        if self.take_post(request) {
            self.respond(request, Response::empty(413));
        }
    }

    pub(super) fn handle_abort(&mut self, request: RequestId) {
        let Transport::Polling(polling) = &mut self.transport else { return };
        if polling.get.take_if(|get| *get == request).is_some() || self.take_post(request) {
            self.abort(CloseReason::TransportError);
        }
    }

    fn take_post(&mut self, request: RequestId) -> bool {
        let Transport::Polling(polling) = &mut self.transport else { return false };
        polling.post.take_if(|post| *post == request).is_some()
    }

    /// Answers the pending poll, if there is something to tell, or if it stands in the way of an upgrade.
    pub(super) fn answer_poll(&mut self) {
        let Transport::Polling(polling) = &mut self.transport else { return };
        if self.queue.is_empty() && !polling.frees_polls() {
            return;
        }
        let Some(get) = polling.get.take() else { return };
        if self.queue.is_empty() {
            return self.free(Some(get), NOOP);
        }
        let body = self.queue.pop_payload(self.config.limits.payload_bytes);
        let last = matches!(self.state, State::Closing { .. }) && self.queue.is_empty();
        // A POST that is under way is not refused: that might reach the client first, and make it drop this answer.
        let post = polling.post.take_if(|_| last);
        self.respond(get, payload(body));
        if let Some(post) = post {
            self.respond(post, taken());
        }
        if last {
            self.finish(CLOSE);
        }
    }

    /// Answers a poll, if there is one, with a packet that isn't queued.
    pub(super) fn free(&mut self, get: Option<RequestId>, packet: &'static [u8]) {
        if let Some(get) = get {
            self.respond(get, payload(Bytes::from_static(packet)));
        }
    }

    pub(super) fn turn_away(&mut self, request: Option<RequestId>, refusal: Refusal) {
        if let Some(request) = request {
            self.respond(request, refusal.response(Intent::Exchange));
        }
    }

    fn respond(&mut self, request: RequestId, response: Response) {
        self.responses.push_back((request, response));
    }
}

/// A payload that is no sequence of packets.
struct Malformed;

fn taken() -> Response {
    Response::new(200, "text/html", Bytes::from_static(b"ok"))
}

fn payload(body: Bytes) -> Response {
    Response::new(200, "text/plain; charset=UTF-8", body)
}

/// A small packet must not keep a large payload alive for as long as the application keeps the packet.
fn detach(packet: Packet, whole: usize) -> Packet {
    match packet {
        Packet::Text(text) if text.len() * 2 < whole => Packet::Text(ByteString::from(&*text)),
        other => other,
    }
}
