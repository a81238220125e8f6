//! What a client's session says, and what the server does about it.

use super::{
    Event, LeaveReason, PeerId, Peers, Server, SessionId,
    convert::{from_wire, overloaded, refusal, subscribe_refusal, to_result, to_start},
    server::{Publisher, Stage},
    sessions::{Answer, Subscribing},
};
use bytestring::ByteString;
use tenfour_broker::channel::{self, AcknowledgeError, ChannelNumber};
use tenfour_delivery::{
    mutant,
    number::{Offset, Sequence},
    time::Now,
};
use tenfour_session::native::{Closed, Cost, Publication, RequestId, ServerEvent, ServerSession, Start};
use tenfour_wire::native::{self as wire, CloseCode, RefusalReason};

impl Server {
    /// Does what a connection's session has to say: to be called after each of its `handle_input` and `handle_timeout`.
    ///
    /// The events are polled here and not by the driver, so that none is on its way while another connection takes the
    /// session over: what was received is done, or is asked for again.
    pub fn drive(&mut self, now: Now, peer: PeerId, peers: &mut impl Peers) {
        while let Some(event) = self.reach(peer, peers, ServerSession::poll_event).flatten() {
            self.handle(now, peer, event, peers);
        }
        self.confirm(peer, peers);
    }

    /// Once a connection has shown that it has the token that it was given, the one before that is worth nothing.
    fn confirm(&mut self, peer: PeerId, peers: &mut impl Peers) {
        let Some(Stage::Joined(id)) = self.stages.get(&peer) else { return };
        if let Some(session) = self.sessions.get_mut(*id)
            && session.tokens().is_unconfirmed()
            && peers.with(peer, |connection| connection.is_confirmed()) == Some(true)
        {
            session.tokens().confirm();
        }
    }

    /// Does what one event says, for a driver that polled it itself to see which server it is for. That is the first
    /// one, [`Hello`](ServerEvent::Hello); all others are for [`drive`](Self::drive).
    pub fn handle(&mut self, now: Now, peer: PeerId, event: ServerEvent, peers: &mut impl Peers) {
        match (event, self.stages.get(&peer)) {
            (ServerEvent::Hello { namespace, credentials, resume }, None) => {
                self.hello(now, peer, &namespace, credentials, resume, peers);
            }
            (ServerEvent::Closed(closed), _) => self.ended(now, peer, closed, peers),
            (event, Some(&Stage::Joined(id))) => self.heard(now, id, event, peers),
            // A connection without a session, or that has lost it, has no say.
            _ => {}
        }
    }

    fn heard(&mut self, now: Now, id: SessionId, event: ServerEvent, peers: &mut impl Peers) {
        let cost = event.cost();
        // A publication counts until the log has decided on it: so a publisher is as fast as the log.
        if !matches!(event, ServerEvent::Publish { .. }) && cost != Cost::default() {
            self.reach_session(id, peers, |connection| connection.consumed(now.mono, cost));
        }
        match event {
            ServerEvent::Subscribe { request, channel, start } => {
                self.subscribe(now, id, request, channel, start, peers);
            }
            ServerEvent::Unsubscribe { channel } => self.unsubscribe(now, id, channel, peers),
            ServerEvent::Publish { publish, publication } => {
                self.published_by(now, id, publish, publication, cost, peers);
            }
            ServerEvent::Emit { target, message } => self.emitted_by(now, id, target, message, peers),
            ServerEvent::Request { request, message } => {
                self.requested_by(now, id, request, message, peers);
            }
            ServerEvent::Reply { request, result } => {
                let result = result.map(from_wire);
                self.events.push_back(Event::Reply { session: id, request, result });
            }
            ServerEvent::Processed { channel, offset } => self.processed(now, id, channel, offset, peers),
            ServerEvent::Writable if mutant!(TailLossUnnoticed) => {}
            ServerEvent::Writable => self.channels.resume_reading(id.into()),
            _ => {}
        }
    }

