//! What a client shows to go on with the session that it had.

use crate::cursor;
use alloc::string::String;
use bytestring::ByteString;
use core::fmt;
use tenfour_delivery::{
    number::{Epoch, Offset},
    resume::Position,
};
use tenfour_wire::json;

/// What a stock Socket.IO client adds to the `auth` object of its CONNECT when it had a session before.
///
/// ```
/// use tenfour_node::Claim;
///
/// let auth = r#"{"pid":"secret","offset":"AAAAAAE","token":"t"}"#.into();
/// let (claim, auth) = Claim::take(Some(auth));
/// let claim = claim.expect("it shows a pid");
/// assert_eq!((&*claim.pid, claim.offset.as_deref()), ("secret", Some("AAAAAAE")));
/// assert_eq!(auth.as_deref(), Some(r#"{"token":"t"}"#), "what is the application's");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Claim {
    /// The secret that it was told with its admission.
    pub pid: ByteString,
    /// The last string that it got at an event's end; `None` if there was none, so that all of its session is owed.
    pub offset: Option<ByteString>,
}

/// The pid is a secret.
impl fmt::Debug for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claim").field("pid", &"…").field("offset", &self.offset).finish()
    }
}

impl Claim {
    /// Parts a client's `auth` into its claim and what it says to the application. `pid` and `offset` that are not strings are
    /// passed over, and an `offset` without a `pid` claims nothing; neither is left for the application.
    #[must_use]
    pub fn take(auth: Option<ByteString>) -> (Option<Self>, Option<ByteString>) {
        let Some(members) = auth.as_deref().and_then(json::members) else { return (None, auth) };
        let (mut pid, mut offset) = (None, None);
        let mut rest = String::new();
        let mut taken = false;
        for json::Member { name, value } in members {
            let claimed = match text(name).as_deref() {
                Some("pid") => &mut pid,
                Some("offset") => &mut offset,
                _ => {
                    rest.extend([if rest.is_empty() { "{" } else { "," }, name, ":", value]);
                    continue;
                }
            };
            taken = true;
            *claimed = text(value);
        }
        if !taken {
            return (None, auth);
        }
        let rest = (!rest.is_empty()).then(|| {
            rest.push('}');
            rest.into()
        });
        (pid.map(|pid| Self { pid, offset }), rest)
    }

    /// Up to where the client has got everything, in the log of this epoch; `None` for the beginning of its session. A text that
    /// this server cannot have written is taken for a position in another log: nobody knows what the client has.
    #[must_use]
    pub fn position(&self, log: Epoch) -> Option<Position> {
        let offset = self.offset.as_deref()?;
        let elsewhere = || Position { epoch: cursor::other_than(log), offset: Offset::START };
        Some(cursor::decode(offset, log).unwrap_or_else(elsewhere))
    }
}

/// The text that a JSON string writes.
fn text(json: &str) -> Option<ByteString> {
    json::from_str::<String>(json, &[]).ok().map(ByteString::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    fn taken(auth: &str) -> (Option<Claim>, Option<ByteString>) {
        Claim::take(Some(auth.into()))
    }

    fn claim(pid: &str, offset: Option<&str>) -> Option<Claim> {
        Some(Claim { pid: pid.into(), offset: offset.map(Into::into) })
    }

    #[test]
    fn a_claim_is_parted_from_what_is_the_applications() {
        let rows = [
            (r#"{"pid":"p","offset":"o"}"#, claim("p", Some("o")), None),
            (r#"{"pid":"p"}"#, claim("p", None), None),
            (r#"{"pid":"p","offset":null,"a":[1, 2]}"#, claim("p", None), Some(r#"{"a":[1, 2]}"#)),
            (
                r#"{"a":1,"pid":"p","b":"x","offset":"o","c":{}}"#,
                claim("p", Some("o")),
                Some(r#"{"a":1,"b":"x","c":{}}"#),
            ),
            (r#"{"offset":"o"}"#, None, None),
            (r#"{"pid":7,"offset":"o","a":1}"#, None, Some(r#"{"a":1}"#)),
            (r#"{"pid":"first","pid":"last"}"#, claim("last", None), None),
            (r#"{"\u0070id":"\u0070"}"#, claim("p", None), None),
            (r#"{"user":{"pid":"p"}}"#, None, Some(r#"{"user":{"pid":"p"}}"#)),
            ("{}", None, Some("{}")),
            (" { } ", None, Some(" { } ")),
            (r#""pid""#, None, Some(r#""pid""#)),
        ];
        for (auth, claim, rest) in rows {
            assert_eq!(taken(auth), (claim, rest.map(Into::into)), "{auth}");
        }
        assert_eq!(Claim::take(None), (None, None));
    }

    #[test]
    fn a_position_is_of_the_log_or_of_another_one() {
        let log = Epoch::new(7);
        let at = |offset: &str| claim("p", Some(offset)).expect("a claim").position(log).expect("a position");
        assert_eq!(claim("p", None).expect("a claim").position(log), None);
        let own = cursor::encode(log, Offset::new(12));
        assert_eq!(at(&own), Position { epoch: log, offset: Offset::new(12) });
        for foreign in [&*cursor::encode(Epoch::new(8), Offset::new(12)), "hello", ""] {
            assert_ne!(at(foreign).epoch, log, "{foreign}");
        }
    }

    #[test]
    fn a_pid_is_not_printed() {
        assert!(!format!("{:?}", claim("secret", None)).contains("secret"));
    }
}
