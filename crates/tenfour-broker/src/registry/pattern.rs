//! Names with holes in them.

use alloc::{string::String, vec::Vec};

/// A pattern of names such as `/tenant-{id}/room-{room}`: each `{name}` is a hole that stands for one or more
/// characters other than `/`, everything else stands for itself. There is no way to write a brace.
///
/// ```
/// use tenfour_broker::registry::Pattern;
///
/// let pattern = Pattern::parse("/tenant-{id}")?;
/// assert_eq!(pattern.captures("/tenant-7"), Some(vec![("id", "7")]));
/// assert!(!pattern.matches("/tenant-") && !pattern.matches("/tenant-7/admin"));
/// # Ok::<(), tenfour_broker::registry::PatternError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    segments: Vec<Segment>,
}

/// What stands between two slashes.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Segment {
    prefix: String,
    holes: Vec<Hole>,
}

/// A hole and the text after it, which is empty after the last hole alone.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Hole {
    name: String,
    literal: String,
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
    /// A `{` without `}` before the next `{`, `/` or the end.
    #[error("a '{{' is not closed")]
    Unclosed,
    /// A `}` without `{`.
    #[error("a '}}' closes nothing")]
    Unopened,
    /// `{}`.
    #[error("a hole without a name: write one between the braces")]
    Unnamed,
    /// Two holes without a text between them.
    #[error("a hole that follows another directly: put a text between them")]
    Adjacent,
    /// Two holes of one name.
    #[error("a hole of a name that is taken: choose another name")]
    Repeated,
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// If a hole is malformed, follows another directly, or has the name of another; or there is no leading `/`.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        if !text.starts_with('/') {
            return Err(PatternErrorKind::NoSlash.at(0));
        }
        let mut pattern = Self { text: text.into(), segments: Vec::new() };
        let mut offset = 0;
        for segment in text.split('/') {
            pattern.add_segment(segment, offset)?;
            offset += segment.len() + 1;
        }
        Ok(pattern)
    }

    /// What stands in each hole, by the hole's name; `None` if `name` does not match. Of several ways to match, the one
    /// in which each hole, the first one first, is as short as it can be. Takes time linear in `name` for each hole.
    #[must_use]
    pub fn captures<'a>(&'a self, name: &'a str) -> Option<Vec<(&'a str, &'a str)>> {
        let mut captures = Vec::new();
        let mut parts = name.split('/');
        for segment in &self.segments {
            segment.capture(parts.next()?, &mut captures)?;
        }
        parts.next().is_none().then_some(captures)
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

    fn add_segment(&mut self, text: &str, mut offset: usize) -> Result<(), PatternError> {
        let mut pieces = text.split('{');
        let prefix = literal(pieces.next().unwrap_or_default(), offset)?;
        let mut segment = Segment { prefix: prefix.into(), holes: Vec::new() };
        offset += prefix.len();
        for piece in pieces {
            let hole = Hole::parse(piece, offset)?;
            let has_name = |segment: &Segment| segment.holes.iter().any(|other| other.name == hole.name);
            if has_name(&segment) || self.segments.iter().any(has_name) {
                return Err(PatternErrorKind::Repeated.at(offset));
            }
            if segment.holes.last().is_some_and(|last| last.literal.is_empty()) {
                return Err(PatternErrorKind::Adjacent.at(offset));
            }
            segment.holes.push(hole);
            offset += 1 + piece.len();
        }
        self.segments.push(segment);
        Ok(())
    }
}

impl Segment {
    fn capture<'a>(&'a self, text: &'a str, captures: &mut Vec<(&'a str, &'a str)>) -> Option<()> {
        let mut rest = text.strip_prefix(&*self.prefix)?;
        let Some((last, holes)) = self.holes.split_last() else { return rest.is_empty().then_some(()) };
        for hole in holes {
            let first = rest.chars().next()?.len_utf8();
            let end = first + rest[first..].find(&*hole.literal)?;
            captures.push((&*hole.name, &rest[..end]));
            rest = &rest[end + hole.literal.len()..];
        }
        let value = rest.strip_suffix(&*last.literal)?;
        captures.push((&*last.name, value));
        (!value.is_empty()).then_some(())
    }
}

impl Hole {
    /// `piece` follows a `{` at `offset`.
    fn parse(piece: &str, offset: usize) -> Result<Self, PatternError> {
        let (name, after) = piece.split_once('}').ok_or(PatternErrorKind::Unclosed.at(offset))?;
        if name.is_empty() {
            return Err(PatternErrorKind::Unnamed.at(offset));
        }
        let literal = literal(after, offset + "{}".len() + name.len())?;
        Ok(Self { name: name.into(), literal: literal.into() })
    }
}

/// `text`, which has no `{`, unless a `}` is in it.
fn literal(text: &str, offset: usize) -> Result<&str, PatternError> {
    text.find('}').map_or(Ok(text), |at| Err(PatternErrorKind::Unopened.at(offset + at)))
}

impl PatternErrorKind {
    fn at(self, offset: usize) -> PatternError {
        PatternError { kind: self, offset }
    }
}

#[cfg(test)]
mod tests;
