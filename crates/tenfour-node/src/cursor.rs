//! A position in a log as a client carries it: a short text that means the same on every node, and after a restart.
//!
//! A stock Socket.IO client keeps the last element of an event's array if it is a string, without knowing what it says, and shows
//! it when it comes back. So the text has what a server needs to read on from there, in the 64 characters of URL-safe base64: 4
//! bytes that stand for the log's epoch, then the offset's bytes without leading zeros, the most significant first.
//!
//! ```
//! use tenfour_delivery::number::{Epoch, Offset};
//! use tenfour_node::cursor;
//!
//! let (epoch, offset) = (Epoch::new(1_764_000_000_000), Offset::new(70_000));
//! let text = cursor::encode(epoch, offset);
//! assert_eq!(text.len(), 10);
//! assert_eq!(cursor::decode(&text, epoch).map(|position| position.offset), Some(offset));
//! // In a log that began anew it is a position of another epoch.
//! let position = cursor::decode(&text, Epoch::new(1_764_000_000_001)).expect("a cursor");
//! assert_ne!(position.epoch, Epoch::new(1_764_000_000_001));
//! ```

use alloc::{string::String, vec::Vec};
use bytestring::ByteString;
use tenfour_delivery::{
    number::{Epoch, Offset},
    resume::Position,
};

/// Writes a position.
#[must_use]
pub fn encode(epoch: Epoch, offset: Offset) -> ByteString {
    let offset = offset.get().to_be_bytes();
    let zeros = offset.iter().take_while(|byte| **byte == 0).count();
    let tag = tag(epoch).to_be_bytes();
    let mut bytes = tag.iter().chain(&offset[zeros..]).copied();
    let mut text = String::with_capacity(16);
    while let Some(first) = bytes.next() {
        let rest = [bytes.next(), bytes.next()];
        let bits = u32::from_be_bytes([0, first, rest[0].unwrap_or(0), rest[1].unwrap_or(0)]);
        let digits = 2 + rest.iter().flatten().count();
        text.extend((0..digits).map(|place| char::from(ALPHABET[(bits >> (18 - 6 * place)) as usize & 63])));
    }
    text.into()
}

/// Reads a position for the log of this epoch; `None` for what [`encode`] never wrote. One that is of another log has another
/// epoch: which one, the text doesn't say.
#[must_use]
pub fn decode(text: &str, log: Epoch) -> Option<Position> {
    let bytes = bytes(text)?;
    let (written, offset) = bytes.split_first_chunk()?;
    if offset.len() > size_of::<u64>() || offset.first() == Some(&0) {
        return None;
    }
    let offset = offset.iter().fold(0, |offset, byte| offset << 8 | u64::from(*byte));
    let epoch = if u32::from_be_bytes(*written) == tag(log) { log } else { other_than(log) };
    Some(Position { epoch, offset: Offset::new(offset) })
}

/// An epoch that the log doesn't have.
pub(crate) const fn other_than(log: Epoch) -> Epoch {
    Epoch::new(!log.get())
}

/// Of two logs of one namespace the tags are the same once in four thousand million times: each bit of the epoch changes half of
/// the tag's (the finaliser of MurmurHash3, which no two numbers leave with the same 64 bits).
const fn tag(epoch: Epoch) -> u32 {
    let mut bits = epoch.get();
    bits ^= bits >> 33;
    bits = bits.wrapping_mul(0xff51_afd7_ed55_8ccd);
    bits ^= bits >> 33;
    bits = bits.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    (bits >> 32) as u32
}

/// The bytes that a text stands for, if it is how they are written.
fn bytes(text: &str) -> Option<Vec<u8>> {
    // 12 bytes at most are 16 characters.
    if text.len() > 16 || text.len() % 4 == 1 {
        return None;
    }
    let mut bytes = Vec::with_capacity(12);
    for group in text.as_bytes().chunks(4) {
        let mut bits = 0;
        for place in 0..4 {
            let digit =
                group.get(place).map_or(Some(0), |byte| ALPHABET.iter().position(|own| own == byte))?;
            bits = bits << 6 | digit as u32;
        }
        let [_, group_bytes @ ..] = bits.to_be_bytes();
        let (used, unused) = group_bytes.split_at(group.len() - 1);
        if unused.iter().any(|byte| *byte != 0) {
            return None;
        }
        bytes.extend_from_slice(used);
    }
    Some(bytes)
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const EPOCH: Epoch = Epoch::new(1_764_000_000_000 << 20);

    #[test]
    fn a_text_is_short_and_of_plain_characters() {
        for (offset, length) in
            [(0, 6), (1, 7), (255, 7), (256, 8), (70_000, 10), (1 << 24, 11), (u64::MAX, 16)]
        {
            let text = encode(EPOCH, Offset::new(offset));
            assert_eq!(text.len(), length, "{offset}");
            assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)));
        }
    }

    #[test]
    fn what_no_server_wrote_is_no_position() {
        let good = encode(EPOCH, Offset::new(9));
        let zero = "AAAAAAA"; // a tag, then the byte 0, which is never written
        let long = "A".repeat(17);
        for bad in ["", "A", "AAAAA", "hello", "null", "Q83MxDw=", "ä", zero, &long, &good[..5], " AAAAAA"] {
            assert_eq!(decode(bad, EPOCH), None, "{bad:?}");
        }
    }

    #[test]
    fn the_next_life_of_a_log_has_another_tag() {
        let text = encode(EPOCH, Offset::new(9));
        for next in 1..10_000 {
            let later = Epoch::new(EPOCH.get() + next);
            assert_ne!(decode(&text, later).expect("a position").epoch, later);
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(epoch: u64, offset: u64) {
            let position = Position { epoch: Epoch::new(epoch), offset: Offset::new(offset) };
            prop_assert_eq!(decode(&encode(position.epoch, position.offset), position.epoch), Some(position));
        }

        /// So there is one text for each position, and nothing is read that was not written.
        #[test]
        fn what_is_read_was_written_so(epoch: u64, text in "[A-Za-z0-9_-]{0,17}") {
            let epoch = Epoch::new(epoch);
            if let Some(position) = decode(&text, epoch) {
                let again = encode(position.epoch, position.offset);
                prop_assert_eq!(&again[6..], &text[6..]);
                if position.epoch == epoch {
                    prop_assert_eq!(&*again, &*text);
                }
            }
        }

        #[test]
        fn anything_may_be_shown(epoch: u64, text: String) {
            let _ = decode(&text, Epoch::new(epoch));
        }
    }
}
