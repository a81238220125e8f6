//! Names with holes in them.

use alloc::{string::String, vec::Vec};

/// A pattern of names such as `/tenant-{id}/room-{room}`: each `{name}` stands for one or more characters other than
/// `/`, everything else for itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    text: String,
}

/// Why a text is no pattern, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind} at byte {offset} of the pattern")]
pub struct PatternError {
    /// What is wrong.
    pub kind: PatternErrorKind,
    /// Byte offset in the pattern.
    pub offset: usize,
}

/// What is wrong with a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PatternErrorKind {
    /// It does not begin with `/`.
    #[error("a '/' is missing")]
    NoSlash,
    /// A `{` without `}` in its segment.
    #[error("a '{{' is not closed")]
    Unclosed,
    /// A `}` without `{`.
    #[error("a '}}' closes nothing")]
    Unopened,
    /// `{}`.
    #[error("a hole has no name")]
    Unnamed,
    /// Two holes without a text between them.
    #[error("a hole follows another directly: put a text between them")]
    Adjacent,
    /// Two holes of one name.
    #[error("a hole's name is used twice")]
    Repeated,
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// If a hole is malformed, follows another directly, or has the name of another; or there is no leading `/`.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        Ok(Self { text: text.into() })
    }

    /// What stands in each hole, by the hole's name; `None` if `name` does not match. An earlier hole takes as little
    /// as it can.
    #[must_use]
    pub fn captures<'a>(&'a self, _name: &'a str) -> Option<Vec<(&'a str, &'a str)>> {
        unimplemented!()
    }

    /// Whether `name` matches.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        self.captures(name).is_some()
    }

    /// The text that was parsed.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}
