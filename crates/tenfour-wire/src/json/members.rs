//! An object, member by member, each as it was written.

use super::scan::{MAX_DEPTH, Scanner, skip_whitespace};

/// A member of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member<'a> {
    /// The JSON text of its name, quotes and escapes and all.
    pub name: &'a str,
    /// The JSON text of its value.
    pub value: &'a str,
}

/// The members of the object that `text` is, in their order; `None` for any other value. A name may come twice.
///
/// `text` was [validated](super::validate): of any other, members are missing.
///
/// ```
/// use tenfour_wire::json;
///
/// let auth = r#"{ "token": [1, 2], "pid": "x" }"#;
/// let members: Vec<_> = json::members(auth).into_iter().flatten().collect();
/// assert_eq!((members[0].name, members[0].value), (r#""token""#, "[1, 2]"));
/// assert_eq!((members[1].name, members[1].value), (r#""pid""#, r#""x""#));
/// assert!(json::members("[1]").is_none());
/// ```
#[must_use]
pub fn members(text: &str) -> Option<impl Iterator<Item = Member<'_>>> {
    let bytes = text.as_bytes();
    let open = skip_whitespace(bytes, 0);
    (bytes.get(open) == Some(&b'{')).then(|| {
        let mut at = open;
        core::iter::from_fn(move || {
            let name = value_at(text, at + 1)?;
            let value = value_at(text, name.next + 1)?;
            at = value.next;
            Some(Member { name: text.get(name.start..name.end)?, value: text.get(value.start..value.end)? })
        })
    })
}

fn value_at(text: &str, at: usize) -> Option<super::scan::Values> {
    Scanner::new(text, MAX_DEPTH, 0).first_value(at).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn listed(text: &str) -> Vec<(&str, &str)> {
        members(text).into_iter().flatten().map(|member| (member.name, member.value)).collect()
    }

    #[test]
    fn members_as_they_were_written() {
        assert_eq!(listed("{}"), []);
        assert_eq!(listed(" { } "), []);
        assert_eq!(listed(r#"{"a":1}"#), [(r#""a""#, "1")]);
        assert_eq!(
            listed("\n{ \"a\" : {\"b\":[1, 2]} ,\t\"\\u0061\":\"}\" }\n"),
            [(r#""a""#, r#"{"b":[1, 2]}"#), (r#""\u0061""#, r#""}""#)]
        );
        for other in ["[]", "1", "\"{}\"", "null", ""] {
            assert!(members(other).is_none(), "{other}");
        }
    }

    #[test]
    fn what_is_no_object_ends() {
        for broken in ["{", "{\"a\"", "{\"a\":", "{\"a\":1", "{\"a\":1,", "{,", "{\"a\":1]\"b\":2}"] {
            assert!(listed(broken).len() <= 2, "{broken}");
        }
    }
}
