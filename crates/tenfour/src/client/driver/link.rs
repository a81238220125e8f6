//! The connection, and the way to the next one.

use super::{ClientError, ConnectionState, Driver, Progress, Stage};
use crate::client::transport::Stream;
use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tenfour_tokio::{
    BoxFuture,
    delivery::time::{Instant, earliest},
    native::Pipe,
    session::native::{self, ClientSession, Closed, Input, Rejection, Transmit},
    wire::native::CloseCode,
};

pub(super) enum Link {
    Waiting { until: Instant },
    Opening { stream: BoxFuture<io::Result<Box<dyn Stream>>>, until: Instant },
    Open(Box<Connection>),
    Over,
}

pub(super) struct Connection {
    pipe: Pipe<Box<dyn Stream>>,
    pub(super) session: ClientSession,
    write: Write,
    /// Whoever rejected or closed it, said so.
    rejection: Option<Rejection>,
    closed: Option<Closed>,
    /// The server is about to go; the client goes first.
    leave: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Write {
    Open,
    /// The stream takes no more for now.
    Blocked,
    /// The last byte is with the stream, or on the way to it.
    Last,
    Shut,
}

impl Link {
    pub(super) fn is_open(&self) -> bool {
        matches!(self, Self::Open(connection) if connection.session.is_open())
    }

    pub(super) fn session(&mut self) -> Option<&mut ClientSession> {
        match self {
            Self::Open(connection) => Some(&mut connection.session),
            _ => None,
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        match self {
            Self::Waiting { until } | Self::Opening { until, .. } => Some(*until),
            Self::Open(connection) => earliest([connection.session.poll_timeout(), connection.leave]),
            Self::Over => None,
        }
    }

    pub(super) fn rejected(&mut self, rejection: Rejection) {
        if let Self::Open(connection) = self {
            connection.rejection = Some(rejection);
        }
    }

    pub(super) fn closed(&mut self, closed: Closed) {
        if let Self::Open(connection) = self {
            connection.closed = Some(closed);
        }
    }

    /// The server will go: the client leaves before, at a moment of its own, so that not all come back at once.
    pub(super) fn leave(&mut self, now: Instant, drain: Duration, jitter: Duration) {
        if let Self::Open(connection) = self {
            let jitter = jitter.min(drain).mul_f64(random() as f64 / u64::MAX as f64);
            connection.leave = Some(now + jitter);
        }
    }

    pub(super) fn close(&mut self, now: Instant) {
        match self {
            Self::Open(connection) => connection.session.close(now, CloseCode::Normal),
            _ => *self = Self::Over,
        }
    }
}

impl Connection {
    /// Reads and writes as much as there is.
    fn poll(&mut self, cx: &mut Context<'_>, now: Instant) -> Progress {
        let mut progress = Progress::None;
        match self.pipe.poll_read(cx) {
            Poll::Ready(Ok(Some(bytes))) => {
                self.session.handle_input(now, Input::Bytes(bytes));
                progress = Progress::Made;
            }
            Poll::Ready(Ok(None) | Err(_)) => self.session.handle_input(now, Input::Closed),
            Poll::Pending => {}
        }
        if self.session.poll_timeout().is_some_and(|deadline| now.has_reached(deadline)) {
            self.session.handle_timeout(now);
            progress = Progress::Made;
        }
        progress
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, now: Instant) -> Progress {
        if self.write == Write::Shut {
            return Progress::None;
        }
        let Self { pipe, session, write, .. } = self;
        let written = pipe.poll_write(cx, || match session.poll_transmit(now)? {
            Transmit::Bytes(bytes) => Some(bytes),
            _ => {
                *write = Write::Last;
                None
            }
        });
        match (written, self.write) {
            (Poll::Ready(Err(_)), _) if self.closed.is_none() => {
                self.session.handle_input(now, Input::Closed);
                return Progress::Made;
            }
            (Poll::Pending, Write::Open) => {
                self.write = Write::Blocked;
                self.session.handle_input(now, Input::WriteBlocked);
            }
            (Poll::Ready(Ok(_)), Write::Blocked) => {
                self.write = Write::Open;
                self.session.handle_input(now, Input::WriteReady);
                return Progress::Made;
            }
            // What cannot be shut is shut already.
            (Poll::Ready(Ok(_)), Write::Last) if self.pipe.poll_shutdown(cx).is_ready() => {
                self.write = Write::Shut;
            }
            (Poll::Ready(Ok(true)), _) => return Progress::Made,
            _ => {}
        }
        Progress::None
    }

