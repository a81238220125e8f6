//! What messages say: their number, so that whoever gets one can tell which it is and whether it is whole.

use bytestring::ByteString;
use tenfour_wire::native::{Body, Message};

use super::MessageId;

/// What a message is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Letter {
    /// Published, and in the log.
    Publication(MessageId),
    /// Sent at most once.
    Emit(MessageId),
    /// A question or an answer, of this number.
    Request(u32),
}

const PUBLICATION: &str = "publication";
const EMIT: &str = "emit";
const REQUEST: &str = "request";

/// One message of these is larger than what a session copies into its buffer.
const LARGE_EVERY: u32 = 41;
const LARGE: usize = 1_040;
/// More than any padding.
static PADDING: [u8; LARGE] = [b'.'; LARGE];

impl Letter {
    /// The message, whose length follows from its number.
    pub(crate) fn write(self) -> Message {
        let name = ByteString::from_static(self.name());
        Message { name: Some(name), body: Body::Json { args: self.args(), attachments: Vec::new() } }
    }

    /// The arguments alone, as a Socket.IO event has them behind its name.
    pub(crate) fn args(self) -> ByteString {
        let number = self.number();
        let padding = padding(number);
        let mut args = String::with_capacity(padding + 14);
        let mut digits = [0; 10];
        args.push_str(decimal(number, &mut digits));
        args.push_str(",\"");
        args.push_str(core::str::from_utf8(&PADDING[..padding]).unwrap_or_default());
        args.push('"');
        args.into()
    }

    /// What a message is, if it is one of these and whole.
    pub(crate) fn read(message: &Message) -> Option<Self> {
        match &message.body {
            Body::Json { args, attachments } if attachments.is_empty() => {
                Self::read_parts(message.name.as_deref()?, args)
            }
            _ => None,
        }
    }

    pub(crate) fn read_parts(name: &str, args: &str) -> Option<Self> {
        let (number, rest) = args.split_once(',')?;
        let number: u32 = number.parse().ok()?;
        let padding = rest.strip_prefix('"')?.strip_suffix('"')?;
        if padding.as_bytes() != &PADDING[..self::padding(number)] {
            return None;
        }
        match name {
            PUBLICATION => Some(Self::Publication(number)),
            EMIT => Some(Self::Emit(number)),
            REQUEST => Some(Self::Request(number)),
            _ => None,
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Publication(_) => PUBLICATION,
            Self::Emit(_) => EMIT,
            Self::Request(_) => REQUEST,
        }
    }

    const fn number(self) -> u32 {
        match self {
            Self::Publication(number) | Self::Emit(number) | Self::Request(number) => number,
        }
    }
}

const fn padding(number: u32) -> usize {
    if number % LARGE_EVERY == LARGE_EVERY - 1 { LARGE } else { (number % 61) as usize }
}

fn decimal(mut number: u32, digits: &mut [u8; 10]) -> &str {
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return core::str::from_utf8(&digits[at..]).unwrap_or_default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for number in [0, 1, 9, 10, 40, 81, 4_294_967_295] {
            for letter in [Letter::Publication(number), Letter::Emit(number), Letter::Request(number)] {
                assert_eq!(Letter::read(&letter.write()), Some(letter));
            }
        }
    }

    #[test]
    fn what_is_not_whole_is_none() {
        let args = Letter::Publication(40).args();
        assert!(Letter::read_parts(PUBLICATION, &args[..args.len() - 2]).is_none());
        assert!(Letter::read_parts(PUBLICATION, &args.replacen("40", "41", 1)).is_none());
        assert!(Letter::read_parts("chat", &args).is_none());
    }
}
