//! Recognising what has come before, in bounded memory: four schemes, from the strictest to the most forgiving.
//!
//! | scheme | accepts | outside its window | for |
//! |---|---|---|---|
//! | [`Contiguous`] | exactly the next number of a producer | says so: a gap, a forgotten producer | producers that number what they publish |
//! | [`Watermark`] | any higher number | a lower one has been applied | requests, where gaps do no harm |
//! | [`Bitmap`] | each of the last 960 numbers, once | says that it is too old | datagrams, several paths |
//! | [`IdWindow`] | any identifier, once within the window | takes it for new: so the window is advertised | foreign publishers with ids of their own |
//!
//! Three rules hold for all that remember results. An entry exists only once its message is durable, so that a failed
//! append can be tried again. A duplicate is answered with the *original* result. A number used again with another
//! payload, told by its [`Fingerprint`], is an error.
//!
//! ```
//! use tenfour_delivery::dedup::{Bitmap, bitmap::Seen};
//!
//! let mut datagrams = Bitmap::new();
//! assert_eq!(datagrams.accept(2_000), Seen::New);
//! assert_eq!(datagrams.accept(1_500), Seen::New);
//! assert_eq!(datagrams.accept(1_500), Seen::Duplicate);
//! assert_eq!(datagrams.accept(900), Seen::TooOld);
//! ```

pub mod bitmap;
pub mod contiguous;
pub mod id_window;
pub mod watermark;

pub use bitmap::Bitmap;
pub use contiguous::Contiguous;
pub use id_window::{IdWindow, Tag};
pub use watermark::Watermark;

use crate::{mutant, number::Offset, time::WallTime};

/// Where and when the log has taken a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Committed {
    /// Its place in the log.
    pub position: Offset,
    /// The time that the log has stored with it.
    pub ingested: WallTime,
}

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

    /// Whether a message with this fingerprint may be a retry of one with the other.
    fn matches(self, known: Self) -> bool {
        self == known || mutant!(IdConflictAccepted)
    }
}
