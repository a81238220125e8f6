//! Arrays and objects while they are written.

use serde::ser::{self, Serialize};

use super::{super::Error, Serializer, key::Key};
use crate::{
    DecodeErrorKind,
    json::{placeholder, string},
};

/// What encloses the entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Array,
    Object,
    /// An array, inside the object that names an enum's variant.
    VariantArray,
    /// An object, inside the object that names an enum's variant.
    VariantObject,
}

impl Shape {
    /// What opens it, and what closes it: a character for each level of nesting.
    fn brackets(self) -> (char, &'static str) {
        match self {
            Self::Array => ('[', "]"),
            Self::Object => ('{', "}"),
            Self::VariantArray => ('[', "]}"),
            Self::VariantObject => ('{', "}}"),
        }
    }
}

/// An array or object whose entries are being written.
pub(crate) struct Compound<'a> {
    serializer: &'a mut Serializer,
    shape: Shape,
    /// The length of the text before the first entry.
    start: usize,
}

impl<'a> Compound<'a> {
    #[inline]
    pub(super) fn open(serializer: &'a mut Serializer, shape: Shape) -> Self {
        serializer.text.push(shape.brackets().0);
        Self { start: serializer.text.len(), serializer, shape }
    }

    #[inline]
    fn separate(&mut self) {
        if self.serializer.text.len() > self.start {
            self.serializer.text.push(',');
        }
    }

    #[inline]
    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.separate();
        value.serialize(&mut *self.serializer)
    }

    #[inline]
    fn field<T: Serialize + ?Sized>(&mut self, key: &str, value: &T) -> Result<(), Error> {
        if key == placeholder::KEY {
            return Err(self.serializer.refuse(DecodeErrorKind::Placeholder));
        }
        self.separate();
        string::encode(key, &mut self.serializer.text);
        self.serializer.text.push(':');
        value.serialize(&mut *self.serializer)
    }

    #[inline]
    fn close(self) {
        let closing = self.shape.brackets().1;
        self.serializer.text.push_str(closing);
        self.serializer.depth += closing.len();
    }
}

macro_rules! array {
    ($($trait:ident $method:ident;)*) => {$(
        impl ser::$trait for Compound<'_> {
            type Ok = ();
            type Error = Error;

            #[inline]
            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
                self.element(value)
            }

            #[inline]
            fn end(self) -> Result<(), Error> {
                self.close();
                Ok(())
            }
        }
    )*};
}

macro_rules! object {
    ($($trait:ident)*) => {$(
        impl ser::$trait for Compound<'_> {
            type Ok = ();
            type Error = Error;

            #[inline]
            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                key: &'static str,
                value: &T,
            ) -> Result<(), Error> {
                self.field(key, value)
            }

            #[inline]
            fn end(self) -> Result<(), Error> {
                self.close();
                Ok(())
            }
        }
    )*};
}

array! {
    SerializeSeq serialize_element;
    SerializeTuple serialize_element;
    SerializeTupleStruct serialize_field;
    SerializeTupleVariant serialize_field;
}

object! { SerializeStruct SerializeStructVariant }

impl ser::SerializeMap for Compound<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Error> {
        self.separate();
        let start = self.serializer.text.len();
        key.serialize(Key::new(&mut self.serializer.text))?;
        if placeholder::is_key(&self.serializer.text[start + 1..self.serializer.text.len() - 1]) {
            return Err(self.serializer.refuse(DecodeErrorKind::Placeholder));
        }
        self.serializer.text.push(':');
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        value.serialize(&mut *self.serializer)
    }

    fn end(self) -> Result<(), Error> {
        self.close();
        Ok(())
    }
}
