//! The task of one WebSocket: it reads what comes, writes what is queued, and keeps the session's time.

mod outbox;

use crate::{
    drivers::Driver,
    link::{Link, Status},
};
use outbox::{End, Outbox};
use smallvec::SmallVec;
use std::{
    cell::Cell,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};
use tenfour_session::{Input, WebSocketId};
use tenfour_wire::websocket::{Decoder, Message, Role};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep},
};

/// How much is read at once. The buffer belongs to the thread, not to the connection.
const READ_BYTES: usize = 64 << 10;

/// How often one poll of the task may go round before others have their turn.
const ROUNDS: usize = 8;

/// How long the client has to answer the closing handshake.
const CLOSING: Duration = Duration::from_secs(2);

thread_local! {
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Drives a WebSocket until its end.
pub(crate) struct SocketTask<S> {
    stream: S,
    link: Arc<Link>,
    socket: WebSocketId,
    decoder: Decoder,
    /// What the socket did not take, while it is blocked.
    blocked: Option<Box<Outbox>>,
    timer: Pin<Box<Sleep>>,
    phase: Phase,
    client: Goodbye,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Serving,
    /// The close frame is the last one to be written, and nothing is read any more.
    Flushing {
        until: Instant,
    },
    /// It is written. What the client sends is read for its close frame alone.
    Leaving {
        until: Instant,
    },
}

/// Whether the client's close frame has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Goodbye {
    Awaited,
    Heard,
}

/// Whether there may be more to do at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    Made,
    None,
    /// There is nothing more to do at all.
    Over,
}

impl<S: AsyncRead + AsyncWrite + Unpin> SocketTask<S> {
    pub(crate) fn new(stream: S, link: Arc<Link>, socket: WebSocketId) -> Self {
        let limits = link.server.config.node.session.engine.limits;
        Self {
            stream,
            socket,
            decoder: Decoder::new(Role::Server, limits.payload_bytes),
            blocked: None,
            timer: Box::pin(tokio::time::sleep(Duration::ZERO)),
            phase: Phase::Serving,
            client: Goodbye::Awaited,
            link,
        }
    }

