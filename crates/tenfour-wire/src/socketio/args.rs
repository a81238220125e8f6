//! The arguments of an event or an acknowledgement.

use alloc::vec::Vec;

use bytes::Bytes;
use bytestring::ByteString;
use serde::{
    Serialize,
    de::{Deserialize, DeserializeOwned},
};

use super::sequence::Sequence;
use crate::{
    DecodeError, DecodeErrorKind, Limits,
    json::{
        self, Deserializer, MAX_DEPTH, Missing,
        scan::{self, Scanner},
    },
};

/// The arguments of an event (without its name) or of an acknowledgement.
///
/// One validated JSON text, the elements of the packet's array without its brackets, and the attachments that
/// placeholders in it stand for. Cloning copies no bytes of either.
///
/// ```
/// use tenfour_wire::{Limits, socketio::Args};
///
/// let args = Args::from_parts(r#""lobby",{"seats":[1,2]},null"#.into(), vec![], &Limits::default())?;
/// assert_eq!((args.len(), args.get(1)), (3, Some(r#"{"seats":[1,2]}"#)));
/// assert_eq!(args.deserialize::<String>(0)?, "lobby");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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
    ///
    /// `json` may hold `{"_placeholder":true,"num":n}` for each `n` below the number of attachments, any number of times.
    /// Of the limits, `json_depth` (the brackets that are not there count) and `attachments` apply; the size is left to
    /// whoever sends the packet.
    ///
    /// # Errors
    /// [`TooManyAttachments`](DecodeErrorKind::TooManyAttachments), and those of [`json::validate`].
    pub fn from_parts(
        json: ByteString,
        attachments: Vec<Bytes>,
        limits: &Limits,
    ) -> Result<Self, DecodeError> {
        if attachments.len() > limits.attachments {
            return Err(DecodeError::new(DecodeErrorKind::TooManyAttachments, 0));
        }
        let json = match scan::elements(&json, limits.json_depth, attachments.len())? {
            Some(values) => json.slice_ref(&json[values.start..values.end]),
            None => ByteString::new(),
        };
        Ok(Self { json, attachments })
    }

    pub(super) fn with_attachments(self, attachments: Vec<Bytes>) -> Self {
        Self { attachments, ..self }
    }

    /// Arguments from values: the elements of a tuple (or of an array of fixed size), in order; none of `()`; anything else,
    /// a `Vec` too, is the only argument.
    ///
    /// What a value gives to serde as bytes (`bytes::Bytes` with its feature `serde`, `serde_bytes`) becomes an attachment.
    /// How many there are is left to the caller: a stock peer refuses more than 10.
    ///
    /// # Errors
    /// Those of [`json::to_string`].
    ///
    /// ```
    /// use tenfour_wire::{Bytes, socketio::Args};
    ///
    /// let args = Args::serialize(&("cat.png", Bytes::from_static(b"\x89PNG")))?;
    /// assert_eq!(args.json(), r#""cat.png",{"_placeholder":true,"num":0}"#);
    /// # Ok::<(), tenfour_wire::json::Error>(())
    /// ```
    pub fn serialize<T: Serialize + ?Sized>(args: &T) -> Result<Self, json::Error> {
        let (json, attachments) = json::to_elements(args)?;
        Ok(Self { json: json.into(), attachments })
    }

    /// Arguments from the parts that [`into_parts`](Self::into_parts) gave, or from parts that are valid by construction:
    /// nothing is checked, and what is encoded from invalid parts is a packet that its receiver rejects.
    #[must_use]
    pub const fn from_validated(json: ByteString, attachments: Vec<Bytes>) -> Self {
        Self { json, attachments }
    }

    /// The JSON text of all arguments, and the attachments.
    #[must_use]
    pub fn into_parts(self) -> (ByteString, Vec<Bytes>) {
        (self.json, self.attachments)
    }

    /// How many arguments there are. They are counted anew at each call.
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.json.is_empty()
    }

    /// The JSON text of argument `index`, counted from 0.
    pub fn get(&self, index: usize) -> Option<&str> {
        self.iter().nth(index)
    }

    /// The JSON text of each argument.
    pub fn iter(&self) -> Iter<'_> {
        Iter { json: &self.json, at: 0, attachments: self.attachments.len() }
    }

    /// The JSON text of all arguments, separated by commas, without brackets.
    pub fn json(&self) -> &ByteString {
        &self.json
    }

    /// The attachments, by the number in their placeholder.
    pub fn attachments(&self) -> &[Bytes] {
        &self.attachments
    }

    /// The bytes of the text and the attachments together.
    pub fn byte_len(&self) -> usize {
        self.json.len() + self.attachments.iter().map(Bytes::len).sum::<usize>()
    }

    /// Argument `index`, counted from 0, as a value of type `T`; see [`json::from_str`] for what each type reads.
    ///
    /// An argument that was not sent is `None` to an `Option` and `()` to a unit.
    ///
    /// # Errors
    /// A [`json::Error`] where the argument has another type or was not sent.
    pub fn deserialize<'de, T: Deserialize<'de>>(&'de self, index: usize) -> Result<T, json::Error> {
        let mut deserializer = Deserializer::new(&self.json, &self.attachments);
        for _ in 0..index {
            if deserializer.is_at_end() {
                break;
            }
            deserializer.skip_value()?;
            deserializer.skip_comma();
        }
        if deserializer.is_at_end() {
            return T::deserialize(Missing { index });
        }
        T::deserialize(&mut deserializer)
    }

    /// All arguments in one pass: as a tuple (or tuple struct), or as a `Vec`.
    ///
    /// Of a tuple, elements beyond what was sent are read as by [`deserialize`](Self::deserialize); arguments beyond the
    /// tuple are ignored, as in a JavaScript call.
    ///
    /// # Errors
    /// A [`json::Error`] where an argument has another type or was not sent.
    ///
    /// ```
    /// use tenfour_wire::{Limits, socketio::Args};
    ///
    /// let args = Args::from_parts(r#""lobby",3"#.into(), vec![], &Limits::default())?;
    /// let (room, seats, colour): (String, u8, Option<String>) = args.deserialize_all()?;
    /// assert_eq!((room.as_str(), seats, colour), ("lobby", 3, None));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn deserialize_all<T: DeserializeOwned>(&self) -> Result<T, json::Error> {
        T::deserialize(self.sequence())
    }

    pub(super) fn sequence(&self) -> Sequence<'_> {
        Sequence::new(self)
    }
}

impl<'a> IntoIterator for &'a Args {
    type Item = &'a str;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// The JSON text of each argument; made by [`Args::iter`].
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    json: &'a str,
    at: usize,
    attachments: usize,
}

impl<'a> Iterator for Iter<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let values = Scanner::new(self.json, MAX_DEPTH, self.attachments).first_value(self.at).ok()?;
        self.at = values.next + 1;
        self.json.get(values.start..values.end)
    }
}

impl core::iter::FusedIterator for Iter<'_> {}
