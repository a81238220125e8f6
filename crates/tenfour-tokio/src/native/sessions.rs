//! Sessions that outlive their connections, as the sockets of a namespace come and go.

use super::hub::{Guard, Hub};
use crate::{
    ChangeError, Socket, Space,
    server::Shared,
    socket::{Admitted, random},
};
use bytestring::ByteString;
use std::{
    collections::HashMap,
    sync::{Arc, Weak},
    time::Duration,
};
use tenfour_broker::{
    Joined, SocketId, Target,
    recovery::{
        Arrival, Away, Change, ChangeId, Claim, ConnectError as NoSession, Departure, Event, How, Pid, Visit,
    },
};
use tenfour_session::socketio::{Admission, ConnectError};
use tokio::{sync::oneshot, time::timeout};

/// How long a client waits for a log that cannot be read, before it is told so.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a hub remembers of them.
#[derive(Default)]
pub(super) struct Sessions {
    /// Who has a session, or is being given one.
    visitors: HashMap<Visit, Visitor>,
    changing: HashMap<ChangeId, oneshot::Sender<Made>>,
    /// Sessions whose clients are away, and which keep their namespace there.
    kept: usize,
    /// The server, as soon as somebody came.
    home: Weak<Shared>,
}

struct Visitor {
    socket: Socket,
    /// Who waits for its admission.
    admission: Option<oneshot::Sender<Result<(), ConnectError>>>,
}

type Made = Result<(), tenfour_broker::recovery::ChangeError>;

/// A change that was asked for.
pub(crate) enum Changing {
    Done(bool),
    Pending(oneshot::Receiver<Made>),
}

impl Changing {
    /// Whether there was something to be changed, once that is committed.
    pub(crate) async fn made(self) -> Result<bool, ChangeError> {
        match self {
            Self::Done(changed) => Ok(changed),
            // Whoever drops the sender has ended the session.
            Self::Pending(made) => match made.await {
                Ok(made) => Ok(made.map(|()| true)?),
                Err(_) => Err(tenfour_broker::recovery::ChangeError::Ended.into()),
            },
        }
    }
}

impl Hub {
    /// The session that a client claims: its id and its data.
    pub(crate) fn recall(
        &self,
        space: &Arc<Space>,
        claim: &tenfour_node::Claim,
    ) -> Option<(SocketId, Option<ByteString>)> {
        let pid = claim.pid.parse().ok()?;
        let guard = self.lock(space, None);
        let claimed = guard.state.hub.recovery()?.claimed(pid)?;
        Some((claimed.id, claimed.data.clone()))
    }

    /// A client comes, and the application lets it in. Done when it has been told.
    pub(crate) async fn arrive(&self, space: &Arc<Space>, socket: &Socket) -> Result<(), ConnectError> {
        let Some(ticket) = socket.ticket() else {
            // It has gone: the session waits for an answer before its client may ask again.
            socket.admit_nowhere();
            return Ok(());
        };
        let mut admitted = {
            let mut guard = self.lock(space, None);
            let now = guard.now;
            let state = &mut *guard.state;
            let claim = ticket.claim.and_then(|claim| {
                Some(Claim {
                    pid: claim.pid.parse().ok()?,
                    at: claim.position(state.hub.native().channels().epoch()),
                })
            });
            let mut arrival = Arrival::new((ticket.fresh, Pid::from_bytes(random())));
            (arrival.claim, arrival.data) = (claim, ticket.data);
            let connected = state.hub.connect(now, ticket.visit, arrival, &mut space.lock());
            connected.map_err(|error| refusal(&error))?;
            let (admission, admitted) = oneshot::channel();
            let visitor = Visitor { socket: socket.clone(), admission: Some(admission) };
            state.sessions.visitors.insert(ticket.visit, visitor);
            state.sessions.home = Arc::downgrade(socket.server());
            admitted
        };
        match timeout(PATIENCE, &mut admitted).await {
            Ok(told) => told.unwrap_or_else(|_| Err(ConnectError::new("Internal error"))),
            Err(_) => self.turn_away(space, ticket.visit, admitted),
        }
    }

    /// Nobody knows whether a session can go on, since the log cannot be read: it waits on.
    fn turn_away(
        &self,
        space: &Arc<Space>,
        visit: Visit,
        mut admitted: oneshot::Receiver<Result<(), ConnectError>>,
    ) -> Result<(), ConnectError> {
        let mut guard = self.lock(space, None);
        if let Ok(told) = admitted.try_recv() {
            return told;
        }
        guard.abandon(visit, Departure::Lost);
        Err(ConnectError::new("Namespace is not available"))
    }

