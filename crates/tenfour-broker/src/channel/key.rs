//! What a message is known by when it is published again.

use core::fmt;

use alloc::format;

use bytestring::ByteString;

/// What a message is known by among all that are published in its namespace, so that a repetition is recognised: a UUID, say,
/// or the key of the row that it tells of.
///
/// ```
/// use tenfour_broker::channel::{KeyError, MessageKey};
///
/// let key = MessageKey::new("order-7")?;
/// assert_eq!(key.as_str(), "order-7");
/// assert_eq!(MessageKey::new(""), Err(KeyError { length: 0 }));
/// # Ok::<(), KeyError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageKey(ByteString);

/// A text that is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error(
    "a key of {length} bytes is not within 1 to {most}, or begins with U+0001; use a UUID",
    most = MessageKey::MOST
)]
pub struct KeyError {
    /// Bytes of the text.
    pub length: usize,
}

/// What the keys begin with that are made of another one.
const DERIVED: char = '\u{1}';

impl MessageKey {
    /// Bytes of a key at most.
    pub const MOST: usize = 128;

    /// A key, of 1 to [`MOST`](Self::MOST) bytes, that does not begin with U+0001.
    ///
    /// # Errors
    /// If it is none.
    pub fn new(key: impl Into<ByteString>) -> Result<Self, KeyError> {
        let key = key.into();
        let is_key = (1..=Self::MOST).contains(&key.len()) && !key.starts_with(DERIVED);
        if is_key { Ok(Self(key)) } else { Err(KeyError { length: key.len() }) }
    }

    /// The key of the `count`th message that is published on the occasion that `of` stands for. No other occasion has it, and
    /// [`MessageKey::new`] never makes it.
    ///
    /// The same occasion may say something else when it is gone through again, the time for one: a repetition is known by the
    /// key, the channels and the message's name, and neither what it says nor whom it excepts is compared. What goes elsewhere, or
    /// is called otherwise, is another message.
    ///
    /// # Errors
    /// If `of` is longer than 106 bytes.
    pub fn derived(of: &str, count: u64) -> Result<Self, KeyError> {
        let key = format!("{DERIVED}{of}#{count}");
        if key.len() <= Self::MOST { Ok(Self(key.into())) } else { Err(KeyError { length: key.len() }) }
    }

    /// What was written to a log.
    pub(super) fn from_stored(key: ByteString) -> Self {
        Self(key)
    }

    /// Whether it is a [derived](Self::derived) one.
    #[must_use]
    pub fn is_derived(&self) -> bool {
        self.0.starts_with(DERIVED)
    }

    /// The key.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MessageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
