//! Typed values out of JSON text, with binary attachments in their place.

mod access;
mod key;
mod missing;

use bytes::Bytes;
use serde::de::{self, Deserialize, Visitor, value::SeqDeserializer};

use self::access::{Elements, Entries, Variant};
pub(crate) use self::missing::Missing;
use super::{
    Error,
    number::Number,
    placeholder,
    scan::{MAX_DEPTH, Scanner, skip_whitespace},
    string,
};
use crate::{DecodeError, DecodeErrorKind};

/// Reads `text` as a `T`; placeholders in it stand for `attachments`.
///
/// An attachment is read by whatever asks serde for bytes (`bytes::Bytes` with its feature `serde`, `serde_bytes`) or for a
/// sequence of `u8`, at any depth. Strings without escapes can be borrowed. The rest is as with `serde_json`: enums are
/// externally tagged, `null` is `None` or `()`, the keys of a map may be integers.
///
/// # Errors
/// An [`Error`] where the text is not JSON, is nested deeper than [`MAX_DEPTH`], or holds another type.
///
/// ```
/// use serde::Deserialize;
/// use tenfour_wire::{Bytes, json};
///
/// #[derive(Deserialize)]
/// struct Upload<'a> {
///     name: &'a str,
///     content: Bytes,
/// }
///
/// let attachments = [Bytes::from_static(b"\x89PNG")];
/// let text = r#"{"name":"cat.png","content":{"_placeholder":true,"num":0}}"#;
/// let upload: Upload = json::from_str(text, &attachments)?;
/// assert_eq!((upload.name, &upload.content[..]), ("cat.png", &b"\x89PNG"[..]));
/// # Ok::<(), json::Error>(())
/// ```
pub fn from_str<'de, T: Deserialize<'de>>(text: &'de str, attachments: &'de [Bytes]) -> Result<T, Error> {
    let mut deserializer = Deserializer::new(text, attachments);
    let value = T::deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(value)
}

/// Reads typed values out of one JSON text; see [`from_str`].
///
/// The text need not be validated: what is not JSON is an error as well.
#[derive(Clone, Debug)]
pub struct Deserializer<'de> {
    text: &'de str,
    at: usize,
    /// How many more arrays and objects may be opened.
    depth: usize,
    attachments: &'de [Bytes],
}

impl<'de> Deserializer<'de> {
    /// A deserializer of `text`, whose placeholders stand for `attachments`.
    pub fn new(text: &'de str, attachments: &'de [Bytes]) -> Self {
        Self { text, at: 0, depth: MAX_DEPTH, attachments }
    }

    /// Checks that nothing but whitespace is left.
    ///
    /// # Errors
    /// [`DecodeErrorKind::Json`] at the first byte that is left.
    pub fn end(&mut self) -> Result<(), Error> {
        if self.is_at_end() { Ok(()) } else { Err(self.malformed(self.at)) }
    }

    pub(crate) fn is_at_end(&mut self) -> bool {
        self.peek().is_none()
    }

    /// Goes on behind the value that is next, without reading it into anything.
    pub(crate) fn skip_value(&mut self) -> Result<(), Error> {
        self.at = Scanner::new(self.text, self.depth, self.attachments.len()).value(self.at)?;
        Ok(())
    }

    /// Goes on behind the comma that is next; stays where there is none.
    pub(crate) fn skip_comma(&mut self) {
        if self.peek() == Some(b',') {
            self.at += 1;
        }
    }

    /// The next byte that is not whitespace; it is then at `self.at`.
    #[inline]
    fn peek(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        self.at = skip_whitespace(bytes, self.at);
        bytes.get(self.at).copied()
    }

    #[inline]
    fn expect(&mut self, byte: u8) -> Result<(), Error> {
        if self.peek() != Some(byte) {
            return Err(self.malformed(self.at));
        }
        self.at += 1;
        Ok(())
    }

