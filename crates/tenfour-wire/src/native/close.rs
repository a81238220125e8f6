use core::fmt;

use crate::DecodeErrorKind;

macro_rules! close_codes {
    ($($(#[$doc:meta])* $name:ident = $number:literal,)*) => {
        /// Why a connection ends, and whether to come back.
        ///
        /// A code below 64 says "try again", one from 64 on "gone for good": the same session on a new connection would
        /// end the same way. So it is known of a code that is not.
        ///
        /// ```
        /// use tenfour_wire::native::CloseCode;
        ///
        /// assert!(!CloseCode::Overloaded.is_final());
        /// assert!(CloseCode::Conflict.is_final());
        /// assert!(CloseCode::from_number(99).is_final());
        /// ```
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum CloseCode {
            $($(#[$doc])* $name,)*
            /// A code that this version does not know.
            Unknown(u32),
        }

        impl CloseCode {
            /// All codes that have a name.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The number on the wire.
            #[must_use]
            pub const fn number(self) -> u32 {
                match self {
                    $(Self::$name => $number,)*
                    Self::Unknown(number) => number,
                }
            }

            /// The code of a number on the wire.
            #[must_use]
            pub const fn from_number(number: u32) -> Self {
                match number {
                    $($number => Self::$name,)*
                    number => Self::Unknown(number),
                }
            }
        }
    };
}

close_codes! {
    /// The server is about to go: come back, to it or to another one, and resume.
    GoingAway = 1,
    /// The server has no room: come back later.
    Overloaded = 2,
    /// The server failed, by no fault of the peer's.
    Internal = 3,
    /// Nothing was heard for too long.
    IdleTimeout = 4,
    /// The first frame did not come in time.
    HelloTimeout = 5,
    /// An entry did not follow the one before it in its channel: come back without the session, and subscribe from the
    /// cursors.
    BrokenChain = 6,
    /// The application is done: the session has ended on purpose.
    Normal = 64,
    /// A newer connection has taken the session over.
    Conflict = 65,
    /// The credentials or the session's token are not valid.
    Unauthorized = 66,
    /// The credentials are valid, and do not allow this.
    Forbidden = 67,
    /// A token or a generation that a newer one has replaced.
    Fenced = 68,
    /// No version that both sides speak.
    UnsupportedVersion = 69,
    /// A namespace that the server does not have.
    UnknownNamespace = 70,
    /// A frame that may not come here, or of a kind that must be understood and is not.
    ProtocolError = 71,
    /// A frame that is not laid out as its kind says.
    Malformed = 72,
    /// A frame larger than the receiver said that it takes.
    FrameTooLarge = 73,
    /// More of something in a frame than the receiver takes.
    LimitExceeded = 74,
    /// An acknowledgement of what was never sent.
    FutureAck = 75,
    /// A number that does not follow, on a connection that keeps order.
    SequenceGap = 76,
    /// More was sent than credit allowed.
    FlowControl = 77,
}

impl CloseCode {
    /// Whether the same session on a new connection would end the same way.
    #[must_use]
    pub const fn is_final(self) -> bool {
        self.number() >= 64
    }
}

impl From<DecodeErrorKind> for CloseCode {
    /// The code to close with after a frame was refused.
    fn from(kind: DecodeErrorKind) -> Self {
        match kind {
            DecodeErrorKind::TooLarge => Self::FrameTooLarge,
            DecodeErrorKind::TooLong
            | DecodeErrorKind::TooMany
            | DecodeErrorKind::TooManyAttachments
            | DecodeErrorKind::Depth => Self::LimitExceeded,
            DecodeErrorKind::PacketType | DecodeErrorKind::Magic => Self::ProtocolError,
            _ => Self::Malformed,
        }
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?} ({}, {})", self.number(), if self.is_final() { "final" } else { "try again" })
    }
}
