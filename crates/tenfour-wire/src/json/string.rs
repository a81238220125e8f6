//! Strings and integers, as JSON writes them.

use bytes::{BufMut, BytesMut};

/// Appends `text` as a JSON string, as `JSON.stringify` would.
pub(crate) fn encode(text: &str, out: &mut BytesMut) {
    out.reserve(text.len() + 2);
    out.put_u8(b'"');
    let mut rest = text;
    while let Some(at) = rest.bytes().position(|byte| byte < 0x20 || byte == b'"' || byte == b'\\') {
        out.put_slice(&rest.as_bytes()[..at]);
        encode_escape(rest.as_bytes()[at], out);
        rest = &rest[at + 1..];
    }
    out.put_slice(rest.as_bytes());
    out.put_u8(b'"');
}

fn encode_escape(byte: u8, out: &mut BytesMut) {
    let short = match byte {
        b'"' | b'\\' => byte,
        0x08 => b'b',
        b'\t' => b't',
        b'\n' => b'n',
        0x0c => b'f',
        b'\r' => b'r',
        _ => {
            let digit = |nibble: u8| b"0123456789abcdef"[usize::from(nibble)];
            return out.put_slice(&[b'\\', b'u', b'0', b'0', digit(byte >> 4), digit(byte & 15)]);
        }
    };
    out.put_slice(&[b'\\', short]);
}

/// Appends `number` in decimal digits.
pub(crate) fn encode_integer(mut number: u64, out: &mut BytesMut) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return out.put_slice(&digits[start..]);
        }
    }
}
