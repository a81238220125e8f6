//! How much of anything a peer may send.

/// How much of anything a peer may send; whatever exceeds a limit is a [`DecodeError`](crate::DecodeError).
///
/// | field | default | bounds |
/// |---|---|---|
/// | `payload_bytes` | 1,000,000 | one frame, or one HTTP long-polling payload |
/// | `attachments` | 10 | binary attachments of one packet |
/// | `json_depth` | 128 | arrays and objects inside each other, the packet's own array included |
/// | `packets_per_payload` | 131,072 | packets of one HTTP long-polling payload |
///
/// A packet with attachments is a text frame and at most `attachments` binary frames, so that one connection
/// holds at most `payload_bytes * (attachments + 1)` bytes of a packet that is incomplete.
///
/// ```
/// use tenfour_wire::Limits;
///
/// let limits = Limits { payload_bytes: 64 * 1024, ..Limits::default() };
/// assert_eq!(limits.attachments, 10);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one frame, or of one HTTP long-polling payload. Default: 1,000,000, as in Engine.IO.
    pub payload_bytes: usize,
    /// Binary attachments of one packet. Default: 10, as in Socket.IO.
    pub attachments: usize,
    /// Arrays and objects inside each other, the packet's own array included. Default: 128; a value above
    /// [`json::MAX_DEPTH`](crate::json::MAX_DEPTH) counts as that.
    pub json_depth: usize,
    /// Packets of one HTTP long-polling payload. Default: 131,072, which a full payload of the shortest events that have a
    /// name, `42["a"]`, does not reach.
    pub packets_per_payload: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { payload_bytes: 1_000_000, attachments: 10, json_depth: 128, packets_per_payload: 131_072 }
    }
}