    #[inline]
    fn literal(&mut self, literal: &str) -> Result<(), Error> {
        if self.text.as_bytes()[self.at..].starts_with(literal.as_bytes()) {
            self.at += literal.len();
            return Ok(());
        }
        // The scanner tells which byte of the literal is wrong.
        self.skip_value()?;
        Err(self.malformed(self.at))
    }

    #[inline]
    fn number(&mut self) -> Result<Number, Error> {
        let (number, end) = Number::read(self.text, self.at).map_err(|offset| self.malformed(offset))?;
        self.at = end;
        Ok(number)
    }

    /// The content of the string whose opening quote is at `self.at`, and whether it has escapes.
    #[inline(always)]
    fn string(&mut self) -> Result<(&'de str, bool), Error> {
        let start = self.at + 1;
        let (close, escaped) = string::end(self.text.as_bytes(), start)?;
        self.at = close + 1;
        let content = self.text.get(start..close).ok_or_else(|| self.malformed(start))?;
        Ok((content, escaped))
    }

    #[inline]
    fn visit_string<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Error> {
        let (content, escaped) = self.string()?;
        visit_text(content, escaped, visitor)
    }

    #[inline]
    fn visit_number<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Error> {
        visit_number(self.number()?, visitor)
    }

    /// The attachment whose placeholder is next, which is then behind us.
    #[inline]
    fn attachment(&mut self) -> Option<&'de [u8]> {
        if self.attachments.is_empty() {
            return None;
        }
        self.peek();
        let (num, end) = placeholder::read(self.text.as_bytes(), self.at)?;
        let attachment = self.attachments.get(num)?;
        self.at = end;
        Some(attachment)
    }

    fn visit_array<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Error> {
        self.nested(|this| {
            let value = visitor.visit_seq(Elements::new(this))?;
            this.expect(b']')?;
            Ok(value)
        })
    }

    fn visit_object<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Error> {
        self.nested(|this| {
            let value = visitor.visit_map(Entries::new(this))?;
            this.expect(b'}')?;
            Ok(value)
        })
    }

    /// Reads what the bracket or brace at `self.at` opens.
    #[inline]
    fn nested<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, Error>) -> Result<T, Error> {
        let Some(depth) = self.depth.checked_sub(1) else {
            return Err(DecodeError::new(DecodeErrorKind::Depth, self.at).into());
        };
        self.depth = depth;
        self.at += 1;
        let value = read(self)?;
        self.depth += 1;
        Ok(value)
    }

    #[cold]
    fn malformed(&self, offset: usize) -> Error {
        DecodeError::new(DecodeErrorKind::Json, offset).into()
    }
}

#[inline]
fn visit_number<'de, V: Visitor<'de>>(number: Number, visitor: V) -> Result<V::Value, Error> {
    match number {
        Number::Unsigned(number) => visitor.visit_u64(number),
        Number::Signed(number) => visitor.visit_i64(number),
        Number::Float(number) => visitor.visit_f64(number),
    }
}

#[inline]
fn visit_text<'de, V: Visitor<'de>>(content: &'de str, escaped: bool, visitor: V) -> Result<V::Value, Error> {
    if escaped {
        visitor.visit_string(string::unescape(content))
    } else {
        visitor.visit_borrowed_str(content)
    }
}

/// For each type that is read from a number, the same: what is not a number, `visit_any` refuses with the right message.
macro_rules! deserialize_number {
    ($($method:ident)*) => {$(
        #[inline]
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            match self.peek() {
                Some(b'-' | b'0'..=b'9') => {
                    let start = self.at;
                    self.visit_number(visitor).map_err(|error| error.at(start))
                }
                _ => self.deserialize_any(visitor),
            }
        }
    )*};
}

