//! How much a receiver takes.

/// How much a receiver takes, counted from the beginning of the session, as QUIC's MAX_DATA is (RFC 9000 §4.1). It only
/// grows, so a grant that is repeated, late or lost does no harm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Credit {
    /// Messages since the session began, skips included.
    pub messages: u64,
    /// Bytes since the session began: the sum of what [`Window::push`](super::Window::push) was told, skips included.
    pub bytes: u64,
}

impl Credit {
    /// No bound: for a peer that grants nothing because its protocol has no credit.
    pub const UNLIMITED: Self = Self { messages: u64::MAX, bytes: u64::MAX };

    /// The greater of both, each by itself.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self { messages: self.messages.max(other.messages), bytes: self.bytes.max(other.bytes) }
    }

    /// One message of `bytes` more.
    #[must_use]
    pub(crate) fn plus(self, bytes: usize) -> Self {
        Self { messages: self.messages.saturating_add(1), bytes: self.bytes.saturating_add(bytes as u64) }
    }

    /// Whether all of this is within `limit`.
    pub(crate) fn fits(self, limit: Self) -> bool {
        self.messages <= limit.messages && self.bytes <= limit.bytes
    }
}
