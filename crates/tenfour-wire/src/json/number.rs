//! Numbers, as JSON writes them.

use super::sink::Sink;

/// A number of JSON in the Rust type that holds it exactly, where there is one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Number {
    /// An integer without sign, up to `u64::MAX`.
    Unsigned(u64),
    /// An integer with a minus, down to `i64::MIN`.
    Signed(i64),
    /// Any other: with a fraction or an exponent, beyond 64 bits, or `-0`.
    Float(f64),
}

/// The end of the number at `start`, or where it stops being one.
#[inline]
pub(crate) fn end(bytes: &[u8], start: usize) -> Result<usize, usize> {
    let first = start + usize::from(bytes.get(start) == Some(&b'-'));
    let mut at = match bytes.get(first) {
        Some(b'0') => first + 1,
        Some(b'1'..=b'9') => digits_end(bytes, first + 1),
        _ => return Err(first),
    };
    if bytes.get(at) == Some(&b'.') {
        at = some_digits_end(bytes, at + 1)?;
    }
    if let Some(b'e' | b'E') = bytes.get(at) {
        let sign = usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
        at = some_digits_end(bytes, at + 1 + sign)?;
    }
    Ok(at)
}

#[inline]
fn some_digits_end(bytes: &[u8], start: usize) -> Result<usize, usize> {
    let end = digits_end(bytes, start);
    if end == start { Err(start) } else { Ok(end) }
}

#[inline]
fn digits_end(bytes: &[u8], mut at: usize) -> usize {
    while bytes.get(at).is_some_and(u8::is_ascii_digit) {
        at += 1;
    }
    at
}

impl Number {
    /// Reads the number at `start`; with its end.
    ///
    /// Nothing overflows: 10^19 - 1 is below 2^64, and longer numbers are left to the standard library, as is all that
    /// one multiplication or division of exact values would not round correctly.
    #[inline(always)]
    pub(crate) fn read(text: &str, start: usize) -> Result<(Self, usize), usize> {
        let bytes = text.as_bytes();
        let negative = bytes.get(start) == Some(&b'-');
        let first = start + usize::from(negative);
        let (mut mantissa, integer_end) = accumulate(bytes, first, 0);
        match (integer_end - first, bytes.get(first)) {
            (0, _) => return Err(first),
            (2.., Some(b'0')) => return Err(first + 1),
            _ => {}
        }
        let mut digits = integer_end - first;
        let mut end = integer_end;
        let mut scale = 0;
        if bytes.get(end) == Some(&b'.') {
            let fraction = end + 1;
            (mantissa, end) = accumulate(bytes, fraction, mantissa);
            if end == fraction {
                return Err(fraction);
            }
            digits += end - fraction;
            scale = end - fraction;
        }
        let plain = !matches!(bytes.get(end), Some(b'e' | b'E'));
        if plain && digits <= 19 {
            if scale == 0
                && let Some(integer) = Self::integer(mantissa, negative)
            {
                return Ok((integer, end));
            }
            if mantissa < 1 << 53 && scale < POWERS_OF_TEN.len() {
                let float = mantissa as f64 / POWERS_OF_TEN[scale];
                return Ok((Self::Float(if negative { -float } else { float }), end));
            }
        }
        Self::read_exactly(text, start)
    }

    #[inline]
    fn integer(magnitude: u64, negative: bool) -> Option<Self> {
        if !negative {
            return Some(Self::Unsigned(magnitude));
        }
        0i64.checked_sub_unsigned(magnitude).filter(|&number| number != 0).map(Self::Signed)
    }

    #[cold]
    fn read_exactly(text: &str, start: usize) -> Result<(Self, usize), usize> {
        let end = end(text.as_bytes(), start)?;
        let digits = text.get(start..end).unwrap_or_default();
        let number = if let Ok(integer) = digits.parse() {
            Self::Unsigned(integer)
        } else if let Some(integer) = digits.parse().ok().filter(|&integer| integer != 0) {
            Self::Signed(integer)
        } else {
            Self::Float(digits.parse().map_err(|_| start)?)
        };
        Ok((number, end))
    }
}

/// The digits from `at` on, appended to `number` (wrapping, where there are too many), and their end.
#[inline]
fn accumulate(bytes: &[u8], mut at: usize, mut number: u64) -> (u64, usize) {
    while let Some(digit) = bytes.get(at).map(|byte| byte.wrapping_sub(b'0')).filter(|&digit| digit < 10) {
        number = number.wrapping_mul(10).wrapping_add(u64::from(digit));
        at += 1;
    }
    (number, at)
}

/// The powers of ten that an `f64` holds exactly.
const POWERS_OF_TEN: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18,
    1e19, 1e20, 1e21, 1e22,
];

/// Appends `number` in decimal digits.
#[inline]
pub(crate) fn encode_integer(mut number: u64, out: &mut impl Sink) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return out.push_ascii(&digits[start..]);
        }
    }
}

