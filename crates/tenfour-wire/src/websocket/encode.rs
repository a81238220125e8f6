use core::ops::Deref;

use bytes::{BufMut, BytesMut};

use super::{
    CloseFrame, Opcode,
    frame::{FIN, LENGTH_16, LENGTH_64, MASKED, MAX_CONTROL_BYTES},
    is_close_code, mask,
};

/// The longest header without a mask: two bytes and a 64-bit length.
const MAX_UNMASKED: usize = 10;

/// A frame's header as bytes, at most ten of them, by value: it costs no allocation.
#[derive(Clone, Copy, Debug)]
pub struct Header {
    bytes: [u8; MAX_UNMASKED],
    len: u8,
}

impl Deref for Header {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl AsRef<[u8]> for Header {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

/// The header of a server's frame that is a whole message: no mask, no fragments (RFC 6455 §5.2).
///
/// The payload follows as it is, so that one buffer of it serves all receivers. A control frame's payload is at most
/// 125 bytes, which is the caller's to keep.
///
/// ```
/// use tenfour_wire::websocket::{Opcode, header};
///
/// assert_eq!(*header(Opcode::Binary, 256), [0x82, 126, 1, 0]);
/// ```
#[must_use]
pub fn header(opcode: Opcode, payload_len: usize) -> Header {
    debug_assert!(!opcode.is_control() || payload_len <= MAX_CONTROL_BYTES, "a control frame is short");
    let mut bytes = [0; MAX_UNMASKED];
    bytes[0] = FIN | opcode as u8;
    let len = match payload_len {
        0..=125 => {
            bytes[1] = payload_len as u8;
            2
        }
        126..=0xffff => {
            bytes[1] = LENGTH_16;
            bytes[2..4].copy_from_slice(&(payload_len as u16).to_be_bytes());
            4
        }
        _ => {
            bytes[1] = LENGTH_64;
            bytes[2..].copy_from_slice(&(payload_len as u64).to_be_bytes());
            10
        }
    };
    Header { bytes, len }
}

/// Appends a client's frame that is a whole message: header, `mask` and the masked payload.
///
/// The mask is to be unpredictable, fresh for each frame, from a source of randomness that the caller trusts
/// (RFC 6455 §10.3). A control frame's payload is at most 125 bytes, which is the caller's to keep.
pub fn encode_masked(opcode: Opcode, payload: &[u8], mask: [u8; 4], out: &mut BytesMut) {
    let header = header(opcode, payload.len());
    out.reserve(header.len() + mask.len() + payload.len());
    let start = out.len();
    out.put_slice(&header);
    out[start + 1] |= MASKED;
    out.put_slice(&mask);
    let start = out.len();
    out.put_slice(payload);
    mask::apply(&mut out[start..], mask);
}

/// Appends a close frame, masked where there is a `mask`: a client's.
///
/// A reason of more than 123 bytes is cut at a character's end. A code that must not be on the wire (1005, 1006, 1015
/// and all that are reserved) is left out with its reason, as if there were no `close`.
///
/// ```
/// use tenfour_wire::websocket::{CloseFrame, encode_close};
///
/// let mut wire = bytes::BytesMut::new();
/// encode_close(Some(&CloseFrame { code: 1009, reason: "too big".into() }), None, &mut wire);
/// assert_eq!(wire, &b"\x88\x09\x03\xf1too big"[..]);
/// ```
pub fn encode_close(close: Option<&CloseFrame>, mask: Option<[u8; 4]>, out: &mut BytesMut) {
    let mut payload = [0; MAX_CONTROL_BYTES];
    let len = match close {
        Some(CloseFrame { code, reason }) if is_close_code(*code) => {
            let reason = &reason[..reason.floor_char_boundary(MAX_CONTROL_BYTES - 2)];
            payload[..2].copy_from_slice(&code.to_be_bytes());
            payload[2..2 + reason.len()].copy_from_slice(reason.as_bytes());
            2 + reason.len()
        }
        _ => 0,
    };
    let payload = &payload[..len];
    match mask {
        Some(mask) => encode_masked(Opcode::Close, payload, mask, out),
        None => {
            out.put_slice(&header(Opcode::Close, len));
            out.put_slice(payload);
        }
    }
}
