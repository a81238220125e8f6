//! Typed values as JSON text, with binary attachments beside it.

mod compound;
mod key;

use alloc::{string::String, vec::Vec};
use core::fmt;

use bytes::Bytes;
use serde::ser::{self, Serialize};

use self::compound::{Compound, Shape};
use super::{
    Error,
    number::{self, encode_float},
    placeholder,
    scan::MAX_DEPTH,
    string,
};
use crate::{DecodeError, DecodeErrorKind};

/// Writes `value` as JSON text; what it gives to serde as bytes becomes a placeholder in the text and an attachment.
///
/// Numbers, strings and escapes are written as `JSON.stringify` does: a float without fraction has no point, and one that is
/// not finite is `null`. Enums are externally tagged, the keys of a map may be integers.
///
/// # Errors
/// An [`Error`] where a map's key is neither a string, a number nor a boolean, where the key `_placeholder` would forge an
/// attachment, and beyond [`MAX_DEPTH`].
///
/// ```
/// use serde::Serialize;
/// use tenfour_wire::{Bytes, json};
///
/// #[derive(Serialize)]
/// struct Upload {
///     name: &'static str,
///     content: Bytes,
/// }
///
/// let (text, attachments) = json::to_string(&Upload { name: "cat.png", content: Bytes::from_static(b"\x89PNG") })?;
/// assert_eq!(text, r#"{"name":"cat.png","content":{"_placeholder":true,"num":0}}"#);
/// assert_eq!(attachments, [Bytes::from_static(b"\x89PNG")]);
/// # Ok::<(), json::Error>(())
/// ```
pub fn to_string<T: Serialize + ?Sized>(value: &T) -> Result<(String, Vec<Bytes>), Error> {
    let mut serializer = Serializer::new();
    value.serialize(&mut serializer)?;
    Ok((serializer.text, serializer.attachments))
}

/// The elements that `value` is as the arguments of an event, without brackets: those of a tuple, none of `()`, else itself.
pub(crate) fn to_elements<T: Serialize + ?Sized>(value: &T) -> Result<(String, Vec<Bytes>), Error> {
    let mut serializer = Serializer::new();
    value.serialize(&mut serializer)?;
    let Serializer { mut text, attachments, outermost, .. } = serializer;
    match outermost {
        Outermost::Unit => text.clear(),
        Outermost::Tuple => {
            text.pop();
            text.remove(0);
        }
        Outermost::Value => {}
    }
    Ok((text, attachments))
}

/// What the whole value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outermost {
    Unit,
    Tuple,
    Value,
}

/// Writes typed values as one JSON text.
#[derive(Debug)]
struct Serializer {
    text: String,
    attachments: Vec<Bytes>,
    /// How many more arrays and objects may be opened.
    depth: usize,
    outermost: Outermost,
}

impl Serializer {
    fn new() -> Self {
        Self {
            text: String::with_capacity(128),
            attachments: Vec::new(),
            depth: MAX_DEPTH,
            outermost: Outermost::Value,
        }
    }

    #[inline]
    fn open(&mut self, shape: Shape) -> Result<Compound<'_>, Error> {
        self.descend()?;
        Ok(Compound::open(self, shape))
    }

    /// Counts an array or object that is opened now; whoever closes it gives the level back.
    #[inline]
    fn descend(&mut self) -> Result<(), Error> {
        let Some(depth) = self.depth.checked_sub(1) else {
            return Err(self.refuse(DecodeErrorKind::Depth));
        };
        self.depth = depth;
        Ok(())
    }

    fn note(&mut self, outermost: Outermost) {
        if self.text.is_empty() {
            self.outermost = outermost;
        }
    }

    /// Opens the object of one key that stands for a variant with data.
    fn open_variant(&mut self, name: &str) -> Result<(), Error> {
        if name == placeholder::KEY {
            return Err(self.refuse(DecodeErrorKind::Placeholder));
        }
        self.descend()?;
        self.text.push('{');
        string::encode(name, &mut self.text);
        self.text.push(':');
        Ok(())
    }

    #[cold]
    fn refuse(&self, kind: DecodeErrorKind) -> Error {
        DecodeError::new(kind, self.text.len()).into()
    }
}