/// Appends `number` in decimal digits, with a minus if it is negative.
#[inline]
pub(crate) fn encode_signed(number: i64, out: &mut impl Sink) {
    if number < 0 {
        out.push(b'-');
    }
    encode_integer(number.unsigned_abs(), out);
}

/// Appends the shortest digits that read as `number`; without a point where it has no fraction, `null` where it is not
/// finite, as `JSON.stringify`.
pub(crate) fn encode_float<F: zmij::Float>(number: F, out: &mut impl Sink) {
    let mut buffer = zmij::Buffer::new();
    match buffer.format(number) {
        "NaN" | "inf" | "-inf" => out.push_str("null"),
        digits => out.push_str(digits.strip_suffix(".0").unwrap_or(digits)),
    }
}

#[cfg(test)]
mod tests {
    use alloc::{format, string::ToString};

    use bytes::BytesMut;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn integers_are_exact_and_the_rest_is_rounded_correctly() {
        for (text, number) in [
            ("0", Number::Unsigned(0)),
            ("18446744073709551615", Number::Unsigned(u64::MAX)),
            ("18446744073709551616", Number::Float(18_446_744_073_709_551_616.0)),
            ("-1", Number::Signed(-1)),
            ("-9223372036854775808", Number::Signed(i64::MIN)),
            ("-9223372036854775809", Number::Float(-9_223_372_036_854_775_808.0)),
            ("-0", Number::Float(-0.0)),
            ("0.1", Number::Float(0.1)),
            ("-12.50", Number::Float(-12.5)),
            ("9007199254740993.0", Number::Float(9_007_199_254_740_992.0)),
            ("1E+2", Number::Float(100.0)),
            ("1e400", Number::Float(f64::INFINITY)),
        ] {
            assert_eq!(Number::read(text, 0), Ok((number, text.len())), "{text}");
            assert_eq!(end(text.as_bytes(), 0), Ok(text.len()));
        }
    }

    #[test]
    fn refusals() {
        for (text, offset) in [
            ("", 0),
            ("-", 1),
            ("+1", 0),
            (".5", 0),
            ("1.", 2),
            ("1.e1", 2),
            ("1e", 2),
            ("1e+", 3),
            ("-x", 1),
        ] {
            assert_eq!(Number::read(text, 0), Err(offset), "{text}");
            assert_eq!(end(text.as_bytes(), 0), Err(offset), "{text}");
        }
        assert_eq!(end(b"01", 0), Ok(1), "the caller meets the second digit");
        assert_eq!(Number::read("01", 0), Err(1));
    }

    proptest! {
        #[test]
        fn a_float_is_what_the_standard_library_reads(
            text in prop_oneof![
                r"-?(0|[1-9][0-9]{0,24})(\.[0-9]{1,24})?([eE][+-]?[0-9]{1,3})?",
                // Around 2^53, where a division of what an f64 holds no longer rounds correctly.
                r"-?([1-9][0-9]{0,8}|0)\.[0-9]{7,16}",
            ],
        ) {
            let (number, end) = Number::read(&text, 0).unwrap();
            prop_assert_eq!(end, text.len());
            let float: f64 = text.parse().unwrap();
            match number {
                Number::Unsigned(integer) => prop_assert_eq!(integer.to_string(), text),
                Number::Signed(integer) => prop_assert_eq!(integer.to_string(), text),
                Number::Float(number) => prop_assert_eq!(number.to_bits(), float.to_bits()),
            }
        }

        #[test]
        fn both_readers_agree_on_anything(text in r"[-+0-9.eE]{0,8}") {
            match (end(text.as_bytes(), 0), Number::read(&text, 0)) {
                (Ok(end), Ok((_, read_end))) => prop_assert_eq!(end, read_end),
                (Err(end), Err(read_end)) => prop_assert_eq!(end, read_end),
                (Ok(1 | 2), Err(_)) => prop_assert!(text.trim_start_matches('-').starts_with('0')),
                (end, read) => prop_assert!(false, "{end:?}, {read:?}"),
            }
        }

        #[test]
        fn integers_are_written_as_they_are(number: u64) {
            let mut out = BytesMut::new();
            encode_integer(number, &mut out);
            prop_assert_eq!(core::str::from_utf8(&out).unwrap(), format!("{number}"));
            out.clear();
            encode_signed(number as i64, &mut out);
            prop_assert_eq!(core::str::from_utf8(&out).unwrap(), format!("{}", number as i64));
        }

        #[test]
        fn a_float_reads_back_as_itself(bits: u64) {
            let number = f64::from_bits(bits);
            let mut out = BytesMut::new();
            encode_float(number, &mut out);
            let text = core::str::from_utf8(&out).unwrap();
            if number.is_finite() {
                prop_assert_eq!(end(text.as_bytes(), 0), Ok(text.len()));
                prop_assert_eq!(text.parse::<f64>().unwrap().to_bits(), bits);
            } else {
                prop_assert_eq!(text, "null");
            }
        }
    }
}