    fn subscribe(
        &mut self,
        now: Now,
        id: SessionId,
        request: RequestId,
        channel: ByteString,
        start: Start,
        peers: &mut impl Peers,
    ) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        let result = if !session.identity.grants.may_subscribe(&channel) {
            Err(refusal(RefusalReason::Forbidden))
        } else if session.subscriptions.len() >= self.config.limits.subscriptions_per_session {
            Err(refusal(RefusalReason::TooMany))
        } else {
            self.channels
                .subscribe_with(id.into(), &channel, to_start(start), session.identity.grants.away(&channel))
                .map_err(|error| subscribe_refusal(&error))
        };
        match result {
            Ok(number) => {
                // The broker's name, which all share; the client's was cut out of a read buffer, and would keep it.
                let channel = self.channels.name(number).cloned().unwrap_or(channel);
                session.subscriptions.insert(number, Subscribing { channel, request });
            }
            Err(refusal) => self.answer(now, id, Answer::Refused { request, refusal }, peers),
        }
    }

    fn unsubscribe(&mut self, now: Now, id: SessionId, channel: u32, peers: &mut impl Peers) {
        let number = ChannelNumber::new(channel);
        let Some(session) = self.sessions.get_mut(id) else { return };
        // One that has ended already was told to the client, or is about to be.
        if session.subscriptions.remove(&number).is_some() {
            session.has_unsubscribed = true;
            self.channels.unsubscribe(id.into(), number);
            self.answer(now, id, Answer::Unsubscribed { channel: number }, peers);
        }
    }

    fn published_by(
        &mut self,
        now: Now,
        id: SessionId,
        publish: Sequence,
        publication: Publication,
        cost: Cost,
        peers: &mut impl Peers,
    ) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        let refused = if !session.identity.grants.may_publish(&publication.channel) {
            Some(refusal(RefusalReason::Forbidden))
        } else if session.publishes >= self.config.limits.publishes_per_session {
            Some(overloaded())
        } else {
            None
        };
        if let Some(refusal) = refused {
            return self.answer(now, id, Answer::Published { publish, result: Err(refusal), cost }, peers);
        }
        let publication = channel::Publication {
            ttl: publication.ttl,
            producer: publication.producer,
            ..channel::Publication::to_channel(publication.channel, from_wire(publication.message))
        };
        match self.channels.publish_by(now, id.into(), publication) {
            Ok(decided) => {
                session.publishes += 1;
                self.publishers.insert(decided, Publisher { session: id, publish, cost });
                self.settle(now, peers);
            }
            Err(error) => {
                let result = to_result(self.channels.epoch(), Err(error));
                self.answer(now, id, Answer::Published { publish, result, cost }, peers);
            }
        }
    }

    fn emitted_by(
        &mut self,
        now: Now,
        id: SessionId,
        target: wire::Target,
        message: wire::Message,
        peers: &mut impl Peers,
    ) {
        let Some(session) = self.sessions.get(id) else { return };
        let grants = &session.identity.grants;
        let channel = match target {
            wire::Target::Peer => {
                return match self.channels.charge(now, id.into()) {
                    Ok(()) => self.events.push_back(Event::Told { session: id, message: from_wire(message) }),
                    Err(_) => self.refused_emits += 1,
                };
            }
            wire::Target::Name(name) => Some(name),
            wire::Target::Number(number) => {
                session.subscriptions.get(&ChannelNumber::new(number)).map(|known| known.channel.clone())
            }
        };
        let Some(channel) = channel.filter(|channel| grants.may_publish(channel)) else {
            self.refused_emits += 1;
            return;
        };
        let message = from_wire(message);
        let (channels, mut sink) = self.delivery(now, peers);
        match channels.emit_by(now, id.into(), &channel, &message, &mut sink) {
            Ok(_) => self.events.push_back(Event::Emitted { channel, message }),
            Err(_) => self.refused_emits += 1,
        }
    }

    fn requested_by(
        &mut self,
        now: Now,
        id: SessionId,
        request: RequestId,
        message: wire::Message,
        peers: &mut impl Peers,
    ) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        if session.requests.contains(&request) {
            return self.dismiss(now, id, CloseCode::ProtocolError, peers);
        }
        if session.requests.len() >= self.config.limits.requests_per_session {
            let result =
                Err(ByteString::from_static("too many requests are open; ask again after an answer"));
            return self.answer(now, id, Answer::Reply { request, result }, peers);
        }
        session.requests.insert(request);
        self.events.push_back(Event::Request { session: id, request, message: from_wire(message) });
    }

    /// What a client claims to have processed and never got is a breach of the protocol. Positions are not numbered with
    /// the rest, so after the end of a subscription one may come late, and count for nothing.
    fn processed(&mut self, now: Now, id: SessionId, channel: u32, offset: Offset, peers: &mut impl Peers) {
        let acknowledged = self.channels.acknowledge(id.into(), ChannelNumber::new(channel), offset);
        let may_be_late = self.sessions.get(id).is_none_or(|session| session.has_unsubscribed);
        if let Err(AcknowledgeError::FromFuture { .. }) = acknowledged
            && !may_be_late
        {
            self.dismiss(now, id, CloseCode::FutureAck, peers);
        }
    }

    /// Ends the session of a client that broke the protocol.
    fn dismiss(&mut self, now: Now, id: SessionId, code: CloseCode, peers: &mut impl Peers) {
        self.reach_session(id, peers, |connection| connection.close(now.mono, code));
        self.leave(id, LeaveReason::Closed(code));
    }

    /// A connection is over: its session is parked, unless it has ended for good.
    fn ended(&mut self, now: Now, peer: PeerId, closed: Closed, peers: &mut impl Peers) {
        let Some(Stage::Joined(id)) = self.detach(peer) else { return };
        // It may have lost its session to another connection.
        if self.sessions.get(id).and_then(|session| session.peer()) != Some(peer) {
            return;
        }
        match closed.code() {
            Some(code) if code.is_final() => self.leave(id, LeaveReason::Closed(code)),
            _ => {
                let journal = self.reach(peer, peers, ServerSession::take_journal).flatten();
                self.park(now, id, journal);
            }
        }
    }

    /// A connection is gone. To be called before its session is dropped, unless that has said
    /// [`Closed`](ServerEvent::Closed) already: what the session needs to go on is taken out of it.
    pub fn closed(&mut self, now: Now, peer: PeerId, peers: &mut impl Peers) {
        self.drive(now, peer, peers);
        self.ended(now, peer, Closed::Transport, peers);
    }
}
