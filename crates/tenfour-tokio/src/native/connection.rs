//! The task of one connection: it reads what comes, writes what is queued, and keeps the session's time.

use super::pipe::Pipe;
use crate::{ConnectRefusal, Space, server::Shared};
use futures_util::task::AtomicWaker;
use parking_lot::{Mutex, MutexGuard};
use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};
use tenfour_delivery::time::Instant;
use tenfour_node::native::{PeerId, Rejection};
use tenfour_session::native::{Input, ServerEvent, ServerSession, Transmit, Transport};
use tenfour_wire::native::CloseCode;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::Sleep,
};

/// A connection, shared by the task that drives it and the hub of its namespace. Its lock is a leaf: whoever holds it takes no
/// other.
pub(super) struct Peer {
    id: PeerId,
    session: Mutex<ServerSession>,
    task: AtomicWaker,
}

impl Peer {
    fn new(session: ServerSession) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let id = PeerId(NEXT.fetch_add(1, Ordering::Relaxed));
        Self { id, session: Mutex::new(session), task: AtomicWaker::new() }
    }

    pub(super) fn id(&self) -> PeerId {
        self.id
    }

    pub(super) fn session(&self) -> MutexGuard<'_, ServerSession> {
        self.session.lock()
    }

    /// Something was done to the session that its task has not done.
    pub(super) fn wake(&self) {
        self.task.wake();
    }
}

/// A place among the connections, for as long as it is held.
pub(crate) struct Seat(Arc<Shared>);

impl Seat {
    /// A place, if one is free.
    pub(crate) fn take(server: &Arc<Shared>) -> Option<Self> {
        server.seat_native().then(|| Self(Arc::clone(server)))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.unseat_native();
    }
}

/// Drives a connection until its end.
pub(crate) struct Connection<S> {
    pipe: Pipe<S>,
    peer: Arc<Peer>,
    /// That of the namespace in its hello.
    space: Option<Arc<Space>>,
    timer: Pin<Box<Sleep>>,
    write: Write,
    seat: Seat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Write {
    Open,
    /// The stream takes no more for now.
    Blocked,
    /// What was taken is the last: it has until then to get out.
    Last {
        until: Instant,
    },
    /// The client knows that nothing more comes; until then it may say the same.
    Shut {
        until: Instant,
    },
    Over,
}

/// Whether there may be more to do at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    Made,
    None,
}