/// Integers beyond 64 bits are read from their digits.
macro_rules! deserialize_wide_integer {
    ($($method:ident $visit:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            if !matches!(self.peek(), Some(b'-' | b'0'..=b'9')) {
                return self.deserialize_any(visitor);
            }
            let start = self.at;
            let number = self.number()?;
            match self.text.get(start..self.at).and_then(|digits| digits.parse().ok()) {
                Some(integer) => visitor.$visit(integer),
                None => visit_number(number, visitor),
            }
            .map_err(|error: Error| error.at(start))
        }
    )*};
}

impl<'de> de::Deserializer<'de> for &mut Deserializer<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let next = self.peek();
        let start = self.at;
        match next {
            Some(b'"') => self.visit_string(visitor),
            Some(b'{') => match self.attachment() {
                Some(bytes) => visitor.visit_borrowed_bytes(bytes),
                None => self.visit_object(visitor),
            },
            Some(b'[') => self.visit_array(visitor),
            Some(b'-' | b'0'..=b'9') => self.visit_number(visitor),
            Some(b't') => self.literal("true").and_then(|()| visitor.visit_bool(true)),
            Some(b'f') => self.literal("false").and_then(|()| visitor.visit_bool(false)),
            Some(b'n') => self.literal("null").and_then(|()| visitor.visit_unit()),
            _ => Err(self.malformed(start)),
        }
        .map_err(|error| error.at(start))
    }

    deserialize_number! {
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
        deserialize_f32 deserialize_f64
    }

    deserialize_wide_integer! { deserialize_u128 visit_u128 deserialize_i128 visit_i128 }

    #[inline]
    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.peek() {
            Some(b'"') => {
                let start = self.at;
                self.visit_string(visitor).map_err(|error| error.at(start))
            }
            _ => self.deserialize_any(visitor),
        }
    }

    #[inline]
    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    #[inline]
    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    #[inline]
    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    /// An attachment, a string's UTF-8, or an array of bytes.
    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let next = self.peek();
        let start = self.at;
        match (next, self.attachment()) {
            (_, Some(bytes)) => visitor.visit_borrowed_bytes(bytes),
            (Some(b'"'), None) => match self.string()? {
                (content, false) => visitor.visit_borrowed_bytes(content.as_bytes()),
                (content, true) => visitor.visit_byte_buf(string::unescape(content).into_bytes()),
            },
            (Some(b'['), None) => self.visit_array(visitor),
            _ => return self.deserialize_any(visitor),
        }
        .map_err(|error| error.at(start))
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_bytes(visitor)
    }

    #[inline]
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.peek() {
            Some(b'n') => {
                self.literal("null")?;
                visitor.visit_none()
            }
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    /// An array, or an attachment as a sequence of `u8`.
    #[inline]
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let next = self.peek();
        let start = self.at;
        match (next, self.attachment()) {
            (_, Some(bytes)) => visitor.visit_seq(SeqDeserializer::new(bytes.iter().copied())),
            (Some(b'['), None) => self.visit_array(visitor),
            _ => return self.deserialize_any(visitor),
        }
        .map_err(|error: Error| error.at(start))
    }

    #[inline]
    fn deserialize_tuple<V: Visitor<'de>>(self, _len: usize, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _len: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_seq(visitor)
    }

    /// A string is a variant without data; an object of one key is a variant with data.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let next = self.peek();
        let start = self.at;
        match next {
            Some(b'"') => visitor.visit_enum(Variant::unit(self)),
            Some(b'{') => self.nested(|this| {
                let value = visitor.visit_enum(Variant::with_data(this))?;
                this.expect(b'}')?;
                Ok(value)
            }),
            _ => return self.deserialize_any(visitor),
        }
        .map_err(|error| error.at(start))
    }

    #[inline]
    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.skip_value()?;
        visitor.visit_unit()
    }

    #[inline]
    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.peek() {
            Some(b'{') if self.attachments.is_empty() => {
                let start = self.at;
                self.visit_object(visitor).map_err(|error| error.at(start))
            }
            _ => self.deserialize_any(visitor),
        }
    }

    #[inline]
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_map(visitor)
    }

    serde::forward_to_deserialize_any! { bool unit unit_struct }
}