    fn is_over(&self, now: Instant) -> bool {
        self.closed.is_some() && matches!(self.write, Write::Shut)
            || self.session.is_finished()
            || self.leave.is_some_and(|leave| now.has_reached(leave))
    }
}

impl Driver {
    pub(super) fn poll_link(&mut self, cx: &mut Context<'_>) -> Progress {
        let now = self.clock.now();
        match &mut self.link {
            Link::Waiting { until } if !now.has_reached(*until) => Progress::None,
            Link::Waiting { .. } => {
                let transport = self.settings.transport.clone();
                let stream = Box::pin(async move { transport.open().await });
                self.link = Link::Opening { stream, until: now + self.settings.connect_timeout };
                Progress::Made
            }
            Link::Opening { stream, until } => match Pin::new(stream).poll(cx) {
                Poll::Ready(Ok(stream)) => {
                    self.open(now, stream);
                    Progress::Made
                }
                Poll::Ready(Err(error)) => self.retry(now, error.to_string(), None),
                Poll::Pending if now.has_reached(*until) => {
                    let problem = format!("no connection within {:?}", self.settings.connect_timeout);
                    self.retry(now, problem, None)
                }
                Poll::Pending => Progress::None,
            },
            Link::Open(connection) => {
                let read = connection.poll(cx, now);
                self.exchange();
                let Link::Open(connection) = &mut self.link else { return Progress::Made };
                // Whatever that leads to is seen in the next round.
                let written = connection.poll_write(cx, now);
                match &mut self.link {
                    Link::Open(connection) if connection.is_over(now) => self.disconnected(now),
                    _ if read == Progress::Made || written == Progress::Made => Progress::Made,
                    _ => Progress::None,
                }
            }
            Link::Over => {
                if !matches!(self.stage, Stage::Over(_)) {
                    self.end(ClientError::Closed);
                }
                Progress::None
            }
        }
    }

    fn open(&mut self, now: Instant, stream: Box<dyn Stream>) {
        let hello = native::Hello {
            namespace: self.settings.namespace.clone(),
            credentials: self.settings.token.clone(),
        };
        let session = ClientSession::new(
            self.settings.session.clone(),
            native::Transport::Stream,
            hello,
            self.journal.take(),
            now,
        );
        self.link = Link::Open(Box::new(Connection {
            pipe: Pipe::new(stream),
            session,
            write: Write::Open,
            rejection: None,
            closed: None,
            leave: None,
        }));
    }

    /// Events out of the session, and what waits for it into it.
    fn exchange(&mut self) {
        while let Some(event) = self.link.session().and_then(ClientSession::poll_event) {
            self.handle(event);
        }
        self.feed();
    }

    fn disconnected(&mut self, now: Instant) -> Progress {
        let Link::Open(mut connection) = std::mem::replace(&mut self.link, Link::Waiting { until: now })
        else {
            return Progress::None;
        };
        self.backoff.disconnected(now);
        self.journal = connection.session.take_journal();
        let rejection = connection.rejection.take();
        let code = match (&rejection, connection.closed) {
            (Some(rejection), _) => Some(rejection.code),
            (None, Some(closed)) => closed.code(),
            (None, None) => None,
        };
        if self.stage == Stage::Closing {
            self.link = Link::Over;
            return Progress::Made;
        }
        match code.filter(|code| code.is_final()) {
            Some(code) => {
                let reason = rejection.map(|rejection| rejection.reason.to_string()).unwrap_or_default();
                self.link = Link::Over;
                self.end(ClientError::Ended { code, reason });
                Progress::Made
            }
            None => {
                let problem = match code {
                    Some(code) => code.to_string(),
                    None if connection.leave.is_some() => "the server sends its clients away".to_owned(),
                    None => "the connection was lost".to_owned(),
                };
                self.retry(now, problem, rejection.and_then(|rejection| rejection.retry_after))
            }
        }
    }

    fn retry(&mut self, now: Instant, problem: String, retry_after: Option<Duration>) -> Progress {
        if self.stage == Stage::Closing {
            self.link = Link::Over;
            return Progress::Made;
        }
        let wait = self.backoff.next_wait(random(), retry_after);
        tracing::debug!(%problem, ?wait, "connecting again");
        self.link = Link::Waiting { until: now + wait };
        self.state.send_replace(ConnectionState::Connecting { problem: Some(problem) });
        Progress::Made
    }
}

fn random() -> u64 {
    getrandom::u64().expect("the system has randomness")
}
