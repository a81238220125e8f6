//! Our passes over JSON beside `serde_json`.

use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::prelude::*;
use serde::{Deserialize, Serialize, de::IgnoredAny};
use serde_json::Value;
use tenfour_wire::{DecodeErrorKind, Limits, json, socketio::Args};

/// Text that is JSON with whitespace and escapes anywhere, or nearly so.
fn nearly_json() -> impl Strategy<Value = String> {
    let space = || "[ \n\r\t]{0,2}";
    let string = r#""([a-zé\u{1F600}]{0,9}|\\["\\/bfnrt]|\\u00[0-9a-fA-F]{2}|\\ud83d\\ude00|\\ud8[0-9a-f]{2}|\\u[0-9a-f]{4}){0,3}""#;
    let number = r"-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,4})?([eE][+-]?[0-9]{1,2})?";
    let leaf =
        prop_oneof![Just("null".to_owned()), Just("true".into()), Just("false".into()), number, string];
    let valid = leaf.prop_recursive(5, 32, 4, move |inner| {
        prop_oneof![
            (prop::collection::vec(inner.clone(), 0..4), space())
                .prop_map(|(values, space)| format!("[{space}{}]", values.join(&format!("{space},")))),
            (prop::collection::vec((string, inner.clone()), 0..4), space()).prop_map(|(entries, space)| {
                let entries: Vec<_> =
                    entries.iter().map(|(key, value)| format!("{key}{space}:{value}")).collect();
                format!("{{{}{space}}}", entries.join(&format!(",{space}")))
            }),
            (inner, space()).prop_map(|(value, space)| format!("{space}{value}{space}")),
        ]
    });
    (
        valid,
        prop::option::of((any::<prop::sample::Index>(), "[\\[\\]{}:,\"\\\\0-9eE+.tfnu\u{1}é -]?", 0..3usize)),
    )
        .prop_map(|(text, damage)| match damage {
            None => text,
            Some((index, replacement, remove)) => {
                let mut chars: Vec<char> = text.chars().collect();
                let at = index.index(chars.len() + 1);
                chars.splice(at..(at + remove).min(chars.len()), replacement.chars());
                chars.into_iter().collect()
            }
        })
}

