use super::{
    read::{Reader, value_error},
    write::Sink,
};
use crate::DecodeError;

/// Why a subscription, a publication or a request was refused, and when to ask again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Refusal {
    /// Why.
    pub reason: RefusalReason,
    /// How long to wait before asking again; `None` if it would be refused again.
    pub retry_after_ms: Option<u32>,
}

macro_rules! refusal_reasons {
    ($($(#[$doc:meta])* $name:ident = $number:literal,)*) => {
        /// Why something was refused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum RefusalReason {
            $($(#[$doc])* $name,)*
            /// The producer's life is over: a newer one, of this epoch, has published.
            Fenced {
                /// The newer epoch.
                epoch: u32,
            },
            /// A number of the producer is missing before this one.
            Gap {
                /// The number to send next.
                expected: u64,
            },
            /// A reason that this version does not know.
            Unknown {
                /// Its number.
                number: u64,
                /// What goes with it.
                detail: u64,
            },
        }

        impl RefusalReason {
            /// The number on the wire, and what goes with it.
            const fn to_wire(self) -> (u64, u64) {
                match self {
                    $(Self::$name => ($number, 0),)*
                    Self::Fenced { epoch } => (FENCED, epoch as u64),
                    Self::Gap { expected } => (GAP, expected),
                    Self::Unknown { number, detail } => (number, detail),
                }
            }

            /// `None` if the reason has nothing of the kind to go with it.
            pub(super) fn from_wire(number: u64, detail: u64) -> Option<Self> {
                match (number, detail) {
                    $(($number, 0) => Some(Self::$name),)*
                    (FENCED, epoch) => Some(Self::Fenced { epoch: u32::try_from(epoch).ok()? }),
                    (GAP, expected) => Some(Self::Gap { expected }),
                    (..FIRST_UNASSIGNED, _) => None,
                    (number, detail) => Some(Self::Unknown { number, detail }),
                }
            }
        }
    };
}

refusal_reasons! {
    /// The identity may not do this.
    Forbidden = 0,
    /// The channel's name is not one, or names nothing.
    BadChannel = 1,
    /// More than the rate allows.
    RateLimited = 2,
    /// No room at the moment.
    Overloaded = 3,
    /// The log does not take entries, or does not answer reads; nothing was committed.
    Unavailable = 4,
    /// The message is larger than this server takes.
    TooLarge = 5,
    /// More subscriptions or requests at a time than the server takes.
    TooMany = 6,
    /// The time to live was over before the commit.
    Expired = 7,
    /// The producer's number was used before, for another message.
    Conflict = 8,
    /// Whether this was committed before is not known any more: the window for that has passed.
    Indeterminate = 9,
    /// The place claims entries that were never committed.
    Ahead = 10,
    /// The server does not do this.
    Unsupported = 11,
    /// The server failed; whether it was committed is not known.
    Internal = 12,
}

const FENCED: u64 = 13;
const GAP: u64 = 14;
const FIRST_UNASSIGNED: u64 = 15;

impl Refusal {
    pub(super) fn write(&self, out: &mut impl Sink) {
        let (number, detail) = self.reason.to_wire();
        out.put_varint(number);
        out.put_varint(detail);
        out.put_optional_ms(self.retry_after_ms);
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let at = reader.at();
        let (number, detail) = (reader.varint()?, reader.varint()?);
        let reason = RefusalReason::from_wire(number, detail).ok_or(value_error(at))?;
        Ok(Self { reason, retry_after_ms: reader.optional_ms()? })
    }
}
