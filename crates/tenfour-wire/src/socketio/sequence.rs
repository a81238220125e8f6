//! All arguments as one sequence.

use serde::de::{self, DeserializeSeed, SeqAccess, Visitor};

use super::Args;
use crate::json::{Deserializer, Error, Missing};

/// Reads arguments as the elements of a sequence; of a tuple, also those that were not sent.
pub(super) struct Sequence<'de> {
    elements: Deserializer<'de>,
    index: usize,
    /// How many elements the reader takes, if it takes a fixed number.
    wanted: Option<usize>,
}

impl<'de> Sequence<'de> {
    pub(super) fn new(args: &'de Args) -> Self {
        let elements = Deserializer::new(args.json(), args.attachments());
        Self { elements, index: 0, wanted: None }
    }
}

impl<'de> SeqAccess<'de> for Sequence<'de> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        let index = self.index;
        let is_at_end = self.elements.is_at_end();
        if self.wanted.map_or(is_at_end, |wanted| index == wanted) {
            return Ok(None);
        }
        self.index += 1;
        if is_at_end {
            return seed.deserialize(Missing { index }).map(Some);
        }
        let value = seed.deserialize(&mut self.elements)?;
        self.elements.skip_comma();
        Ok(Some(value))
    }

    fn size_hint(&self) -> Option<usize> {
        self.wanted.map(|wanted| wanted - self.index)
    }
}

impl<'de> de::Deserializer<'de> for Sequence<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_seq(self)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_seq(Self { wanted: Some(len), ..self })
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_tuple(len, visitor)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit_struct
        newtype_struct seq map struct enum identifier ignored_any
    }
}
