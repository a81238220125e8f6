//! The elements of an array, the entries of an object, the variants of an enum.

use serde::de::{self, DeserializeSeed, EnumAccess, MapAccess, SeqAccess, VariantAccess, Visitor};

use super::{Deserializer, Error, key::Key};

/// What has been read of an array or an object: whether a comma is due before the next entry.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    First,
    Later,
}

impl Place {
    /// Goes to the next entry; false at `close`, which stays.
    #[inline]
    fn advance(&mut self, deserializer: &mut Deserializer<'_>, close: u8) -> Result<bool, Error> {
        match (deserializer.peek(), *self) {
            (Some(byte), _) if byte == close => return Ok(false),
            (Some(b','), Self::Later) => {
                deserializer.at += 1;
                if deserializer.peek() == Some(close) {
                    return Err(deserializer.malformed(deserializer.at));
                }
            }
            (Some(_), Self::First) => *self = Self::Later,
            _ => return Err(deserializer.malformed(deserializer.at)),
        }
        Ok(true)
    }
}

/// The elements of the array whose bracket is behind the deserializer.
pub(super) struct Elements<'a, 'de> {
    deserializer: &'a mut Deserializer<'de>,
    place: Place,
}

impl<'a, 'de> Elements<'a, 'de> {
    pub(super) fn new(deserializer: &'a mut Deserializer<'de>) -> Self {
        Self { deserializer, place: Place::First }
    }
}

impl<'de> SeqAccess<'de> for Elements<'_, 'de> {
    type Error = Error;

    #[inline]
    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        if !self.place.advance(self.deserializer, b']')? {
            return Ok(None);
        }
        seed.deserialize(&mut *self.deserializer).map(Some)
    }
}

/// The entries of the object whose brace is behind the deserializer.
pub(super) struct Entries<'a, 'de> {
    deserializer: &'a mut Deserializer<'de>,
    place: Place,
}

impl<'a, 'de> Entries<'a, 'de> {
    pub(super) fn new(deserializer: &'a mut Deserializer<'de>) -> Self {
        Self { deserializer, place: Place::First }
    }
}

impl<'de> MapAccess<'de> for Entries<'_, 'de> {
    type Error = Error;

    #[inline]
    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        if !self.place.advance(self.deserializer, b'}')? {
            return Ok(None);
        }
        Key::read(self.deserializer, seed).map(Some)
    }

    #[inline]
    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        self.deserializer.expect(b':')?;
        seed.deserialize(&mut *self.deserializer)
    }
}

/// A variant's name, alone or as the only key of an object whose brace is behind the deserializer.
pub(super) struct Variant<'a, 'de> {
    deserializer: &'a mut Deserializer<'de>,
    data: Data,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Data {
    Absent,
    Present,
}

impl<'a, 'de> Variant<'a, 'de> {
    pub(super) fn unit(deserializer: &'a mut Deserializer<'de>) -> Self {
        Self { deserializer, data: Data::Absent }
    }

    pub(super) fn with_data(deserializer: &'a mut Deserializer<'de>) -> Self {
        Self { deserializer, data: Data::Present }
    }

    /// The deserializer, if data follows.
    fn data(self, expected: &dyn de::Expected) -> Result<&'a mut Deserializer<'de>, Error> {
        match self.data {
            Data::Present => Ok(self.deserializer),
            Data::Absent => Err(de::Error::invalid_type(de::Unexpected::UnitVariant, expected)),
        }
    }
}

impl<'de> EnumAccess<'de> for Variant<'_, 'de> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Error> {
        if self.deserializer.peek() != Some(b'"') {
            return Err(self.deserializer.malformed(self.deserializer.at));
        }
        let name = seed.deserialize(&mut *self.deserializer)?;
        if self.data == Data::Present {
            self.deserializer.expect(b':')?;
        }
        Ok((name, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'_, 'de> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        match self.data {
            Data::Absent => Ok(()),
            Data::Present => de::Deserialize::deserialize(self.deserializer),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Error> {
        seed.deserialize(self.data(&"newtype variant")?)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _len: usize, visitor: V) -> Result<V::Value, Error> {
        de::Deserializer::deserialize_seq(self.data(&"tuple variant")?, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        de::Deserializer::deserialize_any(self.data(&"struct variant")?, visitor)
    }
}
