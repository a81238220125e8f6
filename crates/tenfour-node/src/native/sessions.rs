//! Which sessions there are, live and parked, and who may take one up again.

use super::{
    Identity, LeaveReason, Limits, PeerId,
    tokens::{Issued, Proof, Tokens},
};
use alloc::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    vec::Vec,
};
use bytestring::ByteString;
use tenfour_broker::channel::{ChannelNumber, SubscriberId};
use tenfour_delivery::{mutant, number::Sequence, time::Instant};
use tenfour_session::native::{Cost, Receipt, RequestId, SendError, ServerJournal, ServerSession};
use tenfour_wire::native::{Message, Refusal, Token};

/// A session of a server: one client, over as many connections as it takes. Its channels know it as the
/// [`SubscriberId`] of the same number. Never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

impl From<SessionId> for SubscriberId {
    fn from(session: SessionId) -> Self {
        Self(session.0)
    }
}

impl From<SubscriberId> for SessionId {
    fn from(subscriber: SubscriberId) -> Self {
        Self(subscriber.0)
    }
}

/// One session.
///
/// ```text
///             a connection comes with the token
///        ┌──────────────────────────────────────────┐
///        ▼                                          │
///  Live(peer) ──the connection is gone──▶ Parked(journal, until)
///   ▲      │                                 │
///   └──────┘ taken over by a newer one       └──time, or room, ran out──▶ removed
/// ```
#[derive(Clone, Debug, Hash)]
pub(super) struct Session {
    pub(super) identity: Identity,
    pub(super) state: State,
    /// Answers for when the client is back: as many as it may have without an answer, at most.
    pub(super) answers: VecDeque<Answer>,
    /// Publications that are not answered.
    pub(super) publishes: usize,
    /// Requests that the application has not answered.
    pub(super) requests: BTreeSet<RequestId>,
    pub(super) subscriptions: BTreeMap<ChannelNumber, Subscribing>,
    /// Whether a subscription has ended, so that a position may be said of one that is not any more.
    pub(super) has_unsubscribed: bool,
    tokens: Tokens,
}

#[derive(Clone, Debug, Hash)]
pub(super) enum State {
    Live(PeerId),
    Parked {
        journal: ServerJournal,
        bytes: usize,
        until: Instant,
    },
    /// Between two connections, within one call.
    Moving,
}

/// A subscription of a session: the channel, and the request that is answered once it has begun.
#[derive(Clone, Debug, Hash)]
pub(super) struct Subscribing {
    pub(super) channel: ByteString,
    pub(super) request: RequestId,
}

/// What the server owes a session, besides the messages of its channels.
#[derive(Clone, Debug, Hash)]
pub(super) enum Answer {
    Published { publish: Sequence, result: Result<Receipt, Refusal>, cost: Cost },
    Reply { request: RequestId, result: Result<Message, ByteString> },
    Refused { request: RequestId, refusal: Refusal },
    Unsubscribed { channel: ChannelNumber },
}

impl Answer {
    /// # Errors
    /// If a reply has no room: then the client gets an error in its place.
    pub(super) fn send(self, now: Instant, connection: &mut ServerSession) -> Result<(), SendError> {
        match self {
            Self::Published { publish, result, cost } => {
                connection.consumed(now, cost);
                connection.published(now, publish, result);
            }
            Self::Reply { request, result } => return connection.reply(now, request, result),
            Self::Refused { request, refusal } => connection.subscribed(now, request, Err(refusal)),
            Self::Unsubscribed { channel } => connection.unsubscribed(now, channel.get(), None),
        }
        Ok(())
    }

    /// What it takes while it is kept.
    fn byte_len(&self) -> usize {
        let payload = match self {
            Self::Reply { result: Ok(message), .. } => message.encoded_len(),
            Self::Reply { result: Err(text), .. } => text.len(),
            Self::Published { .. } | Self::Refused { .. } | Self::Unsubscribed { .. } => 0,
        };
        size_of::<Self>() + payload
    }
}

impl Session {
    pub(super) fn new(identity: Identity, token: Token, peer: PeerId) -> Self {
        Self {
            identity,
            state: State::Live(peer),
            answers: VecDeque::new(),
            publishes: 0,
            requests: BTreeSet::new(),
            subscriptions: BTreeMap::new(),
            has_unsubscribed: false,
            tokens: Tokens::new(token),
        }
    }

