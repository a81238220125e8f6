//! Identifiers made from the driver's randomness: 120 bits, written as 20 characters.
//!
//! ```
//! use tenfour_delivery::id::Id;
//!
//! let id = Id::from_random([0xff; 15]);
//! assert_eq!(id.as_str(), "____________________");
//! assert_eq!("____________________".parse(), Ok(id));
//! ```

use core::{fmt, str::FromStr};

/// 120 bits, written in the 64 characters of URL-safe base64.
///
/// Whether it is a secret is its use's affair, so `Debug` prints only its beginning: a secret that is logged is none.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id([u8; Id::LENGTH]);

impl Id {
    /// How many characters an identifier has.
    pub const LENGTH: usize = 20;

    /// The identifier that spells `bytes`. For one that nobody can guess, they come from a cryptographic generator.
    #[must_use]
    pub fn from_random(bytes: [u8; 15]) -> Self {
        let mut text = [0; Self::LENGTH];
        for (group, out) in bytes.chunks_exact(3).zip(text.chunks_exact_mut(4)) {
            let bits = u32::from_be_bytes([0, group[0], group[1], group[2]]);
            for (place, digit) in out.iter_mut().enumerate() {
                *digit = ALPHABET[(bits >> (18 - 6 * place)) as usize & 63];
            }
        }
        Self(text)
    }

    /// The 20 characters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.0).expect("the alphabet is ASCII")
    }
}

/// The text is no identifier: it must have 20 characters of `A–Z a–z 0–9 - _`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseIdError;

impl core::error::Error for ParseIdError {}

impl fmt::Display for ParseIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not an identifier: expected {} characters of A-Z, a-z, 0-9, '-' and '_'", Id::LENGTH)
    }
}

impl FromStr for Id {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let bytes: [u8; Self::LENGTH] = text.as_bytes().try_into().map_err(|_| ParseIdError)?;
        if bytes.iter().all(|byte| ALPHABET.contains(byte)) { Ok(Self(bytes)) } else { Err(ParseIdError) }
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}…", &self.as_str()[..4])
    }
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::format;

    #[test]
    fn every_bit_counts() {
        for bit in 0..120 {
            let mut bytes = [0; 15];
            bytes[bit / 8] = 1 << (bit % 8);
            assert_ne!(Id::from_random(bytes), Id::from_random([0; 15]), "bit {bit}");
        }
    }

    #[test]
    fn spells_base64url_in_order() {
        let bytes =
            [0x00, 0x10, 0x83, 0x10, 0x51, 0x87, 0x20, 0x92, 0x8b, 0x30, 0xd3, 0x8f, 0x41, 0x14, 0x93];
        assert_eq!(Id::from_random(bytes).as_str(), "ABCDEFGHIJKLMNOPQRST");
    }

    #[test]
    fn refuses_what_it_would_not_write() {
        for text in [
            "",
            "ABCDEFGHIJKLMNOPQRS",
            "ABCDEFGHIJKLMNOPQRSTU",
            "ABCDEFGHIJKLMNOPQRS+",
            "ABCDEFGHIJKLMNOPQRé",
        ] {
            assert_eq!(text.parse::<Id>(), Err(ParseIdError), "{text}");
        }
    }

    #[test]
    fn debug_does_not_give_it_away() {
        assert_eq!(format!("{:?}", Id::from_random([0xff; 15])), "____…");
    }
}