macro_rules! serialize_integer {
    ($($method:ident $type:ty, $encode:ident as $wide:ty;)*) => {$(
        #[inline]
        fn $method(self, number: $type) -> Result<(), Error> {
            number::$encode(<$wide>::from(number), &mut self.text);
            Ok(())
        }
    )*};
}

impl<'a> ser::Serializer for &'a mut Serializer {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Compound<'a>;
    type SerializeTuple = Compound<'a>;
    type SerializeTupleStruct = Compound<'a>;
    type SerializeTupleVariant = Compound<'a>;
    type SerializeMap = Compound<'a>;
    type SerializeStruct = Compound<'a>;
    type SerializeStructVariant = Compound<'a>;

    serialize_integer! {
        serialize_u8 u8, encode_integer as u64;
        serialize_u16 u16, encode_integer as u64;
        serialize_u32 u32, encode_integer as u64;
        serialize_u64 u64, encode_integer as u64;
        serialize_i8 i8, encode_signed as i64;
        serialize_i16 i16, encode_signed as i64;
        serialize_i32 i32, encode_signed as i64;
        serialize_i64 i64, encode_signed as i64;
    }

    fn serialize_u128(self, number: u128) -> Result<(), Error> {
        self.collect_digits(number)
    }

    fn serialize_i128(self, number: i128) -> Result<(), Error> {
        self.collect_digits(number)
    }

    fn serialize_bool(self, value: bool) -> Result<(), Error> {
        self.text.push_str(if value { "true" } else { "false" });
        Ok(())
    }

    fn serialize_f32(self, number: f32) -> Result<(), Error> {
        encode_float(number, &mut self.text);
        Ok(())
    }

    fn serialize_f64(self, number: f64) -> Result<(), Error> {
        encode_float(number, &mut self.text);
        Ok(())
    }

    fn serialize_char(self, char: char) -> Result<(), Error> {
        string::encode(char.encode_utf8(&mut [0; 4]), &mut self.text);
        Ok(())
    }

    #[inline]
    fn serialize_str(self, text: &str) -> Result<(), Error> {
        string::encode(text, &mut self.text);
        Ok(())
    }

    fn serialize_bytes(self, bytes: &[u8]) -> Result<(), Error> {
        placeholder::encode(self.attachments.len(), &mut self.text);
        self.attachments.push(Bytes::copy_from_slice(bytes));
        Ok(())
    }

    fn serialize_none(self) -> Result<(), Error> {
        self.text.push_str("null");
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Error> {
        self.note(Outermost::Unit);
        self.text.push_str("null");
        Ok(())
    }

    fn serialize_unit_struct(self, _name: &'static str) -> Result<(), Error> {
        self.serialize_none()
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<(), Error> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        self.open_variant(variant)?;
        value.serialize(&mut *self)?;
        self.text.push('}');
        self.depth += 1;
        Ok(())
    }

    #[inline]
    fn serialize_seq(self, _len: Option<usize>) -> Result<Compound<'a>, Error> {
        self.open(Shape::Array)
    }

    #[inline]
    fn serialize_tuple(self, _len: usize) -> Result<Compound<'a>, Error> {
        self.note(Outermost::Tuple);
        self.open(Shape::Array)
    }

    fn serialize_tuple_struct(self, _name: &'static str, _len: usize) -> Result<Compound<'a>, Error> {
        self.note(Outermost::Tuple);
        self.open(Shape::Array)
    }

    fn serialize_tuple_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        _len: usize,
    ) -> Result<Compound<'a>, Error> {
        self.open_variant(variant)?;
        self.open(Shape::VariantArray)
    }

    #[inline]
    fn serialize_map(self, _len: Option<usize>) -> Result<Compound<'a>, Error> {
        self.open(Shape::Object)
    }

    #[inline]
    fn serialize_struct(self, _name: &'static str, _len: usize) -> Result<Compound<'a>, Error> {
        self.open(Shape::Object)
    }

    fn serialize_struct_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        _len: usize,
    ) -> Result<Compound<'a>, Error> {
        self.open_variant(variant)?;
        self.open(Shape::VariantObject)
    }
}

impl Serializer {
    fn collect_digits(&mut self, digits: impl fmt::Display) -> Result<(), Error> {
        use fmt::Write as _;
        write!(self.text, "{digits}").map_err(ser::Error::custom)
    }
}