    pub(super) const fn peer(&self) -> Option<PeerId> {
        match self.state {
            State::Live(peer) => Some(peer),
            State::Parked { .. } | State::Moving => None,
        }
    }

    pub(super) const fn tokens(&mut self) -> &mut Tokens {
        &mut self.tokens
    }
}

/// What a claim to a session comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    Valid(SessionId),
    /// There is no such session, or not any more.
    Unknown,
    /// It was overtaken by a newer connection.
    Stale,
    /// It is not the session's owner's.
    Forged,
}

/// All sessions, found by their number and by the public half of their token.
#[derive(Clone, Debug, Default, Hash)]
pub(super) struct Sessions {
    sessions: BTreeMap<SessionId, Session>,
    by_token: BTreeMap<TokenId, SessionId>,
    parked: Parked,
    parked_bytes: usize,
    identities: BTreeMap<ByteString, Owned>,
    issued: u64,
}

/// The public half of a token.
type TokenId = [u8; 15];

/// Sessions in the order in which they expire, which is that in which they were parked.
type Parked = BTreeSet<(Instant, SessionId)>;

/// The sessions of one identity.
#[derive(Clone, Debug, Default, Hash)]
struct Owned {
    count: usize,
    parked: Parked,
}

impl Sessions {
    pub(super) fn get(&self, id: SessionId) -> Option<&Session> {
        self.sessions.get(&id)
    }

    pub(super) fn get_mut(&mut self, id: SessionId) -> Option<&mut Session> {
        self.sessions.get_mut(&id)
    }

    /// The session that a token names, whoever shows it.
    pub(super) fn named_by(&self, token: &Token) -> Option<SessionId> {
        self.by_token.get(&token_id(token)).copied()
    }

    pub(super) fn len(&self) -> usize {
        self.sessions.len()
    }

    pub(super) fn parked_len(&self) -> usize {
        self.parked.len()
    }

    pub(super) const fn parked_bytes(&self) -> usize {
        self.parked_bytes
    }

    pub(super) fn claim(&self, claim: Issued, identity: &Identity) -> Claim {
        let named = self.named_by(&claim.token).and_then(|id| Some((id, self.sessions.get(&id)?)));
        let Some((id, session)) = named else { return Claim::Unknown };
        if session.identity.name != identity.name {
            return Claim::Forged;
        }
        match session.tokens.check(claim) {
            Proof::Valid => Claim::Valid(id),
            Proof::Stale => Claim::Stale,
            Proof::Forged => Claim::Forged,
        }
    }

    /// Whether this identity may have another session.
    pub(super) fn room_for(&self, limits: &Limits, identity: &Identity) -> Room {
        let owned = self.identities.get(&identity.name);
        let full = match owned {
            Some(owned) if owned.count >= limits.sessions_per_identity => &owned.parked,
            _ if self.len() >= limits.sessions => &self.parked,
            _ => return Room::Free,
        };
        full.first().map_or(Room::None, |(_, oldest)| Room::After(*oldest))
    }

    /// A new session; its token's public half must be new, too.
    pub(super) fn insert(&mut self, session: Session) -> SessionId {
        self.issued += 1;
        let id = SessionId(self.issued);
        self.by_token.insert(token_id(&session.tokens.current().token), id);
        self.identities.entry(session.identity.name.clone()).or_default().count += 1;
        self.sessions.insert(id, session);
        id
    }

