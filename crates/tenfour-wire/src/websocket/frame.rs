use super::{ErrorKind, Role};

/// What a frame carries (RFC 6455 §5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Opcode {
    /// A further fragment of the message in progress.
    Continuation = 0,
    /// Text, or its first fragment.
    Text = 1,
    /// Bytes, or their first fragment.
    Binary = 2,
    /// The last frame of its direction.
    Close = 8,
    /// Asks for a pong.
    Ping = 9,
    /// Answers a ping.
    Pong = 10,
}

impl Opcode {
    /// Close, ping and pong: at most 125 bytes, and never fragmented (RFC 6455 §5.5).
    #[must_use]
    pub const fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }

    const fn parse(bits: u8) -> Result<Self, ErrorKind> {
        Ok(match bits {
            0 => Self::Continuation,
            1 => Self::Text,
            2 => Self::Binary,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            _ => return Err(ErrorKind::Opcode),
        })
    }
}

/// The payload of a control frame, at most (RFC 6455 §5.5).
pub(super) const MAX_CONTROL_BYTES: usize = 125;
/// The longest header: two bytes, a 64-bit length, a mask.
pub(super) const MAX_HEADER_BYTES: usize = 14;

pub(super) const FIN: u8 = 0x80;
const RESERVED: u8 = 0x70;
const OPCODE: u8 = 0x0f;
pub(super) const MASKED: u8 = 0x80;
const LENGTH: u8 = 0x7f;
/// In place of a length: the length is in the next 16 bits.
pub(super) const LENGTH_16: u8 = 126;
/// In place of a length: the length is in the next 64 bits.
pub(super) const LENGTH_64: u8 = 127;

/// A header that was read: valid in itself, though perhaps not at its place.
#[derive(Clone, Copy, Debug)]
pub(super) struct FrameHeader {
    pub(super) is_last: bool,
    pub(super) opcode: Opcode,
    pub(super) payload_len: u64,
    /// Zero where there is none, since that changes nothing.
    pub(super) mask: [u8; 4],
    /// How many bytes the header itself has.
    pub(super) len: usize,
}

impl FrameHeader {
    /// Reads a header off the front of `bytes`; `None` while it is incomplete.
    ///
    /// What is wrong is told as soon as its byte is here, and the first wrong byte decides: so it does not matter how
    /// the bytes arrive.
    pub(super) fn parse(bytes: &[u8], role: Role) -> Result<Option<Self>, ErrorKind> {
        let Some(&first) = bytes.first() else { return Ok(None) };
        if first & RESERVED != 0 {
            return Err(ErrorKind::ReservedBits);
        }
        let opcode = Opcode::parse(first & OPCODE)?;
        let is_last = first & FIN != 0;
        if opcode.is_control() && !is_last {
            return Err(ErrorKind::FragmentedControl);
        }

        let Some(&second) = bytes.get(1) else { return Ok(None) };
        let masked = second & MASKED != 0;
        if masked != matches!(role, Role::Server) {
            return Err(ErrorKind::Masking);
        }
        let short_len = second & LENGTH;
        if opcode.is_control() && usize::from(short_len) > MAX_CONTROL_BYTES {
            return Err(ErrorKind::ControlTooLong);
        }

        let Some((payload_len, rest)) = parse_length(short_len, &bytes[2..])? else { return Ok(None) };
        let (mask, rest) = match rest.split_first_chunk() {
            Some((mask, rest)) if masked => (*mask, rest),
            None if masked => return Ok(None),
            _ => ([0; 4], rest),
        };
        Ok(Some(Self { is_last, opcode, payload_len, mask, len: bytes.len() - rest.len() }))
    }
}

/// The payload's length and the bytes after it; `None` while it is incomplete.
fn parse_length(short_len: u8, bytes: &[u8]) -> Result<Option<(u64, &[u8])>, ErrorKind> {
    let (len, shortest, rest) = match short_len {
        LENGTH_16 => {
            let Some((len, rest)) = bytes.split_first_chunk() else { return Ok(None) };
            (u64::from(u16::from_be_bytes(*len)), u64::from(LENGTH_16), rest)
        }
        LENGTH_64 => {
            let Some((len, rest)) = bytes.split_first_chunk() else { return Ok(None) };
            (u64::from_be_bytes(*len), 1 << 16, rest)
        }
        _ => (u64::from(short_len), 0, bytes),
    };
    if len < shortest || len >= 1 << 63 {
        return Err(ErrorKind::LengthEncoding);
    }
    Ok(Some((len, rest)))
}
