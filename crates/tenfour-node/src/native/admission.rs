//! Who gets in: authentication, resumption, takeover.

use super::{
    Event, Identity, LeaveReason, PeerId, Peers, Rejection, RequestId, Server, SessionId,
    convert::{refusal, rejection},
    server::Stage,
    sessions::{Claim, Room, Session},
    tokens::Issued,
};
use bytes::Bytes;
use bytestring::ByteString;
use tenfour_broker::channel::ChannelNumber;
use tenfour_delivery::{
    mutant,
    number::{Generation, Sequence},
    time::Now,
};
use tenfour_session::native::{Beginning, ResumeClaim, ResumeError, ServerJournal, Welcomed};
use tenfour_wire::native::{CloseCode, RefusalReason, Token};

impl Server {
    pub(super) fn hello(
        &mut self,
        now: Now,
        peer: PeerId,
        namespace: &ByteString,
        credentials: Bytes,
        resume: Option<ResumeClaim>,
        peers: &mut impl Peers,
    ) {
        if let Err(code) = self.check_hello(namespace) {
            return self.reject(now, peer, rejection(code), peers);
        }
        self.events.push_back(Event::Authenticate { peer, credentials, resuming: resume.is_some() });
        self.stages.insert(peer, Stage::Authenticating(resume));
        self.authenticating += 1;
    }

    fn check_hello(&self, namespace: &ByteString) -> Result<(), CloseCode> {
        if *namespace != self.name {
            return Err(CloseCode::UnknownNamespace);
        }
        if self.drain.is_some() {
            return Err(CloseCode::GoingAway);
        }
        if self.authenticating >= self.config.limits.authenticating {
            return Err(CloseCode::Overloaded);
        }
        Ok(())
    }

    /// Answers an [`Event::Authenticate`]. `random` is fresh from a cryptographic generator: a token is made of it, or a
    /// part of one. A connection that is gone meanwhile, or was answered already, is left alone.
    ///
    /// Whoever may resume a session gets it at once, also if it is live on another connection, which is then closed as
    /// [`Conflict`](CloseCode::Conflict), for good. Until then it stays live.
    pub fn authenticated(
        &mut self,
        now: Now,
        peer: PeerId,
        result: Result<Identity, Rejection>,
        random: [u8; 30],
        peers: &mut impl Peers,
    ) {
        let Some(Stage::Authenticating(claim)) = self.stages.get(&peer).copied() else { return };
        self.detach(peer);
        let random = Token(random);
        match (result, claim) {
            _ if self.drain.is_some() => self.reject(now, peer, rejection(CloseCode::GoingAway), peers),
            (Err(rejection), _) => self.reject(now, peer, rejection, peers),
            (Ok(identity), None) => self.admit(now, peer, identity, random, Beginning::Fresh, peers),
            (Ok(identity), Some(claim)) => self.resume(now, peer, identity, claim, random, peers),
        }
    }

    fn resume(
        &mut self,
        now: Now,
        peer: PeerId,
        identity: Identity,
        claim: ResumeClaim,
        random: Token,
        peers: &mut impl Peers,
    ) {
        self.catch_up(now, &claim.token, peers);
        let issued = Issued { token: claim.token, generation: claim.generation };
        let id = match self.sessions.claim(issued, &identity) {
            Claim::Valid(_)
                if mutant!(RecoveryBeforeFirstEventLost) && claim.claim.next == Sequence::FIRST =>
            {
                return self.admit(now, peer, identity, random, Beginning::Fresh, peers);
            }
            Claim::Valid(id) if mutant!(TakeoverWaitsForTimeout) && self.peer(id).is_some() => {
                return self.reject(now, peer, rejection(CloseCode::Overloaded), peers);
            }
            Claim::Valid(id) => id,
            Claim::Unknown => return self.admit(now, peer, identity, random, Beginning::Rebased, peers),
            Claim::Stale => return self.reject(now, peer, rejection(CloseCode::Fenced), peers),
            Claim::Forged => return self.reject(now, peer, rejection(CloseCode::Unauthorized), peers),
        };
        let journal = self.take_over(now, id, peers);
        let Some((journal, issued)) = journal.zip(self.rotate(id, issued, random)) else {
            self.leave(id, LeaveReason::Abandoned);
            return self.admit(now, peer, identity, random, Beginning::Rebased, peers);
        };
        match self.hand_over(now, peer, journal, issued, peers) {
            Ok(()) => self.resumed(now, id, peer, identity, peers),
            Err((_, ResumeError::Gap | ResumeError::TooNarrow)) => {
                self.leave(id, LeaveReason::Unresumable);
                self.admit(now, peer, identity, random, Beginning::Rebased, peers);
            }
            Err((journal, error)) => {
                self.park(now, id, journal);
                if error == ResumeError::FromFuture {
                    self.reject(now, peer, rejection(CloseCode::FutureAck), peers);
                }
            }
        }
    }

