//! Between the session and the application: what the session has to say, and what waits for it.

use super::{Command, Driver, Link, Stage};
use crate::client::{
    ConnectionState,
    error::{PublishError, RequestError, SubscribeError},
    message::Stored,
    subscription::Content,
};
use futures_util::FutureExt;
use std::{panic::AssertUnwindSafe, sync::Arc};
use tenfour_tokio::{
    delivery::{resume::Position, time::Instant},
    session::native::{ClientEvent, Cost, RequestId, Resumption, Unanswered, Welcome},
    wire::native::Message,
};

impl Driver {
    pub(super) fn handle(&mut self, event: ClientEvent) {
        let now = self.clock.now();
        let cost = event.cost();
        match event {
            ClientEvent::Welcomed(welcome) => self.welcomed(now, &welcome),
            ClientEvent::Rejected(rejection) => {
                self.link.rejected(rejection);
            }
            ClientEvent::Subscribed { channel, subscription } => self.begun(&channel, &subscription, cost),
            ClientEvent::Unsubscribed { channel, refusal } => {
                self.unsubscribed(now, &channel, refusal);
                self.consumed(cost);
            }
            ClientEvent::Message(delivered) => {
                let position = Position { epoch: delivered.epoch, offset: delivered.offset };
                let content = Content::Message { position, message: delivered.message };
                self.pass(&delivered.channel, content, cost);
            }
            ClientEvent::Emitted { channel: Some(channel), message } => self.emitted(&channel, message),
            ClientEvent::Lost { channel, epoch, lost, .. } => {
                let position = Position { epoch, offset: lost.range.through };
                self.pass(&channel, Content::Lost { position, lost }, cost);
            }
            ClientEvent::Skip { channel, skip } => self.skipped(&channel, skip.range.through, cost),
            ClientEvent::CaughtUp { channel, offset } => self.pass(&channel, Content::CaughtUp(offset), cost),
            ClientEvent::Published { publish, result } => {
                self.publisher.answered(now, publish, result);
                self.consumed(cost);
            }
            ClientEvent::Unanswered(Unanswered::Request(request)) => {
                if let Some(answer) = self.requests.remove(&request) {
                    let _ = answer.send(Err(RequestError::SessionLost));
                }
            }
            ClientEvent::Request { request, message } => self.answer(request, message, cost),
            ClientEvent::Reply { request, result } => {
                if let Some(answer) = self.requests.remove(&request) {
                    let _ = answer.send(result.map_err(|error| RequestError::Refused(error.to_string())));
                }
                self.consumed(cost);
            }
            ClientEvent::GoAway { drain, jitter } => self.link.leave(now, drain, jitter),
            ClientEvent::Closed(closed) => self.link.closed(closed),
            // The publisher knows what was not answered, and looks for room each time.
            _ => {}
        }
    }

    fn welcomed(&mut self, now: Instant, welcome: &Welcome) {
        tracing::debug!(resumption = ?welcome.resumption, epoch = %welcome.epoch, "connected");
        self.backoff.connected(now);
        if welcome.resumption != Resumption::Exact {
            self.publisher.session_lost();
            self.session += 1;
            self.owed = Cost::default();
            self.replies.clear();
        }
        let owed = std::mem::take(&mut self.owed);
        self.consumed(owed);
        self.publisher.joined(welcome.epoch, welcome.dedup_window.unwrap_or_default());
        self.state.send_replace(ConnectionState::Connected);
    }

    fn answer(&mut self, request: RequestId, message: Message, cost: Cost) {
        let charge = self.charge(cost);
        let own = self.own.clone();
        let reply = move |result| {
            if let Some(own) = own.upgrade() {
                let _ = own.send(Command::Reply { request, result, charge });
            }
        };
        match &self.settings.answerer {
            Some(answerer) => {
                let answerer = Arc::clone(answerer);
                // Called in the task too: wherever it panics, that is the one request's end, and not the client's.
                let answer = AssertUnwindSafe(async move { answerer(message).await }).catch_unwind();
                tokio::spawn(async move {
                    reply(answer.await.unwrap_or_else(|_| Err("internal error".to_owned())));
                });
            }
            None => reply(Err("this client answers no requests".to_owned())),
        }
    }

    /// Hands the session what waits for it, as far as it has room.
    pub(super) fn feed(&mut self) {
        let now = self.clock.now();
        let Link::Open(connection) = &mut self.link else { return };
        let session = &mut connection.session;
        for channel in self.left.drain(..) {
            session.unsubscribe(now, &channel);
        }
        if !session.is_open() || self.stage != Stage::Running {
            return;
        }
        for (request, result) in self.replies.drain(..) {
            // If it has no room, the server is told so in its place.
            _ = session.reply(now, request, result);
        }
        let mut refused = Vec::new();
        for (channel, subscriber) in &mut self.subscribers {
            if subscriber.due.is_some_and(|due| now.has_reached(due)) {
                subscriber.due = None;
                if let Err(error) = session.subscribe(now, channel, subscriber.start) {
                    refused.push((channel.clone(), error));
                }
            }
        }
        while session.has_capacity() {
            let Some((producer, stored)) = self.publisher.next(now) else { break };
            let Some(stored) = Stored::decode(stored) else {
                self.publisher
                    .fail(&PublishError::Outbox("it holds what this version cannot read".to_owned()));
                break;
            };
            match session.publish(now, stored.publication(producer, self.clock.wall())) {
                Ok(sequence) => self.publisher.sent(producer, sequence),
                Err(_) => break,
            }
        }
        for (channel, error) in refused {
            self.end_subscription(&channel, SubscribeError::Impossible(error.to_string()));
        }
    }
}
