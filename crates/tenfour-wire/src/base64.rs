//! Base64 (RFC 4648): written in the standard alphabet with padding, read in either alphabet, padded or not.
#![cfg_attr(not(any(feature = "engineio", test)), expect(dead_code, reason = "WebSocket only encodes"))]

use alloc::vec::Vec;

use bytes::{BufMut, BytesMut};

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// What each byte stands for; [`JUNK`] for a byte of neither alphabet.
const VALUES: [u8; 256] = values();

/// Has a bit that no value of six bits has, so that one test covers the bytes of a whole group.
const JUNK: u8 = 0x80;

const fn values() -> [u8; 256] {
    let mut values = [JUNK; 256];
    let mut index = 0;
    while index < ALPHABET.len() {
        values[ALPHABET[index] as usize] = index as u8;
        index += 1;
    }
    values[b'-' as usize] = 62;
    values[b'_' as usize] = 63;
    values
}

/// The length of `bytes` bytes when encoded.
pub(crate) const fn encoded_len(bytes: usize) -> usize {
    bytes.div_ceil(3) * 4
}

pub(crate) fn encode(bytes: &[u8], out: &mut BytesMut) {
    let symbol = |bits: u32| ALPHABET[(bits & 63) as usize];
    out.reserve(encoded_len(bytes.len()));
    let mut groups = bytes.chunks_exact(3);
    for group in &mut groups {
        let bits = u32::from_be_bytes([0, group[0], group[1], group[2]]);
        out.put_slice(&[symbol(bits >> 18), symbol(bits >> 12), symbol(bits >> 6), symbol(bits)]);
    }
    match *groups.remainder() {
        [a] => out.put_slice(&[symbol(u32::from(a) >> 2), symbol(u32::from(a) << 4), b'=', b'=']),
        [a, b] => {
            let bits = u32::from_be_bytes([0, 0, a, b]);
            out.put_slice(&[symbol(bits >> 10), symbol(bits >> 4), symbol(bits << 2), b'=']);
        }
        _ => {}
    }
}

/// The decoded bytes, or the offset of the first byte that cannot be there.
pub(crate) fn decode(text: &[u8]) -> Result<Vec<u8>, usize> {
    let digits = without_padding(text);
    let mut bytes = Vec::with_capacity(digits.len() / 4 * 3 + 2);
    let mut groups = digits.chunks_exact(4);
    for group in &mut groups {
        let [a, b, c, d] = [0, 1, 2, 3].map(|index| VALUES[usize::from(group[index])]);
        if (a | b | c | d) & JUNK != 0 {
            return Err(first_junk(digits));
        }
        let bits = u32::from(a) << 18 | u32::from(b) << 12 | u32::from(c) << 6 | u32::from(d);
        bytes.extend_from_slice(&bits.to_be_bytes()[1..]);
    }
    let rest = groups.remainder();
    if rest.iter().any(|&byte| VALUES[usize::from(byte)] == JUNK) {
        return Err(first_junk(digits));
    }
    match rest.iter().fold(0, |bits, &byte| bits << 6 | u32::from(VALUES[usize::from(byte)])) {
        _ if rest.len() == 1 => return Err(digits.len()),
        bits if rest.len() == 2 => bytes.push((bits >> 4) as u8),
        bits if rest.len() == 3 => bytes.extend_from_slice(&((bits >> 2) as u16).to_be_bytes()),
        _ => {}
    }
    Ok(bytes)
}

fn without_padding(text: &[u8]) -> &[u8] {
    let once = text.strip_suffix(b"=").unwrap_or(text);
    once.strip_suffix(b"=").unwrap_or(once)
}

#[cold]
fn first_junk(digits: &[u8]) -> usize {
    digits.iter().position(|&byte| VALUES[usize::from(byte)] == JUNK).unwrap_or(digits.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encoded(bytes: &[u8]) -> BytesMut {
        let mut out = BytesMut::new();
        encode(bytes, &mut out);
        out
    }

    #[test]
    fn rfc_4648_section_10() {
        for (plain, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(encoded(plain.as_bytes()), text);
            assert_eq!(decode(text.as_bytes()).unwrap(), plain.as_bytes());
        }
    }

    #[test]
    fn junk_is_told_where_it_stands() {
        for (text, offset) in
            [("AQ!D", 2), ("AQID\n", 4), ("AQ==AQ", 2), ("A", 1), ("AQIDB", 5), ("A===", 1), ("é", 0)]
        {
            assert_eq!(decode(text.as_bytes()), Err(offset), "{text}");
        }
    }

    proptest! {
        #[test]
        fn decodes_what_it_encodes(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let text = encoded(&bytes);
            prop_assert_eq!(text.len(), encoded_len(bytes.len()));
            prop_assert_eq!(&decode(&text).unwrap(), &bytes);
            let url_safe: Vec<u8> = text.iter().map(|byte| match byte { b'+' => b'-', b'/' => b'_', &byte => byte }).collect();
            prop_assert_eq!(&decode(&url_safe).unwrap(), &bytes);
            prop_assert_eq!(&decode(without_padding(&text)).unwrap(), &bytes);
        }
    }
}
