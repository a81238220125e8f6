//! Strings, as JSON writes them.

use alloc::string::String;

use super::sink::Sink;
use crate::{DecodeError, DecodeErrorKind};

/// Where the string whose content begins at `start` ends (at its closing quote), and whether it has escapes.
///
/// `bytes` is UTF-8. An error is as in [`escaped_end`].
#[inline]
pub(crate) fn end(bytes: &[u8], start: usize) -> Result<(usize, bool), DecodeError> {
    let at = plain_end(bytes, start);
    if bytes.get(at) == Some(&b'"') {
        return Ok((at, false));
    }
    Ok((escaped_end(bytes, at)?, true))
}

/// The first byte from `at` on that a JSON string does not hold as it is: quote, backslash or control character;
/// otherwise the end of `bytes`.
#[inline]
fn plain_end(bytes: &[u8], mut at: usize) -> usize {
    while let Some(chunk) = bytes.get(at..).and_then(<[u8]>::first_chunk) {
        let special = special_bytes(u64::from_le_bytes(*chunk));
        if special != 0 {
            return at + special.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    while bytes.get(at).is_some_and(|&byte| byte >= b' ' && byte != b'"' && byte != b'\\') {
        at += 1;
    }
    at
}

/// The top bit of each of the eight bytes that is a quote, a backslash or a control character.
///
/// Exact for the lowest such byte, and zero if there is none: a subtraction borrows only from a byte that matched.
#[inline]
const fn special_bytes(word: u64) -> u64 {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    let control = word.wrapping_sub(ONES * 0x20);
    let quote = (word ^ (ONES * b'"' as u64)).wrapping_sub(ONES);
    let backslash = (word ^ (ONES * b'\\' as u64)).wrapping_sub(ONES);
    (control | quote | backslash) & !word & (ONES * 0x80)
}

/// The closing quote of a string, from a byte on that is not plain.
///
/// Fails with [`Json`](DecodeErrorKind::Json) at a control character, a malformed escape or the end of the text, and with
/// [`LoneSurrogate`](DecodeErrorKind::LoneSurrogate) at an escape of half a surrogate pair.
#[inline(never)]
fn escaped_end(bytes: &[u8], mut at: usize) -> Result<usize, DecodeError> {
    loop {
        match bytes.get(at) {
            Some(b'"') => return Ok(at),
            Some(b'\\') => at = plain_end(bytes, escape_end(bytes, at)?),
            _ => return Err(DecodeError::new(DecodeErrorKind::Json, at)),
        }
    }
}

/// The end of the escape (for a surrogate pair: of both escapes) whose backslash is at `start`.
fn escape_end(bytes: &[u8], start: usize) -> Result<usize, DecodeError> {
    match bytes.get(start + 1) {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(start + 2),
        Some(b'u') => match hex(bytes, start + 2)? {
            0xd800..0xdc00 => match bytes.get(start + 6..start + 8) {
                Some(br"\u") if (0xdc00..0xe000).contains(&hex(bytes, start + 8)?) => Ok(start + 12),
                _ => Err(DecodeError::new(DecodeErrorKind::LoneSurrogate, start)),
            },
            0xdc00..0xe000 => Err(DecodeError::new(DecodeErrorKind::LoneSurrogate, start)),
            _ => Ok(start + 6),
        },
        _ => Err(DecodeError::new(DecodeErrorKind::Json, start + 1)),
    }
}

fn hex(bytes: &[u8], start: usize) -> Result<u32, DecodeError> {
    (start..start + 4).try_fold(0, |unit, at| {
        let digit = bytes.get(at).and_then(|&byte| char::from(byte).to_digit(16));
        Ok(unit << 4 | digit.ok_or(DecodeError::new(DecodeErrorKind::Json, at))?)
    })
}

/// The text of a string's content that [`end`] found to have escapes. What is not an escape there stays as it is.
pub(crate) fn unescape(content: &str) -> String {
    let mut text = String::with_capacity(content.len());
    let mut rest = content;
    while let Some(at) = rest.find('\\') {
        text.push_str(&rest[..at]);
        let (char, len) = escaped_char(&rest.as_bytes()[at..]);
        text.push(char);
        rest = rest.get(at + len..).unwrap_or_default();
    }
    text.push_str(rest);
    text
}

/// The character that an escape stands for, and the escape's length.
fn escaped_char(escape: &[u8]) -> (char, usize) {
    let short = match escape.get(1) {
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(b'u') => return unicode_char(escape),
        Some(&byte) if byte.is_ascii() => char::from(byte),
        _ => return (char::REPLACEMENT_CHARACTER, 1),
    };
    (short, 2)
}

fn unicode_char(escape: &[u8]) -> (char, usize) {
    let first = hex(escape, 2).unwrap_or(0xfffd);
    if !(0xd800..0xdc00).contains(&first) {
        return (char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER), 6);
    }
    let second = hex(escape, 8).unwrap_or(0xfffd);
    let char = 0x10000 + ((first & 0x3ff) << 10) + (second & 0x3ff);
    (char::from_u32(char).unwrap_or(char::REPLACEMENT_CHARACTER), 12)
}

/// Appends `text` as a JSON string, escaping what `JSON.stringify` escapes and as it does.
#[inline]
pub(crate) fn encode(text: &str, out: &mut impl Sink) {
    out.reserve(text.len() + 2);
    out.push(b'"');
    let plain = plain_end(text.as_bytes(), 0);
    if plain == text.len() {
        out.push_str(text);
    } else {
        encode_special(text, plain, out);
    }
    out.push(b'"');
}

/// Appends a string's content whose first `plain` bytes need no escape.
#[inline(never)]
fn encode_special(mut text: &str, mut plain: usize, out: &mut impl Sink) {
    while let Some(&byte) = text.as_bytes().get(plain) {
        out.push_str(&text[..plain]);
        encode_escape(byte, out);
        text = &text[plain + 1..];
        plain = plain_end(text.as_bytes(), 0);
    }
    out.push_str(text);
}

fn encode_escape(byte: u8, out: &mut impl Sink) {
    let short = match byte {
        b'"' | b'\\' => byte,
        0x08 => b'b',
        b'\t' => b't',
        b'\n' => b'n',
        0x0c => b'f',
        b'\r' => b'r',
        _ => {
            let digit = |nibble: u8| b"0123456789abcdef"[usize::from(nibble)];
            return out.push_ascii(&[b'\\', b'u', b'0', b'0', digit(byte >> 4), digit(byte & 15)]);
        }
    };
    out.push_ascii(&[b'\\', short]);
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_byte_is_special_or_not_wherever_it_stands() {
        for place in 0..20 {
            for byte in 0..=u8::MAX {
                let mut bytes = [0xe9; 20];
                bytes[place] = byte;
                let special = byte < b' ' || byte == b'"' || byte == b'\\';
                assert_eq!(plain_end(&bytes, 0), if special { place } else { 20 }, "{byte:#x} at {place}");
            }
        }
    }

    #[test]
    fn escapes() {
        for (content, text) in [
            (r#"\"\\\/\b\f\n\r\t"#, "\"\\/\u{8}\u{c}\n\r\t"),
            (r"\u0000\u001E\u00e9\uABCD", "\0\u{1e}é\u{abcd}"),
            (r"\ud83d\uDE00!", "😀!"),
            (r"\udbff\udfff", "\u{10ffff}"),
        ] {
            let quoted = alloc::format!("{content}\"");
            assert_eq!(end(quoted.as_bytes(), 0), Ok((content.len(), true)));
            assert_eq!(unescape(content), text);
        }
    }

    #[test]
    fn refusals() {
        use DecodeErrorKind::{Json, LoneSurrogate};
        for (content, kind, offset) in [
            ("abc", Json, 3),
            ("a\n\"", Json, 1),
            ("\\\"", Json, 2),
            (r#"\x""#, Json, 1),
            (r#"\u12g4""#, Json, 4),
            (r"\u12", Json, 4),
            (r#"a\ud800""#, LoneSurrogate, 1),
            (r#"\ud800\ud800""#, LoneSurrogate, 0),
            (r#"\ud800\n""#, LoneSurrogate, 0),
            (r#"\udc00""#, LoneSurrogate, 0),
            (r#"\ud800\u00""#, Json, 10),
        ] {
            assert_eq!(end(content.as_bytes(), 0), Err(DecodeError::new(kind, offset)), "{content}");
        }
    }

    #[test]
    fn every_unit_alone_and_every_edge_of_a_pair() {
        let alone = |unit: u16| end(alloc::format!("\\u{unit:04x}\"").as_bytes(), 0).is_ok();
        for unit in 0..=u16::MAX {
            assert_eq!(alone(unit), !(0xd800..=0xdfff).contains(&unit), "{unit:x}");
        }
        let pair =
            |high: u16, low: u16| end(alloc::format!("\\u{high:04x}\\u{low:04x}\"").as_bytes(), 0).is_ok();
        for high in [0xd800, 0xd801, 0xdbff] {
            for low in [0xdc00, 0xdc01, 0xdfff] {
                assert!(pair(high, low));
                assert!(!pair(low, high) && !pair(high, high) && !pair(low, low));
            }
            assert!(!pair(high, 0xdbff) && !pair(high, 0xe000) && !pair(high, 0x61));
        }
    }

    proptest! {
        #[test]
        fn encodes_as_serde_json_and_reads_it_back(text in any::<String>()) {
            let mut out = BytesMut::new();
            encode(&text, &mut out);
            prop_assert_eq!(core::str::from_utf8(&out).unwrap(), serde_json::to_string(&text).unwrap());
            let (close, escaped) = end(&out, 1).unwrap();
            prop_assert_eq!(close, out.len() - 1);
            let content = core::str::from_utf8(&out[1..close]).unwrap();
            prop_assert_eq!(escaped, content.contains('\\'));
            prop_assert_eq!(unescape(content), text);
        }

        #[test]
        fn unescape_takes_anything(content in r#"[\\u0-9a-fdDé"]{0,24}"#) {
            unescape(&content);
        }
    }
}
