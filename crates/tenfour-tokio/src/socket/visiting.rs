//! How a socket comes to its namespace, and how it goes.

use super::{Inner, Socket, State, random};
use crate::{application::DisconnectReason, queue::Item};
use bytestring::ByteString;
use std::sync::{
    OnceLock,
    atomic::{AtomicBool, AtomicU64, Ordering},
};
use tenfour_broker::{
    SocketId,
    recovery::{Departure, Visit},
};
use tenfour_node::{Claim, Dialect, Peer as _};
use tenfour_session::{
    engineio::CloseReason,
    socketio::{Admission, ConnectError},
};

/// What is there for a recovery, of one socket.
pub(super) struct Visiting {
    visit: Visit,
    claim: Option<Claim>,
    /// The data of the session that it claims, if there is such a session.
    pub(super) restored: OnceLock<Option<ByteString>>,
    pub(super) recovered: AtomicBool,
    /// How its client has gone.
    departure: OnceLock<Departure>,
    /// It was refused an entry of the log, and reads on when there is room.
    pub(super) behind: AtomicBool,
}

impl Visiting {
    pub(super) fn new(claim: Option<Claim>) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self {
            visit: Visit(NEXT.fetch_add(1, Ordering::Relaxed)),
            claim,
            restored: OnceLock::new(),
            recovered: AtomicBool::new(false),
            departure: OnceLock::new(),
            behind: AtomicBool::new(false),
        }
    }
}

/// What a socket comes to its namespace with, where clients are recovered.
pub(crate) struct Ticket {
    pub(crate) visit: Visit,
    pub(crate) claim: Option<Claim>,
    /// Its id, if it cannot go on with the session that it claims.
    pub(crate) fresh: SocketId,
    /// The data that the application has given it already.
    pub(crate) data: Option<ByteString>,
}

/// What becomes of a client that is let in.
pub(crate) enum Admitted {
    /// It is in. The application has given it this data before.
    In { data: Option<ByteString> },
    /// It had gone, and so.
    Gone(Departure),
}

impl Socket {
    /// Shows the application whose session its client claims, before it is asked whether to let it in.
    pub(crate) fn recall(&self) {
        let Some(visiting) = &self.inner.visiting else { return };
        let Some(claim) = &visiting.claim else { return };
        let Some((id, data)) = self.space().hub().recall(self.space(), claim) else { return };
        *self.inner.id.lock() = id;
        _ = visiting.restored.set(data);
    }

    /// What it comes to its namespace with, where clients are recovered; `None` if its client has gone.
    pub(crate) fn ticket(&self) -> Option<Ticket> {
        let visiting = self.inner.visiting.as_ref()?;
        let State::Joining { data } = &*self.inner.state.lock() else { return None };
        let is_known = visiting.restored.get().is_some();
        Some(Ticket {
            visit: visiting.visit,
            claim: visiting.claim.clone(),
            fresh: if is_known { SocketId::from_bytes(random()) } else { self.id() },
            data: data.as_deref().cloned(),
        })
    }

    /// Tells its client that it is in, and by which id. To be called while the namespace is locked.
    pub(crate) fn admit(&self, id: SocketId, recovered: bool, admission: Admission<'_>) -> Admitted {
        let Inner { link, state, visiting, .. } = &*self.inner;
        *self.inner.id.lock() = id;
        let mut state = state.lock();
        let is_in = link.accept(self, admission);
        if let (State::Joining { data }, true) = (&mut *state, is_in) {
            let data = data.take().map(|data| *data);
            *state = State::Joined;
            if let Some(visiting) = visiting {
                visiting.recovered.store(recovered, Ordering::Relaxed);
            }
            tracing::debug!(socket = %id, namespace = %self.namespace(), recovered, "joined");
            return Admitted::In { data };
        }
        *state = State::Left;
        let departure = visiting.as_ref().and_then(|visiting| visiting.departure.get().copied());
        Admitted::Gone(departure.unwrap_or(Departure::Lost))
    }

    /// Answers a client that has gone meanwhile.
    pub(crate) fn admit_nowhere(&self) {
        let _namespace = self.space().lock();
        let mut state = self.inner.state.lock();
        self.inner.link.accept(self, self.id().as_str().into());
        *state = State::Left;
    }

