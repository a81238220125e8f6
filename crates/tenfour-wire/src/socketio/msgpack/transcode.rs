//! MessagePack values as JSON text and attachments.

use alloc::{string::String, vec::Vec};

use bytes::Bytes;
use bytestring::ByteString;

use super::{
    super::{Args, EventName},
    date,
    read::{Reader, Value},
};
use crate::{
    DecodeError, DecodeErrorKind, Limits,
    json::{MAX_DEPTH, number, placeholder, string},
};

/// Reads values of a message into one JSON text.
pub(super) struct Transcoder<'a> {
    message: &'a Bytes,
    reader: Reader<'a>,
    text: String,
    attachments: Vec<Bytes>,
    max_attachments: usize,
    /// How many more arrays and maps may be opened.
    depth: usize,
}

impl<'a> Transcoder<'a> {
    /// A transcoder of the values from `at` on.
    pub(super) fn new(message: &'a Bytes, at: usize, limits: &Limits) -> Self {
        Self {
            message,
            reader: Reader::new(message, at),
            text: String::new(),
            attachments: Vec::new(),
            max_attachments: limits.attachments,
            depth: limits.json_depth.min(MAX_DEPTH),
        }
    }

    pub(super) fn at(&self) -> usize {
        self.reader.at()
    }

    /// The length of the array that is next; its elements are then next. `None` if it is no array.
    pub(super) fn open_array(&mut self) -> Result<Option<usize>, DecodeError> {
        let start = self.at();
        let Value::Array(len) = self.reader.next()? else { return Ok(None) };
        self.open(start)?;
        Ok(Some(len))
    }

    pub(super) fn event_name(&mut self) -> Result<EventName, DecodeError> {
        let start = self.at();
        match self.reader.next()? {
            Value::Str(name) => Ok(EventName::Text(name.into())),
            value @ (Value::Unsigned(_) | Value::Signed(_)) => Ok(EventName::Number(digits(&value))),
            value @ Value::Float(number) if number.is_finite() => Ok(EventName::Number(digits(&value))),
            _ => Err(DecodeError::new(DecodeErrorKind::EventName, start)),
        }
    }

    /// The next `len` values.
    pub(super) fn args(mut self, len: usize) -> Result<Args, DecodeError> {
        self.text.reserve(self.message.len() - self.at());
        self.values(len)?;
        Ok(Args::from_validated(self.text.into(), self.attachments))
    }

    fn values(&mut self, len: usize) -> Result<(), DecodeError> {
        for index in 0..len {
            if index > 0 {
                self.text.push(',');
            }
            self.value()?;
        }
        Ok(())
    }

    fn value(&mut self) -> Result<(), DecodeError> {
        let start = self.at();
        match self.reader.next()? {
            Value::Nil | Value::Undefined => self.text.push_str("null"),
            Value::Bool(value) => self.text.push_str(if value { "true" } else { "false" }),
            Value::Str(text) => string::encode(text, &mut self.text),
            Value::Date(millis) => match date::to_iso_string(millis) {
                Some(date) => string::encode(&date, &mut self.text),
                None => self.text.push_str("null"),
            },
            Value::Binary(range) => self.attach(start, self.message.slice(range))?,
            Value::Extension(kind, range) => {
                self.text.push('[');
                number::encode_signed(kind.into(), &mut self.text);
                self.text.push(',');
                self.attach(start, self.message.slice(range))?;
                self.text.push(']');
            }
            Value::Array(len) => {
                self.open(start)?;
                self.text.push('[');
                self.values(len)?;
                self.text.push(']');
                self.depth += 1;
            }
            Value::Map(len) => {
                self.open(start)?;
                self.text.push('{');
                self.entries(len)?;
                self.text.push('}');
                self.depth += 1;
            }
            value @ (Value::Unsigned(_) | Value::Signed(_) | Value::Float(_)) => {
                push_number(&value, &mut self.text);
            }
        }
        Ok(())
    }

    fn entries(&mut self, len: usize) -> Result<(), DecodeError> {
        for index in 0..len {
            if index > 0 {
                self.text.push(',');
            }
            let start = self.at();
            match self.reader.next()? {
                Value::Str(placeholder::KEY) => {
                    return Err(DecodeError::new(DecodeErrorKind::Placeholder, start));
                }
                Value::Str(key) => string::encode(key, &mut self.text),
                key @ (Value::Unsigned(_) | Value::Signed(_)) => {
                    self.text.push('"');
                    push_number(&key, &mut self.text);
                    self.text.push('"');
                }
                _ => return Err(DecodeError::new(DecodeErrorKind::MessagePack, start)),
            }
            self.text.push(':');
            self.value()?;
        }
        Ok(())
    }

    fn attach(&mut self, start: usize, attachment: Bytes) -> Result<(), DecodeError> {
        if self.attachments.len() == self.max_attachments {
            return Err(DecodeError::new(DecodeErrorKind::TooManyAttachments, start));
        }
        placeholder::encode(self.attachments.len(), &mut self.text);
        self.attachments.push(attachment);
        Ok(())
    }

    fn open(&mut self, start: usize) -> Result<(), DecodeError> {
        let Some(depth) = self.depth.checked_sub(1) else {
            return Err(DecodeError::new(DecodeErrorKind::Depth, start));
        };
        self.depth = depth;
        Ok(())
    }
}

fn digits(number: &Value<'_>) -> ByteString {
    let mut text = String::new();
    push_number(number, &mut text);
    text.into()
}

fn push_number(number: &Value<'_>, text: &mut String) {
    match *number {
        Value::Unsigned(number) => number::encode_integer(number, text),
        Value::Signed(number) => number::encode_signed(number, text),
        Value::Float(number) => number::encode_float(number, text),
        _ => {}
    }
}
