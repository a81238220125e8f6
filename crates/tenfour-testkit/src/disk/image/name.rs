//! Names in the directory.

use std::{fmt, io};

/// A plain file name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::disk) struct Name(String);

impl Name {
    pub(in crate::disk) fn new(name: &str) -> io::Result<Self> {
        match name.is_empty() || name == "." || name == ".." || name.contains(['/', '\0']) {
            true => Err(io::ErrorKind::InvalidInput.into()),
            false => Ok(Self(name.to_owned())),
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
