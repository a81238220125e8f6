//! Who a client is, and what it may do.

use alloc::{sync::Arc, vec::Vec};
use bytestring::ByteString;
use tenfour_broker::channel::{Away, is_reserved};

/// What the application's authentication found out about a client.
///
/// A session belongs to the name: only who proves the same name again may resume it. The grants count from the last
/// authentication on, so a resumed session has those of the resumption and never older ones.
///
/// ```
/// use tenfour_node::native::{Grants, Identity};
///
/// let identity = Identity::new("ada", Grants::new().subscribe("news").publish("rooms/*"));
/// assert!(identity.grants.may_subscribe("news") && !identity.grants.may_subscribe("news/today"));
/// assert!(identity.grants.may_publish("rooms/7") && !identity.grants.may_publish("news"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// Whom the sessions belong to; limits per identity count by it.
    pub name: ByteString,
    /// What this client may do now. Shared, so that a thousand sessions with equal grants hold them once.
    pub grants: Arc<Grants>,
}

impl Identity {
    /// An identity with these grants.
    #[must_use]
    pub fn new(name: impl Into<ByteString>, grants: impl Into<Arc<Grants>>) -> Self {
        Self { name: name.into(), grants: grants.into() }
    }
}

/// The channels that a client may subscribe to, and those that it may publish on. Nothing is granted by default.
///
/// A grant is a channel's name, or a prefix followed by `*`; `*` alone grants every channel. What is withheld is withheld
/// whatever else is granted. They are looked through one by one, which suits the few dozen that a client has.
///
/// A channel is the room of its name, and a socket's id is the room in which that socket is alone: whoever may publish on
/// `*` can say anything to anybody in the namespace, in any event's name. So withhold what your clients believe to come from
/// your handlers alone.
///
/// ```
/// use tenfour_node::native::Grants;
///
/// let grants = Grants::all().withhold_publish("chat").withhold_publish("chat/*");
/// assert!(grants.may_subscribe("chat") && grants.may_publish("typing"));
/// assert!(!grants.may_publish("chat") && !grants.may_publish("chat/7"));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Grants {
    subscribe: Vec<Pattern>,
    publish: Vec<Pattern>,
    withheld_subscribe: Vec<Pattern>,
    withheld_publish: Vec<Pattern>,
    away: Vec<(Pattern, Away)>,
}

impl Grants {
    /// None at all.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            subscribe: Vec::new(),
            publish: Vec::new(),
            withheld_subscribe: Vec::new(),
            withheld_publish: Vec::new(),
            away: Vec::new(),
        }
    }

    /// Every channel, in both directions.
    #[must_use]
    pub fn all() -> Self {
        Self::new().subscribe("*").publish("*")
    }

    /// Also lets subscribe to the channel or the `prefix*`.
    #[must_use]
    pub fn subscribe(mut self, pattern: impl Into<ByteString>) -> Self {
        self.subscribe.push(Pattern(pattern.into()));
        self
    }

    /// Also lets publish, and emit, on the channel or the `prefix*`.
    #[must_use]
    pub fn publish(mut self, pattern: impl Into<ByteString>) -> Self {
        self.publish.push(Pattern(pattern.into()));
        self
    }

    /// But does not let subscribe to the channel or the `prefix*`.
    #[must_use]
    pub fn withhold_subscribe(mut self, pattern: impl Into<ByteString>) -> Self {
        self.withheld_subscribe.push(Pattern(pattern.into()));
        self
    }

    /// But does not let publish, nor emit, on the channel or the `prefix*`.
    #[must_use]
    pub fn withhold_publish(mut self, pattern: impl Into<ByteString>) -> Self {
        self.withheld_publish.push(Pattern(pattern.into()));
        self
    }

    /// What the client gets of what it misses of the channel, or the channels `prefix*`, while it is away: everything, unless
    /// this says otherwise. Of several that fit, the last one counts, when the client subscribes.
    ///
    /// ```
    /// use tenfour_node::{broker::channel::Away, native::Grants};
    ///
    /// let grants = Grants::new().subscribe("*").while_away("prices/*", Away::LatestPerKey);
    /// assert_eq!(grants.away("prices/gold"), Away::LatestPerKey);
    /// assert_eq!(grants.away("news"), Away::Everything);
    /// ```
    #[must_use]
    pub fn while_away(mut self, pattern: impl Into<ByteString>, away: Away) -> Self {
        self.away.push((Pattern(pattern.into()), away));
        self
    }

    /// What the client gets of what it misses of a channel while it is away.
    #[must_use]
    pub fn away(&self, channel: &str) -> Away {
        let fitting = self.away.iter().rfind(|(pattern, _)| pattern.matches(channel));
        fitting.map_or_else(Away::default, |(_, away)| *away)
    }

    /// Whether the channel may be subscribed to.
    #[must_use]
    pub fn may_subscribe(&self, channel: &str) -> bool {
        is_granted(channel, &self.subscribe, &self.withheld_subscribe)
    }

    /// Whether messages may be published, or emitted, on the channel.
    #[must_use]
    pub fn may_publish(&self, channel: &str) -> bool {
        is_granted(channel, &self.publish, &self.withheld_publish)
    }
}

/// Nothing grants the namespace's own channels.
fn is_granted(channel: &str, granted: &[Pattern], withheld: &[Pattern]) -> bool {
    let any = |patterns: &[Pattern]| patterns.iter().any(|pattern| pattern.matches(channel));
    !is_reserved(channel) && any(granted) && !any(withheld)
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Pattern(ByteString);

impl Pattern {
    fn matches(&self, channel: &str) -> bool {
        match self.0.strip_suffix('*') {
            Some(prefix) => channel.starts_with(prefix),
            None => *self.0 == *channel,
        }
    }
}
