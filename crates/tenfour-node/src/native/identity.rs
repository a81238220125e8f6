//! Who a client is, and what it may do.

use alloc::{sync::Arc, vec::Vec};
use bytestring::ByteString;

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
/// A grant is a channel's name, or a prefix followed by `*`; `*` alone grants every channel. They are looked through
/// one by one, which suits the few dozen that a client has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Grants {
    subscribe: Vec<Pattern>,
    publish: Vec<Pattern>,
}

impl Grants {
    /// None at all.
    #[must_use]
    pub const fn new() -> Self {
        Self { subscribe: Vec::new(), publish: Vec::new() }
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

    /// Whether the channel may be subscribed to.
    #[must_use]
    pub fn may_subscribe(&self, channel: &str) -> bool {
        self.subscribe.iter().any(|pattern| pattern.matches(channel))
    }

    /// Whether messages may be published, or emitted, on the channel.
    #[must_use]
    pub fn may_publish(&self, channel: &str) -> bool {
        self.publish.iter().any(|pattern| pattern.matches(channel))
    }
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
