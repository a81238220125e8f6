//! Why a value could not be read or written.

use alloc::{boxed::Box, string::ToString};
use core::fmt;

use serde::{de, ser};

use crate::{DecodeError, DecodeErrorKind};

/// Why JSON text could not be read as the type that was asked for, or a value not be written, and where.
///
/// One word long, so that a result of it costs nothing where all goes well.
///
/// ```
/// use tenfour_wire::json;
///
/// let error = json::from_str::<Vec<u8>>("[1, 256]", &[]).unwrap_err();
/// assert_eq!(error.to_string(), "invalid value: integer `256`, expected u8, at byte 4");
/// ```
pub struct Error(Box<Inner>);

struct Inner {
    reason: Reason,
    offset: Option<usize>,
}

enum Reason {
    Malformed(DecodeErrorKind),
    Data(Box<str>),
}

impl Error {
    /// What is wrong with the text itself; `None` where the text is JSON and only the type is another.
    pub fn malformed(&self) -> Option<DecodeErrorKind> {
        match self.0.reason {
            Reason::Malformed(kind) => Some(kind),
            Reason::Data(_) => None,
        }
    }

    /// The byte of the text, as far as it was read or written, at which it was noticed; `None` where that is unknown.
    pub fn offset(&self) -> Option<usize> {
        self.0.offset
    }

    /// The same error, at this byte unless it is known more exactly.
    #[cold]
    pub(super) fn at(mut self, offset: usize) -> Self {
        self.0.offset.get_or_insert(offset);
        self
    }
}

impl From<DecodeError> for Error {
    #[cold]
    fn from(error: DecodeError) -> Self {
        Self(Box::new(Inner { reason: Reason::Malformed(error.kind()), offset: Some(error.offset()) }))
    }
}

impl de::Error for Error {
    #[cold]
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(Box::new(Inner { reason: Reason::Data(message.to_string().into()), offset: None }))
    }
}

impl ser::Error for Error {
    #[cold]
    fn custom<T: fmt::Display>(message: T) -> Self {
        de::Error::custom(message)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.reason {
            Reason::Malformed(kind) => kind.fmt(f)?,
            Reason::Data(message) => f.write_str(message)?,
        }
        match self.0.offset {
            Some(offset) => write!(f, ", at byte {offset}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Error({self})")
    }
}

impl core::error::Error for Error {}
