//! JSON text as MessagePack, each value in its shortest form, as notepack.io writes it.

use alloc::vec::{self, Vec};
use core::fmt;

use bytes::{BufMut, BytesMut};
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::super::{Args, EventName};
use crate::json;

/// Appends the array of an event's name, if there is one, and the arguments.
pub(super) fn put_args(out: &mut BytesMut, name: Option<&EventName>, args: &Args) {
    let mut lens = Vec::new();
    if Count(&mut lens).deserialize(args.sequence()).is_err() {
        return out.put_u8(NIL);
    }
    let mut lens = lens.into_iter();
    put_array_len(out, lens.next().unwrap_or_default() + usize::from(name.is_some()));
    match name {
        Some(EventName::Text(name)) => put_str(out, name),
        Some(EventName::Number(digits)) => put_json(out, digits),
        None => {}
    }
    let put = args.sequence().deserialize_seq(Elements(Put { out, lens: &mut lens }));
    debug_assert!(put.is_ok(), "what can be counted can be put");
}

/// Appends the value of a JSON text that has no attachments; `nil`, which no receiver takes for a packet's data, if it is
/// malformed.
pub(super) fn put_json(out: &mut BytesMut, json: &str) {
    let mut lens = Vec::new();
    let mut deserializer = json::Deserializer::new(json, &[]);
    if Count(&mut lens).deserialize(&mut deserializer).is_err() {
        return out.put_u8(NIL);
    }
    let put = Put { out, lens: &mut lens.into_iter() }.deserialize(&mut json::Deserializer::new(json, &[]));
    debug_assert!(put.is_ok(), "what can be counted can be put");
}

/// Notes the length of each array and object, in the order in which they begin: MessagePack wants it before the elements.
struct Count<'a>(&'a mut Vec<usize>);

impl Count<'_> {
    fn again(&mut self) -> Count<'_> {
        Count(self.0)
    }
}

impl<'de> DeserializeSeed<'de> for Count<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

macro_rules! count_nothing {
    ($($method:ident($($value:ty)?);)*) => {$(
        fn $method<E: Error>(self $(, _: $value)?) -> Result<(), E> {
            Ok(())
        }
    )*};
}

impl<'de> Visitor<'de> for Count<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value of JSON")
    }

    count_nothing! {
        visit_bool(bool);
        visit_u64(u64);
        visit_i64(i64);
        visit_f64(f64);
        visit_str(&str);
        visit_bytes(&[u8]);
        visit_unit();
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut elements: A) -> Result<(), A::Error> {
        let index = self.0.len();
        self.0.push(0);
        while elements.next_element_seed(self.again())?.is_some() {
            self.0[index] += 1;
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut entries: A) -> Result<(), A::Error> {
        let index = self.0.len();
        self.0.push(0);
        while entries.next_key::<IgnoredAny>()?.is_some() {
            entries.next_value_seed(self.again())?;
            self.0[index] += 1;
        }
        Ok(())
    }
}

/// Appends a value whose arrays and objects were counted.
struct Put<'a> {
    out: &'a mut BytesMut,
    lens: &'a mut vec::IntoIter<usize>,
}

impl Put<'_> {
    fn again(&mut self) -> Put<'_> {
        Put { out: self.out, lens: self.lens }
    }

    fn next_len(&mut self) -> usize {
        self.lens.next().unwrap_or_default()
    }
}

impl<'de> DeserializeSeed<'de> for Put<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

macro_rules! put_scalar {
    ($($method:ident($($name:ident: $value:ty)?) $put:expr;)*) => {$(
        fn $method<E: Error>(self $(, $name: $value)?) -> Result<(), E> {
            ($put)(self.out $(, $name)?);
            Ok(())
        }
    )*};
}

impl<'de> Visitor<'de> for Put<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value of JSON")
    }

    put_scalar! {
        visit_bool(value: bool) |out: &mut BytesMut, value| out.put_u8(if value { TRUE } else { FALSE });
        visit_u64(number: u64) put_uint;
        visit_i64(number: i64) put_sint;
        visit_f64(number: f64) put_float;
        visit_str(text: &str) put_str;
        visit_bytes(bytes: &[u8]) put_bin;
        visit_unit() |out: &mut BytesMut| out.put_u8(NIL);
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, elements: A) -> Result<(), A::Error> {
        let len = self.next_len();
        put_array_len(self.out, len);
        Elements(self).visit_seq(elements)
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut entries: A) -> Result<(), A::Error> {
        let len = self.next_len();
        put_map_len(self.out, len);
        while entries.next_key_seed(self.again())?.is_some() {
            entries.next_value_seed(self.again())?;
        }
        Ok(())
    }
}

/// Appends the elements of an array whose length was put.
struct Elements<'a>(Put<'a>);

impl<'de> Visitor<'de> for Elements<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut elements: A) -> Result<(), A::Error> {
        while elements.next_element_seed(self.0.again())?.is_some() {}
        Ok(())
    }
}

const NIL: u8 = 0xc0;
const FALSE: u8 = 0xc2;
const TRUE: u8 = 0xc3;

pub(super) fn put_uint(out: &mut BytesMut, number: u64) {
    match number {
        0..0x80 => out.put_u8(number as u8),
        0x80..0x100 => out.put_slice(&[0xcc, number as u8]),
        0x100..0x1_0000 => put_marked(out, 0xcd, (number as u16).to_be_bytes()),
        0x1_0000..0x1_0000_0000 => put_marked(out, 0xce, (number as u32).to_be_bytes()),
        _ => put_marked(out, 0xcf, number.to_be_bytes()),
    }
}

