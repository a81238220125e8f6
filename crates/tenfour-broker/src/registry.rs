//! Which namespaces there may be: those declared by name, and those that come to be when someone connects.

use alloc::{collections::BTreeMap, sync::Arc, vec::Vec};
use core::fmt;

use bytestring::ByteString;

pub use pattern::{Pattern, PatternError, PatternErrorKind};

mod pattern;

/// The namespaces that there are, each with a handle `N` by which the driver reaches it, and the rules for those that
/// may come to be. A namespace of a [`Rule::Exact`] is *static*: it stays. All others are *dynamic*: made by whoever
/// connects, so they are counted, bounded, and removed when they are empty.
///
/// A registry runs the application's [`Rule::Function`]s, so its lock is best another one than the namespaces'.
///
/// ```
/// use tenfour_broker::registry::{Connect, Pattern, Registry, RegistryLimits, Rule, WhenEmpty};
///
/// let mut registry = Registry::new(RegistryLimits::default(), WhenEmpty::Remove);
/// let tenants = registry.declare(Rule::Pattern(Pattern::parse("/tenant-{id}")?));
///
/// assert_eq!(registry.connect("/tenant-7", None), Connect::Create(tenants));
/// registry.create("/tenant-7", tenants, "the handle")?;
/// assert_eq!(registry.connect("/tenant-7", None), Connect::Existing("the handle"));
/// assert_eq!(registry.connect("/nobody", None), Connect::Unknown);
///
/// assert_eq!(registry.leave("/tenant-7"), Some("the handle"), "it was the last, so the namespace is gone");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Registry<N> {
    rules: Vec<Rule>,
    live: BTreeMap<ByteString, Live<N>>,
    dynamic: usize,
    limits: RegistryLimits,
    when_empty: WhenEmpty,
}

/// What a declared namespace is called.
#[derive(Clone)]
#[non_exhaustive]
pub enum Rule {
    /// One namespace of this name.
    Exact(ByteString),
    /// A namespace for each name that the pattern matches, made at the first connection.
    Pattern(Pattern),
    /// A namespace for each name that the function accepts, made at the first connection. It says whether the
    /// namespace may exist; later connections are not asked again, so who may enter is decided when a socket connects.
    Function(Arc<Accepts>),
}

/// Whether there may be a namespace of this name. The second argument is the `auth` of the connection that asks for
/// it, a JSON text, if it sent one.
pub type Accepts = dyn Fn(&str, Option<&str>) -> bool + Send + Sync;

/// Which of the declared rules, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleIndex(usize);

impl RuleIndex {
    /// How many rules were declared before it.
    #[must_use]
    pub const fn get(self) -> usize {
        self.0
    }
}

/// What becomes of a dynamic namespace when its last connection leaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhenEmpty {
    /// It is removed. The default, since whoever connects can make one.
    #[default]
    Remove,
    /// It stays, and counts against the quota.
    Keep,
}

/// Bounds of a [`Registry`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RegistryLimits {
    /// Dynamic namespaces at a time; by default 1,000.
    pub dynamic_namespaces: usize,
    /// Bytes of a dynamic namespace's name; by default 256. A longer one is unknown.
    pub name_bytes: usize,
}

/// What to do with a connection to a namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Connect<N> {
    /// There is such a namespace, and it counts the connection until [`Registry::leave`].
    Existing(N),
    /// A rule allows it: make it, say so with [`Registry::create`], and connect again.
    Create(RuleIndex),
    /// No rule allows it; in Socket.IO the answer is `Invalid namespace`.
    Unknown,
    /// A rule allows it, but there are [`RegistryLimits::dynamic_namespaces`] already.
    QuotaExceeded,
}

/// There are too many dynamic namespaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "there are {limit} dynamic namespaces; refuse this one, or raise `RegistryLimits::dynamic_namespaces`"
)]
pub struct QuotaExceeded {
    /// [`RegistryLimits::dynamic_namespaces`].
    pub limit: usize,
}

struct Live<N> {
    handle: N,
    rule: RuleIndex,
    connections: usize,
}

impl<N: Clone> Registry<N> {
    /// A registry without rules.
    #[must_use]
    pub fn new(limits: RegistryLimits, when_empty: WhenEmpty) -> Self {
        Self { rules: Vec::new(), live: BTreeMap::new(), dynamic: 0, limits, when_empty }
    }

    /// Adds a rule, after those before it.
    pub fn declare(&mut self, rule: Rule) -> RuleIndex {
        self.rules.push(rule);
        RuleIndex(self.rules.len() - 1)
    }

    /// Decides on a connection to `name`. An exact rule goes before all others, which are asked in their order.
    pub fn connect(&mut self, name: &str, auth: Option<&str>) -> Connect<N> {
        if let Some(live) = self.live.get_mut(name) {
            live.connections += 1;
            return Connect::Existing(live.handle.clone());
        }
        match self.rule_for(name, auth) {
            None => Connect::Unknown,
            Some(rule) if self.is_dynamic(rule) && self.is_full() => Connect::QuotaExceeded,
            Some(rule) => Connect::Create(rule),
        }
    }

