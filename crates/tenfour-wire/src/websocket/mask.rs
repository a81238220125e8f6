//! The mask over a client's payloads (RFC 6455 §5.3): byte `i` is combined with the mask's byte `i % 4`.

use alloc::vec::Vec;

/// How much is copied before it is unmasked: little enough to be still in the nearest cache, so that memory is passed
/// over once. A multiple of the mask's length.
const BLOCK: usize = 4096;

/// Appends `bytes` with `mask` applied, whose first byte is for the first of them.
pub(super) fn extend_masked(out: &mut Vec<u8>, bytes: &[u8], mask: [u8; 4]) {
    if mask == [0; 4] {
        out.extend_from_slice(bytes);
        return;
    }
    for block in bytes.chunks(BLOCK) {
        let start = out.len();
        out.extend_from_slice(block);
        apply(&mut out[start..], mask);
    }
}

/// Masks or unmasks in place.
pub(super) fn apply(bytes: &mut [u8], mask: [u8; 4]) {
    let [a, b, c, d] = mask;
    let word = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, tail) = bytes.as_chunks_mut::<8>();
    for bytes in words {
        *bytes = (u64::from_ne_bytes(*bytes) ^ word).to_ne_bytes();
    }
    for (byte, mask) in tail.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
}
