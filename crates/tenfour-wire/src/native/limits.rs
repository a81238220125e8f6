/// How much of anything a peer may send; whatever exceeds a limit is a [`DecodeError`](crate::DecodeError).
///
/// Each is checked before anything of that size is allocated.
///
/// | field | default | bounds |
/// |---|---|---|
/// | `frame_bytes` | 1 MiB | one frame without its length; told to the peer in HELLO and WELCOME |
/// | `channel_bytes` | 255 | the name of a channel or of a namespace |
/// | `name_bytes` | 255 | the name of a message |
/// | `credential_bytes` | 8 KiB | the credentials in HELLO |
/// | `text_bytes` | 1 KiB | the reason in CLOSE and REJECT, the error in REPLY |
/// | `fields` | 16 | fields of later versions in HELLO and WELCOME |
/// | `ack_ranges` | 32 | ranges of one ACK |
/// | `processed` | 64 | processed positions of one ACK |
/// | `heads` | 64 | channel heads of one PING |
/// | `attachments` | 10 | attachments of one JSON body |
/// | `json_depth` | 128 | arrays and objects inside each other, the array of the arguments included |
///
/// Before anyone is let in, [`hello_bytes`](Self::hello_bytes) takes the place of `frame_bytes`.
///
/// ```
/// use tenfour_wire::native::Limits;
///
/// let limits = Limits { frame_bytes: 64 * 1024, ..Limits::default() };
/// assert_eq!(limits.ack_ranges, 32);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Limits {
    /// Bytes of one frame, its length not counted. Default: 1 MiB.
    pub frame_bytes: usize,
    /// Bytes of the name of a channel or of a namespace. Default: 255.
    pub channel_bytes: usize,
    /// Bytes of the name of a message. Default: 255.
    pub name_bytes: usize,
    /// Bytes of the credentials in HELLO. Default: 8 KiB.
    pub credential_bytes: usize,
    /// Bytes of a reason in CLOSE or REJECT, or of an error in REPLY. Default: 1 KiB.
    pub text_bytes: usize,
    /// Fields of later versions in HELLO or WELCOME. Default: 16.
    pub fields: usize,
    /// Ranges of one ACK. Default: 32.
    pub ack_ranges: usize,
    /// Processed positions of one ACK. Default: 64.
    pub processed: usize,
    /// Channel heads of one PING. Default: 64.
    pub heads: usize,
    /// Attachments of one JSON body. Default: 10, as in Socket.IO.
    pub attachments: usize,
    /// Arrays and objects inside each other, the array of the arguments included. Default: 128; a value above
    /// [`json::MAX_DEPTH`](crate::json::MAX_DEPTH) counts as that.
    pub json_depth: usize,
}

impl Limits {
    /// Bytes of HELLO, its length not counted: 16 KiB more than the credentials may have, so 24 KiB by default, and no more
    /// than any frame. What is read before a client has shown who it is should cost little.
    #[must_use]
    pub const fn hello_bytes(&self) -> usize {
        let hello = self.credential_bytes.saturating_add(16 << 10);
        if hello < self.frame_bytes { hello } else { self.frame_bytes }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            frame_bytes: 1 << 20,
            channel_bytes: 255,
            name_bytes: 255,
            credential_bytes: 8 << 10,
            text_bytes: 1 << 10,
            fields: 16,
            ack_ranges: 32,
            processed: 64,
            heads: 64,
            attachments: 10,
            json_depth: 128,
        }
    }
}