/// Whether a text that is JSON spells half a surrogate pair: a backslash stands only in strings there.
fn has_lone_surrogate(text: &str) -> bool {
    let mut high = false;
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        if high && at > 0 {
            return true;
        }
        let unit = rest.get(at + 2..at + 6).filter(|_| rest[at..].starts_with("\\u"));
        let unit = unit.map_or(0, |digits| u16::from_str_radix(digits, 16).unwrap());
        let low = (0xdc00..0xe000).contains(&unit);
        if high != low {
            return true;
        }
        high = (0xd800..0xdc00).contains(&unit);
        rest = &rest[at + if rest[at..].starts_with("\\u") { 6 } else { 2 }..];
    }
    high
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn the_scan_accepts_what_serde_json_accepts_but_lone_surrogates(text in nearly_json()) {
        let theirs = serde_json::from_str::<IgnoredAny>(&text).is_ok();
        let ours = json::validate(&text, &Limits::default());
        let expected = theirs && !has_lone_surrogate(&text);
        prop_assert_eq!(ours.is_ok(), expected, "{:?}", ours);
        if let Err(error) = ours {
            prop_assert!(error.offset() <= text.len());
            let kind = if theirs { DecodeErrorKind::LoneSurrogate } else { error.kind() };
            prop_assert_eq!(error.kind(), kind);
        }
    }

    #[test]
    fn values_are_read_as_by_serde_json(text in nearly_json()) {
        match (json::from_str::<Value>(&text, &[]), serde_json::from_str::<Value>(&text)) {
            (Ok(ours), Ok(theirs)) => prop_assert!(same(&ours, &theirs), "{ours}, {theirs}"),
            (Err(error), Err(_)) => prop_assert!(error.malformed().is_some() && error.offset().is_some()),
            (Ok(_), Err(error)) => prop_assert!(error.to_string().contains("number out of range"), "{error}"),
            (ours, theirs) => prop_assert!(false, "{ours:?}, {theirs:?}"),
        }
    }

    #[test]
    fn what_is_read_is_what_the_scan_accepts(text in nearly_json()) {
        let scanned = json::validate(&text, &Limits::default());
        prop_assert_eq!(json::from_str::<IgnoredAny>(&text, &[]).is_ok(), scanned.is_ok());
        prop_assert_eq!(json::from_str::<Value>(&text, &[]).is_ok(), scanned.is_ok());
    }

    #[test]
    fn typed_values_survive_and_are_written_as_by_serde_json(value in typed()) {
        let (ours, attachments) = json::to_string(&value).unwrap();
        prop_assert_eq!(&attachments, &Vec::<Bytes>::new());
        prop_assert_eq!(&ours, &serde_json::to_string(&value).unwrap());
        prop_assert!(json::validate(&ours, &Limits::default()).is_ok());
        prop_assert_eq!(json::from_str::<Typed>(&ours, &[]).unwrap(), value);
    }

    #[test]
    fn typed_values_are_read_or_refused_whatever_the_text(value in typed(), index: prop::sample::Index, with in "[\\[\\]{}:,\"\\\\0-9eEn]?") {
        let (mut text, _) = json::to_string(&value).unwrap();
        let mut at = index.index(text.len());
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        let end = at + text[at..].chars().next().map_or(0, char::len_utf8);
        text.replace_range(at..end, &with);
        match (json::from_str::<Typed>(&text, &[]), serde_json::from_str::<Typed>(&text)) {
            (Ok(ours), Ok(theirs)) => prop_assert_eq!(ours, theirs),
            (Err(_), Err(_)) => {}
            (Ok(_), Err(error)) => prop_assert!(error.to_string().contains("number out of range"), "{error}"),
            (ours, theirs) => prop_assert!(false, "{ours:?}, {theirs:?}: {text}"),
        }
    }

    #[test]
    fn binary_is_in_place_at_any_depth(files in prop::collection::vec(file(), 0..5)) {
        let (text, attachments) = json::to_string(&files).unwrap();
        prop_assert_eq!(attachments.len(), 2 * files.len());
        prop_assert_eq!(json::from_str::<Vec<File>>(&text, &attachments).unwrap(), files);
    }
}