/// How often one poll of the task may go round before others have their turn.
const ROUNDS: usize = 8;

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    pub(crate) fn new(stream: S, seat: Seat) -> Self {
        let context = seat.0.spaces.context();
        let now = context.clock.now();
        let session = ServerSession::new(context.config.session.clone(), Transport::Stream, now);
        Self {
            pipe: Pipe::new(stream),
            peer: Arc::new(Peer::new(session)),
            space: None,
            timer: Box::pin(tokio::time::sleep(Duration::ZERO)),
            write: Write::Open,
            seat,
        }
    }

    fn server(&self) -> &Shared {
        &self.seat.0
    }

    fn now(&self) -> Instant {
        self.server().spaces.context().clock.now()
    }

    fn input(&self, now: Instant, input: Input) {
        self.peer.session().handle_input(now, input);
    }

    fn round(&mut self, cx: &mut Context<'_>) -> Poll<Progress> {
        let now = self.now();
        if let Write::Last { until } | Write::Shut { until } = self.write {
            return self.finish(cx, now, until);
        }
        let mut progress = Progress::None;
        match self.pipe.poll_read(cx) {
            Poll::Ready(Ok(Some(bytes))) => {
                self.input(now, Input::Bytes(bytes));
                progress = Progress::Made;
            }
            Poll::Ready(Ok(None) | Err(_)) => self.input(now, Input::Closed),
            Poll::Pending => {}
        }
        self.drive(now);
        if self.write(cx, now) == Progress::Made {
            progress = Progress::Made;
        }
        let (over, deadline) = {
            let session = self.peer.session();
            (session.is_finished(), session.poll_timeout())
        };
        if over && self.write == Write::Open {
            self.write = Write::Over;
        }
        if progress == Progress::Made || self.write == Write::Over {
            return Poll::Ready(Progress::Made);
        }
        let Some(deadline) = deadline else { return Poll::Pending };
        ready!(self.sleep(cx, deadline));
        let now = self.now();
        self.peer.session().handle_timeout(now);
        Poll::Ready(Progress::Made)
    }

    /// A deadline that is later than before is only seen when the timer fires.
    fn sleep(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        let moment = self.server().spaces.context().clock.moment(deadline);
        if moment < self.timer.deadline() || self.timer.is_elapsed() {
            self.timer.as_mut().reset(moment);
        }
        self.timer.as_mut().poll(cx)
    }

    /// Has what the session says done. Until its hello it says so to nobody.
    fn drive(&mut self, now: Instant) {
        if let Some(space) = &self.space {
            return space.hub().drive(space, self.peer.id());
        }
        let event = self.peer.session().poll_event();
        if let Some(hello @ ServerEvent::Hello { .. }) = event {
            self.join(now, hello);
        }
    }

    fn join(&mut self, now: Instant, hello: ServerEvent) {
        let ServerEvent::Hello { namespace, .. } = &hello else { return };
        match self.server().spaces.connect(namespace, None) {
            Ok(space) => {
                space.hub().join(&space, &self.peer, hello);
                self.space = Some(space);
            }
            Err(refusal) => {
                let (code, reason) = match refusal {
                    ConnectRefusal::Log(_) => (CloseCode::Overloaded, "the namespace is not available"),
                    _ => (CloseCode::UnknownNamespace, "there is no such namespace"),
                };
                self.peer.session().reject(now, Rejection { code, retry_after: None, reason: reason.into() });
            }
        }
    }

    fn write(&mut self, cx: &mut Context<'_>, now: Instant) -> Progress {
        let mut is_last = false;
        let peer = &self.peer;
        let written = self.pipe.poll_write(cx, || match peer.session().poll_transmit(now)? {
            Transmit::Bytes(bytes) => Some(bytes),
            _ => {
                is_last = true;
                None
            }
        });
        if is_last {
            let patience = self.server().spaces.context().config.close_timeout;
            self.write = Write::Last { until: now + patience };
            return Progress::Made;
        }
        match (written, self.write) {
            (Poll::Ready(Err(_)), _) => {
                self.input(now, Input::Closed);
                Progress::Made
            }
            (Poll::Pending, Write::Open) => {
                self.write = Write::Blocked;
                self.input(now, Input::WriteBlocked);
                Progress::None
            }
            (Poll::Ready(Ok(_)), Write::Blocked) => {
                self.write = Write::Open;
                self.input(now, Input::WriteReady);
                Progress::Made
            }
            (Poll::Ready(Ok(true)), _) => Progress::Made,
            _ => Progress::None,
        }
    }

    /// Writes what is left, and waits for the client's end: a connection that is dropped while the client still sends would be
    /// reset, and the client might lose what it has not read.
    fn finish(&mut self, cx: &mut Context<'_>, now: Instant, until: Instant) -> Poll<Progress> {
        self.drive(now);
        if now.has_reached(until) {
            self.write = Write::Over;
            return Poll::Ready(Progress::Made);
        }
        if let Write::Last { .. } = self.write {
            match self.pipe.poll_write(cx, || None) {
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(_)) => self.write = Write::Over,
                Poll::Pending => return self.sleep(cx, until).map(|()| Progress::Made),
            }
            if self.pipe.poll_shutdown(cx).is_pending() {
                return self.sleep(cx, until).map(|()| Progress::Made);
            }
            if self.write != Write::Over {
                self.write = Write::Shut { until };
            }
            return Poll::Ready(Progress::Made);
        }
        match self.pipe.poll_read(cx) {
            // Whatever comes now comes too late.
            Poll::Ready(Ok(Some(_))) => {}
            Poll::Ready(Ok(None) | Err(_)) => self.write = Write::Over,
            Poll::Pending => return self.sleep(cx, until).map(|()| Progress::Made),
        }
        Poll::Ready(Progress::Made)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Future for Connection<S> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let task = self.get_mut();
        task.peer.task.register(cx.waker());
        for _ in 0..ROUNDS {
            let round = task.round(cx);
            if task.write == Write::Over {
                return Poll::Ready(());
            }
            if round.is_pending() {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<S> Drop for Connection<S> {
    /// However the task ends, the namespace knows: the session is parked there.
    fn drop(&mut self) {
        if let Some(space) = self.space.take() {
            let now = self.seat.0.spaces.context().clock.now();
            self.peer.session().handle_input(now, Input::Closed);
            space.hub().leave(&space, self.peer.id());
            self.seat.0.spaces.leave(&space);
        }
    }
}