    /// Adds the namespace `name` of a rule, without a connection. It is for after [`Connect::Create`], and for an exact
    /// rule's namespace that is to exist before anyone connects. If there is one of this name by now, that one stays.
    ///
    /// # Errors
    /// If there are too many dynamic namespaces by now.
    pub fn create(&mut self, name: &str, rule: RuleIndex, handle: N) -> Result<(), QuotaExceeded> {
        if self.live.contains_key(name) {
            return Ok(());
        }
        if self.is_dynamic(rule) {
            if self.is_full() {
                return Err(QuotaExceeded { limit: self.limits.dynamic_namespaces });
            }
            self.dynamic += 1;
        }
        self.live.insert(ByteString::from(name), Live { handle, rule, connections: 0 });
        Ok(())
    }

    /// Takes back a connection that was [`Connect::Existing`], be it that its socket left or that it was refused.
    /// Answers the handle of a namespace that this removed: a dynamic one without a connection. Poll what events it
    /// still has before it is dropped.
    pub fn leave(&mut self, name: &str) -> Option<N> {
        let live = self.live.get_mut(name)?;
        live.connections = live.connections.checked_sub(1)?;
        let (rule, is_empty) = (live.rule, live.connections == 0);
        if !is_empty || self.when_empty == WhenEmpty::Keep || !self.is_dynamic(rule) {
            return None;
        }
        self.dynamic -= 1;
        self.live.remove(name).map(|live| live.handle)
    }

    /// The handle of a namespace that there is.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&N> {
        self.live.get(name).map(|live| &live.handle)
    }

    /// Every namespace that there is, ordered by name.
    pub fn iter(&self) -> impl Iterator<Item = (&ByteString, &N)> {
        self.live.iter().map(|(name, live)| (name, &live.handle))
    }

    /// The namespaces of a rule, ordered by name: a message to a pattern goes to each.
    pub fn of_rule(&self, rule: RuleIndex) -> impl Iterator<Item = (&ByteString, &N)> {
        let live = self.live.iter().filter(move |(_, live)| live.rule == rule);
        live.map(|(name, live)| (name, &live.handle))
    }

    /// The rule of an index that this registry gave; `None` for another registry's.
    #[must_use]
    pub fn rule(&self, index: RuleIndex) -> Option<&Rule> {
        self.rules.get(index.0)
    }

    /// How many dynamic namespaces there are.
    #[must_use]
    pub fn dynamic_namespaces(&self) -> usize {
        self.dynamic
    }

    fn rule_for(&self, name: &str, auth: Option<&str>) -> Option<RuleIndex> {
        let is_exact = |rule: &Rule| matches!(rule, Rule::Exact(exact) if *exact == name);
        let exact = self.rules.iter().position(is_exact);
        let may_be_dynamic = name.len() <= self.limits.name_bytes;
        let dynamic = || self.rules.iter().position(|rule| rule.makes(name, auth));
        exact.or_else(|| may_be_dynamic.then(dynamic).flatten()).map(RuleIndex)
    }

    fn is_dynamic(&self, rule: RuleIndex) -> bool {
        !matches!(self.rule(rule), Some(Rule::Exact(_)))
    }

    fn is_full(&self) -> bool {
        self.dynamic >= self.limits.dynamic_namespaces
    }
}

/// Prints the rules and the names.
impl<N> fmt::Debug for Registry<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.live.keys().collect();
        f.debug_struct("Registry").field("rules", &self.rules).field("live", &names).finish_non_exhaustive()
    }
}

impl Rule {
    /// [`Rule::Exact`].
    #[must_use]
    pub fn exact(name: impl Into<ByteString>) -> Self {
        Self::Exact(name.into())
    }

    /// [`Rule::Function`].
    #[must_use]
    pub fn function(accepts: impl Fn(&str, Option<&str>) -> bool + Send + Sync + 'static) -> Self {
        Self::Function(Arc::new(accepts))
    }

    /// Whether the rule makes a dynamic namespace of this name.
    fn makes(&self, name: &str, auth: Option<&str>) -> bool {
        match self {
            Self::Exact(_) => false,
            Self::Pattern(pattern) => pattern.matches(name),
            Self::Function(accepts) => accepts(name, auth),
        }
    }
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => f.debug_tuple("Exact").field(name).finish(),
            Self::Pattern(pattern) => f.debug_tuple("Pattern").field(&pattern.as_str()).finish(),
            Self::Function(_) => f.write_str("Function(..)"),
        }
    }
}

impl Default for RegistryLimits {
    fn default() -> Self {
        Self { dynamic_namespaces: 1_000, name_bytes: 256 }
    }
}

#[cfg(test)]
mod tests;