    pub(super) fn park(&mut self, id: SessionId, journal: ServerJournal, until: Instant) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let bytes = journal.byte_len() + session.answers.iter().map(Answer::byte_len).sum::<usize>();
        session.state = State::Parked { journal, bytes, until };
        self.parked_bytes += bytes;
        self.parked.insert((until, id));
        if let Some(owned) = self.identities.get_mut(&session.identity.name) {
            owned.parked.insert((until, id));
        }
    }

    /// Keeps an answer until the client is back.
    pub(super) fn hold(&mut self, id: SessionId, answer: Answer) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        if let State::Parked { bytes, .. } = &mut session.state {
            *bytes += answer.byte_len();
            self.parked_bytes += answer.byte_len();
        }
        session.answers.push_back(answer);
    }

    /// Takes a parked session's journal out; the session is to be [attached](Self::attach) next, or parked again.
    pub(super) fn unpark(&mut self, id: SessionId) -> Option<ServerJournal> {
        let session = self.sessions.get_mut(&id)?;
        match core::mem::replace(&mut session.state, State::Moving) {
            State::Parked { journal, bytes, until } => {
                let name = session.identity.name.clone();
                self.forget_parked(&name, id, bytes, until);
                Some(journal)
            }
            live => {
                session.state = live;
                None
            }
        }
    }

    /// A session goes on, on this connection: the subscriptions that its identity may not have any more, and the answers
    /// that were kept for it.
    pub(super) fn attach(
        &mut self,
        id: SessionId,
        peer: PeerId,
        identity: Identity,
    ) -> (Vec<(ChannelNumber, RequestId)>, VecDeque<Answer>) {
        let Some(session) = self.sessions.get_mut(&id) else { return Default::default() };
        session.state = State::Live(peer);
        session.identity = identity;
        let grants = &session.identity.grants;
        let is_revoked = |_: &ChannelNumber, to: &mut Subscribing| {
            !mutant!(GrantNotRechecked) && !grants.may_subscribe(&to.channel)
        };
        let revoked = session.subscriptions.extract_if(.., is_revoked);
        let revoked = revoked.map(|(number, ended)| (number, ended.request)).collect();
        (revoked, core::mem::take(&mut session.answers))
    }

    pub(super) fn remove(&mut self, id: SessionId) -> Option<Session> {
        let session = self.sessions.remove(&id)?;
        self.by_token.remove(&token_id(&session.tokens.current().token));
        let name = &session.identity.name;
        if let State::Parked { bytes, until, .. } = session.state {
            self.forget_parked(name, id, bytes, until);
        }
        if let Some(owned) = self.identities.get_mut(name) {
            owned.count -= 1;
            if owned.count == 0 {
                self.identities.remove(name);
            }
        }
        Some(session)
    }

    fn forget_parked(&mut self, name: &ByteString, id: SessionId, bytes: usize, until: Instant) {
        self.parked_bytes -= bytes;
        self.parked.remove(&(until, id));
        if let Some(owned) = self.identities.get_mut(name) {
            owned.parked.remove(&(until, id));
        }
    }

    /// The parked session that goes next: its time is up, or there is no room for as many.
    pub(super) fn overdue(&self, now: Instant, limits: &Limits) -> Option<(SessionId, LeaveReason)> {
        let (until, id) = self.parked.first()?;
        let is_full = self.parked.len() > limits.parked || self.parked_bytes > limits.parked_bytes;
        match now.has_reached(*until) {
            true => Some((*id, LeaveReason::Expired)),
            false => is_full.then_some((*id, LeaveReason::Evicted)),
        }
    }

    /// When the next parked session expires.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.parked.first().map(|(until, _)| *until)
    }
}

#[cfg(test)]
impl Sessions {
    /// That what is counted apart agrees with the sessions themselves.
    pub(super) fn check(&self) {
        let parked = self.sessions.iter().filter_map(|(id, session)| match &session.state {
            State::Parked { journal, bytes, until } => {
                let answers: usize = session.answers.iter().map(Answer::byte_len).sum();
                assert_eq!(*bytes, journal.byte_len() + answers);
                Some(((*until, *id), *bytes))
            }
            State::Live(_) => None,
            State::Moving => panic!("{id:?} is between two connections after the call"),
        });
        let parked: BTreeMap<_, _> = parked.collect();
        assert!(self.parked.iter().eq(parked.keys()));
        assert_eq!(self.parked_bytes, parked.values().sum::<usize>());
        let of_all = self.identities.values().flat_map(|owned| &owned.parked);
        assert_eq!(of_all.copied().collect::<Parked>(), self.parked);
        assert_eq!(self.identities.values().map(|owned| owned.count).sum::<usize>(), self.sessions.len());
        assert!(self.by_token.values().copied().collect::<BTreeSet<_>>().iter().eq(self.sessions.keys()));
    }
}

/// Whether there may be another session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    Free,
    /// Once this one has gone, which is parked.
    After(SessionId),
    None,
}

fn token_id(token: &Token) -> TokenId {
    token.id().try_into().expect("a token's id has its length")
}