    /// The application has set a socket up.
    pub(crate) fn ready(&self, space: &Arc<Space>, id: SocketId) {
        let mut guard = self.lock(space, None);
        let now = guard.now;
        if let Some(recovery) = guard.state.hub.recovery_mut() {
            recovery.ready(now, id);
        }
    }

    /// A socket leaves. Whether its session waits for its client, and with it the namespace.
    pub(crate) fn depart(&self, space: &Arc<Space>, socket: &Socket, departure: Departure) -> bool {
        let mut guard = self.lock(space, None);
        let now = guard.now;
        let state = &mut *guard.state;
        let mut members = space.lock();
        let Some(visit) = socket.give_up(departure) else { return false };
        state.sessions.visitors.remove(&visit);
        let id = state.hub.recovery().and_then(|recovery| recovery.visitor(visit));
        state.hub.depart(now, visit, departure, &mut members);
        let waits = id.is_some_and(|id| state.hub.recovery().is_some_and(|all| all.session(id).is_some()));
        state.sessions.kept += usize::from(waits);
        waits
    }

    /// There is room for what a socket was refused of the log.
    pub(crate) fn read_on(&self, space: &Arc<Space>, id: SocketId) {
        let mut guard = self.lock(space, None);
        let now = guard.now;
        guard.state.hub.resume_reading(now, id, &mut space.lock());
    }

    pub(crate) fn join_room(
        &self,
        space: &Arc<Space>,
        id: SocketId,
        room: &str,
        away: Away,
    ) -> Result<Changing, ChangeError> {
        let mut guard = self.lock(space, None);
        let now = guard.now;
        let Some(recovery) = guard.state.hub.recovery_mut() else {
            return Ok(Changing::Done(space.lock().join(id, room)?));
        };
        let change = recovery.join(now, id, &room.into(), away, &mut space.lock())?;
        Ok(guard.state.sessions.await_change(change))
    }

    pub(crate) fn leave_room(
        &self,
        space: &Arc<Space>,
        id: SocketId,
        room: &str,
    ) -> Result<Changing, ChangeError> {
        let mut guard = self.lock(space, None);
        let now = guard.now;
        let Some(recovery) = guard.state.hub.recovery_mut() else {
            return Ok(Changing::Done(space.lock().leave(id, room)));
        };
        let change = recovery.leave(now, id, &room.into(), &mut space.lock())?;
        Ok(guard.state.sessions.await_change(change))
    }

    pub(crate) fn set_data(
        &self,
        space: &Arc<Space>,
        id: SocketId,
        data: ByteString,
    ) -> Result<Changing, ChangeError> {
        let mut guard = self.lock(space, None);
        let now = guard.now;
        let Some(recovery) = guard.state.hub.recovery_mut() else {
            space.lock().set_data(id, data)?;
            return Ok(Changing::Done(true));
        };
        let change = recovery.set_data(now, id, data, &mut space.lock())?;
        Ok(guard.state.sessions.await_change(change))
    }
}

/// What is done to all of a target, those whose clients are away among them.
impl Hub {
    pub(crate) fn join_selected(
        &self,
        space: &Arc<Space>,
        target: &Target,
        room: &str,
    ) -> Result<(Joined, Changing), ChangeError> {
        let mut guard = self.lock(space, None);
        let now = guard.now;
        let Some(recovery) = guard.state.hub.recovery_mut() else {
            return Ok((space.lock().join_selected(target, room)?, Changing::Done(true)));
        };
        let selected = recovery.join_selected(now, target, &room.into(), &mut space.lock())?;
        let mut joined = Joined::default();
        (joined.joined, joined.full) = (selected.changed, selected.full);
        Ok((joined, guard.state.sessions.await_selected(selected.pending)))
    }

    pub(crate) fn leave_selected(
        &self,
        space: &Arc<Space>,
        target: &Target,
        room: &str,
    ) -> Result<(usize, Changing), ChangeError> {
        let mut guard = self.lock(space, None);
        let now = guard.now;
        let Some(recovery) = guard.state.hub.recovery_mut() else {
            return Ok((space.lock().leave_selected(target, room), Changing::Done(true)));
        };
        let selected = recovery.leave_selected(now, target, &room.into(), &mut space.lock())?;
        Ok((selected.changed, guard.state.sessions.await_selected(selected.pending)))
    }

    /// Ends the sessions whose clients are away. Those that are there are answered: they are to be disconnected.
    pub(crate) fn dismiss_selected(&self, space: &Arc<Space>, target: &Target) -> (usize, Vec<Socket>) {
        let mut guard = self.lock(space, None);
        let now = guard.now;
        let mut present = Vec::new();
        let mut members = space.lock();
        let each = |_, socket: &Socket| present.push(socket.clone());
        let count = guard.state.hub.disconnect_selected(now, target, &mut members, each);
        (count, present)
    }
}

