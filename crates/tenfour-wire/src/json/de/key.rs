//! The keys of an object: strings, read as whatever the map's key type is.

use serde::de::{self, DeserializeSeed, Visitor, value::BorrowedStrDeserializer};

use super::{super::number::Number, Deserializer, Error, string, visit_number, visit_text};

/// The key whose opening quote is next.
pub(super) struct Key<'a, 'de>(&'a mut Deserializer<'de>);

impl<'a, 'de> Key<'a, 'de> {
    #[inline]
    pub(super) fn read<K: DeserializeSeed<'de>>(
        deserializer: &'a mut Deserializer<'de>,
        seed: K,
    ) -> Result<K::Value, Error> {
        if deserializer.peek() != Some(b'"') {
            return Err(deserializer.malformed(deserializer.at));
        }
        let start = deserializer.at;
        seed.deserialize(Key(deserializer)).map_err(|error| error.at(start))
    }
}

/// For each type of number, the same: a key that is one number and nothing else is visited as that.
macro_rules! deserialize_number {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            let (content, escaped) = self.0.string()?;
            match Number::read(content, 0) {
                Ok((number, end)) if end == content.len() => visit_number(number, visitor),
                _ => visit_text(content, escaped, visitor),
            }
        }
    )*};
}

/// Integers beyond 64 bits are read from their digits.
macro_rules! deserialize_wide_integer {
    ($($method:ident $visit:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            let (content, escaped) = self.0.string()?;
            match (Number::read(content, 0), content.parse()) {
                (Ok((_, end)), Ok(integer)) if end == content.len() => visitor.$visit(integer),
                _ => visit_text(content, escaped, visitor),
            }
        }
    )*};
}

impl<'de> de::Deserializer<'de> for Key<'_, 'de> {
    type Error = Error;

    #[inline]
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.0.visit_string(visitor)
    }

    deserialize_number! {
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
        deserialize_f32 deserialize_f64
    }

    deserialize_wide_integer! { deserialize_u128 visit_u128 deserialize_i128 visit_i128 }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0.string()? {
            ("true", _) => visitor.visit_bool(true),
            ("false", _) => visitor.visit_bool(false),
            (content, escaped) => visit_text(content, escaped, visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.0.string()? {
            (content, false) => {
                BorrowedStrDeserializer::new(content).deserialize_enum(name, variants, visitor)
            }
            (content, true) => {
                let name_read: de::value::StringDeserializer<Error> =
                    de::IntoDeserializer::into_deserializer(string::unescape(content));
                name_read.deserialize_enum(name, variants, visitor)
            }
        }
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        de::Deserializer::deserialize_bytes(self.0, visitor)
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        de::Deserializer::deserialize_bytes(self.0, visitor)
    }

    serde::forward_to_deserialize_any! {
        char str string unit unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}