    fn round(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Progress>> {
        self.link.settle();
        let Status { serves, accepts_input, deadline } = self.link.status(self.socket);
        if let Phase::Flushing { until } | Phase::Leaving { until } = self.phase {
            return self.close(cx, until);
        }
        if !serves {
            return Poll::Ready(Ok(Progress::Over));
        }
        let read = if accepts_input { self.read(cx)? } else { Progress::None };
        let written = self.write(cx)?;
        self.link.flush();
        if read == Progress::Made || written == Progress::Made {
            return Poll::Ready(Ok(Progress::Made));
        }
        self.keep_time(cx, deadline)
    }

    /// Sleeps until the session's deadline. One that is later than before is only seen when the timer fires.
    fn keep_time(
        &mut self,
        cx: &mut Context<'_>,
        deadline: Option<tenfour_delivery::time::Instant>,
    ) -> Poll<io::Result<Progress>> {
        let Some(deadline) = deadline else { return Poll::Pending };
        let moment = self.link.server.clock.moment(deadline);
        if moment < self.timer.deadline() || self.timer.is_elapsed() {
            self.timer.as_mut().reset(moment);
        }
        ready!(self.timer.as_mut().poll(cx));
        self.link.handle_timeout();
        Poll::Ready(Ok(Progress::Made))
    }

    fn read(&mut self, cx: &mut Context<'_>) -> io::Result<Progress> {
        let mut scratch = SCRATCH.take();
        scratch.resize(READ_BYTES, 0);
        let read = self.read_into(cx, &mut scratch);
        SCRATCH.set(scratch);
        read
    }

    fn read_into(&mut self, cx: &mut Context<'_>, scratch: &mut [u8]) -> io::Result<Progress> {
        let mut buffer = ReadBuf::new(scratch);
        match Pin::new(&mut self.stream).poll_read(cx, &mut buffer) {
            Poll::Pending => return Ok(Progress::None),
            Poll::Ready(read) => read?,
        }
        if buffer.filled().is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut input = buffer.filled();
        let mut inputs: SmallVec<[Input; 8]> = SmallVec::new();
        loop {
            match self.decoder.decode(&mut input) {
                Ok(Some(message)) => {
                    if let Message::Close(_) = message {
                        self.client = Goodbye::Heard;
                    }
                    inputs.push(Input::SocketMessage { socket: self.socket, message });
                }
                Ok(None) => break,
                Err(error) => {
                    inputs.push(Input::SocketFailed { socket: self.socket, code: error.close_code() });
                    break;
                }
            }
        }
        self.link.handle(inputs);
        Ok(Progress::Made)
    }

    fn write(&mut self, cx: &mut Context<'_>) -> io::Result<Progress> {
        let socket = self.socket;
        let (mut outbox, was_blocked) = match self.blocked.take() {
            Some(outbox) => (outbox, true),
            None => {
                let mut outbox = Outbox::take();
                self.link.take_frames(socket, |frame| outbox.push(frame));
                (outbox, false)
            }
        };
        if outbox.is_empty() {
            outbox.give_back();
            return Ok(Progress::None);
        }
        let written = match outbox.poll_write(cx, Pin::new(&mut self.stream)) {
            Poll::Ready(Err(error)) => return Err(error),
            Poll::Ready(Ok(())) => Poll::Ready(()),
            Poll::Pending => Poll::Pending,
        };
        if outbox.end() == End::Closed {
            let patience = self.link.server.config.node.session.engine.close_timeout;
            self.phase = Phase::Flushing { until: Instant::now() + patience };
        }
        match (written, was_blocked) {
            (Poll::Pending, false) => self.link.handle([Input::WriteBlocked { socket }]),
            (Poll::Ready(()), true) => self.link.handle([Input::WriteReady { socket }]),
            _ => {}
        }
        if written.is_pending() {
            self.blocked = Some(outbox);
        } else {
            outbox.give_back();
        }
        let goes_on = written.is_ready() || self.phase != Phase::Serving;
        Ok(if goes_on { Progress::Made } else { Progress::None })
    }

    /// Writes what is left, the close frame at its end, and waits for the client's or for its end: a connection that is
    /// dropped while the client still sends would be reset, and the client might lose what it has not read.
    fn close(&mut self, cx: &mut Context<'_>, until: Instant) -> Poll<io::Result<Progress>> {
        self.timer.as_mut().reset(until);
        if self.timer.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Ok(Progress::Over));
        }
        if let Some(outbox) = &mut self.blocked {
            ready!(outbox.poll_write(cx, Pin::new(&mut self.stream)))?;
            self.blocked = None;
        }
        if let Phase::Flushing { .. } = self.phase {
            self.phase = Phase::Leaving { until: Instant::now() + CLOSING };
            return Poll::Ready(Ok(Progress::Made));
        }
        ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
        let mut scratch = [0; 1024];
        while self.client == Goodbye::Awaited {
            let mut buffer = ReadBuf::new(&mut scratch);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer))?;
            let mut input = buffer.filled();
            if input.is_empty() {
                break;
            }
            // Whatever else comes, wrong or right, comes too late.
            while let Ok(Some(message)) = self.decoder.decode(&mut input) {
                if let Message::Close(_) = message {
                    self.client = Goodbye::Heard;
                }
            }
        }
        Poll::Ready(Ok(Progress::Over))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Future for SocketTask<S> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let task = self.get_mut();
        let driver = Driver::WebSocket(task.socket);
        for _ in 0..ROUNDS {
            task.link.drivers().look(driver, cx.waker());
            match task.round(cx) {
                Poll::Ready(Ok(Progress::Over)) => return Poll::Ready(()),
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => {
                    tracing::trace!(socket = task.socket.0, %error, "socket over");
                    return Poll::Ready(());
                }
                Poll::Pending if task.link.drivers().rest(driver) => return Poll::Pending,
                Poll::Pending => {}
            }
        }
        task.link.drivers().pause(driver);
        Poll::Pending
    }
}

impl<S> Drop for SocketTask<S> {
    /// However the task ends, the session knows.
    fn drop(&mut self) {
        self.link.handle([Input::SocketClosed { socket: self.socket }]);
        self.link.flush();
        self.link.server.forget_if_finished(&self.link);
        self.link.drivers().forget(Driver::WebSocket(self.socket));
        self.link.drivers().wake();
    }
}
