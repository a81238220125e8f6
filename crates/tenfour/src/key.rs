//! Where an event has its key.

use crate::reply::to_args;
use bytestring::ByteString;
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use std::fmt;
use tenfour_tokio::broker::{
    Message,
    idempotency::{self, KeyError},
};

/// Where the events of a namespace have the key by which a repetition is known: see
/// [`Namespace::idempotency`](crate::Namespace::idempotency).
///
/// A key is a text, or an integer, which is the text of its digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    place: Place,
    /// `None` for every event.
    events: Option<Vec<ByteString>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Argument(usize),
    Field(String),
}

impl Key {
    /// It is this argument, counted from 0. The handler gets it as any other argument.
    #[must_use]
    pub const fn argument(index: usize) -> Self {
        Self { place: Place::Argument(index), events: None }
    }

    /// It is this field of the first argument that is an object with such a field.
    #[must_use]
    pub fn field(name: impl Into<String>) -> Self {
        Self { place: Place::Field(name.into()), events: None }
    }

    /// Only these events have one.
    #[must_use]
    pub fn only(mut self, events: impl IntoIterator<Item = impl Into<ByteString>>) -> Self {
        self.events = Some(events.into_iter().map(Into::into).collect());
        self
    }

    /// The key of an event; `None` if it has none.
    pub(crate) fn of(&self, message: &Message) -> Option<Result<idempotency::Key, KeyError>> {
        let name = message.name.as_deref().unwrap_or("message");
        if self.events.as_ref().is_some_and(|events| !events.iter().any(|event| *event == *name)) {
            return None;
        }
        let args = to_args(message.body.clone());
        let key = match &self.place {
            Place::Argument(index) => match args.deserialize(*index).ok()? {
                Argument::Key(key) => Some(key),
                Argument::Object(_) | Argument::Other => None,
            },
            Place::Field(name) => (0..args.len()).find_map(|index| match args.deserialize(index).ok()? {
                Argument::Object(fields) => {
                    fields.into_iter().find_map(|(field, key)| key.filter(|_| field == *name))
                }
                Argument::Key(_) | Argument::Other => None,
            }),
        };
        key.map(idempotency::Key::new)
    }
}

/// An argument, as far as it may be a key or have one.
enum Argument {
    Key(String),
    /// The fields; `None` for a value that is no key.
    Object(Vec<(String, Option<String>)>),
    Other,
}

impl<'de> Deserialize<'de> for Argument {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyArgument)
    }
}

struct AnyArgument;

impl<'de> Visitor<'de> for AnyArgument {
    type Value = Argument;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an argument")
    }

    fn visit_str<E>(self, text: &str) -> Result<Argument, E> {
        Ok(Argument::Key(text.to_owned()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Argument, E> {
        Ok(Argument::Key(number.to_string()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Argument, E> {
        Ok(Argument::Key(number.to_string()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Argument, A::Error> {
        let mut fields = Vec::new();
        while let Some((name, Scalar(key))) = entries.next_entry()? {
            fields.push((name, key));
        }
        Ok(Argument::Object(fields))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Argument, A::Error> {
        while elements.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Argument::Other)
    }

    fn visit_unit<E>(self) -> Result<Argument, E> {
        Ok(Argument::Other)
    }

    fn visit_none<E>(self) -> Result<Argument, E> {
        Ok(Argument::Other)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Argument, E> {
        Ok(Argument::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Argument, E> {
        Ok(Argument::Other)
    }

    fn visit_bytes<E>(self, _: &[u8]) -> Result<Argument, E> {
        Ok(Argument::Other)
    }
}

/// A field's value, if it may be a key.
struct Scalar(Option<String>);

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match Argument::deserialize(deserializer)? {
            Argument::Key(key) => Self(Some(key)),
            Argument::Object(_) | Argument::Other => Self(None),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tenfour_tokio::broker::Body;

    fn of(key: &Key, name: &str, args: &str) -> Option<String> {
        let found = key.of(&Message::new(name, Body::json(args)))?;
        Some(found.map_or_else(|error| error.to_string(), |key| key.to_string()))
    }

    #[test]
    fn a_key_is_found_where_it_is_said_to_be() {
        let argument = Key::argument(1);
        assert_eq!(of(&argument, "say", r#""a","b""#).as_deref(), Some("b"));
        assert_eq!(of(&argument, "say", r#""a",-7"#).as_deref(), Some("-7"));
        for without in [r#""a""#, r#""a",null"#, r#""a",1.5"#, r#""a",["b"]"#, r#""a",{"b":"c"}"#, ""] {
            assert_eq!(of(&argument, "say", without), None, "{without}");
        }
        let field = Key::field("id");
        assert_eq!(of(&field, "say", r#""a",{"b":1},{"to":{"id":"x"},"id":"y"}"#).as_deref(), Some("y"));
        assert_eq!(of(&field, "say", r#"{"id":12}"#).as_deref(), Some("12"));
        for without in [r#""id""#, r#"{"to":{"id":"x"}}"#, r#"{"id":null}"#, r#"{"id":{}}"#] {
            assert_eq!(of(&field, "say", without), None, "{without}");
        }
    }

    #[test]
    fn events_that_are_not_named_have_no_key() {
        let key = Key::argument(0).only(["say"]);
        assert_eq!(of(&key, "say", r#""k""#).as_deref(), Some("k"));
        assert_eq!(of(&key, "typing", r#""k""#), None);
    }

    #[test]
    fn a_key_that_cannot_be_one_is_an_error() {
        let long = format!("{:?}", "k".repeat(101));
        assert!(of(&Key::argument(0), "say", &long).unwrap().contains("101 bytes"));
    }
}