fn put_sint(out: &mut BytesMut, number: i64) {
    match number {
        0.. => put_uint(out, number.unsigned_abs()),
        -0x20..0 => out.put_i8(number as i8),
        -0x80..-0x20 => put_marked(out, 0xd0, (number as i8).to_be_bytes()),
        -0x8000..-0x80 => put_marked(out, 0xd1, (number as i16).to_be_bytes()),
        -0x8000_0000..-0x8000 => put_marked(out, 0xd2, (number as i32).to_be_bytes()),
        _ => put_marked(out, 0xd3, number.to_be_bytes()),
    }
}

/// A number without fraction is an integer to JavaScript, and is written as one.
fn put_float(out: &mut BytesMut, number: f64) {
    const TWO_TO_64: f64 = 18_446_744_073_709_551_616.0;
    const MINUS_TWO_TO_63: f64 = -9_223_372_036_854_775_808.0;
    if (0.0..TWO_TO_64).contains(&number) && number as u64 as f64 == number {
        put_uint(out, number as u64);
    } else if (MINUS_TWO_TO_63..0.0).contains(&number) && number as i64 as f64 == number {
        put_sint(out, number as i64);
    } else {
        put_marked(out, 0xcb, number.to_be_bytes());
    }
}

pub(super) fn put_str(out: &mut BytesMut, text: &str) {
    match text.len() {
        len @ 0..0x20 => out.put_u8(0xa0 | len as u8),
        len @ 0x20..0x100 => out.put_slice(&[0xd9, len as u8]),
        len => put_len(out, [0xda, 0xdb], len),
    }
    out.put_slice(text.as_bytes());
}

fn put_bin(out: &mut BytesMut, bytes: &[u8]) {
    match bytes.len() {
        len @ 0..0x100 => out.put_slice(&[0xc4, len as u8]),
        len => put_len(out, [0xc5, 0xc6], len),
    }
    out.put_slice(bytes);
}

fn put_array_len(out: &mut BytesMut, len: usize) {
    match len {
        0..0x10 => out.put_u8(0x90 | len as u8),
        _ => put_len(out, [0xdc, 0xdd], len),
    }
}

pub(super) fn put_map_len(out: &mut BytesMut, len: usize) {
    match len {
        0..0x10 => out.put_u8(0x80 | len as u8),
        _ => put_len(out, [0xde, 0xdf], len),
    }
}

/// A length of 16 or of 32 bits behind its marker.
fn put_len(out: &mut BytesMut, [short, long]: [u8; 2], len: usize) {
    match u16::try_from(len) {
        Ok(len) => put_marked(out, short, len.to_be_bytes()),
        Err(_) => put_marked(out, long, (len as u32).to_be_bytes()),
    }
}

fn put_marked<const N: usize>(out: &mut BytesMut, marker: u8, bytes: [u8; N]) {
    out.put_u8(marker);
    out.put_slice(&bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(json: &str) -> BytesMut {
        let mut out = BytesMut::new();
        put_json(&mut out, json);
        out
    }

    /// Each as written by notepack.io 3.0.1.
    #[test]
    fn numbers_have_their_shortest_form() {
        for (json, bytes) in NUMBERS {
            assert_eq!(&put(json)[..], *bytes, "{json}");
        }
    }

    const NUMBERS: &[(&str, &[u8])] = &[
        ("0", &[0x00]),
        ("-0", &[0x00]),
        ("127", &[0x7f]),
        ("128", &[0xcc, 0x80]),
        ("255", &[0xcc, 0xff]),
        ("256", &[0xcd, 0x01, 0x00]),
        ("65535", &[0xcd, 0xff, 0xff]),
        ("65536", &[0xce, 0x00, 0x01, 0x00, 0x00]),
        ("4294967295", &[0xce, 0xff, 0xff, 0xff, 0xff]),
        ("4294967296", &[0xcf, 0, 0, 0, 1, 0, 0, 0, 0]),
        ("1e3", &[0xcd, 0x03, 0xe8]),
        ("2.0", &[0x02]),
        ("-1", &[0xff]),
        ("-32", &[0xe0]),
        ("-33", &[0xd0, 0xdf]),
        ("-128", &[0xd0, 0x80]),
        ("-129", &[0xd1, 0xff, 0x7f]),
        ("-32768", &[0xd1, 0x80, 0x00]),
        ("-32769", &[0xd2, 0xff, 0xff, 0x7f, 0xff]),
        ("-2147483648", &[0xd2, 0x80, 0x00, 0x00, 0x00]),
        ("-2147483649", &[0xd3, 0xff, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff]),
        ("0.5", &[0xcb, 0x3f, 0xe0, 0, 0, 0, 0, 0, 0]),
    ];

    #[test]
    fn lengths_take_as_many_bytes_as_they_need() {
        for (len, header) in [
            (31, &[0xbf_u8][..]),
            (32, &[0xd9, 32]),
            (255, &[0xd9, 255]),
            (256, &[0xda, 1, 0]),
            (65_536, &[0xdb, 0, 1, 0, 0]),
        ] {
            let out = put(&alloc::format!("\"{}\"", "x".repeat(len)));
            assert_eq!((&out[..header.len()], out.len()), (header, header.len() + len));
        }
        for (len, header) in [(15, &[0x9f_u8][..]), (16, &[0xdc, 0, 16]), (65_536, &[0xdd, 0, 1, 0, 0])] {
            let out = put(&alloc::format!("[{}]", alloc::vec!["0"; len].join(",")));
            assert_eq!((&out[..header.len()], out.len()), (header, header.len() + len));
        }
    }

    #[test]
    fn malformed_text_is_nil() {
        assert_eq!(&put("[1,")[..], [NIL]);
    }
}