impl Sessions {
    fn await_selected(&mut self, pending: Option<ChangeId>) -> Changing {
        self.await_change(pending.map_or(Change::Done(true), Change::Pending))
    }

    fn await_change(&mut self, change: Change) -> Changing {
        match change {
            Change::Done(changed) => Changing::Done(changed),
            Change::Pending(change) => {
                let (sender, made) = oneshot::channel();
                self.changing.insert(change, sender);
                Changing::Pending(made)
            }
        }
    }
}

impl Guard<'_> {
    /// Something happened to the sessions.
    pub(super) fn dispatch_session(&mut self, event: Event) {
        match event {
            Event::Admitted { visit, id, pid, how, .. } => self.admit(visit, id, pid, how),
            Event::Fenced { visit, .. } => self.fence(visit),
            Event::Changed { change, result } => {
                if let Some(waiter) = self.state.sessions.changing.remove(&change) {
                    // Whoever waited may have given up.
                    let _ = waiter.send(result);
                }
            }
            Event::Unwritten { id, error } => {
                tracing::warn!(socket = %id, %error, "a session is not in the log, and would not survive a restart");
            }
            Event::Ended { id, reason } => tracing::debug!(socket = %id, ?reason, "a session has ended"),
            _ => {}
        }
    }

    /// Tells a client that it is in, and reaches it from now on.
    fn admit(&mut self, visit: Visit, id: SocketId, pid: Pid, how: How) {
        let (now, fields) = (self.now, self.welcome());
        let fields = [("tenfour", &*fields)];
        let state = &mut *self.state;
        let Some(visitor) = state.sessions.visitors.get_mut(&visit) else { return };
        let (socket, waiter) = (visitor.socket.clone(), visitor.admission.take());
        let mut members = self.space.lock();
        let admission = Admission { sid: id.as_str(), pid: Some(pid.as_str()), fields: &fields };
        match socket.admit(id, how == How::Recovered, admission) {
            Admitted::In { data } => {
                state.hub.admitted(now, visit, socket, &mut members);
                // Of a session that is new it is the data already.
                if let (Some(data), Some(recovery), How::Recovered) = (data, state.hub.recovery_mut(), how) {
                    // Its length was checked when it was set.
                    let _ = recovery.set_data(now, id, data, &mut members);
                }
            }
            Admitted::Gone(departure) => {
                drop(members);
                self.abandon(visit, departure);
            }
        }
        if let Some(waiter) = waiter {
            let _ = waiter.send(Ok(()));
        }
    }

    /// A visit is over that never was a member's: its socket has let go of the namespace, or will. A session that waits on keeps the
    /// namespace there.
    fn abandon(&mut self, visit: Visit, departure: Departure) {
        let (now, state) = (self.now, &mut *self.state);
        state.sessions.visitors.remove(&visit);
        let id = state.hub.recovery().and_then(|recovery| recovery.visitor(visit));
        state.hub.depart(now, visit, departure, &mut self.space.lock());
        let waits = id.is_some_and(|id| state.hub.recovery().is_some_and(|all| all.session(id).is_some()));
        let stays = || state.sessions.home.upgrade().is_some_and(|home| home.spaces.stay(self.space));
        state.sessions.kept += usize::from(waits && stays());
    }

    /// A client has lost its session to another connection.
    fn fence(&mut self, visit: Visit) {
        let Some(Visitor { socket, admission }) = self.state.sessions.visitors.remove(&visit) else { return };
        if let Some(admission) = admission {
            let _ = admission.send(Err(refusal(&NoSession::Superseded)));
            return;
        }
        let members = self.space.lock();
        socket.give_up(Departure::Left);
        drop(members);
        // Not here: the connection's events have an order of their own, which is decided before the hub's.
        self.context().spawn(async move { socket.fence() });
    }

    /// What a client is told of the server besides.
    fn welcome(&self) -> String {
        let window = self.context().config.idempotency.window;
        format!(r#"{{"dedup_ms":{}}}"#, window.as_millis())
    }

    /// Lets go of the namespace for the sessions that have ended while their clients were away, or whose clients are back.
    pub(super) fn release_kept(&mut self) {
        let parked = self.state.hub.recovery().map_or(0, |recovery| recovery.parked());
        let Sessions { kept, home, .. } = &mut self.state.sessions;
        while *kept > parked {
            *kept -= 1;
            if let Some(home) = home.upgrade() {
                home.spaces.leave(self.space);
            }
        }
    }
}

fn refusal(error: &NoSession) -> ConnectError {
    match error {
        NoSession::Superseded => ConnectError::new("Session taken over"),
        _ => ConnectError::new("Namespace is full"),
    }
}
