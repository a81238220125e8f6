//! Which namespaces there may be: those declared by name, and those that come to be when someone connects.

use alloc::{sync::Arc, vec::Vec};

use bytestring::ByteString;

pub use pattern::{Pattern, PatternError, PatternErrorKind};

mod pattern;

/// What a declared namespace is called.
#[derive(Clone)]
#[non_exhaustive]
pub enum Rule {
    /// One namespace of this name.
    Exact(ByteString),
    /// A namespace for each name that the pattern matches, made at the first connection.
    Pattern(Pattern),
    /// A namespace for each name that the function accepts, made at the first connection. Its arguments are the name
    /// and the first connection's `auth`, a JSON text, if it sent one. It says whether the namespace may exist; later
    /// connections are not asked again, so who may enter is to be decided when a socket connects.
    Function(Arc<dyn Fn(&str, Option<&str>) -> bool + Send + Sync>),
}

/// Which of the declared rules, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleIndex(usize);

/// What becomes of a dynamic namespace when its last socket leaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhenEmpty {
    /// It is removed. The default, since it is made by whoever connects.
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
    /// Bytes of a namespace's name; by default 256. A longer one is unknown.
    pub name_bytes: usize,
}

/// The namespaces that there are, each with a handle `N` by which the driver reaches it, and the rules for those that
/// may come to be.
pub struct Registry<N> {
    rules: Vec<Rule>,
    handles: Vec<N>,
}

/// What to do with a connection to a namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Connect<N> {
    /// There is such a namespace, and it counts the connection in until [`Registry::leave`].
    Existing(N),
    /// A rule allows it: make it, and say so with [`Registry::create`].
    Create(RuleIndex),
    /// No rule allows it; in Socket.IO the answer is `Invalid namespace`.
    Unknown,
    /// A rule allows it, and there are too many dynamic namespaces.
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

impl<N: Clone> Registry<N> {
    /// A registry without rules.
    #[must_use]
    pub fn new(_limits: RegistryLimits, _when_empty: WhenEmpty) -> Self {
        Self { rules: Vec::new(), handles: Vec::new() }
    }

    /// Adds a rule, after those before it.
    pub fn declare(&mut self, rule: Rule) -> RuleIndex {
        self.rules.push(rule);
        RuleIndex(self.rules.len() - 1)
    }

    /// Decides on a connection to `name`. An exact rule goes before all others, which are asked in their order.
    pub fn connect(&mut self, _name: &str, _auth: Option<&str>) -> Connect<N> {
        unimplemented!()
    }

    /// Adds a namespace that [`Registry::connect`] allowed, and counts the connection in. If there is one of this name
    /// by now, it answers that one's handle and drops `handle`.
    ///
    /// # Errors
    /// If there are too many dynamic namespaces by now.
    pub fn create(&mut self, _name: &str, _rule: RuleIndex, _handle: N) -> Result<N, QuotaExceeded> {
        unimplemented!()
    }

    /// Adds the namespace of an exact rule before anyone connects, and counts nobody in.
    pub fn open(&mut self, _rule: RuleIndex, _handle: N) {
        unimplemented!()
    }

    /// Counts a connection out that was counted in. Answers the handle of a namespace that was removed by this: a
    /// dynamic one that is empty now.
    pub fn leave(&mut self, _name: &str) -> Option<N> {
        unimplemented!()
    }

    /// The handle of a namespace that there is.
    #[must_use]
    pub fn get(&self, _name: &str) -> Option<&N> {
        unimplemented!()
    }

    /// Every namespace that there is, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&ByteString, &N)> {
        [].into_iter()
    }

    /// The namespaces that a rule made; a message to a pattern goes to each.
    pub fn of_rule(&self, _rule: RuleIndex) -> impl Iterator<Item = (&ByteString, &N)> {
        self.iter()
    }
}

impl Default for RegistryLimits {
    fn default() -> Self {
        Self { dynamic_namespaces: 1_000, name_bytes: 256 }
    }
}
