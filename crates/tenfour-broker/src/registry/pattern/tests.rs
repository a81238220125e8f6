extern crate std;

use alloc::{format, string::ToString};

use proptest::prelude::*;

use super::*;

#[test]
fn what_is_no_pattern_is_told_with_its_place() {
    use PatternErrorKind::*;
    let cases = [
        ("", NoSlash, 0),
        ("x", NoSlash, 0),
        ("/a{b", Unclosed, 2),
        ("/a{b/c}", Unclosed, 2),
        ("/é{a{b}", Unclosed, 3),
        ("/a}", Unopened, 2),
        ("/{a}b}", Unopened, 5),
        ("/x/{}", Unnamed, 3),
        ("/{a}{b}", Adjacent, 4),
        ("/{a}-{a}", Repeated, 5),
        ("/{a}/{a}", Repeated, 5),
    ];
    for (text, kind, offset) in cases {
        assert_eq!(Pattern::parse(text), Err(PatternError { kind, offset }), "{text}");
    }
    let error = Pattern::parse("/a{b").expect_err("it is not closed");
    assert_eq!(error.to_string(), "a '{' is not closed at byte 2 of the pattern");
}

#[test]
fn a_hole_is_as_short_as_it_can_be_and_never_empty() {
    let captures = |pattern: &str, name: &str| {
        let pattern = Pattern::parse(pattern).expect("a pattern");
        let captures = pattern.captures(name)?;
        Some(captures.into_iter().map(|(_, value)| value.to_string()).collect::<Vec<_>>())
    };
    let values = |values: &[&str]| Some(values.iter().map(ToString::to_string).collect::<Vec<_>>());
    assert_eq!(captures("/{a}-{b}", "/1-2-3"), values(&["1", "2-3"]));
    assert_eq!(captures("/{a}-{b}", "/--2"), values(&["-", "2"]));
    assert_eq!(captures("/{a}-{b}-x", "/1-2-x-x"), values(&["1", "2-x"]));
    assert_eq!(captures("/{a}é/{b}", "/éé/ü"), values(&["é", "ü"]));
    assert_eq!(captures("/", "/"), values(&[]));
    for (pattern, name) in [
        ("/{a}", "/"),
        ("/{a}", "x"),
        ("/{a}", ""),
        ("/{a}", "/x/"),
        ("/{a}/", "/x"),
        ("/{a}/{b}", "/x/"),
        ("/a{b}a", "/aa"),
        ("/x{a}", "/y1"),
        ("/{a}-x", "/-x"),
    ] {
        assert_eq!(captures(pattern, name), None, "{pattern} {name}");
    }
}

/// Tries every way to match.
fn matches(pattern: &[char], name: &[char]) -> bool {
    match (pattern, name) {
        ([], []) => true,
        (['*', rest @ ..], [first, others @ ..]) => {
            *first != '/' && (matches(rest, others) || matches(pattern, others))
        }
        ([wanted, rest @ ..], [first, others @ ..]) => wanted == first && matches(rest, others),
        _ => false,
    }
}

proptest! {
    #[test]
    fn matches_what_trying_every_way_matches(
        parts in prop::collection::vec("[aé/-]{1,2}", 0..4),
        ends: [bool; 2],
        name in "/[aé/-]{0,10}",
    ) {
        let simple = format!("/{}{}{}", if ends[0] { "*" } else { "" }, parts.join("*"), if ends[1] { "*" } else { "" });
        prop_assume!(!simple.contains("**"));
        let mut text = String::new();
        for (hole, literal) in simple.split('*').enumerate() {
            let separator = if hole == 0 { String::new() } else { format!("{{{hole}}}") };
            text = text + &separator + literal;
        }
        let pattern = Pattern::parse(&text).expect("a pattern");
        let chars = |text: &str| text.chars().collect::<Vec<_>>();
        prop_assert_eq!(pattern.matches(&name), matches(&chars(&simple), &chars(&name)), "{} {}", text, name);

        if let Some(captures) = pattern.captures(&name) {
            let fill = |text: String, (hole, value): &(&str, &str)| text.replace(&format!("{{{hole}}}"), value);
            prop_assert_eq!(captures.iter().fold(text, fill), &*name, "the captures give the name back");
            prop_assert!(captures.iter().all(|(_, value)| !value.is_empty() && !value.contains('/')));
        }
    }

    #[test]
    fn any_text_is_a_pattern_or_an_error_within_it(text in "[/{}aé]{0,12}", name in any::<String>()) {
        match Pattern::parse(&text) {
            Ok(pattern) => {
                prop_assert_eq!(pattern.as_str(), &text);
                prop_assert_eq!(pattern.matches(&name), pattern.captures(&name).is_some());
            }
            Err(error) => prop_assert!(error.offset == 0 || text.is_char_boundary(error.offset)),
        }
    }
}

#[test]
fn a_name_that_almost_matches_takes_no_longer() {
    let holes: String = (0..20).map(|hole| format!("{{{hole}}}a")).collect();
    let pattern = Pattern::parse(&format!("/{holes}b")).expect("a pattern");
    assert!(!pattern.matches(&format!("/{}", "a".repeat(100_000))), "trying every way would not end");
    assert_eq!(pattern.captures(&format!("/{}b", "a".repeat(40))).map(|captures| captures.len()), Some(20));
}
