//! MessagePack values, one after the other, as notepack.io writes them.

use core::ops::Range;

use crate::{DecodeError, DecodeErrorKind};

/// A value; of arrays and maps, only the length: their elements are the next values.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value<'a> {
    Nil,
    Undefined,
    Bool(bool),
    Unsigned(u64),
    /// Below zero.
    Signed(i64),
    Float(f64),
    Str(&'a str),
    /// Where the bytes stand in the message.
    Binary(Range<usize>),
    /// Milliseconds since 1970.
    Date(i64),
    /// An extension that notepack.io does not know: its type, and where its bytes stand in the message.
    Extension(i8, Range<usize>),
    /// So many elements, which is at most the bytes that are left.
    Array(usize),
    /// So many entries, each a key and a value.
    Map(usize),
}

/// Reads the values of a message.
#[derive(Clone, Debug)]
pub(super) struct Reader<'a> {
    message: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(message: &'a [u8], at: usize) -> Self {
        Self { message, at }
    }

    /// Where the next value starts.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// The next value. A length beyond the end of the message is an error here already.
    pub(super) fn next(&mut self) -> Result<Value<'a>, DecodeError> {
        let start = self.at;
        let [marker] = self.array()?;
        match marker {
            0x00..=0x7f => Ok(Value::Unsigned(marker.into())),
            0x80..=0x8f => self.map(usize::from(marker & 0x0f)),
            0x90..=0x9f => self.elements(usize::from(marker & 0x0f)),
            0xa0..=0xbf => self.str(usize::from(marker & 0x1f)),
            0xc0 => Ok(Value::Nil),
            0xc2 => Ok(Value::Bool(false)),
            0xc3 => Ok(Value::Bool(true)),
            0xc4..=0xc6 => {
                let len = self.len(marker - 0xc4)?;
                Ok(Value::Binary(self.range(len)?))
            }
            0xc7..=0xc9 => {
                let len = self.len(marker - 0xc7)?;
                self.extension(len)
            }
            0xca => Ok(Value::Float(f32::from_be_bytes(self.array()?).into())),
            0xcb => Ok(Value::Float(f64::from_be_bytes(self.array()?))),
            0xcc => Ok(Value::Unsigned(u8::from_be_bytes(self.array()?).into())),
            0xcd => Ok(Value::Unsigned(u16::from_be_bytes(self.array()?).into())),
            0xce => Ok(Value::Unsigned(u32::from_be_bytes(self.array()?).into())),
            0xcf => Ok(Value::Unsigned(u64::from_be_bytes(self.array()?))),
            0xd0 => Ok(integer(i8::from_be_bytes(self.array()?).into())),
            0xd1 => Ok(integer(i16::from_be_bytes(self.array()?).into())),
            0xd2 => Ok(integer(i32::from_be_bytes(self.array()?).into())),
            0xd3 => Ok(integer(i64::from_be_bytes(self.array()?))),
            0xd4..=0xd8 => self.fixed_extension(1 << (marker - 0xd4)),
            0xd9..=0xdb => {
                let len = self.len(marker - 0xd9)?;
                self.str(len)
            }
            0xdc..=0xdd => {
                let len = self.len(marker - 0xdc + 1)?;
                self.elements(len)
            }
            0xde..=0xdf => {
                let len = self.len(marker - 0xde + 1)?;
                self.map(len)
            }
            0xe0..=0xff => Ok(Value::Signed(i8::from_be_bytes([marker]).into())),
            0xc1 => Err(DecodeError::new(DecodeErrorKind::MessagePack, start)),
        }
    }

    /// Goes on behind the elements of a value that was just read.
    pub(super) fn skip_rest(&mut self, value: &Value<'_>) -> Result<(), DecodeError> {
        let mut left = value.parts();
        while left > 0 {
            left = (left - 1).saturating_add(self.next()?.parts());
        }
        Ok(())
    }

    /// A length of 2^`log` bytes.
    fn len(&mut self, log: u8) -> Result<usize, DecodeError> {
        let start = self.at;
        let len = match log {
            0 => u8::from_be_bytes(self.array()?).into(),
            1 => u16::from_be_bytes(self.array()?).into(),
            _ => u32::from_be_bytes(self.array()?),
        };
        usize::try_from(len).map_err(|_| DecodeError::new(DecodeErrorKind::MessagePack, start))
    }

    fn elements(&self, len: usize) -> Result<Value<'a>, DecodeError> {
        self.check_left(len)?;
        Ok(Value::Array(len))
    }

    fn map(&self, len: usize) -> Result<Value<'a>, DecodeError> {
        self.check_left(len.saturating_mul(2))?;
        Ok(Value::Map(len))
    }

    fn str(&mut self, len: usize) -> Result<Value<'a>, DecodeError> {
        let start = self.at;
        let range = self.range(len)?;
        match str::from_utf8(&self.message[range]) {
            Ok(text) => Ok(Value::Str(text)),
            Err(error) => Err(DecodeError::new(DecodeErrorKind::Utf8, start + error.valid_up_to())),
        }
    }

    /// An extension whose length was told; type 0 is an `ArrayBuffer`.
    fn extension(&mut self, len: usize) -> Result<Value<'a>, DecodeError> {
        let kind = i8::from_be_bytes(self.array()?);
        let data = self.range(len)?;
        Ok(if kind == 0 { Value::Binary(data) } else { Value::Extension(kind, data) })
    }

    /// An extension whose marker tells its length; type 0 of 1 byte is `undefined`, of 8 bytes a `Date`.
    fn fixed_extension(&mut self, len: usize) -> Result<Value<'a>, DecodeError> {
        let kind = i8::from_be_bytes(self.array()?);
        match (kind, len) {
            (0, 1) => self.range(1).map(|_| Value::Undefined),
            (0, 8) => Ok(Value::Date(i64::from_be_bytes(self.array()?))),
            _ => Ok(Value::Extension(kind, self.range(len)?)),
        }
    }

    fn range(&mut self, len: usize) -> Result<Range<usize>, DecodeError> {
        self.check_left(len)?;
        let start = self.at;
        self.at += len;
        Ok(start..self.at)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let bytes = self.message[self.at..].first_chunk();
        let bytes = *bytes.ok_or(DecodeError::new(DecodeErrorKind::MessagePack, self.message.len()))?;
        self.at += N;
        Ok(bytes)
    }

    fn check_left(&self, bytes: usize) -> Result<(), DecodeError> {
        if bytes > self.message.len() - self.at {
            return Err(DecodeError::new(DecodeErrorKind::MessagePack, self.at));
        }
        Ok(())
    }
}

impl Value<'_> {
    /// How many values follow that belong to this one.
    fn parts(&self) -> usize {
        match *self {
            Self::Array(len) => len,
            Self::Map(len) => 2 * len,
            _ => 0,
        }
    }
}

fn integer(number: i64) -> Value<'static> {
    u64::try_from(number).map_or(Value::Signed(number), Value::Unsigned)
}