    /// What a connection has received before it is overtaken counts: it is done now, since the journal that is about to
    /// be taken says that it was received.
    fn catch_up(&mut self, now: Now, token: &Token, peers: &mut impl Peers) {
        let named = self.sessions.named_by(token).and_then(|id| self.sessions.get(id));
        if let Some(old) = named.and_then(Session::peer) {
            self.drive(now, old, peers);
        }
    }

    /// What a session goes on with, from where it was parked or from the connection that it has, which has lost it then.
    fn take_over(&mut self, now: Now, id: SessionId, peers: &mut impl Peers) -> Option<ServerJournal> {
        let Some(old) = self.sessions.get(id)?.peer() else { return self.sessions.unpark(id) };
        if mutant!(OldConnectionKeptAlive) {
            return self.reach(old, peers, |connection| connection.clone().take_journal())?;
        }
        self.detach(old);
        self.reach(old, peers, |connection| {
            connection.close(now.mono, CloseCode::Conflict);
            connection.take_journal()
        })?
    }

    fn rotate(&mut self, id: SessionId, claim: Issued, random: Token) -> Option<Issued> {
        self.sessions.get_mut(id)?.tokens().rotate(claim, with_secret_of(claim.token, random))
    }

    /// Gives a session to a connection; the journal comes back if that cannot take it.
    fn hand_over(
        &mut self,
        now: Now,
        peer: PeerId,
        journal: ServerJournal,
        issued: Issued,
        peers: &mut impl Peers,
    ) -> Result<(), (Option<ServerJournal>, ResumeError)> {
        let mut journal = Some(journal);
        let resumed = self.reach(peer, peers, |connection| {
            let journal = journal.take().ok_or((None, ResumeError::NotAsked))?;
            connection
                .resume(now.mono, journal, issued.token, issued.generation)
                .map_err(|(journal, error)| (Some(journal), error))
        });
        resumed.unwrap_or(Err((journal, ResumeError::NotAsked)))
    }

    /// A session goes on, as far as its identity may now.
    fn resumed(&mut self, now: Now, id: SessionId, peer: PeerId, identity: Identity, peers: &mut impl Peers) {
        self.stages.insert(peer, Stage::Joined(id));
        let name = identity.name.clone();
        self.events.push_back(Event::Joined { session: id, peer, identity: name, is_new: false });
        let (revoked, answers) = self.sessions.attach(id, peer, identity);
        for (channel, request) in revoked {
            self.revoke(now, id, channel, request, peers);
        }
        for answer in answers {
            self.answer(now, id, answer, peers);
        }
        self.channels.resume_reading(id.into());
    }

    /// Ends a subscription that is not granted any more. What was sent of the channel and has not arrived is not sent
    /// again; one that has not begun is refused.
    fn revoke(
        &mut self,
        now: Now,
        id: SessionId,
        channel: ChannelNumber,
        request: RequestId,
        peers: &mut impl Peers,
    ) {
        let has_begun = self.channels.position(id.into(), channel).is_some();
        self.channels.unsubscribe(id.into(), channel);
        let refusal = refusal(RefusalReason::Forbidden);
        self.reach_session(id, peers, |connection| match has_begun {
            true => connection.revoke(now.mono, channel.get(), refusal),
            false => connection.subscribed(now.mono, request, Err(refusal)),
        });
    }

    /// Lets a client in with a session of its own.
    fn admit(
        &mut self,
        now: Now,
        peer: PeerId,
        identity: Identity,
        token: Token,
        beginning: Beginning,
        peers: &mut impl Peers,
    ) {
        match self.sessions.room_for(&self.config.limits, &identity) {
            Room::Free => {}
            Room::After(parked) => self.leave(parked, LeaveReason::Evicted),
            Room::None => return self.reject(now, peer, rejection(CloseCode::Overloaded), peers),
        }
        if self.sessions.named_by(&token).is_some() {
            // Random bytes that repeat are none: nobody's session is put at risk for them.
            return self.reject(now, peer, rejection(CloseCode::Internal), peers);
        }
        let welcomed = Welcomed {
            token,
            generation: Generation::FIRST,
            epoch: self.channels.epoch(),
            dedup_window: Some(self.channels.dedup_window()),
            beginning,
        };
        if self.reach(peer, peers, |connection| connection.welcome(now.mono, &welcomed)).is_some() {
            let name = identity.name.clone();
            let session = self.sessions.insert(Session::new(identity, token, peer));
            self.stages.insert(peer, Stage::Joined(session));
            self.events.push_back(Event::Joined { session, peer, identity: name, is_new: true });
        }
    }

    fn reject(&mut self, now: Now, peer: PeerId, rejection: Rejection, peers: &mut impl Peers) {
        self.reach(peer, peers, |connection| connection.reject(now.mono, rejection));
    }
}

/// The token of the same session, with another secret.
fn with_secret_of(token: Token, random: Token) -> Token {
    let mut bytes = token.0;
    bytes[15..].copy_from_slice(random.secret());
    Token(bytes)
}
