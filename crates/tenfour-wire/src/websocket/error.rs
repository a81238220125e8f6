use thiserror::Error;

/// A peer broke the protocol: fail the connection with a close frame of [`Error::close_code`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{kind} (in the frame at byte {offset} of the connection); close it with code {}", kind.close_code())]
pub struct Error {
    kind: ErrorKind,
    offset: u64,
}

impl Error {
    pub(super) const fn new(kind: ErrorKind, offset: u64) -> Self {
        Self { kind, offset }
    }

    /// What is wrong.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Where the frame at fault begins, in bytes since the first frame's first byte.
    #[must_use]
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    /// The status code to close the connection with: see [`ErrorKind::close_code`].
    #[must_use]
    pub const fn close_code(&self) -> u16 {
        self.kind.close_code()
    }
}

/// What a peer's frame has wrong, with the section of RFC 6455 that says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The message, with its fragments so far, is larger than the decoder's limit (§10.4).
    #[error("the message is too large")]
    Oversized,
    /// A client's frame without a mask, or a server's with one (§5.1).
    #[error("a client must mask its frames, and a server must not")]
    Masking,
    /// A reserved bit is set though no extension was negotiated (§5.2).
    #[error("a reserved bit is set and no extension was negotiated")]
    ReservedBits,
    /// An opcode without a meaning: 3 to 7 and 11 to 15 (§5.2).
    #[error("the opcode is a reserved one")]
    Opcode,
    /// A length in more bytes than it needs, or of 2⁶³ and above (§5.2).
    #[error("the payload length is not in its shortest form, or has its highest bit set")]
    LengthEncoding,
    /// A control frame of more than 125 bytes (§5.5).
    #[error("a control frame is longer than 125 bytes")]
    ControlTooLong,
    /// A control frame that is not the last of its message (§5.5).
    #[error("a control frame is fragmented")]
    FragmentedControl,
    /// A continuation where no message has begun (§5.4).
    #[error("a continuation frame continues nothing")]
    UnexpectedContinuation,
    /// A new message before the last one's end (§5.4).
    #[error("a message begins before the last one ended")]
    ExpectedContinuation,
    /// A message in more frames than the decoder's limit (§10.4 leaves it to us).
    #[error("the message has too many fragments")]
    TooManyFragments,
    /// A text message or a close reason that is not UTF-8 (§8.1).
    #[error("the text is not valid UTF-8")]
    Utf8,
    /// A close frame of one byte, or of a code that must not be on the wire (§5.5.1, §7.4).
    #[error("the close frame has half a status code, or one that must not be sent")]
    CloseCode,
}

impl ErrorKind {
    /// 1009 for a message beyond a limit, 1007 for text that is not UTF-8, and 1002 for all else (§7.4.1).
    #[must_use]
    pub const fn close_code(self) -> u16 {
        match self {
            Self::Oversized | Self::TooManyFragments => 1009,
            Self::Utf8 => 1007,
            _ => 1002,
        }
    }
}
