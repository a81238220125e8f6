//! What the application asks of the driver.

use super::{Charge, Driver, Progress};
use crate::client::{
    error::{RequestError, SubscribeError},
    publisher::Waiter,
    subscription::{Item, StartAt},
};
use bytes::Bytes;
use bytestring::ByteString;
use std::{
    fmt,
    sync::{Arc, atomic::AtomicUsize},
    task::{Context, Poll},
};
use tenfour_tokio::{
    delivery::{resume::Position, time::Instant},
    session::native::RequestId,
    wire::native::{Message, SharedMessage, Target},
};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

/// What the application asks of the driver.
#[derive(Debug)]
pub(in crate::client) enum Command {
    Publish {
        publication: Bytes,
        waiter: Waiter,
    },
    Emit {
        channel: ByteString,
        message: Message,
        _room: OwnedSemaphorePermit,
    },
    Subscribe(Wish),
    Unsubscribe {
        channel: ByteString,
        id: u64,
    },
    /// The application took so much of a channel, and is done with it up to there.
    Taken {
        channel: ByteString,
        charge: Charge,
        processed: Option<Position>,
    },
    Request {
        message: Message,
        answer: oneshot::Sender<Result<Message, RequestError>>,
    },
    Reply {
        request: RequestId,
        result: Result<Message, String>,
        charge: Charge,
    },
    /// To be answered when no publication waits for its commit.
    Flush(oneshot::Sender<()>),
    Accepted(oneshot::Sender<u64>),
    Close,
}

/// A subscription that is to be.
#[derive(Debug)]
pub(in crate::client) struct Wish {
    pub(in crate::client) channel: ByteString,
    pub(in crate::client) id: u64,
    pub(in crate::client) from: StartAt,
    pub(in crate::client) items: mpsc::UnboundedSender<Item>,
    pub(in crate::client) emitted: Arc<AtomicUsize>,
    pub(in crate::client) begun: oneshot::Sender<Result<(), SubscribeError>>,
}

/// The way to the driver.
#[derive(Clone)]
pub(in crate::client) struct Commands(pub(in crate::client) mpsc::UnboundedSender<Command>);

impl Commands {
    /// Whoever waits for an answer learns that the driver is gone by the end of the channel for it.
    pub(in crate::client) fn send(&self, command: Command) {
        let _ = self.0.send(command);
    }
}

/// What waits in the channel is nothing that whoever prints a delivery wants to see.
impl fmt::Debug for Commands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Commands")
    }
}

/// How many commands are taken before the connection has its turn.
const COMMANDS: usize = 256;

impl Driver {
    pub(super) fn take_commands(&mut self, cx: &mut Context<'_>) -> Progress {
        for _ in 0..COMMANDS {
            match self.commands.poll_recv(cx) {
                Poll::Ready(Some(command)) => self.take(command),
                // Nobody is left who could ask for anything.
                Poll::Ready(None) => {
                    self.close();
                    return Progress::None;
                }
                Poll::Pending => return Progress::None,
            }
        }
        Progress::Made
    }

    fn take(&mut self, command: Command) {
        let now = self.clock.now();
        match command {
            Command::Publish { publication, waiter } => self.publisher.accept(publication, waiter),
            Command::Emit { channel, message, .. } => {
                if let Some(session) = self.link.session() {
                    session.emit(Target::Name(channel), &SharedMessage::new(&message));
                }
            }
            Command::Subscribe(wish) => self.subscribe(now, wish),
            Command::Unsubscribe { channel, id } => self.unsubscribe(&channel, id),
            Command::Taken { channel, charge, processed } => {
                self.give_back(charge);
                if let Some(position) = processed {
                    self.processed(now, &channel, position);
                }
            }
            Command::Request { message, answer } => self.request(now, message, answer),
            Command::Reply { request, result, charge } => {
                if charge.session == self.session {
                    self.replies.push((request, result.map_err(ByteString::from)));
                }
                self.give_back(charge);
            }
            Command::Flush(flushed) => self.flushes.push(flushed),
            Command::Accepted(told) => drop(told.send(self.publisher.accepted().get())),
            Command::Close => self.close(),
        }
    }

    fn request(
        &mut self,
        now: Instant,
        message: Message,
        answer: oneshot::Sender<Result<Message, RequestError>>,
    ) {
        let Some(session) = self.link.session() else {
            return drop(answer.send(Err(RequestError::NotConnected)));
        };
        match session.request(now, message) {
            Ok(request) => drop(self.requests.insert(request, answer)),
            Err(error) => drop(answer.send(Err(RequestError::Refused(error.to_string())))),
        }
    }
}
