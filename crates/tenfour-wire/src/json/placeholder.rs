//! What stands in JSON text for a binary attachment: `{"_placeholder":true,"num":0}`.

use super::{number, sink::Sink, string};

/// Reads a placeholder whose `{` is at `start`: the attachment's number, and the placeholder's end.
///
/// `None` for any other object: one with more keys, the same key twice, escapes in a key, or a `num` that is not plain
/// digits.
pub(crate) fn read(bytes: &[u8], start: usize) -> Option<(usize, usize)> {
    let at = token(bytes, start, b"{")?;
    if let Some(at) = mark(bytes, at) {
        let (num, at) = num(bytes, token(bytes, at, b",")?)?;
        Some((num, token(bytes, at, b"}")?))
    } else {
        let (num, at) = num(bytes, at)?;
        let at = mark(bytes, token(bytes, at, b",")?)?;
        Some((num, token(bytes, at, b"}")?))
    }
}

/// `"_placeholder":true`
fn mark(bytes: &[u8], at: usize) -> Option<usize> {
    let at = token(bytes, at, b"\"_placeholder\"")?;
    token(bytes, token(bytes, at, b":")?, b"true")
}

/// `"num":` and an integer of at most nine digits
fn num(bytes: &[u8], at: usize) -> Option<(usize, usize)> {
    let at = token(bytes, at, b"\"num\"")?;
    let start = super::scan::skip_whitespace(bytes, token(bytes, at, b":")?);
    let end = number::end(bytes, start).ok()?;
    let digits =
        bytes.get(start..end).filter(|digits| digits.len() < 10 && digits.iter().all(u8::is_ascii_digit))?;
    Some((digits.iter().fold(0, |num, digit| num * 10 + usize::from(digit - b'0')), end))
}

/// The end of `token`, if it is what comes next after whitespace.
fn token(bytes: &[u8], at: usize, token: &[u8]) -> Option<usize> {
    let start = super::scan::skip_whitespace(bytes, at);
    bytes.get(start..)?.starts_with(token).then_some(start + token.len())
}

/// The key that marks a placeholder.
pub(crate) const KEY: &str = "_placeholder";

/// Whether an object's key, given without its quotes, reads [`KEY`] when its escapes are resolved.
#[inline]
pub(crate) fn is_key(content: &str) -> bool {
    match content.as_bytes().first() {
        // The longest spelling escapes each of its characters, in six bytes.
        Some(b'_' | b'\\') if (KEY.len()..=6 * KEY.len()).contains(&content.len()) => {
            content == KEY || string::unescape(content) == KEY
        }
        _ => false,
    }
}

/// Appends the placeholder of attachment `num`.
pub(crate) fn encode(num: usize, out: &mut impl Sink) {
    out.push_str("{\"_placeholder\":true,\"num\":");
    number::encode_integer(num as u64, out);
    out.push_str("}");
}
