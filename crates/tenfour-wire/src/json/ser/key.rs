//! The keys of a map: always strings.

use alloc::string::{String, ToString};
use core::fmt;

use serde::ser::{self, Impossible, Serialize};

use super::{super::Error, string};

/// Writes one key, quoted.
pub(super) struct Key<'a> {
    text: &'a mut String,
}

impl<'a> Key<'a> {
    pub(super) fn new(text: &'a mut String) -> Self {
        Self { text }
    }

    fn quote(self, key: impl fmt::Display) -> Result<(), Error> {
        self.serialize_str(&key.to_string())
    }

    fn refuse<T>() -> Result<T, Error> {
        Err(ser::Error::custom("the key of a map must be a string, a number or a boolean"))
    }
}

macro_rules! quoted {
    ($($method:ident $type:ty;)*) => {$(
        fn $method(self, key: $type) -> Result<(), Error> {
            self.quote(key)
        }
    )*};
}

use ser::Serializer as _;

impl ser::Serializer for Key<'_> {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Impossible<(), Error>;
    type SerializeTuple = Impossible<(), Error>;
    type SerializeTupleStruct = Impossible<(), Error>;
    type SerializeTupleVariant = Impossible<(), Error>;
    type SerializeMap = Impossible<(), Error>;
    type SerializeStruct = Impossible<(), Error>;
    type SerializeStructVariant = Impossible<(), Error>;

    fn serialize_str(self, key: &str) -> Result<(), Error> {
        string::encode(key, self.text);
        Ok(())
    }

    quoted! {
        serialize_bool bool;
        serialize_char char;
        serialize_u8 u8;
        serialize_u16 u16;
        serialize_u32 u32;
        serialize_u64 u64;
        serialize_u128 u128;
        serialize_i8 i8;
        serialize_i16 i16;
        serialize_i32 i32;
        serialize_i64 i64;
        serialize_i128 i128;
        serialize_f32 f32;
        serialize_f64 f64;
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<(), Error> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        key: &T,
    ) -> Result<(), Error> {
        key.serialize(self)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, key: &T) -> Result<(), Error> {
        key.serialize(self)
    }

    fn serialize_none(self) -> Result<(), Error> {
        Self::refuse()
    }

    fn serialize_unit(self) -> Result<(), Error> {
        Self::refuse()
    }

    fn serialize_unit_struct(self, _name: &'static str) -> Result<(), Error> {
        Self::refuse()
    }

    fn serialize_bytes(self, _bytes: &[u8]) -> Result<(), Error> {
        Self::refuse()
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        _index: u32,
        _variant: &'static str,
        _value: &T,
    ) -> Result<(), Error> {
        Self::refuse()
    }

    fn serialize_seq(self, _len: Option<usize>) -> Result<Self::SerializeSeq, Error> {
        Self::refuse()
    }

    fn serialize_tuple(self, _len: usize) -> Result<Self::SerializeTuple, Error> {
        Self::refuse()
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeTupleStruct, Error> {
        Self::refuse()
    }

    fn serialize_tuple_variant(
        self,
        _name: &'static str,
        _index: u32,
        _variant: &'static str,
        _len: usize,
    ) -> Result<Self::SerializeTupleVariant, Error> {
        Self::refuse()
    }

    fn serialize_map(self, _len: Option<usize>) -> Result<Self::SerializeMap, Error> {
        Self::refuse()
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeStruct, Error> {
        Self::refuse()
    }

    fn serialize_struct_variant(
        self,
        _name: &'static str,
        _index: u32,
        _variant: &'static str,
        _len: usize,
    ) -> Result<Self::SerializeStructVariant, Error> {
        Self::refuse()
    }
}