/// Equal, where `serde_json` may round the last digit of a float otherwise.
fn same(ours: &Value, theirs: &Value) -> bool {
    match (ours, theirs) {
        (Value::Number(ours), Value::Number(theirs)) => {
            ours == theirs
                || (ours.is_f64()
                    && theirs.is_f64()
                    && (ours.as_f64().unwrap() / theirs.as_f64().unwrap() - 1.0).abs() < 1e-15)
        }
        (Value::Array(ours), Value::Array(theirs)) => {
            ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(ours, theirs)| same(ours, theirs))
        }
        (Value::Object(ours), Value::Object(theirs)) => {
            ours.len() == theirs.len()
                && ours
                    .iter()
                    .zip(theirs)
                    .all(|((key, ours), (other, theirs))| key == other && same(ours, theirs))
        }
        _ => ours == theirs,
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Typed {
    text: String,
    char: char,
    small: (u8, i8),
    wide: [i128; 2],
    integers: Vec<i64>,
    unsigned: u64,
    float: f64,
    short: f32,
    flag: Option<bool>,
    nothing: (),
    by_number: BTreeMap<i32, String>,
    by_flag: BTreeMap<bool, Unit>,
    by_variant: BTreeMap<Key, Newtype>,
    choices: Vec<Choice>,
    #[serde(flatten)]
    rest: BTreeMap<String, Option<u8>>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Unit;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Newtype(Option<(u8, Box<Newtype>)>);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum Key {
    Left,
    Right,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Choice {
    Nothing,
    One(String),
    Two(u8, Vec<Choice>),
    Named { key: Key, number: Option<i16> },
}

fn choice() -> impl Strategy<Value = Choice> {
    let leaf = prop_oneof![
        Just(Choice::Nothing),
        any::<String>().prop_map(Choice::One),
        any::<Option<i16>>().prop_map(|number| Choice::Named { key: Key::Right, number }),
    ];
    leaf.prop_recursive(3, 8, 3, |inner| {
        (any::<u8>(), prop::collection::vec(inner, 0..3))
            .prop_map(|(number, choices)| Choice::Two(number, choices))
    })
}

fn typed() -> impl Strategy<Value = Typed> {
    // A float with a fraction: without one, `serde_json` writes a point that JavaScript does not. A short one: it does not
    // round long ones correctly.
    let float =
        (-1_000_000..1_000_000i64, 1..8i64).prop_map(|(whole, part)| whole as f64 + part as f64 / 8.0);
    let short = (-1000..1000i16).prop_map(|whole| f32::from(whole) + 0.125);
    let first = (
        any::<String>(),
        any::<char>(),
        any::<(u8, i8)>(),
        any::<[i64; 2]>(),
        any::<Vec<i64>>(),
        any::<u64>(),
    );
    let second = (float, short, any::<Option<bool>>());
    let maps = (
        prop::collection::btree_map(any::<i32>(), any::<String>(), 0..3),
        prop::collection::btree_map(any::<bool>(), Just(Unit), 0..3),
        prop::collection::vec(choice(), 0..4),
        prop::collection::btree_map("x[a-z]{0,4}", any::<Option<u8>>(), 0..3),
    );
    (first, second, maps).prop_map(|(first, (float, short, flag), (by_number, by_flag, choices, rest))| {
        let (text, char, small, wide, integers, unsigned) = first;
        let wide = wide.map(|number| i128::from(number) * 3);
        let newtype = Newtype(Some((7, Box::new(Newtype(None)))));
        let by_variant = BTreeMap::from([(Key::Left, Newtype(None)), (Key::Right, newtype)]);
        let nothing = ();
        Typed {
            text,
            char,
            small,
            wide,
            integers,
            unsigned,
            float,
            short,
            flag,
            nothing,
            by_number,
            by_flag,
            by_variant,
            choices,
            rest,
        }
    })
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct File {
    name: String,
    content: Bytes,
    versions: BTreeMap<String, Option<Bytes>>,
}

fn file() -> impl Strategy<Value = File> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..20).prop_map(Bytes::from);
    (any::<String>(), bytes(), bytes()).prop_map(|(name, content, version)| {
        let versions = BTreeMap::from([("new".to_owned(), Some(version)), ("old".to_owned(), None)]);
        File { name, content, versions }
    })
}

#[test]
fn an_attachment_is_bytes_or_a_sequence_of_u8() {
    let attachments = [Bytes::from_static(b"\x01\x02"), Bytes::from_static(b"z")];
    let text = r#"[{"_placeholder":true,"num":0},{"num":1,"_placeholder":true}]"#;
    assert_eq!(json::from_str::<Vec<Bytes>>(text, &attachments).unwrap(), attachments);
    assert_eq!(json::from_str::<(Vec<u8>, [u8; 1])>(text, &attachments).unwrap(), (vec![1, 2], *b"z"));
    assert_eq!(
        json::from_str::<(Option<Bytes>, IgnoredAny)>(text, &attachments).unwrap().0.unwrap(),
        attachments[0]
    );
    let error = json::from_str::<Vec<u32>>(text, &attachments).unwrap_err();
    assert_eq!(error.to_string(), "invalid type: byte array, expected u32, at byte 1");
    assert!(json::from_str::<Vec<Value>>(text, &attachments).is_err(), "a value of JSON holds no bytes");
}

#[test]
fn bytes_are_read_from_strings_and_arrays_too() {
    assert_eq!(json::from_str::<Bytes>(r#""aé\n""#, &[]).unwrap(), "aé\n");
    assert_eq!(json::from_str::<Bytes>("[1, 2]", &[]).unwrap(), [1_u8, 2][..]);
    assert!(json::from_str::<Bytes>("5", &[]).is_err());
}

#[test]
fn strings_without_escapes_are_borrowed() {
    assert_eq!(json::from_str::<(&str, &str)>(r#"["a","é"]"#, &[]).unwrap(), ("a", "é"));
    assert!(json::from_str::<&str>(r#""\n""#, &[]).is_err());
}

#[test]
fn a_deserializer_recurses_only_so_deep() {
    #[derive(Deserialize)]
    struct Nested(#[expect(dead_code, reason = "only read")] Vec<Nested>);
    let text = |depth| "[".repeat(depth) + &"]".repeat(depth);
    assert!(json::from_str::<Nested>(&text(json::MAX_DEPTH), &[]).is_ok());
    assert!(json::from_str::<Value>(&text(json::MAX_DEPTH), &[]).is_ok());
    assert!(json::from_str::<IgnoredAny>(&text(json::MAX_DEPTH), &[]).is_ok());
    for depth in [json::MAX_DEPTH + 1, 1_000_000] {
        let error = json::from_str::<Nested>(&text(depth), &[]).err().unwrap();
        assert_eq!(
            (error.malformed(), error.offset()),
            (Some(DecodeErrorKind::Depth), Some(json::MAX_DEPTH))
        );
        assert!(json::from_str::<IgnoredAny>(&text(depth), &[]).is_err());
    }
}

#[test]
fn errors_name_the_byte() {
    for (text, message) in [
        (r#"{"user":"a","count":"x"}"#, "invalid type: string \"x\", expected u32, at byte 20"),
        (r#"{"user":"a","count":-1}"#, "invalid value: integer `-1`, expected u32, at byte 20"),
        (r#"{"user":"a"}"#, "missing field `count`, at byte 0"),
        (r#"{"user":"a","count":1"#, "malformed JSON, at byte 21"),
        (r#"{"user":"\ud800","count":1}"#, "lone surrogate in a string, at byte 9"),
    ] {
        #[derive(Debug, Deserialize)]
        struct User {
            #[expect(dead_code, reason = "only read")]
            user: String,
            #[expect(dead_code, reason = "only read")]
            count: u32,
        }
        assert_eq!(json::from_str::<User>(text, &[]).unwrap_err().to_string(), message);
    }
}

#[test]
fn serializing_refuses_what_no_receiver_could_read() {
    let forged = BTreeMap::from([("_placeholder", true)]);
    assert_eq!(json::to_string(&forged).unwrap_err().malformed(), Some(DecodeErrorKind::Placeholder));
    assert!(json::to_string(&serde_json::json!([{"a": {"_placeholder": 1}}])).is_err());
    let no_string = BTreeMap::from([((1, 2), 3)]);
    assert!(json::to_string(&no_string).unwrap_err().malformed().is_none());
    let mut deep = serde_json::json!(1);
    for _ in 0..json::MAX_DEPTH {
        deep = Value::Array(vec![deep]);
    }
    assert!(json::to_string(&deep).is_ok());
    assert_eq!(json::to_string(&[deep]).unwrap_err().malformed(), Some(DecodeErrorKind::Depth));
}

#[test]
fn a_variant_with_data_counts_as_deep_as_it_is_read() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    enum Nested {
        Leaf,
        Newtype(Box<Nested>),
        Tuple(Box<Nested>, u8),
        Struct { inner: Box<Nested> },
    }
    let newtype = |inner| Nested::Newtype(Box::new(inner));
    let tuple = |inner| Nested::Tuple(Box::new(inner), 1);
    let structure = |inner| Nested::Struct { inner: Box::new(inner) };
    let wraps: [(&dyn Fn(Nested) -> Nested, usize); 3] = [(&newtype, 1), (&tuple, 2), (&structure, 2)];
    for (wrap, levels) in wraps {
        let deep = (0..json::MAX_DEPTH / levels).fold(Nested::Leaf, |inner, _| wrap(inner));
        let (text, _) = json::to_string(&deep).unwrap();
        assert_eq!(json::from_str::<Nested>(&text, &[]).unwrap(), deep);
        let siblings = json::to_string(&[wrap(Nested::Leaf), wrap(Nested::Leaf)]);
        assert!(siblings.is_ok(), "what is closed counts no more");
        assert_eq!(json::to_string(&wrap(deep)).unwrap_err().malformed(), Some(DecodeErrorKind::Depth));
    }
}

#[test]
fn floats_are_written_as_by_javascript() {
    for (number, text) in [
        (1.0, "1"),
        (-0.5, "-0.5"),
        (f64::NAN, "null"),
        (f64::INFINITY, "null"),
        (0.1 + 0.2, "0.30000000000000004"),
    ] {
        assert_eq!(json::to_string(&number).unwrap().0, text);
    }
}

#[test]
fn arguments_are_read_one_by_one_or_all_at_once() {
    let args = |json: &str| Args::from_parts(json.into(), vec![], &Limits::default()).unwrap();
    let three = args(" \"a,]\" , {\"b\":[1,2]} ,null ");
    assert_eq!(three.json(), "\"a,]\" , {\"b\":[1,2]} ,null");
    assert_eq!(three.iter().collect::<Vec<_>>(), ["\"a,]\"", "{\"b\":[1,2]}", "null"]);
    assert_eq!((three.len(), three.get(2), three.get(3)), (3, Some("null"), None));
    assert_eq!(three.deserialize::<BTreeMap<String, Vec<u8>>>(1).unwrap()["b"], [1, 2]);
    assert_eq!(three.deserialize::<Option<u8>>(7).unwrap(), None);
    assert_eq!(three.deserialize::<u8>(7).unwrap_err().to_string(), "argument 8 is missing");
    assert_eq!(three.deserialize_all::<(String,)>().unwrap().0, "a,]");
    assert_eq!(three.deserialize_all::<Vec<Value>>().unwrap().len(), 3);
    assert!(three.deserialize_all::<(String, IgnoredAny, (), u8)>().is_err());
    let (_, _, _, fourth): (String, IgnoredAny, (), Option<u8>) = three.deserialize_all().unwrap();
    assert_eq!(fourth, None);

    for empty in [args(""), args(" \n"), Args::empty()] {
        assert_eq!((empty.len(), empty.is_empty(), empty.get(0)), (0, true, None));
        assert_eq!(empty, Args::empty());
        empty.deserialize_all::<()>().unwrap();
    }
    for malformed in ["1,", ",1", "1]", "1 2", "[", "\"", "]"] {
        let error = Args::from_parts(malformed.into(), vec![], &Limits::default()).unwrap_err();
        assert_eq!(error.kind(), DecodeErrorKind::Json, "{malformed}");
    }
}

#[test]
fn arguments_are_written_from_tuples() {
    assert_eq!(Args::serialize(&()).unwrap(), Args::empty());
    assert_eq!(Args::serialize(&None::<()>).unwrap().json(), "null");
    assert_eq!(Args::serialize(&((),)).unwrap().json(), "null");
    assert_eq!(Args::serialize(&("a", 1)).unwrap().json(), "\"a\",1");
    assert_eq!(Args::serialize(&(("a", 1),)).unwrap().json(), "[\"a\",1]");
    assert_eq!(Args::serialize(&[1, 2]).unwrap().json(), "1,2");
    assert_eq!(Args::serialize(&vec![1, 2]).unwrap().json(), "[1,2]");
    assert_eq!(Args::serialize("[x]").unwrap().json(), "\"[x]\"");
}
