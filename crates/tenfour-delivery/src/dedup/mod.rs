//! Recognising what has come before, in bounded memory.
//!
//! Three rules hold for all that remember results. An entry exists only once its message is durable, so that a failed
//! append can be tried again. A duplicate is answered with the *original* result. A number used again with another
//! payload, told by its [`Fingerprint`], is an error.
//!
//! [`Contiguous`] accepts exactly the next number of each producer; its module shows it whole.

pub mod contiguous;

pub use contiguous::Contiguous;

/// A hash of a message's payload, of the caller's choosing: what tells a retry from another message under its number.
///
/// It is computed again when the state is rebuilt from a log, so it must depend on nothing but what the log keeps. A
/// hash with a secret key keeps a peer from making two payloads alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(u64);

impl Fingerprint {
    /// The fingerprint of this value.
    #[must_use]
    pub const fn new(hash: u64) -> Self {
        Self(hash)
    }

    /// The value that [`Self::new`] takes.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}