    /// It leaves, where clients are recovered; to be called while the namespace is locked. The visit that is over with it.
    pub(crate) fn give_up(&self, departure: Departure) -> Option<Visit> {
        let visiting = self.inner.visiting.as_ref()?;
        _ = visiting.departure.set(departure);
        self.leave_for_good().then_some(visiting.visit)
    }

    /// Another connection has its session.
    pub(crate) fn fence(&self) {
        self.inner.link.disconnect(self, DisconnectReason::TakenOver);
    }

    /// Makes it a member of its namespace, and tells the client before anything else is sent to it. A client that has gone
    /// meanwhile is one that goes right afterwards: what it said is heard all the same.
    pub(crate) async fn join_namespace(&self) -> Result<(), ConnectError> {
        match &self.inner.visiting {
            None => self.join_for_now(),
            Some(_) => self.space().hub().arrive(self.space(), self).await,
        }
    }

    /// Joins for as long as the connection lasts.
    fn join_for_now(&self) -> Result<(), ConnectError> {
        let Inner { link, space, state, .. } = &*self.inner;
        let id = self.id();
        let mut namespace = space.lock();
        let mut state = state.lock();
        if let State::Joining { data } = &mut *state {
            namespace.insert(id, self.clone()).map_err(|_| ConnectError::new("Namespace is full"))?;
            if let Some(data) = data.take() {
                // Its length was checked when it was set.
                let _ = namespace.set_data(id, *data);
            }
            if link.accept(self, id.as_str().into()) {
                *state = State::Joined;
                tracing::debug!(socket = %id, namespace = %space.name(), "joined");
                return Ok(());
            }
            namespace.remove(id);
        } else {
            // The session waits for this before its client may ask again.
            link.accept(self, id.as_str().into());
        }
        *state = State::Left;
        Ok(())
    }

    /// The application has set it up.
    pub(crate) fn ready(&self) {
        if self.inner.visiting.is_some() {
            self.space().hub().ready(self.space(), self.id());
        }
    }

    /// There is room for what it was refused of the log.
    pub(crate) fn read_on(&self) {
        if let Some(visiting) = &self.inner.visiting
            && visiting.behind.swap(false, Ordering::Relaxed)
        {
            self.space().hub().read_on(self.space(), self.id());
        }
    }

    /// Takes it out of its namespace, once its link has let go of it. The socket, if its queue must now be started.
    pub(crate) fn depart(self, reason: DisconnectReason, cost: usize) -> Option<Self> {
        let Inner { space, link, visiting, .. } = &*self.inner;
        let waits = match visiting {
            None => {
                let mut namespace = space.lock();
                if self.leave_for_good() {
                    namespace.remove(self.id());
                }
                false
            }
            Some(_) => space.hub().depart(space, &self, departure(reason, self.dialect())),
        };
        link.notify_departure();
        if !waits {
            link.server.spaces.leave(space);
        }
        tracing::debug!(socket = %self.id(), namespace = %space.name(), %reason, "left");
        self.enqueue(Item::Disconnect { reason, cost })
    }

    /// Whether it was a member until now.
    fn leave_for_good(&self) -> bool {
        let mut state = self.inner.state.lock();
        let (next, was_member) = match *state {
            State::Joining { .. } | State::Gone => (State::Gone, false),
            State::Joined => (State::Left, true),
            State::Left => (State::Left, false),
        };
        *state = next;
        was_member
    }
}

/// Whether a client that has gone may come back: not one that said goodbye, was sent away, or sent what is no packet. A dialect that
/// tells nobody a pid has no way back.
fn departure(reason: DisconnectReason, dialect: Dialect) -> Departure {
    use CloseReason::{PingTimeout, Shutdown, SlowConsumer, TransportClose, TransportError};

    match reason {
        DisconnectReason::Connection(
            // A poll that breaks off is a transport error.
            PingTimeout | Shutdown | SlowConsumer | TransportClose | TransportError,
        ) if dialect != Dialect::EngineIo => Departure::Lost,
        _ => Departure::Left,
    }
}
